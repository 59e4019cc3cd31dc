//! `afi udev`: what the rule of udev runs.

use std::io::{self, Write as _};
use std::time::Duration;

use afi_pcie::sysfs::SysfsBus;
use afi_pcie::{BusError, Deadline};
use afi_proto::Bdf;
use clap::Args;
use nix::unistd::Group;

use crate::lock::GROUP;
use crate::output::ErrorReport;
use crate::problem::{Class, Problem, of_io};

/// The rule, as packages install it.
const RULES: &str = include_str!("../../../packaging/udev/70-afi.rules");
/// The program in it.
const PROGRAM: &str = "/usr/bin/afi";
/// How long the kernel may take to make the files of a function: it first gives addresses to all that
/// it has found. udev itself waits three minutes.
const APPEAR: Duration = Duration::from_secs(30);

/// Let the group 'fpga' use the files of a PCI function, if it belongs to an FPGA slot
///
/// Run by udev for each function that appears; see packaging/udev/70-afi.rules.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Udev {
    /// The function
    #[arg(value_name = "BDF", required_unless_present = "print_rules")]
    function: Option<Bdf>,
    /// Write the rules that run this program to standard output
    #[arg(long, conflicts_with = "function")]
    print_rules: bool,
}

/// Why the group cannot use the function.
#[derive(Debug, thiserror::Error)]
enum GrantError {
    #[error("there is no group '{GROUP}'")]
    NoGroup,
    #[error("cannot look for the group '{GROUP}'")]
    Groups { source: io::Error },
    #[error("cannot let the group '{GROUP}' use the function {bdf}")]
    Bus { bdf: Bdf, source: BusError },
    #[error("cannot write the rules")]
    Write { source: io::Error },
}

impl Udev {
    /// Does it. The only output is that of `--print-rules`.
    pub(super) fn run(&self) -> Result<(), Box<ErrorReport>> {
        let done = match self.function {
            None => print_rules(),
            Some(bdf) => grant(bdf),
        };
        done.map_err(|error| Box::new(ErrorReport::new(&error)))
    }
}

fn grant(bdf: Bdf) -> Result<(), GrantError> {
    let group = match Group::from_name(GROUP) {
        Ok(Some(group)) => group.gid.as_raw(),
        // A system without a list of groups has this one no more than others.
        Ok(None) | Err(nix::errno::Errno::ENOENT) => return Err(GrantError::NoGroup),
        Err(errno) => {
            let source = errno.into();
            return Err(GrantError::Groups { source });
        }
    };
    let deadline = Deadline::after(APPEAR);
    let granted = SysfsBus::open().and_then(|bus| bus.grant(bdf, group, &deadline));
    let granted = granted.map_err(|source| GrantError::Bus { bdf, source })?;
    for bdf in granted {
        tracing::info!(%bdf, group = GROUP, "may be used");
    }
    Ok(())
}

fn print_rules() -> Result<(), GrantError> {
    let write = || {
        let program = std::env::current_exe()?;
        let mut out = io::stdout().lock();
        out.write_all(rules(&program.display().to_string()).as_bytes())?;
        out.flush()
    };
    write().map_err(|source| GrantError::Write { source })
}

/// The rules with another program in them.
fn rules(program: &str) -> String {
    RULES.replace(PROGRAM, program)
}

impl Problem for GrantError {
    fn class(&self) -> Class {
        match self {
            Self::NoGroup => Class::NotFound,
            Self::Groups { source } | Self::Write { source } => of_io(source),
            Self::Bus { source, .. } => source.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::NoGroup => Some(format!("make it: sudo groupadd --system {GROUP}")),
            Self::Groups { .. } | Self::Write { .. } => None,
            Self::Bus { source, .. } => source.remedy(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afi_proto::Family;

    #[test]
    fn the_rules_know_every_management_function_and_run_this_command() {
        for family in Family::ALL {
            let mgmt = family.profile().mgmt;
            let vendor = format!("ATTR{{vendor}}==\"{:#06x}\"", mgmt.vendor);
            let line = RULES.lines().find(|line| line.starts_with(&vendor));
            let line = line.unwrap_or_else(|| panic!("no rule for {family}"));
            assert!(line.contains(&format!("{:#06x}", mgmt.device)), "{line}");
        }
        let rules = rules("/opt/afi");
        let run = rules.lines().find_map(|line| line.strip_prefix("RUN+=\""));
        let words = run
            .unwrap()
            .trim_end_matches('"')
            .replace("%k", "0000:00:1d.0");
        let (program, arguments) = words.split_once(' ').unwrap();
        assert_eq!(program, "/opt/afi");
        let parsed = crate::cli::command().try_get_matches_from(
            [&["afi"], &arguments.split(' ').collect::<Vec<_>>()[..]].concat(),
        );
        assert_eq!(parsed.unwrap().subcommand_name(), Some("udev"));
    }

    #[test]
    fn the_application_function_of_every_family_has_the_number_that_the_rules_look_for() {
        for (family, mgmt) in [(Family::F1, "0000:00:1e.0"), (Family::F2, "0000:34:00.1")] {
            let mgmt: Bdf = mgmt.parse().unwrap();
            let app = family.profile().pairing.app_of(mgmt).unwrap();
            assert_eq!(app.function(), 0, "{family}");
        }
    }
}
