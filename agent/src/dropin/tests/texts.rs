//! Lines whose contents a simulated slot does not bring about.

use afi_proto::mailbox::{
    AddressCount, DdrCounts, ErrorCode, InterruptStatus, MetricsBody, Power, ProtocolErrors,
    SlotStatus,
};
use afi_proto::{AgfiId, Family, PciIds, ShellVersion};

use super::super::{Dialect, metrics, show};
use crate::pipeline::SlotState;

fn state(status: i32, error: i32) -> SlotState {
    SlotState {
        status: SlotStatus(status),
        error: ErrorCode(error),
        image: None,
        ids: PciIds::default(),
        shell: ShellVersion(0x0426_1818),
    }
}

#[test]
fn long_names_push_what_follows_to_the_right() {
    for (status, error, line) in [
        (
            2,
            3,
            "AFI          1       none                    busy              2        busy             3       0x04261818\n",
        ),
        (
            7,
            -110,
            "AFI          1       none                    load-failed          7        internal-error        -110       0x04261818\n",
        ),
        (
            5,
            27,
            "AFI          1       none                    rl-reload-needed-drop-pci-link          5        err-incompatible-afi-cmd-flags        27       0x04261818\n",
        ),
        (
            -3,
            0,
            "AFI          1       none                    internal-error         -3        ok               0       0x04261818\n",
        ),
    ] {
        assert_eq!(show::image(1, &state(status, error)), line);
    }
}

/// A slot whose every field has a value of its own.
fn body(family: Family) -> MetricsBody {
    let count = |address, count| AddressCount { address, count };
    let clocks = |group: u64| {
        std::array::from_fn(|clock| (group * 100 + clock as u64 * 10 + 5) * 1_000_000 + 999_999)
    };
    let f1 = family == Family::F1;
    MetricsBody {
        interrupts: InterruptStatus::from_bits_retain(0x1802_0083),
        pcim_protocol_errors: ProtocolErrors::from_bits_retain(0x552),
        dma_pcis_timeout: count(0x22, 5),
        pcim_range_error: count(0xAB_CDEF_0123, 3),
        pcim_protocol_error: count(0x11, 4),
        ocl_timeout: count(0x501, 6),
        bar1_timeout: f1.then(|| count(0x55, 10)),
        sda_timeout: count(0x44, 9),
        virtual_jtag_timeout: count(0x33, 8),
        virtual_jtag: (!f1).then_some((14, 15)),
        pcim_writes: 1 << 40,
        pcim_reads: 77,
        ddr: (0..if f1 { 4 } else { 1 })
            .map(|index| DdrCounts {
                writes: 100 + index,
                reads: 200 + index,
            })
            .collect(),
        clocks_hz: [clocks(0), clocks(1), clocks(2)],
        power: Power {
            mean: 12,
            max: 13,
            last: 11,
        },
        cached: vec![
            AgfiId::from_cached(0xF1F1_0000_0000_0001),
            AgfiId::from_cached(0x123),
        ],
        flags: 0,
    }
}

const OF_F1: &str = concat!(
    "sdacl-slave-timeout=1\n",
    "virtual-jtag-slave-timeout=1\n",
    "ocl-slave-timeout=1\n",
    "bar1-slave-timeout=0\n",
    "dma-pcis-timeout=1\n",
    "pcim-range-error=0\n",
    "pcim-axi-protocol-error=0\n",
    "dma-range-error=1\n",
    "pcim-axi-protocol-4K-cross-error=1\n",
    "pcim-axi-protocol-bus-master-enable-error=0\n",
    "pcim-axi-protocol-request-size-error=0\n",
    "pcim-axi-protocol-write-incomplete-error=1\n",
    "pcim-axi-protocol-first-byte-enable-error=0\n",
    "pcim-axi-protocol-last-byte-enable-error=1\n",
    "pcim-axi-protocol-bready-error=1\n",
    "pcim-axi-protocol-rready-error=0\n",
    "pcim-axi-protocol-wchannel-error=1\n",
    "sdacl-slave-timeout-addr=0x44\n",
    "sdacl-slave-timeout-count=9\n",
    "virtual-jtag-slave-timeout-addr=0x33\n",
    "virtual-jtag-slave-timeout-count=8\n",
    "ocl-slave-timeout-addr=0x501\n",
    "ocl-slave-timeout-count=6\n",
    "bar1-slave-timeout-addr=0x55\n",
    "bar1-slave-timeout-count=10\n",
    "dma-pcis-timeout-addr=0x22\n",
    "dma-pcis-timeout-count=5\n",
    "pcim-range-error-addr=0xabcdef0123\n",
    "pcim-range-error-count=3\n",
    "pcim-axi-protocol-error-addr=0x11\n",
    "pcim-axi-protocol-error-count=4\n",
    "pcim-write-count=1099511627776\n",
    "pcim-read-count=77\n",
    "DDR0\n",
    "   write-count=100\n",
    "   read-count=200\n",
    "DDR1\n",
    "   write-count=101\n",
    "   read-count=201\n",
    "DDR2\n",
    "   write-count=102\n",
    "   read-count=202\n",
    "DDR3\n",
    "   write-count=103\n",
    "   read-count=203\n",
    "Clock Group A Frequency (Mhz)\n",
    "5  15  25  35  \n",
    "Clock Group B Frequency (Mhz)\n",
    "105  115  \n",
    "Clock Group C Frequency (Mhz)\n",
    "205  215  \n",
    "Power consumption (Vccint):\n",
    "   Last measured: 11 watts\n",
    "   Average: 12 watts\n",
    "   Max measured: 13 watts\n",
    "Cached agfis:\n",
    "   agfi-0f1f1000000000001\n",
    "   agfi-00000000000000123\n",
);

const OF_F2: &str = concat!(
    "virtual-jtag-slave-timeout=1\n",
    "ocl-slave-timeout=1\n",
    "sda-slave-timeout=1\n",
    "dma-pcis-timeout=1\n",
    "pcim-range-error=0\n",
    "pcim-axi-protocol-error=0\n",
    "dma-range-error=1\n",
    "pcim-axi-protocol-4K-cross-error=1\n",
    "pcim-axi-protocol-bus-master-enable-error=0\n",
    "pcim-axi-protocol-request-size-error=0\n",
    "pcim-axi-protocol-write-incomplete-error=1\n",
    "pcim-axi-protocol-first-byte-enable-error=0\n",
    "pcim-axi-protocol-last-byte-enable-error=1\n",
    "pcim-axi-protocol-bready-error=1\n",
    "pcim-axi-protocol-rready-error=0\n",
    "pcim-axi-protocol-wchannel-error=1\n",
    "pcim-range-error-addr=0xabcdef0123\n",
    "pcim-range-error-count=3\n",
    "pcim-axi-protocol-error-addr=0x11\n",
    "pcim-axi-protocol-error-count=4\n",
    "pcim-write-count=1099511627776\n",
    "pcim-read-count=77\n",
    "dma-pcis-timeout-addr=0x22\n",
    "dma-pcis-timeout-count=5\n",
    "ocl-slave-timeout-addr=0x501\n",
    "ocl-slave-timeout-count=6\n",
    "sda-slave-timeout-addr=0x44\n",
    "sda-slave-timeout-count=9\n",
    "virtual-jtag-slave-timeout-addr=0x33\n",
    "virtual-jtag-slave-timeout-count=8\n",
    "virtual-jtag-slave-write-count=14\n",
    "virtual-jtag-slave-read-count=15\n",
    "DDR0\n",
    "   write-count=100\n",
    "   read-count=200\n",
    "Power consumption (Vccint):\n",
    "   Last measured: 11 watts\n",
    "   Average: 12 watts\n",
    "   Max measured: 13 watts\n",
    "Cached agfis:\n",
    "   agfi-0f1f1000000000001\n",
    "   agfi-00000000000000123\n",
);

#[test]
fn counters_of_f1() {
    let text = metrics::lines(&body(Family::F1), Family::F1, Dialect::F1);
    assert_eq!(text, OF_F1);
    // The F2 tools tell one bit of another interface.
    let text = metrics::lines(&body(Family::F1), Family::F1, Dialect::F2);
    let expected = OF_F1.replacen("bar1-slave-timeout=0", "sda-slave-timeout=1", 1);
    assert_eq!(text, expected);
}

#[test]
fn counters_of_f2() {
    let text = metrics::lines(&body(Family::F2), Family::F2, Dialect::F2);
    assert_eq!(text, OF_F2);
}
