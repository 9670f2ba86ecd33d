"""references: first signal, limits, fixed thresholds."""

import numpy as np
import pytest

from saafe.exam import references
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNELS, CO, CO2, PM25, TEMPERATURE


def recording(period_s, columns, sensors=1):
    """A recording of which all sensors but the last stay as they begin."""
    length = len(next(iter(columns.values())))
    readings = np.full((length, sensors, len(CHANNELS)), np.nan, dtype=np.float32)
    for channel, values in columns.items():
        readings[:, :, channel] = values[0]
        readings[:, -1, channel] = values
    times = np.arange(length) * period_s
    return Recording("made", times, tuple("ABCDEF"[:sensors]), readings)


@pytest.mark.parametrize(
    ("channel", "base", "enough", "short"),
    [
        (TEMPERATURE, 21.0, 2.0, 1.9),
        (PM25, 8.0, 300.0, 290.0),
        (CO2, 450.0, 150.0, 149.0),
        (CO, 0.0, 25.0, 24.0),
    ],
)
def test_first_signal_takes_each_channel_at_its_own_rise(channel, base, enough, short):
    values = np.full(60, base)
    values[20:] += enough
    assert references.first_signal(recording(5.0, {channel: values}, sensors=3)) == 100.0
    values[20:] += short - enough
    assert references.first_signal(recording(5.0, {channel: values}, sensors=3)) is None


def test_first_signal_must_stand_for_30_s():
    values = np.full(60, 20.0)
    values[10:16] += 5.0  # 50 to 75 s: 25 s
    values[30:37] += 5.0  # 150 to 180 s: 30 s
    assert references.first_signal(recording(5.0, {TEMPERATURE: values})) == 150.0


def test_first_signal_is_over_the_first_ten_seconds_and_skips_missing_readings():
    values = np.concatenate([[20.0, 20.1, 20.2], np.linspace(20.2, 30.2, 57)])
    values[::3] = np.nan
    made = recording(5.0, {TEMPERATURE: values})
    signal = references.first_signal(made)
    at = np.flatnonzero(made.times_s == signal)[0]
    assert values[at] >= 22.0
    assert np.nanmax(values[:at]) < 22.2


def test_the_seeing_sensor_has_smoke_and_sees_first_but_not_after_the_limit():
    made = recording(5.0, {TEMPERATURE: np.full(60, 20.0), PM25: np.full(60, 8.0)}, sensors=4)
    made.readings[10:, 0, TEMPERATURE] += 5.0  # A sees first, and has no PM2.5
    made.readings[:, 0, PM25] = np.nan
    made.readings[:, 0, CO] = 0.0
    made.readings[30:, 2, PM25] += 500.0
    made.readings[40:, 3, PM25] += 500.0
    assert references.seeing_sensor(made, 240.0).sensors == ("C",)
    assert references.seeing_sensor(made, None).sensors == ("C",)
    assert references.seeing_sensor(made, 140.0).sensors == ("A",)  # C sees after the limit
    made.readings[:] = np.nan
    assert references.seeing_sensor(made, 140.0).readings.shape == (60, 1, len(CHANNELS))


def test_limits_of_fires_by_kind():
    at = {"t_dT5": 22.0, "t_dT20": 74.0, "t_OD05": 52.0, "t_OD14": 72.0}
    assert references.fire_limit("flaming", at) == 104.0
    assert references.fire_limit("cooking oil", at) == 104.0
    assert references.fire_limit("smouldering", at) == 22.0
    assert references.fire_limit("smouldering", at | {"t_dT5": None}) == 72.0
    assert references.fire_limit("smouldering", {"t_OD05": 52.0}) == 1852.0
    assert references.fire_limit("flaming", {"t_dT20": None}) is None
    assert references.fire_limit("smouldering", {}) is None


def test_obscuration_of_a_foot_in_optical_density():
    # ../shared/FACTS.md: 1.5 %/ft is 0.215 dB/m, OD 0.0215/m
    assert references.density_of(1.5) == pytest.approx(0.0215, abs=5e-5)
    assert references.density_of(12.0) == pytest.approx(0.182, abs=5e-4)


def test_heat_alarms():
    ramp = 20.0 + np.arange(100) * 10.0 * (8.2 / 60.0)  # 8.2 K a minute: slow enough
    alarms = references.reference_alarms(recording(10.0, {TEMPERATURE: ramp}))
    assert alarms["rate_of_rise"] is None
    assert alarms["heat"] == pytest.approx(60.0 * 37.0 / 8.2, abs=10.0)
    faster = 20.0 + np.arange(20) * 10.0 * (8.4 / 60.0)
    alarms = references.reference_alarms(recording(10.0, {TEMPERATURE: faster}))
    assert alarms["rate_of_rise"] == 60.0
    assert alarms["heat"] is None
    assert alarms["co"] is None


def test_smoke_alarms_need_a_sensor_that_can_show_them():
    smoke = np.linspace(8.0, 12_000.0, 200)
    alarms = references.reference_alarms(recording(10.0, {PM25: smoke}, sensors=2))
    assert 0 < alarms["ionisation"] < alarms["photo"]
    capped = references.reference_alarms(recording(10.0, {PM25: np.minimum(smoke, 1000.0)}))
    assert capped["photo"] is None
    made = recording(10.0, {PM25: np.minimum(smoke, 1000.0)})
    measured = np.linspace(0.0, 0.06, 200)[:, None]  # OD 0.0303/m is 2.1 %/ft
    known = references.reference_alarms(made, measured)
    assert known["photo"] == pytest.approx(10.0 * 199 * 0.0303 / 0.06, abs=10.0)


@pytest.mark.parametrize(("ppm", "alarm_s"), [(49, None), (50, 5400), (100, 2400), (300, 180)])
def test_carbon_monoxide_alarm_times(ppm, alarm_s):
    alarms = references.reference_alarms(recording(60.0, {CO: np.full(120, float(ppm))}))
    assert alarms["co"] == alarm_s
