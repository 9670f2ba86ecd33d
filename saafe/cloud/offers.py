"""Which instance is the cheapest and which the fastest for a training. Layer 6."""

from dataclasses import replace
from typing import Any

from saafe.cloud.estimate import expected_time
from saafe.cloud.prices import Prices
from saafe.cloud.request import Plan


def offers(plan: Plan, prices: Prices, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every instance type with its expected time and cost for a plan, the cheapest first."""
    rows = []
    for row in prices.instances.values():
        seconds, basis = expected_time(replace(plan, instance_types=(row.name,)), row, entries)
        rows.append(
            {
                "instance": row.name,
                "gpus": row.gpus,
                "gpu": row.gpu,
                "usd_per_hour": row.usd_per_hour,
                "expected_s": round(seconds, 1),
                "cost_usd": round(seconds / 3600 * row.usd_per_hour * plan.instances, 4),
                "basis": basis,
            }
        )
    return sorted(rows, key=lambda row: row["cost_usd"])
