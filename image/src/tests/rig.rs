//! Archives for tests: the ones that the build scripts make, with a change.

use tar::{Builder, EntryType, Header};

use crate::checkpoint::tests::{noise, zip};
use crate::contents::hex;
use crate::manifest::key::Key;
use crate::{CheckOptions, FailureCode, Finding, Report, Severity, check};
use sha2::{Digest as _, Sha256};

/// The name of the checkpoint.
pub(super) const DCP: &str = "24_01_31-235959.SH_CL_routed.dcp";
/// The name of the manifest in the archive.
pub(super) const MANIFEST: &str = "to_aws/24_01_31-235959.manifest.txt";

/// A checkpoint with an encrypted netlist.
pub(super) fn dcp() -> Vec<u8> {
    zip(&[
        ("dcp.xml", b"<Design part=\"xcvu9p\"/>"),
        ("top.edf", b"XlxV64EB    fa00"),
        ("top.xdef", &noise(5000)),
    ])
}

/// The lines of a manifest.
#[derive(Clone)]
pub(super) struct Lines(pub(super) Vec<(String, String)>);

impl Lines {
    /// As `create_dcp_from_cl.tcl` writes it.
    pub(super) fn f1() -> Self {
        Self::of(&[
            (Key::FormatVersion, "2"),
            (Key::VendorId, "0x1D0F"),
            (Key::DeviceId, "0xF000"),
            (Key::SubsystemId, "0x1D51"),
            (Key::SubsystemVendorId, "0xFEDD"),
            (Key::DcpHash, &hash(&dcp())),
            (Key::ShellVersion, "0x04261818"),
            (Key::DcpFileName, DCP),
            (Key::HdkVersion, "1.4.24"),
            (Key::ToolVersion, "v2021.2"),
            (Key::Date, "24_01_31-235959"),
            (Key::ClockRecipeA, "A0"),
            (Key::ClockRecipeB, "B0"),
            (Key::ClockRecipeC, "C0"),
        ])
    }

    /// As `aws_build_dcp_from_cl.py` writes it.
    pub(super) fn f2() -> Self {
        Self::of(&[
            (Key::DeviceId, "0xF010"),
            (Key::VendorId, "0x1D0F"),
            (Key::SubsystemId, "0x1D51"),
            (Key::SubsystemVendorId, "0xFEDC"),
            (Key::FormatVersion, "2"),
            (Key::DcpHash, &hash(&dcp())),
            (Key::ShellVersion, "0x10212415"),
            (Key::HdkVersion, "2.0.2"),
            (Key::ToolVersion, "v2024.1"),
            (Key::Date, "2024_08_21-122520"),
            (Key::ClockRecipeA, "A1"),
            (Key::ClockRecipeB, "B2"),
            (Key::ClockRecipeC, "C0"),
            (Key::ClockRecipeHbm, "H2"),
            (Key::DcpFileName, DCP),
        ])
    }

    fn of(lines: &[(Key, &str)]) -> Self {
        let text = |(key, value): &(Key, &str)| (key.name().to_owned(), (*value).to_owned());
        Self(lines.iter().map(text).collect())
    }

    /// With another value.
    pub(super) fn with(mut self, key: Key, value: &str) -> Self {
        let line = self.0.iter_mut().find(|(name, _)| name == key.name());
        match line {
            Some(line) => value.clone_into(&mut line.1),
            None => self.0.push((key.name().to_owned(), value.to_owned())),
        }
        self
    }

    /// Without a key.
    pub(super) fn without(mut self, key: Key) -> Self {
        self.0.retain(|(name, _)| name != key.name());
        self
    }

    /// With blank lines between, as the scripts write them.
    pub(super) fn text(&self) -> String {
        let lines = self
            .0
            .iter()
            .map(|(key, value)| format!("{key}={value}\n\n"));
        lines.collect()
    }
}

pub(super) fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// An archive under construction.
pub(super) struct Archive(Builder<Vec<u8>>);

impl Archive {
    pub(super) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(super) fn file(self, name: &str, contents: &[u8]) -> Self {
        self.member(name, EntryType::Regular, contents)
    }

    /// A member of any type and name: the name is written as it is, without a look at it.
    pub(super) fn member(mut self, name: &str, kind: EntryType, contents: &[u8]) -> Self {
        let mut header = header(name, kind, contents.len() as u64);
        if kind == EntryType::Symlink {
            header.set_link_name_literal("/etc/passwd").unwrap();
        }
        header.set_cksum();
        self.0.append(&header, contents).unwrap();
        self
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// A header with this name, whatever it is. The checksum is not set.
pub(super) fn header(name: &str, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header
}

/// The archive that a build script makes of a manifest.
pub(super) fn archive(manifest: &str) -> Vec<u8> {
    let archive = Archive::new().file(&format!("to_aws/{DCP}"), &dcp());
    archive.file(MANIFEST, manifest.as_bytes()).bytes()
}

/// What is found in an archive.
pub(super) fn checked(archive: &[u8]) -> Report {
    check(archive, &CheckOptions::default()).unwrap()
}

/// What is found in the archive of this manifest.
pub(super) fn found(lines: &Lines) -> Report {
    checked(&archive(&lines.text()))
}

/// The one finding of this severity.
pub(super) fn only(report: &Report, severity: Severity) -> &Finding {
    let mut findings = report.findings.iter().filter(|f| f.severity == severity);
    let first = findings.next();
    let first = first.unwrap_or_else(|| panic!("no {}: {:?}", severity.name(), report.findings));
    assert_eq!(findings.next(), None, "{:?}", report.findings);
    first
}

/// The one error, which has this code, and a way out.
pub(super) fn only_error(report: &Report, code: FailureCode) -> &Finding {
    let finding = only(report, Severity::Error);
    assert_eq!(finding.code, Some(code), "{finding:?}");
    assert_eq!(report.failure(), Some(code));
    assert!(finding.fix.is_some(), "{finding:?}");
    finding
}

/// The one warning.
pub(super) fn only_warning(report: &Report, code: FailureCode) -> &Finding {
    assert!(report.is_acceptable(), "{:?}", report.findings);
    let finding = only(report, Severity::Warning);
    assert_eq!(finding.code, Some(code), "{finding:?}");
    finding
}
