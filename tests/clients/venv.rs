//! The virtual environment that the clients live in.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is installed. Pinned, so that a check that fails tells of a change here.
const PACKAGES: [&str; 2] = ["boto3==1.44.5", "awscli==1.46.2"];

/// A virtual environment with the clients.
#[derive(Debug)]
pub(crate) struct Venv(PathBuf);

impl Venv {
    /// The environment of an earlier run, or a new one. Says why there is none.
    pub(crate) fn make() -> Result<Self, String> {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(base).map_err(|error| format!("{}: {error}", base.display()))?;
        // Two runs at a time must not make it both.
        let lock = base.join("clients.lock");
        let lock_file = File::create(&lock).map_err(|error| error.to_string())?;
        lock_file.lock().map_err(|error| error.to_string())?;

        let venv = Self(base.join("clients-venv"));
        let done = venv.0.join("packages");
        let wanted = PACKAGES.join("\n");
        if fs::read_to_string(&done).is_ok_and(|made| made == wanted) {
            return Ok(venv);
        }
        if venv.0.exists() {
            fs::remove_dir_all(&venv.0).map_err(|error| error.to_string())?;
        }
        println!("making {} with {}", venv.0.display(), PACKAGES.join(" "));
        let mut python = Command::new("python3");
        run(python.args(["-m", "venv"]).arg(&venv.0))?;
        let mut pip = Command::new(venv.python());
        run(pip
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(PACKAGES))?;
        fs::write(&done, wanted).map_err(|error| error.to_string())?;
        Ok(venv)
    }

    /// The interpreter in it.
    pub(crate) fn python(&self) -> PathBuf {
        self.program("python3")
    }

    /// A program in it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.0.join("bin").join(name)
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().last().unwrap_or("it said nothing");
    Err(format!("{name} failed ({}): {last}", output.status))
}
