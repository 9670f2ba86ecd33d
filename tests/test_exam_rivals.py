"""Equal detection: the very detector on remembered risks, thresholds moved, groups paired."""

import math

import numpy as np
import pytest
import torch
from raw_folders import write_home, write_house

from saafe.detector.alarms import AlarmSettings
from saafe.detector.detector import Scorer
from saafe.detector.recorded import detect
from saafe.exam import equal_detection, recordings, rivals
from saafe.exam.equal_detection import highest_shift
from saafe.exam.outcomes import first_visible
from saafe.exam.results import plain_values
from saafe.exam.rivals import LOSS, TIE, WIN, headline, verdict
from saafe.exam.windows import Judged
from saafe.metrics import Bounds
from saafe.sensors import PM25, TEMPERATURE


def loud(windows: np.ndarray) -> np.ndarray:
    """Risk that rises with the newest particle reading."""
    pm = np.nan_to_num(windows[:, -1, 0, PM25], nan=0.0).astype(np.float64)
    return 100.0 / (1.0 + np.exp(-(np.log1p(pm) - 6.0)))


SETTINGS = AlarmSettings(fast=2.0, slow=1.0, warn=0.0, leave=-1.0)


@pytest.fixture(scope="module")
def drawn() -> equal_detection.Benchmark:
    torch.set_num_threads(1)
    return equal_detection.draw_benchmark(3, groups=8)


def test_benchmark_holds_visible_fires_cut_at_the_limit_and_streams_without(drawn) -> None:
    assert [len(part) for part in (drawn.setting, drawn.fires, drawn.nuisances)] == [8, 8, 8]
    for one in drawn.setting + drawn.fires:
        sign = first_visible(one)
        assert sign is not None
        assert one.times_s[-1] <= sign + equal_detection.WITHIN_S
    assert all(first_visible(one) is None for one in drawn.nuisances)
    assert drawn.setting[0].readings.shape != drawn.fires[0].readings.shape or not np.array_equal(
        drawn.setting[0].readings, drawn.fires[0].readings, equal_nan=True
    ), "the fires that set thresholds are not those that are counted"


def test_thinned_streams_read_once_a_minute(drawn) -> None:
    for one in drawn.nuisances:
        assert np.diff(one.times_s).min() >= 10.0
        minutes = np.ceil(one.times_s / 60.0)
        assert len(np.unique(minutes)) == len(minutes)


@pytest.mark.parametrize("shift", [-3.0, 0.0, 2.5])
def test_remembered_risks_give_the_detectors_own_alarms(drawn, shift: float) -> None:
    streams = drawn.fires + drawn.nuisances
    known = equal_detection.score_streams(streams, Scorer(loud, SETTINGS))
    moved = SETTINGS.moved(shift)
    expected = []
    for one in streams:
        alarms = [e for e in detect(Scorer(loud, moved), one).events if e["event"] == "alarm"]
        expected.append(alarms[0]["time_s"] if alarms else math.inf)
    assert equal_detection.first_alarms(streams, known, moved).tolist() == expected


def test_delays_count_only_alarms_between_sign_and_limit(drawn) -> None:
    fires = drawn.fires[:4]
    signs = np.array([first_visible(one) for one in fires])
    late = equal_detection.alarm_delays(fires, signs + np.array([-600.0, -30.0, 90.0, np.inf]))
    np.testing.assert_array_equal(late, [np.nan, 0.0, 90.0, np.nan])


@pytest.mark.parametrize(("cut", "expected"), [(3.3, 3.25), (-2.0, -2.0), (0.01, 0.0)])
def test_highest_shift_that_reaches_a_target(cut: float, expected: float) -> None:
    found = highest_shift(lambda shift: 0.9 if shift <= cut else 0.2, 0.9)
    assert found == pytest.approx(expected, abs=1 / 16)
    assert found <= cut


def test_shift_where_none_reaches_it_is_the_nearest() -> None:
    # far below, false alarms before the fire hide it
    assert highest_shift(lambda shift: -abs(shift + 4.0), 0.5) == -4.0


def test_a_contestant_ties_with_itself(drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "draw_benchmark", lambda seed, groups: drawn)
    ours = Judged("transformer", loud, SETTINGS)
    twin = Judged("twin", loud, SETTINGS.moved(1.5))
    rows = rivals.compare_at_equal_detection(ours, [twin], seed=3, groups=8)
    assert rows[1].verdict == TIE
    assert rows[1].detection_difference.value == pytest.approx(0.0, abs=0.13)
    assert rows[0].verdict is None


POSITIVE, ZERO, NEGATIVE = Bounds(2.0, 1.0, 3.0), Bounds(0.0, -1.0, 1.0), Bounds(-2.0, -3.0, -1.0)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ({"detection": POSITIVE, "false_alarms": ZERO}, WIN),
        ({"detection": ZERO, "false_alarms": NEGATIVE}, WIN),  # fewer false alarms
        ({"detection": ZERO, "delay_s": POSITIVE}, LOSS),  # slower
        ({"detection": NEGATIVE, "false_alarms": NEGATIVE}, TIE),  # better here, worse there
        ({"detection": ZERO, "false_alarms": ZERO}, TIE),
        ({"detection": Bounds(0.0, 0.0, 0.0)}, TIE),
        ({"in_time": POSITIVE}, WIN),
    ],
)
def test_verdict(differences: dict, expected: str) -> None:
    assert verdict(differences) == expected


def test_headline_tells_losses_and_ties_only() -> None:
    rows = [{"name": "transformer"}, {"name": "QUANT", "verdict": WIN}]
    assert headline(rows) is None
    rows += [{"name": "LDA", "verdict": TIE}, {"name": "boosting", "verdict": LOSS}]
    assert headline(rows) == (
        "At equal detection the transformer loses to boosting and is not shown to be better "
        "than LDA."
    )


def test_composites_are_paired_by_fire() -> None:
    names = [f"SDC{k} on home {h}, quiet" for k in range(6) for h in range(4)]
    ours = dict.fromkeys(names, True)
    theirs = {name: "SDC0" not in name for name in names}
    row = rivals.compare_superposed(ours, theirs, seed=0)
    assert row["superposed_ours_in_time"] == 24
    assert row["superposed_in_time"] == 20
    assert row["superposed_difference"].value == pytest.approx(1 / 6)
    # one fire of six makes the difference: resampled by fire it is not shown
    assert row["superposed_verdict"] == TIE


def test_headline_tells_composites_apart() -> None:
    ahead = {"name": "LDA", "verdict": WIN, "superposed_verdict": LOSS}
    even = {"name": "QUANT", "verdict": TIE, "superposed_verdict": TIE}
    assert headline([{"name": "transformer"}, ahead]) == (
        "On recorded fires in recorded homes the transformer loses to LDA."
    )
    assert headline([{"name": "transformer"}, ahead, even]) == (
        "At equal detection the transformer is not shown to be better than QUANT. "
        "On recorded fires in recorded homes the transformer loses to LDA and is not shown to be "
        "better than QUANT."
    )
    beaten = ahead | {"superposed_verdict": WIN}
    assert headline([{"name": "transformer"}, beaten]) is None


def hot(windows: np.ndarray) -> np.ndarray:
    """Risk that rises with the newest temperature: log-odds 0 at 34 degC, one a kelvin."""
    newest = np.nan_to_num(windows[:, -1, 0, TEMPERATURE], nan=20.0).astype(np.float64)
    return 100.0 / (1.0 + np.exp(34.0 - newest))


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> recordings.SuperposedFires:
    folder = tmp_path_factory.mktemp("real")
    write_house(folder / recordings.HOUSE)
    write_home(folder / recordings.HOMES)
    found = recordings.read_superposed(folder)
    assert found is not None
    return found


def test_rivals_face_the_composites_at_their_moved_thresholds(composed) -> None:
    ours = Judged("transformer", hot, SETTINGS.moved(-9.0))
    dull = Judged("dull", hot, SETTINGS)
    rows = rivals.superposed_rows(composed, [ours, dull, dull], [0.0, -9.0, 0.0], seed=0)
    mine, moved, unmoved = rows
    assert mine["superposed_fires"] == 4
    assert moved["superposed_in_time"] == mine["superposed_in_time"] == 2
    assert (moved["superposed_difference"].value, moved["superposed_verdict"]) == (0.0, TIE)
    assert (unmoved["superposed_in_time"], unmoved["superposed_ours_in_time"]) == (1, 2)
    assert unmoved["superposed_difference"].value == 0.25
    assert "superposed_verdict" not in mine


def test_composites_of_the_comparison_are_those_of_the_scoring(composed, tmp_path) -> None:
    write_house(tmp_path / recordings.HOUSE)
    assert recordings.read_superposed(tmp_path) is None  # without homes
    write_home(tmp_path / recordings.HOMES)
    plan = recordings.ScoringOptions(dense_days=0.0)
    whole = recordings.score_real(lambda r: detect(Scorer(hot, SETTINGS), r), tmp_path, plan)[
        "superposed_fires"
    ]
    alone = recordings.score_superposed(lambda r: detect(Scorer(hot, SETTINGS), r), composed)
    alone = plain_values(alone)
    for row in whole["rows"] + alone["rows"]:
        row.pop("alarms_without_fire")
    assert whole == alone


def test_scenarios_of_the_comparison_are_not_those_of_the_thresholds() -> None:
    from saafe.training.data import Purpose, seeded_generator

    cpu = torch.device("cpu")
    draws = [
        torch.rand(4, generator=seeded_generator(0, purpose, part, cpu)).tolist()
        for purpose, part in (
            (Purpose.DENSE, 0),
            (Purpose.JUDGE, equal_detection.NUISANCES_PART),
            (Purpose.JUDGE, 2),
        )
    ]
    assert len({tuple(d) for d in draws}) == 3
