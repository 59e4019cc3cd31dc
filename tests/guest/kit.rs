//! What a guest is made of: QEMU, a kernel, and the first file system with `afi` in it.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::archive::Archive;

/// The commands that the host sends are run by this.
const INIT: &str = include_str!("init");
/// Users of the guest (passwd(5)): root, one of the group that may use the slots, and one who is not.
const USERS: &str = "root:x:0:0::/:/bin/sh\n\
                     member:x:1000:1000::/:/bin/sh\n\
                     nobody:x:65534:65534::/:/bin/sh\n";
/// Their groups (group(5)).
const GROUPS: &str = "root:x:0:\nfpga:x:1000:\nnogroup:x:65534:\n";
/// The rule that lets the group use the slots, as it is installed.
const UDEV_RULES: &str = include_str!("../../packaging/udev/70-afi.rules");
/// Kernel modules that checks load, in an order in which they can be loaded.
const MODULES: [&str; 7] = [
    "kernel/drivers/uio/uio.ko",
    "kernel/drivers/uio/uio_pci_generic.ko",
    "kernel/virt/lib/irqbypass.ko",
    "kernel/drivers/vfio/vfio.ko",
    "kernel/drivers/vfio/vfio_iommu_type1.ko",
    "kernel/drivers/vfio/pci/vfio-pci-core.ko",
    "kernel/drivers/vfio/pci/vfio-pci.ko",
];

/// Programs of this workspace that run in the guest.
const PROGRAMS: [&str; 2] = ["afi", "afi-guest-user"];

/// Runs a program of udev, whose name comes next and then its arguments: `systemd-udevd` or `udevadm`.
pub(crate) const UDEV: &str = "/udev/loader --library-path /udev/lib --argv0";

/// The files that `tests/guest/setup` fetched, and the first file system.
#[derive(Debug)]
pub(crate) struct Kit {
    /// What was fetched, in a line.
    pub(crate) versions: String,
    /// A script that runs QEMU.
    pub(crate) qemu: PathBuf,
    /// The kernel.
    pub(crate) kernel: PathBuf,
    /// The first file system. Removed with the kit.
    pub(crate) initrd: tempfile::NamedTempFile,
}

/// Finds what was fetched, and builds the first file system. The error says what is missing.
pub(crate) fn find() -> Result<Kit, String> {
    let directory = directory();
    let versions = fs::read_to_string(directory.join("ready")).map_err(|_| {
        format!(
            "there is no QEMU in {}; 'tests/guest/setup' fetches it",
            directory.display()
        )
    })?;
    let kit = Kit {
        versions: versions.trim().to_owned(),
        qemu: directory.join("qemu"),
        kernel: directory.join("kernel/vmlinuz"),
        initrd: initrd(&directory).map_err(|error| format!("cannot build the guest: {error}"))?,
    };
    Ok(kit)
}

/// Where `tests/guest/setup` puts things: `AFI_GUEST_DIR`, or `guest` in the target directory.
fn directory() -> PathBuf {
    if let Some(directory) = env::var_os("AFI_GUEST_DIR") {
        return directory.into();
    }
    let program = afi_rig::program("afi");
    let target = program.ancestors().nth(2);
    target.map_or_else(|| "guest".into(), |target| target.join("guest"))
}

fn initrd(kit: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut archive = Archive::default();
    for directory in ["dev", "proc", "sys", "run", "tmp", "etc"] {
        archive.directory(directory);
    }
    archive.file("etc/passwd", 0o644, USERS.as_bytes());
    archive.file("etc/group", 0o644, GROUPS.as_bytes());
    archive.file("init", 0o755, INIT.as_bytes());
    archive.copy("bin/busybox", &kit.join("busybox"))?;
    let mut needed = BTreeSet::new();
    for name in PROGRAMS {
        let program = afi_rig::program(name);
        archive.copy(&format!("bin/{name}"), &program)?;
        needed.extend(libraries(&program)?);
    }
    for library in needed {
        archive.copy(&library, Path::new(&library))?;
    }
    archive.file(
        "etc/udev/rules.d/70-afi.rules",
        0o644,
        UDEV_RULES.as_bytes(),
    );
    udev(&mut archive, &kit.join("udev.root"))?;
    let modules = fs::read_dir(kit.join("kernel/modules"))?.next();
    let modules = modules
        .ok_or_else(|| io::Error::other("the kernel has no modules"))??
        .path();
    for module in MODULES {
        let (plain, packed) = (modules.join(module), modules.join(format!("{module}.xz")));
        let from = if plain.exists() { plain } else { packed };
        let name = from
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        archive.copy(&format!("lib/{name}"), &from)?;
    }
    let file = tempfile::Builder::new()
        .prefix("afi-guest-")
        .suffix(".cpio")
        .tempfile()?;
    fs::write(file.path(), archive.finish())?;
    Ok(file)
}

/// udev with the C library that it was built for, below `/udev`: [`UDEV`] runs it.
fn udev(archive: &mut Archive, root: &Path) -> io::Result<()> {
    let loader = root.join("usr/lib64/ld-linux-x86-64.so.2");
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let program = root.join("usr/bin/udevadm");
    let output = Command::new(&loader)
        .arg("--library-path")
        .arg(format!("{0}:{0}/systemd", libraries.display()))
        .arg("--list")
        .arg(&program)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    for library in text
        .split_whitespace()
        .filter(|word| word.starts_with(&*libraries.to_string_lossy()))
    {
        let path = Path::new(library);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        archive.copy(&format!("udev/lib/{name}"), path)?;
    }
    archive.copy("udev/loader", &loader)?;
    archive.copy("udev/udevadm", &program)?;
    Ok(())
}

/// The libraries of a program and its loader, as paths, by ldd(1).
fn libraries(program: &Path) -> io::Result<Vec<String>> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    let mut paths: Vec<String> = paths.map(str::to_owned).collect();
    paths.dedup();
    // A program that needs none is linked statically, and ldd says so on standard error.
    Ok(paths)
}
