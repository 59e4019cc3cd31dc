//! The JSON form of PCI ids: `{"vendor": "0x1d0f", …}`, or null.

use afi_proto::PciIds;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
struct Text {
    vendor: String,
    device: String,
    subsystem_vendor: String,
    subsystem: String,
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(super) fn serialize<S: Serializer>(ids: &Option<PciIds>, to: S) -> Result<S::Ok, S::Error> {
    let text = |id: u16| format!("{id:#06x}");
    ids.map(|ids| Text {
        vendor: text(ids.vendor),
        device: text(ids.device),
        subsystem_vendor: text(ids.subsystem_vendor),
        subsystem: text(ids.subsystem),
    })
    .serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PciIds>, D::Error> {
    let Some(text) = Option::<Text>::deserialize(from)? else {
        return Ok(None);
    };
    let id = |text: &str| parse_pci_id(text).ok_or_else(|| D::Error::custom(not_a_pci_id(text)));
    Ok(Some(PciIds::new(
        id(&text.vendor)?,
        id(&text.device)?,
        id(&text.subsystem_vendor)?,
        id(&text.subsystem)?,
    )))
}

/// Parses one id as the EC2 API writes it: `0x` and 1 to 4 hexadecimal digits.
pub(crate) fn parse_pci_id(text: &str) -> Option<u16> {
    text.strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        // A sign is none of the digits that the API writes, but `from_str_radix` takes one.
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|digits| u16::from_str_radix(digits, 16).ok())
}

/// What is wrong with a text that [`parse_pci_id`] does not take.
pub(crate) fn not_a_pci_id(text: &str) -> String {
    format!("'{text}' is not a PCI id; wanted '0x' and up to 4 hexadecimal digits, such as 0x1d0f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_the_api_writes_them_and_nothing_else() {
        assert_eq!(parse_pci_id("0x1d0f"), Some(0x1D0F));
        assert_eq!(parse_pci_id("0XFEDD"), Some(0xFEDD));
        assert_eq!(parse_pci_id("0x1"), Some(1));
        for text in ["", "0x", "1d0f", "0x1d0f0", "0x+1d0", "0x1d0g", " 0x1d0f"] {
            assert_eq!(parse_pci_id(text), None, "{text}");
        }
    }
}
