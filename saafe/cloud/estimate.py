"""What a job should take and cost before it runs, and what it cost after. Layer 6."""

import math
import shlex
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from saafe.cloud.prices import HOURS_A_MONTH, Instance, Prices
from saafe.cloud.request import INSTANCES, VOLUME_GB, Plan, plan_of
from saafe.errors import InputError
from saafe.recipes import changed, find_tier

# Chosen: not measured, for want of a GPU account; the ledger's own jobs replace it.
START_S = 240.0  # image download, pip, import of torch, quick exam, upload: all of it is billed
GPU_STEPS_PER_S = 250.0  # small models are bound by kernel launches, whatever the GPU
# A vCPU on 128 wide, 4 layers, 15 tokens (136 s for 150,000 windows on two cores, half a core a
# vCPU); arithmetic grows with layers x width^2 x tokens.
CPU_WINDOWS_PER_S = 275.0
STOP_GRACE_S = 120  # SIGTERM to SIGKILL, billed
LEAST_LIMIT_S = 300
KEPT_GB, KEPT_MONTHS, PUTS, GETS = 0.05, 1.0, 300, 100  # a run, its checkpoints and code in S3
# EC2's spot prices of GPU types were 34 to 39 % of on demand when looked up; SageMaker says "up
# to 90 % off" and publishes none.
SPOT_RANGE = (0.3, 1.0)


@dataclass(frozen=True)
class Work:
    """How much a training computes at most; early stopping makes it less."""

    windows: int
    batch: int
    size: float

    def seconds(self, row: Instance, instances: int) -> float:
        """Time of the fit alone on one instance type, in seconds, as assumed above."""
        if row.gpus:  # ranks share a global batch, so that more GPUs do not make fewer steps
            return self.windows / self.batch / GPU_STEPS_PER_S
        return self.windows * self.size / (CPU_WINDOWS_PER_S * row.vcpu * instances)


def work_of(plan: Plan) -> Work:
    """The work that a plan's recipe asks for."""
    recipe = changed(find_tier(plan.tier), plan.settings)
    size = recipe.layers / 4 * (recipe.width / 128) ** 2 * (60 / recipe.patch) / 15
    return Work(recipe.windows * recipe.epochs, recipe.batch, size)


def expected_time(plan: Plan, row: Instance, entries: list[dict[str, Any]]) -> tuple[float, str]:
    """Billed time of a job, and what the figure rests on, in seconds."""
    wanted = (plan.tier, list(plan.settings), row.name, plan.instances)
    alike = [
        entry["train_seconds"]
        for entry in entries
        if entry.get("status") == "Completed"
        and not entry["rehearsal"]
        and entry.get("train_seconds")
        and (entry["tier"], entry["plan"]["settings"], entry["instance"], entry["instances"])
        == wanted
    ]
    if alike:
        return statistics.median(alike), f"median of {len(alike)} own jobs on {row.name}"
    work = work_of(plan)
    speed = measured_speed(plan, row, entries)
    if speed is not None:
        fit_s = work.windows / speed
        return (
            START_S + fit_s,
            f"{speed:.0f} windows/s measured on {row.name}, early stopping apart",
        )
    fit_s = work.seconds(row, plan.instances)
    return START_S + fit_s, f"assumed: {START_S:.0f} s to start and hand over, {fit_s:.0f} s of fit"


def measured_speed(plan: Plan, row: Instance, entries: list[dict[str, Any]]) -> float | None:
    """Windows a second that real jobs of the tier reached on an instance type."""
    speeds = [
        entry["metrics"]["samples_per_s"]
        for entry in entries
        if not entry["rehearsal"]
        and entry.get("metrics", {}).get("samples_per_s")
        and (entry["tier"], entry["instance"], entry["instances"])
        == (plan.tier, row.name, plan.instances)
    ]
    return statistics.median(speeds) if speeds else None


def estimate(
    plan: Plan, prices: Prices, entries: list[dict[str, Any]], max_cost_usd: float | None = None
) -> dict[str, Any]:
    """What a launch should cost, and what it can cost at most.

    Raises:
        InputError: an instance type is unknown or retired, or the budget is too small.
    """
    rows = [prices.instance(name) for name in plan.types]
    first, dearest = rows[0], max(rows, key=lambda row: row.usd_per_hour)
    expected_s, basis = expected_time(plan, first, entries)
    storage_usd = _storage(prices)
    limit_s = max(1800, 4 * math.ceil(expected_s))
    if max_cost_usd is not None:
        limit_s = min(limit_s, budget_limit(max_cost_usd, storage_usd, plan.instances, dearest))
    compute_usd = expected_s / 3600 * plan.instances * first.usd_per_hour
    volume_usd = _volume(prices, first, plan.instances, expected_s)
    most_s = limit_s + STOP_GRACE_S
    most_usd = most_s / 3600 * plan.instances * dearest.usd_per_hour + storage_usd
    return {
        "instance": first.name,
        "instances": plan.instances,
        "usd_per_hour": first.usd_per_hour,
        "prices_as_of": prices.as_of,
        "expected_s": round(expected_s, 1),
        "basis": basis,
        "compute_usd": round(compute_usd, 4),
        "volume_usd": round(volume_usd, 4),
        "storage_usd": round(storage_usd, 4),
        "transfer_usd": 0.0,  # same region in, under the free 100 GB a month out
        "total_usd": round(compute_usd + volume_usd + storage_usd, 4),
        "spot_usd": [round(share * compute_usd, 4) for share in SPOT_RANGE] if plan.spot else None,
        "limit_s": limit_s,
        "most_usd": round(most_usd + _volume(prices, dearest, plan.instances, most_s), 4),
    }


def budget_limit(budget_usd: float, storage_usd: float, instances: int, dearest: Instance) -> int:
    """Longest run time that a budget pays for, stop grace included, in seconds.

    Raises:
        InputError: less than five minutes are left; the line says what would do.
    """
    rate = instances * dearest.usd_per_hour
    limit_s = math.floor((budget_usd - storage_usd) / rate * 3600) - STOP_GRACE_S
    if limit_s < LEAST_LIMIT_S:
        least = (LEAST_LIMIT_S + STOP_GRACE_S) / 3600 * rate + storage_usd
        raise InputError(
            f"--max-cost {budget_usd:g} leaves {max(limit_s, 0)} s on {instances} x {dearest.name}"
            f" (${dearest.usd_per_hour:g}/h), five minutes are the least:"
            f" allow ${math.ceil(least * 100) / 100:.2f}, or pick a cheaper --instance"
        )
    return limit_s


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


def premium(entry: dict[str, Any], prices: Prices, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """What a job cost more than the standard tier, and the time that bought.

    A rehearsal's seconds are not those of a GPU, so that its estimate stands for them.
    """
    plan = Plan("standard")
    row = prices.instance(INSTANCES["standard"][0])
    standard_s, basis = expected_time(plan, row, entries)
    standard_usd = standard_s / 3600 * row.usd_per_hour
    cost, taken = entry.get("cost_usd"), entry.get("train_seconds")
    if entry["rehearsal"]:
        cost, taken = entry["estimate"]["compute_usd"], entry["estimate"]["expected_s"]
    return {
        "standard_usd": round(standard_usd, 4),
        "standard_s": round(standard_s, 1),
        "basis": basis,
        "premium_usd": None if cost is None else round(cost - standard_usd, 4),
        "saved_s": None if taken is None else round(standard_s - taken, 1),
    }


def _storage(prices: Prices) -> float:
    """S3 for one job's code, checkpoints and artefact, in dollars."""
    each = prices.storage
    kept = KEPT_GB * KEPT_MONTHS * each["s3_standard_usd_per_gb_month"]
    return kept + PUTS / 1000 * each["s3_put_per_1000"] + GETS / 1000 * each["s3_get_per_1000"]


def _volume(prices: Prices, row: Instance, instances: int, seconds: float) -> float:
    """The EBS volume of types that have no local disk, in dollars."""
    if row.local_nvme:
        return 0.0
    rate = prices.storage["training_volume_gp2_usd_per_gb_month"] / HOURS_A_MONTH
    return VOLUME_GB * rate * instances * seconds / 3600


def estimate_lines(expected: dict[str, Any], plan: Plan) -> list[str]:
    """An estimate for people to agree to."""
    e, types = expected, plan.types
    others = f" (else {', '.join(types[1:])})" if types[1:] else ""
    spot = e["spot_usd"]
    lines = [
        f"{plan.tier} on {e['instances']} x {e['instance']}{others},"
        f" ${e['usd_per_hour']:g} an hour each (prices of {e['prices_as_of']})",
        f"time    {e['expected_s']:.0f} s; {e['basis']}",
        f"compute ${e['compute_usd']:.3f}",
        f"volume  ${e['volume_usd']:.3f}, S3 ${e['storage_usd']:.3f},"
        f" transfer ${e['transfer_usd']:.2f} (same region in, under 100 GB a month out)",
        f"total   ${e['total_usd']:.3f}",
    ]
    if spot:
        lines.append(f"spot    ${spot[0]:.3f} to ${spot[1]:.3f} instead; SageMaker lists no price")
    limit = f"stopped after {e['limit_s']} s, which can cost ${e['most_usd']:.2f} at most"
    return [*lines, f"limit   {limit}"]


def bill_lines(entry: dict[str, Any], runs: Path) -> list[str]:
    """What a settled job cost against its estimate, and where it is."""
    seconds, cost = entry.get("billed_seconds"), entry.get("cost_usd")
    lines = [f"{entry['job']}: {entry['status']}"]
    if seconds is None or cost is None:
        lines.append("billed  not known: SageMaker gives no billable time for this job")
    else:
        rate = f"{entry['instances']} x {entry['instance']} at ${entry['usd_per_hour']:g}/h"
        estimated = entry["estimate"]["total_usd"]
        lines.append(f"billed  {seconds} s x {rate} = ${cost:.4f}; estimated ${estimated:.4f}")
    if entry["rehearsal"]:
        lines.append("paid    $0: this was a rehearsal")
    if entry.get("spot_saving"):
        lines.append(f"spot    saved {entry['spot_saving']:.0%} against on demand")
    above, is_whole = entry.get("premium"), entry["status"] == "Completed"
    if above and above["premium_usd"] is not None and entry["tier"] != "standard" and is_whole:
        of_what = "estimated premium" if entry["rehearsal"] else "premium"
        lines.append(
            f"{of_what} over the standard tier (${above['standard_usd']:.4f}, {above['basis']}):"
            f" ${above['premium_usd']:+.4f} for {above['saved_s']:.0f} s saved"
        )
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
