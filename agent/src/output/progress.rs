//! What is going on, while it is going on: spinners on a terminal, nothing elsewhere (the report
//! at the end has every step, and `-v` logs them as they happen).

use std::io::IsTerminal as _;
use std::time::Duration;

use afi_proto::SlotIndex;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::pipeline::{Event, Observer};

/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(100);

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
