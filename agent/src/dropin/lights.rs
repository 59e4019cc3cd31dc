//! The virtual LEDs and DIP switches of a slot.
//!
//! They are registers of their own beside the mailbox, so they can be used while somebody else
//! loads the slot, and no lock is taken. Only where a function can be open once at a time, as on
//! the bus of a simulated instance, does the tool wait until the other one is done.

use std::sync::Arc;

use afi_pcie::bus::Caching;
use afi_pcie::mailbox::MailboxError;
use afi_pcie::{Bar, BarError, BusError, Function};
use afi_proto::mailbox::{ErrorCode, MgmtRegister};
use afi_proto::{BarIndex, Bdf};

use super::commands::{Stop, Work};
use super::error::Failure;
use crate::cli::values::in_fours;
use crate::instance;
use crate::lock::SlotLock;

/// What a read gives when no device answers.
const ALL_ONES: u32 = u32::MAX;

impl Work<'_> {
    pub(super) fn get_led(&mut self) -> Result<(), Stop> {
        let value = self.read(MgmtRegister::VirtualLed);
        let value = self.or_print("Error trying to get virtual LED state\n", value)?;
        let slot = self.arguments.slot;
        let bits = in_fours(value);
        self.print(&format!(
            "FPGA slot id {slot} have the following Virtual LED:\n{bits}\n"
        ))
    }

    pub(super) fn get_dip(&mut self) -> Result<(), Stop> {
        let value = self.read(MgmtRegister::VirtualDip);
        let value = self.or_print("Error: can not get virtual DIP Switch state\n", value)?;
        let slot = self.arguments.slot;
        let bits = in_fours(value);
        self.print(&format!(
            "FPGA slot id {slot} has the following Virtual DIP Switches:\n{bits}\n"
        ))
    }

    pub(super) fn set_dip(&mut self) -> Result<(), Stop> {
        let done = self.write_dip(self.arguments.dip);
        self.or_print("Error trying to set virtual DIP Switch \n", done)
    }

    fn or_print<T>(&mut self, text: &str, result: Result<T, Failure>) -> Result<T, Stop> {
        if result.is_err() {
            self.print(text)?;
        }
        Ok(result?)
    }

    fn read(&self, register: MgmtRegister) -> Result<u16, Failure> {
        let word = self.registers()?.read(register)?;
        Ok(word as u16)
    }

    fn write_dip(&self, switches: u16) -> Result<(), Failure> {
        let registers = self.registers()?;
        // A write tells nothing of a device that is gone.
        registers.read(MgmtRegister::VirtualDip)?;
        registers.write(MgmtRegister::VirtualDip, switches.into())
    }

    fn registers(&self) -> Result<Registers, Failure> {
        let bdf = self.slot()?.mgmt.bdf;
        let (bus, deadline) = (self.bus()?, self.request_deadline());
        let mut lock = None;
        let function = match instance::open_function(bus, bdf, &deadline) {
            Err(BusError::InUse { .. }) => {
                let directory = bus.lock_directory();
                let command = self.host.command;
                lock = Some(SlotLock::acquire(&directory, bdf, command, &deadline)?);
                instance::open_function(bus, bdf, &deadline)?
            }
            opened => opened?,
        };
        Ok(Registers {
            bdf,
            bar: function.bar(BarIndex::BAR0, Caching::None)?,
            _function: function,
            _lock: lock,
        })
    }
}

/// The registers of a management function.
struct Registers {
    bdf: Bdf,
    bar: Bar,
    _function: Arc<dyn Function>,
    _lock: Option<SlotLock>,
}

impl Registers {
    /// Reads a register that is never all ones while a device answers.
    fn read(&self, register: MgmtRegister) -> Result<u32, Failure> {
        match self.bar.read32(register.offset()) {
            Ok(ALL_ONES) => {
                let gone = MailboxError::Gone { bdf: self.bdf };
                Err(Failure::new(ErrorCode::UNRESPONSIVE, &gone))
            }
            read => read.map_err(|source| self.unreachable(register, source)),
        }
    }

    fn write(&self, register: MgmtRegister, value: u32) -> Result<(), Failure> {
        self.bar
            .write32(register.offset(), value)
            .map_err(|source| self.unreachable(register, source))
    }

    fn unreachable(&self, register: MgmtRegister, source: BarError) -> Failure {
        let bdf = self.bdf;
        Failure::from(MailboxError::Register {
            bdf,
            register,
            source,
        })
    }
}
