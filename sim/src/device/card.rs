//! A card: its state, and the way every access takes into it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use afi_proto::config_space::Command;
use afi_proto::family::Pairing;
use afi_proto::{Bdf, Family, ShellVersion, SlotIndex};

use super::app::AppFunction;
use super::config_space::{Apertures, ConfigSpace, Layout};
use super::counters::Counters;
use super::gate::{Gate, Paths};
use super::jtag::VirtualJtag;
use super::mailbox::Mailbox;
use super::mgmt::MgmtFunction;
use super::msix::{Link, Msix};
use super::slot::{Slot, cleared_ids};
use super::xdma::{DmaMode, Engine, IrqBlock};
use super::{Timing, bdfs};
use crate::clock::Clock;
use crate::custom_logic::ModelRegistry;
use crate::fault::{FaultPlan, Kind};
use crate::function::{DeviceFunction, HostPort};
use crate::image::ImageSource;

/// What a card is made of.
pub struct CardConfig {
    /// The slot that it is in.
    pub slot: SlotIndex,
    /// Which card.
    pub family: Family,
    /// The shell that it runs.
    pub shell: ShellVersion,
    /// Address of its MgmtPF.
    pub mgmt: Bdf,
    /// Address of its AppPF.
    pub app: Bdf,
    /// The time that its work takes is measured with this.
    pub clock: Clock,
    /// What goes wrong.
    pub faults: Arc<FaultPlan>,
    /// Where it finds images.
    pub images: Arc<dyn ImageSource>,
    /// Models of the images' custom logic.
    pub models: ModelRegistry,
    /// How long its work takes.
    pub timing: Timing,
    /// Who carries out the transfers of its DMA engine, on shells that have one.
    pub dma: DmaMode,
}

impl CardConfig {
    /// The card of an instance with one slot: today's shell, the built-in models, a clock that runs
    /// by itself, and nothing that goes wrong.
    pub fn single(family: Family, images: Arc<dyn ImageSource>) -> Self {
        let (mgmt, app) = bdfs(family, 1)[0];
        Self {
            slot: SlotIndex(0),
            family,
            shell: family.profile().current_shell().version,
            mgmt,
            app,
            clock: Clock::automatic(),
            faults: Arc::new(FaultPlan::none()),
            images,
            models: ModelRegistry::builtin(),
            timing: Timing::default(),
            dma: DmaMode::default(),
        }
    }
}

impl fmt::Debug for CardConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            slot,
            family,
            shell,
            ..
        } = self;
        write!(f, "CardConfig({family} {slot:?}, shell {shell})")
    }
}

/// An FPGA card. It starts cleared, as an instance's firmware leaves it: BARs have addresses, and
/// the functions answer accesses to them; bus mastering of the AppPF is on.
///
/// Custom logic acts with the card's lock held, and so does what it does to its host; the DMA engine
/// moves bytes without. A [`HostPort`] must not access the card from within a call, and must answer
/// in bounded time.
pub struct Card {
    config: Arc<CardConfig>,
    state: Mutex<State>,
    engine: Option<Arc<Engine>>,
}

impl Card {
    /// Makes a card.
    pub fn new(config: CardConfig) -> Arc<Self> {
        let config = Arc::new(config);
        let shell = config.family.profile().shell(config.shell);
        let has_engine = shell.is_some_and(|shell| shell.xdma);
        Arc::new_cyclic(|card| {
            let gate = Arc::new(Gate::default());
            let engine = has_engine
                .then(|| Engine::new(Arc::clone(&config), Arc::clone(&gate), Weak::clone(card)));
            let state = Mutex::new(State::new(Arc::clone(&config), gate, engine.clone()));
            Self {
                config,
                state,
                engine,
            }
        })
    }

    /// Its management function.
    pub fn mgmt(self: &Arc<Self>) -> Arc<dyn DeviceFunction> {
        Arc::new(MgmtFunction::new(Arc::clone(self)))
    }

    /// Its application function.
    pub fn app(self: &Arc<Self>) -> Arc<dyn DeviceFunction> {
        Arc::new(AppFunction::new(Arc::clone(self)))
    }

    pub(super) fn config(&self) -> &CardConfig {
        &self.config
    }

    /// The state, brought up to now; `None` when the card does not answer.
    pub(super) fn reach(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.hold();
        state.settle();
        let gone = state.slot.is_gone() || state.strikes(Kind::DeviceGone);
        if gone {
            state.gate.lose();
            return None;
        }
        if state.gate.take_lost() {
            state.refresh_paths();
        }
        Some(state)
    }

    /// The DMA engine, on shells that have one.
    pub(super) fn engine(&self) -> Option<&Arc<Engine>> {
        self.engine.as_ref()
    }

    /// Carries out what the DMA engine has to do, where no thread does; with no lock held.
    pub(super) fn work_inline(&self) {
        if let Some(engine) = &self.engine {
            engine.work_inline();
        }
    }

    /// The state as it is, for what does not go over the bus.
    pub(super) fn hold(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Card({:?})", self.config)
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        if let Some(engine) = &self.engine {
            engine.end();
        }
    }
}

/// Everything of a card that changes.
pub(super) struct State {
    pub(super) config: Arc<CardConfig>,
    /// The time of the access that holds the lock.
    pub(super) now: Duration,
    pub(super) slot: Slot,
    pub(super) mailbox: Mailbox,
    /// A request that came while the shell reloaded itself.
    pub(super) deferred_request: Option<Vec<u8>>,
    pub(super) counters: Counters,
    pub(super) jtag: VirtualJtag,
    pub(super) msix: Msix,
    /// The DMA engine, on shells that have one.
    pub(super) engine: Option<Arc<Engine>>,
    /// Its interrupts.
    pub(super) irq: IrqBlock,
    /// What its DMA can reach.
    pub(super) gate: Arc<Gate>,
    /// Virtual DIP switches.
    pub(super) dip: u16,
    pub(super) mgmt_config: ConfigSpace,
    pub(super) app_config: ConfigSpace,
    /// The host of the AppPF.
    pub(super) app_host: Option<Arc<dyn HostPort>>,
}

impl State {
    fn new(config: Arc<CardConfig>, gate: Arc<Gate>, engine: Option<Arc<Engine>>) -> Self {
        let family = config.family;
        let now = config.clock.now();
        let (mgmt_config, app_config) = config_spaces(&config);
        let slot = Slot::new(Arc::clone(&config), Arc::clone(&gate), now);
        let state = Self {
            now,
            slot,
            mailbox: Mailbox::new(),
            deferred_request: None,
            counters: Counters::new(family),
            jtag: VirtualJtag::new(),
            msix: Msix::new(),
            engine,
            irq: IrqBlock::default(),
            gate,
            dip: 0,
            mgmt_config,
            app_config,
            app_host: None,
            config,
        };
        state.with_paths()
    }

    fn with_paths(mut self) -> Self {
        self.refresh_paths();
        self
    }

    /// Lets everything happen that is due.
    fn settle(&mut self) {
        self.now = self.config.clock.now();
        if let Some(change) = self.slot.settle(self.now) {
            self.app_config.set_ids(change.ids);
            self.counters.end_moderation();
            if change.bus_master_off {
                let command = self.app_config.command() - Command::BUS_MASTER;
                self.app_config.set_command(command);
            }
            self.refresh_paths();
        }
        if !self.slot.is_reloading()
            && let Some(request) = self.deferred_request.take()
        {
            self.request_sent(request);
        }
    }

    /// Whether a fault strikes this slot now.
    pub(super) fn strikes(&self, kind: Kind) -> bool {
        let Self { config, .. } = self;
        config.faults.strikes(kind, Some(config.slot)).is_some()
    }

    /// The AppPF's way out, without the host at its end.
    pub(super) fn gate(&self) -> Link<'static> {
        Link {
            host: None,
            bus_master: self.app_config.is_bus_master(),
            masked: self.app_config.msix_function_masked(),
        }
    }

    /// Tells the DMA engine what it can reach now. When this has returned, no byte moves where it
    /// may not any more.
    pub(super) fn refresh_paths(&mut self) {
        let Some(engine) = &self.engine else {
            return;
        };
        let memory = self.slot.active().and_then(|(_, memory)| memory.cloned());
        let can_move = self.gate.set(Paths {
            bus_master: self.app_config.is_bus_master(),
            host: self.app_host.clone(),
            memory,
        });
        if can_move {
            engine.wake_all();
        }
    }

    /// Sends the interrupts that wait, where they may go out now.
    pub(super) fn release_interrupts(&mut self) {
        let host = self.app_host.clone();
        let link = Link {
            host: host.as_deref(),
            ..self.gate()
        };
        self.msix.release(link);
        if let Some(engine) = &self.engine {
            let Self { config, irq, .. } = self;
            let lost = || {
                let struck = config
                    .faults
                    .strikes(Kind::DmaInterruptLost, Some(config.slot));
                struck.is_some()
            };
            irq.send(engine.requests(), &mut self.msix, link, lost);
        }
    }
}

/// Configuration space of the MgmtPF and the AppPF, as the firmware leaves it.
fn config_spaces(config: &CardConfig) -> (ConfigSpace, ConfigSpace) {
    let profile = config.family.profile();
    let multifunction = profile.pairing == Pairing::FunctionZero;
    let mgmt_ids = afi_proto::PciIds::new(
        profile.mgmt.vendor,
        profile.mgmt.device,
        profile.mgmt.vendor,
        profile.mgmt.device,
    );
    let mgmt_layout = Layout {
        bars: profile.mgmt_bars,
        multifunction,
        // `AWS_Fpga_Pcie_Memory_Map.md`: the MgmtPF of F1 cannot be a bus master.
        can_master: config.family != Family::F1,
        msix: false,
    };
    let app_layout = Layout {
        bars: profile.app_bars,
        multifunction,
        can_master: true,
        msix: true,
    };
    let mut mgmt = ConfigSpace::new(mgmt_layout, mgmt_ids);
    let mut app = ConfigSpace::new(app_layout, cleared_ids(config.family));
    let mut apertures = Apertures::of_slot(config.slot.0);
    app.assign_bars(&mut apertures);
    mgmt.assign_bars(&mut apertures);
    mgmt.set_command(Command::MEMORY_SPACE);
    app.set_command(Command::MEMORY_SPACE | Command::BUS_MASTER);
    (mgmt, app)
}
