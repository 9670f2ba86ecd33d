"""What held-out days say: fires by kind, and sentences that claim no more than was shown."""

import math

import numpy as np
import pytest
import torch

from saafe.detector.alarms import AlarmSettings
from saafe.detector.detector import Scorer
from saafe.exam import room_lines as lines
from saafe.exam.outcomes import HomeRow
from saafe.own_rooms import held_out
from saafe.own_rooms.held_out import FireOnDay
from saafe.own_rooms.tuned_run import describe_pools
from saafe.recipes import find_tier
from saafe.recordings.recording import Recording
from saafe.sensors import CHANNELS, PM25
from saafe.simulator import sources
from saafe.simulator.aerosols import AEROSOLS, AerosolKind
from saafe.simulator.reference_alarms import REFERENCE_ALARMS
from saafe.training import NUISANCE_POOL, Tuned, for_device
from saafe.training.model import FireTransformer
from saafe.training.thresholds import Pool, dense_share

FIRST, SECOND = (source.name for source in sources.FIRES[:2])
MODEL = Scorer(lambda windows: np.nan_to_num(windows[:, -1, 0, PM25]), AlarmSettings(warm_s=0.0))


def fire_on_day(
    name: str = FIRST, *, high_from_s: float = 4000.0, visible_s: float | None = 4000.0,
    photo_s: float = math.inf,
) -> FireOnDay:  # fmt: skip
    """An hour and a half, burning from 3,600 s on; particles, which the model takes for risk."""
    times = 10.0 * np.arange(541)
    readings = np.full((541, 1, len(CHANNELS)), np.nan, np.float32)
    readings[:, 0, PM25] = np.where(times >= high_from_s, 100.0, 1.0)
    references_s = {"photo": photo_s, "ionisation": 4800.0, "heat": math.inf, "co": math.inf}
    return FireOnDay(
        name, "0", Recording("day", times, ("A",), readings), 3600.0, visible_s, 4800.0,
        references_s,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("high_from_s", "expected"),
    [
        (3700.0, "in time"),
        (2000.0, "early"),  # in the half hour before it burns
        (3580.0, "early"),  # the alarm comes at 3,590 s, and it burns from 3,600 s on
        (3590.0, "in time"),
        (4850.0, "late"),
        (9999.0, "missed"),
        (4790.0, "in time"),  # a decision later than its limit, within one report
    ],
)
def test_a_fire_is_found_between_its_burning_and_its_limit(
    high_from_s: float, expected: str
) -> None:
    assert held_out.score_fires(MODEL, [fire_on_day(high_from_s=high_from_s)]) == [expected]


def test_fires_are_counted_by_kind_and_beside_alarms_in_the_same_air() -> None:
    trials = [
        fire_on_day(photo_s=4800.0), fire_on_day(photo_s=4810.0, visible_s=None),
        fire_on_day(SECOND, visible_s=4810.0),
    ]  # fmt: skip
    results = {"tuned": ["in time", "late", "in time"], "general": ["early", "missed", "in time"]}
    found = held_out.sum_fires_by_kind(trials, results)
    assert (found["n"], found["not_shown_by_their_limit"]) == (3, 2)
    assert {who: one["fires"] for who, one in found["in_time"].items()} == {
        "tuned": 2, "general": 1, "photo": 1, "ionisation": 3, "heat": 0,
    }  # fmt: skip
    assert found["in_time"]["tuned"]["value"] == pytest.approx(2 / 3)
    assert found["early"] == {"tuned": 0, "general": 1}
    assert found["kinds"] == [
        {"fire": FIRST, "n": 2, "tuned": 1, "general": 0, "photo": 1, "ionisation": 2, "heat": 0},
        {"fire": SECOND, "n": 1, "tuned": 1, "general": 1, "photo": 0, "ionisation": 1, "heat": 0},
    ]  # fmt: skip


def result_of(alarms: int = 0, days: float = 28.0, sessions: int = 0) -> dict:
    """A result as `tuned_run` writes it, of one home and three fires."""
    rows = {who: [HomeRow("home", days, n, [], n, sessions, n, 0.0)]
            for who, n in (("tuned", alarms), ("general", 5))}  # fmt: skip
    trials = [fire_on_day(), fire_on_day(), fire_on_day(SECOND)]
    results = {"tuned": ["in time"] * 3, "general": ["in time", "late", "early"]}
    return {
        "homes": {who: held_out.sum_rows(found) for who, found in rows.items()},
        "fires": held_out.sum_fires_by_kind(trials, results),
        "compared": held_out.compare_models(rows, results),
        "more_days": held_out.more_days(days),
        "held_out": {"how": "each group in turn", "folds": [{}, {}], "knows_cooking": sessions > 0},
        "recordings": {
            "days": days, "recordings": 2, "groups": ["a", "b"], "groups_said": False,
            "left_out": [{"file": "c.csv", "reason": "a fire"}],
        },
        "false_alarms_per_year": None,
        "thresholds_rest_on": [{"what": "simulated homes", "alarms": 3, "years": 1.5}],
    }  # fmt: skip


def test_days_without_an_alarm_show_no_more_than_the_rule_of_three() -> None:
    first, second, *said = lines.sentences(result_of())
    # alarms 0 and 5: 2 / 2^5; of three fires two by the tuned one alone: 2 / 2^2
    assert first.startswith("No difference shown, so keep the general model, the simpler choice: ")
    assert second == (
        "Chance alone splits such false alarms so unevenly in 6.2 % of cases, and the fires that "
        "one model alone found (tuned 2, general 0) so unevenly in 50 % of cases; under 5 % is a "
        "difference."
    )
    assert said[0] == "left out: c.csv: a fire"
    assert said[1] == "Taught by 28 days: 2 recordings, 2 groups."
    assert "counts as a home of its own" in said[2]
    assert said[3].startswith("Held out: each group in turn (2 folds). Every figure of a tuned")
    # 3.0 / 28 days: 39 a year; 12 a year take 91.2 days, 3 take 364.8
    assert (
        said[4] == "28 days without a false alarm show under 39 a year (95 %, one-sided), no more."
    )
    assert said[5] == "3 more days without one would show under 36 a year."
    assert said[6] == "64 more days without one would show under 12 a year."
    assert said[7].startswith("Cookings are not noted")
    assert said[8] == lines.SMOKE_UNSEEN
    assert said[9].startswith("Thresholds let few simulated streams with nuisances alarm")
    assert said[9].endswith("They give simulated homes: 3 in 1.5 years.")
    assert len(said) == 10


@pytest.mark.parametrize(
    ("photo_s", "expected"),
    [(3590.0, 0), (3600.0, 1), (4800.0, 1), (4810.0, 0), (math.inf, 0)],
)
def test_a_reference_alarm_finds_a_fire_between_its_burning_and_its_limit(
    photo_s: float, expected: int
) -> None:
    """One that sounds at a cooking before the fire finds none, as in the exam."""
    found = held_out.sum_fires_by_kind([fire_on_day(photo_s=photo_s)], {"tuned": ["in time"]})
    assert found["in_time"]["photo"]["fires"] == expected
    assert found["kinds"][0]["photo"] == expected


@pytest.mark.parametrize("device", [None, "saafe-6"])
def test_what_thresholds_let_alarm_is_what_they_were_set_by(device: str | None) -> None:
    """Of a run for one device two in a thousand may alarm; one in a hundred was said of all."""
    most = dense_share(for_device(find_tier("tiny"), device))
    pool = Pool(torch.zeros(1000, 3), 1.5, most)
    tuned = Tuned(FireTransformer(find_tier("tiny")), AlarmSettings(), {NUISANCE_POOL: pool})
    result = result_of() | {"thresholds_rest_on": describe_pools(tuned)}
    (said,) = lines.thresholds_said(result)
    assert said.startswith(f"Thresholds let {100 * most:g} % of the simulated streams")
    assert "keep 2 false alarms" in lines.thresholds_said(result | {"false_alarms_per_year": 2})[0]


def test_what_is_said_of_photoelectric_alarms_follows_from_their_table() -> None:
    (photo,) = (alarm for alarm in REFERENCE_ALARMS if alarm.name == "photo")
    ((level, _),) = photo.levels
    density = level / photo.responses[AerosolKind.COOKING]
    mass_mg_m3 = 1e3 * density * math.log(10.0) / AEROSOLS[AerosolKind.COOKING].extinction_m2_g
    assert mass_mg_m3 == pytest.approx(25.0, abs=0.5)
    assert "some 25 mg/m3 of cooking smoke" in lines.SMOKE_UNSEEN


def compared(alarms: int, general_alarms: int, alone: int, general_alone: int) -> dict:
    """A result of two models in one home, of which each finds some fires alone."""
    rows = {"tuned": [HomeRow("h", 28.0, alarms, [], 0, 0, 0, 0.0)],
            "general": [HomeRow("h", 28.0, general_alarms, [], 0, 0, 0, 0.0)]}  # fmt: skip
    both = ["in time"] * 50
    results = {"tuned": both + ["in time"] * alone + ["missed"] * general_alone,
               "general": both + ["late"] * alone + ["in time"] * general_alone}  # fmt: skip
    trials = [fire_on_day()] * (50 + alone + general_alone)
    return {
        "homes": {who: held_out.sum_rows(found) for who, found in rows.items()},
        "fires": held_out.sum_fires_by_kind(trials, results),
        "compared": held_out.compare_models(rows, results),
    }


@pytest.mark.parametrize(
    ("counts", "expected", "kept"),
    [
        ((0, 6, 0, 0), "Tuning paid: ", ("tuned",)),  # 2 / 2^6: 3 %
        ((0, 0, 6, 0), "Tuning paid: ", ("tuned",)),
        ((1, 0, 9, 1), "Tuning paid: ", ("tuned",)),  # 2 x 11 / 2^10: 2 %
        ((0, 0, 0, 6), "Keep the general model: ", ("general",)),
        ((6, 0, 3, 2), "Keep the general model: ", ("general",)),
        ((0, 6, 0, 6), "Tuning trades alarms against fires: ", ("tuned", "general")),
        ((6, 0, 6, 0), "Tuning trades alarms against fires: ", ("tuned", "general")),
        ((0, 0, 0, 0), "No difference shown, so keep the general model, ", ("general",)),
        ((0, 0, 1, 2), "No difference shown, so keep the general model, ", ("general",)),
        ((0, 5, 5, 0), "No difference shown, so keep the general model, ", ("general",)),
        ((5, 0, 0, 5), "No difference shown, so keep the general model, ", ("general",)),
    ],
)
def test_the_first_sentence_says_whether_tuning_paid_beyond_chance(
    counts: tuple[int, int, int, int], expected: str, kept: tuple[str, ...]
) -> None:
    alarms, general_alarms, alone, general_alone = counts
    result = compared(*counts)
    first, *others = lines.whether_it_paid(result)
    assert first.startswith(expected)
    n = 50 + alone + general_alone
    assert f"tuned {alarms} false alarms and {50 + alone} of {n} simulated fires in time" in first
    assert first.endswith(f"the general model {general_alarms} and {50 + general_alone}.")
    told = f"(tuned {alone}, general {general_alone})" in " ".join(others)
    assert told == bool(alone + general_alone)
    assert lines.models_to_keep(result) == kept


def test_without_fires_alarms_decide() -> None:
    result = compared(0, 20, 0, 0) | {"fires": {}}
    first, second = lines.whether_it_paid(result)
    assert first == "Tuning paid: on held-out days tuned 0 false alarms, the general model 20."
    assert "so unevenly in under 0.1 % of cases" in second


@pytest.mark.parametrize(
    ("alarms", "alone", "said"),
    [((0, 0), (0, 0), []),
     ((0, 0), (2, 0), ["Chance alone splits the fires that one model alone found (tuned 2, general "
                       "0) so unevenly in 50 % of cases; under 5 % is a difference."]),
     ((0, 5), (0, 0), ["Chance alone splits such false alarms so unevenly in 6.2 % of cases; under "
                       "5 % is a difference."])],
)  # fmt: skip
def test_chance_says_nothing_of_nothing(
    alarms: tuple[int, int], alone: tuple[int, int], said: list[str]
) -> None:
    """0 against 0 came out in 100 % of cases."""
    assert lines.whether_it_paid(compared(*alarms, *alone))[1:] == said


def test_days_with_an_alarm_promise_nothing_of_more_days() -> None:
    said = lines.claims(result_of(alarms=2, sessions=40))
    assert said == ["28 days with 2 show under 82 a year (95 %, one-sided), no more."]


def test_without_held_out_days_there_are_no_figures() -> None:
    nothing = {"homes": {}, "fires": {}, "compared": {}}  # as a folder of some hours gives
    result = result_of() | nothing | {"false_alarms_per_year": 2.0}
    assert lines.models_to_keep(result) == ("tuned",)
    result["recordings"] |= {"recordings": 1, "groups": ["a"], "left_out": []}
    said = lines.sentences(result)
    assert said[0] == "Taught by 28 days: 1 recording, 1 group."
    assert said[1].startswith("No figures of held-out days: each group in turn.")
    assert said[2].startswith("Thresholds keep 2 false alarms a year in each of these.")
    assert len(said) == 3
    assert lines.figure_rows(result) == lines.kind_rows(result) == []


def test_figures_stand_beside_those_of_the_general_model() -> None:
    rows = lines.figure_rows(result_of(alarms=1, sessions=50))
    assert {len(row) for row in rows} == {len(lines.ROOM_FIGURES)}
    assert rows[0] == ("false alarms in 28 days", "1", "", "5", "")
    assert rows[1][:2] == ("false alarms a year", "13")  # 365.25 / 28
    assert rows[1][3] == "65.2"
    assert rows[2][:4] == ("false alarms per 100 cookings, of 50", "2", "0.0506 to 11.1", "10")
    # Clopper and Pearson: 3 of 3 are 29.2 to 100 %, 1 of 3 is 0.84 to 90.6 %
    assert rows[3] == (
        "simulated fires in time, of 3", "100 %", "29.2 to 100 %", "33.3 %", "0.84 to 90.6 %",
    )  # fmt: skip
    assert rows[4] == ("alarms before a fire shows", "0", "", "1", "")
    assert len(lines.figure_rows(result_of())) == 4  # no cooking is known
    kinds = lines.kind_rows(result_of())
    assert {len(row) for row in kinds} == {len(lines.KIND_COLUMNS)}
    assert kinds[0] == (FIRST.replace("_", " "), "2", "2", "1", "0", "2", "0")
    assert kinds[-1] == ("all", "3", "3", "1", "0", "3", "0")
