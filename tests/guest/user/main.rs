//! A program that drives an FPGA from user space, for the guest: it uses the library as a host
//! program does, and says what it saw, one fact to a line.
//!
//!   afi-guest-user WHAT BDF
//!
//! Ends with 1 and the chain of errors when something does not work.

mod dma;
mod facts;
mod interrupts;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use afi_pcie::{BusChoice, Function, bus};
use afi_proto::Bdf;

/// What goes wrong ends the program.
type Outcome = Result<(), Box<dyn Error>>;

/// What can be done with a function, by its name.
type Command = (&'static str, fn(&Arc<dyn Function>) -> Outcome);

const COMMANDS: [Command; 9] = [
    ("look", facts::look),
    ("bars", facts::bars),
    ("reset", facts::reset),
    ("hold", hold),
    ("map", dma::map),
    ("user-interrupts", interrupts::users),
    ("transfer-polled", dma::transfer_polled),
    ("transfer-interrupts", dma::transfer_by_interrupts),
    ("outside", dma::outside),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, bdf] = &arguments[..] else {
        eprintln!("usage: afi-guest-user WHAT BDF");
        return ExitCode::from(2);
    };
    match run(what, bdf) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut next: Option<&dyn Error> = Some(&*error);
            while let Some(error) = next {
                eprintln!("{error}");
                next = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(what: &str, bdf: &str) -> Outcome {
    let command = COMMANDS.iter().find(|(name, _)| *name == what);
    let (_, command) = command.ok_or_else(|| format!("'{what}' is unknown"))?;
    let bus = bus::open(&BusChoice::Sysfs)?;
    command(&bus.open(bdf.parse::<Bdf>()?)?)
}

/// Keeps the function open until the process is ended.
fn hold(function: &Arc<dyn Function>) -> Outcome {
    // Only what takes VFIO opens the group.
    let _event = function.msix(0)?;
    eprintln!("held");
    loop {
        std::thread::park_timeout(Duration::from_secs(60));
    }
}
