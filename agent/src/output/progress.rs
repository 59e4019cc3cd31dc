//! What is going on, while it is going on: spinners and bars on a terminal. Elsewhere nothing of
//! steps (the report at the end has every step, and `-v` logs them as they happen), and of long
//! transfers a line now and then.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use afi_proto::SlotIndex;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::units;
use crate::pipeline::{Event, Observer};

/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(100);
/// How often a line tells of a transfer where nobody watches a bar.
const TELL: Duration = Duration::from_secs(10);

/// Shows the progress of operations on slots, each on a line of its own, on standard error.
#[derive(Debug)]
pub struct Progress {
    lines: Option<MultiProgress>,
}

/// The line of one slot. It goes when the operation is over.
#[derive(Debug)]
pub struct Line(Option<ProgressBar>);

impl Progress {
    /// Shown only where somebody watches: standard error is a terminal, and no log is written to
    /// it at the same time.
    pub fn new(verbose: bool) -> Self {
        let shown = !verbose && std::io::stderr().is_terminal();
        Self {
            lines: shown.then(MultiProgress::new),
        }
    }

    /// The line of a slot.
    pub fn line(&self, slot: SlotIndex) -> Line {
        Line(self.lines.as_ref().map(|lines| {
            let style = ProgressStyle::with_template("{spinner} {prefix}: {msg} {elapsed}")
                .expect("the template is well formed");
            let line = lines.add(ProgressBar::new_spinner().with_style(style));
            line.set_prefix(format!("slot {slot}"));
            line.enable_steady_tick(TICK);
            line
        }))
    }
}

/// How far a transfer is. The bar goes when this is dropped.
#[derive(Debug)]
pub struct Bytes {
    what: String,
    total: Option<u64>,
    moved: AtomicU64,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    /// When the next line is due.
    Lines(Mutex<Instant>),
}

impl Progress {
    /// How far a transfer is: `what` says of which slot and in which direction, `total` is its
    /// bytes where they are known.
    pub fn bytes(&self, what: String, total: Option<u64>) -> Bytes {
        const KNOWN: &str =
            "{prefix} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
        const UNKNOWN: &str = "{spinner} {prefix} {bytes} {binary_bytes_per_sec} {elapsed}";
        let shown = match &self.lines {
            None => Shown::Lines(Mutex::new(Instant::now() + TELL)),
            Some(lines) => {
                let (bar, template) = match total {
                    Some(total) => (ProgressBar::new(total), KNOWN),
                    None => (ProgressBar::new_spinner(), UNKNOWN),
                };
                let style = ProgressStyle::with_template(template)
                    .expect("the template is well formed")
                    .progress_chars("=> ");
                let bar = lines.add(bar.with_style(style));
                bar.set_prefix(what.clone());
                bar.enable_steady_tick(TICK);
                Shown::Bar(bar)
            }
        };
        Bytes {
            what,
            total,
            moved: AtomicU64::new(0),
            shown,
        }
    }
}

impl Bytes {
    /// So many bytes more were moved.
    pub fn add(&self, bytes: u64) {
        let moved = self.moved.fetch_add(bytes, Ordering::Relaxed) + bytes;
        match &self.shown {
            Shown::Bar(bar) => bar.set_position(moved),
            Shown::Lines(due) => {
                let mut due = due.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                if now >= *due {
                    *due = now + TELL;
                    eprintln!("{}", self.line(moved));
                }
            }
        }
    }

    fn line(&self, moved: u64) -> String {
        let (what, moved) = (&self.what, units::about(moved));
        match self.total {
            Some(total) => format!("{what}: {moved} of {}", units::about(total)),
            None => format!("{what}: {moved}"),
        }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Line {
    fn event(&mut self, _: SlotIndex, event: Event<'_>) {
        let Some(line) = &self.0 else { return };
        match event {
            Event::Begin(step) => line.set_message(step.name()),
            Event::Retry(attempt) => line.set_message(super::report::attempt(attempt)),
            Event::End(..) => {}
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(line) = &self.0 {
            line.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_a_transfer_is() {
        let progress = Progress { lines: None };
        let bytes = progress.bytes("slot 0: writing".to_owned(), Some(4 << 30));
        bytes.add(1 << 30);
        bytes.add(1 << 29);
        let moved = bytes.moved.load(Ordering::Relaxed);
        assert_eq!(bytes.line(moved), "slot 0: writing: 1.5 GiB of 4 GiB");
        let endless = progress.bytes("slot 1: reading".to_owned(), None);
        assert_eq!(endless.line(10), "slot 1: reading: 10 B");
    }
}
