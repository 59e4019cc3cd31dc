//! Headers that say more about the member that follows: long names of GNU tar, records of pax.

use tar::{EntryType, Header, PaxExtensions};

use super::{Entry, Kind, corrupt};
use crate::finding::Finding;
use crate::limits;
use crate::report::Report;

/// What extended headers said about the next member.
#[derive(Debug, Default)]
pub(super) struct Extended {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    /// The file has holes (GNU tar manual, "PAX Format, Versions 0.0 to 1.0").
    pub(super) sparse: bool,
}

impl Extended {
    /// Whether a header of this type is about the next one.
    pub(super) fn is_extended(kind: EntryType) -> bool {
        matches!(
            kind,
            EntryType::GNULongName
                | EntryType::GNULongLink
                | EntryType::XHeader
                | EntryType::XGlobalHeader
        )
    }

    /// Takes in the contents of such a header, which is at byte `at`.
    pub(super) fn add(
        &mut self,
        kind: EntryType,
        text: &[u8],
        at: u64,
        report: &mut Report,
    ) -> Result<(), Box<Finding>> {
        match kind {
            EntryType::GNULongName => {
                let end = text.iter().position(|byte| *byte == 0);
                self.name = Some(text[..end.unwrap_or(text.len())].to_vec());
            }
            EntryType::XHeader => self.records(text, at)?,
            EntryType::XGlobalHeader => global(text, at, report)?,
            // The target of a link, which is never followed.
            _ => {}
        }
        let too_long = |name: &Vec<u8>| name.len() > limits::NAME;
        if self.name.as_ref().is_some_and(too_long) {
            return Err(corrupt("a member has too long a name")
                .wanted(format!("at most {} bytes", limits::NAME))
                .fix("use shorter names")
                .byte(at)
                .into());
        }
        Ok(())
    }

    fn records(&mut self, text: &[u8], at: u64) -> Result<(), Box<Finding>> {
        for record in PaxExtensions::new(text) {
            let record = record.map_err(|_| no_record(at))?;
            let value = record.value_bytes();
            match record.key_bytes() {
                b"path" => self.name = Some(value.to_vec()),
                b"size" => {
                    let number = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                    self.size = Some(number.ok_or_else(|| no_record(at))?);
                }
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// The member that a header and what came before it describe.
    pub(super) fn apply(&mut self, header: &Header, size: u64, at: u64) -> Entry {
        let name = self.name.take();
        let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = kind(header.entry_type(), &name);
        // A hard link repeats the size of its target, and has no contents (GNU tar; POSIX allows
        // them, in archives that nobody makes).
        let size = match header.entry_type() {
            EntryType::Link => 0,
            _ => self.size.take().unwrap_or(size),
        };
        Entry {
            name,
            kind,
            size,
            at: Some(at),
        }
    }
}

fn kind(kind: EntryType, name: &[u8]) -> Kind {
    match kind {
        // Before ustar a directory was told by its name.
        EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Link | EntryType::Symlink => Kind::Link,
        EntryType::Char | EntryType::Block | EntryType::Fifo => Kind::Special,
        EntryType::GNUSparse => Kind::Sparse,
        other => Kind::Other(other.as_byte()),
    }
}

/// Records for all members. A comment is harmless (`git archive` writes one); what would rename or
/// resize every member is not.
fn global(text: &[u8], at: u64, report: &mut Report) -> Result<(), Box<Finding>> {
    for record in PaxExtensions::new(text) {
        let record = record.map_err(|_| no_record(at))?;
        if matches!(record.key_bytes(), b"path" | b"size" | b"linkpath") {
            report.add(
                corrupt("a global header gives every member the same name or size")
                    .byte(at)
                    .fix("make the tarball with plain 'tar -cf', or with 'afi image pack'"),
            );
        }
    }
    Ok(())
}

fn no_record(at: u64) -> Box<Finding> {
    let found = corrupt("a record of a pax header is malformed")
        .wanted("'LENGTH KEY=VALUE', the size being a decimal number")
        .fix("make the tarball with plain 'tar -cf', or with 'afi image pack'");
    Box::new(found.byte(at))
}
