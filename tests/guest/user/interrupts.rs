//! MSI-X by eventfd: the interrupts that cl_dram_dma sends when it is told to.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use afi_pcie::Function;
use afi_pcie::bus::Caching;
use afi_proto::BarIndex;
use afi_proto::config_space::Command;
use afi_proto::xdma::{self, Target, irq};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::Outcome;

/// The register of cl_dram_dma that sends interrupts (`cl_int_tst.sv`).
const SEND: u64 = 0xD00;
/// How long an interrupt may take, in milliseconds.
const PATIENCE: u16 = 10_000;
/// How long none may come, in milliseconds.
const SILENCE: u16 = 50;

/// Each of some user interrupts arrives at its own eventfd and at no other. Receivers are added one
/// after the other, out of order, while those before them are in use.
pub(crate) fn users(function: &Arc<dyn Function>) -> Outcome {
    function.enable(Command::MEMORY_SPACE | Command::BUS_MASTER)?;
    let engine = function.bar(xdma::BAR, Caching::None)?;
    let design = function.bar(BarIndex::BAR0, Caching::None)?;
    let block = Target::Irq.offset();
    for number in (0..irq::USER_INTERRUPTS).step_by(4) {
        let vectors = [0, 1, 2, 3].map(|n| number + n + 8);
        let (register, _) = irq::vector_field(number);
        let value = u32::from_le_bytes(vectors);
        engine.write32(block + irq::USER_VECTORS + register, value)?;
    }
    engine.write32(block + irq::USER_ENABLE, 0xFFFF)?;
    let mut receivers: Vec<(u8, OwnedFd)> = Vec::new();
    for number in [3, 0, 15, 7] {
        receivers.push((number, function.msix(u16::from(number) + 8)?));
        for (sent, _) in &receivers {
            design.write32(SEND, 1 << sent)?;
            for (at, receiver) in &receivers {
                let patience = if at == sent { PATIENCE } else { SILENCE };
                if fired(receiver, patience)? != (at == sent) {
                    return Err(format!("interrupt {sent} of {number}: eventfd {at}").into());
                }
            }
        }
    }
    println!("user interrupts arrived");
    let none = function.msix(33);
    println!("vector 33 refused={}", none.is_err());
    Ok(())
}

/// Whether an eventfd was signalled within some milliseconds; takes the signal.
fn fired(event: &OwnedFd, patience: u16) -> nix::Result<bool> {
    let mut fds = [PollFd::new(event.as_fd(), PollFlags::POLLIN)];
    if poll(&mut fds, PollTimeout::from(patience))? == 0 {
        return Ok(false);
    }
    nix::unistd::read(event, &mut [0; 8])?;
    Ok(true)
}
