//! A bus of devices that are served over vfio-user sockets in a directory.
//!
//! There is no kernel between the program and such devices, so this bus plays its part: what was
//! enumerated is kept in files beside the sockets, shared by every process that uses the directory,
//! and changes only by [`Bus::remove`] and [`Bus::rescan`], as on a real machine.

mod function;
mod layout;

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use afi_proto::Bdf;
use afi_proto::config_space::{self, Command, HEADER_SIZE};

use crate::bus::{Bus, Function, FunctionInfo, Watch};
use crate::watch::{Kind, ListingWatch};
use crate::{Backoff, BusError, Deadline};
use function::SocketFunction;
pub use layout::Layout;

/// How long [`Bus::open`] waits for a function that somebody else has open: a rescan of another
/// process takes about a millisecond.
const SHORT_USE: Duration = Duration::from_millis(250);

/// Devices served over sockets in a directory.
#[derive(Debug)]
pub struct SocketBus {
    layout: Layout,
}

impl SocketBus {
    /// Opens the bus of the instance in `directory`.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn open(directory: &Path) -> Result<Self, BusError> {
        let layout = Layout::new(directory);
        for needed in [layout.devices(), layout.host()] {
            fs::metadata(&needed).map_err(|source| BusError::NoBus {
                path: needed,
                source,
            })?;
        }
        Ok(Self { layout })
    }

    fn connect(&self, bdf: Bdf) -> Result<SocketFunction, BusError> {
        let deadline = Deadline::after(SHORT_USE);
        let mut backoff = Backoff::up_to(Duration::from_millis(2));
        loop {
            match SocketFunction::connect(bdf, &self.layout.socket(bdf)) {
                Err(BusError::InUse { .. }) if backoff.wait(&deadline).is_ok() => {}
                other => return other,
            }
        }
    }

    /// Addresses in a directory, in bus order. Names that are none are somebody else's.
    fn addresses(directory: PathBuf, suffix: &str) -> Result<Vec<Bdf>, BusError> {
        let io = |source| BusError::Io {
            what: "list",
            path: directory.clone(),
            source,
        };
        let mut addresses = Vec::new();
        for entry in fs::read_dir(&directory).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(suffix));
            addresses.extend(name.and_then(|name| name.parse::<Bdf>().ok()));
        }
        addresses.sort();
        Ok(addresses)
    }

    /// What the host enumerated of a function; `None` when it went meanwhile.
    fn recorded(&self, bdf: Bdf) -> Result<Option<FunctionInfo>, BusError> {
        let path = self.layout.record(bdf);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(BusError::io("read", path)(source)),
        };
        let Some(header) = bytes.first_chunk::<HEADER_SIZE>() else {
            let found = format!("{} bytes; wanted {HEADER_SIZE}", bytes.len());
            let source = std::io::Error::new(ErrorKind::InvalidData, found);
            return Err(BusError::io("understand", path)(source));
        };
        Ok(Some(FunctionInfo {
            bdf,
            ids: config_space::ids(header),
            driver: None,
            numa_node: None,
        }))
    }

    /// Looks at one function as firmware and kernel do, and remembers what it is. `false` when no
    /// device answers there.
    fn enumerate(&self, bdf: Bdf) -> Result<bool, BusError> {
        let function = self.connect(bdf)?;
        let mut header = [0; HEADER_SIZE];
        function.read_config(0, &mut header)?;
        if config_space::ids(&header).is_absent() {
            return Ok(false);
        }
        let function: &dyn Function = &function;
        function.enable(Command::MEMORY_SPACE)?;
        let path = self.layout.record(bdf);
        let temporary = self
            .layout
            .host()
            .join(format!(".{bdf}.{}", std::process::id()));
        let write = || {
            fs::File::create(&temporary)?.write_all(&header)?;
            fs::rename(&temporary, &path)
        };
        write().map_err(BusError::io("write", &path))?;
        Ok(true)
    }
}

impl Bus for SocketBus {
    fn name(&self) -> String {
        format!("socket:{}", self.layout.root().display())
    }

    fn functions(&self) -> Result<Vec<FunctionInfo>, BusError> {
        let known = Self::addresses(self.layout.host(), "")?;
        let infos = known.into_iter().map(|bdf| self.recorded(bdf));
        infos.filter_map(Result::transpose).collect()
    }

    fn open(&self, bdf: Bdf) -> Result<Arc<dyn Function>, BusError> {
        if self.recorded(bdf)?.is_none() {
            return Err(BusError::NotFound { bdf });
        }
        Ok(Arc::new(self.connect(bdf)?))
    }

    fn remove(&self, bdf: Bdf) -> Result<(), BusError> {
        let path = self.layout.record(bdf);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(BusError::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    fn rescan(&self, near: Bdf) -> Result<(), BusError> {
        let known = Self::addresses(self.layout.host(), "")?;
        for bdf in Self::addresses(self.layout.devices(), ".sock")? {
            if known.contains(&bdf) {
                continue;
            }
            match self.enumerate(bdf) {
                Ok(found) => tracing::debug!(%bdf, found, "scanned"),
                // Somebody else's function does not stand in the way of this one.
                Err(error) if bdf != near => tracing::debug!(%bdf, %error, "not scanned"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn watch(&self) -> Result<Box<dyn Watch>, BusError> {
        let directory = self.layout.host();
        let watch = ListingWatch::new(directory.clone(), Kind::Files);
        Ok(Box::new(watch.map_err(BusError::io("watch", directory))?))
    }

    fn lock_directory(&self) -> PathBuf {
        self.layout.locks()
    }
}
