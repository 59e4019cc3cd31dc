//! A host can read and write what it likes: no access of any place, size or value brings the card
//! down, and its mailbox answers afterwards.

mod support;

use std::time::Duration;

use afi_proto::config_space::{COMMAND, Command};
use afi_proto::mailbox::{CommandFlags, MgmtRegister};
use afi_proto::{AgfiId, BarIndex, Family, PciIds};
use afi_sim::device::Timing;
use afi_sim::image::SlotImage;
use proptest::prelude::*;
use support::Bench;

/// Control register of the power management capability of both functions.
const POWER_CONTROL: u16 = 0x44;

#[derive(Debug, Clone)]
enum Access {
    ReadConfig {
        mgmt: bool,
        offset: u16,
        size: usize,
    },
    WriteConfig {
        mgmt: bool,
        offset: u16,
        data: Vec<u8>,
    },
    ReadBar {
        mgmt: bool,
        bar: u8,
        offset: u64,
        size: usize,
    },
    WriteBar {
        mgmt: bool,
        bar: u8,
        offset: u64,
        data: Vec<u8>,
    },
    Reset {
        mgmt: bool,
    },
    Step(u64),
}

/// Offsets where something is, near the ends of BARs, and anywhere.
fn offset() -> impl Strategy<Value = u64> {
    let registers = MgmtRegister::ALL.map(MgmtRegister::offset).to_vec();
    let ends: Vec<u64> = (10..=37).map(|bit| 1 << bit).collect();
    prop_oneof![
        4 => prop::sample::select(registers),
        2 => 0_u64..0x600,
        1 => 0x7FF0_u64..0x9000,
        2 => (prop::sample::select(ends), 0_u64..70).prop_map(|(end, before)| end - before),
        1 => any::<u64>(),
    ]
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![1, 2, 4, 8])
            .prop_flat_map(|size| prop::collection::vec(any::<u8>(), size)),
        prop::collection::vec(any::<u8>(), 0..70),
    ]
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![
        1 => (any::<bool>(), any::<u16>(), 0_usize..80)
            .prop_map(|(mgmt, offset, size)| Access::ReadConfig { mgmt, offset, size }),
        1 => (any::<bool>(), prop_oneof![0_u16..0x100, any::<u16>()], data())
            .prop_map(|(mgmt, offset, data)| Access::WriteConfig { mgmt, offset, data }),
        4 => (any::<bool>(), 0_u8..6, offset(), 0_usize..80)
            .prop_map(|(mgmt, bar, offset, size)| Access::ReadBar { mgmt, bar, offset, size }),
        8 => (any::<bool>(), 0_u8..6, offset(), data())
            .prop_map(|(mgmt, bar, offset, data)| Access::WriteBar { mgmt, bar, offset, data }),
        1 => any::<bool>().prop_map(|mgmt| Access::Reset { mgmt }),
        1 => (0_u64..100).prop_map(Access::Step),
    ]
}

fn run(bench: &Bench, access: &Access) {
    let of = |mgmt: bool| if mgmt { &bench.mgmt } else { &bench.app };
    let bar = |index: u8| BarIndex::new(index).expect("0 to 5");
    match access {
        Access::ReadConfig { mgmt, offset, size } => {
            of(*mgmt).read_config(*offset, &mut vec![0; *size]);
        }
        Access::WriteConfig { mgmt, offset, data } => of(*mgmt).write_config(*offset, data),
        Access::ReadBar {
            mgmt,
            bar: index,
            offset,
            size,
        } => {
            of(*mgmt).read_bar(bar(*index), *offset, &mut vec![0; *size]);
        }
        Access::WriteBar {
            mgmt,
            bar: index,
            offset,
            data,
        } => {
            of(*mgmt).write_bar(bar(*index), *offset, data);
        }
        Access::Reset { mgmt } => of(*mgmt).reset(),
        Access::Step(milliseconds) => bench.clock.step(Duration::from_millis(*milliseconds)),
    }
}

fn running(family: Family, model: &str) -> Bench {
    let agfi = AgfiId::from_cached(1);
    let image = SlotImage {
        agfi,
        ids: PciIds::new(0x1D0F, 0xF001, 0xFEDC, 0x1D51),
        shell: family.profile().current_shell().version,
        model: model.to_owned(),
        data_retention: true,
        power_watts: 20,
        clocks_hz: [[1; 7]; 3],
    };
    let bench = Bench::new(family, Timing::INSTANT, [image]);
    assert_eq!(bench.load(agfi, CommandFlags::empty()), Some(Ok(())));
    bench
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_access_brings_the_card_down(
        (family, model) in prop::sample::select(vec![
            (Family::F1, "cl_hello_world"),
            (Family::F1, "cl_dram_dma"),
            (Family::F2, "cl_axil_reg_access"),
            (Family::F2, "cl_dram_hbm_dma"),
        ]),
        accesses in prop::collection::vec(access(), 1..200),
    ) {
        let bench = running(family, model);
        for access in &accesses {
            run(&bench, access);
        }
        // Back from D3hot, and memory space on.
        bench.mgmt.write_config(POWER_CONTROL, &[0]);
        bench.mgmt.write_config(COMMAND, &Command::MEMORY_SPACE.bits().to_le_bytes());
        let metrics = bench.describe(CommandFlags::empty());
        prop_assert!(metrics.is_some_and(|metrics| metrics.image.is_some()));
        prop_assert_eq!(bench.clear(), Some(Ok(())));
    }
}
