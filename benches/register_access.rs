//! A register of a mapped BAR against a plain volatile access of the same memory.
#![expect(unsafe_code, reason = "the plain volatile access to compare with")]

use std::hint::black_box;

use afi_pcie::bar::Register;
use afi_pcie::{Bar, BarError, SharedMemory};
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

/// Reads the registers and gives the sum: the loads are volatile, so none of them can be left out.
fn read_all(bar: &Bar, offsets: &[u64]) -> Result<u32, BarError> {
    let mut sum = 0u32;
    for offset in offsets {
        sum = sum.wrapping_add(bar.read32(*offset)?);
    }
    Ok(sum)
}

fn write_all(bar: &Bar, offsets: &[u64]) -> Result<(), BarError> {
    for offset in offsets {
        bar.write32(*offset, *offset as u32)?;
    }
    Ok(())
}

fn plain_read_all(plain: *mut u32, offsets: &[u64]) -> u32 {
    let mut sum = 0u32;
    for offset in offsets {
        // SAFETY: offsets are multiples of 4 below WINDOW, the size in bytes of the memory behind
        // the pointer.
        let at = unsafe { plain.byte_add(*offset as usize) };
        // SAFETY: as above; the memory is aligned and initialised.
        sum = sum.wrapping_add(unsafe { at.read_volatile() });
    }
    sum
}

fn plain_write_all(plain: *mut u32, offsets: &[u64]) {
    for offset in offsets {
        // SAFETY: as in `plain_read_all`.
        let at = unsafe { plain.byte_add(*offset as usize) };
        // SAFETY: as in `plain_read_all`; nobody else has the memory.
        unsafe { at.write_volatile(*offset as u32) };
    }
}

fn registers(c: &mut Criterion) {
    let memory = SharedMemory::new("bench", 1 << 20).expect("memory for the benchmark");
    let bar = Bar::mapped(memory.mapping().clone());
    let mut plain_memory = vec![0u32; (WINDOW / 4) as usize];
    let plain = plain_memory.as_mut_ptr();
    let offsets = offsets();

    let mut group = c.benchmark_group("any register, read");
    group.throughput(Throughput::Elements(ACCESSES));
    group.bench_function("plain volatile", |b| {
        b.iter(|| plain_read_all(black_box(plain), black_box(&offsets)));
    });
    group.bench_function("Bar::read32", |b| {
        b.iter(|| read_all(black_box(&bar), black_box(&offsets)));
    });
    group.finish();

    let mut group = c.benchmark_group("any register, write");
    group.throughput(Throughput::Elements(ACCESSES));
    group.bench_function("plain volatile", |b| {
        b.iter(|| plain_write_all(black_box(plain), black_box(&offsets)));
    });
    group.bench_function("Bar::write32", |b| {
        b.iter(|| write_all(black_box(&bar), black_box(&offsets)));
    });
    group.finish();

    let register = bar.register::<u32>(0x500).expect("a register in the BAR");
    let mut group = c.benchmark_group("a held register, read");
    group.throughput(Throughput::Elements(ACCESSES));
    group.bench_function("plain volatile", |b| {
        b.iter(|| plain_read_one(black_box(plain), ACCESSES));
    });
    group.bench_function("Register::read", |b| {
        b.iter(|| read_one(black_box(&register), ACCESSES));
    });
    group.finish();

    let mut group = c.benchmark_group("a held register, write");
    group.throughput(Throughput::Elements(ACCESSES));
    group.bench_function("plain volatile", |b| {
        b.iter(|| plain_write_one(black_box(plain), ACCESSES));
    });
    group.bench_function("Register::write", |b| {
        b.iter(|| write_one(black_box(&register), ACCESSES));
    });
    group.finish();
}

fn read_one(register: &Register<'_, u32>, count: u64) -> Result<u32, BarError> {
    let mut sum = 0u32;
    for _ in 0..count {
        sum = sum.wrapping_add(register.read()?);
    }
    Ok(sum)
}

fn write_one(register: &Register<'_, u32>, count: u64) -> Result<(), BarError> {
    (0..count).try_for_each(|value| register.write(value as u32))
}

fn plain_read_one(plain: *mut u32, count: u64) -> u32 {
    let mut sum = 0u32;
    for _ in 0..count {
        // SAFETY: the pointer is to live, aligned, initialised memory.
        sum = sum.wrapping_add(unsafe { plain.read_volatile() });
    }
    sum
}

fn plain_write_one(plain: *mut u32, count: u64) {
    for value in 0..count {
        // SAFETY: as in `plain_read_one`; nobody else has the memory.
        unsafe { plain.write_volatile(value as u32) };
    }
}

criterion_group!(benches, registers);
criterion_main!(benches);
