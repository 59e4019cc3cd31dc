//! A capture that is taken on an instance and looked at elsewhere, when the instance is gone.

use std::fs;
use std::process::Command;

use afi_rig::Sim;

/// An image of the builtin catalogue for each family.
const IMAGES: [&str; 2] = ["agfi-0f1f1000000000001", "agfi-0f2f2000000000001"];

#[test]
fn a_report_shows_elsewhere_what_the_instance_showed() {
    for (builder, image) in [Sim::f1(), Sim::f2()].into_iter().zip(IMAGES) {
        let sim = builder.slots(2).start();
        sim.afi(&format!("load 1 {image} --offline")).success();
        let directory = tempfile::tempdir().expect("a directory for the report");
        let file = directory.path().join("slot-report.json");
        let said = sim.afi(&format!("capture {}", file.display()));
        assert!(said.success().contains("2 slots, 4 functions"), "{said:?}");

        let views = [
            "list",
            "list --output-format json",
            "describe --metrics",
            "describe --metrics --output-format json",
        ];
        let there: Vec<String> = views
            .iter()
            .map(|view| sim.afi(view).success().to_owned())
            .collect();
        let instance = sim.directory().display().to_string();
        let program = sim.command("afi").get_program().to_owned();
        drop(sim);

        for (view, there) in views.iter().zip(there) {
            // Nothing of the instance's environment, and another directory to work in.
            let output = Command::new(&program)
                .env_clear()
                .current_dir(directory.path())
                .args(["--bus", "capture:slot-report.json"])
                .args(view.split(' '))
                .output()
                .expect("afi can be run");
            let here = String::from_utf8(output.stdout).expect("output is UTF-8");
            assert!(output.status.success(), "{view}: {here}");
            let socket = format!("socket:{instance}");
            assert_eq!(here, there.replace(&socket, "capture:slot-report.json"));
        }
    }
}

#[test]
fn a_report_that_was_cut_short_on_its_way_is_refused() {
    let sim = Sim::f1().start();
    let file = sim.directory().join("slot-report.json");
    sim.afi(&format!("capture {}", file.display())).success();
    let whole = fs::read(&file).expect("the report");
    fs::write(&file, &whole[..whole.len() / 2]).expect("half of it");
    let output = sim.afi(&format!("list --bus capture:{}", file.display()));
    let said = output.failure(2);
    assert!(said.contains("slot-report.json as a capture"), "{said}");
    assert!(said.contains("line ") && said.contains("EOF"), "{said}");
    assert!(said.contains("help: have it sent again"), "{said}");
}

#[test]
fn a_slot_that_goes_away_is_in_the_report() {
    let sim = Sim::f1().slots(2).fault("device-gone:1").start();
    let file = sim.directory().join("slot-report.json");
    let said = sim.afi(&format!("capture {}", file.display()));
    said.success();
    assert!(
        said.stderr.contains("recorded: cannot describe slot 1"),
        "{said:?}"
    );
    let bus = format!("--bus capture:{}", file.display());
    sim.afi(&format!("describe 0 {bus}")).success();
    let gone = sim.afi(&format!("describe 1 {bus}"));
    assert!(gone.failure(8).contains("reads as all ones"), "{gone:?}");
}
