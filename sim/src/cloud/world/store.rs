//! The file that lets the cloud survive a restart of the program: `state.json`.
//!
//! It holds the whole state, and of the catalogue what differs from the file it was read from. Each
//! change replaces it as a whole, by a rename, so a crash leaves the one before or the one after.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use afi_proto::AfiId;
use serde::{Deserialize, Serialize};

use super::State;
use super::image_record::ImageRecord;
use crate::catalog::{Catalog, CatalogImage};

/// The form of the file that this program writes.
const VERSION: u32 = 1;
/// Files that are set aside before one of them is given up.
const MAX_ASIDE: u32 = 100;

/// Where the state is kept.
#[derive(Debug)]
pub(in crate::cloud) struct Store {
    path: PathBuf,
}

/// Why the state of before cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be read.
    #[error("cannot read the state of the cloud in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is damaged and cannot be renamed.
    #[error("cannot set aside the damaged state of the cloud in {}", path.display())]
    SetAside {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is one of a later program.
    #[error(
        "{} has version {version}, and this afi-sim knows up to {VERSION}; use the afi-sim that wrote it, or move the file away to begin anew",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

/// Why a change is not kept.
#[derive(Debug, thiserror::Error)]
pub(in crate::cloud) enum SaveError {
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the state is no JSON: {source}")]
    Encode { source: serde_json::Error },
}

#[derive(Serialize, Deserialize)]
struct Contents {
    version: u32,
    state: State,
    images: Vec<ImageRecord>,
    deleted: Vec<AfiId>,
}

/// The part that every version has.
#[derive(Deserialize)]
struct Header {
    version: u32,
}

impl Store {
    pub(in crate::cloud) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The state of before, its images put into the catalogue. What cannot be used is said in
    /// `notices`; a damaged file is set aside and the state begins anew.
    pub(super) fn load(
        &self,
        catalog: &mut Catalog,
        notices: &mut Vec<String>,
    ) -> Result<State, OpenError> {
        let path = &self.path;
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            Err(source) => {
                let path = path.clone();
                return Err(OpenError::Read { path, source });
            }
        };
        if let Ok(Header { version }) = serde_json::from_slice(&bytes)
            && version > VERSION
        {
            let path = path.clone();
            return Err(OpenError::Newer { path, version });
        }
        let contents: Contents = match serde_json::from_slice(&bytes) {
            Ok(contents) => contents,
            Err(error) => {
                let aside = set_aside(path).map_err(|source| OpenError::SetAside {
                    path: path.clone(),
                    source,
                })?;
                notices.push(format!(
                    "{} is damaged ({error}); it is now {}, and the cloud begins anew",
                    path.display(),
                    aside.display()
                ));
                return Ok(State::default());
            }
        };
        for afi in contents.deleted {
            catalog.remove(afi);
        }
        let mut state = contents.state;
        for record in contents.images {
            if let Err((afi, why)) = put(catalog, record) {
                state.jobs.remove(&afi);
                notices.push(format!("{afi} of {} is left out: {why}", path.display()));
            }
        }
        Ok(state)
    }

    pub(super) fn save(&self, state: &State, catalog: &Catalog) -> Result<(), SaveError> {
        let (mut images, mut deleted) = (Vec::new(), Vec::new());
        for afi in &state.changed {
            match catalog.image(*afi) {
                Some(image) => images.push(ImageRecord::from(image)),
                None => deleted.push(*afi),
            }
        }
        let contents = Contents {
            version: VERSION,
            state: state.clone(),
            images,
            deleted,
        };
        let mut text =
            serde_json::to_vec(&contents).map_err(|source| SaveError::Encode { source })?;
        text.push(b'\n');
        replace(&self.path, &text).map_err(|source| SaveError::Write {
            path: self.path.clone(),
            source,
        })
    }
}

fn put(catalog: &mut Catalog, record: ImageRecord) -> Result<(), (AfiId, String)> {
    let afi = record.afi();
    let image = CatalogImage::try_from(record).map_err(|error| (afi, error.to_string()))?;
    let replaced = catalog.replace(image);
    replaced.map_err(|problem| (afi, problem.to_string()))
}

/// Writes a new file and puts it in the place of the old one.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(text)?;
    file.sync_data()?;
    fs::rename(&new, path)
}

/// Renames a damaged file to the first free name.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let names = (1..MAX_ASIDE).map(|n| path.with_extension(format!("json.damaged-{n}")));
    let free = names.into_iter().find(|name| !name.exists());
    let aside = free.unwrap_or_else(|| path.with_extension(format!("json.damaged-{MAX_ASIDE}")));
    fs::rename(path, &aside)?;
    Ok(aside)
}
