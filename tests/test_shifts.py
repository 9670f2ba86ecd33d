"""Shifts change what they say and leave the rest."""

from dataclasses import replace

import numpy as np
import pytest

from saafe.exam import shifts
from saafe.exam.shifts import SHIFTS
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNELS, CO2, PM25, TEMPERATURE
from saafe.simulator.buildings import Rooms

TIMES = np.arange(0.0, 3600.0, 10.0)


@pytest.fixture
def recording() -> Recording:
    readings = (
        np.random.default_rng(0)
        .normal(50.0, 5.0, (len(TIMES), 1, len(CHANNELS)))
        .astype(np.float32)
    )
    readings[..., PM25] *= 5.0
    readings[..., CO2] += 500.0
    readings[1::2] = np.nan
    return Recording("r", TIMES, ("A",), readings)


def test_a_reading_every_90_s_is_the_last_one(recording: Recording) -> None:
    out = shifts.rarely(recording, np.random.default_rng(0)).readings[:, 0]
    rows = np.flatnonzero(np.isfinite(out).all(axis=1))
    np.testing.assert_array_equal(np.diff(TIMES[rows]), 90.0)
    for row in rows:
        np.testing.assert_array_equal(out[row], recording.readings[row - row % 2, 0])


@pytest.mark.parametrize("shift", SHIFTS, ids=lambda shift: shift.name)
def test_readings_stay_within_the_format(recording: Recording, shift: shifts.Shift) -> None:
    before = recording.readings.copy()
    out = shift.change(recording, np.random.default_rng(0))
    np.testing.assert_array_equal(recording.readings, before)  # the draw is used again
    assert out.readings.shape == before.shape
    for channel, row in enumerate(CHANNELS):
        values = out.readings[..., channel]
        values = values[np.isfinite(values)]
        assert ((values >= row.lowest) & (values <= row.highest)).all()


def test_instruments_alone_change_one_channel(recording: Recording) -> None:
    by_name = {shift.name: shift for shift in SHIFTS}
    out = by_name["PM2.5 ends at 120 ug/m3"].change(recording, np.random.default_rng(0))
    assert np.nanmax(out.readings[..., PM25]) == 120.0
    others = [channel for channel in range(len(CHANNELS)) if channel != PM25]
    np.testing.assert_array_equal(out.readings[..., others], recording.readings[..., others])
    warm = by_name["temperature reads 5 K too much"].change(recording, np.random.default_rng(0))
    rise = warm.readings[..., TEMPERATURE] - recording.readings[..., TEMPERATURE]
    np.testing.assert_allclose(rise[np.isfinite(rise)], 5.0, atol=1e-4)


def test_shifted_rooms_lie_outside_training() -> None:
    usual = Rooms(volume_m3=(8.0, 150.0))  # whatever the room is for
    for shift in SHIFTS:
        if shift.rooms is None:
            continue
        rooms = shift.rooms
        if rooms.volume_m3 is None:
            rooms = replace(rooms, volume_m3=usual.volume_m3)
        outside = [
            name
            for name in ("volume_m3", "height_m", "air_changes", "outdoor_c", "indoor_c")
            if getattr(rooms, name)[0] >= getattr(usual, name)[1]
            or getattr(rooms, name)[1] <= getattr(usual, name)[0]
        ]
        assert outside, shift.name
    assert SHIFTS[0].rooms is None  # the row to compare with
