//! What is in an archive: its members as they pass by, and what is kept of them.

mod name;

use std::collections::HashSet;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::archive::{Entry, Kind};
use crate::checkpoint::{Checkpoint, Inspector};
use crate::finding::{Finding, quoted, shown};
use crate::report::{Member, Report};
use crate::{FailureCode, limits};
use name::Name;

pub(crate) use name::{Role, role};

/// What is kept of an archive.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) report: Report,
    /// The manifests, whole; no more than [`MANIFESTS`].
    pub(crate) manifests: Vec<ManifestFile>,
    /// How many manifests there are.
    pub(crate) manifest_count: usize,
    /// The files that are no manifest.
    pub(crate) files: Vec<File>,
    /// Whether the archive could not be read to its end, so that what is missing may be there.
    pub(crate) is_broken: bool,
    names: HashSet<Vec<u8>>,
    current: Option<Current>,
}

/// Manifests that are kept: two is one too many already.
const MANIFESTS: usize = 2;

/// A manifest.
pub(crate) struct ManifestFile {
    /// As it is shown.
    pub(crate) name: String,
    /// `None` when it is too long.
    pub(crate) text: Option<Vec<u8>>,
}

/// A file that may be the checkpoint.
pub(crate) struct File {
    /// Without directories.
    pub(crate) base: Vec<u8>,
    /// The whole name, as it is shown.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Whether it is directly in `to_aws`.
    pub(crate) in_place: bool,
    pub(crate) sha256: String,
    pub(crate) checkpoint: Checkpoint,
}

/// The member that is passing by.
enum Current {
    Skipped,
    Manifest(Vec<u8>),
    File {
        name: Name,
        sha256: Sha256,
        inspector: Box<Inspector>,
    },
}

impl Contents {
    /// Whether no more members are taken.
    pub(crate) fn is_full(&self) -> bool {
        self.report.members.len() >= limits::MEMBERS
    }

    /// A member begins.
    pub(crate) fn begin(&mut self, entry: &Entry) {
        let name = Name::new(&entry.name);
        self.report.members.push(Member {
            name: name.shown.clone(),
            bytes: entry.size,
            sha256: None,
        });
        for finding in name.findings(entry) {
            self.report.add(finding);
        }
        if !self.names.insert(name.path.clone()) {
            self.repeated(&name, entry);
        }
        let current = match (entry.kind, name.role) {
            (Kind::File, Role::Manifest) => self.manifest(&name, entry),
            (Kind::File, _) => Current::File {
                name,
                sha256: Sha256::new(),
                inspector: Box::new(Inspector::new(entry.size)),
            },
            _ => Current::Skipped,
        };
        self.current = Some(current);
    }

    /// The next piece of its contents.
    pub(crate) fn data(&mut self, piece: &[u8]) {
        match &mut self.current {
            Some(Current::Manifest(text)) => text.extend_from_slice(piece),
            Some(Current::File {
                sha256, inspector, ..
            }) => {
                sha256.update(piece);
                inspector.update(piece);
            }
            Some(Current::Skipped) | None => {}
        }
    }

    /// It ends.
    pub(crate) fn end(&mut self) {
        let member = self.report.members.last_mut();
        match (self.current.take(), member) {
            (Some(Current::Manifest(text)), Some(member)) => {
                member.sha256 = Some(hex(&Sha256::digest(&text)));
                if let Some(manifest) = self.manifests.last_mut() {
                    manifest.text = Some(text);
                }
            }
            (
                Some(Current::File {
                    name,
                    sha256,
                    inspector,
                }),
                Some(member),
            ) => {
                let sha256 = hex(&sha256.finalize());
                member.sha256 = Some(sha256.clone());
                self.files.push(File {
                    base: name.base,
                    name: name.shown,
                    role: name.role,
                    in_place: name.in_place,
                    sha256,
                    checkpoint: inspector.finish(),
                });
            }
            _ => {}
        }
    }

    /// The archive cannot be read any further: what was read of the last member says nothing.
    pub(crate) fn cut_short(&mut self) {
        self.is_broken = true;
        if let Some(Current::Manifest(_)) = self.current.take() {
            self.manifests.pop();
            self.manifest_count -= 1;
        }
    }

    fn manifest(&mut self, name: &Name, entry: &Entry) -> Current {
        self.manifest_count += 1;
        if self.manifests.len() == MANIFESTS {
            return Current::Skipped;
        }
        self.manifests.push(ManifestFile {
            name: name.shown.clone(),
            text: None,
        });
        if entry.size <= limits::MANIFEST as u64 {
            return Current::Manifest(Vec::new());
        }
        let found = "the manifest is too long";
        self.report.add(
            Finding::error(FailureCode::ManifestParseFailed, found)
                .member(&name.shown)
                .seen(format!("{} bytes", entry.size))
                .wanted(format!("at most {} bytes; most have 400", limits::MANIFEST))
                .fix("write it anew with 'afi image pack'"),
        );
        Current::Skipped
    }

    fn repeated(&mut self, name: &Name, entry: &Entry) {
        let found = "the archive has two members of this name; readers take either";
        let found = match name.role {
            Role::Manifest => Finding::error(FailureCode::ManifestParseFailed, found),
            Role::Checkpoint => Finding::error(FailureCode::CorruptArchive, found),
            _ if entry.kind == Kind::Directory => return,
            _ => Finding::warning(FailureCode::CorruptArchive, found),
        };
        self.report.add(
            found
                .member(&name.shown)
                .byte(entry.at)
                .fix("make the tarball again: 'tar -r' and 'tar -u' add to what is there"),
        );
    }
}

/// Bytes as lower-case hex digits, as `sha256sum` writes them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The names of some files, for a person to choose from.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 5;
    let names: Vec<String> = names.take(MOST + 1).map(quoted).collect();
    match names.len() {
        0 => "nothing".to_owned(),
        more if more > MOST => format!("{} and more", names[..MOST].join(", ")),
        _ => names.join(", "),
    }
}

/// Bytes of a name as text that may be shown.
pub(crate) fn shown_bytes(bytes: &[u8]) -> String {
    shown(&String::from_utf8_lossy(bytes))
}
