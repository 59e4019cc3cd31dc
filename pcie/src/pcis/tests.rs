//! Copies by all widths against a copy byte by byte.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::bar::Region;
use crate::{Bar, BarError, SharedMemory};

/// Two pages, so that ranges cross their boundary.
const LENGTH: u64 = 8192;
/// What is in memory before a copy.
const GUARD: u8 = 0xA5;

fn memory() -> SharedMemory {
    let memory = SharedMemory::new("pcis", LENGTH).unwrap();
    memory
        .mapping()
        .copy_in(0, &[GUARD; LENGTH as usize])
        .unwrap();
    memory
}

fn contents(memory: &SharedMemory) -> Vec<u8> {
    let mut bytes = vec![0; memory.length() as usize];
    memory.mapping().copy_out(0, &mut bytes).unwrap();
    bytes
}

/// Memory behind messages, which remembers their sizes.
struct Messages {
    memory: SharedMemory,
    sizes: Mutex<Vec<usize>>,
}

impl Region for Messages {
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
        self.sizes.lock().unwrap().push(data.len());
        self.memory.mapping().copy_out(offset, data)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), BarError> {
        self.sizes.lock().unwrap().push(data.len());
        self.memory.mapping().copy_in(offset, data)
    }
}

proptest! {
    #[test]
    fn all_widths_write_the_range_and_nothing_else(
        offset in 0..LENGTH,
        length in prop_oneof![0..200_usize, 0..LENGTH as usize],
        skew in 0..64_usize,
        seed: u8,
    ) {
        let length = length.min((LENGTH - offset) as usize);
        let source: Vec<u8> = (0..skew + length).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect();
        let data = &source[skew..];
        let mut wanted = vec![GUARD; LENGTH as usize];
        wanted[offset as usize..][..length].copy_from_slice(data);
        for level in Level::available() {
            let memory = memory();
            let bar = Bar::mapped(memory.mapping().clone());
            write_with(*level, &bar, offset, data).unwrap();
            prop_assert_eq!(&contents(&memory), &wanted, "{}", level);
        }
    }

    #[test]
    fn all_widths_read_the_range_and_nothing_else(
        offset in 0..LENGTH,
        length in prop_oneof![0..200_usize, 0..LENGTH as usize],
        skew in 0..64_usize,
        seed: u8,
    ) {
        let length = length.min((LENGTH - offset) as usize);
        let memory = SharedMemory::new("pcis", LENGTH).unwrap();
        let all: Vec<u8> = (0..LENGTH).map(|at| (at as u8).wrapping_mul(29) ^ (at >> 8) as u8 ^ seed).collect();
        memory.mapping().copy_in(0, &all).unwrap();
        let bar = Bar::mapped(memory.mapping().clone());
        for level in Level::available() {
            let mut buffer = vec![GUARD; skew + length + 64];
            read_with(*level, &bar, offset, &mut buffer[skew..skew + length]).unwrap();
            prop_assert!(buffer[..skew].iter().all(|byte| *byte == GUARD), "{}", level);
            prop_assert_eq!(&buffer[skew..skew + length], &all[offset as usize..][..length], "{}", level);
            prop_assert!(buffer[skew + length..].iter().all(|byte| *byte == GUARD), "{}", level);
        }
    }
}

#[test]
fn what_is_not_mapped_goes_in_one_message() {
    let front = memory();
    let rest = Arc::new(Messages {
        memory: SharedMemory::new("rest", 2 * LENGTH).unwrap(),
        sizes: Mutex::default(),
    });
    let region = Arc::<Messages>::clone(&rest);
    let bar = Bar::partly_mapped(front.mapping().clone(), region, 2 * LENGTH);
    let data: Vec<u8> = (0..300).map(|at| at as u8).collect();
    write(&bar, LENGTH - 101, &data).unwrap();
    assert_eq!(contents(&front)[LENGTH as usize - 101..], data[..101]);
    let mut back = vec![0; 300];
    read(&bar, LENGTH - 101, &mut back).unwrap();
    assert_eq!(back, data);
    assert_eq!(*rest.sizes.lock().unwrap(), [199, 199]);
    write(&bar, 5, &data[..10]).unwrap();
    assert_eq!(rest.sizes.lock().unwrap().len(), 2, "all of it is mapped");

    let trapped = Bar::trapped(Arc::<Messages>::clone(&rest), 2 * LENGTH);
    write(&trapped, LENGTH, &data).unwrap();
    read(&trapped, LENGTH, &mut back).unwrap();
    assert_eq!(back, data);
    assert_eq!(rest.sizes.lock().unwrap()[2..], [300, 300]);
}

#[test]
fn a_range_outside_the_bar_is_refused_and_nothing_is_written() {
    let memory = memory();
    let bar = Bar::mapped(memory.mapping().clone());
    for (offset, length) in [(LENGTH - 1, 2), (LENGTH, 1), (u64::MAX, 2), (0, 8193)] {
        let mut data = vec![0; length];
        let refused = write(&bar, offset, &data).unwrap_err();
        assert!(matches!(refused, BarError::OutOfBounds { .. }), "{refused}");
        assert!(read(&bar, offset, &mut data).is_err());
    }
    assert!(contents(&memory).iter().all(|byte| *byte == GUARD));
    assert_eq!(write(&bar, LENGTH, &[]), Ok(()));
}
