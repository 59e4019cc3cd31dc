//! Which keys a manifest has to have, and which version of the format it is.

use afi_proto::Family;

use super::WRITE;
use crate::FailureCode;
use crate::finding::{Finding, quoted};
use crate::manifest::Lines;
use crate::manifest::key::Key;
use crate::report::Report;

/// The one version of the format that is taken since Vivado 2017.4.
const FORMAT_VERSION: &str = "2";

pub(super) fn check(lines: &Lines, family: Option<Family>, report: &mut Report) {
    for key in Key::ALL {
        match lines.get(key) {
            None if key.is_mandatory(family) && !is_replaced(lines, key) => {
                let found = Finding::error(code(key), format!("{} is missing", key.name()));
                let fix = format!("add the line '{}={}'", key.name(), example(key));
                report.add(found.at(lines.place_of(key)).fix(fix));
            }
            Some(value) if value.text.is_empty() => {
                let message = format!("{} has no value", key.name());
                let found = if key.is_mandatory(family) {
                    Finding::error(code(key), message)
                } else {
                    Finding::warning(FailureCode::ManifestParseFailed, message)
                };
                let fix = format!("write '{}={}'", key.name(), example(key));
                report.add(found.at(value.place.clone()).fix(fix));
            }
            _ => {}
        }
    }
    if let Some(version) = lines.get(Key::FormatVersion)
        && version.text != FORMAT_VERSION
        && !version.text.is_empty()
    {
        report.add(
            Finding::error(
                FailureCode::ManifestParseFailed,
                "the manifest is of another version of the format",
            )
            .at(version.place.clone())
            .seen(quoted(&version.text))
            .wanted(quoted(FORMAT_VERSION))
            .fix(WRITE),
        );
    }
}

/// Whether another key says the same: the scripts of Vitis give a frequency instead of a recipe.
fn is_replaced(lines: &Lines, key: Key) -> bool {
    key == Key::ClockRecipeA && lines.get(Key::ClockMainA0).is_some()
}

/// The code for a mandatory key without a value. Only that of the ids says so in its text.
fn code(key: Key) -> FailureCode {
    if Key::IDS.contains(&key) {
        FailureCode::PciIdSyntaxInvalid
    } else {
        FailureCode::ManifestParseFailed
    }
}

/// A value as it may be.
fn example(key: Key) -> &'static str {
    match key {
        Key::FormatVersion => "2",
        Key::VendorId => "0x1D0F",
        Key::DeviceId => "0xF000",
        Key::SubsystemId => "0x1D51",
        Key::SubsystemVendorId => "0xFEDD",
        Key::DcpHash => "…', with what 'sha256sum' prints of the checkpoint; or 'afi image pack",
        Key::ShellVersion => "0x04261818', or 0x10212415 on F2; or 'afi image pack",
        Key::DcpFileName => "NAME.dcp",
        Key::HdkVersion => "1.4.24",
        Key::ToolVersion => "v2021.2",
        Key::Date => "24_01_31-235959",
        Key::ClockRecipeA => "A0",
        Key::ClockRecipeB => "B0",
        Key::ClockRecipeC => "C0",
        Key::ClockRecipeHbm => "H2",
        Key::ClockMainA0 | Key::ClockExtraB0 | Key::ClockExtraC0 => "250",
    }
}
