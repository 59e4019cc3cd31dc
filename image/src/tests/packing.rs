//! Tarballs that are made.

use std::fs;
use std::io;
use std::path::PathBuf;

use tempfile::TempDir;

use super::rig::*;
use crate::manifest::key::Key;
use crate::{
    CheckOptions, FailureCode, PackError, PackOptions, Packed, Severity, check, check_directory,
    pack,
};

/// A directory with `to_aws` in it.
struct Build {
    directory: TempDir,
}

impl Build {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("to_aws")).unwrap();
        let build = Self { directory };
        build.file(DCP, &dcp())
    }

    fn file(self, name: &str, contents: &[u8]) -> Self {
        fs::write(self.directory.path().join("to_aws").join(name), contents).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn options(&self) -> PackOptions {
        PackOptions {
            output: Some(self.path("out.tar")),
            ..PackOptions::default()
        }
    }

    fn pack(&self, options: &PackOptions) -> Result<Packed, PackError> {
        pack(self.directory.path(), options, |_| Ok(()))
    }

    /// What is there beside the source.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "to_aws").collect();
        names.sort();
        names
    }
}

fn values(lines: &Lines) -> Vec<(Key, String)> {
    let key = |name: &str| Key::named(name).unwrap();
    lines
        .0
        .iter()
        .map(|(name, value)| (key(name), value.clone()))
        .collect()
}

#[test]
fn a_checkpoint_and_values_make_a_tarball_without_a_finding() {
    let build = Build::new();
    let lines = Lines::f2()
        .without(Key::DcpHash)
        .without(Key::DcpFileName)
        .without(Key::FormatVersion);
    let options = PackOptions {
        values: values(&lines),
        ..build.options()
    };
    let mut read = 0;
    let source = build.path("to_aws").join(DCP);
    let count = |bytes| {
        read += bytes;
        Ok(())
    };
    let packed = pack(&source, &options, count).unwrap();
    assert_eq!(packed.report.findings, []);
    assert!(
        packed
            .manifest
            .contains(&format!("dcp_hash={}\n", hash(&dcp())))
    );
    let file = fs::read(&packed.path).unwrap();
    let report = check(&file[..], &CheckOptions::default()).unwrap();
    assert_eq!(report.findings, []);
    let names: Vec<_> = report.members.iter().map(|member| &*member.name).collect();
    assert_eq!(names, [&*format!("to_aws/{DCP}"), MANIFEST]);
    assert!(read >= (dcp().len() + file.len()) as u64);
    assert_eq!(build.left(), ["out.tar"]);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let build = Build::new().file("a.manifest.txt", Lines::f1().text().as_bytes());
    build.pack(&build.options()).unwrap();
    let first = fs::read(build.path("out.tar")).unwrap();
    let again = PackOptions {
        output: Some(build.path("again.tar")),
        ..PackOptions::default()
    };
    build.pack(&again).unwrap();
    assert_eq!(fs::read(build.path("again.tar")).unwrap(), first);
}

#[test]
fn a_manifest_that_is_there_is_mended() {
    let old = Lines::f1()
        .with(Key::DcpHash, &"0".repeat(64))
        .with(Key::DcpFileName, "older.dcp")
        .with(Key::ClockRecipeA, "A9");
    let text = format!("{}author=me\n", old.text());
    let build = Build::new()
        .file("a.manifest.txt", text.as_bytes())
        .file("a.ltx", b"{}");
    let options = PackOptions {
        values: vec![(Key::ClockRecipeA, "A1".to_owned())],
        ..build.options()
    };
    let packed = build.pack(&options).unwrap();
    assert_eq!(packed.report.findings, []);
    assert_eq!(packed.mended.len(), 1);
    assert!(
        packed.manifest.contains("clock_recipe_a=A1\n"),
        "{}",
        packed.manifest
    );
    assert!(!packed.manifest.contains("author"));
    assert_eq!(packed.report.members.len(), 3);
}

#[test]
fn what_no_image_would_be_made_of_is_not_written() {
    let build = Build::new();
    let error = build.pack(&build.options()).unwrap_err();
    let PackError::Refused { report, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(report.failure(), Some(FailureCode::PciIdSyntaxInvalid));
    assert!(report.count(Severity::Error) >= 6, "{report:?}");
    assert!(build.left().is_empty());
}

#[test]
fn a_tarball_that_is_there_is_replaced_only_on_request() {
    let build = Build::new().file("a.manifest.txt", Lines::f1().text().as_bytes());
    fs::write(build.path("out.tar"), "mine").unwrap();
    let error = build.pack(&build.options()).unwrap_err();
    assert!(matches!(error, PackError::Exists { .. }), "{error}");
    assert_eq!(fs::read(build.path("out.tar")).unwrap(), b"mine");
    let force = PackOptions {
        force: true,
        ..build.options()
    };
    build.pack(&force).unwrap();
    assert!(fs::read(build.path("out.tar")).unwrap().len() > 1000);
    let onto = PackOptions {
        output: Some(build.path("to_aws")),
        ..force
    };
    let error = build.pack(&onto).unwrap_err();
    assert!(matches!(error, PackError::NotUsable { .. }), "{error}");
}

#[test]
fn several_checkpoints_have_to_be_told_apart() {
    let build = Build::new()
        .file("a.manifest.txt", Lines::f1().text().as_bytes())
        .file("other.dcp", b"PK");
    let error = build.pack(&build.options()).unwrap_err();
    assert!(
        matches!(error, PackError::SeveralCheckpoints { .. }),
        "{error}"
    );
    let options = PackOptions {
        checkpoint: Some(DCP.to_owned()),
        ..build.options()
    };
    assert_eq!(build.pack(&options).unwrap().report.members.len(), 2);
    let none = PackOptions {
        checkpoint: Some("lost.dcp".to_owned()),
        ..build.options()
    };
    let error = build.pack(&none).unwrap_err();
    assert!(matches!(error, PackError::NoCheckpoint { .. }), "{error}");
}

#[test]
fn a_value_cannot_smuggle_in_a_line() {
    let build = Build::new();
    let options = PackOptions {
        values: vec![(Key::HdkVersion, "1\npci_vendor_id=0x8086".to_owned())],
        ..build.options()
    };
    let error = build.pack(&options).unwrap_err();
    assert!(matches!(error, PackError::Value { .. }), "{error}");
}

#[test]
fn it_can_be_ended_and_leaves_nothing() {
    let build = Build::new().file("a.manifest.txt", Lines::f1().text().as_bytes());
    let end = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "enough"));
    let error = pack(build.directory.path(), &build.options(), end).unwrap_err();
    assert!(matches!(error, PackError::Read { .. }), "{error}");
    assert!(build.left().is_empty());
}

#[test]
fn a_directory_is_checked_as_the_archive_of_it() {
    let build = Build::new()
        .file("a.manifest.txt", Lines::f1().text().as_bytes())
        .file("a.Developer_CL.tar", b"an older one");
    for path in [build.directory.path().to_owned(), build.path("to_aws")] {
        let report = check_directory(&path, &CheckOptions::default(), |_| Ok(())).unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(report.members.len(), 2);
        assert!(report.bytes > dcp().len() as u64);
    }
    let build = build.file(DCP, b"changed");
    let report =
        check_directory(&build.path("to_aws"), &CheckOptions::default(), |_| Ok(())).unwrap();
    assert_eq!(report.failure(), Some(FailureCode::DcpIntegrityUnverified));
    assert_eq!(report.findings[0].place.byte, None);
}
