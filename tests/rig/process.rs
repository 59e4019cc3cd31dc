//! Programs of this workspace, run to their end within a time.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long any program may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program did.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Output {
    /// Standard output, of a program that has to succeed.
    ///
    /// # Panics
    /// When it failed; the message has all that it said.
    #[track_caller]
    pub fn success(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        &self.stdout
    }

    /// Standard error, of a program that has to fail with this code.
    ///
    /// # Panics
    /// When it ended in another way.
    #[track_caller]
    pub fn failure(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:#?}");
        &self.stderr
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let parsed = serde_json::from_str(&self.stdout);
        parsed.unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// The path of a program of this workspace, beside the running test.
///
/// # Panics
/// When it was not built: `cargo test --workspace` builds it, a test run alone does not.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let mut directory = test.parent().expect("a test is in a directory");
    if directory.ends_with("deps") {
        directory = directory.parent().expect("deps is in a directory");
    }
    let path = directory.join(name);
    assert!(
        path.exists(),
        "{} is not there; build it first: cargo build --bins",
        path.display()
    );
    path
}

/// Runs a command to its end, within a minute.
///
/// # Panics
/// When it cannot be run, or takes longer.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    let began = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    finish(child, began)
}

/// Waits for a child whose output is piped.
///
/// # Panics
/// When it takes longer than a minute.
#[track_caller]
pub(crate) fn finish(mut child: Child, began: Instant) -> Output {
    let drain = |pipe: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut pipe) = pipe {
                pipe.read_to_end(&mut text).expect("a pipe of a child");
            }
            String::from_utf8(text).expect("output is UTF-8")
        })
    };
    let stdout = drain(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = drain(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if began.elapsed() > PATIENCE {
            child.kill().expect("a child that runs can be killed");
            child.wait().expect("a child");
            panic!(
                "not done after {PATIENCE:?}: {}",
                stderr.join().expect("stderr")
            );
        }
        thread::sleep(Duration::from_micros(500));
    };
    let took = began.elapsed();
    Output {
        code: status.code(),
        stdout: stdout.join().expect("stdout"),
        stderr: stderr.join().expect("stderr"),
        took,
    }
}
