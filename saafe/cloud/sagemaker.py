"""Launch a training job on SageMaker exactly once, and know how it stands.

The ledger entry is written before the job is created, and the job's name is unique to AWS: a
launcher that dies at any point can be run again, and finds the one job it made.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from saafe.cloud.aws import Aws, AwsError, redact
from saafe.cloud.billing import bill, so_far_usd
from saafe.cloud.estimate import estimate_job
from saafe.cloud.ledger import ENDED, Ledger, check_name
from saafe.cloud.package import Package, pack
from saafe.cloud.preflight import check_account
from saafe.cloud.prices import Prices, load_prices
from saafe.cloud.request import JobPlan, Place, build_request, plan_of, setting
from saafe.cloud.setup import place_of
from saafe.errors import InputError, as_given
from saafe.recipes import changed, find_tier

NOT_CREATED = "Planned"


@dataclass
class Cloud:
    """Where jobs run and what is known about them: the account, its prices, our ledger."""

    aws: Aws
    ledger: Ledger
    on: str = "sagemaker"
    on_message: Callable[[str], None] = print

    @cached_property
    def prices(self) -> Prices:
        """Prices of the region."""
        return load_prices(self.aws.region)


def start_job(
    cloud: Cloud,
    plan: JobPlan,
    *,
    name: str | None = None,
    max_cost_usd: float | None = None,
    confirm: Callable[[dict[str, Any]], None] = lambda _: None,
    source: Path | None = None,
) -> dict[str, Any]:
    """Make sure that one job of this request exists; returns its ledger entry.

    Args:
        cloud: account and ledger.
        plan: what to train, on what.
        name: name of the job; None makes one, or finds the unfinished job of the same request.
        max_cost_usd: enforced through the job's longest run time. [USD]
        confirm: shown the estimate before anything is sent; an InputError ends it.
        source: folder that holds the `saafe` package to run; None is the running one.

    Raises:
        InputError: anything that the user can mend, in one line.
    """
    changed(find_tier(plan.tier), plan.settings)  # refuse a wrong recipe before it is paid for
    package = pack(source, device=plan.device)
    where = f"{cloud.on} {cloud.aws.region} {account_mark(cloud.aws)} {cloud.aws.is_elsewhere}"
    fingerprint = plan.fingerprint(package.sha256, where)
    entry = _known(cloud, fingerprint, name)
    if entry is not None and not _may_plan_anew(cloud, entry, max_cost_usd):
        cloud.on_message(
            f"{entry['job']} was launched before: going on with it, nothing is paid twice"
        )
        return entry if entry.get("settled") else ensure(cloud, entry, package)
    job = entry["job"] if entry is not None else name or _new_name(plan.tier)
    fitted = check_account(cloud.aws, plan, cloud.prices, cloud.on_message)
    expected = estimate_job(fitted, cloud.prices, cloud.ledger.entries(), max_cost_usd)
    confirm(expected)
    kept = {"fingerprint": fingerprint, "code_sha256": package.sha256}
    planned = {**_new_entry(cloud, fitted, job, expected), **kept, "max_cost_usd": max_cost_usd}
    with cloud.ledger.locked():  # of two launchers at once, the second finds the first's entry
        earlier = entry
        entry = _known(cloud, fingerprint, name)
        entry = entry if entry != earlier and entry is not None else cloud.ledger.write(planned)
    return ensure(cloud, entry, package)


def _new_entry(cloud: Cloud, plan: JobPlan, job: str, expected: dict[str, Any]) -> dict[str, Any]:
    """What the ledger keeps of a job that does not exist yet."""
    return {
        "job": job,
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "on": cloud.on,
        "region": cloud.aws.region,
        "account_mark": account_mark(cloud.aws),
        "rehearsal": cloud.on != "sagemaker" or cloud.aws.is_elsewhere,
        "tier": plan.tier,
        "plan": asdict(plan),
        "types": list(plan.types),
        "attempts": [job],
        "limit_s": expected["limit_s"],
        "estimate": expected,
        "status": NOT_CREATED,
        "settled": False,
    }


def account_mark(aws: Aws) -> str:
    """Enough of the account's hash to notice another account, too little to find it out."""
    return hashlib.sha256(f"saafe {aws.account}".encode()).hexdigest()[:6]


def require_account(cloud: Cloud, entry: dict[str, Any]) -> None:
    """Refuse to look for a job in another account: it would be launched and paid again.

    Raises:
        InputError: the credentials are of another account.
    """
    if entry["account_mark"] != account_mark(cloud.aws):
        raise InputError(
            f"{entry['job']} was launched from another account than these credentials are of:"
            " choose that one (AWS_PROFILE), and run this again"
        )


def ensure(cloud: Cloud, entry: dict[str, Any], package: Package | None = None) -> dict[str, Any]:
    """Create the entry's current attempt unless it exists; safe to run any number of times."""
    require_account(cloud, entry)
    place = place_of(cloud.aws)
    job = describe_job(cloud.aws, entry["attempts"][-1])
    if job is None:
        if package is not None and package.sha256 == entry["code_sha256"]:
            upload(cloud.aws, place, package)
        _create(cloud, entry, place)
    else:
        _require_ours(cloud, entry, job)
    if entry["status"] == NOT_CREATED:
        entry = cloud.ledger.update(entry, status="InProgress", settled=False)
    return entry


def upload(aws: Aws, place: Place, package: Package) -> None:
    """Put the code where the job's channel reads it, under its hash.

    Also when it is there: what was put a month ago would expire before the job starts.
    """
    for name, content in package.files.items():
        item = {"Bucket": place.bucket, "Key": f"saafe/code/{package.sha256}/{name}"}
        owned = {**item, "ExpectedBucketOwner": aws.account, "ServerSideEncryption": "AES256"}
        aws.call("s3", "put_object", **owned, Body=content)


def describe_job(aws: Aws, job: str) -> dict[str, Any] | None:
    """DescribeTrainingJob; None for a job that does not exist."""
    try:
        return aws.call("sagemaker", "describe_training_job", TrainingJobName=job)
    except AwsError as error:
        # The model says ResourceNotFound, the service says ValidationException.
        is_missing = error.code == "ValidationException" and "not found" in str(error).lower()
        if error.code == "ResourceNotFound" or is_missing:
            return None
        raise


def status(cloud: Cloud, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry brought up to date with what SageMaker and its bill say; kept in the ledger."""
    require_account(cloud, entry)
    job = describe_job(cloud.aws, entry["attempts"][-1])
    if job is None:
        return entry
    fresh = record(cloud, entry, job)
    seen = {row["MetricName"]: row["Value"] for row in job.get("FinalMetricDataList") or []}
    return {**fresh, "metrics": seen or fresh.get("metrics"), "so_far_usd": so_far_usd(fresh, job)}


def record(cloud: Cloud, entry: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Keep a job's status and figures in the ledger, when they changed."""
    found = {
        "status": job["TrainingJobStatus"],
        "secondary": job.get("SecondaryStatus", ""),
        "failure": redact(job.get("FailureReason", ""), cloud.aws.account),
        **bill(job, entry, cloud.prices),
    }
    if found["status"] == "Failed":  # no artefact will come
        found |= {"settled": not may_try_next({**entry, **found}), "run": None}
    return cloud.ledger.update(entry, **found)


def may_try_next(entry: dict[str, Any]) -> bool:
    """Whether a spot job failed for want of machines and another type is left to try."""
    is_capacity = "CapacityError" in entry.get("failure", "")
    return bool(entry["plan"]["spot"] and is_capacity and len(entry["types"]) > 1)


def try_next(cloud: Cloud, entry: dict[str, Any]) -> dict[str, Any]:
    """Start the next attempt, on the next instance type; its name is settled before it exists."""
    with cloud.ledger.locked():  # of two watchers, the second follows the first's attempt
        kept = cloud.ledger.find(entry["job"])
        if kept["attempts"] == entry["attempts"]:
            cloud.on_message(f"no capacity for {entry['types'][0]}, trying {entry['types'][1]}")
            attempt = f"{entry['job']}-{len(entry['attempts']) + 1}"
            fresh = {"types": entry["types"][1:], "attempts": [*entry["attempts"], attempt]}
            reset = {"status": NOT_CREATED, "failure": "", "settled": False}
            kept = cloud.ledger.write({**kept, **fresh, **reset})
    return ensure(cloud, kept)


def stop(cloud: Cloud, entry: dict[str, Any]) -> dict[str, Any]:
    """Ask SageMaker to stop a job; it saves a checkpoint, and its artefact is uploaded."""
    require_account(cloud, entry)  # "not found" would be taken for "never created"
    if entry["status"] in ENDED:
        return entry
    try:
        job = entry["attempts"][-1]
        cloud.aws.call("sagemaker", "stop_training_job", TrainingJobName=job)
    except AwsError as error:
        if error.code not in {"ValidationException", "ResourceNotFound"}:
            raise
    fresh = status(cloud, entry)
    if fresh["status"] == NOT_CREATED:  # planned by a launcher that died: nothing runs
        return cloud.ledger.update(entry, status="Stopped", settled=True, cost_usd=0.0)
    return fresh


SHOWN = (
    *("job", "tier", "on", "region", "rehearsal", "created", "status", "secondary", "failure"),
    *("instance", "instances", "usd_per_hour", "billed_seconds", "train_seconds", "cost_usd"),
    *("so_far_usd", "spot_saving", "metrics", "run", "artifact_sha256", "verified"),
)


def view(entry: dict[str, Any]) -> dict[str, Any]:
    """What is shown of a ledger entry; figures not known yet are None."""
    shown = {name: entry.get(name) for name in SHOWN}
    return {**shown, "spot": entry["plan"]["spot"], "estimate_usd": entry["estimate"]["total_usd"]}


def _known(cloud: Cloud, fingerprint: str, name: str | None) -> dict[str, Any] | None:
    """The entry that a launch should go on with, if there is one."""
    if name is None:
        return cloud.ledger.unfinished(fingerprint)
    check_name(name)
    entry = next((entry for entry in cloud.ledger.entries() if entry["job"] == name), None)
    if entry is not None:
        if entry["fingerprint"] != fingerprint:
            raise InputError(
                f"{name} was launched with other settings, code or place: pick another name"
                f" ({setting('name', 'NAME')}), or `saafe watch {name}`"
            )
        return entry
    job = describe_job(cloud.aws, name)
    if job is not None and not _is_ours(job, fingerprint):
        raise _taken(name)
    return None


def _may_plan_anew(cloud: Cloud, entry: dict[str, Any], max_cost_usd: float | None) -> bool:
    """Whether a planned job with another budget was never created, so that the new one holds.

    Raises:
        InputError: it was created, and its budget cannot be changed any more.
    """
    if entry["max_cost_usd"] == max_cost_usd or entry.get("settled"):
        return False
    if entry["status"] == NOT_CREATED and describe_job(cloud.aws, entry["attempts"][-1]) is None:
        return True
    budget = entry["max_cost_usd"]
    raise InputError(
        f"{entry['job']} runs already, {'without' if budget is None else f'with ${budget:g} as'}"
        f" {as_given('--max-cost', 'max_cost_usd')}: `saafe watch {entry['job']}`, or stop it first"
    )


def _create(cloud: Cloud, entry: dict[str, Any], place: Place) -> None:
    """Create the current attempt, leaving out types whose quota turns out too small."""
    names = list(entry["types"])
    while True:
        tried = names[:1] if plan_of(entry).spot else names
        rows = [cloud.prices.instance(name) for name in tried]
        request = build_request(entry, place, rows, entry["attempts"][-1])
        try:
            _create_once(cloud, request)
            return
        except AwsError as error:
            if error.code == "ResourceInUse":  # an earlier try got through, or somebody else's
                _require_ours(cloud, entry, describe_job(cloud.aws, request["TrainingJobName"]))
                return
            if error.code != "ResourceLimitExceeded":
                raise
            named = re.search(r"ml\.[a-z0-9-]+\.[a-z0-9]+", str(error))
            refused = named.group() if named and named.group() in tried else tried[0]
            names.remove(refused)
            if not names:
                raise
            cloud.on_message(f"quota for {refused} is used up, trying {names[0]}")


def _create_once(cloud: Cloud, request: dict[str, Any]) -> None:
    """CreateTrainingJob, again while a role that was just made has not reached SageMaker."""
    for wait_s in (*cloud.aws.waits_s, None):
        try:
            cloud.aws.call("sagemaker", "create_training_job", **request)
            return
        except AwsError as error:
            if wait_s is None or "assume" not in str(error):
                raise
        time.sleep(wait_s)


def _is_ours(job: dict[str, Any], fingerprint: str) -> bool:
    return job.get("HyperParameters", {}).get("request") == fingerprint


def _require_ours(cloud: Cloud, entry: dict[str, Any], job: dict[str, Any] | None) -> None:
    if job is None or not _is_ours(job, entry["fingerprint"]):
        cloud.ledger.update(entry, status="Failed", failure="name taken", settled=True)
        raise _taken(entry["job"])


def _taken(name: str) -> InputError:
    return InputError(
        f"the name {name} is taken by another job: pick another name ({setting('name', 'NAME')})"
    )


def _new_name(tier: str) -> str:
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return f"saafe-{re.sub('[^a-zA-Z0-9]+', '-', tier).strip('-')}-{now}-{secrets.token_hex(2)}"
