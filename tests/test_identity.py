"""The identity probe sees sources that differ, and none where there is none."""

import importlib.util
import sys

import numpy as np
import pytest

from saafe import windows
from saafe.errors import InputError
from saafe.exam import identity
from saafe.exam.identity import Quiet
from saafe.metrics import proportion_bounds
from saafe.recordings.recording import Recording
from saafe.recordings.superpose import Home
from saafe.sensors import CHANNELS, CO2, TEMPERATURE

pytest.importorskip("sklearn", reason="needs saafe[rivals]")


def quiet(seed: int, *, warmth: float = 22.0) -> Quiet:
    random = np.random.default_rng(seed)
    windows = np.full((60, 60, 1, len(CHANNELS)), np.nan, np.float32)
    day = np.repeat(np.arange(12), 5)
    level = random.normal(0.0, 1.0, 12)[day]
    windows[..., TEMPERATURE] = (warmth + level)[:, None, None]
    windows[..., CO2] = random.uniform(400.0, 800.0, (60, 1, 1))
    return Quiet(windows, day)


def test_sources_that_differ_are_told_apart() -> None:
    found = identity.probe({"a": quiet(1), "b": quiet(2, warmth=30.0)}, seed=0)
    assert found["accuracy"]["value"] > 0.95
    assert found["chance"] == pytest.approx(0.5)
    assert sum(map(sum, found["confusion"])) == found["windows"] == 60


def test_sources_alike_are_not_told_apart() -> None:
    found = identity.probe({"a": quiet(1), "b": quiet(2)}, seed=0)
    assert found["accuracy"]["value"] < 0.75


def test_a_hidden_channel_tells_nothing() -> None:
    both = {"a": quiet(1), "b": quiet(2, warmth=30.0)}
    found = identity.probe(both, seed=0, channels=[CO2])
    assert found["accuracy"]["value"] < 0.75


def test_one_source_or_one_day_is_refused() -> None:
    one_day = Quiet(quiet(1).windows, np.zeros(60, np.int64))
    for sources in ({"a": quiet(1)}, {"a": quiet(1), "b": one_day}):
        with pytest.raises(InputError, match="two sources or more"):
            identity.probe(sources, seed=0)


def test_without_a_forest_the_probe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(InputError, match="needs scikit-learn"):
        identity.probe({"a": quiet(1), "b": quiet(2)}, seed=0)


def test_a_home_that_always_cooks_is_refused_and_ends_no_exam() -> None:
    home = still_home("1", 18.0, days=3)
    busy = Home(home.recording, ((0.0, float(home.recording.times_s[-1])),))
    assert len(identity.quiet_of_home(busy, seed=0).windows) == 0
    with pytest.raises(InputError, match="two sources or more"):
        identity.examine_identity([home, busy], 0)


def test_quiet_windows_of_a_home_know_no_cooking() -> None:
    times = np.arange(0.0, 2 * 86_400.0, 60.0)
    readings = np.full((len(times), 1, len(CHANNELS)), np.nan, np.float32)
    readings[:, 0, TEMPERATURE] = 20.0
    cooking = (times >= 40_000.0) & (times <= 42_000.0)
    readings[cooking, 0, TEMPERATURE] = 99.0
    home = Home(Recording("h", times, ("A",), readings), ((40_000.0, 42_000.0),))
    found = identity.quiet_of_home(home, seed=0)
    assert len(found.windows) == 2 * identity.WINDOWS_OF_A_GROUP
    assert np.nanmax(found.windows) == 20.0


@pytest.mark.parametrize(("after_min", "some"), [(29, False), (31, True)])
def test_half_an_hour_after_cooking_is_left_out_once(after_min: int, some: bool) -> None:
    cooked_s, history_s = 600.0, windows.SPAN * windows.BIN_S
    times = np.arange(0.0, cooked_s + 60.0 * after_min + history_s + 1.0, 60.0)
    readings = np.full((len(times), 1, len(CHANNELS)), 20.0, np.float32)
    home = Home(Recording("h", times, ("A",), readings), ((0.0, cooked_s),))
    assert bool(len(identity.quiet_of_home(home, seed=0).windows)) is some


def still_home(name: str, warmth: float, days: int = 12) -> Home:
    """Days in which nothing happens but a little noise."""
    times = np.arange(0.0, days * 86_400.0, 60.0)
    readings = np.full((len(times), 1, len(CHANNELS)), np.nan, np.float32)
    random = np.random.default_rng(0)
    readings[:, 0, TEMPERATURE] = warmth + random.normal(0.0, 0.2, len(times))
    return Home(Recording(name, times, ("A",), readings), ())


def test_homes_are_examined_with_and_without_simulation() -> None:
    homes = [still_home("1", 18.0), still_home("2", 25.0)]
    found = identity.examine_identity(homes, 0)
    both, common, against = found["rows"]
    assert [row.sources.split(",")[0] for row in found["rows"]][:2] == ["homes", "homes"]
    for row in (both, common):
        assert row.right_share == 1.0
        assert row.chance_share == pytest.approx(0.5, abs=0.02)
        assert row.told_apart
    # half of 24 days are judged, for days of two homes are 24 groups and not twelve
    assert against.windows == (12 + identity.SIMULATED_STREAMS // 2) * identity.WINDOWS_OF_A_GROUP
    # twelve days of two homes in three probes, and the simulated streams in one
    simulated = identity.SIMULATED_STREAMS * identity.WINDOWS_OF_A_GROUP
    assert found["windows"] == 3 * 24 * identity.WINDOWS_OF_A_GROUP + simulated
    assert "chance" in found["means"]


def test_two_days_tell_no_homes_apart() -> None:
    """Each is told rightly, but two right guesses are what chance gives once in four times."""
    homes = [still_home("1", 18.0, days=3), still_home("2", 25.0, days=3)]
    both = identity.examine_identity(homes, 0)["rows"][0]
    assert both.right_share == 1.0
    assert not both.told_apart


def test_homes_alike_are_not_said_to_be_told_apart() -> None:
    found = {"windows": 50, "accuracy": {"value": 0.6, "lower": 0.45, "upper": 0.75},
             "chance": 0.5, "confusion": [[15, 10], [10, 15]]}  # fmt: skip
    assert identity.identity_row("homes", found).told_apart is False


def test_bounds_are_wider_where_windows_of_a_day_are_alike() -> None:
    found = identity.probe({"a": quiet(1), "b": quiet(2, warmth=23.0)}, seed=0)["accuracy"]
    assert found["lower"] < found["value"] < found["upper"]
    right = round(found["value"] * 60)
    assert found["upper"] - found["lower"] > np.ptp(proportion_bounds(right, 60)[1:])


def test_quiet_simulation_has_a_group_a_stream() -> None:
    found = identity.quiet_of_simulation(0, streams=3)
    assert found.windows.shape == (60, 60, 1, len(CHANNELS))
    assert np.unique(found.groups).tolist() == [0, 1, 2]
