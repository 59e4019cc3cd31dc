//! What becomes of images that are under way, once their time has come.

use afi_proto::{AfiId, Family, PciIds};

use super::{Built, Change, Creation, Job, Verdict, Work, World};
use crate::catalog::{
    Catalog, CatalogImage, ClockRecipes, Design, Failure, ImageState, Region, Timestamp,
};
use crate::cloud::logs;
use crate::fault::Kind;

impl World {
    /// Ends what is due.
    pub(in crate::cloud) fn settle(&self) {
        let mut state = self.state();
        let now = self.now();
        let due: Vec<AfiId> = state
            .jobs
            .iter()
            .filter(|(_, job)| job.due <= now && !job.is_unchecked())
            .map(|(afi, _)| *afi)
            .collect();
        if due.is_empty() {
            return;
        }
        let mut change = Change {
            state: &mut state,
            catalog: self.catalog.write(),
            times: self.times,
            now,
        };
        let mut logs = Vec::new();
        for afi in due {
            let Some(job) = change.state.jobs.remove(&afi) else {
                continue;
            };
            match job.work {
                Work::Create(creation) => {
                    finish_creation(&mut change, afi, &creation);
                    if let Some(image) = change.catalog.image(afi).cloned() {
                        logs.push((image, creation));
                    }
                }
                Work::Copy { source, region } => {
                    if self.strikes(Kind::CopySourceGone) {
                        change.remove_image(source);
                    }
                    finish_copy(&mut change, afi, source, &region);
                }
            }
        }
        drop(change);
        for (image, creation) in logs {
            logs::write(self, &state, &image, &creation);
        }
        if let Err(error) = self.save(&state) {
            tracing::error!(%error, "the state of the cloud is not saved");
        }
    }

    /// When something will be due that waits for nothing but time.
    pub(in crate::cloud) fn next_due(&self) -> Option<Timestamp> {
        let state = self.state();
        let checked = state.jobs.values().filter(|job| !job.is_unchecked());
        checked.map(|job| job.due).min()
    }

    /// Creations whose tarball is still to be checked.
    pub(in crate::cloud) fn unchecked(&self) -> Vec<AfiId> {
        let state = self.state();
        let jobs = state.jobs.iter();
        jobs.filter(|(_, job)| job.is_unchecked())
            .map(|(afi, _)| *afi)
            .collect()
    }

    /// A creation that is to be checked, with its image.
    pub(in crate::cloud) fn creation(&self, afi: AfiId) -> Option<(CatalogImage, Creation)> {
        let state = self.state();
        let job = state.jobs.get(&afi).filter(|job| job.is_unchecked())?;
        let Work::Create(creation) = &job.work else {
            return None;
        };
        let image = self.catalog.read().image(afi).cloned()?;
        Some((image, Creation::clone(creation)))
    }

    /// Notes what was found in the tarball of an image.
    pub(in crate::cloud) fn note_verdict(&self, afi: AfiId, verdict: Verdict) {
        let mut state = self.state();
        // The image may have been deleted meanwhile.
        if let Some(Job {
            work: Work::Create(creation),
            ..
        }) = state.jobs.get_mut(&afi)
        {
            creation.verdict = Some(verdict);
        }
        if let Err(error) = self.save(&state) {
            tracing::error!(%error, "the state of the cloud is not saved");
        }
        drop(state);
        self.checked.notify_all();
        self.rescheduled.notify_one();
    }
}

fn finish_creation(change: &mut Change<'_>, afi: AfiId, creation: &Creation) {
    let Some(verdict) = &creation.verdict else {
        return;
    };
    let outcome = verdict.outcome.as_ref().map_err(|failure| *failure);
    // The checker knows the recipes too, so a design fails only where the model's tables lack one.
    let outcome = outcome.and_then(|built| {
        design(&change.catalog, built, creation.model.as_deref()).ok_or(Failure::UNKNOWN)
    });
    end(change, afi, |image| match outcome {
        Ok(design) => {
            image.design = Some(design);
            Ok(())
        }
        Err(failure) => Err(failure),
    });
}

fn finish_copy(change: &mut Change<'_>, afi: AfiId, source: AfiId, region: &Region) {
    let Some(owner) = change.catalog.image(afi).map(|image| image.owner_id) else {
        return;
    };
    let found = change.catalog.image(source);
    let found = found.filter(|source| source.region == *region && source.owner_id == owner);
    let outcome = match found {
        None => Err(Failure::SOURCE_NOT_FOUND),
        Some(source) if source.state != ImageState::Available => Err(Failure::SOURCE_STATE),
        Some(source) => Ok(source.clone()),
    };
    end(change, afi, |image| match outcome {
        Ok(source) => {
            image.agfi = source.agfi;
            image.design = source.design;
            image.name = image.name.take().or(source.name);
            image.description = image.description.take().or(source.description);
            image.owner_alias = source.owner_alias;
            image.product_codes = source.product_codes;
            Ok(())
        }
        Err(failure) => Err(failure),
    });
}

/// Brings a pending image to its end.
fn end(
    change: &mut Change<'_>,
    afi: AfiId,
    fill: impl FnOnce(&mut CatalogImage) -> Result<(), Failure>,
) {
    let fail = |image: &mut CatalogImage, failure: Failure| {
        image.state = ImageState::Failed;
        image.state_message = Some(failure.to_string());
    };
    let ended = change.alter_image(afi, |image| match fill(image) {
        Ok(()) => image.state = ImageState::Available,
        Err(failure) => fail(image, failure),
    });
    if ended.is_err() {
        // The catalogue refuses a design that the checker let pass, such as one with the ids of the
        // shell itself. It has been logged; the image is as it was.
        let failed = change.alter_image(afi, |image| fail(image, Failure::UNKNOWN));
        if failed.is_err() {
            tracing::error!(%afi, "the image stays pending");
        }
    }
}

/// What a slot will load: the custom logic is the one that the request chose, or that of an image
/// with the same PCI ids, or a small design with registers.
fn design(catalog: &Catalog, built: &Built, chosen: Option<&str>) -> Option<Design> {
    let [vendor, device, subsystem_vendor, subsystem] = built.ids;
    let ids = PciIds::new(vendor, device, subsystem_vendor, subsystem);
    let designs = || catalog.images().filter_map(|image| image.design.as_ref());
    let alike = designs().find(|known| known.family == built.family && known.ids == ids);
    let default = match built.family {
        Family::F1 => "cl_hello_world",
        Family::F2 => "cl_axil_reg_access",
    };
    let model = chosen
        .or(alike.map(|known| known.model.as_str()))
        .unwrap_or(default);
    let mut recipes = built.recipes.iter().map(String::as_str);
    let clock_recipes = recipes
        .try_fold(ClockRecipes::default_of(built.family), ClockRecipes::with)
        .ok()?;
    Some(Design {
        family: built.family,
        shell: built.shell,
        ids,
        model: model.to_owned(),
        data_retention: alike.is_some_and(|known| known.model == model && known.data_retention),
        power_watts: Design::DEFAULT_POWER_WATTS,
        clock_recipes,
    })
}
