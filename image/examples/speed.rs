//! How fast a tarball is checked, against SHA-256 of the same bytes: both of the same file, in turn, and
//! the median of their ratios. Beside it the most memory that the process had.
//!
//! ```sh
//! cargo run --release -p afi-image --example speed [MiB]
//! ```

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use afi_image::{CheckOptions, check};
use sha2::{Digest as _, Sha256};

/// Runs of each.
const RUNS: usize = 9;
/// Bytes that plain SHA-256 is fed at once.
const PIECE: usize = 256 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let megabytes = std::env::args()
        .nth(1)
        .map_or(Ok(1024), |size| size.parse::<u64>())?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("big.tar");
    write(&path, megabytes << 20)?;
    let size = fs::metadata(&path)?.len();
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push((time(|| hash(&path))?, time(|| read(&path))?));
    }
    runs.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
    let median = runs[RUNS / 2];
    let rate = |time: Duration| size as f64 / time.as_secs_f64() / 1e9;
    println!("{megabytes} MiB, median of {RUNS} runs in turn:");
    println!("SHA-256 alone  {:.2} GB/s", rate(median.0));
    println!("check          {:.2} GB/s", rate(median.1));
    println!("check / SHA-256, time: {:.3}", ratio(&median));
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    println!(
        "most memory: {}",
        peak.unwrap_or("not known")
            .trim_start_matches("VmHWM:")
            .trim()
    );
    Ok(())
}

/// An archive with a checkpoint of this size.
fn write(path: &Path, size: u64) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::new(File::create(path)?));
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    archive.append_data(&mut header, "to_aws/big.dcp", io::repeat(0x5A).take(size))?;
    archive.into_inner()?.flush()
}

fn hash(path: &Path) -> io::Result<()> {
    let (mut file, mut sha256) = (File::open(path)?, Sha256::new());
    let mut piece = vec![0; PIECE];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            break;
        }
        sha256.update(&piece[..length]);
    }
    std::hint::black_box(sha256.finalize());
    Ok(())
}

fn read(path: &Path) -> io::Result<()> {
    let report = check(File::open(path)?, &CheckOptions::default()).map_err(io::Error::other)?;
    std::hint::black_box(report);
    Ok(())
}

fn time(run: impl Fn() -> io::Result<()>) -> io::Result<Duration> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed())
}

fn ratio((plain, checked): &(Duration, Duration)) -> f64 {
    checked.as_secs_f64() / plain.as_secs_f64()
}
