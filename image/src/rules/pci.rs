//! The four ids that the image will have on the bus.
//!
//! Sources: `AFI_Manifest.md`, `cl_id_defines.vh` (0 and 0x8086 are not valid; with Amazon's vendor id
//! the device is 0xF000 to 0xF0FF), and the text of `PCIID_SYNTAX_INVALID` (1-65535 or 0x0001-0xFFFF).

use std::ops::RangeInclusive;

use afi_proto::PciIds;

use crate::FailureCode;
use crate::finding::{Finding, quoted};
use crate::manifest::key::Key;
use crate::manifest::{Lines, Value};
use crate::report::{Manifest, Report};

/// Amazon's vendor id, and the device ids that images may have with it.
const AMAZON: u16 = 0x1D0F;
const AMAZON_DEVICES: RangeInclusive<u16> = 0xF000..=0xF0FF;
/// Intel's vendor id.
const INTEL: u16 = 0x8086;
/// What a host reads when no function answers (PCI Local Bus 3.0, 6.1).
const NOBODY: u16 = 0xFFFF;

pub(super) fn check(lines: &Lines, manifest: &mut Manifest, report: &mut Report) {
    let ids = Key::IDS.map(|key| {
        let value = lines.get(key).filter(|value| !value.text.is_empty())?;
        Some((id(key, value, report)?, value))
    });
    let [vendor, device, subsystem_vendor, subsystem] = ids;
    if let Some((vendor, value)) = vendor {
        check_vendor(vendor, value, report);
    }
    if let (Some((AMAZON, _)), Some((device, value))) = (vendor, device)
        && !AMAZON_DEVICES.contains(&device)
    {
        report.add(
            forbidden("with Amazon's vendor id this device id is reserved")
                .at(value.place.clone())
                .seen(quoted(&value.text))
                .wanted(
                    format!(
                        "{:#06X} to {:#06X}",
                        AMAZON_DEVICES.start(),
                        AMAZON_DEVICES.end()
                    )
                    .replace("0X", "0x"),
                )
                .fix("choose one of these, or use a vendor id of your own"),
        );
    }
    if let (Some((v, _)), Some((d, _)), Some((sv, _)), Some((s, _))) =
        (vendor, device, subsystem_vendor, subsystem)
    {
        manifest.ids = Some(PciIds::new(v, d, sv, s));
    }
}

fn check_vendor(vendor: u16, value: &Value, report: &mut Report) {
    let found = match vendor {
        INTEL => forbidden("this vendor id is reserved: it is Intel's"),
        NOBODY => Finding::warning(
            FailureCode::PciIdForbidden,
            "a host takes this vendor id for a device that does not answer",
        ),
        _ => return,
    };
    report.add(
        found
            .at(value.place.clone())
            .seen(quoted(&value.text))
            .wanted("a vendor id of your own, or 0x1D0F")
            .fix("write 'pci_vendor_id=0x1D0F', with a device id from 0xF000 to 0xF0FF"),
    );
}

/// One id. What is wrong with it goes into the report, and without a number there is none.
fn id(key: Key, value: &Value, report: &mut Report) -> Option<u16> {
    let wrong = |message: &str, fix: String| {
        Finding::error(FailureCode::PciIdSyntaxInvalid, message)
            .at(value.place.clone())
            .seen(quoted(&value.text))
            .wanted("0x0001 to 0xFFFF")
            .fix(fix)
    };
    let text = &*value.text;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let number = match digits {
        Some(digits) => number(digits, 16),
        None => number(text, 10),
    };
    let name = key.name();
    match number {
        None => {
            let message = format!("{name} is no number");
            report.add(wrong(&message, unprefixed(key, text)));
            None
        }
        Some(0) => {
            report.add(wrong(
                &format!("{name} is zero"),
                "choose another id".to_owned(),
            ));
            None
        }
        Some(number) => {
            let Ok(id) = u16::try_from(number) else {
                let fix = "an id has 16 bits: at most four hexadecimal digits".to_owned();
                report.add(wrong(&format!("{name} is too large"), fix));
                return None;
            };
            if digits.is_some_and(|digits| digits.len() != 4) {
                report.add(short(key, value, id));
            }
            Some(id)
        }
    }
}

/// Digits only; a number that is too large for the type is the largest one.
fn number(digits: &str, radix: u32) -> Option<u32> {
    let are_digits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    are_digits.then(|| u32::from_str_radix(digits, radix).unwrap_or(u32::MAX))
}

/// An id with another number of digits than the build scripts write.
fn short(key: Key, value: &Value, id: u16) -> Finding {
    let found = Finding::warning(
        FailureCode::PciIdSyntaxInvalid,
        format!("{} has not four digits", key.name()),
    );
    let found = found
        .at(value.place.clone())
        .seen(quoted(&value.text))
        .wanted("'0x' and four hexadecimal digits");
    // `lstrip("32'h")` there takes away these digits, too.
    if matches!(key, Key::DeviceId | Key::SubsystemId) {
        let fix = "compare it with cl_id_defines.vh: the build script of F2 loses the digits 2 and 3 \
                   that an id begins with";
        return found.fix(fix);
    }
    found.fix(format!("write '{}={id:#06x}'", key.name()))
}

/// What to do about an id that does not parse.
fn unprefixed(key: Key, text: &str) -> String {
    let digits = text.rsplit(['h', 'H', 'x']).next().unwrap_or(text);
    let is_hex = digits.len() == 4 && digits.chars().all(|c| c.is_ascii_hexdigit());
    if is_hex {
        format!("write '{}=0x{digits}'", key.name())
    } else {
        "write '0x' and four hexadecimal digits, as in cl_id_defines.vh".to_owned()
    }
}

fn forbidden(message: &str) -> Finding {
    Finding::error(FailureCode::PciIdForbidden, message)
}
