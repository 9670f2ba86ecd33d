"""The gate: what a run must reach to be released, a line a figure.

A line passes where even its confidence limit keeps the limit, and is not shown where only the
value does. Figures on the few recordings are counts and are held to as counts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from saafe import metrics
from saafe.errors import InputError
from saafe.metrics import Bounds


@dataclass(frozen=True)
class TierLimits:
    """What a tier promises, from the document that saafe started from."""

    accuracy: float  # of windows in three classes, at least
    detection_rate: float  # of fire windows, at least
    false_alarm_rate: float  # of other windows, at most
    model_bytes: int  # at most
    latency_ms: float  # 99th percentile of one window on one thread, at most


class GateLimit(NamedTuple):
    """What a figure must keep: at most the limit, or at least."""

    limit: float
    at_most: bool = True


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
NUISANCE_LIMIT = 1.0  # alarms per 100 cooking sessions
CALIBRATION_LIMITS = {"in_distribution": 0.01, "out_of_distribution": 0.03}
RAMP_LIMIT = 0.001  # share of ramps that may lower the risk; shown, not gated
FULL_LIMITS = {
    "fires_in_time_lower95": GateLimit(0.99, at_most=False),
    "early_alarms": GateLimit(0),
    "quiet_false_alarms_per_year": GateLimit(LIFE_LIMITS["quiet"]),
    "nuisance_per_100_cookings": GateLimit(NUISANCE_LIMIT),
    "false_faults_per_month": GateLimit(1.0),
    # Chosen: of injected faults that can be known, all but one in twenty
    "faults_said_within_60s": GateLimit(0.95, at_most=False),
    "lost_channel_points": GateLimit(1.0),
}
REAL_FALSE_LIMIT = 4.0  # a year: one in the 91 recorded home-days
REAL_SUPERPOSED_LIMIT = 0.95


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


def quick_lines(windows: dict, size: int, latency: float, limits: TierLimits) -> list[dict]:
    """The gate's five lines of the quick level, from `windows.judge_windows`."""
    n, fires = windows["n"], windows["fires"]
    accuracy, found, alarmed = (
        Bounds(**windows["bounds"][name])
        for name in ("accuracy", "detection_rate", "false_alarm_rate")
    )
    return [
        metrics.gate_line("accuracy", accuracy, limits.accuracy, n=n, at_most=False),
        metrics.gate_line("detection_rate", found, limits.detection_rate, n=fires, at_most=False),
        metrics.gate_line(
            "false_alarm_rate_windows", alarmed, limits.false_alarm_rate, n=n - fires
        ),
        exact_line("model_bytes", size, limits.model_bytes),
        exact_line("latency_p99_ms", latency, limits.latency_ms),
    ]


def exact_line(name: str, value: float, limit: float, *, n: int = 1) -> dict:
    """A line of a figure that is what it is: a size, a time, a count that must not be."""
    return metrics.gate_line(name, Bounds(value, value, value), limit, n=n)


def full_lines(figures: Mapping[str, tuple[Bounds, int]]) -> list[dict]:
    """The lines that only the full level has, from the figures of `FULL_LIMITS` and their n."""
    return [
        metrics.gate_line(name, figures[name][0], limit, n=figures[name][1], at_most=at_most)
        for name, (limit, at_most) in FULL_LIMITS.items()
    ]


def as_bounds(row: Mapping[str, Any], key: str) -> Bounds:
    """A row's figure with its limits; what is not known is NaN or infinite."""
    value, lower, upper = row[key], row["lower"], row["upper"]
    return Bounds(
        math.nan if value is None else value,
        -math.inf if lower is None else lower,
        math.inf if upper is None else upper,
    )


def calibration_line(calibration: Mapping[str, Any]) -> dict:
    """Expected calibration error, in or out of distribution: whichever is nearer its limit."""
    name, limit = max(
        CALIBRATION_LIMITS.items(), key=lambda item: calibration[item[0]]["ece"] / item[1]
    )
    part = calibration[name]
    error = part["ece"]
    bounds = Bounds(error, part.get("ece_lower", error), part.get("ece_upper", error))
    return metrics.gate_line("calibration_error", bounds, limit, n=part["windows"])


def real_lines(real: Mapping[str, Any]) -> list[dict]:
    """The lines of recorded fires, homes and superposed fires, from `recordings.score_real`."""
    fires, homes, superposed = (real[name] for name in ("house_fires", "homes", "superposed_fires"))
    return [
        share_line("real_fires_in_time", fires, 1.0),
        early_line("real_early", [fires, superposed]),
        home_line("real_false_alarms_per_year", homes, "false_alarms_per_year", REAL_FALSE_LIMIT),
        home_line("real_nuisance_per_100", homes, "nuisance_per_100_sessions", NUISANCE_LIMIT),
        share_line("real_superposed_in_time", superposed, REAL_SUPERPOSED_LIMIT),
    ]


def share_line(name: str, part: Mapping[str, Any] | str, limit: float) -> dict:
    """Recorded fires found in time, held to as a count."""
    if isinstance(part, str):
        return absent(name, limit)
    bounds = metrics.proportion_bounds(part["in_time"], part["n"])
    line = metrics.gate_line(name, bounds, limit, n=part["n"], at_most=False)
    return line | {"status": metrics.line_status(bounds.value, bounds.value, limit, at_most=False)}


def early_line(name: str, parts: Sequence[Mapping[str, Any] | str]) -> dict:
    """Alarms before a fire showed, of which there must be none."""
    scored = [part for part in parts if not isinstance(part, str)]
    if len(scored) < len(parts):
        return absent(name, 0.0)
    return exact_line(
        name, sum(part["early"] for part in scored), 0.0, n=sum(p["n"] for p in scored)
    )


def home_line(name: str, homes: Mapping[str, Any] | str, key: str, limit: float) -> dict:
    """Alarms in recorded homes, held to as a count."""
    if isinstance(homes, str):
        return absent(name, limit)
    row = homes[key]
    bounds = as_bounds(row, "value")
    n = homes["sessions"] if key.endswith("sessions") else round(homes["days"])
    line = metrics.gate_line(name, bounds, limit, n=n)
    return line | {"status": metrics.line_status(bounds.value, bounds.value, limit)}


def absent(name: str, limit: float) -> dict:
    """A line of recordings that were not there."""
    return metrics.gate_line(name, Bounds(math.nan, math.nan, math.nan), limit, n=0)
