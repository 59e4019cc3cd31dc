//! A tar archive as a stream: headers, extended headers and contents, of which none is believed.
//!
//! The `tar` crate knows what a header means; the loop over headers is here because that crate's own
//! keeps extended headers of any length in memory. Format: POSIX.1-2017 pax and ustar, and the GNU tar
//! manual, "Basic Tar Format".

mod extended;
mod foreign;

use std::io::{self, BufRead as _, BufReader, Read};

use tar::{EntryType, Header};

use crate::contents::Contents;
use crate::finding::{Finding, quoted};
use crate::{CheckError, FailureCode, limits};
use extended::Extended;

/// Bytes of a header, and what contents are padded to.
const BLOCK: usize = 512;
/// Where the checksum is in a header.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    /// A hard or a symbolic link.
    Link,
    /// A device, a pipe.
    Special,
    /// A file with holes that are not in the archive.
    Sparse,
    /// Any other type.
    Other(u8),
}

/// A member, before its contents.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: Kind,
    /// Bytes of its contents.
    pub(crate) size: u64,
    /// Where in the archive its header is; `None` for a file of a directory.
    pub(crate) at: Option<u64>,
}

/// Reads an archive and hands its members to `contents`. What is wrong with it is reported there.
pub(crate) fn read(source: impl Read, contents: &mut Contents) -> Result<(), CheckError> {
    let mut archive = Archive {
        source: BufReader::with_capacity(limits::BUFFER, source),
        position: 0,
    };
    let read = archive.members(contents);
    contents.report.bytes = archive.position;
    match read {
        Ok(()) => Ok(()),
        Err(Stop::Wrong(finding)) => {
            contents.cut_short();
            contents.report.add(*finding);
            Ok(())
        }
        Err(Stop::Read(source)) => Err(CheckError::Read {
            position: archive.position,
            source,
        }),
    }
}

/// Why reading ended before the end of the archive.
enum Stop {
    /// What follows cannot be understood.
    Wrong(Box<Finding>),
    /// It cannot be read.
    Read(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<Finding> for Stop {
    fn from(finding: Finding) -> Self {
        Self::Wrong(Box::new(finding))
    }
}

impl From<Box<Finding>> for Stop {
    fn from(finding: Box<Finding>) -> Self {
        Self::Wrong(finding)
    }
}

struct Archive<R> {
    source: BufReader<R>,
    position: u64,
}

impl<R: Read> Archive<R> {
    fn members(&mut self, contents: &mut Contents) -> Result<(), Stop> {
        while let Some(entry) = self.entry(contents)? {
            if contents.is_full() {
                return Err(corrupt("the archive has too many members")
                    .seen(format!("more than {}", limits::MEMBERS))
                    .wanted("a checkpoint, a manifest, and at most the debug probes")
                    .fix("make it of 'to_aws' alone: 'afi image pack' does that")
                    .byte(entry.at)
                    .into());
            }
            contents.begin(&entry);
            self.data(entry.size, |piece| contents.data(piece))?
                .map_err(|left| cut(&entry, left))?;
            contents.end();
        }
        Ok(())
    }

    /// The next member; `None` at the end of the archive.
    fn entry(&mut self, contents: &mut Contents) -> Result<Option<Entry>, Stop> {
        let mut extended = Extended::default();
        for _ in 0..=limits::EXTENDED_HEADERS {
            let at = self.position;
            let Some(block) = self.header(contents)? else {
                return Ok(None);
            };
            let header = Header::from_byte_slice(&block);
            let size = header.entry_size().map_err(|_| {
                let found = corrupt("a header has a size that is no number");
                found.fix("make the tarball again: it was damaged").byte(at)
            })?;
            let kind = header.entry_type();
            if !Extended::is_extended(kind) {
                let mut entry = extended.apply(header, size, at);
                self.sparse_map(header)?;
                entry.kind = match (entry.kind, extended.sparse) {
                    (Kind::File, true) => Kind::Sparse,
                    (kind, _) => kind,
                };
                return Ok(Some(entry));
            }
            let text = self.extended_header(size, at)?;
            extended.add(kind, &text, at, &mut contents.report)?;
        }
        Err(corrupt("a member has too many extended headers")
            .fix("make the tarball with plain 'tar -cf', or with 'afi image pack'")
            .byte(self.position)
            .into())
    }

    /// A header whose checksum is right; `None` at the end of the archive.
    fn header(&mut self, contents: &mut Contents) -> Result<Option<[u8; BLOCK]>, Stop> {
        let at = self.position;
        let mut block = [0; BLOCK];
        let length = self.fill(&mut block)?;
        if at == 0
            && let Some(finding) = foreign::recognise(&block[..length])
        {
            return Err(finding.into());
        }
        if length == 0 {
            let found = Finding::warning(
                FailureCode::CorruptArchive,
                "the archive has no end mark: it may have been cut short",
            );
            let fix = "make the tarball again, and compare its size after each copy";
            contents.report.add(
                found
                    .byte(at)
                    .wanted("two blocks of zeros at the end")
                    .fix(fix),
            );
            return Ok(None);
        }
        if length < BLOCK {
            return Err(corrupt("the archive ends in the middle of a header")
                .seen(format!("{length} bytes of a header"))
                .wanted("512 bytes")
                .fix("make the tarball again: it was cut short")
                .byte(at)
                .into());
        }
        if block.iter().all(|byte| *byte == 0) {
            self.after_the_end(contents)?;
            return Ok(None);
        }
        if !checksum_is_right(&block) {
            return Err(foreign::no_header(&block, at).into());
        }
        Ok(Some(block))
    }

    /// Sees that nothing but zeros follows the end mark, of which one block was read.
    fn after_the_end(&mut self, contents: &mut Contents) -> Result<(), Stop> {
        loop {
            let at = self.position;
            let piece = self.piece()?;
            if piece.is_empty() {
                return Ok(());
            }
            let Some(stray) = piece.iter().position(|byte| *byte != 0) else {
                let length = piece.len();
                self.consume(length);
                continue;
            };
            let found = "something follows the end of the archive, and is not looked at";
            let found = Finding::warning(FailureCode::CorruptArchive, found);
            let fix = "make the tarball again; archives cannot be put one after the other";
            contents.report.add(found.byte(at + stray as u64).fix(fix));
            return Ok(());
        }
    }

    /// The contents of an extended header.
    fn extended_header(&mut self, size: u64, at: u64) -> Result<Vec<u8>, Stop> {
        if size > limits::EXTENDED_HEADER as u64 {
            return Err(corrupt("an extended header is too long")
                .seen(format!("{size} bytes"))
                .wanted(format!("at most {} bytes", limits::EXTENDED_HEADER))
                .fix("use short names, and leave out extended attributes")
                .byte(at)
                .into());
        }
        let mut text = Vec::new();
        self.data(size, |piece| text.extend_from_slice(piece))?
            .map_err(|_| cut_at("the archive ends in an extended header", at))?;
        Ok(text)
    }

    /// Passes over the blocks that continue the map of a sparse file (GNU tar manual, "Sparse
    /// Formats").
    fn sparse_map(&mut self, header: &Header) -> Result<(), Stop> {
        if header.entry_type() != EntryType::GNUSparse {
            return Ok(());
        }
        let mut more = header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
        while more {
            let at = self.position;
            let mut block = [0; BLOCK];
            if self.fill(&mut block)? < BLOCK {
                return Err(cut_at("the archive ends in the map of a sparse file", at).into());
            }
            // `isextended`, after 21 descriptors of 24 bytes.
            more = block[504] == 1;
        }
        Ok(())
    }

    /// Hands out the contents of a member and passes over their padding. The inner error is how many
    /// bytes were missing when the archive ended.
    fn data(&mut self, size: u64, mut to: impl FnMut(&[u8])) -> io::Result<Result<(), u64>> {
        let mut left = size;
        while left > 0 {
            let piece = self.piece()?;
            if piece.is_empty() {
                return Ok(Err(left));
            }
            let length = left.min(piece.len() as u64) as usize;
            to(&piece[..length]);
            self.consume(length);
            left -= length as u64;
        }
        let padding = (BLOCK - (size % BLOCK as u64) as usize) % BLOCK;
        let mut block = [0; BLOCK];
        // Less than that is the end of the archive, which the next header will tell.
        self.fill(&mut block[..padding])?;
        Ok(Ok(()))
    }

    /// Fills a buffer, or as much of it as there is.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let piece = self.piece()?;
            if piece.is_empty() {
                break;
            }
            let length = piece.len().min(buffer.len() - filled);
            buffer[filled..filled + length].copy_from_slice(&piece[..length]);
            self.consume(length);
            filled += length;
        }
        Ok(filled)
    }

    /// What comes next, empty at the end.
    fn piece(&mut self) -> io::Result<&[u8]> {
        while let Err(error) = self.source.fill_buf() {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(self.source.buffer())
    }

    fn consume(&mut self, length: usize) {
        self.source.consume(length);
        self.position += length as u64;
    }
}

/// Old writers added the bytes as signed numbers; readers accept both.
fn checksum_is_right(block: &[u8; BLOCK]) -> bool {
    let Ok(stored) = Header::from_byte_slice(block).cksum() else {
        return false;
    };
    let (mut unsigned, mut signed) = (0_u32, 0_i32);
    for (index, byte) in block.iter().enumerate() {
        let byte = if CHECKSUM.contains(&index) {
            b' '
        } else {
            *byte
        };
        unsigned += u32::from(byte);
        signed += i32::from(byte as i8);
    }
    stored == unsigned || i32::try_from(stored) == Ok(signed)
}

fn corrupt(message: &str) -> Finding {
    Finding::error(FailureCode::CorruptArchive, message)
}

fn cut_at(message: &str, at: u64) -> Finding {
    corrupt(message)
        .fix("make the tarball again: it was cut short")
        .byte(at)
}

fn cut(entry: &Entry, left: u64) -> Finding {
    let name = String::from_utf8_lossy(&entry.name);
    corrupt("the archive ends in the middle of a member")
        .seen(format!(
            "{} of the {} bytes of {}",
            entry.size - left,
            entry.size,
            quoted(&name)
        ))
        .wanted("all of it")
        .fix("make the tarball again: it was cut short")
        .byte(entry.at)
}
