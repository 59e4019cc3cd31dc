//! The usage texts, as the tools print them for `-h` and for a mistake.
//!
//! They are in files of their own, each as its tool prints it, spaces at line ends included. Where
//! the F1 tools (aws-fpga, branch `master`) and the F2 tools (branch `f2`) differ, there are two.

use super::{Dialect, Tool};

/// The usage text of a tool.
pub(super) const fn of(tool: Tool, dialect: Dialect) -> &'static str {
    match (tool, dialect) {
        (Tool::DescribeSlots, _) => include_str!("usage/fpga-describe-local-image-slots.txt"),
        (Tool::Describe, Dialect::F1) => include_str!("usage/fpga-describe-local-image.f1.txt"),
        (Tool::Describe, Dialect::F2) => include_str!("usage/fpga-describe-local-image.txt"),
        (Tool::Load, Dialect::F1) => include_str!("usage/fpga-load-local-image.f1.txt"),
        (Tool::Load, Dialect::F2) => include_str!("usage/fpga-load-local-image.txt"),
        (Tool::Clear, _) => include_str!("usage/fpga-clear-local-image.txt"),
        (Tool::GetLed, _) => include_str!("usage/fpga-get-virtual-led.txt"),
        (Tool::GetDip, _) => include_str!("usage/fpga-get-virtual-dip-switch.txt"),
        (Tool::SetDip, Dialect::F1) => include_str!("usage/fpga-set-virtual-dip-switch.f1.txt"),
        (Tool::SetDip, Dialect::F2) => include_str!("usage/fpga-set-virtual-dip-switch.txt"),
        (Tool::StartJtag, _) => include_str!("usage/fpga-start-virtual-jtag.txt"),
    }
}
