//! What the name of a member says, and what names and types an archive should not have.

use crate::FailureCode;
use crate::archive::{Entry, Kind};
use crate::finding::{Finding, quoted};

/// The directory that all members are in.
const DIRECTORY: &[u8] = b"to_aws";

/// What a file is for, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `….manifest.txt`, or `…_manifest.txt` as the scripts of Vitis write it.
    Manifest,
    /// `….dcp`.
    Checkpoint,
    /// `….ltx`, the debug probes.
    Probes,
    /// `._…`, what macOS puts beside a file.
    MacMetadata,
    /// Anything else.
    Other,
}

/// What a file of this name, without directories, is for.
pub(crate) fn role(base: &[u8]) -> Role {
    if base.starts_with(b"._") {
        Role::MacMetadata
    } else if base.ends_with(b"manifest.txt") {
        Role::Manifest
    } else if base.ends_with(b".dcp") {
        Role::Checkpoint
    } else if base.ends_with(b".ltx") {
        Role::Probes
    } else {
        Role::Other
    }
}

/// The name of a member.
pub(super) struct Name {
    /// Without `.` and empty parts.
    pub(super) path: Vec<u8>,
    /// The last part.
    pub(super) base: Vec<u8>,
    /// As it is shown.
    pub(super) shown: String,
    pub(super) role: Role,
    /// Whether it is directly in `to_aws`.
    pub(super) in_place: bool,
    absolute: bool,
    climbs: bool,
    text: bool,
}

impl Name {
    pub(super) fn new(name: &[u8]) -> Self {
        let parts = name.split(|byte| *byte == b'/');
        let parts: Vec<&[u8]> = parts.filter(|part| !matches!(*part, b"" | b".")).collect();
        let base = parts.last().copied().unwrap_or_default().to_vec();
        Self {
            role: role(&base),
            base,
            path: parts.join(&b'/'),
            shown: super::shown_bytes(name),
            in_place: matches!(parts[..], [directory, _] if directory == DIRECTORY),
            absolute: name.starts_with(b"/"),
            climbs: parts.contains(&&b".."[..]),
            text: std::str::from_utf8(name).is_ok(),
        }
    }

    /// What is wrong with a member of this name.
    pub(super) fn findings(&self, entry: &Entry) -> Vec<Finding> {
        let mut findings = self.of_type(entry);
        let corrupt = |message: &str| Finding::error(FailureCode::CorruptArchive, message);
        if self.absolute || self.climbs {
            let found = corrupt("a member's name leads out of the directory it is unpacked in");
            findings.push(found.wanted("names such as 'to_aws/NAME'").fix(MAKE));
        }
        if !self.text {
            let found =
                Finding::warning(FailureCode::CorruptArchive, "a member's name is not UTF-8");
            findings.push(found.fix("give the file a name of ASCII letters"));
        }
        if entry.kind == Kind::File {
            findings.extend(self.of_place());
        }
        let place = |finding: Finding| finding.member(&self.shown).byte(entry.at);
        findings.into_iter().map(place).collect()
    }

    fn of_type(&self, entry: &Entry) -> Vec<Finding> {
        let corrupt = |message: &str| Finding::error(FailureCode::CorruptArchive, message);
        let mut findings = Vec::new();
        match entry.kind {
            Kind::File | Kind::Directory => {}
            Kind::Link => findings.push(
                corrupt("a member is a link: what it points to is not in the archive")
                    .wanted("the file itself")
                    .fix("make the tarball with 'tar -h', or with 'afi image pack'"),
            ),
            Kind::Special => {
                findings.push(
                    corrupt("a member is a device or a pipe")
                        .wanted("a file")
                        .fix(MAKE),
                );
            }
            Kind::Sparse => findings.push(
                corrupt("a member is stored sparse: its holes are not in the archive")
                    .wanted("the whole file")
                    .fix("make the tarball without --sparse"),
            ),
            Kind::Other(kind) => findings.push(
                Finding::warning(
                    FailureCode::CorruptArchive,
                    "a member is of a type of its own",
                )
                .seen(format!("type {}", quoted(&char::from(kind).to_string())))
                .wanted("a file or a directory")
                .fix(MAKE),
            ),
        }
        if !matches!(entry.kind, Kind::File | Kind::Sparse | Kind::Other(_)) && entry.size > 0 {
            let found = corrupt("a member that is no file has contents: readers differ on them");
            findings.push(found.seen(format!("{} bytes", entry.size)).fix(MAKE));
        }
        findings
    }

    /// What is wrong with where a file is, and with its being there at all.
    fn of_place(&self) -> Option<Finding> {
        let code = match self.role {
            Role::Manifest => FailureCode::ManifestNotFound,
            Role::Checkpoint => FailureCode::DcpNotFound,
            Role::MacMetadata => {
                return Some(
                    Finding::warning(
                        FailureCode::CorruptArchive,
                        "a member is metadata of macOS; its name looks like that of a real file",
                    )
                    .fix("make the tarball with COPYFILE_DISABLE=1, or with 'afi image pack'"),
                );
            }
            Role::Probes => return None,
            Role::Other => return Some(Finding::note("nothing of the image needs this file")),
        };
        if self.in_place {
            return None;
        }
        Some(
            Finding::warning(
                code,
                "the file is not in 'to_aws', where the build scripts put it",
            )
            .wanted(format!("'to_aws/{}'", super::shown_bytes(&self.base)))
            .fix(MAKE),
        )
    }
}

/// What makes it right.
const MAKE: &str = "make the tarball with 'afi image pack', or with 'tar -cf NAME.tar to_aws'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_the_build_scripts_write_them_are_in_place() {
        for name in ["to_aws/a.dcp", "./to_aws/a.dcp", "to_aws//a.dcp"] {
            let name = Name::new(name.as_bytes());
            assert!(name.in_place && name.role == Role::Checkpoint);
            assert_eq!(name.path, b"to_aws/a.dcp");
        }
        for name in [
            "a.dcp",
            "to_aws/b/a.dcp",
            "../to_aws/a.dcp",
            "x/to_aws/a.dcp",
        ] {
            assert!(!Name::new(name.as_bytes()).in_place, "{name}");
        }
    }

    #[test]
    fn the_manifest_is_known_by_the_end_of_its_name() {
        for name in [
            "24_01_02-030405.manifest.txt",
            "24_manifest.txt",
            "manifest.txt",
        ] {
            assert_eq!(role(name.as_bytes()), Role::Manifest);
        }
        assert_eq!(role(b"manifest.txt.bak"), Role::Other);
        assert_eq!(role(b"._a.manifest.txt"), Role::MacMetadata);
    }
}
