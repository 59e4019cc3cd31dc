//! DMA: what can be mapped, and transfers to the card's memory and back.

use std::error::Error;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use afi_pcie::bus::{Caching, DmaAccess, DmaMapping, DmaRequest};
use afi_pcie::xdma::{ChannelOptions, Completion, DmaError, Engine};
use afi_pcie::{Bar, BusError, Deadline, DmaSpace, Function, SharedMemory};
use afi_proto::xdma::Direction;
use afi_proto::{BarIndex, Bdf};

use crate::Outcome;

/// Where memory is mapped: the first address above those that fit into 32 bits.
const AT: u64 = 1 << 32;
/// Bytes that are mapped and moved.
const LENGTH: u64 = 4 << 20;
/// Bytes of each of the card's four DDR interfaces (`AWS_Fpga_Pcie_Memory_Map.md`, F1).
const DDR: u64 = 16 << 30;
/// How long a transfer may take. It takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where locks of engines are kept.
const LOCKS: &str = "/run/lock/afi";

/// What can be mapped, and what is refused with which error.
pub(crate) fn map(function: &Arc<dyn Function>) -> Outcome {
    let memory = Arc::new(SharedMemory::new("guest-user", LENGTH)?);
    let map = |iova, range: Range<u64>| -> Result<DmaMapping, BusError> {
        function.map_dma(DmaRequest {
            memory: Arc::clone(&memory),
            range,
            iova,
            access: DmaAccess::ReadWrite,
        })
    };
    let refused = |what: &str, outcome: Result<DmaMapping, BusError>| match outcome {
        Ok(mapping) => Err(format!("{what}: mapped {mapping:?}")),
        Err(error) => {
            let cause = error.source().map(ToString::to_string);
            println!("{what}: {}", cause.unwrap_or_else(|| error.to_string()));
            Ok(())
        }
    };
    let first = map(AT, 0..LENGTH)?;
    refused("overlap", map(AT + LENGTH / 2, 0..LENGTH))?;
    refused("interrupt-window", map(0xFEE0_0000, 0..LENGTH))?;
    refused("too-high", map(1 << 62, 0..LENGTH))?;
    refused("wraps", map(u64::MAX - 0xFFF, 0..LENGTH))?;
    refused("no-page", map(AT * 2 + 8, 0..LENGTH))?;
    refused("outside", map(AT * 2, 4096..LENGTH + 4096))?;
    // Beside it is free, and so is its place once it is gone.
    let beside = map(AT + LENGTH, 0..4096)?;
    drop(first);
    let again = map(AT, 0..LENGTH)?;
    println!("mapped {:#x} {:#x}", again.iova(), beside.iova());
    Ok(())
}

/// Transfers whose end is looked for in memory.
pub(crate) fn transfer_polled(function: &Arc<dyn Function>) -> Outcome {
    transfer(function, Completion::Poll)
}

/// Transfers whose end is told by interrupts.
pub(crate) fn transfer_by_interrupts(function: &Arc<dyn Function>) -> Outcome {
    transfer(function, Completion::Interrupt)
}

/// Data that differs everywhere goes to the last megabytes of two DDRs and comes back, by one channel
/// there and another back.
fn transfer(function: &Arc<dyn Function>, completion: Completion) -> Outcome {
    let space = DmaSpace::new(Arc::clone(function));
    let engine = Engine::of(space, LOCKS.as_ref())?;
    let options = ChannelOptions {
        completion,
        ..ChannelOptions::default()
    };
    let to_card = engine.channel_with(Direction::H2c, 1, options)?;
    let from_card = engine.channel_with(Direction::C2h, 2, options)?;
    let mut buffer = engine.space().buffer(LENGTH)?;
    let mut data = numbers();
    let mut back = vec![0; data.len()];
    for ddr in [0, 3] {
        let card_address = (ddr + 1) * DDR - LENGTH;
        // Other data for each, so that what is left of the one before does not do.
        data.rotate_left(1);
        let deadline = Deadline::after(PATIENCE);
        buffer.copy_in(0, &data)?;
        to_card.write(&mut buffer, 0..LENGTH, card_address, &deadline)?;
        buffer.fill(0..LENGTH, 0)?;
        from_card.read(&mut buffer, 0..LENGTH, card_address, &deadline)?;
        buffer.copy_out(0, &mut back)?;
        if back != data {
            let at = back.iter().zip(&data).position(|(a, b)| a != b);
            return Err(format!("DDR {ddr}: byte {at:?} came back different").into());
        }
    }
    println!("{LENGTH:#x} bytes to two DDRs and back");
    Ok(())
}

/// What the engine cannot reach it does not read and does not write, in a buffer of which the IOMMU
/// was not told. A read that is refused ends the transfer with an error, and the channel goes on with
/// the next one. A write is posted: nothing tells the engine what became of it.
pub(crate) fn outside(function: &Arc<dyn Function>) -> Outcome {
    let forgetful = Arc::new(Forgetful {
        function: Arc::clone(function),
        forgets: AtomicBool::new(false),
    });
    let space = DmaSpace::new(Arc::clone(&forgetful) as Arc<dyn Function>);
    let engine = Engine::of(space, LOCKS.as_ref())?;
    let to_card = engine.channel(Direction::H2c, 0)?;
    let from_card = engine.channel(Direction::C2h, 0)?;
    forgetful.forgets.store(true, Ordering::Relaxed);
    let mut unmapped = engine.space().buffer(4096)?;
    forgetful.forgets.store(false, Ordering::Relaxed);
    let mut mapped = engine.space().buffer(4096)?;
    let deadline = Deadline::after(PATIENCE);
    let mut bytes = [0; 4096];

    mapped.fill(0..4096, 0xC3)?;
    unmapped.fill(0..4096, 0x5A)?;
    to_card.write(&mut mapped, 0..4096, 0, &deadline)?;
    match to_card.write(&mut unmapped, 0..4096, 0, &deadline) {
        Err(error @ DmaError::Engine { .. }) => println!("outside: {error}"),
        other => return Err(format!("a read of what is not mapped: {other:?}").into()),
    }
    match from_card.read(&mut unmapped, 0..4096, 0, &deadline) {
        Ok(()) | Err(DmaError::Engine { .. }) => {}
        other => return Err(format!("a write to what is not mapped: {other:?}").into()),
    }
    unmapped.copy_out(0, &mut bytes)?;
    println!("host-untouched {}", bytes == [0x5A; 4096]);
    mapped.fill(0..4096, 0)?;
    from_card.read(&mut mapped, 0..4096, 0, &deadline)?;
    mapped.copy_out(0, &mut bytes)?;
    println!("card-untouched {}", bytes == [0xC3; 4096]);
    mapped.fill(0..4096, 0x11)?;
    to_card.write(&mut mapped, 0..4096, 0, &deadline)?;
    Ok(())
}

/// Numbers that are the same at every run and differ everywhere.
fn numbers() -> Vec<u8> {
    let words = (0..LENGTH / 8).map(|at| {
        // The finaliser of MurmurHash3.
        let word = (at ^ at >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        word ^ word >> 33
    });
    words.flat_map(u64::to_le_bytes).collect()
}

/// A function that can forget to tell the IOMMU of memory.
struct Forgetful {
    function: Arc<dyn Function>,
    forgets: AtomicBool,
}

impl Function for Forgetful {
    fn bdf(&self) -> Bdf {
        self.function.bdf()
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) -> Result<(), BusError> {
        self.function.read_config(offset, data)
    }

    fn write_config(&self, offset: u16, data: &[u8]) -> Result<(), BusError> {
        self.function.write_config(offset, data)
    }

    fn bar(&self, index: BarIndex, caching: Caching) -> Result<Bar, BusError> {
        self.function.bar(index, caching)
    }

    fn map_dma(&self, request: DmaRequest) -> Result<DmaMapping, BusError> {
        if self.forgets.load(Ordering::Relaxed) {
            return Ok(DmaMapping::new(&request, || ()));
        }
        self.function.map_dma(request)
    }

    fn dma_addresses(&self) -> Option<Vec<Range<u64>>> {
        self.function.dma_addresses()
    }

    fn msix(&self, vector: u16) -> Result<OwnedFd, BusError> {
        self.function.msix(vector)
    }

    fn reset(&self) -> Result<(), BusError> {
        self.function.reset()
    }
}
