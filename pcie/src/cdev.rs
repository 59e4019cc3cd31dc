//! The kernel driver's way to the card's memory: `/dev/xdmaN_h2c_C` and `/dev/xdmaN_c2h_C`, where
//! that driver is what a host has.
//!
//! A write to an H2C node at a position, or a read from a C2H node, is a transfer to or from that
//! address of the card; the call returns when it is over. Each node is a channel of the engine, and
//! serves one call at a time.
//!
//! Source: `sdk/linux_kernel_drivers/xdma` of aws-fpga (`master`): `xdma_cdev.c` for the names and
//! the device class, `cdev_sgdma.c` for the transfers.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use afi_proto::Bdf;
use afi_proto::xdma::Direction;

use crate::deadline::{Deadline, Ended};
use crate::striped::each;

/// The class that the driver puts its nodes into.
const CLASS: &str = "class/xdma";
/// The most bytes of one call. The driver takes 2048 descriptors at once, which are so many pages
/// when none of them adjoin: 8 MiB. Half of it leaves room for ends that are not aligned, and lets
/// channels share short transfers.
pub const PIECE: usize = 4 << 20;
/// Channels of each direction that the driver can make nodes for.
const MOST_CHANNELS: u8 = 4;

/// The channels that the kernel driver has made for a function.
#[derive(Debug)]
pub struct KernelDriver {
    bdf: Bdf,
    h2c: Vec<Node>,
    c2h: Vec<Node>,
}

/// The node of a channel.
#[derive(Debug)]
struct Node {
    path: PathBuf,
    file: File,
}

/// Where the kernel shows devices and where their nodes are.
#[derive(Debug, Clone)]
pub struct Places {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            sys: "/sys".into(),
            dev: "/dev".into(),
        }
    }
}

/// What can go wrong with transfers through the kernel driver.
#[derive(Debug, thiserror::Error)]
pub enum CdevError {
    /// The driver is not there.
    #[error("the kernel driver 'xdma' is not loaded: there is no {path}")]
    NoDriver {
        /// Where its devices would be.
        path: PathBuf,
    },
    /// The driver is there, and has not taken this function.
    #[error(
        "the kernel driver 'xdma' has made no channels for PCI function {bdf}; its devices are {}",
        list(found)
    )]
    NotBound {
        /// The function.
        bdf: Bdf,
        /// The nodes that it has made, of other functions.
        found: Vec<String>,
    },
    /// The system refused an operation on a file.
    #[error("cannot {what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A transfer did not work.
    #[error(
        "{path}: a transfer of {length:#x} bytes at {address:#x} did not work; the kernel's log tells more"
    )]
    Transfer {
        /// The node.
        path: PathBuf,
        /// The address in the card's memory.
        address: u64,
        /// Bytes.
        length: u64,
        /// What the driver said.
        source: io::Error,
    },
    /// The driver moved nothing, and gave no error.
    #[error("{path}: a transfer of {length:#x} bytes at {address:#x} moved nothing")]
    Stuck {
        /// The node.
        path: PathBuf,
        /// The address in the card's memory.
        address: u64,
        /// Bytes.
        length: u64,
    },
    /// The driver has no channel of this direction.
    #[error("the kernel driver has made no {direction} channel for PCI function {bdf}")]
    NoChannel {
        /// The function.
        bdf: Bdf,
        /// The direction.
        direction: Direction,
    },
    /// The wait for transfers ended before all were done.
    #[error("transfers through the kernel driver")]
    Wait {
        /// Why.
        source: Ended,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}

impl KernelDriver {
    /// Opens the channels of a function.
    ///
    /// # Errors
    /// When the driver is not loaded or has not taken the function, or a node cannot be opened.
    pub fn open(bdf: Bdf) -> Result<Self, CdevError> {
        Self::open_in(&Places::default(), bdf)
    }

    /// As [`Self::open`], of a system whose files are elsewhere.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in(places: &Places, bdf: Bdf) -> Result<Self, CdevError> {
        let class = places.sys.join(CLASS);
        let mut mine = Vec::new();
        let mut others = Vec::new();
        for name in names(&class)? {
            let Some((direction, channel)) = channel_of(&name) else {
                continue;
            };
            if is_of(&class.join(&name), bdf)? {
                mine.push((direction, channel, name));
            } else {
                others.push(name);
            }
        }
        if mine.is_empty() {
            let found = others;
            return Err(CdevError::NotBound { bdf, found });
        }
        mine.sort_by_key(|(_, channel, _)| *channel);
        let open = |wanted: Direction| {
            let nodes = mine.iter().filter(|(direction, ..)| *direction == wanted);
            nodes
                .map(|(.., name)| Node::open(places.dev.join(name), wanted))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            bdf,
            h2c: open(Direction::H2c)?,
            c2h: open(Direction::C2h)?,
        })
    }

    /// The function.
    pub const fn bdf(&self) -> Bdf {
        self.bdf
    }

    /// Channels of a direction.
    pub const fn channels(&self, direction: Direction) -> usize {
        self.nodes(direction).len()
    }

    /// Writes to the card, over at most so many channels at once. `moved` is told the bytes of each
    /// part that is done.
    ///
    /// The deadline is looked at between parts of [`PIECE`] bytes; in one, the driver waits at most
    /// 10 s for the card.
    ///
    /// # Errors
    /// When a transfer does not work, or the deadline ends; some of the data may be written.
    pub fn write(
        &self,
        address: u64,
        data: &[u8],
        channels: usize,
        deadline: &Deadline,
        moved: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CdevError> {
        let nodes = self.some(Direction::H2c, channels)?;
        each(
            nodes,
            data.chunks(PIECE).enumerate(),
            |node, (number, part)| {
                let at = address + (number * PIECE) as u64;
                node.move_all(at, part.len(), deadline, |done, at| {
                    node.file.write_at(&part[done..], at)
                })?;
                moved(part.len() as u64);
                Ok(())
            },
        )
    }

    /// Reads from the card, as [`Self::write`] writes.
    ///
    /// # Errors
    /// As [`Self::write`]; some of `data` may be changed.
    pub fn read(
        &self,
        address: u64,
        data: &mut [u8],
        channels: usize,
        deadline: &Deadline,
        moved: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CdevError> {
        let nodes = self.some(Direction::C2h, channels)?;
        each(
            nodes,
            data.chunks_mut(PIECE).enumerate(),
            |node, (number, part)| {
                let at = address + (number * PIECE) as u64;
                node.move_all(at, part.len(), deadline, |done, at| {
                    node.file.read_at(&mut part[done..], at)
                })?;
                moved(part.len() as u64);
                Ok(())
            },
        )
    }

    const fn nodes(&self, direction: Direction) -> &Vec<Node> {
        match direction {
            Direction::H2c => &self.h2c,
            Direction::C2h => &self.c2h,
        }
    }

    fn some(&self, direction: Direction, most: usize) -> Result<&[Node], CdevError> {
        let nodes = self.nodes(direction);
        let bdf = self.bdf;
        if nodes.is_empty() {
            return Err(CdevError::NoChannel { bdf, direction });
        }
        Ok(&nodes[..nodes.len().min(most.max(1))])
    }
}

impl Node {
    fn open(path: PathBuf, direction: Direction) -> Result<Self, CdevError> {
        let write = direction == Direction::H2c;
        let opened = File::options().write(write).read(!write).open(&path);
        match opened {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(io_error("open", &path, source)),
        }
    }

    /// Calls until all bytes are moved: `call` is given how many are and the address of the next.
    fn move_all(
        &self,
        address: u64,
        length: usize,
        deadline: &Deadline,
        mut call: impl FnMut(usize, u64) -> io::Result<usize>,
    ) -> Result<(), CdevError> {
        let mut done = 0;
        while done < length {
            deadline
                .check()
                .map_err(|source| CdevError::Wait { source })?;
            let (at, left) = (address + done as u64, (length - done) as u64);
            match call(done, at) {
                Ok(0) => {
                    return Err(CdevError::Stuck {
                        path: self.path.clone(),
                        address: at,
                        length: left,
                    });
                }
                // It cannot have moved more; a driver that says so is not believed.
                Ok(moved) => done += moved.min(length - done),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(CdevError::Transfer {
                        path: self.path.clone(),
                        address: at,
                        length: left,
                        source,
                    });
                }
            }
        }
        Ok(())
    }
}

/// The names of the driver's devices.
fn names(class: &Path) -> Result<Vec<String>, CdevError> {
    let entries = match fs::read_dir(class) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = class.to_owned();
            return Err(CdevError::NoDriver { path });
        }
        Err(source) => return Err(io_error("list", class, source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| io_error("list", class, source))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// The channel that a device is: `xdma0_h2c_1`. The driver has others, which are none.
fn channel_of(name: &str) -> Option<(Direction, u8)> {
    let (board, rest) = name.strip_prefix("xdma")?.split_once('_')?;
    let (direction, channel) = rest.split_once('_')?;
    let direction = match direction {
        "h2c" => Direction::H2c,
        "c2h" => Direction::C2h,
        _ => return None,
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let channel = channel.parse().ok().filter(|_| digits(channel))?;
    (digits(board) && channel < MOST_CHANNELS).then_some((direction, channel))
}

/// Whether a device is of this function: its link `device` leads there.
fn is_of(device: &Path, bdf: Bdf) -> Result<bool, CdevError> {
    let link = device.join("device");
    match fs::read_link(&link) {
        Ok(target) => {
            let last = target.file_name().and_then(|last| last.to_str());
            Ok(last.and_then(|last| last.parse().ok()) == Some(bdf))
        }
        // It went while the directory was read.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(io_error("read", &link, source)),
    }
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> CdevError {
    CdevError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
