//! What the kernel tells about its devices as they come, go and change.
//!
//! Source: `lib/kobject_uevent.c` of Linux. A message is `ACTION@PATH`, then `KEY=VALUE` strings,
//! each ended by a zero byte.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, socket,
};

/// The multicast group of the kernel's own messages; group 2 is udev's.
const KERNEL_GROUP: u32 = 1;
/// The port of the kernel: messages from others are not believed.
const KERNEL_PORT: u32 = 0;
/// The longest message (`UEVENT_BUFFER_SIZE` and the head line).
const LONGEST: usize = 8192;

/// A subscription to the kernel's messages.
#[derive(Debug)]
pub(super) struct Uevents {
    socket: OwnedFd,
}

impl Uevents {
    /// Subscribes, from now on.
    ///
    /// # Errors
    /// When the system does not permit it, as in some containers.
    pub(super) fn subscribe() -> nix::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        // Port 0: the kernel chooses one.
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
        Ok(Self { socket })
    }

    /// Waits for messages, and tells whether one of them can be about the listing of the PCI bus.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub(super) fn wait(&self, longest: Duration) -> nix::Result<bool> {
        // Up to the next millisecond: rounded down, the last part of a wait would be a busy loop.
        let wait = longest + Duration::from_millis(1);
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) => Ok(false),
            Ok(_) => self.take(),
            Err(errno) => Err(errno),
        }
    }

    /// Takes all messages that are there.
    fn take(&self) -> nix::Result<bool> {
        let mut buffer = [0; LONGEST];
        let mut about_pci = false;
        loop {
            match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut buffer) {
                Ok((length, from)) => {
                    let by_kernel = from.is_some_and(|from| from.pid() == KERNEL_PORT);
                    about_pci |= by_kernel && is_about_pci(&buffer[..length]);
                }
                // More came than the socket holds: any of them can have been one.
                Err(Errno::ENOBUFS) => about_pci = true,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(about_pci),
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Whether a message is about a PCI function that came, went or changed.
fn is_about_pci(message: &[u8]) -> bool {
    let mut strings = message.split(|byte| *byte == 0);
    let head = strings.next().unwrap_or_default();
    let action = head.split(|byte| *byte == b'@').next().unwrap_or_default();
    let actions: [&[u8]; 3] = [b"add", b"remove", b"change"];
    actions.contains(&action) && strings.any(|string| string == b"SUBSYSTEM=pci")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_about_pci_functions_are_told_from_others() {
        let message = |head: &str, subsystem: &str| {
            format!("{head}\0ACTION=x\0DEVPATH=/devices\0SUBSYSTEM={subsystem}\0SEQNUM=7\0")
        };
        let path = "/devices/pci0000:00/0000:00:1d.0";
        for (action, subsystem, wanted) in [
            ("add", "pci", true),
            ("remove", "pci", true),
            ("change", "pci", true),
            ("bind", "pci", false),
            ("add", "pci_bus", false),
            ("add", "block", false),
        ] {
            let text = message(&format!("{action}@{path}"), subsystem);
            assert_eq!(is_about_pci(text.as_bytes()), wanted, "{text}");
        }
        for nonsense in [&b""[..], b"\0\0\0", b"add", b"@", &[0xFF; 64]] {
            assert!(!is_about_pci(nonsense));
        }
    }
}
