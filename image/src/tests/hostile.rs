//! Archives that are none, are cut short, or were made to do harm.

use std::io::{self, Read};

use tar::EntryType;

use super::rig::*;
use crate::{CheckError, CheckOptions, FailureCode, Report, Severity, check, limits};

fn good() -> Vec<u8> {
    archive(&Lines::f1().text())
}

fn corrupt(report: &Report) -> String {
    only_error(report, FailureCode::CorruptArchive)
        .message
        .clone()
}

#[test]
fn what_is_no_tar_is_named() {
    for (start, what) in [
        (&b"\x1f\x8b\x08"[..], "gzip"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"PK\x03\x04", "checkpoint"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"manifest_format_version=2", "manifest"),
    ] {
        for length in [start.len(), 5000] {
            let mut file = start.to_vec();
            file.resize(length, 1);
            let report = checked(&file);
            let finding = only_error(&report, FailureCode::CorruptArchive);
            assert!(finding.seen.as_ref().unwrap().contains(what), "{finding:?}");
        }
    }
    only_error(&checked(b""), FailureCode::InputSizeIllegal);
    assert!(corrupt(&checked(&[b'x'; 600])).contains("no tar archive"));
}

#[test]
fn an_archive_that_is_cut_short_is_found_wherever_that_is() {
    let whole = good();
    let end = whole.len() - 1024;
    for length in (1..end).step_by(97) {
        let report = checked(&whole[..length]);
        // Where only the padding of the last member is missing, everything was there.
        let padding = length > end - 512 && length >= end - 512 + Lines::f1().text().len() % 512;
        if padding {
            only_warning(&report, FailureCode::CorruptArchive);
        } else {
            assert!(!report.is_acceptable(), "{length}: {report:?}");
        }
    }
    let without_end = checked(&whole[..end]);
    only_warning(&without_end, FailureCode::CorruptArchive);
    let in_the_middle = checked(&whole[..3000]);
    assert!(corrupt(&in_the_middle).contains("in the middle of a member"));
}

#[test]
fn a_damaged_header_is_found_at_its_place() {
    let mut file = good();
    let second = file
        .windows(MANIFEST.len())
        .position(|w| w == MANIFEST.as_bytes())
        .unwrap();
    file[second] ^= 1;
    let report = checked(&file);
    let finding = only_error(&report, FailureCode::CorruptArchive);
    assert_eq!(finding.place.byte, Some(second as u64));
    assert_eq!(report.members.len(), 1);
}

#[test]
fn something_after_the_end_is_told() {
    let mut file = good();
    file.extend(good());
    only_warning(&checked(&file), FailureCode::CorruptArchive);
    let mut padded = good();
    padded.resize(padded.len() + 20_000, 0);
    assert_eq!(checked(&padded).findings, []);
}

/// The good archive with one more member before its end.
fn with(name: &str, kind: EntryType, contents: &[u8]) -> Report {
    let manifest = Lines::f1().text();
    let archive = Archive::new()
        .file(&format!("to_aws/{DCP}"), &dcp())
        .file(MANIFEST, manifest.as_bytes())
        .member(name, kind, contents);
    checked(&archive.bytes())
}

#[test]
fn names_that_lead_out_are_found() {
    for name in ["/etc/a.ltx", "../a.ltx", "to_aws/../../a.ltx"] {
        let report = with(name, EntryType::Regular, b"x");
        assert!(corrupt(&report).contains("leads out"), "{name}");
    }
}

#[test]
fn what_is_no_file_is_found() {
    for (kind, what) in [
        (EntryType::Symlink, "link"),
        (EntryType::Link, "link"),
        (EntryType::Fifo, "pipe"),
        (EntryType::Char, "device"),
        (EntryType::Block, "device"),
        (EntryType::GNUSparse, "sparse"),
    ] {
        let report = with("to_aws/x.dcp", kind, b"");
        assert!(corrupt(&report).contains(what), "{kind:?}");
    }
    let report = with("to_aws/x", EntryType::new(b'V'), b"");
    only_warning(&report, FailureCode::CorruptArchive);
    let report = with("to_aws/x", EntryType::Directory, b"data");
    assert!(corrupt(&report).contains("has contents"));
}

#[test]
fn members_of_the_same_name_are_found() {
    let dcp_again = with(&format!("./to_aws/{DCP}"), EntryType::Regular, b"x");
    assert!(corrupt(&dcp_again).contains("two members"));
    let manifest_again = with(MANIFEST, EntryType::Regular, b"x");
    assert_eq!(
        manifest_again.failure(),
        Some(FailureCode::ManifestParseFailed)
    );
    let mac = with(&format!("to_aws/._{DCP}"), EntryType::Regular, b"x");
    only_warning(&mac, FailureCode::CorruptArchive);
}

#[test]
fn long_names_work_and_too_long_ones_are_found() {
    let name = format!("to_aws/{}.ltx", "x".repeat(200));
    let mut builder = tar::Builder::new(good_builder());
    let mut header = header("", EntryType::Regular, 1);
    builder.append_data(&mut header, &name, &b"x"[..]).unwrap();
    let report = checked(&builder.into_inner().unwrap());
    assert_eq!(report.findings, []);
    assert!(report.members[2].name.starts_with("to_aws/xxx"));
    let longest = "x".repeat(limits::NAME + 1);
    let report = with("@LongLink", EntryType::GNULongName, longest.as_bytes());
    assert!(corrupt(&report).contains("too long a name"));
    let huge = vec![b'x'; limits::EXTENDED_HEADER + 1];
    let report = with("@LongLink", EntryType::GNULongName, &huge);
    assert!(corrupt(&report).contains("extended header is too long"));
}

/// The good archive without its end, for a builder to go on with.
fn good_builder() -> Vec<u8> {
    let mut file = good();
    file.truncate(file.len() - 1024);
    file
}

#[test]
fn records_of_pax_are_taken_in() {
    let record = |key: &str, value: &str| {
        let rest = format!(" {key}={value}\n");
        let length = rest.len() + if rest.len() > 8 { 2 } else { 1 };
        format!("{length}{rest}").into_bytes()
    };
    let manifest = Lines::f1().text();
    let pax = |records: &[u8], kind: EntryType| {
        let archive = Archive::new()
            .file(MANIFEST, manifest.as_bytes())
            .member("pax", kind, records)
            .file("short", &dcp());
        checked(&archive.bytes())
    };
    let named = pax(
        &record("path", &format!("to_aws/{DCP}")),
        EntryType::XHeader,
    );
    assert_eq!(named.findings, []);
    let sparse = pax(&record("GNU.sparse.major", "1"), EntryType::XHeader);
    assert!(sparse.findings[0].message.contains("sparse"), "{sparse:?}");
    let sized = pax(&record("size", "99999999999999"), EntryType::XHeader);
    assert!(corrupt(&sized).contains("in the middle of a member"));
    let wrong = pax(&record("size", "-1"), EntryType::XHeader);
    assert!(corrupt(&wrong).contains("malformed"));
    let malformed = pax(b"hello", EntryType::XHeader);
    assert!(corrupt(&malformed).contains("malformed"));
    let comment = pax(&record("comment", "0123"), EntryType::XGlobalHeader);
    assert_eq!(comment.failure(), Some(FailureCode::DcpNotFound));
    let global = pax(&record("path", "x"), EntryType::XGlobalHeader);
    assert_eq!(global.failure(), Some(FailureCode::CorruptArchive));
}

#[test]
fn too_many_members_and_headers_are_found() {
    let mut archive = Archive::new();
    for index in 0..limits::MEMBERS + 5 {
        archive = archive.file(&format!("to_aws/{index}.ltx"), b"");
    }
    let report = checked(&archive.bytes());
    assert_eq!(report.members.len(), limits::MEMBERS);
    assert!(corrupt(&report).contains("too many members"));
    let mut archive = Archive::new();
    for _ in 0..limits::EXTENDED_HEADERS + 2 {
        archive = archive.member("@LongLink", EntryType::GNULongName, b"x\0");
    }
    assert!(corrupt(&checked(&archive.bytes())).contains("too many extended headers"));
}

#[test]
fn a_flood_of_findings_is_counted() {
    let lines: String = (0..5000).map(|_| "nothing\n").collect();
    let archive = Archive::new().file(MANIFEST, lines.as_bytes());
    let report = checked(&archive.bytes());
    assert_eq!(report.findings.len(), limits::FINDINGS);
    assert!(report.left_out > 4000);
    assert_eq!(report.count(Severity::Error), limits::FINDINGS);
}

#[test]
fn a_reader_that_fails_is_no_finding() {
    struct Fails(Vec<u8>, usize);
    impl Read for Fails {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            if self.1 >= self.0.len() {
                return Err(io::Error::other("unplugged"));
            }
            let length = (&self.0[self.1..]).read(to)?;
            self.1 += length;
            Ok(length)
        }
    }
    let error = check(Fails(good()[..1024].to_vec(), 0), &CheckOptions::default()).unwrap_err();
    let CheckError::Read { position, source } = error else {
        panic!("{error}");
    };
    assert_eq!(
        (position, source.to_string()),
        (1024, "unplugged".to_owned())
    );
}
