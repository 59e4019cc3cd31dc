//! The DMA engine of a card that is served over sockets: the bytes go through descriptors of the
//! client's memory, and the client may be anybody.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use afi_pcie::bus::{Bus, Caching, DmaAccess, DmaMapping, DmaRequest, Function};
use afi_pcie::mailbox::Mailbox;
use afi_pcie::socket::SocketBus;
use afi_pcie::{Bar, Deadline, SharedMemory, slots};
use afi_proto::config_space::Command as PciCommand;
use afi_proto::mailbox::{CommandFlags, LoadRequest};
use afi_proto::vfio_user::{Command, DmaMap, Header, RegionAccess, Version};
use afi_proto::xdma::{
    BAR, Control, Descriptor, DescriptorFlags, Direction, Status, Target, WriteBack, channel, irq,
    sgdma,
};
use afi_proto::{AgfiId, BarIndex, Family, PciIds};
use afi_sim::device::Timing;
use afi_sim::image::{ImageSource, SlotImage};
use afi_sim::instance::{Instance, InstanceConfig, Served};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use zerocopy::{FromBytes, IntoBytes};

const BASE: u64 = 0x8_0000_0000;
const SIZE: u64 = 16 << 20;
const SHARE: u64 = 1 << 20;
const RINGS: u64 = SIZE - (64 << 10);
const WRITE_BACKS: u64 = SIZE - (4 << 10);
const PATIENCE: Duration = Duration::from_secs(30);
const STOP: DescriptorFlags = DescriptorFlags::STOP.union(DescriptorFlags::COMPLETED);

/// One image of `cl_dram_dma`.
struct DramDma;

impl ImageSource for DramDma {
    fn loadable(&self, agfi: AgfiId) -> Option<SlotImage> {
        Some(SlotImage {
            agfi,
            ids: PciIds::new(0x1D0F, 0xF001, 0xFEDC, 0x1D51),
            shell: Family::F1.profile().current_shell().version,
            model: "cl_dram_dma".to_owned(),
            data_retention: true,
            power_watts: 20,
            clocks_hz: [[125_000_000; 7]; 3],
        })
    }
}

/// A served card with the design loaded, and its AppPF opened with memory mapped for it.
struct Rig {
    function: Arc<dyn Function>,
    bar: Bar,
    memory: Arc<SharedMemory>,
    mapping: Option<DmaMapping>,
    socket: PathBuf,
    served: Option<Served>,
    _instance: Instance,
    _directory: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let instance = Instance::new(InstanceConfig {
            timing: Timing::INSTANT,
            ..InstanceConfig::new(Family::F1, 1, Arc::new(DramDma))
        });
        let served = instance.serve(directory.path()).unwrap();
        let bus = SocketBus::open(directory.path()).unwrap();
        let slot = slots::discover(&bus).unwrap().remove(0);
        let request = LoadRequest {
            image: AgfiId::from_cached(1),
            flags: CommandFlags::empty(),
            clocks_hz: [0; 3],
        };
        let deadline = Deadline::after(PATIENCE);
        let mailbox = Mailbox::open(&bus, &slot).unwrap();
        mailbox.load(&request, &deadline).unwrap();
        let function = bus.open(slot.app_bdf).unwrap();
        function
            .enable(PciCommand::MEMORY_SPACE | PciCommand::BUS_MASTER)
            .unwrap();
        let bar = function.bar(BAR, Caching::None).unwrap();
        let memory = Arc::new(SharedMemory::new("host", SIZE).unwrap());
        let mapping = function.map_dma(DmaRequest {
            memory: Arc::clone(&memory),
            range: 0..SIZE,
            iova: BASE,
            access: DmaAccess::ReadWrite,
        });
        Self {
            bar,
            memory,
            mapping: Some(mapping.unwrap()),
            socket: served.layout().socket(function.bdf()),
            function,
            served: Some(served),
            _instance: instance,
            _directory: directory,
        }
    }

    fn write(&self, target: Target, register: u64, value: u32) {
        self.bar.write32(target.offset() + register, value).unwrap();
    }

    fn status(&self, of: (Direction, u8)) -> Status {
        let offset = Target::Channel(of.0, of.1).offset() + channel::STATUS;
        Status::from_bits_retain(self.bar.read32(offset).unwrap())
    }

    fn ring(of: (Direction, u8)) -> u64 {
        RINGS + 0x1000 * u64::from(irq::channel_number(of.0, of.1))
    }

    fn write_back(&self, of: (Direction, u8)) -> WriteBack {
        let offset = WRITE_BACKS + 32 * u64::from(irq::channel_number(of.0, of.1));
        WriteBack::from_bits(self.memory.mapping().load(offset).unwrap())
    }

    /// Starts a channel at one descriptor.
    fn start(&self, of: (Direction, u8), descriptor: Descriptor) {
        let number = u64::from(irq::channel_number(of.0, of.1));
        let bytes = descriptor.as_bytes();
        self.memory
            .mapping()
            .copy_in(Self::ring(of), bytes)
            .unwrap();
        let offset = WRITE_BACKS + 32 * number;
        self.memory.mapping().store(offset, 0_u32).unwrap();
        let (block, fetcher) = (Target::Channel(of.0, of.1), Target::Sgdma(of.0, of.1));
        let (first, write_back) = (BASE + Self::ring(of), BASE + offset);
        self.write(fetcher, sgdma::FIRST_LOW, first as u32);
        self.write(fetcher, sgdma::FIRST_HIGH, (first >> 32) as u32);
        self.write(fetcher, sgdma::FIRST_ADJACENT, 0);
        self.write(block, channel::WRITE_BACK_LOW, write_back as u32);
        self.write(block, channel::WRITE_BACK_HIGH, (write_back >> 32) as u32);
        let control = Control::RUN
            | Control::ON_STOPPED
            | Control::ON_COMPLETED
            | Control::ON_IDLE
            | Control::ON_ERRORS
            | Control::WRITE_BACK;
        self.write(block, channel::CONTROL, control.bits());
    }

    fn stop(&self, of: (Direction, u8)) {
        let run = Control::RUN.bits();
        self.write(Target::Channel(of.0, of.1), channel::CONTROL_W1C, run);
    }

    fn wait(&self, mut done: impl FnMut() -> bool) {
        let started = Instant::now();
        while !done() {
            assert!(started.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
    }

    fn wait_idle(&self, of: (Direction, u8)) -> Status {
        self.wait(|| !self.status(of).contains(Status::BUSY));
        self.status(of)
    }
}

/// A client that sends what it likes.
struct Raw(UnixStream);

impl Raw {
    /// Connects and agrees on a version; `None` when somebody else has the place.
    fn connect(socket: &Path) -> Option<Self> {
        let raw = Self(UnixStream::connect(socket).unwrap());
        raw.0.set_read_timeout(Some(PATIENCE)).unwrap();
        let version = Version {
            major: 0.into(),
            minor: 1.into(),
        };
        let header = Header::command(0, Command::VERSION, Version::SIZE);
        let message = [header.as_bytes(), version.as_bytes()].concat();
        (&raw.0).write_all(&message).ok()?;
        let (header, _) = raw.receive()?;
        (header.error.get() == 0).then_some(raw)
    }

    fn receive(&self) -> Option<(Header, Vec<u8>)> {
        let mut header = [0; Header::SIZE];
        (&self.0).read_exact(&mut header).ok()?;
        let header = Header::read_from_bytes(&header).unwrap();
        let mut body = vec![0; header.size.get() as usize - Header::SIZE];
        (&self.0).read_exact(&mut body).ok()?;
        Some((header, body))
    }

    /// Maps all of a file for reading and writing.
    fn map(&self, file: &File) {
        let map = DmaMap {
            argsz: (DmaMap::SIZE as u32).into(),
            flags: 3.into(),
            offset: 0.into(),
            address: BASE.into(),
            size: SIZE.into(),
        };
        let header = Header::command(1, Command::DMA_MAP, DmaMap::SIZE);
        let bytes = [header.as_bytes(), map.as_bytes()].concat();
        let fds = [file.as_raw_fd()];
        let control = [ControlMessage::ScmRights(&fds)];
        let parts = [std::io::IoSlice::new(&bytes)];
        let socket = self.0.as_raw_fd();
        sendmsg::<UnixAddr>(socket, &parts, &control, MsgFlags::empty(), None).unwrap();
        assert_eq!(self.receive().unwrap().0.error.get(), 0);
    }

    /// Accesses a word of BAR2.
    fn call(&self, command: Command, offset: u64, data: &[u8]) -> Vec<u8> {
        let access = RegionAccess {
            offset: offset.into(),
            region: 2.into(),
            count: 4.into(),
        };
        let header = Header::command(2, command, RegionAccess::SIZE + data.len());
        let message = [header.as_bytes(), access.as_bytes(), data].concat();
        (&self.0).write_all(&message).unwrap();
        let (header, body) = self.receive().unwrap();
        assert_eq!(header.error.get(), 0);
        body
    }
}

fn bytes(seed: u64) -> Vec<u8> {
    let word = |at: u64| (at ^ seed << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..SHARE / 8)
        .flat_map(|at| word(at).to_le_bytes())
        .collect()
}

#[test]
fn four_channels_each_way_in_parallel_by_write_back() {
    let rig = Rig::new();
    let each = |direction: Direction, descriptor: &dyn Fn(u64) -> Descriptor| {
        for number in 0..4_u8 {
            rig.start((direction, number), descriptor(number.into()));
        }
        for number in 0..4 {
            let of = (direction, number);
            rig.wait(|| rig.write_back(of).completed == 1);
            assert!(!rig.write_back(of).error);
            assert_eq!(rig.wait_idle(of), Status::STOPPED | Status::COMPLETED);
            rig.stop(of);
        }
    };
    let card = |number: u64| number << 34 | 0x777;
    for round in 0..4 {
        for number in 0..4 {
            let data = bytes(number << 8 | round);
            rig.memory.mapping().copy_in(number * SHARE, &data).unwrap();
        }
        each(Direction::H2c, &|number| {
            Descriptor::new(BASE + number * SHARE, card(number), SHARE as u32, STOP)
        });
        each(Direction::C2h, &|number| {
            let destination = BASE + (4 + number) * SHARE;
            Descriptor::new(card(number), destination, SHARE as u32, STOP)
        });
        for number in 0..4 {
            let mut data = vec![0; SHARE as usize];
            let from = (4 + number) * SHARE;
            rig.memory.mapping().copy_out(from, &mut data).unwrap();
            assert!(data == bytes(number << 8 | round), "channel {number}");
        }
    }
}

#[test]
fn unwritten_memory_arrives_as_zeros() {
    let rig = Rig::new();
    rig.memory.mapping().copy_in(0, &bytes(1)).unwrap();
    let of = (Direction::C2h, 0);
    rig.start(of, Descriptor::new(0x5_0000_0001, BASE, SHARE as u32, STOP));
    assert_eq!(rig.wait_idle(of), Status::STOPPED | Status::COMPLETED);
    let mut data = vec![1; SHARE as usize];
    rig.memory.mapping().copy_out(0, &mut data).unwrap();
    assert!(data.iter().all(|byte| *byte == 0));
}

#[test]
fn an_interrupt_arrives_after_the_data() {
    let rig = Rig::new();
    let mut event = File::from(rig.function.msix(4).unwrap());
    let of = (Direction::C2h, 0);
    rig.write(Target::Irq, irq::CHANNEL_VECTORS + 4, 4);
    let bit = 1 << irq::channel_number(of.0, of.1);
    rig.write(Target::Irq, irq::CHANNEL_ENABLE_W1S, bit);
    let block = Target::Channel(of.0, of.1);
    rig.write(block, channel::INTERRUPT_ENABLE, Status::STOPPED.bits());
    let pcis = rig.function.bar(BarIndex::BAR4, Caching::None).unwrap();
    for round in 1..50_u32 {
        pcis.write32(0xFFC, round).unwrap();
        rig.start(of, Descriptor::new(0, BASE, 4096, STOP));
        let mut count = [0; 8];
        rig.wait(|| event.read_exact(&mut count).is_ok());
        assert_eq!(rig.memory.mapping().load::<u32>(0xFFC), Ok(round));
        assert_eq!(rig.write_back(of).completed, 1);
        let cleared = rig.bar.read32(block.offset() + channel::STATUS_RC).unwrap();
        assert!(cleared & Status::STOPPED.bits() != 0);
        rig.stop(of);
    }
}

#[test]
fn an_unmapped_source_is_an_error_and_the_other_channels_go_on() {
    let mut rig = Rig::new();
    let (bad, endless) = ((Direction::H2c, 0), (Direction::H2c, 1));
    let forever = Descriptor::new(BASE, 0, 4096, DescriptorFlags::COMPLETED);
    rig.start(endless, forever.followed_by(BASE + Rig::ring(endless), 0));
    rig.start(bad, Descriptor::new(BASE + SIZE - 8, 0, 16, STOP));
    assert_eq!(rig.wait_idle(bad), Status::READ_0);
    assert!(rig.write_back(bad).error);
    assert!(rig.status(endless).contains(Status::BUSY));
    // Unmapped in flight: the client has its memory to itself once the answer is there.
    rig.mapping = None;
    let told = rig.write_back(endless);
    // Whichever it was at: the fetch of a descriptor, or of the data of one that it had fetched.
    let refused = Status::DESCRIPTOR_UNSUPPORTED | Status::READ_0;
    let ended = rig.wait_idle(endless);
    assert!(
        (ended & Status::ERRORS).iter().count() == 1 && refused.contains(ended & Status::ERRORS)
    );
    assert_eq!(rig.write_back(endless), told);
}

#[test]
fn a_chain_without_end_holds_up_neither_registers_nor_the_end_of_the_server() {
    let mut rig = Rig::new();
    for number in 0..4 {
        let of = (Direction::H2c, number);
        let forever = Descriptor::new(BASE, 0, 64, DescriptorFlags::empty());
        rig.start(of, forever.followed_by(BASE + Rig::ring(of), 0));
    }
    for _ in 0..200 {
        assert_eq!(rig.status((Direction::H2c, 3)), Status::BUSY);
    }
    let started = Instant::now();
    rig.served = None;
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn a_client_that_shrinks_its_file_gets_errors_and_the_card_lives_on() {
    let rig = Rig::new();
    let (socket, of) = (rig.socket.clone(), (Direction::H2c, 2));
    let Rig {
        served,
        function,
        bar,
        mapping,
        _instance,
        _directory,
        ..
    } = rig;
    drop((mapping, bar, function));
    let hostile = || {
        let started = Instant::now();
        loop {
            match Raw::connect(&socket) {
                Some(raw) => return raw,
                None => assert!(started.elapsed() < PATIENCE, "the place is never free"),
            }
        }
    };
    let raw = hostile();
    let file = tempfile::tempfile().unwrap();
    file.set_len(SIZE).unwrap();
    raw.map(&file);
    file.set_len(0).unwrap();
    let write = |offset: u64, value: u32| {
        raw.call(Command::REGION_WRITE, offset, &value.to_le_bytes());
    };
    let read = |offset: u64| {
        let answer = raw.call(Command::REGION_READ, offset, &[]);
        u32::from_le_bytes(answer[RegionAccess::SIZE..].try_into().unwrap())
    };
    let (block, fetcher) = (
        Target::Channel(of.0, of.1).offset(),
        Target::Sgdma(of.0, of.1).offset(),
    );
    write(fetcher + sgdma::FIRST_LOW, BASE as u32);
    write(fetcher + sgdma::FIRST_HIGH, (BASE >> 32) as u32);
    let control = Control::RUN | Control::ON_ERRORS;
    write(block + channel::CONTROL, control.bits());
    let started = Instant::now();
    while read(block + channel::STATUS) & Status::BUSY.bits() != 0 {
        assert!(started.elapsed() < PATIENCE);
    }
    assert_eq!(
        read(block + channel::STATUS),
        Status::DESCRIPTOR_ABORTED.bits()
    );
    drop(raw);
    drop(hostile());
    drop(served);
}
