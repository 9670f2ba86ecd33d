"""references: first signal, limits, reference alarms beside a recording."""

import numpy as np
import pytest
import torch

from saafe.exam import references
from saafe.exam.references import AIR_SPEED_M_S
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNELS, CO, CO2, PM25, TEMPERATURE
from saafe.simulator.aerosols import AerosolKind
from saafe.simulator.reference_alarms import RESPONSE_TIME_INDEX, entry_lag


def recording(period_s, columns, sensors=1):
    """A recording of which all sensors but the last stay as they begin."""
    length = len(next(iter(columns.values())))
    readings = np.full((length, sensors, len(CHANNELS)), np.nan, dtype=np.float32)
    for channel, values in columns.items():
        readings[:, :, channel] = values[0]
        readings[:, -1, channel] = values
    times = np.arange(length) * period_s
    return Recording("made", times, tuple("ABCDEF"[:sensors]), readings)


def course(times):
    """Air that warms, fills with smoke and CO evenly from an hour on, at these times."""
    since = np.maximum(times - 3600.0, 0.0) / 3600.0
    readings = np.full((len(times), 1, len(CHANNELS)), np.nan, dtype=np.float32)
    readings[:, 0, TEMPERATURE] = 20.0 + 600.0 * since
    readings[:, 0, PM25] = 8.0 + 60_000.0 * since
    readings[:, 0, CO] = 600.0 * since
    return Recording("course", times, ("A",), readings)


def alarms_of(made, aerosol=AerosolKind.FLAMING):
    return references.reference_alarms(made, aerosol)


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


@pytest.mark.parametrize("period_s", [10.0, 60.0, 300.0])
@pytest.mark.parametrize("late_s", [0.0, 10.0, 40.0, 250.0])
def test_a_fire_rises_from_what_each_channel_read_before_its_ignition(period_s, late_s):
    """A channel of five minutes was measured from its first reading after the ignition on."""
    times = 10.0 * np.arange(360)
    made = recording(10.0, {TEMPERATURE: np.full(360, 20.0), PM25: np.full(360, 8.0)})
    made.readings[times >= 1200.0, 0, PM25] = 2000.0
    made.readings[(times - late_s) % period_s != 0, 0, PM25] = np.nan
    reads = times[(times >= 1200.0) & np.isfinite(made.readings[:, 0, PM25])]
    assert references.first_signal_from(made, 1200.0) == reads[0]
    made.readings[times < 1200.0] = np.nan  # no level at all
    assert references.first_signal_from(made, 1200.0) == 1200.0


def test_a_channel_that_begins_with_the_fire_rises_from_its_first_reading():
    """It was passed over, and an alarm in a fire that it alone showed counted as early."""
    made = recording(10.0, {TEMPERATURE: np.full(360, 20.0), PM25: np.full(360, 8.0)})
    made.readings[:120, 0, PM25] = np.nan
    made.readings[140:, 0, PM25] = 2000.0
    assert references.first_signal_from(made, 1200.0) == 1400.0


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


def test_heat_alarms_lag_behind_the_readings():
    tau = RESPONSE_TIME_INDEX / AIR_SPEED_M_S**0.5
    ramp = 20.0 + np.arange(100) * 10.0 * (8.2 / 60.0)  # 8.2 K a minute: slow enough
    alarms = alarms_of(recording(10.0, {TEMPERATURE: ramp}))
    assert alarms["rate_of_rise"] is None
    # the element follows a ramp by its time constant
    assert alarms["heat"] == pytest.approx(60.0 * 37.0 / 8.2 + tau, abs=10.0)
    steep = 20.0 + np.arange(20) * 10.0 * (20.0 / 60.0)
    alarms = alarms_of(recording(10.0, {TEMPERATURE: steep}))
    assert alarms["heat"] == alarms["rate_of_rise"] == pytest.approx(70.0, abs=10.0)
    assert alarms["co"] is None


def test_smoke_alarms_need_a_sensor_that_can_show_them():
    smoke = np.linspace(8.0, 40_000.0, 200)
    alarms = alarms_of(recording(10.0, {PM25: smoke}, sensors=2))
    assert 0 < alarms["ionisation"] < alarms["photo"]
    capped = alarms_of(recording(10.0, {PM25: np.minimum(smoke, 1000.0)}))
    assert capped["photo"] is None
    density = np.linspace(0.0, 0.06, 200)
    smoulder = 8.0 + 1e6 * density * np.log(10.0) / 4.4
    known = alarms_of(recording(10.0, {PM25: smoulder}), AerosolKind.SMOULDERING)
    dwell_s, mixing_s = entry_lag(torch.tensor(AIR_SPEED_M_S))
    at = 10.0 * 199 * 0.030 / 0.06 + float(dwell_s + mixing_s)  # a ramp lags by its constants
    assert known["photo"] == pytest.approx(at, abs=10.0)
    assert known["ionisation"] is None  # 0.3 of 0.06/m, not there before the end


def test_smoke_of_a_mass_depends_on_its_aerosol():
    # 10 mg/m3: OD 0.038/m of soot, a response of 0.33; 0.019 of a smoulder
    made = recording(10.0, {PM25: np.full(60, 10_008.0)})
    assert alarms_of(made)["photo"] is None
    assert alarms_of(made)["ionisation"] == 0.0
    assert alarms_of(made, AerosolKind.SMOULDERING)["photo"] is None
    twice = recording(10.0, {PM25: np.full(60, 20_008.0)})
    assert alarms_of(twice, AerosolKind.SMOULDERING)["photo"] == 0.0


@pytest.mark.parametrize(
    ("kind", "aerosol"),
    [
        ("flaming", AerosolKind.FLAMING),
        ("pool fire", AerosolKind.FLAMING),
        ("smouldering", AerosolKind.SMOULDERING),
        ("cooking oil", AerosolKind.COOKING),
        ("home", AerosolKind.COOKING),
    ],
)
def test_aerosols_of_recordings(kind, aerosol):
    assert references.aerosol_of(kind) == aerosol


@pytest.mark.parametrize("period_s", [2.0, 10.0, 30.0, 60.0])
def test_reference_alarms_at_any_period_and_at_irregular_times(period_s):
    """Air that changes evenly is the same air, however often somebody looks."""
    times = np.arange(0.0, 7200.0 + period_s, period_s)
    if period_s == 30.0:
        kept = np.random.default_rng(0).random(len(times)) < 0.6
        times = times[kept | (times % 3600.0 == 0.0)]
    expected = alarms_of(course(np.arange(0.0, 7210.0, 10.0)))
    assert None not in expected.values()
    assert alarms_of(course(times)) == pytest.approx(expected, abs=10.0)


def test_missing_readings_are_bridged_and_never_alarm_by_themselves():
    made = course(np.arange(0.0, 7210.0, 10.0))
    whole = alarms_of(made)
    made.readings[1::3, 0, TEMPERATURE] = np.nan
    made.readings[::2, 0, PM25] = np.nan
    assert alarms_of(made) == pytest.approx(whole, abs=10.0)
    made.readings[:400] = np.nan  # a sensor that begins late, in smoke
    late = alarms_of(made)
    assert all(4000.0 <= time < 7200.0 for time in late.values() if time is not None)
    made.readings[:] = np.nan
    assert set(alarms_of(made).values()) == {None}


@pytest.mark.parametrize(("ppm", "alarm_s"), [(49, None), (50, 5400), (100, 2400), (300, 180)])
def test_carbon_monoxide_alarm_times(ppm, alarm_s):
    assert alarms_of(recording(60.0, {CO: np.full(120, float(ppm))}))["co"] == alarm_s


def test_times_are_of_the_recordings_clock():
    made = course(np.arange(0.0, 7210.0, 10.0))
    expected = {name: time + 25.0 for name, time in alarms_of(made).items()}
    made.times_s[:] += 25.0
    assert alarms_of(made) == expected
