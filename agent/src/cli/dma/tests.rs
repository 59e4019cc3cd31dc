//! The commands over simulated slots, on the bus in the same process.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use afi_pcie::{Bus, Cancel, Deadline};
use afi_proto::Family;
use afi_sim::bus::SimBus;
use clap::Parser;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::lock::SlotLock;
use crate::output::error::ErrorReport;
use crate::pipeline::tests::rig::{DRAM, HELLO, REGISTERS, Rig, plan};
use crate::problem::Class;

/// The command line of `afi dma` alone.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    dma: Dma,
}

/// A slot, and a directory for files.
struct Bench {
    bus: Arc<SimBus>,
    instance: Instance,
    files: TempDir,
    deadline: Deadline,
    rig: Rig,
}

impl Bench {
    fn with(family: Family, image: Option<&str>) -> Self {
        let rig = Rig::new(family, 1);
        if let Some(image) = image {
            rig.load(&plan(image)).unwrap();
        }
        let bus = rig.restarted();
        Self {
            instance: Instance::on(Arc::<SimBus>::clone(&bus)),
            bus,
            files: tempfile::tempdir().unwrap(),
            deadline: Deadline::after(Duration::from_secs(60)),
            rig,
        }
    }

    /// An F1 slot with four DDR interfaces.
    fn dram() -> Self {
        Self::with(Family::F1, Some(DRAM))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.files.path().join(name)
    }

    /// Runs `afi dma` with these words; `@` stands for the directory.
    fn run(&self, words: &str) -> Result<Answer, Box<ErrorReport>> {
        let directory = self.files.path().display().to_string();
        let words = words.replace('@', &directory);
        let line = ["dma"].into_iter().chain(words.split_whitespace());
        let line = Line::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
        let context = Context {
            instance: &self.instance,
            deadline: &self.deadline,
            command: "test",
            progress: &Progress::new(true),
        };
        line.dma.run_on(&context)
    }

    #[track_caller]
    fn done(&self, words: &str) -> Answer {
        let answer = self
            .run(words)
            .unwrap_or_else(|error| panic!("{}", error.to_text()));
        assert!(answer.errors.is_empty(), "{:?}", answer.errors);
        answer
    }

    #[track_caller]
    fn refused(&self, words: &str) -> ErrorReport {
        match self.run(words) {
            Err(error) => *error,
            Ok(mut answer) => answer
                .errors
                .pop()
                .unwrap_or_else(|| panic!("{}", answer.text)),
        }
    }
}

fn field<'a>(answer: &'a Answer, document: &str, name: &str) -> &'a Value {
    &answer.fields[document][name]
}

fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[test]
fn a_file_goes_to_the_card_and_comes_back_by_every_path() {
    let bench = Bench::dram();
    let data = sample((5 << 20) + 13);
    let size = data.len();
    fs::write(bench.path("in"), &data).unwrap();
    // Across the end of the first DDR interface, and with no alignment.
    let address = "0x3fffffff9";
    for path in ["xdma", "pcis"] {
        let how = format!("0 -a {address} --path {path}");
        let wrote = bench.done(&format!("write {how} -f @/in"));
        assert_eq!(field(&wrote, "dma", "path"), path);
        assert_eq!(field(&wrote, "dma", "bytes"), size);
        assert_eq!(field(&wrote, "dma", "operation"), "write");
        bench.done(&format!("read {how} -s {size} -f @/out"));
        assert!(fs::read(bench.path("out")).unwrap() == data, "{path}");
        bench.done(&format!("verify {how} -f @/in"));
        bench.done(&format!("fill {how} -s {size} --pattern zeros"));
        let differs = bench.refused(&format!("verify {how} -f @/in"));
        assert_eq!(differs.class, Class::Mismatch);
    }
}

#[test]
fn a_shell_without_an_engine_has_none() {
    let bench = Bench::with(Family::F2, Some(REGISTERS));
    let error = bench.refused("read 0 -s 4K --path xdma");
    assert_eq!(error.class, Class::NotFound, "{error:?}");
    assert!(error.causes[1].contains("has no XDMA engine"), "{error:?}");
}

#[test]
fn the_best_path_is_taken_and_the_others_are_told() {
    let f1 = Bench::dram();
    let answer = f1.done("fill 0 -s 4K --value 0xdeadbeef");
    assert_eq!(field(&answer, "dma", "path"), "xdma");
    assert_eq!(field(&answer, "dma", "design"), &Value::Null);
    assert!(
        answer.text.starts_with("slot 0: filled 4 KiB at 0x0 in "),
        "{}",
        answer.text
    );
    let f2 = Bench::with(Family::F2, Some(REGISTERS));
    let answer = f2.done("read 0 -s 16");
    assert_eq!(field(&answer, "dma", "path"), "pcis");
    let passed: Vec<_> = field(&answer, "dma", "passed_over")
        .as_array()
        .unwrap()
        .iter()
        .map(|over| over["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(passed, ["xdma", "cdev"]);
}

#[test]
fn what_differs_is_shown_and_has_its_exit_code() {
    let bench = Bench::dram();
    bench.done("fill 0 -a 4K -s 64K --pattern address");
    bench.done("verify 0 -a 4K -s 64K --pattern address");
    bench.done("fill 0 -a 0x3002 -s 2 --value 0xbeef --width 16");
    let answer = bench
        .run("verify 0 -a 4K -s 64K --pattern address")
        .unwrap();
    assert_eq!(
        answer.errors[0].message,
        "the memory of slot 0 differs in 2 of 65536 bytes; the first is at 0x3002: \
         wanted 0000000000000830, found efbe000000000830"
    );
    assert_eq!(answer.errors[0].exit_code, 7);
    assert_eq!(field(&answer, "verdict", "differing"), 2);
    assert_eq!(answer.fields["verdict"]["first"]["address"], 0x3002);
    assert_eq!(answer.text, "");
}

#[test]
fn memory_is_shown_where_no_file_is_named() {
    let bench = Bench::dram();
    bench.done("fill 0 -a 4G -s 20 --pattern hex:48656c6c6f21");
    let shown = bench.done("read 0 -a 4G -s 20");
    assert_eq!(
        shown.text,
        "0x0100000000  48 65 6c 6c 6f 21 48 65  6c 6c 6f 21 48 65 6c 6c  |Hello!Hello!Hell|\n\
         0x0100000010  6f 21 48 65                                       |o!He|\n"
    );
    assert_eq!(
        shown.fields["hex"],
        "48656c6c6f2148656c6c6f2148656c6c6f214865"
    );
    assert_eq!(bench.refused("read 0 -s 1M").class, Class::Usage);
}

#[test]
fn what_cannot_be_is_refused_by_class_and_says_what_helps() {
    let bench = Bench::dram();
    fs::write(bench.path("ten"), [1; 10]).unwrap();
    for (words, class) in [
        (
            "fill 0 -a 0x1000000000000 -s 4 --pattern ones",
            Class::Usage,
        ),
        ("read 0 -a 127G -s 4", Class::Usage),
        ("read 0 -a 0 -s 4 --memory-map 4K+4K", Class::Usage),
        ("write 0 -f @/ten -s 11", Class::Usage),
        ("fill 0 -s 4 --value 0x100 --width 8", Class::Usage),
        ("write 0 -f @/nowhere", Class::NotFound),
        ("read 0 -s 4 --path cdev", Class::NotFound),
        ("read 3 -s 4", Class::NotFound),
        ("read all -s 4 --memory-map 0+4K", Class::Failed),
    ] {
        if words.starts_with("read all") {
            bench.done(words);
            continue;
        }
        assert_eq!(bench.refused(words).class, class, "{words}");
    }
    let hello = Bench::with(Family::F1, Some(HELLO));
    let cleared = Bench::with(Family::F1, None);
    assert_eq!(cleared.refused("read 0 -s 4").class, Class::Mismatch);
    assert!(
        cleared
            .refused("read 0 -s 4")
            .remedy
            .unwrap()
            .contains("afi load")
    );
    let refused = hello.refused("read 0 -s 4");
    assert_eq!(refused.class, Class::Mismatch);
    assert!(refused.message.contains("cl_hello_world"), "{refused:?}");
    // What the caller says of the design counts; this one answers nothing there.
    let told = hello.done("read 0 -s 4 --memory-map RAM=0+4K --path pcis");
    assert_eq!(told.fields["hex"], "ffffffff");
    assert!(
        told.hints[0].contains("does not answer"),
        "{:?}",
        told.hints
    );
}

#[test]
fn nothing_is_left_of_a_file_that_was_not_completed() {
    let bench = Bench::dram();
    fs::write(bench.path("out"), "before").unwrap();
    let names = || -> Vec<_> {
        let entries = fs::read_dir(bench.files.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    bench.refused("read 0 -a 126G -s 2G -f @/out");
    assert_eq!(fs::read(bench.path("out")).unwrap(), b"before");
    assert_eq!(names(), ["out"]);
    let stopped = Bench {
        deadline: {
            let cancel = Cancel::default();
            cancel.cancel();
            Deadline::after(Duration::from_secs(60)).with_cancel(&cancel)
        },
        ..bench
    };
    let error = stopped.refused("read 0 -s 4K -f @/out");
    assert_eq!(error.exit_code, 130);
    assert_eq!(fs::read(stopped.path("out")).unwrap(), b"before");
}

#[test]
fn a_slot_that_somebody_uses_is_waited_for() {
    let mut bench = Bench::dram();
    bench.deadline = Deadline::after(Duration::from_millis(50));
    let mgmt = bench.instance.slots().unwrap()[0].mgmt.bdf;
    let directory = bench.bus.lock_directory();
    let deadline = Deadline::after(Duration::from_secs(10));
    let _held = SlotLock::acquire(&directory, mgmt, "afi load", &deadline).unwrap();
    assert_eq!(bench.refused("read 0 -s 4").class, Class::Busy);
}

#[test]
fn a_measurement_has_a_point_for_each_size_and_way_and_a_picture() {
    let bench = Bench::dram();
    let answer = bench.done(
        "bench 0 -a 8G --sizes 4K,64,1M --duration 10ms --plot @/plot.svg --path pcis --channels 2",
    );
    let points = field(&answer, "bench", "points").as_array().unwrap();
    let seen: Vec<_> = points
        .iter()
        .map(|point| {
            (
                point["direction"].as_str().unwrap(),
                point["size"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("write", 64),
            ("write", 4096),
            ("write", 1 << 20),
            ("read", 64),
            ("read", 4096),
            ("read", 1 << 20)
        ]
    );
    for point in points {
        assert!(point["transfers"].as_u64().unwrap() > 0, "{point}");
        assert!(point["median_ms"].as_f64().unwrap() <= point["p99_ms"].as_f64().unwrap());
    }
    let svg = fs::read_to_string(bench.path("plot.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for text in ["slot 0 by pcis", "write", "read", "GB/s", "4 KiB"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(answer.text.contains("WAY    SIZE"), "{}", answer.text);
    let one = bench.done("bench 0 --sizes 64 --direction read --duration 5ms");
    assert_eq!(field(&one, "bench", "points").as_array().unwrap().len(), 1);
    assert!(!Path::new(&bench.path("other")).exists());
}

#[test]
fn a_slot_that_is_cleared_is_told() {
    let bench = Bench::dram();
    bench.rig.clear().unwrap();
    // This host has not looked at the bus again.
    let error = bench.refused("read 0 -s 4 --path pcis");
    assert_eq!(error.class, Class::Mismatch, "{error:?}");
}
