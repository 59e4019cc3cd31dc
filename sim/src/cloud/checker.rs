//! The thread that checks uploaded tarballs, one after the other: a check reads gigabytes, and nobody
//! else is to wait for it.

use std::fs::{self, File};
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Weak};
use std::thread;

use afi_proto::AfiId;

use super::store_files;
use super::tarball;
use super::world::{Creation, Verdict, World};
use crate::catalog::{CatalogImage, Failure};
use crate::fault::Kind;

/// Hands images to the thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Checker(Sender<AfiId>);

impl Checker {
    /// Starts the thread, with what was left to check before a restart.
    pub(super) fn start(world: &Arc<World>) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let weak = Arc::downgrade(world);
        let checker = Self(sender);
        for afi in world.unchecked() {
            checker.check(afi);
        }
        thread::Builder::new()
            .name("afi-sim-checker".to_owned())
            .spawn(move || run(&weak, &receiver))?;
        Ok(checker)
    }

    /// Has the tarball of an image checked.
    pub(super) fn check(&self, afi: AfiId) {
        // The thread lives as long as the world does, so this fails only while both end.
        if self.0.send(afi).is_err() {
            tracing::debug!(%afi, "nobody checks tarballs any more");
        }
    }
}

fn run(world: &Weak<World>, images: &Receiver<AfiId>) {
    for afi in images {
        let Some(world) = world.upgrade() else { return };
        if let Some((image, creation)) = world.creation(afi) {
            let verdict = verdict(&world, &image, &creation);
            world.note_verdict(afi, verdict);
        }
    }
}

fn verdict(world: &World, image: &CatalogImage, creation: &Creation) -> Verdict {
    if let Some(failure) = failing(world) {
        return Verdict {
            outcome: Err(failure),
            findings: vec!["ERROR: asked for by a fault".to_owned()],
        };
    }
    match open(world, image, creation) {
        Ok(file) => tarball::check(file),
        Err(why) => Verdict {
            outcome: Err(Failure::INACCESSIBLE_INPUT),
            findings: vec![format!("ERROR: {why}")],
        },
    }
}

/// The failure that a fault asks for.
fn failing(world: &World) -> Option<Failure> {
    let place = world.faults.strikes(Kind::CreateFails, None)?;
    let code = Failure::creation_codes().nth(usize::try_from(place).ok()?)?;
    Failure::try_from(code.to_owned()).ok()
}

fn open(world: &World, image: &CatalogImage, creation: &Creation) -> Result<File, String> {
    let input = &creation.input;
    let who = (image.owner_id, &image.region);
    let place = store_files::object(world, &world.state(), who, &input.bucket, &input.key);
    let path = place.map_err(|error| error.to_string())?;
    let unreadable = |error: io::Error| {
        format!(
            "s3://{}/{} cannot be read: {error}",
            input.bucket, input.key
        )
    };
    let known = fs::metadata(&path).map_err(unreadable)?;
    if !known.is_file() {
        return Err(format!("s3://{}/{} is no object", input.bucket, input.key));
    }
    File::open(&path).map_err(unreadable)
}
