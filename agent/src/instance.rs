//! The instance that this program runs on, or a simulated one: its bus and its FPGA slots.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use afi_pcie::mailbox::{Mailbox, MailboxError};
use afi_pcie::slots::{self, Slot};
use afi_pcie::{Backoff, Bus, BusChoice, BusError, Deadline, Function, bus};
use afi_proto::{Bdf, SlotIndex};

use crate::problem::{Class, Problem};

/// How long a function may stay in use by another process although this one holds the slot's lock.
/// It happens for a moment after a process was killed: its lock is released at once, its
/// connection to the device a little later.
const IN_USE: Duration = Duration::from_secs(1);
/// The longest pause between two tries to open a function.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// An instance: a bus with FPGA slots on it.
#[derive(Clone)]
pub struct Instance {
    bus: Arc<dyn Bus>,
}

/// How a person names slots: `0`, the address of either function, or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotName {
    /// By number.
    Index(SlotIndex),
    /// By the address of its management or its application function.
    Address(Bdf),
    /// Every slot.
    All,
}

/// Why there is no such slot.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The bus cannot be opened or read.
    #[error("cannot look for FPGA slots")]
    Bus {
        /// Why.
        #[source]
        source: BusError,
    },
    /// There are no slots at all.
    #[error("no FPGA slots on the {bus} bus")]
    NoSlots {
        /// Which bus.
        bus: String,
    },
    /// There is no slot of this name.
    #[error("no slot {name} on the {bus} bus; it has {}", list(slots))]
    NoSuchSlot {
        /// The name.
        name: SlotName,
        /// Which bus.
        bus: String,
        /// The slots that there are: number and management function.
        slots: Vec<(SlotIndex, Bdf)>,
    },
}

impl Instance {
    /// Opens a bus.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(choice: &BusChoice) -> Result<Self, InstanceError> {
        let bus = bus::open(choice).map_err(|source| InstanceError::Bus { source })?;
        Ok(Self::on(bus))
    }

    /// The instance whose bus this is.
    pub fn on(bus: Arc<dyn Bus>) -> Self {
        Self { bus }
    }

    /// Its bus.
    pub fn bus(&self) -> &dyn Bus {
        &*self.bus
    }

    /// Its slots, in order of their numbers.
    ///
    /// # Errors
    /// When the bus cannot be read.
    pub fn slots(&self) -> Result<Vec<Slot>, InstanceError> {
        slots::discover(self.bus()).map_err(|source| InstanceError::Bus { source })
    }

    /// The slots of this name; at least one.
    ///
    /// # Errors
    /// When there are none, or the bus cannot be read.
    pub fn select(&self, name: SlotName) -> Result<Vec<Slot>, InstanceError> {
        let all = self.slots()?;
        if all.is_empty() {
            let bus = self.bus.name();
            return Err(InstanceError::NoSlots { bus });
        }
        let known = all.iter().map(|slot| (slot.index, slot.mgmt.bdf)).collect();
        let named: Vec<Slot> = all.into_iter().filter(|slot| name.names(slot)).collect();
        if named.is_empty() {
            return Err(InstanceError::NoSuchSlot {
                name,
                bus: self.bus.name(),
                slots: known,
            });
        }
        Ok(named)
    }
}

impl SlotName {
    /// Whether it names this slot.
    fn names(self, slot: &Slot) -> bool {
        match self {
            Self::Index(index) => slot.index == index,
            Self::Address(bdf) => slot.mgmt.bdf == bdf || slot.app_bdf == bdf,
            Self::All => true,
        }
    }
}

/// Opens a function of a slot whose lock is held.
///
/// # Errors
/// As [`Bus::open`].
pub fn open_function(
    bus: &dyn Bus,
    bdf: Bdf,
    deadline: &Deadline,
) -> Result<Arc<dyn Function>, BusError> {
    let in_use = |error: &BusError| matches!(error, BusError::InUse { .. });
    while_in_use(deadline, in_use, || bus.open(bdf))
}

/// Opens the mailbox of a slot whose lock is held.
///
/// # Errors
/// As [`Mailbox::open`].
pub fn open_mailbox(
    bus: &dyn Bus,
    slot: &Slot,
    deadline: &Deadline,
) -> Result<Mailbox, MailboxError> {
    let in_use = |error: &MailboxError| {
        let source = match error {
            MailboxError::Open { source, .. } => source,
            _ => return false,
        };
        matches!(source, BusError::InUse { .. })
    };
    while_in_use(deadline, in_use, || Mailbox::open(bus, slot))
}

/// Tries again while something is in use by another process, for at most [`IN_USE`].
fn while_in_use<T, E>(
    deadline: &Deadline,
    in_use: impl Fn(&E) -> bool,
    open: impl Fn() -> Result<T, E>,
) -> Result<T, E> {
    let deadline = deadline.at_most(IN_USE);
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    loop {
        match open() {
            Err(error) if in_use(&error) && backoff.wait(&deadline).is_ok() => {}
            other => return other,
        }
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => index.fmt(f),
            Self::Address(bdf) => bdf.fmt(f),
            Self::All => f.write_str("all"),
        }
    }
}

/// A text that names no slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' names no slot; wanted a number from 0 to 255, the PCI address of a function such as \
     0000:00:1d.0, or 'all'"
)]
pub struct ParseSlotNameError {
    text: String,
}

impl FromStr for SlotName {
    type Err = ParseSlotNameError;

    fn from_str(text: &str) -> Result<Self, ParseSlotNameError> {
        if text == "all" {
            return Ok(Self::All);
        }
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let index = text.parse().ok().filter(|_| digits);
        index
            .map(|index| Self::Index(SlotIndex(index)))
            .or_else(|| text.parse().ok().map(Self::Address))
            .ok_or_else(|| ParseSlotNameError {
                text: text.to_owned(),
            })
    }
}

fn list(slots: &[(SlotIndex, Bdf)]) -> String {
    let each: Vec<String> = slots
        .iter()
        .map(|(index, mgmt)| format!("{index} ({mgmt})"))
        .collect();
    match each.as_slice() {
        [one] => format!("slot {one}"),
        many => format!("slots {}", many.join(", ")),
    }
}

impl Problem for InstanceError {
    fn class(&self) -> Class {
        match self {
            Self::Bus { source } => source.class(),
            Self::NoSlots { .. } | Self::NoSuchSlot { .. } => Class::NotFound,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Bus { source } => source.remedy(),
            Self::NoSlots { .. } => Some(
                "run this on an F1 or F2 instance, or name a simulated one with --bus or AFI_BUS"
                    .to_owned(),
            ),
            Self::NoSuchSlot { .. } => Some("'afi list' shows the slots".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_named_by_number_address_or_all() {
        let name = |text: &str| text.parse::<SlotName>();
        assert_eq!(name("7"), Ok(SlotName::Index(SlotIndex(7))));
        assert_eq!(name("all"), Ok(SlotName::All));
        let bdf = "0000:00:1d.0".parse().unwrap();
        assert_eq!(name("00:1d.0"), Ok(SlotName::Address(bdf)));
        for text in ["", "256", "-1", "+1", "1 ", "ALL", "0x1", "1d.0"] {
            let error = name(text).unwrap_err().to_string();
            assert!(
                error.contains(&format!("'{text}' names no slot")),
                "{error}"
            );
        }
    }

    #[test]
    fn what_stays_in_use_is_tried_for_a_bounded_time_and_what_else_fails_at_once() {
        let tries = std::cell::Cell::new(0);
        let attempt = || {
            tries.set(tries.get() + 1);
            Err::<(), u32>(if tries.get() < 5 { 1 } else { 2 })
        };
        let deadline = Deadline::after(Duration::from_secs(60));
        assert_eq!(while_in_use(&deadline, |e| *e == 1, attempt), Err(2));
        assert_eq!(tries.get(), 5);
        let short = Deadline::after(Duration::from_millis(20));
        assert_eq!(while_in_use(&short, |_| true, || Err::<(), u32>(3)), Err(3));
    }
}
