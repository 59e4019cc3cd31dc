//! MSI-X vectors that fire eventfds.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use afi_proto::vfio_user::{IrqSet, IrqSetFlags, irq};
use nix::sys::eventfd::{EfdFlags, EventFd};
use zerocopy::{FromZeros, IntoBytes};

use super::error::VfioError;
use super::ioctl::{self, Exchange};

/// The vectors of a function.
///
/// All of them are set up when the first is asked for, those that nobody wants without a receiver:
/// a kernel before 6.2 cannot add vectors later without taking away those that are in use, and an
/// interrupt that came meanwhile would be lost.
#[derive(Debug)]
pub(super) struct Vectors {
    count: u32,
    are_set_up: bool,
    /// Holds the descriptors that the kernel signals, so that their numbers are not used for others.
    receivers: Vec<Option<EventFd>>,
}

/// The number that stands for no descriptor.
const NONE: i32 = -1;

impl Vectors {
    /// Those of a function that has `count`.
    pub(super) const fn new(count: u32) -> Self {
        Self {
            count,
            are_set_up: false,
            receivers: Vec::new(),
        }
    }

    /// A new receiver of a vector, in place of the one it had.
    pub(super) fn receiver(&mut self, device: &File, vector: u16) -> Result<OwnedFd, VfioError> {
        if u32::from(vector) >= self.count {
            let count = self.count;
            return Err(VfioError::NoVector { vector, count });
        }
        let eventfd = || VfioError::file("make", "an eventfd");
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let event = EventFd::from_flags(flags).map_err(|errno| eventfd()(errno.into()))?;
        let theirs = event.as_fd().try_clone_to_owned().map_err(eventfd())?;
        let (start, descriptors) = self.plan(vector, event.as_fd().as_raw_fd());
        let wanted = descriptors.len() as u32;
        let mut request = set_irqs(start, &descriptors);
        let answer = ioctl::exchange(device, Exchange::SetIrqs, &mut request)
            .map_err(VfioError::refused("connect an interrupt"))?;
        // A positive number is how many the system has left (`vfio_msi_enable` of Linux).
        if let Ok(available @ 1..) = u32::try_from(answer) {
            return Err(VfioError::NoVectorsLeft { available, wanted });
        }
        self.are_set_up = true;
        let place = usize::from(vector);
        self.receivers
            .resize_with(self.receivers.len().max(place + 1), || None);
        self.receivers[place] = Some(event);
        Ok(theirs)
    }

    /// Which vectors to set, from the first on, and with which descriptors.
    fn plan(&self, vector: u16, descriptor: i32) -> (u32, Vec<i32>) {
        if self.are_set_up {
            return (vector.into(), vec![descriptor]);
        }
        let mut descriptors = vec![NONE; self.count as usize];
        descriptors[usize::from(vector)] = descriptor;
        (0, descriptors)
    }
}

/// The request that connects MSI-X vectors from `start` on.
fn set_irqs(start: u32, descriptors: &[i32]) -> Vec<u8> {
    let mut set = IrqSet::new_zeroed();
    set.flags = (IrqSetFlags::DATA_EVENTFD | IrqSetFlags::ACTION_TRIGGER)
        .bits()
        .into();
    set.index = irq::MSIX.into();
    set.start = start.into();
    set.count = (descriptors.len() as u32).into();
    let mut bytes = set.as_bytes().to_vec();
    bytes.extend(
        descriptors
            .iter()
            .flat_map(|descriptor| descriptor.to_ne_bytes()),
    );
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_vector_sets_up_all_and_the_next_only_itself() {
        let mut vectors = Vectors::new(4);
        assert_eq!(vectors.plan(2, 7), (0, vec![NONE, NONE, 7, NONE]));
        vectors.are_set_up = true;
        assert_eq!(vectors.plan(3, 8), (3, vec![8]));
    }

    #[test]
    fn a_request_has_its_descriptors_behind_it() {
        let bytes = set_irqs(1, &[7, NONE]);
        let words: Vec<i32> = bytes
            .chunks(4)
            .map(|word| i32::from_ne_bytes(word.try_into().unwrap()))
            .collect();
        // argsz is filled in later; eventfd and trigger; MSI-X; start; count; descriptors.
        assert_eq!(words, [0, 4 | 32, 2, 1, 2, 7, NONE]);
    }

    #[test]
    fn a_vector_that_is_not_there_is_refused_before_anything_is_asked() {
        let file = File::open("/dev/null").unwrap();
        let refused = Vectors::new(16).receiver(&file, 16).unwrap_err();
        assert!(matches!(
            refused,
            VfioError::NoVector {
                vector: 16,
                count: 16
            }
        ));
        let refused = Vectors::new(16).receiver(&file, 15).unwrap_err();
        assert!(matches!(refused, VfioError::Refused { .. }), "{refused}");
    }
}
