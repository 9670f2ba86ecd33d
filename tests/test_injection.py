"""Faults put into recordings do what they say, and nothing else."""

import numpy as np
import pytest

from saafe.exam import injection
from saafe.recordings.recording import Recording
from saafe.recordings.stream import read_rows
from saafe.sensors import CHANNELS, CO, CO2, PM25, TEMPERATURE

TIMES = np.arange(0.0, 7200.0, 10.0)


@pytest.fixture
def recording() -> Recording:
    random = np.random.default_rng(0)
    readings = random.normal(30.0, 1.0, (len(TIMES), 1, len(CHANNELS))).astype(np.float32)
    readings[..., CO2] += 500.0
    readings[::3, 0, PM25] = np.nan
    return Recording("r", TIMES, ("A",), readings)


def column(recording: Recording, fault: str, channel: int, at_s: float = 3600.0) -> np.ndarray:
    random = np.random.default_rng(1)
    out = injection.with_fault(recording, fault, channel, at_s=at_s, random=random)
    others = [c for c in range(len(CHANNELS)) if c != channel]
    np.testing.assert_array_equal(out.readings[..., others], recording.readings[..., others])
    before = at_s > TIMES
    np.testing.assert_array_equal(
        out.readings[before, 0, channel], recording.readings[before, 0, channel]
    )
    return out.readings[~before, 0, channel]


def test_missing(recording: Recording) -> None:
    assert np.isnan(column(recording, "missing", CO)).all()


def test_dead(recording: Recording) -> None:
    assert (column(recording, "dead", TEMPERATURE) == CHANNELS[TEMPERATURE].lowest).all()


def test_stuck(recording: Recording) -> None:
    before = recording.readings[TIMES < 3600.0, 0, CO]
    assert (column(recording, "stuck", CO) == before[-1]).all()


def test_saturated(recording: Recording) -> None:
    assert (column(recording, "saturated", CO) == CHANNELS[CO].instruments.top).all()


def test_drifting(recording: Recording) -> None:
    after = column(recording, "drifting", CO, at_s=3600.0)
    rise = after - recording.readings[TIMES >= 3600.0, 0, CO]
    assert rise[-1] == pytest.approx(15.0 * 3590.0 / 86_400.0, abs=1e-3)
    assert (np.diff(rise) > -1e-4).all()


def test_spiking(recording: Recording) -> None:
    after = column(recording, "spiking", CO)
    share = (after > 200.0).mean()
    assert 0.02 < share < 0.09


def test_slow_follows_a_step_as_a_first_order_lag(recording: Recording) -> None:
    recording.readings[:, 0, CO] = np.where(TIMES >= 3600.0, 100.0, 0.0)
    at_s = 3590.0
    after = injection.with_fault(
        recording, "slow", CO, at_s=at_s, random=np.random.default_rng(0)
    ).readings[:, 0, CO]
    k = np.argmax(TIMES >= 3600.0 + 900.0 - 10.0)  # one time constant after the step
    assert after[k] == pytest.approx(100.0 * (1.0 - np.exp(-1.0)), rel=1e-3)


@pytest.mark.parametrize("fault", injection.INJECTED_FAULTS)
@pytest.mark.parametrize("channel", range(len(CHANNELS)))
def test_missing_readings_stay_missing_and_the_rest_within_limits(
    recording: Recording, fault: str, channel: int
) -> None:
    recording.readings[::4, 0, channel] = np.nan
    out = injection.with_fault(
        recording, fault, channel, at_s=-86_400.0, random=np.random.default_rng(0)
    ).readings[:, 0, channel]
    assert np.isnan(out[::4]).all()
    present = out[np.isfinite(out)]
    assert ((present >= CHANNELS[channel].lowest) & (present <= CHANNELS[channel].highest)).all()


def test_gap(recording: Recording) -> None:
    out = injection.with_gap(recording, 1000.0, 2000.0)
    assert not ((out.times_s >= 1000.0) & (out.times_s < 2000.0)).any()
    assert len(out.readings) == len(out.times_s) == len(TIMES) - 100


def parsed(lines: list[str]) -> tuple[list[float], int]:
    rows = list(read_rows(lines))
    return [r.time_s for r in rows if not r.problems], sum(bool(r.problems) for r in rows)


def test_rows_read_back(recording: Recording) -> None:
    rows = list(read_rows(injection.csv_lines(recording)))
    got = np.array([row.readings for row in rows], np.float32)
    np.testing.assert_array_equal(got, recording.readings[:, 0])


def test_rows_twice_lose_nothing(recording: Recording) -> None:
    lines = injection.with_rows_twice(injection.csv_lines(recording), np.random.default_rng(0))
    times, refused = parsed(lines)
    np.testing.assert_array_equal(times, TIMES)
    assert refused == 0
    assert len(lines) - 1 - len(TIMES) > 20


def test_late_rows_are_refused(recording: Recording) -> None:
    lines = injection.with_late_rows(injection.csv_lines(recording), np.random.default_rng(0))
    assert sorted(lines) == sorted(injection.csv_lines(recording))
    times, refused = parsed(lines)
    assert len(times) + refused == len(TIMES)
    assert 30 < refused < 120
