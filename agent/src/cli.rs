//! The `afi` command line: one file for each command.

mod answers;
mod bind;
mod capture;
mod clear;
mod completions;
mod describe;
mod dip;
mod dma;
mod drivers;
mod environment;
mod image;
mod led;
mod list;
mod load;
mod man;
mod peek;
mod poke;
mod registers;
mod udev;
mod unbind;
pub(crate) mod values;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use afi_pcie::BusChoice;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::output::{self, Answer, ErrorReport, Format};
use crate::problem::{Class, Problem};
use crate::settings::Given;
use environment::Environment;

/// Load, clear and inspect the FPGA slots of a cloud instance
///
/// A slot is named by its number, by the PCI address of either of its functions, or by 'all'. An
/// image is named by its AGFI id, its AFI id, its name, or a tag. Everything works the same on an
/// FPGA instance and on a simulated one ('afi-sim').
#[derive(Debug, Parser)]
#[command(name = "afi", version, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true)]
#[command(disable_help_subcommand = true, infer_long_args = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Where the slots are: 'sysfs' for this machine, 'socket:DIR' for a simulated instance,
    /// 'capture:FILE' for what 'afi capture' wrote [default: sysfs]
    #[arg(
        long,
        global = true,
        value_name = "BUS",
        env = "AFI_BUS",
        hide_env_values = true
    )]
    bus: Option<BusChoice>,
    /// How results are written
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value_t
    )]
    output_format: Format,
    /// Time limit of the command, such as 30, 0.5, 500ms or 2min; without a unit in seconds
    /// [default: 60]
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        env = "AFI_TIMEOUT",
        hide_env_values = true
    )]
    #[arg(value_parser = values::time_limit)]
    timeout: Option<Duration>,
    /// Directory for what outlives a command, such as resolved images
    /// [default: /var/lib/afi, or ~/.cache/afi where that cannot be written]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "AFI_STATE_DIR",
        hide_env_values = true
    )]
    state_dir: Option<PathBuf>,
    /// Configuration file [default: /etc/afi/config.toml, if it is there]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "AFI_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// Log what is done to standard error; twice for more, three times for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

// A command is described where it is defined: a comment here would take the place of all of it.
#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Describe(describe::Describe),
    Load(load::Load),
    Clear(clear::Clear),
    Led(led::Led),
    Dip(dip::Dip),
    Dma(dma::Dma),
    Peek(peek::Peek),
    Poke(poke::Poke),
    Bind(bind::Bind),
    Unbind(unbind::Unbind),
    Image(image::Image),
    Capture(capture::Capture),
    Completions(completions::Completions),
    Man(man::Man),
    #[command(hide = true)]
    Udev(udev::Udev),
}

/// Runs the command line of this process, and gives its exit code.
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    log(cli.global.verbose);
    run(cli)
}

/// The definition of the command line: for help, completions and manual pages.
pub fn command() -> clap::Command {
    Cli::command().after_long_help(after_help())
}

fn run(cli: Cli) -> ExitCode {
    let Cli { global, command } = cli;
    let format = global.output_format;
    // These two need no instance, and write what is no document.
    match command {
        Command::Completions(ref command) => return finish_plain(command.run()),
        Command::Man(ref command) => return finish_plain(command.run()),
        Command::Udev(ref command) => {
            return match command.run() {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => finish(format, None, Err(error)),
            };
        }
        _ => {}
    }
    let given = Given {
        config: global.config,
        bus: global.bus,
        state_directory: global.state_dir,
        timeout: global.timeout,
    };
    let mut bus = None;
    let verbose = global.verbose > 0;
    let environment = match command {
        Command::Capture(_) => Environment::for_report(given, verbose),
        _ => Environment::new(given, verbose),
    };
    let result = environment.and_then(|environment| {
        // No slot is looked at for a tarball.
        if !matches!(command, Command::Image(_)) {
            bus = Some(environment.settings.bus.to_string());
        }
        dispatch(&command, &environment, format)
    });
    finish(format, bus.as_deref(), result)
}

fn dispatch(
    command: &Command,
    environment: &Environment,
    format: Format,
) -> Result<Answer, Box<ErrorReport>> {
    match command {
        Command::List(command) => command.run(environment),
        Command::Describe(command) => command.run(environment),
        Command::Load(command) => command.run(environment),
        Command::Clear(command) => command.run(environment),
        Command::Led(command) => command.run(environment),
        Command::Dip(command) => command.run(environment),
        Command::Dma(command) => command.run(environment),
        Command::Peek(command) => command.run(environment),
        Command::Poke(command) => command.run(environment),
        Command::Bind(command) => command.run(environment),
        Command::Unbind(command) => command.run(environment),
        Command::Image(command) => command.run(environment),
        Command::Capture(command) => command.run(environment, format),
        Command::Completions(_) | Command::Man(_) | Command::Udev(_) => Ok(Answer::default()),
    }
}

/// Writes the result of a command, and gives the exit code.
fn finish(format: Format, bus: Option<&str>, result: Result<Answer, Box<ErrorReport>>) -> ExitCode {
    let answer = result.unwrap_or_else(|error| Answer {
        errors: vec![*error],
        ..Answer::default()
    });
    let mut out: Box<dyn io::Write> = match answer.aside {
        false => Box::new(io::stdout().lock()),
        true => Box::new(io::stderr()),
    };
    let written = output::write(format, bus, &answer, &mut out, &mut io::stderr());
    let code = answer.worst().map_or(0, |error| error.exit_code);
    match written {
        Ok(()) => code.into(),
        // A reader that has seen enough, such as `head`, is no failure of the command.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code.into(),
        Err(error) => {
            eprintln!("error: cannot write the result: {error}");
            code.max(Class::Failed.exit_code()).into()
        }
    }
}

fn finish_plain(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            crate::problem::of_io(&error).exit_code().into()
        }
    }
}

/// Help, a version, or a mistake in the arguments. A program that asked for JSON gets the mistake
/// as such.
fn usage(error: &clap::Error) -> ExitCode {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if !asked && wants_json(std::env::args()) {
        let report = Box::new(ErrorReport::new(&UsageError::from(error)));
        return finish(Format::Json, None, Err(report));
    }
    // Where it cannot be written there is nobody to tell.
    let _ = error.print();
    if asked {
        ExitCode::SUCCESS
    } else {
        Class::Usage.exit_code().into()
    }
}

/// Whether the arguments, which do not parse, ask for JSON.
fn wants_json(arguments: impl Iterator<Item = String>) -> bool {
    const OPTION: &str = "--output-format";
    let mut after_option = false;
    for argument in arguments {
        if argument == "--" {
            return false;
        }
        let value = argument.strip_prefix(OPTION);
        if value == Some("=json") || (after_option && argument == "json") {
            return true;
        }
        after_option = value == Some("");
    }
    false
}

/// A mistake in the arguments.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct UsageError {
    message: String,
}

impl From<&clap::Error> for UsageError {
    /// The first paragraph, in one line; usage and tips follow it.
    fn from(error: &clap::Error) -> Self {
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let lines = text.lines().take_while(|line| !line.is_empty());
        let message = lines.map(str::trim).collect::<Vec<_>>().join(" ");
        Self { message }
    }
}

impl Problem for UsageError {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn remedy(&self) -> Option<String> {
        Some("'afi --help' and 'afi COMMAND --help' show what is possible".to_owned())
    }
}

/// Logs to standard error. `AFI_LOG` refines what `-v` asks for, such as `afi_pcie=trace`.
pub(crate) fn log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "warn,afi_agent=info,afi_pcie=info",
        2 => "info,afi_agent=debug,afi_pcie=debug",
        _ => "debug,afi_agent=trace,afi_pcie=trace",
    };
    let refined = std::env::var("AFI_LOG").unwrap_or_default();
    let filter = match refined.as_str() {
        "" => EnvFilter::new(level),
        more => EnvFilter::new(format!("{level},{more}")),
    };
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours);
    // Only a second one in the same process can be refused; then the first goes on.
    let _ = log.try_init();
}

fn after_help() -> String {
    let codes: Vec<String> = [(0, "done".to_owned())]
        .into_iter()
        .chain(Class::ALL.map(|class| (class.exit_code(), class.meaning().to_owned())))
        .map(|(code, meaning)| format!("  {code:>3}  {meaning}"))
        .collect();
    format!(
        "Exit codes:\n{}\n\nWith several slots the highest code is given.\n\n\
         Examples:\n  afi list\n  afi load 0 cl_hello_world\n  \
         afi peek 0 0x500\n  afi describe all --metrics --output-format json\n  afi clear all",
        codes.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_exit_code_is_in_the_help() {
        let help = command().render_long_help().to_string();
        for class in Class::ALL {
            let line = format!("{:>3}  {}", class.exit_code(), class.meaning());
            assert!(help.contains(&line), "{help}");
        }
    }

    #[test]
    fn a_mistake_is_told_in_the_form_that_was_asked_for() {
        let json = |line: &str| wants_json(line.split(' ').map(str::to_owned));
        assert!(json("afi --output-format json lost"));
        assert!(json("afi lost --output-format=json"));
        assert!(!json("afi lost --output-format text json"));
        assert!(!json("afi load 0 -- --output-format=json"));
        let error = command().try_get_matches_from(["afi", "load", "0", "afi-1"]);
        let report = ErrorReport::new(&UsageError::from(&error.unwrap_err()));
        assert_eq!(report.exit_code, 2);
        assert!(
            report.message.contains("'afi-1' is not an AFI id"),
            "{}",
            report.message
        );
        assert!(!report.message.contains('\n'));
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        for arguments in [
            "afi load 0 x --refresh --offline",
            "afi load 0 x --prefetch --force-shell-reload",
            "afi load 0 x --retain-dram --force-shell-reload",
            "afi load 0 x --prefetch --retain-dram",
            "afi load 0 x --dry-run --no-wait",
        ] {
            let error = command()
                .try_get_matches_from(arguments.split(' '))
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{arguments}");
        }
    }
}
