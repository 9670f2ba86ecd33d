"""`saafe data`: what it prints, writes and refuses."""

import json
import math
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from saafe.cli import main, saafe
from saafe.cli.data import check_command, convert_command, data_command
from saafe.errors import InputError
from saafe.recordings.recording import read_recording

GOOD = "time_s,pm25_ug_m3,door\n0,8,1\n10,-4,1\n20,9,1\n"
MESSY = "time_s,pm25_ug_m3\n10,8\n0,9\n10,7\n"
SLOW = ("--device", "ikea-vindstyrka")  # reports on change: an hour may pass


def run(*arguments: object) -> Result:
    return CliRunner().invoke(saafe, ["data", *map(str, arguments)])


def findings(said: str) -> list[str]:
    """What a check printed, a line each: a long path has a line of its own."""
    return re.sub(r":\n  (?=[\d,]+ rows?,)", ": ", said).splitlines()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home.csv"
    path.write_text(GOOD)
    return path


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    path = tmp_path / "messy.csv"
    path.write_text(MESSY)
    return path


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    row = "2018-06-04 00:0{},24.3,69.6,7.8,127,476,0,997,8,0,None,{}\n"
    (folder / "1.csv").write_text(row.format(0, 0) + row.format(1, 1))
    return folder


def test_check_says_what_was_read_masked_and_ignored(home: Path):
    result = run("check", home)
    assert result.exit_code == 0
    assert findings(result.output) == [
        f"{home}: 3 rows, 1 sensor (A), 20 s, median period 10 s",
        "  pm25: 2 present, 0 missing, 1 masked (outside 0 to 100000 ug/m3; first: -4 in row 3)",
        "  ignored columns: door",
    ]


def test_a_column_that_begins_like_a_channel_is_not_ignored_in_silence(tmp_path: Path):
    path = tmp_path / "home.csv"
    path.write_text("time_s,sensor,Temperature_F,pm25_ug_m3,co,door\n0,A,70,5,1,0\n10,A,70,5,1,0\n")
    lines = run("check", path).stdout.splitlines()
    assert [line for line in lines if "note" in line] == [
        f"  note: column {name} is ignored; if it is {channel}, saafe data import reads it"
        for name, channel in (("Temperature_F", "temperature"), ("co", "co"))
    ]


@pytest.mark.parametrize(
    ("column", "channel"),
    [
        *(
            (name, "temperature")
            for name in ("temp", "Temp_C", "T", "temperature (°C)", "t_ceiling")
        ),
        *((name, "pm25") for name in ("pm25", "PM2.5", "pm2_5_ug_m3", "pm25/ug", "PM 2.5 (ug)")),
        *((name, "humidity") for name in ("rh", "RH_pct", "hum", "Rel. Hum", "humidity")),
        *((name, "sound") for name in ("noise", "dB", "dBA", "spl_db")),
        *((name, "co2") for name in ("CO2", "co2_raw", "co2 [ppm]")),
        *((name, "co") for name in ("CO", "co_ppb")),
        *((name, None) for name in ("tvoc", "temptation", "door", "pm10", "hume", "t2", "count")),
    ],
)
def test_a_column_that_is_called_like_a_channel_is_told(tmp_path: Path, column, channel):
    path = tmp_path / "home.csv"
    own = "co_ppm" if channel == "sound" else "sound_db"
    path.write_text(f"time_s,{own},{column}\n0,1,5\n10,1,5\n")
    lines = run("check", path).stdout.splitlines()
    noted = [line for line in lines if "note: column" in line]
    said = f"  note: column {column} is ignored; if it is {channel}, saafe data import reads it"
    assert noted == ([said] if channel else [])


def test_check_json_is_one_document(home: Path):
    document = json.loads(run("check", home, "--json").stdout)
    assert document["failed"] == []
    assert document["checks"][0]["channels"]["pm25"]["masked"] == 1


def test_check_repair_writes_the_mended_recording(messy: Path, tmp_path: Path):
    out = tmp_path / "mended.parquet"
    result = run("check", messy, "--repair", "--out", out)
    assert "repaired: sorted by time (1 step backwards)" in result.output
    assert "repaired: kept the first of 1 duplicate row" in result.output
    assert read_recording(out)[0].readings[:, 0, 1].tolist() == [9, 8]


def test_check_repair_undoes_a_repeated_hour(tmp_path: Path):
    hours = ["00", "01", "02", "02", "03"]  # clocks go back at three
    stamps = [f"2026-10-25 {hour}:{minute:02}:00" for hour in hours for minute in range(60)]
    path, out = tmp_path / "dst.csv", tmp_path / "mended.csv"
    path.write_text("time,co2_ppm\n" + "".join(f"{stamp},500\n" for stamp in stamps))
    said = "row 182, column time: clock set back 3,600 s; allowed: one clock all through"
    assert said in str(run("check", path).exception)
    result = run("check", path, "--repair", "--out", out)
    assert (
        "repaired: shifted rows 182 to 301 by +3,600 s at sensor 'A': clock set back"
        in result.output
    )
    assert out.read_text().splitlines()[-1].startswith("2026-10-25T04:59:00")
    assert run("check", out).exit_code == 0


def test_check_repair_drops_a_row_of_before_the_clock_was_set(tmp_path: Path):
    stamps = [f"2026-11-27T08:{minute:02}:00Z" for minute in range(60)]
    path = tmp_path / "ntp.csv"
    path.write_text(
        "time,co2_ppm\n" + "".join(f"{s},500\n" for s in ["1970-01-01T00:00:12Z", *stamps])
    )
    assert "row 2, column time: time '1970" in str(run("check", path).exception)
    found = json.loads(run("check", path, "--repair", "--json").stdout)["checks"][0]
    assert found["repairs"] == ["dropped 1 row of an odd time (2)"]
    assert found["rows"] == 60


def test_check_notes_words_wrong_values_and_units(tmp_path: Path):
    path = tmp_path / "odd.csv"
    path.write_text("time_s,temperature_c,pm25_ug_m3\n0,70,unknown\n300,70,65535\n600,85,8\n")
    lines = findings(run("check", path).output)
    masked = "1 masked as no reading"
    assert lines[1:] == [
        f"  temperature: 2 present, 0 missing, {masked}: 85 is a DS18B20's power-on value",
        f"  pm25: 1 present, 1 missing, {masked}: 65535 is the 16-bit code 0xFFFF, no value",
        "  note: readings every 300 s: longer than the model's windows hold a reading (90 s)",
        "  note: temperature looks like degF (median 70): --unit temperature=F",
        "  note: 1 cell with a word in place of a reading: unknown (1)",
    ]


def test_a_check_says_times_as_people_read_them(tmp_path: Path):
    """805,968 s from 25,272 s, eight gaps of which five stood there, a line of 90 columns."""
    path = tmp_path / ("a_long_name" * 4 + ".csv")
    lengths = (100, 130, 1000, 3900, 20_000, 200_000, 806_000)
    times = [0, 10, 20]
    for length in lengths:
        times += [times[-1] + length + 10 * k for k in range(3)]
    path.write_text("time_s,temperature_c\n" + "".join(f"{t},20\n" for t in times))
    lines = run("check", path).output.splitlines()
    assert lines[:2] == [f"{path}:", "  24 rows, 1 sensor (A), 11.9 days, median period 10 s"]
    at = lines.index("  7 gaps over 90 s, 11.9 days in all")
    assert lines[at + 1 :] == [
        "    sensor A: 9.33 days from 62.58 h", "    sensor A: 2.31 days from 7.01 h",
        "    sensor A: 5.56 h from 1.45 h", "    sensor A: 65 min from 0.36 h",
        "    sensor A: 16.7 min from 0.08 h", "    and 2 more",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["check", "import"])
def test_a_pause_that_the_device_may_take_is_no_gap(command: str, tmp_path: Path) -> None:
    """A home of a device that reports on change had 1,980 gaps over 90 s."""
    path, out = tmp_path / "home.csv", [tmp_path / "out.csv"] if command == "import" else []
    times = [t + k for t in range(0, 86_400, 3500) for k in (0, 20, 60)] + [100_000]
    path.write_text("time_s,temperature_c\n" + "".join(f"{t},20\n" for t in times))
    for device, said, count in ((), "25 gaps over 90 s", 25), (SLOW, "1 gap over 60 min", 1):
        assert said in run(command, path, *out, *device).output
        document = json.loads(run(command, path, *out, *device, "--json").stdout)
        check = document["checks"][0] if command == "check" else document["check"]
        assert len(check["gaps"]) == count  # the text and the JSON of one command differed
        assert check["longest_pause_s"] == (3600.0 if device else 90.0)
    assert "    sensor A: 4.43 h from" in run(command, path, *out, *SLOW).output


def test_one_bad_recording_is_one_line_and_exit_1(
    messy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.argv", ["saafe", "data", "check", str(messy)])
    with pytest.raises(SystemExit) as caught:
        main()
    printed = capsys.readouterr()
    assert caught.value.code == 1
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith(f"saafe: {messy}, row 3, column time_s: time goes backwards")


def test_a_bad_recording_does_not_hide_the_others(home: Path, messy: Path):
    result = run("check", messy, home)
    assert result.exit_code == 1
    assert "backwards" in result.stderr
    assert "3 rows" in result.stdout
    document = json.loads(run("check", messy, home, "--json").stdout)
    assert [len(document["checks"]), len(document["failed"])] == [1, 1]


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder with two recordings, one of them messy, and what is none."""
    folder = tmp_path / "shelf"
    for name in ("flat 1", ".trash", "d.csv"):
        (folder / name).mkdir(parents=True)
    for name in ("a.csv", "flat 1/B.CSV"):
        (folder / name).write_text(GOOD)
    (folder / "flat 1" / "c.csv").write_text(MESSY)
    for name in (".trash/e.csv", ".f.csv", "notes.txt"):
        (folder / name).write_text("no recording")
    return folder


def test_check_of_a_folder_checks_each_recording_in_it(shelf: Path):
    """Once a folder without set.json was refused whole."""
    result = run("check", shelf)
    assert result.exit_code == 1
    good = [line for line in findings(result.stdout) if not line.startswith(" ")]
    said = "3 rows, 1 sensor (A), 20 s, median period 10 s"
    assert good == [f"{shelf / name}: {said}" for name in ("a.csv", "flat 1/B.CSV")]
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"saafe: {shelf}/flat 1/c.csv, row 3, column time_s: time goes back")
    document = json.loads(run("check", shelf, "--json").stdout)
    assert [one["path"] for one in document["failed"]] == [str(shelf / "flat 1" / "c.csv")]
    assert len(document["checks"]) == 2
    assert run("check", shelf, "--repair").exit_code == 0
    (shelf / "flat 1" / "c.csv").unlink()
    assert run("check", shelf).exit_code == 0


def test_check_of_a_folder_checks_sets_and_what_lies_beside_them(shelf: Path):
    place = shelf / "ours"
    place.mkdir()
    (place / "home.csv").write_text(GOOD)
    (place / "unlisted.csv").write_text(GOOD)
    item = {"file": "home.csv", "kind": "home", "group": "h"}
    words = {"name": "ours", "origin": "here", "licence": "none", "recordings": [item]}
    (place / "set.json").write_text(json.dumps(words))
    document = json.loads(run("check", shelf, "--json").stdout)
    assert [len(document["checks"]), len(document["failed"])] == [3, 1]


def test_links_to_folders_are_followed_and_no_folder_is_read_twice(shelf: Path, tmp_path: Path):
    (shelf / "flat 1" / "c.csv").unlink()
    elsewhere = tmp_path / "another disk" / "rooms"
    elsewhere.mkdir(parents=True)
    (elsewhere / "linked.csv").write_text(GOOD)
    (elsewhere.parent / "beside.csv").write_text(GOOD)
    (shelf / "rooms").symlink_to(elsewhere)
    (shelf / "again").symlink_to(elsewhere)  # the same, by a link that comes before
    (shelf / ".hidden").symlink_to(elsewhere.parent)
    (shelf / "before").symlink_to(shelf / "flat 1")  # to one that lies below
    for link, to in ((shelf / "self", shelf), (shelf / "up", tmp_path), (elsewhere / "back", shelf),
                     (elsewhere / "nowhere", tmp_path / "gone")):  # fmt: skip
        link.symlink_to(to)
    (elsewhere / "round").symlink_to(elsewhere)
    result = run("check", shelf, "--json")
    assert result.exit_code == 0
    paths = [one["path"] for one in json.loads(result.stdout)["checks"]]
    assert paths == [str(shelf / name) for name in ("a.csv", "again/linked.csv", "flat 1/B.CSV")]


def test_a_bad_set_file_hides_no_recording(shelf: Path):
    (shelf / "set.json").write_text("{bad")
    document = json.loads(run("check", shelf, "--json").stdout)
    assert [len(document["checks"]), len(document["failed"])] == [2, 2]


def test_a_name_cannot_speak_to_the_terminal(tmp_path: Path):
    path = tmp_path / "a\x1b]0;title\x07\n.csv"
    path.write_text(GOOD)
    said = run("check", path).stdout
    assert "\x1b" not in said
    assert said.startswith("'/")


def test_a_folder_without_recordings_is_refused_and_hides_no_other(home: Path, shelf: Path):
    said = "holds no recording (.csv, .csv.gz, .parquet) and no set.json"
    result = run("check", shelf / "d.csv")
    assert isinstance(result.exception, InputError)
    assert str(result.exception) == f"{shelf / 'd.csv'}: {said}"
    result = run("check", shelf / "d.csv", home)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert said in result.stderr
    assert "3 rows" in result.stdout


def test_out_takes_no_folder(shelf: Path, tmp_path: Path):
    result = run("check", shelf, "--repair", "--out", tmp_path / "mended.csv")
    assert isinstance(result.exception, InputError)
    assert "give one PATH and --repair" in str(result.exception)


@pytest.mark.parametrize("options", [["--out", "x.csv"], ["--repair", "--out", "x.csv", "b.csv"]])
def test_out_needs_repair_and_one_path(options: list[str], home: Path):
    result = run("check", home, *options)
    assert isinstance(result.exception, InputError)
    assert "give one PATH and --repair" in str(result.exception)


def test_seconds_are_written_in_place_of_dates(tmp_path: Path):
    """The C replay takes `time_s` alone, and import writes dates."""
    times = ["2026-01-31T12:00:00+01:00", "2026-01-31T12:00:10.500000+01:00"]
    (tmp_path / "dated.csv").write_text(
        "time,temperature_c\n" + "".join(f"{t},2{k}\n" for k, t in enumerate(times))
    )
    out = tmp_path / "seconds.csv"
    words = ["data", "check", str(tmp_path / "dated.csv"), "--seconds"]
    refused = CliRunner().invoke(saafe, words)
    assert refused.exit_code == 1
    assert "--out" in str(refused.exception)
    result = CliRunner().invoke(saafe, [*words, "--repair", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert result.stderr == f"wrote {out}\n"
    assert out.read_text() == "time_s,sensor,temperature_c\n0.0,A,20.0\n10.5,A,21.0\n"


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_convert_writes_recordings_and_references(suffix: str, raw: Path, tmp_path: Path):
    out = tmp_path / "deep" / "homes"
    result = run("convert", "uhoo_homes", raw, out, "--format", suffix)
    assert result.exit_code == 0
    assert f"{out / '1'}.{suffix}: home" in result.output
    recording, found = read_recording(out / f"1.{suffix}")
    assert recording.sources == ("", "stove")
    assert found.ignored == ()
    document = json.loads((out / "references.json").read_text())
    assert document["name"] == "uhoo_homes"
    assert document["licence"]
    assert document["recordings"][f"1.{suffix}"]["stove"] == [[60, 120]]


def test_convert_json_is_one_document(raw: Path, tmp_path: Path):
    result = run("convert", "uhoo_homes", raw, tmp_path / "out", "--json")
    assert json.loads(result.stdout) == json.loads((tmp_path / "out/references.json").read_text())


def test_convert_refusals(raw: Path, tmp_path: Path):
    assert "no reader named 'uhoo'" in str(run("convert", "uhoo", raw, tmp_path / "o").exception)
    empty = tmp_path / "empty"
    empty.mkdir()
    result = run("convert", "uhoo_homes", empty, tmp_path / "o")
    assert "none of the files" in str(result.exception)
    file = tmp_path / "file"
    file.write_text("")
    result = run("convert", "uhoo_homes", raw, file / "o")
    assert isinstance(result.exception, InputError)
    assert not (tmp_path / "o").exists()


def test_examples_of_the_help_texts_run(
    home: Path, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    raw.rename(tmp_path / "moved")
    (tmp_path / "raw").mkdir()
    (tmp_path / "moved").rename(tmp_path / "raw" / "uhoo")
    for command in (data_command, check_command, convert_command):
        example = (command.help or "").split("Example: saafe ")[1].split("\n")[0]
        result = CliRunner().invoke(saafe, example.split())
        assert result.exit_code == 0, result.output
    assert (tmp_path / "mended.csv").exists()


CODES = """title = "a CO2 and CO meter"
kind = "product"
source = "a data sheet"
reporting = { every_s = 60 }

[channels.co2]
lowest = 0
highest = 5000
step = 1
noise = 6
response_s = 60
sentinels = [600]

[channels.co]
unit = "ppb"
lowest = 0
highest = 100000
step = 10
noise = 10
response_s = 60
sentinels = [7000]
"""


@pytest.mark.parametrize("split", [(), ("--split", "sensor")])
def test_a_device_file_tells_units_and_codes_of_an_export(
    split: tuple[str, ...], tmp_path: Path
) -> None:
    device, export, out = tmp_path / "mine.toml", tmp_path / "e.csv", tmp_path / "out"
    device.write_text(CODES)
    export.write_text("time,co2,co\n0,420,2000\n60,600,2000\n120,440,7000\n")
    file = out / "A.csv" if split else tmp_path / "out.csv"
    said = run("import", export, out if split else file, "--device", device, *split)
    assert said.exit_code == 0, said.output
    readings = read_recording(file)[0].readings[:, 0]
    assert readings[:, 2].tolist() == pytest.approx([420.0, math.nan, 440.0], nan_ok=True)
    assert readings[:, 4].tolist() == pytest.approx([2.0, 2.0, math.nan], nan_ok=True)


@pytest.mark.parametrize("split", [(), ("--split", "sensor")])
def test_a_device_that_pauses_for_hours_is_imported(split: tuple[str, ...], tmp_path: Path) -> None:
    """`data check --device` read what `data import --device` refused as milliseconds."""
    device, export, out = tmp_path / "mine.toml", tmp_path / "e.csv", tmp_path / "out"
    slow = 'mode = "on change", every_s = 10, longest_s = 14400, delta = 10'
    device.write_text(CODES.replace("every_s = 60", slow))
    export.write_text("time,co2\n" + "".join(f"{14_400 * k},{420 + k}\n" for k in range(6)))
    file = out / "A.csv" if split else tmp_path / "out.csv"
    words = ("import", export, out if split else file, *split)
    assert run(*words).exit_code == 1
    said = run(*words, "--device", device)
    assert said.exit_code == 0, said.output
    assert "median period 14400 s" in said.stdout
    assert run("check", file, "--device", device).exit_code == 0


def test_a_check_masks_the_codes_of_a_device(tmp_path: Path) -> None:
    device, path = tmp_path / "mine.toml", tmp_path / "home.csv"
    device.write_text(CODES)
    path.write_text("time_s,co2_ppm,co_ppm\n0,420,2\n60,600,7\n120,440,2\n")
    assert "masked" not in run("check", path).stdout
    lines = findings(run("check", path, "--device", device).stdout)
    assert [line.count("1 masked") for line in lines[1:]] == [1, 1]


@pytest.mark.parametrize("command", ["check", "import"])
@pytest.mark.parametrize(
    ("device", "says"), [("anything", "name a device"), ("nope", "device nope: unknown")]
)
def test_a_device_without_codes_is_refused(
    command: str, device: str, says: str, home: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    out = [str(tmp_path / "o.csv")] if command == "import" else []
    monkeypatch.setattr("sys.argv", ["saafe", "data", command, str(home), *out, "--device", device])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    assert says in capsys.readouterr().err
