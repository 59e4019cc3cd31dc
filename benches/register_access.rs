//! A register of a mapped BAR against a plain volatile access of the same memory.
#![expect(unsafe_code, reason = "the plain volatile access to compare with")]
#![expect(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use afi_pcie::{Bar, SharedMemory};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Accesses in one iteration.
const ACCESSES: u64 = 1024;
/// The window that they go to: registers, not memory, so it stays in the first-level cache.
const WINDOW: u64 = 4096;

/// Offsets that no compiler can foresee, so that neither side's checks can be hoisted away.
fn offsets() -> Vec<u64> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % (WINDOW / 4) * 4
    };
    std::iter::repeat_with(next)
        .take(ACCESSES as usize)
        .collect()
}

fn registers(c: &mut Criterion) {
    let memory = SharedMemory::new("bench", 1 << 20).expect("memory for the benchmark");
    let bar = Bar::mapped(memory.mapping().clone());
    let mut plain_memory = vec![0u32; (WINDOW / 4) as usize];
    let plain = plain_memory.as_mut_ptr();
    let offsets = offsets();

    let mut group = c.benchmark_group("register read");
    group.throughput(Throughput::Elements(ACCESSES));
    group.bench_function("plain volatile", |b| {
        b.iter(|| {
            for offset in &offsets {
                // SAFETY: offsets are multiples of 4 below WINDOW, the vector's size in bytes.
                black_box(unsafe { plain.byte_add(*offset as usize).read_volatile() });
            }
        });
    });
    group.bench_function("Bar::read32", |b| {
        b.iter(|| {
            for offset in &offsets {
                black_box(bar.read32(*offset).unwrap_or_default());
            }
        });
    });
    group.finish();

    let mut group = c.benchmark_group("register write");
    group.throughput(Throughput::Elements(ACCESSES));
    group.bench_function("plain volatile", |b| {
        b.iter(|| {
            for offset in &offsets {
                // SAFETY: as above.
                unsafe {
                    plain
                        .byte_add(*offset as usize)
                        .write_volatile(*offset as u32)
                };
            }
        });
    });
    group.bench_function("Bar::write32", |b| {
        b.iter(|| {
            for offset in &offsets {
                let _ = black_box(bar.write32(*offset, *offset as u32));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, registers);
criterion_main!(benches);
