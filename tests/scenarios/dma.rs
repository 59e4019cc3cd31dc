//! Data that goes to the card and back, through the programs.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use afi_rig::{Output, Sim};

/// `cl_dram_dma` of F1 and `cl_axil_reg_access` of F2 in the builtin catalogue.
const DRAM: &str = "agfi-0f1f1000000000002";
const F2_REGISTERS: &str = "agfi-0f2f2000000000001";
/// `cl_hello_world` of F1, which has no memory.
const HELLO: &str = "agfi-0f1f1000000000001";

fn with(sim: &Sim, image: &str) {
    sim.afi(&format!("load 0 {image} --offline")).success();
}

fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// Ends by itself or is killed: a test that fails leaves nothing behind.
fn end(mut child: Child) -> Option<i32> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match child.try_wait().expect("a child") {
            Some(status) => return status.code().or(status.signal().map(|signal| -signal)),
            None if Instant::now() > end => {
                child.kill().expect("a child that runs");
                child.wait().expect("a child");
                panic!("it does not end");
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// All that commands said, with what differs from run to run replaced.
fn said(sim: &Sim, lines: &[&str]) -> String {
    let mut text = String::new();
    for words in lines {
        let Output {
            code,
            stdout,
            stderr,
            ..
        } = sim.afi(&words.replace("DIR", &sim.directory().display().to_string()));
        let code = code.map_or("none".to_owned(), |code| code.to_string());
        text += &format!("$ afi {words}\n{stdout}");
        if !stderr.is_empty() {
            text += &format!("--- stderr\n{stderr}---\n");
        }
        text += &format!("exit code {code}\n\n");
    }
    text.replace(&sim.directory().display().to_string(), "DIR")
}

macro_rules! assert_said {
    ($name:literal, $text:expr) => {
        insta::with_settings!({
            filters => [
                (r"\b\d+(\.\d+)? (ns|ms|µs|s)\b", "[time]"),
                (r"\b\d+(\.\d+)? [kMG]?B/s", "[rate]"),
                (r#""(duration_ms|transfer_ms)": [0-9.]+"#, "\"$1\": [time]"),
                (r#""bytes_per_second": [0-9.e+]+"#, "\"bytes_per_second\": [rate]"),
                (r"(SSE4\.1|AVX2|AVX-512|plain) copies", "[level] copies"),
            ],
            prepend_module_to_snapshot => false,
        }, { insta::assert_snapshot!($name, $text) });
    };
}

#[test]
fn a_file_is_the_same_after_a_trip_to_the_card_by_every_path() {
    let sim = Sim::f1().start();
    with(&sim, DRAM);
    let (original, back) = (sim.directory().join("in"), sim.directory().join("out"));
    let data = sample((9 << 20) + 77);
    fs::write(&original, &data).expect("a file");
    for (there, here) in [("xdma", "pcis"), ("pcis", "xdma")] {
        let place = "0 --address 0x3fff00001";
        let (original, back) = (original.display(), back.display());
        sim.afi(&format!(
            "dma write {place} --file {original} --path {there}"
        ))
        .success();
        let size = data.len();
        sim.afi(&format!(
            "dma read {place} --size {size} --file {back} --path {here}"
        ))
        .success();
        assert!(
            fs::read(back.to_string()).expect("the file") == data,
            "{there} to {here}"
        );
        sim.afi(&format!("dma fill {place} --size {size} --pattern zeros"))
            .success();
    }
}

#[test]
fn standard_input_and_output_carry_bytes_and_nothing_else() {
    let sim = Sim::f1().start();
    with(&sim, DRAM);
    let data = sample(300_001);
    let mut write = sim.command("afi");
    write.args(["dma", "write", "0", "--file", "-", "--address", "1M"]);
    let mut child = write
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("afi can be run");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(&data)
        .expect("a reader");
    assert_eq!(end(child), Some(0));
    for format in ["text", "json"] {
        let mut read = sim.command("afi");
        read.args([
            "dma",
            "read",
            "0",
            "--file",
            "-",
            "--address",
            "1M",
            "--size",
            "300001",
        ]);
        let output = read
            .args(["--output-format", format])
            .output()
            .expect("afi can be run");
        assert!(output.stdout == data, "{format}");
        let report = String::from_utf8(output.stderr).expect("text");
        match format {
            "json" => {
                let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
                assert_eq!(report["dma"]["bytes"], 300_001);
            }
            _ => assert!(
                report.starts_with("slot 0: read 300001 B at 0x100000 in "),
                "{report}"
            ),
        }
    }
}

#[test]
fn an_interrupted_read_leaves_the_file_as_it_was() {
    let sim = Sim::f1().start();
    with(&sim, DRAM);
    let kept = tempfile::tempdir().expect("a directory for the file");
    let file = kept.path().join("memory");
    fs::write(&file, "before").expect("a file");
    let mut read = sim.command("afi");
    read.args([
        "dma", "read", "0", "--size", "64G", "--path", "pcis", "--file",
    ]);
    let stderr = File::create(sim.directory().join("said")).expect("a file");
    let child = read
        .arg(&file)
        .stderr(stderr)
        .spawn()
        .expect("afi can be run");
    let beside = || fs::read_dir(kept.path()).expect("the directory").count();
    let patience = Instant::now() + Duration::from_secs(20);
    while beside() < 2 {
        assert!(Instant::now() < patience, "it does not begin");
        thread::sleep(Duration::from_millis(2));
    }
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("a process that runs");
    assert_eq!(end(child), Some(130));
    assert_eq!(beside(), 1);
    assert_eq!(fs::read(&file).expect("the file"), b"before");
}

#[test]
fn a_slot_that_is_used_is_not_loaded_under_its_user() {
    let sim = Sim::f1().start();
    with(&sim, DRAM);
    let mut write = sim.command("afi");
    write.args(["dma", "write", "0", "--file", "-"]);
    let mut child = write
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("afi can be run");
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(b"the first of it").expect("a reader");
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let clear = sim.afi("clear 0 --timeout 100ms");
        if clear.code == Some(5) {
            assert!(
                clear.stderr.contains("afi dma write 0 --file -"),
                "{clear:?}"
            );
            break;
        }
        // The other process was not there yet.
        clear.success();
        assert!(Instant::now() < patience, "nobody takes the slot");
        with(&sim, DRAM);
    }
    drop(pipe);
    end(child);
}

#[test]
fn a_measurement_is_drawn() {
    let sim = Sim::f1().start();
    with(&sim, DRAM);
    let plot = sim.directory().join("plot.svg");
    let bench = sim.afi(&format!(
        "dma bench 0 --sizes 64,4K,1M --duration 20ms --output-format json --plot {}",
        plot.display()
    ));
    bench.success();
    let points = bench.json()["bench"]["points"]
        .as_array()
        .expect("points")
        .clone();
    assert_eq!(points.len(), 6);
    assert!(
        points
            .iter()
            .all(|point| point["bytes_per_second"].as_f64() > Some(0.0))
    );
    let svg = fs::read_to_string(&plot).expect("the plot");
    assert!(svg.starts_with("<svg") && svg.contains("slot 0 by xdma"));
}

#[test]
fn results_of_dma() {
    let sim = Sim::f1().start();
    with(&sim, DRAM);
    fs::write(sim.directory().join("data"), sample(1 << 20)).expect("a file");
    let mut text = said(
        &sim,
        &[
            "dma write 0 --file DIR/data --address 4G",
            "dma verify 0 --file DIR/data --address 4G",
            "dma read 0 --size 40 --address 4G",
            "dma read 0 --size 1M --address 4G --file DIR/back --path pcis",
            "dma fill 0 --size 64K --value 0xdeadbeef --output-format json",
            "dma verify 0 --size 64K --pattern zeros",
            "dma verify 0 --size 64K --pattern zeros --output-format json",
            "dma read 0 --size 4 --address 64G",
            "dma read 0 --size 4 --path cdev",
            "dma read 0 --size 1M",
            "dma write 0 --file DIR/data --size 2M",
            "dma write 0 --file DIR/nowhere",
            "dma fill 0 --size 4K",
            "dma read 0 --size lots",
        ],
    );
    sim.afi("clear 0").success();
    text += &said(&sim, &["dma read 0 --size 4"]);
    with(&sim, HELLO);
    text += &said(&sim, &["dma read 0 --size 4"]);
    let f2 = Sim::f2().start();
    with(&f2, F2_REGISTERS);
    let lines = [
        "dma read 0 --size 4 --path xdma",
        "dma read 0 --size 4 --address 127G",
    ];
    text += &said(&f2, &lines);
    assert_said!("results_of_dma", text);
}

#[test]
fn help_of_dma() {
    let sim = Sim::f1().start();
    let lines = [
        "dma --help",
        "dma write --help",
        "dma read --help",
        "dma fill --help",
        "dma verify --help",
        "dma bench --help",
    ];
    assert_said!("help_of_dma", said(&sim, &lines));
}
