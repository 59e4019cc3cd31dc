//! A guest: a Linux machine in QEMU that has the functions of a simulated instance plugged in.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use afi_rig::Output;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kit::Kit;

/// How long a guest may take to boot. Without load it takes 5 s.
const BOOT: Duration = Duration::from_secs(90);
/// How long a command in the guest may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a guest may take to switch off.
const SWITCH_OFF: Duration = Duration::from_secs(15);
/// The longest life of a guest, whatever becomes of this process.
const LIFE: &str = "900";

/// A function to plug in.
#[derive(Debug)]
pub(crate) struct Plug {
    /// The vfio-user socket that serves it.
    pub(crate) socket: PathBuf,
    /// The root port that it is behind; `None` for the root bus.
    pub(crate) port: Option<String>,
    /// Device and function on that bus: `1d.0`.
    pub(crate) address: String,
    /// Whether there are other functions at the same device.
    pub(crate) multifunction: bool,
}

/// Whether there is an IOMMU between the devices and the memory of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Iommu {
    Off,
    On,
}

/// A running guest. Dropping it switches it off.
#[derive(Debug)]
pub(crate) struct Guest {
    qemu: Child,
    commands: ChildStdin,
    answers: Receiver<Vec<u8>>,
    /// Bytes that have come and are not used yet.
    pending: Vec<u8>,
    /// Kernel messages and what QEMU says.
    logs: tempfile::TempDir,
    /// Commands that were started and not waited for, so far.
    started: u32,
    /// Whether it answers; one that was late once is not asked again.
    alive: bool,
    /// Whether every command is printed with its output: `AFI_GUEST_TRACE` is set.
    is_traced: bool,
}

/// A command that runs in the guest.
#[derive(Debug)]
#[must_use]
pub(crate) struct Started(u32);

impl Guest {
    /// Boots a guest with these functions behind these root ports.
    ///
    /// # Panics
    /// When it does not come up; the message has its console.
    pub(crate) fn boot(kit: &Kit, iommu: Iommu, ports: &[String], plugs: &[Plug]) -> Self {
        let logs = tempfile::tempdir().expect("a directory for logs");
        let said = File::create(logs.path().join("qemu")).expect("a file for messages");
        // `timeout` ends QEMU even if this process is killed.
        let mut qemu = Command::new("timeout")
            .args(["--kill-after=5", LIFE])
            .arg(&kit.qemu)
            .args(machine(kit, logs.path(), iommu))
            .args(ports.iter().enumerate().flat_map(root_port))
            .args(plugs.iter().flat_map(vfio_user))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .expect("timeout(1) and QEMU can be run");
        let commands = qemu.stdin.take().expect("stdin is piped");
        let mut out = qemu.stdout.take().expect("stdout is piped");
        let (send, answers) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = out.read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut guest = Self {
            qemu,
            commands,
            answers,
            pending: Vec::new(),
            logs,
            started: 0,
            alive: true,
            is_traced: env::var_os("AFI_GUEST_TRACE").is_some(),
        };
        let line = guest.line(Instant::now() + BOOT);
        assert_eq!(line, "@@ up", "{}", guest.console());
        guest
    }

    /// Runs a line of shell as root.
    ///
    /// # Panics
    /// When the guest does not answer within a minute.
    #[track_caller]
    pub(crate) fn sh(&mut self, line: &str) -> Output {
        assert!(!line.contains('\n'), "one line at a time: {line}");
        let began = Instant::now();
        assert!(self.alive, "the guest does not answer any more");
        let sent = writeln!(self.commands, "{line}").and_then(|()| self.commands.flush());
        sent.unwrap_or_else(|error| panic!("{line}: {error}\n{}", self.console()));
        let end = began + PATIENCE;
        let header = self.line(end);
        let fields: Vec<usize> = header
            .strip_prefix("@@ ")
            .map(|rest| {
                rest.split(' ')
                    .filter_map(|word| word.parse().ok())
                    .collect()
            })
            .unwrap_or_default();
        let [code, stdout, stderr] = fields[..] else {
            panic!("'{header}' is no answer to {line}");
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        let stdout = text(self.bytes(stdout, end));
        let stderr = text(self.bytes(stderr, end));
        if self.is_traced {
            println!("guest# {line}\n{stdout}{stderr}[{code}]");
        }
        Output {
            code: Some(code as i32),
            stdout,
            stderr,
            took: began.elapsed(),
        }
    }

    /// Runs `afi` with these words.
    ///
    /// # Panics
    /// As [`Guest::sh`].
    #[track_caller]
    pub(crate) fn afi(&mut self, words: &str) -> Output {
        self.sh(&format!("afi {words}"))
    }

    /// Starts a line of shell, and does not wait for it.
    ///
    /// # Panics
    /// As [`Guest::sh`].
    #[track_caller]
    pub(crate) fn start(&mut self, line: &str) -> Started {
        self.started += 1;
        let n = self.started;
        // Whoever reads the FIFO waits until the command has ended.
        self.sh(&format!(
            "mkfifo /tmp/end{n}; (({line}) >/tmp/out{n} 2>/tmp/err{n} </dev/null; \
             echo $? >/tmp/end{n}) >/dev/null 2>&1 &"
        ))
        .success();
        Started(n)
    }

    /// Waits until what was started has said this on standard error.
    ///
    /// # Panics
    /// As [`Guest::sh`].
    #[track_caller]
    pub(crate) fn wait_for(&mut self, started: &Started, pattern: &str) {
        let Started(n) = started;
        self.sh(&format!(
            "until grep -q '{pattern}' /tmp/err{n}; do :; done"
        ));
    }

    /// Waits until there is a process of this name.
    ///
    /// # Panics
    /// As [`Guest::sh`].
    #[track_caller]
    pub(crate) fn wait_for_process(&mut self, name: &str) {
        self.sh(&format!("until pidof {name}; do :; done"))
            .success();
    }

    /// Waits for what was started.
    ///
    /// # Panics
    /// As [`Guest::sh`].
    #[track_caller]
    pub(crate) fn finish(&mut self, started: Started) -> Output {
        let Started(n) = started;
        self.sh(&format!(
            "read code </tmp/end{n}; cat /tmp/out{n}; cat /tmp/err{n} >&2; exit $code"
        ))
    }

    /// What the kernel knows of a function: `1d0f:f000 fedd:1d51`; `-` when it knows none there.
    ///
    /// # Panics
    /// As [`Guest::sh`].
    #[track_caller]
    pub(crate) fn kernel_ids(&mut self, address: &str) -> String {
        let read = "cat vendor device subsystem_vendor subsystem_device";
        let text = self.sh(&format!("cd /sys/bus/pci/devices/{address} && {read}"));
        let ids: Vec<&str> = text.stdout.split_whitespace().collect();
        match ids[..] {
            [vendor, device, subsystem_vendor, subsystem] => {
                let ids = format!("{vendor}:{device} {subsystem_vendor}:{subsystem}");
                ids.replace("0x", "")
            }
            _ => "-".to_owned(),
        }
    }

    /// What the kernel and QEMU said, for messages.
    pub(crate) fn console(&self) -> String {
        let mut text = String::new();
        for name in ["qemu", "console"] {
            let said = fs::read(self.logs.path().join(name)).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let last: Vec<&str> = said.lines().rev().take(30).collect();
            let _ = writeln!(text, "--- {name}, the last lines:");
            for line in last.iter().rev() {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }

    /// The next line. Empty when the guest is late or gone.
    #[track_caller]
    fn line(&mut self, end: Instant) -> String {
        loop {
            if let Some(at) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=at).collect();
                return String::from_utf8_lossy(&line).trim().to_owned();
            }
            self.more(end);
        }
    }

    #[track_caller]
    fn bytes(&mut self, count: usize, end: Instant) -> Vec<u8> {
        while self.pending.len() < count {
            self.more(end);
        }
        self.pending.drain(..count).collect()
    }

    #[track_caller]
    fn more(&mut self, end: Instant) {
        let left = end.saturating_duration_since(Instant::now());
        match self.answers.recv_timeout(left) {
            Ok(bytes) => self.pending.extend(bytes),
            Err(why) => {
                self.alive = false;
                panic!(
                    "the guest does not answer ({why}); it said {:?}\n{}",
                    String::from_utf8_lossy(&self.pending),
                    self.console()
                );
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = writeln!(self.commands, "poweroff -f");
        let mut end = Instant::now() + SWITCH_OFF;
        if !self.alive {
            end = Instant::now();
        }
        let pid = Pid::from_raw(self.qemu.id() as i32);
        while self.qemu.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > end {
                // `timeout` hands it on.
                let _ = kill(pid, Signal::SIGTERM);
                let _ = self.qemu.wait();
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The machine without its FPGAs. The memory is a file, or QEMU had no descriptor to hand to the
/// devices; an address space of 46 bits has room for eight BARs of 128 GiB.
fn machine(kit: &Kit, logs: &Path, iommu: Iommu) -> Vec<String> {
    let arguments = [
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-machine",
        "q35,memory-backend=mem",
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max,phys-bits=46",
        "-smp",
        "2",
        "-m",
        "768",
        "-object",
        "memory-backend-memfd,id=mem,size=768M,share=on",
    ];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
    let mut append = "console=ttyS0 panic=-1 quiet".to_owned();
    if iommu == Iommu::On {
        // The devices have to be told of mappings as they are made, and interrupts remapped, or VFIO
        // refuses to use it. Devices of the kernel's own drivers go around it: they are fast.
        let device = "intel-iommu,caching-mode=on,intremap=on";
        arguments.extend(["-device".to_owned(), device.to_owned()]);
        // On a busy machine the kernel sees too few ticks of the timer and takes it for broken.
        append += " intel_iommu=on iommu=pt no_timer_check";
    }
    arguments.extend(["-append".to_owned(), append]);
    let mut path = |name: &str, path: &Path| {
        arguments.extend([name.to_owned(), path.display().to_string()]);
    };
    path("-kernel", &kit.kernel);
    path("-initrd", kit.initrd.path());
    path(
        "-serial",
        Path::new(&format!("file:{}", logs.join("console").display())),
    );
    path("-serial", Path::new("stdio"));
    arguments
}

fn root_port((number, name): (usize, &String)) -> [String; 2] {
    let number = number + 1;
    let port = format!("pcie-root-port,id={name},bus=pcie.0,addr={number:x},chassis={number}");
    ["-device".to_owned(), port]
}

fn vfio_user(plug: &Plug) -> [String; 2] {
    let device = serde_json::json!({
        "driver": "vfio-user-pci",
        "bus": plug.port.as_deref().unwrap_or("pcie.0"),
        "addr": plug.address,
        "multifunction": plug.multifunction,
        "socket": { "path": plug.socket, "type": "unix" },
    });
    ["-device".to_owned(), device.to_string()]
}
