//! What goes into a tarball: which files, and which values into the manifest.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{PackError, PackOptions};
use crate::archive::Kind;
use crate::contents::{Role, listed};
use crate::directory::{self, Found};
use crate::finding::Finding;
use crate::manifest;
use crate::manifest::key::Key;
use crate::report::Report;
use crate::{limits, rules};

/// What the names of routed checkpoints end with, as the build scripts write them.
const ROUTED: [&str; 2] = [".SH_CL_routed", "_SH_CL_routed"];
/// Keys that the file itself gives.
const OF_THE_FILE: [Key; 2] = [Key::DcpHash, Key::DcpFileName];

/// Keys and their values.
type Values = Vec<(Key, String)>;

/// What goes into a tarball.
pub(super) struct Plan {
    pub(super) checkpoint: Input,
    pub(super) probes: Vec<Input>,
    /// The names of checkpoint, manifest and tarball, without their endings.
    pub(super) stem: String,
    /// Values of the manifest but for those of the file, in the order of [`Key::ALL`].
    values: Values,
    pub(super) mended: Vec<Finding>,
}

/// A file that goes into the tarball.
pub(super) struct Input {
    pub(super) path: PathBuf,
    pub(super) base: String,
    pub(super) size: u64,
}

impl Plan {
    pub(super) fn new(source: &Path, options: &PackOptions) -> Result<Self, PackError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| PackError::Read { path, source }
        };
        let metadata = fs::metadata(source).map_err(unreadable(source))?;
        let files = if metadata.is_dir() {
            directory::select(source)?
        } else {
            vec![Found {
                path: source.to_owned(),
                base: source.file_name().unwrap_or_default().to_owned(),
                role: Role::Checkpoint,
                kind: if metadata.is_file() {
                    Kind::File
                } else {
                    Kind::Special
                },
                size: metadata.len(),
            }]
        };
        let checkpoint = checkpoint(source, &files, options)?;
        let of_role = |role| files.iter().filter(move |file| file.role == role);
        let probes = of_role(Role::Probes).map(input).collect::<Result<_, _>>()?;
        let mut manifests = of_role(Role::Manifest);
        let manifest = match (&options.manifest, manifests.next(), manifests.next()) {
            (Some(given), ..) => Some(given.clone()),
            (None, Some(_), Some(_)) => {
                let names = names(of_role(Role::Manifest));
                let path = source.to_owned();
                return Err(PackError::SeveralManifests { path, names });
            }
            (None, first, _) => first.map(|file| file.path.clone()),
        };
        let stem = stem(&checkpoint.base);
        let (values, mended) = values(manifest.as_deref(), options, &stem)?;
        Ok(Self {
            checkpoint,
            probes,
            stem,
            values,
            mended,
        })
    }

    /// The name of the manifest.
    pub(super) fn manifest_name(&self) -> String {
        format!("{}.manifest.txt", self.stem)
    }

    /// The manifest.
    pub(super) fn manifest(&self, hash: &str) -> String {
        let mut text = String::new();
        for key in Key::ALL {
            let value = match key {
                Key::DcpHash => Some(hash),
                Key::DcpFileName => Some(&*self.checkpoint.base),
                _ => {
                    let mut values = self.values.iter();
                    values
                        .find(|(one, _)| *one == key)
                        .map(|(_, value)| &**value)
                }
            };
            if let Some(value) = value {
                text += &format!("{}={value}\n", key.name());
            }
        }
        text
    }
}

/// The one checkpoint.
fn checkpoint(source: &Path, files: &[Found], options: &PackOptions) -> Result<Input, PackError> {
    let path = || source.to_owned();
    let mut checkpoints = files.iter().filter(|file| {
        let is_wanted = |name: &String| file.base == OsStr::new(name);
        file.role == Role::Checkpoint && options.checkpoint.as_ref().is_none_or(is_wanted)
    });
    match (checkpoints.next(), checkpoints.next()) {
        (None, _) => Err(PackError::NoCheckpoint { path: path() }),
        (Some(file), None) => input(file),
        (Some(_), Some(_)) => {
            let names = names(files.iter().filter(|file| file.role == Role::Checkpoint));
            Err(PackError::SeveralCheckpoints {
                path: path(),
                names,
            })
        }
    }
}

fn input(file: &Found) -> Result<Input, PackError> {
    let path = file.path.clone();
    if file.kind != Kind::File {
        let why = "is no plain file";
        return Err(PackError::NotUsable { path, why });
    }
    let base = file.base.to_str();
    let Some(base) = base.filter(|base| !base.contains(char::is_control)) else {
        let why = "has a name that cannot stand in a manifest";
        return Err(PackError::NotUsable { path, why });
    };
    Ok(Input {
        base: base.to_owned(),
        path,
        size: file.size,
    })
}

fn names<'a>(files: impl Iterator<Item = &'a Found>) -> String {
    let names: Vec<_> = files.map(|file| file.base.to_string_lossy()).collect();
    listed(names.iter().map(|name| &**name))
}

/// `24_01_31-235959` of `24_01_31-235959.SH_CL_routed.dcp`.
fn stem(base: &str) -> String {
    let stem = base.strip_suffix(".dcp").unwrap_or(base);
    let routed = ROUTED.iter().find_map(|ending| stem.strip_suffix(ending));
    routed.unwrap_or(stem).to_owned()
}

/// The values of the manifest, and what was wrong with the one that they are from.
fn values(
    manifest: Option<&Path>,
    options: &PackOptions,
    stem: &str,
) -> Result<(Values, Vec<Finding>), PackError> {
    let mut report = Report::default();
    let lines = match manifest {
        None => manifest::Lines::default(),
        Some(path) => manifest::parse(&read(path)?, &path.display().to_string(), &mut report),
    };
    let mut values = Vec::new();
    for key in Key::ALL
        .into_iter()
        .filter(|key| !OF_THE_FILE.contains(key))
    {
        let given = options.values.iter().rev().find(|(one, _)| *one == key);
        let known = lines.get(key).map(|value| value.text.clone());
        let value = given.map(|(_, value)| value.clone()).or(known);
        let value = value.or_else(|| default(key, stem));
        let Some(value) = value else { continue };
        if value.contains(char::is_control) || value.trim() != value {
            let key = key.name();
            return Err(PackError::Value { key, value });
        }
        values.push((key, value));
    }
    Ok((values, report.findings))
}

/// What is known without being told.
fn default(key: Key, stem: &str) -> Option<String> {
    match key {
        Key::FormatVersion => Some("2".to_owned()),
        Key::Date => rules::is_date(stem).then(|| stem.to_owned()),
        _ => None,
    }
}

/// A manifest, or as much of it as one may have and a byte.
fn read(path: &Path) -> Result<Vec<u8>, PackError> {
    let unreadable = |source| PackError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    let limit = limits::MANIFEST as u64;
    file.take(limit + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > limit {
        let (path, why) = (path.to_owned(), "is too long for a manifest");
        return Err(PackError::NotUsable { path, why });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_those_of_the_build_scripts() {
        assert_eq!(stem("24_01_31-235959.SH_CL_routed.dcp"), "24_01_31-235959");
        assert_eq!(stem("24_01_31-235959_SH_CL_routed.dcp"), "24_01_31-235959");
        assert_eq!(stem("design.dcp"), "design");
        assert_eq!(stem("design"), "design");
    }
}
