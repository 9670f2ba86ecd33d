"""The commands: help with an example, one line for what is wrong, and the whole way once."""

import io
import json
import os
import sys
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner

from saafe import recipes
from saafe.cli import COMMANDS, main, saafe
from saafe.cli.simulate import simulate_command
from saafe.detector.alarms import AlarmSettings
from saafe.errors import InputError
from saafe.own_rooms.rooms import read_rooms
from saafe.readers.annotated_sets import Unreadable, read_annotated
from saafe.recipes import changed, find_tier
from saafe.recordings.annotated import read_sets
from saafe.recordings.recording import read_recording
from saafe.training import runs
from saafe.training.checkpoints import CHECKPOINT_FILE
from saafe.training.model import FireTransformer

TINY = (
    "width=16", "layers=1", "heads=2", "windows=128", "batch=64", "epochs=1", "streams=128",
    "held_out=32", "device=cpu",
)  # fmt: skip
SIMULATED = (
    "--scenarios 3 --set hours=0.5 --set sensors=2 --set format=csv --source curtain --seed 1"
)


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *arguments: object
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `saafe ARGUMENTS`, as the entry point gives them."""
    monkeypatch.setattr(sys, "argv", ["saafe", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), *capsys.readouterr()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    done = CliRunner().invoke(saafe, ["simulate", "--out", str(folder), *SIMULATED.split()])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose weights nobody trained: enough to load and to score."""
    folder = tmp_path_factory.mktemp("run")
    recipe = changed(find_tier("ultra-fast"), TINY)
    torch.manual_seed(0)
    runs.save_model(folder, recipe, FireTransformer(recipe), AlarmSettings())
    return folder


# --- help -------------------------------------------------------------------------------------


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
    return found


@pytest.mark.parametrize("path", [(), *commands(saafe)], ids=" ".join)
def test_help_has_an_example(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(saafe, [*path, "--help"])
    assert done.exit_code == 0, done.output
    assert "Example: " in done.output
    command = done.output.split("Example: ", 1)[1]
    assert command.startswith("saafe "), "an example is a command"
    assert command.split()[1 : 1 + len(path)] == list(path) or not path


def test_help_lists_every_command() -> None:
    listed = CliRunner().invoke(saafe, ["--help"]).output
    assert all(name in listed and row[1].split()[0] in listed for name, row in COMMANDS.items())


def test_no_such_command() -> None:
    done = CliRunner().invoke(saafe, ["trian"])
    assert done.exit_code == 2
    assert "No such command" in done.output


# --- simulate and detect ----------------------------------------------------------------------


def test_simulate(simulated: Path) -> None:
    described = json.loads((simulated / "scenarios.json").read_text())
    assert [row["file"] for row in described] == [f"simulated-0000{k}.csv" for k in range(3)]
    assert all(row["fire"] == "curtain" and not row["nuisances"] for row in described)
    for row in described:
        recording, check = read_recording(simulated / row["file"])
        assert recording.sensors == ("A", "B")
        assert recording.labels is not None
        assert recording.sources is not None
        assert set(recording.sources) <= {"", "curtain"}
        assert json.dumps(check.to_dict())


def test_simulate_again_writes_the_same(simulated: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        saafe, ["simulate", "--json", "--out", str(tmp_path), *SIMULATED.split()]
    )
    described = json.loads(done.stdout)
    for row in described:
        assert (tmp_path / row["file"]).read_bytes() == (simulated / row["file"]).read_bytes()


def test_simulate_leaves_nothing_of_a_former_run_and_all_that_is_not_its_own(
    tmp_path: Path,
) -> None:
    mine = {"notes.txt", "simulated-1.csv", "simulated-00001.csv.bak", "superposed-00000.csv"}
    former = {"simulated-00000.csv", "simulated-00007.parquet", "simulated-123456.csv.gz"}
    begun = {".simulated-00003.csv.4711"}
    for name in mine | former | begun | {"scenarios.json"}:
        (tmp_path / name).write_text("old")
    words = ["simulate", "--out", str(tmp_path), "--scenarios", "1", "--set", "hours=0.2"]
    done = CliRunner().invoke(saafe, [*words, "--set", "format=csv"])
    assert done.exit_code == 0, done.output
    assert f"{tmp_path}: removed 3 files of a former run" in done.stderr
    assert done.stdout == f"1 recording in {tmp_path}\n"
    left = {path.name for path in tmp_path.iterdir()}
    assert left == mine | {"simulated-00000.csv", "scenarios.json", "set.json"}
    assert all((tmp_path / name).read_text() == "old" for name in mine)
    (described,) = json.loads((tmp_path / "scenarios.json").read_text())
    assert described["file"] == "simulated-00000.csv"


HOMES = "--scenarios 2 --set hours=2 --set times=2 --set sensors=1 --set format=csv"


@pytest.mark.parametrize(
    ("names", "cooks"),
    [(("frying", "toast"), True), (("shower",), False), (("frying", "shower"), None)],
)
def test_simulated_homes_are_an_annotated_set(
    names: tuple[str, ...], cooks: bool | None, tmp_path: Path
) -> None:
    words = [word for name in names for word in ("--source", name)]
    folder = tmp_path / "my rooms"
    done = CliRunner().invoke(saafe, ["simulate", "--out", str(folder), *HOMES.split(), *words])
    assert done.exit_code == 0, done.output
    (one,) = read_sets(tmp_path)
    assert [a.path.name for a in one.recordings] == ["simulated-00000.csv", "simulated-00001.csv"]
    assert len({annotation.group for annotation in one.recordings}) == 2
    assert not [item for item in read_annotated(one) if isinstance(item, Unreadable)]
    said = [row.get("cooking_s") for row in json.loads(one.path.read_text())["recordings"]]
    assert cooks in {None if runs is None else bool(runs) for runs in said}
    rooms = read_rooms(folder)
    assert [room.is_said for room in rooms.rooms] == [True, True]
    assert CliRunner().invoke(saafe, ["data", "check", str(folder)]).exit_code == 0
    CliRunner().invoke(saafe, ["simulate", "--out", str(folder), *SIMULATED.split()])
    assert read_sets(tmp_path) == [], "of a former run; fires are no homes"


def test_simulate_leaves_a_set_that_is_not_its_own(tmp_path: Path) -> None:
    edited = '{"origin": "saafe simulate, seed 1", "recordings": [{"file": "mine.csv"}]}'
    for text in ('{"origin": "two flats"}', edited, "no JSON", "[]"):
        (tmp_path / "set.json").write_text(text)
        words = ["--out", str(tmp_path), "--source", "shower", *HOMES.split()]
        done = CliRunner().invoke(saafe, ["simulate", *words])
        assert done.exit_code == 0, done.output
        assert done.stderr.count("set.json: is not of simulate and stays") == 1
        assert (tmp_path / "set.json").read_text() == text


def test_fires_put_on_a_recording_leave_the_set_of_simulated_homes(tmp_path: Path) -> None:
    extra = "--source shower --set hours=8 --set device=saafe-6"
    words = ["--out", str(tmp_path), *HOMES.split(), *extra.split()]
    assert CliRunner().invoke(saafe, ["simulate", *words]).exit_code == 0
    said = (tmp_path / "set.json").read_text()
    words = ["simulate", "--onto", str(tmp_path / "simulated-00000.csv"), "--out", str(tmp_path)]
    done = CliRunner().invoke(saafe, words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "set.json").read_text() == said


def test_what_a_former_run_left_and_cannot_be_removed_is_named(tmp_path: Path) -> None:
    (tmp_path / "simulated-00004.csv").mkdir()
    done = CliRunner().invoke(saafe, ["simulate", "--out", str(tmp_path), "--scenarios", "1"])
    assert isinstance(done.exception, InputError)
    assert "simulated-00004.csv: of a former run, cannot be removed" in str(done.exception)


def test_the_example_of_simulates_help_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    example = (simulate_command.help or "").split("Example: saafe ")[1].split("\n")[0]
    done = CliRunner().invoke(saafe, example.split())
    assert done.exit_code == 0, done.output
    recordings = [read_recording(path)[0] for path in tmp_path.glob("simulated/*.csv.gz")]
    assert [len(recording.sensors) for recording in recordings] == [2] * 4
    assert all(recording.times_s[-1] <= 3600 for recording in recordings)


def test_simulate_takes_under_eight_options() -> None:
    assert len(simulate_command.params) < 8


def test_simulate_says_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(saafe, ["simulate", "--out", str(tmp_path / "file")])
    assert isinstance(done.exception, InputError)
    assert "name another folder" in str(done.exception)


def hot(path: Path) -> Path:
    """A recording in which a fixed rule must fire, whatever the model thinks."""
    rows = [f"{10 * k},A,{20 if k < 30 else 80},5" for k in range(60)]
    path.write_text("\n".join(["time_s,sensor,temperature_c,pm25_ug_m3", *rows]) + "\n")
    return path


def events_in(text: str) -> list[dict]:
    events = [json.loads(line) for line in text.splitlines()]
    assert all(e["event"] in ("alarm", "clear", "warning", "fault", "restored") for e in events)
    return events


def stdin_of(file: Path) -> io.TextIOWrapper:
    """A file as standard input; the thread that reads it by its number does not close it."""
    return io.TextIOWrapper(io.FileIO(os.open(file, os.O_RDONLY), closefd=False))


def test_detect_a_file_and_a_stream(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    file = hot(tmp_path / "hot.csv")
    code, out, _ = call(monkeypatch, capsys, "detect", run_folder, file)
    assert code == 0
    events = events_in(out)
    assert any(e["event"] == "alarm" and 300 <= e["time_s"] <= 330 for e in events)
    for arguments in ((run_folder, "-"), (run_folder,)):
        monkeypatch.setattr(sys, "stdin", stdin_of(file))
        code, streamed, _ = call(monkeypatch, capsys, "detect", *arguments)
        assert code == 0
        assert events_in(streamed) == events


def test_detect_simulated_recordings(
    run_folder: Path,
    simulated: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    for file in sorted(simulated.glob("*.csv")):
        code, out, _ = call(monkeypatch, capsys, "detect", run_folder, file)
        assert code == 0
        events = events_in(out)
        monkeypatch.setattr(sys, "stdin", stdin_of(file))
        code, streamed, _ = call(monkeypatch, capsys, "detect", run_folder, "-")
        assert code == 0
        assert events_in(streamed) == events


def test_bad_cells_of_a_stream_are_faults(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    text = "time_s,sensor,temperature_c\n0,A,20\n10,A,hot\n20,A,21\n"
    file = tmp_path / "bad.csv"
    file.write_text(text)
    monkeypatch.setattr(sys, "stdin", stdin_of(file))
    code, out, _ = call(monkeypatch, capsys, "detect", run_folder, "-")
    assert code == 0
    events = events_in(out)
    assert [(e["event"], e["time_s"], e["channel"]) for e in events] == [
        ("fault", 10.0, "temperature"), ("restored", 20.0, "temperature"),
    ]  # fmt: skip


# --- what is wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "ultrafast"), "did you mean ultra-fast?"),
        (("train", "--set", "widht=3"), "did you mean width?"),
        (("train", "--set", "width=0"), "allowed is 8 to 4096"),
        (("train", "--seed", "-1"), "seed = -1"),
        (("train", "--set", "seed=3", "--seed", "0"), "--seed 0 and --set seed=3 disagree"),
        (("train", "--resume", "--out", "nowhere"), "no run to resume"),
        (("train", "--resume", "--out", ".", "--name", "none"), "no such run"),
        (("simulate", "--out", "x", "--scenarios", "0"), "scenarios = 0: allowed is 1"),
        (("simulate", "--out", "x", "--seed", "-1"), "seed = -1: allowed is 0 to"),
        (("simulate", "--out", "x", "--set", "hours=nan"), "hours = nan: allowed is 0.1 to 168"),
        (("simulate", "--out", "x", "--set", "hours=long"), "hours=long: expected a number"),
        (("simulate", "--out", "x", "--set", "sensors=65"), "sensors = 65: allowed is 1 to 64"),
        (
            ("simulate", "--out", "x", "--set", "sensors=1.5"),
            "sensors=1.5: expected a whole number",
        ),
        (("simulate", "--out", "x", "--set", "format=xls"), "choose from csv, csv.gz, parquet"),
        (("simulate", "--out", "x", "--set", "sensor=2"), "did you mean sensors?"),
        (("simulate", "--out", "x", "--set", "hours"), "expected field=value"),
        (("simulate", "--out", "x", "--set", "door=1"), "hours, sensors, format"),
        (("simulate", "--out", "x", "--source", "dragon"), "source 'dragon' is unknown"),
        (("detect", "nowhere", "a.csv"), "no such run folder"),
        (("detect", ".", "a.csv"), "so it is no run; allowed: a run folder or an exported"),
        (("evaluate", "nowhere"), "no such run folder"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, out, err = call(monkeypatch, capsys, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("saafe: ")
    assert err.count("\n") == 1
    assert said in err
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        ("", "empty header"),
        ("time_s,door\n0,1\n", "channel"),
        ("time_s,temperature_c\n10,20\n0,20\n", "--repair"),
    ],
)
def test_bad_recordings_are_one_line(
    content: str | None, said: str, run_folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    file = tmp_path / "bad.csv"
    if content is not None:
        file.write_text(content)
    code, out, err = call(monkeypatch, capsys, "detect", run_folder, file)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert said in err


def test_a_folder_that_exists_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "mine").mkdir()
    code, _, err = call(monkeypatch, capsys, "train", "--out", tmp_path, "--name", "mine")
    assert code == 1
    assert "exists" in err
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0)])
def test_only_the_leader_says_where_it_writes(
    rank: str, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    recipe = changed(find_tier("ultra-fast"), (*TINY, "seed=3"))
    folder = runs.new_folder(tmp_path, "r", recipe)
    (folder / "checkpoint" / CHECKPOINT_FILE).write_bytes(
        b"damaged"
    )  # ends the training before it begins
    monkeypatch.setenv("RANK", rank)
    words = [part for change in (*TINY, "seed=3") for part in ("--set", change)]
    code, _, err = call(
        monkeypatch, capsys, "train", *words, "--out", tmp_path, "--name", "r", "--resume"
    )
    assert (code, "is damaged" in err) == (1, True), err  # so --set seed=3 made the run's recipe
    assert err.count("run folder: ") == lines


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("--out {here}/deep/runs", "--out deep/runs"),
        ("--out={here}/runs", "--out=runs"),
        ("--out /home/somebody/runs", "--out .../runs"),
        ("--out ../runs --set seed=3", "--out ../runs --set seed=3"),
    ],
)
def test_a_runs_command_holds_no_absolute_path(
    typed: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["saafe", "train", *typed.format(here=tmp_path).split()])
    folder = runs.new_folder(tmp_path / "out", "r", find_tier("ultra-fast"))
    command = json.loads((folder / runs.ENVIRONMENT).read_text())["command"]
    assert command == f"saafe train {kept}"


# --- the whole way ----------------------------------------------------------------------------


@pytest.mark.slow
def test_train_then_detect(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    changes = [part for change in TINY for part in ("--set", change)]
    monkeypatch.setattr(
        sys, "argv", ["saafe", "train", *changes, "--out", str(tmp_path), "--name", "r", "--json"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert not ended.value.code
    assert "epoch 1/1 step 2/2 loss" in err
    result = json.loads(out)
    folder = tmp_path / "r"
    assert result["run"] == str(folder)
    assert {line["name"] for line in result["gate"]["lines"]} == {
        "accuracy", "detection_rate", "false_alarm_rate_windows", "model_bytes", "latency_p99_ms",
    }  # fmt: skip
    assert result["model_sha256"] == runs.sha256(folder / runs.MODEL)
    assert recipes.from_dict(json.loads((folder / runs.RECIPE).read_text())).width == 16
    assert len((folder / runs.METRICS).read_text().splitlines()) == 1
    for name in (runs.ENVIRONMENT, "exam.json"):
        assert json.loads((folder / name).read_text())
    code, out, _ = call(monkeypatch, capsys, "detect", folder, simulated / "simulated-00000.csv")
    assert code == 0
    events_in(out)


def test_a_calm_file_of_a_device_that_reports_on_change(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    """Its pauses are no gaps, channels that it has not are named once, and calm is said."""
    path = tmp_path / "hall.csv"
    rows = [f"{60 * k + 1200 * (k // 10)},{21 + k % 2},500" for k in range(60)]
    path.write_text("\n".join(["time_s,temperature_c,co2_ppm", *rows]) + "\n")
    device = ("--device", "sonoff-snzb-02b")
    for more, has_gaps in ((), True), (("--longest-interval", "3600"), False), (device, False):
        code, out, err = call(monkeypatch, capsys, "detect", path, *more)
        assert (code, out) == (0, "") or events_in(out)
        assert ("gaps over" in err) == has_gaps
        assert (f"{path}: no event" in err) == (out == "")
        said = err.count("note: co2 is not of sonoff-snzb-02b, and judged all the same")
        assert said == (more == device)
