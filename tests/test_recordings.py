"""Recordings: what is refused, masked, repaired; what is written comes back."""

import bz2
import doctest
import gzip
import itertools
import json
import lzma
import os
import re
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from saafe.cli import saafe
from saafe.cli.stdin_lines import split_lines
from saafe.detector import AlarmSettings, Detector, Scorer, detect
from saafe.errors import InputError
from saafe.readers.exports import import_recording
from saafe.recordings import cells, cut_recording, doubt, quoted
from saafe.recordings.recording import Recording, read_recording, write_recording
from saafe.recordings.stream import Row, RowReader, read_rows
from saafe.sensors import CHANNEL_NAMES, CHANNELS, CO2, HUMIDITY, PM25, TEMPERATURE, Channel

HEADER = "time_s,sensor,temperature_c,pm25_ug_m3\n"
GOOD = HEADER + "0,A,20.5,8\n10,A,20.6,9\n20,A,20.7,8\n"


def write(folder: Path, content: str | bytes, name: str = "home.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(*lines: str) -> str:
    return HEADER + "\n".join(lines) + "\n"


SIXTY_FIVE = rows(*(f"0,s{i},20,8" for i in range(65)))

# id: (content, what the message must hold: row, column, came, allowed, mending)
REFUSED = {
    "empty file": ("", ["row 1", "an empty header", "column names", "give the file a header"]),
    "no rows": (HEADER, ["row 2", "no rows", "at least one row", "add readings"]),
    "blank rows only": (HEADER + "\n\n\n", ["row 2", "no rows", "at least one row"]),
    "no time": ("sensor,temperature_c\nA,20\n", ["row 1", "no time", "time_s or time", "rename"]),
    "no channel": (
        "time_s,temp\n0,20\n",
        ["row 1", "'time_s, temp'", "temperature_c", "rename", "--map"],
    ),
    "semicolons": (
        GOOD.replace(",", ";"),
        ["row 1", "separated by ';'", "commas", "save it with commas"],
    ),
    "tabs": (GOOD.replace(",", "\t"), ["row 1", "separated by '\\t'", "commas"]),
    "column twice": (
        "time_s,temperature_c,temperature_c\n0,1,2\n",
        ["row 1", "column temperature_c", "came twice", "each column once", "delete one"],
    ),
    "text in a number": (
        rows("0,A,20,8", "10,A,warm,8"),
        ["row 3", "column temperature_c", "'warm'", "a number", "leave a missing reading empty"],
    ),
    "a word that is none for missing": (
        rows("0,A,20,NA", "10,A,20,error"),
        ["row 3", "column pm25_ug_m3", "'error'", "a number", "empty"],
    ),
    "decimal comma": (
        rows("0,A,20,8", "10,A,20,5,8"),
        ["row 3", "5 cells", "4 cells", "decimals with a point"],
    ),
    "quoted decimal comma": (
        rows("0,A,20,8", '10,A,"20,5",8'),
        ["row 3", "column temperature_c", "'20,5'", "a number", "decimals with a point"],
    ),
    "short row": (rows("0,A,20,8", "10,A"), ["row 3", "2 cells", "4 cells"]),
    "short row after a blank line": (rows("0,A,20,8", "", "10,A"), ["row 4", "2 cells"]),
    "open quote": (rows("0,A,20,8", '10,"A,20,8'), ["row 3", "quotes", "check the quotes"]),
    "duplicate": (
        rows("0,A,20,8", "10,A,20,8", "10,B,20,8", "10,A,21,8"),
        ["row 5", "column time_s", "'10' of sensor 'A' came twice", "one row", "--repair` keeps"],
    ),
    "constant time": (
        rows("5,A,20,8", "5,A,21,8"),
        ["row 3", "column time_s", "twice", "--repair"],
    ),
    "backwards": (
        rows("0,A,20,8", "20,A,20,8", "10,A,20,8"),
        ["row 4", "column time_s", "from '20' to '10'", "time order", "--repair` sorts"],
    ),
    "no time in a row": (
        rows("0,A,20,8", ",A,20,8"),
        ["row 3", "column time_s", "empty", "a number of seconds", "give every row its time"],
    ),
    "nan as time": (rows("0,A,20,8", "nan,A,20,8"), ["row 3", "column time_s", "'nan'", "seconds"]),
    "inf as time": (rows("0,A,20,8", "inf,A,20,8"), ["row 3", "column time_s", "'inf'", "seconds"]),
    "microseconds since 1970": (
        rows("1700000000000000,A,20,8"),
        ["row 2", "column time_s", "'1700000000000000'", "a number of seconds", "in seconds"],
    ),
    "a mistyped time": (
        rows("0,A,20,8", "1,A,20,8", "2,A,20,8", "99999999999,A,20,8"),
        ["row 5", "column time_s", "'99999999999' is odd", "time order", "--repair` drops it"],
    ),
    "sensors on clocks of their own": (
        rows("0,A,20,8", "1e9,B,20,8", "1,A,20,8", "1000000001,B,20,8"),
        ["column time_s", "1e+09 s", "ten years", "mistyped"],
    ),
    "all missing": (
        rows("0,A,,", "10,A,,nan"),
        ["temperature_c, pm25_ug_m3", "4 cells empty", "at least one reading", "check the units"],
    ),
    "all masked": (
        rows("0,A,-99,-1", "10,A,-99,-1"),
        ["temperature_c", "4 masked", "at least one reading", "check the units"],
    ),
    "slow": (
        rows("0,A,20,8", "3601,A,20,8", "7202,A,20,8"),
        ["column time_s", "sensor 'A'", "3601 s", "at most 3600 s", "record more often"],
    ),
    "one slow sensor": (
        rows("0,A,20,8", "0,B,20,8", "10,A,20,8", "4000,B,20,8", "8000,B,20,8"),
        ["column time_s", "sensor 'B'", "4000 s", "at most 3600 s"],
    ),
    "65 sensors": (
        SIXTY_FIVE,
        ["row 66", "column sensor", "'s64'", "at most 64 in a space", "one recording a space"],
    ),
    "no sensor": (
        rows("0,A,20,8", "10,,20,8"),
        ["row 3", "column sensor", "empty", "a name", "name the sensor in every row"],
    ),
    "label": (
        "time_s,temperature_c,label\n0,20,fire\n10,20,arson\n",
        ["row 3", "column label", "'arson'", "normal, nuisance, fire", "rename the label"],
    ),
    "mixed offsets": (
        "time,temperature_c\n2026-01-31T12:00:00+01:00,20\n2026-01-31T12:00:10,20\n",
        [
            "row 3",
            "column time",
            "'2026-01-31T12:00:10'",
            "an offset on every time",
            "add the offset",
        ],
    ),
    "no ISO time": (
        "time,temperature_c\n31.01.2026 12:00,20\n",
        ["row 2", "column time", "'31.01.2026 12:00'", "ISO 8601", "write every time so"],
    ),
    "no such day": ("time,temperature_c\n2026-02-31T12:00:00Z,20\n", ["row 2", "column time"]),
    "latin-1": (
        rows("0,A,20,8", "10,Küche,20,8").encode("latin-1"),
        ["row 3", "byte 0xfc is not UTF-8", "UTF-8", "iconv"],
    ),
    "a spreadsheet": (b"PK\x03\x04\x14\0\0\0", ["a spreadsheet or a ZIP", "as CSV, or unpack"]),
    "an old spreadsheet": (
        b"\xd0\xcf\x11\xe0\xa1",
        ["an old spreadsheet", "its table as CSV"],
    ),
    "bzip2": (bz2.compress(GOOD.encode()), ["packed with bzip2", "unpack it"]),
    "xz": (lzma.compress(GOOD.encode()), ["packed with xz", "unpack it"]),
    "zstd": (b"\x28\xb5\x2f\xfd\x04", ["packed with zstd", "unpack it"]),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c", ["packed with 7-Zip", "unpack it"]),
    "Feather": (b"ARROW1\0\0", ["Arrow's format", "save it as Parquet or CSV"]),
    "a database": (b"SQLite format 3\0", ["a database", "save its table as CSV"]),
    "truncated gzip": (gzip.compress(GOOD.encode())[:-9], ["truncated gzip", "complete", "copy"]),
    "damaged gzip": (
        gzip.compress(GOOD.encode())[:20] + b"x" * 60,
        ["damaged gzip", "complete", "copy"],
    ),
}


def test_what_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Sensors that share no time: each has an empty cell at the times of all others."""
    cells = [f"{k},s{k % 10},20,8" for k in range(100)]
    path = write(tmp_path, rows(*cells))
    monkeypatch.setattr("saafe.recordings.rows.MOST_CELLS", 1_000)
    assert read_recording(path)[0].readings.shape == (100, 10, len(CHANNELS))
    monkeypatch.setattr("saafe.recordings.rows.MOST_CELLS", 999)
    with pytest.raises(InputError, match=r"100 times of 10 sensors, 1,000 cells.*--split sensor"):
        read_recording(path)
    folder = tmp_path / "split"
    result = CliRunner().invoke(
        saafe, ["data", "import", str(path), str(folder), "--split", "sensor"]
    )
    assert result.exit_code == 0
    assert len(list(folder.glob("*.csv"))) == 10


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_one_line_that_says_what_to_do(case: str, tmp_path: Path):
    content, parts = REFUSED[case]
    path = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_recording(path)
    message = str(caught.value)
    assert message.startswith(f"{path}")
    assert "\n" not in message
    assert "allowed: " in message
    for part in parts:
        assert part in message


NO_LINES = {
    "zeros": (bytes(64 << 20), 1),
    "zeros, gzipped": (gzip.compress(bytes(64 << 20), 1), 1),
    "one letter": (b"x" * (64 << 20), 1),
    "zeros below rows": (rows("0,A,20,8", "10,A,20,8").encode() + bytes(64 << 20), 4),
    "zeros below rows of old lines": (
        rows("0,A,20,8").replace("\n", "\r").encode() + bytes(64 << 20), 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_LINES)
@pytest.mark.parametrize("read", [read_recording, import_recording])
def test_a_file_without_lines_is_refused_before_it_fills_the_memory(
    read: Callable, case: str, tmp_path: Path
):
    content, row = NO_LINES[case]
    path = write(tmp_path, content)
    tracemalloc.start()
    with pytest.raises(InputError) as caught:
        read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}: line {row} is longer than 1 MB")
    assert "\n" not in str(caught.value)
    assert peak < 16 << 20


def test_a_stream_without_lines_is_refused_soon():
    pieces = iter([bytes(1 << 16)] * 1000)
    with pytest.raises(InputError, match=r"^-: line 1 is longer than 1 MB"):
        list(read_rows(split_lines(pieces)))
    assert sum(1 for _ in pieces) > 900, "most of it was not asked for"


def test_json_may_be_one_line_however_long(tmp_path: Path):
    records = [{"time": f"2026-11-20T12:{k % 3600 // 60:02}:{k % 60:02}Z", "co2": 500}
               for k in range(3600)]  # fmt: skip
    one = json.dumps([record | {"note": "x" * 400} for record in records])
    assert len(one) > 1 << 20
    for data in (one.encode(), one.encode("utf-16"), gzip.compress(one.encode())):
        assert len(import_recording(write(tmp_path, data))[0].times_s) > 3000


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_and_streams_take_the_same_encodings(encoding: str, end: str, tmp_path: Path):
    text = rows("0,Küche,20.5,8", "10,Küche,,9", "20,Küche,21,7")
    data = text.replace("\n", end).encode(encoding)
    streamed = list(read_rows(split_lines([data])))
    for content in (data, gzip.compress(data)):
        recording, check = read_recording(write(tmp_path, content))
        assert recording.sensors == ("Küche",) == (streamed[0].sensor,)
        read = np.stack([row.readings for row in streamed]).astype(np.float32)
        np.testing.assert_array_equal(recording.readings[:, 0], read)
        assert check.notes == (() if content is data else ("gzipped, unlike its name",))


def test_missing_file_folder_and_parquet_in_name_only(tmp_path: Path):
    with pytest.raises(InputError, match=r"no such file; allowed: a file.*check the path"):
        read_recording(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"a folder; allowed: a file.*one by one"):
        read_recording(tmp_path)
    with pytest.raises(InputError, match=r"not readable as Parquet.*write the file again"):
        read_recording(write(tmp_path, GOOD, "home.parquet"))
    with pytest.raises(InputError, match="not readable as Parquet"):
        read_recording(write(tmp_path, b"PAR1 and nothing else", "home.csv"))


UNREADABLE = {
    "home.csv/more.csv": "no such file, because a part of the path before it is no folder",
    "a\0b.csv": "cannot be opened (embedded null byte)",
    "two\nlines.csv": "no such file",
    "x" * 300 + ".csv": "cannot be opened (File name too long)",
}


@pytest.mark.parametrize("name", UNREADABLE, ids=range(len(UNREADABLE)))
def test_unreadable_paths_are_one_line(name: str, tmp_path: Path):
    write(tmp_path, GOOD)
    with pytest.raises(InputError) as caught:
        read_recording(f"{tmp_path}/{name}")
    assert UNREADABLE[name] + "; allowed: a file" in str(caught.value)
    assert "damaged" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_rights_is_not_called_damaged(tmp_path: Path):
    path = write(tmp_path, GOOD)
    path.chmod(0)
    with pytest.raises(InputError, match=r"may not be read by this user.*chmod \+r home.csv"):
        read_recording(path)


def test_reads_a_plain_file(tmp_path: Path):
    recording, check = read_recording(write(tmp_path, GOOD, "living.room.csv"))
    assert recording.name == "living.room"
    assert recording.times_s.tolist() == [0, 10, 20]
    assert recording.times_s.dtype == np.float64
    assert recording.readings.dtype == np.float32
    assert recording.readings.shape == (3, 1, len(CHANNELS))
    assert recording.readings[:, 0, PM25].tolist() == [8, 9, 8]
    assert np.isnan(recording.readings[:, 0, CO2]).all()
    assert (recording.labels, recording.sources, recording.start) == (None, None, None)
    assert (check.rows, check.sensors, check.period_s, check.duration_s) == (3, ("A",), 10, 20)
    assert set(check.channels) == {"temperature", "pm25"}


def test_milliseconds_since_1970_are_read_as_such_in_files_and_streams(tmp_path: Path):
    text = rows(*[f"{1_790_000_000_000 + 10_500 * k},A,20.{k},8" for k in range(4)])
    recording, check = read_recording(write(tmp_path, text))
    assert recording.times_s.tolist() == [0.0, 10.5, 21.0, 31.5]
    assert "time_s holds milliseconds since 1970" in "\n".join(check.lines())
    streamed = list(read_rows(text.splitlines()))
    assert [row.time_s for row in streamed] == recording.times_s.tolist()
    assert not any(row.problems for row in streamed)


LENIENT = {
    "byte-order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "CRLF": GOOD.replace("\n", "\r\n"),
    "CR": GOOD.replace("\n", "\r"),
    "no trailing newline": GOOD.rstrip(),
    "trailing newlines": GOOD + "\n\n",
    "blank line within": GOOD.replace("\n10", "\n\n10"),
    "spaces around names and cells": GOOD.replace(",", " , "),
    "quotes": re.sub(r"([A-Za-z_0-9.]+)", r'"\1"', GOOD),
    "exponents and signs": GOOD.replace("20.5", "+2.05e1"),
    "gzip named .csv": gzip.compress(GOOD.encode()),
    "times that start elsewhere": GOOD.replace("\n0,", "\n-7,")
    .replace("\n10", "\n3")
    .replace("\n20,", "\n13,"),
}


@pytest.mark.parametrize("case", LENIENT)
def test_reads_the_same_from_what_other_programs_write(case: str, tmp_path: Path):
    recording, _ = read_recording(write(tmp_path, LENIENT[case]))
    assert recording.times_s.tolist() == [0, 10, 20]
    assert recording.sensors == ("A",)
    np.testing.assert_array_equal(
        recording.readings[:, 0, :2], np.float32([[20.5, 8], [20.6, 9], [20.7, 8]])
    )


def test_names_that_belie_the_content_are_noted(tmp_path: Path):
    zipped = gzip.compress(GOOD.encode())
    assert "gzipped, unlike its name" in read_recording(write(tmp_path, zipped))[1].notes
    plain = write(tmp_path, GOOD, "home.csv.gz")
    assert "not gzipped, unlike its name" in read_recording(plain)[1].notes


def test_out_of_range_is_masked_and_counted(tmp_path: Path):
    text = "time_s,pm25_ug_m3,co2_ppm\n0,-4,0\n10,inf,450\n20,12,\n30,nan,99\n"
    recording, check = read_recording(write(tmp_path, text))
    assert np.isfinite(recording.readings[0, 0]).sum() == 0
    pm25, co2 = check.channels["pm25"], check.channels["co2"]
    assert (pm25.present, pm25.masked, pm25.missing) == (1, 2, 1)
    assert (co2.present, co2.masked, co2.missing) == (1, 2, 1)
    assert pm25.first_masked == "first: -4 in row 2"
    lines = "\n".join(check.lines())
    assert "pm25: 1 present, 1 missing, 2 masked (outside 0 to 100000 ug/m3; first: -4" in lines


WORDS_FOR_MISSING = [
    *("unavailable", "unknown", "none", "null", "nan", "n/a", "NA", "-", "--", "Unavailable"),
    *("UNKNOWN", "None", "NULL", "NaN", "N/A", "#N/A", "nil", "undefined", "missing", "OFF"),
]


@pytest.mark.parametrize("word", WORDS_FOR_MISSING)
def test_words_are_missing_cells(word: str, tmp_path: Path):
    text = f"time_s,pm25_ug_m3,co2_ppm\n0,{word},500\n10,9,\n20, {word} ,500\n30,{word},500\n"
    recording, check = read_recording(write(tmp_path, text))
    assert (check.channels["pm25"].present, check.channels["pm25"].missing) == (1, 3)
    assert check.channels["pm25"].masked == 0
    note = f"3 cells with a word in place of a reading: {word.lower()} (3)"
    assert check.notes == (note,)
    assert [cell.time_s for cell in recording.refused] == [0, 20]  # 30 is as 20
    rows = list(read_rows(text.split("\n")))
    assert all(row.problems[0].reason.startswith(word.lower()) for row in (rows[0], rows[2]))
    assert {cell.reason for cell in recording.refused} == {rows[0].problems[0].reason}


def test_only_words_are_no_reading(tmp_path: Path):
    with pytest.raises(InputError, match="2 cells empty or words for that"):
        read_recording(write(tmp_path, "time_s,co2_ppm\n0,unavailable\n10,unknown\n"))


WRONG = [
    (channel, value, cause) for channel in CHANNELS for value, cause in channel.wrong_values
]  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("channel", "value", "cause"), WRONG, ids=lambda value: getattr(value, "name", value)
)
def test_known_wrong_values_are_masked(
    channel: Channel, value: float, cause: str, suffix: str, tmp_path: Path
):
    rest, path = channel.indoors[1], tmp_path / f"a.{suffix}"
    column = pl.Series(channel.column, [rest, value, value, rest, value + 0.5], dtype=pl.Float32)
    frame = pl.DataFrame([pl.Series("time_s", [0, 10, 20, 30, 40]), column])
    frame.write_csv(path) if suffix == "csv" else frame.write_parquet(path)
    recording, check = read_recording(path)
    counts = check.channels[channel.name]
    said = f"{np.float32(value):g} is {cause}"
    assert counts.wrong_values == {said: 2}
    assert f"2 masked as no reading: {said}" in check.lines()[1]
    assert recording.refused[0] == (10.0, "A", channel.name, said, True)
    is_near_one = channel.lowest <= value + 0.5 <= channel.highest
    assert counts.present == 2 + is_near_one  # only the exact value is meant
    row = next(read_rows(["time_s," + channel.column, f"0,{value}"]))
    assert row.problems == ((channel.name, said, 2),)


@pytest.mark.parametrize(
    "wrong", [[("temp", 1.0)], [("co", "failed")], ("co", 500.0), {"co": 500.0}, [("co",)], 5]
)
def test_sentinels_are_channels_and_values(wrong, tmp_path: Path):
    path = write(tmp_path, GOOD)
    with pytest.raises(InputError, match=r"^sentinels: came .*; allowed: a channel and a value"):
        read_recording(path, sentinels=wrong)


def test_a_wet_humidity_sensor_reads_100(tmp_path: Path):
    text = "time_s,humidity_pct\n0,99\n10,100.1\n20,110\n30,110.1\n"
    recording, check = read_recording(write(tmp_path, text))
    assert recording.readings[:3, 0, HUMIDITY].tolist() == [99, 100, 100]
    assert check.notes == ("2 humidity readings over 100 %, up to 110, taken as 100",)
    assert check.channels["humidity"].masked == 1
    rows = list(read_rows(text.split("\n")))
    assert [row.readings[HUMIDITY] for row in rows[:3]] == [99, 100, 100]
    assert [len(row.problems) for row in rows] == [0, 0, 0, 1]


DOUBTED = {  # channel: {readings: what the note holds, "" = no doubt}
    "temperature": {
        "21": "", "0": "", "45": "", "70": "looks like degF (median 70): --unit temperature=F",
        "294.15": "looks like kelvin (median 294.1): --unit temperature=K",
        "-10": "median of -10 degC", "500": "median of 500 degC",
    },
    "pm25": {
        "0": "", "8": "", "8000": "median of 8000", "0.00001": "look at its unit",
        "0.008": "looks like mg/m3 (median 0.008): --unit pm25=mg/m3",
    },
    "co2": {"420": "", "9000": "", "150": "no room has (300 to 10000)", "50000": "its unit"},
    "sound": {"40": "", "0": "median of 0 dB", "115": "median of 115 dB"},
    "co": {"0": "", "0.3": "", "300": "median of 300 ppm"},
    "humidity": {"45": "", "100": "", "0.45": "--unit humidity=fraction"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "said"), [(n, *item) for n, row in DOUBTED.items() for item in row.items()]
)
def test_a_median_that_no_room_has_is_doubted(name: str, value: str, said: str, tmp_path: Path):
    channel = CHANNELS[CHANNEL_NAMES.index(name)]
    lines = "".join(f"{t},{value}\n" for t in (10, 20, 30))
    text = f"time_s,{channel.column}\n0,{channel.indoors[0]}\n{lines}"
    _, check = read_recording(write(tmp_path, text))
    why = doubt(channel, float(value))
    assert check.notes == ((why,) if why else ())
    assert (said in why) if why else said == ""


def test_a_fire_that_begins_in_a_room_is_not_doubted(tmp_path: Path):
    """Its median of 111 degC looked like degF; the offered --unit would have spoilt it."""
    calm, hot = ((t, 21) for t in range(0, 100, 10)), range(100, 400, 10)
    text = "".join(f"{t},{v}\n" for t, v in (*calm, *((t, 111) for t in hot)))
    _, check = read_recording(write(tmp_path, f"time_s,temperature_c\n{text}"))
    assert check.notes == ()


def test_refused_cells_are_of_rows_unlike_their_sensor_s_last_one(tmp_path: Path):
    text = (
        "time_s,sensor,temperature_c,co2_ppm\n0,A,-,unknown\n0,B,85,500\n10,A,,0\n10,B,99999,500\n"
        "20,A,unavailable,500\n20,B,20,50\n30,A,21,0\n30,B,20,500\n40,A,85,500\n40,B,nan,500\n"
    )
    recording, _ = read_recording(write(tmp_path, text))
    assert tuple(cell[:4] for cell in recording.refused) == (
        (0, "A", "temperature", "-: no reading"),
        (0, "A", "co2", "unknown: no reading"),
        (0, "B", "temperature", "85 is a DS18B20's power-on value"),  # and in the next row
        (10, "A", "co2", "0 is a CO2 sensor's before its first measurement"),
        (20, "A", "temperature", "unavailable: no reading"),
        (20, "B", "co2", "50 is outside 100 to 200000 ppm"),
        (30, "A", "co2", "0 is a CO2 sensor's before its first measurement"),
        (40, "A", "temperature", "85 is a DS18B20's power-on value"),
        (40, "B", "temperature", "nan: no reading"),
    )
    part = cut_recording(recording, 15, 35)
    assert part.times_s.tolist() == [0, 10]
    assert [(cell.time_s, cell.sensor) for cell in part.refused] == [(0, "A"), (0, "B"), (10, "A")]


@pytest.mark.parametrize("period_s", [1, 90, 120, 300, 3600])
def test_periods_up_to_an_hour(period_s: int, tmp_path: Path):
    text = rows(*(f"{period_s * k},A,20,8" for k in range(50)))
    _, check = read_recording(write(tmp_path, text))
    assert check.period_s == period_s
    assert check.gaps == ()
    note = f"readings every {period_s} s: longer than the model's windows hold a reading (90 s)"
    assert check.notes == ((note,) if period_s > 90 else ())


def test_rows_that_hold_a_time_alone_are_no_readings(tmp_path: Path):
    """A grid of 10 s, as simulated recordings have one: A reports each minute, B every 300 s."""
    lines = [
        f"{t},{name},{20 if t % every == 0 else ''},{'' if t % 120 else 8}"
        for t in range(0, 3000, 10) for name, every in (("A", 60), ("B", 300))
    ]  # fmt: skip
    text = rows(*lines)
    recording, check = read_recording(write(tmp_path, text))
    assert recording.readings.shape[:2] == (300, 2), "their times are kept"
    told = np.isfinite(recording.readings).any(axis=2)
    assert check.rows == told.sum() < 100
    assert check.period_s == 60
    for index, channel in enumerate(CHANNELS[:2]):
        counts = check.channels[channel.name]
        assert counts.present == np.isfinite(recording.readings[:, :, index]).sum()
        assert counts.present + counts.missing == check.rows
    assert f"{600 - check.rows} rows with a time and no cell of a channel" in check.notes
    words = text.replace(",,\n", ",unavailable,\n")
    assert read_recording(write(tmp_path, words))[1].rows == 600, "a word is something said"


def test_the_slowest_sensor_is_noted(tmp_path: Path):
    lines = [f"{t},A,20,8" for t in range(0, 3000, 10)] + [
        f"{t},B,20,8" for t in range(0, 3000, 300)
    ]
    _, check = read_recording(write(tmp_path, rows(*lines)))
    assert check.period_s == 10
    assert check.notes[0].startswith("readings of sensor 'B' every 300 s")
    assert check.repairs == check.gaps == ()


def test_limits_themselves_are_kept(tmp_path: Path):
    names = ",".join(channel.column for channel in CHANNELS)
    low = ",".join(str(channel.lowest) for channel in CHANNELS)
    high = ",".join(str(channel.highest) for channel in CHANNELS)
    _, check = read_recording(write(tmp_path, f"time_s,{names}\n0,{low}\n10,{high}\n"))
    assert all(counts.present == 2 for counts in check.channels.values())


def test_gaps_are_reported_for_each_sensor(tmp_path: Path):
    lines = [f"{t},A,20,8" for t in range(0, 60, 10)] + ["60,A,20,8", "60,B,20,8"]
    lines += [f"{t},{s},20,8" for t in range(86_460, 86_500, 10) for s in "AB"]
    _, check = read_recording(write(tmp_path, rows(*lines)))
    assert [(gap.sensor, gap.start_s, gap.length_s) for gap in check.gaps] == [
        ("A", 60, 86_400),
        ("B", 60, 86_400),
    ]
    silent = [f"{t},A,20,8" for t in range(0, 200, 10)] + ["190,B,20,8"]
    gap = read_recording(write(tmp_path, rows(*silent)))[1].gaps[0]
    assert (gap.sensor, gap.start_s, gap.length_s) == ("B", 0, 190)


def test_repair_sorts_keeps_the_first_and_says_so(tmp_path: Path):
    text = rows("20,A,22,8", "0,A,20,8", "10,A,21,8", "10,A,99,-1", "10,B,50,8")
    path = write(tmp_path, text)
    recording, check = read_recording(path, repair=True)
    assert recording.times_s.tolist() == [0, 10, 20]
    assert recording.readings[:, 0, TEMPERATURE].tolist() == [20, 21, 22]
    assert recording.readings[1, 1, TEMPERATURE] == 50
    assert check.repairs == (
        "sorted by time (1 step backwards)",
        "kept the first of 1 duplicate row",
    )
    assert check.rows == 4
    assert check.channels["pm25"].masked == 0  # the row that held it was a duplicate
    assert read_recording(write(tmp_path, GOOD), repair=True)[1].repairs == ()


def test_repair_moves_the_start_to_the_earliest_row(tmp_path: Path):
    text = "time,co2_ppm\n2026-01-31T12:00:10+01:00,500\n2026-01-31T11:00:00Z,400\n"
    recording, _ = read_recording(write(tmp_path, text), repair=True)
    assert recording.start == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert recording.readings[:, 0, CO2].tolist() == [400, 500]


def test_iso_times(tmp_path: Path):
    text = "time,co2_ppm\n2026-01-31T23:59:50+01:00,500\n2026-01-31T23:00:00.5Z,400\n"
    recording, check = read_recording(write(tmp_path, text))
    assert recording.times_s.tolist() == [0, 10.5]
    assert recording.start == datetime(2026, 1, 31, 23, 59, 50, tzinfo=timezone(timedelta(hours=1)))
    assert recording.start.utcoffset() == timedelta(hours=1)
    assert check.notes == ()
    text = "time,co2_ppm\n2026-01-31 12:00,500\n2026-01-31 12:01,400\n"
    recording, check = read_recording(write(tmp_path, text))
    assert recording.start == datetime(2026, 1, 31, 12)
    assert recording.times_s.tolist() == [0, 60]
    assert "no offset" in check.notes[0]


def test_labels_sources_and_other_columns(tmp_path: Path):
    text = (
        "time_s,time,sensor,co2_ppm,label,source,door\n"
        "0,x,2,400,FIRE,chair,open\n0,x,1,400,,,open\n10,x,1,400,normal,toast,\n10,x,2,,,steam,\n"
    )
    recording, check = read_recording(write(tmp_path, text))
    assert recording.sensors == ("2", "1")  # in the order they came
    assert recording.labels is not None
    assert recording.labels.tolist() == [[2, -1], [-1, 0]]
    assert recording.labels.dtype == np.int8
    assert recording.sources == ("chair", "toast")
    assert check.ignored == ("time", "door")
    assert check.notes == (
        "1 time with several sources; the first is kept",
        "1 row with a time and no cell of a channel",
    )


def test_irregular_and_fast_rows(tmp_path: Path):
    _, check = read_recording(write(tmp_path, rows("0,A,20,8", "0.5,A,20,8", "1,A,20,8")))
    assert check.notes == ("median period 0.5 s is under 1 s",)
    _, check = read_recording(write(tmp_path, rows("0,A,20,8")))
    assert check.period_s is None
    assert "one time" in check.lines()[0]


def test_typed_parquet(tmp_path: Path):
    stamps = [datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(seconds=10 * i) for i in range(3)]
    path = tmp_path / "typed.parquet"
    frame = pl.DataFrame({"time": stamps, "sensor": [7, 7, 7], "co2_ppm": [400, None, 420]})
    frame.write_parquet(path)
    recording, check = read_recording(path)
    assert recording.sensors == ("7",)
    assert recording.start == stamps[0]
    assert recording.times_s.tolist() == [0, 10, 20]
    assert (check.rows, check.channels["co2"].present, check.channels["co2"].missing) == (2, 2, 0)
    frame.with_columns(time=pl.col("time").dt.replace_time_zone(None)).write_parquet(path)
    assert read_recording(path)[0].start == datetime(2026, 1, 31, 12)
    assert "no offset" in read_recording(path)[1].notes[0]


PARQUET_REFUSED = {
    "no rows": ({"time_s": [], "co2_ppm": []}, "no rows"),
    "bool": ({"time_s": [0], "co2_ppm": [True]}, "row 1, column co2_ppm: came 'True'"),
    "list": ({"time_s": [0], "co2_ppm": [[1.0]]}, "column co2_ppm: type List"),
    "null time": ({"time": [None, datetime(2026, 1, 1)], "co2_ppm": [1, 2]}, "row 1, column time"),
    "far time": ({"time": pl.Series([2**62]).cast(pl.Datetime("us")), "co2_ppm": [1]}, "year"),
    "null times": ({"time_s": [0, None], "co2_ppm": [1, 2]}, "row 2, column time_s"),
    "text": ({"time_s": [0], "co2_ppm": ["high"]}, "row 1, column co2_ppm: came 'high'"),
}


@pytest.mark.parametrize("case", PARQUET_REFUSED)
def test_parquet_refusals(case: str, tmp_path: Path):
    columns, message = PARQUET_REFUSED[case]
    path = tmp_path / "home.parquet"
    pl.DataFrame(columns).write_parquet(path)
    with pytest.raises(InputError, match=re.escape(message)):
        read_recording(path)


def make_recording(start: datetime | None = None) -> Recording:
    generator = np.random.default_rng(1)
    readings = np.full((40, 3, len(CHANNELS)), np.nan)
    for index, channel in enumerate(CHANNELS):
        values = generator.uniform(channel.lowest, channel.highest, (40, 3))
        readings[:, :, index] = np.round(values, channel.decimals)
    readings[:, :, HUMIDITY] = np.nan  # a channel that the space lacks
    readings[5, 1] = np.nan
    readings[7] = np.nan  # a time at which nothing was read
    readings[:3, 2] = np.nan  # a sensor that starts late
    return Recording(
        name="space",
        times_s=np.round(np.cumsum(np.append(0, generator.uniform(1, 20, 39))), 3),
        sensors=("9", "kitchen, left", 'the "other"'),
        readings=readings.astype(np.float32),
        labels=generator.integers(-1, 3, (40, 3)).astype(np.int8),
        sources=tuple(generator.choice(["", "toast", "a, b"], 40).tolist()),
        start=start,
    )


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize(
    "start",
    [
        None,
        datetime(2026, 3, 29, 0, 59, 59, 250_000),
        datetime(2026, 1, 1, tzinfo=timezone(-timedelta(hours=3, minutes=30))),
    ],
)
def test_round_trip_is_exact(suffix: str, start: datetime | None, tmp_path: Path):
    recording = make_recording(start)
    path = tmp_path / f"space.{suffix}"
    write_recording(recording, path)
    again, check = read_recording(path)
    np.testing.assert_array_equal(again.times_s, recording.times_s)
    np.testing.assert_array_equal(again.readings, recording.readings)
    np.testing.assert_array_equal(again.labels, recording.labels)  # type: ignore[arg-type]
    assert again.sources == recording.sources
    assert again.sensors == recording.sensors
    assert again.start == start
    assert again.name == "space"
    assert check.ignored == ()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]  # nothing temporary is left


def test_same_recording_same_bytes(tmp_path: Path):
    for name in ("a.csv.gz", "b.csv.gz"):
        write_recording(make_recording(), tmp_path / name)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


def test_write_refusals(tmp_path: Path):
    with pytest.raises(InputError, match=r"home\.txt.*\.csv, \.csv\.gz or \.parquet"):
        write_recording(make_recording(), tmp_path / "home.txt")
    with pytest.raises(InputError, match="make the folder"):
        write_recording(make_recording(), tmp_path / "none" / "home.csv")


def test_check_is_json(tmp_path: Path):
    _, check = read_recording(write(tmp_path, GOOD))
    document = json.loads(json.dumps(check.to_dict()))
    assert document["channels"]["pm25"]["present"] == 3
    assert document["period_s"] == 10


FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read_or_refuse(path: Path, *, repair: bool = False) -> Recording | None:
    message = ""
    try:
        return read_recording(path, repair=repair)[0]
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert "allowed: " in message
    return None


@FUZZ
@example(data=b'"\r\x80', prefix=b"time_s,sensor,temperature_c,pm25_ug_m3\n")
@given(data=st.binary(max_size=200), prefix=st.sampled_from([b"", HEADER.encode(), b"PAR1"]))
def test_any_bytes_give_a_recording_or_an_input_error(data: bytes, prefix: bytes, tmp_path: Path):
    path = write(tmp_path, prefix + data)
    recording = read_or_refuse(path)
    assert recording is None or np.isfinite(recording.readings).any()


CELLS = st.sampled_from(
    ["", "0", "1", "2", "-3", "1e300", "1e12", "nan", "inf", "450", "x", '"', '"1"', "A", "fire"]
)
TIMES = st.sampled_from(
    [
        "0",
        "1",
        "2",
        "90",
        "2026-01-31T12:00:00Z",
        "2026-01-31 12:00",
        "2026-02-31T12:00",
        "9999-12-31T23:59:59-12",
    ]
)


@FUZZ
@given(
    header=st.permutations(["time_s", "time", "sensor", "co2_ppm", "co_ppm", "label", "x"]),
    width=st.integers(1, 7),
    table=st.lists(st.tuples(TIMES, TIMES, CELLS, CELLS, CELLS, CELLS, CELLS), max_size=6),
    repair=st.booleans(),
)
def test_any_table_gives_a_recording_or_an_input_error(
    header: list[str], width: int, table: list, repair: bool, tmp_path: Path
):
    text = "\n".join([",".join(header[:width]), *(",".join(row[:width]) for row in table)])
    path = write(tmp_path, text)
    recording = read_or_refuse(path, repair=repair)
    if recording is not None:
        assert (np.diff(recording.times_s) > 0).all()
        write_recording(recording, tmp_path / "again.csv")
        again, _ = read_recording(tmp_path / "again.csv")
        np.testing.assert_array_equal(again.readings, recording.readings)


# --- what loggers leave around and between the rows

MANY = [f"{10 * k},A,{20 + k % 7 / 10:g},{8 + k % 3}" for k in range(200)]


def logged(*odd: tuple[int, str | bytes]) -> bytes:
    """A header and 200 rows, with lines before some of them: (row, line)."""
    lines = [line.encode() for line in [HEADER.strip(), *MANY]]
    for before, line in sorted(odd, key=lambda one: -one[0]):
        lines.insert(before, line.encode() if isinstance(line, str) else line)
    return b"\n".join(lines) + b"\n"


CUT = "{} cells where the header has 4"
# id: (content, rows, notes)
LOGGED = {
    "a banner": (logged((0, "Boot 3, v1.2")), 200, ["skipped 1 line before the header"]),
    "comments": (
        logged((0, "# a"), (0, ""), (0, "\ufeff# b;c,d")), 200,
        ["skipped 2 lines before the header"],
    ),
    "a blank line": (b"\n" + logged(), 200, []),
    "a banner of other bytes": (
        logged((0, b"\xb0C\x00")), 200, ["skipped 1 line before the header"],
    ),
    "49 lines before": (
        b"#\n" * 49 + logged(), 200, ["skipped 49 lines before the header"],
    ),
    "capitals": (logged().replace(b"time_s", b"Time_S", 1), 200, []),
    "the header again": (
        logged((50, HEADER.strip()), (90, "\ufeff" + HEADER.strip())), 200,
        ["dropped 2 lines with the header again"],
    ),
    "other bytes": (
        logged((15, b"142,A,2\xff,8"), (16, b"143,A,\xb0\xb0,8")), 200,
        ["dropped 2 rows that could not be read, first row 16: bytes that are not UTF-8"],
    ),
    "a card that lost power": (
        logged((15, b"\0" * 40 + b"142,A,20,8"), (17, b"\0" * 99)), 200,
        ["dropped 2 rows that could not be read, first row 16: a NUL byte"],
    ),
    "a row cut short, one too long": (
        logged((9, "85,A"), (30, "285,A,20,5,8"), (31, "")), 200,
        [f"dropped 2 rows that could not be read, first row 10: {CUT.format(2)}"],
    ),
    "cut at the end": (
        logged()[:-8], 199,
        [f"dropped 1 row that could not be read, first row 201: {CUT.format(2)}"],
    ),
    "an open quote": (
        logged((9, '85,"A,20,8')), 200,
        [f"dropped 1 row that could not be read, first row 10: {CUT.format(2)}"],
    ),
    "among quotes": (
        logged((9, "85,A"), (4, '25,"A","20","8"')), 201,
        [f"dropped 1 row that could not be read, first row 11: {CUT.format(2)}"],
    ),
    "all at once": (
        logged((0, "Boot"), (7, HEADER.strip()), (7, "65,A"), (20, ""), (30, b"\xff,A")), 200,
        [
            "skipped 1 line before the header",
            f"dropped 2 rows that could not be read, first row 9: {CUT.format(2)}",
            "dropped 1 line with the header again",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("case", LOGGED)
def test_what_loggers_leave_is_read_and_noted(case: str, end: bytes, tmp_path: Path):
    content, rows, notes = LOGGED[case]
    recording, check = read_recording(write(tmp_path, content.replace(b"\n", end)))
    assert check.rows == rows
    assert list(check.notes) == notes
    clean, _ = read_recording(write(tmp_path, logged()))
    _, at, clean_at = np.intersect1d(recording.times_s, clean.times_s, return_indices=True)
    assert len(at) >= 199
    np.testing.assert_array_equal(recording.readings[at], clean.readings[clean_at])


@pytest.mark.parametrize("case", LOGGED)
def test_a_file_and_a_stream_say_the_same_of_its_lines(case: str, tmp_path: Path):
    content, _, _ = LOGGED[case]
    model = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())
    recording, _ = read_recording(write(tmp_path, content))
    detector, said = Detector(model), []
    for row in read_rows(content.decode(errors="replace").split("\n")):
        said += detector.update(row.time_s, row.sensor, row.readings, row.refused)
    if case not in ("other bytes", "a card that lost power"):  # whose other cells a stream takes
        assert detect(model, recording).events == said + detector.finish()


@pytest.mark.parametrize(
    ("line", "part"),
    [(b"7,A", "2 cells"), (b'7,"A', "quote"), (b"7,\xff,,", "0xff"), (b"\0,A,,", "column time_s")],
)
def test_more_than_two_in_a_hundred_are_refused(line: bytes, part: str, tmp_path: Path):
    few = logged(*[(11 + 20 * k, line) for k in range(4)])
    assert read_recording(write(tmp_path, few))[1].rows == 200
    many = b"# banner\n\n" + logged(*[(11 + 20 * k, line) for k in range(5)])
    with pytest.raises(InputError, match=f"row 1[45].*{part}"):
        read_recording(write(tmp_path, many))


def test_rows_are_counted_as_a_person_does(tmp_path: Path):
    for wrong, column in (("495,A,warm,8", "temperature_c"), ("495,,20,8", "sensor")):
        content = logged((0, "Boot"), (0, ""), (9, "85,A"), (20, HEADER.strip()), (51, wrong))
        with pytest.raises(InputError, match=f"row 56, column {column}"):
            read_recording(write(tmp_path, content))
    with pytest.raises(InputError, match="row 3: no known channel"):
        read_recording(write(tmp_path, "# a\n\ntime_s,dust\n0,1\n"))


def test_a_file_without_a_header_is_refused_by_its_first_line(tmp_path: Path):
    with pytest.raises(InputError, match="row 2: no time in columns 'Boot'"):
        read_recording(write(tmp_path, "\nBoot\n" + "0,A,20,8\n" * 60))
    with pytest.raises(InputError, match="row 1: no time in columns '#'"):
        read_recording(write(tmp_path, b"#\n" * 50 + logged()))


# --- streams


def test_stream_equals_batch(tmp_path: Path):
    write_recording(make_recording(datetime(2026, 1, 31, 12, tzinfo=UTC)), tmp_path / "a.csv")
    batch, _ = read_recording(tmp_path / "a.csv")
    readings = np.full(batch.readings.shape, np.nan, dtype=np.float32)
    with (tmp_path / "a.csv").open() as lines:
        for row in read_rows(lines):
            assert row.problems == ()
            time = np.searchsorted(batch.times_s, row.time_s)
            assert batch.times_s[time] == row.time_s
            readings[time, batch.sensors.index(row.sensor)] = row.readings
    np.testing.assert_array_equal(readings, batch.readings)


BAD_ROWS = {
    "text": ("10,A,hot,9", [("temperature", "came 'hot', no number")]),
    "out of range": ("10,A,20,-4", [("pm25", "-4 is outside 0 to 100000 ug/m3")]),
    "infinite": ("10,A,inf,9", [("temperature", "inf is outside -40 to 1200 degC")]),
    "both": (
        "10,A,hot,-4",
        [("temperature", "came 'hot', no number"), ("pm25", "-4 is outside 0 to 100000 ug/m3")],
    ),
    "late": ("-50,A,20,9", [("time", "came 50 s late")]),
    "backwards": ("-500,A,20,9", [("time", "clock set back 500 s")]),
    "duplicate": ("0,A,20,9", [("pm25", "came twice at 0 s")]),
    "text as time": ("noon,A,20,9", [("time", "came 'noon', no number of seconds")]),
    "empty time": (",A,20,9", [("time", "came '', no number of seconds")]),
    "far time": ("1e11,A,20,9", [("time", "clock set ahead 100,000,000,000 s")]),
    "short": ("10,A", [("row", "2 cells where the header has 4")]),
    "no sensor": ("10,,20,9", [("sensor", "came '', no name")]),
    "open quote": ('10,"A,20,9', [("row", "2 cells where the header has 4")]),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_does_not_stop_the_stream(case: str):
    line, problems = BAD_ROWS[case]
    first, bad, last = read_rows([HEADER, "0,A,20,8\n", line, "\n", "20,A,21,8\n"])
    assert [(problem.channel, problem.reason) for problem in bad.problems] == problems
    assert all(problem.row == 3 for problem in bad.problems)
    assert bad.time_s in (0, 10)
    assert bad.sensor == ("" if problems[0][0] in ("sensor", "row") else "A")
    assert first.problems == last.problems == ()
    assert (last.time_s, last.sensor, last.readings[TEMPERATURE]) == (20, "A", 21)


def test_stream_keeps_the_good_readings_of_a_bad_row():
    row = next(read_rows([HEADER, "5,A,hot,9"]))
    assert (row.time_s, row.readings[PM25]) == (0, 9)
    assert np.isnan(row.readings[TEMPERATURE])


def test_stream_of_too_many_sensors_goes_on():
    found = list(read_rows([HEADER, *(f"0,s{i},20,8" for i in range(66)), "10,s0,21,8"]))
    assert [row.sensor for row in found[64:]] == ["", "", "s0"]
    assert "one more than 64" in found[64].problems[0].reason
    assert found[-1].problems == ()


def test_a_problem_of_a_stream_with_dates_names_the_date():
    """It said "at 0 s", which nobody finds in a file of dates."""
    day = "2026-01-31T12:00:0"
    rows = list(read_rows(["time,co2_ppm", f"{day}0,400", f"{day}5,410", f"{day}5,420"]))
    assert [problem.reason for problem in rows[-1].problems] == [f"came twice at {day}5"]
    reader = RowReader()
    for k, line in enumerate(["time,co2_ppm", f"{day}5,400", f"{day}5,410"]):
        row = reader.read(line, 10.0 * k)
    assert row is not None
    assert [one.reason for one in row.problems] == [f"clock stands still at {day}5"]


def test_stream_of_iso_times():
    lines = ["time,co2_ppm", "2026-01-31T12:00:00+01:00,400", "2026-01-31T11:00:10Z,410"]
    assert [row.time_s for row in read_rows(lines)] == [0, 10]
    row = list(read_rows([*lines, "2026-01-31T12:00:20,400"]))[-1]
    assert row.problems[0].reason == "times with and without an offset are mixed"
    row = list(read_rows([*lines, "2026-02-31T12:00:20Z,400"]))[-1]
    assert row.problems[0].reason == "came '2026-02-31T12:00:20Z', no such day"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "no time in columns '0, 1'"),
        ("time_s,x", "no known channel"),
        ("time_s;co2_ppm", "separated"),
    ],
)
def test_stream_header_must_be_right(header: str, message: str):
    with pytest.raises(InputError, match=message):
        next(read_rows([header, "0,1"]), None)


@pytest.mark.parametrize(
    "before",
    [
        ["\n"],
        ["ets Jan  8 2013,rst cause:2, boot mode:(3,6)"],
        ["# a comment", "", "\ufeff# another"],
    ],
)
def test_lines_before_a_header_are_passed_over(before: list[str]):
    rows = list(read_rows([*before, HEADER, "0,A,20,8", HEADER, "10,A,21,9"]))
    assert [(row.time_s, row.readings[TEMPERATURE], row.problems) for row in rows] == [
        (0, 20, ()), (10, 21, ()),
    ]  # fmt: skip


def test_a_stream_of_nothing_has_no_header():
    with pytest.raises(InputError, match="an empty header"):
        list(read_rows(["", "\n"]))


def test_a_line_that_acknowledges():
    first, said = read_rows([HEADER, "7,A,20,8", "Acknowledge\n"])
    assert not first.is_acknowledgement
    assert said.is_acknowledgement
    assert said.time_s == 0


PIECES = ["0,A,20,", "0,A,,8", "0,A,20,8", "0,A,,9", "0,A,,", "0,B,30,"]


def test_rows_of_one_time_are_one_reading():
    rows = list(read_rows(["time_s,sensor,temperature_c,pm25_ug_m3", *PIECES]))
    read = [(row.sensor, *row.readings[[TEMPERATURE, PM25]], row.refused) for row in rows]
    nan = pytest.approx(np.nan, nan_ok=True)
    assert read == [
        ("A", 20, nan, {}), ("A", nan, 8, {}), ("A", nan, nan, {}),  # said already
        ("A", nan, nan, {"pm25": "came twice at 0 s"}), ("A", nan, nan, {}), ("B", 30, nan, {}),
    ]  # fmt: skip


# --- one grammar: a cell of a file and of a stream


def among(words: str) -> st.SearchStrategy[str]:
    return st.sampled_from(words.split(" "))  # two spaces give an empty word


DIGITS = st.text("0123456789", max_size=25) | st.text("0123456789\u0661\uff11\u00b2", max_size=3)
EXPONENTS = among("  e3 E-3 e+03 e e1.5 d3 e400 e-400")
NUMBERS = st.builds(
    "".join, st.tuples(among("  - + --"), DIGITS, among(" . , _"), DIGITS, EXPONENTS)
)
WORDS = among(
    "unavailable Unknown - -- N/A 85 0 65535 "
    "nan NaN -nan +inf INF infinity -Infinity infin nan(1) NA null true 0x1F 1f 1_0"
)
TEXT = st.text(st.characters(exclude_characters='",\r\n', exclude_categories=["Cs"]), max_size=8)
SPACES = st.text(cells.WHITESPACE.replace("\r", "").replace("\n", "") + "\x1f", max_size=2)
DATES = among(
    "2026-01-31 2024-02-29 2026-02-29 2026-06-31 1000-01-02 9998-12-30 9999-12-31 0999-01-01 "
    "2026-1-3 20260131 2026-13-01 2026-W05-6 2026-0\u0661-31"
)
CLOCKS = among("12:00 12:00:00 23:59:59 24:00 12:60 12:00:60 12:00.5 12 120000 12:00:0\u0661")
FRACTIONS = among("  .5 .000001 .1234567 .9999999 . ,5 .\u0661")
OFFSETS = among(" Z z +01:00 -0530 +02 +02: +0\u0661 +24:00 -23:59 +1") | st.just(" +01:00")
STAMPS = st.builds("".join, st.tuples(DATES, among("T t"), CLOCKS, FRACTIONS, OFFSETS))
ANY_CELL = st.builds("".join, st.tuples(SPACES, NUMBERS | WORDS | STAMPS | TEXT, SPACES))


def in_csv(cell: str) -> str:
    return f'"{cell}"' if "," in cell else cell


def read_both(text: str, folder: Path) -> tuple[Recording | None, list[Row]]:
    """What a file, where it is not refused for a cell, and a stream say of the same rows."""
    rows, refused = list(read_rows(text.split("\n"))), ""
    try:
        return read_recording(write(folder, text))[0], rows
    except InputError as error:
        refused = str(error)
    assert re.search(": (came|empty)", refused), refused
    return None, rows


@FUZZ
@given(cell=ANY_CELL)
def test_readings_mean_the_same_in_files_and_streams(cell: str, tmp_path: Path):
    recording, (row,) = read_both(f"time_s,co2_ppm,co_ppm\n0,{in_csv(cell)},1", tmp_path)
    if recording is None:
        assert [problem.channel for problem in row.problems] == ["co2"]
        assert row.problems[0].reason.endswith(", no number")
    else:
        np.testing.assert_array_equal(recording.readings[0, 0], row.readings.astype(np.float32))
        assert [(c.channel, c.reason) for c in recording.refused] == [
            (problem.channel, problem.reason) for problem in row.problems
        ]


@FUZZ
@given(cell=ANY_CELL, column=st.sampled_from(["time_s", "time"]))
@example(cell="\x1f0", column="time_s")  # a separator is no white space
@example(cell="\ufeff0", column="time_s")
def test_times_mean_the_same_in_files_and_streams(cell: str, column: str, tmp_path: Path):
    recording, (row,) = read_both(f"{column},co2_ppm\n{in_csv(cell)},400", tmp_path)
    assert (recording is None) == bool(row.problems)
    if recording is not None and recording.start is not None:
        stamp = cells.to_stamp(cell.strip(cells.WHITESPACE))
        assert (recording.start, recording.start.tzinfo) == (stamp, stamp.tzinfo)


@FUZZ
@given(
    start=st.floats(-1e9, 1e9) | st.datetimes(datetime(1000, 1, 2), datetime(9990, 1, 1)),
    steps=st.lists(st.floats(1e-5, 90.0) | st.sampled_from([0.1, 1 / 3, 1.0]), max_size=5),
)
def test_times_lie_equally_far_apart_in_files_and_streams(
    start: float | datetime, steps: list[float], tmp_path: Path
):
    if isinstance(start, datetime):
        moments = [start + timedelta(seconds=s) for s in np.cumsum([0.0, *steps]).tolist()]
        lines = ["time,co2_ppm", *(f"{moment.isoformat()}Z,400" for moment in moments)]
    else:
        times = [start + s for s in np.cumsum([0.0, *steps]).tolist()]
        lines = ["time_s,co2_ppm", *(f"{time},400" for time in times)]
    recording, rows = read_both("\n".join(lines), tmp_path)
    assert recording is not None
    assert recording.times_s.tolist() == [row.time_s for row in rows]


@FUZZ
@given(cell=ANY_CELL | st.text(st.characters(exclude_characters='",\r\n', codec="utf-8")))
def test_sensors_mean_the_same_in_files_and_streams(cell: str, tmp_path: Path):
    recording, (row,) = read_both(f"time_s,sensor,co2_ppm\n0,{in_csv(cell)},400", tmp_path)
    assert (recording.sensors if recording else ("",)) == (row.sensor,)
    assert (recording is None) == bool(row.problems)


@pytest.mark.parametrize("length", range(6))
def test_polars_takes_the_numbers_of_the_grammar_and_no_others(length: int):
    texts = ["".join(cell) for cell in itertools.product("01.+-eE_x", repeat=length)]
    taken = pl.Series(texts, dtype=pl.String).cast(pl.Float64, strict=False).is_not_null()
    assert taken.to_list() == [bool(re.fullmatch(cells.NUMBER_PATTERN, text)) for text in texts]


def test_polars_strips_the_white_space_of_the_grammar_and_no_other():
    characters = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]
    stripped = pl.Series(characters).str.strip_chars() == ""
    assert "".join(pl.Series(characters).filter(stripped)) == cells.WHITESPACE


def test_stamps_that_once_read_differently(tmp_path: Path):
    # "+02:" was an offset in a file and no day in a stream, an Arabic digit in an offset was
    # read as 0 in a file, and 12:00.5, half past the minute, was read as half a second
    for cell in ("2026-01-31T12:00+02:", "2026-01-31T12:00+0\u0661", "2026-01-31T12:00.5"):
        recording, (row,) = read_both(f"time,co2_ppm\n{cell},400", tmp_path)
        assert recording is None
        assert row.problems[0].reason.endswith("no ISO 8601 time")


@pytest.mark.parametrize(
    ("cell", "start"),
    [
        ("20260131T120000Z", "2026-01-31T12:00:00+00:00"),
        ("20260131T120000+0100", "2026-01-31T12:00:00+01:00"),
        ("20260131T120000.5+01", "2026-01-31T12:00:00.500000+01:00"),
        ("20260131T120000", "2026-01-31T12:00:00"),
        ("2026-01-31t12:00:00z", "2026-01-31T12:00:00+00:00"),
    ],
)
def test_iso_times_may_be_compact_or_in_small_letters(cell: str, start: str, tmp_path: Path):
    recording, (row,) = read_both(f"time,co2_ppm\n{cell},400", tmp_path)
    assert recording is not None
    assert recording.start is not None
    assert recording.start.isoformat() == start
    assert row.problems == ()
    assert read_both("time,co2_ppm\n20260131T1200Z,400", tmp_path)[0] is None


def test_examples_of_the_docstrings_run():
    from saafe.recordings import recording

    failed, tried = doctest.testmod(recording)
    assert failed == 0
    assert tried > 10


@pytest.mark.slow
def test_a_month_of_six_sensors_reads_in_seconds(tmp_path: Path):
    import time

    times_s = np.arange(0, 30 * 86400, 10.0)
    readings = np.full((len(times_s), 6, len(CHANNELS)), 400, dtype=np.float32)
    readings[:, :, HUMIDITY] = 40
    readings[:, :, :2] = 20
    path = tmp_path / "month.csv"
    write_recording(Recording("month", times_s, tuple("ABCDEF"), readings), path)
    start = time.perf_counter()
    _, check = read_recording(path)
    assert check.rows == 6 * len(times_s)
    assert time.perf_counter() - start < 20  # 3 s on two quiet cores


@pytest.mark.parametrize("cell", ["a" * 50, "TC1'" * 20, "x", "don't", 'a"b' * 20])
def test_a_long_cell_ends_in_the_quote_that_it_begins_with(cell: str) -> None:
    text = quoted(cell)
    assert text[0] == text[-1]
    assert len(text) <= 42
