//! The ways to card memory, as one.

use afi_proto::xdma::Direction;

use super::bounce::Xdma;
use super::{CardMemoryError, Path};
use crate::Deadline;
use crate::cdev::{CdevError, KernelDriver};
use crate::pcis::{Level, Pcis};
use crate::striped::each;

/// Bytes that are copied through BAR4 between two looks at the deadline.
const PIECE: usize = 4 << 20;

/// A way to card memory.
pub(super) enum Way {
    /// The engine.
    Xdma(Xdma),
    /// The kernel driver's nodes.
    Cdev(KernelDriver),
    /// Copies through BAR4.
    Pcis(Pcis),
}

impl Way {
    pub(super) const fn path(&self) -> Path {
        match self {
            Self::Xdma(_) => Path::Xdma,
            Self::Cdev(_) => Path::Cdev,
            Self::Pcis(_) => Path::Pcis,
        }
    }

    /// How many channels are best, and how many there are.
    pub(super) fn channels(&self) -> (usize, usize) {
        match self {
            Self::Xdma(xdma) => (xdma.channels(), xdma.channels()),
            Self::Cdev(driver) => {
                let there = Direction::ALL.map(|direction| driver.channels(direction));
                let most = there.into_iter().max().unwrap_or(1);
                (most, most)
            }
            // More of them are threads.
            Self::Pcis(_) => (1, usize::from(u8::MAX)),
        }
    }

    pub(super) fn details(&self, channels: usize) -> String {
        let plural = if channels == 1 { "" } else { "s" };
        match self {
            Self::Xdma(xdma) => xdma.to_string(),
            Self::Cdev(driver) => format!(
                "{} H2C and {} C2H channels of the kernel driver, at most {channels} at once",
                driver.channels(Direction::H2c),
                driver.channels(Direction::C2h)
            ),
            Self::Pcis(_) => {
                format!("{} copies on {channels} thread{plural}", Level::best())
            }
        }
    }

    pub(super) fn write(
        &self,
        address: u64,
        data: &[u8],
        channels: usize,
        deadline: &Deadline,
        moved: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CardMemoryError> {
        match self {
            Self::Xdma(xdma) => xdma.write(address, data, deadline, moved),
            Self::Cdev(driver) => driver
                .write(address, data, channels, deadline, moved)
                .map_err(cdev),
            Self::Pcis(pcis) => {
                let pieces = data.chunks(PIECE).enumerate();
                each(&vec![pcis; channels], pieces, |pcis, (number, part)| {
                    check(deadline)?;
                    pcis.write(address + (number * PIECE) as u64, part)
                        .map_err(|source| CardMemoryError::Pcis { source })?;
                    moved(part.len() as u64);
                    Ok(())
                })
            }
        }
    }

    pub(super) fn read(
        &self,
        address: u64,
        data: &mut [u8],
        channels: usize,
        deadline: &Deadline,
        moved: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CardMemoryError> {
        match self {
            Self::Xdma(xdma) => xdma.read(address, data, deadline, moved),
            Self::Cdev(driver) => driver
                .read(address, data, channels, deadline, moved)
                .map_err(cdev),
            Self::Pcis(pcis) => {
                let pieces = data.chunks_mut(PIECE).enumerate();
                each(&vec![pcis; channels], pieces, |pcis, (number, part)| {
                    check(deadline)?;
                    pcis.read(address + (number * PIECE) as u64, part)
                        .map_err(|source| CardMemoryError::Pcis { source })?;
                    moved(part.len() as u64);
                    Ok(())
                })
            }
        }
    }
}

fn cdev(error: CdevError) -> CardMemoryError {
    match error {
        CdevError::Wait { source } => CardMemoryError::Wait { source },
        source => CardMemoryError::Cdev { source },
    }
}

fn check(deadline: &Deadline) -> Result<(), CardMemoryError> {
    deadline
        .check()
        .map_err(|source| CardMemoryError::Wait { source })
}
