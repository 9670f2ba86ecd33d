"""scoring: a small real detector judged on raw folders as publishers write them."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from raw_folders import write_burner, write_home, write_house, write_lab, write_office

from saafe import readers
from saafe.detector.recorded import Detection
from saafe.errors import InputError
from saafe.exam import recordings
from saafe.exam.recorded_fires import scored_part
from saafe.exam.references import first_signal
from saafe.exam.tables import score_table
from saafe.recordings import Check, Recording
from saafe.sensors import CO2, PM25, TEMPERATURE

REAL = Path(os.environ.get("SAAFE_REAL", Path(__file__).parents[2] / "shared" / "data"))


def detect_by(channel, limit):
    """A detector in the public shape: one fixed limit, alarm and clear, risk by the distance."""

    def detect(recording):
        events, times, sensors, risk = [], [], [], []
        for index, sensor in enumerate(recording.sensors):
            values = np.nan_to_num(recording.readings[:, index, channel].astype(float))
            is_on = values >= limit
            edges = np.diff(is_on.astype(int), prepend=0)
            for row in np.flatnonzero(edges):
                word = "alarm" if edges[row] > 0 else "clear"
                event = {"event": word, "time_s": float(recording.times_s[row]), "sensor": sensor}
                events.append(event | {"risk": 99.0, "cause": "model"})
            times.append(recording.times_s)
            sensors.append(np.full(len(values), index))
            risk.append(100.0 / (1.0 + np.exp(-np.clip((values - limit) / limit, -20, 20))))
        events.sort(key=lambda event: event["time_s"])
        return Detection(
            events=events,
            times_s=np.concatenate(times),
            sensors=np.concatenate(sensors),
            risk=np.concatenate(risk),
        )

    return detect


HEAT = detect_by(TEMPERATURE, 32.0)
NEVER = detect_by(TEMPERATURE, 5000.0)
QUICK = recordings.ScoringOptions(dense_days=0.5, dense_sensors=2)


@pytest.fixture(scope="module")
def real_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    write_house(folder / recordings.HOUSE)
    write_home(folder / recordings.HOMES)
    write_lab(folder / recordings.LAB)
    write_burner(folder / recordings.BURNERS)
    write_office(folder / recordings.OFFICES[0])
    return folder


@pytest.fixture(scope="module")
def scored(real_dir):
    return recordings.score_real(HEAT, real_dir, QUICK)


def test_the_score_is_json(scored):
    assert json.loads(json.dumps(scored, allow_nan=False)) == scored
    absent = {recordings.POOLS, recordings.OFFICES[1]}
    for name, status in scored["sources"].items():
        assert status == (recordings.ABSENT if name in absent else "scored")


def test_house_fires_and_pans_stand_apart(scored):
    flaming, smouldering = scored["house_fires"]["rows"]
    assert (flaming["name"], smouldering["name"]) == ("SDC02", "SDC04")
    assert [row["name"] for row in scored["oil_pans"]["rows"]] == ["SDC12"]
    # 7 K at 5 s a kelvin after 20 s of the recording's clock
    assert flaming["alarm_s"] == pytest.approx(20 + 35, abs=2)
    assert flaming["limit_s"] == 120 + 30
    assert flaming["signal_s"] == pytest.approx(30, abs=2)
    assert flaming["recorded_s"] == 59.0
    assert flaming["delay_s"] == flaming["alarm_s"] - 59.0
    assert flaming["outcome"] == "in time"
    assert flaming["end_s"] == pytest.approx(420, abs=2)
    sounds = flaming["reference_alarms_s"]  # 12 K a minute: the rate of rise is first
    assert 20 + 40 < sounds["heat"] < 20 + 160
    assert sounds["heat"] == sounds["rate_of_rise"]
    # +5 K after 120 s comes before OD 0.14/m after 180 s, and before our 7 K
    assert smouldering["limit_s"] == pytest.approx(120)
    assert smouldering["outcome"] == "late"
    assert scored["house_fires"]["in_time"] == 1
    assert scored["house_fires"]["in_time_share"]["lower"] == pytest.approx(0.0126, abs=1e-4)


def test_a_laboratory_fire_is_measured_against_the_detector_beside_it(real_dir):
    lab = recordings.score_real(detect_by(CO2, 800.0), real_dir, QUICK)["lab_fires"]
    (row,) = lab["rows"]
    assert row["limit_s"] == 320.0  # the lone reading at 18 s is none
    assert row["signal_s"] == 130.0
    assert (row["alarm_s"], row["outcome"]) == (180.0, "in time")
    assert row["delay_s"] == -140.0


def test_sources_elsewhere_are_scored_by_the_same_rules(scored):
    cold, hot = scored["burner_fires"]["rows"]
    assert cold["limit_s"] == 60 + 20 + 30  # 20 K above the minute before ignition
    assert (cold["alarm_s"], cold["outcome"]) == (60 + 12, "in time")
    assert cold["end_s"] == 60 + 60  # its peak
    assert (hot["alarm_s"], hot["outcome"]) == (0, "early")  # hot before it burns
    offices = scored["offices"]
    assert (offices["alarms"], offices["sessions"]) == (1, 0)
    assert offices["days"] == pytest.approx(1.0, abs=0.01)
    assert scored["pool_fires"] == recordings.ABSENT
    rows = [row[0] for row in score_table(scored)]
    assert "offices: false alarms" in rows
    assert "offices: nuisance alarms" not in rows  # nobody cooks there


def test_a_plan_may_leave_the_sources_elsewhere_out(real_dir):
    plan = recordings.ScoringOptions(dense_days=0.0, elsewhere=False)
    result = recordings.score_real(NEVER, real_dir, plan)
    for part in ("burner_fires", "pool_fires", "offices"):
        assert result[part] == recordings.LEFT_OUT
    assert result["sources"][recordings.BURNERS] == recordings.LEFT_OUT


def test_homes_count_all_alarms_and_nuisances(scored):
    homes = scored["homes"]
    assert (homes["alarms"], homes["nuisance_alarms"], homes["sessions"]) == (3, 2, 1)
    assert homes["rows"][0]["alarm_times_s"] == [500 * 60.0, 2010 * 60.0, 2040 * 60.0]
    assert homes["days"] == pytest.approx(2.0, abs=0.01)
    dense = scored["homes_at_10_s"]
    assert (dense["days"], dense["sessions"]) == (pytest.approx(0.5, abs=0.01), 1)
    assert dense["nuisance_alarms"] == 2


def test_composites_follow_their_fire(scored):
    part = scored["superposed_fires"]
    assert part["n"] == 4
    assert part["left_out"] == []
    for row in part["rows"]:
        fire = next(r for r in scored["house_fires"]["rows"] if r["name"] in row["name"])
        assert row["limit_s"] - row["fire_s"] == pytest.approx(fire["limit_s"])
        assert row["signal_s"] - row["fire_s"] == pytest.approx(fire["signal_s"])
        assert row["kind"] == fire["kind"]
    assert part["in_time_with_hold"] >= part["in_time"]
    not_in_time = [row["name"] for row in part["rows"] if row["outcome"] != "in time"]
    assert part["not_in_time"] == not_in_time


def test_smoke_that_grows_unseen_is_scored_beside_the_step(real_dir):
    # the meter shows 0.012/m after 52 s, twice that 12 s later: 10 ug/m3 would lie before ignition
    result = recordings.score_real(detect_by(PM25, 30.0), real_dir, QUICK)
    step, growing = (result[part] for part in recordings.SUPERPOSED)
    assert [row["name"] for row in step["rows"]] == [row["name"] for row in growing["rows"]]
    for worst, best in zip(step["rows"], growing["rows"], strict=True):
        assert worst["signal_s"] > best["signal_s"] == best["fire_s"]
        assert best["alarm_s"] <= worst["alarm_s"]
        assert best["limit_s"] == worst["limit_s"]
    assert step["early"] == growing["early"] == 0  # no alarm after the growth's start is early
    assert growing["in_time"] >= step["in_time"]
    figures = {row[0] for row in score_table(result)}
    for case in ("smoke as a step (worst case)", "smoke growing (best case)"):
        assert f"superposed fires, {case} in time" in figures


def test_margin_says_which_composite_is_weakest(scored):
    margin = scored["margin"]
    scores = {row["name"]: row["score"] for row in scored["superposed_fires"]["rows"]}
    assert margin["lowest_superposed_name"] == min(scores, key=scores.__getitem__)
    difference = margin["lowest_superposed"] - margin["highest_home"]
    assert margin["value"] == pytest.approx(difference / margin["quiet_deviation"])


def test_homes_too_short_for_a_fire_end_no_score(real_dir, tmp_path):
    """The weakest of no superposed fires was asked for."""
    for name in (recordings.HOUSE, recordings.HOMES):
        shutil.copytree(real_dir / name, tmp_path / name)
    home = tmp_path / recordings.HOMES / "1.csv"
    home.write_text("\n".join(home.read_text().splitlines()[:120]) + "\n")
    result = recordings.score_real(HEAT, tmp_path, QUICK)
    assert result["margin"] == recordings.NO_MOMENT
    assert [result[part]["n"] for part in recordings.SUPERPOSED] == [0, 0]
    assert len(result["superposed_fires"]["left_out"]) > 0
    assert ("margin", "-", recordings.NO_MOMENT) in score_table(result)


def test_a_detector_that_never_alarms_misses_everything_and_disturbs_nobody(real_dir):
    result = recordings.score_real(NEVER, real_dir, recordings.ScoringOptions(dense_days=0.0))
    assert result["house_fires"]["missed"] == 2
    assert result["superposed_fires"]["missed"] == 4
    assert result["homes"]["false_alarms_per_day"]["value"] == 0.0
    assert result["homes"]["false_alarms_per_day"]["upper"] > 1.0  # two days show little
    assert result["homes_at_10_s"] == "not scored: left out of this plan"


def test_scoring_is_deterministic(real_dir, scored):
    assert recordings.score_real(HEAT, real_dir, QUICK) == scored


def test_an_absent_folder_is_said(real_dir, tmp_path):
    (tmp_path / recordings.LAB).symlink_to(real_dir / recordings.LAB)
    result = recordings.score_real(HEAT, tmp_path)
    assert result["sources"][recordings.HOUSE] == "not scored: folder absent"
    for part in ("house_fires", "oil_pans", "homes", "homes_at_10_s", "superposed_fires", "margin",
                 "superposed_fires_growing", "burner_fires", "pool_fires", "offices"):  # fmt: skip
        assert result[part] == "not scored: folder absent"
    assert result["lab_fires"]["n"] == 1
    assert ("margin", "-", "not scored: folder absent") in score_table(result)


@pytest.mark.parametrize(
    ("name", "why"), [("missing", "no such folder"), (".", "nist_home_smoke_alarms")]
)
def test_no_folder_at_all_is_the_users_mistake(tmp_path, name, why):
    with pytest.raises(InputError, match=why):
        recordings.score_real(HEAT, tmp_path / name)


def test_every_registered_publisher_is_scored_by_what_its_items_are(tmp_path, monkeypatch):
    """A reader that was added by docs/extend.md was passed over without a word."""
    times_s = 10.0 * np.arange(181)
    readings = np.full((181, 1, 6), np.nan, dtype=np.float32)
    readings[:, 0, TEMPERATURE] = np.where(times_s < 900.0, 20.0, 100.0)

    def items(folder):
        check = Check("x", 181, ("A",), 1800.0, 10.0, {})
        one = recordings_of(folder, times_s, readings)
        moments = [{"t_ignition": 600.0, "t_limit": 950.0}, {"t_ignition": 600.0}, {},
                   {"t_dT20": 800.0, "t_peak": 1200.0}]  # fmt: skip
        for k, references in enumerate(moments):
            yield readers.Published(one(f"fire {k}"), check, "sofa", references=references)
        for kind in ("home", "office"):
            yield readers.Published(one(kind), check, kind)

    publisher = readers.Publisher(items, "a test", "CC0", "none")
    monkeypatch.setitem(readers.PUBLISHERS, "added", publisher)
    (tmp_path / "added").mkdir()
    recordings.check_folder(tmp_path, tuple(readers.PUBLISHERS))
    assert recordings.unknown_folders(tmp_path) == []
    result = recordings.score_real(HEAT, tmp_path, QUICK)
    assert result["sources"]["added"] == recordings.AS_A_SET
    (part,) = result["sets"]
    assert (part["name"], part["licence"], part["groups"]) == ("added", "CC0", 6)
    fires = part["fires"]
    assert [row["limit_s"] for row in fires["rows"]] == [950.0, 930.0, 930.0, 830.0]
    came = [row["limit_from"] for row in fires["rows"]]
    assert came == ["publisher", "readings", "readings", "publisher"]
    assert [row["outcome"] for row in fires["rows"]] == ["in time"] * 3 + ["late"]
    assert fires["none_before"] == 2
    assert part["homes"]["alarms"] == 2
    assert score_table(result)[0][0] == "set added: recordings"
    plan = recordings.ScoringOptions(elsewhere=False)
    with pytest.raises(InputError, match="none of the folders"):
        recordings.score_real(HEAT, tmp_path, plan)


def recordings_of(folder, times_s, readings):
    return lambda name: Recording(name, times_s, ("A",), readings)


def test_a_detector_that_fails_fails_the_score(real_dir):
    def broken(recording):
        raise RuntimeError("no such channel")

    with pytest.raises(RuntimeError, match="no such channel"):
        recordings.score_real(broken, real_dir)


def test_the_table_is_for_people(scored):
    rows = score_table(scored)
    assert all(len(row) == 3 for row in rows)
    assert ("house fires in time", "1 of 2", "1.26 to 98.7 %") in rows
    assert ("house fires late", "1", "SDC04") in rows
    assert any(row[0] == "homes: nuisance alarms" for row in rows)


@pytest.mark.real
@pytest.mark.skipif(not (REAL / recordings.HOUSE).is_dir(), reason=f"no recordings in {REAL}")
def test_the_recordings_are_what_the_readme_says():
    result = recordings.score_real(
        detect_by(PM25, 500.0), REAL, recordings.ScoringOptions(dense_days=0.1)
    )
    assert [result[part]["n"] for part in ("house_fires", "oil_pans", "lab_fires")] == [12, 2, 8]
    for row in result["house_fires"]["rows"]:
        assert row["signal_s"] < row["limit_s"] <= row["end_s"]
    assert result["homes"]["sessions"] == 136
    assert result["homes"]["days"] == pytest.approx(91.4, abs=0.5)
    assert result["superposed_fires"]["n"] == 96
    assert result["superposed_fires"]["left_out"] == []


@pytest.mark.real
@pytest.mark.skipif(not (REAL / recordings.HOUSE).is_dir(), reason=f"no recordings in {REAL}")
def test_recorded_fires_give_their_first_signal_within_the_scored_part():
    for fire in readers.read_published(recordings.HOUSE, REAL / recordings.HOUSE):
        assert first_signal(scored_part(fire)) == first_signal(fire.recording)
