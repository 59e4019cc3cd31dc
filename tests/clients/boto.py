"""What the checks with boto3 share: clients, expected errors, images."""

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from common import key, secret, tarball, wait_until

HOME = "000000000000"
OTHER = "111122223333"
ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"})


# The service is to find what is wrong, not the client.
UNCHECKED = Config(parameter_validation=False)


def ec2(region=None, account=None, config=UNCHECKED):
    return client("ec2", region, account, config)


def s3(region=None, account=None, config=None):
    return client("s3", region, account, config)


def client(service, region, account, config):
    keys = {}
    if account:
        keys = {"aws_access_key_id": key(account), "aws_secret_access_key": secret(account)}
    return boto3.client(service, region_name=region, config=config, **keys)


def refused(code, call, status=None, message=None, **parameters):
    """Calls what has to be refused with this code."""
    try:
        answer = call(**parameters)
    except ClientError as error:
        seen = error.response
        assert seen["Error"]["Code"] == code, f"wanted {code}: {error}"
        if status:
            assert seen["ResponseMetadata"]["HTTPStatusCode"] == status, seen
        if message:
            assert message in seen["Error"]["Message"], f"wanted {message}: {error}"
        return
    raise AssertionError(f"wanted {code}, and it worked: {str(answer)[:500]}")


def image(afi, client=None):
    return (client or ec2()).describe_fpga_images(FpgaImageIds=[afi])["FpgaImages"][0]


def settled(afi, client=None):
    def look():
        seen = image(afi, client)
        return seen if seen["State"]["Code"] != "pending" else None

    return wait_until(f"{afi} is done", look)


def make(contents=None, client=None, bucket="dcps", **parameters):
    """Uploads a tarball and makes an image of it."""
    store = s3()
    if bucket not in [known["Name"] for known in store.list_buckets()["Buckets"]]:
        store.create_bucket(Bucket=bucket)
    store.put_object(Bucket=bucket, Key="in.tar", Body=contents or tarball())
    return (client or ec2()).create_fpga_image(
        InputStorageLocation={"Bucket": bucket, "Key": "in.tar"}, **parameters
    )
