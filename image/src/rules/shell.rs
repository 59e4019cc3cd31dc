//! The shell that the design was built for.

use afi_proto::{Family, ShellVersion};

use crate::FailureCode;
use crate::finding::{Finding, quoted};
use crate::manifest::key::Key;
use crate::manifest::{Lines, Value};
use crate::report::{Manifest, Report};

/// `asked` is the family that the caller named, if any.
pub(super) fn check(
    lines: &Lines,
    asked: Option<Family>,
    manifest: &mut Manifest,
    report: &mut Report,
) {
    let Some(value) = lines.get(Key::ShellVersion).filter(|v| !v.text.is_empty()) else {
        return;
    };
    let Ok(version) = value.text.parse::<ShellVersion>() else {
        let found = invalid("shell_version is no version of a shell", value);
        report.add(found.wanted(served(asked)).fix(TAKE));
        return;
    };
    manifest.shell_version = Some(version);
    let Some(family) = Family::of_shell(version) else {
        let found = invalid("there is no shell of this version", value);
        report.add(found.wanted(served(asked)).fix(TAKE));
        return;
    };
    if asked.is_some_and(|asked| asked != family) {
        let found = invalid("this shell belongs to the other family", value);
        let seen = format!("{} of {}", quoted(&value.text), name(family));
        let fix = "build the design with the kit of that family";
        report.add(found.seen(seen).wanted(served(asked)).fix(fix));
        return;
    }
    let Some(shell) = family.profile().shell(version) else {
        return;
    };
    let seen = format!(
        "{}, the {} of {}",
        quoted(&value.text),
        shell.name,
        name(family)
    );
    let (code, message) = match (shell.supported, shell.deprecated) {
        (true, _) => return,
        (false, true) => (
            FailureCode::ShellVersionDeprecated,
            "slots do not run this shell any more",
        ),
        (false, false) => (
            FailureCode::ShellVersionInvalid,
            "this shell was announced, and slots do not run it",
        ),
    };
    report.add(
        Finding::error(code, message)
            .at(value.place.clone())
            .seen(seen)
            .wanted(served(Some(family)))
            .fix("build the design again for a shell that slots run: another number alone does not help"),
    );
}

const TAKE: &str = "take it from shell_version.txt of the kit that the design was built with";

fn invalid(message: &str, value: &Value) -> Finding {
    Finding::error(FailureCode::ShellVersionInvalid, message)
        .at(value.place.clone())
        .seen(quoted(&value.text))
}

/// The shells that slots run.
fn served(family: Option<Family>) -> String {
    let families = Family::ALL.into_iter();
    let families = families.filter(|one| family.is_none_or(|family| family == *one));
    let texts: Vec<String> = families
        .flat_map(|family| {
            let shells = family
                .profile()
                .shells
                .iter()
                .filter(|shell| shell.supported);
            shells.map(move |shell| format!("{} ({}, {})", shell.version, name(family), shell.name))
        })
        .collect();
    texts.join(" or ")
}

/// `F1`, `F2`: as people write it.
pub(super) fn name(family: Family) -> String {
    family.to_string().to_uppercase()
}
