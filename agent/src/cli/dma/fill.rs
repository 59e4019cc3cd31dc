//! `afi dma fill`

use clap::Args;

use super::Context;
use super::pattern::PatternArgs;
use super::target::Target;
use crate::cli::values;
use crate::output::{Answer, ErrorReport};

/// Fill memory of a slot's card with a pattern
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["pattern", "value"]))]
pub(super) struct Fill {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    pattern: PatternArgs,
    /// Bytes to fill, such as 4K or 256M
    #[arg(long, short, value_name = "SIZE", value_parser = values::size)]
    size: u64,
}

impl Fill {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<Answer, Box<ErrorReport>> {
        let (address, size) = (self.target.address, self.size);
        let pattern = self.pattern.get()?;
        let mut session = self.target.open(context, "filling", Some(size))?;
        session.check(address, size)?;
        let mut what = String::new();
        if let Some(pattern) = &pattern {
            what = pattern.to_string();
            session.time(|memory| memory.fill(address, size, pattern, context.deadline))?;
        }
        let report = session.report("fill", address, size);
        let text =
            report.to_text("filled") + &crate::output::table::pairs([("with", what.clone())]);
        Ok(Answer::text(text).with("dma", report).with("pattern", what))
    }
}
