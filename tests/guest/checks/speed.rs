//! What commands cost on a device that answers at once, so that all of the time is the host's.
//!
//! The least of several runs counts: other work on this machine makes runs longer, never shorter.
//! Emulated instructions are slow; the limits are for this guest.

use super::image::{DRAM, HELLO};
use crate::guest::Guest;
use crate::instance::Instance;

/// Runs of each command.
const RUNS: usize = 10;
/// The most that a load which changes ids may take, in milliseconds, as it tells itself.
const LOAD: f64 = 60.0 * SLOWER;
/// The most that the process of a listing or description may take, in milliseconds.
const LOOK: f64 = 25.0 * SLOWER;
/// The limits are those of an optimised program. One that is not still shows a wait that is too long.
const SLOWER: f64 = if cfg!(debug_assertions) { 4.0 } else { 1.0 };

/// Measures, prints and compares with the limits.
pub(super) fn commands(instance: &mut Instance) {
    let guest = &mut instance.guest;
    let loads: Vec<f64> = (0..RUNS)
        .map(|run| load(guest, [HELLO, DRAM][run % 2]))
        .collect();
    let load = least("afi load, ids change", &loads, LOAD);
    let nothing = process(guest, "true");
    let looks = ["--version", "list", "describe"].map(|command| {
        let took: Vec<f64> = process(guest, &format!("afi {command}"))
            .iter()
            .zip(&nothing)
            .map(|(took, nothing)| took - nothing)
            .collect();
        least(&format!("afi {command}, process"), &took, LOOK)
    });
    assert!(load && looks.iter().all(|good| *good), "over the limit");
}

fn load(guest: &mut Guest, image: &str) -> f64 {
    let load = guest.afi(&format!("load 0 {image} --offline --output-format json"));
    load.success();
    let report = &load.json()["loads"][0];
    assert!(report["bus"]["rescanned"].is_string(), "{report:#}");
    report["duration_ms"].as_f64().unwrap()
}

/// How long a process takes from start to end, in milliseconds, in several samples. The clock of the
/// guest's shell ticks every 10 ms, so each sample is the mean of many runs.
fn process(guest: &mut Guest, command: &str) -> Vec<f64> {
    const MANY: usize = 20;
    let line = format!(
        "read a _ </proc/uptime; i=0; while [ $i -lt {MANY} ]; do {command} >/dev/null || exit 1; \
         i=$((i+1)); done; read b _ </proc/uptime; echo $a $b"
    );
    // The shell has `true` built in; a process is what is measured.
    let line = line.replace("do true", "do /bin/true");
    let sample = |_| {
        let times = guest.sh(&line);
        let times: Vec<f64> = times
            .success()
            .split_whitespace()
            .map(|seconds| seconds.parse().unwrap())
            .collect();
        (times[1] - times[0]) * 1000.0 / MANY as f64
    };
    (0..3).map(sample).collect()
}

/// Prints a figure, and tells whether it is within its limit.
fn least(what: &str, times: &[f64], limit: f64) -> bool {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let (least, median) = (times[0], times[times.len() / 2]);
    println!("figure: {what}: least {least:.1} ms, median {median:.1} ms (limit {limit} ms)");
    least <= limit
}
