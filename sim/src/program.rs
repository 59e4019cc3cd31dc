//! The program `afi-sim`: starts an instance, and a command in it.

mod demo;
mod environment;
mod run;
mod serve;
mod start;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use afi_proto::Family;
use clap::{Args, Parser, Subcommand};

use crate::cloud::CloudTimes;
use crate::custom_logic::ModelRegistry;
use crate::device::MAX_SLOTS;
use crate::fault::{Fault, Kind, ValueKind};

/// A simulated FPGA instance: PCI devices on sockets, cloud endpoints on loopback.
#[derive(Debug, Parser)]
#[command(name = "afi-sim", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start an instance, run a command in it, and end with the command's status.
    ///
    /// The command finds the instance through its environment: AFI_BUS, AFI_STATE_DIR, the endpoint
    /// variables of the AWS clients, a region and made-up credentials.
    #[command(after_help = "Example: afi-sim run --slots 8 -- afi list")]
    Run {
        #[command(flatten)]
        instance: InstanceArgs,
        /// The command, with its arguments.
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Start an instance and keep it up; its environment is printed as `export` lines.
    ///
    /// The lines come once the instance is ready. It ends at Ctrl-C or SIGTERM.
    #[command(
        after_help = "Example: afi-sim serve --dir /tmp/f1 > /tmp/f1.env &\n         . /tmp/f1.env; afi list"
    )]
    Serve {
        #[command(flatten)]
        instance: InstanceArgs,
        /// Where its sockets and state go; made when it is not there.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
    /// Show the main job on a new instance: find, load, verify, use and clear a slot.
    Demo {
        #[command(flatten)]
        instance: InstanceArgs,
    },
    /// List the faults that --fault knows.
    Faults,
    /// Print the images that exist without --catalog, as a file to start from.
    Catalog,
}

/// What the instance is like.
#[derive(Debug, Args)]
struct InstanceArgs {
    /// Instance family.
    #[arg(long, value_name = "FAMILY", default_value = "f1", value_parser = family)]
    family: Family,
    /// Number of FPGA slots.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_SLOTS)))]
    slots: u8,
    /// The images that exist (TOML; `afi-sim catalog` prints an example).
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Region of the instance.
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    region: String,
    /// Time that a load takes, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = default_load_time())]
    load_time: u64,
    /// Time that the creation of an FPGA image takes, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = milliseconds(CloudTimes::default().create))]
    create_time: u64,
    /// Time that a copy of an FPGA image takes, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = milliseconds(CloudTimes::default().copy))]
    copy_time: u64,
    /// Time that a machine image takes, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = milliseconds(CloudTimes::default().machine_image))]
    ami_time: u64,
    /// Refuse API requests whose signature is not that of the access key (docs/cloud.md has the keys).
    #[arg(long)]
    require_signatures: bool,
    /// Seed of all chance.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Something that goes wrong; may be repeated. `afi-sim faults` lists them.
    #[arg(long = "fault", value_name = "NAME[=VALUE][@PROBABILITY][:SLOT]")]
    faults: Vec<Fault>,
}

fn family(text: &str) -> Result<Family, String> {
    text.parse()
        .map_err(|error: afi_proto::family::ParseFamilyError| error.to_string())
}

fn default_load_time() -> u64 {
    milliseconds(crate::device::Timing::default().load)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl InstanceArgs {
    const fn load_time(&self) -> Duration {
        Duration::from_millis(self.load_time)
    }

    const fn cloud_times(&self) -> CloudTimes {
        CloudTimes {
            create: Duration::from_millis(self.create_time),
            copy: Duration::from_millis(self.copy_time),
            machine_image: Duration::from_millis(self.ami_time),
        }
    }
}

/// Parses the command line and does what it says, with the builtin designs.
pub fn main() -> ExitCode {
    main_with(ModelRegistry::builtin())
}

/// The same with other designs: the `main` of an `afi-sim` that knows yours.
pub fn main_with(models: ModelRegistry) -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run { instance, command } => run::run(&instance, models, &command),
        Command::Serve { instance, dir } => serve::serve(&instance, models, &dir),
        Command::Demo { instance } => demo::demo(&instance, models),
        Command::Faults => {
            print!("{}", faults());
            Ok(ExitCode::SUCCESS)
        }
        Command::Catalog => {
            print!("{}", crate::catalog::DEFAULT);
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// The table of faults.
fn faults() -> String {
    let rows: Vec<(String, &str)> = Kind::ALL
        .iter()
        .map(|(_, name, value, meaning)| {
            let value = match value {
                ValueKind::None => "",
                ValueKind::OptionalCount => "[=N]",
                ValueKind::Count => "=N",
                ValueKind::Error => "=ERROR",
                ValueKind::Milliseconds => "=MS",
                ValueKind::Failure => "=CODE",
            };
            (format!("{name}{value}"), *meaning)
        })
        .collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, meaning) in rows {
        text.push_str(&format!("{name:width$}  {meaning}\n"));
    }
    text.push_str(
        "\nWritten NAME[=VALUE][@PROBABILITY][:SLOT]. With [=N] it happens N times, without it always.\n\
         ERROR is a name or number that the shell reports, such as afi-power-violation or -110.\n\
         CODE is one with which the creation of an image fails, such as DCP_CORRUPT.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_fault_in_the_table_can_be_written() {
        for (_, name, value, _) in Kind::ALL {
            let text = match value {
                ValueKind::None | ValueKind::OptionalCount => (*name).to_owned(),
                ValueKind::Count | ValueKind::Milliseconds => format!("{name}=1"),
                ValueKind::Error => format!("{name}=-110"),
                ValueKind::Failure => format!("{name}=DCP_CORRUPT"),
            };
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
            assert!(faults().contains(name));
        }
    }
}
