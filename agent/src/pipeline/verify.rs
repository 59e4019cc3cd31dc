//! Steps 7 and 8: what the application function needs is switched on, and what was wanted really is
//! on the bus.

use afi_pcie::bus::Caching;
use afi_pcie::{BusError, Function};
use afi_proto::config_space::{self, Command};
use afi_proto::mailbox::CommandFlags;
use afi_proto::{AgfiId, BarIndex, Family, PciIds};

use super::command::interruptible;
use super::error::StepError;
use super::report::{BarReport, BusReport, Probe};
use super::run::Run;

/// What the application function should be.
#[derive(Debug)]
pub(super) enum Wanted {
    /// The function of an image.
    Image {
        /// The ids that the image was registered with, as the cloud tells.
        image: Option<PciIds>,
        /// The ids that the shell reports for it.
        shell: PciIds,
    },
    /// The function of a cleared slot.
    Cleared,
    /// Whatever it is.
    Anything,
}

impl Wanted {
    /// Whether a function with these ids is that.
    pub(super) fn is(&self, ids: PciIds, family: Family) -> bool {
        match self {
            Self::Image { shell, .. } => ids == *shell,
            Self::Cleared => family.profile().cleared.same_device(ids),
            Self::Anything => true,
        }
    }
}

/// What a function that runs an image needs: to answer accesses, and to start DMA. After a load
/// bus mastering can be off, and DMA then fails without a sign (aws-fpga #685).
const NEEDED: [(Command, &str); 2] = [
    (Command::MEMORY_SPACE, "memory-space"),
    (Command::BUS_MASTER, "bus-master"),
];

/// Switches on what an image's function needs, and tells what was off.
pub(super) fn switch_on(
    run: &Run<'_>,
    function: &dyn Function,
    wanted: &Wanted,
) -> Result<Vec<&'static str>, StepError> {
    if !matches!(wanted, Wanted::Image { .. }) {
        return Ok(Vec::new());
    }
    let all = Command::MEMORY_SPACE | Command::BUS_MASTER;
    let were_off = function.enable(all)?;
    let still_off = all - function.command()?;
    if !still_off.is_empty() {
        return Err(StepError::StaysOff {
            app: run.slot.app_bdf,
            bits: names(still_off).join(" and "),
        });
    }
    Ok(names(were_off))
}

fn names(bits: Command) -> Vec<&'static str> {
    NEEDED
        .iter()
        .filter(|(bit, _)| bits.contains(*bit))
        .map(|(_, name)| *name)
        .collect()
}

/// Compares ids, and for an image the sizes of the BARs, and sees that they answer.
pub(super) fn on_the_bus(
    run: &Run<'_>,
    function: &dyn Function,
    wanted: &Wanted,
) -> Result<BusReport, StepError> {
    let ids = same_ids(run, function, wanted)?;
    let (bars, probe) = match wanted {
        Wanted::Image { .. } => (bar_sizes(run, function)?, probe(function)?),
        Wanted::Cleared | Wanted::Anything => (Vec::new(), None),
    };
    Ok(BusReport {
        ids,
        rescanned: None,
        driver: None,
        switched_on: Vec::new(),
        bars,
        probe,
    })
}

fn same_ids(run: &Run<'_>, function: &dyn Function, wanted: &Wanted) -> Result<PciIds, StepError> {
    let app = run.slot.app_bdf;
    let seen = function.live_ids()?;
    if seen.is_absent() {
        let seen = "its ids read as all ones".to_owned();
        return Err(BusError::Gone { bdf: app, seen }.into());
    }
    let other = |wanted: String, according| {
        Err(StepError::OtherIds {
            app,
            seen,
            wanted,
            according,
        })
    };
    match wanted {
        Wanted::Image {
            image: Some(image), ..
        } if *image != seen => {
            return other(image.to_string(), "with which the image was registered");
        }
        Wanted::Image { shell, .. } if *shell != seen => {
            return other(shell.to_string(), "as the shell reports");
        }
        Wanted::Cleared if !wanted.is(seen, run.slot.family) => {
            let cleared = run.slot.family.profile().cleared;
            let ids = format!("{:04x}:{:04x}", cleared.vendor, cleared.device);
            return other(ids, "those of a cleared slot");
        }
        _ => {}
    }
    match run.bus.function(app)? {
        Some(host) if host.ids == seen => Ok(seen),
        Some(host) => other(
            host.ids.to_string(),
            "as the host shows them after a rescan",
        ),
        None => Err(BusError::NotFound { bdf: app }.into()),
    }
}

/// Compares the sizes of the BARs that functions of the family have. None is mapped for it: the
/// largest has 128 GiB.
fn bar_sizes(run: &Run<'_>, function: &dyn Function) -> Result<Vec<BarReport>, StepError> {
    let specs = run.slot.family.profile().app_bars.iter();
    let reports = specs.map(|spec| {
        let missing = BusError::NoBar {
            bdf: run.slot.app_bdf,
            bar: spec.index,
        };
        let bytes = function.bar_size(spec.index)?.ok_or(missing)?;
        if bytes != spec.size {
            return Err(StepError::BarSize {
                app: run.slot.app_bdf,
                bar: spec.index,
                seen: bytes,
                wanted: spec.size,
            });
        }
        Ok(BarReport {
            bar: spec.index,
            purpose: spec.purpose,
            bytes,
        })
    });
    reports.collect()
}

/// Reads through a BAR where the answer cannot be all ones: the vector control word of the first
/// entry of the MSI-X table, which belongs to the shell and whose reads have no side effect (PCI
/// Local Bus 3.0, 6.8.2.9; its upper bits are 0 after reset). The registers of the design are left
/// alone: nobody here knows which of them may be read.
fn probe(function: &dyn Function) -> Result<Option<Probe>, StepError> {
    /// Of the vector control word in an entry of the table.
    const VECTOR_CONTROL: u64 = 12;
    let (bar, table) = match msix_table(function) {
        Ok(Some(found)) => found,
        // Who is not root does not get to see the capabilities.
        Ok(None) | Err(BusError::HeaderOnly { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let offset = table + VECTOR_CONTROL;
    let bdf = function.bdf();
    let value = function
        .bar(bar, Caching::None)?
        .read32(offset)
        .map_err(|source| BusError::Bar { bdf, bar, source })?;
    if value == u32::MAX {
        return Err(StepError::AllOnes {
            app: bdf,
            bar,
            offset,
        });
    }
    Ok(Some(Probe { bar, offset, value }))
}

/// Where the MSI-X table is, if the function has one.
fn msix_table(function: &dyn Function) -> Result<Option<(BarIndex, u64)>, BusError> {
    /// Capabilities that fit into the 192 bytes after the header; more is a loop.
    const MOST: u32 = 48;
    /// Table offset and BAR, relative to the capability.
    const TABLE: u16 = 4;
    let byte = |offset: u16| {
        let mut byte = [0];
        function.read_config(offset, &mut byte).map(|()| byte[0])
    };
    let mut at = u16::from(byte(config_space::CAPABILITIES)? & !3);
    for _ in 0..MOST {
        if at < config_space::HEADER_SIZE as u16 {
            return Ok(None);
        }
        if byte(at)? == config_space::CAP_ID_MSIX {
            let mut word = [0; 4];
            function.read_config(at + TABLE, &mut word)?;
            let word = u32::from_le_bytes(word);
            return Ok(BarIndex::new((word & 7) as u8).map(|bar| (bar, u64::from(word & !7))));
        }
        at = u16::from(byte(at + 1)? & !3);
    }
    Ok(None)
}

/// Whether the slot's cache holds a prefetched image.
pub(super) fn cached(run: &mut Run<'_>, image: AgfiId) -> Result<(), StepError> {
    let deadline = run.deadline.at_most(run.command_timeout);
    let flags = CommandFlags::GET_HW_METRICS;
    let metrics = interruptible(run.mailbox()?.describe(flags, &deadline))?;
    let cached = &metrics.body.cached;
    // The table has no place for ids whose first digit is not 0.
    if image.to_cached().is_some() && !cached.contains(&image) {
        return Err(StepError::NotCached {
            wanted: image,
            count: cached.len(),
        });
    }
    Ok(())
}
