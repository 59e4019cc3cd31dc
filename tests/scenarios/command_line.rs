//! What a person reads, word by word. `INSTA_UPDATE=always cargo test -p afi-tests --test
//! command_line` writes the snapshots anew; read the difference before committing it.

use afi_rig::{Output, Sim};

/// All that a command said, with what differs from run to run replaced.
fn said(sim: &Sim, words: &str) -> String {
    let Output {
        code,
        stdout,
        stderr,
        ..
    } = sim.afi(words);
    let text = format!(
        "$ afi {words}\n{stdout}{}exit code {}\n",
        if stderr.is_empty() {
            String::new()
        } else {
            format!("--- stderr\n{stderr}---\n")
        },
        code.map_or("none".to_owned(), |code| code.to_string())
    );
    text.replace(&sim.directory().display().to_string(), "DIR")
}

/// Compares with the snapshot of this name; times are any.
macro_rules! assert_said {
    ($name:literal, $text:expr) => {
        insta::with_settings!({
            filters => [
                (r"\b\d+(\.\d+)? (ms|µs|s)\b", "[time]"),
                (r#""(duration_ms|pause_ms)": [0-9.]+"#, "\"$1\": [time]"),
                (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
                (r"(\[time\]) +", "$1 "),
                (r"\d+ seconds? ago", "[time] ago"),
            ],
            prepend_module_to_snapshot => false,
        }, { insta::assert_snapshot!($name, $text) });
    };
}

#[test]
fn results() {
    let sim = Sim::f1().slots(2).start();
    let mut text = String::new();
    for words in [
        "list",
        "describe",
        "load 0 cl_hello_world --dry-run",
        "load 0 cl_hello_world",
        "load 0 cl_hello_world --offline",
        "describe 0 --metrics",
        "peek 0 0x500 --count 3",
        "poke 0 0x500 0xefbeadde",
        "dip set 0 1111000011110000",
        "dip get 0",
        "led 0",
        "load 1 cl_dram_dma --prefetch",
        "clear all",
    ] {
        text.push_str(&said(&sim, words));
        text.push('\n');
    }
    assert_said!("results", text);
}

#[test]
fn results_on_f2() {
    let sim = Sim::f2().start();
    let mut text = String::new();
    for words in [
        "list",
        "load 0 cl_axil_reg_access",
        "describe 0 --metrics",
        "clear 0",
    ] {
        text.push_str(&said(&sim, words));
        text.push('\n');
    }
    assert_said!("results_on_f2", text);
}

#[test]
fn json() {
    let sim = Sim::f1().start();
    let mut text = String::new();
    for words in [
        "list --output-format json",
        "load 0 cl_hello_world --output-format json",
        "describe 0 --metrics --output-format json",
        "peek 0 0x500 --output-format json",
        "led 0 --output-format json",
        "dip get 0 --output-format json",
        "clear 0 --output-format json",
        "load 0 cl_pending --output-format json",
        "load 9 cl_hello_world --output-format json",
    ] {
        text.push_str(&said(&sim, words));
        text.push('\n');
    }
    assert_said!("json", text);
}

#[test]
fn errors() {
    let sim = Sim::f1().start();
    let mut text = String::new();
    for words in [
        "load 0 agfi-12",
        "load 0 afi-0fedcba98765432zz",
        "load 0 cl_twice",
        "load 0 cl_nobody_knows",
        "load 0 cl_pending",
        "load 0 cl_failed",
        "load 0 agfi-088bffb3ab91ca2d1",
        "load 0 cl_axil_reg_access",
        "load 7 cl_hello_world",
        "peek 0 0x500",
        "peek 0 0x501",
        "list --bus sysfs:",
        "frobnicate",
    ] {
        text.push_str(&said(&sim, words));
        text.push('\n');
    }
    assert_said!("errors", text);
}

#[test]
fn help() {
    let sim = Sim::f1().start();
    let mut text = String::new();
    for words in [
        "--help",
        "list --help",
        "describe --help",
        "load --help",
        "clear --help",
        "led --help",
        "dip --help",
        "peek --help",
        "poke --help",
        "capture --help",
        "completions --help",
        "man --help",
    ] {
        text.push_str(&said(&sim, words));
        text.push('\n');
    }
    assert_said!("help", text);
}

#[test]
fn completions_and_manual_pages() {
    let sim = Sim::f1().start();
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            sim.afi(&format!("completions {shell}"))
                .success()
                .contains("afi")
        );
    }
    let directory = tempfile::tempdir().unwrap();
    sim.afi(&format!("man {}", directory.path().display()))
        .success();
    let mut pages: Vec<String> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    assert!(pages.contains(&"afi.1".to_owned()), "{pages:?}");
    assert!(pages.contains(&"afi-load.1".to_owned()), "{pages:?}");
}
