//! What is checked, guest by guest. Each check leaves the slots that it uses to itself.

mod access;
mod f2;
mod kernel;
mod load;
mod report;
mod sharing;
mod speed;
mod trouble;
mod vfio;

use afi_proto::Family;
use afi_rig::Sim;

use crate::Boot;
use crate::instance::Instance;

/// Images of the simulator's catalogue, and the ids that their application function has.
mod image {
    pub(super) const HELLO: &str = "agfi-0f1f1000000000001";
    pub(super) const HELLO_IDS: &str = "1d0f:f000 fedd:1d51";
    pub(super) const DRAM: &str = "agfi-0f1f1000000000002";
    pub(super) const DRAM_IDS: &str = "1d0f:f001 fedc:1d51";
    pub(super) const AXIL: &str = "agfi-0f2f2000000000001";
    pub(super) const AXIL_IDS: &str = "1d0f:f010 fedc:1d51";
}

/// Every guest and its checks.
pub(crate) const BOOTS: &[Boot] = &[
    // An f1.16xlarge: what works.
    Boot {
        name: "f1",
        start: |kit| Instance::start(kit, Family::F1, 8, Sim::f1()),
        checks: &[
            ("the_kernel_sees_every_function", kernel::f1_functions),
            ("list_shows_eight_slots_in_order", load::lists_eight_slots),
            ("a_load_changes_what_the_kernel_shows", load::changes_ids),
            ("registers_leds_and_switches", load::registers),
            ("clear_brings_the_ids_of_an_empty_slot_back", load::clear),
            ("a_prefetched_image_is_listed", load::prefetch),
            ("retention_of_dram_refused_and_allowed", load::retention),
            ("two_loads_at_once_on_one_slot", sharing::two_loads_at_once),
            ("eight_slots_at_once", sharing::eight_at_once),
            (
                "a_driver_on_the_application_function",
                sharing::driver_bound,
            ),
            ("what_needs_root_says_so", sharing::without_root),
            ("a_capture_shows_what_there_was", report::shows_the_same),
            ("a_capture_needs_no_root", report::without_root),
            // udev gives the slots to the group from here on.
            ("a_member_of_the_group_needs_no_root", access::on_f1),
        ],
    },
    // Two cards of F2, each behind a port of its own.
    Boot {
        name: "f2",
        start: |kit| Instance::start(kit, Family::F2, 2, Sim::f2()),
        checks: &[
            ("the_kernel_sees_every_function", kernel::f2_functions),
            ("a_load_changes_what_the_kernel_shows", f2::changes_ids),
            ("a_shell_that_asks_to_be_reloaded", f2::shell_reload),
            ("only_the_bus_of_the_slot_is_scanned", f2::scans_its_own_bus),
            ("a_member_of_the_group_needs_no_root", access::on_f2),
        ],
    },
    // What goes wrong. Slot 3 is the one that is lost with the simulator, so that comes last.
    Boot {
        name: "trouble",
        start: |kit| {
            let sim = Sim::f1().load_time(1500);
            let sim = sim.fault("device-gone-on-load:0");
            let sim = sim.fault("app-missing=1:1").fault("bus-master-off:2");
            Instance::start(kit, Family::F1, 4, sim)
        },
        checks: &[
            ("a_device_that_goes_with_a_load", trouble::gone_on_load),
            ("a_function_that_stays_away", trouble::stays_away),
            ("bus_mastering_is_switched_on", trouble::bus_master_off),
            (
                "a_function_that_was_removed_by_hand",
                trouble::removed_by_hand,
            ),
            (
                "a_function_that_is_removed_during_a_load",
                trouble::removed_during_a_load,
            ),
            (
                "a_device_that_is_unplugged_during_a_load",
                trouble::unplugged,
            ),
        ],
    },
    // User space drives the cards, with an IOMMU between them and the memory. DRAM is in slot 0.
    Boot {
        name: "vfio-f1",
        start: |kit| Instance::behind_an_iommu(kit, Family::F1, 2, Sim::f1().load_time(0)),
        checks: &[
            ("binding_takes_a_module", vfio::module_missing),
            ("bind_and_unbind", vfio::bind_and_unbind),
            ("configuration_space_and_bars", vfio::looks),
            ("a_reset", vfio::resets),
            ("what_can_be_mapped_for_dma", vfio::maps),
            ("interrupts_by_eventfd", vfio::user_interrupts),
            ("transfers_to_the_card_and_back", vfio::transfers),
            ("transfers_of_the_command", vfio::transfers_of_the_command),
            ("memory_that_is_not_mapped", vfio::outside),
            ("a_function_takes_one_program", vfio::busy),
            (
                "a_load_leaves_a_function_in_use_alone",
                sharing::used_by_vfio,
            ),
            ("a_load_binds_again", vfio::load_binds_again),
        ],
    },
    // Both functions of a card are in one group.
    Boot {
        name: "vfio-f2",
        start: |kit| Instance::behind_an_iommu(kit, Family::F2, 1, Sim::f2().load_time(0)),
        checks: &[
            ("the_group_is_bound_as_a_whole", vfio::shared_group),
            ("configuration_space_and_bars", vfio::looks_f2),
        ],
    },
    // Without an IOMMU nothing of this can be had, and what can is said.
    Boot {
        name: "vfio-off",
        start: |kit| Instance::start(kit, Family::F1, 1, Sim::f1().load_time(0)),
        checks: &[("no_iommu_is_refused_with_the_choices", vfio::iommu_off)],
    },
    // A device that answers at once.
    Boot {
        name: "speed",
        start: |kit| Instance::start(kit, Family::F1, 1, Sim::f1().load_time(0)),
        checks: &[("what_commands_cost", speed::commands)],
    },
];
