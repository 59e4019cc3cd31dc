"""boto3 against the simulated cloud: machine images, and dry runs of every action."""

import sys

import boto3

from boto import ec2, refused
from common import run_check


def machine_images():
    client = ec2()
    instance = boto3.resource("ec2").Instance("i-0f1f1000000000001")
    made = instance.create_image(
        Name="runtime (1)",
        Description="With the runtime.",
        NoReboot=True,
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sdb", "NoDevice": ""},
            {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}},
            {"DeviceName": "/dev/sdc", "Ebs": {"VolumeSize": 10, "VolumeType": "io2", "Iops": 100}},
            {"DeviceName": "/dev/sdd", "VirtualName": "ephemeral0"},
        ],
        TagSpecifications=[
            {"ResourceType": "image", "Tags": [{"Key": "what", "Value": "image"}]},
            {"ResourceType": "snapshot", "Tags": [{"Key": "what", "Value": "snapshot"}]},
        ],
    )
    seen = client.describe_images(ImageIds=[made.id])["Images"][0]
    assert seen["State"] == "pending" and seen["SourceInstanceId"] == instance.id, seen
    assert seen["Tags"] == [{"Key": "what", "Value": "image"}]
    client.get_waiter("image_available").wait(ImageIds=[made.id], WaiterConfig={"Delay": 1})
    devices = {m["DeviceName"]: m for m in seen["BlockDeviceMappings"]}
    assert sorted(devices) == ["/dev/sdc", "/dev/sdd", "/dev/xvda"], devices
    assert devices["/dev/xvda"]["Ebs"]["DeleteOnTermination"] is False
    assert devices["/dev/sdc"]["Ebs"]["Iops"] == 100
    assert devices["/dev/sdd"]["VirtualName"] == "ephemeral0"
    snapshot = devices["/dev/xvda"]["Ebs"]["SnapshotId"]
    filters = [{"Name": "resource-type", "Values": ["snapshot"]}]
    assert client.describe_tags(Filters=filters)["Tags"] == [
        {"Key": "what", "Value": "snapshot", "ResourceId": snapshot, "ResourceType": "snapshot"}
    ]
    create = client.create_image
    here = {"InstanceId": instance.id}
    refused("InvalidAMIName.Duplicate", create, 400, made.id, Name="runtime (1)", **here)
    for name in ["ab", "a" * 129, "no*star", "ümlaut"]:
        refused("InvalidAMIName.Malformed", create, 400, Name=name, **here)
    refused("InvalidInstanceID.Malformed", create, 400, Name="abc", InstanceId="i-1")
    refused("InvalidInstanceID.NotFound", create, 400, Name="abc", InstanceId="i-00000000000000001")
    refused("InvalidParameterCombination", create, 400, Name="abc", SnapshotLocation="local", **here)
    refused("InvalidParameterValue", create, 400, Name="abc", Description="d" * 256, **here)
    wrong_tags = [{"ResourceType": "fpga-image", "Tags": [{"Key": "a", "Value": "b"}]}]
    refused("InvalidParameterValue", create, 400, Name="abc", TagSpecifications=wrong_tags, **here)
    refused("InvalidAMIID.NotFound", client.describe_images, 400, ImageIds=["ami-00000000000000001"])
    refused("InvalidAMIID.Malformed", client.describe_images, 400, ImageIds=["ami-1"])
    gone = client.deregister_image(ImageId=made.id, DeleteAssociatedSnapshots=True)
    assert gone["DeleteSnapshotResults"] == [{"SnapshotId": snapshot, "ReturnCode": "success"}], gone
    refused("InvalidAMIID.NotFound", client.deregister_image, 400, ImageId=made.id)
    base = client.describe_instances()["Reservations"][0]["Instances"][0]["ImageId"]
    refused("AuthFailure", client.deregister_image, 400, ImageId=base)
    assert client.describe_images(Owners=["self"])["Images"] == []


def block_device_rules():
    client = ec2()

    def create(device="/dev/sdx", ebs=None, **mapping):
        if ebs is not None:
            mapping["Ebs"] = ebs
        return client.create_image(
            InstanceId="i-0f1f1000000000001",
            Name="rules",
            BlockDeviceMappings=[{"DeviceName": device, **mapping}],
        )

    root = "/dev/xvda"
    for device, ebs in [
        (root, {"VolumeSize": 86}),
        (root, {"VolumeType": "io1"}),
        (root, {"Encrypted": True}),
        (root, {"SnapshotId": "snap-00000000000000001"}),
        ("/dev/sdx", {"VolumeSize": 20000, "VolumeType": "gp2"}),
        ("/dev/sdx", {"VolumeSize": 10, "VolumeType": "st1"}),
        ("/dev/sdx", {"VolumeSize": 10, "VolumeType": "zz9"}),
        ("/dev/sdx", {"VolumeSize": 10, "VolumeType": "gp2", "Iops": 100}),
        ("/dev/sdx", {"VolumeSize": 10, "VolumeType": "gp3", "Iops": 100}),
        ("/dev/sdx", {"VolumeSize": 10, "VolumeType": "io2", "Iops": 300000}),
        ("/dev/sdx", {"VolumeSize": 10, "VolumeType": "gp2", "Throughput": 125}),
        ("/dev/sdx", {"VolumeSize": 10, "VolumeType": "gp3", "Throughput": 2001}),
        ("/dev/sdx", {"VolumeSize": 10, "KmsKeyId": "k"}),
        ("/dev/sdx", {"VolumeSize": 10, "OutpostArn": "a"}),
        ("/dev/sdx", {"VolumeSize": 10, "AvailabilityZone": "us-east-1a"}),
        ("/dev/sdx", {"VolumeSize": 10, "VolumeInitializationRate": 100}),
    ]:
        refused("InvalidBlockDeviceMapping", create, 400, device=device, ebs=ebs)
    refused("InvalidBlockDeviceMapping", create, 400, device=root, NoDevice="")
    refused("InvalidBlockDeviceMapping", create, 400, VirtualName="disk0")
    refused("MissingParameter", create, 400, ebs={"VolumeType": "gp3"})
    refused("MissingParameter", create, 400, ebs={"VolumeSize": 10, "VolumeType": "io1"})
    refused("InvalidSnapshot.NotFound", create, 400, ebs={"SnapshotId": "snap-00000000000000001"})


def dry_runs():
    client = ec2()
    afi = "afi-0f1f1000000000001"
    here = "i-0f1f1000000000001"
    before = client.describe_fpga_images()["FpgaImages"]
    location = {"Bucket": "b", "Key": "k"}
    tag = [{"Key": "a", "Value": "b"}]
    for call, parameters in [
        (client.create_fpga_image, {"InputStorageLocation": location}),
        (client.copy_fpga_image, {"SourceFpgaImageId": afi, "SourceRegion": "us-east-1"}),
        (client.describe_fpga_images, {}),
        (client.describe_fpga_image_attribute, {"FpgaImageId": afi, "Attribute": "name"}),
        (client.modify_fpga_image_attribute, {"FpgaImageId": afi, "Name": "x"}),
        (client.reset_fpga_image_attribute, {"FpgaImageId": afi}),
        (client.delete_fpga_image, {"FpgaImageId": afi}),
        (client.create_tags, {"Resources": [afi], "Tags": tag}),
        (client.delete_tags, {"Resources": [afi]}),
        (client.describe_tags, {}),
        (client.create_image, {"InstanceId": here, "Name": "abc"}),
        (client.describe_images, {}),
        (client.describe_instances, {}),
    ]:
        refused("DryRunOperation", call, 412, DryRun=True, **parameters)
    made = client.create_image(InstanceId=here, Name="abc")["ImageId"]
    refused("DryRunOperation", client.deregister_image, 412, ImageId=made, DryRun=True)
    assert client.describe_fpga_images()["FpgaImages"] == before


if __name__ == "__main__":
    run_check(sys.modules["__main__"])
