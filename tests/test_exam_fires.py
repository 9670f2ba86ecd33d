"""The fire matrix: limits, outcomes and references on streams whose answers are known."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from saafe import metrics
from saafe.detector.alarms import AlarmSettings
from saafe.exam import fire_matrix, fires, outcomes
from saafe.exam.fire_matrix import (
    against_references,
    by_notice,
    delay_quantiles,
    egress,
    egress_part,
    fire_row,
    not_later_than_best,
)
from saafe.exam.fires import AS_MADE, FireResult, FireTrial, air_limit, draw_fires, try_fire
from saafe.exam.judging import Judged
from saafe.exam.results import plain_values
from saafe.exam.session import Session, Stage
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNELS, CO, FIRE, PM25, TEMPERATURE
from saafe.simulator import streams
from saafe.simulator.scenarios import Mix

TIMES = np.arange(0.0, 7200.0, 10.0)
SETTINGS = AlarmSettings(fast=3.0, slow=2.0, warn=1.0, leave=0.0)


def hot(windows: np.ndarray) -> np.ndarray:
    """Risk from the newest temperature alone: nearly 100 % from 26 degC on."""
    return np.where(windows[:, -1, 0, TEMPERATURE] >= 26.0, 99.9, 0.1).astype(np.float64)


def blind(windows: np.ndarray) -> np.ndarray:
    return np.full(len(windows), 0.1)


def session(score=hot) -> Session:
    return Session(Judged("a thermometer", score, SETTINGS), 0, device="saafe-6")


def air(**rises: float) -> np.ndarray:
    """True air that rises in a line from 3,600 s on, by so much an hour. (time, channel)"""
    out = np.zeros((len(TIMES), len(CHANNELS)))
    out[:, TEMPERATURE], out[:, PM25] = 20.0, 10.0
    names = {"temperature": TEMPERATURE, "pm25": PM25, "co": CO}
    for name, rise in rises.items():
        out[:, names[name]] += rise * np.maximum(TIMES - 3600.0, 0.0) / 3600.0
    return out


OD05 = 1e6 * 0.05 * math.log(10.0) / 8.7  # ug/m3


@pytest.mark.parametrize(
    ("flames_from_s", "rises", "limit"),
    [
        (0.0, {"temperature": 40.0}, 3600.0 + 1800.0 + 30.0),
        (0.0, {"temperature": 10.0}, None),
        (0.0, {"pm25": 1e6}, None),
        (math.inf, {"temperature": 10.0}, 3600.0 + 1800.0),
        (math.inf, {"pm25": 10 * OD05}, 3600.0 + 1010.0),  # OD 0.14
        (math.inf, {"pm25": 2 * OD05}, 3600.0 + 1800.0 + 1800.0),
        (math.inf, {"pm25": 0.5 * OD05}, None),
        # the mode at the time: OD 0.05 while it smouldered counts on, +20 K once it flames
        (5410.0, {"pm25": 2 * OD05}, 3600.0 + 1800.0 + 1800.0),
        (5300.0, {"pm25": 2 * OD05}, None),
        (5410.0, {"pm25": 2 * OD05, "temperature": 36.0}, 3600.0 + 500.0),  # +5 K, smouldering
        (3800.0, {"temperature": 40.0}, 3600.0 + 1800.0 + 30.0),
        (5500.0, {"temperature": 40.0}, 3600.0 + 450.0),
    ],
)
def test_limits_of_the_scoring_rules(
    flames_from_s: float, rises: dict, limit: float | None
) -> None:
    readings = air(**rises)
    density = 8.7e-6 / np.log(10.0) * readings[:, PM25]
    at = air_limit(TIMES, readings, density, flames_from_s <= TIMES, 361)
    assert (at is None) == (limit is None)
    assert limit is None or at == pytest.approx(limit, abs=10.0)


def trial(temperature: np.ndarray, **changed: Any) -> FireTrial:
    readings = np.full((len(TIMES), 1, len(CHANNELS)), np.nan, np.float32)
    readings[:, 0, TEMPERATURE] = temperature
    values: dict[str, Any] = {
        "name": "made up", "recording": Recording("r", TIMES, ("A",), readings),
        "burning_s": 3600.0, "shown_s": 3700.0, "limit_s": 4200.0, "period_s": 10.0,
        "channels_shown_s": np.full(len(CHANNELS), math.inf), "references_s": sounding(),
        "beside_fire": True, "untenable_s": dict.fromkeys(("gas", "heat", "visibility")),
    }  # fmt: skip
    return FireTrial(**(values | changed))


def sounding(**at_s: float) -> dict[str, tuple[float, ...]]:
    """Reference alarms: when each sounds, a minute sooner and later at other sensitivities."""
    silent = dict.fromkeys(fires.REFERENCES, (math.inf,) * 3)
    return silent | {name: (time + 60.0, time, time - 60.0) for name, time in at_s.items()}


def row_of(results: list[FireResult]) -> fire_matrix.FireRow:
    return fire_row(fires.DrawnFires("made up", []), results)


@pytest.mark.parametrize(
    ("warm_from_s", "outcome"),
    [
        (2000.0, outcomes.EARLY),
        (3700.0, outcomes.IN_TIME),
        (4200.0, outcomes.IN_TIME),  # alarm at 4,210: one report after the limit
        (4210.0, outcomes.LATE),
        (1e9, outcomes.MISSED),
    ],
)
def test_outcomes(warm_from_s: float, outcome: str) -> None:
    made = trial(np.where(warm_from_s <= TIMES, 27.0, 20.0))
    result, detection = try_fire(session(), made, floor=True)
    assert result.outcome == outcome
    assert (detection.times_s >= made.burning_s - fires.EARLY_FROM_S).all()
    assert result.floor_s is None


def test_a_slow_sensor_may_be_a_minute_late_and_no_more() -> None:
    for period_s, latest_s in ((10.0, 4210.0), (60.0, 4260.0), (900.0, 4260.0), (math.inf, 4260.0)):
        made = trial(np.full(len(TIMES), 20.0), period_s=period_s)
        assert made.latest_s == latest_s
        assert fires.trial_outcome(made, latest_s) == outcomes.IN_TIME
        assert fires.trial_outcome(made, latest_s + 1.0) == outcomes.LATE
    assert fires.trial_outcome(made, made.burning_s) == outcomes.IN_TIME
    assert fires.trial_outcome(made, made.burning_s - 1.0) == outcomes.EARLY


def test_the_floor_alarms_where_the_model_does_not() -> None:
    made = trial(np.where(TIMES >= 3700.0, 70.0, 20.0))
    for score in (hot, blind):
        result, _ = try_fire(session(score), made, floor=True)
        assert result.floor_s == 3710.0
        assert result.alarm_s is not None
        assert result.alarm_s <= 3710.0
        assert row_of([result]).floor_suppressed == 0


def test_a_suppressed_floor_is_counted() -> None:
    made = trial(np.full(len(TIMES), 20.0))
    row = row_of([FireResult(made, outcomes.MISSED, None, 4000.0),
                       FireResult(made, outcomes.LATE, 4100.0, 4000.0),
                       FireResult(made, outcomes.IN_TIME, 4000.0, 4000.0)])  # fmt: skip
    assert row.floor_suppressed == 2


def test_row_of_results() -> None:
    untenable = {"gas": None, "heat": 4500.0, "visibility": 4400.0}
    made = trial(
        np.full(len(TIMES), 20.0), references_s=sounding(photo=4000.0), untenable_s=untenable
    )
    results = [FireResult(made, outcomes.IN_TIME, 3900.0 + 100.0 * k, None) for k in range(3)]
    results.append(FireResult(made, outcomes.MISSED, None, None))
    row = row_of(results)
    bounds = metrics.proportion_bounds(3, 4)
    assert (row.n, row.in_time, row.missed, row.early, row.late) == (4, 3, 1, 0, 0)
    assert (row.in_time_lower, row.in_time_upper) == (bounds.lower, bounds.upper)
    plain = plain_values(row)
    assert (plain["photo_n"], plain["heat_n"]) == (4, 0)
    # the higher of the middle two, a miss is infinite
    assert plain["after_photo_median_s"] == 100.0
    assert plain["after_photo_p90_s"] is None
    assert plain["with_pm25_after_photo_median_s"] is None  # it has no particle sensor
    assert (plain["fire_room_untenable_n"], plain["other_rooms_untenable_n"]) == (4, 0)
    assert plain["fire_room_egress_median_s"] == 300.0
    assert plain["fire_room_egress_p10_s"] is None
    assert (plain["sounded"], plain["not_later"], plain["not_shown"]) == (4, 2, 0)
    assert plain["after_shown_median_s"] == 400.0


def test_results_are_told_apart_by_how_long_a_fire_could_be_seen() -> None:
    flat = np.full(len(TIMES), 20.0)
    made = [trial(flat, shown_s=4200.0 - notice) for notice in (0.0, 29.0, 30.0, 900.0, 3000.0)]
    unseen = [trial(flat, shown_s=shown_s) for shown_s in (4201.0, math.inf)]
    frying = replace(made[0], name=fires.OIL_WHILE_FRYING)
    results = [FireResult(one, outcomes.LATE, 4001.0, None) for one in [*made[:2], frying]]
    results += [FireResult(one, outcomes.IN_TIME, 3990.0, None) for one in made[2:]]
    results += [FireResult(one, outcomes.MISSED, None) for one in unseen]
    rows = by_notice(results)
    assert [(row.n, row.in_time, row.late) for row in rows] == [
        (2, 0, 2), (1, 1, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (2, 2, 0), (2, 0, 0),
    ]  # fmt: skip
    assert rows[2].in_time_share is None
    assert rows[-2].notice_below_s is None
    assert sum(row.n for row in rows) == len(results) - 1, "each fire stands in one row"
    # a fire that no reading shows by its limit counts, and is said to be so
    assert row_of(results).n == len(results)
    assert row_of(results).not_shown == 1  # the other shows within a report of the limit


def test_no_later_than_the_best_reference_alarm() -> None:
    flat = np.full(len(TIMES), 20.0)
    made = trial(flat, references_s=sounding(photo=4000.0, heat=3900.0))
    silent = trial(flat)
    results = [FireResult(made, outcomes.IN_TIME, alarm_s) for alarm_s in (3910.0, 3911.0, None)]
    results.append(FireResult(silent, outcomes.IN_TIME, 4000.0))
    assert not_later_than_best(results) == [True, False, False]  # by a report at most
    assert not_later_than_best(results, AS_MADE - 1) == [True, True, False]  # duller alarms
    assert not_later_than_best(results, AS_MADE + 1) == [False, False, False]
    part = against_references(results)
    assert part["not_later_than_best"]["at_1"]["value"] == pytest.approx(1 / 3)
    assert part["in_time_share"]["at_1"] == {
        "photo": 0.75, "ionisation": 0.0, "heat": 0.75, "co": 0.0}  # fmt: skip


def test_time_to_get_out_is_of_kinds_that_leave_it() -> None:
    flat = np.full(len(TIMES), 20.0)
    slow = [trial(flat, name="slow", untenable_s={"gas": 3600.0 + 300.0 + k}) for k in range(20)]
    fast = [trial(flat, name="fast", untenable_s={"gas": 3700.0},
                  references_s=sounding(photo=3650.0)) for k in range(20)]  # fmt: skip
    results = [FireResult(one, outcomes.IN_TIME, 3700.0) for one in slow]
    results += [FireResult(one, outcomes.IN_TIME, 3655.0) for one in fast]
    found = egress_part(results, 0)
    assert (found["slow_kinds"], found["fast_kinds"]) == (["slow"], ["fast"])
    assert found["fire_room"]["value"] == 201.0  # the second shortest of twenty
    assert found["other_rooms"]["n"] == 0
    assert found["fast"]["value"] == 5.0  # ten seconds after the best alarm at the latest
    assert found["fire_room"]["lower"] <= 201.0 <= found["fire_room"]["upper"]
    missed = [FireResult(one, outcomes.MISSED, None) for one in slow[:4]]
    assert egress_part([*results[4:], *missed], 0)["fire_room"]["value"] == -math.inf


def test_egress_counts_alarms_that_came_too_late() -> None:
    made = trial(np.full(len(TIMES), 20.0), untenable_s={"gas": 4000.0}, beside_fire=False)
    row = egress([FireResult(made, outcomes.LATE, 4100.0, None),
                  FireResult(made, outcomes.IN_TIME, 3900.0, None)])  # fmt: skip
    assert row["other_rooms_alarm_too_late"] == 1
    assert row["fire_room_untenable_n"] == 0


def test_delays_of_misses_are_infinite() -> None:
    assert delay_quantiles("x", [1.0, math.inf, math.inf]) == {"x_median_s": None, "x_p90_s": None}
    assert delay_quantiles("x", []) == {"x_median_s": None, "x_p90_s": None}
    assert delay_quantiles("x", [1.0, 2.0, 9.0])["x_median_s"] == 2.0


@pytest.fixture(scope="module")
def drawn() -> fires.DrawnFires:
    mix = Mix(1.0, ("flaming_wood", "smouldering_foam"), (), (1.0, 0.0, 0.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("saafe.exam.session.STREAM_BATCH", 12)
        return draw_fires(session(), "two fires", 6, part=0, mix=mix, moments=3)


def test_drawn_fires_count_where_their_limit_is_reached(drawn: fires.DrawnFires) -> None:
    assert len(drawn.trials) == 6
    assert drawn.simulated == 6 + drawn.unreached
    for one in drawn.trials:
        assert one.burning_s <= one.limit_s <= one.recording.times_s[-1]
        assert one.burning_s <= one.shown_s == one.channels_shown_s.min()
        assert np.isinf(one.channels_shown_s[~one.present]).all()
        assert one.recording.times_s[-1] <= one.limit_s + fires.LATE_UNTIL_S
        assert one.period_s == 10.0
        assert one.present.all(), "saafe-6 has every channel"
        for dull, made, keen in one.references_s.values():
            assert keen <= made <= dull


def test_moments_of_a_fire_lie_where_an_alarm_sounded_or_the_limit_passed(drawn) -> None:
    assert drawn.scenarios
    by_name = {trial.recording.name: trial for trial in drawn.trials}
    for one in drawn.scenarios:
        assert set(one.moments_s) <= set(one.all_moments_s)
        if (trial := by_name.get(one.recording.name)) is not None:
            due_s = min(trial.limit_s, trial.best_reference_s())
            assert (one.moments_s >= due_s).all()


def test_drawing_again_draws_the_same(drawn: fires.DrawnFires) -> None:
    mix = Mix(1.0, ("flaming_wood", "smouldering_foam"), (), (1.0, 0.0, 0.0))
    again = session().simulate((Stage.FIRES, 0), mix=mix, count=12)
    first = drawn.trials[0]
    k = int(first.recording.name.split("-")[1])
    whole = streams.to_recordings(again)[k]
    rows = len(first.recording.times_s)
    np.testing.assert_array_equal(first.recording.readings, whole.readings[:rows])
    assert whole.labels is not None
    assert (whole.labels == FIRE).any()
