//! Runs the benchmarks, and reads what their runner reports.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::baseline::Counts;

/// The counts of every benchmark in `benches/instructions`.
pub(crate) fn all() -> Result<Counts> {
    // A directory of its own: what an earlier run left would be compared with, and reported too.
    let home = tempfile::tempdir()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["bench", "--quiet", "--locked", "-p", "afi-benches"])
        .args(["--bench", "instructions", "--"])
        .args(["--output-format=json", "--home"])
        .arg(home.path())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!(
            "the benchmarks did not run ({}). They need valgrind, and gungraun-runner in the version \
             of the crate gungraun in Cargo.toml: `cargo install gungraun-runner --locked --version \
             VERSION`",
            output.status
        );
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// Reads one report a line.
fn parse(text: &str) -> Result<Counts> {
    let mut counts = Counts::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let report: Value = serde_json::from_str(line).context("the runner's report")?;
        let (name, count) =
            count(&report).with_context(|| format!("a report without a count: {line}"))?;
        counts.insert(name, count);
    }
    ensure!(!counts.is_empty(), "the runner reported no benchmark");
    Ok(counts)
}

fn count(report: &Value) -> Option<(String, u64)> {
    let path = report["module_path"].as_str()?;
    let name = path.strip_prefix("instructions::").unwrap_or(path);
    let name = match report["id"].as_str() {
        Some(id) => format!("{name}::{id}"),
        None => name.to_owned(),
    };
    let values = &report["profiles"][0]["data"]["total"]["metrics"]["Ir"]["values"];
    Some((name, values["new"].as_u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_gives_name_and_count() {
        let text = r#"
{"module_path":"instructions::dma::descriptor","id":"one","profiles":[{"data":{"total":{"metrics":{"Ir":{"values":{"new":42}}}}}}]}
"#;
        let counts = parse(text).unwrap();
        assert_eq!(
            counts.into_iter().collect::<Vec<_>>(),
            [("dma::descriptor::one".into(), 42)]
        );
        assert!(parse("").is_err());
        assert!(parse(r#"{"module_path":"x"}"#).is_err());
    }
}
