//! `afi dma read`

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::PathBuf;

use clap::Args;

use super::error::DmaCommandError;
use super::files::{Sink, is_standard};
use super::report::hex;
use super::target::{Session, Target};
use super::{BLOCK, Context};
use crate::cli::values;
use crate::output::{Answer, ErrorReport};

/// The most bytes that are shown.
const MOST_SHOWN: u64 = 64 << 10;
/// Bytes of a line of them.
const LINE: usize = 16;

/// Read the memory of a slot's card into a file, or show it
///
/// A file appears under its name when it is complete. With '-' the bytes go to standard output, and
/// the report to standard error.
#[derive(Debug, Args)]
pub(super) struct Read {
    #[command(flatten)]
    target: Target,
    /// File to write, or '-' for standard output [default: show the bytes in hexadecimal]
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Bytes to read, such as 4K or 256M
    #[arg(long, short, value_name = "SIZE", value_parser = values::size)]
    size: u64,
}

impl Read {
    pub(super) fn run(&self, context: &Context<'_>) -> Result<Answer, Box<ErrorReport>> {
        let Some(file) = &self.file else {
            return self.show(context);
        };
        let aside = is_standard(file);
        let result = self.read(context, Sink::create(file)?);
        let mut answer = match result {
            Ok(answer) => answer,
            // Bytes may be out already, so nothing else may follow them there.
            Err(error) if aside => Answer {
                errors: vec![*error],
                ..Answer::default()
            },
            Err(error) => return Err(error),
        };
        answer.aside = aside;
        Ok(answer)
    }

    fn read(&self, context: &Context<'_>, mut sink: Sink) -> Result<Answer, Box<ErrorReport>> {
        let mut session = self.open(context)?;
        let address = self.target.address;
        let mut block = vec![0; self.size.min(BLOCK as u64) as usize];
        let mut done = 0;
        let mut all_ones = true;
        while done < self.size {
            let bytes = (self.size - done).min(BLOCK as u64) as usize;
            let part = &mut block[..bytes];
            session.time(|memory| memory.read(address + done, part, context.deadline))?;
            all_ones = all_ones && is_all_ones(part);
            match sink.write(part, context.deadline) {
                // A reader that has seen enough is no failure.
                Err(DmaCommandError::File { source, .. })
                    if source.kind() == ErrorKind::BrokenPipe =>
                {
                    done += bytes as u64;
                    break;
                }
                other => other?,
            }
            done += bytes as u64;
        }
        sink.finish()?;
        let report = session.report("read", address, done);
        let mut answer = Answer::text(report.to_text("read")).with("dma", report);
        answer.hints.extend((all_ones && done > 0).then(no_answer));
        Ok(answer)
    }

    fn show(&self, context: &Context<'_>) -> Result<Answer, Box<ErrorReport>> {
        let (size, most) = (self.size, MOST_SHOWN);
        if size > most {
            return Err(DmaCommandError::TooManyToShow { size, most }.into());
        }
        let mut session = self.open(context)?;
        let address = self.target.address;
        let mut data = vec![0; size as usize];
        session.time(|memory| memory.read(address, &mut data, context.deadline))?;
        let report = session.report("read", address, size);
        let mut answer = Answer::text(lines(address, &data))
            .with("dma", report)
            .with("hex", hex(&data));
        answer
            .hints
            .extend((is_all_ones(&data) && size > 0).then(no_answer));
        Ok(answer)
    }

    fn open(&self, context: &Context<'_>) -> Result<Session, Box<ErrorReport>> {
        let session = self.target.open(context, "reading", Some(self.size))?;
        session.check(self.target.address, self.size)?;
        Ok(session)
    }
}

fn is_all_ones(data: &[u8]) -> bool {
    data.iter().all(|byte| *byte == 0xFF)
}

/// What all ones can mean.
fn no_answer() -> String {
    "all that was read is ones: memory can hold that, but so does what a design does not answer"
        .to_owned()
}

/// Bytes in lines of sixteen: address, digits, characters.
fn lines(address: u64, data: &[u8]) -> String {
    let mut text = String::new();
    for (line, at) in data.chunks(LINE).zip((address..).step_by(LINE)) {
        let halves: Vec<String> = line.chunks(LINE / 2).map(spaced).collect();
        let shown: String = line.iter().copied().map(printable).collect();
        // Two digits and a space for each byte, and one more between the halves.
        let width = 3 * LINE;
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{at:#012x}  {:width$}  |{shown}|", halves.join("  "));
    }
    text
}

fn spaced(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

fn printable(byte: u8) -> char {
    match byte {
        b' '..=b'~' => char::from(byte),
        _ => '.',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_lines_that_line_up() {
        let mut data = b"Hello, card memory".to_vec();
        data.push(0x80);
        assert_eq!(
            lines(0x4_0000_0000, &data),
            "0x0400000000  48 65 6c 6c 6f 2c 20 63  61 72 64 20 6d 65 6d 6f  |Hello, card memo|\n\
             0x0400000010  72 79 80                                          |ry.|\n"
        );
    }
}
