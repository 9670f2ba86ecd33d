"""The user's own rooms: what teaches, what is held out, what a tuned run says of held-out days."""

import json
import os
import re
import shlex
import shutil
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from saafe import training_run
from saafe.cli import saafe
from saafe.cli.output import run
from saafe.cli.rooms import show_rooms
from saafe.cli.train import show_run, train_command
from saafe.errors import InputError
from saafe.exam import room_lines as lines
from saafe.exam.amounts import Amounts
from saafe.own_rooms import folds, held_out, rooms, tuned_run
from saafe.own_rooms.rooms import Room, read_rooms
from saafe.recordings.recording import Recording, write_recording
from saafe.sensors import CHANNELS, CO, CO2, FIRE, HUMIDITY, NORMAL, PM25, TEMPERATURE
from saafe.training import run_for, runs
from saafe.training.device_thresholds import THRESHOLDS

SHORT = ("width=16", "layers=1", "heads=2", "epochs=2", "windows=256", "batch=64", "streams=32",
         "held_out=64", "device=cpu")  # fmt: skip


FEW = {
    "saafe.training.thresholds.REFERENCE_STREAMS": 4, "saafe.training.thresholds.DENSE_PARTS": 2,
    "saafe.training.tuning.REFERENCE_STREAMS": 4, "saafe.training.tuning.OVER_PARTS": 2,
    "saafe.training.data.PART_STREAMS": 16,
    "saafe.exam.quick.QUICK": Amounts(1, 1, 0, 0, 1, 6, 4),
    "saafe.own_rooms.tuned_run.FIRES_A_KIND": 2,
}  # fmt: skip


def make_recording(
    name="home", hours=30.0, period_s=60.0, seed=0, base=20.0, start: datetime | None = None
) -> Recording:
    """A calm home; every reading of temperature lies within half a degree of its base."""
    times = np.arange(0.0, hours * 3600.0, period_s)
    random = np.random.default_rng(seed)
    readings = np.full((len(times), 1, len(CHANNELS)), np.nan, dtype=np.float32)
    readings[:, 0, TEMPERATURE] = base + np.round(random.uniform(-0.4, 0.4, len(times)), 1)
    readings[:, 0, PM25] = np.round(8.0 + random.exponential(3.0, len(times)))
    readings[:, 0, CO2] = np.round(600.0 + random.normal(0.0, 20.0, len(times)))
    readings[:, 0, HUMIDITY] = 40.0
    return Recording(name, times, ("A",), readings, start=start)


def write(recording: Recording, folder: Path, suffix="csv.gz") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{recording.name}.{suffix}"
    write_recording(recording, path)
    return path


def write_set(folder: Path, entries: list[dict], name="flats") -> None:
    text = {"name": name, "origin": "here", "licence": "none", "recordings": entries}
    (folder / "set.json").write_text(json.dumps(text))


def with_channel(recording: Recording, channel: int, at_h: float, value, minutes=30) -> Recording:
    readings = recording.readings.copy()
    is_then = (recording.times_s >= at_h * 3600) & (recording.times_s < at_h * 3600 + 60 * minutes)
    readings[is_then, 0, channel] = value
    return replace(recording, readings=readings)


# what teaches


def test_a_plain_recording_is_a_group_and_a_set_says_its_own(tmp_path: Path) -> None:
    write(make_recording("one"), tmp_path)
    write(make_recording("two", seed=1), tmp_path / "deep", "parquet")
    for name in ("a", "b"):
        write(make_recording(name, seed=ord(name)), tmp_path / "set")
    write_set(tmp_path / "set", [
        {"file": "a.csv.gz", "kind": "home", "group": "flat", "cooking_s": [[0, 600]]},
        {"file": "b.csv.gz", "kind": "home", "group": "flat"},
    ])  # fmt: skip
    found = read_rooms(tmp_path)
    assert found.groups == ("flats/flat", "deep/two.parquet", "one.csv.gz")
    assert [room.knows_cooking for room in found.rooms] == [True, False, False, False]
    assert found.left_out == ()


def test_a_fire_is_left_out_by_name_and_never_taught(tmp_path: Path) -> None:
    calm = make_recording("calm")
    labels = np.full((len(calm.times_s), 1), NORMAL, dtype=np.int8)
    labels[100:120] = FIRE
    write(calm, tmp_path)
    write(replace(calm, name="labelled", labels=labels), tmp_path)
    write(make_recording("burnt"), tmp_path / "set")
    write(make_recording("forgotten"), tmp_path / "set")
    fire = {"burning": "flaming", "ignition_s": 60, "limit_s": 90, "end_s": 120}
    write_set(tmp_path / "set", [
        {"file": "burnt.csv.gz", "kind": "fire", "group": "bin", **fire},
    ])  # fmt: skip
    (tmp_path / "damaged.csv").write_text("time_s,temperature_c\n0,20\nnever,21\n")
    said: list[str] = []
    found = read_rooms(tmp_path, said.append)
    assert [room.recording.name for room in found.rooms] == ["calm"]
    reasons = {one.file: one.reason for one in found.left_out}
    assert reasons.keys() == {
        "labelled.csv.gz", "set/burnt", "set/forgotten.csv.gz", "damaged.csv"
    }  # fmt: skip
    assert "labelled fire" in reasons["labelled.csv.gz"]
    assert "fire" in reasons["set/burnt"]
    assert len(said) == 5  # and the one that teaches
    assert all(len(line.splitlines()) == 1 for line in said)


@pytest.mark.parametrize(
    ("channel", "value", "cause"),
    [(TEMPERATURE, 70.0, "heat"), (CO, 400.0, "co_dose"), (PM25, 60_000.0, "photoelectric")],
)
def test_the_day_around_what_a_fixed_rule_finds_is_left_out(
    tmp_path: Path, channel: int, value: float, cause: str
) -> None:
    write(with_channel(make_recording(hours=72.0), channel, 30.0, value), tmp_path)
    found = read_rooms(tmp_path)
    assert cause in found.left_out[0].reason
    for room in found.rooms:
        assert not (room.recording.readings[:, 0, channel] == value).any()
    hours = [room.seconds / 3600 for room in found.rooms]
    assert hours[0] == pytest.approx(27.0, abs=0.1)  # three hours before
    assert hours[1] == pytest.approx(72.0 - 51.0, abs=0.3)  # 21 hours after


def test_what_is_doubtful_about_a_recording_is_told(tmp_path: Path) -> None:
    """Else Fahrenheit looks like a fire, and nobody learns why the days are left out."""
    write(make_recording("in_f", hours=10.0, base=71.0), tmp_path)
    header = "time_s,temperature_c,pm25_ug_m3,Humidity"
    rows = [f"{60 * k},{21 + k % 3 / 10},{-5 if k == 9 else 8 + k % 4},40" for k in range(120)]
    (tmp_path / "odd.csv").write_text("\n".join([header, *rows]) + "\n")
    write(make_recording("in_k", hours=10.0, base=293.0), tmp_path / "set")
    write_set(tmp_path / "set", [{"file": "in_k.csv.gz", "kind": "home", "group": "a"}])
    said: list[str] = []
    found = read_rooms(tmp_path, said.append)
    mend = "--unit temperature={} of saafe data import"
    reasons = {one.file: one.reason for one in found.left_out}
    assert mend.format("F") in reasons["in_f.csv.gz"]
    assert mend.format("K") in reasons["set/in_k"]
    told = "\n".join(said)
    assert "odd.csv: pm25: 1 masked (outside 0 to 100000 ug/m3; first: -5 in row 11) of 120" in told
    assert "odd.csv: column Humidity is ignored; if it is humidity" in told
    assert "set/in_k: temperature looks like kelvin" in told


@pytest.mark.parametrize("case", ["nowhere", "empty", "fire", "short"])
def test_nothing_usable_is_one_line(tmp_path: Path, case: str) -> None:
    folder = tmp_path / case
    if case != "nowhere":
        folder.mkdir()
    if case == "fire":
        hot = with_channel(make_recording(hours=10.0), TEMPERATURE, 2.0, 70.0)
        write(hot, folder)
    if case == "short":
        write(make_recording(hours=0.5), folder)
    with pytest.raises(InputError) as error:
        read_rooms(folder)
    assert str(error.value).startswith(f"on {folder}: ")
    assert len(str(error.value).splitlines()) == 1


# what is held out


def room(name: str, group: str, hours=30.0, start: datetime | None = None) -> Room:
    return Room(make_recording(name, hours, start=start), group)


def test_a_copy_teaches_once(tmp_path: Path) -> None:
    """A copy on the other side of a split would be scored by what it taught."""
    for name in ("one", "two"):
        write(make_recording(name), tmp_path)
    found = read_rooms(tmp_path)
    assert len(found.rooms) == 1
    assert found.left_out[0].reason == "holds what one.csv.gz holds"


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_groups_never_straddle_and_each_is_held_out_once(count: int) -> None:
    made = [room(f"{g}{k}", f"g{g}", hours=10.0 + g) for g in range(count) for k in range(2)]
    plan = folds.plan_folds(made)
    held = [sorted({r.group for r in fold.held_out}) for fold in plan.folds]
    assert sorted(group for fold in held for group in fold) == sorted({r.group for r in made})
    assert len(plan.folds) == min(count, folds.MOST_FOLDS)
    for fold in plan.folds:
        assert not {r.group for r in fold.held_out} & {r.group for r in fold.training}
        assert len(fold.held_out) + len(fold.training) == len(made)


@pytest.mark.parametrize(("clocks", "zone"), [(False, None), (True, UTC), (True, None)])
def test_blocks_of_one_home_lie_three_hours_apart(clocks: bool, zone: timezone | None) -> None:
    """With clocks two sensors' files run side by side: a block is a block of both."""
    begin = datetime(2026, 3, 1, tzinfo=zone)
    made = [
        room("a", "home", 60.0, begin if clocks else None),
        room("b", "home", 60.0, begin + timedelta(hours=1) if clocks else None),
    ]
    plan = folds.plan_folds(made)
    assert plan.how == folds.SAME_HOME
    assert len(plan.folds) == 4
    watched = 0.0
    for fold in plan.folds:
        watched += sum(part.seconds for part in fold.held_out)
        if clocks:
            spans = {}
            for what, parts in (("held", fold.held_out), ("train", fold.training)):
                spans[what] = [
                    ((s := part.recording.start.timestamp()), s + part.seconds) for part in parts
                ]
            for a, b in spans["held"]:
                for c, d in spans["train"]:
                    assert c - b >= folds.APART_S - 60 or a - d >= folds.APART_S - 60
    assert watched == pytest.approx(2 * 60 * 3600.0, rel=0.01)


def test_a_short_recording_holds_nothing_out() -> None:
    plan = folds.plan_folds([room("a", "home", 20.0)])
    assert plan == folds.Plan(folds.TOO_SHORT, ())


# a tuned run


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def few():
    """A handful of streams, fires and moments, so that a tuning takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in FEW.items():
            patch.setattr(name, value)
        yield


def invoke(*words: str):
    return CliRunner().invoke(saafe, list(words), catch_exceptions=False)


def changes() -> list[str]:
    return [word for change in SHORT for word in ("--set", change)]


MARKS = ((613.7, 40.12), (787.3, 41.37))  # of each home: its CO2 and its humidity, all day


def marks_of(co2: torch.Tensor, humidity: torch.Tensor) -> set[int]:
    """The homes whose marks stand in all readings of a window. (window, step) each"""
    return {
        k
        for k, (a, b) in enumerate(MARKS)
        if (((co2 - a).abs() < 0.01) & ((humidity - b).abs() < 0.001)).all(dim=1).any()
    }


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("homes")
    for k, (co2, humidity) in enumerate(MARKS):
        home = make_recording(f"home{k}", hours=14.0, seed=k)
        home.readings[:, 0, CO2], home.readings[:, 0, HUMIDITY] = co2, humidity
        write(home, folder)
    return folder


@pytest.fixture(scope="module")
def trained(homes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("runs")
    done = invoke("train", "tiny", *changes(), "--on", str(homes), "--out", str(out), "--name",
                  "own", "--json")  # fmt: skip
    assert done.exit_code == 0
    return out / "own", json.loads(done.stdout)


def test_train_on_says_what_held_out_days_say(trained: tuple[Path, dict]) -> None:
    folder, printed = trained
    result = json.loads((folder / lines.ROOMS_FILE).read_text())
    assert printed["own_rooms"] == result
    assert result["held_out"]["how"] == folds.LEAVE_ONE_OUT
    assert result["homes"]["tuned"]["days"] == pytest.approx(2 * 14.0 / 24.0, rel=0.01)
    assert result["fires"]["n"] > 20
    for who in ("tuned", "general", "photo", "ionisation", "heat"):
        of_kinds = sum(kind[who] for kind in result["fires"]["kinds"])
        assert of_kinds == result["fires"]["in_time"][who]["fires"]
    assert any("show under" in line for line in lines.sentences(result))
    assert runs.load(folder).model.lone_excess.eq(0.0).all(), "thresholds are the homes' own"
    again = tmp_detect(folder, trained)
    assert again.exit_code == 0


@pytest.mark.parametrize("passed", [False, True])
def test_people_read_what_the_document_says(
    trained: tuple[Path, dict], passed: bool, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "200")  # else a row goes over several lines
    printed = trained[1] | {"gate": trained[1]["gate"] | {"passed": passed}}
    own = printed["own_rooms"]
    verdict = {"verdict": "no difference" if passed else "tuned"}
    printed |= {"own_rooms": own | {"compared": own["compared"] | verdict}}
    show_rooms(printed)
    out = capsys.readouterr().out
    assert out.startswith(f"The quick gate {'passes' if passed else 'FAILS'} on saafe-6")
    assert f"quick gate on saafe-6: {'PASS' if passed else 'FAIL'}" in out
    for line in printed["gate"]["lines"]:
        assert line["name"] in out
    for line in lines.sentences(printed["own_rooms"]):
        assert line in out.splitlines()
    for kind in printed["own_rooms"]["fires"]["kinds"]:
        assert kind["fire"].replace("_", " ") in out
    folders = {"tuned": str(trained[0]), "general": str(trained[0] / "general")}
    assert f"run folder: {folders['tuned']}; the general model's: {folders['general']}" in out
    nexts = [line for line in out.splitlines() if line.startswith("next: ")]
    kept = lines.models_to_keep(printed["own_rooms"])
    wanted = [f"next: saafe detect {folders[name]} RECORDING.csv" for name in kept]
    # the gate above is the run folder's; the general model has no exam of its own yet
    wanted += [f"next: saafe exam {folders['general']}"] if "general" in kept else []
    assert nexts == wanted
    assert re.search(r"^trained in [\d.]+ s, then tuned in [\d.]+ s on cpu$", out, re.M)
    show_run(printed | {"train_s": 1.24, "epochs": 2})
    out = capsys.readouterr().out
    assert out.startswith(f"The quick gate {'passes' if passed else 'FAILS'} on saafe-6")
    assert f"\ntrained in 1.2 s on cpu: {printed['parameters']:,} parameters, stopped" in out
    assert out.splitlines()[-1] == f"next: saafe detect {trained[0]} RECORDING.csv"


def test_what_an_interrupted_training_says_goes_on_with_all_that_was_asked(
    homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    append, before = training_run.append, signal.getsignal(signal.SIGTERM)

    def append_and_end(file: Path, text: str) -> None:
        append(file, text)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(training_run, "append", append_and_end)
    words = ["tiny", *changes(), "--seed", "3", "--device", "saafe-4", "--on", str(homes),
             "--false-alarms-per-year", "2", "--out", str(tmp_path)]  # fmt: skip
    try:
        assert run(saafe, ["train", *words]) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    said = capsys.readouterr().err.splitlines()[-1].partition("continue with: saafe train ")[2]
    asked, told = (
        train_command.make_context("train", list(args)).params
        for args in (words, shlex.split(said))
    )
    (folder,) = tmp_path.iterdir()
    assert told == asked | {"resume": True, "name": folder.name}
    assert len((folder / "general" / "metrics.jsonl").read_text().splitlines()) == 1


def test_several_ranks_are_refused(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused = CliRunner().invoke(saafe, ["train", "tiny", "--on", str(homes)])
    assert str(refused.exception) == "--on trains in one process; start it without torchrun"


def test_what_was_stopped_before_its_first_epoch_may_begin_otherwise(tmp_path: Path) -> None:
    found = rooms.OwnRooms((room("a", "home", 14.0),), ())
    # nothing was asked or done there
    tuned_run.note_asked(tmp_path, found, 2.0, resume=True, model=None)
    with pytest.raises(InputError, match="another budget"):
        tuned_run.note_asked(tmp_path, found, 3.0, resume=True, model=None)
    (tmp_path / runs.ASKED_FILE).unlink()
    (tmp_path / runs.METRICS).touch()
    with pytest.raises(InputError, match="was not started with tune"):
        tuned_run.note_asked(tmp_path, found, 2.0, resume=True, model=None)


def tmp_detect(folder: Path, trained: tuple[Path, dict]):
    recording = write(make_recording("new", hours=4.0), folder.parent / "new")
    return invoke("detect", str(folder), str(recording))


@pytest.mark.slow
def test_tune_of_the_general_model_gives_the_same(trained: tuple[Path, dict], homes: Path) -> None:
    """One mechanism: `train --on` is a training and then a tuning; the seed decides all."""
    folder, printed = trained
    done = invoke("tune", str(folder / "general"), "--on", str(homes), "--out",
                  str(folder.parent), "--name", "tuned", "--json")  # fmt: skip
    assert json.loads(done.stdout)["model_sha256"] == printed["model_sha256"]
    assert json.loads(done.stdout)["own_rooms"] == printed["own_rooms"]
    assert "simulating what is learnt from beside your rooms" in done.stderr, "it takes a while"


def test_a_tuning_that_did_harm_leaves_the_weights_as_they_were(
    trained: tuple[Path, dict], homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = trained
    general = runs.load(folder / "general")
    worse = {"false_alarms": {"tuned": 1, "general": 1, "chance": 1.0},
             "fires_that_one_alone_finds": {"tuned": 0, "general": 9, "chance": 0.004},
             "verdict": "general"}  # fmt: skip
    monkeypatch.setattr(tuned_run, "compare_models", lambda *_: worse)
    words = ("tune", str(folder / "general"), "--on", str(homes), "--out", str(folder.parent),
             "--name", "harm")  # fmt: skip
    said = invoke(*words).stdout
    kept = runs.load(folder.parent / "harm")
    weights = general.model.state_dict()
    for name, one in kept.model.state_dict().items():
        assert torch.equal(one, weights[name]), name
    for tier in ("fast", "slow", "steady"):  # its own, or what no moment of these homes reaches
        assert getattr(kept.settings, tier) >= getattr(general.settings, tier) - 1e-3
    days = next(one for one in tuned_run.read_pools(kept.folder) if one["what"] == "your days")
    assert days["alarms"] == 0
    assert json.loads((kept.folder / lines.ROOMS_FILE).read_text())["weights"] == "general"
    assert lines.FOLDER_HOLDS["general"] in said
    assert [one for one in said.splitlines() if one.startswith("next: ")] == [
        f"next: saafe detect {kept.folder} RECORDING.csv"
    ]
    assert invoke(*words, "--resume", "--json").exit_code == 0  # what is there stays


def test_a_killed_tuning_goes_on_and_ends_the_same(
    trained: tuple[Path, dict],
    homes: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, printed = trained
    words = ("tune", str(folder / "general"), "--on", str(homes), "--out", str(folder.parent),
             "--name", "killed")  # fmt: skip
    real, calls = tuned_run.save_checkpoint, []

    def killed(*args) -> None:
        real(*args)
        calls.append(args)
        if len(calls) == 3:  # in the first epoch of the second fold
            raise KeyboardInterrupt

    monkeypatch.setattr(tuned_run, "save_checkpoint", killed)
    assert run(saafe, list(words)) == 130
    assert "--resume" in capsys.readouterr().err
    assert not (folder.parent / "killed" / "model.safetensors").exists()
    done = json.loads(invoke(*words, "--resume", "--json").stdout)
    assert done["model_sha256"] == printed["model_sha256"]
    assert done["own_rooms"] == printed["own_rooms"]
    assert len(calls) == 6  # no epoch was tuned twice


class Killed(BaseException):
    """As by a signal: what lies half written stays."""


def kill_at(patch: pytest.MonkeyPatch, number: int, *, written: bool) -> list[str]:
    """End at the so-manieth file that takes its place, before or after; the names of all."""
    names: list[str] = []
    real = os.replace

    def replaced(old, new) -> None:
        names.append(Path(new).name)
        if len(names) == number and not written:
            raise Killed
        real(old, new)
        if len(names) == number:
            raise Killed

    patch.setattr("saafe.files.os.replace", replaced)
    return names


@pytest.mark.slow
@pytest.mark.parametrize(("verdict", "written"), [("tuned", False), ("general", True)])
def test_a_tuning_killed_at_any_file_goes_on_and_ends_the_same(
    verdict: str, written: bool, trained: tuple[Path, dict], homes: Path
) -> None:
    """Also where the weights are undone at the end."""
    folder, _ = trained
    one = {"false_alarms": {"tuned": 1, "general": 1, "chance": 1.0},
           "fires_that_one_alone_finds": {"tuned": 9, "general": 9, "chance": 1.0},
           "verdict": verdict}  # fmt: skip

    def tuned(name: str, *more: str) -> dict:
        words = ("tune", str(folder / "general"), "--on", str(homes), "--out", str(folder.parent))
        return json.loads(invoke(*words, "--name", name, "--json", *more).stdout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuned_run, "compare_models", lambda *_: one)
        wanted = tuned(f"whole-{verdict}-{written}")
        assert wanted["own_rooms"]["weights"] == verdict
        number = 0
        while True:
            number, name = number + 1, f"killed-{verdict}-{written}-{number}"
            with pytest.MonkeyPatch.context() as deadly:
                names = kill_at(deadly, number, written=written)
                try:
                    tuned(name)
                    break
                except Killed:
                    pass
            done = tuned(name, *(["--resume"] if (folder.parent / name).exists() else []))
            assert done["model_sha256"] == wanted["model_sha256"], names
            assert done["own_rooms"] == wanted["own_rooms"], names
            assert list((folder.parent / name).rglob(".*")) == [], names
            shutil.rmtree(folder.parent / name)
        assert number > 10, names


POOLS = [{"what": "simulated homes", "years": 1.0}]
TABLE = {"model_sha256": "x", "devices": {}}  # of `device_thresholds`


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"thresholds_rest_on.json": POOLS, "thresholds.json": TABLE}, POOLS),
        ({"thresholds.json": POOLS}, POOLS),
        ({"thresholds_rest_on.json": POOLS, "thresholds.json": []}, POOLS),
        ({"thresholds.json": TABLE}, []),
        ({}, []),
    ],
)
def test_what_thresholds_rest_on_is_read_from_a_file_of_its_own(
    files: dict[str, object], found: list[object], tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert tuned_run.read_pools(tmp_path) == found


def test_a_tuning_that_is_stopped_in_its_exam_goes_on(
    trained: tuple[Path, dict], homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exam's device has thresholds set, which the run's folder keeps."""
    folder, printed = trained
    words = ("tune", str(folder / "general"), "--on", str(homes), "--out", str(folder.parent),
             "--name", "examined", "--json")  # fmt: skip
    mine = folder.parent / "examined"
    shutil.copytree(folder, mine, ignore=shutil.ignore_patterns("general", "own_rooms.json"))
    run_for(runs.load(mine), "sonoff-snzb-02b")
    kept = (mine / THRESHOLDS).read_bytes()
    for name in (".exam.json.4711", "folds/0/.model.safetensors.12"):  # of killed writers
        (mine / name).write_text("half")
    done = json.loads(invoke(*words, "--resume").stdout)
    assert list(mine.rglob(".*")) == []
    assert done["own_rooms"] == printed["own_rooms"]
    assert (mine / THRESHOLDS).read_bytes() == kept


@pytest.mark.parametrize(
    ("hours", "budget", "said"), [(15.0, None, "other recordings"), (14.0, 2.0, "another budget")]
)
def test_what_was_begun_goes_on_with_the_same(
    tmp_path: Path, hours: float, budget: float | None, said: str
) -> None:
    def found(hours: float) -> rooms.OwnRooms:
        return rooms.OwnRooms((room("a", "home", hours),), ())

    tuned_run.note_asked(tmp_path, found(14.0), None, resume=False, model=None)
    tuned_run.note_asked(tmp_path, found(14.0), None, resume=True, model=None)
    with pytest.raises(InputError, match=said):
        tuned_run.note_asked(tmp_path, found(hours), budget, resume=True, model=None)


@pytest.mark.parametrize(
    "content", ["[]", "5", "null", '"x"', "{", pytest.param("[" * 10**5, id="deep")]
)
def test_what_was_begun_with_nothing_that_can_be_read_goes_on_or_is_refused(
    content: str, tmp_path: Path
) -> None:
    found = rooms.OwnRooms((room("a", "home", 14.0),), ())
    (tmp_path / runs.METRICS).write_text("")
    (tmp_path / runs.ASKED_FILE).write_text(content)
    with pytest.raises(InputError, match="another name"):
        tuned_run.note_asked(tmp_path, found, None, resume=True, model=None)


def test_a_tuning_goes_on_with_the_model_that_it_began_with(tmp_path: Path) -> None:
    """Its folds were of one model, what it was compared with and the final one of another."""
    found = rooms.OwnRooms((room("a", "home", 14.0),), ())
    # `train --on`, or an older saafe
    tuned_run.note_asked(tmp_path, found, None, resume=False, model=None)
    tuned_run.note_asked(tmp_path, found, None, resume=True, model="one")
    tuned_run.note_asked(tmp_path, found, None, resume=False, model="one")
    tuned_run.note_asked(tmp_path, found, None, resume=True, model="one")
    with pytest.raises(InputError, match="a model of other weights; resume with the same RUN"):
        tuned_run.note_asked(tmp_path, found, None, resume=True, model="another")


@pytest.mark.slow
def test_held_out_days_reach_no_batch_and_no_threshold(
    homes: Path, trained: tuple[Path, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No simulated sensor shows a home's CO2 and humidity for 200 s on end."""
    from saafe.training import loop, tuning

    seen: list[set[int]] = []
    real_train, real_peaks = loop.train_on, tuning.own_peaks
    real_over = tuning.simulate_over

    def train_on(fit, recipe, windows, world):
        newest = windows.windows[:, -20:, 0]
        seen[-1].update(marks_of(newest[..., CO2], newest[..., HUMIDITY]))
        return real_train(fit, recipe, windows, world)

    def own_peaks(model, days):
        readings = days.readings[0, :, 0]
        seen[-1].update(marks_of(readings[:, CO2, None], readings[:, HUMIDITY, None]))
        return real_peaks(model, days)

    def simulate_over(backgrounds, *rest):
        for one in backgrounds:
            seen[-1].update(marks_of(one.readings[:, CO2, None], one.readings[:, HUMIDITY, None]))
        return real_over(backgrounds, *rest)

    real_tune = tuned_run.tune_detector

    def tune_detector(*args, **named):
        seen.append(set())
        return real_tune(*args, **named)

    monkeypatch.setattr(tuning, "train_on", train_on)
    monkeypatch.setattr(tuning, "own_peaks", own_peaks)
    monkeypatch.setattr(tuning, "simulate_over", simulate_over)
    monkeypatch.setattr(tuned_run, "tune_detector", tune_detector)
    invoke("tune", str(trained[0] / "general"), "--on", str(homes), "--out", str(tmp_path))
    assert seen == [{1}, {0}, {0, 1}]


@pytest.mark.slow
def test_one_short_recording_tunes_and_says_that_it_shows_nothing(
    trained: tuple[Path, dict], tmp_path: Path
) -> None:
    write(make_recording("short", hours=3.0, period_s=300.0), tmp_path / "rooms")
    done = invoke("tune", str(trained[0] / "general"), "--on", str(tmp_path / "rooms"), "--out",
                  str(tmp_path / "runs"))  # fmt: skip
    assert done.exit_code == 0
    assert "No figures of held-out days" in done.stdout


def test_a_run_started_with_on_is_not_resumed_without(
    trained: tuple[Path, dict], tmp_path: Path
) -> None:
    folder = trained[0]
    words = ("train", "tiny", *changes(), "--out", str(folder.parent), "--name", "own", "--resume")
    refused = CliRunner().invoke(saafe, list(words))
    assert "was started with --on" in str(refused.exception)


@pytest.mark.parametrize("budget", ["-1", "nan", "1e9"])
def test_a_budget_that_is_none_is_refused(budget: str, homes: Path) -> None:
    words = ["train", "tiny", "--on", str(homes), "--false-alarms-per-year", budget]
    refused = CliRunner().invoke(saafe, words)
    assert isinstance(refused.exception, InputError)
    assert "allowed is 0 to 1000 a year" in str(refused.exception)


def test_a_budget_without_rooms_is_refused() -> None:
    refused = CliRunner().invoke(saafe, ["train", "tiny", "--false-alarms-per-year", "2"])
    assert "--on FOLDER" in str(refused.exception)


# figures


def test_more_days_show_what_the_rule_of_three_says() -> None:
    rows = {row["shown_under_per_year"]: row for row in held_out.more_days(28.0)}
    assert rows[1.0]["days_without_an_alarm"] == pytest.approx(1094, abs=2)
    assert rows[36.0]["more_days"] == pytest.approx(30.4 - 28.0, abs=1.0)
    total = held_out.sum_rows([
        held_out.outcomes.HomeRow("a", 28.0, 0, [], 0, 0, 0, 0.0)
    ])  # fmt: skip
    assert total["shown_under_per_year"] == pytest.approx(39.0, abs=0.1)


def test_rooms_smoke_is_what_a_photoelectric_alarm_would_find() -> None:
    calm = make_recording(hours=48.0)
    assert rooms.smoke_alarms(with_channel(calm, PM25, 10.0, 2_000.0)) == []
    ((at_s, cause),) = rooms.smoke_alarms(with_channel(calm, PM25, 10.0, 60_000.0))
    assert 9.98 <= at_s / 3600.0 <= 10.5
    assert "photoelectric" in cause
