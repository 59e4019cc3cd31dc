//! Writing a tarball: whole and checked, or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Read, Seek as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};
use tempfile::NamedTempFile;

use super::plan::{Input, Plan};
use super::{PackError, PackOptions, Packed};
use crate::contents::hex;
use crate::directory::DIRECTORY;
use crate::{CheckOptions, limits};

/// Permissions of the members.
const MEMBER_MODE: u32 = 0o644;
/// Permissions of the tarball, less what the process takes away.
const TARBALL_MODE: u32 = 0o666;

/// Told how many bytes were read; an error ends the work.
type Progress<'a> = &'a mut dyn FnMut(u64) -> io::Result<()>;

/// Sees whether a tarball can take this name.
pub(super) fn check_target(path: &Path, force: bool) -> Result<(), PackError> {
    let path = path.to_owned();
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(PackError::Write { path, source }),
        Ok(data) if !data.is_file() => {
            let why = "is no plain file, and is not replaced";
            Err(PackError::NotUsable { path, why })
        }
        Ok(_) if force => Ok(()),
        Ok(_) => Err(PackError::Exists { path }),
    }
}

/// Writes and checks it.
pub(super) fn write(
    plan: Plan,
    output: PathBuf,
    options: &PackOptions,
    progress: Progress<'_>,
) -> Result<Packed, PackError> {
    let failed = |source| PackError::Write {
        path: output.clone(),
        source,
    };
    let directory = match output.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".afi-pack-")
        .permissions(Permissions::from_mode(TARBALL_MODE))
        .tempfile_in(directory)
        .map_err(failed)?;
    let manifest = fill(&plan, file.as_file_mut(), options.mtime, progress, &failed)?;
    file.as_file_mut().rewind().map_err(failed)?;
    let check = CheckOptions {
        family: options.family,
    };
    let told = Told {
        from: file.as_file(),
        progress,
    };
    let report = crate::check(told, &check)?;
    if !report.is_acceptable() {
        let report = Box::new(report);
        return Err(PackError::Refused {
            path: output,
            report,
        });
    }
    persist(file, &output, options.force)?;
    Ok(Packed {
        path: output,
        manifest,
        report,
        mended: plan.mended,
    })
}

/// Writes the archive, and gives the manifest in it.
fn fill(
    plan: &Plan,
    file: &mut File,
    mtime: u64,
    progress: Progress<'_>,
    failed: &dyn Fn(io::Error) -> PackError,
) -> Result<String, PackError> {
    let out = BufWriter::with_capacity(limits::BUFFER, file);
    let mut archive = Builder::new(out);
    let hash = add(&mut archive, &plan.checkpoint, mtime, progress, failed)?;
    for probes in &plan.probes {
        add(&mut archive, probes, mtime, progress, failed)?;
    }
    let manifest = plan.manifest(&hash);
    let name = format!("{DIRECTORY}/{}", plan.manifest_name());
    let mut header = header(manifest.len() as u64, mtime);
    let added = archive.append_data(&mut header, name, manifest.as_bytes());
    added.map_err(failed)?;
    let mut out = archive.into_inner().map_err(failed)?;
    out.flush().map_err(failed)?;
    out.get_ref().sync_all().map_err(failed)?;
    Ok(manifest)
}

/// Adds a file, and gives its hash.
fn add<W: Write>(
    archive: &mut Builder<W>,
    input: &Input,
    mtime: u64,
    progress: Progress<'_>,
    failed: &dyn Fn(io::Error) -> PackError,
) -> Result<String, PackError> {
    let unreadable = |source| PackError::Read {
        path: input.path.clone(),
        source,
    };
    let file = File::open(&input.path).map_err(unreadable)?;
    let mut reader = Hashed {
        from: file.take(input.size),
        sha256: Sha256::new(),
        progress,
        failure: None,
    };
    let mut header = header(input.size, mtime);
    let name = format!("{DIRECTORY}/{}", input.base);
    let buffered = io::BufReader::with_capacity(limits::BUFFER, &mut reader);
    let added = archive.append_data(&mut header, name, buffered);
    if let Some(source) = reader.failure.take() {
        return Err(unreadable(source));
    }
    added.map_err(failed)?;
    // Neither shorter nor longer than its header says.
    let mut rest = [0];
    let is_shorter = reader.from.limit() > 0;
    if is_shorter || reader.from.get_mut().read(&mut rest).map_err(unreadable)? > 0 {
        let path = input.path.clone();
        return Err(PackError::Changed { path });
    }
    Ok(hex(&reader.sha256.finalize()))
}

/// A header that is the same for the same file, whoever has it.
fn header(size: u64, mtime: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(MEMBER_MODE);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header
}

fn persist(file: NamedTempFile, output: &Path, force: bool) -> Result<(), PackError> {
    let path = output.to_owned();
    let persisted = if force {
        file.persist(output)
    } else {
        file.persist_noclobber(output)
    };
    match persisted {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(PackError::Exists { path })
        }
        Err(error) => {
            let source = error.error;
            Err(PackError::Write { path, source })
        }
    }
}

/// A reader that hashes what passes, tells of it, and keeps what went wrong apart from what goes wrong
/// with the writer.
struct Hashed<'a> {
    from: io::Take<File>,
    sha256: Sha256,
    progress: Progress<'a>,
    failure: Option<io::Error>,
}

impl Read for Hashed<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to).and_then(|length| {
            (self.progress)(length as u64)?;
            Ok(length)
        });
        match read {
            Ok(length) => {
                self.sha256.update(&to[..length]);
                Ok(length)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}

/// A reader that tells of what passes.
struct Told<'a> {
    from: &'a File,
    progress: Progress<'a>,
}

impl Read for Told<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(to)?;
        (self.progress)(length as u64)?;
        Ok(length)
    }
}
