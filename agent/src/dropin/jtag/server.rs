//! Takes clients, one after the other.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use afi_pcie::BusError;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::bridge::Bridge;
use super::session::{self, Done};
use crate::problem::Problem;

/// Serves clients until `stop` can be read. `open` opens the bridge for each of them; what goes
/// wrong with one of them is told to `log`, and the next one is served.
///
/// # Errors
/// When the listening socket cannot be used.
pub(super) fn serve(
    listener: &TcpListener,
    stop: BorrowedFd<'_>,
    open: &dyn Fn() -> Result<Bridge, BusError>,
    log: &mut dyn FnMut(&dyn Problem),
) -> io::Result<()> {
    // A client that went before it was taken must not leave the server waiting for the next one
    // in `accept`, deaf to `stop`.
    listener.set_nonblocking(true)?;
    loop {
        if wait_for(listener.as_fd(), stop, None)? == Readable::Stop {
            return Ok(());
        }
        let client = match listener.accept() {
            Ok((client, _)) => client,
            Err(error) if is_of_one_client(&error) => continue,
            Err(error) => return Err(error),
        };
        client.set_nonblocking(false)?;
        let bridge = match open() {
            Ok(bridge) => bridge,
            Err(error) => {
                log(&error);
                continue;
            }
        };
        match session::serve(client, stop, &bridge) {
            Ok(Done::Closed) => {}
            Ok(Done::Stopped) => return Ok(()),
            Err(error) => log(&error),
        }
    }
}

/// Whether an error of `accept` is of the client that was to be taken, and not of the socket.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
    )
}

/// What can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readable {
    /// The server should end.
    Stop,
    /// The socket.
    Socket,
    /// Neither, in the time that was given.
    Nothing,
}

/// Waits until a socket can be read, or the server should end; with `limit`, not longer than that.
///
/// # Errors
/// When the descriptors cannot be waited for.
pub(super) fn wait_for(
    socket: BorrowedFd<'_>,
    stop: BorrowedFd<'_>,
    limit: Option<Duration>,
) -> io::Result<Readable> {
    let timeout = limit.map_or(PollTimeout::NONE, |limit| {
        PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX)
    });
    let mut both = [
        PollFd::new(stop, PollFlags::POLLIN),
        PollFd::new(socket, PollFlags::POLLIN),
    ];
    match poll(&mut both, timeout) {
        // A signal: its handler has written to `stop`.
        Err(Errno::EINTR) => return wait_for(socket, stop, limit),
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let [stop, socket] = both.map(|fd| fd.any().unwrap_or(true));
    Ok(match (stop, socket) {
        (true, _) => Readable::Stop,
        (false, true) => Readable::Socket,
        (false, false) => Readable::Nothing,
    })
}
