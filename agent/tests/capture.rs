//! `afi capture`, and the bus of its file: what is shown elsewhere is what was shown on the
//! instance, byte for byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use afi_agent::lock::SlotLock;
use afi_pcie::{Backoff, Deadline};
use afi_proto::{AgfiId, Family, PciIds};
use afi_sim::fault::FaultPlan;
use afi_sim::image::{ImageSource, SlotImage};
use afi_sim::instance::{Instance, InstanceConfig, Served};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

const HELLO: &str = "agfi-0f1f1000000000001";

/// Every slot loads every AGFI id.
struct Images(Family);

impl ImageSource for Images {
    fn loadable(&self, agfi: AgfiId) -> Option<SlotImage> {
        let (model, device) = match self.0 {
            Family::F1 => ("cl_hello_world", 0xF000),
            Family::F2 => ("cl_axil_reg_access", 0xF010),
        };
        Some(SlotImage {
            agfi,
            ids: PciIds::new(0x1D0F, device, 0xFEDD, 0x1D51),
            shell: self.0.profile().current_shell().version,
            model: model.to_owned(),
            data_retention: false,
            power_watts: 20,
            clocks_hz: [[125_000_000; 7]; 3],
        })
    }
}

/// An instance on sockets, and a place for files.
struct Rig {
    bus: String,
    directory: TempDir,
    faults: Arc<FaultPlan>,
    _served: Served,
}

impl Rig {
    fn new(family: Family, slots: u8) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let faults = Arc::new(FaultPlan::none());
        let instance = Instance::new(InstanceConfig {
            faults: Arc::clone(&faults),
            ..InstanceConfig::new(family, slots, Arc::new(Images(family)))
        });
        let instance_directory = directory.path().join("instance");
        Self {
            bus: format!("socket:{}", instance_directory.display()),
            _served: instance.serve(&instance_directory).unwrap(),
            directory,
            faults,
        }
    }

    fn fault(&self, fault: &str) {
        self.faults.set(vec![fault.parse().unwrap()]);
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("report.json")
    }

    fn run_on(&self, bus: &str, words: &str) -> Output {
        self.command(bus, words).output().expect("afi can be run")
    }

    fn command(&self, bus: &str, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_afi"));
        for name in ["AFI_BUS", "AFI_CONFIG", "AFI_TIMEOUT", "AFI_LOG"] {
            command.env_remove(name);
        }
        command
            .env("AFI_STATE_DIR", self.directory.path())
            // The name of a user, for what must not be in a capture.
            .env("HOME", self.directory.path())
            .args(["--bus", bus])
            .args(words.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `afi` on the instance.
    fn afi(&self, words: &str) -> Output {
        self.run_on(&self.bus, words)
    }

    /// Runs `afi` on the capture.
    fn replayed(&self, words: &str) -> Output {
        self.run_on(&self.captured(), words)
    }

    fn captured(&self) -> String {
        format!("capture:{}", self.file().display())
    }

    /// Takes a capture, and gives what the program said and what is in the file.
    fn capture(&self, options: &str) -> (Output, Value) {
        let words = format!("capture --force {options} {}", self.file().display());
        let output = self.afi(&words);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = fs::read(self.file()).unwrap();
        (output, serde_json::from_slice(&text).unwrap())
    }

    /// Asserts that a command says the same on the instance and on the capture.
    #[track_caller]
    fn same(&self, words: &str) {
        let (here, there) = (self.afi(words), self.replayed(words));
        let (bus, captured) = (&self.bus, &self.captured());
        let there_text = |bytes: &[u8]| text(bytes).replace(captured, bus);
        assert_eq!(text(&here.stdout), there_text(&there.stdout), "{words}");
        assert_eq!(text(&here.stderr), there_text(&there.stderr), "{words}");
        assert_eq!(here.status.code(), there.status.code(), "{words}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

const VIEWS: [&str; 7] = [
    "list",
    "list --output-format json",
    "describe",
    "describe --output-format json",
    "describe all --metrics",
    "describe all --metrics --output-format json",
    "describe 1 --rescan",
];

#[test]
fn a_capture_shows_what_the_instance_showed() {
    for family in Family::ALL {
        let rig = Rig::new(family, 2);
        let load = rig.afi(&format!("load 0 {HELLO} --offline"));
        assert_eq!(load.status.code(), Some(0), "{load:?}");
        assert_eq!(rig.afi("dip set 0 0x00ff").status.code(), Some(0));
        let (output, document) = rig.capture("");
        assert!(
            text(&output.stdout).contains(": 2 slots, 4 functions, "),
            "{output:?}"
        );
        assert_eq!(text(&output.stderr), "");
        for view in VIEWS {
            rig.same(view);
        }
        rig.same("led 0");
        rig.same("dip get all");
        assert_eq!(document["schema_version"], 1);
        assert_eq!(document["tool"]["version"], env!("CARGO_PKG_VERSION"));
        let config = document["functions"][0]["config"].as_str().unwrap();
        assert_eq!(config.len(), 2 * 4096);
        assert!(config.starts_with("0f1d"), "{}", &config[..16]);
    }
}

#[test]
fn taking_a_capture_changes_nothing() {
    let rig = Rig::new(Family::F1, 1);
    assert!(
        rig.afi(&format!("load 0 {HELLO} --offline"))
            .status
            .success()
    );
    rig.afi("dip set 0 0x0f0f");
    let view = "describe --metrics --output-format json";
    let before = rig.afi(view).stdout;
    rig.capture("");
    assert_eq!(text(&rig.afi(view).stdout), text(&before));
}

#[test]
fn a_slot_whose_device_is_gone_is_captured_as_such() {
    for family in Family::ALL {
        let rig = Rig::new(family, 2);
        rig.fault("device-gone:0");
        let (output, document) = rig.capture("");
        let said = text(&output.stderr);
        assert!(said.contains("recorded: cannot describe slot 0"), "{said}");
        assert_eq!(document["mailboxes"][0]["shell_version"], "0xffffffff");
        assert_eq!(document["mailboxes"][1]["failures"], serde_json::json!([]));
        for view in ["list", "describe", "describe --metrics"] {
            rig.same(view);
        }
        assert_eq!(rig.replayed("describe 0").status.code(), Some(8));
    }
}

#[test]
fn answers_that_are_wrong_are_captured_word_by_word() {
    let faults = [
        ("response-malformed", 1),
        ("response-oversized", 1),
        ("response-wrong-opcode", 1),
        ("response-stale", 0),
        ("response-stale-forever", 5),
        ("response-truncated", 1),
    ];
    // Each is tried several times, with pauses.
    std::thread::scope(|scope| {
        for (fault, code) in faults {
            scope.spawn(move || wrong_answers(fault, code));
        }
    });
}

fn wrong_answers(fault: &str, code: i32) {
    let rig = Rig::new(Family::F1, 1);
    rig.fault(fault);
    rig.capture("");
    for view in ["describe", "describe --metrics"] {
        let (here, there) = (rig.afi(view), rig.replayed(view));
        // The tries and their pauses differ from run to run.
        let words = |output: &Output| {
            let said = text(&output.stdout) + &text(&output.stderr);
            let lines = said.lines().filter(|line| !line.contains("try "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words(&here), words(&there), "{fault}");
        assert_eq!(here.status.code(), Some(code), "{fault}: {here:?}");
        assert_eq!(there.status.code(), Some(code), "{fault}: {there:?}");
    }
}

#[test]
fn a_shell_that_does_not_answer_is_captured_with_what_was_waited_for() {
    let rig = Rig::new(Family::F2, 1);
    rig.fault("mailbox-mute");
    let (output, document) = rig.capture("--timeout 1");
    let said = text(&output.stderr);
    assert!(said.contains("did not answer within"), "{said}");
    assert_eq!(document["settings"]["timeout_ms"], 1000);
    let described = rig.replayed("describe");
    assert_eq!(described.status.code(), Some(6), "{described:?}");
    let said = text(&described.stderr);
    assert!(
        said.contains("the capture has a failure in place of an answer"),
        "{said}"
    );
    assert!(said.contains("did not answer within"), "{said}");
}

#[test]
fn a_capture_that_is_interrupted_leaves_no_file() {
    let rig = Rig::new(Family::F1, 1);
    rig.fault("mailbox-mute");
    let words = format!("capture {}", rig.file().display());
    let child = rig.command(&rig.bus, &words).spawn().unwrap();
    let locks = rig.directory.path().join("instance/lock");
    // Once it holds the lock it asks the shell, which takes the question and never answers.
    let is_held = |locks: &Path| {
        let files = fs::read_dir(locks).unwrap().filter_map(Result::ok);
        let mut sizes = files.filter_map(|file| Some(file.metadata().ok()?.len()));
        sizes.any(|size| size > 0)
    };
    let deadline = Deadline::after(Duration::from_secs(20));
    let mut backoff = Backoff::up_to(Duration::from_millis(5));
    while !is_held(&locks) {
        backoff.wait(&deadline).expect("afi takes the lock");
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(!rig.file().exists());
}

#[test]
fn a_slot_that_is_locked_is_left_alone_and_its_holder_recorded() {
    let rig = Rig::new(Family::F1, 2);
    let locks = rig.directory.path().join("instance/lock");
    let slots = rig.afi("list --output-format json").stdout;
    let slots: Value = serde_json::from_slice(&slots).unwrap();
    let mgmt = slots["slots"][0]["mgmt"]["bdf"].as_str().unwrap();
    let moment = Deadline::after(Duration::from_secs(10));
    let lock = SlotLock::acquire(&locks, mgmt.parse().unwrap(), "afi load 0 big", &moment).unwrap();
    let (output, document) = rig.capture("--timeout 0.3");
    let said = text(&output.stderr);
    assert!(said.contains("('afi load 0 big', since"), "{said}");
    let mailbox = &document["mailboxes"][0];
    assert_eq!(mailbox["lock_holder"]["command"], "afi load 0 big");
    assert_eq!(mailbox["lock_holder"]["pid"], std::process::id());
    assert_eq!(mailbox["exchanges"], serde_json::json!([]));
    assert!(mailbox["shell_version"].is_null());
    drop(lock);
    rig.same("list");
    let described = rig.replayed("describe 0");
    assert_eq!(described.status.code(), Some(5), "{described:?}");
    assert!(
        text(&described.stderr).contains("afi load 0 big"),
        "{described:?}"
    );
}

#[test]
fn the_public_tools_names_describe_a_capture_too() {
    let rig = Rig::new(Family::F2, 1);
    rig.afi(&format!("load 0 {HELLO} --offline"));
    rig.capture("");
    let name = rig.directory.path().join("fpga-describe-local-image");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_afi"), &name).unwrap();
    let describe = |bus: &str| {
        let mut command = Command::new(&name);
        command
            .env_remove("AFI_CONFIG")
            .env_remove("AFI_FPGA_TOOLS");
        command
            .env("AFI_BUS", bus)
            .args(["-S", "0", "-R", "-M", "-H"]);
        command.output().expect("afi can be run")
    };
    let (here, there) = (describe(&rig.bus), describe(&rig.captured()));
    assert_eq!(here.status.code(), Some(0), "{here:?}");
    assert!(text(&here.stdout).contains(HELLO), "{here:?}");
    assert_eq!(text(&here.stdout), text(&there.stdout));
}

#[test]
fn what_a_capture_cannot_do_is_refused() {
    let rig = Rig::new(Family::F1, 1);
    rig.capture("");
    for (words, said) in [
        ("clear 0", "a capture has no answer to a clear request"),
        (
            "dip set 0 1",
            "a capture has no way to write register VirtualDip",
        ),
        (
            "describe --clear-metrics",
            "a capture has no answer to a metrics request",
        ),
        ("peek 0 0x500", "the capture bus cannot"),
        ("poke 0 0x500 1", "the capture bus cannot"),
    ] {
        let output = rig.replayed(words);
        assert_eq!(output.status.code(), Some(2), "{words}: {output:?}");
        assert!(text(&output.stderr).contains(said), "{words}: {output:?}");
    }
}

#[test]
fn a_capture_is_written_once_and_on_standard_output_too() {
    let rig = Rig::new(Family::F1, 1);
    let path = rig.file();
    fs::write(&path, "precious").unwrap();
    let refused = rig.afi(&format!("capture {}", path.display()));
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(text(&refused.stderr).contains("--force"), "{refused:?}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let printed = rig.afi("capture -");
    fs::write(&path, &printed.stdout).unwrap();
    rig.same("describe --metrics");
    let two = rig.afi("capture - --output-format json");
    assert_eq!(two.status.code(), Some(2), "{two:?}");
    let (output, _) = rig.capture("--output-format json");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["capture"]["slots"], 1);
    assert_eq!(document["capture"]["functions"], 2);
    assert_eq!(document["capture"]["failures"], serde_json::json!([]));
}

#[test]
fn a_bus_that_is_not_there_and_a_configuration_that_is_wrong_are_captured() {
    let rig = Rig::new(Family::F1, 1);
    let config = rig.directory.path().join("config.toml");
    fs::write(&config, "bus = 'sysfs'\nsecret = 'hunter2'\n").unwrap();
    let words = format!(
        "capture {} --config {}",
        rig.file().display(),
        config.display()
    );
    let output = rig.run_on("socket:/nonexistent", &words);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text(&output.stderr).contains("cannot open the bus"),
        "{output:?}"
    );
    let written = fs::read_to_string(rig.file()).unwrap();
    let document: Value = serde_json::from_str(&written).unwrap();
    let file = &document["settings"]["configuration_file"];
    assert_eq!(file["used"], false);
    assert_eq!(file["problem"], "line 2 is not understood");
    assert_eq!(file["path"], "~/config.toml");
    assert!(!written.contains("hunter2"));
    let directory = rig.directory.path().to_str().unwrap();
    assert!(!written.contains(directory), "{written}");
    let listed = rig.replayed("list");
    assert_eq!(listed.status.code(), Some(3), "{listed:?}");
    assert!(text(&listed.stderr).contains("/nonexistent"), "{listed:?}");
}

#[test]
fn a_file_that_is_no_capture_is_refused_by_name() {
    let rig = Rig::new(Family::F1, 1);
    fs::write(rig.file(), "{\"schema_version\": 1,\n\"tool\": 7}").unwrap();
    let output = rig.replayed("list");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("report.json as a capture"), "{said}");
    assert!(said.contains("line 2, column"), "{said}");
    assert!(said.contains("help:"), "{said}");
}
