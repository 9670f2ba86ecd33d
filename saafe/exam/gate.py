"""The gate: what a run must reach to be released, a line a figure. All limits stand here.

A line is judged by its value, its bounds beside it; where `by_bound` says so even the bound must
keep the limit, and a line whose value alone does is not shown. Recordings are never gated.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saafe import metrics
from saafe.errors import InputError
from saafe.formats import interval, number, percent, percent_interval
from saafe.metrics import Bounds

LEVELS = ("quick", "full", "long")


@dataclass(frozen=True)
class TierLimits:
    """What a tier promises, from the document that saafe started from."""

    accuracy: float  # of windows in three classes, at least
    detection_rate: float  # of fires, at least
    false_alarm_rate: float  # of other windows, at most
    model_bytes: int  # at most
    latency_ms: float  # 99th percentile of one window on one thread, at most


@dataclass(frozen=True)
class LineLimit:
    """What a figure must keep."""

    limit: float
    required: str  # the level from which on the gate needs it
    at_most: bool = True  # else at least
    bound: float | None = None  # what the 95 % bound on the limit's side must keep, if anything


ULTRA_FAST = TierLimits(0.94, 0.94, 0.002, 15_000_000, 30.0)
STANDARD = TierLimits(0.95, 0.95, 0.001, 29_000_000, 50.0)
TIER_LIMITS = {
    "ultra-fast": ULTRA_FAST,
    "tiny": ULTRA_FAST,  # a smaller ultra-fast
    "standard": STANDARD,
    "local": STANDARD,
}
# false alarms a detector-year: rooms without a nuisance source, kitchens, other rooms
LIFE_LIMITS = {"quiet": 0.02, "kitchen": 1.0, "other": 0.1}
CALIBRATION_LIMITS = {"in_distribution": 0.01, "out_of_distribution": 0.03}
RAMP_LIMIT = 0.001  # share of ramps that may lower the risk
GATE_LIMITS = {
    "in_time": LineLimit(0.99, "full", at_most=False, bound=0.98),
    "not_later_than_best_reference_alarm": LineLimit(0.95, "full", at_most=False),
    "nuisance_ratio": LineLimit(0.33, "full"),
    "nuisance_per_100_cookings": LineLimit(1.0, "full"),
    "early_alarms": LineLimit(0.0, "full"),
    "egress_s": LineLimit(120.0, "full", at_most=False),
    "egress_exit_path_s": LineLimit(120.0, "full", at_most=False),
    "egress_fast_kinds_s": LineLimit(0.0, "full", at_most=False),
    "faults_said": LineLimit(0.99, "full", at_most=False),
    "false_faults_per_month": LineLimit(1.0, "full"),
    "lost_channel_points": LineLimit(2.0, "full"),
    "calibration_error_in": LineLimit(CALIBRATION_LIMITS["in_distribution"], "full"),
    "calibration_error_out": LineLimit(CALIBRATION_LIMITS["out_of_distribution"], "full"),
    "risk_falls": LineLimit(RAMP_LIMIT, "full"),
} | {
    f"{room}_false_alarms_per_year": LineLimit(limit, "long", bound=limit)
    for room, limit in LIFE_LIMITS.items()
}  # fmt: skip
SHARE_LINES = (
    "accuracy", "detection_rate", "false_alarm_rate_windows", "in_time",
    "not_later_than_best_reference_alarm", "faults_said", "calibration_error_in",
    "calibration_error_out", "risk_falls",
)  # fmt: skip


def limits_of(tier: str) -> TierLimits:
    """The limits of a tier.

    Raises:
        InputError: the tier has none.
    """
    if tier not in TIER_LIMITS:
        raise InputError(
            f"tier {tier!r} has no limits in the gate; it knows {', '.join(TIER_LIMITS)}"
        )
    return TIER_LIMITS[tier]


def quick_limits(tier: TierLimits) -> dict[str, LineLimit]:
    """The lines of the quick level, with a tier's limits."""
    return {
        "accuracy": LineLimit(tier.accuracy, "quick", at_most=False),
        "detection_rate": LineLimit(tier.detection_rate, "quick", at_most=False),
        "false_alarm_rate_windows": LineLimit(tier.false_alarm_rate, "quick"),
        "model_bytes": LineLimit(tier.model_bytes, "quick"),
        "latency_p99_ms": LineLimit(tier.latency_ms, "quick"),
    }


def gate_lines(
    figures: Mapping[str, tuple[Bounds, int]], limits: Mapping[str, LineLimit]
) -> list[dict[str, Any]]:
    """The lines of the figures that have a limit, in the limits' order; each figure with its n."""
    return [judged_line(name, *figures[name], limit) for name, limit in limits.items()]


def judged_line(name: str, bounds: Bounds, n: int, limit: LineLimit) -> dict[str, Any]:
    """One line, ready for JSON; what is not a finite number becomes None."""
    line = metrics.gate_line(name, bounds, limit.limit, n=n, at_most=limit.at_most)
    status = metrics.line_status(bounds.value, bounds.value, limit.limit, at_most=limit.at_most)
    if limit.bound is not None and status == metrics.PASS:
        bound = bounds.upper if limit.at_most else bounds.lower
        kept = metrics.line_status(bound, bound, limit.bound, at_most=limit.at_most)
        status = metrics.PASS if kept == metrics.PASS else metrics.NOT_SHOWN
    own = {} if limit.bound in (None, limit.limit) else {"bound_limit": limit.bound}
    return line | {"status": status, "required": limit.required} | own


def gate_of(level: str, device: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The gate: passed only where every line that the level requires passes."""
    needed = LEVELS[: LEVELS.index(level) + 1]
    passed = all(line["status"] == metrics.PASS for line in lines if line["required"] in needed)
    return {"level": level, "device": device, "passed": passed, "lines": lines}


def line_texts(line: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Value, bounds, limit, n and status of a line as people read them; shares in percent."""
    low, high = line["lower"], line["upper"]
    is_share = line["name"] in SHARE_LINES
    bounds = (percent_interval if is_share else interval)(low, high)
    value, limit = (
        percent(line[key]) if is_share else number(line[key]) for key in ("value", "limit")
    )
    status = line["status"].replace("_", " ")
    return value, "" if low == high else bounds, limit, number(line["n"]), status


def exact(value: float, n: int = 1) -> tuple[Bounds, int]:
    """A figure that is what it is: a size, a time, a count."""
    return Bounds(value, value, value), n


def as_bounds(row: Mapping[str, Any], key: str = "value", *, prefix: str = "") -> Bounds:
    """A row's figure with its limits, of such a prefix; what is not known is NaN or infinite."""
    value, lower, upper = row[key], row[f"{prefix}lower"], row[f"{prefix}upper"]
    return Bounds(
        math.nan if value is None else value,
        -math.inf if lower is None else lower,
        math.inf if upper is None else upper,
    )
