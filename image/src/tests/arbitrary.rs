//! Any bytes, and archives and manifests with arbitrary changes: what [`crate::fuzzing`] says of every
//! input. The inputs in `fuzz/corpus` are gone through, too.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::rig::*;
use crate::fuzzing;

/// Calls it with every file of a corpus.
fn each(corpus: &str, run: fn(&[u8])) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(corpus);
    let mut count = 0;
    for entry in fs::read_dir(&path).unwrap() {
        run(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", path.display());
}

#[test]
fn the_corpus_of_manifests_holds() {
    each("manifest", fuzzing::manifest);
}

#[test]
fn the_corpus_of_tarballs_holds() {
    each("tarball", fuzzing::tarball);
}

/// A change to some bytes.
#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (index(), any::<u8>()).prop_map(|(at, value)| Change::Set(at, value)),
        1 => index().prop_map(Change::Cut),
        2 => (index(), 1_usize..700).prop_map(|(at, length)| Change::Remove(at, length)),
        2 => (index(), proptest::collection::vec(any::<u8>(), 1..30))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: Vec<Change>) -> Vec<u8> {
    for change in changes {
        let length = bytes.len() + 1;
        match change {
            Change::Set(at, value) => {
                if let Some(byte) = bytes.get_mut(at.index(length)) {
                    *byte = value;
                }
            }
            Change::Cut(at) => bytes.truncate(at.index(length)),
            Change::Remove(at, count) => {
                let at = at.index(length);
                bytes.drain(at..(at + count).min(length - 1));
            }
            Change::Insert(at, new) => {
                let at = at.index(length);
                bytes.splice(at..at, new);
            }
        }
    }
    bytes
}

/// Sets the checksums of what are still headers, so that changes in them are seen at all.
fn with_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    for block in bytes.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        fuzzing::tarball(&bytes);
        fuzzing::manifest(&bytes);
    }

    #[test]
    fn any_text(text in "([a-z_]{0,12}[=: ]{0,2}\\PC{0,12}\n){0,20}") {
        fuzzing::manifest(text.as_bytes());
    }

    #[test]
    fn a_changed_manifest(changes in proptest::collection::vec(change(), 1..6), f2: bool) {
        let lines = if f2 { Lines::f2() } else { Lines::f1() };
        fuzzing::manifest(&changed(lines.text().into_bytes(), changes));
    }

    #[test]
    fn a_changed_archive(changes in proptest::collection::vec(change(), 1..6), mend: bool) {
        let bytes = changed(archive(&Lines::f1().text()), changes);
        fuzzing::tarball(&if mend { with_checksums(bytes) } else { bytes });
    }

    #[test]
    fn a_header_of_any_type_and_size(kind: u8, size in prop_oneof![0_u64..2000, any::<u64>()], name in "[a-z./]{0,20}") {
        let mut header = header(&name, tar::EntryType::new(kind), size);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(archive(&Lines::f1().text()));
        fuzzing::tarball(&bytes);
    }
}
