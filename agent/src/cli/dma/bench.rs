//! `afi dma bench`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use afi_pcie::card_memory::{Pattern, Verdict};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::error::DmaCommandError;
use super::report::{WayReport, per_second};
use super::target::{Session, Target};
use super::{Context, files, plot};
use crate::cli::values;
use crate::output::table::columns;
use crate::output::{Answer, ErrorReport, units};
use crate::serial;

/// Sizes that are measured unless others are asked for: 64 B to 64 MiB.
const SIZES: [u64; 11] = [
    64,
    256,
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
];
/// The most transfers whose times are kept for one size.
const MOST_SAMPLES: usize = 1 << 20;

/// Measure throughput and latency of transfers of several sizes
///
/// Overwrites the memory from the address on, as far as the largest size. What is read is compared
/// with what was written.
#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(flatten)]
    target: Target,
    /// Sizes, with commas between, such as 64,4K,1M [default: 64 B to 64 MiB in steps of four]
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = size)]
    sizes: Vec<u64>,
    /// Which way
    #[arg(long, value_name = "WAY", value_enum, default_value = "both")]
    direction: Way,
    /// Time for each size and direction, such as 200ms or 2
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = values::time_limit)]
    duration: Duration,
    /// Draw throughput over size into a file (SVG)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// From the host to the card
    #[value(alias = "h2c")]
    Write,
    /// From the card to the host
    #[value(alias = "c2h")]
    Read,
    /// One after the other
    Both,
}

/// What was measured of one size and direction.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Point {
    pub(super) direction: &'static str,
    pub(super) size: u64,
    transfers: u64,
    #[serde(rename = "duration_ms", serialize_with = "serial::millis")]
    took: Duration,
    pub(super) bytes_per_second: f64,
    #[serde(rename = "median_ms", serialize_with = "nanos_as_millis")]
    median: Duration,
    #[serde(rename = "p99_ms", serialize_with = "nanos_as_millis")]
    p99: Duration,
}

#[derive(Debug, Serialize)]
struct BenchReport {
    slot: afi_proto::SlotIndex,
    family: afi_proto::Family,
    app: afi_proto::Bdf,
    #[serde(flatten)]
    way: WayReport,
    address: u64,
    points: Vec<Point>,
    plot: Option<String>,
}

impl Bench {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<Answer, Box<ErrorReport>> {
        let mut sizes = self.sizes.clone();
        if sizes.is_empty() {
            sizes = SIZES.to_vec();
        }
        sizes.sort_unstable();
        sizes.dedup();
        let largest = sizes.last().copied().unwrap_or(0);
        let session = self.target.open(context, "measuring", None)?;
        session.check(self.target.address, largest)?;
        let mut points = Vec::new();
        for size in sizes {
            self.measure(context, &session, size, &mut points)?;
        }
        points.sort_by_key(|point| (point.direction != "write", point.size));
        let title = format!("slot {} by {}", session.slot.index, session.memory.path());
        if let Some(path) = &self.plot {
            let svg = plot::svg(&title, &points).map_err(|reason| DmaCommandError::Plot {
                path: path.clone(),
                reason,
            })?;
            files::write_file(path, svg.as_bytes(), context.deadline)?;
        }
        let report = BenchReport {
            slot: session.slot.index,
            family: session.slot.family,
            app: session.slot.app_bdf,
            way: WayReport::new(&session.memory),
            address: self.target.address,
            points,
            plot: self.plot.as_ref().map(|path| path.display().to_string()),
        };
        // The bar is gone before the text is there.
        drop(session);
        let text = format!("{title}\n{}{}", report.way.to_text(), table(&report.points));
        Ok(Answer::text(text).with("bench", report))
    }

    /// Measures one size, in the directions that were asked for.
    fn measure(
        &self,
        context: &Context<'_>,
        session: &Session,
        size: u64,
        points: &mut Vec<Point>,
    ) -> Result<(), Box<ErrorReport>> {
        let (address, deadline) = (self.target.address, context.deadline);
        let mut data = vec![0; size as usize];
        // Another seed for each size: what an earlier one left is not taken for this one's.
        Pattern::Random(size).put(address, address, &mut data);
        let memory = &session.memory;
        if self.direction != Way::Read {
            points.push(self.point("write", size, || memory.write(address, &data, deadline))?);
        }
        if self.direction != Way::Write {
            memory.write(address, &data, deadline)?;
            let mut back = vec![0; data.len()];
            points.push(self.point("read", size, || memory.read(address, &mut back, deadline))?);
            let mut verdict = Verdict::default();
            verdict.compare(address, &data, &back);
            if !verdict.is_good() {
                let slot = session.slot.index;
                return Err(DmaCommandError::Corrupted {
                    slot,
                    size,
                    address,
                    verdict,
                }
                .into());
            }
        }
        Ok(())
    }

    /// Does the same again and again for the time of a point, after a first one that is not counted:
    /// it maps and makes what is needed.
    fn point<E>(
        &self,
        direction: &'static str,
        size: u64,
        mut transfer: impl FnMut() -> Result<(), E>,
    ) -> Result<Point, E> {
        transfer()?;
        let mut times = Vec::new();
        let mut transfers = 0;
        let started = Instant::now();
        let mut last = started;
        let took = loop {
            transfer()?;
            transfers += 1;
            let now = Instant::now();
            if times.len() < MOST_SAMPLES {
                times.push(now - last);
            }
            last = now;
            if now - started >= self.duration {
                break now - started;
            }
        };
        times.sort_unstable();
        Ok(Point {
            direction,
            size,
            transfers,
            took,
            bytes_per_second: per_second(size * transfers, took).unwrap_or(0.0),
            median: percentile(&times, 50),
            p99: percentile(&times, 99),
        })
    }
}

/// A size that can be moved: not zero, and memory of this program.
fn size(text: &str) -> Result<u64, String> {
    /// More takes longer than a measurement should, and as much memory.
    const MOST: u64 = 4 << 30;
    let size = values::size(text)?;
    if size == 0 || size > MOST {
        return Err(format!(
            "'{text}' cannot be measured; wanted 1 byte to 4 GiB"
        ));
    }
    Ok(size)
}

/// The time that so many of a hundred transfers do not exceed; the times are sorted.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(at).copied().unwrap_or_default()
}

fn table(points: &[Point]) -> String {
    let rows: Vec<[String; 6]> = points
        .iter()
        .map(|point| {
            [
                point.direction.to_owned(),
                units::bytes(point.size),
                point.transfers.to_string(),
                units::rate(point.bytes_per_second),
                units::short_duration(point.median),
                units::short_duration(point.p99),
            ]
        })
        .collect();
    columns(
        ["WAY", "SIZE", "TRANSFERS", "THROUGHPUT", "MEDIAN", "99 %"],
        &rows,
    )
}

/// Milliseconds, to the nanosecond: transfers can be that short.
fn nanos_as_millis<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(duration.as_nanos() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<_> = (1..=100).map(Duration::from_micros).collect();
        assert_eq!(percentile(&times, 50), Duration::from_micros(50));
        assert_eq!(percentile(&times, 99), Duration::from_micros(99));
        assert_eq!(percentile(&times[..1], 99), Duration::from_micros(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn sizes_that_cannot_be_measured_are_refused() {
        assert_eq!(size("4K"), Ok(4096));
        for text in ["0", "5G", "x"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
