//! What is in the file of a capture.
//!
//! New fields do not change [`SCHEMA_VERSION`], and a reader passes over those it does not know. It
//! grows when a field goes or changes its meaning.

use std::collections::BTreeMap;

use afi_proto::{Bdf, PciIds};
use serde::{Deserialize, Serialize};

use super::error::RecordedFailure;
use super::hex;

/// The version of the form that this program writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// What was captured of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The program that took it.
    pub tool: Tool,
    /// When, in seconds since 1970.
    pub taken_unix_seconds: u64,
    /// The machine.
    pub machine: Machine,
    /// What the program worked with.
    pub settings: SettingsRecord,
    /// Why the functions are not known, if they are not.
    pub listing_failure: Option<RecordedFailure>,
    /// The functions of FPGA slots that the host had enumerated, in bus order.
    #[serde(default)]
    pub functions: Vec<FunctionRecord>,
    /// What the shells of the slots answered.
    #[serde(default)]
    pub mailboxes: Vec<MailboxRecord>,
}

/// The program that took a capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The machine that a capture was taken on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The release of its kernel, as `uname -r` tells.
    pub kernel: Option<String>,
    /// What its host tells of itself, such as the instance type.
    #[serde(default)]
    pub host: HostView,
}

/// What the program that took a capture worked with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SettingsRecord {
    /// The bus, as `--bus` names it.
    pub bus: String,
    /// The time limit of the command, in milliseconds.
    pub timeout_ms: u64,
    /// The configuration file.
    pub configuration_file: ConfigurationFile,
}

/// The configuration file of the program that took a capture. What is in it is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConfigurationFile {
    /// Its path.
    pub path: String,
    /// Whether it was there and understood.
    pub used: bool,
    /// Why not, if it was there.
    pub problem: Option<String>,
}

/// A function as the host enumerated it, and what could be read of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRecord {
    /// Its address.
    pub bdf: Bdf,
    /// Its ids at enumeration.
    pub ids: Ids,
    /// The kernel driver that was bound to it.
    pub driver: Option<String>,
    /// The NUMA node that it is nearest to.
    pub numa_node: Option<u32>,
    /// Its configuration space, from the start on, as far as it could be read.
    #[serde(default)]
    pub config: Bytes,
    /// The sizes in bytes of the BARs that it has, by their numbers.
    #[serde(default)]
    pub bars: BTreeMap<u8, u64>,
    /// What the host tells of it in small texts.
    #[serde(default)]
    pub host: HostView,
    /// What could not be read of it.
    #[serde(default)]
    pub failures: Vec<RecordedFailure>,
}

/// The four ids of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// Vendor id.
    #[serde(with = "hex::word16")]
    pub vendor: u16,
    /// Device id.
    #[serde(with = "hex::word16")]
    pub device: u16,
    /// Subsystem vendor id.
    #[serde(with = "hex::word16")]
    pub subsystem_vendor: u16,
    /// Subsystem id.
    #[serde(with = "hex::word16")]
    pub subsystem: u16,
}

/// Bytes, which the file has as pairs of hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

/// What a host tells in small texts: files and links by their names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostView {
    /// Files. Those that are not there are left out.
    #[serde(default)]
    pub files: BTreeMap<String, FileRecord>,
    /// The last part of what links lead to.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
}

/// A small file of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its permissions, as `chmod` takes them: `0644`.
    pub mode: Option<String>,
    /// The number of the user who owns it.
    pub owner: Option<u32>,
    /// The number of the group that it belongs to.
    pub group: Option<u32>,
    /// What is in it, without the end of the last line; `None` where only its permissions matter.
    pub text: Option<String>,
    /// Why it could not be read.
    pub failure: Option<String>,
}

/// What a slot's shell told through the mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxRecord {
    /// The management function.
    pub bdf: Bdf,
    /// What the register with the version of the shell held; all ones when no device answered, and
    /// null when the mailbox was not opened.
    #[serde(with = "hex::optional_word32", default)]
    pub shell_version: Option<u32>,
    /// What the register of the virtual LEDs held.
    #[serde(with = "hex::optional_word32", default)]
    pub virtual_led: Option<u32>,
    /// What the register of the virtual DIP switches held.
    #[serde(with = "hex::optional_word32", default)]
    pub virtual_dip: Option<u32>,
    /// Requests and what came of them, in their order.
    #[serde(default)]
    pub exchanges: Vec<Exchange>,
    /// Who held the slot's lock, so that the mailbox was left alone.
    pub lock_holder: Option<LockHolder>,
    /// What did not work.
    #[serde(default)]
    pub failures: Vec<RecordedFailure>,
}

/// Who held the lock on a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Its process id.
    pub pid: u32,
    /// What it was doing: `afi load 0 cl_hello_world`.
    pub command: String,
    /// When it took the lock, in seconds since 1970.
    pub since_unix_seconds: u64,
}

/// A request to a shell, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// What was asked, as the message's header has it.
    pub opcode: u32,
    /// The payload of the request.
    pub payload: Bytes,
    /// Whether the shell took the request.
    pub taken: bool,
    /// The responses that were read.
    #[serde(default)]
    pub responses: Vec<Response>,
    /// Whether the registers read as all ones before the last response was there.
    #[serde(default)]
    pub gone: bool,
}

/// A response of a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Whether it has the id of the request.
    pub answers: bool,
    /// What the register with its length held, in words.
    pub length: u32,
    /// What was read of it, header included; what is behind is not known.
    pub message: Bytes,
}

impl From<PciIds> for Ids {
    fn from(ids: PciIds) -> Self {
        Self {
            vendor: ids.vendor,
            device: ids.device,
            subsystem_vendor: ids.subsystem_vendor,
            subsystem: ids.subsystem,
        }
    }
}

impl From<Ids> for PciIds {
    fn from(ids: Ids) -> Self {
        Self::new(ids.vendor, ids.device, ids.subsystem_vendor, ids.subsystem)
    }
}

impl MailboxRecord {
    /// Nothing is known of this mailbox yet.
    pub const fn new(bdf: Bdf) -> Self {
        Self {
            bdf,
            shell_version: None,
            virtual_led: None,
            virtual_dip: None,
            exchanges: Vec::new(),
            lock_holder: None,
            failures: Vec::new(),
        }
    }
}
