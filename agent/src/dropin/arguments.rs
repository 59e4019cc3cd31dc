//! What a tool is asked to do: its command line, read and checked as the tool does it.
//!
//! Source: `fpga_local_cmd_parse.c` of aws-fpga, branches `f2` and `master`. One program serves
//! both, so an option that only one of them has is taken on either.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::getopt::{Found, Options};
use super::{Dialect, Tool, number, options, usage};

/// Slots that the tools know (`FPGA_SLOT_MAX`).
const MOST_SLOTS: u32 = 8;
/// Bytes of an image id, with the NUL at its end (`AFI_ID_STR_MAX`).
const ID_BYTES: usize = 64;
/// The TCP port of the virtual JTAG server unless another one is named.
const JTAG_PORT: u16 = 10201;
/// What `-P` takes lies between these two.
const PORTS: (u32, u32) = (1024, 65535);
/// What `--sync-timeout` may be at most, in seconds: 2³² − 1 looks, 2 ms apart.
const LONGEST_SYNC: u32 = 8_589_934;

/// What a tool is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arguments {
    /// `-S`; 0 for the tool that takes none.
    pub(super) slot: u8,
    /// `-I`.
    pub(super) image: String,
    /// `-A`, and `-P` of a load: do not wait for the end.
    pub(super) no_wait: bool,
    /// `-H`: lines that name the columns.
    pub(super) headers: bool,
    /// `-F`.
    pub(super) force_shell_reload: bool,
    /// `-P` of a load.
    pub(super) prefetch: bool,
    /// `-D` of a load.
    pub(super) retain_dram: bool,
    /// `-a`, `-b`, `-c` of a load: MHz of the first clock of each group, 0 for the image's own.
    pub(super) clocks_mhz: [u32; 3],
    /// `-M`, `-C` and `-L` of a describe.
    pub(super) metrics: bool,
    /// `-C`.
    pub(super) clear_metrics: bool,
    /// `-L`.
    pub(super) clear_cache: bool,
    /// `-R`.
    pub(super) rescan: bool,
    /// `-M` of the list of slots: show the management functions too.
    pub(super) show_mgmt: bool,
    /// `-D` of the switches.
    pub(super) dip: u16,
    /// `--request-timeout`.
    pub(super) request_timeout: Option<Duration>,
    /// `--sync-timeout`.
    pub(super) sync_timeout: Option<Duration>,
    /// `-P` of the JTAG server.
    pub(super) listen: Listen,
}

/// Where the JTAG server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listen {
    /// As it was given.
    pub(super) text: String,
    /// The address.
    pub(super) address: SocketAddr,
}

/// A command line that asks for nothing to be done, or that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// What goes to standard output.
    pub(super) text: String,
    /// What is wrong, where the C library says it, on standard error.
    pub(super) mistake: Option<String>,
    /// Whether that was asked for, as help or version. No error is told then; the exit status is
    /// that of one all the same.
    pub(super) asked_for: bool,
}

/// Reads the command line of a tool, without the program's name.
///
/// # Errors
/// When it asks for help or the version, or is none.
pub(super) fn parse(tool: Tool, dialect: Dialect, words: &[String]) -> Result<Arguments, Ended> {
    let mut reader = Reader {
        tool,
        dialect,
        arguments: Arguments::default(),
        slot: None,
        dip_given: false,
        port: 0,
    };
    for found in Options::new(options::of(tool), words) {
        match found {
            Found::Flag(option) => reader.flag(option)?,
            Found::Value(option, value) => reader.value(option, &value)?,
            Found::Mistake(text) => {
                return Err(Ended {
                    mistake: Some(text),
                    ..reader.usage("")
                });
            }
        }
    }
    reader.finish()
}

/// A command line that is being read.
struct Reader {
    tool: Tool,
    dialect: Dialect,
    arguments: Arguments,
    slot: Option<u32>,
    dip_given: bool,
    port: u32,
}

impl Reader {
    fn flag(&mut self, option: char) -> Result<(), Ended> {
        let arguments = &mut self.arguments;
        match (self.tool, option) {
            (_, 'h') => {
                return Err(Ended {
                    asked_for: true,
                    ..self.usage("")
                });
            }
            (_, 'V') => {
                let version = self.dialect.version();
                return Err(Ended {
                    text: format!("AFI Management Tools Version: {version}\n"),
                    mistake: None,
                    asked_for: true,
                });
            }
            (_, 'H') => arguments.headers = true,
            (Tool::Load | Tool::Clear, 'A') => arguments.no_wait = true,
            (Tool::Load, 'F') => arguments.force_shell_reload = true,
            (Tool::Load, 'D') => arguments.retain_dram = true,
            (Tool::Load, 'P') => (arguments.prefetch, arguments.no_wait) = (true, true),
            (Tool::Describe, 'M') => arguments.metrics = true,
            (Tool::Describe, 'C') => (arguments.metrics, arguments.clear_metrics) = (true, true),
            (Tool::Describe, 'L') => (arguments.metrics, arguments.clear_cache) = (true, true),
            (Tool::Describe, 'R') => arguments.rescan = true,
            (Tool::DescribeSlots, 'M') => arguments.show_mgmt = true,
            // `-?`, and `-R` where it is listed and nothing is done for it.
            _ => return Err(self.usage("")),
        }
        Ok(())
    }

    fn value(&mut self, option: char, value: &str) -> Result<(), Ended> {
        match (self.tool, option) {
            (_, 'S') => {
                self.slot = number::parse(value).or(self.slot);
                if self.slot.is_none_or(|slot| slot >= MOST_SLOTS) {
                    let text = format!("fpga-image-slot must be less than {MOST_SLOTS}\n");
                    return Err(self.usage(&text));
                }
            }
            (_, 'I') => {
                if value.len() >= ID_BYTES {
                    let text = format!("fpga-image-id must be less than {ID_BYTES} bytes\n");
                    return Err(self.usage(&text));
                }
                value.clone_into(&mut self.arguments.image);
            }
            (_, 'r') => {
                let longest = self.dialect.longest_request();
                self.arguments.request_timeout = Some(self.timeout(value, longest)?);
            }
            (_, 's') => {
                self.arguments.sync_timeout = Some(self.timeout(value, LONGEST_SYNC)?);
            }
            (_, 'a') => self.clock(0, value)?,
            (_, 'b') => self.clock(1, value)?,
            (_, 'c') => self.clock(2, value)?,
            (Tool::SetDip, 'D') => self.dip(value)?,
            (Tool::StartJtag, 'P') => self.port(value)?,
            _ => return Err(self.usage("")),
        }
        Ok(())
    }

    /// A time limit in seconds. The tools refuse any that is shorter than their default; here each
    /// from one second on is taken.
    fn timeout(&self, value: &str, longest: u32) -> Result<Duration, Ended> {
        let seconds = number::parse(value).filter(|seconds| (1..=longest).contains(seconds));
        let seconds = seconds.ok_or_else(|| {
            self.usage(&format!(
                "Error: The timeout must be between 1 and {longest} seconds\n"
            ))
        })?;
        Ok(Duration::from_secs(seconds.into()))
    }

    fn clock(&mut self, group: usize, value: &str) -> Result<(), Ended> {
        let clock = &mut self.arguments.clocks_mhz[group];
        *clock = number::parse(value).unwrap_or(*clock);
        if *clock == 0 {
            return Err(self.usage("Requested frequency must be positive\n"));
        }
        Ok(())
    }

    /// Sixteen digits, the highest switch first.
    fn dip(&mut self, value: &str) -> Result<(), Ended> {
        if value.len() != 16 {
            return Err(self.usage("virtual-dip must be 16 digits of zero or one\n"));
        }
        let mut switches = 0;
        for digit in value.chars() {
            let bit = match digit {
                '0' => 0,
                '1' => 1,
                other => {
                    return Err(self.usage(&format!("illegal digit for virtual-dip {other}\n")));
                }
            };
            switches = switches << 1 | bit;
        }
        self.arguments.dip = switches;
        self.dip_given = true;
        Ok(())
    }

    /// A port on the loopback interface or, which the tools do not have, an address and a port.
    fn port(&mut self, value: &str) -> Result<(), Ended> {
        let named = value.rsplit_once(':').and_then(|(address, port)| {
            let address = address.trim_start_matches('[').trim_end_matches(']');
            Some((address.parse::<IpAddr>().ok()?, port))
        });
        let (address, port) = named.unwrap_or((Ipv4Addr::LOCALHOST.into(), value));
        self.port = number::parse(port).unwrap_or(self.port);
        let (above, below) = PORTS;
        if self.port >= below {
            return Err(self.usage(&format!("tcp-port must be less than {below}\n")));
        }
        if self.port <= above {
            return Err(self.usage(&format!("tcp-port must be larger than {above}\n")));
        }
        self.arguments.listen = Listen {
            text: value.to_owned(),
            // Below 65535.
            address: SocketAddr::new(address, self.port as u16),
        };
        Ok(())
    }

    /// What has to be there.
    fn finish(mut self) -> Result<Arguments, Ended> {
        let no_slot = match self.tool {
            Tool::Load | Tool::Clear | Tool::Describe => "",
            // The usage text follows on the same line.
            _ => "Error: Invalid Slot Id !",
        };
        match (self.tool, self.slot) {
            (Tool::DescribeSlots, _) => {}
            // Below 8.
            (_, Some(slot)) => self.arguments.slot = slot as u8,
            (_, None) => return Err(self.usage(no_slot)),
        }
        if self.tool == Tool::Load && self.arguments.image.is_empty() {
            return Err(self.usage(""));
        }
        if self.tool == Tool::SetDip && !self.dip_given {
            return Err(self.usage("Error: Missing DIP Switch values !"));
        }
        Ok(self.arguments)
    }

    fn usage(&self, before: &str) -> Ended {
        Ended {
            text: format!("{before}{}", usage::of(self.tool, self.dialect)),
            mistake: None,
            asked_for: false,
        }
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            slot: 0,
            image: String::new(),
            no_wait: false,
            headers: false,
            force_shell_reload: false,
            prefetch: false,
            retain_dram: false,
            clocks_mhz: [0; 3],
            metrics: false,
            clear_metrics: false,
            clear_cache: false,
            rescan: false,
            show_mgmt: false,
            dip: 0,
            request_timeout: None,
            sync_timeout: None,
            listen: Listen {
                text: JTAG_PORT.to_string(),
                address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), JTAG_PORT),
            },
        }
    }
}
