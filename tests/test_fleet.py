"""A fleet says of each space what a detector of its own says of the same rows."""

import json
import random

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saafe.detector import AlarmSettings, Detector, Model, Scorer
from saafe.errors import InputError
from saafe.recipes import changed, find_tier
from saafe.recordings import RowReader
from saafe.sensors import MAX_SENSORS
from saafe.serving import views
from saafe.serving.fleet import Arrival, Fleet, iso_time
from saafe.training.model import FireTransformer
from saafe.training.runs import Run
from saafe.windows import DAY_S

CALM = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())


def risk_of_particles(windows: np.ndarray) -> np.ndarray:
    return np.nan_to_num(windows[:, -1, 0, 1].astype(np.float64) / 10.0).clip(0.0, 100.0)


PARTICLES = Scorer(risk_of_particles, AlarmSettings(fast=2.0, leave=-2.0))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.manual_seed(0)
    recipe = changed(find_tier("ultra-fast"), ("width=16", "layers=1", "heads=2"))
    # random weights say something of everything: low thresholds give many events
    alarms = AlarmSettings(fast=-0.9, slow=-1.0, steady=-1.0, warn=-1.1, leave=-1.0)
    model = FireTransformer(recipe).eval()
    return Run(tmp_path_factory.mktemp("run"), recipe, model, alarms)


def alone(model: Model, rows: list[Arrival], end_s: float) -> list[dict]:
    """The events of one space by a detector of its own, as a live stream gives them."""
    reader, detector, events = RowReader(), Detector(model), []
    for one in rows:
        if one.is_acknowledgement:
            events += detector.tick(reader.clock.now_s(one.arrived_s))
            events += detector.acknowledge() if detector.space.is_raised else []
            continue
        row = reader.take(one.sensor, one.cells, one.arrived_s)
        events += detector.update(
            row.time_s, row.sensor, row.readings, row.refused, now_s=row.now_s
        )
    return events + detector.tick(reader.clock.now_s(end_s))


def bare(events: list[dict], origin_s: float) -> list[dict]:
    """Events by stream time, as a detector gives them."""
    return [
        {k: v for k, v in event.items() if k not in ("space", "time")}
        | {"time_s": pytest.approx(event["time_s"] - origin_s, abs=0.11)}
        for event in events
    ]


@st.composite
def fleets(draw: st.DrawFn) -> list[Arrival]:
    """Readings of a few spaces as they come: fires, words, gaps, uploads, acknowledgements."""
    rng = random.Random(draw(st.integers(0, 10**6)))
    out = []
    for number in range(draw(st.integers(1, 5))):
        period_s = rng.choice([1.0, 7.0, 10.0, 60.0])
        names = rng.choice([("A",), ("A", "B")])
        fire_s = rng.uniform(0.0, 60.0 * period_s)
        late_s = rng.choice([0.0, 0.0, 30.0])
        for k in range(60):
            for name in names:
                if rng.random() < 0.1:
                    continue
                t = period_s * k + rng.choice([0.0, 0.3])
                hot = max(t - fire_s, 0.0)
                cells = {
                    "temperature_c": f"{21 + min(0.3 * hot, 60):.2f}",
                    "pm25_ug_m3": rng.choice([f"{7 + min(10 * hot, 2000):.1f}"] * 9 + ["nan"]),
                    "co2_ppm": f"{560 + rng.gauss(0, 3):.1f}",
                    "time_s": f"{t:.1f}",
                }
                came_s = 1e9 + late_s * np.ceil(t / late_s) if late_s else 1e9 + t
                out.append(Arrival(f"s{number}", name, cells, float(came_s)))
            if rng.random() < 0.02:
                out.append(Arrival(f"s{number}", "", {}, 1e9 + period_s * k + late_s, True))
    out.sort(key=lambda one: one.arrived_s)
    first = {}
    for one in out:  # a space begins with a reading
        first.setdefault(one.space, one)
    return [one for one in out if not first[one.space].is_acknowledgement]


def played(fleet: Fleet, readings: list[Arrival], batches: random.Random) -> list[dict]:
    """Events of readings that come in batches, the clock going on between them."""
    events, at = [], 0
    while at < len(readings):
        part = readings[at : at + batches.randint(1, 40)]
        part = [one._replace(sensor=one.sensor or "A") for one in part]
        while (due := fleet.next_due()) < part[0].arrived_s:
            events += fleet.tick(due)
        events += fleet.take(part)
        at += len(part)
    return events


def check_same(model: Model, readings: list[Arrival], seed: int) -> int:
    end_s = max(one.arrived_s for one in readings) + 9_000.0
    fleet = Fleet(model)
    events = played(fleet, readings, random.Random(seed))
    while (due := fleet.next_due()) <= end_s:
        events += fleet.tick(due)
    for name in fleet.spaces:
        own = [one for one in readings if one.space == name]
        said = [event for event in events if event["space"] == name]
        assert bare(said, fleet.spaces[name].origin_s) == alone(model, own, end_s)
        assert [e["time_s"] for e in said] == sorted(e["time_s"] for e in said)
    return len(events)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(fleets(), st.integers(0, 100))
def test_a_fleet_says_what_single_detectors_say(readings: list[Arrival], seed: int) -> None:
    check_same(PARTICLES, readings, seed)


@pytest.mark.parametrize(("particles", "is_muted"), [("7", False), ("900", True)])
def test_acknowledging_mutes_the_model_only_where_something_is_raised(
    particles: str, is_muted: bool
) -> None:
    """One press on a calm space muted the model through the fire that began a minute later."""
    fleet = Fleet(PARTICLES)
    rows = [
        Arrival("den", "A", {"pm25_ug_m3": particles if k < 60 else "900"}, 1e9 + 10 * k)
        for k in range(90)
    ]
    before = fleet.take(rows[:60])
    for k in range(3):  # twice is once
        fleet.take([Arrival("den", "-", {}, 1e9 + 595 + k, is_acknowledgement=True)])
    until_s = fleet.spaces["den"].detector.space.hushed_until_s
    assert until_s == (pytest.approx(595 + 600) if is_muted else -np.inf)
    assert bool(before) == is_muted
    said = [event["event"] for event in fleet.take(rows[60:])]
    assert ("alarm" in said) == (not is_muted)


def test_an_acknowledgement_mutes_the_model_for_sensors_too_that_come_after_it() -> None:
    """The space was said to be quiet for ten minutes, and a sensor that began to send alarmed."""
    fleet = Fleet(PARTICLES)

    def smoke(sensor: str, start_s: float, count: int) -> list[dict]:
        rows = [Arrival("den", sensor, {"pm25_ug_m3": "900"}, start_s + 10 * k)
                for k in range(count)]  # fmt: skip
        return [event for event in fleet.take(rows) if event["event"] == "alarm"]

    assert smoke("A", 1e9, 60)
    fleet.take([Arrival("den", "-", {}, 1e9 + 600, is_acknowledgement=True)])
    assert fleet.spaces["den"].hushed_until_s == pytest.approx(1e9 + 1200)
    assert not smoke("B", 1e9 + 610, 58)
    assert fleet.spaces["den"].hushed_until_s == pytest.approx(1e9 + 1200)
    assert [event["sensor"] for event in smoke("B", 1e9 + 1190, 10)] == ["B"]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("lags_s", [(60, 10), (60, 60), (10, 60), (170, 0), (0, 0)])
def test_until_when_it_is_quiet_is_told_once_and_holds(
    lags_s: tuple[float, float], restarts: bool
) -> None:
    """Readings that came to lag less moved the moment: 18:09:15, and then 18:08:21."""
    lag_s, later_s = lags_s

    def reading(k: int) -> Arrival:
        came_s = 1e9 + 10 * k
        own_s = came_s - (lag_s if k < 75 else later_s)
        return Arrival("den", "A", {"pm25_ug_m3": "900", "time_s": repr(own_s)}, came_s)

    fleet = Fleet(PARTICLES)
    assert fleet.take([reading(k) for k in range(60)]), "an alarm"
    fleet.take([Arrival("den", "-", {}, 1e9 + 595, is_acknowledgement=True)])
    told, alarms = [], []
    for k in range(60, 140):
        if restarts and k % 20 == 0:  # as after one
            state = json.loads(json.dumps(fleet.spaces["den"].state()))
            fleet = Fleet(PARTICLES)
            fleet.watched("den").set_state(state)
        found = [one["event"] == "alarm" for one in fleet.take([reading(k)])]
        until = views.summary(fleet.spaces["den"], 1e9 + 10 * k)["acknowledged_until"]
        told += [until]
        alarms += [k] * any(found)
    assert {*told} == {iso_time(1e9 + 595 + 600), None}
    state = fleet.spaces["den"].state()
    del state["hushed_until_s"]  # as older states
    fleet.watched("older").set_state(state)
    assert fleet.spaces["older"].hushed_until_s == pytest.approx(1195 + 1e9, abs=lag_s + 10)
    over = told.index(None)
    assert not any(told[over:]), "and is over once"
    assert alarms[0] - 60 >= over, "while it is told no alarm comes"
    assert 595 + 600 - max(lag_s - later_s, 0) - 10 <= 10 * (60 + over) <= 595 + 600 + 10


def test_a_fleet_says_what_single_detectors_say_with_a_real_model(run: Run) -> None:
    counts = []

    @settings(max_examples=6, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(fleets(), st.integers(0, 100))
    def check(readings: list[Arrival], seed: int) -> None:
        counts.append(check_same(run, readings, seed))

    check()
    assert sum(counts) > 20  # it had something to say


def test_windows_that_are_due_together_are_scored_together() -> None:
    sizes = []

    def score(windows: np.ndarray) -> np.ndarray:
        sizes.append(len(windows))
        return np.zeros(len(windows))

    fleet = Fleet(Scorer(score, AlarmSettings()))
    names = [f"s{k}" for k in range(100)]
    for t in (0.0, 10.0, 20.0):
        fleet.take([Arrival(name, "A", {"temperature_c": "21", "time_s": f"{t}"}, 1e9 + t)
                    for name in names])  # fmt: skip
    assert sizes == [100, 100, 100]


def test_a_sensor_that_is_known_to_be_away_is_silent_at_once() -> None:
    """A dead one stayed calm for an hour and a half, where the device may pause so long."""
    fleet = Fleet(CALM, longest_interval_s=3600.0)

    def reading(sensor: str, at_s: float) -> Arrival:
        return Arrival("den", sensor, {"temperature_c": "21"}, 1e9 + at_s)

    def offline(space: str, sensor: str, at_s: float) -> Arrival:
        return Arrival(space, sensor, {}, 1e9 + at_s, is_offline=True)

    def said(*arrivals: Arrival) -> list[tuple]:
        return [(e["event"], e["sensor"], e["channel"], e["reason"], e["time_s"] - 1e9)
                for e in fleet.take(arrivals)]  # fmt: skip

    silent = ("all", "silent")
    assert said(offline("den", "A", -5.0)) == [], "of what nobody watches nothing is made"
    assert not fleet.spaces
    one = offline("den", "A", 20.0)
    found = said(reading("A", 0.0), reading("B", 0.0), reading("A", 10.0), one)
    assert found == [("fault", "A", *silent, 20.0)]
    assert not fleet.counts(one), "the fault is kept, not how it came about"
    assert said(offline("den", "A", 30.0), offline("den", "?", 30.0)) == []
    assert set(fleet.spaces["den"].detector.space.sensors) == {"A", "B"}
    assert said(reading("B", 40.0)) == [], "another's reading ends nothing"
    assert said(reading("A", 50.0)) == [("restored", "A", *silent, 50.0)]
    found = said(offline("den", "A", 60.0), reading("A", 70.0))
    assert [kind for kind, *_ in found] == ["fault", "restored"], "in their order"
    silences = [e for e in fleet.tick(1e9 + 6000.0) if e["event"] == "fault"]
    assert [e["time_s"] - 1e9 for e in silences] == [40.0 + 5400.0, 70.0 + 5400.0]


def test_readings_of_one_sensor_that_come_a_channel_each_are_one() -> None:
    """As ESPHome sends them; two lone messages are no second reading of one channel."""
    fleet = Fleet(CALM)
    columns = [("temperature_c", "21"), ("pm25_ug_m3", "7"), ("humidity_pct", "45")]
    for k in range(30):
        for j, (column, cell) in enumerate(columns):
            assert not fleet.take([Arrival("den", "A", {column: cell}, 1e9 + 60 * k + 0.02 * j)])
    watched = fleet.spaces["den"].detector.space.sensors["A"]
    assert watched.test.period_s == pytest.approx(60.0, abs=0.1)


def test_a_reading_at_its_time_by_our_clock() -> None:
    fleet = Fleet(CALM)
    events = []
    for k in range(3):
        events += fleet.take([Arrival("den", "shelf", {"temperature_c": "70"}, 1.7e9 + 10 * k)])
    (alarm,) = events
    assert alarm["sensor"] == "shelf"
    assert (alarm["time_s"], alarm["time"]) == (1.7e9 + 10.0, "2023-11-14T22:13:30.0Z")
    assert iso_time(1.7e9) == "2023-11-14T22:13:20.0Z"


WRONG = [
    (Arrival("", "A", {"temperature_c": "1"}, 0.0), "space"),
    (Arrival("x" * 101, "A", {"temperature_c": "1"}, 0.0), "space"),
    (Arrival("a", "b\n", {"temperature_c": "1"}, 0.0), "sensor"),
    (Arrival("a", "A", {"temperature": "1"}, 0.0), "column"),
    (Arrival("b", "A", {}, 0.0, True), "not watched"),
]


@pytest.mark.parametrize(("one", "why"), WRONG)
def test_readings_that_cannot_be_taken_are_refused(one: Arrival, why: str) -> None:
    with pytest.raises(InputError, match=why):
        Fleet(CALM).take([one])


def test_a_fleet_has_an_end() -> None:
    fleet = Fleet(CALM, most_spaces=2)
    fleet.take([Arrival(name, "A", {"temperature_c": "21"}, 1e9) for name in "ab"])
    assert fleet.admit(Arrival("a", "A", {}, 1e9)) == ""
    with pytest.raises(InputError, match="one more than 2 spaces"):
        fleet.take([Arrival("c", "A", {"temperature_c": "21"}, 1e9)])
    with pytest.raises(InputError, match="longest interval"):
        Fleet(CALM, longest_interval_s=0.1)


@pytest.mark.parametrize("age_s", [3600.0, 2.5 * DAY_S, 29 * DAY_S])
def test_an_upload_is_shown_where_it_belongs(age_s: float) -> None:
    fleet, now_s = Fleet(CALM), 1.7e9
    rows = [
        Arrival("den", "A", {"temperature_c": cell, "time_s": f"{now_s - age_s + 10 * k}"}, now_s)
        for k, cell in enumerate(["70"] * 3 + ["21"] * 60)
    ]
    (alarm, clear) = fleet.take(rows)
    assert alarm["time_s"] == now_s - age_s + 10.0
    assert alarm["time_s"] < clear["time_s"] < now_s - age_s + 630.0


@pytest.mark.parametrize("age_s", [3600.0, 2.5 * DAY_S, 29 * DAY_S])
@pytest.mark.parametrize("uploaded", [1, 60])
def test_what_comes_live_after_an_upload_is_of_now(age_s: float, uploaded: int) -> None:
    """Also after one old reading, as a bridge says again what it had kept."""
    fleet, now_s = Fleet(CALM), 1.7e9
    step_s = age_s / uploaded
    for k in range(uploaded):
        cells = {"temperature_c": "21", "time_s": f"{now_s - age_s + step_s * k}"}
        fleet.take([Arrival("den", "A", cells, now_s)])
    events = []
    for k in range(3):
        cells = {"temperature_c": "70", "time_s": f"{now_s + 30.0 + 10 * k}"}
        events += fleet.take([Arrival("den", "A", cells, now_s + 30.0 + 10 * k)])
    alarms = [event["time_s"] for event in events if event["event"] == "alarm"]
    assert alarms == [pytest.approx(now_s + 45.0, abs=15.0)]


@pytest.mark.parametrize("own_s", [0.0, 1.7e9 - 31 * DAY_S, 1.7e9 + 3600.0])
def test_a_clock_that_is_far_off_is_not_believed(own_s: float) -> None:
    fleet, now_s = Fleet(CALM), 1.7e9
    rows = [Arrival("hall", "A", {"temperature_c": "70", "time_s": f"{own_s + 10 * k}"}, now_s)
            for k in range(3)]  # fmt: skip
    (alarm,) = fleet.take(rows)
    assert alarm["time_s"] == now_s + 10.0


def sensor_arrival(name: str, t: float, space: str = "hall") -> Arrival:
    return Arrival(space, name, {"temperature_c": "21"}, 1e9 + t)


@pytest.mark.parametrize("are_taken", [True, False])
def test_sensors_beyond_what_a_space_may_have_are_refused(are_taken: bool) -> None:
    """Also where all of them come together, before any is taken."""
    fleet = Fleet(CALM)
    for number in range(MAX_SENSORS):
        one = sensor_arrival(f"S{number}", 0.0)
        assert fleet.admit(one) == ""
        if are_taken:
            fleet.take([one])
    why = f"one more than {MAX_SENSORS} sensors in space 'hall'; make two of it"
    assert fleet.admit(sensor_arrival("another", 1.0)) == why
    assert fleet.admit(sensor_arrival("S0", 1.0)) == ""
    assert fleet.admit(sensor_arrival("another", 1.0, space="den")) == ""
    restored = Fleet(CALM)
    if are_taken:
        restored.watched("hall").set_state(fleet.spaces["hall"].state())
        assert restored.admit(sensor_arrival("another", 1.0)) == why


@pytest.mark.parametrize(
    "risk", [None, [], [0], [0, None], ["0", [0.0] * 740], [0, [0.0] * 3], [0, ["high"] * 740]]
)
def test_a_state_of_another_curve_of_risk_is_refused_and_changes_nothing(risk: object) -> None:
    """It ended the service as it started, by a traceback."""
    fleet, fresh = Fleet(CALM), Fleet(CALM).watched("hall")
    fleet.take([sensor_arrival("A", 0.0)])
    with pytest.raises(InputError, match="the saved state of hall cannot be used"):
        fresh.set_state({**fleet.spaces["hall"].state(), "risk": risk})
    assert not fresh.detector.streams
    fresh.set_state(fleet.spaces["hall"].state())
    assert list(fresh.detector.streams) == ["A"]


def test_spaces_around_a_sensors_name_make_no_other_sensor() -> None:
    fleet = Fleet(CALM)
    fleet.take([sensor_arrival(name, t) for t, name in enumerate(("A", " A", "A "))])
    assert list(fleet.spaces["hall"].detector.space.sensors) == ["A"]
