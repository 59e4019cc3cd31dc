//! The commands, as they are called.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use afi_pcie::Deadline;
use clap::Parser;
use tempfile::TempDir;

use super::Command;
use crate::output::progress::Progress;
use crate::output::{Answer, ErrorReport};
use crate::problem::Class;

/// The line of a command, without what comes before it.
#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// A directory with a checkpoint in `to_aws`.
struct Build(TempDir);

/// The smallest zip file: no file in it but one that is empty and named `dcp.xml`.
fn checkpoint() -> Vec<u8> {
    let mut zip = b"PK\x03\x04".to_vec();
    zip.extend([0; 22]);
    zip.extend(b"\x07\0\0\0dcp.xml");
    let at = zip.len() as u32;
    zip.extend(b"PK\x01\x02");
    zip.extend([0; 24]);
    zip.extend(b"\x07\0");
    zip.extend([0; 16]);
    zip.extend(b"dcp.xml");
    let length = zip.len() as u32 - at;
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    zip.extend(length.to_le_bytes());
    zip.extend(at.to_le_bytes());
    zip.extend([0, 0]);
    zip
}

/// All values of an F2 image.
const VALUES: &str = "--shell-version 0x10212415 --vendor-id 0x1d0f --device-id 0xf010 \
    --subsystem-vendor-id 0xfedc --subsystem-id 0x1d51 --tool-version v2024.1 --clock-recipe A1";

impl Build {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("to_aws")).unwrap();
        let dcp = directory
            .path()
            .join("to_aws/24_01_31-235959.SH_CL_routed.dcp");
        fs::write(dcp, checkpoint()).unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command; `DIR` is this directory.
    fn run(&self, line: &str) -> Result<Answer, Box<ErrorReport>> {
        self.run_for(line, Duration::from_secs(60))
    }

    fn run_for(&self, line: &str, allowed: Duration) -> Result<Answer, Box<ErrorReport>> {
        let directory = self.0.path().display().to_string();
        let words = line
            .split_whitespace()
            .map(|word| word.replace("DIR", &directory));
        let line = Line::try_parse_from(["image".to_owned()].into_iter().chain(words)).unwrap();
        let (deadline, progress) = (Deadline::after(allowed), Progress::new(true));
        match &line.command {
            Command::Check(command) => command.run(&deadline, &progress),
            Command::Pack(command) => command.run(&deadline, &progress),
        }
    }
}

#[test]
fn what_was_packed_passes_the_check() {
    let build = Build::new();
    let packed = build
        .run(&format!("pack DIR --output DIR/out.tar {VALUES}"))
        .unwrap();
    assert!(packed.errors.is_empty(), "{packed:?}");
    let manifest = packed.fields["packed"]["manifest"].as_str().unwrap();
    assert!(manifest.contains("pci_device_id=0xf010\n"), "{manifest}");
    assert!(manifest.contains("date=24_01_31-235959\n"), "{manifest}");
    let checked = build.run("check DIR/out.tar --strict").unwrap();
    assert!(checked.errors.is_empty(), "{checked:?}");
    assert!(
        checked.text.contains("for F2: nothing to object to"),
        "{}",
        checked.text
    );
    assert!(
        checked.text.contains("A1 250/125/375/500 MHz"),
        "{}",
        checked.text
    );
    assert_eq!(checked.fields["check"]["acceptable"], true);
    assert_eq!(
        checked.fields["check"]["manifest"]["ids"]["device"],
        "0xf010"
    );
}

#[test]
fn what_is_wrong_is_told_with_code_line_and_fix() {
    let build = Build::new();
    build
        .run(&format!("pack DIR --output DIR/out.tar {VALUES}"))
        .unwrap();
    let manifest = "manifest_format_version=2\npci_vendor_id=0x8086\n";
    fs::write(build.path("to_aws/a.manifest.txt"), manifest).unwrap();
    let answer = build.run("check DIR").unwrap();
    let error = answer.worst().unwrap();
    assert_eq!(error.class, Class::Mismatch);
    assert!(
        error.message.contains("no image would be made of"),
        "{}",
        error.message
    );
    let line = "  2:15    error    PCIID_FORBIDDEN           this vendor id is reserved";
    assert!(answer.text.contains(line), "{}", answer.text);
    let fix = "                   fix     write 'pci_vendor_id=0x1D0F'";
    assert!(answer.text.contains(fix), "{}", answer.text);
    let check = &answer.fields["check"];
    assert_eq!(check["failure"], "PCIID_SYNTAX_INVALID");
    let findings = check["findings"].as_array().unwrap();
    let forbidden = findings
        .iter()
        .find(|finding| finding["code"] == "PCIID_FORBIDDEN")
        .unwrap();
    assert_eq!(forbidden["line"], 2);
    assert_eq!(forbidden["key"], "pci_vendor_id");
}

#[test]
fn a_tarball_that_would_fail_is_not_made() {
    let build = Build::new();
    let answer = build
        .run("pack DIR --output DIR/out.tar --vendor-id 0x8086")
        .unwrap();
    assert_eq!(answer.worst().unwrap().class, Class::Mismatch);
    assert!(answer.text.contains("PCIID_FORBIDDEN"), "{}", answer.text);
    assert!(answer.fields["packed"].is_null());
    assert!(!build.path("out.tar").exists());
}

#[test]
fn warnings_count_only_when_asked() {
    let build = Build::new();
    let values = VALUES.replace("v2024.1", "v2020.1");
    build
        .run(&format!("pack DIR --output DIR/out.tar {values}"))
        .unwrap();
    assert!(build.run("check DIR/out.tar").unwrap().errors.is_empty());
    let strict = build.run("check DIR/out.tar --strict").unwrap();
    assert_eq!(strict.worst().unwrap().class, Class::Mismatch);
}

#[test]
fn what_cannot_be_done_has_its_own_class() {
    let build = Build::new();
    for (line, class) in [
        ("check DIR/lost.tar", Class::NotFound),
        ("pack DIR/lost.dcp", Class::NotFound),
        ("pack DIR/to_aws --checkpoint lost.dcp", Class::NotFound),
        ("pack DIR --output DIR/to_aws --force", Class::Usage),
        ("pack DIR --output DIR/lost/out.tar", Class::NotFound),
    ] {
        let error = build.run(line).unwrap_err();
        assert_eq!(error.class, class, "{line}: {error:?}");
    }
    let error = build.run_for("check DIR", Duration::ZERO).unwrap_err();
    assert_eq!(error.class, Class::TimedOut);
    assert!(error.remedy.unwrap().contains("--timeout"));
}

#[test]
fn a_pipe_that_stays_silent_is_left_in_time() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[0; 100]).unwrap();
    let source = super::source::Source {
        file: std::os::fd::OwnedFd::from(reader).into(),
        length: None,
    };
    let deadline = Deadline::after(Duration::from_millis(30));
    let bytes = Progress::new(true).bytes("checking".to_owned(), None);
    let options = afi_image::CheckOptions::default();
    let error = afi_image::check(source.watched(&deadline, &bytes), &options).unwrap_err();
    let error = super::error::ImageError::of_check("a pipe", error);
    let report = ErrorReport::new(&error);
    assert_eq!(report.class, Class::TimedOut, "{report:?}");
    drop(writer);
}
