"""boto3 against the simulated cloud: FPGA images, their tags and permissions."""

import io
import os
import subprocess
import sys
import tarfile

from boto import HOME, OTHER, ec2, image, make, refused, s3, settled
from common import archive, dcp, manifest, run_check, tarball


def image_lifecycle():
    client = ec2()
    parameters = dict(
        LogsStorageLocation={"Bucket": "dcps", "Key": "logs/run"},
        Name="counter",
        Description="Counts.",
        ClientToken="token-1",
        TagSpecifications=[
            {"ResourceType": "fpga-image", "Tags": [{"Key": "team", "Value": "blue"}]}
        ],
    )
    made = make(**parameters)
    assert len(made["FpgaImageId"]) == len("afi-") + 17, made
    pending = image(made["FpgaImageId"])
    assert pending["State"] == {"Code": "pending"}, pending
    assert pending["FpgaImageGlobalId"] == made["FpgaImageGlobalId"]
    assert "PciId" not in pending and pending["Name"] == "counter"
    refused(
        "IncorrectState",
        client.modify_fpga_image_attribute,
        400,
        FpgaImageId=made["FpgaImageId"],
        OperationType="add",
        UserIds=[OTHER],
    )
    again = make(**parameters)
    assert again["FpgaImageId"] == made["FpgaImageId"], "the token was forgotten"
    refused("IdempotentParameterMismatch", make, 400, **{**parameters, "Name": "other"})

    seen = settled(made["FpgaImageId"])
    assert seen["State"] == {"Code": "available"}, seen
    assert seen["PciId"] == {
        "DeviceId": "0xf000",
        "VendorId": "0x1d0f",
        "SubsystemId": "0x1d51",
        "SubsystemVendorId": "0xfedd",
    }
    assert seen["ShellVersion"] == "0x04261818" and seen["OwnerId"] == HOME
    assert seen["Tags"] == [{"Key": "team", "Value": "blue"}] and seen["Public"] is False
    assert seen["UpdateTime"] > seen["CreateTime"]
    assert "f1.2xlarge" in seen["InstanceTypes"]

    name = f"logs/run/{made['FpgaImageId']}/logs.tar"
    log = s3().get_object(Bucket="dcps", Key=name)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(log)) as tar:
        state = tar.extractfile(f"{made['FpgaImageId']}/State").read()
    assert state == b"available\n", state

    assert client.delete_fpga_image(FpgaImageId=made["FpgaImageId"])["Return"] is True
    refused(
        "InvalidFpgaImageID.NotFound",
        client.describe_fpga_images,
        400,
        f"Image ID '{made['FpgaImageId']}' not found.",
        FpgaImageIds=[made["FpgaImageId"]],
    )


def image_that_slots_load():
    def afi(*words):
        done = subprocess.run(
            [os.environ["AFI_BIN"], *words], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
        return done.stdout

    made = make(tarball(pci_subsystem_id="0x1D77"), Name="fresh")
    settled(made["FpgaImageId"])
    report = afi("load", "0", "fresh")
    assert made["FpgaImageGlobalId"] in report, report
    assert "1d0f:f000 fedd:1d77" in report, report
    afi("poke", "0", "0x500", "0xefbeadde")
    assert "0xdeadbeef" in afi("peek", "0", "0x500")


def tarballs_that_fail():
    checkpoint = dcp()
    member = "to_aws/24_01_31-235959.SH_CL_routed.dcp"
    no_zip = b"no checkpoint" * 100
    cases = {
        "CORRUPT_ARCHIVE": [b"no archive" * 200],
        "MANIFEST_NOT_FOUND": [archive([(member, checkpoint)])],
        "MANIFEST_PARSE_FAILED": [tarball(manifest_format_version="1")],
        "DCP_NOT_FOUND": [
            archive([("to_aws/x.manifest.txt", manifest(checkpoint).encode())]),
        ],
        "DCP_INTEGRITY_UNVERIFIED": [tarball(dcp_hash="0" * 64)],
        "DCP_CORRUPT": [
            archive([(member, no_zip), ("to_aws/x.manifest.txt", manifest(no_zip).encode())])
        ],
        "SHELL_VERSION_INVALID": [tarball(shell_version="0x12345678")],
        "PCIID_SYNTAX_INVALID": [tarball(pci_device_id="F00Z"), tarball(pci_subsystem_id="0x0000")],
        "PCIID_FORBIDDEN": [tarball(pci_vendor_id="0x8086")],
        "CLK_ILLEGAL": [tarball(clock_recipe_b="B9")],
    }
    for code, contents in cases.items():
        for tar in contents:
            seen = settled(make(tar)["FpgaImageId"])
            assert seen["State"]["Code"] == "failed", f"{code}: {seen}"
            assert seen["State"]["Message"].startswith(code + ": "), f"{code}: {seen}"
            assert "PciId" not in seen


def inaccessible_input():
    abroad = s3("eu-west-1")
    abroad.create_bucket(
        Bucket="abroad", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    abroad.put_object(Bucket="abroad", Key="in.tar", Body=tarball())
    theirs = s3(account=OTHER)
    theirs.create_bucket(Bucket="theirs")
    theirs.put_object(Bucket="theirs", Key="in.tar", Body=tarball())
    s3().create_bucket(Bucket="ours")
    for bucket, name in [
        ("abroad", "in.tar"),
        ("theirs", "in.tar"),
        ("ours", "missing.tar"),
        ("ours", "../ours/in.tar"),
        ("no-such-bucket", "in.tar"),
    ]:
        made = ec2().create_fpga_image(InputStorageLocation={"Bucket": bucket, "Key": name})
        state = settled(made["FpgaImageId"])["State"]
        assert state["Code"] == "failed", (bucket, name, state)
        assert state["Message"] == (
            "INACCESSIBLE_INPUT: Error accessing resource in S3. Check permissions, naming, and "
            "ensure the bucket is within the same region as the API endpoint."
        ), state
    made = ec2("eu-west-1").create_fpga_image(
        InputStorageLocation={"Bucket": "abroad", "Key": "in.tar"}
    )
    seen = settled(made["FpgaImageId"], ec2("eu-west-1"))
    assert seen["State"]["Code"] == "available", seen
    refused("InvalidFpgaImageID.NotFound", image, afi=made["FpgaImageId"])


def copies():
    source = make(Name="first", Description="The first.")
    west = ec2("us-west-2")

    def copy(**parameters):
        return west.copy_fpga_image(SourceRegion="us-east-1", **parameters)["FpgaImageId"]

    early = copy(SourceFpgaImageId=source["FpgaImageId"])
    settled(source["FpgaImageId"])
    afi = copy(SourceFpgaImageId=source["FpgaImageId"], ClientToken="c")
    assert copy(SourceFpgaImageId=source["FpgaImageId"], ClientToken="c") == afi
    refused(
        "IdempotentParameterMismatch",
        copy,
        400,
        SourceFpgaImageId=source["FpgaImageId"],
        ClientToken="c",
        Name="x",
    )
    pending = image(afi, west)
    assert pending["State"] == {"Code": "pending"} and "FpgaImageGlobalId" not in pending
    seen = settled(afi, west)
    assert seen["State"]["Code"] == "available", seen
    assert seen["FpgaImageGlobalId"] == source["FpgaImageGlobalId"] and afi != source["FpgaImageId"]
    assert seen["Name"] == "first" and seen["Description"] == "The first."
    here = ec2().copy_fpga_image(
        SourceRegion="us-east-1", SourceFpgaImageId=source["FpgaImageId"], Name="second"
    )
    assert settled(here["FpgaImageId"])["Name"] == "second"

    # It was pending when the copy was asked for, and may be done by the time the copy is.
    assert settled(early, west)["State"]["Code"] in ("available", "failed")
    shared = "afi-0f1f1000000000004"
    for missing in ["afi-00000000000000001", shared]:
        state = settled(copy(SourceFpgaImageId=missing), west)["State"]
        assert state == {
            "Code": "failed",
            "Message": "NOT_FOUND: Source image is not found or the user ID is not authorized to "
            "copy source image.",
        }, state
    broken = make(b"nothing" * 300)["FpgaImageId"]
    state = settled(copy(SourceFpgaImageId=broken), west)["State"]
    assert state == {
        "Code": "failed",
        "Message": "INVALID_STATE: Source image is not in a suitable state to allow copying.",
    }, state
    refused("InvalidFpgaImageID.Malformed", copy, 400, SourceFpgaImageId="afi-1")
    refused(
        "InvalidParameterValue",
        west.copy_fpga_image,
        400,
        SourceFpgaImageId=source["FpgaImageId"],
        SourceRegion="nowhere",
    )


def attributes_and_permissions():
    client, other = ec2(), ec2(account=OTHER)
    made = make(Name="n", Description="d")
    afi = made["FpgaImageId"]
    settled(afi)

    def attribute(name):
        answer = client.describe_fpga_image_attribute(FpgaImageId=afi, Attribute=name)
        return answer["FpgaImageAttribute"]

    def modify(**parameters):
        answer = client.modify_fpga_image_attribute(FpgaImageId=afi, **parameters)
        return answer["FpgaImageAttribute"]

    assert attribute("name") == {"FpgaImageId": afi, "Name": "n"}
    assert attribute("description")["Description"] == "d"
    assert attribute("loadPermission")["LoadPermissions"] == []
    assert attribute("productCodes")["ProductCodes"] == []
    assert modify(Name="new name")["Name"] == "new name"
    assert modify(Attribute="description", Description="new")["Description"] == "new"

    refused("InvalidFpgaImageID.NotFound", image, 400, afi=afi, client=other)
    shared = modify(OperationType="add", UserIds=[OTHER])
    assert shared["LoadPermissions"] == [{"UserId": OTHER}], shared
    assert image(afi, other)["OwnerId"] == HOME
    refused(
        "OperationNotPermitted",
        client.delete_fpga_image,
        400,
        "Operation not permitted for shared AFI",
        FpgaImageId=afi,
    )
    for call, parameters in [
        (other.delete_fpga_image, {}),
        (other.modify_fpga_image_attribute, {"Name": "mine"}),
        (other.describe_fpga_image_attribute, {"Attribute": "loadPermission"}),
        (other.reset_fpga_image_attribute, {}),
    ]:
        refused("OperationNotPermitted", call, 400, FpgaImageId=afi, **parameters)
    both = modify(LoadPermission={"Add": [{"Group": "all"}], "Remove": [{"UserId": OTHER}]})
    assert both["LoadPermissions"] == [{"Group": "all"}], both
    assert image(afi, ec2(account="444455556666"))["Public"] is True
    refused(
        "OperationNotPermitted",
        client.delete_fpga_image,
        400,
        "Operation not permitted for public AFI",
        FpgaImageId=afi,
    )
    assert client.reset_fpga_image_attribute(FpgaImageId=afi, Attribute="loadPermission")["Return"]
    assert attribute("loadPermission")["LoadPermissions"] == []

    for code, parameters in [
        ("MissingParameter", {}),
        ("MissingParameter", {"UserIds": [OTHER]}),
        ("InvalidParameterCombination", {"Name": "a", "Description": "b"}),
        ("InvalidParameterCombination", {"Attribute": "name", "Description": "b"}),
        ("InvalidUserID.Malformed", {"OperationType": "add", "UserIds": ["me"]}),
        ("InvalidParameterValue", {"OperationType": "add", "UserGroups": ["some"]}),
        ("InvalidParameterValue", {"OperationType": "sub", "UserIds": [OTHER]}),
        ("InvalidParameterValue", {"Attribute": "color", "Name": "x"}),
        ("OperationNotPermitted", {"ProductCodes": ["abc"]}),
    ]:
        refused(code, client.modify_fpga_image_attribute, 400, FpgaImageId=afi, **parameters)


def tags():
    client = ec2()
    afi = make()["FpgaImageId"]
    client.create_tags(
        Resources=[afi, "i-0f1f1000000000001"],
        Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}],
    )
    client.create_tags(Resources=[afi], Tags=[{"Key": "a", "Value": "2"}])

    def of(resource):
        filters = [{"Name": "resource-id", "Values": [resource]}]
        found = client.describe_tags(Filters=filters)["Tags"]
        return {(tag["Key"], tag["Value"], tag["ResourceType"]) for tag in found}

    assert of(afi) == {("a", "2", "fpga-image"), ("b", "", "fpga-image")}
    assert ("a", "1", "instance") in of("i-0f1f1000000000001")
    assert [i["FpgaImageId"] for i in client.describe_fpga_images(
        Filters=[{"Name": "tag:a", "Values": ["2"]}])["FpgaImages"]] == [afi]
    client.delete_tags(Resources=[afi], Tags=[{"Key": "a", "Value": "other"}])
    assert len(of(afi)) == 2
    client.delete_tags(Resources=[afi], Tags=[{"Key": "a"}])
    assert of(afi) == {("b", "", "fpga-image")}
    client.delete_tags(Resources=[afi])
    assert of(afi) == set()

    def create(key, value="v"):
        return client.create_tags(Resources=[afi], Tags=[{"Key": key, "Value": value}])

    refused("InvalidParameterValue", create, 400, key="aws:mine")
    refused("InvalidParameterValue", create, 400, key="k" * 128)
    refused("InvalidParameterValue", create, 400, key="k", value="v" * 257)
    create("k" * 127, "v" * 256)
    many = [{"Key": f"key{n}", "Value": "v"} for n in range(50)]
    refused("TagLimitExceeded", client.create_tags, 400, Resources=[afi], Tags=many)
    assert len(of(afi)) == 1, "a refused request changed something"
    client.create_tags(Resources=[afi], Tags=many[:49])
    pages = client.get_paginator("describe_tags").paginate(
        Filters=[{"Name": "resource-id", "Values": [afi]}], PaginationConfig={"PageSize": 7}
    )
    assert sum(len(page["Tags"]) for page in pages) == 50
    for code, resource in [
        ("InvalidFpgaImageID.NotFound", "afi-00000000000000001"),
        ("InvalidAMIID.NotFound", "ami-00000000000000001"),
        ("InvalidSnapshot.NotFound", "snap-00000000000000001"),
        ("InvalidInstanceID.NotFound", "i-00000000000000001"),
        ("InvalidID", "nonsense"),
        ("OperationNotPermitted", "afi-0f1f1000000000004"),
    ]:
        refused(code, client.create_tags, 400, Resources=[resource], Tags=many[:1])
    refused("InvalidParameterValue", client.describe_tags, 400, Filters=[{"Name": "x", "Values": ["y"]}])


def pages_and_filters():
    client = ec2()
    store = s3()
    store.create_bucket(Bucket="dcps")
    store.put_object(Bucket="dcps", Key="in.tar", Body=tarball())
    where = {"Bucket": "dcps", "Key": "in.tar"}
    made = [
        client.create_fpga_image(InputStorageLocation=where, Name=f"page_{n}")["FpgaImageId"]
        for n in range(23)
    ]
    for afi in made:
        settled(afi)
    pages = list(
        client.get_paginator("describe_fpga_images").paginate(
            Owners=["self"],
            Filters=[{"Name": "name", "Values": ["page_*"]}, {"Name": "state", "Values": ["available"]}],
            PaginationConfig={"PageSize": 5},
        )
    )
    assert [len(page["FpgaImages"]) for page in pages] == [5, 5, 5, 5, 3]
    assert sorted(i["FpgaImageId"] for page in pages for i in page["FpgaImages"]) == sorted(made)
    refused("InvalidParameterValue", client.describe_fpga_images, 400, MaxResults=4)
    refused("InvalidParameterValue", client.describe_fpga_images, 400, NextToken="nonsense")
    refused(
        "InvalidParameterValue",
        client.describe_fpga_images,
        400,
        "The filter 'colour' is invalid",
        Filters=[{"Name": "colour", "Values": ["red"]}],
    )


def parameter_errors():
    client = ec2()
    here = {"InputStorageLocation": {"Bucket": "b", "Key": "k"}}
    create = client.create_fpga_image
    refused("MissingParameter", create, 400, InputStorageLocation={"Bucket": "b"})
    refused("MissingParameter", create, 400, InputStorageLocation={"Bucket": "", "Key": "k"})
    refused("MissingParameter", create, 400, LogsStorageLocation={"Key": "k"}, **here)
    refused("InvalidParameterValue", create, 400, Name="n" * 256, **here)
    refused("InvalidParameterValue", create, 400, Description="d" * 256, **here)
    refused("InvalidParameterValue", create, 400, ClientToken="t" * 65, **here)
    refused("InvalidParameterValue", create, 400, ClientToken="ü", **here)
    for tag_type, key_, code in [
        ("instance", "k", "InvalidParameterValue"),
        ("fpga-image", "aws:k", "InvalidParameterValue"),
        ("fpga-image", "", "InvalidParameterValue"),
    ]:
        specification = {"ResourceType": tag_type, "Tags": [{"Key": key_, "Value": "v"}]}
        refused(code, create, 400, TagSpecifications=[specification], **here)
    many = [{"Key": str(n), "Value": ""} for n in range(51)]
    specification = {"ResourceType": "fpga-image", "Tags": many}
    refused("TagLimitExceeded", create, 400, TagSpecifications=[specification], **here)
    unknown = "afi-00000000000000001"
    for call, parameters in [
        (client.delete_fpga_image, {}),
        (client.describe_fpga_image_attribute, {"Attribute": "name"}),
        (client.modify_fpga_image_attribute, {"Name": "x"}),
        (client.reset_fpga_image_attribute, {}),
    ]:
        refused("InvalidFpgaImageID.NotFound", call, 400, FpgaImageId=unknown, **parameters)
        refused("InvalidFpgaImageID.Malformed", call, 400, FpgaImageId="agfi-1", **parameters)
    refused("InvalidAction", client.describe_vpcs, 400)


if __name__ == "__main__":
    run_check(sys.modules["__main__"])
