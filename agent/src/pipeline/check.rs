//! What is checked before a slot is touched.

use afi_proto::mailbox::SlotStatus;
use afi_proto::{Family, PciIds, ShellVersion};

use super::LoadPlan;
use super::report::SlotState;
use crate::image::{Image, ImageState};
use crate::problem::{Class, Problem};

/// A check that did not pass. Nothing has been touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("check of {}: {subject} {seen}; wanted {wanted}", check.name())]
pub struct CheckError {
    /// Which check.
    pub check: Check,
    /// What was looked at.
    pub subject: String,
    /// What it is.
    pub seen: String,
    /// What it should be.
    pub wanted: String,
    /// What to do.
    remedy: String,
    class: Class,
}

/// A check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The options of the load go together.
    Options,
    /// The image is available.
    State,
    /// The image was built for this family.
    Family,
    /// The image's shell is one that slots of the family run.
    Shell,
    /// The image's PCI ids can be told from others.
    Ids,
    /// The contents of DRAM can be kept.
    Retention,
}

impl Check {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Options => "options",
            Self::State => "state",
            Self::Family => "family",
            Self::Shell => "shell",
            Self::Ids => "PCI ids",
            Self::Retention => "DRAM retention",
        }
    }
}

impl Problem for CheckError {
    fn class(&self) -> Class {
        self.class
    }

    fn remedy(&self) -> Option<String> {
        Some(self.remedy.clone())
    }
}

/// Checks what can be told without the image and the slot.
///
/// # Errors
/// When the options exclude each other.
pub fn options(plan: &LoadPlan) -> Result<(), CheckError> {
    let exclude = |one: &str, other: &str, why: &str| {
        Err(CheckError {
            check: Check::Options,
            subject: "the load".to_owned(),
            seen: format!("is asked for with {one} and {other}"),
            wanted: format!("one of them: {why}"),
            remedy: format!("leave out {one} or {other}"),
            class: Class::Usage,
        })
    };
    let LoadPlan {
        prefetch,
        force_shell_reload: reload,
        retain_dram: retain,
        ..
    } = *plan;
    if prefetch && reload {
        // The shell's error 27, `err-incompatible-afi-cmd-flags`.
        return exclude(
            "prefetch",
            "force-shell-reload",
            "a prefetch leaves the shell alone",
        );
    }
    if retain && reload {
        return exclude(
            "retain-dram",
            "force-shell-reload",
            "a reload of the shell loses the contents of DRAM",
        );
    }
    if prefetch && retain {
        return exclude("prefetch", "retain-dram", "a prefetch leaves DRAM alone");
    }
    Ok(())
}

/// Checks an image against a slot: state, family, shell, PCI ids and, when it is wanted, whether
/// the contents of DRAM can be kept. What the cloud does not tell about an image is not checked.
///
/// # Errors
/// At the first check that does not pass.
pub fn image(
    plan: &LoadPlan,
    image: &Image,
    family: Family,
    slot: &SlotState,
) -> Result<(), CheckError> {
    state(image)?;
    self::family(image, family)?;
    shell(image, family, slot.shell)?;
    ids(image, family)?;
    if plan.retain_dram {
        retention(image, family, slot)?;
    }
    Ok(())
}

fn state(image: &Image) -> Result<(), CheckError> {
    let remedy = match &image.state {
        ImageState::Available => return Ok(()),
        ImageState::Pending => "wait until it is made: 30 minutes to some hours after its creation",
        ImageState::Failed => "the message tells what to mend in the design; then create it again",
        ImageState::Unavailable => "it was withdrawn: ask its owner, or create it again",
        ImageState::Other(_) => "see what the cloud's documents say of this state",
    };
    let message = image.state_message.as_deref().unwrap_or_default();
    let seen = match message {
        "" => format!("is {}", image.state),
        message => format!("is {} ('{}')", image.state, message.escape_debug()),
    };
    Err(CheckError {
        check: Check::State,
        subject: subject(image),
        seen,
        wanted: "available".to_owned(),
        remedy: remedy.to_owned(),
        class: Class::Failed,
    })
}

fn family(image: &Image, family: Family) -> Result<(), CheckError> {
    match image.family {
        Some(built_for) if built_for != family => Err(CheckError {
            check: Check::Family,
            subject: subject(image),
            seen: format!("was built for {} ({})", built_for, built_for.profile().part),
            wanted: format!("{} ({}), which the slot has", family, family.profile().part),
            remedy: format!("build the design for {family}, or load it on an {built_for} instance"),
            class: Class::Mismatch,
        }),
        _ => Ok(()),
    }
}

/// An image for the shell that runs fits. So does one for another shell that slots of the family
/// are served today: the slot changes its shell with the load. One that our tables do not know is
/// refused unless it runs, and one that they know as retired is refused by name.
fn shell(image: &Image, family: Family, running: ShellVersion) -> Result<(), CheckError> {
    let Some(built_for) = image.shell.filter(|shell| *shell != running) else {
        return Ok(());
    };
    let profile = family.profile();
    let known = profile.shell(built_for);
    if known.is_some_and(|shell| shell.supported) {
        return Ok(());
    }
    let name = match known {
        Some(shell) => format!("{}, no longer served", shell.name),
        None => "not known".to_owned(),
    };
    let served: Vec<String> = profile
        .shells
        .iter()
        .filter(|shell| shell.supported && shell.version != running)
        .map(|shell| format!(" or {} ({})", shell.version, shell.name))
        .collect();
    Err(CheckError {
        check: Check::Shell,
        subject: subject(image),
        seen: format!("was built for shell {built_for} ({name})"),
        wanted: format!("{running} (which the slot runs){}", served.concat()),
        remedy: "build the image again with the HDK of a shell that is served".to_owned(),
        class: Class::Mismatch,
    })
}

/// Ids by which nothing can be told: no device, or one of the host's or the cloud's own. The cloud
/// refuses most of them when an image is made (`AFI_Manifest.md`: vendor 0 and 0x8086; with vendor
/// 0x1D0F devices outside 0xF000 to 0xF0FF); an image that has them all the same would confuse the
/// host once it is on the bus.
fn ids(image: &Image, family: Family) -> Result<(), CheckError> {
    let Some(ids) = image.ids else { return Ok(()) };
    let Some(why) = bad_ids(ids, family) else {
        return Ok(());
    };
    Err(CheckError {
        check: Check::Ids,
        subject: subject(image),
        seen: format!("has the ids {ids}: {why}"),
        wanted: "a vendor of its own, or 0x1d0f with a device from 0xf000 to 0xf0ff".to_owned(),
        remedy: "set the ids in cl_id_defines.vh and the manifest, and create the image again"
            .to_owned(),
        class: Class::Mismatch,
    })
}

fn bad_ids(ids: PciIds, family: Family) -> Option<&'static str> {
    /// The vendor of most functions of the host, whose drivers would take the slot for theirs.
    const INTEL: u16 = 0x8086;
    let profile = family.profile();
    match ids.vendor {
        0xFFFF => Some("vendor 0xffff means that there is no device"),
        0 => Some("vendor 0 is none"),
        INTEL => Some("vendor 0x8086 is not allowed for images"),
        _ if profile.mgmt.same_device(ids) => Some("they are those of the management function"),
        _ if profile.cleared.same_device(ids) => Some("they are those of a cleared slot"),
        _ => None,
    }
}

/// The rules of `hdk/docs/data_retention.md`. The shell refuses with error 18 as well, and changes
/// nothing; here the reason is told.
fn retention(image: &Image, family: Family, slot: &SlotState) -> Result<(), CheckError> {
    let refuse = |subject: String, seen: String, wanted: &str| {
        Err(CheckError {
            check: Check::Retention,
            subject,
            seen,
            wanted: wanted.to_owned(),
            remedy: "load without retention, and write the data again afterwards".to_owned(),
            class: Class::Failed,
        })
    };
    if !family.profile().data_retention {
        let seen = format!("is of {family}, which cannot keep the contents of DRAM");
        return refuse("the slot".to_owned(), seen, "a slot of f1");
    }
    if slot.status != SlotStatus::LOADED && !slot.status.is_transient() {
        let seen = format!("is {}", slot.status);
        return refuse(
            "the slot".to_owned(),
            seen,
            "an image with all DDR interfaces loaded",
        );
    }
    if image.data_retention == Some(false) {
        let seen = "does not support retention".to_owned();
        return refuse(subject(image), seen, "an image with all DDR interfaces");
    }
    if let Some(shell) = image.shell.filter(|shell| *shell != slot.shell) {
        let seen = format!("was built for shell {shell}");
        let wanted = format!("{}, which the slot runs", slot.shell);
        return refuse(subject(image), seen, &wanted);
    }
    Ok(())
}

fn subject(image: &Image) -> String {
    match image.name.as_deref() {
        Some(name) if !name.is_empty() => {
            format!("image {} ('{}')", image.agfi, name.escape_debug())
        }
        _ => format!("image {}", image.agfi),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afi_proto::mailbox::ErrorCode;

    const HELLO: &str = "agfi-0f1f1000000000001";

    fn plan() -> LoadPlan {
        LoadPlan::new(HELLO.parse().unwrap())
    }

    fn slot(family: Family) -> SlotState {
        SlotState {
            status: SlotStatus::CLEARED,
            error: ErrorCode::OK,
            image: None,
            ids: PciIds::default(),
            shell: family.profile().current_shell().version,
        }
    }

    fn checked(change: impl FnOnce(&mut Image)) -> Result<(), CheckError> {
        let mut changed = crate::image::tests::image(HELLO);
        change(&mut changed);
        image(&plan(), &changed, Family::F1, &slot(Family::F1))
    }

    #[test]
    fn what_the_cloud_does_not_tell_is_not_checked() {
        let unknown = checked(|image| {
            image.shell = None;
            image.ids = None;
            image.family = None;
        });
        assert_eq!(unknown, Ok(()));
    }

    #[test]
    fn every_state_but_one_is_refused_with_its_message() {
        for state in ["pending", "failed", "unavailable", "archived"] {
            let error = checked(|image| {
                image.state = state.parse().unwrap_or(ImageState::Failed);
                image.state_message = Some("CODE: why".to_owned());
            })
            .unwrap_err();
            assert_eq!(error.check, Check::State);
            assert_eq!(error.seen, format!("is {state} ('CODE: why')"));
            assert_eq!(error.wanted, "available");
        }
    }

    #[test]
    fn a_shell_that_is_served_fits_and_another_is_told_by_name() {
        let built_for = |shell| checked(|image| image.shell = Some(ShellVersion(shell)));
        assert_eq!(built_for(0x0426_1818), Ok(()));
        // The small shell: the slot changes its shell with the load.
        assert_eq!(built_for(0x0418_2104), Ok(()));
        let retired = built_for(0x0714_17D3).unwrap_err();
        assert!(retired.seen.contains("0x071417d3") && retired.seen.contains("no longer served"));
        assert!(retired.wanted.contains("0x04261818") && retired.wanted.contains("0x04182104"));
        let unknown = built_for(0x0999_9999).unwrap_err();
        assert!(unknown.seen.contains("not known"), "{unknown}");
        assert_eq!(unknown.class(), Class::Mismatch);
    }

    #[test]
    fn a_shell_newer_than_the_tables_fits_where_it_runs() {
        let new = ShellVersion(0x0999_9999);
        let mut built = crate::image::tests::image(HELLO);
        built.shell = Some(new);
        let running = SlotState {
            shell: new,
            ..slot(Family::F1)
        };
        assert_eq!(image(&plan(), &built, Family::F1, &running), Ok(()));
    }

    #[test]
    fn ids_that_tell_nothing_are_refused() {
        let with =
            |vendor, device| checked(|image| image.ids = Some(PciIds::new(vendor, device, 1, 2)));
        assert_eq!(with(0x1D0F, 0xF000), Ok(()));
        assert_eq!(with(0x10EE, 0x9038), Ok(()));
        for (vendor, device) in [
            (0xFFFF, 0xFFFF),
            (0, 0xF000),
            (0x8086, 0x1234),
            (0x1D0F, 0x1041),
            (0x1D0F, 0x1042),
        ] {
            let error = with(vendor, device).unwrap_err();
            assert_eq!(error.check, Check::Ids);
            let ids = format!("{vendor:04x}:{device:04x} 0001:0002");
            assert!(error.seen.contains(&ids), "{error}");
        }
    }

    #[test]
    fn options_that_exclude_each_other_are_wrong_usage() {
        assert_eq!(options(&plan()), Ok(()));
        let all = LoadPlan {
            prefetch: true,
            force_shell_reload: true,
            retain_dram: true,
            ..plan()
        };
        for two in [
            LoadPlan {
                retain_dram: false,
                ..all.clone()
            },
            LoadPlan {
                prefetch: false,
                ..all.clone()
            },
            LoadPlan {
                force_shell_reload: false,
                ..all
            },
        ] {
            let error = options(&two).unwrap_err();
            assert_eq!((error.check, error.class()), (Check::Options, Class::Usage));
        }
    }
}
