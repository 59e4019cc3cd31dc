//! The options of each tool.
//!
//! Source: the tables in `fpga_local_cmd_parse.c`, branches `f2` and `master` together.

use super::Tool;
use super::getopt::{Definition, Long};

/// The options of a tool.
pub(super) const fn of(tool: Tool) -> Definition {
    match tool {
        Tool::Load => Definition {
            short: "S:I:r:s:a:b:c:AH?hVFDP",
            long: const {
                &[
                    value("fpga-image-slot", 'S'),
                    value("fpga-image-id", 'I'),
                    value("request-timeout", 'r'),
                    value("sync-timeout", 's'),
                    value("clock-a0-freq", 'a'),
                    value("clock-b0-freq", 'b'),
                    value("clock-c0-freq", 'c'),
                    flag("async", 'A'),
                    flag("headers", 'H'),
                    flag("help", 'h'),
                    flag("version", 'V'),
                    flag("force-shell-reload", 'F'),
                    flag("dram-data-retention", 'D'),
                    flag("prefetch-image", 'P'),
                ]
            },
        },
        Tool::Clear => Definition {
            short: "S:r:s:AH?hV",
            long: const {
                &[
                    value("fpga-image-slot", 'S'),
                    value("request-timeout", 'r'),
                    value("sync-timeout", 's'),
                    flag("async", 'A'),
                    flag("headers", 'H'),
                    flag("help", 'h'),
                    flag("version", 'V'),
                ]
            },
        },
        Tool::Describe => Definition {
            short: "S:MCLr:RH?hV",
            long: const {
                &[
                    value("fpga-image-slot", 'S'),
                    flag("metrics", 'M'),
                    flag("clear-metrics", 'C'),
                    flag("clear-cache", 'L'),
                    value("request-timeout", 'r'),
                    flag("rescan", 'R'),
                    flag("headers", 'H'),
                    flag("help", 'h'),
                    flag("version", 'V'),
                ]
            },
        },
        Tool::DescribeSlots => Definition {
            short: "r:H?hVM",
            long: const {
                &[
                    value("request-timeout", 'r'),
                    flag("headers", 'H'),
                    flag("help", 'h'),
                    flag("version", 'V'),
                    flag("show-mbox", 'M'),
                ]
            },
        },
        Tool::GetLed | Tool::GetDip => Definition {
            short: "S:RH?hV",
            long: const {
                &[
                    value("fpga-image-slot", 'S'),
                    flag("headers", 'H'),
                    flag("help", 'h'),
                    flag("version", 'V'),
                ]
            },
        },
        Tool::SetDip => Definition {
            short: "S:D:RH?hV",
            long: const {
                &[
                    value("fpga-image-slot", 'S'),
                    value("virtual-dip", 'D'),
                    flag("headers", 'H'),
                    flag("help", 'h'),
                    flag("version", 'V'),
                ]
            },
        },
        Tool::StartJtag => Definition {
            short: "S:P:RH?hV",
            long: const {
                &[
                    value("fpga-image-slot", 'S'),
                    value("tcp-port", 'P'),
                    flag("headers", 'H'),
                    flag("help", 'h'),
                    flag("version", 'V'),
                ]
            },
        },
    }
}

const fn flag(name: &'static str, short: char) -> Long {
    Long {
        name,
        short,
        takes_value: false,
    }
}

const fn value(name: &'static str, short: char) -> Long {
    Long {
        name,
        short,
        takes_value: true,
    }
}
