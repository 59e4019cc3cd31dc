//! Copies to and from a mapped BAR by each width of the processor, against memcpy into the same
//! mapping.

use std::time::Duration;

use afi_benches::{CARD_ADDRESS, DmaBench};
use afi_pcie::pcis::{Level, read_with, write_with};
use afi_sim::device::DmaMode;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [usize; 4] = [64, 4 << 10, 1 << 20, 16 << 20];

fn copies(c: &mut Criterion) {
    let bench = DmaBench::start(DmaMode::Inline).expect("a slot with memory");
    bench.touch(16 << 20).expect("card memory");
    let card = bench.card.mapping();
    let mut data = vec![0x5A; 16 << 20];
    let mut group = c.benchmark_group("PCIS write");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("memcpy", size), |b| {
            b.iter(|| card.copy_in(CARD_ADDRESS, &data[..size]).expect("inside"));
        });
        for level in Level::available() {
            group.bench_function(BenchmarkId::new(level.name(), size), |b| {
                b.iter(|| {
                    let data = &data[..size];
                    write_with(*level, &bench.pcis, CARD_ADDRESS, data).expect("inside");
                });
            });
        }
    }
    group.finish();
    let mut group = c.benchmark_group("PCIS read");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("memcpy", size), |b| {
            b.iter(|| {
                let data = &mut data[..size];
                card.copy_out(CARD_ADDRESS, data).expect("inside");
            });
        });
        for level in Level::available() {
            group.bench_function(BenchmarkId::new(level.name(), size), |b| {
                b.iter(|| {
                    let data = &mut data[..size];
                    read_with(*level, &bench.pcis, CARD_ADDRESS, data).expect("inside");
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = copies
}
criterion_main!(benches);
