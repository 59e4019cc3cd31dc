//! A checkpoint (DCP) as it passes by: whether it is a zip file, which a Vivado checkpoint is, and
//! whether the netlist in it can be read.
//!
//! Zip: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to
//! 4.3.16 (its end). What is in a checkpoint is not documented by its maker; RapidWright's "Design
//! Checkpoints" and AMD's answer record 55442 say as much as this file uses: a zip of an EDIF netlist,
//! constraints and metadata, `dcp.xml` among them, in which an encrypted netlist is no EDIF text.

mod directory;
mod netlist;

use crate::limits;
use netlist::NetlistFinder;

/// What begins a zip file that is not empty.
const LOCAL_HEADER: &[u8; 4] = b"PK\x03\x04";

/// What can be said of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Why it is no zip file; `None` when it is one.
    pub(crate) damage: Option<&'static str>,
    /// Whether `dcp.xml` is in it; `None` when its table of contents was not seen whole.
    pub(crate) has_description: Option<bool>,
    /// A netlist in it that is plain text.
    pub(crate) plain_netlist: Option<String>,
}

/// Looks at a checkpoint piece by piece.
pub(crate) struct Inspector {
    size: u64,
    seen: u64,
    start: Vec<u8>,
    tail: Vec<u8>,
    netlist: NetlistFinder,
}

impl Inspector {
    /// For a file of this size.
    pub(crate) fn new(size: u64) -> Self {
        Self {
            size,
            seen: 0,
            start: Vec::new(),
            tail: Vec::new(),
            netlist: NetlistFinder::default(),
        }
    }

    /// The next piece.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        let missing = LOCAL_HEADER.len() - self.start.len();
        self.start
            .extend_from_slice(&piece[..missing.min(piece.len())]);
        self.netlist.update(self.seen, piece);
        let tail_at = self.size.saturating_sub(limits::CHECKPOINT_TAIL as u64);
        let skipped = tail_at.saturating_sub(self.seen).min(piece.len() as u64) as usize;
        self.tail.extend_from_slice(&piece[skipped..]);
        self.seen += piece.len() as u64;
    }

    /// What was seen, at the end of the file.
    pub(crate) fn finish(self) -> Checkpoint {
        let damaged = |damage| Checkpoint {
            damage: Some(damage),
            ..Checkpoint::default()
        };
        if self.size == 0 {
            return damaged("it is empty");
        }
        if self.start != LOCAL_HEADER {
            return damaged("it does not begin as a zip file does");
        }
        match directory::read(&self.tail, self.size) {
            Err(damage) => damaged(damage),
            Ok(names) => Checkpoint {
                damage: None,
                has_description: names.map(|names| names.has_description),
                plain_netlist: self.netlist.finish(),
            },
        }
    }
}

/// A little-endian number of 2 bytes.
fn le16(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 2)?;
    Some(usize::from(u16::from_le_bytes(bytes.try_into().ok()?)))
}

/// A little-endian number of 4 bytes.
fn le32(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?).into())
}

/// A little-endian number of 8 bytes.
fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests;
