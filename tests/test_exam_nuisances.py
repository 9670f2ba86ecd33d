"""Nuisance alarms and the strata of a year."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from saafe import metrics, readers
from saafe.detector.alarms import AlarmSettings
from saafe.exam import nuisances
from saafe.exam.amounts import FULL, Amounts
from saafe.exam.device_comparison import a_year
from saafe.exam.fires import REFERENCES
from saafe.exam.judging import Judged
from saafe.exam.nuisances import (
    NuisanceResult,
    NuisanceRow,
    NuisanceTrial,
    QuietRow,
    draw_nuisances,
    nuisance_ratio,
    per_100_cookings,
    try_nuisance,
    year,
)
from saafe.exam.results import Figures
from saafe.exam.session import Session
from saafe.recordings.recording import Recording
from saafe.recordings.watched import exposure_s
from saafe.sensors import CHANNELS, NORMAL, TEMPERATURE
from saafe.simulator import sources

REAL = Path(os.environ.get("SAAFE_REAL", Path(__file__).parents[2] / "shared" / "data"))
SETTINGS = AlarmSettings(fast=3.0, slow=2.0, warn=1.0, leave=0.0)


def hot(windows: np.ndarray) -> np.ndarray:
    return np.where(windows[:, -1, 0, TEMPERATURE] >= 26.0, 99.9, 0.1).astype(np.float64)


def session() -> Session:
    return Session(Judged("a thermometer", hot, SETTINGS), 0, device="saafe-6")


def silent(**sounds: bool) -> dict[str, tuple[bool, ...]]:
    """Which reference alarms sound, at every sensitivity."""
    return {name: (sounds.get(name, False),) * 3 for name in REFERENCES}


def test_alarms_of_one_event_are_counted_every_half_hour() -> None:
    times = np.arange(0.0, 9000.0, 10.0)
    readings = np.full((len(times), 1, len(CHANNELS)), np.nan, np.float32)
    readings[:, 0, TEMPERATURE] = np.where((times >= 3000.0) & (times < 7500.0), 27.0, 20.0)
    trial = NuisanceTrial(Recording("r", times, ("A",), readings), 2900.0, 7200.0, silent())
    here = session()
    result = try_nuisance(here, "oven", trial, floor=True)
    assert result.alarms_s == (3010.0, 4810.0, 6610.0)
    assert not result.by_rule
    assert result.margin > 0.0
    (case,) = here.cases()
    assert (case.kind, case.alarm_s) == ("false alarm", 3010.0)
    assert here.windows == np.count_nonzero(times >= 2900.0 - nuisances.SCORED_BEFORE_S)


def test_drawn_events_start_within_their_streams() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("saafe.exam.session.STREAM_BATCH", 12)
        drawn = draw_nuisances(session(), ("frying",), 5, part=0, moments=3)
    trials = drawn.trials
    assert len(trials) == 5
    shown = [one for one in drawn.scenarios if len(one.moments_s)]
    assert len(shown) == 3
    assert all(set(one.moments_s) <= set(one.all_moments_s) for one in drawn.scenarios)
    for trial in trials:
        assert trial.recording.labels is not None
        before = trial.recording.labels[trial.recording.times_s < trial.start_s]
        assert len(before)
        assert (before == NORMAL).all()
        assert set(trial.sounds) == set(REFERENCES)
        assert trial.start_s <= trial.end_s <= trial.recording.times_s[-1]
        assert trial.recording.times_s[-1] <= trial.end_s + nuisances.SCORED_AFTER_S


def row(
    nuisance: str, *, kitchen: bool, per_year: float, events: int, alarms: int
) -> NuisanceRow:  # fmt: skip
    bounds = metrics.rate_bounds(alarms, events / 100.0)
    return NuisanceRow(
        nuisance, kitchen, per_year, "assumed", events, alarms, alarms, 0.5 * alarms, *bounds,
        Figures(),
    )  # fmt: skip


ROWS = [
    row("frying", kitchen=True, per_year=300, events=100, alarms=2),
    row("kettle", kitchen=True, per_year=800, events=50, alarms=0),
    row("shower", kitchen=False, per_year=500, events=40, alarms=1),
]
STILL = QuietRow(9, 0, 0.0, 0.1, 0.0, 0.0, 40.0, 0.02, "not_shown")


def test_a_year_is_a_weighted_sum() -> None:
    life = year(STILL, ROWS)
    kitchen, other = life["kitchen"], life["other"]
    assert kitchen.alarms_per_year == pytest.approx(300 * 2 / 100)
    assert other.alarms_per_year == pytest.approx(500 * 1 / 40)
    bounds = metrics.weighted_rate_bounds([0, 2, 0], [0.1, 100, 50], [1, 300, 800], sides=1)
    assert kitchen.hours_in_alarm_per_year == pytest.approx(300 * 0.5 * 2 / 100)
    assert (kitchen.lower, kitchen.upper) == (bounds.lower, bounds.upper)
    proven = metrics.bonferroni_rate_bounds([0, 2, 0], [0.1, 100, 50], [1, 300, 800], sides=1)
    assert kitchen.upper <= kitchen.bonferroni_upper == proven.upper
    assert kitchen.effective_exposure_years == pytest.approx(min(0.1, 100 / 300, 50 / 800))
    assert (kitchen.status, other.status) == ("fail", "fail")
    assert sum(s.alarms_per_year for s in life["strata"]) == pytest.approx(6.0 + 12.5)
    assert [s.room for s in life["strata"]] == ["both", "kitchen", "kitchen", "other"]


@pytest.mark.parametrize(("room", "place"), [("kitchen", "kitchen"), ("other", "elsewhere")])
def test_a_year_is_one_figure_in_the_exam_and_between_devices(room: str, place: str) -> None:
    rows = [*ROWS, row("toast", kitchen=True, per_year=200, events=10, alarms=1)]
    noisy = replace(STILL, alarms=3)
    compared = a_year(rows, noisy, place)
    assert compared["value"] == year(noisy, rows)[room].alarms_per_year
    assert compared["upper"] > year(noisy, rows)[room].upper, "of both bounds, not of one"
    silent = replace(STILL, detector_years=1e9)
    assert a_year(rows, None, place)["value"] == pytest.approx(a_year(rows, silent, place)["value"])


def test_no_alarm_is_not_yet_shown() -> None:
    silent = [replace(one, alarms=0) for one in ROWS]
    life = year(STILL, silent)
    assert life["kitchen"].alarms_per_year == 0.0
    assert life["kitchen"].status == life["other"].status == "not_shown"
    many = [replace(one, events=10_000) for one in silent]
    assert year(replace(STILL, detector_years=1000.0), many)["kitchen"].status == "pass"


def test_cookings_are_weighted_by_how_often_they_happen() -> None:
    toast = row("toast", kitchen=True, per_year=200, events=10, alarms=1)
    rows = [*ROWS, toast]
    bounds, n = per_100_cookings(rows)
    assert n == 110  # a kettle is no cooking session
    assert bounds.value == pytest.approx(100 * (0.6 * 2 / 100 + 0.4 * 1 / 10))
    assert bounds.lower < bounds.value < bounds.upper


def result(*, alarms: int, photo: bool) -> NuisanceResult:
    times = np.arange(0.0, 20.0, 10.0)
    readings = np.zeros((2, 1, len(CHANNELS)), np.float32)
    trial = NuisanceTrial(Recording("r", times, ("A",), readings), 0.0, 10.0, silent(photo=photo))
    return NuisanceResult(trial, tuple(range(alarms)), 0.0, 0.0)


def test_our_alarms_over_the_photoelectric_alarms_are_weighted_by_the_year() -> None:
    results = {
        "frying": [result(alarms=2, photo=False)] + [result(alarms=0, photo=True)] * 3,
        "shower": [result(alarms=1, photo=True)] * 2 + [result(alarms=0, photo=False)] * 2,
    }
    found = nuisance_ratio(results, 0)
    rate = {name: sources.SOURCES[name].per_year for name in results}
    ours = rate["frying"] / 4 + rate["shower"] / 2  # an alarm that stands counts once
    theirs = rate["frying"] * 3 / 4 + rate["shower"] / 2
    assert found["at_1"]["value"] == pytest.approx(ours / theirs)
    assert found["at_1"]["lower"] <= ours / theirs <= found["at_1"]["upper"]
    assert found["at_1"]["n"] == 8
    assert set(found) == {"at_0.7", "at_1", "at_1.3"}
    silent_photo = {"frying": [result(alarms=1, photo=False)]}
    assert not np.isfinite(nuisance_ratio(silent_photo, 0)["at_1"]["value"])


def test_every_kind_is_watched_often_enough() -> None:
    for source in sources.NUISANCES:
        events = FULL.events_of(source)
        assert events >= (90 if source.cooking else 30)
        assert source.per_year / events <= 5.0  # so much a year is one alarm
        assert Amounts(1, 2, 4, 3, 1, 6, 8).events_of(source) == (3 if source.cooking else 4)
    assert any(source.cooking for source in sources.NUISANCES)
    assert all(source.per_year > 0 for source in sources.NUISANCES)


def test_strata_say_where_their_rates_are_from() -> None:
    strata = year(STILL, [replace(ROWS[0], rate_source="a census"), *ROWS[1:]])["strata"]
    said = [s.rate_source for s in strata]
    assert said == ["by definition", "a census", "assumed", "assumed"]


def test_the_measured_rate_stands_beside_what_is_assumed() -> None:
    (stove,) = year(STILL, ROWS)["measured_rates"]
    assert stove["kinds"] == ["frying", "stir_frying", "boiling", "gas_hob"]
    assert stove["assumed_per_year"] == 800
    assert stove["measured_per_year"] == pytest.approx(136 / 91.4 * 365.25)
    assert stove["measured_lower"] < stove["measured_per_year"] < stove["measured_upper"] < 800


def test_docs_name_every_rate_and_its_source() -> None:
    page = (Path(__file__).parents[1] / "docs" / "exam.md").read_text()
    told = re.findall(r"^\| (\w+) \| ([\d.]+) \| (kitchen|other) \| (.+) \|$", page, re.MULTILINE)
    assert told == [
        (s.name, f"{s.per_year:g}", "kitchen" if s.kitchen else "other", s.rate_source)
        for s in sources.NUISANCES
    ]
    sums = [sum(s.per_year for s in sources.NUISANCES if s.kitchen is k) for k in (True, False)]
    assert all(f"({total:,.1f}" in page for total in sums)
    assert f"each of {len(sources.NUISANCES)} kinds" in page


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="the recordings are not here")
def test_the_stove_was_used_as_often_as_stated() -> None:
    homes = list(readers.read_published("uhoo_homes", REAL / "uhoo_homes"))
    days = sum(exposure_s(home.recording) for home in homes) / 86_400.0
    assert sum(len(home.stove) for home in homes) == sources.STOVE_SESSIONS
    assert days == pytest.approx(sources.STOVE_DAYS, abs=0.05)
