//! The program `afi` where there is no instance: what it says, and with which code it ends.

use std::process::{Command, Output};

fn afi(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afi"));
    for name in ["AFI_BUS", "AFI_CONFIG", "AFI_STATE_DIR", "AFI_TIMEOUT"] {
        command.env_remove(name);
    }
    command.args(words).output().expect("afi can be run")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("output is UTF-8")
}

#[test]
fn it_tells_its_version() {
    let output = afi(&["--version"]);
    assert!(output.status.success());
    assert_eq!(
        text(&output.stdout),
        concat!("afi ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn without_a_command_it_shows_what_there_is() {
    let output = afi(&[]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for command in ["list", "describe", "load", "clear", "peek", "poke"] {
        assert!(said.contains(command), "no '{command}' in {said}");
    }
}

#[test]
fn an_instance_that_is_not_there_is_not_found() {
    for words in [
        &["list"][..],
        &["describe"],
        &["load", "0", "agfi-0fedcba9876543210", "--offline"],
        &["clear", "all"],
        &["peek", "0", "0x500"],
    ] {
        let mut all = vec!["--bus", "socket:/nonexistent"];
        all.extend(words);
        let output = afi(&all);
        assert_eq!(output.status.code(), Some(3), "{words:?}: {output:?}");
        let said = text(&output.stderr);
        assert!(
            said.contains("/nonexistent") && said.contains("help:"),
            "{said}"
        );
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn errors_are_json_where_json_was_asked_for() {
    let output = afi(&[
        "list",
        "--bus",
        "socket:/nonexistent",
        "--output-format",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(3));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["error"]["class"], "not-found");
    assert_eq!(document["error"]["exit_code"], 3);
}

#[test]
fn a_completion_script_needs_no_instance() {
    let output = afi(&["completions", "bash"]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("_afi()"), "{output:?}");
}

#[test]
fn a_tarball_is_checked_without_an_instance() {
    let output = afi(&["image", "check", "/dev/null", "--output-format", "json"]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(document["instance"].is_null(), "{document}");
    assert_eq!(document["check"]["failure"], "INPUT_SIZE_ILLEGAL");
    assert_eq!(document["error"]["class"], "mismatch");
    // Standard input is empty under `output`.
    let output = afi(&["image", "check", "-"]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(
        text(&output.stdout).contains("INPUT_SIZE_ILLEGAL"),
        "{output:?}"
    );
    let output = afi(&["image", "check", "/nonexistent.tar"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}
