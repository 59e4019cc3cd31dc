//! A tool as the program that this process is: its arguments, environment and signals.

use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use afi_pcie::{BusChoice, Cancel};
use afi_proto::mailbox::ErrorCode;

use super::error::{End, Failure};
use super::{Dialect, Host, Tool};
use crate::cloud::{self, CloudOptions};
use crate::instance::Instance;
use crate::problem::{Class, Problem};
use crate::resolve::Resolver;
use crate::resolve::cache::ImageCache;
use crate::settings::{Given, Settings, SettingsError};
use crate::{cli, signals};

/// Names the tools that are spoken, `f1` or `f2`, whatever the slots are.
const TOOLS: &str = "AFI_FPGA_TOOLS";

/// The tool that this process is called as, if it is one.
pub fn called() -> Option<Tool> {
    Tool::called_as(&std::env::args_os().next()?)
}

/// Runs a tool with the arguments of this process, and gives its exit code.
pub fn main(tool: Tool) -> ExitCode {
    cli::log(0);
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let status = match run(tool, &mut out, &mut err) {
        Ok(status) => status,
        Err(error) => {
            let failure = Failure::from(error);
            super::fail(&failure, &mut out, &mut err)
        }
    };
    status.into()
}

fn run(tool: Tool, out: &mut dyn Write, err: &mut dyn Write) -> Result<u8, SetupError> {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let settings = settings()?;
    let dialect = dialect()?;
    let cancel = Cancel::default();
    let signals = |source| SetupError::Signals { source };
    signals::end_waits(&cancel).map_err(signals)?;
    let stop = signals::readable_at_signal().map_err(signals)?;
    let command = format!("{} {}", tool.name(), words.join(" "));
    let host = Host {
        open: &|| Instance::open(&settings.bus),
        resolver: &Resolver::new(
            cloud::connect(CloudOptions::default()),
            ImageCache::in_directory(&settings.state_directory),
        ),
        command: command.trim_end(),
        dialect,
        cancel: &cancel,
        stop: stop.as_fd(),
    };
    Ok(super::run(tool, &words, &host, out, err))
}

/// The settings of the environment and of the configuration file; the tools have no options for
/// them.
fn settings() -> Result<Settings, SetupError> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let bus = set("AFI_BUS").map(|text| {
        let bus = text.to_string_lossy().parse::<BusChoice>();
        bus.map_err(|source| SetupError::Variable {
            name: "AFI_BUS",
            message: source.to_string(),
        })
    });
    let given = Given {
        config: set("AFI_CONFIG").map(Into::into),
        bus: bus.transpose()?,
        state_directory: set("AFI_STATE_DIR").map(Into::into),
        timeout: None,
    };
    Ok(Settings::load(given, |name| std::env::var_os(name))?)
}

fn dialect() -> Result<Option<Dialect>, SetupError> {
    let Some(text) = std::env::var_os(TOOLS).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match text.to_str() {
        Some("f1") => Ok(Some(Dialect::F1)),
        Some("f2") => Ok(Some(Dialect::F2)),
        _ => Err(SetupError::Variable {
            name: TOOLS,
            message: format!("{text:?} names no tools; wanted 'f1' or 'f2'"),
        }),
    }
}

/// Why a tool cannot even begin.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    /// The configuration file is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A variable of the environment says what cannot be.
    #[error("{name}: {message}")]
    Variable { name: &'static str, message: String },
    /// A signal handler cannot be set.
    #[error("cannot listen to signals")]
    Signals { source: io::Error },
}

impl Problem for SetupError {
    fn class(&self) -> Class {
        match self {
            Self::Settings(error) => error.class(),
            Self::Variable { .. } => Class::Usage,
            Self::Signals { .. } => Class::Failed,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Settings(error) => error.remedy(),
            Self::Variable { name, .. } => {
                Some(format!("set {name} to what is wanted, or unset it"))
            }
            Self::Signals { .. } => None,
        }
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        Self {
            end: End::Error(ErrorCode::SOFTWARE_PROBLEM),
            report: Box::new(crate::output::ErrorReport::new(&error)),
        }
    }
}
