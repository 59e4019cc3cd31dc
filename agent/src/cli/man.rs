//! `afi man`

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::Args;

/// Write the manual pages of all commands into a directory
///
/// One page for each command: afi.1, afi-load.1 and so on. The directory is made if it is not
/// there.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Man {
    pub(super) fn run(&self) -> io::Result<()> {
        let written = fs::create_dir_all(&self.directory)
            .and_then(|()| clap_mangen::generate_to(super::command(), &self.directory));
        written.map_err(|error| {
            let path = self.directory.display();
            let text = format!("cannot write manual pages into {path}: {error}");
            io::Error::new(error.kind(), text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_every_command() {
        let directory = tempfile::tempdir().unwrap();
        let man = Man {
            directory: directory.path().join("new"),
        };
        man.run().unwrap();
        for page in ["afi.1", "afi-load.1", "afi-dip-set.1"] {
            let page = fs::read_to_string(man.directory.join(page)).unwrap();
            assert!(page.starts_with(".ie"), "{page}");
        }
    }
}
