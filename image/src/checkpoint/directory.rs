//! The table of contents at the end of a zip file.

use super::{le16, le32, le64};
use crate::limits;

const END: &[u8; 4] = b"PK\x05\x06";
/// Bytes of the end record without its comment.
const END_SIZE: usize = 22;
const END_64: &[u8; 4] = b"PK\x06\x06";
const LOCATOR_64: &[u8; 4] = b"PK\x06\x07";
const LOCATOR_64_SIZE: usize = 20;
const ENTRY: &[u8; 4] = b"PK\x01\x02";
/// Bytes of an entry without its name, extra field and comment.
const ENTRY_SIZE: usize = 46;
/// What stands for "see the 64-bit record".
const SEE_64: u64 = 0xFFFF_FFFF;
/// The file that describes a checkpoint.
const DESCRIPTION: &[u8] = b"dcp.xml";

/// What the table names.
pub(super) struct Names {
    pub(super) has_description: bool,
}

/// Reads the table of a file of `size` bytes that ends with `tail`. `None` when the table is longer than
/// the tail.
///
/// # Errors
/// What is wrong, when it is no zip file.
pub(super) fn read(tail: &[u8], size: u64) -> Result<Option<Names>, &'static str> {
    let end = end_record(tail).ok_or("it has no table of contents at its end, as if cut short")?;
    let tail_at = size - tail.len() as u64;
    let (length, offset, ends_at) = extent(tail, end, tail_at).ok_or(WRONG)?;
    if offset
        .checked_add(length)
        .is_none_or(|after| after > ends_at)
    {
        return Err(WRONG);
    }
    let Some(start) = offset.checked_sub(tail_at) else {
        return Ok(None);
    };
    // Both are inside the tail: offset is not before it and the end is not after it.
    let table = &tail[start as usize..(start + length) as usize];
    names(table)
}

const WRONG: &str = "its table of contents is not where it says";

/// The last end record whose comment reaches to the end of the file.
fn end_record(tail: &[u8]) -> Option<usize> {
    let last = tail.len().checked_sub(END_SIZE)?;
    (0..=last).rev().find(|at| {
        tail[*at..].starts_with(END)
            && le16(tail, at + 20).is_some_and(|comment| at + END_SIZE + comment == tail.len())
    })
}

/// Length and offset of the table, and where the record that says so begins.
fn extent(tail: &[u8], end: usize, tail_at: u64) -> Option<(u64, u64, u64)> {
    let (length, offset) = (le32(tail, end + 12)?, le32(tail, end + 16)?);
    if length != SEE_64 && offset != SEE_64 {
        return Some((length, offset, tail_at + end as u64));
    }
    let locator = end.checked_sub(LOCATOR_64_SIZE)?;
    if !tail[locator..].starts_with(LOCATOR_64) {
        return None;
    }
    let record_at = le64(tail, locator + 8)?;
    let record = usize::try_from(record_at.checked_sub(tail_at)?).ok()?;
    if !tail.get(record..)?.starts_with(END_64) {
        return None;
    }
    Some((
        le64(tail, record + 40)?,
        le64(tail, record + 48)?,
        record_at,
    ))
}

/// Goes through the entries of a table.
fn names(mut table: &[u8]) -> Result<Option<Names>, &'static str> {
    let mut has_description = false;
    for _ in 0..limits::CHECKPOINT_FILES {
        if table.is_empty() {
            return Ok(Some(Names { has_description }));
        }
        let (name, after) = entry(table).ok_or("its table of contents is damaged")?;
        has_description |= name == DESCRIPTION;
        table = after;
    }
    Ok(None)
}

/// The name of the first entry, and what follows the entry.
fn entry(table: &[u8]) -> Option<(&[u8], &[u8])> {
    if !table.starts_with(ENTRY) {
        return None;
    }
    let name = le16(table, 28)?;
    let rest = name + le16(table, 30)? + le16(table, 32)?;
    let after = table.get(ENTRY_SIZE + rest..)?;
    Some((&table[ENTRY_SIZE..ENTRY_SIZE + name], after))
}
