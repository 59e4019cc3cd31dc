//! What bad input gets: a message that names the check, the value seen, the value wanted and what to
//! do; an exit code that tells the class; and a slot that was not touched.

use afi_rig::Sim;

/// What a command has to say on standard error, beside its exit code.
struct Refusal {
    words: &'static str,
    code: i32,
    says: &'static [&'static str],
}

fn check(sim: &Sim, refusals: &[Refusal]) {
    let before = sim.afi("describe all --output-format json").json();
    for Refusal { words, code, says } in refusals {
        let output = sim.afi(words);
        assert_eq!(output.code, Some(*code), "afi {words}: {output:#?}");
        for text in *says {
            assert!(
                output.stderr.contains(text),
                "afi {words}: no '{text}' in {output:#?}"
            );
        }
        assert!(!output.stderr.contains("panicked"), "{output:#?}");
    }
    let after = sim.afi("describe all --output-format json").json();
    assert_eq!(before, after, "a slot was touched");
}

#[test]
fn on_f1() {
    let sim = Sim::f1().start();
    let refusals = [
        Refusal {
            words: "load 0 agfi-0f1f100000000000",
            code: 2,
            says: &[
                "agfi-0f1f100000000000",
                "16 digits",
                "17 hexadecimal digits",
            ],
        },
        Refusal {
            words: "load 0 agfi-0f1f1000000000zzz",
            code: 2,
            says: &["'z'"],
        },
        Refusal {
            words: "load 0 afi-12",
            code: 2,
            says: &["afi-12", "17 hexadecimal digits"],
        },
        Refusal {
            words: "load 0 tag:design",
            code: 2,
            says: &["tag:", "="],
        },
        Refusal {
            words: "load 0 cl_twice",
            code: 2,
            says: &[
                "2 images",
                "agfi-0f1f1000000000016",
                "agfi-0f1f1000000000017",
                "AGFI id",
            ],
        },
        Refusal {
            words: "load 5 cl_hello_world",
            code: 3,
            says: &["no slot 5", "slot 0", "afi list"],
        },
        Refusal {
            words: "load 0000:00:03.0 cl_hello_world",
            code: 3,
            says: &["0000:00:03.0"],
        },
        Refusal {
            words: "load x cl_hello_world",
            code: 2,
            says: &["'x'"],
        },
        Refusal {
            words: "load 0 cl_nobody_knows",
            code: 3,
            says: &["cl_nobody_knows", "us-east-1", "AWS_REGION"],
        },
        Refusal {
            words: "load 0 agfi-0f1f1000000000014",
            code: 3,
            says: &["us-east-1", "shares"],
        },
        Refusal {
            words: "load 0 cl_west",
            code: 3,
            says: &["us-east-1", "region"],
        },
        Refusal {
            words: "load 0 cl_pending",
            code: 1,
            says: &["check of state", "pending", "wanted available", "wait"],
        },
        Refusal {
            words: "load 0 cl_failed",
            code: 1,
            says: &["check of state", "failed", "DCP_INTEGRITY_UNVERIFIED"],
        },
        Refusal {
            words: "load 0 cl_unavailable",
            code: 1,
            says: &["check of state", "unavailable"],
        },
        Refusal {
            words: "load 0 agfi-088bffb3ab91ca2d1",
            code: 7,
            says: &["shell", "0x071417d3", "0x04261818"],
        },
        Refusal {
            words: "load 0 cl_axil_reg_access",
            code: 7,
            says: &["f2", "f1"],
        },
        Refusal {
            words: "load 0 cl_hello_world --prefetch --force-shell-reload",
            code: 2,
            says: &["--prefetch", "--force-shell-reload"],
        },
        Refusal {
            words: "load 0 cl_hello_world --timeout -1",
            code: 2,
            says: &[],
        },
        Refusal {
            words: "peek 0 0x2000000",
            code: 2,
            says: &["0x2000000"],
        },
        Refusal {
            words: "peek 0 0x501",
            code: 2,
            says: &["0x501"],
        },
        Refusal {
            words: "poke 0 0x500 0x100000000",
            code: 2,
            says: &["0x100000000", "32"],
        },
        Refusal {
            words: "dip set 0 0x10000",
            code: 2,
            says: &["16"],
        },
        Refusal {
            words: "list --bus pigeon",
            code: 2,
            says: &["pigeon", "sysfs", "socket:DIR"],
        },
        Refusal {
            words: "list --bus socket:/nowhere",
            code: 3,
            says: &["/nowhere"],
        },
        Refusal {
            words: "list --config /nowhere.toml",
            code: 3,
            says: &["/nowhere.toml"],
        },
    ];
    check(&sim, &refusals);
}

#[test]
fn on_f2() {
    let sim = Sim::f2().start();
    let refusals = [
        Refusal {
            words: "load 0 cl_hello_world",
            code: 7,
            says: &["f1", "f2"],
        },
        Refusal {
            words: "load 0 cl_dram_hbm_dma_xdma_shell",
            code: 7,
            says: &["0x10162423", "0x10212415"],
        },
        Refusal {
            words: "load 0 cl_dram_hbm_dma --retain-dram",
            code: 1,
            says: &["DRAM"],
        },
    ];
    check(&sim, &refusals);
}

#[test]
fn a_configuration_file_with_a_mistake_names_the_line() {
    let sim = Sim::f1().start();
    let file = sim.directory().join("config.toml");
    std::fs::write(&file, "# mine\nbuss = \"sysfs\"\n").unwrap();
    let output = sim.afi(&format!("list --config {}", file.display()));
    let text = output.failure(2);
    assert!(
        text.contains("config.toml") && text.contains('2') && text.contains("buss"),
        "{text}"
    );
}

#[test]
fn a_damaged_cache_is_set_aside_and_costs_nothing() {
    let sim = Sim::f1().start();
    sim.afi("load 0 cl_hello_world").success();
    let state = sim.directory().join("state");
    std::fs::write(state.join("images.json"), "{ not json").unwrap();
    sim.afi("load 0 agfi-0f1f1000000000001").success();
    let kept = std::fs::read_dir(&state).unwrap().any(|entry| {
        entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("damaged")
    });
    assert!(kept, "the damaged file was not kept");
}

#[test]
fn a_catalogue_with_a_mistake_names_the_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("images.toml");
    std::fs::write(&file, "[[image]]\nafi = \"agfi-0f1f1000000000001\"\n").unwrap();
    let output = std::process::Command::new(afi_rig::program("afi-sim"))
        .args(["run", "--catalog"])
        .arg(&file)
        .args(["--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("images.toml, line 2") && text.contains("this is an AGFI id"),
        "{text}"
    );
}
