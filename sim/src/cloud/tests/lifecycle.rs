//! Images that are created, copied and deleted, step by step.

use super::stage::{COPY, CREATE, HELLO_IDS, Stage, tarball};
use super::*;
use crate::catalog::{AccountId, Failure, InstanceImages};
use crate::image::{ImageSource, SlotImage};

fn loadable(stage: &Stage, agfi: &str) -> Option<SlotImage> {
    let region = "us-east-1".parse().unwrap();
    let images = InstanceImages::new(stage.catalog.clone(), region, AccountId::SIMULATED);
    images.loadable(agfi.parse().unwrap())
}

#[test]
fn an_image_is_pending_until_its_time_has_come_and_then_loads() {
    let stage = Stage::new();
    let logs = [
        ("LogsStorageLocation.Bucket", "dcps"),
        ("LogsStorageLocation.Key", "logs"),
    ];
    let (afi, agfi) = stage.create(&tarball(HELLO_IDS, "A1"), &logs);
    stage.step(CREATE - Duration::from_millis(1));
    assert_eq!(stage.state("us-east-1", &afi).0, "pending");
    assert!(loadable(&stage, &agfi).is_none());
    let log = format!("logs/{afi}/logs.tar");
    assert!(stage.object(&log).is_none());

    stage.step(Duration::from_millis(1));
    assert_eq!(stage.state("us-east-1", &afi).0, "available");
    let image = loadable(&stage, &agfi).unwrap();
    assert_eq!(
        (image.ids.vendor, image.ids.device, image.ids.subsystem),
        (0x1d0f, 0xf000, 0x1d51)
    );
    assert_eq!(image.clocks_hz[0][0], 250_000_000);
    let seen = stage.call("DescribeFpgaImages", &[("FpgaImageId.1", &afi)]);
    assert_eq!(seen.one("createTime"), "2033-05-18T03:33:20.000Z");
    assert_eq!(seen.one("updateTime"), "2033-05-18T04:03:20.000Z");
    let log = stage.object(&log).unwrap();
    let mut archive = tar::Archive::new(log.as_slice());
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(
        names,
        [
            format!("{afi}/State"),
            format!("{afi}/create_fpga_image.log")
        ]
    );
}

#[test]
fn the_custom_logic_is_that_of_an_example_or_the_one_that_a_tag_names() {
    let stage = Stage::new();
    let dram = tarball(["0x1D0F", "0xF001", "0xFEDC", "0x1D51"], "A0");
    let own = tarball(["0x1D0F", "0xF0AB", "0xFEDC", "0x1D51"], "A0");
    let tag = [
        ("TagSpecification.1.ResourceType", "fpga-image"),
        ("TagSpecification.1.Tag.1.Key", "afi-sim:model"),
        ("TagSpecification.1.Tag.1.Value", "mine"),
    ];
    for (tarball, more, model) in [
        (&dram, &[][..], "cl_dram_dma"),
        (&own, &[], "cl_hello_world"),
        (&own, &tag, "mine"),
    ] {
        let (_, agfi) = stage.create(tarball, more);
        stage.step(CREATE);
        stage.cloud.world.settle();
        assert_eq!(loadable(&stage, &agfi).unwrap().model, model);
    }
}

#[test]
fn a_creation_fails_with_every_documented_code() {
    let stage = Stage::new();
    for code in Failure::creation_codes() {
        stage.fault(&format!("create-fails={code}"));
        let (afi, agfi) = stage.create(&tarball(HELLO_IDS, "A0"), &[]);
        stage.step(CREATE);
        let (state, message) = stage.state("us-east-1", &afi);
        assert_eq!(state, "failed");
        assert!(message.starts_with(code), "{code}: {message}");
        assert!(loadable(&stage, &agfi).is_none());
    }
}

#[test]
fn a_tarball_is_really_read() {
    let stage = Stage::new();
    for (contents, code) in [
        (
            tarball(["0x8086", "0xF000", "0xFEDD", "0x1D51"], "A0"),
            "PCIID_FORBIDDEN",
        ),
        (tarball(HELLO_IDS, "A9"), "CLK_ILLEGAL"),
        (b"no archive".repeat(100), "CORRUPT_ARCHIVE"),
    ] {
        let (afi, _) = stage.create(&contents, &[]);
        stage.step(CREATE);
        let (state, message) = stage.state("us-east-1", &afi);
        assert_eq!(
            (state.as_str(), message.starts_with(code)),
            ("failed", true),
            "{message}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_inaccessible() {
    let stage = Stage::new();
    let other = "111122223333".parse().unwrap();
    stage.bucket("theirs", "us-east-1", other);
    stage.bucket("abroad", "eu-west-1", AccountId::SIMULATED);
    stage.upload("there.tar", &tarball(HELLO_IDS, "A0"));
    for (bucket, key) in [
        ("theirs", "k"),
        ("abroad", "k"),
        ("none", "k"),
        ("dcps", "k"),
        ("dcps", "../dcps/there.tar"),
        ("dcps", "/etc/passwd"),
        ("../s3/dcps", "there.tar"),
    ] {
        let parameters = [
            ("InputStorageLocation.Bucket", bucket),
            ("InputStorageLocation.Key", key),
        ];
        let made = stage.call("CreateFpgaImage", &parameters);
        stage.step(CREATE);
        let (_, message) = stage.state("us-east-1", &made.one("fpgaImageId"));
        assert!(
            message.starts_with("INACCESSIBLE_INPUT: "),
            "{bucket} {key}"
        );
    }
}

#[test]
fn a_copy_keeps_the_global_id_and_outlives_its_source() {
    let stage = Stage::new();
    let (source, agfi) = stage.create(&tarball(HELLO_IDS, "A0"), &[("Name", "first")]);
    let copy = |stage: &Stage, region: &str, source: &str| {
        let parameters = [("SourceFpgaImageId", source), ("SourceRegion", "us-east-1")];
        let made = stage.call_in(region, "CopyFpgaImage", &parameters);
        assert!(!made.body.contains("agfi-"), "{}", made.body);
        made.one("fpgaImageId")
    };
    let early = copy(&stage, "us-west-2", &source);
    stage.step(COPY);
    let (state, message) = stage.state("us-west-2", &early);
    assert_eq!(state, "failed");
    assert_eq!(
        message,
        "INVALID_STATE: Source image is not in a suitable state to allow copying."
    );
    stage.step(CREATE);
    let here = copy(&stage, "us-east-1", &source);
    let gone = copy(&stage, "us-west-2", &source);
    assert_eq!(stage.state("us-west-2", &gone).0, "pending");
    stage.step(COPY);
    assert_eq!(stage.state("us-east-1", &here).0, "available");
    let late = copy(&stage, "us-west-2", &source);
    let deleted = stage.call("DeleteFpgaImage", &[("FpgaImageId", &source)]);
    assert_eq!(deleted.one("return"), "true");
    assert!(loadable(&stage, &agfi).is_some(), "a copy is still there");
    stage.step(COPY);
    let (_, message) = stage.state("us-west-2", &late);
    assert_eq!(
        message,
        "NOT_FOUND: Source image is not found or the user ID is not authorized to copy source image."
    );
    assert_eq!(stage.state("us-west-2", &gone).0, "available");
    stage.call("DeleteFpgaImage", &[("FpgaImageId", &here)]);
    assert!(loadable(&stage, &agfi).is_none());
}

#[test]
fn a_client_token_is_good_for_one_request() {
    let stage = Stage::new();
    let token = [("ClientToken", "t"), ("Name", "n")];
    let first = stage.create(&tarball(HELLO_IDS, "A0"), &token);
    assert_eq!(stage.create(&tarball(HELLO_IDS, "A0"), &token), first);
    let other = [
        ("InputStorageLocation.Bucket", "dcps"),
        ("InputStorageLocation.Key", "in.tar"),
        ("ClientToken", "t"),
    ];
    assert_eq!(
        stage.call("CreateFpgaImage", &other).error(),
        (400, "IdempotentParameterMismatch".to_owned())
    );
    // In another region it is another token, and after a day it is forgotten.
    let abroad = stage.call_in("eu-west-1", "CreateFpgaImage", &other);
    assert_eq!(abroad.status, 200, "{}", abroad.body);
    stage.step(Duration::from_secs(24 * 3600));
    assert_ne!(stage.create(&tarball(HELLO_IDS, "A0"), &token), first);
}

#[test]
fn a_pending_image_can_be_deleted() {
    let stage = Stage::new();
    let (afi, _) = stage.create(&tarball(HELLO_IDS, "A0"), &[]);
    let deleted = stage.call("DeleteFpgaImage", &[("FpgaImageId", &afi)]);
    assert_eq!(deleted.status, 200, "{}", deleted.body);
    stage.step(CREATE);
    let seen = stage.call("DescribeFpgaImages", &[("FpgaImageId.1", &afi)]);
    assert_eq!(seen.error().1, "InvalidFpgaImageID.NotFound");
}
