//! What this program works with: which bus, where its state is, how long it waits.
//!
//! Each setting comes from the first of these that has it: the command line, the environment, the
//! configuration file, the default.
//!
//! | setting | environment | file | default |
//! | --- | --- | --- | --- |
//! | configuration file | `AFI_CONFIG` | | `/etc/afi/config.toml`, which may be missing |
//! | bus | `AFI_BUS` | `bus` | `sysfs` |
//! | directory of the state | `AFI_STATE_DIR` | `state_directory` | see [`default_state_directory`] |
//! | time limit of a command | `AFI_TIMEOUT` | `timeout_seconds` | 60 s |

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use afi_pcie::BusChoice;
use nix::unistd::{AccessFlags, eaccess};
use serde::{Deserialize, Deserializer};

use crate::problem::{Class, Problem, of_io};

/// The configuration file that is read unless another one is named.
pub const CONFIG_FILE: &str = "/etc/afi/config.toml";
/// Where state is kept on an installed system.
pub const STATE_DIRECTORY: &str = "/var/lib/afi";
/// How long a command may take. The public tools wait 60 s for a load (30000 looks, 2 ms apart:
/// `sdk/userspace/fpga_mgmt_tools/src/fpga_local_cmd.c`).
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time limit that makes sense, and fits every type that holds one.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What this program works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The bus that the slots are on.
    pub bus: BusChoice,
    /// Where what outlives a command is kept: resolved images.
    pub state_directory: PathBuf,
    /// How long a command may take.
    pub timeout: Duration,
}

/// What the command line and the environment say; `None` where they say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The configuration file; it has to be there.
    pub config: Option<PathBuf>,
    /// The bus.
    pub bus: Option<BusChoice>,
    /// The directory of the state.
    pub state_directory: Option<PathBuf>,
    /// The time limit.
    pub timeout: Option<Duration>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration file says what cannot be.
    #[error("{}, line {line}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
}

/// The configuration file, `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default, deserialize_with = "bus")]
    bus: Option<BusChoice>,
    state_directory: Option<PathBuf>,
    #[serde(default, deserialize_with = "seconds")]
    timeout_seconds: Option<Duration>,
}

impl Settings {
    /// Puts the settings together. `environment` looks up what only the system's own variables
    /// tell (`HOME`, `XDG_CACHE_HOME`); programs pass `std::env::var_os`.
    ///
    /// # Errors
    /// When the configuration file is wrong.
    pub fn load(
        given: Given,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        let file = match &given.config {
            Some(path) => read(path)?,
            None => read_if_there(Path::new(CONFIG_FILE))?,
        };
        Ok(Self::from_parts(given, file, environment))
    }

    /// Puts the settings together without a configuration file; see [`Self::load`].
    pub fn without_file(given: Given, environment: impl Fn(&str) -> Option<OsString>) -> Self {
        Self::from_parts(given, ConfigFile::default(), environment)
    }

    fn from_parts(
        given: Given,
        file: ConfigFile,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let state_directory = given.state_directory.or(file.state_directory);
        Self {
            bus: given.bus.or(file.bus).unwrap_or(BusChoice::Sysfs),
            state_directory: state_directory
                .unwrap_or_else(|| default_state_directory(environment)),
            timeout: given.timeout.or(file.timeout_seconds).unwrap_or(TIMEOUT),
        }
    }
}

/// [`STATE_DIRECTORY`] where this process may write there, which root and the service may; else
/// `afi` in `$XDG_CACHE_HOME`, or in `~/.cache` (XDG Base Directory Specification 0.8). Where none
/// of them is known, [`STATE_DIRECTORY`]: state that cannot be kept is a warning, not a failure.
pub fn default_state_directory(environment: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let system = Path::new(STATE_DIRECTORY);
    let place = if system.exists() {
        Some(system)
    } else {
        system.parent()
    };
    if place.is_some_and(|place| eaccess(place, AccessFlags::W_OK).is_ok()) {
        return system.to_owned();
    }
    let absolute = |name: &str| {
        environment(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map_or_else(|| system.to_owned(), |cache| cache.join("afi"))
}

/// A time limit in seconds, from 1 ms to [`LONGEST_TIMEOUT`].
pub(crate) fn timeout_from_seconds(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|limit| (Duration::from_millis(1)..=LONGEST_TIMEOUT).contains(limit))
        .ok_or_else(|| {
            format!(
                "{seconds} s is no time limit; wanted 0.001 to {} seconds",
                LONGEST_TIMEOUT.as_secs()
            )
        })
}

fn read_if_there(path: &Path) -> Result<ConfigFile, SettingsError> {
    match read(path) {
        Err(SettingsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(ConfigFile::default())
        }
        other => other,
    }
}

fn read(path: &Path) -> Result<ConfigFile, SettingsError> {
    let text = fs::read_to_string(path).map_err(|source| SettingsError::Read {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or_default();
        SettingsError::Invalid {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            message: error.message().to_owned(),
        }
    })
}

fn bus<'de, D: Deserializer<'de>>(from: D) -> Result<Option<BusChoice>, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let seconds = f64::deserialize(from)?;
    timeout_from_seconds(seconds)
        .map(Some)
        .map_err(serde::de::Error::custom)
}

impl Problem for SettingsError {
    fn class(&self) -> Class {
        match self {
            Self::Read { source, .. } => of_io(source),
            Self::Invalid { .. } => Class::Usage,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Read { .. } => {
                Some("name a file that is there with --config or AFI_CONFIG".into())
            }
            Self::Invalid { .. } => {
                Some("the settings are bus, state_directory and timeout_seconds".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(config: &str, given: Given) -> Result<Settings, SettingsError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        fs::write(&path, config).unwrap();
        let given = Given {
            config: Some(path),
            ..given
        };
        Settings::load(given, |_| None)
    }

    #[test]
    fn what_is_given_goes_before_the_file() {
        let config = "bus = 'socket:/a'\nstate_directory = '/b'\ntimeout_seconds = 2.5\n";
        let settings = load(config, Given::default()).unwrap();
        assert_eq!(settings.bus.to_string(), "socket:/a");
        assert_eq!(settings.state_directory, Path::new("/b"));
        assert_eq!(settings.timeout, Duration::from_millis(2500));
        let given = Given {
            bus: Some(BusChoice::Sysfs),
            timeout: Some(Duration::from_secs(1)),
            state_directory: Some("/c".into()),
            ..Given::default()
        };
        let settings = load(config, given).unwrap();
        assert_eq!(settings.bus, BusChoice::Sysfs);
        assert_eq!(settings.state_directory, Path::new("/c"));
        assert_eq!(settings.timeout, Duration::from_secs(1));
    }

    #[test]
    fn what_is_wrong_in_the_file_is_told_with_its_line() {
        for (config, line, words) in [
            ("bus = 'sysfs'\nbuss = 1\n", 2, "unknown field `buss`"),
            ("\n\nbus = 'pci'\n", 3, "'pci' is no bus"),
            ("timeout_seconds = 0.0\n", 1, "no time limit"),
            ("timeout_seconds = 60\nbus = 7", 2, "expected a string"),
            ("bus =\n", 1, ""),
        ] {
            let error = load(config, Given::default()).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains(&format!("config.toml, line {line}: ")),
                "{text}"
            );
            assert!(text.contains(words), "{text}");
            assert_eq!(error.class(), Class::Usage);
        }
    }

    #[test]
    fn a_named_file_has_to_be_there() {
        let given = Given {
            config: Some("/nonexistent/config.toml".into()),
            ..Given::default()
        };
        let error = Settings::load(given, |_| None).unwrap_err();
        assert_eq!(error.class(), Class::NotFound);
    }

    #[test]
    fn numbers_that_are_no_time_limit_are_refused() {
        for seconds in [0.0, -1.0, 1e-9, 1e9, f64::NAN, f64::INFINITY] {
            assert!(timeout_from_seconds(seconds).is_err(), "{seconds}");
        }
        assert_eq!(timeout_from_seconds(0.25), Ok(Duration::from_millis(250)));
    }
}
