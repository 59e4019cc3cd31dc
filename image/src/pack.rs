//! Making a tarball: the manifest written, the checkpoint hashed, and the result checked before it gets
//! its name.

mod error;
mod plan;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use afi_proto::Family;

use crate::finding::Finding;
use crate::manifest::key::Key;
use crate::report::Report;
pub use error::PackError;
use plan::Plan;

/// How a tarball is made.
#[derive(Debug, Clone, Default)]
pub struct PackOptions {
    /// The tarball; `None`: `STEM.Developer_CL.tar` in the current directory, as the build scripts name
    /// it.
    pub output: Option<PathBuf>,
    /// The family that the result is checked for.
    pub family: Option<Family>,
    /// A manifest to take values from. `None`: the one beside the checkpoint in a directory, if there
    /// is one.
    pub manifest: Option<PathBuf>,
    /// The checkpoint, by its name, in a directory that has several.
    pub checkpoint: Option<String>,
    /// Values that take the place of those of the manifest. The hash and the name of the checkpoint are
    /// always those of the file.
    pub values: Vec<(Key, String)>,
    /// Time of change of all members, in seconds since 1970. The same for the same input, unless the
    /// caller wants another.
    pub mtime: u64,
    /// Replaces a tarball that is there.
    pub force: bool,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The tarball.
    pub path: PathBuf,
    /// The manifest in it.
    pub manifest: String,
    /// What the check of the tarball found; no errors.
    pub report: Report,
    /// What was wrong with the manifest that values were taken from. None of it is in the tarball.
    pub mended: Vec<Finding>,
}

/// Makes a tarball of a checkpoint, or of a directory (`to_aws`, or one that has it) with a checkpoint,
/// and maybe a manifest and debug probes. The same input gives the same bytes. The tarball gets its name
/// when it is complete and no error was found in it. `progress` is told how many bytes were read, a piece
/// at a time (each file is read twice), and can end it with an error.
///
/// # Errors
/// When there is not the one checkpoint, when a file cannot be read or written, and when the check finds
/// an error in the result: then the report is in the error, and there is no tarball.
pub fn pack(
    source: &Path,
    options: &PackOptions,
    mut progress: impl FnMut(u64) -> io::Result<()>,
) -> Result<Packed, PackError> {
    let plan = Plan::new(source, options)?;
    let output = match &options.output {
        Some(output) => output.clone(),
        None => PathBuf::from(format!("{}.Developer_CL.tar", plan.stem)),
    };
    write::check_target(&output, options.force)?;
    write::write(plan, output, options, &mut progress)
}
