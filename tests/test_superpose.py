"""superposed fires: fires on homes, homes at ten seconds."""

import numpy as np
import pytest

from saafe.recordings import superpose
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNELS, CO, CO2, HUMIDITY, PM25, SOUND, TEMPERATURE


def make_home(hours=48.0, name="home", gap=None):
    times = np.arange(0.0, hours * 3600.0, 60.0)
    if gap:
        times = times[(times <= gap[0]) | (times >= gap[1])]
    readings = np.full((len(times), 1, len(CHANNELS)), np.nan, dtype=np.float32)
    day = np.sin(times / 86400.0 * 2 * np.pi)
    readings[:, 0, TEMPERATURE] = np.round(22.0 + day, 1)
    readings[:, 0, PM25] = 8.0 + day
    readings[40, 0, PM25] = 190.0
    readings[:, 0, CO2] = np.round(600 + 50 * day)
    readings[:, 0, CO] = 0.0
    readings[:, 0, HUMIDITY] = np.round(50 + 5 * day, 1)
    recording = Recording(name, times, ("kitchen",), readings)
    return superpose.Home(recording, ((30 * 3600.0, 30.5 * 3600.0), (36 * 3600.0, 37 * 3600.0)))


def make_fire(name="fire", length=120, period_s=5.0):
    times = np.arange(length) * period_s
    readings = np.full((length, 1, len(CHANNELS)), np.nan, dtype=np.float32)
    growth = np.maximum(times - 60.0, 0.0)
    readings[:, 0, TEMPERATURE] = 25.0 + growth / 10.0
    readings[:, 0, PM25] = np.minimum(8.0 + growth * 2.0, 1000.0)
    readings[:, 0, CO2] = 450.0 + growth
    readings[:, 0, CO] = growth / 10.0
    readings[::7, 0, CO] = np.nan
    return Recording(name, times, ("B",), readings)


def test_a_rise_is_over_the_first_minute_and_without_holes():
    fire = make_fire()
    rise = superpose.fire_rise(fire)
    assert rise[0].tolist() == [0.0] * len(CHANNELS)
    assert rise[-1, TEMPERATURE] == pytest.approx((fire.times_s[-1] - 60.0) / 10.0)
    assert np.isfinite(rise).all()
    assert not rise[:, [HUMIDITY, SOUND]].any()


def test_a_fall_in_the_first_minute_is_no_rise():
    fire = make_fire()
    fire.readings[:, 0, TEMPERATURE] = 20.0 + fire.times_s  # grows from the first second
    rise = superpose.fire_rise(fire)[:, TEMPERATURE]
    assert rise[:6].tolist() == [0.0] * 6
    assert rise[-1] == pytest.approx(fire.times_s[-1] - 30.0)


def test_composites_are_the_home_before_and_the_sum_after():
    fire, home = make_fire(), make_home()
    made, left_out = superpose.superpose_fires([fire], [home])
    assert left_out == []
    assert [one.moment for one in made] == ["quiet", "cooking"]
    for one in made:
        recording, source = one.recording, home.recording
        rows = np.searchsorted(source.times_s, one.start_s + recording.times_s)
        plain = source.readings[rows]
        before = recording.times_s < one.fire_s
        assert one.fire_s == pytest.approx(3 * 3600.0, abs=60.0)
        assert np.array_equal(recording.readings[before], plain[before], equal_nan=True)
        after = recording.times_s >= one.fire_s + 120.0
        rise = recording.readings[after, 0] - plain[after, 0]
        assert after.any()
        assert (rise[:, [TEMPERATURE, CO2, CO]] > 0).all()
        assert not rise[:, HUMIDITY].any()
        assert recording.readings[:, 0, PM25].max() <= 190.0  # the home's own cap
        since = recording.times_s[after] - one.fire_s  # held: a row is the fire's last value
        expected = np.minimum(np.floor(since / 5.0) * 5.0, fire.times_s[-1]) - 60.0
        assert rise[:, CO2] == pytest.approx(expected, abs=0.01)
        assert (one.period_s, recording.sensors) == (60.0, ("kitchen",))


def test_moments_keep_clear_of_gaps_and_of_cooking():
    home, fire = make_home(gap=(10 * 3600.0, 20 * 3600.0)), make_fire(length=700)
    for seed in range(30):
        made, _ = superpose.superpose_fires([fire], [home], seed=seed)
        quiet, cooking = made
        for one in made:
            steps = np.diff(one.recording.times_s)
            assert steps.max() <= 300.0
        begin, end = quiet.start_s, quiet.start_s + quiet.recording.times_s[-1]
        assert all(end <= a or begin >= b + 1800.0 for a, b in home.sessions)
        at = cooking.start_s + cooking.fire_s
        assert any(a <= at <= b + 60.0 for a, b in home.sessions)


def test_composites_are_deterministic_and_seeded():
    fires, homes = [make_fire("one"), make_fire("two")], [make_home()]
    first, _ = superpose.superpose_fires(fires, homes, seed=4)
    again, _ = superpose.superpose_fires(fires, homes, seed=4)
    other, _ = superpose.superpose_fires(fires, homes, seed=5)
    assert [c.start_s for c in first] == [c.start_s for c in again]
    assert [c.start_s for c in first] != [c.start_s for c in other]
    assert len({c.recording.name for c in first}) == 4


def test_a_home_without_a_fitting_moment_is_named():
    home = superpose.Home(make_home(hours=8.0).recording, ())
    made, left_out = superpose.superpose_fires([make_fire()], [home])
    assert [c.moment for c in made] == ["quiet"]
    assert left_out == ["fire on home, cooking"]


def test_dense_homes_look_like_other_sensors_in_the_same_home():
    home = make_home(gap=(31 * 3600.0, 31.5 * 3600.0))
    (dense,) = superpose.dense_homes([home], days=0.5, sensors=6)
    recording = dense.recording
    assert recording.readings.shape == (12 * 360 + 1, 6, len(CHANNELS))
    assert len(dense.sessions) == 2  # the half day with the most cooking
    assert dense.sessions[-1][1] + 1800.0 <= recording.times_s[-1]  # and with its fumes
    assert np.isnan(recording.readings[:, :, HUMIDITY]).all()
    temperature = recording.readings[:, :, TEMPERATURE]
    in_gap = np.isnan(temperature).all(axis=1)
    assert in_gap.sum() * 10.0 == pytest.approx(1800.0, abs=20.0)
    values = temperature[~in_gap]
    assert values == pytest.approx(np.round(values, 1), abs=1e-4)  # the home's resolution
    offsets = values - values.mean(axis=1, keepdims=True)
    assert 0.02 < offsets.std() < 0.1
    assert abs(np.corrcoef(offsets[:, 0], offsets[:, 1])[0, 1]) < 0.4  # noise is each one's own


def test_dense_homes_of_more_days_than_there_are_give_all():
    (dense,) = superpose.dense_homes([make_home(hours=5.0)], days=9.0, sensors=1)
    assert dense.recording.times_s[-1] == pytest.approx(5 * 3600.0 - 60.0)
    assert dense.sessions == ()


def test_cut_counts_from_its_first_row():
    part = superpose.cut_recording(make_home().recording, 90.0, 240.0)
    assert part.times_s.tolist() == [0.0, 60.0, 120.0]


def grown(e_fold_s, *, shown_s=600.0, least=3000.0, period_s=5.0, length=400):
    """Smoke that grows exponentially, and what a meter shows of it: nothing under `least`."""
    times = np.arange(length) * period_s
    smoke = least * np.exp((times - shown_s) / e_fold_s)
    return times, smoke, np.where(times >= shown_s, smoke, 0.0)


@pytest.mark.parametrize("e_fold_s", [20.0, 60.0, 90.0])
def test_smoke_grew_before_its_meter_showed_it_as_it_grew_after(e_fold_s):
    times, _, shown = grown(e_fold_s)
    growth = superpose.smoke_growth(times, shown)
    assert growth is not None
    assert growth.e_fold_s == pytest.approx(e_fold_s, rel=1e-6)
    assert (growth.shown_s, growth.shown_ug_m3) == (600.0, pytest.approx(3000.0))
    assert growth.start_s == pytest.approx(600.0 - e_fold_s * np.log(300.0))  # from 10 ug/m3


def test_smoke_grows_no_earlier_than_ignition_and_a_lone_value_is_noise():
    times, _, shown = grown(400.0, length=600)
    shown[[3, 60]] = 5000.0
    shown[62] = np.nan
    growth = superpose.smoke_growth(times, shown, ignition_s=100.0)
    assert growth is not None
    assert growth.e_fold_s == pytest.approx(400.0)
    assert growth.start_s == 100.0  # 400 s an e-fold would have begun long before


@pytest.mark.parametrize("shown", [
    np.zeros(400), np.full(400, np.nan), np.where(np.arange(400) > 100, 3000.0, 0.0),
    np.where(np.arange(400) % 5 == 0, 3000.0, 0.0),
])  # fmt: skip
def test_smoke_that_is_not_seen_to_double_is_not_known_to_have_grown(shown):
    assert superpose.smoke_growth(np.arange(400) * 5.0, shown) is None


def test_growing_smoke_rises_to_the_step_and_changes_nothing_else():
    times, smoke, shown = grown(60.0)
    rise = np.zeros((len(times), len(CHANNELS)), dtype=np.float32)
    rise[:, TEMPERATURE] = times / 10.0
    rise[:, PM25] = np.where(shown > 0.0, 992.0, 0.0)  # a meter's ceiling less the background
    growth = superpose.smoke_growth(times, shown)
    assert growth is not None
    both = superpose.with_growth(times, rise, growth)
    unseen = (times >= growth.start_s) & (times < 600.0)
    assert both[unseen, PM25] == pytest.approx(np.minimum(smoke[unseen], 992.0), rel=1e-5)
    assert np.array_equal(both[~unseen], rise[~unseen])
    assert np.array_equal(np.delete(both, PM25, axis=1), np.delete(rise, PM25, axis=1))
    assert superpose.with_growth(times, rise, None) is rise


def test_fires_whose_smoke_grows_are_put_at_the_same_moments():
    fire, home = make_fire(), make_home()
    fire.readings[:80, 0, PM25] = 8.0  # its meter shows nothing for 400 s
    growth = superpose.SmokeGrowth(100.0, 60.0, 400.0, 3000.0)
    steps, _ = superpose.superpose_fires([fire], [home])
    growing, _ = superpose.superpose_fires([fire], [home], growths=[growth])
    for step, one in zip(steps, growing, strict=True):
        assert (step.fire_s, step.start_s) == (one.fire_s, one.start_s)
        more = one.recording.readings - step.recording.readings
        assert np.nanmax(more[..., PM25]) > 0.0
        assert not np.nan_to_num(np.delete(more, PM25, axis=2)).any()
        assert np.nanmin(more[..., PM25]) >= 0.0
