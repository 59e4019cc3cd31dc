//! Asking everything that a capture has.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use afi_pcie::capture::{
    Bytes, Capture, FunctionRecord, HostView, LockHolder, Machine, MailboxRecord, RecordedFailure,
    RecordingBus, SCHEMA_VERSION, SettingsRecord, Tool,
};
use afi_pcie::slots::Slot;
use afi_pcie::{Bus, BusError, Deadline, Function, FunctionInfo};
use afi_proto::mailbox::CommandFlags;
use afi_proto::{BarIndex, config_space};

use crate::instance::{self, Instance, InstanceError};
use crate::lock::{LockError, SlotLock};
use crate::output::ErrorReport;
use crate::pipeline::{self, StepError};
use crate::problem::Problem;

/// How long a slot may take for one question, the wait for its lock included.
const QUESTION: Duration = Duration::from_secs(10);
/// Where the kernel tells its release (proc(5)).
const KERNEL_RELEASE: &str = "/proc/sys/kernel/osrelease";
/// How much of configuration space is tried: all of it, that of conventional PCI, and the header,
/// which is what the kernel shows to everybody.
const CONFIG_SIZES: [usize; 3] = [config_space::SIZE, 256, config_space::HEADER_SIZE];

/// What each slot is asked, in words and as flags: what `afi describe` asks without and with
/// `--metrics`.
const QUESTIONS: [(&str, CommandFlags); 2] = [
    ("describe", CommandFlags::empty()),
    ("describe, with its counters,", CommandFlags::GET_HW_METRICS),
];

/// Takes a capture. Whatever does not work is recorded in it. `command` is what others are told who
/// wait for a slot's lock.
///
/// Nothing that runs is changed: the only commands to shells are those of [`pipeline::describe`], under
/// the slots' locks. A slot whose lock is held is left alone. Functions are read before mailboxes are
/// opened, which switches their memory decode on where it is off.
pub fn take(
    instance: Result<&Instance, &InstanceError>,
    settings: SettingsRecord,
    command: &str,
    deadline: &Deadline,
) -> Capture {
    let mut capture = Capture {
        schema_version: SCHEMA_VERSION,
        tool: Tool {
            name: "afi".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        taken_unix_seconds: unix_seconds(),
        machine: Machine {
            kernel: kernel_release(),
            host: instance.map_or_else(|_| HostView::default(), |i| i.bus().host_view(None)),
        },
        settings,
        listing_failure: None,
        functions: Vec::new(),
        mailboxes: Vec::new(),
    };
    let instance = match instance {
        Ok(instance) => instance,
        Err(error) => {
            capture.listing_failure = Some(failure("open the bus", error));
            return capture;
        }
    };
    match instance.bus().functions() {
        Ok(functions) => {
            let records = functions
                .iter()
                .map(|info| function(instance.bus(), info, deadline));
            capture.functions = records.collect();
        }
        Err(error) => {
            capture.listing_failure = Some(failure("list the functions", &error));
            return capture;
        }
    }
    // Read a second time: a function that goes in between is then missing from the slot.
    match instance.slots() {
        Ok(slots) => {
            let bus = RecordingBus::new(instance.bus());
            capture.mailboxes =
                pipeline::at_once(&slots, |slot| mailbox(&bus, slot, command, deadline));
        }
        Err(error) => capture.listing_failure = Some(failure("list the slots", &error)),
    }
    capture
}

/// Everything that a capture says went wrong, in its order.
pub fn failures(capture: &Capture) -> impl Iterator<Item = &RecordedFailure> {
    let of_functions = capture.functions.iter().flat_map(|f| &f.failures);
    let of_mailboxes = capture.mailboxes.iter().flat_map(|m| &m.failures);
    let listing = capture.listing_failure.iter();
    listing.chain(of_functions).chain(of_mailboxes)
}

/// What can be read of a function without a word to its device beyond reads of configuration space.
fn function(bus: &dyn Bus, info: &FunctionInfo, deadline: &Deadline) -> FunctionRecord {
    let bdf = info.bdf;
    let mut record = FunctionRecord {
        bdf,
        ids: info.ids.into(),
        driver: info.driver.clone(),
        numa_node: info.numa_node,
        config: Bytes::default(),
        bars: Default::default(),
        host: bus.host_view(Some(bdf)),
        failures: Vec::new(),
    };
    if let Err(ended) = deadline.check() {
        let what = format!("look at function {bdf}");
        record.failures.push(failure(&what, &ended));
        return record;
    }
    match bus.open(bdf) {
        Ok(function) => {
            read_config(&*function, &mut record);
            read_bar_sizes(&*function, &mut record);
        }
        Err(error) => {
            let what = format!("open function {bdf}");
            record.failures.push(failure(&what, &error));
        }
    }
    record
}

/// Reads as much of configuration space as the bus gives, in one piece. That a function has no more
/// than the smaller sizes is no failure; that the rest is not shown is one.
fn read_config(function: &dyn Function, record: &mut FunctionRecord) {
    let mut hidden = None;
    for size in CONFIG_SIZES {
        let mut bytes = vec![0; size];
        match function.read_config(0, &mut bytes) {
            Ok(()) => {
                record.config = Bytes(bytes);
                break;
            }
            Err(BusError::NoConfig { .. }) => {}
            Err(error) => {
                let only_this_much = matches!(error, BusError::HeaderOnly { .. });
                hidden.get_or_insert(error);
                if !only_this_much {
                    break;
                }
            }
        }
    }
    if let Some(error) = hidden {
        let what = format!("read the configuration space of function {}", record.bdf);
        record.failures.push(failure(&what, &error));
    }
}

fn read_bar_sizes(function: &dyn Function, record: &mut FunctionRecord) {
    for bar in (0..6).filter_map(BarIndex::new) {
        match function.bar_size(bar) {
            Ok(size) => record.bars.extend(size.map(|size| (bar.get(), size))),
            Err(error) => {
                let what = format!("tell the size of {bar} of function {}", record.bdf);
                record.failures.push(failure(&what, &error));
                return;
            }
        }
    }
}

/// What the shell of a slot answers.
fn mailbox(
    bus: &RecordingBus<'_>,
    slot: &Slot,
    command: &str,
    deadline: &Deadline,
) -> MailboxRecord {
    let (mut failures, mut holder) = (Vec::new(), None);
    for (what, flags) in QUESTIONS {
        let limit = deadline.at_most(QUESTION);
        let Err(error) = pipeline::describe(bus, slot, command, flags, &limit) else {
            continue;
        };
        failures.push(failure(
            &format!("{what} slot {}", slot.index),
            &error.source,
        ));
        if let StepError::Lock(lock) = &error.source {
            holder = held_by(lock);
            break;
        }
    }
    // Of a slot that could not be asked at all, nothing more is to be had.
    if answers(bus, slot)
        && let Err(error) = read_lights(bus, slot, command, &deadline.at_most(QUESTION))
    {
        let what = format!(
            "read the virtual LEDs and DIP switches of slot {}",
            slot.index
        );
        failures.push(failure(&what, &error));
    }
    MailboxRecord {
        lock_holder: holder,
        failures,
        ..bus.recorded(slot.mgmt.bdf)
    }
}

/// Whether the device behind a mailbox was seen to answer.
fn answers(bus: &RecordingBus<'_>, slot: &Slot) -> bool {
    let version = bus.recorded(slot.mgmt.bdf).shell_version;
    version.is_some_and(|version| version != u32::MAX)
}

/// Reads the registers, which the bus records.
fn read_lights(
    bus: &RecordingBus<'_>,
    slot: &Slot,
    command: &str,
    deadline: &Deadline,
) -> Result<(), StepError> {
    let _lock = SlotLock::acquire(&bus.lock_directory(), slot.mgmt.bdf, command, deadline)?;
    let mailbox = instance::open_mailbox(bus, slot, deadline)?;
    mailbox.virtual_led()?;
    mailbox.virtual_dip()?;
    Ok(())
}

fn held_by(error: &LockError) -> Option<LockHolder> {
    let LockError::Held {
        holder: Some(holder),
        ..
    } = error
    else {
        return None;
    };
    Some(LockHolder {
        pid: holder.pid,
        command: holder.command.clone(),
        since_unix_seconds: holder.since,
    })
}

/// A failure, with its causes in one line.
fn failure(what: &str, problem: &dyn Problem) -> RecordedFailure {
    let report = ErrorReport::new(problem);
    let mut message = report.message;
    for cause in report.causes {
        message = format!("{message}: {cause}");
    }
    RecordedFailure {
        what: what.to_owned(),
        class: Some(report.class.name().to_owned()),
        message,
    }
}

fn kernel_release() -> Option<String> {
    let release = fs::read_to_string(KERNEL_RELEASE).ok()?;
    Some(release.trim_end().to_owned())
}

fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}
