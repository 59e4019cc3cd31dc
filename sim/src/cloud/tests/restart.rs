//! What survives a restart, and a file that is damaged.

use std::fs;

use super::stage::{COPY, CREATE, HELLO_IDS, MACHINE_IMAGE, Stage, tarball};
use super::*;
use crate::cloud::CloudError;

#[test]
fn everything_survives_a_restart() {
    let stage = Stage::new();
    let token = [("ClientToken", "t"), ("Name", "n")];
    let made = stage.create(&tarball(HELLO_IDS, "A0"), &token);
    let source = [
        ("SourceFpgaImageId", "afi-0f1f1000000000001"),
        ("SourceRegion", "us-east-1"),
    ];
    let copy = stage
        .call_in("eu-west-1", "CopyFpgaImage", &source)
        .one("fpgaImageId");
    let instance = [("InstanceId", "i-0f1f1000000000001"), ("Name", "an image")];
    let ami = stage.call("CreateImage", &instance).one("imageId");
    let gone = [("FpgaImageId", "afi-0f1f1000000000002")];
    assert_eq!(stage.call("DeleteFpgaImage", &gone).status, 200);
    let tag = [
        ("ResourceId.1", "afi-0f1f1000000000001"),
        ("Tag.1.Key", "new"),
        ("Tag.1.Value", "v"),
    ];
    assert_eq!(stage.call("CreateTags", &tag).status, 200);

    let stage = stage.restart();
    assert!(stage.cloud.notices().is_empty());
    assert_eq!(stage.create(&tarball(HELLO_IDS, "A0"), &token), made);
    assert_eq!(stage.state("us-east-1", &made.0).0, "pending");
    let seen = stage.call("DescribeFpgaImages", &[("FpgaImageId.1", gone[0].1)]);
    assert_eq!(seen.error().1, "InvalidFpgaImageID.NotFound");
    let tags = stage.call(
        "DescribeTags",
        &[("Filter.1.Name", "key"), ("Filter.1.Value.1", "new")],
    );
    assert_eq!(tags.all("resourceId"), ["afi-0f1f1000000000001"]);
    stage.step(CREATE.max(COPY).max(MACHINE_IMAGE));
    assert_eq!(stage.state("us-east-1", &made.0).0, "available");
    assert_eq!(stage.state("eu-west-1", &copy).0, "available");

    let stage = stage.restart();
    assert_eq!(stage.state("us-east-1", &made.0).0, "available");
    let images = stage.call("DescribeImages", &[("ImageId.1", &ami)]);
    assert_eq!(images.one("name"), "an image");
    let next = stage.create(&tarball(HELLO_IDS, "A0"), &[]);
    assert!(next.0 > ami.replace("ami", "afi"), "an id was given twice");
}

#[test]
fn a_damaged_file_is_set_aside_and_said() {
    let stage = Stage::new();
    stage.create(&tarball(HELLO_IDS, "A0"), &[]);
    stage.step(Duration::ZERO);
    let path = stage.path().join("state.json");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let stage = stage.restart();
    let [notice] = stage.cloud.notices() else {
        panic!("{:?}", stage.cloud.notices());
    };
    assert!(notice.contains("state.json.damaged-1"), "{notice}");
    let aside = stage.path().join("state.json.damaged-1");
    assert_eq!(fs::read(aside).unwrap(), whole[..whole.len() / 2]);
    let (afi, _) = stage.create(&tarball(HELLO_IDS, "A0"), &[]);
    assert_eq!(afi, "afi-0c1c1000000000001", "it did not begin anew");
}

#[test]
fn a_file_of_a_later_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    fs::write(&path, r#"{"version": 2, "more": []}"#).unwrap();
    let mut config = CloudConfig::new(InstanceIdentity::simulated(Family::F1, 1));
    config.directory = Some(folder.path().to_owned());
    let error = CloudServer::start(config).unwrap_err();
    assert!(matches!(error, CloudError::State(_)), "{error}");
    assert!(error.to_string().contains("version 2"), "{error}");
    assert!(fs::read_to_string(path).unwrap().contains("more"));
}
