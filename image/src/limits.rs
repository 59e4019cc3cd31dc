//! What a check keeps in memory at most, whatever it is given. All of it together stays below 16 MB.
//!
//! The public build scripts make archives of three or four members, with names of some fifty bytes and
//! a manifest of four hundred.

/// Members. An archive with more is not read to its end.
pub const MEMBERS: usize = 1024;
/// Bytes of a member's name; `PATH_MAX` of Linux.
pub const NAME: usize = 4096;
/// Bytes of an extended header: a long name, or the records of a pax header.
pub const EXTENDED_HEADER: usize = 64 * 1024;
/// Extended headers in front of one member.
pub const EXTENDED_HEADERS: usize = 8;
/// Bytes of a manifest.
pub const MANIFEST: usize = 64 * 1024;
/// Findings that are kept.
pub const FINDINGS: usize = 100;
/// Bytes that are read at once.
pub const BUFFER: usize = 256 * 1024;
/// Bytes at the end of a checkpoint that its table of contents is looked for in: the longest comment
/// (APPNOTE 6.3.10, 4.3.16) and room for the table.
pub const CHECKPOINT_TAIL: usize = 256 * 1024;
/// Files of a checkpoint that are looked at.
pub const CHECKPOINT_FILES: usize = 1024;
