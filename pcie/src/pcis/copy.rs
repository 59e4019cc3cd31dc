//! Copies of ranges to and from a BAR, mapped or not.

use super::level::Level;
use super::wide;
use crate::Bar;
use crate::bar::{BarError, Region};
use crate::mapping::Mapping;

/// Writes a range of a BAR: by the widest stores of the processor where it is mapped, by messages
/// as large as its link takes where not. The range may have any alignment; every byte is written
/// once. When this returns, the stores are on their way, in front of any later one of this thread;
/// as all writes to a bus, they are posted: that they arrived only a read can show.
///
/// # Errors
/// When the range is not inside the BAR, which then is left alone, or the device cannot be reached.
pub fn write(bar: &Bar, offset: u64, data: &[u8]) -> Result<(), BarError> {
    write_with(Level::best(), bar, offset, data)
}

/// Reads a range of a BAR, as [`write()`] writes. From a mapping that is write-combining the loads
/// are streaming ones, which fetch whole lines; they come after all earlier stores of this thread.
///
/// # Errors
/// When the range is not inside the BAR, or the device cannot be reached; `data` may be changed.
pub fn read(bar: &Bar, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
    read_with(Level::best(), bar, offset, data)
}

/// [`write()`] with stores of this width: for measurements.
///
/// # Errors
/// As [`write()`].
pub fn write_with(level: Level, bar: &Bar, offset: u64, data: &[u8]) -> Result<(), BarError> {
    let split = Split::of(bar, offset, data.len())?;
    let (front, back) = data.split_at(split.mapped);
    if let Some(mapping) = split.mapping {
        wide::write(level, mapping, offset, front)?;
    }
    match split.region {
        Some(region) if !back.is_empty() => region.write(offset + split.mapped as u64, back),
        _ => Ok(()),
    }
}

/// [`read`] with loads of this width: for measurements.
///
/// # Errors
/// As [`read`].
pub fn read_with(level: Level, bar: &Bar, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
    let split = Split::of(bar, offset, data.len())?;
    let (front, back) = data.split_at_mut(split.mapped);
    if let Some(mapping) = split.mapping {
        wide::read(level, mapping, offset, front)?;
    }
    match split.region {
        Some(region) if !back.is_empty() => region.read(offset + split.mapped as u64, back),
        _ => Ok(()),
    }
}

/// Where the bytes of a range are accessed.
struct Split<'a> {
    /// Bytes of it that are in the mapping.
    mapped: usize,
    mapping: Option<&'a Mapping>,
    region: Option<&'a dyn Region>,
}

impl<'a> Split<'a> {
    fn of(bar: &'a Bar, offset: u64, length: usize) -> Result<Self, BarError> {
        let size = length as u64;
        if size > bar.length() || offset > bar.length() - size {
            return Err(BarError::out_of_bounds(offset, size, bar.length()));
        }
        let (mapping, region) = bar.parts();
        let room = mapping.map_or(0, |mapping| mapping.length().saturating_sub(offset));
        let mapped = usize::try_from(room).map_or(length, |room| room.min(length));
        Ok(Self {
            mapped,
            mapping: mapping.filter(|_| mapped > 0),
            region,
        })
    }
}
