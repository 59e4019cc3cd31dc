//! The Xilinx Virtual Cable protocol 1.0: what the bytes of a debugger mean.
//!
//! | message | answer |
//! | --- | --- |
//! | `getinfo:` | `xvcServer_v1.0:` and how many bytes a message may have, and a newline |
//! | `settck:` period in ns | the period that is used |
//! | `shift:` number of bits, TMS bytes, TDI bytes | TDO bytes |
//!
//! Numbers are 32 bits, little endian. Source: `github.com/Xilinx/XilinxVirtualCable`, README.

/// Bytes of TMS, and of TDI, that a shift may have. It is the number that the vendor's server tells
/// a client for the whole message; one that takes it for the vector's length is served as well.
pub(super) const MOST_BYTES: usize = 10_000;
/// The longest message.
pub(super) const LONGEST: usize = SHIFT.len() + 4 + 2 * MOST_BYTES;

const GETINFO: &[u8] = b"getinfo:";
const SETTCK: &[u8] = b"settck:";
const SHIFT: &[u8] = b"shift:";
/// Bytes of a message that are shown to a person.
const SHOWN: usize = 16;

/// A message of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// Tell what you are.
    GetInfo,
    /// Use this period, in ns.
    SetTck(u32),
    /// Shift.
    Shift {
        /// Bits; not more than there are in the bytes.
        bits: u32,
        /// What TMS does.
        tms: &'a [u8],
        /// What goes in.
        tdi: &'a [u8],
    },
}

/// Bytes that are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum XvcError {
    /// No message begins like this.
    #[error("'{shown}' begins no message; wanted 'getinfo:', 'settck:' or 'shift:'")]
    Unknown {
        /// The bytes.
        shown: String,
    },
    /// A shift of more bits than a message can hold.
    #[error("a shift of {bits} bits; at most {} can be done at once", 8 * MOST_BYTES)]
    TooLong {
        /// Bits.
        bits: u32,
    },
}

/// The answer to [`Message::GetInfo`].
pub(super) fn info() -> Vec<u8> {
    format!("xvcServer_v1.0:{MOST_BYTES}\n").into_bytes()
}

/// Takes the first message from these bytes, and gives it with its length. `None` when more bytes
/// are needed.
///
/// # Errors
/// When no further bytes could make it a message.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, XvcError> {
    if let Some(rest) = bytes.strip_prefix(SHIFT) {
        return parse_shift(rest);
    }
    if let Some(rest) = bytes.strip_prefix(SETTCK) {
        let period = number(rest);
        return Ok(period.map(|period| (Message::SetTck(period), SETTCK.len() + 4)));
    }
    if bytes.starts_with(GETINFO) {
        return Ok(Some((Message::GetInfo, GETINFO.len())));
    }
    let may_become_one = [GETINFO, SETTCK, SHIFT]
        .iter()
        .any(|name| name.starts_with(bytes));
    if may_become_one {
        return Ok(None);
    }
    let shown = &bytes[..bytes.len().min(SHOWN)];
    Err(XvcError::Unknown {
        shown: shown.escape_ascii().to_string(),
    })
}

fn parse_shift(rest: &[u8]) -> Result<Option<(Message<'_>, usize)>, XvcError> {
    let Some(bits) = number(rest) else {
        return Ok(None);
    };
    let bytes = bits.div_ceil(8) as usize;
    if bytes > MOST_BYTES {
        return Err(XvcError::TooLong { bits });
    }
    let Some(vectors) = rest.get(4..4 + 2 * bytes) else {
        return Ok(None);
    };
    let (tms, tdi) = vectors.split_at(bytes);
    let length = SHIFT.len() + 4 + 2 * bytes;
    Ok(Some((Message::Shift { bits, tms, tdi }, length)))
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_le_bytes)
}
