//! What the documents demand of an archive and its manifest, rule by rule.

mod checkpoint;
mod clocks;
mod keys;
mod pci;
mod shell;
mod tool;

pub(crate) use tool::is_date;

use afi_proto::{Family, ShellVersion};

use crate::contents::{Contents, ManifestFile, listed};
use crate::finding::Finding;
use crate::manifest::key::Key;
use crate::manifest::{self, Lines};
use crate::report::{Manifest, Report};
use crate::{CheckOptions, FailureCode};

/// Judges what was read.
pub(crate) fn judge(mut contents: Contents, options: &CheckOptions) -> Report {
    let mut report = std::mem::take(&mut contents.report);
    report.family = options.family;
    let Some(manifest) = the_manifest(&contents, &mut report) else {
        checkpoint::without_manifest(&contents, &mut report);
        return report;
    };
    let Some(text) = &manifest.text else {
        // That it is too long was told when it was met.
        return report;
    };
    let lines = manifest::parse(text, &manifest.name, &mut report);
    if lines.is_empty() {
        if report.is_acceptable() {
            let found = "there is no line that the documents know in the manifest";
            let found = Finding::error(FailureCode::ManifestParseFailed, found);
            report.add(found.member(&manifest.name).fix(WRITE));
        }
        return report;
    }
    judge_lines(&lines, &contents, options, report)
}

fn judge_lines(
    lines: &Lines,
    contents: &Contents,
    options: &CheckOptions,
    mut report: Report,
) -> Report {
    let family = options.family.or_else(|| family_of(lines));
    report.family = family;
    let mut manifest = Manifest::default();
    keys::check(lines, family, &mut report);
    pci::check(lines, &mut manifest, &mut report);
    shell::check(lines, options.family, &mut manifest, &mut report);
    clocks::check(lines, family, &mut manifest, &mut report);
    tool::check(lines, family, &mut manifest, &mut report);
    checkpoint::check(lines, contents, family, &mut manifest, &mut report);
    report.manifest = Some(manifest);
    report
}

/// Judges a manifest alone.
pub(crate) fn judge_manifest(text: &[u8], name: &str, options: &CheckOptions) -> Report {
    let mut report = Report::default();
    let lines = manifest::parse(text, name, &mut report);
    let mut contents = Contents::default();
    // Nothing is known of what else there is.
    contents.cut_short();
    judge_lines(&lines, &contents, options, report)
}

/// What brings a manifest into shape.
const WRITE: &str = "write it anew with 'afi image pack'";

/// The one manifest.
fn the_manifest<'a>(contents: &'a Contents, report: &mut Report) -> Option<&'a ManifestFile> {
    if contents.manifest_count > 1 {
        let names = contents.manifests.iter().map(|manifest| &*manifest.name);
        report.add(
            Finding::error(
                FailureCode::ManifestParseFailed,
                "there is more than one manifest, and no document says which is taken",
            )
            .seen(format!(
                "{}, among them {}",
                contents.manifest_count,
                listed(names)
            ))
            .wanted("one file whose name ends with 'manifest.txt'")
            .fix("remove those of earlier builds"),
        );
    }
    if contents.manifest_count == 0 && !contents.is_broken {
        let names = report.members.iter().map(|member| &*member.name);
        let seen = listed(names);
        report.add(
            Finding::error(FailureCode::ManifestNotFound, "there is no manifest")
                .seen(seen)
                .wanted("'to_aws/NAME.manifest.txt'")
                .fix("write one with 'afi image pack'"),
        );
    }
    contents.manifests.first()
}

/// The family that the shell version belongs to, else the one that has the keys that are there.
fn family_of(lines: &Lines) -> Option<Family> {
    let version = lines.get(Key::ShellVersion);
    let version = version.and_then(|value| value.text.parse::<ShellVersion>().ok());
    version.and_then(Family::of_shell)
}
