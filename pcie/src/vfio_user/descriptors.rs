//! Descriptors beside bytes on a Unix socket: the one place that takes raw descriptors into
//! ownership.
#![expect(unsafe_code, reason = "taking received descriptors into ownership")]

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

/// Descriptors that one message may carry. Linux itself passes at most 253 (`SCM_MAX_FD`); the
/// largest use is a descriptor for each of the 33 MSI-X vectors of an F1 card.
pub const MAX_FDS: usize = 64;

/// What one receive gave.
pub(super) struct Chunk {
    /// Bytes put into the buffer; 0 when the peer has closed.
    pub(super) bytes: usize,
    /// Descriptors beside them.
    pub(super) fds: Vec<OwnedFd>,
    /// Whether there were more descriptors than room; those are lost.
    pub(super) fds_lost: bool,
}

/// Receives what is there, without waiting.
pub(super) fn receive(stream: &UnixStream, buffer: &mut [u8]) -> Result<Chunk, Errno> {
    let mut control = cmsg_space!([RawFd; MAX_FDS]);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(stream.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let mut fds = Vec::new();
    // A control buffer that the kernel had to cut short still holds the descriptors that fit.
    if let Ok(control) = message.cmsgs() {
        for item in control {
            if let ControlMessageOwned::ScmRights(received) = item {
                // SAFETY: the kernel has just made these descriptors for this process, in this
                // call, and nothing else knows their numbers: each has exactly one owner, here.
                fds.extend(
                    received
                        .into_iter()
                        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
                );
            }
        }
    }
    Ok(Chunk {
        bytes: message.bytes,
        fds,
        fds_lost: message.flags.contains(MsgFlags::MSG_CTRUNC),
    })
}

/// Sends as much as fits now, without waiting and without SIGPIPE. Descriptors go with the first
/// byte.
pub(super) fn send(
    stream: &UnixStream,
    bytes: &[&[u8]],
    fds: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    let slices: Vec<IoSlice<'_>> = bytes.iter().map(|part| IoSlice::new(part)).collect();
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<UnixAddr>(stream.as_raw_fd(), &slices, control, flags, None)
}
