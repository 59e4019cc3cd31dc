//! What the unit tests of the device share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use afi_proto::mailbox::{
    CommandFlags, ErrorReply, Header, LoadRequest, MailboxStatus, Metrics, MgmtRegister, Opcode,
    encode, parse, words,
};
use afi_proto::xdma::{self, Target, irq};
use afi_proto::{AgfiId, BarIndex, Family, PciIds, ShellVersion};

use super::{Card, CardConfig, DmaMode, Timing};
use crate::clock::Clock;
use crate::custom_logic::{CustomLogic, ModelRegistry, Port, ShellPorts};
use crate::fault::FaultPlan;
use crate::function::{DeviceFunction, DmaError, HostPort};
use crate::image::{ImageSource, SlotImage};

/// A host that remembers interrupts and has 8 KiB of memory at [`Host::BASE`].
#[derive(Default)]
pub(crate) struct Host {
    vectors: Mutex<Vec<u16>>,
    memory: Mutex<Vec<u8>>,
}

impl Host {
    pub(crate) const BASE: u64 = 0x10_0000;
    const SIZE: usize = 8192;

    pub(crate) fn vectors(&self) -> Vec<u16> {
        self.vectors.lock().unwrap().clone()
    }

    fn with(&self, iova: u64, length: usize, then: impl FnOnce(&mut [u8])) -> Result<(), DmaError> {
        let mut memory = self.memory.lock().unwrap();
        memory.resize(Self::SIZE, 0);
        let at = iova.checked_sub(Self::BASE).map(|at| at as usize);
        let range = at.and_then(|at| memory.get_mut(at..at + length));
        range.map(then).ok_or(DmaError::Unmapped { iova })
    }
}

impl HostPort for Host {
    fn dma_read(&self, iova: u64, data: &mut [u8]) -> Result<(), DmaError> {
        self.with(iova, data.len(), |memory| data.copy_from_slice(memory))
    }

    fn dma_write(&self, iova: u64, data: &[u8]) -> Result<(), DmaError> {
        self.with(iova, data.len(), |memory| memory.copy_from_slice(data))
    }

    fn msix(&self, vector: u16) {
        self.vectors.lock().unwrap().push(vector);
    }
}

/// Images by id.
pub(crate) struct Images(pub(crate) HashMap<AgfiId, SlotImage>);

impl ImageSource for Images {
    fn loadable(&self, agfi: AgfiId) -> Option<SlotImage> {
        self.0.get(&agfi).cloned()
    }
}

/// The id of a test image: by its number.
pub(crate) fn agfi(number: u64) -> AgfiId {
    AgfiId::from_cached(number)
}

/// An image of a model; its ids tell its number.
pub(crate) fn image(family: Family, number: u64, model: &str) -> SlotImage {
    SlotImage {
        agfi: agfi(number),
        ids: PciIds::new(0x1D0F, 0xF000 + number as u16, 0xFEDC, 0x1D51),
        shell: family.profile().current_shell().version,
        model: model.to_owned(),
        data_retention: model == "cl_dram_dma",
        power_watts: 20,
        clocks_hz: [[125_000_000; 7]; 3],
    }
}

/// A design for tests: OCL 0x0 is a host address; writing 0x4 writes a word there, reading 0x8 reads
/// one; nothing else is answered.
#[derive(Default)]
struct Probe {
    pointer: u64,
}

impl CustomLogic for Probe {
    fn read(&mut self, port: Port, offset: u64, shell: &mut ShellPorts<'_>) -> Option<u32> {
        let mut data = [0; 4];
        let _ = (port == Port::Ocl && offset == 0x8)
            .then(|| shell.read_host(self.pointer, &mut data))?;
        Some(u32::from_le_bytes(data))
    }

    fn write(
        &mut self,
        port: Port,
        offset: u64,
        value: u32,
        shell: &mut ShellPorts<'_>,
    ) -> Option<()> {
        match (port, offset) {
            (Port::Ocl, 0x0) => self.pointer = value.into(),
            (Port::Ocl, 0x4) => drop(shell.write_host(self.pointer, &value.to_le_bytes())),
            _ => return None,
        }
        Some(())
    }
}

/// A card on a stepped clock, and a mailbox driver that does not wait.
pub(crate) struct Rig {
    pub(crate) clock: Clock,
    pub(crate) mgmt: Arc<dyn DeviceFunction>,
    pub(crate) app: Arc<dyn DeviceFunction>,
    pub(crate) faults: Arc<FaultPlan>,
    family: Family,
}

pub(crate) const LOAD: Duration = Duration::from_millis(30);

impl Rig {
    pub(crate) fn new(family: Family, images: Vec<SlotImage>) -> Self {
        Self::with_shell(family, family.profile().current_shell().version, images)
    }

    pub(crate) fn with_shell(family: Family, shell: ShellVersion, images: Vec<SlotImage>) -> Self {
        Self::build(family, shell, images, DmaMode::Inline)
    }

    fn build(family: Family, shell: ShellVersion, images: Vec<SlotImage>, dma: DmaMode) -> Self {
        let images = images.into_iter().map(|image| (image.agfi, image));
        let images = Arc::new(Images(images.collect()));
        let clock = Clock::stepped();
        let faults = Arc::new(FaultPlan::none());
        let card = Card::new(CardConfig {
            shell,
            clock: clock.clone(),
            faults: Arc::clone(&faults),
            models: ModelRegistry::builtin().with("probe", || Box::new(Probe::default())),
            timing: Timing::default().with_load(LOAD),
            dma,
            ..CardConfig::single(family, images)
        });
        let (mgmt, app) = (card.mgmt(), card.app());
        Self {
            clock,
            mgmt,
            app,
            faults,
            family,
        }
    }

    /// A card that runs a model, as image 1.
    pub(crate) fn running(family: Family, model: &str) -> Self {
        Self::running_with(family, model, DmaMode::Inline)
    }

    /// The same, and who carries out its DMA.
    pub(crate) fn running_with(family: Family, model: &str, dma: DmaMode) -> Self {
        let shell = family.profile().current_shell().version;
        let rig = Self::build(family, shell, vec![image(family, 1, model)], dma);
        rig.load(1, CommandFlags::empty()).unwrap();
        rig.clock.step(LOAD);
        rig
    }

    pub(crate) fn fault(&self, text: &str) {
        self.faults.set(vec![text.parse().unwrap()]);
    }

    pub(crate) fn read(&self, register: MgmtRegister) -> u32 {
        read32(&*self.mgmt, BarIndex::BAR0, register.offset())
    }

    pub(crate) fn write(&self, register: MgmtRegister, value: u32) {
        write32(&*self.mgmt, BarIndex::BAR0, register.offset(), value);
    }

    pub(crate) fn status(&self) -> MailboxStatus {
        MailboxStatus::from_bits_retain(self.read(MgmtRegister::Status))
    }

    pub(crate) fn send(&self, message: &[u8]) {
        self.write(MgmtRegister::WriteIndex, 0);
        let words: Vec<u32> = words(message).collect();
        for word in &words {
            self.write(MgmtRegister::WriteData, *word);
        }
        self.write(MgmtRegister::WriteLength, words.len() as u32);
    }

    /// The response that waits, word by word; `None` when there is none.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        if !self.status().contains(MailboxStatus::RX_EVENT) {
            return None;
        }
        let length = self.read(MgmtRegister::ReadLength).min(1024);
        self.write(MgmtRegister::ReadIndex, 0);
        let words: Vec<u32> = (0..length)
            .map(|_| self.read(MgmtRegister::ReadData))
            .collect();
        let events = MailboxStatus::RX_EVENT | MailboxStatus::TX_EVENT;
        self.write(MgmtRegister::Status, events.bits());
        Some(words.into_iter().flat_map(u32::to_le_bytes).collect())
    }

    /// The payload of the answer to a command, or the error's code.
    pub(crate) fn command(&self, opcode: Opcode, payload: &[u8]) -> Result<Vec<u8>, i32> {
        self.send(&encode(Header::request(opcode, 77), payload));
        let message = self.receive().expect("an answer");
        let (header, payload) = parse(&message).unwrap();
        assert!(header.is_response && header.id == 77);
        if header.opcode == Opcode::ERROR {
            return Err(ErrorReply::parse(payload).unwrap().error.0);
        }
        assert_eq!(header.opcode, opcode);
        Ok(payload.to_vec())
    }

    pub(crate) fn load(&self, number: u64, flags: CommandFlags) -> Result<(), i32> {
        let request = LoadRequest {
            image: agfi(number),
            flags,
            clocks_hz: [0; 3],
        };
        self.command(Opcode::LOAD, &request.encode()).map(drop)
    }

    pub(crate) fn clear(&self) -> Result<(), i32> {
        self.command(Opcode::CLEAR, &0_u32.to_le_bytes()).map(drop)
    }

    pub(crate) fn metrics(&self, flags: CommandFlags) -> Metrics {
        let payload = self
            .command(Opcode::METRICS, &flags.bits().to_le_bytes())
            .unwrap();
        Metrics::parse(self.family, &payload).unwrap()
    }

    pub(crate) fn hardware(&self) -> Metrics {
        self.metrics(CommandFlags::GET_HW_METRICS)
    }

    /// Sets up the interrupts of a shell with a DMA engine as its driver does: channels have the
    /// vectors 0 to 7 and user interrupts those from 8 on, and all of them are enabled.
    pub(crate) fn enable_interrupts(&self) {
        let vectors = |first: u32| (0..4).fold(0, |word, n| word | (first + n) << (8 * n));
        let set = |register, value| {
            let offset = Target::Irq.offset() + register;
            write32(&*self.app, xdma::BAR, offset, value);
        };
        for four in 0..4 {
            let register = u64::from(four) * 4;
            set(irq::USER_VECTORS + register, vectors(8 + four * 4));
        }
        for four in 0..2 {
            let register = u64::from(four) * 4;
            set(irq::CHANNEL_VECTORS + register, vectors(four * 4));
        }
        set(irq::USER_ENABLE_W1S, 0xFFFF);
        set(irq::CHANNEL_ENABLE_W1S, 0xFF);
    }

    pub(crate) fn ocl(&self, offset: u64) -> u32 {
        read32(&*self.app, BarIndex::BAR0, offset)
    }

    pub(crate) fn set_ocl(&self, offset: u64, value: u32) {
        write32(&*self.app, BarIndex::BAR0, offset, value);
    }
}

pub(crate) fn read32(function: &dyn DeviceFunction, bar: BarIndex, offset: u64) -> u32 {
    let mut bytes = [0; 4];
    function.read_bar(bar, offset, &mut bytes);
    u32::from_le_bytes(bytes)
}

pub(crate) fn write32(function: &dyn DeviceFunction, bar: BarIndex, offset: u64, value: u32) {
    function.write_bar(bar, offset, &value.to_le_bytes());
}
