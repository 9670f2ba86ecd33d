"""What a job cost, and what that bought."""

import shlex
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from saafe.cloud.estimate import expected_time
from saafe.cloud.prices import Prices
from saafe.cloud.request import INSTANCES, JobPlan, plan_of
from saafe.cloud.speed import History


def bill(job: dict[str, Any], entry: dict[str, Any], prices: Prices) -> dict[str, Any]:
    """Billed figures of a described job: seconds x instances x rate.

    `cost_usd` is None where SageMaker gives no billable time, as it may for a failed job.
    """
    resources = job.get("ResourceConfig", {})
    name = resources.get("SelectedInstanceType") or resources.get("InstanceType")
    name = name or entry["estimate"]["instance"]
    count = resources.get("SelectedInstanceCount") or resources.get("InstanceCount")
    count = count or entry["estimate"]["instances"]
    rate = prices.instance(name).usd_per_hour
    billed = job.get("BillableTimeInSeconds")
    trained = job.get("TrainingTimeInSeconds")
    return {
        "instance": name,
        "instances": count,
        "usd_per_hour": rate,
        "billed_seconds": billed,
        "train_seconds": trained,
        "cost_usd": None if billed is None else billed * count * rate / 3600,
        "spot_saving": 1 - billed / trained
        if billed and trained and entry["plan"]["spot"]
        else None,
    }


def so_far_usd(entry: dict[str, Any], job: dict[str, Any]) -> float:
    """What a running job has cost so far at its on-demand rate; spot makes it less."""
    return billed_so_far(job) * entry["instances"] * entry["usd_per_hour"] / 3600


def billed_so_far(job: dict[str, Any]) -> float:
    """Seconds that the job has run, by AWS's own clock: this machine's may be wrong."""
    start = job.get("TrainingStartTime")
    if start is None:
        return 0.0
    stamp = job.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    now = parsedate_to_datetime(stamp) if stamp else datetime.now(UTC)
    return max(0.0, ((job.get("TrainingEndTime") or now) - start).total_seconds())


def premium(entry: dict[str, Any], prices: Prices, past: History) -> dict[str, Any] | None:
    """What a job cost more than the standard tier, and the time that bought.

    A rehearsal's seconds are not those of a GPU, so that its estimate stands for them.

    Returns:
        Figures; None where the region rents no type of the standard tier.
    """
    name = next((name for name in INSTANCES["standard"] if name in prices.instances), None)
    if name is None:
        return None
    row = prices.instance(name)
    standard_s, basis, _ = expected_time(JobPlan("standard"), row, past)
    standard_usd = standard_s / 3600 * row.usd_per_hour
    cost, taken = entry.get("cost_usd"), entry.get("train_seconds")
    if entry["rehearsal"]:
        cost, taken = entry["estimate"]["compute_usd"], entry["estimate"]["expected_s"]
    return {
        "standard_usd": round(standard_usd, 4),
        "standard_s": round(standard_s, 1),
        "basis": f"{row.name}: {basis}",
        "premium_usd": None if cost is None else round(cost - standard_usd, 4),
        "saved_s": None if taken is None else round(standard_s - taken, 1),
    }


def premium_line(above: dict[str, Any], *, is_estimate: bool) -> str:
    """A premium for people."""
    usd, saved_s = above["premium_usd"], above["saved_s"]
    what = f"{'estimated ' if is_estimate else ''}premium over the standard tier"
    than = f"${above['standard_usd']:.4f}; {above['basis']}"
    time = f"{abs(saved_s):.0f} s {'less' if saved_s >= 0 else 'more'}"
    return f"{what} ({than}): {'-' if usd < 0 else '+'}${abs(usd):.4f} for {time}"


def bill_lines(entry: dict[str, Any], runs: Path) -> list[str]:
    """What a settled job cost against its estimate, and where it is."""
    seconds, cost = entry.get("billed_seconds"), entry.get("cost_usd")
    lines = [f"{entry['job']}: {entry['status']}"]
    if seconds is None or cost is None:
        lines.append("billed  not known: SageMaker gives no billable time for this job")
    else:
        rate = f"{entry['instances']} x {entry['instance']} at ${entry['usd_per_hour']:g}/h"
        estimated = entry["estimate"]["compute_usd"]  # volume and S3 are billed apart
        lines.append(f"billed  {seconds} s x {rate} = ${cost:.4f}; estimated ${estimated:.4f}")
    if entry["rehearsal"]:
        lines.append("paid    $0: this was a rehearsal")
    if entry.get("spot_saving"):
        lines.append(f"spot    saved {entry['spot_saving']:.0%} against on demand")
    above, is_whole = entry.get("premium"), entry["status"] == "Completed"
    if above and None not in above.values() and entry["tier"] != "standard" and is_whole:
        lines.append(premium_line(above, is_estimate=entry["rehearsal"]))
    found = entry.get("verified") or {}
    if found.get("loads"):
        gate = {True: "gate passed", False: "gate FAILED", None: "not judged"}[found["gate_passed"]]
        lines.append(f"checked hashes match, {found['parameters']} parameters load, {gate}")
    elif found:
        words = ["saafe", *plan_of(entry).arguments(entry["run"])[3:], "--out", str(runs)]
        again = shlex.join([*words, "--name", entry["run"], "--resume"])
        lines.append(f"checked hashes match; unfinished, go on here with: {again}")
    lines.append(f"run     {runs / entry['run']}" if entry.get("run") else "run     none was left")
    return lines
