//! `afi completions`

use std::io::{self, Write as _};

use clap::Args;
use clap_complete::Shell;

/// Write a completion script for a shell to standard output
///
/// For bash: afi completions bash > ~/.local/share/bash-completion/completions/afi
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> io::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "afi", &mut script);
        let mut out = io::stdout().lock();
        out.write_all(&script)?;
        out.flush()
    }
}
