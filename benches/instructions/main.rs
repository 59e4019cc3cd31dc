//! Instruction counts of the hot paths, under callgrind: the same on a busy machine and on a quiet
//! one. `benches/gate` compares them with `benches/instructions/baseline.json`.
#![expect(
    missing_docs,
    unused_qualifications,
    reason = "what the macros expand to"
)]

use std::hint::black_box;
use std::time::Duration;

use afi_benches::Bench;
use afi_pcie::mailbox::Mailbox;
use afi_pcie::{Bar, Bus, Deadline, SharedMemory, slots};
use afi_proto::mailbox::CommandFlags;
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

main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = [registers, slot]
);
