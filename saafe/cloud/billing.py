"""What a job cost."""

import shlex
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from saafe.cloud.prices import Prices
from saafe.cloud.request import plan_of


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


def bill_lines(entry: dict[str, Any], runs: Path) -> list[str]:
    """What a settled job cost against its estimate, and where it is."""
    seconds, cost = entry.get("billed_seconds"), entry.get("cost_usd")
    lines = [f"{entry['job']}: {entry['status']}"]
    if seconds is None or cost is None:
        lines.append("billed  not known: SageMaker gives no billable time for this job")
    else:
        rate = f"{entry['instances']} x {entry['instance']} at ${entry['usd_per_hour']:g}/h"
        estimated = entry["estimate"]["compute_usd"]  # volume and S3 are billed apart
        billed = f"billed  {seconds} s x {rate} = ${cost:.4f}"
        lines.append(f"{billed}; estimated ${estimated:.4f} for compute")
    if entry["rehearsal"]:
        lines.append("paid    $0: this was a rehearsal")
    if entry.get("spot_saving"):
        lines.append(f"spot    saved {entry['spot_saving']:.0%} against on demand")
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
