"""What a job should take and cost before it runs."""

import math
import statistics
from typing import Any

from saafe.cloud.prices import HOURS_A_MONTH, Instance, Prices
from saafe.cloud.request import LONGEST_RUN_S, VOLUME_GB, JobPlan, setting
from saafe.errors import InputError, as_given
from saafe.recipes import Recipe, changed, find_tier

# Assumed, for want of an account: image download, pip, import of torch, thresholds, quick exam and
# upload; all of it is billed. (Thresholds and exam took 40 s on one of our cores.)
START_S = 240.0
# Measured on one thread of a shared two-core AMD EPYC (Zen 4), simulating included, on 2026-11-29,
# 2,380 to 2,490 for four seeds: OMP_NUM_THREADS=1 saafe train ultra-fast --seed 1
CPU_WINDOWS_PER_S = 2400.0
ASSUMPTION = "one CPU core's by model size; assumed, never measured on a GPU"
# What decides how many windows a second are simulated and trained; equal fields, equal work.
WORK = (
    *("width", "layers", "heads", "expansion", "patch", "precision"),
    *("windows", "streams", "fresh", "passes", "batch", "accumulate"),
)
STOP_GRACE_S = 120  # SIGTERM to SIGKILL, billed
LEAST_LIMIT_S = 300
KEPT_GB, KEPT_MONTHS, PUTS, GETS = 0.05, 1.0, 300, 100  # a run, its checkpoints and code in S3
# EC2's spot prices of GPU types were 34 to 39 % of on demand when looked up; SageMaker says "up
# to 90 % off" and publishes none.
SPOT_RANGE = (0.3, 1.0)


def expected_time(
    plan: JobPlan, row: Instance, entries: list[dict[str, Any]]
) -> tuple[float, str, bool]:
    """Billed time of a job.

    Args:
        plan: the job.
        row: instance type that it runs on.
        entries: the ledger's; own jobs on the same machines measure, rehearsals do not.

    Returns:
        Time [s]; what it rests on; whether own jobs measured it.
    """
    own = [
        entry
        for entry in entries
        if not entry["rehearsal"]
        and (entry.get("instance"), entry.get("instances")) == (row.name, plan.instances)
    ]
    same = [
        entry["train_seconds"]
        for entry in own
        if entry["status"] == "Completed"
        and entry.get("train_seconds")
        and (entry["tier"], list(entry["plan"]["settings"])) == (plan.tier, list(plan.settings))
    ]
    if same:
        return statistics.median(same), f"median of {len(same)} own jobs on {row.name}", True
    recipe = changed(find_tier(plan.tier), plan.settings)
    speeds = [speed for entry in own if (speed := printed_speed(entry, recipe))]
    speed = statistics.median(speeds) if speeds else assumed_speed(recipe)
    fit_s = recipe.windows * recipe.epochs / speed
    if recipe.hours:
        fit_s = min(fit_s, recipe.hours * 3600)
    of = f"median of {len(speeds)} own jobs on {row.name}" if speeds else ASSUMPTION
    basis = f"{START_S:.0f} s to start and hand over (assumed), at most {fit_s:.0f} s of fit"
    return START_S + fit_s, f"{basis} ({speed:.0f} windows/s: {of})", bool(speeds)


def printed_speed(entry: dict[str, Any], recipe: Recipe) -> float | None:
    """Windows a second that a job printed; None unless its work was that of the recipe."""
    try:
        done = changed(find_tier(entry["tier"]), tuple(entry["plan"]["settings"]))
    except InputError:  # a recipe of an earlier version
        return None
    is_same = all(getattr(done, field) == getattr(recipe, field) for field in WORK)
    return (entry.get("metrics") or {}).get("samples_per_s") if is_same else None


def assumed_speed(recipe: Recipe) -> float:
    """Windows a second of one CPU core, smaller for larger models; low for anything rented."""
    tier = find_tier("ultra-fast")
    size = recipe.layers * recipe.width**2 / (tier.layers * tier.width**2)
    return CPU_WINDOWS_PER_S / max(1.0, size)


def estimate_job(
    plan: JobPlan,
    prices: Prices,
    entries: list[dict[str, Any]],
    max_cost_usd: float | None = None,
) -> dict[str, Any]:
    """What a launch should cost, and what it can cost at most.

    Raises:
        InputError: an instance type is unknown or retired, or the budget is too small.
    """
    rows = [prices.instance(name) for name in plan.types]
    first, dearest = rows[0], max(rows, key=lambda row: hourly(prices, row))
    expected_s, basis, _ = expected_time(plan, first, entries)
    storage_usd = _storage(prices)
    most = plan.instances * hourly(prices, dearest)
    limit_s = min(max(1800, 4 * math.ceil(expected_s)), LONGEST_RUN_S)
    if max_cost_usd is not None:
        limit_s = min(limit_s, budget_limit(max_cost_usd, most, storage_usd))
    expected_s = min(expected_s, limit_s)
    compute_usd = expected_s / 3600 * plan.instances * first.usd_per_hour
    volume_usd = expected_s / 3600 * plan.instances * hourly(prices, first) - compute_usd
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
            f"{as_given('--max-cost', 'max_cost_usd')} {budget_usd:g} leaves no five minutes at"
            f" ${usd_per_hour:.3f} an hour:"
            f" allow ${math.ceil(least * 100) / 100:.2f}, or pick a cheaper type"
            f" ({setting('instance', 'TYPE')})"
        )
    return math.floor(min(seconds, LONGEST_RUN_S))


def offers(plan: JobPlan, prices: Prices, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every instance type by its price; with time and cost of a plan where own jobs tell them."""
    rows = []
    for row in sorted(prices.instances.values(), key=lambda row: row.usd_per_hour):
        seconds, basis, is_measured = expected_time(plan, row, entries)
        cost = round(seconds / 3600 * row.usd_per_hour * plan.instances, 4)
        rows.append(
            {
                "instance": row.name,
                "gpus": row.gpus,
                "gpu": row.gpu,
                "usd_per_hour": row.usd_per_hour,
                "expected_s": round(seconds, 1) if is_measured else None,
                "cost_usd": cost if is_measured else None,
                "basis": basis if is_measured else "not measured",
            }
        )
    return rows


def hourly(prices: Prices, row: Instance) -> float:
    """Dollars an hour of one machine, with an EBS volume where it has no local disk."""
    each = 0.0 if row.local_nvme else prices.storage["training_volume_gp2_usd_per_gb_month"]
    return row.usd_per_hour + VOLUME_GB * each / HOURS_A_MONTH


def _storage(prices: Prices) -> float:
    """S3 for one job's code, checkpoints and artefact, in dollars."""
    each = prices.storage
    kept = KEPT_GB * KEPT_MONTHS * each["s3_standard_usd_per_gb_month"]
    return kept + PUTS / 1000 * each["s3_put_per_1000"] + GETS / 1000 * each["s3_get_per_1000"]


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
