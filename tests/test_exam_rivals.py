"""Rivals at equal false alarms: margins, the shift that sets them, and what is said of them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from saafe.detector.alarms import AlarmSettings, log_odds
from saafe.detector.detector import Scorer
from saafe.detector.recorded import Detection, detect
from saafe.exam import outcomes, rivals
from saafe.exam.fires import REFERENCES, FireResult, FireTrial, try_fire
from saafe.exam.judging import Judged
from saafe.exam.kept import KeptParts
from saafe.exam.misses import channel_names, missed_fires, period_name
from saafe.exam.nuisances import NuisanceResult, NuisanceTrial, try_nuisance
from saafe.exam.results import plain_values
from saafe.exam.rivals import (
    LOSS,
    TIE,
    WIN,
    ExamStreams,
    Margins,
    compare,
    curve,
    headline,
    lowest_shift,
    margins_of,
    our_margins,
    reference_points,
    verdict,
)
from saafe.exam.session import Session
from saafe.metrics import Bounds
from saafe.recipes import changed, find_tier
from saafe.recordings.recording import Recording
from saafe.rivals import registry
from saafe.sensors import CHANNELS, PM25, TEMPERATURE
from saafe.simulator import sources

SETTINGS = AlarmSettings(fast=2.0, slow=1.0, steady=0.5, warn=0.0, leave=-1.0)
TIMES = np.arange(0.0, 3600.0, 10.0)


def loud(windows: np.ndarray) -> np.ndarray:
    """Risk that rises with the newest particle reading."""
    pm = np.nan_to_num(windows[:, -1, 0, PM25], nan=0.0).astype(np.float64)
    return 100.0 / (1.0 + np.exp(-(np.log1p(pm) - 6.0)))


def recording(height: float, *, temperature: float = 20.0, start_s: float = 1200.0) -> Recording:
    """Particles that stand at a height for ten minutes."""
    readings = np.full((len(TIMES), 1, len(CHANNELS)), np.nan, np.float32)
    stands = (start_s <= TIMES) & (start_s + 600.0 > TIMES)
    readings[:, 0, PM25] = np.where(stands, height, 5.0)
    readings[:, 0, TEMPERATURE] = np.where(stands, temperature, 20.0)
    return Recording("r", TIMES, ("A",), readings)


SILENT = dict.fromkeys(REFERENCES, (math.inf,) * 3)


def a_fire(height: float, **how: float) -> FireTrial:
    return FireTrial(
        name="made up", recording=recording(height, **how), burning_s=1200.0, shown_s=1200.0,
        channels_shown_s=np.full(len(CHANNELS), 1200.0), limit_s=1700.0, period_s=10.0,
        references_s=SILENT, untenable_s={"gas": None}, beside_fire=True,
    )  # fmt: skip


def an_event(height: float) -> NuisanceTrial:
    quiet = dict.fromkeys(REFERENCES, (False,) * 3)
    return NuisanceTrial(recording(height), 1200.0, 1800.0, quiet)


@pytest.fixture(scope="module")
def streams() -> ExamStreams:
    session = Session(Judged("ours", loud, SETTINGS), 0)
    found = [
        try_fire(session, a_fire(height, temperature=warm), floor=True)[0]
        for height, warm in ((50.0, 20.0), (700.0, 20.0), (3000.0, 20.0), (50.0, 70.0))
    ]
    # heat without smoke before the fire: the fixed rules alarm too early to find it
    warm_before = a_fire(5.0, temperature=70.0, start_s=600.0)
    found.append(try_fire(session, warm_before, floor=True)[0])
    events = [try_nuisance(session, "frying", an_event(h), floor=True) for h in (20.0, 900.0)]
    still = recording(5.0)
    margin = outcomes.highest_margin(session.detect(still), SETTINGS, 0.0, 3600.0)
    return ExamStreams(found, {"frying": events}, [(still, margin)])


@pytest.mark.parametrize("shift", [-4.0, -2.0, -0.7, 0.0, 0.4, 1.1, 3.0])
@pytest.mark.parametrize("height", [3.0, 60.0, 300.0, 900.0, 5000.0])
def test_a_margin_says_what_the_detector_itself_does(shift: float, height: float) -> None:
    """At moved thresholds too, where two readings agree or one stands for a minute."""
    one = recording(height)
    decided = detect(Scorer(loud, SETTINGS), one)
    margin = outcomes.highest_margin(decided, SETTINGS, 0.0, 3600.0)
    events = detect(Scorer(loud, SETTINGS.moved(shift)), one).events
    assert (margin >= shift) == any(event["event"] == "alarm" for event in events)


def test_the_highest_margin_is_of_the_tier_that_gives_most() -> None:
    times = np.arange(0.0, 900.0, 10.0)
    risk = np.where((times >= 300.0) & (times < 340.0), 99.0, 60.0)
    decided = Detection([], times, np.zeros(len(times), np.int64), risk)
    expected = max(log_odds(99.0) - 2.0, log_odds(60.0) - 0.5)  # an instant, or five minutes
    assert outcomes.highest_margin(decided, SETTINGS, 0.0, 900.0) == pytest.approx(expected)
    assert outcomes.highest_margin(decided, SETTINGS, 2000.0, 3000.0) == -math.inf


def test_ours_and_a_twin_have_the_same_margins(streams: ExamStreams) -> None:
    mine = our_margins(streams)
    twin = margins_of(Judged("twin", loud, SETTINGS), streams)
    np.testing.assert_allclose(mine.fires, twin.fires)
    np.testing.assert_allclose(mine.nuisances["frying"], twin.nuisances["frying"])
    np.testing.assert_allclose(mine.quiet, twin.quiet)
    assert mine.fires[3] == math.inf, "the fixed rules find it, whatever the thresholds"
    found = [result.is_in_time for result in streams.fires]
    assert mine.in_time(0.0).tolist() == found


@pytest.mark.parametrize("period_s", [10.0, 60.0, 90.0, 120.0, 300.0, 600.0])
@pytest.mark.parametrize("start_s", [600.0, 610.0, 700.0, 900.0, 1200.0])
def test_a_twin_has_the_same_margins_whatever_the_period(period_s: float, start_s: float) -> None:
    """Of two minutes, a twin knew no steady risk until two minutes of the fire had passed."""
    session = Session(Judged("ours", loud, SETTINGS), 0)
    every, found = round(period_s / 10.0), []
    for phase in range(0, every, max(every // 4, 1)):
        made = a_fire(700.0, start_s=start_s)
        readings = np.full_like(made.recording.readings, np.nan)
        readings[phase::every] = made.recording.readings[phase::every]
        thin = replace(
            made, period_s=period_s, recording=replace(made.recording, readings=readings)
        )
        found.append(try_fire(session, thin, floor=True)[0])
    streams = ExamStreams(found, {}, [])
    twin = margins_of(Judged("twin", loud, SETTINGS), streams)
    np.testing.assert_allclose(our_margins(streams).fires, twin.fires)


def test_false_alarms_of_a_year_are_weighted_by_kind(streams: ExamStreams) -> None:
    mine = our_margins(streams)
    assert mine.false_alarms_per_year(0.0) == sources.SOURCES["frying"].per_year / 2
    everything = sources.SOURCES["frying"].per_year + rivals.STREAMS_A_YEAR
    assert mine.false_alarms_per_year(-50.0) == everything


def margins(fire: list[float], nuisance: list[float]) -> Margins:
    return Margins(np.array(fire), {"frying": np.array(nuisance)}, np.array([-9.0]))


@pytest.mark.parametrize("budget", [0.0, 30.0, 60.0, 90.0, 179.0, 180.0, 1e9])
def test_the_lowest_shift_keeps_the_budget_and_no_lower_one_does(budget: float) -> None:
    one = margins([0.0], [-1.0, 0.3, 0.3, 2.0, 5.0, -4.0])
    shift = lowest_shift(one, budget)
    assert one.false_alarms_per_year(shift) <= budget
    if shift > -9.0:
        assert one.false_alarms_per_year(np.nextafter(shift, -math.inf)) > budget


def test_a_rule_that_no_threshold_moves_leaves_no_shift() -> None:
    assert lowest_shift(margins([0.0], [math.inf, 1.0]), 0.0) == math.inf
    rules = Margins(np.zeros(1), {"frying": np.array([math.inf])}, np.empty(0))
    assert lowest_shift(rules, 0.0) == math.inf
    assert lowest_shift(rules, 1e9) == 0.0


def test_a_contestant_ties_with_itself_moved(streams: ExamStreams) -> None:
    mine = our_margins(streams)
    moved = margins_of(Judged("twin", loud, SETTINGS.moved(1.5)), streams)
    rows = compare(mine, {"twin": moved}, name="ours", seed=0)
    assert [row.verdict for row in rows] == [None, TIE]
    assert rows[1].in_time >= rows[0].in_time  # the lowest thresholds that keep the budget
    assert rows[1].threshold_shift < 0.0
    assert rows[1].own_in_time <= rows[1].in_time
    assert rows[1].false_alarms_per_year <= rows[0].false_alarms_per_year


def test_what_finds_more_at_equal_false_alarms_wins() -> None:
    rng = np.random.default_rng(0)
    life = np.linspace(-3.0, 0.5, 400).tolist()
    good = margins(list(rng.normal(2.0, 1.0, 400)), life)
    poor = margins(list(rng.normal(0.0, 1.0, 400)), life)
    assert compare(good, {"poor": poor}, name="good", seed=0)[1].verdict == WIN
    assert compare(poor, {"good": good}, name="poor", seed=0)[1].verdict == LOSS


@pytest.mark.parametrize("silent", [0, 15, 30])  # events that no shift makes alarm
@pytest.mark.parametrize("loud_always", [0, 5, 30])  # by the fixed rules
def test_limits_at_equal_alarms_are_those_of_thresholds_moved_in_each_draw(
    silent: int, loud_always: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Draw by draw, with events repeated as often as they were drawn."""
    monkeypatch.setattr(rivals, "RIVAL_RESAMPLES", 40)
    rng = np.random.default_rng(1)
    one, other = (
        Margins(
            rng.normal(0.5, 2.0, 60),
            {"frying": rng.normal(-1.0, 1.0, 30), "shower": rng.normal(-2.0, 1.0, 20)},
            rng.normal(-6.0, 1.0, 25),
        )
        for _ in range(2)
    )
    for events in [*other.nuisances.values(), other.quiet]:
        events[:] = np.round(events)  # ties
        events[:silent] = -math.inf
        events[len(events) - min(loud_always, len(events)) :] = math.inf
    random = np.random.default_rng(7)
    drawn = [rivals.draw_counts(len(events), random) for _, events in other.strata()]
    fires = rivals.draw_counts(60, random)
    found = []
    for k in range(40):
        again = [
            Margins(
                np.repeat(m.fires, fires[k]),
                {
                    name: np.repeat(events, counts[k])
                    for (name, events), counts in zip(m.nuisances.items(), drawn, strict=False)
                },
                np.repeat(m.quiet, drawn[-1][k]),
            )
            for m in (one, other)
        ]
        shift = lowest_shift(again[1], again[0].false_alarms_per_year(0.0))
        found.append(again[0].in_time(0.0).mean() - again[1].in_time(shift).mean())
    shift = lowest_shift(other, one.false_alarms_per_year(0.0))
    bounds = rivals.equal_alarms_difference(one, other, shift, seed=7)
    assert bounds.lower == pytest.approx(np.quantile(found, 0.025))
    assert bounds.upper == pytest.approx(np.quantile(found, 0.975))


def test_one_event_that_is_worth_much_widens_the_limits() -> None:
    rng = np.random.default_rng(0)
    fires = rng.normal(0.0, 1.0, 400).tolist()
    widths = []
    for events in (20, 2000):  # the same life, seen through few and through many events
        life = np.quantile(rng.normal(-1.0, 1.0, 10_000), np.linspace(0.0, 1.0, events)).tolist()
        one, other = margins(fires, life), margins(fires, life[::-1])  # other events are loud
        bounds = rivals.equal_alarms_difference(one, other, 0.0, seed=0)
        assert bounds.lower <= 0.0 <= bounds.upper
        widths.append(bounds.upper - bounds.lower)
    assert widths[0] > 3.0 * widths[1]


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (Bounds(2.0, 1.0, 3.0), WIN),
        (Bounds(0.0, -1.0, 1.0), TIE),
        (Bounds(0.0, 0.0, 0.0), TIE),
        (Bounds(-2.0, -3.0, -1.0), LOSS),
    ],
)
def test_verdict(difference: Bounds, expected: str) -> None:
    assert verdict(difference) == expected


def test_reference_alarms_are_points_beside_the_curves(streams: ExamStreams) -> None:
    sounds = SILENT | {"photo": (math.inf, 1500.0, 1300.0)}
    trial = replace(a_fire(700.0), references_s=sounds)
    event = replace(an_event(900.0), sounds={**an_event(9.0).sounds, "photo": (False, True, True)})
    seen = ExamStreams(
        [FireResult(trial, "in time", 1300.0)],
        {"frying": [NuisanceResult(event, (), 0.0, 0.0)]},
        [],
    )
    points = {(p["name"], p["sensitivity"]): p for p in reference_points(seen)}
    assert (
        points["photo", 0.7]["in_time_share"] == points["photo", 0.7]["false_alarms_per_year"] == 0
    )
    assert points["photo", 1.0]["in_time_share"] == 1.0
    assert points["photo", 1.0]["false_alarms_per_year"] == sources.SOURCES["frying"].per_year
    line = curve(our_margins(streams))
    shares = [point["in_time_share"] for point in line]
    assert shares == sorted(shares, reverse=True)
    assert plain_values(line) == line


def found(**verdicts: str) -> dict:
    own = {"name": "transformer", "fires": 1000, "own_in_time": 950,
           "own_false_alarms_per_year": 1.25}  # fmt: skip
    photo = {"name": "photo", "sensitivity": 1.0, "in_time_share": 0.7,
             "false_alarms_per_year": 30.0}  # fmt: skip
    others = [{"name": name, "verdict": verdict} for name, verdict in verdicts.items()]
    return {"rows": [own, *others], "reference_alarms": [photo]}


def test_headline_speaks_of_the_photoelectric_alarm_and_of_rivals() -> None:
    first = (
        "Finds 95.0% of 1,000 simulated fires in time, with 1.25 false alarms a year; a "
        "photoelectric alarm in the same air 70.0% and 30."
    )
    assert headline(found()) == first
    assert headline(found(QUANT=WIN, LDA=TIE, boosting=LOSS)) == (
        f"{first} At equal false alarms the transformer beats QUANT. "
        "At equal false alarms the transformer loses to boosting. "
        "At equal false alarms the transformer is not shown to beat LDA."
    )
    assert headline({}) is None


def test_the_simple_rivals_of_every_exam_are_in_the_registry() -> None:
    assert set(rivals.SIMPLE) <= set(rivals.registry.RIVALS)
    assert rivals.installed(["logistic regression", "no such rival"]) == ["logistic regression"]


def test_a_missed_fire_is_not_learned_where_another_finds_it() -> None:
    trials = [a_fire(500.0)] * 3 + [replace(a_fire(500.0), name="bin", period_s=60.0)] * 2
    ours = np.array([True, False, False, False, True])
    long_fit = np.array([False, True, False, False, True])
    boosting = np.array([True, True, False, False, False])
    rows = missed_fires(trials, ours, {"longer": long_fit, "boosting": boosting})
    first = rows[0]
    assert (first["by"], first["fires"], first["missed"]) == ("all", 5, 3)
    assert (first["not_learned"], first["found_by_none"]) == (1, 2)
    assert (first["longer"], first["boosting"]) == (1, 1)
    kinds = {row["name"]: row for row in rows if row["by"] == "kind"}
    assert kinds[trials[0].name]["missed"] == 2
    assert kinds["bin"]["found_by_none"] == 1
    for by in ("kind", "period"):  # every fire stands in one row of each sort
        assert sum(row["missed"] for row in rows if row["by"] == by) == first["missed"]
    assert not [row for row in rows if row["by"] == "channels"]  # all sensors have the same


def test_fires_that_no_reading_shows_are_told_apart() -> None:
    shown, hidden = a_fire(500.0), replace(a_fire(500.0), shown_s=math.inf)
    (first, *_) = missed_fires([shown, hidden], np.array([False, False]), {})
    assert (first["missed"], first["shown"], first["found_by_none"]) == (2, 1, 2)


def test_sensors_are_named_by_period_and_channels() -> None:
    assert [period_name(s) for s in (1.0, 10.4, 60.0, 240.0, 3600.0)] == [
        "up to 10 s", "up to 10 s", "up to 60 s", "up to 300 s", "over 300 s",
    ]  # fmt: skip
    assert channel_names(a_fire(500.0)) == "temperature pm25"


def test_a_rival_that_is_kept_is_neither_fitted_nor_asked_again(
    streams: ExamStreams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saafe.training.thresholds.REFERENCE_STREAMS", 2)
    monkeypatch.setattr("saafe.training.thresholds.DENSE_PARTS", 1)
    small = ("windows=256", "batch=64", "epochs=2", "passes=1", "streams=64", "held_out=64")
    recipe = changed(find_tier("tiny"), (*small, "device=cpu"))
    fitted = []

    def counted(name: str, *words, **named):
        fitted.append(name)
        return train_rival(name, *words, **named)

    train_rival = registry.train_rival
    monkeypatch.setattr(registry, "train_rival", counted)

    def examined(seen: ExamStreams) -> dict:
        found = rivals.examine_rivals(
            Judged("ours", loud, SETTINGS), seen, recipe, names=(registry.FIXED_RULE,), seed=0,
            kept=KeptParts(tmp_path / "exam.parts", of="a"),
        )  # fmt: skip
        return plain_values(found)

    first = examined(streams)
    assert examined(streams) == first
    assert len(fitted) == 1
    other = replace(streams, fires=streams.fires[1:])
    assert examined(other)["rows"][1]["fires"] == first["rows"][1]["fires"] - 1
    assert len(fitted) == 2
