//! The mailbox of a capture: a shell that gives the answers which were recorded.
//!
//! It plays the shell's side of the handshake that [`crate::mailbox`] is the host's side of. The
//! same request gets the recorded answers one after the other, and the last one from then on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use afi_proto::mailbox::{
    Header, MAX_MESSAGE, MailboxStatus, MgmtRegister, Opcode, parse, read_flags_request, words,
};

use super::error::RecordedFailure;
use super::format::{Exchange, MailboxRecord, Response};
use crate::BarError;
use crate::bar::Region;

/// Words of the message memory, each way.
const DEPTH: usize = MAX_MESSAGE / 4;
/// The word of a message that holds its id (`struct afi_cmd_hdr`).
const ID_WORD: usize = 3;
/// What a read gives when no device answers.
const ALL_ONES: u32 = u32::MAX;

/// BAR0 of the management function of a capture.
pub(super) struct ReplayedMailbox {
    record: MailboxRecord,
    state: Mutex<State>,
}

/// Events that the host has not cleared.
struct Events(MailboxStatus);

impl Default for Events {
    fn default() -> Self {
        Self(MailboxStatus::empty())
    }
}

/// Where the handshake stands.
#[derive(Default)]
struct State {
    status: Events,
    request: Vec<u32>,
    write_index: usize,
    /// The exchange that is played, and which of its responses.
    playing: Option<(usize, usize)>,
    /// The words of the response that can be read now.
    response: Vec<u32>,
    read_index: usize,
    /// The id of the last request.
    id: u32,
    /// How often each request was made.
    made: BTreeMap<(u32, Vec<u8>), usize>,
}

impl ReplayedMailbox {
    pub(super) fn new(record: MailboxRecord) -> Self {
        Self {
            record,
            state: Mutex::default(),
        }
    }

    fn read_register(&self, register: MgmtRegister) -> Result<u32, BarError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match register {
            MgmtRegister::ShellVersion => self.known(self.record.shell_version, register),
            MgmtRegister::VirtualLed => self.known(self.record.virtual_led, register),
            MgmtRegister::VirtualDip => self.known(self.record.virtual_dip, register),
            MgmtRegister::Status => self.status(&state),
            MgmtRegister::WriteIndex => Ok(state.write_index as u32),
            MgmtRegister::ReadIndex => Ok(state.read_index as u32),
            MgmtRegister::ReadLength => {
                let response = self.playing(&state).map(|response| response.length);
                Ok(response.unwrap_or_default())
            }
            MgmtRegister::ReadData => Ok(state.next_word()),
            MgmtRegister::VirtualDipLed
            | MgmtRegister::WriteData
            | MgmtRegister::WriteLength
            | MgmtRegister::Depth
            | MgmtRegister::RlReload => Err(not_captured(format!("register {register:?}"))),
        }
    }

    fn write_register(&self, register: MgmtRegister, value: u32) -> Result<(), BarError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match register {
            MgmtRegister::Status => self.clear(&mut state, MailboxStatus::from_bits_retain(value)),
            MgmtRegister::WriteIndex => state.write_index = value as usize % DEPTH,
            MgmtRegister::WriteData => state.write_word(value),
            MgmtRegister::WriteLength => self.send(&mut state, value as usize)?,
            MgmtRegister::ReadIndex => state.read_index = value as usize % DEPTH,
            _ => {
                let what = format!("way to write register {register:?}");
                return Err(not_captured(what));
            }
        }
        Ok(())
    }

    /// A register that was read when the capture was taken, or why not.
    fn known(&self, value: Option<u32>, register: MgmtRegister) -> Result<u32, BarError> {
        value.ok_or_else(|| match self.failure() {
            Some(source) => BarError::Recorded { source },
            None => not_captured(format!("register {register:?}")),
        })
    }

    /// The status. Where nothing more comes, the host is told so instead of being left to wait.
    fn status(&self, state: &State) -> Result<u32, BarError> {
        let status = state.status.0;
        let Some((exchange, _)) = state.playing.filter(|_| status.is_empty()) else {
            return Ok(status.bits());
        };
        if self.record.exchanges[exchange].gone {
            return Ok(ALL_ONES);
        }
        Err(match self.failure() {
            Some(source) => BarError::Recorded { source },
            None => not_captured("further response".to_owned()),
        })
    }

    fn failure(&self) -> Option<RecordedFailure> {
        self.record.failures.first().cloned()
    }

    /// The response that is played.
    fn playing(&self, state: &State) -> Option<&Response> {
        let (exchange, response) = state.playing?;
        self.record.exchanges[exchange].responses.get(response)
    }

    /// Write 1 to clear. Once the host has taken a response, the next one comes.
    fn clear(&self, state: &mut State, events: MailboxStatus) {
        let taken = (state.status.0 & events).contains(MailboxStatus::RX_EVENT);
        state.status.0 -= events;
        if let Some((exchange, response)) = state.playing.filter(|_| taken) {
            state.playing = Some((exchange, response + 1));
            self.present(state);
        }
    }

    /// Takes a request, if the same one was made when the capture was taken.
    fn send(&self, state: &mut State, length: usize) -> Result<(), BarError> {
        let request = state.request.get(..length).unwrap_or_default();
        let message: Vec<u8> = request.iter().flat_map(|word| word.to_le_bytes()).collect();
        let (header, payload) =
            parse(&message).map_err(|error| not_captured(format!("answer to this: {error}")))?;
        let asked = (header.opcode.0, payload.to_vec());
        let exchanges = self.record.exchanges.iter().enumerate();
        let same: Vec<usize> = exchanges
            .filter(|(_, exchange)| is_request(exchange, &asked))
            .map(|(index, _)| index)
            .collect();
        let made = state.made.entry(asked).or_default();
        let Some(exchange) = same.get(*made).or(same.last()) else {
            return Err(not_captured(answer_to(header, payload)));
        };
        *made += 1;
        state.id = header.id;
        state.playing = Some((*exchange, 0));
        state.status.0 = MailboxStatus::empty();
        if self.record.exchanges[*exchange].taken {
            state.status.0 |= MailboxStatus::TX_EVENT;
        }
        self.present(state);
        Ok(())
    }

    /// Puts the response whose turn it is into the message memory.
    fn present(&self, state: &mut State) {
        let Some(response) = self.playing(state) else {
            return;
        };
        state.response = words(&response.message.0).collect();
        if let Some(id) = state.response.get_mut(ID_WORD).filter(|_| response.answers) {
            *id = state.id;
        }
        state.read_index = 0;
        state.status.0 |= MailboxStatus::RX_EVENT;
    }
}

impl State {
    fn write_word(&mut self, word: u32) {
        if self.request.len() <= self.write_index {
            self.request.resize(self.write_index + 1, 0);
        }
        self.request[self.write_index] = word;
        self.write_index = (self.write_index + 1) % DEPTH;
    }

    /// What was not read when the capture was taken is zeros.
    fn next_word(&mut self) -> u32 {
        let word = self.response.get(self.read_index).copied();
        self.read_index = (self.read_index + 1) % DEPTH;
        word.unwrap_or_default()
    }
}

impl Region for ReplayedMailbox {
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
        let value = self.read_register(register(offset, data.len())?)?;
        data.copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), BarError> {
        let register = register(offset, data.len())?;
        let mut bytes = [0; 4];
        bytes.copy_from_slice(data);
        self.write_register(register, u32::from_le_bytes(bytes))
    }
}

/// The register that an access means.
fn register(offset: u64, size: usize) -> Result<MgmtRegister, BarError> {
    MgmtRegister::at(offset)
        .filter(|_| size == 4)
        .ok_or_else(|| {
            not_captured(format!(
                "{size} bytes of the management function at {offset:#x}"
            ))
        })
}

fn is_request(exchange: &Exchange, asked: &(u32, Vec<u8>)) -> bool {
    exchange.opcode == asked.0 && exchange.payload.0 == asked.1
}

fn answer_to(header: Header, payload: &[u8]) -> String {
    match (header.opcode, read_flags_request(payload)) {
        (Opcode::METRICS, Ok(flags)) => {
            format!(
                "answer to a metrics request with the flags {:#x}",
                flags.bits()
            )
        }
        (opcode, _) => format!("answer to a {opcode} request"),
    }
}

const fn not_captured(what: String) -> BarError {
    BarError::NotCaptured { what }
}
