//! Instruction counts of the hot paths, under callgrind: the same on a busy machine and on a quiet
//! one. `benches/gate` compares them with `benches/instructions/baseline.json`.
#![expect(
    missing_docs,
    unused_qualifications,
    reason = "what the macros expand to"
)]

use std::hint::black_box;
use std::time::Duration;

use afi_benches::{Bench, NullEngine};
use afi_pcie::mailbox::Mailbox;
use afi_pcie::xdma::Channel;
use afi_pcie::{Bar, Bus, Deadline, DmaBuffer, SharedMemory, pcis, slots};
use afi_proto::mailbox::CommandFlags;
use afi_proto::xdma::{Descriptor, DescriptorFlags, Direction};
use gungraun::{
    Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};

/// Accesses in one run.
const ACCESSES: u64 = 1024;

fn bar() -> Bar {
    let memory = SharedMemory::new("bench", 1 << 20).expect("memory for the benchmark");
    Bar::mapped(memory.mapping().clone())
}

#[library_benchmark(setup = bar)]
fn read32(bar: Bar) -> u32 {
    let read = |sum: u32, at| sum.wrapping_add(bar.read32(black_box(at * 4)).expect("in the BAR"));
    (0..ACCESSES).fold(0, read)
}

#[library_benchmark(setup = bar)]
fn write32(bar: Bar) {
    for at in 0..ACCESSES {
        bar.write32(black_box(at * 4), at as u32)
            .expect("in the BAR");
    }
}

library_benchmark_group!(name = registers, benchmarks = [read32, write32]);

fn mailbox() -> (Bench, Mailbox) {
    let bench = Bench::start().expect("a simulated instance");
    let mailbox = Bench::mailbox(bench.in_process.as_ref()).expect("the slot's mailbox");
    (bench, mailbox)
}

#[library_benchmark(setup = mailbox)]
fn metrics((bench, mailbox): (Bench, Mailbox)) -> Bench {
    let deadline = Deadline::after(Duration::from_secs(60));
    let answer = mailbox.describe(CommandFlags::GET_HW_METRICS, &deadline);
    black_box(answer).expect("an answer");
    bench
}

fn bus() -> Bench {
    Bench::start().expect("a simulated instance")
}

#[library_benchmark(setup = bus)]
fn discover(bench: Bench) -> Bench {
    let bus: &dyn Bus = bench.in_process.as_ref();
    black_box(slots::discover(bus)).expect("a slot");
    bench
}

library_benchmark_group!(name = slot, benchmarks = [metrics, discover]);

fn ring() -> Vec<Descriptor> {
    vec![Descriptor::default(); 512]
}

#[library_benchmark(setup = ring)]
fn descriptors(mut ring: Vec<Descriptor>) -> Vec<Descriptor> {
    for (at, place) in ring.iter_mut().enumerate() {
        let at = black_box(at as u64);
        let next = 0x1_0000_0000 + (at + 1) * Descriptor::SIZE as u64;
        *place = Descriptor::new(at << 12, at << 14, 4096, DescriptorFlags::COMPLETED)
            .followed_by(next, Descriptor::adjacent_room(next));
    }
    ring
}

/// A channel of an engine that takes no time, and a buffer.
type Ready = (NullEngine, Channel, DmaBuffer);

fn channel(direction: Direction) -> Ready {
    let null = NullEngine::start().expect("an engine");
    let channel = null.engine.channel(direction, 0).expect("a channel");
    let buffer = null.engine.space().buffer(4096).expect("a buffer");
    (null, channel, buffer)
}

// The driver alone.
#[library_benchmark]
#[bench::write(channel(Direction::H2c))]
#[bench::read(channel(Direction::C2h))]
fn transfer((null, channel, buffer): Ready) -> Ready {
    let deadline = Deadline::after(Duration::from_secs(60));
    let transfer = channel.submit(buffer, 0..4096, 0);
    let buffer = transfer.expect("room").wait(&deadline).expect("done");
    (null, channel, buffer)
}

library_benchmark_group!(name = dma, benchmarks = [descriptors, transfer]);

fn card() -> (Bar, Vec<u8>) {
    (bar(), vec![0x5A; 65536])
}

#[library_benchmark(setup = card)]
fn pcis_write((bar, data): (Bar, Vec<u8>)) -> (Bar, Vec<u8>) {
    pcis::write(&bar, black_box(3), &data[..65000]).expect("inside");
    (bar, data)
}

#[library_benchmark(setup = card)]
fn pcis_read((bar, mut data): (Bar, Vec<u8>)) -> (Bar, Vec<u8>) {
    pcis::read(&bar, black_box(3), &mut data[..65000]).expect("inside");
    (bar, data)
}

library_benchmark_group!(name = copies, benchmarks = [pcis_write, pcis_read]);

main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = [registers, slot, dma, copies]
);
