//! What the guest's kernel makes of the functions, without `afi`. The tables are written out here,
//! from `hdk/docs/AWS_Fpga_Pcie_Memory_Map.md`, and not taken from the crates.

use crate::instance::{Addresses, Instance};

/// Flags of a resource: `IORESOURCE_MEM`, `_PREFETCH` and `_MEM_64` (Linux, `include/linux/ioport.h`).
const MEMORY: u64 = 0x200;
const PREFETCHABLE: u64 = 0x2000;
const WIDE: u64 = 0x10_0000;

/// Size and flags of the six places for BARs; a 64-bit BAR takes two.
type Bars = [(u64, u64); 6];

const NO_BAR: (u64, u64) = (0, 0);
const PCIS: (u64, u64) = (128 << 30, MEMORY | PREFETCHABLE | WIDE);

const fn wide(size: u64) -> (u64, u64) {
    (size, MEMORY | PREFETCHABLE | WIDE)
}

const MGMT: Bars = [
    wide(16 << 10),
    NO_BAR,
    wide(16 << 10),
    NO_BAR,
    wide(4 << 20),
    NO_BAR,
];

/// The functions of an f1.16xlarge.
pub(super) fn f1_functions(instance: &mut Instance) {
    let app = [
        (32 << 20, MEMORY),
        (2 << 20, MEMORY),
        wide(64 << 10),
        NO_BAR,
        PCIS,
        NO_BAR,
    ];
    assert_eq!(instance.slots.len(), 8);
    for Addresses { mgmt, app: address } in instance.slots.clone() {
        function(instance, &mgmt, "1d0f:1041 1d0f:1041", MGMT);
        function(instance, &address, "1d0f:1042 1d0f:1042", app);
    }
}

/// The functions of two cards of F2.
pub(super) fn f2_functions(instance: &mut Instance) {
    let app = [wide(64 << 20), NO_BAR, wide(64 << 10), NO_BAR, PCIS, NO_BAR];
    for Addresses { mgmt, app: address } in instance.slots.clone() {
        function(instance, &mgmt, "1d0f:9248 1d0f:9248", MGMT);
        function(instance, &address, "1d0f:9048 1d0f:9048", app);
    }
}

fn function(instance: &mut Instance, address: &str, ids: &str, bars: Bars) {
    let guest = &mut instance.guest;
    assert_eq!(guest.kernel_ids(address), ids, "{address}");
    let resources = guest.sh(&format!(
        "head -n 6 /sys/bus/pci/devices/{address}/resource"
    ));
    let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap();
    let seen: Vec<(u64, u64)> = resources
        .success()
        .lines()
        .map(|line| {
            let words: Vec<u64> = line.split(' ').map(hex).collect();
            let [start, end, flags] = words[..] else {
                panic!("{address}: '{line}'");
            };
            let size = if end == 0 { 0 } else { end - start + 1 };
            (size, flags & (MEMORY | PREFETCHABLE | WIDE))
        })
        .collect();
    assert_eq!(seen, bars, "{address}");
}
