//! What is no tar archive, by its first bytes.

use super::{BLOCK, corrupt};
use crate::FailureCode;
use crate::finding::Finding;

/// Formats that people upload instead: the first bytes, what it is, and what to do.
const FORMATS: [(&[u8], &str, &str); 8] = [
    (b"\x1f\x8b", "a gzip file", UNPACK_GZIP),
    (
        b"BZh",
        "a bzip2 file",
        "unpack it with 'bunzip2', and upload the tar file that is in it",
    ),
    (
        b"\xfd7zXZ\0",
        "an xz file",
        "unpack it with 'unxz', and upload the tar file that is in it",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "a zstd file",
        "unpack it with 'unzstd', and upload the tar file that is in it",
    ),
    (
        b"PK\x03\x04",
        "a zip file, as a checkpoint is",
        "if it is a checkpoint, make a tarball of it: afi image pack",
    ),
    (
        b"7z\xbc\xaf\x27\x1c",
        "a 7z file",
        "unpack it, and upload the tar file that is in it",
    ),
    (
        b"xclbin2\0",
        "an xclbin of Vitis",
        "take the checkpoint out of it with 'xclbinutil --dump-section BITSTREAM:RAW:FILE.dcp', then: \
         afi image pack",
    ),
    (
        b"manifest_format_version",
        "a manifest alone",
        "put it into a tarball with its checkpoint: afi image pack",
    ),
];
const UNPACK_GZIP: &str = "unpack it with 'gunzip', and upload the tar file that is in it; 'tar -cf' without -z makes one";

/// What is wrong with an archive that begins so; `None` when that cannot be said.
pub(super) fn recognise(start: &[u8]) -> Option<Finding> {
    if start.is_empty() {
        return Some(
            Finding::error(FailureCode::InputSizeIllegal, "the archive is empty")
                .seen("0 bytes")
                .wanted("a tar archive")
                .fix("make the tarball again"),
        );
    }
    let (_, what, fix) = FORMATS
        .iter()
        .find(|(magic, ..)| start.starts_with(magic))?;
    Some(
        corrupt("this is no tar archive")
            .seen(*what)
            .wanted("a plain tar archive, not compressed")
            .fix(*fix)
            .byte(0),
    )
}

/// Where a header should be, and is none.
pub(super) fn no_header(block: &[u8; BLOCK], at: u64) -> Finding {
    let (message, fix) = if at == 0 {
        (
            "this is no tar archive",
            "make one with 'afi image pack', or with 'tar -cf NAME.tar to_aws'",
        )
    } else {
        (
            "the archive is damaged: where a header should be is something else",
            "make the tarball again; a copy in text mode damages it",
        )
    };
    let start: Vec<String> = block[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    corrupt(message)
        .seen(format!("{} …", start.join(" ")))
        .wanted("a tar header with a right checksum")
        .fix(fix)
        .byte(at)
}
