//! `afi dma write`

use std::path::PathBuf;

use clap::Args;

use super::files::Source;
use super::target::Target;
use super::{BLOCK, Context};
use crate::cli::values;
use crate::output::{Answer, ErrorReport};

/// Write a file to the memory of a slot's card
#[derive(Debug, Args)]
pub(super) struct Write {
    #[command(flatten)]
    target: Target,
    /// File to write, or '-' for standard input
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Bytes to write, such as 4K or 256M [default: all of the file]
    #[arg(long, short, value_name = "SIZE", value_parser = values::size)]
    size: Option<u64>,
}

impl Write {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<Answer, Box<ErrorReport>> {
        let mut source = Source::open(&self.file)?;
        let wanted = source.wanted(self.size)?;
        let mut session = self.target.open(context, "writing", wanted)?;
        let address = self.target.address;
        session.check(address, wanted.unwrap_or(1))?;
        let most = wanted.unwrap_or(u64::MAX);
        let mut block = vec![0; most.min(BLOCK as u64) as usize];
        let mut done = 0;
        while done < most {
            let room = (most - done).min(BLOCK as u64) as usize;
            let bytes = source.read(&mut block[..room], context.deadline)?;
            let data = &block[..bytes];
            session.time(|memory| memory.write(address + done, data, context.deadline))?;
            done += bytes as u64;
            if bytes < room {
                break;
            }
        }
        if let Some(wanted) = wanted.filter(|wanted| *wanted > done) {
            return Err(source.short(done, wanted).into());
        }
        let report = session.report("write", address, done);
        Ok(Answer::text(report.to_text("wrote")).with("dma", report))
    }
}
