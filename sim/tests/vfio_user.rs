//! Our client against our server, and hostile clients against our server.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use afi_pcie::bus::{Bus, Caching, DmaAccess, DmaRequest, Function};
use afi_pcie::socket::{Layout, SocketBus};
use afi_pcie::vfio_user::{Client, ClientError};
use afi_pcie::{BusError, SharedMemory};
use afi_proto::BarIndex;
use afi_proto::vfio_user::{Command, DmaMap, Header, RegionAccess, Version, region};
use afi_sim::function::DmaError;
use afi_sim::server::FunctionServer;
use common::{BAR4_MEMORY, BAR4_SIZE, Ram};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use proptest::prelude::*;
use zerocopy::{FromBytes, IntoBytes};

/// A served function, and the bus it is on.
struct Rig {
    ram: Arc<Ram>,
    server: Option<FunctionServer>,
    layout: Layout,
    _directory: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        for path in [layout.devices(), layout.host(), layout.locks()] {
            std::fs::create_dir(path).unwrap();
        }
        let ram = Ram::new();
        let server = FunctionServer::start(Arc::<Ram>::clone(&ram), &layout.socket(ram.bdf));
        let rig = Self {
            ram,
            server: Some(server.unwrap()),
            layout,
            _directory: directory,
        };
        rig.bus().rescan(rig.ram.bdf).unwrap();
        rig
    }

    fn bus(&self) -> SocketBus {
        SocketBus::open(self.layout.root()).unwrap()
    }

    fn open(&self) -> Arc<dyn Function> {
        self.bus().open(self.ram.bdf).unwrap()
    }

    fn socket(&self) -> PathBuf {
        self.layout.socket(self.ram.bdf)
    }

    /// A raw connection that has agreed on a version.
    fn raw(&self) -> UnixStream {
        let mut stream = self.raw_silent();
        let version = Version {
            major: 0.into(),
            minor: 1.into(),
        };
        let header = Header::command(0, Command::VERSION, Version::SIZE);
        stream
            .write_all(&[header.as_bytes(), version.as_bytes()].concat())
            .unwrap();
        let (header, _) = receive(&mut stream).expect("an answer to VERSION");
        assert_eq!(header.error.get(), 0);
        stream
    }

    fn raw_silent(&self) -> UnixStream {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let stream = UnixStream::connect(self.socket()).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            // A refusal comes unasked; a connection that is taken stays silent.
            stream.set_nonblocking(true).unwrap();
            std::thread::sleep(Duration::from_millis(1));
            let refused = (&stream).read(&mut [0; 16]).is_ok();
            stream.set_nonblocking(false).unwrap();
            if !refused {
                return stream;
            }
            assert!(
                Instant::now() < end,
                "the server never lets go of its last client"
            );
        }
    }

    /// The server serves somebody who behaves.
    fn assert_alive(&self) {
        let mut data = [0; 4];
        self.open().read_config(0, &mut data).unwrap();
        assert_eq!(data, [0x0F, 0x1D, 0x00, 0xF0]);
    }
}

fn receive(stream: &mut UnixStream) -> Option<(Header, Vec<u8>)> {
    let mut header = [0; Header::SIZE];
    stream.read_exact(&mut header).ok()?;
    let header = Header::read_from_bytes(&header).unwrap();
    let mut body = vec![0; header.size.get() as usize - Header::SIZE];
    stream.read_exact(&mut body).ok()?;
    Some((header, body))
}

#[test]
fn configuration_space_and_trapped_registers() {
    let rig = Rig::new();
    let function = rig.open();
    assert_eq!(function.live_ids().unwrap().device, 0xF000);
    function.write_config(0x3C, &[7]).unwrap();
    assert_eq!(rig.ram.config.lock().unwrap()[0x3C], 7);
    let bar = function.bar(BarIndex::BAR0, Caching::None).unwrap();
    assert!(!bar.is_mapped());
    bar.write32(0x500, 0xEFBE_ADDE).unwrap();
    assert_eq!(
        *rig.ram.written.lock().unwrap(),
        [(0x500, vec![0xDE, 0xAD, 0xBE, 0xEF])]
    );
    assert_eq!(bar.read32(0x500), Ok(1));
    assert!(matches!(
        function.bar(BarIndex::BAR1, Caching::None),
        Err(BusError::NoBar { .. })
    ));
    let mut beyond = [0; 8];
    let error = function.read_config(4092, &mut beyond).unwrap_err();
    assert!(matches!(error, BusError::NoConfig { .. }));
}

#[test]
fn repeated_accesses_keep_their_order_and_number() {
    let rig = Rig::new();
    let bar = rig.open().bar(BarIndex::BAR0, Caching::None).unwrap();
    let mut words = vec![0; 300];
    bar.read_repeated(0x34, &mut words).unwrap();
    assert_eq!(words, (1..=300).collect::<Vec<u32>>());
    bar.write_repeated(0x24, &words).unwrap();
    let written = rig.ram.written.lock().unwrap();
    let expected: Vec<_> = words
        .iter()
        .map(|w| (0x24, w.to_le_bytes().to_vec()))
        .collect();
    assert_eq!(*written, expected);
}

#[test]
fn memory_is_mapped_and_shared() {
    let rig = Rig::new();
    let bar = rig
        .open()
        .bar(BarIndex::BAR2, Caching::WriteCombining)
        .unwrap();
    assert!(bar.is_mapped());
    bar.write64(0x1000, 0x0123_4567_89AB_CDEF).unwrap();
    assert_eq!(
        rig.ram.memory.mapping().load::<u64>(0x1000),
        Ok(0x0123_4567_89AB_CDEF)
    );
    assert_eq!(rig.ram.accesses.load(Ordering::SeqCst), 0);
}

#[test]
fn a_bar_that_is_memory_in_part_is_mapped_in_part() {
    let rig = Rig::new();
    let bar = rig.open().bar(BarIndex::BAR4, Caching::None).unwrap();
    assert_eq!(bar.length(), BAR4_SIZE);
    bar.write32(BAR4_MEMORY - 4, 5).unwrap();
    assert_eq!(rig.ram.part.mapping().load::<u32>(BAR4_MEMORY - 4), Ok(5));
    bar.write32(BAR4_MEMORY, 6).unwrap();
    assert_eq!(
        *rig.ram.written.lock().unwrap(),
        [(BAR4_MEMORY, vec![6, 0, 0, 0])]
    );
}

#[test]
fn dma_memory_is_reachable_until_it_is_unmapped() {
    let rig = Rig::new();
    let function = rig.open();
    let memory = Arc::new(SharedMemory::new("dma", 64 << 10).unwrap());
    let request = DmaRequest {
        memory: Arc::clone(&memory),
        range: 0x1000..0x3000,
        iova: 0x8_0000_0000,
        access: DmaAccess::ReadWrite,
    };
    let mapping = function.map_dma(request.clone()).unwrap();
    let host = rig.ram.host();
    host.dma_write(0x8_0000_0FFE, &[1, 2, 3, 4]).unwrap();
    assert_eq!(memory.mapping().load::<u16>(0x1FFE), Ok(0x0201));
    let taken = function.map_dma(DmaRequest {
        range: 0..0x1000,
        ..request.clone()
    });
    assert!(matches!(taken, Err(BusError::Refused { .. })));
    let crooked = function.map_dma(DmaRequest {
        range: 1..0x1000,
        ..request
    });
    assert!(matches!(crooked, Err(BusError::Io { .. })));
    drop(mapping);
    let error = host.dma_read(0x8_0000_0000, &mut [0]).unwrap_err();
    assert_eq!(
        error,
        DmaError::Unmapped {
            iova: 0x8_0000_0000
        }
    );
}

#[test]
fn an_interrupt_reaches_its_eventfd() {
    let rig = Rig::new();
    let function = rig.open();
    let event = function.msix(3).unwrap();
    let mut file = File::from(event);
    let mut count = [0; 8];
    assert!(file.read(&mut count).is_err());
    rig.ram.host().msix(3);
    rig.ram.host().msix(3);
    file.read_exact(&mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 2);
    assert!(matches!(function.msix(4), Err(BusError::Refused { .. })));
}

#[test]
fn a_reset_arrives_and_what_the_host_set_up_is_put_back() {
    let rig = Rig::new();
    let function = rig.open();
    function.write_config(0x10, &[0, 0, 0, 0xC0]).unwrap();
    let before = function.command().unwrap();
    assert!(!before.is_empty(), "enumeration switches memory space on");
    function.reset().unwrap();
    assert_eq!(rig.ram.resets.load(Ordering::SeqCst), 1);
    assert_eq!(function.command().unwrap(), before);
    let mut bar = [0; 4];
    function.read_config(0x10, &mut bar).unwrap();
    assert_eq!(bar, [0, 0, 0, 0xC0]);
}

#[test]
fn a_second_client_is_refused_at_once_and_the_first_goes_on() {
    let rig = Rig::new();
    let first = rig.open();
    let started = Instant::now();
    let refused = Client::connect(&rig.socket()).unwrap_err();
    assert!(matches!(refused, ClientError::InUse), "{refused:?}");
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    assert!(matches!(
        rig.bus().open(rig.ram.bdf),
        Err(BusError::InUse { .. })
    ));
    assert_eq!(first.live_ids().unwrap().vendor, 0x1D0F);
}

#[test]
fn clients_come_and_go_and_leave_nothing_behind() {
    let rig = Rig::new();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut before = 0;
    for round in 0..500 {
        let function = rig.open();
        let _event = function.msix(0).unwrap();
        if round == 10 {
            before = open();
        }
    }
    rig.assert_alive();
    assert!(
        open() <= before + 8,
        "{} descriptors, then {}",
        before,
        open()
    );
}

#[test]
fn what_a_client_gave_is_let_go_when_it_leaves() {
    let rig = Rig::new();
    let function = rig.open();
    let memory = Arc::new(SharedMemory::new("dma", 4096).unwrap());
    let request = DmaRequest {
        memory,
        range: 0..4096,
        iova: 0,
        access: DmaAccess::Read,
    };
    let mapping = function.map_dma(request).unwrap();
    let host = rig.ram.host();
    assert_eq!(host.dma_read(0, &mut [0]), Ok(()));
    // The mapping keeps the connection. A process that is killed closes it without an unmap:
    // a raw client that maps the same way, and then only closes.
    drop(mapping);
    drop(function);
    let mut raw = rig.raw();
    let map = DmaMap {
        argsz: 32.into(),
        flags: 3.into(),
        offset: 0.into(),
        address: 0x5000.into(),
        size: 4096.into(),
    };
    let header = Header::command(1, Command::DMA_MAP, DmaMap::SIZE);
    raw.write_all(&[header.as_bytes(), map.as_bytes()].concat())
        .unwrap();
    assert_eq!(receive(&mut raw).unwrap().0.error.get(), 0);
    let host = rig.ram.host();
    let not_memory = DmaError::NotMemory { iova: 0x5000 };
    assert_eq!(host.dma_read(0x5000, &mut [0]), Err(not_memory));
    drop(raw);
    rig.assert_alive();
    assert_eq!(
        host.dma_read(0x5000, &mut [0]),
        Err(DmaError::Unmapped { iova: 0x5000 })
    );
}

#[test]
fn a_server_that_ends_is_seen_as_a_device_that_is_gone() {
    let mut rig = Rig::new();
    let function = rig.open();
    let bar = function.bar(BarIndex::BAR0, Caching::None).unwrap();
    rig.server = None;
    assert!(matches!(function.live_ids(), Err(BusError::Gone { .. })));
    assert!(bar.read32(0).is_err());
    assert!(!rig.socket().exists());
    assert!(matches!(
        rig.bus().open(rig.ram.bdf),
        Err(BusError::NotFound { .. })
    ));
}

#[test]
fn malformed_commands_are_refused_and_the_stream_stays_in_step() {
    let rig = Rig::new();
    let mut stream = rig.raw();
    let access = |index: u32, offset: u64, count: u32| RegionAccess {
        offset: offset.into(),
        region: index.into(),
        count: count.into(),
    };
    let refused: Vec<(Command, Vec<u8>)> = vec![
        (Command::REGION_READ, vec![]),
        (Command::REGION_READ, access(0, 0, 0).as_bytes().to_vec()),
        (
            Command::REGION_READ,
            access(0, 0, u32::MAX).as_bytes().to_vec(),
        ),
        (
            Command::REGION_READ,
            access(0, u64::MAX, 4).as_bytes().to_vec(),
        ),
        (Command::REGION_READ, access(1, 0, 4).as_bytes().to_vec()),
        (
            Command::REGION_READ,
            access(u32::MAX, 0, 4).as_bytes().to_vec(),
        ),
        (
            Command::REGION_READ,
            access(region::CONFIG, 4095, 2).as_bytes().to_vec(),
        ),
        (Command::REGION_WRITE, access(0, 0, 4).as_bytes().to_vec()),
        (Command::DMA_MAP, vec![0xFF; DmaMap::SIZE]),
        (Command::DEVICE_GET_REGION_INFO, vec![0xFF; 32]),
        (Command::DEVICE_GET_IRQ_INFO, vec![0xFF; 16]),
        (Command::DEVICE_SET_IRQS, vec![0xFF; 20]),
        (Command::DEVICE_FEATURE, vec![1, 2, 3]),
        (Command(99), vec![0; 1000]),
    ];
    for (id, (command, body)) in refused.iter().enumerate() {
        let header = Header::command(id as u16, *command, body.len());
        stream
            .write_all(&[header.as_bytes(), body].concat())
            .unwrap();
        let (reply, body) = receive(&mut stream).expect("a reply");
        assert_eq!(reply.id.get(), id as u16);
        assert_ne!(reply.error.get(), 0, "{command} was taken");
        assert!(body.is_empty());
    }
    let info = Header::command(77, Command::DEVICE_GET_INFO, 16);
    stream
        .write_all(&[info.as_bytes(), &[0; 16]].concat())
        .unwrap();
    assert_eq!(receive(&mut stream).unwrap().1.len(), 16);
}

#[test]
fn a_stream_that_is_out_of_step_is_ended() {
    let rig = Rig::new();
    let oversized = {
        let mut header = Header::command(0, Command::REGION_WRITE, 0);
        header.size = u32::MAX.into();
        header
    };
    let undersized = {
        let mut header = Header::command(0, Command::REGION_WRITE, 0);
        header.size = 3.into();
        header
    };
    let reply = Header::reply(0, Command::REGION_READ, 0);
    let again = Header::command(0, Command::VERSION, 0);
    for header in [oversized, undersized, reply, again] {
        let mut stream = rig.raw();
        stream.write_all(header.as_bytes()).unwrap();
        while receive(&mut stream).is_some() {}
        rig.assert_alive();
    }
    let mut stream = rig.raw_silent();
    let early = Header::command(0, Command::DEVICE_RESET, 0);
    stream.write_all(early.as_bytes()).unwrap();
    while receive(&mut stream).is_some() {}
    rig.assert_alive();
    assert_eq!(rig.ram.resets.load(Ordering::SeqCst), 0);
}

#[test]
fn a_version_that_is_none_is_refused() {
    let rig = Rig::new();
    for body in [
        &b"\0\0"[..],
        b"\x01\0\0\0",
        b"\0\0\x01\0{",
        b"\0\0\x01\0[]\0",
        b"\0\0\x01\0\xFF\xFF\0",
    ] {
        let mut stream = rig.raw_silent();
        let header = Header::command(5, Command::VERSION, body.len());
        stream
            .write_all(&[header.as_bytes(), body].concat())
            .unwrap();
        let reply = receive(&mut stream).map(|(header, _)| header.error.get());
        if body != b"\0\0\x01\0[]\0" {
            assert!(reply.is_some_and(|errno| errno != 0), "{body:?}: {reply:?}");
        }
        drop(stream);
        rig.assert_alive();
    }
}

#[test]
fn descriptors_without_end_cost_the_sender_its_connection() {
    let rig = Rig::new();
    let file = File::open("/dev/null").unwrap();
    let stream = rig.raw();
    let fds = vec![std::os::fd::AsRawFd::as_raw_fd(&file); 200];
    let header = Header::command(0, Command::DMA_MAP, 32);
    let control = [ControlMessage::ScmRights(&fds)];
    let bytes = [std::io::IoSlice::new(header.as_bytes())];
    let fd = std::os::fd::AsRawFd::as_raw_fd(&stream.as_fd());
    sendmsg::<UnixAddr>(fd, &bytes, &control, MsgFlags::empty(), None).unwrap();
    let mut stream = stream;
    assert!(receive(&mut stream).is_none());
    drop(stream);
    rig.assert_alive();
    let null = std::fs::read_dir("/proc/self/fd").unwrap().filter(|entry| {
        let path = entry.as_ref().unwrap().path();
        std::fs::read_link(path).is_ok_and(|target| target.ends_with("dev/null"))
    });
    assert!(
        null.count() < 100,
        "descriptors of the refused message stay open"
    );
}

#[test]
fn a_client_that_stops_inside_a_message_loses_its_place() {
    let rig = Rig::new();
    let mut stalled = rig.raw();
    stalled.write_all(&[0; 7]).unwrap();
    let started = Instant::now();
    while Client::connect(&rig.socket()).is_err() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "the place is never free"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes, the next client is served.
    #[test]
    fn no_bytes_end_the_server(
        negotiate: bool,
        frames in proptest::collection::vec(
            (0u16..20, proptest::collection::vec(any::<u8>(), 0..80), -3i32..4, 0u32..64), 0..12),
        tail in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let rig = Rig::new();
        let mut stream = if negotiate { rig.raw() } else { rig.raw_silent() };
        for (command, body, lie, flags) in frames {
            let mut header = Header::command(1, Command(command), body.len());
            header.size = header.size.get().wrapping_add_signed(lie).into();
            header.flags = if flags < 48 { 0.into() } else { flags.into() };
            if stream.write_all(&[header.as_bytes(), &body].concat()).is_err() {
                break;
            }
        }
        let _ = stream.write_all(&tail);
        drop(stream);
        rig.assert_alive();
    }
}
