"""What whoever imports says of columns: whose channel each is, and what names alone leave open."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from saafe.cli import saafe
from saafe.errors import InputError
from saafe.readers.export_maps import parse_columns
from saafe.readers.exports import import_recording
from saafe.recordings.recording import read_recording
from saafe.sensors import CHANNEL_NAMES

START = "2026-01-31T12:00:00Z"


def wide(folder: Path, **columns: object) -> Path:
    """A table of two times, with one value a column."""
    path = folder / "wide.csv"
    rows = [["time", *columns], *([f"2026-01-31T12:0{k}:00Z", *columns.values()] for k in (0, 1))]
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def long(folder: Path, **entities: object) -> Path:
    """The same as a row an entity."""
    path = folder / "long.csv"
    rows = [f"{name},{value},2026-01-31T12:0{k}:00Z" for k in (0, 1)
            for name, value in entities.items()]  # fmt: skip
    path.write_text("\n".join(["entity_id,state,last_changed", *rows]) + "\n")
    return path


def first_readings(path: Path, **options: object) -> dict[str, dict[str, float]]:
    """The readings at the first time, by sensor and channel."""
    recording = import_recording(path, **options)[0]  # type: ignore[arg-type]
    return {
        sensor: {
            name: round(float(value), 3)
            for name, value in zip(CHANNEL_NAMES, recording.readings[0, index], strict=True)
            if np.isfinite(value)
        }
        for index, sensor in enumerate(recording.sensors)
    }


NUMBERS = {"a1": 21, "a2": 500, "b1": 19, "b2": 600}
OF = {"a1": "temperature@kitchen", "a2": "co2@kitchen", "b1": "temperature@hall", "b2": "co2@hall"}
TWO = {"kitchen": {"temperature": 21.0, "co2": 500.0}, "hall": {"temperature": 19.0, "co2": 600.0}}


@pytest.mark.parametrize("form", [wide, long])
def test_a_column_is_a_channel_of_a_named_sensor(form, tmp_path: Path):
    """No name tells them, and nothing could be said but the channel."""
    assert first_readings(form(tmp_path, **NUMBERS), columns=OF) == TWO


@pytest.mark.parametrize("form", [wide, long])
def test_one_sensor_is_named_beside_others_that_names_tell(form, tmp_path: Path):
    names = {"kitchen_temperature": 21, "hall_temperature": 19, "attic": 17}
    found = first_readings(form(tmp_path, **names), columns={"attic": "temperature@attic"})
    assert found == {k: {"temperature": t} for k, t in
                     [("attic", 17.0), ("kitchen", 21.0), ("hall", 19.0)]}  # fmt: skip
    # of the same sensor the one that was said, as where no sensor is
    found = first_readings(form(tmp_path, **names), columns={"attic": "temperature@hall"})
    assert found == {"hall": {"temperature": 17.0}, "kitchen": {"temperature": 21.0}}
    found = first_readings(form(tmp_path, **names), columns={"attic": "temperature"})
    assert [*found.values()] == [{"temperature": 17.0}]


def test_one_channel_each_of_two_sensors_stays_apart(tmp_path: Path):
    """No channel comes twice, so all columns were one sensor, whatever their names."""
    path = wide(tmp_path, x=21, y=500)
    found = first_readings(path, columns={"x": "temperature@kitchen", "y": "co2@hall room"})
    assert found == {"kitchen": {"temperature": 21.0}, "hall room": {"co2": 500.0}}
    one = first_readings(path, columns={"x": "temperature@kitchen", "y": "co2"})
    assert one == {"kitchen": {"temperature": 21.0}, "A": {"co2": 500.0}}
    guess = import_recording(path, columns={"x": "temperature@kitchen", "y": "co2"})[2]
    assert {c.name: c.sensor for c in guess.columns} == {"x": "kitchen", "y": "A"}


def test_a_unit_in_the_name_and_a_short_name_hold_with_a_sensor(tmp_path: Path):
    path = wide(tmp_path, **{"T1 (degF)": 68, "T2 (degF)": 50})
    told = {"T1": "temperature@kitchen", "T2 (degF)": "temperature@hall"}
    found = first_readings(path, columns=told)
    assert found == {"kitchen": {"temperature": 20.0}, "hall": {"temperature": 10.0}}


REFUSED = {
    "two of one": ({"a1": "temperature@x", "b1": "temperature@x"}, {}, "'a1' and 'b1'"),
    "a sensor of all": ({"a1": "temperature@x"}, {"sensor": "y"}, "sensor y beside x of 'a1'"),
    "no sensor": ({"a1": "temperature@"}, {}, "such as temperature@kitchen"),
    "a space": ({"a1": "temperature@ "}, {}, "such as temperature@kitchen"),
    "a time": ({"a1": "time@x"}, {}, "such as temperature@kitchen"),
    "no channel": ({"a1": "@x"}, {}, "such as temperature@kitchen"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str, tmp_path: Path):
    columns, options, words = REFUSED[name]
    with pytest.raises(InputError) as refused:
        import_recording(wide(tmp_path, **NUMBERS), columns=columns, **options)
    assert words in str(refused.value)
    assert "allowed: " in str(refused.value)
    assert "\n" not in str(refused.value)
    if not options and name != "two of one":
        with pytest.raises(InputError, match=r"allowed: COLUMN=CHANNEL"):
            parse_columns([f"a1={columns['a1']}"])


def test_rooms_that_are_read_as_one_sensor_are_told_with_what_parts_them(tmp_path: Path):
    """The hall's humidity became the kitchen's, and nothing said so."""
    path = wide(tmp_path, kitchen_temp=21, kitchen_co2=500, hall_humidity=40)
    (told,) = [note for note in import_recording(path)[1].notes if "read as one sensor" in note]
    assert told.startswith("hall and kitchen stand in names of columns")
    result = CliRunner().invoke(saafe, ["data", "import", str(path), str(tmp_path / "one.csv")])
    (line,) = [one for one in " ".join(result.stdout.split()).split("note: ") if "as one" in one]
    maps = shlex.split(line.partition("several: ")[2])
    out = tmp_path / "out.csv"
    result = CliRunner().invoke(saafe, ["data", "import", str(path), str(out), *maps])
    assert result.exit_code == 0, result.output
    assert "read as one sensor" not in result.output
    assert read_recording(out)[0].sensors == ("kitchen", "hall")


@pytest.mark.parametrize("names", [
    ["kitchen_temp", "kitchen_co2"], ["temp", "hall_co2"], ["kitchen_temp", "hall_temp"],
])  # fmt: skip
def test_what_is_one_sensor_or_are_several_anyway_is_not_told(names: list[str], tmp_path: Path):
    path = wide(tmp_path, **dict.fromkeys(names, 450 if "temp" not in names[0] else 21))
    assert not [note for note in import_recording(path)[1].notes if "as one sensor" in note]
