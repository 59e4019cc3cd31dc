//! What holds for every input, for fuzzers and for the tests of this crate: nothing panics, nothing
//! grows without bound, and what is shown of the input harms no terminal.

use std::io::Read;

use afi_proto::Family;

use crate::{CheckOptions, Report, check, limits, rules};

/// Judges these bytes as a manifest.
///
/// # Panics
/// When what holds for every input does not.
pub fn manifest(bytes: &[u8]) {
    for family in families() {
        let report = rules::judge_manifest(bytes, "manifest.txt", &CheckOptions { family });
        holds(&report);
    }
}

/// Checks these bytes as a tarball, whole and in small pieces.
///
/// # Panics
/// When what holds for every input does not, or the pieces make a difference.
pub fn tarball(bytes: &[u8]) {
    let options = CheckOptions::default();
    let whole = check(bytes, &options).expect("a slice can be read");
    holds(&whole);
    assert!(
        whole.bytes <= bytes.len() as u64,
        "more was read than there is"
    );
    let pieces = Pieces { bytes, size: 61 };
    let in_pieces = check(pieces, &options).expect("a slice can be read");
    assert_eq!(whole.findings, in_pieces.findings);
    assert_eq!(whole.members, in_pieces.members);
    assert_eq!(whole.manifest, in_pieces.manifest);
}

fn families() -> [Option<Family>; 3] {
    [None, Some(Family::F1), Some(Family::F2)]
}

fn holds(report: &Report) {
    assert!(report.findings.len() <= limits::FINDINGS);
    assert!(report.members.len() <= limits::MEMBERS);
    for finding in &report.findings {
        let place = &finding.place;
        let texts = [&finding.seen, &finding.wanted, &finding.fix, &place.member];
        for text in texts.into_iter().flatten().chain([&finding.message]) {
            assert!(text.len() < 4096, "too long: {text}");
            let harmful = text.chars().find(|c| c.is_control());
            assert_eq!(harmful, None, "{text:?}");
        }
    }
}

/// A reader that gives a few bytes at a time.
struct Pieces<'a> {
    bytes: &'a [u8],
    size: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let length = to.len().min(self.size);
        self.bytes.read(&mut to[..length])
    }
}
