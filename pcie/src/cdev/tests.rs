//! The driver's nodes as files, in a tree laid out as the driver's.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::Cancel;

const MINE: &str = "0000:00:1d.0";
const OTHER: &str = "0000:00:1b.0";

/// A tree with devices of two functions; each node is a file, so what is written can be looked at.
struct Tree {
    directory: TempDir,
}

impl Tree {
    fn new() -> Self {
        let tree = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(tree.directory.path().join("dev")).unwrap();
        tree
    }

    fn places(&self) -> Places {
        Places {
            sys: self.directory.path().join("sys"),
            dev: self.directory.path().join("dev"),
        }
    }

    fn add(&self, name: &str, bdf: &str) {
        let device = self.places().sys.join(CLASS).join(name);
        fs::create_dir_all(&device).unwrap();
        symlink(format!("../../../{bdf}"), device.join("device")).unwrap();
        File::create(self.node(name)).unwrap();
    }

    fn node(&self, name: &str) -> PathBuf {
        self.places().dev.join(name)
    }

    fn driver(&self) -> Result<KernelDriver, CdevError> {
        KernelDriver::open_in(&self.places(), MINE.parse().unwrap())
    }
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

#[test]
fn the_channels_are_those_of_the_function() {
    let tree = Tree::new();
    for name in ["xdma0_h2c_0", "xdma0_c2h_0"] {
        tree.add(name, OTHER);
    }
    for name in [
        "xdma1_h2c_1",
        "xdma1_h2c_0",
        "xdma1_c2h_0",
        "xdma1_user",
        "xdma1_events_3",
    ] {
        tree.add(name, MINE);
    }
    let driver = tree.driver().unwrap();
    assert_eq!(driver.channels(Direction::H2c), 2);
    assert_eq!(driver.channels(Direction::C2h), 1);
    let paths: Vec<_> = driver.h2c.iter().map(|node| node.path.clone()).collect();
    assert_eq!(paths, [tree.node("xdma1_h2c_0"), tree.node("xdma1_h2c_1")]);
}

#[test]
fn what_is_missing_is_told() {
    let tree = Tree::new();
    let error = tree.driver().unwrap_err();
    assert!(matches!(error, CdevError::NoDriver { .. }), "{error}");
    tree.add("xdma0_h2c_0", OTHER);
    let error = tree.driver().unwrap_err().to_string();
    assert!(error.ends_with("its devices are xdma0_h2c_0"), "{error}");
    tree.add("xdma1_h2c_0", MINE);
    let driver = tree.driver().unwrap();
    let error = driver
        .read(0, &mut [0; 4], 4, &deadline(), &|_| {})
        .unwrap_err();
    assert!(matches!(
        error,
        CdevError::NoChannel {
            direction: Direction::C2h,
            ..
        }
    ));
    fs::remove_file(tree.node("xdma1_h2c_0")).unwrap();
    let error = tree.driver().unwrap_err();
    assert!(
        matches!(error, CdevError::Io { what: "open", .. }),
        "{error}"
    );
}

#[test]
fn data_lands_at_its_address_whatever_channel_moves_it() {
    let tree = Tree::new();
    for name in [
        "xdma0_h2c_0",
        "xdma0_h2c_1",
        "xdma0_h2c_2",
        "xdma0_c2h_0",
        "xdma0_c2h_1",
    ] {
        tree.add(name, MINE);
    }
    // One file behind all nodes, as there is one memory.
    for name in ["xdma0_h2c_1", "xdma0_h2c_2", "xdma0_c2h_0", "xdma0_c2h_1"] {
        fs::remove_file(tree.node(name)).unwrap();
        fs::hard_link(tree.node("xdma0_h2c_0"), tree.node(name)).unwrap();
    }
    let driver = tree.driver().unwrap();
    let data: Vec<u8> = (0..3 * PIECE + 12_345)
        .map(|at| (at / 7) as u8 ^ (at >> 16) as u8)
        .collect();
    for channels in [1, 3, 9] {
        let told = AtomicU64::new(0);
        let count = |bytes| {
            told.fetch_add(bytes, Ordering::Relaxed);
        };
        driver
            .write(0x1003, &data, channels, &deadline(), &count)
            .unwrap();
        let mut back = vec![0; data.len()];
        driver
            .read(0x1003, &mut back, channels, &deadline(), &count)
            .unwrap();
        assert!(back == data, "{channels} channels");
        assert_eq!(told.into_inner(), 2 * data.len() as u64);
        driver
            .write(0x1003, &vec![0; data.len()], 1, &deadline(), &|_| {})
            .unwrap();
    }
}

#[test]
fn a_node_that_ends_and_one_that_fails_are_told() {
    let tree = Tree::new();
    tree.add("xdma0_h2c_0", MINE);
    tree.add("xdma0_c2h_0", MINE);
    fs::write(tree.node("xdma0_c2h_0"), [7; 100]).unwrap();
    // What `/dev/full` says to every write.
    fs::remove_file(tree.node("xdma0_h2c_0")).unwrap();
    symlink("/dev/full", tree.node("xdma0_h2c_0")).unwrap();
    let driver = tree.driver().unwrap();
    let mut data = [0; 150];
    let error = driver
        .read(40, &mut data, 1, &deadline(), &|_| {})
        .unwrap_err();
    assert!(
        matches!(
            error,
            CdevError::Stuck {
                address: 100,
                length: 90,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(data[..60], [7; 60]);
    let error = driver.write(8, &data, 1, &deadline(), &|_| {}).unwrap_err();
    assert!(
        matches!(
            error,
            CdevError::Transfer {
                address: 8,
                length: 150,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn calls_that_are_cut_short_or_interrupted_go_on_where_they_were() {
    let tree = Tree::new();
    tree.add("xdma0_h2c_0", MINE);
    let driver = tree.driver().unwrap();
    let mut calls = Vec::new();
    driver.h2c[0]
        .move_all(0x100, 10, &deadline(), |done, at| {
            calls.push((done, at));
            match calls.len() {
                2 => Err(io::ErrorKind::Interrupted.into()),
                4 => Ok(usize::MAX),
                _ => Ok(3),
            }
        })
        .unwrap();
    assert_eq!(calls, [(0, 0x100), (3, 0x103), (3, 0x103), (6, 0x106)]);
}

#[test]
fn who_does_not_want_to_wait_any_more_gets_out() {
    let tree = Tree::new();
    tree.add("xdma0_h2c_0", MINE);
    let driver = tree.driver().unwrap();
    let cancel = Cancel::default();
    let deadline = deadline().with_cancel(&cancel);
    let stop = |_| cancel.cancel();
    let error = driver
        .write(0, &vec![1; 3 * PIECE], 1, &deadline, &stop)
        .unwrap_err();
    let source = Ended::Cancelled;
    assert!(matches!(error, CdevError::Wait { source: s } if s == source));
    let written = fs::metadata(tree.node("xdma0_h2c_0")).unwrap().len();
    assert_eq!(written, PIECE as u64);
}

#[test]
fn only_channels_are_channels() {
    assert_eq!(channel_of("xdma12_c2h_3"), Some((Direction::C2h, 3)));
    for name in [
        "xdma_h2c_0",
        "xdma0_h2c_4",
        "xdma0_h2c_+1",
        "xdma0_bypass_h2c_0",
        "xdma0_h2c_",
        "xdma0_user",
    ] {
        assert_eq!(channel_of(name), None, "{name}");
    }
}
