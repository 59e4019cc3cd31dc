//! Serves a simulated PCI function as a vfio-user device on a Unix socket.
//!
//! Source: QEMU, `docs/interop/vfio-user.rst`. The other end is a program of this project, QEMU, or
//! anybody: nothing that it sends is trusted. A malformed message is answered with an error when
//! the stream is still in step, and ends the connection when not; neither touches other functions.

mod dma;
mod host;
mod interrupts;
mod session;

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use afi_pcie::vfio_user::Connection;
use afi_proto::vfio_user::{Command, Header};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::function::DeviceFunction;
use session::{Session, Turn};

/// How long a client may take to send the rest of a message, or to take an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Stack of a server's thread. It holds no large values.
const STACK: usize = 256 << 10;

/// A running server of one function. It takes one client at a time, as often as one comes, and
/// refuses a second at once. Dropping it ends it and removes its socket.
#[derive(Debug)]
pub struct FunctionServer {
    socket: PathBuf,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl FunctionServer {
    /// Starts to serve `function` on a new socket.
    ///
    /// # Errors
    /// When the socket cannot be made: the path exists, or is longer than a socket's may be.
    pub fn start(function: Arc<dyn DeviceFunction>, socket: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        listener.set_nonblocking(true)?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let stop = Arc::new(EventFd::from_flags(flags)?);
        let server = Server {
            function: Arc::clone(&function),
            listener,
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new()
            .name(function.bdf().to_string())
            .stack_size(STACK)
            .spawn(move || server.run())?;
        Ok(Self {
            socket: socket.to_owned(),
            stop,
            thread: Some(thread),
        })
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for FunctionServer {
    fn drop(&mut self) {
        // An eventfd takes a 1 unless it holds 2^64 - 2 already, and then the thread has its signal.
        if let Err(error) = self.stop.write(1) {
            tracing::debug!(%error, "signalling a server to stop");
        }
        let joined = self.thread.take().map(JoinHandle::join);
        if joined.is_some_and(|outcome| outcome.is_err()) {
            tracing::error!(socket = %self.socket.display(), "a device server panicked");
        }
        match fs::remove_file(&self.socket) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(socket = %self.socket.display(), %error, "cannot remove a socket");
            }
            _ => {}
        }
    }
}

struct Server {
    function: Arc<dyn DeviceFunction>,
    listener: UnixListener,
    stop: Arc<EventFd>,
}

impl Server {
    fn run(&self) {
        let mut client: Option<Client> = None;
        loop {
            let ready = match self.wait(client.as_ref()) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => continue,
                Err(error) => {
                    tracing::error!(%error, "a device server cannot wait");
                    return;
                }
            };
            if ready.stop {
                return;
            }
            // The client first: one that has closed makes room for the one that knocks.
            if let Some(connected) = &mut client
                && !connected.turn(ready.client)
            {
                client = None;
            }
            if ready.listener {
                self.accept(&mut client);
            }
        }
    }

    fn wait(&self, client: Option<&Client>) -> Result<Ready, Errno> {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = vec![readable(self.stop.as_fd()), readable(self.listener.as_fd())];
        let mut timeout = PollTimeout::NONE;
        if let Some(client) = client {
            fds.push(readable(client.session.connection().as_fd()));
            if let Some(since) = client.stalled_since {
                let left = PATIENCE.saturating_sub(since.elapsed()) + Duration::from_millis(1);
                timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            }
        }
        poll(&mut fds, timeout)?;
        let is_ready = |at: usize| fds.get(at).is_some_and(|fd| fd.any().unwrap_or(true));
        Ok(Ready {
            stop: is_ready(0),
            listener: is_ready(1),
            client: is_ready(2),
        })
    }

    fn accept(&self, client: &mut Option<Client>) {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => {
                // Out of descriptors, most likely: the client waits in the queue meanwhile.
                tracing::warn!(bdf = %self.function.bdf(), %error, "cannot accept a client");
                std::thread::sleep(Duration::from_millis(10));
                return;
            }
        };
        if client.is_some() {
            refuse(stream);
            return;
        }
        *client = Some(Client {
            session: Session::new(Arc::clone(&self.function), stream),
            stalled_since: None,
        });
    }
}

struct Ready {
    stop: bool,
    listener: bool,
    client: bool,
}

/// The connected client.
struct Client {
    session: Session,
    /// When the first bytes of an unfinished message came.
    stalled_since: Option<Instant>,
}

impl Client {
    /// Does what there is to do; `false` when the client is gone or has to go.
    fn turn(&mut self, ready: bool) -> bool {
        let stalled = self
            .stalled_since
            .is_some_and(|since| since.elapsed() >= PATIENCE);
        if !ready {
            return !stalled;
        }
        match self.session.turn() {
            Turn::Idle => self.stalled_since = None,
            Turn::Inside if stalled => return false,
            Turn::Inside => {
                self.stalled_since.get_or_insert_with(Instant::now);
            }
            Turn::Ended => return false,
        }
        true
    }
}

/// Tells a second client that the device is in use. It has sent nothing yet, so the answer has to
/// guess the id of its first message.
fn refuse(stream: UnixStream) {
    let header = Header::error(0, Command::VERSION, Errno::EBUSY as u32);
    let connection = Connection::new(stream, 0);
    if let Err(error) = connection.send_frame(&header, &[], &[], Duration::ZERO) {
        tracing::debug!(%error, "refusing a second client");
    }
}
