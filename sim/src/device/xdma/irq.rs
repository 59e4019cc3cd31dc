//! The engine's interrupt block: which interrupts go out, and as which MSI-X vectors.
//!
//! As long as a channel's status and its interrupt enable mask have a bit in common, the channel
//! requests an interrupt. A message goes out when a request begins that the block lets through: when
//! the event happens, or when the host enables it. A user interrupt of the design is requested until
//! its message is out. After a reset nothing is enabled and every vector is 0: a driver enables, and
//! tells the vectors (`libxdma.c`, `prog_irq_msix_user` and `prog_irq_msix_channel`: channels 0 to 7,
//! then user interrupts from 8 on).

use afi_proto::xdma::{CHANNELS, irq};

use crate::device::lanes::WordWrite;
use crate::device::msix::{Link, Msix};

const ALL_CHANNELS: usize = 2 * CHANNELS as usize;
const USERS: usize = irq::USER_INTERRUPTS as usize;
/// Bits of a vector.
const VECTOR: u8 = 0x1F;
/// Vectors to a register.
const TO_A_REGISTER: usize = 4;

/// The block.
#[derive(Debug, Default)]
pub(crate) struct IrqBlock {
    user_enable: u16,
    channel_enable: u8,
    user_vectors: [u8; USERS],
    channel_vectors: [u8; ALL_CHANNELS],
    /// User interrupts that the design requests.
    users: u16,
    /// Those of them that are given to MSI-X and wait there.
    users_sent: u16,
    /// Channels whose request was told.
    channels_told: u8,
}

impl IrqBlock {
    /// A register. `channels` are the channels that request an interrupt.
    pub(super) fn read(&self, register: u64, channels: u8) -> u32 {
        match register {
            irq::USER_ENABLE | irq::USER_ENABLE_W1S | irq::USER_ENABLE_W1C => {
                self.user_enable.into()
            }
            irq::CHANNEL_ENABLE | irq::CHANNEL_ENABLE_W1S | irq::CHANNEL_ENABLE_W1C => {
                self.channel_enable.into()
            }
            irq::USER_REQUEST => (self.users & self.user_enable).into(),
            irq::CHANNEL_REQUEST => (channels & self.channel_enable).into(),
            irq::USER_PENDING => self.users.into(),
            irq::CHANNEL_PENDING => channels.into(),
            _ => vectors(&self.user_vectors, register, irq::USER_VECTORS)
                .or_else(|| vectors(&self.channel_vectors, register, irq::CHANNEL_VECTORS))
                .map_or(0, u32::from_le_bytes),
        }
    }

    /// Takes the write of a register.
    pub(super) fn write(&mut self, register: u64, write: WordWrite) {
        let old = self.read(register, 0);
        let value = write.merged_into(old);
        let bits = write.value;
        match register {
            irq::USER_ENABLE => self.user_enable = value as u16,
            irq::USER_ENABLE_W1S => self.user_enable |= bits as u16,
            irq::USER_ENABLE_W1C => self.user_enable &= !(bits as u16),
            irq::CHANNEL_ENABLE => self.channel_enable = value as u8,
            irq::CHANNEL_ENABLE_W1S => self.channel_enable |= bits as u8,
            irq::CHANNEL_ENABLE_W1C => self.channel_enable &= !(bits as u8),
            _ => {
                let four = value.to_le_bytes().map(|vector| vector & VECTOR);
                put_vectors(&mut self.user_vectors, register, irq::USER_VECTORS, four);
                put_vectors(
                    &mut self.channel_vectors,
                    register,
                    irq::CHANNEL_VECTORS,
                    four,
                );
            }
        }
    }

    /// A channel requests nothing any more: its next request is one of its own.
    pub(super) fn withdrawn(&mut self, channel: u8) {
        self.channels_told &= !(1 << channel);
    }

    /// The design requests a user interrupt.
    pub(crate) fn request_user(&mut self, number: u16) {
        self.users |= 1 << number;
    }

    /// Whether a user interrupt is not out yet.
    pub(crate) const fn user_waits(&self, number: u16) -> bool {
        number < USERS as u16 && self.users & 1 << number != 0
    }

    /// Sends what begins. `lost` is asked for each message of a channel whether it gets lost.
    pub(crate) fn send(
        &mut self,
        channels: u8,
        msix: &mut Msix,
        link: Link<'_>,
        mut lost: impl FnMut() -> bool,
    ) {
        let requested = channels & self.channel_enable;
        let begun = requested & !self.channels_told;
        self.channels_told = requested;
        for (number, vector) in self.channel_vectors.iter().enumerate() {
            if begun & 1 << number != 0 && !lost() {
                msix.fire((*vector).into(), link);
            }
        }
        self.send_users(msix, link);
    }

    /// Sends the user interrupts that begin.
    pub(crate) fn send_users(&mut self, msix: &mut Msix, link: Link<'_>) {
        for (number, vector) in self.user_vectors.iter().enumerate() {
            let (bit, vector) = (1 << number, u16::from(*vector));
            if self.users & self.user_enable & !self.users_sent & bit != 0 {
                msix.fire(vector, link);
                self.users_sent |= bit;
            }
            if self.users_sent & bit != 0 && !msix.is_pending(vector) {
                self.users_sent &= !bit;
                self.users &= !bit;
            }
        }
    }
}

/// Four vectors, if a register from `first` on holds them.
fn vectors(of: &[u8], register: u64, first: u64) -> Option<[u8; TO_A_REGISTER]> {
    let at = usize::try_from(register.checked_sub(first)?).ok()?;
    of.get(at..at + TO_A_REGISTER)?.try_into().ok()
}

fn put_vectors(of: &mut [u8], register: u64, first: u64, four: [u8; TO_A_REGISTER]) {
    let at = register
        .checked_sub(first)
        .and_then(|at| usize::try_from(at).ok());
    if let Some(to) = at.and_then(|at| of.get_mut(at..at + TO_A_REGISTER)) {
        to.copy_from_slice(&four);
    }
}
