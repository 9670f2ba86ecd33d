"""Small things that first users met: written rows, stated periods, advice that works, types."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import saafe
from saafe.cli import saafe as command
from saafe.errors import InputError
from saafe.exam.tables import NONE_FOUND, score_table
from saafe.recordings.recording import Recording, read_recording, write_recording
from saafe.sensors import PM25, TEMPERATURE

ROOT = Path(__file__).parents[1]
ENTITIES = [("kitchen_temperature", 0), ("kitchen_pm25", 7), ("bedroom_temperature", 12)]


def home_assistant(folder: Path) -> Path:
    """An export with a row an entity, each once a minute."""
    lines = [
        f"sensor.{name},{20 + minute},2026-01-01T00:{minute:02d}:{second:02d}.000Z"
        for minute in range(5)
        for name, second in ENTITIES
    ]
    path = folder / "history.csv"
    path.write_text("\n".join(["entity_id,state,last_changed", *lines]) + "\n")
    return path


def test_an_import_writes_no_empty_row_and_states_the_entities_period(tmp_path: Path) -> None:
    out = tmp_path / "home.csv"
    done = CliRunner().invoke(
        command, ["data", "import", str(home_assistant(tmp_path)), str(out), "--json"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["check"]["period_s"] == 60.0
    rows = [line.split(",") for line in out.read_text().splitlines()[1:]]
    assert all(any(row[2:]) for row in rows), "every row holds a reading"
    assert [row[1] for row in rows[:3]] == ["kitchen", "kitchen", "bedroom"]
    assert read_recording(out)[0].sensors == ("kitchen", "bedroom")


@pytest.mark.parametrize("first", [(0, 3), (3, 0), (2, 2), (None, 0), (0, None)])
def test_sensors_keep_their_order_whichever_speaks_first(
    first: tuple[int | None, int | None], tmp_path: Path
) -> None:
    readings = np.full((6, 2, 6), np.nan, np.float32)
    for sensor, begins in enumerate(first):
        if begins is not None:
            readings[begins:, sensor, TEMPERATURE] = 20.0
    one = Recording("r", np.arange(6) * 10.0, ("B", "A"), readings)
    write_recording(one, tmp_path / "r.csv")
    again, _ = read_recording(tmp_path / "r.csv")
    assert again.sensors == one.sensors
    np.testing.assert_array_equal(again.times_s, one.times_s)
    np.testing.assert_array_equal(again.readings, one.readings)


def test_a_period_of_rows_stays_where_rows_hold_several_channels(tmp_path: Path) -> None:
    lines = ["time_s,temperature_c,pm25_ug_m3", "0,20,5", "10,,5", "20,,5", "30,20,5", "40,,5"]
    (tmp_path / "r.csv").write_text("\n".join(lines) + "\n")
    assert read_recording(tmp_path / "r.csv")[1].period_s == 10.0


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_advice_for_decimal_commas_works(separator: str, tmp_path: Path) -> None:
    table = ["time_s,temperature_c,pm25_ug_m3", "0,21.4,8.0", "10,21.5,8.5"]
    odd = "\n".join(line.translate(str.maketrans(",.", f"{separator},")) for line in table) + "\n"
    (tmp_path / "odd.csv").write_text(odd)
    with pytest.raises(InputError) as refused:
        read_recording(tmp_path / "odd.csv")
    advice = str(refused.value).partition("decimal points: ")[2]
    assert advice.startswith("tr ")
    line = advice.replace("FILE", "odd.csv") + " > mended.csv"
    subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True)
    mended, _ = read_recording(tmp_path / "mended.csv")
    np.testing.assert_allclose(mended.readings[:, 0, TEMPERATURE], [21.4, 21.5])
    np.testing.assert_allclose(mended.readings[:, 0, PM25], [8.0, 8.5])


def test_a_published_group_that_is_not_there_is_a_dash() -> None:
    nothing = {"n": 0, "in_time": 0, "late": 0, "early": 0, "missed": 0, "rows": [],
               "in_time_share": {"value": None, "lower": 0.0, "upper": 1.0}}  # fmt: skip
    bounds = {"value": None, "lower": 0.0, "upper": None}
    empty = {"days": 0.0, "alarms": 0, "sessions": 0, "nuisance_alarms": 0,
             "false_alarms_per_day": bounds, "nuisance_per_100_sessions": bounds,
             "hours_in_alarm_per_day": float("nan")}  # fmt: skip
    fires = ("house_fires", "oil_pans", "lab_fires", "burner_fires", "pool_fires",
             "superposed_fires")  # fmt: skip
    homes = ("homes", "homes_at_10_s", "offices")
    result = {"sources": {"nist": "scored"}, "margin": "no homes"}
    result |= dict.fromkeys(fires, nothing) | dict.fromkeys(homes, empty)
    rows = score_table(result)
    assert len(rows) == len(fires) + len(homes) + 1
    assert all(row[1:] == ("-", NONE_FOUND) for row in rows[:-1])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: saafe.write_recording("a.csv", "b.csv"), "takes a Recording and a path, got str"),
        (lambda: saafe.read_recording(3), "takes a path, got int"),
        (lambda: saafe.load(3), "takes the path of a run or of an .onnx file, got int"),
        (lambda: saafe.train(3), "tier: takes the name of a tier, got int"),
        (
            lambda: saafe.train("tiny", settings="epochs=2"),
            'settings: takes {"epochs": 2}, got str',
        ),
        (lambda: saafe.examine("runs/RUN"), 'as saafe.load("runs/RUN") gives it, got str'),
    ],
)
def test_a_wrong_type_is_one_line(call, said: str) -> None:
    with pytest.raises(InputError) as refused:
        call()
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def drill(rows: int) -> tuple[dict, str]:
    """The result of a drill over so many rows, 10 s apart, and what was noted."""
    lines = [f"{10 * k},A,21.0,5" for k in range(rows)]
    text = "\n".join(["time_s,sensor,temperature_c,pm25_ug_m3", *lines]) + "\n"
    done = subprocess.run(
        [sys.executable, "-m", "saafe", "detect", "-", "--drill"], input=text, cwd=ROOT,
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True,
    )  # fmt: skip
    (result,) = [
        one for one in map(json.loads, done.stdout.splitlines()) if one["event"] == "drill"
    ]
    return result, done.stderr


def test_a_drill_that_is_cut_off_before_its_fire_says_so() -> None:
    result, noted = drill(5)
    assert (result["alarmed"], result["after_s"], result["cause"]) == (None, None, "cut off")
    assert "nothing was tried" in noted


def test_a_drill_whose_fire_burnt_has_a_result() -> None:
    result, noted = drill(200)
    assert result["alarmed"] is True
    assert result["after_s"] > 0.0
    assert "nothing was tried" not in noted


def test_a_recording_without_labels_and_rows_keeps_its_times(tmp_path: Path) -> None:
    (one,) = saafe.simulate(1, hours=0.5, seed=2)
    bare = replace(one, labels=None, sources=None)
    write_recording(bare, tmp_path / "r.csv")
    np.testing.assert_array_equal(read_recording(tmp_path / "r.csv")[0].times_s, one.times_s)
