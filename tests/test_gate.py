"""The gate's lines: their names, what they hold to, and when they pass."""

import json
from dataclasses import replace

import pytest

from saafe import metrics
from saafe.errors import InputError
from saafe.exam import gate
from saafe.exam.exam import gate_figures
from saafe.exam.faults import FaultRow, SaidRow
from saafe.exam.fires import Drawn, FireRow, fire_row
from saafe.exam.gate import calibration_line, limits_of, quick_lines, real_lines
from saafe.exam.nuisances import NuisanceRow, QuietRow
from saafe.recipes import TIERS

ORIGINAL = ["accuracy", "detection_rate", "false_alarm_rate_windows", "model_bytes",
            "latency_p99_ms"]  # fmt: skip
OURS = ["fires_in_time_lower95", "early_alarms", "quiet_false_alarms_per_year",
        "nuisance_per_100_cookings", "false_faults_per_month", "faults_said_within_60s",
        "lost_channel_points", "calibration_error"]  # fmt: skip
REAL = ["real_fires_in_time", "real_early", "real_false_alarms_per_year", "real_nuisance_per_100",
        "real_superposed_in_time"]  # fmt: skip
WINDOWS = {"n": 1000, "fires": 200, "bounds": {
    "accuracy": {"value": 0.944, "lower": 0.93, "upper": 0.95},
    "detection_rate": {"value": 0.97, "lower": 0.95, "upper": 0.98},
    "false_alarm_rate": {"value": 0.001, "lower": 0.0, "upper": 0.004},
}}  # fmt: skip


def fires(n: int, in_time: int, early: int = 0) -> FireRow:
    results = Drawn("all", [])
    return replace(fire_row(results, []), n=n, in_time=in_time, early=early)


def lost(channel: str, n: int, points: float, upper: float) -> FaultRow:
    return FaultRow("missing", channel, n, n, n, 0, 0, 0, points, -1.0, upper)


def quiet(upper: float) -> dict:
    return {"quiet": QuietRow(9, 0, 0.1, 0.0, 0.0, upper, 0.02, "")}


def said(knowable: int, within: int) -> dict:
    false = {"per_month": 0.0, "lower": 0.0, "upper": 0.7, "detector_months": 5.3}
    rows = [SaidRow("stuck", "co", 99, knowable, within), SaidRow("slow", "co", 2, 0, 0)]
    return {"false_faults": false, "faults_said_within_60s": rows}


def parts(**changed: object) -> dict:
    """What `exam.simulated_parts` gives, of a detector that does everything right."""
    whole: dict = {
        "fires": [fires(3, 0, early=3), fires(1056, 1055)],
        "life": quiet(0.01),
        "nuisances": [NuisanceRow("frying", True, 300, "assumed", 1000, 0, 0, 0.0, 0.0, 0.4)],
        "fault_watch": said(99, 99),
        "faults": [lost("pm25", 500, 0.0, 0.7)],
        "calibration": {"in_distribution": {"ece": 0.008, "ece_upper": 0.009, "windows": 8192},
                        "out_of_distribution": {"ece": 0.01, "windows": 8192}},
    }  # fmt: skip
    return whole | changed


def full_lines(whole: dict) -> list[dict]:
    return [*gate.full_lines(gate_figures(whole)), calibration_line(whole["calibration"])]


def status(lines: list[dict]) -> dict[str, str]:
    assert json.loads(json.dumps(lines)) == lines
    for line in lines:
        assert set(line) == {"name", "value", "lower", "upper", "limit", "n", "status"}
    return {line["name"]: line["status"] for line in lines}


def test_names_are_the_required_ones() -> None:
    assert list(status(quick_lines(WINDOWS, 3, 2.0, limits_of("ultra-fast")))) == ORIGINAL
    assert list(status(full_lines(parts()))) == OURS
    real = {"house_fires": "absent", "homes": "absent", "superposed_fires": "absent"}
    assert list(status(real_lines(real))) == REAL


@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_has_limits(tier: str) -> None:
    assert limits_of(tier).model_bytes > 0


def test_tiers_are_held_to_what_they_are_variants_of() -> None:
    assert limits_of("tiny") == limits_of("ultra-fast") != limits_of("standard")
    assert limits_of("local") == limits_of("standard")


def test_a_tier_without_limits_is_refused() -> None:
    with pytest.raises(InputError, match="no limits"):
        limits_of("another")


def test_a_good_detector_passes() -> None:
    assert set(status(full_lines(parts())).values()) == {metrics.PASS}


@pytest.mark.parametrize(
    ("name", "changed", "expected"),
    [
        ("fires_in_time_lower95", {"fires": [fires(1056, 1040)]}, "fail"),
        ("fires_in_time_lower95", {"fires": [fires(1056, 1046)]}, "not_shown"),
        ("fires_in_time_lower95", {"fires": [fires(299, 299)]}, "pass"),
        ("fires_in_time_lower95", {"fires": [fires(298, 298)]}, "not_shown"),
        ("early_alarms", {"fires": [fires(9, 8, early=1)]}, "fail"),
        ("quiet_false_alarms_per_year", {"life": quiet(40.0)}, "not_shown"),
        ("faults_said_within_60s", {"fault_watch": said(99, 94)}, "fail"),
        ("faults_said_within_60s", {"fault_watch": said(99, 95)}, "not_shown"),
        ("faults_said_within_60s", {"fault_watch": said(30, 30)}, "not_shown"),
        ("faults_said_within_60s", {"fault_watch": said(0, 0)}, "not_shown"),
        ("lost_channel_points", {"faults": []}, "not_shown"),
        ("lost_channel_points", {"faults": [lost("sound", 9, 50.0, 90.0)]}, "not_shown"),
        ("lost_channel_points",
         {"faults": [lost("pm25", 500, 0.0, 0.7), lost("co", 500, 1.2, 3.0)]}, "fail"),
        ("calibration_error",
         {"calibration": {"in_distribution": {"ece": 0.009, "windows": 9},
                          "out_of_distribution": {"ece": 0.031, "windows": 9}}}, "fail"),
        ("calibration_error",
         {"calibration": {"in_distribution": {"ece": 0.009, "ece_upper": 0.012, "windows": 9},
                          "out_of_distribution": {"ece": 0.02, "windows": 9}}}, "not_shown"),
    ],
)  # fmt: skip
def test_what_breaks_a_line(name: str, changed: dict, expected: str) -> None:
    found = status(full_lines(parts(**changed)))
    assert found[name] == expected
    # nothing else moves, but for the fires, of which two lines speak
    others = {k: v for k, v in found.items() if k != name and "fires" not in changed}
    assert set(others.values()) <= {metrics.PASS}


def real(**changed: object) -> dict:
    def home(value: float) -> dict:
        return {"value": value, "lower": 0.0, "upper": 15.0}

    homes = {"days": 91.4, "sessions": 136, "false_alarms_per_year": home(0.0),
             "nuisance_per_100_sessions": home(0.7)}  # fmt: skip
    whole: dict = {
        "house_fires": {"n": 12, "in_time": 12, "early": 0},
        "homes": homes,
        "superposed_fires": {"n": 96, "in_time": 92, "early": 0},
    }
    return whole | changed


def test_recordings_are_held_to_as_counts() -> None:
    lines = real_lines(real())
    assert set(status(lines).values()) == {metrics.PASS}
    assert lines[0]["lower"] < 0.75  # the bound is told all the same
    assert [line["n"] for line in lines] == [12, 108, 91, 136, 96]


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("real_fires_in_time", {"house_fires": {"n": 12, "in_time": 11, "early": 0}}),
        ("real_early", {"superposed_fires": {"n": 96, "in_time": 95, "early": 1}}),
        ("real_superposed_in_time", {"superposed_fires": {"n": 96, "in_time": 91, "early": 0}}),
    ],
)
def test_what_breaks_a_line_of_recordings(name: str, changed: dict) -> None:
    found = status(real_lines(real(**changed)))
    assert found.pop(name) == metrics.FAIL
    assert set(found.values()) == {metrics.PASS}


def test_absent_recordings_do_not_pass() -> None:
    found = status(real_lines(real(homes="not scored", superposed_fires="not scored")))
    assert found == dict.fromkeys(REAL, "not_shown") | {"real_fires_in_time": "pass"}


def test_the_limits_are_the_issues() -> None:
    assert gate.CALIBRATION_LIMITS == {"in_distribution": 0.01, "out_of_distribution": 0.03}
    limits = {line["name"]: line["limit"] for line in full_lines(parts()) + real_lines(real())}
    assert limits == {
        "fires_in_time_lower95": 0.99, "early_alarms": 0, "quiet_false_alarms_per_year": 0.02,
        "nuisance_per_100_cookings": 1.0, "false_faults_per_month": 1.0,
        "faults_said_within_60s": 0.95,
        "lost_channel_points": 1.0, "calibration_error": 0.01, "real_fires_in_time": 1.0,
        "real_early": 0.0, "real_false_alarms_per_year": 4.0, "real_nuisance_per_100": 1.0,
        "real_superposed_in_time": 0.95,
    }  # fmt: skip
