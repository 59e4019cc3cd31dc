//! Every action with arbitrary parameters: an answer or an error of the API, never a failure of it.

use proptest::prelude::*;

use super::stage::Stage;

const ACTIONS: [&str; 14] = [
    "CopyFpgaImage",
    "CreateFpgaImage",
    "CreateImage",
    "CreateTags",
    "DeleteFpgaImage",
    "DeleteTags",
    "DeregisterImage",
    "DescribeFpgaImageAttribute",
    "DescribeFpgaImages",
    "DescribeImages",
    "DescribeInstances",
    "DescribeTags",
    "ModifyFpgaImageAttribute",
    "ResetFpgaImageAttribute",
];

const NAMES: [&str; 31] = [
    "DryRun",
    "FpgaImageId",
    "FpgaImageId.1",
    "ImageId",
    "ImageId.1",
    "InstanceId",
    "InstanceId.1",
    "SourceFpgaImageId",
    "SourceRegion",
    "Attribute",
    "OperationType",
    "UserId.1",
    "UserGroup.1",
    "LoadPermission.Add.1.Group",
    "LoadPermission.Remove.1.UserId",
    "InputStorageLocation.Bucket",
    "InputStorageLocation.Key",
    "LogsStorageLocation.Bucket",
    "Name",
    "Description",
    "ClientToken",
    "TagSpecification.1.ResourceType",
    "TagSpecification.1.Tag.1.Key",
    "ResourceId.1",
    "Tag.1.Key",
    "Tag.1.Value",
    "BlockDeviceMapping.1.DeviceName",
    "BlockDeviceMapping.1.Ebs.VolumeSize",
    "Filter.1.Name",
    "Filter.1.Value.1",
    "MaxResults",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("afi-0f1f1000000000001".to_owned()),
        Just("i-0f1f1000000000001".to_owned()),
        Just("ami-0f1f1000000000001".to_owned()),
        Just("us-east-1".to_owned()),
        Just("true".to_owned()),
        Just("all".to_owned()),
        Just("add".to_owned()),
        Just("name".to_owned()),
        Just("fpga-image".to_owned()),
        Just("loadPermission".to_owned()),
        Just("4294967296".to_owned()),
        Just("10".to_owned()),
        Just(String::new()),
        ".{0,40}",
    ]
}

#[test]
fn no_request_makes_the_api_fail() {
    let stage = Stage::new();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
    let request = (
        prop::sample::select(&ACTIONS[..]),
        prop::collection::btree_map(prop::sample::select(&NAMES[..]), value(), 0..8),
    );
    let outcome = runner.run(&request, |(action, parameters)| {
        let parameters: Vec<(&str, &str)> = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = stage.call(action, &parameters);
        prop_assert!(
            [200, 400, 412].contains(&answer.status),
            "{} {:?}: {}",
            action,
            parameters,
            answer.body
        );
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(stage.call("DescribeFpgaImages", &[]).status, 200);
}
