//! Builds trees that look like `/sys`.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;

use afi_proto::config_space::{self, Command};
use afi_proto::{Bdf, PciIds};

use crate::sysfs::SysfsBus;

/// Ids of a cleared F1 application function.
pub(super) const F1_CLEARED: PciIds = PciIds::new(0x1D0F, 0x1042, 0x1D0F, 0x1042);
/// Ids of an F1 management function.
pub(super) const F1_MGMT: PciIds = PciIds::new(0x1D0F, 0x1041, 0x1D0F, 0x1041);
/// Ids of an F2 management function.
pub(super) const F2_MGMT: PciIds = PciIds::new(0x1D0F, 0x9248, 0x1D0F, 0x9248);
/// Ids of the application function of the public hello_world image.
pub(super) const HELLO_WORLD: PciIds = PciIds::new(0x1D0F, 0xF000, 0xFEDD, 0x1D51);
/// Ids of a network card that is found in the same instances.
pub(super) const NETWORK: PciIds = PciIds::new(0x1D0F, 0xEC20, 0x1D0F, 0xEC20);

/// Flags of a 64-bit prefetchable memory BAR.
const PREFETCHABLE_64BIT: u64 = 0x0014_220C;

/// A tree in a temporary directory.
pub(super) struct FakeSys {
    pub(super) root: tempfile::TempDir,
}

impl FakeSys {
    /// A tree without functions.
    pub(super) fn new() -> Self {
        let sys = Self {
            root: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(sys.path("bus/pci/devices")).unwrap();
        sys.write("bus/pci/rescan", "");
        sys
    }

    /// The tree of an f1.4xlarge whose second slot runs hello_world, with a network card.
    pub(super) fn f1() -> Self {
        let sys = Self::new();
        sys.add("0000:00:03.0", NETWORK, &[(0, 0x4000)]);
        for (app, mgmt, ids) in [
            ("0000:00:1b.0", "0000:00:1c.0", F1_CLEARED),
            ("0000:00:1d.0", "0000:00:1e.0", HELLO_WORLD),
        ] {
            sys.add(app, ids, &[(0, 32 << 20), (4, 1 << 30)]);
            sys.add(mgmt, F1_MGMT, &[(0, 0x4000), (2, 0x4000)]);
        }
        sys
    }

    pub(super) fn bus(&self) -> SysfsBus {
        SysfsBus::at(self.root.path()).unwrap()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The path of a file of a function.
    pub(super) fn file(&self, bdf: &str, name: &str) -> PathBuf {
        self.path("devices/pci0000:00").join(bdf).join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What was written to one of the files that are only written.
    pub(super) fn order(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Adds a function with BARs, each a number and a size, as the kernel does: the directory, then
    /// the link to it.
    pub(super) fn add(&self, bdf: &str, ids: PciIds, bars: &[(usize, u64)]) {
        let id = |id: u16| format!("{id:#06x}\n");
        let directory = format!("devices/pci0000:00/{bdf}");
        for (name, text) in [
            ("vendor", id(ids.vendor)),
            ("device", id(ids.device)),
            ("subsystem_vendor", id(ids.subsystem_vendor)),
            ("subsystem_device", id(ids.subsystem)),
            ("class", "0x058000\n".to_owned()),
            ("numa_node", "-1\n".to_owned()),
            ("resource", resources(bars)),
            ("remove", String::new()),
            ("reset", String::new()),
        ] {
            self.write(&format!("{directory}/{name}"), &text);
        }
        fs::write(self.file(bdf, "config"), config(ids)).unwrap();
        for (index, size) in bars {
            let bar = File::create(self.file(bdf, &format!("resource{index}"))).unwrap();
            bar.set_len(*size).unwrap();
        }
        let bus = &bdf[..7];
        self.write(&format!("class/pci_bus/{bus}/rescan"), "");
        self.link(bdf);
    }

    /// Lists a function whose directory is there.
    pub(super) fn link(&self, bdf: &str) {
        let target = format!("../../../devices/pci0000:00/{bdf}");
        symlink(target, self.path("bus/pci/devices").join(bdf)).unwrap();
    }

    /// Takes a function away, as the kernel does: the link to it, then the directory.
    pub(super) fn take_away(&self, bdf: &str) {
        fs::remove_file(self.path("bus/pci/devices").join(bdf)).unwrap();
        fs::remove_dir_all(self.file(bdf, "")).unwrap();
    }

    /// Sets the command register of a function.
    pub(super) fn set_command(&self, bdf: &str, command: Command) {
        let config = File::options()
            .write(true)
            .open(self.file(bdf, "config"))
            .unwrap();
        let bytes = command.bits().to_le_bytes();
        config
            .write_all_at(&bytes, config_space::COMMAND.into())
            .unwrap();
    }
}

/// The file `resource`: 13 lines, as of a function without a bridge.
pub(super) fn resources(bars: &[(usize, u64)]) -> String {
    let lines = (0..13_usize).map(|line| {
        let size = bars.iter().find(|(index, _)| *index == line);
        let (start, end, flags) = size.map_or((0, 0, 0), |(_, size)| {
            let start = 0x20_0000_0000 * (line as u64 + 1);
            (start, start + size - 1, PREFETCHABLE_64BIT)
        });
        format!("{start:#018x} {end:#018x} {flags:#018x}\n")
    });
    lines.collect()
}

/// Configuration space: ids, and memory decode on.
fn config(ids: PciIds) -> Vec<u8> {
    let mut bytes = vec![0; config_space::SIZE];
    let mut set = |offset: u16, value: u16| {
        bytes[usize::from(offset)..][..2].copy_from_slice(&value.to_le_bytes());
    };
    set(config_space::VENDOR_ID, ids.vendor);
    set(config_space::DEVICE_ID, ids.device);
    set(config_space::SUBSYSTEM_VENDOR_ID, ids.subsystem_vendor);
    set(config_space::SUBSYSTEM_ID, ids.subsystem);
    set(config_space::COMMAND, Command::MEMORY_SPACE.bits());
    set(config_space::STATUS, 0x0010);
    bytes
}

/// An address.
pub(super) fn bdf(text: &str) -> Bdf {
    text.parse().unwrap()
}
