//! A simulated instance that stays up for a test.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::process::{Output, finish, program, run};

/// How long an instance may take to come up or go down.
const PATIENCE: Duration = Duration::from_secs(20);
/// The last variable that `afi-sim serve` prints.
const LAST: &str = "NO_PROXY";

/// What the instance of a test is like.
#[derive(Debug, Clone)]
pub struct SimBuilder(Vec<String>);

/// `afi-sim serve` in a directory of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Sim {
    child: Child,
    environment: BTreeMap<String, String>,
    directory: TempDir,
}

impl SimBuilder {
    /// Another fault, written as for `--fault`.
    #[must_use]
    pub fn fault(self, fault: &str) -> Self {
        self.args(&["--fault", fault])
    }

    /// So many slots.
    #[must_use]
    pub fn slots(self, slots: u8) -> Self {
        self.args(&["--slots", &slots.to_string()])
    }

    /// Loads take this time.
    #[must_use]
    pub fn load_time(self, milliseconds: u64) -> Self {
        self.args(&["--load-time", &milliseconds.to_string()])
    }

    /// More arguments of `afi-sim serve`.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.0.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it does not come up.
    #[track_caller]
    pub fn start(self) -> Sim {
        Sim::start(&self.0)
    }
}

impl Sim {
    /// An F1 instance with one slot, unless the builder says otherwise.
    pub fn f1() -> SimBuilder {
        SimBuilder(vec!["--family".to_owned(), "f1".to_owned()])
    }

    /// An F2 instance.
    pub fn f2() -> SimBuilder {
        SimBuilder(vec!["--family".to_owned(), "f2".to_owned()])
    }

    #[track_caller]
    fn start(args: &[String]) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the instance");
        let log = directory.path().join("log");
        let log_file = File::create(&log).expect("a file for what the instance says");
        let mut child = Command::new(program("afi-sim"))
            .arg("serve")
            .arg("--dir")
            .arg(directory.path())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .expect("afi-sim can be run");
        let out = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let mut environment = BTreeMap::new();
        let end = Instant::now() + PATIENCE;
        while !environment.contains_key(LAST) {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = lines.recv_timeout(left) else {
                let _ = child.kill();
                let said = fs::read_to_string(&log).unwrap_or_default();
                panic!(
                    "afi-sim {args:?} did not come up: {:?}: {said}",
                    child.wait()
                );
            };
            if let Some((name, value)) =
                line.strip_prefix("export ").and_then(|l| l.split_once('='))
            {
                environment.insert(name.to_owned(), value.trim_matches('\'').to_owned());
            }
        }
        Self {
            child,
            environment,
            directory,
        }
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A program of this workspace, with the instance's environment.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.envs(&self.environment);
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AFI_LOG", "AFI_CONFIG"] {
            command.env_remove(name);
        }
        command
    }

    /// A variable of its environment.
    ///
    /// # Panics
    /// When it has no such variable.
    pub fn variable(&self, name: &str) -> &str {
        &self.environment[name]
    }

    /// Runs `afi` with these words.
    ///
    /// # Panics
    /// When it takes longer than a minute.
    #[track_caller]
    pub fn afi(&self, words: &str) -> Output {
        run(self.command("afi").args(words.split_whitespace()))
    }

    /// Starts `afi` with these words; end it with [`Sim::finish`].
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn start_afi(&self, words: &str) -> Child {
        let mut command = self.command("afi");
        command
            .args(words.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("afi can be run")
    }

    /// Waits for what [`Sim::start_afi`] started.
    ///
    /// # Panics
    /// When it takes longer than a minute.
    #[track_caller]
    pub fn finish(child: Child) -> Output {
        finish(child, Instant::now())
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id() as i32);
        let _ = kill(pid, Signal::SIGTERM);
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}
