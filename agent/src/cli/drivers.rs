//! What `afi bind` and `afi unbind` share.

use std::fmt::Write as _;

use afi_pcie::Bus;
use afi_pcie::slots::Slot;
use afi_pcie::vfio::bind::{Binding, DriverChange};
use serde_json::{Value, json};

use super::environment::Environment;
use crate::instance::SlotName;
use crate::output::{Answer, ErrorReport};

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Bind,
    Unbind,
}

/// Changes the drivers of slots, one after the other. One that does not work does not stop the rest.
pub(super) fn change(
    environment: &Environment,
    name: SlotName,
    change: Change,
) -> Result<Answer, Box<ErrorReport>> {
    let instance = environment.instance()?;
    let mut answer = Answer::default();
    let mut documents = Vec::new();
    for slot in instance.select(name)? {
        match one(environment, instance.bus(), &slot, change) {
            Ok(binding) => {
                answer.text += &text(&slot, &binding);
                documents.push(document(&slot, &binding));
            }
            Err(error) => {
                let (slot, mgmt, app) = (slot.index, slot.mgmt.bdf, slot.app_bdf);
                documents.push(json!({ "slot": slot, "mgmt": mgmt, "app": app, "error": *error }));
                answer.errors.push(*error);
            }
        }
    }
    Ok(answer.with("bindings", documents))
}

fn one(
    environment: &Environment,
    bus: &dyn Bus,
    slot: &Slot,
    change: Change,
) -> Result<Binding, Box<ErrorReport>> {
    let _lock = environment.lock(bus, slot)?;
    let (app, mgmt, deadline) = (slot.app_bdf, slot.mgmt.bdf, &environment.deadline);
    let changed = match change {
        Change::Bind => bus.bind(app, mgmt, deadline),
        Change::Unbind => bus.unbind(app, mgmt, deadline),
    };
    Ok(changed?)
}

fn document(slot: &Slot, binding: &Binding) -> Value {
    let changes: Vec<Value> = binding
        .changes
        .iter()
        .map(|DriverChange { bdf, before, after }| {
            json!({ "function": bdf, "before": before, "after": after })
        })
        .collect();
    json!({
        "slot": slot.index,
        "mgmt": slot.mgmt.bdf,
        "app": slot.app_bdf,
        "iommu_group": binding.group,
        "drivers": changes,
    })
}

fn text(slot: &Slot, binding: &Binding) -> String {
    let mut text = String::new();
    for DriverChange { bdf, before, after } in &binding.changes {
        let change = if before == after {
            format!("stays on {}", driver(after))
        } else {
            format!("is on {}, was on {}", driver(after), driver(before))
        };
        let _ = write!(text, "slot {}: {bdf} {change}", slot.index);
        if let Some(group) = binding.group {
            let _ = write!(text, " (IOMMU group {group})");
        }
        text.push('\n');
    }
    text
}

fn driver(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or("no driver")
}

#[cfg(test)]
mod tests {
    use afi_pcie::bus::FunctionInfo;
    use afi_proto::{Family, PciIds, SlotIndex};

    use super::*;

    fn slot() -> Slot {
        Slot {
            index: SlotIndex(2),
            family: Family::F2,
            mgmt: FunctionInfo {
                bdf: "0000:34:00.1".parse().unwrap(),
                ids: PciIds::new(0x1D0F, 0x9248, 0, 0),
                driver: None,
                numa_node: None,
            },
            app_bdf: "0000:34:00.0".parse().unwrap(),
            app: None,
        }
    }

    #[test]
    fn each_function_whose_driver_changed_has_a_line() {
        let slot = slot();
        let vfio = Some("vfio-pci".to_owned());
        let mut binding = Binding {
            group: Some(7),
            changes: vec![
                DriverChange {
                    bdf: slot.app_bdf,
                    before: None,
                    after: vfio.clone(),
                },
                DriverChange {
                    bdf: slot.mgmt.bdf,
                    before: Some("mgmt".to_owned()),
                    after: None,
                },
            ],
        };
        assert_eq!(
            text(&slot, &binding),
            "slot 2: 0000:34:00.0 is on vfio-pci, was on no driver (IOMMU group 7)\n\
             slot 2: 0000:34:00.1 is on no driver, was on mgmt (IOMMU group 7)\n"
        );
        let json = document(&slot, &binding);
        assert_eq!(json["drivers"][1]["before"], "mgmt");
        assert_eq!(json["drivers"][1]["after"], Value::Null);
        binding.changes[0].before = vfio;
        binding.changes.truncate(1);
        binding.group = None;
        assert_eq!(
            text(&slot, &binding),
            "slot 2: 0000:34:00.0 stays on vfio-pci\n"
        );
    }
}
