//! Other people's software at the other end: the `vfio_user` crate's client against our server, and
//! its server against our client.

mod common;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use afi_pcie::SharedMemory;
use afi_pcie::bus::{DmaAccess, DmaRequest};
use afi_pcie::vfio_user::Client;
use afi_proto::vfio_user::{IrqSetFlags, RegionFlags, irq, region};
use afi_sim::server::FunctionServer;
use common::{BAR0_SIZE, BAR4_MEMORY, BAR4_SIZE, Ram};
use vfio_bindings::bindings::vfio::{vfio_region_info, vfio_region_sparse_mmap_area};
use vfio_user::{
    DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion, SparseArea,
};

#[test]
fn their_client_finds_reads_and_writes_our_function() {
    let directory = tempfile::tempdir().unwrap();
    let ram = Ram::new();
    let socket = directory.path().join("device.sock");
    let _server = FunctionServer::start(Arc::<Ram>::clone(&ram), &socket).unwrap();
    let mut client = vfio_user::Client::new(&socket).unwrap();

    assert_eq!(client.region(region::CONFIG).unwrap().size, 4096);
    assert_eq!(client.region(0).unwrap().size, BAR0_SIZE);
    assert!(client.region(0).unwrap().file_offset.is_none());
    let mut ids = [0; 4];
    client.region_read(region::CONFIG, 0, &mut ids).unwrap();
    assert_eq!(ids, [0x0F, 0x1D, 0x00, 0xF0]);
    client.region_write(0, 0x500, &[1, 2, 3, 4]).unwrap();
    assert_eq!(*ram.written.lock().unwrap(), [(0x500, vec![1, 2, 3, 4])]);

    let whole = client.region(2).unwrap();
    assert!(whole.file_offset.is_some() && whole.sparse_areas.is_empty());
    let part = client.region(4).unwrap();
    assert_eq!(part.size, BAR4_SIZE);
    assert!(part.file_offset.is_some());
    let areas: Vec<_> = part
        .sparse_areas
        .iter()
        .map(|area| (area.offset, area.size))
        .collect();
    assert_eq!(areas, [(0, BAR4_MEMORY)]);
    client.reset().unwrap();
    assert_eq!(ram.resets.load(Ordering::SeqCst), 1);
}

#[test]
fn their_client_shares_memory_and_takes_interrupts() {
    let directory = tempfile::tempdir().unwrap();
    let ram = Ram::new();
    let socket = directory.path().join("device.sock");
    let _server = FunctionServer::start(Arc::<Ram>::clone(&ram), &socket).unwrap();
    let mut client = vfio_user::Client::new(&socket).unwrap();

    let memory = SharedMemory::new("theirs", 8192).unwrap();
    client
        .dma_map(4096, 0x10_0000, 4096, memory.file().as_raw_fd())
        .unwrap();
    ram.host().dma_write(0x10_0010, &[9, 9]).unwrap();
    assert_eq!(memory.mapping().load::<u16>(4096 + 0x10), Ok(0x0909));
    client.dma_unmap(0x10_0000, 4096).unwrap();
    assert!(ram.host().dma_write(0x10_0010, &[9]).is_err());

    assert_eq!(client.get_irq_info(irq::MSIX).unwrap().count, 4);
    let event = nix::sys::eventfd::EventFd::new().unwrap();
    let flags = IrqSetFlags::DATA_EVENTFD | IrqSetFlags::ACTION_TRIGGER;
    let fd = std::os::fd::AsFd::as_fd(&event).as_raw_fd();
    client
        .set_irqs(irq::MSIX, flags.bits(), 2, 1, &[fd])
        .unwrap();
    ram.host().msix(2);
    assert_eq!(event.read(), Ok(1));
}

/// What their server was asked.
#[derive(Default)]
struct Asked {
    written: Vec<(u32, u64, Vec<u8>)>,
    maps: Vec<(u64, u64, u64, bool)>,
    unmaps: Vec<(u64, u64)>,
    resets: u32,
    vectors: Vec<(u32, usize)>,
}

struct Backend(Arc<Mutex<Asked>>);

impl ServerBackend for Backend {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> std::io::Result<()> {
        for (at, byte) in data.iter_mut().enumerate() {
            *byte = region as u8 ^ (offset as u8).wrapping_add(at as u8);
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0
            .lock()
            .unwrap()
            .written
            .push((region, offset, data.to_vec()));
        Ok(())
    }

    fn dma_map(
        &mut self,
        _: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        fd: Option<File>,
    ) -> std::io::Result<()> {
        self.0
            .lock()
            .unwrap()
            .maps
            .push((offset, address, size, fd.is_some()));
        Ok(())
    }

    fn dma_unmap(&mut self, _: DmaUnmapFlags, address: u64, size: u64) -> std::io::Result<()> {
        self.0.lock().unwrap().unmaps.push((address, size));
        Ok(())
    }

    fn reset(&mut self) -> std::io::Result<()> {
        self.0.lock().unwrap().resets += 1;
        Ok(())
    }

    fn set_irqs(
        &mut self,
        index: u32,
        _: u32,
        _: u32,
        _: u32,
        fds: Vec<File>,
    ) -> std::io::Result<()> {
        self.0.lock().unwrap().vectors.push((index, fds.len()));
        Ok(())
    }
}

/// Their server, with one trapped BAR, configuration space, and one BAR that is a file.
fn serve(directory: &Path, memory: &SharedMemory) -> (PathBuf, Arc<Mutex<Asked>>, JoinHandle<()>) {
    let socket = directory.join("theirs.sock");
    let half = SparseArea {
        area: vfio_region_sparse_mmap_area {
            offset: 0,
            size: memory.length() / 2,
        },
    };
    let regions = (0..region::COUNT).map(|index| {
        let mappable = index == 2;
        let size = match index {
            0 | region::CONFIG => 4096,
            2 => memory.length(),
            _ => 0,
        };
        let flags = match mappable {
            true => RegionFlags::READ | RegionFlags::WRITE | RegionFlags::MMAP,
            false => RegionFlags::READ | RegionFlags::WRITE,
        };
        ServerRegion {
            region_info: vfio_region_info {
                argsz: 32,
                index,
                flags: flags.bits(),
                size,
                ..Default::default()
            },
            // Their server passes a descriptor only with a list of areas.
            sparse_areas: mappable.then_some(half).into_iter().collect(),
            mmap_fd: mappable.then(|| memory.file().as_raw_fd()),
        }
    });
    let irqs = (0..irq::COUNT).map(|index| IrqInfo {
        index,
        flags: 1,
        count: if index == irq::MSIX { 8 } else { 0 },
    });
    let server = Server::new(&socket, true, irqs.collect(), regions.collect()).unwrap();
    let asked = Arc::new(Mutex::new(Asked::default()));
    let mut backend = Backend(Arc::clone(&asked));
    let thread = std::thread::spawn(move || server.run(&mut backend).unwrap());
    (socket, asked, thread)
}

#[test]
fn our_client_uses_their_server() {
    let directory = tempfile::tempdir().unwrap();
    let bar = SharedMemory::new("their bar", 65536).unwrap();
    let (socket, asked, thread) = serve(directory.path(), &bar);
    let mut client = Client::connect(&socket).unwrap();

    let mut data = [0; 4];
    client.read(0, 0x10, &mut data).unwrap();
    assert_eq!(data, [0x10, 0x11, 0x12, 0x13]);
    client.write(0, 0x20, &[7, 8]).unwrap();
    let mut words = [0; 100];
    client.read_repeated(0, 0, &mut words).unwrap();
    assert!(words.iter().all(|word| *word == 0x0302_0100));

    let details = client.region(2).unwrap();
    assert_eq!(details.size, 65536);
    assert_eq!(details.mappable.unwrap().length, 32768);

    let memory = Arc::new(SharedMemory::new("ours", 8192).unwrap());
    let request = DmaRequest {
        memory,
        range: 4096..8192,
        iova: 0x1000,
        access: DmaAccess::ReadWrite,
    };
    client.map_dma(&request).unwrap();
    client.unmap_dma(0x1000, 4096).unwrap();
    assert_eq!(client.msix_vectors().unwrap(), 8);
    let event = nix::sys::eventfd::EventFd::new().unwrap();
    client
        .set_msix(1, Some(std::os::fd::AsFd::as_fd(&event)))
        .unwrap();
    drop(client);
    thread.join().unwrap();

    let asked = asked.lock().unwrap();
    assert_eq!(asked.written, [(0, 0x20, vec![7, 8])]);
    assert_eq!(asked.maps, [(4096, 0x1000, 4096, true)]);
    assert_eq!(asked.unmaps, [(0x1000, 4096)]);
    assert_eq!(asked.vectors, [(irq::MSIX, 1)]);
}
