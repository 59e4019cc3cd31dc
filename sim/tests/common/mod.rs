//! A function that is nothing but memory, for tests of what carries it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by test files, each of which uses a part"
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use afi_pcie::SharedMemory;
use afi_proto::{BarIndex, Bdf};
use afi_sim::function::{BarMemory, DeviceFunction, HostPort};

pub const BAR0_SIZE: u64 = 64 << 10;
pub const BAR4_SIZE: u64 = 1 << 20;
/// Bytes of BAR4 that are memory.
pub const BAR4_MEMORY: u64 = 256 << 10;

/// BAR0 is trapped: a read gives the number of accesses so far, a write is remembered. BAR2 is
/// memory throughout, BAR4 in its first part.
pub struct Ram {
    pub bdf: Bdf,
    pub config: Mutex<Vec<u8>>,
    pub accesses: AtomicU32,
    pub written: Mutex<Vec<(u64, Vec<u8>)>>,
    pub memory: Arc<SharedMemory>,
    pub part: Arc<SharedMemory>,
    pub host: Mutex<Option<Arc<dyn HostPort>>>,
    pub attached: AtomicU32,
    pub resets: AtomicU32,
}

impl Ram {
    pub fn new() -> Arc<Self> {
        let mut config = vec![0; 4096];
        config[..4].copy_from_slice(&[0x0F, 0x1D, 0x00, 0xF0]);
        Arc::new(Self {
            bdf: "0000:00:1d.0".parse().unwrap(),
            config: Mutex::new(config),
            accesses: AtomicU32::new(0),
            written: Mutex::default(),
            memory: Arc::new(SharedMemory::new("bar2", BAR0_SIZE).unwrap()),
            part: Arc::new(SharedMemory::new("bar4", BAR4_MEMORY).unwrap()),
            host: Mutex::default(),
            attached: AtomicU32::new(0),
            resets: AtomicU32::new(0),
        })
    }

    pub fn host(&self) -> Arc<dyn HostPort> {
        self.host
            .lock()
            .unwrap()
            .clone()
            .expect("a host is attached")
    }
}

impl DeviceFunction for Ram {
    fn bdf(&self) -> Bdf {
        self.bdf
    }

    fn is_present(&self) -> bool {
        true
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) {
        let config = self.config.lock().unwrap();
        let at = usize::from(offset);
        data.copy_from_slice(&config[at..at + data.len()]);
    }

    fn write_config(&self, offset: u16, data: &[u8]) {
        let at = usize::from(offset);
        self.config.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
    }

    fn bar_size(&self, bar: BarIndex) -> Option<u64> {
        match bar.get() {
            0 | 2 => Some(BAR0_SIZE),
            4 => Some(BAR4_SIZE),
            _ => None,
        }
    }

    fn read_bar(&self, bar: BarIndex, offset: u64, data: &mut [u8]) {
        if bar == BarIndex::BAR2 {
            self.memory.mapping().copy_out(offset, data).unwrap();
            return;
        }
        let count = self.accesses.fetch_add(1, Ordering::SeqCst) + 1;
        let bytes = count.to_le_bytes();
        for (at, byte) in data.iter_mut().enumerate() {
            *byte = bytes.get(at).copied().unwrap_or(0);
        }
    }

    fn write_bar(&self, bar: BarIndex, offset: u64, data: &[u8]) {
        if bar == BarIndex::BAR2 {
            self.memory.mapping().copy_in(offset, data).unwrap();
            return;
        }
        self.written.lock().unwrap().push((offset, data.to_vec()));
    }

    fn bar_memory(&self, bar: BarIndex) -> Option<BarMemory> {
        let (memory, length) = match bar.get() {
            2 => (&self.memory, BAR0_SIZE),
            4 => (&self.part, BAR4_MEMORY),
            _ => return None,
        };
        let memory = Arc::clone(memory);
        Some(BarMemory { memory, length })
    }

    fn msix_vectors(&self) -> u16 {
        4
    }

    fn reset(&self) {
        self.resets.fetch_add(1, Ordering::SeqCst);
        let mut config = self.config.lock().unwrap();
        config[0x04..0x06].fill(0);
        config[0x10..0x28].fill(0);
    }

    fn attach(&self, host: Arc<dyn HostPort>) {
        *self.host.lock().unwrap() = Some(host);
        self.attached.fetch_add(1, Ordering::SeqCst);
    }

    fn detach(&self) {
        *self.host.lock().unwrap() = None;
    }
}
