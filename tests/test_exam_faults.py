"""Faults of sensors: what they cost, which are said, and what a healthy sensor is accused of."""

import math
from dataclasses import replace

import numpy as np
import pytest

from saafe.detector import AlarmSettings
from saafe.exam import faults, injection
from saafe.exam.fires import FireResult, draw_fires, fire_kinds, try_fire
from saafe.exam.judging import Judged
from saafe.exam.session import Session
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNEL_NAMES, CHANNELS, CO, CO2, HUMIDITY, PM25, SOUND, TEMPERATURE

UNHEARD = (PM25, CO2, SOUND, HUMIDITY)  # neither the model below nor a fixed rule heeds them


def hot(windows: np.ndarray) -> np.ndarray:
    """Risk by the newest temperature, which is enough to alarm at some fires."""
    return np.clip(np.nan_to_num(windows[:, -1, 0, TEMPERATURE]) * 2.0, 1.0, 99.9)


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(Judged("hot", hot, AlarmSettings()), 0, device="saafe-6")


@pytest.fixture(scope="module")
def results(session: Session) -> list[FireResult]:
    drawn = draw_fires(session, "curtain", 3, part=0, mix=dict(fire_kinds())["curtain"], batch=8)
    found = [try_fire(session, trial)[0] for trial in drawn.trials]
    assert any(result.is_in_time for result in found)
    return found


def test_a_fault_costs_nothing_where_nobody_listens(
    session: Session, results: list[FireResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in {"LOST": 2, "OTHER": 1, "ROW_FIRES": 2}.items():
        monkeypatch.setattr(faults, name, count)
    rows = faults.examine_points(session, results)
    named = {(row.fault, row.channel): row for row in rows}
    kinds = list(injection.INJECTED_FAULTS)
    assert list(named)[:-3] == [(fault, name) for fault in kinds for name in CHANNEL_NAMES]
    for row in rows:
        assert row.in_time_healthy - row.lost + row.gained == row.in_time_faulty
        if row.points_lost is not None:
            assert row.lower <= row.points_lost <= row.upper
    for channel in UNHEARD:
        for fault in kinds:
            row = named[fault, CHANNEL_NAMES[channel]]
            assert (row.lost, row.gained) == (0, 0), row
    lost = named["missing", "temperature"]
    assert lost.in_time_faulty == 0, "who listens to nothing else finds nothing"
    assert faults.worst_lost_channel(rows)[0].value == lost.points_lost
    assert (named["rows twice", "all"].lost, named["rows twice", "all"].gained) == (0, 0)


def test_without_fires_of_a_lost_channel_there_is_no_figure() -> None:
    bounds, n = faults.worst_lost_channel([])
    assert math.isnan(bounds.value)
    assert (bounds.lower, bounds.upper, n) == (-100.0, 100.0, 0)
    row = faults.fault_row("missing", "co", [], [])
    assert row.points_lost is None
    assert faults.worst_lost_channel([row])[1] == 0


@pytest.fixture(scope="module")
def healthy() -> Recording:
    """A day and a half of one sensor every 20 s, noise on every channel."""
    random = np.random.default_rng(0)
    times = np.arange(0.0, 36.0 * 3600.0, 20.0)
    readings = random.normal(0.0, 1.0, (len(times), 1, len(CHANNELS)))
    middle = {TEMPERATURE: (21, 0.1), PM25: (9, 1), CO2: (600, 9), SOUND: (40, 1), CO: (3, 0.4),
              HUMIDITY: (45, 0.5)}  # fmt: skip
    for channel, (mean, noise) in middle.items():
        readings[..., channel] = mean + noise * readings[..., channel]
    return Recording("healthy", times, ("A",), readings.astype(np.float32))


@pytest.mark.parametrize(
    ("fault", "unknowable"),
    [
        ("missing", ()),
        ("stuck", ()),
        ("saturated", ()),
        ("dead", (PM25, CO)),  # clean air has no more
        ("spiking", (SOUND,)),  # a bang is a reading
        ("drifting", tuple(range(len(CHANNELS)))),
    ],
)
def test_what_can_be_known_is_said_in_time(
    session: Session, healthy: Recording, fault: str, unknowable: tuple[int, ...]
) -> None:
    rows = [faults.said_row(session, [healthy], fault, k) for k in range(len(CHANNELS))]
    known = [int(k not in unknowable) for k in range(len(CHANNELS))]
    assert [row.knowable for row in rows] == known
    assert [row.said_within_60s for row in rows] == known
    share, knowable = faults.said_share(rows)
    assert knowable == sum(known)
    assert math.isnan(share.value) if not knowable else share.value == 1.0


def test_a_sensor_without_the_channel_has_no_fault_of_it(
    session: Session, healthy: Recording
) -> None:
    readings = healthy.readings.copy()
    readings[..., CO] = np.nan
    row = faults.said_row(session, [replace(healthy, readings=readings)], "missing", CO)
    assert (row.detectors, row.knowable, row.said_within_60s) == (0, 0, 0)


def test_a_silence_that_was_there_is_no_false_fault(healthy: Recording) -> None:
    assert faults.false_faults(healthy) == []
    quiet = healthy.readings.copy()
    quiet[600:700, :, CO] = np.nan
    assert faults.false_faults(replace(healthy, readings=quiet)) == []
    quiet[600:700] = np.nan  # and of the whole sensor
    assert faults.false_faults(replace(healthy, readings=quiet)) == []


def test_false_faults_are_counted_by_reason_and_month(healthy: Recording) -> None:
    stuck = healthy.readings.copy()
    stuck[300:, :, CO2] = stuck[300, :, CO2]
    found = faults.sum_false_faults([healthy, replace(healthy, readings=stuck)])
    assert found["by_reason"] == {"stuck": 1}
    assert found["detector_months"] == pytest.approx(2 * 36.0 / 24.0 / 30.4375, rel=0.01)
    assert found["per_month"] == pytest.approx(1.0 / found["detector_months"])
    assert found["lower"] < found["per_month"] < found["upper"]
    nothing = faults.sum_false_faults([])
    assert (nothing["detector_months"], nothing["per_month"]) == (0, None)
