"""boto3 against the simulated cloud: objects, signatures, and what goes wrong by name."""

import io
import os
import sys
import urllib.error
import urllib.request

import boto3

from boto import HOME, ONCE, OTHER, ec2, image, make, refused, s3, settled
from common import key, run_check, secret, tarball


def objects():
    store, abroad = s3(), s3("eu-west-1")
    store.create_bucket(Bucket="here")
    refused("BucketAlreadyOwnedByYou", store.create_bucket, 409, Bucket="here")
    refused("BucketAlreadyExists", s3(account=OTHER).create_bucket, 409, Bucket="here")
    refused("IllegalLocationConstraintException", abroad.create_bucket, 400, Bucket="there")
    abroad.create_bucket(
        Bucket="there", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    assert store.get_bucket_location(Bucket="there")["LocationConstraint"] == "eu-west-1"
    assert store.get_bucket_location(Bucket="here")["LocationConstraint"] is None
    names = [bucket["Name"] for bucket in store.list_buckets()["Buckets"]]
    assert names == ["here", "there"], names

    big = os.urandom(17 << 20)
    store.upload_fileobj(io.BytesIO(big), "here", "folder/big.tar")
    assert store.get_object(Bucket="here", Key="folder/big.tar")["Body"].read() == big
    part = store.get_object(Bucket="here", Key="folder/big.tar", Range="bytes=100-199")
    assert part["Body"].read() == big[100:200]
    upload = store.create_multipart_upload(Bucket="here", Key="parts")["UploadId"]
    tags = []
    for number, body in [(1, big[: 5 << 20]), (2, b"end")]:
        sent = store.upload_part(
            Bucket="here", Key="parts", UploadId=upload, PartNumber=number, Body=body
        )
        tags.append({"PartNumber": number, "ETag": sent["ETag"]})
    listed = store.list_parts(Bucket="here", Key="parts", UploadId=upload)["Parts"]
    assert [p["PartNumber"] for p in listed] == [1, 2]
    store.complete_multipart_upload(
        Bucket="here", Key="parts", UploadId=upload, MultipartUpload={"Parts": tags}
    )
    assert store.head_object(Bucket="here", Key="parts")["ContentLength"] == (5 << 20) + 3
    # A client for another region is led to the bucket's.
    assert abroad.head_object(Bucket="here", Key="parts")["ContentLength"] == (5 << 20) + 3

    refused("NoSuchBucket", store.get_object, 404, Bucket="nowhere", Key="k")
    refused("NoSuchKey", store.get_object, 404, Bucket="here", Key="k")
    refused("AccessDenied", s3(account=OTHER).get_object, 403, Bucket="here", Key="parts")
    # A key that leads to another account's bucket.
    theirs = s3(account=OTHER)
    theirs.create_bucket(Bucket="theirs")
    theirs.put_object(Bucket="theirs", Key="bait", Body=b"b")
    way_out = "../here/parts"
    refused("InvalidURI", theirs.put_object, 400, Bucket="theirs", Key=way_out, Body=b"x")
    refused("InvalidURI", theirs.get_object, 400, Bucket="theirs", Key=way_out)
    source = {"Bucket": "theirs", "Key": way_out}
    refused("InvalidURI", theirs.copy_object, 400, Bucket="theirs", Key="k", CopySource=source)
    unwanted = {"Objects": [{"Key": way_out}]}
    refused("InvalidURI", theirs.delete_objects, 400, Bucket="theirs", Delete=unwanted)
    source = {"Bucket": "here", "Key": "parts"}
    refused("AccessDenied", theirs.copy_object, 403, Bucket="theirs", Key="k", CopySource=source)
    refused("BucketNotEmpty", store.delete_bucket, 409, Bucket="here")
    for name in ["parts", "folder/big.tar"]:
        store.delete_object(Bucket="here", Key=name)
    store.delete_bucket(Bucket="here")
    refused("NoSuchBucket", store.list_objects_v2, 404, Bucket="here")


def signatures():
    wrong = dict(aws_access_key_id=key(HOME), aws_secret_access_key="wrong")
    unknown = dict(aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x")
    for keys in [wrong, unknown]:
        client = boto3.client("ec2", **keys)
        refused("AuthFailure", client.describe_fpga_images, 401)
    refused("SignatureDoesNotMatch", boto3.client("sts", **wrong).get_caller_identity, 403)
    refused("InvalidClientTokenId", boto3.client("sts", **unknown).get_caller_identity, 403)
    refused("SignatureDoesNotMatch", boto3.client("s3", **wrong).list_buckets, 403)
    refused("InvalidAccessKeyId", boto3.client("s3", **unknown).list_buckets, 403)
    role = dict(
        aws_access_key_id="ASIASIM0" + HOME,
        aws_secret_access_key=secret(HOME),
        aws_session_token="simulated",
    )
    assert boto3.client("sts", **role).get_caller_identity()["Account"] == HOME
    role["aws_session_token"] = "stolen"
    refused("InvalidClientTokenId", boto3.client("sts", **role).get_caller_identity, 403)
    assert boto3.client("sts").get_caller_identity()["Account"] == HOME

    url = ec2().generate_presigned_url(
        "describe_fpga_images", Params={"Owners": ["self"]}, HttpMethod="GET"
    )
    assert b"fpgaImageSet" in urllib.request.urlopen(url).read()
    try:
        urllib.request.urlopen(url.replace("Owner.1=self", "Owner.1=amazon"))
    except urllib.error.HTTPError as error:
        assert error.code == 401, error
    else:
        raise AssertionError("a presigned URL that was changed worked")


def throttled():
    client = ec2(config=ONCE)
    refused("RequestLimitExceeded", client.describe_fpga_images, 503)
    assert client.describe_fpga_images()["FpgaImages"]


def internal_error():
    client = ec2(config=ONCE)
    refused("InternalError", client.describe_fpga_images, 500)
    assert client.describe_fpga_images()["FpgaImages"]


def denied():
    where = {"Bucket": "b", "Key": "k"}
    create = ec2().create_fpga_image
    refused("UnauthorizedOperation", create, 403, InputStorageLocation=where, DryRun=True)
    refused("UnauthorizedOperation", create, 403, InputStorageLocation=where)


def expired():
    refused("RequestExpired", ec2(config=ONCE).describe_fpga_images, 400)
    refused("ExpiredToken", s3(config=ONCE).list_buckets, 400)


def store_denied():
    refused("AccessDenied", s3().list_buckets, 403)


def store_throttled():
    store = s3(config=ONCE)
    refused("SlowDown", store.list_buckets, 503)
    store.list_buckets()


def store_elsewhere():
    state = settled(make_unseen())["State"]
    assert state["Message"].startswith("INACCESSIBLE_INPUT: "), state
    assert settled(make_unseen())["State"]["Code"] == "available"


def make_unseen():
    """Makes an image without a request to the object that the fault could strike."""
    store = s3()
    if not store.list_buckets()["Buckets"]:
        store.create_bucket(Bucket="quiet")
        path = os.path.join(os.environ["AFI_BUS"].split(":", 1)[1], "cloud", "s3", "quiet", "in.tar")
        with open(path, "wb") as file:
            file.write(tarball())
    made = ec2().create_fpga_image(InputStorageLocation={"Bucket": "quiet", "Key": "in.tar"})
    return made["FpgaImageId"]


def creation_fails():
    state = settled(make()["FpgaImageId"])["State"]
    assert state == {"Code": "failed", "Message": "DCP_NOT_ENCRYPTED: The DCP was not encrypted"}


def copy_source_gone():
    client = ec2()
    source = make()["FpgaImageId"]
    settled(source)
    copy = client.copy_fpga_image(SourceFpgaImageId=source, SourceRegion="us-east-1")
    state = settled(copy["FpgaImageId"])["State"]
    assert state["Message"].startswith("NOT_FOUND: "), state
    refused("InvalidFpgaImageID.NotFound", image, afi=source)


def instance_stopping():
    client = ec2()
    seen = client.describe_instances()["Reservations"][0]["Instances"][0]
    assert seen["State"] == {"Code": 64, "Name": "stopping"}, seen
    refused(
        "IncorrectInstanceState", client.create_image, 400, InstanceId=seen["InstanceId"], Name="abc"
    )


if __name__ == "__main__":
    run_check(sys.modules["__main__"])
