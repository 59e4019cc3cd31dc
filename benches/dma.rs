//! DMA through the XDMA engine, against a copy by the processor of the same bytes: what the driver
//! costs, because the simulated engine moves bytes as fast as the memory does.

use std::ops::Range;
use std::time::Duration;

use afi_benches::{CARD_ADDRESS, DmaBench, NullEngine};
use afi_pcie::xdma::{Channel, Pieces, ScatterList, Segment, Split, Stripe};
use afi_pcie::{Deadline, DmaBuffer};
use afi_proto::xdma::{Descriptor, DescriptorFlags, Direction};
use afi_sim::device::DmaMode;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

/// Bytes of the transfers whose throughput is measured.
const SIZES: [u64; 8] = [
    64,
    1 << 10,
    4 << 10,
    64 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
];
const LARGEST: u64 = 64 << 20;

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// Descriptors written to memory, one after the other.
fn descriptors(c: &mut Criterion) {
    const COUNT: u64 = 512;
    let mut group = c.benchmark_group("descriptor");
    group.throughput(Throughput::Elements(COUNT));
    let mut ring = vec![Descriptor::default(); COUNT as usize];
    group.bench_function("build", |b| {
        b.iter(|| {
            for (at, place) in ring.iter_mut().enumerate() {
                let at = black_box(at as u64);
                let next = 0x1_0000_0000 + (at + 1) * Descriptor::SIZE as u64;
                *place = Descriptor::new(at << 12, at << 14, 4096, DescriptorFlags::COMPLETED)
                    .followed_by(next, Descriptor::adjacent_room(next));
            }
            black_box(&ring);
        });
    });
    group.bench_function("cut a transfer", |b| {
        let split = Split {
            largest: 4096,
            ..Split::default()
        };
        b.iter(|| {
            let pieces = Pieces::new(black_box(0x1000), black_box(0x2000), COUNT << 12, split);
            pieces.fold(0, |sum, piece| sum + u64::from(black_box(piece).length))
        });
    });
    group.finish();
}

/// One small transfer after the other, on an engine that is done when it is asked: the software.
fn latency(c: &mut Criterion) {
    let bench = DmaBench::start(DmaMode::Inline).expect("a slot with an engine");
    bench.touch(1 << 20).expect("card memory");
    let mut group = c.benchmark_group("submit to complete");
    for size in [64, 4096] {
        for direction in Direction::ALL {
            let channel = bench.channel(direction).expect("a channel");
            let mut buffer = Some(bench.buffer(4096).expect("a buffer"));
            group.bench_function(BenchmarkId::new(direction.to_string(), size), |b| {
                let deadline = deadline();
                b.iter(|| {
                    let taken = buffer.take().expect("it came back");
                    let transfer = channel.submit(taken, 0..size, CARD_ADDRESS);
                    buffer = Some(transfer.expect("room").wait(&deadline).expect("done"));
                });
            });
        }
        let null = NullEngine::start().expect("an engine");
        let channel = null.engine.channel(Direction::H2c, 0).expect("a channel");
        let mut buffer = Some(null.engine.space().buffer(4096).expect("a buffer"));
        group.bench_function(BenchmarkId::new("the driver alone", size), |b| {
            let deadline = deadline();
            b.iter(|| {
                let taken = buffer.take().expect("it came back");
                let transfer = channel.submit(taken, 0..size, CARD_ADDRESS);
                buffer = Some(transfer.expect("room").wait(&deadline).expect("done"));
            });
        });
        let buffer = bench.buffer(4096).expect("a buffer");
        group.bench_function(BenchmarkId::new("memcpy", size), |b| {
            b.iter(|| memcpy(&bench, &buffer, Direction::H2c, size));
        });
    }
    group.finish();
}

/// The same bytes, moved by the processor.
fn memcpy(bench: &DmaBench, buffer: &DmaBuffer, direction: Direction, size: u64) {
    let host = buffer.memory().expect("its owner has it").mapping();
    let card = bench.card.mapping();
    let copied = match direction {
        Direction::H2c => host.copy_to(0, card, CARD_ADDRESS, black_box(size) as usize),
        Direction::C2h => card.copy_to(CARD_ADDRESS, host, 0, black_box(size) as usize),
    };
    copied.expect("inside both");
}

fn throughput(c: &mut Criterion) {
    for direction in Direction::ALL {
        let mut group = c.benchmark_group(format!("throughput {direction}"));
        group.sample_size(20);
        for (mode, name) in [
            (DmaMode::Inline, "1 channel"),
            (DmaMode::Threads, "1 channel, in a thread"),
        ] {
            let bench = DmaBench::start(mode).expect("a slot with an engine");
            bench.touch(LARGEST).expect("card memory");
            let mut buffer = bench.buffer(LARGEST).expect("a buffer");
            if mode == DmaMode::Inline {
                for size in SIZES {
                    group.throughput(Throughput::Bytes(size));
                    group.bench_function(BenchmarkId::new("memcpy", size), |b| {
                        b.iter(|| memcpy(&bench, &buffer, direction, size));
                    });
                }
            }
            let channel = bench.channel(direction).expect("a channel");
            for size in SIZES {
                group.throughput(Throughput::Bytes(size));
                group.bench_function(BenchmarkId::new(name, size), |b| {
                    b.iter(|| one(&channel, &mut buffer, 0..size));
                });
            }
            drop(channel);
            for channels in [2, 4] {
                let stripe = bench.stripe(direction, channels).expect("channels");
                let name = match mode {
                    DmaMode::Inline => format!("{channels} channels"),
                    DmaMode::Threads => format!("{channels} channels, in threads"),
                };
                for size in SIZES {
                    group.throughput(Throughput::Bytes(size));
                    group.bench_function(BenchmarkId::new(&name, size), |b| {
                        b.iter(|| several(&stripe, &mut buffer, 0..size));
                    });
                }
            }
        }
        group.finish();
    }
}

fn one(channel: &Channel, buffer: &mut DmaBuffer, range: Range<u64>) {
    let deadline = deadline();
    let done = match channel.id().direction {
        Direction::H2c => channel.write(buffer, range, CARD_ADDRESS, &deadline),
        Direction::C2h => channel.read(buffer, range, CARD_ADDRESS, &deadline),
    };
    done.expect("a transfer");
}

fn several(stripe: &Stripe, buffer: &mut DmaBuffer, range: Range<u64>) {
    let done = stripe.copy(buffer, range, CARD_ADDRESS, &deadline());
    done.expect("a transfer");
}

/// Many pieces of one buffer in one transfer.
fn scatter(c: &mut Criterion) {
    const PIECES: u64 = 256;
    const PIECE: u64 = 4096;
    let bench = DmaBench::start(DmaMode::Inline).expect("a slot with an engine");
    bench.touch(2 * PIECES * PIECE).expect("card memory");
    let buffer = bench.buffer(2 * PIECES * PIECE).expect("a buffer");
    let channel = bench.channel(Direction::H2c).expect("a channel");
    let segments = (0..PIECES).map(|at| Segment {
        buffer: 0,
        range: 2 * at * PIECE..(2 * at + 1) * PIECE,
        card_address: CARD_ADDRESS + 2 * (PIECES - 1 - at) * PIECE,
    });
    let mut list = Some(ScatterList {
        buffers: vec![buffer],
        segments: segments.collect(),
    });
    let mut group = c.benchmark_group("scatter-gather");
    group.throughput(Throughput::Bytes(PIECES * PIECE));
    group.bench_function("256 pages", |b| {
        let deadline = deadline();
        b.iter(|| {
            let transfer = channel.submit_list(list.take().expect("it came back"));
            list = Some(transfer.expect("room").wait(&deadline).expect("done"));
        });
    });
    let list = list.expect("it came back");
    let host = list.buffers[0]
        .memory()
        .expect("its owner has it")
        .mapping();
    group.bench_function("memcpy of the pages", |b| {
        b.iter(|| {
            for segment in &list.segments {
                let to = bench.card.mapping();
                let copied = host.copy_to(segment.range.start, to, segment.card_address, 4096);
                copied.expect("inside both");
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1));
    targets = descriptors, latency, throughput, scatter
}
criterion_main!(benches);
