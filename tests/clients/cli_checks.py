"""The AWS command line against the simulated cloud: the commands of the public documents."""

import json
import os
import subprocess
import sys
import tempfile

from common import run_check, tarball, wait_until


def run(*words):
    command = [os.environ["AWS_BIN"], *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def aws(*words):
    """Runs a command that has to work; its JSON, if it printed any."""
    done = run(*words)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout


def refused(text, *words):
    """Runs a command that has to fail and print this."""
    done = run(*words)
    # Version 2 of the command line ends with 254, version 1 with 255.
    assert done.returncode in (254, 255), f"{words}: {done.returncode} {done.stdout}"
    assert text in done.stderr, f"wanted {text}: {done.stderr}"


def images_by_command_line():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "in.tar")
        with open(path, "wb") as file:
            file.write(tarball())
        aws("s3", "mb", "s3://dcps", "--region", "us-east-1")
        aws("s3", "cp", path, "s3://dcps/folder/in.tar")
    made = aws(
        "ec2", "create-fpga-image",
        "--name", "by-command-line",
        "--description", "Made by the command line.",
        "--input-storage-location", "Bucket=dcps,Key=folder/in.tar",
        "--logs-storage-location", "Bucket=dcps,Key=logs",
        "--client-token", "one",
        "--tag-specifications", "ResourceType=fpga-image,Tags=[{Key=a,Value=b}]",
    )  # fmt: skip
    afi = made["FpgaImageId"]

    def done(region, afi):
        def look():
            seen = aws("ec2", "describe-fpga-images", "--region", region, "--fpga-image-ids", afi)
            return seen if seen["FpgaImages"][0]["State"]["Code"] != "pending" else None

        return wait_until(f"{afi} is done", look)["FpgaImages"][0]

    seen = done("us-east-1", afi)
    assert seen["State"] == {"Code": "available"}, seen
    assert seen["FpgaImageGlobalId"] == made["FpgaImageGlobalId"]
    assert f"logs/{afi}/logs.tar" in aws("s3", "ls", "s3://dcps/logs/", "--recursive")
    copy = aws(
        "ec2", "copy-fpga-image",
        "--region", "us-west-2",
        "--source-region", "us-east-1",
        "--source-fpga-image-id", afi,
    )  # fmt: skip
    copied = done("us-west-2", copy["FpgaImageId"])
    assert copied["FpgaImageGlobalId"] == made["FpgaImageGlobalId"], copied

    def modify(*words):
        changed = aws("ec2", "modify-fpga-image-attribute", "--fpga-image-id", afi, *words)
        return changed["FpgaImageAttribute"]

    assert modify("--name", "new name")["Name"] == "new name"
    shared = modify("--operation-type", "add", "--user-ids", "095707098027", "951708639280")
    assert shared["LoadPermissions"] == [{"UserId": "095707098027"}, {"UserId": "951708639280"}]
    public = modify("--operation-type", "add", "--user-groups", "all")
    assert {"Group": "all"} in public["LoadPermissions"], public
    reset = aws("ec2", "reset-fpga-image-attribute", "--fpga-image-id", afi)
    assert reset == {"Return": True}
    attribute = aws(
        "ec2", "describe-fpga-image-attribute", "--fpga-image-id", afi, "--attribute", "loadPermission"
    )
    assert attribute["FpgaImageAttribute"] == {"FpgaImageId": afi, "LoadPermissions": []}
    aws("ec2", "create-tags", "--resources", afi, "--tags", "Key=key_1,Value=value_1")
    tags = aws("ec2", "describe-tags", "--filters", f"Name=resource-id,Values={afi}")["Tags"]
    assert {tag["Key"] for tag in tags} == {"a", "key_1"}, tags
    aws("ec2", "delete-tags", "--resources", afi, "--tags", "Key=key_1")
    found = aws("ec2", "describe-fpga-images", "--filters", "Name=tag:a,Values=b")["FpgaImages"]
    assert [image["FpgaImageId"] for image in found] == [afi]
    assert aws("ec2", "delete-fpga-image", "--fpga-image-id", afi) == {"Return": True}


def errors_by_command_line():
    unknown = "afi-0e5361a69d2af203d"
    refused(
        "An error occurred (InvalidFpgaImageID.NotFound) when calling the DescribeFpgaImages "
        f"operation: Image ID '{unknown}' not found.",
        "ec2", "describe-fpga-images", "--fpga-image-ids", unknown,
    )  # fmt: skip
    refused(
        "An error occurred (DryRunOperation) when calling the DeleteFpgaImage operation: "
        "Request would have succeeded, but DryRun flag is set.",
        "ec2", "delete-fpga-image", "--fpga-image-id", "afi-0f1f1000000000001", "--dry-run",
    )  # fmt: skip
    mine = "afi-0f1f1000000000001"
    words = ["ec2", "modify-fpga-image-attribute", "--fpga-image-id", mine, "--operation-type", "add"]
    aws(*words, "--user-groups", "all")
    refused(
        "An error occurred (OperationNotPermitted) when calling the DeleteFpgaImage operation: "
        "Operation not permitted for public AFI",
        "ec2", "delete-fpga-image", "--fpga-image-id", mine,
    )  # fmt: skip
    assert aws("sts", "get-caller-identity")["Account"] == "000000000000"


def machine_images_by_command_line():
    reservations = aws("ec2", "describe-instances")["Reservations"]
    instance = reservations[0]["Instances"][0]["InstanceId"]
    made = aws("ec2", "create-image", "--instance-id", instance, "--name", "runtime", "--no-reboot")
    ami = made["ImageId"]

    def look():
        seen = aws("ec2", "describe-images", "--image-ids", ami)["Images"][0]
        return seen["State"] == "available"

    wait_until("the image is available", look)
    assert aws("ec2", "deregister-image", "--image-id", ami)["Return"] is True
    refused("InvalidAMIID.NotFound", "ec2", "describe-images", "--image-ids", ami)


if __name__ == "__main__":
    run_check(sys.modules["__main__"])
