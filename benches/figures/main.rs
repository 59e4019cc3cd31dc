//! The figures of `docs/performance.md` that are about whole programs: measured with the real `afi`
//! on a simulated instance, and printed as a table.

use std::fs;
use std::time::Duration;

use afi_rig::Sim;
use anyhow::{Context, Result};

/// Runs of each command; the median counts.
const RUNS: usize = 31;
/// What the simulated shell takes for a load, in milliseconds.
const LOAD_TIME: u64 = 50;
/// How long the idle instance is watched.
const WATCH: Duration = Duration::from_secs(5);
/// Two images with different PCI ids, so that every load needs a rescan.
const IMAGES: [&str; 2] = ["agfi-0f1f1000000000001", "agfi-0f1f1000000000002"];

fn main() -> Result<()> {
    let mut rows = vec![["what", "measured", "promised"].map(str::to_owned)];
    let (load, overhead) = load()?;
    rows.push(row(
        "load that changes ids, above the device's own time",
        overhead,
        "20 ms",
    ));
    rows.push(row(
        &format!("the same, in all (a third of {LOAD_TIME} ms is the device's)"),
        load,
        "-",
    ));
    let sim = Sim::f1().slots(8).start();
    rows.push(row("afi list, 8 slots", median(&sim, "list"), "30 ms"));
    rows.push(row("afi describe 0", median(&sim, "describe 0"), "-"));
    let (resident, cpu) = idle(&sim)?;
    rows.push([
        "eight idle slots, memory".to_owned(),
        format!("{resident:.1} MB"),
        "50 MB".to_owned(),
    ]);
    rows.push([
        format!("eight idle slots, processor time in {} s", WATCH.as_secs()),
        format!("{cpu} ms"),
        "0 ms".to_owned(),
    ]);
    let width = rows.iter().map(|row| row[0].len()).max().unwrap_or(0);
    for [what, measured, promised] in rows {
        println!("{what:width$}  {measured:>10}  {promised:>10}");
    }
    Ok(())
}

fn row(what: &str, measured: Duration, promised: &str) -> [String; 3] {
    let measured = format!("{:.1} ms", measured.as_secs_f64() * 1e3);
    [what.to_owned(), measured, promised.to_owned()]
}

/// The median time of a load of a known image, and what of it is ours: all but the shell's time.
fn load() -> Result<(Duration, Duration)> {
    // Both images are in the slot's cache after the first load of each, and a load from there takes
    // a third of the time (afi_sim::device::Timing::with_load).
    let device = Duration::from_millis(LOAD_TIME) / 3;
    let sim = Sim::f1().load_time(LOAD_TIME).start();
    for image in IMAGES {
        sim.afi(&format!("load 0 {image}")).success();
    }
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|run| {
            let output = sim.afi(&format!("load 0 {}", IMAGES[run % 2]));
            output.success();
            output.took
        })
        .collect();
    times.sort();
    let median = times[RUNS / 2];
    Ok((median, median.saturating_sub(device)))
}

fn median(sim: &Sim, words: &str) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let output = sim.afi(words);
            output.success();
            output.took
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

/// Resident megabytes of the simulator, and the milliseconds of processor time that it takes while
/// nobody asks anything.
fn idle(sim: &Sim) -> Result<(f64, u64)> {
    let before = cpu(sim)?;
    std::thread::sleep(WATCH);
    let after = cpu(sim)?;
    let status = fs::read_to_string(format!("/proc/{}/status", sim.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("/proc tells no VmRSS")?
        .parse()?;
    Ok((kib * 1024.0 / 1e6, after - before))
}

/// Processor time of the simulator so far, in milliseconds: user and system ticks of 10 ms
/// (proc_pid_stat(5), fields 14 and 15).
fn cpu(sim: &Sim) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", sim.pid()))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc tells no stat")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap_or(0))
        .sum();
    Ok(ticks * 10)
}
