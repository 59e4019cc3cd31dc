//! The form of a manifest: lines, keys, encoding.

use super::rig::*;
use crate::manifest::key::Key;
use crate::{FailureCode, Report, Severity};

fn of_text(text: &[u8]) -> Report {
    let archive = Archive::new().file(&format!("to_aws/{DCP}"), &dcp());
    checked(&archive.file(MANIFEST, text).bytes())
}

#[test]
fn a_line_that_is_no_pair_is_found() {
    for (line, fix) in [
        ("# made by hand", "no comments"),
        ("pci_vendor_id: 0x1D0F", "write 'pci_vendor_id='"),
        ("hello", "remove it"),
    ] {
        let report = of_text(format!("{}{line}\n", Lines::f1().text()).as_bytes());
        let finding = only_error(&report, FailureCode::ManifestParseFailed);
        assert!(finding.fix.as_ref().unwrap().contains(fix), "{finding:?}");
        assert_eq!(finding.place.line, Some(29));
        assert_eq!(finding.place.column, Some(1));
    }
}

#[test]
fn a_key_that_is_none_is_told_with_the_one_that_was_meant() {
    let text = Lines::f1().text().replace("tool_version", "tool_versoin");
    let report = of_text(text.as_bytes());
    let warning = only(&report, Severity::Warning);
    assert_eq!(
        warning.fix.as_deref(),
        Some("write 'tool_version', if that is meant")
    );
    let missing = only_error(&report, FailureCode::ManifestParseFailed);
    assert_eq!(missing.place.key, Some("tool_version"));
}

#[test]
fn a_key_that_is_there_twice_is_found() {
    let lines = Lines::f1();
    let again = |value: &str| format!("{}clock_recipe_a={value}\n", lines.text());
    let report = of_text(again("A0").as_bytes());
    only_warning(&report, FailureCode::ManifestParseFailed);
    let report = of_text(again("A1").as_bytes());
    let finding = only_error(&report, FailureCode::ManifestParseFailed);
    assert_eq!(finding.seen.as_deref(), Some("'A1' after 'A0'"));
    assert!(finding.message.contains("in line 23"), "{finding:?}");
}

#[test]
fn space_and_carriage_returns_are_told() {
    let space = Lines::f1()
        .text()
        .replace("tool_version=", "tool_version = ");
    let report = of_text(space.as_bytes());
    let finding = only_warning(&report, FailureCode::ManifestParseFailed);
    assert_eq!(finding.place.line, Some(19));
    let windows = Lines::f1().text().replace('\n', "\r\n");
    let report = of_text(windows.as_bytes());
    only_warning(&report, FailureCode::ManifestParseFailed);
}

#[test]
fn other_encodings_are_found() {
    let text = Lines::f1().text();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let with_mark = ["\u{feff}", &text].concat();
    for bytes in [
        &b""[..],
        &[&[0xFF, 0xFE], &utf16[..]].concat(),
        with_mark.as_bytes(),
    ] {
        only_error(&of_text(bytes), FailureCode::ManifestParseFailed);
    }
    for byte in [0, 0xE4] {
        let mut bytes = text.clone().into_bytes();
        bytes.extend(b"hdk=");
        bytes.push(byte);
        let report = of_text(&bytes);
        let finding = only_error(&report, FailureCode::ManifestParseFailed);
        let place = (finding.place.line, finding.place.column);
        assert_eq!(place, (Some(29), Some(5)));
    }
}

#[test]
fn a_manifest_of_nothing_that_is_known_is_found() {
    let report = of_text(b"\n\n");
    only_error(&report, FailureCode::ManifestParseFailed);
}

#[test]
fn a_manifest_that_is_too_long_is_found() {
    let long = "\n".repeat(crate::limits::MANIFEST) + &Lines::f1().text();
    let report = of_text(long.as_bytes());
    only_error(&report, FailureCode::ManifestParseFailed);
}

#[test]
fn a_value_of_a_manifest_harms_no_terminal() {
    let lines = Lines::f1().with(Key::ToolVersion, "\u{1b}[2J\u{202e}");
    let report = found(&lines);
    let finding = only_error(&report, FailureCode::ToolVersionInvalid);
    assert_eq!(finding.seen.as_deref(), Some("'\\u{1b}[2J\\u{202e}'"));
}

#[test]
fn findings_as_they_are_kept() {
    let lines = Lines::f1()
        .with(Key::VendorId, "0x8086")
        .with(Key::ClockRecipeA, "a1")
        .with(Key::ShellVersion, "0x071417d3")
        .without(Key::ToolVersion);
    let json = serde_json::to_string_pretty(&found(&lines)).unwrap();
    // The packer of the test decides how long a checkpoint is.
    insta::with_settings!({
        filters => [
            (r"\b[0-9a-f]{64}\b", "[sha256]"),
            (r#""bytes": \d+"#, r#""bytes": [bytes]"#),
        ],
    }, { insta::assert_snapshot!(json) });
}
