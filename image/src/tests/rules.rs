//! Each rule of the manifest and of the checkpoint, broken once.

use afi_proto::{Family, PciIds, ShellVersion};

use super::rig::*;
use crate::manifest::key::Key;
use crate::{CheckOptions, FailureCode, Severity, check};

#[test]
fn what_the_build_scripts_make_is_without_a_finding() {
    for (lines, family) in [(Lines::f1(), Family::F1), (Lines::f2(), Family::F2)] {
        let report = found(&lines);
        assert_eq!(report.findings, []);
        assert_eq!(report.family, Some(family));
        let hash = hash(&dcp());
        assert_eq!(report.members[0].sha256.as_ref(), Some(&hash));
        assert_eq!(report.manifest.unwrap().dcp_hash, Some(hash));
    }
}

#[test]
fn what_the_manifest_says_is_in_the_report() {
    let manifest = found(&Lines::f2()).manifest.unwrap();
    assert_eq!(
        manifest.ids,
        Some(PciIds::new(0x1D0F, 0xF010, 0xFEDC, 0x1D51))
    );
    assert_eq!(manifest.shell_version, Some(ShellVersion(0x1021_2415)));
    assert_eq!(manifest.clock_recipe_hbm.unwrap().to_string(), "H2");
    assert_eq!(manifest.tool_version.as_deref(), Some("v2024.1"));
    assert_eq!(manifest.date.as_deref(), Some("2024_08_21-122520"));
}

#[test]
fn the_manifest_may_come_first_and_under_the_names_of_other_scripts() {
    let manifest = Lines::f1().text();
    let first = Archive::new()
        .member("./to_aws/", tar::EntryType::Directory, b"")
        .file("./to_aws/24_manifest.txt", manifest.as_bytes())
        .file(&format!("./to_aws/{DCP}"), &dcp())
        .file("./to_aws/24.debug_probes.ltx", b"{}");
    assert_eq!(checked(&first.bytes()).findings, []);
}

#[test]
fn every_mandatory_key_is_missed() {
    for key in Key::ALL {
        let is_mandatory = key.is_mandatory(Some(Family::F1)) && key != Key::ShellVersion;
        let lines = Lines::f1().without(key);
        let report = found(&lines);
        assert_eq!(
            !report.is_acceptable(),
            is_mandatory || key == Key::ShellVersion,
            "{key:?}"
        );
        if is_mandatory {
            let code = match Key::IDS.contains(&key) {
                true => FailureCode::PciIdSyntaxInvalid,
                false => FailureCode::ManifestParseFailed,
            };
            let finding = only_error(&report, code);
            assert_eq!(finding.place.key, Some(key.name()));
            let empty = found(&lines.with(key, ""));
            assert_eq!(only_error(&empty, code).place.key, Some(key.name()));
        }
    }
    // The kit of F2 calls the recipes deprecated.
    let without = Lines::f2().without(Key::ClockRecipeA);
    assert_eq!(found(&without).findings, []);
}

#[test]
fn ids_that_are_no_numbers_are_found_at_their_place() {
    for (value, fix) in [
        ("1D0F", "write 'pci_vendor_id=0x1D0F'"),
        ("16'h1D0F", "write 'pci_vendor_id=0x1D0F'"),
        ("amazon", "write '0x'"),
        ("0x", "write '0x'"),
        ("0x1D0G", "write '0x'"),
        ("-5", "write '0x'"),
        ("+5", "write '0x'"),
        ("0x10000", "16 bits"),
        ("99999999999999999999", "16 bits"),
        ("0x0000", "choose another"),
        ("0", "choose another"),
    ] {
        let report = found(&Lines::f1().with(Key::VendorId, value));
        let finding = only_error(&report, FailureCode::PciIdSyntaxInvalid);
        assert_eq!(finding.seen, Some(format!("'{value}'")));
        assert!(finding.fix.as_ref().unwrap().contains(fix), "{finding:?}");
        assert_eq!(
            (finding.place.line, finding.place.column),
            (Some(3), Some(15))
        );
        assert_eq!(report.manifest.as_ref().unwrap().ids, None);
    }
    for key in [Key::SubsystemId, Key::SubsystemVendorId] {
        let report = found(&Lines::f1().with(key, "0x0000"));
        only_error(&report, FailureCode::PciIdSyntaxInvalid);
    }
}

#[test]
fn reserved_ids_are_found() {
    let intel = found(&Lines::f1().with(Key::VendorId, "0x8086"));
    only_error(&intel, FailureCode::PciIdForbidden);
    for device in ["0xEFFF", "0xF100", "0x1042"] {
        let report = found(&Lines::f1().with(Key::DeviceId, device));
        let finding = only_error(&report, FailureCode::PciIdForbidden);
        assert_eq!(finding.place.key, Some("pci_device_id"));
        assert_eq!(finding.wanted.as_deref(), Some("0xF000 to 0xF0FF"));
    }
    assert_eq!(
        found(&Lines::f1().with(Key::DeviceId, "0xF0FF")).findings,
        []
    );
    let own = Lines::f1()
        .with(Key::VendorId, "4660")
        .with(Key::DeviceId, "1");
    assert_eq!(found(&own).findings, []);
    let nobody = found(&Lines::f1().with(Key::VendorId, "0xFFFF"));
    only_warning(&nobody, FailureCode::PciIdForbidden);
}

#[test]
fn an_id_that_lost_digits_is_told() {
    let lines = Lines::f2()
        .with(Key::VendorId, "0x1234")
        .with(Key::DeviceId, "0x10");
    let report = found(&lines);
    let finding = only_warning(&report, FailureCode::PciIdSyntaxInvalid);
    assert!(finding.fix.as_ref().unwrap().contains("cl_id_defines.vh"));
}

#[test]
fn shells_that_slots_do_not_run_are_found() {
    for (version, code) in [
        ("latest", FailureCode::ShellVersionInvalid),
        ("0x12345678", FailureCode::ShellVersionInvalid),
        ("0x071417d3", FailureCode::ShellVersionDeprecated),
        ("0x04151701", FailureCode::ShellVersionDeprecated),
    ] {
        let report = found(&Lines::f1().with(Key::ShellVersion, version));
        let finding = only_error(&report, code);
        assert!(
            finding.wanted.as_ref().unwrap().contains("0x04261818"),
            "{finding:?}"
        );
    }
    let announced = found(&Lines::f2().with(Key::ShellVersion, "0x10162423"));
    only_error(&announced, FailureCode::ShellVersionInvalid);
}

#[test]
fn a_shell_of_the_other_family_is_found() {
    let options = CheckOptions {
        family: Some(Family::F2),
    };
    let lines = Lines::f2().with(Key::ShellVersion, "0x04261818");
    let report = check(&archive(&lines.text())[..], &options).unwrap();
    let finding = only_error(&report, FailureCode::ShellVersionInvalid);
    assert!(finding.wanted.as_ref().unwrap().contains("0x10212415"));
    assert_eq!(report.family, Some(Family::F2));
}

#[test]
fn recipes_that_are_none_are_found() {
    for (key, value, fix) in [
        (Key::ClockRecipeA, "A3", "the design was built with"),
        (Key::ClockRecipeA, "a1", "write 'A1'"),
        (Key::ClockRecipeA, "B0", "the design was built with"),
        (Key::ClockRecipeB, "B6", "the design was built with"),
        (Key::ClockRecipeC, "C4", "the design was built with"),
        (Key::ClockRecipeC, "250", "the design was built with"),
    ] {
        let report = found(&Lines::f1().with(key, value));
        let finding = only_error(&report, FailureCode::ClkIllegal);
        assert_eq!(finding.place.key, Some(key.name()));
        assert!(finding.fix.as_ref().unwrap().contains(fix), "{finding:?}");
    }
    let f1 = found(&Lines::f1().with(Key::ClockRecipeA, "A9"));
    let wanted = only(&f1, Severity::Error).wanted.clone().unwrap();
    assert!(
        wanted.starts_with("A0 (125/62.5/187.5/250 MHz), A1 (250/"),
        "{wanted}"
    );
    let f2 = found(&Lines::f2().with(Key::ClockRecipeHbm, "H5"));
    let finding = only_error(&f2, FailureCode::ClkIllegal);
    assert!(finding.fix.as_ref().unwrap().contains("no table has it"));
}

#[test]
fn clocks_of_hbm_are_told_where_there_is_none() {
    let report = found(&Lines::f1().with(Key::ClockRecipeHbm, "H2"));
    only_warning(&report, FailureCode::ClkIllegal);
}

#[test]
fn what_a_design_without_a_recipe_gets_is_told() {
    let report = found(&Lines::f1().without(Key::ClockRecipeB));
    let note = only(&report, Severity::Note);
    assert!(note.message.contains("B0, 250/125 MHz"), "{note:?}");
}

#[test]
fn frequencies_of_vitis_take_the_place_of_recipes() {
    let vitis = Lines::f1()
        .without(Key::ClockRecipeA)
        .without(Key::ClockRecipeB)
        .without(Key::ClockRecipeC)
        .with(Key::ClockMainA0, "250")
        .with(Key::ClockExtraB0, "250")
        .with(Key::ClockExtraC0, "300");
    assert_eq!(found(&vitis).findings, []);
    for value in ["fast", "0", "-1", "inf", "1e3"] {
        let wrong = found(&vitis.clone().with(Key::ClockExtraB0, value));
        only_error(&wrong, FailureCode::ClkIllegal);
    }
    let both = found(&vitis.with(Key::ClockRecipeA, "A1"));
    only_warning(&both, FailureCode::ClkIllegal);
    let f2 = found(
        &Lines::f2()
            .without(Key::ClockRecipeB)
            .with(Key::ClockExtraB0, "250"),
    );
    only_warning(&f2, FailureCode::ClkIllegal);
}

#[test]
fn tools_that_are_none_or_too_old_are_found() {
    for value in ["2021.2", "v2021", "v2019.1_AR73068", "Vivado v2021.2"] {
        let report = found(&Lines::f1().with(Key::ToolVersion, value));
        only_error(&report, FailureCode::ToolVersionInvalid);
    }
    let old = found(&Lines::f1().with(Key::ToolVersion, "v2017.4"));
    only_warning(&old, FailureCode::ToolVersionInvalid);
    let new = found(&Lines::f2().with(Key::ToolVersion, "v2031.1"));
    only(&new, Severity::Note);
    let bare = found(&Lines::f2().with(Key::ToolVersion, "2024.1"));
    assert_eq!(bare.findings, []);
}

#[test]
fn a_date_in_another_form_is_told() {
    let f1 = found(&Lines::f1().with(Key::Date, "yesterday"));
    only_warning(&f1, FailureCode::ManifestParseFailed);
    let f2 = found(&Lines::f2().with(Key::Date, "mytag"));
    only(&f2, Severity::Note);
}

#[test]
fn another_version_of_the_format_is_found() {
    let report = found(&Lines::f1().with(Key::FormatVersion, "1"));
    only_error(&report, FailureCode::ManifestParseFailed);
}

#[test]
fn a_checkpoint_of_another_name_is_found_and_checked_all_the_same() {
    let lines = Lines::f1().with(Key::DcpFileName, "other.dcp");
    let report = found(&lines.clone().with(Key::DcpHash, &"0".repeat(64)));
    let codes: Vec<_> = report.findings.iter().filter_map(|f| f.code).collect();
    let both = [
        FailureCode::DcpNotFound,
        FailureCode::DcpIntegrityUnverified,
    ];
    assert_eq!(codes, both);
    let report = found(&lines);
    let finding = only_error(&report, FailureCode::DcpNotFound);
    let fix = finding.fix.as_ref().unwrap();
    assert!(fix.contains(&format!("dcp_file_name={DCP}")), "{fix}");
    let path = found(&Lines::f1().with(Key::DcpFileName, &format!("to_aws/{DCP}")));
    only_error(&path, FailureCode::DcpNotFound);
}

#[test]
fn a_wrong_hash_is_found() {
    let report = found(&Lines::f1().with(Key::DcpHash, &"0".repeat(64)));
    let finding = only_error(&report, FailureCode::DcpIntegrityUnverified);
    let fix = finding.fix.as_ref().unwrap();
    assert!(fix.contains(&format!("dcp_hash={}", hash(&dcp()))), "{fix}");
    for value in ["abc", &"g".repeat(64), &"0".repeat(65)] {
        let report = found(&Lines::f1().with(Key::DcpHash, value));
        only_error(&report, FailureCode::DcpIntegrityUnverified);
    }
    let capitals = hash(&dcp()).to_uppercase();
    let report = found(&Lines::f1().with(Key::DcpHash, &capitals));
    only_warning(&report, FailureCode::DcpIntegrityUnverified);
}

#[test]
fn a_hash_of_another_checkpoint_is_recognised() {
    let manifest = Lines::f1().with(Key::DcpHash, &hash(b"older")).text();
    let archive = Archive::new()
        .file("to_aws/older.dcp", b"older")
        .file(&format!("to_aws/{DCP}"), &dcp())
        .file(MANIFEST, manifest.as_bytes());
    let report = checked(&archive.bytes());
    let finding = only_error(&report, FailureCode::DcpIntegrityUnverified);
    assert!(finding.fix.as_ref().unwrap().contains("'to_aws/older.dcp'"));
    let note = only(&report, Severity::Note);
    assert_eq!(note.place.member.as_deref(), Some("to_aws/older.dcp"));
}

/// The archive with another checkpoint, whose hash is in the manifest.
fn with_checkpoint(lines: Lines, dcp: &[u8]) -> crate::Report {
    let manifest = lines.with(Key::DcpHash, &hash(dcp)).text();
    let archive = Archive::new().file(&format!("to_aws/{DCP}"), dcp);
    checked(&archive.file(MANIFEST, manifest.as_bytes()).bytes())
}

#[test]
fn what_is_no_checkpoint_is_found() {
    for damaged in [&b""[..], b"hello", &dcp()[..2000]] {
        let report = with_checkpoint(Lines::f1(), damaged);
        only_error(&report, FailureCode::DcpCorrupt);
    }
    let no_design = crate::checkpoint::tests::zip(&[("readme", b"hello")]);
    let report = with_checkpoint(Lines::f1(), &no_design);
    only_warning(&report, FailureCode::DcpCorrupt);
}

#[test]
fn a_netlist_in_plain_text_is_told_where_it_matters() {
    let plain = crate::checkpoint::tests::zip(&[("dcp.xml", b""), ("top.edf", b"(edif top")]);
    let report = with_checkpoint(Lines::f1(), &plain);
    let finding = only_warning(&report, FailureCode::DcpNotEncrypted);
    assert_eq!(finding.seen.as_deref(), Some("'top.edf'"));
    assert_eq!(with_checkpoint(Lines::f2(), &plain).findings, []);
}

#[test]
fn what_is_not_there_is_found() {
    let empty = checked(&Archive::new().bytes());
    let codes: Vec<_> = empty.findings.iter().filter_map(|f| f.code).collect();
    assert_eq!(
        codes,
        [FailureCode::ManifestNotFound, FailureCode::DcpNotFound]
    );
    let only_manifest = Archive::new().file(MANIFEST, Lines::f1().text().as_bytes());
    let report = checked(&only_manifest.bytes());
    only_error(&report, FailureCode::DcpNotFound);
    let only_dcp = Archive::new().file(&format!("to_aws/{DCP}"), &dcp());
    only_error(&checked(&only_dcp.bytes()), FailureCode::ManifestNotFound);
}

#[test]
fn two_manifests_are_found() {
    let manifest = Lines::f1().text();
    let archive = Archive::new()
        .file(&format!("to_aws/{DCP}"), &dcp())
        .file(MANIFEST, manifest.as_bytes())
        .file("to_aws/old.manifest.txt", manifest.as_bytes());
    let report = checked(&archive.bytes());
    let finding = only_error(&report, FailureCode::ManifestParseFailed);
    assert!(finding.seen.as_ref().unwrap().contains("old.manifest.txt"));
}

#[test]
fn files_in_the_wrong_place_are_told() {
    let manifest = Lines::f1().text();
    let archive = Archive::new().file(DCP, &dcp());
    let archive = archive
        .file("24.manifest.txt", manifest.as_bytes())
        .file("notes", b"");
    let report = checked(&archive.bytes());
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|f| (f.severity, f.code))
        .collect();
    assert_eq!(
        found,
        [
            (Severity::Warning, Some(FailureCode::DcpNotFound)),
            (Severity::Warning, Some(FailureCode::ManifestNotFound)),
            (Severity::Note, None),
        ]
    );
}
