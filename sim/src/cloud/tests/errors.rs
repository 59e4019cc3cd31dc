//! Each documented error, by the request that gets it.

use super::stage::Stage;

/// An action, its parameters in the form of a query, and the error.
type Case<'a> = (&'static str, &'a str, u16, &'static str);

/// An image of the instance's account.
const OURS: &str = "FpgaImageId=afi-0f1f1000000000001";
/// One that is shared with it.
const SHARED: &str = "FpgaImageId=afi-0f1f1000000000004";
/// One that is pending.
const PENDING: &str = "FpgaImageId=afi-0f1f1000000000011";
const NOBODYS: &str = "FpgaImageId=afi-00000000000000001";
const INPUT: &str = "InputStorageLocation.Bucket=b&InputStorageLocation.Key=k";
const INSTANCE: &str = "InstanceId=i-0f1f1000000000001";

fn check(cases: &[Case<'_>]) {
    let stage = Stage::new();
    for (action, query, status, code) in cases {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let parameters: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let seen = stage.call(action, &parameters).error();
        assert_eq!(seen, (*status, (*code).to_owned()), "{action} {query}");
    }
}

/// The same query with more.
macro_rules! query {
    ($($part:expr),+) => {
        &[$($part),+].join("&")
    };
}

#[test]
fn creations_and_copies() {
    let long = "x".repeat(256);
    check(&[
        ("CreateFpgaImage", "", 400, "MissingParameter"),
        (
            "CreateFpgaImage",
            "InputStorageLocation.Bucket=b",
            400,
            "MissingParameter",
        ),
        (
            "CreateFpgaImage",
            query!(INPUT, "LogsStorageLocation.Key=k"),
            400,
            "MissingParameter",
        ),
        (
            "CreateFpgaImage",
            query!(INPUT, &format!("Name={long}")),
            400,
            "InvalidParameterValue",
        ),
        (
            "CreateFpgaImage",
            query!(INPUT, &format!("Description={long}")),
            400,
            "InvalidParameterValue",
        ),
        (
            "CreateFpgaImage",
            query!(INPUT, &format!("ClientToken={}", &long[..65])),
            400,
            "InvalidParameterValue",
        ),
        (
            "CreateFpgaImage",
            query!(INPUT, "TagSpecification.1.Tag.1.Key=k"),
            400,
            "MissingParameter",
        ),
        (
            "CreateFpgaImage",
            query!(INPUT, "TagSpecification.1.ResourceType=instance"),
            400,
            "InvalidParameterValue",
        ),
        (
            "CreateFpgaImage",
            query!(INPUT, "Colour=red"),
            400,
            "UnknownParameter",
        ),
        (
            "CreateFpgaImage",
            query!(INPUT, "DryRun=maybe"),
            400,
            "InvalidParameterValue",
        ),
        (
            "CreateFpgaImage",
            query!(INPUT, "DryRun=true"),
            412,
            "DryRunOperation",
        ),
        (
            "CopyFpgaImage",
            "SourceRegion=us-east-1",
            400,
            "MissingParameter",
        ),
        (
            "CopyFpgaImage",
            "SourceFpgaImageId=afi-0f1f1000000000001",
            400,
            "MissingParameter",
        ),
        (
            "CopyFpgaImage",
            "SourceFpgaImageId=x&SourceRegion=us-east-1",
            400,
            "InvalidFpgaImageID.Malformed",
        ),
        (
            "CopyFpgaImage",
            "SourceFpgaImageId=afi-0f1f1000000000001&SourceRegion=moon",
            400,
            "InvalidParameterValue",
        ),
    ]);
}

#[test]
fn attributes_and_deletions() {
    let share = "OperationType=add&UserId.1=111122223333";
    check(&[
        (
            "DeleteFpgaImage",
            NOBODYS,
            400,
            "InvalidFpgaImageID.NotFound",
        ),
        ("DeleteFpgaImage", SHARED, 400, "OperationNotPermitted"),
        (
            "DeleteFpgaImage",
            "FpgaImageId=agfi-1",
            400,
            "InvalidFpgaImageID.Malformed",
        ),
        ("DescribeFpgaImageAttribute", OURS, 400, "MissingParameter"),
        (
            "DescribeFpgaImageAttribute",
            query!(SHARED, "Attribute=loadPermission"),
            400,
            "OperationNotPermitted",
        ),
        (
            "DescribeFpgaImageAttribute",
            query!(OURS, "Attribute=colour"),
            400,
            "InvalidParameterValue",
        ),
        ("ModifyFpgaImageAttribute", OURS, 400, "MissingParameter"),
        (
            "ModifyFpgaImageAttribute",
            query!(SHARED, "Name=n"),
            400,
            "OperationNotPermitted",
        ),
        (
            "ModifyFpgaImageAttribute",
            query!(PENDING, share),
            400,
            "IncorrectState",
        ),
        (
            "ModifyFpgaImageAttribute",
            query!(OURS, "UserId.1=111122223333"),
            400,
            "MissingParameter",
        ),
        (
            "ModifyFpgaImageAttribute",
            query!(OURS, "OperationType=add"),
            400,
            "MissingParameter",
        ),
        (
            "ModifyFpgaImageAttribute",
            query!(OURS, "Name=n&Description=d"),
            400,
            "InvalidParameterCombination",
        ),
        (
            "ModifyFpgaImageAttribute",
            query!(OURS, "LoadPermission.Add.1.UserId=me"),
            400,
            "InvalidUserID.Malformed",
        ),
        (
            "ModifyFpgaImageAttribute",
            query!(OURS, "ProductCode.1=x"),
            400,
            "OperationNotPermitted",
        ),
        ("ResetFpgaImageAttribute", PENDING, 400, "IncorrectState"),
        (
            "ResetFpgaImageAttribute",
            query!(OURS, "Attribute=name"),
            400,
            "InvalidParameterValue",
        ),
    ]);
}

#[test]
fn tags() {
    let ours = "ResourceId.1=afi-0f1f1000000000001";
    let tag = "Tag.1.Key=k&Tag.1.Value=v";
    check(&[
        ("CreateTags", tag, 400, "MissingParameter"),
        ("CreateTags", ours, 400, "MissingParameter"),
        (
            "CreateTags",
            query!(ours, "Tag.1.Key=aws:k"),
            400,
            "InvalidParameterValue",
        ),
        (
            "CreateTags",
            query!(ours, &format!("Tag.1.Key={}", "k".repeat(128))),
            400,
            "InvalidParameterValue",
        ),
        (
            "CreateTags",
            query!(ours, tag, "Tag.2.Key=k"),
            400,
            "InvalidParameterValue",
        ),
        (
            "CreateTags",
            query!("ResourceId.1=vol-1", tag),
            400,
            "InvalidID",
        ),
        (
            "CreateTags",
            query!("ResourceId.1=snap-0f1f1000000000009", tag),
            400,
            "InvalidSnapshot.NotFound",
        ),
        (
            "CreateTags",
            query!(ours, "ResourceId.2=ami-0f1f1000000000009", tag),
            400,
            "InvalidAMIID.NotFound",
        ),
        (
            "DeleteTags",
            query!(ours, "Tag.1.Key="),
            400,
            "InvalidParameterValue",
        ),
        (
            "DescribeTags",
            "Filter.1.Name=colour&Filter.1.Value.1=x",
            400,
            "InvalidParameterValue",
        ),
        ("DescribeTags", "MaxResults=4", 400, "InvalidParameterValue"),
    ]);
}

#[test]
fn machine_images() {
    let named: &str = query!(INSTANCE, "Name=abc");
    let device = "BlockDeviceMapping.1.DeviceName";
    check(&[
        ("CreateImage", INSTANCE, 400, "MissingParameter"),
        (
            "CreateImage",
            query!(INSTANCE, "Name=ab"),
            400,
            "InvalidAMIName.Malformed",
        ),
        (
            "CreateImage",
            query!(INSTANCE, "Name=a*c"),
            400,
            "InvalidAMIName.Malformed",
        ),
        (
            "CreateImage",
            "InstanceId=i-1&Name=abc",
            400,
            "InvalidInstanceID.Malformed",
        ),
        (
            "CreateImage",
            "InstanceId=i-0f1f1000000000002&Name=abc",
            400,
            "InvalidInstanceID.NotFound",
        ),
        (
            "CreateImage",
            query!(named, "SnapshotLocation=moon"),
            400,
            "InvalidParameterValue",
        ),
        (
            "CreateImage",
            query!(named, "SnapshotLocation=local"),
            400,
            "InvalidParameterCombination",
        ),
        (
            "CreateImage",
            query!(
                named,
                &format!("{device}=/dev/xvda&BlockDeviceMapping.1.NoDevice=")
            ),
            400,
            "InvalidBlockDeviceMapping",
        ),
        (
            "CreateImage",
            query!(named, &format!("{device}=/dev/sdx")),
            400,
            "InvalidBlockDeviceMapping",
        ),
        (
            "CreateImage",
            query!(
                named,
                &format!("{device}=/dev/sdx&BlockDeviceMapping.1.Ebs.VolumeType=gp3")
            ),
            400,
            "MissingParameter",
        ),
        (
            "DescribeImages",
            "ImageId.1=ami-x",
            400,
            "InvalidAMIID.Malformed",
        ),
        (
            "DescribeImages",
            "ImageId.1=ami-0f1f1000000000009",
            400,
            "InvalidAMIID.NotFound",
        ),
        (
            "DeregisterImage",
            "ImageId=ami-0f1f1000000000009",
            400,
            "InvalidAMIID.NotFound",
        ),
        (
            "DeregisterImage",
            "ImageId=ami-0f1f1000000000001",
            400,
            "AuthFailure",
        ),
        (
            "DescribeInstances",
            "InstanceId.1=i-0f1f1000000000002",
            400,
            "InvalidInstanceID.NotFound",
        ),
    ]);
}

#[test]
fn a_name_is_taken_until_its_image_is_gone() {
    let stage = Stage::new();
    let parameters = [("InstanceId", "i-0f1f1000000000001"), ("Name", "abc")];
    let made = stage.call("CreateImage", &parameters).one("imageId");
    let again = stage.call("CreateImage", &parameters);
    assert_eq!(again.error(), (400, "InvalidAMIName.Duplicate".to_owned()));
    let gone = [
        ("ImageId", made.as_str()),
        ("DeleteAssociatedSnapshots", "true"),
    ];
    let gone = stage.call("DeregisterImage", &gone);
    assert_eq!(gone.all("returnCode"), ["success", "success"]);
    assert_eq!(stage.call("CreateImage", &parameters).status, 200);
}
