//! What is in an uploaded tarball: the answer of the rules that `afi image check` has too, as a
//! verdict on the image.

use std::fs::File;

use afi_image::{CheckOptions, Finding, Report, Severity};
use afi_proto::Family;

use super::world::{Built, Verdict};
use crate::catalog::Failure;

/// Reads a tarball to its end.
pub(super) fn check(file: File) -> Verdict {
    match afi_image::check(file, &CheckOptions::default()) {
        Ok(report) => Verdict {
            outcome: outcome(&report),
            findings: report.findings.iter().map(line).collect(),
        },
        Err(error) => Verdict {
            outcome: Err(Failure::INACCESSIBLE_INPUT),
            findings: vec![format!("ERROR: {error}")],
        },
    }
}

fn outcome(report: &Report) -> Result<Built, Failure> {
    if !report.is_acceptable() {
        // An error without a code is one that the service is not known to tell apart.
        return Err(report.failure().map_or(Failure::UNKNOWN, Failure::from));
    }
    let manifest = report.manifest.as_ref().ok_or(Failure::UNKNOWN)?;
    let ids = manifest.ids.ok_or(Failure::UNKNOWN)?;
    let shell = manifest.shell_version.ok_or(Failure::UNKNOWN)?;
    let family = report.family.or(Family::of_shell(shell));
    let recipes = [
        manifest.clock_recipe_a,
        manifest.clock_recipe_b,
        manifest.clock_recipe_c,
    ];
    Ok(Built {
        family: family.ok_or(Failure::UNKNOWN)?,
        shell,
        ids: [ids.vendor, ids.device, ids.subsystem_vendor, ids.subsystem],
        recipes: recipes
            .into_iter()
            .flatten()
            .map(|recipe| recipe.to_string())
            .collect(),
    })
}

/// A finding as a line of the log.
fn line(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => "ERROR",
        Severity::Warning => "WARNING",
        Severity::Note => "INFO",
    };
    let mut text = format!("{severity}: ");
    if let Some(code) = finding.code {
        text.push_str(&format!("{code}: "));
    }
    text.push_str(&finding.message);
    let place = finding.place.to_string();
    for (what, detail) in [
        ("", Some(place.as_str()).filter(|place| !place.is_empty())),
        ("seen ", finding.seen.as_deref()),
        ("wanted ", finding.wanted.as_deref()),
        ("", finding.fix.as_deref()),
    ] {
        if let Some(detail) = detail {
            text.push_str(&format!("; {what}{detail}"));
        }
    }
    text
}
