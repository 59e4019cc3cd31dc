//! What a check found, all in all.

use afi_proto::{ClockRecipe, Family, PciIds, ShellVersion};
use serde::Serialize;

use crate::finding::{Finding, Severity};
use crate::{FailureCode, limits};

/// What a check found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The family that the image is for: as asked, else as the shell version says. `None` when
    /// neither tells.
    pub family: Option<Family>,
    /// Bytes of the archive, or of the files of a directory.
    pub bytes: u64,
    /// The members, in their order in the archive.
    pub members: Vec<Member>,
    /// What the manifest says, as far as it is understood; `None` without a manifest.
    pub manifest: Option<Manifest>,
    /// What is wrong, in the order of the rules: archive, manifest, ids, shell, clocks, tool,
    /// checkpoint.
    pub findings: Vec<Finding>,
    /// Findings beyond the [`limits::FINDINGS`] that are kept.
    pub left_out: u64,
}

/// A member of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its name, with what could harm a terminal escaped.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its contents in lower-case hex; `None` for what is no file or was cut short.
    pub sha256: Option<String>,
}

/// What a manifest says. What it does not say, or says so that it is not understood, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The four ids of the application function, if all of them are understood.
    #[serde(serialize_with = "ids")]
    pub ids: Option<PciIds>,
    /// `shell_version`.
    pub shell_version: Option<ShellVersion>,
    /// `dcp_file_name`.
    pub dcp_file_name: Option<String>,
    /// `dcp_hash`, in lower case.
    pub dcp_hash: Option<String>,
    /// `tool_version`.
    pub tool_version: Option<String>,
    /// `hdk_version`.
    pub hdk_version: Option<String>,
    /// `date`.
    pub date: Option<String>,
    /// `clock_recipe_a`.
    pub clock_recipe_a: Option<ClockRecipe>,
    /// `clock_recipe_b`.
    pub clock_recipe_b: Option<ClockRecipe>,
    /// `clock_recipe_c`.
    pub clock_recipe_c: Option<ClockRecipe>,
    /// `clock_recipe_hbm`.
    pub clock_recipe_hbm: Option<ClockRecipe>,
}

impl Report {
    /// How many findings are this bad.
    pub fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings.filter(|f| f.severity == severity).count()
    }

    /// Whether nothing was found that no image is made of.
    pub fn is_acceptable(&self) -> bool {
        self.failure().is_none()
    }

    /// The code that the service would answer with: that of the first error.
    pub fn failure(&self) -> Option<FailureCode> {
        let mut findings = self.findings.iter();
        findings
            .find(|finding| finding.severity == Severity::Error)
            .and_then(|finding| finding.code)
    }

    /// Adds a finding, if there is room. An error always finds room, in the place of what is less:
    /// whether there is one decides what becomes of the tarball.
    pub(crate) fn add(&mut self, finding: Finding) {
        if self.findings.len() < limits::FINDINGS {
            self.findings.push(finding);
            return;
        }
        self.left_out += 1;
        let is_error = finding.severity == Severity::Error;
        if is_error && self.is_acceptable() {
            self.findings.pop();
            self.findings.push(finding);
        }
    }
}

fn ids<S: serde::Serializer>(ids: &Option<PciIds>, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Ids {
        vendor: String,
        device: String,
        subsystem_vendor: String,
        subsystem: String,
    }
    let text = |id: u16| format!("{id:#06x}");
    let ids = ids.map(|ids| Ids {
        vendor: text(ids.vendor),
        device: text(ids.device),
        subsystem_vendor: text(ids.subsystem_vendor),
        subsystem: text(ids.subsystem),
    });
    ids.serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_never_crowded_out() {
        let mut report = Report::default();
        for _ in 0..limits::FINDINGS + 5 {
            report.add(Finding::note("seen"));
        }
        report.add(Finding::error(FailureCode::ClkIllegal, "wrong"));
        assert_eq!(report.findings.len(), limits::FINDINGS);
        assert_eq!(report.left_out, 6);
        assert_eq!(report.failure(), Some(FailureCode::ClkIllegal));
    }
}
