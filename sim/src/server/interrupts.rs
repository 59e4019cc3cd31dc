//! Where a function's interrupts go: an eventfd for each MSI-X vector.

use std::os::fd::{AsFd, OwnedFd};

use afi_proto::vfio_user::{IrqSet, IrqSetFlags, irq};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The interrupts of one function.
#[derive(Debug)]
pub(super) struct Interrupts {
    msix: Vec<Option<OwnedFd>>,
}

impl Interrupts {
    pub(super) fn new(msix_vectors: u16) -> Self {
        let msix = (0..msix_vectors).map(|_| None).collect();
        Self { msix }
    }

    /// Interrupts of a kind.
    pub(super) fn count(&self, index: u32) -> u32 {
        match index {
            irq::MSIX => self.msix.len() as u32,
            _ => 0,
        }
    }

    /// Signals a vector's eventfd, if the client gave one.
    pub(super) fn fire(&self, vector: u16) {
        let Some(Some(event)) = self.msix.get(usize::from(vector)) else {
            return;
        };
        // The descriptor may be anything: write only where that cannot block.
        let mut fds = [PollFd::new(event.as_fd(), PollFlags::POLLOUT)];
        let ready = poll(&mut fds, PollTimeout::ZERO).is_ok_and(|count| count == 1)
            && fds[0]
                .revents()
                .is_some_and(|events| events == PollFlags::POLLOUT);
        if !ready {
            tracing::debug!(vector, "the eventfd takes no signal now");
            return;
        }
        if let Err(error) = nix::unistd::write(event, &1u64.to_ne_bytes()) {
            tracing::debug!(vector, %error, "signalling an eventfd");
        }
    }

    /// Takes every eventfd back.
    pub(super) fn disable_all(&mut self) {
        self.msix.fill_with(|| None);
    }

    /// What DEVICE_SET_IRQS asks for. `data` is what follows the structure.
    pub(super) fn set(
        &mut self,
        request: &IrqSet,
        data: &[u8],
        fds: Vec<OwnedFd>,
    ) -> Result<(), Errno> {
        let index = request.index.get();
        let total = self.count(index);
        let (start, count) = (request.start.get(), request.count.get());
        let inside = start.checked_add(count).is_some_and(|end| end <= total);
        if index >= irq::COUNT || !inside {
            return Err(Errno::EINVAL);
        }
        let range = start as usize..(start + count) as usize;
        let flags = IrqSetFlags::from_bits(request.flags.get()).ok_or(Errno::EINVAL)?;
        let trigger = IrqSetFlags::ACTION_TRIGGER;
        if flags == IrqSetFlags::DATA_NONE | trigger {
            match count {
                0 => self.disable_all(),
                _ => range.for_each(|vector| self.fire(vector as u16)),
            }
        } else if flags == IrqSetFlags::DATA_BOOL | trigger {
            let wanted = data.get(..range.len()).ok_or(Errno::EINVAL)?;
            let chosen = range.zip(wanted).filter(|(_, fire)| **fire != 0);
            chosen.for_each(|(vector, _)| self.fire(vector as u16));
        } else if flags == IrqSetFlags::DATA_EVENTFD | trigger {
            match fds.len() {
                0 => self.msix[range].fill_with(|| None),
                given if given == range.len() => {
                    for (vector, event) in self.msix[range].iter_mut().zip(fds) {
                        *vector = Some(event);
                    }
                }
                _ => return Err(Errno::EINVAL),
            }
        } else if (flags & (IrqSetFlags::ACTION_MASK | IrqSetFlags::ACTION_UNMASK)).is_empty() {
            return Err(Errno::EINVAL);
        } else {
            // MSI-X is masked in the function's own table; the information says not maskable.
            return Err(Errno::ENOTSUP);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::eventfd::{EfdFlags, EventFd};

    fn set(flags: IrqSetFlags, start: u32, count: u32) -> IrqSet {
        IrqSet {
            argsz: 20.into(),
            flags: flags.bits().into(),
            index: irq::MSIX.into(),
            start: start.into(),
            count: count.into(),
        }
    }

    fn eventfd() -> (EventFd, OwnedFd) {
        let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap();
        let other = event.as_fd().try_clone_to_owned().unwrap();
        (event, other)
    }

    const EVENTFD: IrqSetFlags = IrqSetFlags::DATA_EVENTFD.union(IrqSetFlags::ACTION_TRIGGER);
    const NONE: IrqSetFlags = IrqSetFlags::DATA_NONE.union(IrqSetFlags::ACTION_TRIGGER);
    const BOOL: IrqSetFlags = IrqSetFlags::DATA_BOOL.union(IrqSetFlags::ACTION_TRIGGER);

    #[test]
    fn a_vector_signals_its_own_eventfd_until_it_is_taken_back() {
        let mut interrupts = Interrupts::new(4);
        let (first, fd) = eventfd();
        let (second, other) = eventfd();
        interrupts
            .set(&set(EVENTFD, 1, 2), &[], vec![fd, other])
            .unwrap();
        interrupts.fire(2);
        assert!(first.read().is_err());
        assert_eq!(second.read(), Ok(1));
        interrupts.set(&set(BOOL, 1, 2), &[1, 0], vec![]).unwrap();
        assert_eq!(first.read(), Ok(1));
        interrupts.set(&set(EVENTFD, 1, 1), &[], vec![]).unwrap();
        interrupts.fire(1);
        assert!(first.read().is_err());
        interrupts.set(&set(NONE, 0, 0), &[], vec![]).unwrap();
        interrupts.fire(2);
        assert!(second.read().is_err());
    }

    #[test]
    fn a_descriptor_that_would_block_does_not() {
        let mut interrupts = Interrupts::new(1);
        let (_reader, writer) = std::io::pipe().unwrap();
        nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
        interrupts
            .set(&set(EVENTFD, 0, 1), &[], vec![writer.into()])
            .unwrap();
        for _ in 0..2000 {
            interrupts.fire(0);
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let mut interrupts = Interrupts::new(4);
        let (_, fd) = eventfd();
        let cases = [
            set(EVENTFD, 0, 5),
            set(EVENTFD, u32::MAX, 2),
            set(BOOL, 0, 2),
            set(IrqSetFlags::DATA_NONE, 0, 1),
            IrqSet {
                index: 9.into(),
                ..set(NONE, 0, 0)
            },
            IrqSet {
                index: irq::INTX.into(),
                ..set(EVENTFD, 0, 1)
            },
        ];
        for request in cases {
            assert_eq!(
                interrupts.set(&request, &[], vec![]),
                Err(Errno::EINVAL),
                "{request:?}"
            );
        }
        let few = interrupts.set(&set(EVENTFD, 0, 2), &[], vec![fd]);
        assert_eq!(few, Err(Errno::EINVAL));
        interrupts.fire(u16::MAX);
    }
}
