//! Where things are in the directory of a simulated instance.

use std::path::{Path, PathBuf};

use afi_proto::Bdf;

/// The directory of an instance whose devices are served over sockets:
///
/// ```text
/// DIR/devices/0000:00:1d.0.sock   the vfio-user socket of a function
/// DIR/host/0000:00:1d.0           what the host saw of it when it enumerated: 64 bytes of header
/// DIR/lock/                       locks on slots
/// ```
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the sockets are.
    pub fn devices(&self) -> PathBuf {
        self.root.join("devices")
    }

    /// The socket of a function.
    pub fn socket(&self, bdf: Bdf) -> PathBuf {
        self.devices().join(format!("{bdf}.sock"))
    }

    /// Where the host keeps what it enumerated.
    pub fn host(&self) -> PathBuf {
        self.root.join("host")
    }

    /// What the host enumerated of a function.
    pub fn record(&self, bdf: Bdf) -> PathBuf {
        self.host().join(bdf.to_string())
    }

    /// Where locks are.
    pub fn locks(&self) -> PathBuf {
        self.root.join("lock")
    }
}
