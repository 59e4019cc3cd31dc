//! The mailbox driver: commands to the shell of a slot, through BAR0 of its management function.
//!
//! Source: `sdk/userspace/fpga_libs/fpga_mgmt/fpga_hal_mbox.c` (handshake) and `fpga_mgmt_cmd.c`
//! (commands) of aws-fpga. The public library polls every 2 ms; here a short spin is followed by
//! waits that grow to at most [`LONGEST_PAUSE`].

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use afi_proto::mailbox::{
    ApiVersion, CommandFlags, ErrorCode, ErrorReply, Header, LoadRequest, MAX_MESSAGE,
    MailboxStatus, MessageError, Metrics, MgmtRegister, Opcode, encode, parse, words,
};
use afi_proto::{BarIndex, Bdf, Family, ShellVersion};

use crate::bus::{Bus, Caching, Function};
use crate::deadline::{Backoff, Deadline, Ended};
use crate::slots::Slot;
use crate::{Bar, BarError, BusError};

/// The longest pause between two looks at the status register.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// Responses to somebody else that are dropped before a command fails: what processes that died
/// can have left behind, with room to spare.
const MOST_STALE: u32 = 8;
/// What a read gives when no device answers.
const ALL_ONES: u32 = u32::MAX;

/// The mailbox of a slot.
///
/// The shell knows one command at a time. Callers in one process take turns here; processes have to
/// exclude each other with a lock on the slot.
pub struct Mailbox {
    bdf: Bdf,
    family: Family,
    bar: Bar,
    next_id: Mutex<u32>,
    /// Keeps the function open.
    _function: Arc<dyn Function>,
}

/// A command to a shell that did not work.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// The management function cannot be opened.
    #[error("cannot open the mailbox of {bdf}")]
    Open {
        /// The management function.
        bdf: Bdf,
        /// Why.
        source: BusError,
    },
    /// A register cannot be reached.
    #[error("mailbox of {bdf}, register {register:?}")]
    Register {
        /// The management function.
        bdf: Bdf,
        /// Which register.
        register: MgmtRegister,
        /// Why.
        source: BarError,
    },
    /// The registers read as all ones: no device answers.
    #[error("mailbox of {bdf} reads as all ones: the device does not answer")]
    Gone {
        /// The management function.
        bdf: Bdf,
    },
    /// The shell did not do its part in time.
    #[error("the shell behind {bdf} did not {what} within {} ms", after.as_millis())]
    TimedOut {
        /// The management function.
        bdf: Bdf,
        /// What was waited for.
        what: &'static str,
        /// The time that was allowed.
        after: Duration,
    },
    /// The caller did not want to wait any more.
    #[error("interrupted while waiting for the shell behind {bdf} to {what}")]
    Cancelled {
        /// The management function.
        bdf: Bdf,
        /// What was waited for.
        what: &'static str,
    },
    /// The shell answered with an error.
    #[error(
        "the shell behind {bdf} refused to {command}: {error}: {}{}",
        .error.meaning(), wanted(*.wanted_version)
    )]
    Shell {
        /// The management function.
        bdf: Bdf,
        /// The command.
        command: Opcode,
        /// Its answer.
        error: ErrorCode,
        /// The protocol version that it wants, when that is what is wrong.
        wanted_version: Option<ApiVersion>,
    },
    /// The response has a length that no message has.
    #[error(
        "the shell behind {bdf} answered with {words} words; wanted 1 to {}",
        MAX_MESSAGE / 4
    )]
    Length {
        /// The management function.
        bdf: Bdf,
        /// The length that the register told.
        words: u32,
    },
    /// The response is no message.
    #[error("the shell behind {bdf} answered with what is no message")]
    Malformed {
        /// The management function.
        bdf: Bdf,
        /// What is wrong with it.
        source: MessageError,
    },
    /// The response answers another command.
    #[error("the shell behind {bdf} answered {found} to {wanted}")]
    WrongOpcode {
        /// The management function.
        bdf: Bdf,
        /// The command.
        wanted: Opcode,
        /// What the response answers.
        found: Opcode,
    },
    /// Responses came, none of them to this command.
    #[error(
        "the shell behind {bdf} gave {count} responses to other commands: another process uses the slot"
    )]
    OnlyStale {
        /// The management function.
        bdf: Bdf,
        /// How many were dropped.
        count: u32,
    },
}

fn wanted(version: Option<ApiVersion>) -> String {
    version.map_or_else(String::new, |version| {
        format!("; it wants version {version} of the protocol")
    })
}

impl Mailbox {
    /// Opens the mailbox of a slot, and forgets events that an earlier user left.
    ///
    /// # Errors
    /// When the management function cannot be opened, or does not answer.
    pub fn open(bus: &dyn Bus, slot: &Slot) -> Result<Self, MailboxError> {
        let bdf = slot.mgmt.bdf;
        let open = |source| MailboxError::Open { bdf, source };
        let function = bus.open(bdf).map_err(open)?;
        let bar = function.bar(BarIndex::BAR0, Caching::None).map_err(open)?;
        let mailbox = Self {
            bdf,
            family: slot.family,
            bar,
            next_id: Mutex::new(RandomState::new().hash_one(std::process::id()) as u32),
            _function: function,
        };
        mailbox.shell_version()?;
        let events = MailboxStatus::RX_EVENT | MailboxStatus::TX_EVENT;
        mailbox.write(MgmtRegister::Status, events.bits())?;
        Ok(mailbox)
    }

    /// The version of the shell.
    ///
    /// # Errors
    /// When the device does not answer.
    pub fn shell_version(&self) -> Result<ShellVersion, MailboxError> {
        self.read_present(MgmtRegister::ShellVersion)
            .map(ShellVersion)
    }

    /// What the slot runs. With [`CommandFlags::GET_HW_METRICS`] the counters are filled in; without,
    /// they are zeros, and of the response only the part before them is read, which in a guest
    /// without hardware support for virtual machines takes a tenth of the time.
    ///
    /// # Errors
    /// When the shell does not answer in time, or answers nonsense.
    pub fn describe(
        &self,
        flags: CommandFlags,
        deadline: &Deadline,
    ) -> Result<Metrics, MailboxError> {
        let flags = flags | CommandFlags::EXTENDED_METRICS_SIZE;
        let payload = flags.bits().to_le_bytes();
        let wanted = match flags.contains(CommandFlags::GET_HW_METRICS) {
            true => MAX_MESSAGE,
            false => Header::SIZE + Metrics::PREFIX_SIZE,
        };
        let response = self.command(Opcode::METRICS, &payload, wanted, deadline)?;
        Metrics::parse(self.family, &response).map_err(|source| MailboxError::Malformed {
            bdf: self.bdf,
            source,
        })
    }

    /// Asks the shell to load an image. Returns when it has agreed; [`Self::describe`] tells when
    /// it is done.
    ///
    /// # Errors
    /// When the shell refuses, does not answer in time, or answers nonsense.
    pub fn load(&self, request: &LoadRequest, deadline: &Deadline) -> Result<(), MailboxError> {
        self.command(Opcode::LOAD, &request.encode(), MAX_MESSAGE, deadline)?;
        Ok(())
    }

    /// Asks the shell to clear the slot; see [`Self::load`].
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn clear(&self, deadline: &Deadline) -> Result<(), MailboxError> {
        let flags = CommandFlags::empty().bits().to_le_bytes();
        self.command(Opcode::CLEAR, &flags, MAX_MESSAGE, deadline)?;
        Ok(())
    }

    /// The virtual LEDs, as the design drives them.
    ///
    /// # Errors
    /// When the device does not answer.
    pub fn virtual_led(&self) -> Result<u16, MailboxError> {
        self.read_present(MgmtRegister::VirtualLed).map(low_half)
    }

    /// The virtual DIP switches.
    ///
    /// # Errors
    /// When the device does not answer.
    pub fn virtual_dip(&self) -> Result<u16, MailboxError> {
        self.read_present(MgmtRegister::VirtualDip).map(low_half)
    }

    /// Sets the virtual DIP switches.
    ///
    /// # Errors
    /// When the device does not answer.
    pub fn set_virtual_dip(&self, switches: u16) -> Result<(), MailboxError> {
        self.read_present(MgmtRegister::VirtualDip)?;
        self.write(MgmtRegister::VirtualDip, u32::from(switches))
    }

    /// F2: lets the shell reload, which it asks for with the status
    /// [`LOADING_RL`](afi_proto::mailbox::SlotStatus::LOADING_RL). Answers may be missing or
    /// malformed for a while.
    ///
    /// # Errors
    /// When the device does not answer.
    pub fn agree_to_reload(&self) -> Result<(), MailboxError> {
        self.write(MgmtRegister::RlReload, 1)
    }

    /// Sends a command and gives the payload of its response, of which everything beyond the first
    /// `wanted` bytes of the message is zeros.
    fn command(
        &self,
        opcode: Opcode,
        payload: &[u8],
        wanted: usize,
        deadline: &Deadline,
    ) -> Result<Vec<u8>, MailboxError> {
        let mut next_id = self.next_id.lock().unwrap_or_else(PoisonError::into_inner);
        *next_id = next_id.wrapping_add(1);
        let id = *next_id;
        self.send(&encode(Header::request(opcode, id), payload), deadline)?;
        for _ in 0..=MOST_STALE {
            let message = self.receive(wanted, deadline)?;
            let malformed = |source| MailboxError::Malformed {
                bdf: self.bdf,
                source,
            };
            let (header, payload) = parse(&message).map_err(malformed)?;
            if header.id != id || !header.is_response {
                tracing::debug!(mgmt = %self.bdf, id = header.id, "dropped a stale response");
                continue;
            }
            if header.opcode == Opcode::ERROR {
                let reply = ErrorReply::parse(payload).map_err(malformed)?;
                return Err(MailboxError::Shell {
                    bdf: self.bdf,
                    command: opcode,
                    error: reply.error,
                    wanted_version: reply.wanted_version,
                });
            }
            if header.opcode != opcode {
                return Err(MailboxError::WrongOpcode {
                    bdf: self.bdf,
                    wanted: opcode,
                    found: header.opcode,
                });
            }
            return Ok(payload.to_vec());
        }
        Err(MailboxError::OnlyStale {
            bdf: self.bdf,
            count: MOST_STALE + 1,
        })
    }

    fn send(&self, message: &[u8], deadline: &Deadline) -> Result<(), MailboxError> {
        self.write(MgmtRegister::Status, MailboxStatus::TX_EVENT.bits())?;
        self.write(MgmtRegister::WriteIndex, 0)?;
        let words: Vec<u32> = words(message).collect();
        let register = MgmtRegister::WriteData;
        self.bar
            .write_repeated(register.offset(), &words)
            .map_err(|source| self.unreachable(register, source))?;
        self.write(MgmtRegister::WriteLength, words.len() as u32)?;
        self.wait_for(MailboxStatus::TX_EVENT, "take the request", deadline)?;
        self.write(MgmtRegister::Status, MailboxStatus::TX_EVENT.bits())
    }

    /// Reads one response. The mailbox is free for the next one afterwards, also when this one was
    /// no good.
    fn receive(&self, wanted: usize, deadline: &Deadline) -> Result<Vec<u8>, MailboxError> {
        self.wait_for(MailboxStatus::RX_EVENT, "answer", deadline)?;
        let message = self.read_message(wanted);
        self.write(MgmtRegister::Status, MailboxStatus::RX_EVENT.bits())?;
        message
    }

    fn read_message(&self, wanted: usize) -> Result<Vec<u8>, MailboxError> {
        let length = self.read_present(MgmtRegister::ReadLength)?;
        if length == 0 || length as usize > MAX_MESSAGE / 4 {
            return Err(MailboxError::Length {
                bdf: self.bdf,
                words: length,
            });
        }
        self.write(MgmtRegister::ReadIndex, 0)?;
        let mut words = vec![0; length as usize];
        let read = words.len().min(wanted.div_ceil(4));
        let register = MgmtRegister::ReadData;
        self.bar
            .read_repeated(register.offset(), &mut words[..read])
            .map_err(|source| self.unreachable(register, source))?;
        Ok(words.into_iter().flat_map(u32::to_le_bytes).collect())
    }

    fn wait_for(
        &self,
        event: MailboxStatus,
        what: &'static str,
        deadline: &Deadline,
    ) -> Result<(), MailboxError> {
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        loop {
            let status = self.read_present(MgmtRegister::Status)?;
            if MailboxStatus::from_bits_retain(status).contains(event) {
                return Ok(());
            }
            backoff.wait(deadline).map_err(|ended| match ended {
                Ended::TimedOut { after } => MailboxError::TimedOut {
                    bdf: self.bdf,
                    what,
                    after,
                },
                Ended::Cancelled => MailboxError::Cancelled {
                    bdf: self.bdf,
                    what,
                },
            })?;
        }
    }

    /// Reads a register that is never all ones while a device answers.
    fn read_present(&self, register: MgmtRegister) -> Result<u32, MailboxError> {
        let value = self
            .bar
            .read32(register.offset())
            .map_err(|source| self.unreachable(register, source))?;
        if value == ALL_ONES {
            return Err(MailboxError::Gone { bdf: self.bdf });
        }
        Ok(value)
    }

    fn write(&self, register: MgmtRegister, value: u32) -> Result<(), MailboxError> {
        self.bar
            .write32(register.offset(), value)
            .map_err(|source| self.unreachable(register, source))
    }

    const fn unreachable(&self, register: MgmtRegister, source: BarError) -> MailboxError {
        MailboxError::Register {
            bdf: self.bdf,
            register,
            source,
        }
    }
}

const fn low_half(word: u32) -> u16 {
    word as u16
}
