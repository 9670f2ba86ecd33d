"""What a job should take and cost before it runs."""

import math
import statistics
from dataclasses import replace
from typing import Any

from saafe.cloud.prices import HOURS_A_MONTH, Instance, Prices
from saafe.cloud.request import LONGEST_RUN_S, VOLUME_GB, JobPlan
from saafe.cloud.speed import History, recipe_of, speed_of
from saafe.errors import InputError

# Assumed, for want of an account: image download, pip, import of torch, thresholds, quick exam and
# upload; all of it is billed. (Thresholds and exam took 40 s on one of our cores.)
START_S = 240.0
STOP_GRACE_S = 120  # SIGTERM to SIGKILL, billed
LEAST_LIMIT_S = 300
KEPT_GB, KEPT_MONTHS, PUTS, GETS = 0.05, 1.0, 300, 100  # a run, its checkpoints and code in S3
# EC2's spot prices of GPU types were 34 to 39 % of on demand when looked up; SageMaker says "up
# to 90 % off" and publishes none.
SPOT_RANGE = (0.3, 1.0)


def expected_time(plan: JobPlan, row: Instance, past: History) -> tuple[float, str, bool]:
    """Billed time of a job at most, early stopping apart.

    Returns:
        Time [s]; what it rests on; whether the speed in it was measured by own runs.
    """
    wanted = (plan.tier, list(plan.settings), row.name, plan.instances)
    alike = [
        entry["train_seconds"]
        for entry in past.entries
        if entry.get("status") == "Completed"
        and not entry["rehearsal"]
        and entry.get("train_seconds")
        and (entry["tier"], list(entry["plan"]["settings"]), entry["instance"], entry["instances"])
        == wanted
    ]
    if alike:
        return statistics.median(alike), f"median of {len(alike)} own jobs on {row.name}", True
    recipe = recipe_of(plan.tier, plan.settings)
    speed = speed_of(plan, row, past)
    fit_s = recipe.windows * recipe.epochs / speed.windows_per_s
    basis = f"{START_S:.0f} s to start and hand over (assumed), at most {fit_s:.0f} s of fit"
    return START_S + fit_s, f"{basis} ({speed.basis})", speed.is_measured


def estimate(
    plan: JobPlan, prices: Prices, past: History, max_cost_usd: float | None = None
) -> dict[str, Any]:
    """What a launch should cost, and what it can cost at most.

    Raises:
        InputError: an instance type is unknown or retired, or the budget is too small.
    """
    rows = [prices.instance(name) for name in plan.types]
    first, dearest = rows[0], max(rows, key=lambda row: hourly(prices, row))
    expected_s, basis, _ = expected_time(plan, first, past)
    storage_usd = _storage(prices)
    most = plan.instances * hourly(prices, dearest)
    limit_s = min(max(1800, 4 * math.ceil(expected_s)), LONGEST_RUN_S)
    if max_cost_usd is not None:
        limit_s = min(limit_s, budget_limit(max_cost_usd, most, storage_usd))
    expected_s = min(expected_s, limit_s)
    compute_usd = expected_s / 3600 * plan.instances * first.usd_per_hour
    volume_usd = expected_s / 3600 * plan.instances * _volume(prices, first)
    rest_usd = volume_usd + storage_usd
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
        "total_usd": round(compute_usd + rest_usd, 4),
        "spot_usd": [round(share * compute_usd + rest_usd, 4) for share in SPOT_RANGE]
        if plan.spot
        else None,
        "limit_s": limit_s,
        "most_usd": round((limit_s + STOP_GRACE_S) / 3600 * most + storage_usd, 4),
    }


def budget_limit(budget_usd: float, usd_per_hour: float, storage_usd: float) -> int:
    """Longest run time that a budget pays for, stop grace included, in seconds.

    Args:
        budget_usd: of the whole job.
        usd_per_hour: of all machines, at the dearest type of the fallback list, with volumes.
        storage_usd: S3, paid whatever the time.

    Raises:
        InputError: less than five minutes are left; the line says what would do.
    """
    seconds = (budget_usd - storage_usd) / usd_per_hour * 3600 - STOP_GRACE_S
    if not seconds >= LEAST_LIMIT_S:  # also when it is no number
        least = (LEAST_LIMIT_S + STOP_GRACE_S) / 3600 * usd_per_hour + storage_usd
        raise InputError(
            f"--max-cost {budget_usd:g} leaves no five minutes at ${usd_per_hour:.3f} an hour:"
            f" allow ${math.ceil(least * 100) / 100:.2f}, or pick a cheaper --instance"
        )
    return math.floor(min(seconds, LONGEST_RUN_S))


def offers(plan: JobPlan, prices: Prices, past: History) -> list[dict[str, Any]]:
    """Every instance type with its expected time and cost for a plan, the cheapest first."""
    rows = []
    for row in prices.instances.values():
        one = replace(plan, instance_types=(row.name,))
        seconds, basis, is_measured = expected_time(one, row, past)
        rows.append(
            {
                "instance": row.name,
                "gpus": row.gpus,
                "gpu": row.gpu,
                "usd_per_hour": row.usd_per_hour,
                "expected_s": round(seconds, 1),
                "cost_usd": round(seconds / 3600 * row.usd_per_hour * plan.instances, 4),
                "speed": "measured" if is_measured else "assumed",
                "basis": basis,
            }
        )
    return sorted(rows, key=lambda row: row["cost_usd"])


def hourly(prices: Prices, row: Instance) -> float:
    """Dollars an hour of one machine with its volume."""
    return row.usd_per_hour + _volume(prices, row)


def _storage(prices: Prices) -> float:
    """S3 for one job's code, checkpoints and artefact, in dollars."""
    each = prices.storage
    kept = KEPT_GB * KEPT_MONTHS * each["s3_standard_usd_per_gb_month"]
    return kept + PUTS / 1000 * each["s3_put_per_1000"] + GETS / 1000 * each["s3_get_per_1000"]


def _volume(prices: Prices, row: Instance) -> float:
    """The EBS volume of types that have no local disk, in dollars an hour."""
    if row.local_nvme:
        return 0.0
    return VOLUME_GB * prices.storage["training_volume_gp2_usd_per_gb_month"] / HOURS_A_MONTH


def estimate_lines(expected: dict[str, Any], plan: JobPlan) -> list[str]:
    """An estimate for people to agree to."""
    e, types = expected, plan.types
    others = f" (else {', '.join(types[1:])})" if types[1:] else ""
    spot = e["spot_usd"]
    lines = [
        f"{plan.tier} on {e['instances']} x {e['instance']}{others},"
        f" ${e['usd_per_hour']:g} an hour each (prices of {e['prices_as_of']})",
        f"time    {e['expected_s']:.0f} s: {e['basis']}",
        f"compute ${e['compute_usd']:.3f}",
        f"volume  ${e['volume_usd']:.3f}, S3 ${e['storage_usd']:.3f},"
        f" transfer ${e['transfer_usd']:.2f} (same region in, under 100 GB a month out)",
        f"total   ${e['total_usd']:.3f}",
    ]
    if spot:
        lines.append(f"spot    ${spot[0]:.3f} to ${spot[1]:.3f} instead; SageMaker lists no price")
    limit = f"stopped after {e['limit_s']} s, which can cost ${e['most_usd']:.2f} at most"
    return [*lines, f"limit   {limit}"]
