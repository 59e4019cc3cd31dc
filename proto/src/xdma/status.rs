//! Control and status bits of a channel, and what they say.

use bitflags::bitflags;

use super::Direction;

bitflags! {
    /// A channel's control register (PG195, "H2C Channel Control").
    ///
    /// The `ON_…` bits make what they name an event: it is noted in the status, and an interrupt if
    /// that is enabled.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Control: u32 {
        /// The channel runs.
        const RUN = 1 << 0;
        /// A descriptor's stop bit.
        const ON_STOPPED = 1 << 1;
        /// A descriptor's completed bit.
        const ON_COMPLETED = 1 << 2;
        /// Addresses that are not aligned.
        const ON_ALIGNMENT = 1 << 3;
        /// A descriptor without magic.
        const ON_MAGIC = 1 << 4;
        /// A descriptor whose length is not allowed.
        const ON_INVALID_LENGTH = 1 << 5;
        /// The channel stopped and became idle.
        const ON_IDLE = 1 << 6;
        /// Errors of reading the source.
        const ON_READ_ERROR = 0x1F << 9;
        /// Errors of writing the destination (H2C).
        const ON_WRITE_ERROR = 0x3 << 14;
        /// Errors of fetching descriptors.
        const ON_DESCRIPTOR_ERROR = 0x1F << 19;
        /// The address on the card does not move on.
        const NON_INCREMENTING = 1 << 25;
        /// Tell completions by writing them to host memory.
        const WRITE_BACK = 1 << 26;
    }
}

impl Control {
    /// Everything that ends a transfer in error.
    pub const ON_ERRORS: Self = Self::ON_ALIGNMENT
        .union(Self::ON_MAGIC)
        .union(Self::ON_INVALID_LENGTH)
        .union(Self::ON_READ_ERROR)
        .union(Self::ON_WRITE_ERROR)
        .union(Self::ON_DESCRIPTOR_ERROR);
}

bitflags! {
    /// A channel's status register (PG195, "H2C Channel Status"). What bits 13:9 mean depends on
    /// the direction, see [`Status::errors`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Status: u32 {
        /// The channel works.
        const BUSY = 1 << 0;
        /// It completed a descriptor with the stop bit.
        const STOPPED = 1 << 1;
        /// It completed a descriptor with the completed bit.
        const COMPLETED = 1 << 2;
        /// Addresses that are not aligned.
        const ALIGNMENT = 1 << 3;
        /// A descriptor without magic.
        const MAGIC = 1 << 4;
        /// A descriptor whose length is not allowed.
        const INVALID_LENGTH = 1 << 5;
        /// It stopped because its run bit was cleared.
        const IDLE = 1 << 6;
        /// H2C: the host's memory refused the read. C2H: nobody is at the card's address.
        const READ_0 = 1 << 9;
        /// H2C: the host aborted the read. C2H: whoever is at the card's address refused.
        const READ_1 = 1 << 10;
        /// H2C: parity.
        const READ_2 = 1 << 11;
        /// H2C: poisoned data.
        const READ_3 = 1 << 12;
        /// H2C: an answer that nobody asked for.
        const READ_4 = 1 << 13;
        /// H2C: nobody is at the card's address.
        const WRITE_DECODE = 1 << 14;
        /// H2C: whoever is at the card's address refused.
        const WRITE_SLAVE = 1 << 15;
        /// The host's memory refused the fetch of a descriptor.
        const DESCRIPTOR_UNSUPPORTED = 1 << 19;
        /// The host aborted it.
        const DESCRIPTOR_ABORTED = 1 << 20;
        /// Parity.
        const DESCRIPTOR_PARITY = 1 << 21;
        /// Poisoned data.
        const DESCRIPTOR_POISONED = 1 << 22;
        /// An answer that nobody asked for.
        const DESCRIPTOR_UNEXPECTED = 1 << 23;
    }
}

impl Status {
    /// The bits that are errors, of both directions.
    pub const ERRORS: Self = Self::ALIGNMENT
        .union(Self::MAGIC)
        .union(Self::INVALID_LENGTH)
        .union(Self::READ_0)
        .union(Self::READ_1)
        .union(Self::READ_2)
        .union(Self::READ_3)
        .union(Self::READ_4)
        .union(Self::WRITE_DECODE)
        .union(Self::WRITE_SLAVE)
        .union(Self::DESCRIPTOR_UNSUPPORTED)
        .union(Self::DESCRIPTOR_ABORTED)
        .union(Self::DESCRIPTOR_PARITY)
        .union(Self::DESCRIPTOR_POISONED)
        .union(Self::DESCRIPTOR_UNEXPECTED);

    /// The errors, from the lowest bit on, as a channel of this direction means them.
    pub fn errors(self, direction: Direction) -> impl Iterator<Item = StatusError> {
        (self & Self::ERRORS)
            .iter()
            .filter_map(move |bit| StatusError::of(bit, direction))
    }
}

/// An error that a channel tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StatusError {
    /// Addresses or length are not aligned as the channel wants.
    #[error("source and destination are not aligned to each other")]
    Alignment,
    /// A descriptor does not begin with the magic number.
    #[error("a descriptor without the magic number")]
    Magic,
    /// A descriptor has a length that is not allowed.
    #[error("a descriptor whose length is not allowed")]
    InvalidLength,
    /// The host refused a read: no mapping covers the address, or it may not be read.
    #[error("the host refused to be read (unsupported request)")]
    HostUnsupported,
    /// The host aborted a read.
    #[error("the host aborted a read (completer abort)")]
    HostAborted,
    /// The data of a read has wrong parity.
    #[error("data from the host with wrong parity")]
    HostParity,
    /// The data of a read is marked as bad.
    #[error("data from the host that is marked as bad (poisoned)")]
    HostPoisoned,
    /// An answer that nobody asked for.
    #[error("an answer from the host that was not asked for (unexpected completion)")]
    HostUnexpected,
    /// Nobody is at the card's address.
    #[error("nothing is at the card's address (decode error)")]
    CardDecode,
    /// Whoever is at the card's address refused.
    #[error("the design refused the access (slave error)")]
    CardSlave,
    /// The host refused the fetch of a descriptor.
    #[error("the host refused the fetch of a descriptor (unsupported request)")]
    DescriptorUnsupported,
    /// The host aborted it.
    #[error("the host aborted the fetch of a descriptor (completer abort)")]
    DescriptorAborted,
    /// The descriptor has wrong parity.
    #[error("a descriptor with wrong parity")]
    DescriptorParity,
    /// The descriptor is marked as bad.
    #[error("a descriptor that is marked as bad (poisoned)")]
    DescriptorPoisoned,
    /// A descriptor that was not asked for.
    #[error("a descriptor that was not asked for (unexpected completion)")]
    DescriptorUnexpected,
}

impl StatusError {
    /// What a single bit says; `None` for one that is no error of this direction.
    fn of(bit: Status, direction: Direction) -> Option<Self> {
        Some(match (bit, direction) {
            (Status::ALIGNMENT, _) => Self::Alignment,
            (Status::MAGIC, _) => Self::Magic,
            (Status::INVALID_LENGTH, _) => Self::InvalidLength,
            (Status::READ_0, Direction::H2c) => Self::HostUnsupported,
            (Status::READ_1, Direction::H2c) => Self::HostAborted,
            (Status::READ_2, Direction::H2c) => Self::HostParity,
            (Status::READ_3, Direction::H2c) => Self::HostPoisoned,
            (Status::READ_4, Direction::H2c) => Self::HostUnexpected,
            (Status::READ_0, Direction::C2h) => Self::CardDecode,
            (Status::READ_1, Direction::C2h) => Self::CardSlave,
            (Status::WRITE_DECODE, Direction::H2c) => Self::CardDecode,
            (Status::WRITE_SLAVE, Direction::H2c) => Self::CardSlave,
            (Status::DESCRIPTOR_UNSUPPORTED, _) => Self::DescriptorUnsupported,
            (Status::DESCRIPTOR_ABORTED, _) => Self::DescriptorAborted,
            (Status::DESCRIPTOR_PARITY, _) => Self::DescriptorParity,
            (Status::DESCRIPTOR_POISONED, _) => Self::DescriptorPoisoned,
            (Status::DESCRIPTOR_UNEXPECTED, _) => Self::DescriptorUnexpected,
            _ => return None,
        })
    }
}

bitflags! {
    /// The register that governs a channel's performance counters (PG195, "H2C Channel
    /// Performance Monitor Control").
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct PerformanceControl: u32 {
        /// Count.
        const RUN = 1 << 0;
        /// Set the counters to 0; reads as 0.
        const CLEAR = 1 << 1;
        /// Stop counting when a descriptor with the stop bit is completed.
        const AUTO = 1 << 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_bit_has_a_meaning_of_its_own() {
        for (direction, count) in [(Direction::H2c, 15), (Direction::C2h, 10)] {
            let mut errors: Vec<_> = Status::ERRORS.errors(direction).collect();
            assert_eq!(errors.len(), count, "{direction}");
            errors.dedup();
            assert_eq!(errors.len(), count, "{direction}");
        }
    }

    #[test]
    fn the_masks_are_those_of_the_register() {
        assert_eq!(Status::ERRORS.bits(), 0x00F8_FE38);
        assert_eq!(Control::ON_ERRORS.bits(), 0x00F8_FE38);
        assert_eq!(Control::all().bits(), 0x06F8_FE7F);
        let read = Status::BUSY | Status::READ_1;
        let c2h: Vec<_> = read.errors(Direction::C2h).collect();
        assert_eq!(c2h, [StatusError::CardSlave]);
    }
}
