"""Single moments of three classes: which count, a third each, and who is in alarm there."""

from collections import Counter

import numpy as np
import pytest
import torch

from saafe import windows
from saafe.detector.alarms import AlarmSettings
from saafe.detector.recorded import detect
from saafe.exam.classes import (
    Scenario,
    draw_normal,
    examine_classes,
    is_in_alarm,
    scenario_of,
    third_each,
    window_at,
)
from saafe.exam.judging import Judged, likeliest_class
from saafe.exam.session import Session
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNELS, FIRE, NORMAL, NUISANCE, TEMPERATURE
from saafe.simulator import Mix, to_recordings

SETTINGS = AlarmSettings(fast=3.0, slow=2.0, steady=1.5, warn=1.0, leave=0.0)
TIMES = np.arange(0.0, 9000.0, 10.0)


def hot(windows: np.ndarray) -> np.ndarray:
    return np.where(windows[:, -1, 0, TEMPERATURE] >= 26.0, 99.9, 0.1).astype(np.float64)


def thermometer(windows: np.ndarray) -> np.ndarray:
    """Fire from 26 degC on, nuisance from 23, else normal."""
    newest = windows[:, -1, 0, TEMPERATURE]
    return np.where(newest >= 26.0, FIRE, np.where(newest >= 23.0, NUISANCE, NORMAL))


def session(score=hot) -> Session:
    return Session(Judged("a thermometer", score, SETTINGS, thermometer), 0, device="saafe-6")


def scenario(kind: str, label: int, celsius: float, moments: slice = slice(400, 500)) -> Scenario:
    readings = np.full((len(TIMES), 1, len(CHANNELS)), np.nan, np.float32)
    readings[:, 0, TEMPERATURE] = 20.0
    readings[400:600, 0, TEMPERATURE] = celsius
    return Scenario(kind, label, Recording(kind, TIMES, ("A",), readings), TIMES[moments],
                    TIMES[400:600])  # fmt: skip


def test_a_perfect_and_a_poor_set_are_counted_as_they_are() -> None:
    made = [scenario("wood", FIRE, 30.0)] * 4 + [scenario("life", NORMAL, 20.0)] * 4
    right = examine_classes(session(), made + [scenario("frying", NUISANCE, 24.0)] * 4)
    assert right.accuracy[0].value == 1.0
    assert right.accuracy[1] == 12
    assert right.false_alarm_rate[0].value == 0.0
    assert right.false_alarm_rate[1] == 8
    assert right.detection_rate_windows[0].value == 1.0
    assert right.left_out_share == 0.5
    wrong = examine_classes(session(), made + [scenario("frying", NUISANCE, 30.0)] * 4)
    assert wrong.accuracy[0].value == pytest.approx(8 / 12)
    assert wrong.false_alarm_rate[0].value == 0.5
    assert wrong.alarms_by_kind == {"frying": 4}
    assert np.sum(wrong.confusion) == 12


def test_what_is_left_out_is_judged_beside() -> None:
    hidden = [scenario("frying", NUISANCE, 20.5, slice(0, 0))] * 2  # it acts and never shows
    made = [scenario("wood", FIRE, 30.0)] * 4 + [scenario("life", NORMAL, 20.0)] * 4
    found = examine_classes(session(), made + hidden + [scenario("oven", NUISANCE, 24.0)] * 2)
    assert found.accuracy == (pytest.approx((1.0, 0.541, 1.0), abs=1e-3), 6)
    assert found.accuracy_nothing_left_out[1] == 12
    assert found.accuracy_nothing_left_out[0].value == pytest.approx(10 / 12)


def test_classes_are_a_third_each_and_kinds_as_equal_as_they_come() -> None:
    made = [scenario("wood", FIRE, 30.0)] * 9 + [scenario("foam", FIRE, 30.0)] * 2
    made += [scenario("frying", NUISANCE, 24.0)] * 6 + [scenario("life", NORMAL, 20.0)] * 20
    chosen = third_each(made, np.random.default_rng(0))
    assert Counter(one.label for one in chosen) == {FIRE: 6, NUISANCE: 6, NORMAL: 6}
    assert Counter(one.kind for one in chosen if one.label == FIRE) == {"wood": 4, "foam": 2}
    assert third_each(made[:11], np.random.default_rng(0)) == []


def test_a_window_is_what_the_detector_decides_on() -> None:
    drawn = session().simulate((0, 0), mix=Mix(1.0, fault_share=0.0), count=3)  # type: ignore[arg-type]
    for recording in to_recordings(drawn):
        for time_s in (0.0, 50.0, 7000.0, 10_790.0):
            seen: list[np.ndarray] = []

            def keep(cut: np.ndarray, seen: list = seen) -> np.ndarray:
                seen.append(cut)
                return np.zeros(len(cut))

            detect(Judged("x", keep, SETTINGS), recording)
            ends = np.ceil(recording.times_s / windows.BIN_S)
            at = int(np.flatnonzero(ends == time_s / windows.BIN_S)[0])
            np.testing.assert_array_equal(window_at(recording, time_s)[0], np.concatenate(seen)[at])


def test_in_alarm_only_while_it_stands() -> None:
    one = scenario("frying", NUISANCE, 30.0)
    here = session()
    assert not is_in_alarm(here, one, float(TIMES[400]))  # a reading alone is no alarm
    assert is_in_alarm(here, one, float(TIMES[420]))
    # asked about a moment, the detector knows nothing of what comes after
    calm = scenario("frying", NUISANCE, 20.0)
    assert not is_in_alarm(here, calm, float(TIMES[599]))


def test_normal_moments_have_nothing_within_their_window() -> None:
    drawn = draw_normal(session(), 12, part=0)
    assert len(drawn) >= 12
    whole = [one for one in drawn if len(one.moments_s) == len(TIMES[:1]) * 1080]
    some = [one for one in drawn if len(one.moments_s) < len(one.all_moments_s)]
    assert whole, "half of the streams have no nuisance"
    assert some, "in the others it takes a window's length until a moment counts"
    for one in some:
        assert set(one.moments_s) <= set(one.all_moments_s)


def test_a_scenario_needs_a_reading_while_its_event_is_on() -> None:
    readings = np.full((4, 1, len(CHANNELS)), np.nan, np.float32)
    readings[:2, 0, TEMPERATURE] = 20.0
    silent = Recording("r", TIMES[:4], ("A",), readings)
    acts = np.array([False, False, True, True])
    assert not list(scenario_of("frying", NUISANCE, silent, acts, acts))
    (made,) = scenario_of("frying", NUISANCE, silent, acts, ~acts)
    assert made.moments_s.size == 0
    assert made.all_moments_s.tolist() == [0.0, 10.0]


def test_screening_changes_nothing() -> None:
    """Where nothing can raise an alarm the detector is not asked: its alarms are the same."""

    def moody(windows: np.ndarray) -> np.ndarray:
        """Risk that follows the newest readings, at times over a threshold."""
        warm = np.nan_to_num(windows[:, -1, 0, TEMPERATURE], nan=20.0).astype(np.float64)
        return 100.0 / (1.0 + np.exp(30.0 - warm))

    here, asked = session(moody), 0
    for mix in (Mix(0.0, fault_share=0.0), Mix(1.0, fault_share=0.5)):
        drawn = here.simulate((0, 1), mix=mix, count=24)  # type: ignore[arg-type]
        for recording in to_recordings(drawn):
            short = here.detect(recording)
            whole = detect(here, recording)
            alarms, expected = (
                [e for e in found.events if e["event"] == "alarm"] for found in (short, whole)
            )
            assert alarms == expected
            np.testing.assert_array_equal(short.risk, whole.risk)
            asked += bool(short.events)
            alone = here.rule_alarm_s(recording, since_s=-np.inf)
            blind = detect(Judged("x", lambda w: np.zeros(len(w)), SETTINGS), recording)
            first = next((e["time_s"] for e in blind.events if e["event"] == "alarm"), None)
            assert alone == first
    assert 0 < asked < 48


def test_the_likeliest_class_is_that_of_a_third_each() -> None:
    # in training 35, 35 and 30 of 100 are normal, nuisance and fire
    shares = torch.tensor([[0.35, 0.35, 0.30], [0.34, 0.34, 0.32], [0.345, 0.355, 0.30]])
    even = torch.tensor([[1e-6, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    assert likeliest_class(shares.log() + even).tolist() == [NORMAL, FIRE, NUISANCE]
