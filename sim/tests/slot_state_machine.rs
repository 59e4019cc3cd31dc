//! The state machine of a slot against a reference model: whatever a host does, in any order, the
//! shell reports what the model says.

mod support;

use std::time::Duration;

use afi_proto::config_space::{HEADER_SIZE, ids};
use afi_proto::mailbox::{CommandFlags, MgmtRegister, SlotStatus};
use afi_proto::{AgfiId, BarIndex, Family, PciIds, ShellVersion};
use afi_sim::device::Timing;
use afi_sim::image::SlotImage;
use proptest::prelude::*;
use support::Bench;

const TIMING: Timing = Timing {
    load: Duration::from_millis(50),
    cached_load: Duration::from_millis(20),
    shell_reload: Duration::from_millis(30),
    rl_reload: Duration::from_millis(40),
    clear: Duration::from_millis(10),
    prefetch: Duration::from_millis(15),
};

/// What a host does.
#[derive(Debug, Clone)]
enum Op {
    Load {
        image: u64,
        force: bool,
        retain: bool,
    },
    Prefetch {
        image: u64,
        force: bool,
    },
    Clear,
    AgreeToReload,
    ClearCache,
    WriteMemory(u32),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let image = prop_oneof![4 => 1_u64..=3, 2 => 4_u64..=22, 1 => 23_u64..=26];
    prop_oneof![
        6 => (image.clone(), prop::bool::weighted(0.15), prop::bool::weighted(0.3))
            .prop_map(|(image, force, retain)| Op::Load { image, force, retain }),
        2 => (image, prop::bool::weighted(0.1)).prop_map(|(image, force)| Op::Prefetch { image, force }),
        1 => Just(Op::Clear),
        2 => Just(Op::AgreeToReload),
        1 => Just(Op::ClearCache),
        2 => any::<u32>().prop_map(Op::WriteMemory),
        8 => (0_u64..60).prop_map(Op::Wait),
    ]
}

/// Images 1 to 12 have memory and can retain it, 13 to 22 have none, 23 draws too much power, 24 is
/// for another shell, and there is none above.
fn image(family: Family, number: u64) -> Option<SlotImage> {
    let memory = if family == Family::F1 {
        "cl_dram_dma"
    } else {
        "cl_dram_hbm_dma"
    };
    let plain = if family == Family::F1 {
        "cl_hello_world"
    } else {
        "cl_axil_reg_access"
    };
    let shell = family.profile().current_shell().version;
    (1..=24).contains(&number).then(|| SlotImage {
        agfi: AgfiId::from_cached(number),
        ids: PciIds::new(0x1D0F, 0xF000 + number as u16, 0xFEDC, 0x1D51),
        shell: if number == 24 {
            ShellVersion(shell.0 + 1)
        } else {
            shell
        },
        model: if has_memory(number) { memory } else { plain }.to_owned(),
        data_retention: has_memory(number),
        power_watts: if number == 23 { 200 } else { 20 },
        clocks_hz: [[1_000_000; 7]; 3],
    })
}

const fn has_memory(number: u64) -> bool {
    number <= 12
}

/// The slot as its documents describe it, written without a look at the simulator.
struct Reference {
    family: Family,
    now: u64,
    /// What is under way, and when it ends.
    work: Option<(Work, u64)>,
    rest: Rest,
    /// Most recently used first.
    cache: Vec<u64>,
    /// A word of memory.
    word: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Work {
    Load(u64),
    AwaitAgreement(u64),
    Reload(u64),
    Clear,
    Prefetch(u64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Rest {
    Cleared,
    Loaded(u64),
    OverPower(u64),
}

const NEVER: u64 = u64::MAX;

impl Reference {
    fn new(family: Family) -> Self {
        let rest = Rest::Cleared;
        Self {
            family,
            now: 0,
            work: None,
            rest,
            cache: Vec::new(),
            word: 0,
        }
    }

    fn wait(&mut self, milliseconds: u64) {
        self.now += milliseconds;
        while let Some((work, end)) = self.work.filter(|(_, end)| *end <= self.now) {
            self.work = None;
            match work {
                Work::AwaitAgreement(_) => unreachable!("it never ends by itself"),
                Work::Reload(image) => {
                    self.work = Some((Work::Load(image), end + self.load_time(image)))
                }
                Work::Clear => self.rest = Rest::Cleared,
                Work::Prefetch(image) => self.used(image),
                Work::Load(image) => {
                    self.used(image);
                    self.rest = if image == 23 {
                        Rest::OverPower(23)
                    } else {
                        Rest::Loaded(image)
                    };
                }
            }
        }
    }

    fn used(&mut self, image: u64) {
        self.cache.retain(|other| *other != image);
        self.cache.insert(0, image);
        self.cache.truncate(16);
    }

    fn load_time(&self, image: u64) -> u64 {
        if self.cache.contains(&image) { 20 } else { 50 }
    }

    fn silent(&self) -> bool {
        matches!(self.work, Some((Work::Reload(_), _)))
    }

    /// The error of a load or clear that the state alone refuses.
    fn refusal(&self) -> Result<(), i32> {
        match self.work {
            None => Ok(()),
            Some((Work::AwaitAgreement(_), _)) => Err(26),
            Some(_) => Err(3),
        }
    }

    fn load(&mut self, number: u64, force: bool, retain: bool) -> Result<(), i32> {
        self.refusal()?;
        check_image(number)?;
        let retainable = |number: u64| self.family == Family::F1 && has_memory(number);
        let can = matches!(self.rest, Rest::Loaded(now) if retainable(now) && retainable(number));
        if retain && (!can || force) {
            return Err(18);
        }
        if !retain {
            self.word = 0;
        }
        let takes = self.load_time(number);
        self.work = Some(match (force, self.family) {
            (true, Family::F2) => (Work::AwaitAgreement(number), NEVER),
            (true, Family::F1) => (Work::Load(number), self.now + takes + 30),
            (false, _) => (Work::Load(number), self.now + takes),
        });
        self.rest = Rest::Cleared;
        Ok(())
    }

    fn prefetch(&mut self, number: u64, force: bool) -> Result<(), i32> {
        self.refusal()?;
        if force {
            return Err(27);
        }
        check_image(number)?;
        let takes = if self.cache.contains(&number) { 0 } else { 15 };
        self.work = Some((Work::Prefetch(number), self.now + takes));
        self.wait(0);
        Ok(())
    }

    fn clear(&mut self) -> Result<(), i32> {
        self.refusal()?;
        self.work = Some((Work::Clear, self.now + 10));
        self.rest = Rest::Cleared;
        self.cache.clear();
        self.word = 0;
        Ok(())
    }

    fn agree(&mut self) {
        if let Some((Work::AwaitAgreement(image), _)) = self.work {
            self.work = Some((Work::Reload(image), self.now + 40));
        }
    }

    fn status(&self) -> SlotStatus {
        match (self.work, self.rest) {
            (Some((Work::Prefetch(_), _)), _) => SlotStatus::CACHING,
            (Some((Work::AwaitAgreement(_), _)), _) => SlotStatus::LOADING_RL,
            (Some(_), _) => SlotStatus::BUSY,
            (None, Rest::Cleared) => SlotStatus::CLEARED,
            (None, Rest::Loaded(_)) => SlotStatus::LOADED,
            (None, Rest::OverPower(_)) => SlotStatus::LOAD_FAILED,
        }
    }

    fn device_on_bus(&self, before: u16) -> u16 {
        match (self.work, self.rest) {
            // The bus shows what was there before until the work is done.
            (Some((work, _)), _) if !matches!(work, Work::Prefetch(_)) => before,
            (_, Rest::Loaded(image) | Rest::OverPower(image)) => 0xF000 + image as u16,
            (_, Rest::Cleared) => self.family.profile().cleared.device,
        }
    }
}

fn check_image(number: u64) -> Result<(), i32> {
    match number {
        1..=23 => Ok(()),
        24 => Err(16),
        _ => Err(5),
    }
}

fn device_on_bus(bench: &Bench) -> u16 {
    let mut header = [0; HEADER_SIZE];
    bench.app.read_config(0, &mut header);
    ids(&header).device
}

/// Where the word of memory is that the test looks at.
const WORD: u64 = 0x3_0000_0040;

/// Does the same to both.
fn apply(op: &Op, bench: &Bench, reference: &mut Reference) -> Result<(), TestCaseError> {
    let image = AgfiId::from_cached;
    let silent = reference.silent();
    let flag = |on: bool, flag: CommandFlags| if on { flag } else { CommandFlags::empty() };
    match *op {
        Op::Load {
            image: number,
            force,
            retain,
        } => {
            let flags = flag(force, CommandFlags::FORCE_SHELL_RELOAD)
                | flag(retain, CommandFlags::DRAM_DATA_RETENTION);
            let wanted = (!silent).then(|| reference.load(number, force, retain));
            prop_assert_eq!(bench.load(image(number), flags), wanted);
        }
        Op::Prefetch {
            image: number,
            force,
        } => {
            let flags = CommandFlags::PREFETCH | flag(force, CommandFlags::FORCE_SHELL_RELOAD);
            let wanted = (!silent).then(|| reference.prefetch(number, force));
            prop_assert_eq!(bench.load(image(number), flags), wanted);
        }
        Op::Clear => {
            let wanted = (!silent).then(|| reference.clear());
            prop_assert_eq!(bench.clear(), wanted);
        }
        Op::AgreeToReload => {
            bench.write(MgmtRegister::RlReload, 1);
            reference.agree();
        }
        Op::ClearCache => {
            bench.describe(CommandFlags::CLEAR_AFI_CACHE);
            if !silent {
                reference.cache.clear();
            }
        }
        Op::WriteMemory(word) => {
            if matches!(reference.rest, Rest::Loaded(image) if has_memory(image)) {
                bench
                    .app
                    .write_bar(BarIndex::BAR4, WORD, &word.to_le_bytes());
                reference.word = word;
            }
        }
        Op::Wait(milliseconds) => {
            bench.clock.step(Duration::from_millis(milliseconds));
            reference.wait(milliseconds);
        }
    }
    Ok(())
}

/// Compares all that a host can see.
fn compare(bench: &Bench, reference: &Reference, device: u16) -> Result<(), TestCaseError> {
    prop_assert_eq!(device_on_bus(bench), device);
    let Some(metrics) = bench.describe(CommandFlags::empty()) else {
        prop_assert!(reference.silent());
        return Ok(());
    };
    prop_assert!(!reference.silent());
    prop_assert_eq!(metrics.status, reference.status());
    let error = if metrics.status == SlotStatus::LOAD_FAILED {
        17
    } else {
        0
    };
    prop_assert_eq!(metrics.error.0, error);
    let loaded = match reference.rest {
        Rest::Loaded(image) if reference.work.is_none() => Some(AgfiId::from_cached(image)),
        _ => None,
    };
    prop_assert_eq!(metrics.image, loaded);
    let cached: Vec<AgfiId> = reference
        .cache
        .iter()
        .copied()
        .map(AgfiId::from_cached)
        .collect();
    prop_assert_eq!(metrics.body.cached, cached);
    let hz = if matches!(reference.rest, Rest::Loaded(_)) {
        1_000_000
    } else {
        0
    };
    prop_assert_eq!(metrics.body.clocks_hz, [[hz; 7]; 3]);
    if matches!(reference.rest, Rest::Loaded(image) if has_memory(image)) {
        let mut word = [0; 4];
        bench.app.read_bar(BarIndex::BAR4, WORD, &mut word);
        prop_assert_eq!(u32::from_le_bytes(word), reference.word);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_slot_does_what_its_documents_say(f2: bool, ops in prop::collection::vec(op(), 1..120)) {
        let family = if f2 { Family::F2 } else { Family::F1 };
        let images = (1..=26).filter_map(|number| image(family, number));
        let bench = Bench::new(family, TIMING, images);
        let mut reference = Reference::new(family);
        let mut device = reference.device_on_bus(0);
        for op in &ops {
            apply(op, &bench, &mut reference)?;
            device = reference.device_on_bus(device);
            compare(&bench, &reference, device)?;
        }
    }
}
