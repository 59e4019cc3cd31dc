//! What a shell counted, as JSON and as text.

use afi_proto::AgfiId;
use afi_proto::mailbox::{AddressCount, MetricsBody};
use bitflags::Flags;
use serde::Serialize;

use super::table::pairs;

/// The counters and readings of a shell, as they are written. What a family does not have is null.
#[derive(Debug, Clone, Serialize)]
pub struct MetricsReport {
    /// Events since they were cleared, by name.
    pub interrupts: Vec<String>,
    /// How PCIM accesses broke the AXI protocol, by name.
    pub pcim_protocol_errors: Vec<String>,
    /// Accesses that were not answered, or not right.
    pub timeouts: Timeouts,
    /// Accesses of the design to the host's memory.
    pub pcim: Accesses,
    /// Accesses of virtual JTAG.
    pub virtual_jtag: Option<Accesses>,
    /// Accesses of the DDR interfaces.
    pub ddr: Vec<Accesses>,
    /// Frequencies of the clocks in Hz, by group A, B, C; clocks that are not there are left out.
    pub clocks_hz: Vec<Vec<u64>>,
    /// Power in watts.
    pub power_watts: Watts,
    /// The images in the slot's cache, most recently used first.
    pub cached_images: Vec<AgfiId>,
    /// Flags of the shell; no public document names them.
    pub flags: u64,
}

/// Accesses that were not answered, or not right.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Timeouts {
    /// Through OCL.
    pub ocl: Counted,
    /// Through SDA.
    pub sda: Counted,
    /// Through BAR1; F1 only.
    pub bar1: Option<Counted>,
    /// Through PCIS.
    pub dma_pcis: Counted,
    /// Of virtual JTAG.
    pub virtual_jtag: Counted,
    /// Through PCIM, outside its range.
    pub pcim_range: Counted,
    /// Through PCIM, against the AXI protocol.
    pub pcim_protocol: Counted,
}

/// A count, and the last address counted.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Counted {
    /// How many.
    pub count: u32,
    /// The last address. The low two bits tell the direction of an access that was not answered:
    /// 1 read, 2 write.
    pub address: u64,
}

/// Writes and reads.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Accesses {
    /// Writes.
    pub writes: u64,
    /// Reads.
    pub reads: u64,
}

/// Power in watts.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Watts {
    /// The last reading.
    pub last: u64,
    /// The mean since the load.
    pub mean: u64,
    /// The maximum since the load.
    pub max: u64,
}

impl From<AddressCount> for Counted {
    fn from(AddressCount { address, count }: AddressCount) -> Self {
        Self { count, address }
    }
}

impl From<&MetricsBody> for MetricsReport {
    fn from(body: &MetricsBody) -> Self {
        Self {
            interrupts: names(body.interrupts),
            pcim_protocol_errors: names(body.pcim_protocol_errors),
            timeouts: Timeouts {
                ocl: body.ocl_timeout.into(),
                sda: body.sda_timeout.into(),
                bar1: body.bar1_timeout.map(Into::into),
                dma_pcis: body.dma_pcis_timeout.into(),
                virtual_jtag: body.virtual_jtag_timeout.into(),
                pcim_range: body.pcim_range_error.into(),
                pcim_protocol: body.pcim_protocol_error.into(),
            },
            pcim: Accesses {
                writes: body.pcim_writes,
                reads: body.pcim_reads,
            },
            virtual_jtag: body.virtual_jtag.map(|(writes, reads)| Accesses {
                writes: writes.into(),
                reads: reads.into(),
            }),
            ddr: body
                .ddr
                .iter()
                .map(|ddr| Accesses {
                    writes: ddr.writes,
                    reads: ddr.reads,
                })
                .collect(),
            clocks_hz: body
                .clocks_hz
                .iter()
                .map(|group| group.iter().copied().filter(|hz| *hz != 0).collect())
                .collect(),
            power_watts: Watts {
                last: body.power.last,
                mean: body.power.mean,
                max: body.power.max,
            },
            cached_images: body.cached.clone(),
            flags: body.flags,
        }
    }
}

impl MetricsReport {
    /// For people, a line for each.
    pub fn to_text(&self) -> String {
        let or_none = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        let timeouts = &self.timeouts;
        let mut lines = vec![
            ("interrupts", or_none(&self.interrupts)),
            ("PCIM protocol errors", or_none(&self.pcim_protocol_errors)),
            ("OCL timeouts", counted(timeouts.ocl)),
            ("SDA timeouts", counted(timeouts.sda)),
        ];
        lines.extend(timeouts.bar1.map(|bar1| ("BAR1 timeouts", counted(bar1))));
        lines.extend([
            ("PCIS timeouts", counted(timeouts.dma_pcis)),
            ("virtual JTAG timeouts", counted(timeouts.virtual_jtag)),
            ("PCIM out of range", counted(timeouts.pcim_range)),
            ("PCIM against protocol", counted(timeouts.pcim_protocol)),
            ("PCIM", accesses(self.pcim)),
        ]);
        lines.extend(
            self.virtual_jtag
                .map(|jtag| ("virtual JTAG", accesses(jtag))),
        );
        const DDR: [&str; 4] = ["DDR 0", "DDR 1", "DDR 2", "DDR 3"];
        let ddr = self.ddr.iter().map(|ddr| accesses(*ddr));
        lines.extend(DDR.into_iter().zip(ddr));
        let clocks = self.clocks_hz.iter().map(|group| mhz(group));
        lines.extend(["clocks A", "clocks B", "clocks C"].into_iter().zip(clocks));
        let Watts { last, mean, max } = self.power_watts;
        lines.push(("power", format!("{last} W, mean {mean} W, maximum {max} W")));
        let cached: Vec<String> = self.cached_images.iter().map(AgfiId::to_string).collect();
        lines.push(("cached images", or_none(&cached)));
        pairs(lines)
    }
}

/// The names of flags, as this project writes names: `ocl-timeout`. A bit without a name is
/// `bit-15`.
fn names<F: Flags<Bits = u32> + Copy>(flags: F) -> Vec<String> {
    let mut names = flags.iter_names();
    let mut all: Vec<String> = names
        .by_ref()
        .map(|(name, _)| name.to_ascii_lowercase().replace('_', "-"))
        .collect();
    let rest = names.remaining().bits();
    let unnamed = (0..u32::BITS).filter(|bit| rest & (1 << bit) != 0);
    all.extend(unnamed.map(|bit| format!("bit-{bit}")));
    all
}

fn counted(counted: Counted) -> String {
    match counted {
        Counted { count: 0, .. } => "0".to_owned(),
        Counted { count, address } => format!("{count}, last at {address:#x}"),
    }
}

fn accesses(Accesses { writes, reads }: Accesses) -> String {
    format!("{writes} writes, {reads} reads")
}

fn mhz(clocks: &[u64]) -> String {
    if clocks.is_empty() {
        return "off".to_owned();
    }
    let each: Vec<String> = clocks
        .iter()
        .map(|hz| format!("{}", *hz as f64 / 1e6))
        .collect();
    format!("{} MHz", each.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use afi_proto::mailbox::{DdrCounts, InterruptStatus};

    #[test]
    fn what_was_counted_is_written_by_name_and_what_a_family_lacks_is_null() {
        let mut body = MetricsBody {
            interrupts: InterruptStatus::OCL_TIMEOUT | InterruptStatus::from_bits_retain(1 << 15),
            ocl_timeout: AddressCount {
                address: 0x501,
                count: 3,
            },
            ddr: vec![DdrCounts {
                writes: 4,
                reads: 5,
            }],
            virtual_jtag: Some((1, 2)),
            ..MetricsBody::default()
        };
        body.clocks_hz[0][..2].copy_from_slice(&[125_000_000, 62_500_000]);
        let report = MetricsReport::from(&body);
        let json = super::super::to_value(&report);
        assert_eq!(
            json["interrupts"],
            serde_json::json!(["ocl-timeout", "bit-15"])
        );
        assert_eq!(json["timeouts"]["ocl"]["count"], 3);
        assert!(json["timeouts"]["bar1"].is_null());
        assert_eq!(
            json["clocks_hz"],
            serde_json::json!([[125_000_000, 62_500_000], [], []])
        );
        let text = report.to_text();
        for line in [
            "  OCL timeouts           3, last at 0x501\n",
            "  clocks A               125, 62.5 MHz\n",
            "  clocks B               off\n",
            "  DDR 0                  4 writes, 5 reads\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
