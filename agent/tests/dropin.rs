//! The program under the names of the vendor's tools, on a simulated instance that is served over
//! sockets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use afi_proto::{AgfiId, Family};
use afi_sim::image::{ImageSource, SlotImage};
use afi_sim::instance::{Instance, InstanceConfig, Served};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// No images at all.
struct NoImages;

impl ImageSource for NoImages {
    fn loadable(&self, _: AgfiId) -> Option<SlotImage> {
        None
    }
}

/// An instance, and the tools' names in a directory of their own.
struct Rig {
    directory: TempDir,
    _served: Served,
}

impl Rig {
    fn new(family: Family) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = InstanceConfig::new(family, 1, Arc::new(NoImages));
        let served = Instance::new(config).serve(&directory.path().join("fpga"));
        Self {
            _served: served.unwrap(),
            directory,
        }
    }

    fn tool(&self, name: &str) -> Command {
        let bus = format!("socket:{}", self.directory.path().join("fpga").display());
        let mut command = tool(self.directory.path(), name);
        command.env("AFI_BUS", bus);
        command
    }
}

fn tool(directory: &Path, name: &str) -> Command {
    let path = directory.join(name);
    if !path.exists() {
        symlink(env!("CARGO_BIN_EXE_afi"), &path).unwrap();
    }
    let mut command = Command::new(path);
    for name in ["AFI_BUS", "AFI_CONFIG", "AFI_TIMEOUT", "AFI_FPGA_TOOLS"] {
        command.env_remove(name);
    }
    command.env("AFI_STATE_DIR", directory);
    command
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn the_name_makes_the_tool() {
    let rig = Rig::new(Family::F2);
    let output = rig
        .tool("fpga-describe-local-image")
        .args(["-S", "0", "-H"])
        .output()
        .unwrap();
    assert_eq!(
        out(&output),
        "Type  FpgaImageSlot  FpgaImageId             StatusName    StatusCode   ErrorName    ErrorCode   ShVersion\n\
         AFI          0       none                    cleared           1        ok               0       0x10212415\n\
         Type  FpgaImageSlot  VendorId    DeviceId    DBDF\n\
         AFIDEVICE    0       0x1d0f      0x9048      0000:34:00.0\n"
    );
    assert_eq!(output.status.code(), Some(0));
    let output = rig
        .tool("fpga-describe-local-image-slots")
        .output()
        .unwrap();
    assert_eq!(
        out(&output),
        "AFIDEVICE    0       0x1d0f      0x9048      0000:34:00.0\n"
    );
    let output = rig
        .tool("fpga-set-virtual-dip-switch")
        .args(["-S0", "-D1000000000000001"])
        .output()
        .unwrap();
    assert_eq!((out(&output), output.status.code()), ("", Some(0)));
    let output = rig
        .tool("fpga-get-virtual-dip-switch")
        .args(["-S0"])
        .output()
        .unwrap();
    assert!(out(&output).ends_with(":\n1000-0000-0000-0001\n"));
    let output = rig
        .tool("fpga-load-local-image")
        .args(["-S", "0", "-I", "agfi-0fedcba9876543210"])
        .output()
        .unwrap();
    assert!(out(&output).starts_with("Error: (5) invalid-afi-id\n"));
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn the_environment_chooses_the_generation_of_the_tools() {
    let rig = Rig::new(Family::F2);
    let version = |tools: &str| {
        let mut command = rig.tool("fpga-get-virtual-led");
        command.env("AFI_FPGA_TOOLS", tools).arg("-V");
        let output = command.output().unwrap();
        (out(&output).to_owned(), output.status.code())
    };
    let said = |number| format!("AFI Management Tools Version: {number}\n");
    assert_eq!(version(""), (said("2.0.2"), Some(234)));
    assert_eq!(version("f1"), (said("1.4.24"), Some(234)));
    let (text, status) = version("f3");
    assert!(text.starts_with("Error: (24) software-problem\n"), "{text}");
    assert_eq!(status, Some(24));
}

#[test]
fn a_setting_that_is_wrong_is_told_on_standard_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = tool(directory.path(), "fpga-clear-local-image");
    let output = command
        .args(["-S", "0"])
        .env("AFI_BUS", "pci")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(24));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("AFI_BUS") && said.contains("'pci'"), "{said}");
}

#[test]
fn the_jtag_server_ends_at_ctrl_c() {
    let rig = Rig::new(Family::F1);
    // Free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut server = rig
        .tool("fpga-start-virtual-jtag")
        .args(["-S", "0", "-P", &port.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert_eq!(
        line(),
        format!(
            "Starting Virtual JTAG XVC Server for FPGA slot id 0, listening to TCP port {port}."
        )
    );
    assert_eq!(line(), "Press CTRL-C to stop the service.");
    let started = Instant::now();
    let mut client = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(client) => break client,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(10), "{error}"),
        }
    };
    client.write_all(b"getinfo:").unwrap();
    let mut answer = [0; 21];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"xvcServer_v1.0:10000\n");
    kill(Pid::from_raw(server.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(130));
    assert!(lines.next().is_none());
}

#[test]
fn a_port_that_is_taken() {
    let rig = Rig::new(Family::F1);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = rig.tool("fpga-start-virtual-jtag");
    let output = command.args(["-S", "0", "-P", &port]).output().unwrap();
    assert!(out(&output).ends_with("the service.\nError: (1) internal-error\n"));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&port) && said.contains("in use"), "{said}");
}
