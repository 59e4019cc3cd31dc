//! What the shell makes of a mailbox message, and how faults spoil its answers.

use afi_proto::mailbox::{
    API_VERSION, CommandFlags, ErrorCode, Header, LoadRequest, MessageError, Opcode, encode,
    encode_error, parse, read_flags_request, words,
};

use super::card::State;
use super::mailbox::{DEPTH, Response};
use crate::fault::Kind;

impl State {
    /// The host sent a request.
    pub(super) fn request_sent(&mut self, request: Vec<u8>) {
        if self.strikes(Kind::MailboxSilent) {
            return;
        }
        if self.slot.is_reloading() {
            self.deferred_request = Some(request);
            return;
        }
        self.mailbox.take();
        if !self.strikes(Kind::MailboxMute) {
            let response = self.answer(&request);
            self.respond(&response);
        }
    }

    /// The response to a request.
    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let Ok((header, payload)) = parse(request) else {
            // The id is where it would be; without a whole header there is none.
            let id = request.get(12..16).and_then(|id| id.try_into().ok());
            let id = id.map_or(0, u32::from_le_bytes);
            return encode_error(id, ErrorCode::MALFORMED, None);
        };
        if header.version.major != API_VERSION.major {
            return encode_error(header.id, ErrorCode::INVALID_API_VERSION, Some(API_VERSION));
        }
        let result = match header.opcode {
            _ if header.is_response => Err(ErrorCode::MALFORMED),
            Opcode::LOAD => self.load(payload),
            Opcode::CLEAR => self.clear(payload),
            Opcode::METRICS => self.metrics(payload),
            _ => Err(ErrorCode::MALFORMED),
        };
        match result {
            Ok(payload) => encode(Header::response(header.opcode, header.id), &payload),
            Err(error) => encode_error(header.id, error, None),
        }
    }

    fn load(&mut self, payload: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let request = LoadRequest::parse(payload).map_err(|error| match error {
            MessageError::Field { .. } => ErrorCode::INVALID_AFI_ID,
            _ => ErrorCode::MALFORMED,
        })?;
        self.slot.load(&request, self.now)?;
        Ok(Vec::new())
    }

    fn clear(&mut self, payload: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        read_flags_request(payload).map_err(|_| ErrorCode::MALFORMED)?;
        self.slot.clear(self.now)?;
        Ok(Vec::new())
    }

    fn metrics(&mut self, payload: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let flags = read_flags_request(payload).map_err(|_| ErrorCode::MALFORMED)?;
        if flags.contains(CommandFlags::CLEAR_AFI_CACHE) {
            self.slot.clear_cache();
        }
        self.gate.settle_into(&mut self.counters);
        let wanted = flags.contains(CommandFlags::GET_HW_METRICS);
        let counted = wanted.then(|| self.counters.metrics());
        if flags.contains(CommandFlags::CLEAR_HW_METRICS) {
            self.counters.clear();
        }
        let metrics = self.slot.metrics(counted, self.now);
        Ok(metrics.encode(self.config.family))
    }

    /// Puts a response into the mailbox, spoiled if a fault strikes.
    fn respond(&mut self, message: &[u8]) {
        let response = whole(message);
        if self.strikes(Kind::ResponseMalformed) {
            let mut spoiled = response;
            // No id, no opcode, and more payload than a message can have.
            spoiled.words[..Header::SIZE / 4].fill(0xA5A5_A5A5);
            self.mailbox.answer([spoiled]);
        } else if self.strikes(Kind::ResponseTruncated) {
            let length = (response.length / 2).max(1);
            self.mailbox.answer([Response { length, ..response }]);
        } else if self.strikes(Kind::ResponseOversized) {
            let length = DEPTH + 1;
            self.mailbox.answer([Response { length, ..response }]);
        } else if self.strikes(Kind::ResponseStale) {
            self.mailbox.answer([stale(&response), response]);
        } else if self.strikes(Kind::ResponseStaleForever) {
            self.mailbox.answer_endlessly(stale(&response));
        } else if self.strikes(Kind::ResponseWrongOpcode) {
            self.mailbox.answer([with_other_opcode(response)]);
        } else {
            self.mailbox.answer([response]);
        }
    }
}

/// Word of a header that holds the opcode.
const OPCODE: usize = 1;
/// Word of a header that holds the id.
const ID: usize = 3;

fn whole(message: &[u8]) -> Response {
    let words: Vec<u32> = words(message).collect();
    let length = words.len() as u32;
    Response { words, length }
}

/// The same to somebody who asked before.
fn stale(response: &Response) -> Response {
    let mut stale = response.clone();
    stale.words[ID] = stale.words[ID].wrapping_sub(0x100);
    stale
}

fn with_other_opcode(mut response: Response) -> Response {
    let clear = Opcode::CLEAR.0;
    let other = if response.words[OPCODE] == clear {
        Opcode::LOAD.0
    } else {
        clear
    };
    response.words[OPCODE] = other;
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use afi_proto::Family;
    use afi_proto::mailbox::{
        AddressCount, ApiVersion, DdrCounts, ErrorReply, MailboxStatus, Metrics, MetricsBody,
        MgmtRegister, SlotStatus,
    };

    use super::*;
    use crate::device::testing::{LOAD, Rig, image};

    fn rig() -> Rig {
        Rig::new(Family::F1, vec![image(Family::F1, 1, "cl_hello_world")])
    }

    fn metrics_request() -> Vec<u8> {
        encode(Header::request(Opcode::METRICS, 9), &0_u32.to_le_bytes())
    }

    #[test]
    fn another_major_version_is_told_the_wanted_one() {
        let rig = rig();
        let version = ApiVersion { major: 3, minor: 0 };
        let header = Header {
            version,
            ..Header::request(Opcode::METRICS, 9)
        };
        rig.send(&encode(header, &[0; 4]));
        let message = rig.receive().unwrap();
        let (header, payload) = parse(&message).unwrap();
        let reply = ErrorReply::parse(payload).unwrap();
        assert_eq!(header.id, 9);
        assert_eq!(reply.error, ErrorCode::INVALID_API_VERSION);
        assert_eq!(reply.wanted_version, Some(API_VERSION));
    }

    #[test]
    fn what_is_no_request_is_malformed() {
        let rig = rig();
        assert_eq!(rig.command(Opcode(9), &[]), Err(21));
        assert_eq!(rig.command(Opcode::ERROR, &[]), Err(21));
        assert_eq!(rig.command(Opcode::LOAD, &[0; 247]), Err(21));
        assert_eq!(rig.command(Opcode::CLEAR, &[]), Err(21));
        assert_eq!(rig.command(Opcode::METRICS, &[0; 3]), Err(21));
        assert_eq!(rig.command(Opcode::LOAD, &[0xFF; 248]), Err(5));
        rig.send(&encode(Header::response(Opcode::METRICS, 4), &[0; 4]));
        let message = rig.receive().unwrap();
        assert_eq!(
            ErrorReply::parse(&message[16..]).unwrap().error,
            ErrorCode::MALFORMED
        );
        for words in [0, 1, DEPTH + 1, u32::MAX] {
            rig.write(MgmtRegister::WriteLength, words);
            let message = rig.receive().unwrap();
            let (header, payload) = parse(&message).unwrap();
            assert_eq!(header.opcode, Opcode::ERROR);
            assert_eq!(
                ErrorReply::parse(payload).unwrap().error,
                ErrorCode::MALFORMED
            );
        }
    }

    #[test]
    fn a_silent_mailbox_takes_nothing_and_a_mute_one_answers_nothing() {
        let rig = rig();
        rig.fault("mailbox-silent=1");
        rig.send(&metrics_request());
        assert_eq!(rig.status(), MailboxStatus::empty());
        rig.fault("mailbox-mute=1");
        rig.send(&metrics_request());
        assert_eq!(rig.status(), MailboxStatus::TX_EVENT);
        rig.send(&metrics_request());
        assert_eq!(
            rig.status(),
            MailboxStatus::TX_EVENT | MailboxStatus::RX_EVENT
        );
    }

    #[test]
    fn spoiled_responses_are_spoiled_as_named() {
        let rig = rig();
        rig.fault("response-malformed=1");
        rig.send(&metrics_request());
        assert!(matches!(
            parse(&rig.receive().unwrap()),
            Err(MessageError::TooLong { .. })
        ));
        rig.fault("response-truncated=1");
        rig.send(&metrics_request());
        assert!(matches!(
            parse(&rig.receive().unwrap()),
            Err(MessageError::Truncated { .. })
        ));
        rig.fault("response-oversized=1");
        rig.send(&metrics_request());
        assert_eq!(rig.read(MgmtRegister::ReadLength), 1025);
        rig.fault("response-wrong-opcode=1");
        rig.send(&metrics_request());
        let message = rig.receive().unwrap();
        let (header, _) = parse(&message).unwrap();
        assert_eq!((header.opcode, header.id), (Opcode::CLEAR, 9));
    }

    #[test]
    fn a_stale_response_comes_before_the_right_one_or_for_ever() {
        let rig = rig();
        let id = || rig.receive().map(|message| parse(&message).unwrap().0.id);
        rig.fault("response-stale=1");
        rig.send(&metrics_request());
        assert_ne!(id(), Some(9));
        assert_eq!(id(), Some(9));
        assert_eq!(id(), None);
        rig.fault("response-stale-forever");
        rig.send(&metrics_request());
        for _ in 0..50 {
            assert!(id().is_some_and(|id| id != 9));
        }
    }

    #[test]
    fn metrics_are_filled_and_cleared_only_when_asked() {
        let rig = rig();
        rig.ocl(0);
        let empty = MetricsBody {
            bar1_timeout: Some(AddressCount::default()),
            ddr: vec![DdrCounts::default(); 4],
            ..MetricsBody::default()
        };
        assert_eq!(rig.metrics(CommandFlags::empty()).body, empty);
        assert_eq!(rig.hardware().body.ocl_timeout.count, 1);
        assert_eq!(rig.metrics(CommandFlags::CLEAR_HW_METRICS).body, empty);
        assert_eq!(rig.hardware().body.ocl_timeout.count, 0);
    }

    #[test]
    fn metrics_of_both_families_are_long_enough_for_either_reader() {
        for family in Family::ALL {
            let rig = Rig::new(family, Vec::new());
            rig.send(&metrics_request());
            let message = rig.receive().unwrap();
            assert_eq!(message.len(), 600);
            let metrics = Metrics::parse(family, parse(&message).unwrap().1).unwrap();
            assert_eq!(metrics.status, SlotStatus::CLEARED);
        }
    }

    #[test]
    fn a_request_during_a_shell_reload_is_answered_after_it() {
        let rig = Rig::new(Family::F2, vec![image(Family::F2, 1, "cl_axil_reg_access")]);
        rig.load(1, CommandFlags::FORCE_SHELL_RELOAD).unwrap();
        assert_eq!(rig.hardware().status, SlotStatus::LOADING_RL);
        assert_eq!(rig.load(1, CommandFlags::empty()), Err(26));
        rig.clock.step(Duration::from_secs(60));
        assert_eq!(
            rig.hardware().status,
            SlotStatus::LOADING_RL,
            "it waits for the host"
        );
        rig.write(MgmtRegister::RlReload, 1);
        rig.send(&metrics_request());
        assert_eq!(rig.status(), MailboxStatus::empty());
        rig.clock.step(Duration::from_millis(100));
        let message = rig.receive().unwrap();
        let metrics = Metrics::parse(Family::F2, parse(&message).unwrap().1).unwrap();
        assert_eq!(metrics.status, SlotStatus::BUSY);
        rig.clock.step(LOAD);
        assert_eq!(rig.hardware().status, SlotStatus::LOADED);
    }
}
