//! One client of the JTAG server.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use super::bridge::{Bridge, ShiftError};
use super::server::{Readable, wait_for};
use super::xvc::{self, LONGEST, Message, XvcError};
use crate::problem::{Class, Problem};

/// How long a client may take to send the rest of a message, or to take an answer. Between messages
/// it may take as long as it likes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that are read at once.
const CHUNK: usize = 4096;

/// Why a session ended before the client ended it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// The connection broke.
    #[error("cannot {what} the debugger")]
    Connection {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The client sent what is no message.
    #[error("the debugger does not speak the protocol")]
    Protocol {
        /// What is wrong.
        #[from]
        source: XvcError,
    },
    /// The client began a message and did not go on.
    #[error("the debugger sent {got} bytes of a message and then nothing for {} s", PATIENCE.as_secs())]
    Stalled {
        /// Bytes of the message.
        got: usize,
    },
    /// The slot's bridge did not do its part. The protocol has no word for it.
    #[error("the debugger's shift did not work")]
    Shift {
        /// Why.
        #[from]
        source: ShiftError,
    },
}

impl Problem for SessionError {
    fn class(&self) -> Class {
        Class::Failed
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Shift { .. } => Some(
                "load an image that has the debug bridge, and see 'afi describe' for timeouts of \
                 virtual JTAG"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// How a session ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// The client is gone.
    Closed,
    /// The server should end.
    Stopped,
}

/// Serves a client until it is gone, or `stop` can be read.
///
/// # Errors
/// When the client or the bridge does not do its part.
pub(super) fn serve(
    mut client: TcpStream,
    stop: BorrowedFd<'_>,
    bridge: &Bridge,
) -> Result<Done, SessionError> {
    let connection = |what| move |source| SessionError::Connection { what, source };
    client
        .set_nodelay(true)
        .and_then(|()| client.set_write_timeout(Some(PATIENCE)))
        .map_err(connection("set up the connection of"))?;
    let mut received = Vec::with_capacity(LONGEST);
    let mut message_began = Instant::now();
    loop {
        let used = answer_all(&mut client, &received, bridge)?;
        if used > 0 {
            received.drain(..used);
            message_began = Instant::now();
        }
        let patience =
            (!received.is_empty()).then(|| PATIENCE.saturating_sub(message_began.elapsed()));
        match wait_for(client.as_fd(), stop, patience).map_err(connection("wait for"))? {
            Readable::Stop => return Ok(Done::Stopped),
            Readable::Nothing => {
                let got = received.len();
                return Err(SessionError::Stalled { got });
            }
            Readable::Socket => {}
        }
        if received.is_empty() {
            message_began = Instant::now();
        }
        let mut chunk = [0; CHUNK];
        match client.read(&mut chunk) {
            Ok(0) => return Ok(Done::Closed),
            Ok(length) => received.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Ok(Done::Closed);
            }
            Err(source) => return Err(connection("read from")(source)),
        }
    }
}

/// Answers the messages that are there as a whole, and gives their length.
fn answer_all(
    client: &mut TcpStream,
    received: &[u8],
    bridge: &Bridge,
) -> Result<usize, SessionError> {
    let mut used = 0;
    while let Some((message, length)) = xvc::parse(&received[used..])? {
        let answer = match message {
            Message::GetInfo => xvc::info(),
            // The clock of the bridge is fixed; the vendor's server agrees to any period.
            Message::SetTck(period) => period.to_le_bytes().to_vec(),
            Message::Shift { bits, tms, tdi } => bridge.shift(bits, tms, tdi)?,
        };
        client
            .write_all(&answer)
            .map_err(|source| SessionError::Connection {
                what: "answer",
                source,
            })?;
        used += length;
    }
    Ok(used)
}
