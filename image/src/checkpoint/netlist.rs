//! Whether the netlist in a zip file can be read: from one local header to the next, as long as they
//! tell how long their files are.

use std::io::Read as _;

use flate2::read::DeflateDecoder;

use super::{LOCAL_HEADER, le16, le32};
use crate::finding::shown;
use crate::limits;

/// Bytes of a local header without its name and extra field.
const HEADER: usize = 30;
/// Bytes that are kept from a header on: the header, its name, and enough of the file to see what it is.
const WINDOW: usize = 2048;
/// What EDIF text begins with (EDIF 2 0 0).
const EDIF: &[u8] = b"(edif";
/// Bytes of a netlist that are unpacked.
const UNPACKED: u64 = 64;
/// Compression methods 0 and 8.
const STORED: usize = 0;
const DEFLATED: usize = 8;

/// Looks for a netlist that is plain text.
#[derive(Debug, Default)]
pub(super) struct NetlistFinder {
    /// Where the next local header is.
    at: u64,
    /// What was seen from there on.
    window: Vec<u8>,
    files: usize,
    done: bool,
    found: Option<String>,
}

impl NetlistFinder {
    /// The next piece of the file, which begins at byte `seen`.
    pub(super) fn update(&mut self, seen: u64, piece: &[u8]) {
        while !self.done {
            let next = self.at + self.window.len() as u64;
            let Some(skip) = next.checked_sub(seen) else {
                // A header cannot lie before what was seen: the window holds that.
                self.done = true;
                return;
            };
            if skip >= piece.len() as u64 {
                return;
            }
            let rest = &piece[skip as usize..];
            let length = rest.len().min(WINDOW - self.window.len());
            self.window.extend_from_slice(&rest[..length]);
            if self.window.len() < WINDOW {
                return;
            }
            self.look();
        }
    }

    /// The name of the netlist, at the end of the file.
    pub(super) fn finish(mut self) -> Option<String> {
        while !self.done {
            self.look();
        }
        self.found
    }

    /// Looks at the header that the window begins with, and moves on to the next one.
    fn look(&mut self) {
        self.files += 1;
        let length = (self.files <= limits::CHECKPOINT_FILES).then(|| self.file());
        let Some(length) = length.flatten() else {
            self.done = true;
            return;
        };
        self.at = self.at.saturating_add(length);
        let passed = usize::try_from(length).unwrap_or(usize::MAX);
        self.window.drain(..passed.min(self.window.len()));
    }

    /// Looks at the file whose header the window begins with, and gives the bytes to the next header.
    /// `None` when there is none, when that is not known, or when a netlist was seen.
    fn file(&mut self) -> Option<u64> {
        let header = &self.window[..];
        if !header.starts_with(LOCAL_HEADER) {
            return None;
        }
        let (flags, method) = (le16(header, 6)?, le16(header, 8)?);
        let packed = le32(header, 18)?;
        let name_length = le16(header, 26)?;
        let before = HEADER + name_length + le16(header, 28)?;
        let name = header.get(HEADER..HEADER + name_length)?;
        let is_netlist = name.ends_with(b".edf") || name.ends_with(b".edn");
        if let Some(contents) = header.get(before..).filter(|_| is_netlist) {
            let length = usize::try_from(packed).unwrap_or(usize::MAX);
            let contents = &contents[..contents.len().min(length.max(1))];
            if begins_as_edif(method, contents) {
                self.found = Some(shown(&String::from_utf8_lossy(name)));
                return None;
            }
        }
        // Bit 3: the lengths follow the file, so the next header cannot be found from here.
        let is_known = flags & 8 == 0 && packed != 0xFFFF_FFFF;
        is_known.then(|| before as u64 + packed)
    }
}

fn begins_as_edif(method: usize, contents: &[u8]) -> bool {
    let mut start = Vec::new();
    match method {
        STORED => start.extend_from_slice(&contents[..contents.len().min(UNPACKED as usize)]),
        DEFLATED => {
            // What is cut short or damaged gives what came before.
            let _ = DeflateDecoder::new(contents)
                .take(UNPACKED)
                .read_to_end(&mut start);
        }
        _ => return false,
    }
    start
        .trim_ascii_start()
        .to_ascii_lowercase()
        .starts_with(EDIF)
}
