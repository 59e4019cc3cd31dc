//! A bus that writes down what shells say through their mailboxes.
//!
//! It lies between an operation and the real bus, so that what is recorded is what the operation
//! met, word by word, wrong answers included. It lets through nothing but what it takes to ask a
//! shell what it runs: whatever would change a slot is refused.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use afi_proto::mailbox::{CommandFlags, Header, MgmtRegister, Opcode, parse, read_flags_request};
use afi_proto::{BarIndex, Bdf};

use super::format::{Bytes, Exchange, HostView, MailboxRecord, Response};
use crate::bar::Region;
use crate::bus::{Bus, Caching, DmaMapping, DmaRequest, Function, FunctionInfo, Watch};
use crate::{Bar, BarError, BusError};

/// What a read gives when no device answers.
const ALL_ONES: u32 = u32::MAX;
/// The byte of a message at which its id begins (`struct afi_cmd_hdr`).
const ID_AT: usize = 12;

/// A bus whose mailboxes are recorded, and on which nothing can be changed.
pub struct RecordingBus<'a> {
    bus: &'a dyn Bus,
    mailboxes: Mutex<BTreeMap<Bdf, Shared>>,
}

type Shared = Arc<Mutex<Recording>>;

/// What happens to a mailbox.
struct Recording {
    record: MailboxRecord,
    /// The words of the request that is being written.
    request: Vec<u8>,
    /// The id of the last request.
    id: [u8; 4],
}

impl<'a> RecordingBus<'a> {
    /// Records what happens to mailboxes on this bus.
    pub fn new(bus: &'a dyn Bus) -> Self {
        Self {
            bus,
            mailboxes: Mutex::default(),
        }
    }

    /// What was recorded of the mailbox of a management function so far.
    pub fn recorded(&self, mgmt: Bdf) -> MailboxRecord {
        lock(&self.recording(mgmt)).record.clone()
    }

    fn recording(&self, bdf: Bdf) -> Shared {
        let mut mailboxes = lock(&self.mailboxes);
        let new = || {
            Arc::new(Mutex::new(Recording {
                record: MailboxRecord::new(bdf),
                request: Vec::new(),
                id: [0; 4],
            }))
        };
        Arc::clone(mailboxes.entry(bdf).or_insert_with(new))
    }
}

impl Bus for RecordingBus<'_> {
    fn name(&self) -> String {
        self.bus.name()
    }

    fn functions(&self) -> Result<Vec<FunctionInfo>, BusError> {
        self.bus.functions()
    }

    fn open(&self, bdf: Bdf) -> Result<Arc<dyn Function>, BusError> {
        Ok(Arc::new(RecordedFunction {
            function: self.bus.open(bdf)?,
            recording: self.recording(bdf),
        }))
    }

    fn remove(&self, _bdf: Bdf) -> Result<(), BusError> {
        Err(refused("remove functions"))
    }

    fn rescan(&self, _near: Bdf) -> Result<(), BusError> {
        Err(refused("rescan"))
    }

    fn watch(&self) -> Result<Box<dyn Watch>, BusError> {
        self.bus.watch()
    }

    fn lock_directory(&self) -> PathBuf {
        self.bus.lock_directory()
    }

    fn host_view(&self, of: Option<Bdf>) -> HostView {
        self.bus.host_view(of)
    }
}

struct RecordedFunction {
    function: Arc<dyn Function>,
    recording: Shared,
}

impl Function for RecordedFunction {
    fn bdf(&self) -> Bdf {
        self.function.bdf()
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) -> Result<(), BusError> {
        self.function.read_config(offset, data)
    }

    fn write_config(&self, _offset: u16, _data: &[u8]) -> Result<(), BusError> {
        Err(refused("write configuration space"))
    }

    fn bar_size(&self, index: BarIndex) -> Result<Option<u64>, BusError> {
        self.function.bar_size(index)
    }

    /// The BAR of the mailbox; nothing else is recorded.
    fn bar(&self, index: BarIndex, caching: Caching) -> Result<Bar, BusError> {
        if index != BarIndex::BAR0 {
            return Err(refused("access other BARs than the mailbox's"));
        }
        let bar = self.function.bar(index, caching)?;
        let length = bar.length();
        let recording = Arc::clone(&self.recording);
        Ok(Bar::trapped(Arc::new(Tap { bar, recording }), length))
    }

    fn map_dma(&self, _request: DmaRequest) -> Result<DmaMapping, BusError> {
        Err(refused("map memory for DMA"))
    }

    fn msix(&self, _vector: u16) -> Result<OwnedFd, BusError> {
        Err(refused("receive interrupts"))
    }

    fn reset(&self) -> Result<(), BusError> {
        Err(refused("reset functions"))
    }
}

/// BAR0 of a management function, with somebody who listens.
struct Tap {
    bar: Bar,
    recording: Shared,
}

impl Region for Tap {
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
        let register = register(offset, data.len())?;
        let value = self.bar.read32(offset)?;
        lock(&self.recording).saw(register, value);
        data.copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), BarError> {
        let register = register(offset, data.len())?;
        let mut bytes = [0; 4];
        bytes.copy_from_slice(data);
        let value = u32::from_le_bytes(bytes);
        lock(&self.recording).will_write(register, value)?;
        self.bar.write32(offset, value)
    }

    fn read_repeated(&self, offset: u64, words: &mut [u32]) -> Result<(), BarError> {
        let register = register(offset, 4)?;
        self.bar.read_repeated(offset, words)?;
        let mut recording = lock(&self.recording);
        words.iter().for_each(|word| recording.saw(register, *word));
        Ok(())
    }

    fn write_repeated(&self, offset: u64, words: &[u32]) -> Result<(), BarError> {
        let register = register(offset, 4)?;
        let mut recording = lock(&self.recording);
        words
            .iter()
            .try_for_each(|word| recording.will_write(register, *word))?;
        drop(recording);
        self.bar.write_repeated(offset, words)
    }
}

impl Recording {
    /// A register was read.
    fn saw(&mut self, register: MgmtRegister, value: u32) {
        let exchange = self.record.exchanges.last_mut();
        match register {
            // The first reading is that of the opening, by which it is seen whether a device answers.
            MgmtRegister::ShellVersion => {
                self.record.shell_version.get_or_insert(value);
            }
            MgmtRegister::VirtualLed => self.record.virtual_led = Some(value),
            MgmtRegister::VirtualDip => self.record.virtual_dip = Some(value),
            MgmtRegister::Status => {
                if let Some(exchange) = exchange {
                    exchange.gone |= value == ALL_ONES;
                    exchange.taken |= value != ALL_ONES && value & TX_EVENT != 0;
                }
            }
            MgmtRegister::ReadLength => {
                if let Some(exchange) = exchange {
                    exchange.gone |= value == ALL_ONES;
                    exchange.responses.push(Response {
                        answers: false,
                        length: value,
                        message: Bytes::default(),
                    });
                }
            }
            MgmtRegister::ReadData => {
                let response = exchange.and_then(|exchange| exchange.responses.last_mut());
                if let Some(response) = response {
                    let message = &mut response.message.0;
                    message.extend_from_slice(&value.to_le_bytes());
                    response.answers = message.get(ID_AT..ID_AT + 4) == Some(&self.id);
                }
            }
            _ => {}
        }
    }

    /// A register is about to be written: it is refused if that is no part of a question.
    fn will_write(&mut self, register: MgmtRegister, value: u32) -> Result<(), BarError> {
        match register {
            MgmtRegister::WriteIndex => self.request.clear(),
            MgmtRegister::WriteData => self.request.extend_from_slice(&value.to_le_bytes()),
            MgmtRegister::WriteLength => return self.will_send(),
            MgmtRegister::Status | MgmtRegister::ReadIndex => {}
            _ => return Err(no_question(register)),
        }
        Ok(())
    }

    fn will_send(&mut self) -> Result<(), BarError> {
        let refused = || no_question(MgmtRegister::WriteLength);
        let (header, payload) = parse(&self.request).map_err(|_| refused())?;
        if !is_question(header, payload) {
            return Err(refused());
        }
        self.id = header.id.to_le_bytes();
        self.record.exchanges.push(Exchange {
            opcode: header.opcode.0,
            payload: Bytes(payload.to_vec()),
            taken: false,
            responses: Vec::new(),
            gone: false,
        });
        Ok(())
    }
}

/// The bit of the status register that tells that a request was taken.
const TX_EVENT: u32 = afi_proto::mailbox::MailboxStatus::TX_EVENT.bits();

/// Whether a request changes nothing.
fn is_question(header: Header, payload: &[u8]) -> bool {
    let changes = CommandFlags::CLEAR_HW_METRICS | CommandFlags::CLEAR_AFI_CACHE;
    let flags = read_flags_request(payload);
    header.opcode == Opcode::METRICS && flags.is_ok_and(|flags| !flags.intersects(changes))
}

/// The register that an access means.
fn register(offset: u64, size: usize) -> Result<MgmtRegister, BarError> {
    MgmtRegister::at(offset)
        .filter(|_| size == 4)
        .ok_or_else(|| BarError::Unreachable {
            offset,
            size: size as u64,
            reason: "there is no register, and a capture accesses nothing else".to_owned(),
        })
}

fn no_question(register: MgmtRegister) -> BarError {
    BarError::Unreachable {
        offset: register.offset(),
        size: 4,
        reason: "a capture only asks what a slot runs".to_owned(),
    }
}

const fn refused(what: &'static str) -> BusError {
    BusError::Unsupported {
        bus: "recorded",
        what,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
