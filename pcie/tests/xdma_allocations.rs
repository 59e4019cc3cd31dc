//! The way of a transfer allocates nothing: neither to submit, nor to complete.
#![expect(
    unsafe_code,
    reason = "a counting allocator implements an unsafe trait"
)]

#[path = "xdma/reference.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod reference;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use afi_pcie::xdma::{ChannelOptions, Completion, Engine, ScatterList, Segment, Stripe};
use afi_pcie::{Deadline, DmaSpace};
use afi_proto::xdma::Direction;
use reference::Device;

/// The system's allocator, which counts for each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // Not there any more while a thread ends.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator with the caller's arguments, so what the caller
// promises holds there, and what it returns is as promised; counting touches no memory of theirs.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about the layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises: `at` is of this allocator, which is the system's.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while something runs.
fn allocations(run: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

#[test]
fn transfers_allocate_nothing() {
    assert!(allocations(|| drop(vec![1_u8])) > 0, "it counts");
    let device = Device::new();
    let locks = tempfile::tempdir().unwrap();
    let engine = Engine::of(DmaSpace::new(device.function()), locks.path()).unwrap();
    let deadline = Deadline::after(Duration::from_secs(20));
    let ways = [
        ChannelOptions::default(),
        ChannelOptions {
            completion: Completion::Interrupt,
            ..ChannelOptions::default()
        },
        ChannelOptions {
            credits: false,
            ..ChannelOptions::default()
        },
    ];
    for options in ways {
        let channel = engine.channel_with(Direction::H2c, 0, options).unwrap();
        let mut buffer = Some(engine.space().buffer(1 << 16).unwrap());
        let used = allocations(|| {
            for number in 0..2000 {
                let moved = buffer.take().unwrap();
                let transfer = channel.submit(moved, 0..4096, number * 64).unwrap();
                buffer = Some(transfer.wait(&deadline).unwrap());
            }
        });
        assert_eq!(used, 0, "{options:?}");

        let buffers = vec![buffer.take().unwrap()];
        let segment = |number: u64| Segment {
            buffer: 0,
            range: number * 64..number * 64 + 32,
            card_address: number * 4096,
        };
        let mut list = Some(ScatterList {
            buffers,
            segments: (0..100).map(segment).collect(),
        });
        let used = allocations(|| {
            for _ in 0..100 {
                let transfer = channel.submit_list(list.take().unwrap()).unwrap();
                list = Some(transfer.wait(&deadline).unwrap());
            }
        });
        assert_eq!(used, 0, "{options:?}");
    }

    let open = |number| engine.channel(Direction::C2h, number).unwrap();
    let stripe = Stripe::new((0..4).map(open).collect())
        .unwrap()
        .with_smallest_part(64 << 10);
    let mut buffer = engine.space().buffer(1 << 20).unwrap();
    let used = allocations(|| stripe.copy(&mut buffer, 0..1 << 20, 0, &deadline).unwrap());
    assert_eq!(used, 0);
}
