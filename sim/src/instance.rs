//! A simulated instance: its cards, and the ways to reach them.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use afi_pcie::BusError;
use afi_pcie::bus::Bus;
use afi_pcie::socket::{Layout, SocketBus};
use afi_proto::{Family, ShellVersion, SlotIndex};

use crate::bus::SimBus;
use crate::clock::Clock;
use crate::custom_logic::ModelRegistry;
use crate::device::{Card, CardConfig, DmaMode, MAX_SLOTS, Timing, bdfs};
use crate::fault::FaultPlan;
use crate::function::DeviceFunction;
use crate::image::ImageSource;
use crate::server::FunctionServer;

/// What a simulated instance is made of.
pub struct InstanceConfig {
    /// Its family.
    pub family: Family,
    /// Number of slots, 1 to [`MAX_SLOTS`].
    pub slots: u8,
    /// The shell of its slots; the family's current one by default.
    pub shell: ShellVersion,
    /// Which images there are.
    pub images: Arc<dyn ImageSource>,
    /// Which designs can be simulated.
    pub models: ModelRegistry,
    /// How long the shell takes.
    pub timing: Timing,
    /// What goes wrong.
    pub faults: Arc<FaultPlan>,
    /// Its time.
    pub clock: Clock,
    /// Who carries out the transfers of the DMA engines.
    pub dma: DmaMode,
}

impl InstanceConfig {
    /// An instance with the builtin designs on which nothing goes wrong.
    pub fn new(family: Family, slots: u8, images: Arc<dyn ImageSource>) -> Self {
        Self {
            family,
            slots,
            shell: family.profile().current_shell().version,
            images,
            models: ModelRegistry::builtin(),
            timing: Timing::default(),
            faults: Arc::new(FaultPlan::none()),
            clock: Clock::automatic(),
            dma: DmaMode::default(),
        }
    }
}

/// The cards of a simulated instance.
pub struct Instance {
    cards: Vec<Arc<Card>>,
}

/// The devices of an instance, served on sockets in a directory. Dropping it ends the servers.
#[derive(Debug)]
pub struct Served {
    layout: Layout,
    _servers: Vec<FunctionServer>,
}

/// Why an instance's devices cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The directory cannot be laid out.
    #[error("cannot {what} {path}")]
    Layout {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The path of the sockets is longer than an address of a socket may be.
    #[error(
        "the path {path} is {} bytes long and a socket's may be {MAX_SOCKET_PATH}; use a shorter directory",
        path.len()
    )]
    PathTooLong {
        /// The path.
        path: String,
    },
    /// The devices do not answer on their sockets.
    #[error("the devices do not answer")]
    Boot {
        /// Why.
        source: BusError,
    },
}

/// Bytes of a socket's path: `sun_path` of `sockaddr_un` without its NUL (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

impl Instance {
    /// Builds the cards. The number of slots is brought into range.
    pub fn new(config: InstanceConfig) -> Self {
        let slots = config.slots.clamp(1, MAX_SLOTS);
        let addresses = bdfs(config.family, slots);
        let cards = addresses.into_iter().zip(0..).map(|((mgmt, app), slot)| {
            Card::new(CardConfig {
                slot: SlotIndex(slot),
                family: config.family,
                shell: config.shell,
                mgmt,
                app,
                clock: config.clock.clone(),
                faults: Arc::clone(&config.faults),
                images: Arc::clone(&config.images),
                models: config.models.clone(),
                timing: config.timing,
                dma: config.dma,
            })
        });
        Self {
            cards: cards.collect(),
        }
    }

    /// The cards, in order of their slots.
    pub fn cards(&self) -> &[Arc<Card>] {
        &self.cards
    }

    /// Every function of every card.
    pub fn functions(&self) -> impl Iterator<Item = Arc<dyn DeviceFunction>> + '_ {
        self.cards.iter().flat_map(|card| [card.app(), card.mgmt()])
    }

    /// The bus of the instance in this process. Locks on slots are kept in `locks`.
    ///
    /// # Errors
    /// When a card does not answer.
    pub fn bus(&self, locks: &Path) -> Result<SimBus, BusError> {
        SimBus::new(self.functions(), locks)
    }

    /// Serves the cards on sockets below `directory`, and enumerates them as a host does at boot.
    /// What an instance that is gone left there is removed.
    ///
    /// # Errors
    /// When the directory cannot be used. The caller makes sure that nobody else uses it.
    pub fn serve(&self, directory: &Path) -> Result<Served, ServeError> {
        let layout = Layout::new(directory);
        for path in [layout.devices(), layout.host()] {
            clean(&path)?;
        }
        let locks = layout.locks();
        fs::create_dir_all(&locks).map_err(failed("make", &locks))?;
        let mut servers = Vec::new();
        for function in self.functions() {
            let socket = layout.socket(function.bdf());
            let path = socket.display().to_string();
            if path.len() > MAX_SOCKET_PATH {
                return Err(ServeError::PathTooLong { path });
            }
            let server = FunctionServer::start(function, &socket);
            servers.push(server.map_err(failed("serve", &socket))?);
        }
        let boot = || {
            let bus = SocketBus::open(directory)?;
            match self.cards.first() {
                Some(card) => bus.rescan(card.mgmt().bdf()),
                None => Ok(()),
            }
        };
        boot().map_err(|source| ServeError::Boot { source })?;
        Ok(Served {
            layout,
            _servers: servers,
        })
    }
}

impl Served {
    /// Where things are.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// Makes an empty directory, or empties the files of the one that is there.
fn clean(directory: &Path) -> Result<(), ServeError> {
    fs::create_dir_all(directory).map_err(failed("make", directory))?;
    for entry in fs::read_dir(directory).map_err(failed("list", directory))? {
        let path = entry.map_err(failed("list", directory))?.path();
        fs::remove_file(&path).map_err(failed("remove", &path))?;
    }
    Ok(())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ServeError {
    let path = path.display().to_string();
    move |source| ServeError::Layout { what, path, source }
}
