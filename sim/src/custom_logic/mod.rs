//! Models of custom logic: what an image does once it is loaded.
//!
//! A host programmer who has a design of their own writes a [`CustomLogic`] for it and registers it
//! under a name; images of the catalogue that name it then run it. The whole of it, on one page:
//!
#![doc = include_str!("../../../docs/custom-logic.md")]

mod axi_master;
mod axil_reg_access;
mod dram_dma;
mod dram_hbm_dma;
mod hello_world;
mod interrupts;
mod ports;
mod registry;
mod sda_ram;
mod traffic;

pub use ports::{HostAccessError, NoMemory, ShellPorts};
pub use registry::ModelRegistry;

/// A port of registers, each an AXI-Lite interface of 32 bits (`AWS_Shell_Interface_Specification.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Port {
    /// AppPF BAR0.
    Ocl,
    /// AppPF BAR1; F1 only.
    Bar1,
    /// MgmtPF BAR4.
    Sda,
}

/// A model of custom logic.
///
/// It acts when the host accesses it, and at no other time: there is no clock tick. A new one is
/// made for each load, so a load resets it. Methods are called with the card's lock held; they must
/// return soon.
pub trait CustomLogic: Send {
    /// Answers the read of a word at a byte offset, a multiple of 4. With `None` the design does not
    /// answer: the shell ends the access, the host reads all ones and the metrics count it.
    ///
    /// A narrower access of the host reads the whole word, and a wider one several.
    fn read(&mut self, port: Port, offset: u64, shell: &mut ShellPorts<'_>) -> Option<u32>;

    /// Takes the write of a word; `None` as for [`CustomLogic::read`].
    ///
    /// A narrower access of the host comes with zeros beside it, and [`ShellPorts::strobes`] tells
    /// which bytes count. Many designs ignore that, as the public examples do.
    fn write(
        &mut self,
        port: Port,
        offset: u64,
        value: u32,
        shell: &mut ShellPorts<'_>,
    ) -> Option<()>;

    /// Whether the design has memory controllers. Then accesses through PCIS (AppPF BAR4) go to the
    /// card's memory, and neither [`CustomLogic::read_pcis`] nor [`CustomLogic::write_pcis`] is
    /// called.
    fn has_memory(&self) -> bool {
        false
    }

    /// Answers a read through PCIS, of any length; `None` as for [`CustomLogic::read`].
    fn read_pcis(
        &mut self,
        _address: u64,
        _data: &mut [u8],
        _shell: &mut ShellPorts<'_>,
    ) -> Option<()> {
        None
    }

    /// Takes a write through PCIS; `None` as for [`CustomLogic::read`].
    fn write_pcis(
        &mut self,
        _address: u64,
        _data: &[u8],
        _shell: &mut ShellPorts<'_>,
    ) -> Option<()> {
        None
    }

    /// What the virtual LEDs show with these virtual DIP switches.
    fn virtual_led(&self, _dip: u16) -> u16 {
        0
    }

    /// The AppPF was reset (`sh_cl_flr_assert`). The image stays; what the design does about it is
    /// its own business.
    fn function_level_reset(&mut self) {}
}
