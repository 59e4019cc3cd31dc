//! The frame of a mailbox message.

use std::fmt;

use zerocopy::byteorder::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::ErrorCode;

/// The largest message, header included, in bytes (`AFI_CMD_DATA_LEN`).
pub const MAX_MESSAGE: usize = 4096;

/// The protocol version that the public tools and this project speak: 2.1.
pub const API_VERSION: ApiVersion = ApiVersion { major: 2, minor: 1 };

/// Bit of the length-and-flags word that marks a response.
const RESPONSE: u32 = 1 << 24;
/// Bits of the length-and-flags word that hold the payload's length in bytes.
const LENGTH_MASK: u32 = 0x00FF_FFFF;

/// A version of the mailbox protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiVersion {
    /// Peers with different majors do not understand each other.
    pub major: u16,
    /// Peers with different minors do.
    pub minor: u16,
}

impl ApiVersion {
    /// From the word of a message: major in the low half.
    pub const fn from_word(word: u32) -> Self {
        Self {
            major: word as u16,
            minor: (word >> 16) as u16,
        }
    }

    /// As the word of a message.
    pub const fn to_word(self) -> u32 {
        (self.minor as u32) << 16 | self.major as u32
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What a message asks or answers. An integer, as it comes off a wire: any value can.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Opcode(pub u32);

impl Opcode {
    /// A response that reports an [`ErrorReply`].
    pub const ERROR: Self = Self(0);
    /// Load an image.
    pub const LOAD: Self = Self(1);
    /// Describe: ids, status, metrics.
    pub const METRICS: Self = Self(2);
    /// Clear the slot.
    pub const CLEAR: Self = Self(3);
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ERROR => f.write_str("error"),
            Self::LOAD => f.write_str("load"),
            Self::METRICS => f.write_str("metrics"),
            Self::CLEAR => f.write_str("clear"),
            Self(other) => write!(f, "opcode {other}"),
        }
    }
}

impl fmt::Debug for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `struct afi_cmd_hdr`, 16 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct WireHeader {
    version: U32,
    opcode: U32,
    length_flags: U32,
    id: U32,
}

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Protocol version of the sender.
    pub version: ApiVersion,
    /// What it asks or answers.
    pub opcode: Opcode,
    /// Whether it is a response.
    pub is_response: bool,
    /// Chosen by the host; a response carries its request's.
    pub id: u32,
}

impl Header {
    /// Bytes of a header.
    pub const SIZE: usize = size_of::<WireHeader>();

    /// The header of a request.
    pub const fn request(opcode: Opcode, id: u32) -> Self {
        Self {
            version: API_VERSION,
            opcode,
            is_response: false,
            id,
        }
    }

    /// The header of the response to a request.
    pub const fn response(opcode: Opcode, id: u32) -> Self {
        Self {
            version: API_VERSION,
            opcode,
            is_response: true,
            id,
        }
    }
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Fewer bytes than the header.
    #[error(
        "message of {got} bytes is shorter than its header of {} bytes",
        Header::SIZE
    )]
    NoHeader {
        /// Bytes seen.
        got: usize,
    },
    /// The header tells more payload than there is.
    #[error("message tells {told} bytes of payload and has {got}")]
    Truncated {
        /// Bytes that the header tells.
        told: usize,
        /// Bytes that there are.
        got: usize,
    },
    /// The header's flags and length leave no room in a message.
    #[error("message tells {told} bytes of payload; at most {} fit", MAX_MESSAGE - Header::SIZE)]
    TooLong {
        /// Bytes that the header tells.
        told: usize,
    },
    /// The payload is shorter than its kind.
    #[error("{what} of {got} bytes; wanted {wanted}")]
    ShortPayload {
        /// What the payload should be.
        what: &'static str,
        /// Bytes seen.
        got: usize,
        /// Bytes wanted.
        wanted: usize,
    },
    /// A field holds what it cannot.
    #[error("{what}: {found}")]
    Field {
        /// Which field.
        what: &'static str,
        /// What was in it.
        found: String,
    },
}

/// Bytes of a message: the header, then the payload.
///
/// # Panics
/// When the payload does not fit into [`MAX_MESSAGE`]; payloads are made here, never taken from
/// outside.
pub fn encode(header: Header, payload: &[u8]) -> Vec<u8> {
    assert!(Header::SIZE + payload.len() <= MAX_MESSAGE);
    let flags = if header.is_response { RESPONSE } else { 0 };
    let wire = WireHeader {
        version: header.version.to_word().into(),
        opcode: header.opcode.0.into(),
        length_flags: (payload.len() as u32 | flags).into(),
        id: header.id.into(),
    };
    let mut message = Vec::with_capacity(Header::SIZE + payload.len());
    message.extend_from_slice(wire.as_bytes());
    message.extend_from_slice(payload);
    message
}

/// Bytes of the response that reports an error; `wanted` goes with a refused version.
pub fn encode_error(id: u32, error: ErrorCode, wanted: Option<ApiVersion>) -> Vec<u8> {
    let mut payload = error.0.to_le_bytes().to_vec();
    if let Some(version) = wanted {
        payload.extend_from_slice(&version.to_word().to_le_bytes());
    }
    encode(Header::response(Opcode::ERROR, id), &payload)
}

/// Takes a message apart into header and payload. Bytes after the payload are padding to a word.
///
/// # Errors
/// When the bytes are shorter than they tell.
pub fn parse(bytes: &[u8]) -> Result<(Header, &[u8]), MessageError> {
    let (wire, rest) = WireHeader::read_from_prefix(bytes)
        .map_err(|_| MessageError::NoHeader { got: bytes.len() })?;
    let word = wire.length_flags.get();
    let told = (word & LENGTH_MASK) as usize;
    if told > MAX_MESSAGE - Header::SIZE {
        return Err(MessageError::TooLong { told });
    }
    let payload = rest.get(..told).ok_or(MessageError::Truncated {
        told,
        got: rest.len(),
    })?;
    let header = Header {
        version: ApiVersion::from_word(wire.version.get()),
        opcode: Opcode(wire.opcode.get()),
        is_response: word & RESPONSE != 0,
        id: wire.id.get(),
    };
    Ok((header, payload))
}

/// The words of a message as the mailbox takes them, the last one padded with zeros.
pub fn words(message: &[u8]) -> impl Iterator<Item = u32> + '_ {
    message.chunks(4).map(|chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        u32::from_le_bytes(word)
    })
}

/// The payload of an error response (`struct afi_cmd_err_rsp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorReply {
    /// What went wrong.
    pub error: ErrorCode,
    /// With [`ErrorCode::INVALID_API_VERSION`]: the version that the peer wants.
    pub wanted_version: Option<ApiVersion>,
}

impl ErrorReply {
    /// Reads the payload of an error response.
    ///
    /// # Errors
    /// When it is too short to hold a code.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let word = |at: usize| {
            let bytes = payload.get(at..at + 4)?;
            Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        let code = word(0).ok_or(MessageError::ShortPayload {
            what: "error response",
            got: payload.len(),
            wanted: 4,
        })?;
        let error = ErrorCode(code as i32);
        let wanted_version = (error == ErrorCode::INVALID_API_VERSION)
            .then(|| word(4).map(ApiVersion::from_word))
            .flatten();
        Ok(Self {
            error,
            wanted_version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_version_keeps_its_major_in_the_low_half() {
        assert_eq!(API_VERSION.to_word(), 0x0001_0002);
        assert_eq!(ApiVersion::from_word(0x0001_0002), API_VERSION);
    }

    #[test]
    fn what_a_message_cannot_be_is_named() {
        assert_eq!(parse(&[0; 15]), Err(MessageError::NoHeader { got: 15 }));
        let mut message = encode(Header::response(Opcode::LOAD, 7), &[1, 2, 3, 4]);
        message.truncate(18);
        assert_eq!(
            parse(&message),
            Err(MessageError::Truncated { told: 4, got: 2 })
        );
        let mut message = encode(Header::response(Opcode::LOAD, 7), &[]);
        message[9] = 0x10;
        assert_eq!(parse(&message), Err(MessageError::TooLong { told: 4096 }));
    }

    #[test]
    fn an_error_reply_tells_the_version_only_where_it_means_one() {
        let wanted = ApiVersion { major: 3, minor: 0 };
        let bytes = encode_error(1, ErrorCode::INVALID_API_VERSION, Some(wanted));
        let (_, payload) = parse(&bytes).unwrap();
        assert_eq!(
            ErrorReply::parse(payload).unwrap().wanted_version,
            Some(wanted)
        );
        assert!(ErrorReply::parse(&[1, 2, 3]).is_err());
    }

    proptest! {
        #[test]
        fn a_message_survives_its_words(id: u32, opcode: u32, is_response: bool,
                                        payload in proptest::collection::vec(any::<u8>(), 0..4080)) {
            let header = Header { version: API_VERSION, opcode: Opcode(opcode), is_response, id };
            let bytes: Vec<u8> = words(&encode(header, &payload)).flat_map(u32::to_le_bytes).collect();
            prop_assert_eq!(parse(&bytes), Ok((header, &payload[..])));
        }

        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok((_, payload)) = parse(&bytes) {
                let _ = ErrorReply::parse(payload);
            }
        }
    }
}
