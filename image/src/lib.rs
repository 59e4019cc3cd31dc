//! What has to be in a tarball that becomes an FPGA image?
//!
//! The cloud service takes a tarball from S3 and makes an image of it, which takes from half an hour to
//! hours; only then it tells that a PCI id was reserved or that a hash did not match. [`check`] finds on
//! the spot whatever can be known of that before: it reads the archive once, as a stream, in constant
//! memory, and reports each [`Finding`] with the service's own code, the line, and the way out.
//! [`pack`](pack()) makes a tarball that passes.
//!
//! The archive comes from anywhere and nothing in it is believed: see [`limits`].
//!
//! Sources: `AFI_Manifest.md`, `create_fpga_image_error_codes.md`, `clock_recipes.csv` and the build
//! scripts (`create_dcp_from_cl.tcl`, `create_vitis_afi.sh`) on the `master` branch of the
//! [AWS FPGA HDK](https://github.com/aws/aws-fpga) for F1; `aws_build_dcp_from_cl.py`,
//! `cl_id_defines.vh` and `Clock_Recipes_User_Guide.md` on `f2`, and the page "AFI Manifest" of the F2
//! documentation. `docs/images.md` lists the rules.
//!
//! ```
//! # fn main() -> Result<(), afi_image::CheckError> {
//! let report = afi_image::check(&b"no archive"[..], &afi_image::CheckOptions::default())?;
//! assert_eq!(report.failure(), Some(afi_image::FailureCode::CorruptArchive));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod archive;
mod checkpoint;
mod code;
mod contents;
mod directory;
mod finding;
pub mod fuzzing;
pub mod limits;
mod manifest;
mod pack;
mod report;
mod rules;
#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use afi_proto::Family;

pub use code::FailureCode;
pub use finding::{Finding, Place, Severity};
pub use manifest::key::Key;
pub use pack::{PackError, PackOptions, Packed, pack};
pub use report::{Manifest, Member, Report};

use contents::Contents;

/// How a check is done.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// The family that the image is for. `None`: the one that the shell version belongs to.
    pub family: Option<Family>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The archive cannot be read.
    #[error("cannot read the archive from byte {position} on")]
    Read {
        /// Bytes that were read before.
        position: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// What it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Checks a tarball. Reads it once and in order, at most to its end; an archive that is found to be
/// none is not read any further.
///
/// # Errors
/// Only when `archive` cannot be read: what is wrong with what was read is in the report.
pub fn check(archive: impl Read, options: &CheckOptions) -> Result<Report, CheckError> {
    let mut contents = Contents::default();
    archive::read(archive, &mut contents)?;
    Ok(rules::judge(contents, options))
}

/// Checks the tarball that [`pack`](pack()) would make of a directory, but for the manifest, which is
/// taken as it is. The directory is `to_aws`, or has one in it. `progress` is told how many bytes were
/// read, a piece at a time, and can end the check with an error.
///
/// # Errors
/// When the directory or a file in it cannot be read, or `progress` says so.
pub fn check_directory(
    path: &Path,
    options: &CheckOptions,
    mut progress: impl FnMut(u64) -> io::Result<()>,
) -> Result<Report, CheckError> {
    let mut contents = Contents::default();
    directory::read(path, &mut contents, &mut progress)?;
    Ok(rules::judge(contents, options))
}
