"""`saafe data import` of many homes in one file, and of many files of one home."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from saafe.cli import saafe
from saafe.errors import InputError
from saafe.own_rooms.rooms import read_rooms
from saafe.readers.export_parts import join_tables
from saafe.readers.export_text import read_cells_of
from saafe.recordings.recording import read_recording

HEADER = "When,Room,Temp (F),Fine dust (mg/m3),Comment"


def rows(day: int, rooms: list[str], minutes: range = range(90)) -> list[str]:
    """A row a room and minute."""
    return [
        f"2026-11-{day:02} {12 + m // 60}:{m % 60:02}:{k % 60:02}+01:00,{room},"
        f"6{m % 10},0.00{k % 9},"
        for m in minutes
        for k, room in enumerate(rooms)
    ]


def write(path: Path, lines: list[str], header: str = HEADER) -> Path:
    path.write_text("\n".join(["AirBox v2", header, *lines]) + "\n")
    return path


def do(*words: object) -> Result:
    return CliRunner().invoke(saafe, ["data", "import", *map(str, words)])


def test_split_writes_a_recording_of_each_sensor(tmp_path: Path) -> None:
    """Rooms of different homes became sensors of one space, and tuning counted one group."""
    names = ["Anna", "Küche", "home 1/b", "home 2/b"]
    files = ["Anna", "Küche", "home 1_b", "home 2_b"]
    path, out = write(tmp_path / "export.csv", rows(20, names)), tmp_path / "homes"
    result = do(path, out, "--split", "sensor")
    assert result.exit_code == 0, result.output
    assert {one.name for one in out.iterdir()} == {f"{file}.csv" for file in files}
    assert do(path, tmp_path / "all.csv").exit_code == 0
    whole, _ = read_recording(tmp_path / "all.csv")
    for k, (name, file) in enumerate(zip(names, files, strict=True)):
        part, check = read_recording(out / f"{file}.csv")
        assert part.sensors == (name,)
        assert check.notes == ()
        own = whole.readings[:, k][np.isfinite(whole.readings[:, k]).any(axis=1)]
        np.testing.assert_array_equal(part.readings[:, 0], own)
    assert result.stderr.count("skipped 1 line before the header") == 1, "of the file, told once"
    assert read_rooms(out).groups == tuple(sorted(f"{file}.csv" for file in files))


def test_split_takes_more_sensors_than_a_space_has(tmp_path: Path) -> None:
    names = [f"home {k}" for k in range(70)]
    path = write(tmp_path / "export.csv", rows(20, names, range(3)))
    assert do(path, tmp_path / "all.csv").exit_code == 1
    assert do(path, tmp_path / "homes", "--split", "sensor").exit_code == 0
    assert len(list((tmp_path / "homes").iterdir())) == 70


def test_split_keeps_names_apart_that_a_disk_takes_for_one(tmp_path: Path) -> None:
    names = ["Anna", "anna", "a/b", "a_b", "c/b"]
    path = write(tmp_path / "export.csv", rows(20, names, range(3)))
    assert do(path, tmp_path / "homes", "--split", "sensor").exit_code == 0
    written = sorted(one.name for one in (tmp_path / "homes").iterdir())
    assert written == ["Anna.csv", "a_b-2.csv", "a_b.csv", "anna-2.csv", "c_b.csv"]


def test_a_sensor_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    empty = [line.partition(",")[0] + ",Bert,,," for line in rows(20, ["Bert"])]
    path = write(tmp_path / "export.csv", rows(20, ["Anna"]) + empty)
    result = do(path, tmp_path / "homes", "--split", "sensor", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert [one["sensors"] for one in document["checks"]] == [["Anna"]]
    (failed,) = document["failed"]
    assert "Bert.csv" in failed["path"]
    assert "no reading" in failed["error"]


def test_split_writes_over_no_export(tmp_path: Path) -> None:
    path = write(tmp_path / "Anna.csv", rows(20, ["Anna"]))
    before = path.read_bytes()
    assert do(path, tmp_path, "--split", "sensor").exit_code == 1
    assert path.read_bytes() == before


def test_several_sensors_are_told(tmp_path: Path) -> None:
    said = "3 sensors are read as one space; if they are 3 homes: saafe data import --split sensor"
    path = write(tmp_path / "export.csv", rows(20, ["A", "B", "C"]))
    (tmp_path / "rooms").mkdir()
    assert said in do(path, tmp_path / "rooms" / "home.csv").stdout
    lines: list[str] = []
    read_rooms(tmp_path / "rooms", lines.append)
    assert said in lines[0]
    path = write(tmp_path / "export.csv", rows(20, ["A"]))
    assert "as one space" not in do(path, tmp_path / "rooms" / "home.csv").output


def test_an_export_among_own_rooms_is_left_out_with_the_command_that_reads_it(
    tmp_path: Path,
) -> None:
    write(tmp_path / "export.csv", rows(20, ["A"]))
    with pytest.raises(InputError, match=r"this reads it: saafe data import .*export-saafe\.csv"):
        read_rooms(tmp_path)


DAYS = {
    "in order": [20, 21, 22],
    "shuffled": [22, 20, 21],
}


@pytest.mark.parametrize("name", DAYS)
def test_files_of_a_day_each_become_one_recording(name: str, tmp_path: Path) -> None:
    files = [write(tmp_path / f"{day}.csv", rows(day, ["A", "B"])) for day in DAYS[name]]
    every = [line for day in (20, 21, 22) for line in rows(day, ["A", "B"])]
    whole = write(tmp_path / "whole.csv", every)
    for words, out in ((files, "days"), ([whole], "once")):
        result = do(*words, tmp_path / f"{out}.csv")
        assert result.exit_code == 0, result.output
    assert (tmp_path / "days.csv").read_text() == (tmp_path / "once.csv").read_text()


def test_files_that_overlap_count_each_row_once(tmp_path: Path) -> None:
    one = write(tmp_path / "1.csv", rows(20, ["A", "B"], range(60)))
    two = write(tmp_path / "2.csv", rows(20, ["A", "B"], range(30, 90)))
    result = do(one, two, tmp_path / "out.csv")
    assert result.exit_code == 0, result.output
    assert "60 rows came twice, cell for cell: dropped" in result.stdout
    assert "repaired" not in result.stdout
    assert len(read_recording(tmp_path / "out.csv")[0].times_s) == 180


APART = {
    "counters": ("time_s,temperature", "0,20", "10,21"),
    "another form": ("when,temperature", "2026-11-21 12:00:00,20", "2026-11-21 12:01:00,21"),
}


@pytest.mark.parametrize("name", APART)
def test_files_whose_times_cannot_follow_each_other_are_one_line(name: str, tmp_path: Path) -> None:
    one = write(tmp_path / "1.csv", rows(20, ["A"]))
    header, *lines = APART[name]
    two = write(tmp_path / "2.csv", lines, header)
    for words in ((one, two), (two, one), (two, two) if name == "counters" else (two, one)):
        result = do(*words, tmp_path / "out.csv")
        assert result.exit_code == 1
        assert "times that cannot follow" in str(result.exception)


def test_rows_of_readings_are_not_searched_for_names(tmp_path: Path) -> None:
    """Every cell of a year was read as the name of a column: nine tenths of the import's time."""
    asked: list[str] = []

    def is_known(name: str) -> bool:
        asked.append(name)
        return name in HEADER.split(",")

    few, many = (write(tmp_path / f"{n}.csv", rows(20, ["den"], range(n))) for n in (20, 600))
    assert len(read_cells_of(few, is_known).frame) == 20
    of_few = len(asked)
    asked.clear()
    assert len(read_cells_of(many, is_known).frame) == 600
    assert len(asked) == of_few


def test_no_table_joins_to_none() -> None:
    with pytest.raises(InputError, match="join_tables: came no table; allowed: one at least"):
        join_tables([])
