//! A card on a stepped clock, and a mailbox driver that does not wait: what the shell has not
//! answered when it is asked, it has not answered.

use std::collections::HashMap;
use std::sync::Arc;

use afi_proto::mailbox::{
    CommandFlags, ErrorReply, Header, LoadRequest, MailboxStatus, Metrics, MgmtRegister, Opcode,
    encode, parse, words,
};
use afi_proto::{AgfiId, BarIndex, Family};
use afi_sim::clock::Clock;
use afi_sim::device::{Card, CardConfig, Timing};
use afi_sim::function::DeviceFunction;
use afi_sim::image::{ImageSource, SlotImage};

struct Images(HashMap<AgfiId, SlotImage>);

impl ImageSource for Images {
    fn loadable(&self, agfi: AgfiId) -> Option<SlotImage> {
        self.0.get(&agfi).cloned()
    }
}

/// A card and its host.
pub(crate) struct Bench {
    pub(crate) family: Family,
    pub(crate) clock: Clock,
    pub(crate) mgmt: Arc<dyn DeviceFunction>,
    pub(crate) app: Arc<dyn DeviceFunction>,
}

impl Bench {
    pub(crate) fn new(
        family: Family,
        timing: Timing,
        images: impl IntoIterator<Item = SlotImage>,
    ) -> Self {
        let images = images.into_iter().map(|image| (image.agfi, image));
        let clock = Clock::stepped();
        let card = Card::new(CardConfig {
            clock: clock.clone(),
            timing,
            ..CardConfig::single(family, Arc::new(Images(images.collect())))
        });
        let (mgmt, app) = (card.mgmt(), card.app());
        Self {
            family,
            clock,
            mgmt,
            app,
        }
    }

    pub(crate) fn read(&self, register: MgmtRegister) -> u32 {
        let mut bytes = [0; 4];
        self.mgmt
            .read_bar(BarIndex::BAR0, register.offset(), &mut bytes);
        u32::from_le_bytes(bytes)
    }

    pub(crate) fn write(&self, register: MgmtRegister, value: u32) {
        let bytes = value.to_le_bytes();
        self.mgmt
            .write_bar(BarIndex::BAR0, register.offset(), &bytes);
    }

    /// The response to a command: its payload, or the error; `None` when there is none.
    fn command(&self, opcode: Opcode, payload: &[u8]) -> Option<Result<Vec<u8>, i32>> {
        let events = MailboxStatus::RX_EVENT | MailboxStatus::TX_EVENT;
        self.write(MgmtRegister::Status, events.bits());
        let message: Vec<u32> = words(&encode(Header::request(opcode, 5), payload)).collect();
        self.write(MgmtRegister::WriteIndex, 0);
        for word in &message {
            self.write(MgmtRegister::WriteData, *word);
        }
        self.write(MgmtRegister::WriteLength, message.len() as u32);
        let status = MailboxStatus::from_bits_retain(self.read(MgmtRegister::Status));
        if !status.contains(events) {
            return None;
        }
        self.write(MgmtRegister::ReadIndex, 0);
        let length = self.read(MgmtRegister::ReadLength);
        assert!(length <= 1024, "no response has {length:#x} words");
        let response = (0..length).flat_map(|_| self.read(MgmtRegister::ReadData).to_le_bytes());
        let response: Vec<u8> = response.collect();
        self.write(MgmtRegister::Status, events.bits());
        let (header, payload) = parse(&response).expect("a whole response");
        assert_eq!((header.id, header.is_response), (5, true));
        Some(match header.opcode {
            Opcode::ERROR => Err(ErrorReply::parse(payload).expect("an error").error.0),
            answered => {
                assert_eq!(answered, opcode);
                Ok(payload.to_vec())
            }
        })
    }

    pub(crate) fn load(&self, image: AgfiId, flags: CommandFlags) -> Option<Result<(), i32>> {
        let request = LoadRequest {
            image,
            flags,
            clocks_hz: [0; 3],
        };
        Some(self.command(Opcode::LOAD, &request.encode())?.map(drop))
    }

    pub(crate) fn clear(&self) -> Option<Result<(), i32>> {
        Some(self.command(Opcode::CLEAR, &[0; 4])?.map(drop))
    }

    pub(crate) fn describe(&self, flags: CommandFlags) -> Option<Metrics> {
        let flags = (flags | CommandFlags::GET_HW_METRICS).bits().to_le_bytes();
        let payload = self
            .command(Opcode::METRICS, &flags)?
            .expect("metrics are always answered");
        Some(Metrics::parse(self.family, &payload).expect("metrics"))
    }
}
