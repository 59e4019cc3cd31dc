//! The counters of a slot, as `fpga-describe-local-image -M` prints them.
//!
//! Sources: `cli_show_image_info` and what it calls in `fpga_local_cmd.c`. The F1 tools and the F2
//! tools print an F1 slot differently: only the former tell of BAR1, only the latter of SDA and its
//! two bits.

use afi_proto::Family;
use afi_proto::mailbox::{AddressCount, ClockGroups, InterruptStatus, MetricsBody, ProtocolErrors};

use super::Dialect;

/// Clocks of groups A, B and C that are shown (`CLOCK_COUNT_A` and so on).
const CLOCKS: [usize; 3] = [4, 2, 2];
const HZ_PER_MHZ: u64 = 1_000_000;

/// The lines of a slot's counters.
pub(super) fn lines(body: &MetricsBody, family: Family, dialect: Dialect) -> String {
    let mut lines = Lines::default();
    lines.interrupts(body.interrupts, family, dialect);
    lines.protocol_errors(body.pcim_protocol_errors);
    match family {
        Family::F1 => lines.counters_of_f1(body),
        Family::F2 => lines.counters_of_f2(body),
    }
    for (index, ddr) in body.ddr.iter().enumerate() {
        lines.add(format!("DDR{index}"));
        lines.add(format!("   write-count={}", ddr.writes));
        lines.add(format!("   read-count={}", ddr.reads));
    }
    if family == Family::F1 {
        lines.clocks(&body.clocks_hz);
    }
    lines.add("Power consumption (Vccint):".to_owned());
    lines.add(format!("   Last measured: {} watts", body.power.last));
    lines.add(format!("   Average: {} watts", body.power.mean));
    lines.add(format!("   Max measured: {} watts", body.power.max));
    lines.add("Cached agfis:".to_owned());
    for image in &body.cached {
        lines.add(format!("   {image}"));
    }
    lines.0
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, line: String) {
        self.0 += &line;
        self.0.push('\n');
    }

    fn bit(&mut self, name: &str, is_set: bool) {
        self.add(format!("{name}={}", u8::from(is_set)));
    }

    fn counter(&mut self, name: &str, counter: AddressCount) {
        self.add(format!("{name}-addr={:#x}", counter.address));
        self.add(format!("{name}-count={}", counter.count));
    }

    fn interrupts(&mut self, seen: InterruptStatus, family: Family, dialect: Dialect) {
        if family == Family::F1 {
            let sdacl = seen.contains(InterruptStatus::SDACL_TIMEOUT);
            self.bit("sdacl-slave-timeout", sdacl);
        }
        let third = match (family, dialect) {
            (Family::F1, Dialect::F1) => ("bar1-slave-timeout", InterruptStatus::BAR1_TIMEOUT),
            _ => ("sda-slave-timeout", InterruptStatus::SDA_TIMEOUT),
        };
        for (name, bit) in [
            (
                "virtual-jtag-slave-timeout",
                InterruptStatus::VIRTUAL_JTAG_TIMEOUT,
            ),
            ("ocl-slave-timeout", InterruptStatus::OCL_TIMEOUT),
            third,
            ("dma-pcis-timeout", InterruptStatus::DMA_PCIS_TIMEOUT),
            ("pcim-range-error", InterruptStatus::PCIM_RANGE_ERROR),
            (
                "pcim-axi-protocol-error",
                InterruptStatus::PCIM_PROTOCOL_ERROR,
            ),
            ("dma-range-error", InterruptStatus::DMA_RANGE_ERROR),
        ] {
            self.bit(name, seen.contains(bit));
        }
    }

    fn protocol_errors(&mut self, seen: ProtocolErrors) {
        for (name, bit) in [
            ("4K-cross", ProtocolErrors::CROSSED_4K),
            ("bus-master-enable", ProtocolErrors::BUS_MASTER_DISABLED),
            ("request-size", ProtocolErrors::REQUEST_SIZE),
            ("write-incomplete", ProtocolErrors::WRITE_INCOMPLETE),
            ("first-byte-enable", ProtocolErrors::FIRST_BYTE_ENABLE),
            ("last-byte-enable", ProtocolErrors::LAST_BYTE_ENABLE),
            ("bready", ProtocolErrors::BREADY_TIMEOUT),
            ("rready", ProtocolErrors::RREADY_TIMEOUT),
            ("wchannel", ProtocolErrors::WCHANNEL_TIMEOUT),
        ] {
            self.bit(
                &format!("pcim-axi-protocol-{name}-error"),
                seen.contains(bit),
            );
        }
    }

    fn counters_of_f1(&mut self, body: &MetricsBody) {
        self.counter("sdacl-slave-timeout", body.sda_timeout);
        self.counter("virtual-jtag-slave-timeout", body.virtual_jtag_timeout);
        self.counter("ocl-slave-timeout", body.ocl_timeout);
        self.counter("bar1-slave-timeout", body.bar1_timeout.unwrap_or_default());
        self.counter("dma-pcis-timeout", body.dma_pcis_timeout);
        self.counter("pcim-range-error", body.pcim_range_error);
        self.counter("pcim-axi-protocol-error", body.pcim_protocol_error);
        self.pcim(body);
    }

    fn counters_of_f2(&mut self, body: &MetricsBody) {
        self.counter("pcim-range-error", body.pcim_range_error);
        self.counter("pcim-axi-protocol-error", body.pcim_protocol_error);
        self.pcim(body);
        self.counter("dma-pcis-timeout", body.dma_pcis_timeout);
        self.counter("ocl-slave-timeout", body.ocl_timeout);
        self.counter("sda-slave-timeout", body.sda_timeout);
        self.counter("virtual-jtag-slave-timeout", body.virtual_jtag_timeout);
        let (writes, reads) = body.virtual_jtag.unwrap_or_default();
        self.add(format!("virtual-jtag-slave-write-count={writes}"));
        self.add(format!("virtual-jtag-slave-read-count={reads}"));
    }

    fn pcim(&mut self, body: &MetricsBody) {
        self.add(format!("pcim-write-count={}", body.pcim_writes));
        self.add(format!("pcim-read-count={}", body.pcim_reads));
    }

    /// Each frequency is followed by two spaces, the last of a line too.
    fn clocks(&mut self, groups: &ClockGroups) {
        for ((name, shown), group) in ["A", "B", "C"].iter().zip(CLOCKS).zip(groups) {
            self.add(format!("Clock Group {name} Frequency (Mhz)"));
            let clocks = group.iter().take(shown);
            self.add(clocks.map(|hz| format!("{}  ", hz / HZ_PER_MHZ)).collect());
        }
    }
}
