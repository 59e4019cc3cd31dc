//! What the shell counts: accesses that the custom logic did not answer, and its own.
//!
//! Source: `hdk/docs/HOWTO_detect_shell_timeout.md` on `master`. There is a timeout for each
//! interface. The first one stores its address; every one is counted. After the first, accesses
//! time out at once for 4 ms, whether or not the custom logic could answer. The 8 µs that a real
//! shell waits before it gives up are not waited here.

use std::time::Duration;

use afi_proto::Family;
use afi_proto::mailbox::{AddressCount, DdrCounts, InterruptStatus, MetricsBody, ProtocolErrors};

/// For how long accesses time out at once after one that did.
pub(crate) const MODERATION: Duration = Duration::from_millis(4);

/// An interface of the custom logic that the shell watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interface {
    Ocl,
    Bar1,
    Sda,
    Pcis,
    VirtualJtag,
}

impl Interface {
    const COUNT: usize = 5;
}

/// Which way an access goes; the value is what the low bits of a timeout's address tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read = 0b01,
    Write = 0b10,
}

/// The shell's counters.
#[derive(Debug)]
pub(crate) struct Counters {
    family: Family,
    interrupts: InterruptStatus,
    timeouts: [AddressCount; Interface::COUNT],
    /// Until when accesses of the interface time out at once.
    moderated: [Option<Duration>; Interface::COUNT],
    protocol_errors: ProtocolErrors,
    protocol_error: AddressCount,
    range_error: AddressCount,
    pcim_writes: u64,
    pcim_reads: u64,
    ddr: Vec<DdrCounts>,
    jtag_writes: u32,
    jtag_reads: u32,
}

impl Counters {
    pub(super) fn new(family: Family) -> Self {
        let ddr = family.profile().memory.iter();
        let interfaces = ddr.filter(|range| range.name.starts_with("DDR")).count();
        Self {
            family,
            interrupts: InterruptStatus::empty(),
            timeouts: Default::default(),
            moderated: Default::default(),
            protocol_errors: ProtocolErrors::empty(),
            protocol_error: AddressCount::default(),
            range_error: AddressCount::default(),
            pcim_writes: 0,
            pcim_reads: 0,
            ddr: vec![DdrCounts::default(); interfaces],
            jtag_writes: 0,
            jtag_reads: 0,
        }
    }

    /// Zeros, as after a read that clears. An interface that times out at once goes on to.
    pub(super) fn clear(&mut self) {
        let moderated = self.moderated;
        *self = Self::new(self.family);
        self.moderated = moderated;
    }

    /// The interfaces begin anew, as with another image.
    pub(super) fn end_moderation(&mut self) {
        self.moderated = Default::default();
    }

    /// Whether an access of this interface times out at once; counts it if so.
    pub(super) fn is_moderated(
        &mut self,
        interface: Interface,
        address: u64,
        direction: Direction,
        now: Duration,
    ) -> bool {
        let until = self.moderated[interface as usize];
        let moderated = until.is_some_and(|until| now < until);
        if moderated {
            self.count(interface, address, direction);
        }
        moderated
    }

    /// The custom logic did not answer an access.
    pub(super) fn timed_out(
        &mut self,
        interface: Interface,
        address: u64,
        direction: Direction,
        now: Duration,
    ) {
        self.count(interface, address, direction);
        self.moderated[interface as usize] = Some(now + MODERATION);
    }

    fn count(&mut self, interface: Interface, address: u64, direction: Direction) {
        let address = address & !0b11 | direction as u64;
        note(&mut self.timeouts[interface as usize], address);
        self.interrupts |= match (interface, self.family) {
            (Interface::Ocl, _) => InterruptStatus::OCL_TIMEOUT,
            (Interface::Bar1, _) => InterruptStatus::BAR1_TIMEOUT,
            (Interface::Sda, Family::F1) => InterruptStatus::SDACL_TIMEOUT,
            (Interface::Sda, Family::F2) => InterruptStatus::SDA_TIMEOUT,
            (Interface::Pcis, _) => InterruptStatus::DMA_PCIS_TIMEOUT,
            (Interface::VirtualJtag, _) => InterruptStatus::VIRTUAL_JTAG_TIMEOUT,
        };
    }

    /// An access through PCIS went where there is no memory.
    pub(super) fn dma_out_of_range(&mut self) {
        self.interrupts |= InterruptStatus::DMA_RANGE_ERROR;
    }

    /// A transfer of the custom logic to or from the host.
    pub(crate) fn pcim(&mut self, direction: Direction) {
        match direction {
            Direction::Read => self.pcim_reads += 1,
            Direction::Write => self.pcim_writes += 1,
        }
    }

    /// The host has nothing for the card at this address.
    pub(crate) fn pcim_out_of_range(&mut self, address: u64) {
        note(&mut self.range_error, address);
        self.interrupts |= InterruptStatus::PCIM_RANGE_ERROR;
    }

    /// The custom logic broke the protocol.
    pub(crate) fn pcim_protocol(&mut self, address: u64, how: ProtocolErrors) {
        note(&mut self.protocol_error, address);
        self.protocol_errors |= how;
        self.interrupts |= InterruptStatus::PCIM_PROTOCOL_ERROR;
    }

    /// An access of a DDR interface.
    pub(crate) fn ddr(&mut self, interface: Option<usize>, direction: Direction) {
        self.ddr_bursts(interface, direction, 1);
    }

    /// Bursts of a DDR interface that were counted elsewhere.
    pub(super) fn ddr_bursts(&mut self, interface: Option<usize>, way: Direction, bursts: u64) {
        let counts = interface.and_then(|number| self.ddr.get_mut(number));
        match (counts, way) {
            (Some(counts), Direction::Read) => counts.reads += bursts,
            (Some(counts), Direction::Write) => counts.writes += bursts,
            (None, _) => {}
        }
    }

    /// An access of a virtual JTAG register.
    pub(super) fn virtual_jtag(&mut self, direction: Direction) {
        let count = match direction {
            Direction::Read => &mut self.jtag_reads,
            Direction::Write => &mut self.jtag_writes,
        };
        *count = count.saturating_add(1);
    }

    /// The counters as metrics report them; clocks, power and the cache are the slot's to add.
    pub(super) fn metrics(&self) -> MetricsBody {
        let timeout = |interface: Interface| self.timeouts[interface as usize];
        let is_f1 = self.family == Family::F1;
        MetricsBody {
            interrupts: self.interrupts,
            pcim_protocol_errors: self.protocol_errors,
            dma_pcis_timeout: timeout(Interface::Pcis),
            pcim_range_error: self.range_error,
            pcim_protocol_error: self.protocol_error,
            ocl_timeout: timeout(Interface::Ocl),
            bar1_timeout: is_f1.then(|| timeout(Interface::Bar1)),
            sda_timeout: timeout(Interface::Sda),
            virtual_jtag_timeout: timeout(Interface::VirtualJtag),
            virtual_jtag: (!is_f1).then_some((self.jtag_writes, self.jtag_reads)),
            pcim_writes: self.pcim_writes,
            pcim_reads: self.pcim_reads,
            ddr: self.ddr.clone(),
            ..MetricsBody::default()
        }
    }
}

/// Counts an event; the first one's address stays.
fn note(counter: &mut AddressCount, address: u64) {
    if counter.count == 0 {
        counter.address = address;
    }
    counter.count = counter.count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_timeout_leaves_its_address_and_every_one_is_counted() {
        let mut counters = Counters::new(Family::F1);
        let now = Duration::from_secs(1);
        let moderated = |counters: &mut Counters, now| {
            counters.is_moderated(Interface::Ocl, 0x700, Direction::Write, now)
        };
        assert!(!moderated(&mut counters, now));
        counters.timed_out(Interface::Ocl, 0x503, Direction::Read, now);
        assert!(moderated(
            &mut counters,
            now + MODERATION - Duration::from_nanos(1)
        ));
        assert!(!moderated(&mut counters, now + MODERATION));
        let body = counters.metrics();
        let wanted = AddressCount {
            address: 0x501,
            count: 2,
        };
        assert_eq!(body.ocl_timeout, wanted);
        assert_eq!(body.interrupts, InterruptStatus::OCL_TIMEOUT);
        assert_eq!(body.bar1_timeout, Some(AddressCount::default()));
    }

    #[test]
    fn clearing_does_not_end_a_moderation() {
        let mut counters = Counters::new(Family::F2);
        counters.timed_out(Interface::Sda, 0, Direction::Write, Duration::ZERO);
        assert_eq!(counters.metrics().interrupts, InterruptStatus::SDA_TIMEOUT);
        counters.clear();
        assert_eq!(counters.metrics(), Counters::new(Family::F2).metrics());
        assert!(counters.is_moderated(Interface::Sda, 0, Direction::Read, Duration::ZERO));
        counters.end_moderation();
        assert!(!counters.is_moderated(Interface::Sda, 0, Direction::Read, Duration::ZERO));
    }
}
