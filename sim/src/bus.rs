//! The bus of an instance in the same process: for tests and benchmarks, without sockets.
//!
//! Like [`SocketBus`](afi_pcie::socket::SocketBus) it plays the host's part: it remembers what it
//! enumerated, and looks again only when told to.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use afi_pcie::bar::Region;
use afi_pcie::bus::{Caching, DmaMapping, DmaRequest, Watch, reset_and_restore};
use afi_pcie::{Bar, BarError, Bus, BusError, Deadline, Ended, Function, FunctionInfo};
use afi_proto::config_space::{self, Command, HEADER_SIZE};
use afi_proto::{BarIndex, Bdf};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::function::{CardPart, DeviceFunction, DmaError, HostPort};

/// How long a cancelled wait may go unseen.
const LOOK: Duration = Duration::from_millis(20);

/// Simulated functions as a bus.
pub struct SimBus {
    functions: BTreeMap<Bdf, Arc<SimFunction>>,
    host: Arc<Enumerated>,
    locks: PathBuf,
}

/// What the host has enumerated, and how often that changed.
#[derive(Default)]
struct Enumerated {
    state: Mutex<(BTreeMap<Bdf, FunctionInfo>, u64)>,
    changed: Condvar,
}

impl SimBus {
    /// A bus of these functions, enumerated as at boot. Locks on slots are kept in `locks`.
    ///
    /// # Errors
    /// When a function does not answer as one.
    pub fn new(
        functions: impl IntoIterator<Item = Arc<dyn DeviceFunction>>,
        locks: impl Into<PathBuf>,
    ) -> Result<Self, BusError> {
        let functions = functions.into_iter().map(|function| {
            let host = Arc::new(ProcessHost::default());
            function.attach(Arc::<ProcessHost>::clone(&host));
            (function.bdf(), Arc::new(SimFunction { function, host }))
        });
        let bus = Self {
            functions: functions.collect(),
            host: Arc::default(),
            locks: locks.into(),
        };
        if let Some(first) = bus.functions.keys().next() {
            bus.rescan(*first)?;
        }
        Ok(bus)
    }
}

impl Drop for SimBus {
    fn drop(&mut self) {
        for function in self.functions.values() {
            function.function.detach();
        }
    }
}

impl Enumerated {
    fn lock(&self) -> MutexGuard<'_, (BTreeMap<Bdf, FunctionInfo>, u64)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update<T>(&self, change: impl FnOnce(&mut BTreeMap<Bdf, FunctionInfo>) -> Option<T>) {
        let mut state = self.lock();
        if change(&mut state.0).is_some() {
            state.1 += 1;
            self.changed.notify_all();
        }
    }
}

impl Bus for SimBus {
    fn name(&self) -> String {
        "simulated".to_owned()
    }

    fn functions(&self) -> Result<Vec<FunctionInfo>, BusError> {
        Ok(self.host.lock().0.values().cloned().collect())
    }

    fn open(&self, bdf: Bdf) -> Result<Arc<dyn Function>, BusError> {
        let known = self.host.lock().0.contains_key(&bdf);
        match self.functions.get(&bdf) {
            Some(function) if known => Ok(Arc::<SimFunction>::clone(function)),
            _ => Err(BusError::NotFound { bdf }),
        }
    }

    fn remove(&self, bdf: Bdf) -> Result<(), BusError> {
        self.host.update(|known| known.remove(&bdf));
        Ok(())
    }

    fn rescan(&self, _near: Bdf) -> Result<(), BusError> {
        for (bdf, function) in &self.functions {
            if self.host.lock().0.contains_key(bdf) {
                continue;
            }
            let mut header = [0; HEADER_SIZE];
            function.read_config(0, &mut header)?;
            let ids = config_space::ids(&header);
            if ids.is_absent() {
                continue;
            }
            let opened: &dyn Function = function.as_ref();
            opened.enable(Command::MEMORY_SPACE)?;
            let info = FunctionInfo {
                bdf: *bdf,
                ids,
                driver: None,
                numa_node: None,
            };
            self.host.update(|known| {
                known.insert(*bdf, info);
                Some(())
            });
        }
        Ok(())
    }

    fn watch(&self) -> Result<Box<dyn Watch>, BusError> {
        let host = Arc::clone(&self.host);
        let seen = host.lock().1;
        Ok(Box::new(SimWatch { host, seen }))
    }

    fn lock_directory(&self) -> PathBuf {
        self.locks.clone()
    }
}

struct SimWatch {
    host: Arc<Enumerated>,
    seen: u64,
}

impl Watch for SimWatch {
    fn changed(&mut self, deadline: &Deadline) -> Result<(), Ended> {
        let mut state = self.host.lock();
        while state.1 == self.seen {
            deadline.check()?;
            let wait = deadline.remaining().min(LOOK);
            let waited = self.host.changed.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.seen = state.1;
        Ok(())
    }
}

/// A function of this process.
struct SimFunction {
    function: Arc<dyn DeviceFunction>,
    host: Arc<ProcessHost>,
}

impl SimFunction {
    fn config_range(&self, offset: u16, length: usize) -> Result<(), BusError> {
        if usize::from(offset) + length > config_space::SIZE {
            let bdf = self.bdf();
            return Err(BusError::NoConfig {
                bdf,
                offset,
                length,
            });
        }
        Ok(())
    }
}

impl Function for SimFunction {
    fn bdf(&self) -> Bdf {
        self.function.bdf()
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) -> Result<(), BusError> {
        self.config_range(offset, data.len())?;
        self.function.read_config(offset, data);
        Ok(())
    }

    fn write_config(&self, offset: u16, data: &[u8]) -> Result<(), BusError> {
        self.config_range(offset, data.len())?;
        self.function.write_config(offset, data);
        Ok(())
    }

    fn bar_size(&self, index: BarIndex) -> Result<Option<u64>, BusError> {
        Ok(self.function.bar_size(index))
    }

    fn bar(&self, index: BarIndex, _caching: Caching) -> Result<Bar, BusError> {
        let bdf = self.bdf();
        let size = self.function.bar_size(index);
        let size = size.ok_or(BusError::NoBar { bdf, bar: index })?;
        let region = Arc::new(SimRegion {
            index,
            function: Arc::clone(&self.function),
        });
        Ok(match self.function.bar_memory(index) {
            None => Bar::trapped(region, size),
            Some(part) if part.length == size && part.memory.length() == size => {
                Bar::mapped(part.memory.mapping().clone())
            }
            Some(part) => Bar::partly_mapped(part.memory.mapping().clone(), region, size),
        })
    }

    fn map_dma(&self, request: DmaRequest) -> Result<DmaMapping, BusError> {
        let range = &request.range;
        let length = range.end.saturating_sub(range.start);
        if length == 0
            || range.end > request.memory.length()
            || request.iova.checked_add(length).is_none()
            || self.host.overlaps(request.iova, length)
        {
            let what = format!("{length:#x} bytes at bus address {:#x}", request.iova);
            let source = std::io::Error::new(ErrorKind::InvalidInput, what);
            return Err(BusError::io("map for DMA", self.bdf().to_string())(source));
        }
        self.host.insert(request.clone());
        let (host, iova) = (Arc::clone(&self.host), request.iova);
        Ok(DmaMapping::new(&request, move || host.remove(iova)))
    }

    fn msix(&self, vector: u16) -> Result<OwnedFd, BusError> {
        let bdf = self.bdf();
        if vector >= self.function.msix_vectors() {
            return Err(BusError::Refused {
                bdf,
                what: format!("MSI-X vector {vector}"),
                errno: nix::errno::Errno::EINVAL,
            });
        }
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let make = || {
            let event = EventFd::from_flags(flags)?;
            let other = event.as_fd().try_clone_to_owned()?;
            self.host.set_vector(vector, event);
            Ok(other)
        };
        make().map_err(BusError::io("make", "an eventfd"))
    }

    fn reset(&self) -> Result<(), BusError> {
        reset_and_restore(self, || {
            self.function.reset();
            Ok(())
        })
    }
}

/// A BAR of a function of this process.
struct SimRegion {
    index: BarIndex,
    function: Arc<dyn DeviceFunction>,
}

impl Region for SimRegion {
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
        self.function.read_bar(self.index, offset, data);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), BarError> {
        self.function.write_bar(self.index, offset, data);
        Ok(())
    }
}

/// This process as the host of a function.
#[derive(Default)]
struct ProcessHost {
    maps: RwLock<BTreeMap<u64, DmaRequest>>,
    vectors: Mutex<BTreeMap<u16, EventFd>>,
}

impl ProcessHost {
    fn insert(&self, request: DmaRequest) {
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        maps.insert(request.iova, request);
    }

    fn remove(&self, iova: u64) {
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        maps.remove(&iova);
    }

    fn overlaps(&self, iova: u64, length: u64) -> bool {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        let before = maps.range(..iova + length).next_back();
        before.is_some_and(|(start, map)| start + (map.range.end - map.range.start) > iova)
    }

    fn set_vector(&self, vector: u16, event: EventFd) {
        let mut vectors = self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        vectors.insert(vector, event);
    }

    /// Calls `copy` with each map that the range crosses, the offset in its memory, and the bytes
    /// of the transfer that lie there.
    fn each(
        &self,
        iova: u64,
        length: usize,
        mut copy: impl FnMut(&DmaRequest, u64, std::ops::Range<usize>) -> Result<(), DmaError>,
    ) -> Result<(), DmaError> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        while done < length {
            let at = iova.wrapping_add(done as u64);
            let found = maps.range(..=at).next_back();
            let unmapped = DmaError::Unmapped { iova: at };
            let (start, map) = found.ok_or(unmapped)?;
            let left = (map.range.end - map.range.start).saturating_sub(at - start);
            if left == 0 {
                return Err(unmapped);
            }
            let bytes = usize::try_from(left).map_or(length - done, |left| left.min(length - done));
            copy(map, map.range.start + (at - start), done..done + bytes)?;
            done += bytes;
        }
        Ok(())
    }
}

impl HostPort for ProcessHost {
    fn dma_read(&self, iova: u64, data: &mut [u8]) -> Result<(), DmaError> {
        self.each(iova, data.len(), |map, offset, bytes| {
            if map.access == afi_pcie::bus::DmaAccess::Write {
                return Err(DmaError::Denied { iova });
            }
            let copied = map.memory.mapping().copy_out(offset, &mut data[bytes]);
            copied.map_err(|_| DmaError::NotMemory { iova })
        })
    }

    fn dma_write(&self, iova: u64, data: &[u8]) -> Result<(), DmaError> {
        self.each(iova, data.len(), |map, offset, bytes| {
            if map.access == afi_pcie::bus::DmaAccess::Read {
                return Err(DmaError::Denied { iova });
            }
            let copied = map.memory.mapping().copy_in(offset, &data[bytes]);
            copied.map_err(|_| DmaError::NotMemory { iova })
        })
    }

    fn dma_to_card(&self, iova: u64, card: &CardPart<'_>) -> Result<(), DmaError> {
        self.each(iova, card.length(), |map, offset, bytes| {
            if map.access == afi_pcie::bus::DmaAccess::Write {
                return Err(DmaError::Denied { iova });
            }
            let from = map.memory.mapping();
            let filled = card.fill_from_mapping(bytes.start, from, offset, bytes.len());
            filled.map_err(|_| DmaError::NotMemory { iova })
        })
    }

    fn dma_from_card(&self, iova: u64, card: &CardPart<'_>) -> Result<(), DmaError> {
        self.each(iova, card.length(), |map, offset, bytes| {
            if map.access == afi_pcie::bus::DmaAccess::Read {
                return Err(DmaError::Denied { iova });
            }
            let to = map.memory.mapping();
            let drained = card.drain_to_mapping(bytes.start, to, offset, bytes.len());
            drained.map_err(|_| DmaError::NotMemory { iova })
        })
    }

    fn dma_store(&self, iova: u64, word: u32) -> Result<(), DmaError> {
        self.each(iova, size_of::<u32>(), |map, offset, _| {
            if map.access == afi_pcie::bus::DmaAccess::Read {
                return Err(DmaError::Denied { iova });
            }
            // The address is that of a word, and maps end on pages: the word lies in one.
            let stored = map.memory.mapping().store_release(offset, word);
            stored.map_err(|_| DmaError::NotMemory { iova })
        })
    }

    fn msix(&self, vector: u16) {
        let vectors = self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = vectors.get(&vector).map(|event| event.write(1)) {
            tracing::debug!(vector, %error, "signalling an eventfd");
        }
    }
}
