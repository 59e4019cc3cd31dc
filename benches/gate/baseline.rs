//! The committed counts, and how others compare with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Instructions of each benchmark, by name.
pub(crate) type Counts = BTreeMap<String, u64>;

/// Counts to compare with.
#[derive(Debug)]
pub(crate) struct Baseline {
    counts: Counts,
}

/// What became of a benchmark. Each text has the two columns and a remark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    /// As before, within what is allowed.
    Same { baseline: u64, now: u64 },
    /// Faster by more than that.
    Under { baseline: u64, now: u64 },
    /// Slower by more than that.
    Over { baseline: u64, now: u64 },
    /// Not in the baseline.
    New { now: u64 },
    /// In the baseline, and did not run.
    Missing { baseline: u64 },
}

impl Baseline {
    pub(crate) const fn new(counts: Counts) -> Self {
        Self { counts }
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {path:?}"))?;
        let counts = serde_json::from_str(&text)
            .with_context(|| format!("{path:?}: wanted an object of counts by name"))?;
        Ok(Self { counts })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.counts)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {path:?}"))
    }

    /// Every benchmark that is in either, with its verdict; `allowed` is in percent.
    pub(crate) fn compare(&self, measured: &Counts, allowed: u64) -> Vec<(String, Verdict)> {
        let names: BTreeSet<_> = self.counts.keys().chain(measured.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| {
                let verdict = match (self.counts.get(name), measured.get(name)) {
                    (Some(&baseline), Some(&now)) => judge(baseline, now, allowed),
                    (Some(&baseline), None) => Verdict::Missing { baseline },
                    (None, Some(&now)) => Verdict::New { now },
                    (None, None) => return None,
                };
                Some((name.clone(), verdict))
            })
            .collect()
    }
}

fn judge(baseline: u64, now: u64, allowed: u64) -> Verdict {
    if now * 100 > baseline * (100 + allowed) {
        Verdict::Over { baseline, now }
    } else if now * 100 < baseline * (100 - allowed) {
        Verdict::Under { baseline, now }
    } else {
        Verdict::Same { baseline, now }
    }
}

/// How much `now` is over the baseline.
fn percent(baseline: u64, now: u64) -> f64 {
    (now as f64 / baseline.max(1) as f64 - 1.0) * 100.0
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Same { baseline, now } => write!(f, "{baseline:>12} {now:>12}"),
            Self::Under { baseline, now } => {
                let change = percent(baseline, now);
                write!(
                    f,
                    "{baseline:>12} {now:>12}  {change:+.1} %: move the baseline"
                )
            }
            Self::Over { baseline, now } => {
                let change = percent(baseline, now);
                write!(f, "{baseline:>12} {now:>12}  {change:+.1} %: TOO MANY")
            }
            Self::New { now } => write!(f, "{:>12} {now:>12}  not in the baseline", "-"),
            Self::Missing { baseline } => write!(f, "{baseline:>12} {:>12}  did not run", "-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> Counts {
        of.iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    #[test]
    fn three_percent_are_allowed_and_no_more() {
        let baseline = Baseline::new(counts(&[("a", 1000), ("b", 1000), ("c", 1000), ("d", 7)]));
        let measured = counts(&[("a", 1030), ("b", 1031), ("c", 900), ("e", 5)]);
        let verdicts: Vec<_> = baseline
            .compare(&measured, 3)
            .into_iter()
            .map(|(_, verdict)| verdict)
            .collect();
        assert_eq!(
            verdicts,
            [
                Verdict::Same {
                    baseline: 1000,
                    now: 1030
                },
                Verdict::Over {
                    baseline: 1000,
                    now: 1031
                },
                Verdict::Under {
                    baseline: 1000,
                    now: 900
                },
                Verdict::Missing { baseline: 7 },
                Verdict::New { now: 5 },
            ]
        );
    }

    #[test]
    fn a_baseline_survives_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("baseline.json");
        let baseline = Baseline::new(counts(&[("registers::read32", 12485)]));
        baseline.write(&path).unwrap();
        assert_eq!(Baseline::read(&path).unwrap().counts, baseline.counts);
        fs::write(&path, "[1]").unwrap();
        assert!(Baseline::read(&path).is_err());
    }
}
