"""Faults that a channel shows by itself: said when they can be known, and not of healthy ones."""

import math

import numpy as np
import pytest
from knowable_faults import knowable_time

from saafe.detector import self_test
from saafe.detector.self_test import SILENT_S, Intervals, SelfTest
from saafe.exam import faults, injection
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNEL_NAMES, CHANNELS, CO, CO2, HUMIDITY, PM25, SOUND, TEMPERATURE

HOUR, DAY = 3600.0, 86_400.0
USUAL = {TEMPERATURE: 21.0, PM25: 8.0, CO2: 600.0, SOUND: 40.0, CO: 1.0, HUMIDITY: 45.0}
STEP = {TEMPERATURE: 0.1, PM25: 1.0, CO2: 5.0, SOUND: 1.0, CO: 0.5, HUMIDITY: 0.5}


def ordinary(hours: float, *, period_s: float = 60.0, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Times and readings of a healthy sensor: every channel moves a few steps about its middle."""
    random = np.random.default_rng(seed)
    times = np.arange(0.0, hours * HOUR, period_s)
    middle, step = (
        np.array([values.get(k, 0.0) for k in range(len(CHANNEL_NAMES))])
        for values in (USUAL, STEP)
    )
    return times, middle + step * random.integers(0, 5, (len(times), len(CHANNELS)))


def said(times: np.ndarray, readings: np.ndarray) -> list[tuple]:
    watch = SelfTest()
    out = []
    for time_s, row in zip(times, readings, strict=True):
        out += [(float(time_s), *event) for event in watch.read(float(time_s), row)]
    return out


def test_a_healthy_sensor_has_no_fault() -> None:
    assert said(*ordinary(5 * 24.0)) == []


def test_stuck_is_said_after_an_hour_and_ends_with_the_first_other_reading() -> None:
    times, readings = ordinary(6.0)
    stuck = (times > 2 * HOUR) & (times <= 4 * HOUR)
    readings[times == 2 * HOUR, TEMPERATURE] = 21.2
    readings[stuck, TEMPERATURE] = 21.2
    readings[np.argmax(times > 4 * HOUR), TEMPERATURE] = 21.3
    held_since = float(times[max(np.flatnonzero(readings[:121, TEMPERATURE] != 21.2)) + 1])
    assert said(times, readings) == [
        (held_since + HOUR, "fault", "temperature", "stuck"),
        (4 * HOUR + 60.0, "restored", "temperature", "stuck"),
    ]


def test_stuck_waits_for_ten_times_the_usual_hold() -> None:
    times, readings = ordinary(24.0)
    readings[:, CO2] = 600.0 + 10.0 * (np.arange(len(times)) // 20 % 3)  # holds for 20 min
    hold = times > 20 * HOUR
    readings[hold, CO2] = 610.0
    start = float(times[max(np.flatnonzero(readings[:, CO2] != 610.0)) + 1])
    assert said(times, readings) == [(start + 200 * 60.0, "fault", "co2", "stuck")]


@pytest.mark.parametrize("channel", [PM25, CO2, CO])
def test_clean_air_is_not_stuck(channel: int) -> None:
    times, readings = ordinary(24.0)
    readings[times > 6 * HOUR, channel] = readings[:, channel].min()
    assert said(times, readings) == []


def test_a_dead_thermometer_is_stuck() -> None:
    times, readings = ordinary(6.0)
    readings[times >= 2 * HOUR, TEMPERATURE] = -40.0
    assert said(times, readings) == [(3 * HOUR, "fault", "temperature", "stuck")]


def test_saturated_is_said_after_half_a_day() -> None:
    times, readings = ordinary(20.0)
    readings[times >= 2 * HOUR, PM25] = 1000.0
    assert said(times, readings) == [(14 * HOUR, "fault", "pm25", "saturated")]


def test_spiking_is_said_at_the_tenth_spike_and_ends_after_a_day_without() -> None:
    times, readings = ordinary(48.0)
    at = np.arange(100, 100 + 10 * 3, 3)
    readings[at, CO2] += 2000.0
    assert said(times, readings) == [
        (float(times[at[9] + 1]), "fault", "co2", "spiking"),
        (float(times[at[9] + 1]) + DAY + 60.0, "restored", "co2", "spiking"),
    ]
    assert said(times[: at[9] + 1], readings[: at[9] + 1]) == []


def test_smoke_is_no_spike() -> None:
    times, readings = ordinary(2.0)
    readings[60:, PM25] += 900.0
    readings[60:, CO] += 300.0
    assert said(times, readings) == []


def test_drift_is_said_after_three_high_days() -> None:
    times, readings = ordinary(6 * 24.0)
    readings[times >= DAY, CO] += 12.0
    assert said(times, readings) == [(4 * DAY, "fault", "co", "drift")]
    readings[:, CO] -= 3.0 * (times >= DAY)  # 9 ppm more is weather
    assert said(times, readings) == []


def limit_after(*intervals_s: float) -> float:
    """How long a sensor may be silent that came at these intervals."""
    intervals, time_s = Intervals(), 0.0
    intervals.read(time_s)
    intervals.renew_limit()
    for interval_s in intervals_s:
        time_s += interval_s
        intervals.read(time_s)
        intervals.renew_limit()
    return intervals.limit_s


def test_a_sensor_that_reports_on_change_is_known_by_its_intervals() -> None:
    patient = 1.5 * HOUR
    assert limit_after() == limit_after(10.0) == patient, "nothing is known yet"
    assert limit_after(10.0, 10.0) == limit_after(*[60.0] * 50) == SILENT_S
    assert limit_after(*[300.0] * 5) == 450.0
    assert limit_after(20.0, 90.0) == patient, "odd intervals, and few"
    varied = [20.0, 400.0, 900.0, 30.0, 1500.0, 60.0, 700.0, 10.0]
    assert limit_after(*varied) == patient
    assert limit_after(*varied, *[10.0] * 30) == patient, "a burst changes nothing"
    assert limit_after(*varied, 7200.0, *[10.0] * 30) == 1.5 * 7200.0


@pytest.mark.parametrize("period_s", [10.0, 60.0, 300.0])
def test_lost_and_late_reports_are_those_of_a_period(period_s: float) -> None:
    random = np.random.default_rng(3)
    for lost in (0.0, 0.05, 0.1):
        kept = np.flatnonzero(random.random(200) >= lost)
        late = random.random(len(kept)) < 0.2
        times = period_s * kept + np.minimum(10.0, 0.2 * period_s) * late
        limit = limit_after(*np.diff(times))
        assert limit <= max(SILENT_S, 1.5 * np.diff(times).max()) < HOUR


def test_one_fault_at_a_time() -> None:
    times, readings = ordinary(8.0)
    readings[times >= 2 * HOUR, HUMIDITY] = 46.0
    readings[times >= 5 * HOUR, HUMIDITY] = np.nan
    assert [event[1:] for event in said(times, readings)] == [("fault", "humidity", "stuck")]


def test_knowable_reasons_are_the_ones_said() -> None:
    assert set(self_test.KNOWABLE) == {
        "silent",
        "missing",
        "stuck",
        "saturated",
        "spiking",
        "jump",
        "drift",
    }


@pytest.mark.parametrize("seed", range(6))
def test_row_by_row_agrees_with_the_whole_series(seed: int) -> None:
    """`self_test` and `knowable_time` are written apart; neither sees the other."""
    random = np.random.default_rng(seed)
    times, readings = ordinary(30.0, seed=seed)
    for channel in range(len(CHANNELS)):
        start = random.uniform(3.0, 12.0) * HOUR
        on = times >= start
        how = random.integers(4)
        if how == 0:
            readings[on, channel] = readings[np.argmax(on), channel]
        elif how == 1:
            readings[on, channel] = np.nan
        elif how == 2:
            readings[on & (random.random(len(times)) < 0.3), channel] += 4000.0
        else:
            readings[on, channel] = 5000.0
    recording = Recording("r", times, ("A",), readings[:, None])
    told: dict[str, float] = {}
    for time_s, event in faults.watched(recording):
        if event["event"] == "fault":
            told.setdefault(event["channel"], time_s)
    for channel, name in enumerate(CHANNEL_NAMES):
        known = knowable_time(recording, channel, 0.0)
        assert (known is None) == (name not in told), name
        if known is not None:
            assert 0.0 <= told[name] - known <= 60.0, name


@pytest.mark.parametrize("fault", injection.INJECTED_FAULTS)
def test_what_the_exam_calls_knowable_is_known_by_then(fault: str) -> None:
    """What an injection promises against what the faulty series shows."""
    times, readings = ordinary(40.0)
    healthy = Recording("r", times, ("A",), readings[:, None].astype(np.float32))
    promised = 0
    for channel, name in enumerate(CHANNEL_NAMES):
        random = np.random.default_rng(channel)
        faulty = injection.with_fault(healthy, fault, channel, at_s=4 * HOUR, random=random)
        due_s = faults.known_s(healthy, faulty, fault, channel, 4 * HOUR)
        known = knowable_time(faulty, channel, 4 * HOUR)
        assert (due_s is None) == (known is None), name
        if due_s is not None and known is not None:
            assert 4 * HOUR < known <= due_s + 60.0
            assert faults.is_said(faulty, channel, 4 * HOUR)
            promised += 1
    assert (promised > 0) == (fault not in ("slow", "drifting", "spiking"))


def test_spikes_are_promised_at_the_tenth_lone_one() -> None:
    times, readings = ordinary(3.0, period_s=10.0)
    before, after = readings[:, CO2], readings[:, CO2].copy()
    at = np.arange(400, 430, 3)
    after[at] += 3000.0
    after[[100, 101]] += 3000.0  # two together are not lone
    assert faults.tenth_spike_s(times, before, after, CO2) == times[at[9] + 1]
    assert faults.tenth_spike_s(times, before, after, SOUND) is None
    after[at[0]] = before[at[0]]
    assert faults.tenth_spike_s(times, before, after, CO2) is None


def test_a_sensor_that_was_never_read_is_excused_of_nothing() -> None:
    """As one of which only a row that could not be read has come before a restart."""
    test = SelfTest()
    test.excuse(500.0)
    assert test.silent_due() == math.inf
    assert test.began_s == math.inf
    readings = np.full(len(CHANNELS), 20.0)
    assert test.read(1000.0, readings) == []
    assert test.began_s == 1000.0
