"""Calibration error of risks whose truth is known, and what an examination holds."""

import json

import numpy as np
import pytest

from saafe.detector.alarms import AlarmSettings
from saafe.exam import calibration
from saafe.exam.judging import Judged


def drawn(n: int, stretch: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions that are true where stretch is 1, too sure of themselves above. Groups of 8."""
    random = np.random.default_rng(0)
    truth = random.uniform(0.0, 1.0, n)
    odds = np.log(truth / (1.0 - truth))
    return 1 / (1 + np.exp(-stretch * odds)), random.random(n) < truth, np.arange(n) // 8


def test_honest_risk_passes_and_a_stretched_one_fails() -> None:
    honest = calibration.examine_rooms(*drawn(40_000, 1.0), goal=0.02)
    assert honest["ece"] < 0.01
    assert honest["status"] == "pass"
    assert honest["groups"] == 5000
    stretched = calibration.examine_rooms(*drawn(40_000, 3.0), goal=0.02)
    assert stretched["ece"] > 0.1
    assert stretched["status"] == "fail"
    assert stretched["ece_lower"] <= stretched["ece"] <= stretched["ece_upper"] + 0.01


def test_few_groups_do_not_show_a_small_error() -> None:
    probability, is_fire, _ = drawn(4000, 1.0)
    few = calibration.examine_rooms(probability, is_fire, np.arange(4000) // 500, goal=0.02)
    assert few["status"] != "pass"


def test_examination_is_plain_and_says_its_mix() -> None:
    one = Judged("half", lambda windows: np.full(len(windows), 20.0), AlarmSettings())
    found = json.loads(json.dumps(calibration.examine_calibration(one, 0, scenarios=96)))
    assert found["mix"] == {"normal": 0.5, "nuisance": 0.3, "fire": 0.2}
    for rooms in ("in_distribution", "out_of_distribution"):
        part = found[rooms]
        assert part["windows"] == 96 * calibration.WINDOWS_EACH
        # the mix has 20 % fires, so that 20 % everywhere is calibrated, and useless
        assert part["ece"] == pytest.approx(0.0, abs=0.01)
        assert part["brier"] == pytest.approx(0.16, abs=0.01)
        assert sum(row["n"] for row in part["table"]) == part["windows"]
