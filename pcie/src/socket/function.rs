//! A PCI function behind a vfio-user socket.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use afi_proto::vfio_user::region;
use afi_proto::{BarIndex, Bdf, config_space};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::bar::Region;
use crate::bus::{Caching, DmaMapping, DmaRequest, Function, reset_and_restore};
use crate::mapping::Mapping;
use crate::vfio_user::{Client, ClientError, ConnectionError};
use crate::{Bar, BarError, BusError};

/// The alignment of DMA mappings: a page.
const PAGE: u64 = 4096;

/// A function of a [`SocketBus`](super::SocketBus).
pub(super) struct SocketFunction {
    bdf: Bdf,
    client: Arc<Mutex<Client>>,
}

impl SocketFunction {
    pub(super) fn connect(bdf: Bdf, socket: &Path) -> Result<Self, BusError> {
        let client = Client::connect(socket).map_err(|error| match error {
            ClientError::Connect { source } => match source.kind() {
                ErrorKind::NotFound => BusError::NotFound { bdf },
                ErrorKind::ConnectionRefused => BusError::Gone {
                    bdf,
                    seen: format!("nobody serves {}", socket.display()),
                },
                _ => BusError::io("connect to", socket)(source),
            },
            other => bus_error(bdf, other),
        })?;
        Ok(Self {
            bdf,
            client: Arc::new(Mutex::new(client)),
        })
    }

    fn client(&self) -> MutexGuard<'_, Client> {
        lock(&self.client)
    }

    fn on<T>(&self, outcome: Result<T, ClientError>) -> Result<T, BusError> {
        outcome.map_err(|error| bus_error(self.bdf, error))
    }

    /// Opens a BAR, or a part of it that begins on a page.
    fn open_bar(&self, bar: BarIndex, range: Option<Range<u64>>) -> Result<Bar, BusError> {
        let (bdf, number) = (self.bdf, u32::from(bar.get()));
        let outcome = self.client().region(number);
        let details = self.on(outcome)?;
        if details.size == 0 {
            return Err(BusError::NoBar { bdf, bar });
        }
        let region = Arc::new(SocketRegion {
            index: number,
            client: Arc::clone(&self.client),
        });
        let trapped = Bar::trapped(Arc::<SocketRegion>::clone(&region), details.size);
        let range = range.unwrap_or(0..details.size);
        let part = trapped.part(range.clone());
        let part = part.map_err(|source| BusError::Bar { bdf, bar, source })?;
        let Some(file) = details.mappable.filter(|file| file.length > range.start) else {
            return Ok(part);
        };
        let length = file.length.min(range.end) - range.start;
        let mapping = Mapping::new(&File::from(file.fd), file.offset + range.start, length)
            .map_err(BusError::io("map", format!("{bar} of {bdf}")))?;
        if length == part.length() {
            return Ok(Bar::mapped(mapping));
        }
        Ok(part.with_mapped_start(mapping))
    }

    fn check_config(&self, offset: u16, length: usize) -> Result<(), BusError> {
        if usize::from(offset) + length > config_space::SIZE {
            let bdf = self.bdf;
            return Err(BusError::NoConfig {
                bdf,
                offset,
                length,
            });
        }
        Ok(())
    }
}

impl Function for SocketFunction {
    fn bdf(&self) -> Bdf {
        self.bdf
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) -> Result<(), BusError> {
        self.check_config(offset, data.len())?;
        let outcome = self.client().read(region::CONFIG, offset.into(), data);
        self.on(outcome)
    }

    fn write_config(&self, offset: u16, data: &[u8]) -> Result<(), BusError> {
        self.check_config(offset, data.len())?;
        let outcome = self.client().write(region::CONFIG, offset.into(), data);
        self.on(outcome)
    }

    fn bar_size(&self, index: BarIndex) -> Result<Option<u64>, BusError> {
        let outcome = self.client().region(index.get().into());
        let size = self.on(outcome)?.size;
        Ok((size != 0).then_some(size))
    }

    fn bar(&self, index: BarIndex, _caching: Caching) -> Result<Bar, BusError> {
        self.open_bar(index, None)
    }

    fn bar_range(
        &self,
        index: BarIndex,
        _caching: Caching,
        range: Range<u64>,
    ) -> Result<Bar, BusError> {
        self.open_bar(index, Some(range))
    }

    fn map_dma(&self, request: DmaRequest) -> Result<DmaMapping, BusError> {
        let range = &request.range;
        let aligned = [range.start, range.end, request.iova]
            .iter()
            .all(|at| at.is_multiple_of(PAGE));
        let inside = range.start < range.end && range.end <= request.memory.length();
        let fits = request
            .iova
            .checked_add(range.end.saturating_sub(range.start));
        if !aligned || !inside || fits.is_none() {
            let found = format!(
                "bytes {:#x} to {:#x} of {:#x} at bus address {:#x}; wanted whole pages inside the memory",
                range.start,
                range.end,
                request.memory.length(),
                request.iova
            );
            let source = std::io::Error::new(ErrorKind::InvalidInput, found);
            return Err(BusError::io("map for DMA", self.bdf.to_string())(source));
        }
        let outcome = self.client().map_dma(&request);
        self.on(outcome)?;
        let client = Arc::clone(&self.client);
        let (bdf, iova, length) = (self.bdf, request.iova, range.end - range.start);
        Ok(DmaMapping::new(&request, move || {
            // A server that is gone has let go of the memory, too.
            if let Err(error) = lock(&client).unmap_dma(iova, length) {
                tracing::debug!(%bdf, %error, "unmapping DMA");
            }
        }))
    }

    fn msix(&self, vector: u16) -> Result<OwnedFd, BusError> {
        let system = |errno: nix::errno::Errno| {
            BusError::io("make", "an eventfd")(std::io::Error::from(errno))
        };
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let event = EventFd::from_flags(flags).map_err(system)?;
        let outcome = self.client().set_msix(vector, Some(event.as_fd()));
        self.on(outcome)?;
        event
            .as_fd()
            .try_clone_to_owned()
            .map_err(BusError::io("share", "an eventfd"))
    }

    fn reset(&self) -> Result<(), BusError> {
        reset_and_restore(self, || {
            let outcome = self.client().reset();
            self.on(outcome)
        })
    }
}

/// A BAR whose accesses are messages.
struct SocketRegion {
    index: u32,
    client: Arc<Mutex<Client>>,
}

impl SocketRegion {
    fn on(offset: u64, size: usize) -> impl FnOnce(ClientError) -> BarError {
        move |error| BarError::Unreachable {
            offset,
            size: size as u64,
            reason: chain(&error),
        }
    }
}

impl Region for SocketRegion {
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
        let mut client = lock(&self.client);
        let most = client.max_transfer();
        for (part, at) in data.chunks_mut(most).zip((offset..).step_by(most)) {
            let size = part.len();
            let outcome = client.read(self.index, at, part);
            outcome.map_err(Self::on(at, size))?;
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), BarError> {
        let mut client = lock(&self.client);
        let most = client.max_transfer();
        for (part, at) in data.chunks(most).zip((offset..).step_by(most)) {
            let outcome = client.write(self.index, at, part);
            outcome.map_err(Self::on(at, part.len()))?;
        }
        Ok(())
    }

    fn read_repeated(&self, offset: u64, words: &mut [u32]) -> Result<(), BarError> {
        let outcome = lock(&self.client).read_repeated(self.index, offset, words);
        outcome.map_err(Self::on(offset, 4))
    }

    fn write_repeated(&self, offset: u64, words: &[u32]) -> Result<(), BarError> {
        let outcome = lock(&self.client).write_repeated(self.index, offset, words);
        outcome.map_err(Self::on(offset, 4))
    }
}

fn lock(client: &Mutex<Client>) -> MutexGuard<'_, Client> {
    client.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bus_error(bdf: Bdf, error: ClientError) -> BusError {
    match error {
        ClientError::InUse => BusError::InUse { bdf },
        ClientError::Connection {
            command,
            source: ConnectionError::TimedOut { after },
        } => BusError::TimedOut {
            bdf,
            what: command.to_string(),
            after,
        },
        ClientError::Refused { command, errno } => BusError::Refused {
            bdf,
            what: command.to_string(),
            errno,
        },
        ClientError::Protocol { .. } => BusError::Protocol {
            bdf,
            what: chain(&error),
        },
        ClientError::Connect { .. } | ClientError::Connection { .. } | ClientError::Dead => {
            BusError::Gone {
                bdf,
                seen: chain(&error),
            }
        }
    }
}

/// An error with its sources, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
