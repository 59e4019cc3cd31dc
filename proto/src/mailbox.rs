//! The management mailbox: how the host asks a slot's shell to load, clear and describe.
//!
//! A message is a [`Header`] and a payload, at most [`MAX_MESSAGE`] bytes, written and read a word
//! at a time through the [`MgmtRegister`]s in BAR0 of the MgmtPF.
//!
//! Source: `sdk/userspace/fpga_libs/fpga_mgmt/afi_cmd_api.h`, `fpga_hal_mbox_regs.h`,
//! `fpga_hal_mbox.c`, and `sdk/userspace/include/hal/fpga_common.h`.

mod command;
mod message;
mod metrics;
mod registers;
mod status;

pub use command::{CommandFlags, LoadRequest, read_flags_request};
pub use message::{
    API_VERSION, ApiVersion, ErrorReply, Header, MAX_MESSAGE, MessageError, Opcode, encode,
    encode_error, parse, words,
};
pub use metrics::{
    AddressCount, CLOCK_GROUPS, CLOCKS_PER_GROUP, ClockGroups, DdrCounts, InterruptStatus, Metrics,
    MetricsBody, Power, ProtocolErrors, RESPONSE_SIZE,
};
pub use registers::{DEPTH_MASK, MailboxStatus, MgmtRegister, RAM_INIT};
pub use status::{ErrorCode, SlotStatus};
