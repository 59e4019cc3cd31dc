//! The archive of logs that the creation of an image leaves in the object store, under the id of the
//! image: `KEY/afi-…/logs.tar`.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::store_files::{self, AccessError};
use super::world::{Creation, State, World};
use crate::catalog::CatalogImage;

/// Writes it, if the request asked for logs. A place that cannot be written to leaves the image as
/// it is, as the service does.
pub(super) fn write(world: &World, state: &State, image: &CatalogImage, creation: &Creation) {
    let Some(logs) = &creation.logs else { return };
    let key = match logs.key.trim_end_matches('/') {
        "" => format!("{}/logs.tar", image.afi),
        folder => format!("{folder}/{}/logs.tar", image.afi),
    };
    let place = store_files::object(
        world,
        state,
        (image.owner_id, &image.region),
        &logs.bucket,
        &key,
    );
    let written = place.map_err(WriteError::Access).and_then(|path| {
        let archive = archive(image, creation).map_err(WriteError::Io)?;
        put(path, &archive).map_err(WriteError::Io)
    });
    if let Err(error) = written {
        tracing::warn!(afi = %image.afi, bucket = logs.bucket, key, %error, "no logs are written");
    }
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Access(AccessError),
    #[error(transparent)]
    Io(io::Error),
}

fn put(path: PathBuf, archive: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, archive)
}

fn archive(image: &CatalogImage, creation: &Creation) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in [
        ("State", state_file(image)),
        ("create_fpga_image.log", log(image, creation)),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        let path = format!("{}/{name}", image.afi);
        archive.append_data(&mut header, path, text.as_bytes())?;
    }
    archive.into_inner()
}

fn state_file(image: &CatalogImage) -> String {
    match &image.state_message {
        None => format!("{}\n", image.state),
        Some(message) => format!("{}\n{message}\n", image.state),
    }
}

fn log(image: &CatalogImage, creation: &Creation) -> String {
    let mut text = format!(
        "{} INFO: creation of {} from s3://{}/{}\n",
        image.create_time, image.afi, creation.input.bucket, creation.input.key
    );
    let findings = creation
        .verdict
        .iter()
        .flat_map(|verdict| &verdict.findings);
    for finding in findings {
        text.push_str(finding);
        text.push('\n');
    }
    match &image.state_message {
        None => text.push_str(&format!("{} INFO: {}\n", image.update_time, image.state)),
        Some(message) => text.push_str(&format!("{} ERROR: {message}\n", image.update_time)),
    }
    text
}
