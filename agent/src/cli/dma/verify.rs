//! `afi dma verify`

use std::path::{Path, PathBuf};

use afi_pcie::card_memory::Verdict;
use clap::Args;

use super::error::DmaCommandError;
use super::files::Source;
use super::pattern::PatternArgs;
use super::report::VerdictReport;
use super::target::{Session, Target};
use super::{BLOCK, Context};
use crate::cli::values;
use crate::output::{Answer, ErrorReport};

/// Compare memory of a slot's card with a file or a pattern
///
/// The exit code is 7 where it differs.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["pattern", "value", "file"]))]
pub(super) struct Verify {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    pattern: PatternArgs,
    /// File to compare with, or '-' for standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Bytes to compare, such as 4K or 256M [default: all of the file]
    #[arg(long, short, value_name = "SIZE", required_unless_present = "file")]
    #[arg(value_parser = values::size)]
    size: Option<u64>,
}

impl Verify {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<Answer, Box<ErrorReport>> {
        let (session, verdict) = match &self.file {
            Some(file) => self.with_file(context, file)?,
            None => self.with_pattern(context)?,
        };
        let slot = session.slot.index;
        let report = session.report("verify", self.target.address, verdict.checked);
        let text = report.to_text("compared");
        let mut answer = Answer::default()
            .with("dma", report)
            .with("verdict", VerdictReport::from(&verdict));
        if verdict.is_good() {
            answer.text = text;
        } else {
            let differs = DmaCommandError::Differs { slot, verdict };
            answer.errors.push(ErrorReport::new(&differs));
        }
        Ok(answer)
    }

    fn with_pattern(&self, context: &Context<'_>) -> Result<(Session, Verdict), Box<ErrorReport>> {
        let (address, size) = (self.target.address, self.size.unwrap_or(0));
        let pattern = self.pattern.get()?;
        let mut session = self.target.open(context, "comparing", Some(size))?;
        session.check(address, size)?;
        let verdict = match &pattern {
            Some(pattern) => {
                session.time(|memory| memory.verify(address, size, pattern, context.deadline))?
            }
            None => Verdict::default(),
        };
        Ok((session, verdict))
    }

    fn with_file(
        &self,
        context: &Context<'_>,
        file: &Path,
    ) -> Result<(Session, Verdict), Box<ErrorReport>> {
        let mut source = Source::open(file)?;
        let wanted = source.wanted(self.size)?;
        let mut session = self.target.open(context, "comparing", wanted)?;
        let address = self.target.address;
        session.check(address, wanted.unwrap_or(1))?;
        let most = wanted.unwrap_or(u64::MAX);
        let mut block = vec![0; most.min(BLOCK as u64) as usize];
        let mut verdict = Verdict::default();
        while verdict.checked < most {
            let room = (most - verdict.checked).min(BLOCK as u64) as usize;
            let bytes = source.read(&mut block[..room], context.deadline)?;
            let (at, data) = (address + verdict.checked, &block[..bytes]);
            let part = session.time(|memory| memory.compare(at, data, context.deadline))?;
            verdict.merge(part);
            if bytes < room {
                break;
            }
        }
        if let Some(wanted) = wanted.filter(|wanted| *wanted > verdict.checked) {
            return Err(source.short(verdict.checked, wanted).into());
        }
        Ok((session, verdict))
    }
}
