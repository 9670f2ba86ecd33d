"""Objects in S3, read and written by the user's own AWS configuration.

Three calls of boto3 do: s3fs would pin a botocore that is older than the one that launching needs.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from saafe.cloud import INSTALL_BOTO3, SHIPPED_REGION, Aws
from saafe.errors import InputError

S3_SCHEME = "s3://"
NO_KEYS = "no AWS credentials here: run `aws configure` or `aws sso login`, or set AWS_* variables"


class Object(NamedTuple):
    """What a listing says of one object."""

    key: str
    size: int  # [byte]
    changed_s: float  # when it was written. [s since 1970]


def is_s3(path: str) -> bool:
    """Whether a path is that of objects in S3."""
    return path.startswith(S3_SCHEME)


def split_url(url: str) -> tuple[str, str]:
    """The bucket and the key of s3://BUCKET/KEY.

    Raises:
        InputError: it names no bucket.
    """
    bucket, _, key = url.removeprefix(S3_SCHEME).partition("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise InputError(f"{url}: names no bucket; give s3://BUCKET/...")
    return bucket, key


@cache
def s3_client() -> Aws:
    """The clients of this process.

    Raises:
        InputError: boto3 is not installed, or its configuration is broken.
    """
    try:
        import boto3
        import botocore.exceptions
    except ModuleNotFoundError:
        raise InputError(INSTALL_BOTO3.replace("[aws]", "[fleet]")) from None
    try:
        return Aws(boto3.Session().region_name or SHIPPED_REGION)
    except botocore.exceptions.BotoCoreError as error:
        raise InputError(f"{error}: check aws configure and AWS_* variables") from None


def list_objects(bucket: str, prefix: str) -> Iterator[Object]:
    """All objects whose key begins so, in the order of their keys.

    Raises:
        InputError: AWS refuses or does not answer.
    """
    more: dict[str, str] = {}
    while True:
        page = ask(
            f"{S3_SCHEME}{bucket}/{prefix}", "list_objects_v2", Bucket=bucket, Prefix=prefix, **more
        )
        for row in page.get("Contents", ()):
            yield Object(row["Key"], row["Size"], row["LastModified"].timestamp())
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def get_object(url: str) -> bytes:
    """All of an object.

    Raises:
        InputError: there is none, or AWS refuses or does not answer.
    """
    bucket, key = split_url(url)
    return ask(url, "get_object", Bucket=bucket, Key=key)["Body"]


def put_object(url: str, data: bytes) -> None:
    """Write an object; readers see the old one or the new one.

    Raises:
        InputError: AWS refuses or does not answer.
    """
    bucket, key = split_url(url)
    ask(url, "put_object", Bucket=bucket, Key=key, Body=data)


def ask(url: str, operation: str, **parameters: object) -> dict:
    """One call about a URL, with a body that is read; tried again while AWS is out of reach."""
    aws = s3_client()

    def attempt() -> dict:
        answer = getattr(aws.client("s3"), operation)(**parameters)
        return answer | {"Body": answer["Body"].read()} if "Body" in answer else answer

    try:
        return aws.retry(f"s3:{operation}", attempt)
    except InputError as error:
        is_keyless = getattr(error, "code", "") == "NoCredentialsError"
        raise InputError(f"{url}: {NO_KEYS if is_keyless else error}") from None
