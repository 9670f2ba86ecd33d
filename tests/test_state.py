"""A detector's state: saved, restored, refused, and never a difference in what is said."""

import json
import math
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_recordings import odd_recording

from saafe.detector.alarms import AlarmSettings
from saafe.detector.detector import Detector, Scorer
from saafe.detector.state import fill, to_plain
from saafe.errors import InputError
from saafe.sensors import PM25, TEMPERATURE

SETTINGS = AlarmSettings(fast=2.0, slow=0.5, steady=0.0, warn=-1.0, leave=-1.5)


def score(windows: np.ndarray) -> np.ndarray:
    """Risk from the newest particles and the window's mean temperature, so that history counts."""
    newest = np.nan_to_num(windows[:, -1, 0, PM25].astype(np.float64))
    known = np.nan_to_num(windows[:, :, 0, TEMPERATURE].astype(np.float64), nan=20.0)
    return (newest / 5.0 + known.mean(axis=1) - 20.0).clip(0.0, 100.0)


def rows_of(recording):
    for time_s, row in zip(recording.times_s.tolist(), recording.readings, strict=True):
        for sensor, readings in zip(recording.sensors, row, strict=True):
            if not np.isnan(readings).all():
                yield time_s, sensor, readings


def new_detector() -> Detector:
    return Detector(Scorer(score, SETTINGS))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), share=st.floats(0.0, 1.0))
def test_stopped_at_any_reading_it_says_the_same(seed: int, share: float) -> None:
    rows = list(rows_of(odd_recording(seed, rows=200)))
    stop = int(share * len(rows))
    whole, first, second = new_detector(), new_detector(), new_detector()
    expected, events = [], []
    for k, row in enumerate(rows):
        expected += whole.update(*row)
        if k == stop:
            second.set_state(json.loads(json.dumps(first.state())))
        events += (first if k < stop else second).update(*row)
    if stop == len(rows):
        second.set_state(json.loads(json.dumps(first.state())))
    assert json.dumps(second.state()) == json.dumps(whole.state())  # to the last bit
    assert events + second.finish() == expected + whole.finish()


def test_odd_recordings_say_many_kinds_of_event() -> None:
    said = set()
    for seed in (0, 1, 2, 3, 4):
        detector = new_detector()
        for row in rows_of(odd_recording(seed, rows=900)):
            said |= {(e["event"], e.get("reason", "")) for e in detector.update(*row)}
    assert {("alarm", ""), ("clear", ""), ("fault", "silent"), ("restored", "silent")} <= said
    assert len(said) > 8, said


def test_saved_and_restored_by_a_file(tmp_path: Path) -> None:
    rows = list(rows_of(odd_recording(1, rows=400)))
    detector = new_detector()
    for row in rows:
        detector.update(*row)
    detector.save(tmp_path / "s.json")
    again = new_detector()
    again.restore(tmp_path / "s.json")
    assert again.state() == detector.state()
    detector.save(tmp_path / "s.json")  # over itself
    assert [path.name for path in tmp_path.iterdir()] == ["s.json"]


def test_a_fresh_detector_has_a_state_too(tmp_path: Path) -> None:
    new_detector().save(tmp_path / "s.json")
    again = new_detector()
    again.restore(tmp_path / "s.json")
    assert again.now_s == -np.inf


def saved(tmp_path: Path) -> Path:
    detector = new_detector()
    for row in rows_of(odd_recording(2, rows=200)):
        detector.update(*row)
    detector.save(tmp_path / "s.json")
    return tmp_path / "s.json"


def test_another_models_state_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with pytest.raises(InputError, match="the saved state has another model: start"):
        Detector(Scorer(score, SETTINGS.moved(1.0))).restore(path)
    with pytest.raises(InputError, match="longest_interval_s None, not 600"):
        Detector(Scorer(score, SETTINGS), longest_interval_s=600.0).restore(path)


DAMAGED = {
    "cut": lambda data: data[:-20],
    "a byte": lambda data: data.replace(b'"now_s": ', b'"now_s": 1', 1),
    "empty": lambda data: b"",
    "not json": lambda data: b"\x00\xff" + data,
    "a list": lambda data: b"[]",
    "a pickle": lambda data: pickle.dumps({"state": 1}),
    "deep": lambda data: b"[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_refused_and_changes_nothing(tmp_path: Path, damage: str) -> None:
    path = saved(tmp_path)
    path.write_bytes(DAMAGED[damage](path.read_bytes()))
    detector = new_detector()
    before = detector.state()
    with pytest.raises(InputError, match="damaged"):
        detector.restore(path)
    assert detector.state() == before


def test_a_folder_that_is_not_there_is_not_called_full(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No such file or directory.*make its folder"):
        new_detector().save(tmp_path / "absent" / "kitchen.state")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        new_detector().restore(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("space", "incident"), "nobody"),  # no sensor of it
        (("streams", "A", "bin"), None),
        (("streams", "A", "bin"), 1.5),
        (("streams", "A", "history", "shape"), [1, 6]),
        (("streams", "A", "history", "dtype"), "object"),
        (("streams", "A", "before"), []),
        (("space", "sensors", "A", "test", "faulty"), {"co": 1}),
        (("space", "sensors", "A", "test", "faulty"), []),
        (("space", "sensors", "A", "rules", "doses"), []),
        (("space", "sensors", "A", "rules", "past"), [["soon", 1.0]]),
        (("space", "sensors", "A", "alarm", "alarmed"), 1),
        (("space", "now_s"), "soon"),
    ],
)
def test_a_wrong_value_is_refused_and_nothing_has_changed(place: tuple, wrong: object) -> None:
    detector = new_detector()
    for row in rows_of(odd_recording(3, rows=30)):
        detector.update(*row)
    state = json.loads(json.dumps(detector.state()))
    inner = state
    for key in place[:-1]:
        inner = inner[key]
    assert place[-1] in inner
    inner[place[-1]] = wrong
    again = new_detector()
    before = again.state()
    with pytest.raises(InputError, match="the saved state is damaged"):
        again.set_state(state)
    assert again.state() == before


def test_a_list_of_numbers_comes_back_as_it_was() -> None:
    """Also those that JSON has no words for."""
    kept, again = SimpleNamespace(times=[1, 2.5, math.inf]), SimpleNamespace(times=[])
    fill(again, json.loads(json.dumps(to_plain(kept), allow_nan=False)))
    assert again == kept


def leaves(value, path=()):
    """Places of all values in a state."""
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(one, (*path, key))
    yield path


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_state_of_the_wrong_shape_is_refused_or_taken_whole(data) -> None:
    """Whatever stands in a place, there is an InputError or a detector; nothing else is raised."""
    detector = new_detector()
    for row in rows_of(odd_recording(3, rows=30)):
        detector.update(*row)
    state = json.loads(json.dumps(detector.state()))
    place = data.draw(st.sampled_from([path for path in leaves(state) if path]))
    wrong = data.draw(st.sampled_from([None, "x", [], {}, [[]], {"a": 1}, True, -1, 1e300]))
    inner = state
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = wrong
    again = new_detector()
    before = again.state()
    try:
        again.set_state(state)
    except InputError:
        assert again.state() == before


@pytest.mark.parametrize("state", [None, [], "state", 3])
def test_what_is_no_state_is_refused_in_one_line(state: object) -> None:
    with pytest.raises(InputError, match="set_state: takes what `state` gave, got"):
        new_detector().set_state(state)  # type: ignore[arg-type]
