"""The role and the bucket that jobs need, with no more rights than they need."""

import hashlib
import json
from typing import Any

from saafe.cloud.aws import Aws, AwsError
from saafe.cloud.request import IMAGE_ACCOUNT, IMAGE_ACCOUNTS, ROLE, Place

EXPIRES_AFTER_DAYS = 30
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
BLOCKED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


def bucket_name(account: str, region: str) -> str:
    """One bucket an account and region; the name does not show the account."""
    mark = hashlib.sha256(f"saafe {account}".encode()).hexdigest()[:16]
    return f"saafe-{mark}-{region}"


def partition(region: str) -> str:
    """The part of AWS that a region belongs to, as ARNs spell it."""
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def place_of(aws: Aws) -> Place:
    """Bucket and role of the caller's account, there or not."""
    arn = f"arn:{partition(aws.region)}:iam::{aws.account}:role/{ROLE}"
    return Place(aws.region, bucket_name(aws.account, aws.region), arn)


def trust_policy(account: str) -> dict[str, Any]:
    """Who may take the role: SageMaker, for this account only."""
    return _policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": account}},
        }
    )


def role_policy(place: Place) -> dict[str, Any]:
    """What a running job may do: its bucket, its logs and metrics, AWS's training image."""
    part, region = partition(place.region), place.region
    image_account = IMAGE_ACCOUNTS.get(region, IMAGE_ACCOUNT)
    bucket = f"arn:{part}:s3:::{place.bucket}"
    logs = f"arn:{part}:logs:{region}:*:log-group:{LOG_GROUP}"
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    return _policy(
        _allow(["s3:GetObject"], f"{bucket}/saafe/*"),
        _allow(["s3:PutObject"], f"{bucket}/saafe/jobs/*", f"{bucket}/saafe/checkpoints/*"),
        _allow(["s3:ListBucket"], bucket),
        _allow(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams"], f"{logs}*"
        ),
        _allow(["logs:PutLogEvents"], f"{logs}:log-stream:*"),
        {
            **_allow(["cloudwatch:PutMetricData"], "*"),
            "Condition": {"StringEquals": {"cloudwatch:namespace": LOG_GROUP}},
        },
        _allow(["ecr:GetAuthorizationToken"], "*"),
        _allow(pull, f"arn:{part}:ecr:{region}:{image_account}:repository/pytorch"),
    )


def bucket_policy(place: Place) -> dict[str, Any]:
    """No access to the bucket but over TLS."""
    bucket = f"arn:{partition(place.region)}:s3:::{place.bucket}"
    return _policy(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket, f"{bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )


def describe_setup(aws: Aws) -> str:
    """What `set_up` would create, for the user to read first."""
    place = place_of(aws)
    policy = json.dumps(role_policy(place), indent=1)
    trust = json.dumps(trust_policy("your account"), indent=1)
    return (
        f"role {ROLE}, which SageMaker may take with\n{trust}\nand which may\n{policy}\n"
        f"bucket {place.bucket}: no public access, TLS only, owned objects only, encrypted"
        f" (AES256), objects expire after {EXPIRES_AFTER_DAYS} days"
    )


def set_up(aws: Aws) -> None:
    """Create the role and the bucket, or mend what is there; safe to run again."""
    place = place_of(aws)
    _make_role(aws, place)
    _make_bucket(aws, place)


def _make_role(aws: Aws, place: Place) -> None:
    trust = json.dumps(trust_policy(aws.account))
    tags = [{"Key": "saafe", "Value": "training"}]
    try:
        aws.call("iam", "create_role", RoleName=ROLE, AssumeRolePolicyDocument=trust, Tags=tags)
    except AwsError as error:
        if error.code != "EntityAlreadyExists":
            raise
        aws.call("iam", "update_assume_role_policy", RoleName=ROLE, PolicyDocument=trust)
    document = json.dumps(role_policy(place))
    aws.call(
        "iam",
        "put_role_policy",
        RoleName=ROLE,
        PolicyName=f"saafe-training-{place.region}",  # one region's must not undo another's
        PolicyDocument=document,
    )


def _make_bucket(aws: Aws, place: Place) -> None:
    bucket: dict[str, Any] = {"Bucket": place.bucket}
    where = {"LocationConstraint": place.region}
    location = {} if place.region == "us-east-1" else {"CreateBucketConfiguration": where}
    try:
        ownership = {"ObjectOwnership": "BucketOwnerEnforced"}
        aws.call("s3", "create_bucket", **bucket, **location, **ownership)
    except AwsError as error:
        if error.code != "BucketAlreadyOwnedByYou":
            raise
    owned = {**bucket, "ExpectedBucketOwner": aws.account}
    aws.call("s3", "put_public_access_block", **owned, PublicAccessBlockConfiguration=BLOCKED)
    algorithm = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    encryption = {"Rules": [algorithm]}
    aws.call("s3", "put_bucket_encryption", **owned, ServerSideEncryptionConfiguration=encryption)
    aws.call("s3", "put_bucket_policy", **owned, Policy=json.dumps(bucket_policy(place)))
    expire = {
        "ID": "saafe",
        "Status": "Enabled",
        "Filter": {"Prefix": "saafe/"},
        "Expiration": {"Days": EXPIRES_AFTER_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    lifecycle = {"Rules": [expire]}
    aws.call("s3", "put_bucket_lifecycle_configuration", **owned, LifecycleConfiguration=lifecycle)


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(actions: list[str], *resources: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources)}
