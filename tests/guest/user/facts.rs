//! What a function is like: configuration space, BARs, reset.

use std::sync::Arc;

use afi_pcie::Function;
use afi_pcie::bus::Caching;
use afi_proto::BarIndex;
use afi_proto::config_space::{self, Command};

use crate::Outcome;

/// A register of cl_hello_world that reads back with its bytes swapped.
const SWAPPED: u64 = 0x500;
/// A register of the extended configuration space, which sysfs hides from some.
const EXTENDED: u16 = 0x100;

/// Configuration space and usable bus addresses.
pub(crate) fn look(function: &Arc<dyn Function>) -> Outcome {
    println!("ids {}", function.live_ids()?);
    function.read_config(EXTENDED, &mut [0; 4])?;
    for range in function.dma_addresses().unwrap_or_default() {
        println!("addresses {:#x} {:#x}", range.start, range.end);
    }
    function.enable(Command::BUS_MASTER)?;
    println!("command {:#06x}", function.command()?.bits());
    let behind = function.write_config(config_space::SIZE as u16, &[0]);
    println!("behind {}", behind.is_err());
    Ok(())
}

/// BARs, of a function that runs cl_hello_world.
pub(crate) fn bars(function: &Arc<dyn Function>) -> Outcome {
    // First: once VFIO has mapped a BAR, the kernel keeps it for VFIO.
    let _combining = function.bar_range(BarIndex::BAR4, Caching::WriteCombining, 0..4096)?;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    println!("combining {}", maps.contains("resource4_wc"));
    for index in 0..6 {
        let index = BarIndex::new(index).ok_or("a BAR has a number below 6")?;
        if let Some(size) = function.bar_size(index)? {
            // All of the largest takes seconds to map.
            let bar = function.bar_range(index, Caching::None, 0..size.min(4096))?;
            println!("{index} {size:#x} mapped={}", bar.is_mapped());
        }
    }
    let bar = function.bar(BarIndex::BAR0, Caching::None)?;
    bar.write32(SWAPPED, 0xEFBE_ADDE)?;
    println!("swapped {:#x}", bar.read32(SWAPPED)?);
    let part = function.bar_range(BarIndex::BAR0, Caching::None, 0x1000..0x2000)?;
    println!(
        "part {:#x} outside={}",
        part.length(),
        part.read32(0x1000).is_err()
    );
    Ok(())
}

/// A reset takes what the design keeps, and leaves what the host set up.
pub(crate) fn reset(function: &Arc<dyn Function>) -> Outcome {
    function.enable(Command::MEMORY_SPACE | Command::BUS_MASTER)?;
    let bar = function.bar(BarIndex::BAR0, Caching::None)?;
    bar.write32(SWAPPED, 0x0102_0304)?;
    let before = function.command()?;
    function.reset()?;
    println!("same-command {}", function.command()? == before);
    bar.write32(SWAPPED, 0xEFBE_ADDE)?;
    println!("swapped {:#x}", bar.read32(SWAPPED)?);
    Ok(())
}
