"""The gate's lines: their names, what they hold to, and when they pass."""

import json
import math

import pytest

from saafe import metrics
from saafe.errors import InputError
from saafe.exam import gate
from saafe.exam.gate import GATE_LIMITS, gate_lines, gate_of, limits_of, quick_limits
from saafe.metrics import Bounds
from saafe.recipes import TIERS

QUICK = ["accuracy", "detection_rate", "false_alarm_rate_windows", "model_bytes",
         "latency_p99_ms"]  # fmt: skip
FULL = {
    "in_time": 0.99, "not_later_than_best_reference_alarm": 0.95, "nuisance_ratio": 0.33,
    "nuisance_per_100_cookings": 1.0, "early_alarms": 0.0, "egress_s": 120.0,
    "egress_exit_path_s": 120.0, "egress_fast_kinds_s": 0.0, "faults_said": 0.99,
    "false_faults_per_month": 1.0, "lost_channel_points": 2.0, "calibration_error_in": 0.01,
    "calibration_error_out": 0.03, "risk_falls": 0.001,
}  # fmt: skip
LONG = {"quiet_false_alarms_per_year": 0.02, "kitchen_false_alarms_per_year": 1.0,
        "other_false_alarms_per_year": 0.1}  # fmt: skip
BETTER = Bounds(math.nan, math.nan, math.nan)


def good(name: str, limit: gate.LineLimit) -> tuple[Bounds, int]:
    """A figure that keeps its limit, bounds and all."""
    value = limit.limit if name.startswith("early") else limit.limit * (
        0.5 if limit.at_most else 1.0) + (0.0 if limit.at_most else 0.001)  # fmt: skip
    return Bounds(value, value, value), 1000


def lines_of(**changed: tuple[Bounds, int]) -> dict[str, dict]:
    limits = quick_limits(limits_of("ultra-fast")) | GATE_LIMITS
    figures = {name: good(name, limit) for name, limit in limits.items()} | changed
    lines = gate_lines(figures, limits)
    assert json.loads(json.dumps(lines)) == lines
    return {line["name"]: line for line in lines}


def test_names_limits_and_levels_are_the_contracts() -> None:
    lines = lines_of()
    assert list(lines) == [*QUICK, *FULL, *LONG]
    for level, wanted in (("full", FULL), ("long", LONG)):
        assert {
            n: line["limit"] for n, line in lines.items() if line["required"] == level
        } == wanted
    for line in lines.values():
        assert {"name", "value", "lower", "upper", "limit", "n", "status"} <= set(line)
    assert lines["in_time"]["bound_limit"] == 0.98
    assert {name: GATE_LIMITS[name].bound for name in LONG} == LONG


@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_has_limits(tier: str) -> None:
    assert limits_of(tier).model_bytes > 0


def test_tiers_are_held_to_what_they_are_variants_of() -> None:
    assert limits_of("tiny") == limits_of("ultra-fast") != limits_of("standard")
    assert limits_of("local") == limits_of("standard")
    fast, standard = limits_of("ultra-fast"), limits_of("standard")
    assert (fast.accuracy, fast.detection_rate, fast.false_alarm_rate) == (0.94, 0.94, 0.002)
    assert (standard.accuracy, standard.detection_rate, standard.false_alarm_rate) == (
        0.95, 0.95, 0.001)  # fmt: skip
    assert (fast.model_bytes, fast.latency_ms) == (15_000_000, 30.0)
    assert (standard.model_bytes, standard.latency_ms) == (29_000_000, 50.0)


def test_a_tier_without_limits_is_refused() -> None:
    with pytest.raises(InputError, match="no limits"):
        limits_of("another")


def test_a_good_detector_passes_every_level() -> None:
    lines = list(lines_of().values())
    assert {line["status"] for line in lines} == {metrics.PASS}
    assert all(gate_of(level, "saafe-6", lines)["passed"] for level in gate.LEVELS)


@pytest.mark.parametrize(
    ("name", "bounds", "expected"),
    [
        ("in_time", Bounds(0.991, 0.981, 1.0), "pass"),
        ("in_time", Bounds(0.991, 0.979, 1.0), "not_shown"),
        ("in_time", Bounds(0.989, 0.985, 1.0), "fail"),
        ("in_time", BETTER, "not_shown"),
        ("accuracy", Bounds(0.941, 0.92, 0.96), "pass"),  # by its value, bounds beside
        ("accuracy", Bounds(0.939, 0.92, 0.96), "fail"),
        ("false_alarm_rate_windows", Bounds(0.0021, 0.0, 0.01), "fail"),
        ("early_alarms", Bounds(1.0, 1.0, 1.0), "fail"),
        ("nuisance_ratio", Bounds(0.34, 0.1, 0.5), "fail"),
        ("nuisance_ratio", BETTER, "not_shown"),
        ("egress_s", Bounds(-math.inf, -math.inf, 90.0), "fail"),
        ("egress_s", Bounds(119.0, 60.0, 200.0), "fail"),
        ("quiet_false_alarms_per_year", Bounds(0.0, 0.0, 40.0), "not_shown"),
        ("quiet_false_alarms_per_year", Bounds(0.03, 0.0, 40.0), "fail"),
        ("quiet_false_alarms_per_year", Bounds(0.0, 0.0, 0.019), "pass"),
    ],
)  # fmt: skip
def test_what_breaks_a_line(name: str, bounds: Bounds, expected: str) -> None:
    lines = lines_of(**{name: (bounds, 100)})
    assert lines.pop(name)["status"] == expected
    assert {line["status"] for line in lines.values()} == {metrics.PASS}


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("accuracy", ()),
        ("nuisance_ratio", ("quick",)),
        ("kitchen_false_alarms_per_year", ("quick", "full")),
    ],
)
def test_a_level_needs_its_own_lines_and_those_of_the_levels_below(name: str, passes) -> None:
    lines = list(lines_of(**{name: (BETTER, 0)}).values())
    found = tuple(level for level in gate.LEVELS if gate_of(level, "saafe-6", lines)["passed"])
    assert found == passes
