//! A check keeps little in memory, whatever the archive. A process of its own, as what is compared is the
//! most memory that it ever had.

use std::fs;
use std::io::{self, Read};

use afi_image::{CheckOptions, Report, check, limits};
use tar::{EntryType, Header};

/// What a check may need beyond what the process had before.
const MOST: u64 = 24 << 20;
/// The length of what is claimed to be long.
const LONG: u64 = 512 << 20;

/// The most memory that this process had, in bytes (`VmHWM`, proc(5)).
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes << 10
}

fn header(name: &str, kind: EntryType, size: u64) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// A member of one long run of the same byte, behind what comes before it.
fn long(before: Vec<u8>, name: &str, kind: EntryType) -> impl Read {
    let header = header(name, kind, LONG);
    io::Cursor::new(before)
        .chain(io::Cursor::new(header))
        .chain(io::repeat(b'a').take(LONG))
}

fn checked(archive: impl Read) -> Report {
    let before = peak();
    let report = check(archive, &CheckOptions::default()).unwrap();
    let grown = peak() - before;
    assert!(
        grown < MOST,
        "{} MiB more after {:?}",
        grown >> 20,
        report.findings
    );
    report
}

#[test]
fn memory_stays_small() {
    // Long members of every kind that is kept or looked into, and a pause for the allocator.
    let checkpoint = checked(long(Vec::new(), "to_aws/a.dcp", EntryType::Regular));
    assert_eq!(checkpoint.bytes, LONG + 512);
    assert_eq!(checkpoint.members[0].bytes, LONG);
    let manifest = checked(long(
        Vec::new(),
        "to_aws/a.manifest.txt",
        EntryType::Regular,
    ));
    assert!(!manifest.is_acceptable());
    for kind in [
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
    ] {
        let report = checked(long(Vec::new(), "x", kind));
        // Refused by its header: nothing of it is read.
        assert!(report.bytes <= 512 && !report.is_acceptable(), "{report:?}");
    }
    // As many members as there can be, with the longest names, and the longest headers before each.
    let mut names = Vec::new();
    for index in 0..limits::MEMBERS + 10 {
        let mut name = format!("to_aws/{index:05}").into_bytes();
        name.resize(limits::NAME, b'\x1b');
        names.extend(header(
            "@LongLink",
            EntryType::GNULongName,
            name.len() as u64,
        ));
        names.extend(&name);
        names.extend(header("x", EntryType::Regular, 0));
    }
    let members = checked(&names[..]);
    assert_eq!(members.members.len(), limits::MEMBERS);
    // A manifest in which nothing is right.
    let mut wrong = header(
        "to_aws/a.manifest.txt",
        EntryType::Regular,
        limits::MANIFEST as u64,
    );
    wrong.extend(b"\x1b\n".repeat(limits::MANIFEST / 2));
    wrong.extend([0; 1024]);
    let findings = checked(&wrong[..]);
    assert_eq!(findings.findings.len(), limits::FINDINGS);
    // An archive without an end.
    let endless = io::Cursor::new(vec![0; 1024]).chain(io::repeat(0).take(LONG));
    assert_eq!(checked(endless).bytes, LONG + 1024);
}
