//! A simulated instance with a guest around it.

use afi_proto::{Bdf, Family};
use afi_rig::{Sim, SimBuilder};
use afi_sim::device::bdfs;

use crate::guest::{Guest, Iommu, Plug};
use crate::kit::Kit;

/// An instance as a user has it: a machine with FPGAs in it.
#[derive(Debug)]
pub(crate) struct Instance {
    /// The machine. Goes first, as it uses the FPGAs.
    pub(crate) guest: Guest,
    /// The FPGAs.
    pub(crate) sim: Sim,
    /// Where the guest sees the functions of each slot.
    pub(crate) slots: Vec<Addresses>,
}

/// Where the guest sees the functions of a slot.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// The management function.
    pub(crate) mgmt: String,
    /// The application function.
    pub(crate) app: String,
}

impl Instance {
    /// Starts the FPGAs and boots the guest.
    ///
    /// F1's functions are on the root bus at the addresses that they have on an instance. Each card
    /// of F2 is behind a root port, and so on a bus of its own, as on an instance; which number the
    /// bus has is up to the guest's firmware, which counts from 1.
    ///
    /// # Panics
    /// When one of them does not come up.
    pub(crate) fn start(kit: &Kit, family: Family, slots: u8, sim: SimBuilder) -> Self {
        Self::start_with(kit, Iommu::Off, family, slots, sim)
    }

    /// The same, of a machine with an IOMMU.
    ///
    /// # Panics
    /// As [`Instance::start`].
    pub(crate) fn behind_an_iommu(kit: &Kit, family: Family, slots: u8, sim: SimBuilder) -> Self {
        Self::start_with(kit, Iommu::On, family, slots, sim)
    }

    fn start_with(kit: &Kit, iommu: Iommu, family: Family, slots: u8, sim: SimBuilder) -> Self {
        let sim = sim.slots(slots).start();
        let (mut ports, mut plugs, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (mgmt, app)) in bdfs(family, slots).into_iter().enumerate() {
            let port = (family == Family::F2).then(|| format!("port{number}"));
            ports.extend(port.clone());
            for function in [app, mgmt] {
                plugs.push(Plug {
                    socket: sim
                        .directory()
                        .join("devices")
                        .join(format!("{function}.sock")),
                    port: port.clone(),
                    address: format!("{:02x}.{}", function.device(), function.function()),
                    multifunction: family == Family::F2,
                });
            }
            let seen = |function: Bdf| match family {
                Family::F1 => function.to_string(),
                Family::F2 => format!(
                    "0000:{:02x}:{:02x}.{}",
                    number + 1,
                    function.device(),
                    function.function()
                ),
            };
            addresses.push(Addresses {
                mgmt: seen(mgmt),
                app: seen(app),
            });
        }
        Self {
            guest: Guest::boot(kit, iommu, &ports, &plugs),
            sim,
            slots: addresses,
        }
    }
}
