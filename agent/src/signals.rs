//! How a person or the system ends this program: SIGINT (Ctrl-C) and SIGTERM.

use std::io;
use std::os::unix::net::UnixStream;

use afi_pcie::Cancel;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::problem::Class;

/// The signals that end the program.
const ENDING: [i32; 2] = [SIGINT, SIGTERM];

/// Ends the waits that have this token at the first signal, and the process at the second.
///
/// # Errors
/// When a handler cannot be set.
pub(crate) fn end_waits(cancel: &Cancel) -> io::Result<()> {
    for signal in ENDING {
        let code = i32::from(Class::Interrupted.exit_code());
        flag::register_conditional_shutdown(signal, code, cancel.flag())?;
        flag::register(signal, cancel.flag())?;
    }
    Ok(())
}

/// A socket that can be read once a signal has come: for who waits for other descriptors too.
///
/// # Errors
/// When there is none to be had, or a handler cannot be set.
pub(crate) fn readable_at_signal() -> io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    for signal in ENDING {
        low_level::pipe::register(signal, writer.try_clone()?)?;
    }
    Ok(reader)
}
