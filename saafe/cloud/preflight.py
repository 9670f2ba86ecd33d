"""Checks before anything is sent or paid; each failure says what to run."""

import math
from collections.abc import Callable
from dataclasses import replace

from saafe.cloud.aws import Aws, AwsError
from saafe.cloud.prices import Prices
from saafe.cloud.request import ROLE, JobPlan, Place, setting
from saafe.cloud.setup import BLOCKED, place_of
from saafe.errors import InputError

SETUP = "run `saafe launch --on sagemaker --setup`"
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "403", "UnauthorizedOperation"})


def check_account(
    aws: Aws, plan: JobPlan, prices: Prices, on_message: Callable[[str], None]
) -> JobPlan:
    """Credentials, types, role, bucket and quota; returns the plan that fits what there is.

    Raises:
        InputError: something is missing; the line says what to run.
    """
    plan = fit_region(plan, prices, on_message)
    check_role(aws)
    check_bucket(aws, place_of(aws))
    return fit_quota(aws, plan, on_message)


def fit_region(plan: JobPlan, prices: Prices, on_message: Callable[[str], None]) -> JobPlan:
    """The plan without the tier's types that the region does not rent; named ones must be there.

    Raises:
        InputError: a named type is not rented, or none of the tier's is.
    """
    rented = tuple(name for name in plan.types if name in prices.instances)
    if plan.instance_types or not rented:
        for name in plan.types:
            prices.instance(name)
    if rented == plan.types:
        return plan
    on_message(f"{prices.region} does not rent {', '.join(sorted(set(plan.types) - set(rented)))}")
    return replace(plan, instance_types=rented)


def check_role(aws: Aws) -> None:
    """The role exists and SageMaker may take it."""
    try:
        role = aws.call("iam", "get_role", RoleName=ROLE)["Role"]
    except AwsError as error:
        if error.code in DENIED:
            raise InputError(
                f"these credentials may not read the role {ROLE}: allow iam:GetRole and"
                " iam:PassRole on it (docs/cloud.md has the policy)"
            ) from error
        if error.code != "NoSuchEntity":
            raise
        raise InputError(f"no role {ROLE} in this account: {SETUP}") from error
    if "sagemaker.amazonaws.com" not in str(role.get("AssumeRolePolicyDocument")):
        raise InputError(f"SageMaker may not take the role {ROLE}: {SETUP}")


def check_bucket(aws: Aws, place: Place) -> None:
    """The bucket exists, is this account's and private; S3 encrypts whatever is put into one."""
    owned = {"Bucket": place.bucket, "ExpectedBucketOwner": aws.account}
    try:
        aws.call("s3", "head_bucket", **owned)
    except AwsError as error:
        if error.code in {"404", "NoSuchBucket"}:
            raise InputError(f"no bucket {place.bucket}: {SETUP}") from error
        if error.code in DENIED:
            raise InputError(
                f"bucket {place.bucket} belongs to another account, or is closed to these"
                " credentials: nothing is sent to it; use another account or region"
            ) from error
        raise
    public = InputError(f"bucket {place.bucket} is open to the public, nothing is sent: {SETUP}")
    try:
        block = aws.call("s3", "get_public_access_block", **owned)
        if block["PublicAccessBlockConfiguration"] != BLOCKED:
            raise public
        if aws.call("s3", "get_bucket_policy_status", **owned)["PolicyStatus"]["IsPublic"]:
            raise public
    except AwsError as error:
        if error.code == "NoSuchPublicAccessBlockConfiguration":
            raise public from error
        if error.code != "NoSuchBucketPolicy":
            raise


def fit_quota(aws: Aws, plan: JobPlan, on_message: Callable[[str], None]) -> JobPlan:
    """The plan without the instance types whose quota is too small.

    Raises:
        InputError: no type is left; the line says which quota to ask for.
    """
    use = "spot training job usage" if plan.spot else "training job usage"
    asked = {"ServiceCode": "sagemaker", "MaxResults": 100}
    try:
        pages = list(aws.pages("service-quotas", "list_service_quotas", **asked))
    except AwsError as error:
        if error.code in DENIED:  # the check is a courtesy: SageMaker refuses by itself
            on_message("quota not checked: these credentials may not read service quotas")
            return plan
        raise
    # one that has AWS's default may not be listed: CreateTrainingJob will tell
    quotas = {quota["QuotaName"]: quota["Value"] for page in pages for quota in page["Quotas"]}
    limits = {name: quotas.get(f"{name} for {use}", math.inf) for name in plan.types}
    enough = [name for name in plan.types if limits[name] >= plan.instances]
    lacking = [name for name in plan.types if name not in enough]
    if not enough:
        raise InputError(
            f"quota '{lacking[0]} for {use}' is {limits[lacking[0]]:g}, {plan.instances} needed:"
            " ask for more at Service Quotas > Amazon SageMaker, or pick another type"
            f" ({setting('instance', 'TYPE')})"
        )
    for name in lacking:
        on_message(f"skipping {name}: its quota for {use} is under {plan.instances}")
    return replace(plan, instance_types=tuple(enough)) if lacking else plan
