//! What commands cost on a device that answers at once, so that all of the time is the host's.
//!
//! The least of several runs counts: other work on this machine makes runs longer, never shorter.
//! Emulated instructions are slow, and how slow depends on the machine; so the figures are printed,
//! and what is compared is how they relate to the start of a process in the same guest. A sleep of
//! half a second, as the public tools have, is twenty such starts and more.

use super::image::{DRAM, HELLO};
use crate::guest::Guest;
use crate::instance::Instance;

/// Runs of each command.
const RUNS: usize = 10;
/// The most that a load which changes ids may take, in starts of a process (seen: 2).
const LOAD: f64 = 8.0;
/// The most that a listing or description may take, its process included (seen: 1.3 and 1.6).
const LOOK: f64 = 4.0;

/// Measures, prints and compares.
pub(super) fn commands(instance: &mut Instance) {
    let guest = &mut instance.guest;
    let loads: Vec<f64> = (0..RUNS)
        .map(|run| load(guest, [HELLO, DRAM][run % 2]))
        .collect();
    let load = least("afi load, ids change", &loads);
    let nothing = process(guest, "true");
    let [start, list, describe] = ["--version", "list", "describe"].map(|command| {
        let took: Vec<f64> = process(guest, &format!("afi {command}"))
            .iter()
            .zip(&nothing)
            .map(|(took, nothing)| took - nothing)
            .collect();
        least(&format!("afi {command}, process"), &took)
    });
    assert!(
        load <= LOAD * start,
        "load: {load} ms, a process: {start} ms"
    );
    assert!(
        list <= LOOK * start,
        "list: {list} ms, a process: {start} ms"
    );
    assert!(
        describe <= LOOK * start,
        "describe: {describe} ms, a process: {start} ms"
    );
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

/// Prints a figure, and gives the least of the times.
fn least(what: &str, times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let (least, median) = (times[0], times[times.len() / 2]);
    println!("figure: {what}: least {least:.1} ms, median {median:.1} ms");
    least
}
