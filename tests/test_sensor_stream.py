"""A stream's windows are those of the recording, to the last bit, whatever comes and is saved."""

import json

import numpy as np
import pytest

from saafe import windows
from saafe.detector.sensor_stream import SPARE, SensorStream
from saafe.detector.state import fill, to_plain
from saafe.sensors import CHANNELS


def rows(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Times of a sensor with gaps, short and long, and its readings, some missing."""
    random = np.random.default_rng(seed)
    steps = random.choice([1.0, 9.7, 10.0, 60.0, 95.0, 700.0, 9000.0], count,
                          p=[0.3, 0.2, 0.3, 0.1, 0.07, 0.02, 0.01])  # fmt: skip
    readings = 20.0 + random.normal(size=(count, len(CHANNELS)))
    readings[random.random(readings.shape) < 0.1] = np.nan
    readings[random.random(count) < 0.5, 4:] = np.nan
    readings[:, 0] = 21.0 + random.normal(size=count)
    return np.cumsum(steps), readings


@pytest.mark.parametrize("hold_bins", [windows.HOLD_BINS, 400])
@pytest.mark.parametrize("seed", range(4))
def test_a_stream_has_the_windows_of_its_recording(seed: int, hold_bins: int) -> None:
    times, readings = rows(seed, 900)
    grid, fresh, first = windows.to_grid(times, readings, hold_bins=hold_bins)
    expected = windows.cut_windows(grid, np.flatnonzero(fresh))
    stream, found = SensorStream(first, hold_bins), []
    bins = windows.bin_of(times)
    for k, (time_s, reading) in enumerate(zip(times, readings, strict=True)):
        stream.add(float(time_s), reading)
        if k + 1 == len(bins) or bins[k + 1] > bins[k]:
            found.append(stream.close())
            np.testing.assert_array_equal(stream.latest(), stream.history[-1])
    np.testing.assert_array_equal(np.stack(found), expected)


@pytest.mark.parametrize("at", [1, 100, 741, 742 + SPARE])
def test_a_saved_stream_goes_on_to_the_last_bit(at: int) -> None:
    times, readings = rows(9, at + 300)
    whole = SensorStream(int(windows.bin_at(float(times[0]))), windows.HOLD_BINS)
    parts = SensorStream(whole.bin, windows.HOLD_BINS)
    for k, (time_s, reading) in enumerate(zip(times, readings, strict=True)):
        if k == at:
            saved = json.loads(json.dumps(to_plain(parts)))
            parts = SensorStream(0, windows.HOLD_BINS)
            fill(parts, saved)
            assert parts.end_s == whole.end_s
        for stream in (whole, parts):
            stream.add(float(time_s), reading)
        np.testing.assert_array_equal(whole.close(), parts.close())


def test_a_bin_that_closed_last_opens_again() -> None:
    """Also as the arrays have just been shifted."""
    late, whole = (SensorStream(0, windows.HOLD_BINS) for _ in range(2))
    for k in range(3 * SPARE):
        low, high = np.full(6, 10.0 + k), np.full(6, 20.0 + k)
        late.add(10.0 * k - 5.0, low)
        late.close()
        late.add(10.0 * k - 4.0, high)
        whole.add(10.0 * k - 5.0, low)
        whole.add(10.0 * k - 4.0, high)
        np.testing.assert_array_equal(late.close(), whole.close())


def test_a_scalar_time_has_the_bin_of_an_array() -> None:
    times = np.concatenate([np.arange(0.0, 100.0, 0.1), [1.7e9, 1.7e9 + 1e-9, 29.9999999999]])
    assert [windows.bin_at(float(t)) for t in times] == windows.bin_of(times).tolist()
