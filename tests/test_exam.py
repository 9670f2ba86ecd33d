"""The examination as a whole, on a model that nobody trained, with a handful of streams."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from few_exam import FEW
from raw_folders import write_home

from saafe import readers
from saafe.cli import saafe
from saafe.detector.alarms import AlarmSettings
from saafe.detector.recorded import Detection
from saafe.errors import InputError
from saafe.exam import exam, faults, session
from saafe.exam.judging import Judged
from saafe.exam.quick import exam_device
from saafe.exam.results import plain_values
from saafe.exam.session import Case, Session
from saafe.exam.shifts import judge_simulated
from saafe.exam.tables import simulated_table
from saafe.files import write_json
from saafe.recipes import changed, find_tier
from saafe.recordings.recording import Recording
from saafe.recordings.superpose import Home
from saafe.sensors import CHANNEL_NAMES, CHANNELS
from saafe.simulator import devices
from saafe.simulator.sources import FIRES
from saafe.training import runs
from saafe.training.data import Purpose, seeded_generator
from saafe.training.model import FireTransformer
from saafe.training.runs import Run, load

REAL = Path(os.environ.get("SAAFE_REAL", Path(__file__).parents[2] / "shared" / "data"))
TOP = ["version", "level", "device", "seed", "gate", "windows_scored", "seconds", "provenance",
       "fires", "against_reference_alarms", "egress", "nuisances", "nuisance_ratio", "life",
       "faults", "shift", "calibration", "ramps", "recordings", "superposed_fires",
       "superposed_fires_growing", "identity", "rivals", "cases"]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    recipe = changed(
        find_tier("ultra-fast"), ("width=16", "layers=1", "heads=2", "device=cpu", "seed=3")
    )
    torch.manual_seed(0)
    runs.save_model(tmp_path, recipe, FireTransformer(recipe), AlarmSettings(fast=9.0, slow=8.0))
    return load(tmp_path)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FEW.items():
        monkeypatch.setattr(name, value)


@pytest.mark.slow
def test_full_exam_by_the_command_line(few: None, run: Run) -> None:
    asked = ["exam", str(run.folder), "--device", "saafe-4", "--json", "--seed", "5"]
    done = CliRunner().invoke(saafe, asked)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result == json.loads((run.folder / "exam-saafe-4.json").read_text())
    assert (run.folder / "report-saafe-4.html").is_file()
    assert not (run.folder / exam.EXAM_FILE).exists(), "that is of the run's own device"
    assert set(TOP) <= set(result)
    assert (result["gate"]["level"], result["gate"]["device"]) == ("full", "saafe-4")
    assert result["gate"]["passed"] is False
    assert len(result["gate"]["lines"]) == 5 + 17
    assert 0 < result["windows_scored"] <= exam.MOST_WINDOWS
    assert result["seed"] == 5
    assert result["provenance"]["model_sha256"] == runs.sha256(run.folder / runs.MODEL)
    kinds = len(FIRES)
    assert len(result["fires"]) == kinds + 2  # and oil while frying, all
    assert sum(row["n"] for row in result["fires"][:kinds]) == result["fires"][-1]["n"]
    assert all(row["floor_suppressed"] == 0 for row in result["fires"])
    assert len(result["faults"]) == 7 * 6 + 3
    said = result["fault_watch"]["faults_said_within_60s"]
    assert {row["fault"] for row in said} >= {"stuck", "missing"}
    assert " left" in done.stderr
    again, _ = exam.examine_full(run, exam.ExamOptions(seed=5, device=exam_device(run, "saafe-4")))
    for name in ("fires", "nuisances", "life", "faults", "shift", "windows"):
        assert json.loads(json.dumps(again[name])) == result[name], name


def test_a_folder_without_recordings_is_refused_first(run: Run, tmp_path: Path) -> None:
    for folder, why in (
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path, "none of the folders"),
    ):
        with pytest.raises(InputError, match=why):
            exam.examine_full(run, exam.ExamOptions(real=folder))


@pytest.mark.parametrize("seed", [-1, 2**31, 10**30])
def test_a_seed_that_would_end_the_exam_in_a_traceback_is_refused_first(
    run: Run, seed: int
) -> None:
    """-1 simulated the fires for minutes, then numpy refused it."""
    with pytest.raises(InputError, match=r"^seed: came .*allowed: a whole number from 0 to 21"):
        exam.examine(run, level="full", seed=seed)
    done = CliRunner().invoke(saafe, ["exam", str(run.folder), "--seed", str(seed)])
    assert isinstance(done.exception, InputError)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="the recordings are not here")
def test_recorded_homes_have_no_false_fault_but_silences() -> None:
    (home,) = [item.recording for item in readers.read_published("uhoo_homes", REAL / "uhoo_homes")
               if item.recording.name == "1"]  # fmt: skip
    found = faults.sum_false_faults([home])
    assert found["by_reason"] == {}
    assert found["detector_months"] > 0.5


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="the recordings are not here")
def test_recordings_that_are_only_partly_there(tmp_path: Path) -> None:
    (tmp_path / "nazir_lab_fire").symlink_to(REAL / "nazir_lab_fire")
    here = begun()
    part = exam.real_part(here, exam.ExamOptions(real=tmp_path))
    assert part["lab_fires"]["n"] == 8
    assert here.windows > 0


def test_quick_never_replaces_a_full_exam(run: Run) -> None:
    path = run.folder / exam.EXAM_FILE
    here = {"level": "quick", "device": "saafe-6"}
    quick = here | {"gate": here | {"passed": True, "lines": []}}
    names = ["exam.json", "report.html", "MODEL_CARD.md"]
    assert [written.name for written in exam.write_exam(run, quick, [])] == names
    sha = runs.sha256(run.folder / runs.MODEL)
    full = {
        **quick,
        "level": "full",
        "gate": quick["gate"] | {"level": "full"},
        "provenance": {"model_sha256": sha},
    }
    assert exam.write_exam(run, full, [])[0] == path
    assert exam.write_exam(run, quick, []) == []
    assert json.loads(path.read_text()) == full
    other = {"gate": {"level": "full"}, "provenance": {"model_sha256": "of another model"}}
    write_json(path, other)
    assert exam.write_exam(run, quick, [])[0] == path
    elsewhere = quick | {"device": "saafe-4"}
    odd = exam.files_of(run, "../a/b", is_own=False)
    assert {path.parent for path in odd} == {run.folder}
    assert [p.name for p in exam.write_exam(run, elsewhere, [], is_own=False)] == [
        "exam-saafe-4.json", "report-saafe-4.html"]  # fmt: skip
    path.write_text("{")
    assert exam.write_exam(run, quick, [])[0] == path


def test_devices_of_one_name_share_no_exam(run: Run, tmp_path: Path) -> None:
    """A device file whose name the catalogue or another file has overwrote that one's exam."""
    four, six = devices.load_device("saafe-4"), devices.load_device("saafe-6")
    made = {
        "saafe-4": "saafe-4",
        "anything": "anything",
        "same": four,  # a file that says what the catalogue does
        "other": replace(four, notes=("with a vent",)),
        "mine": replace(four, name="mine"),
        "mine too": replace(six, name="mine"),
    }
    names: dict[str, list[Path]] = {}
    for key, one in made.items():
        asked = one
        if not isinstance(one, str):
            asked = str(tmp_path / f"{key}.toml")
            Path(asked).write_text(devices.to_toml(one))
        on_device = exam_device(run, asked)
        assert not on_device.is_own
        found = {"level": "quick", "device": on_device.name}
        result = found | {"gate": found | {"passed": True, "lines": []}}
        names[key] = exam.write_exam(run, result, [], is_own=False, called=on_device.called)
    assert names["same"] == names["saafe-4"]
    assert [path.name for path in names["anything"]] == [
        "exam-anything.json",
        "report-anything.html",
    ]
    del names["same"]
    assert len({path for paths in names.values() for path in paths}) == 2 * len(names)
    assert re.fullmatch(r"exam-mine-[0-9a-f]{8}\.json", names["mine"][0].name)
    own = replace(run, recipe=replace(run.recipe, device_file=devices.to_toml(made["mine"])))
    assert exam_device(own, str(tmp_path / "mine.toml")).called == "mine"
    assert exam_device(own, str(tmp_path / "mine too.toml")).called != "mine"


# --- the session ------------------------------------------------------------------------------


def silent(windows: np.ndarray) -> np.ndarray:
    return np.zeros(len(windows))


def begun(on_progress=lambda _: None) -> Session:
    return Session(Judged("nobody", silent, AlarmSettings()), 0, on_progress=on_progress)


def case(kind: str, name: str) -> Case:
    times = np.array([0.0, 10.0, 20.0])
    readings = np.arange(18, dtype=np.float32).reshape(3, 1, len(CHANNELS))
    decided = Detection([], times[1:], np.zeros(2, np.int64), np.array([1.0, 2.0]))
    return Case(kind, name, Recording("r", times, ("A",), readings), decided, 10.0)


def test_the_ten_worst_of_each_sort_are_kept() -> None:
    here = begun()
    for k in range(30):
        here.keep(case("miss" if k % 2 else "late", f"fire {k}"), float(k))
        here.keep(case("false alarm", f"alarm {k}"), float(-k))
    kept = [c.title for c in here.cases()]
    assert kept == [f"fire {k}" for k in range(29, 19, -1)] + [f"alarm {k}" for k in range(10)]


def test_a_case_is_drawn_at_its_decisions() -> None:
    drawn = case("miss", "x").drawn()
    np.testing.assert_array_equal(drawn["times_s"], [10.0, 20.0])
    assert drawn["readings"].shape == (2, len(CHANNELS))
    assert drawn["readings"][0, 0] == 6.0
    assert set(case("miss", "x").named()) < set(drawn)


def test_every_window_is_counted() -> None:
    here = begun()
    here.score(np.zeros((7, 60, 1, len(CHANNELS)), np.float32))
    here.judged().score(np.zeros((5, 60, 1, len(CHANNELS)), np.float32))
    assert here.windows == 12
    assert here.judged().classify is None


def test_windows_of_the_identity_probe_count_and_its_lack_ends_no_exam(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs saafe[rivals]")
    write_home(tmp_path / "uhoo_homes")
    (item,) = readers.read_published("uhoo_homes", tmp_path / "uhoo_homes")
    home = Home(item.recording, item.stove)
    here = begun()
    said = exam.identity_part(here, [home])
    assert isinstance(said, str)
    assert said.startswith("not examined: the probe needs two sources")
    assert here.windows == 0
    other = replace(home.recording, name="2", readings=home.recording.readings + 3.0)
    found = exam.identity_part(here, [home, Home(other, home.sessions)])
    assert isinstance(found, dict)
    assert here.windows == found["windows"] > 0


def test_seeds_of_the_exam_are_nobody_elses() -> None:
    cpu = torch.device("cpu")
    mine = {
        seeded_generator(seed, Purpose.EXAM, stage * 10_000 + part, cpu).initial_seed()
        for seed in range(4)
        for stage in session.Stage
        for part in (0, 1, 9_999)
    }
    others = {
        seeded_generator(seed, purpose, part, cpu).initial_seed()
        for seed in range(5)
        for purpose in set(Purpose) - {Purpose.EXAM}
        for part in (0, 1, 9_999, 19_999)
    }
    assert len(mine) == 4 * 8 * 3
    assert not mine & others


def test_time_left_falls_to_nothing() -> None:
    told: list[str] = []
    here = begun(told.append)
    for share in (0.5, 0.3, 0.2):
        here.begin(share)
        here.on_progress("half", 0.5)
        here.on_progress("whole")
    assert told[-1].endswith("about 00:00 left")
    assert all("so far, about" in line for line in told)


@pytest.mark.slow
def test_the_small_examination_is_through_the_device_that_it_is_given(few: None) -> None:
    """`saafe evaluate` simulated instruments of any kind for a run that had a device of its own."""
    seen: list[np.ndarray] = []

    def score(windows: np.ndarray) -> np.ndarray:
        seen.append(windows)
        return np.zeros(len(windows))

    device = devices.load_device("sonoff-snzb-02b")
    judge_simulated(Judged("calm", score, AlarmSettings()), seed=0, device=device, trials=1)
    shown = {CHANNEL_NAMES[k] for part in seen for k in range(6) if np.isfinite(part[..., k]).any()}
    assert shown == {"temperature", "humidity"}


@pytest.mark.slow
def test_the_small_examination_is_for_people(few: None) -> None:
    figures = plain_values(judge_simulated(begun().one, seed=0, trials=1))
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    for part in figures.values():
        streams = part["streams"]
        outcomes = [streams[name] for name in ("in_time", "late", "early", "missed")]
        assert (sum(outcomes), streams["fires"], part["quiet"]["streams"]) == (1, 1, 1)
        assert part["windows"]["n"] == 8192
    rows = dict(simulated_table(figures))
    assert rows["same rooms: fires in time"] in ("0 of 1", "1 of 1")
    assert rows["other rooms: alarms in quiet life"] == "0 in 1 streams"


def test_the_device_of_an_exam_is_the_one_asked_for_else_the_runs_own() -> None:
    def run_for(device: str | None) -> Run:
        file = devices.to_toml(devices.load_device(device)) if device else ""
        recipe = replace(find_tier("tiny"), device_file=file)
        return Run(Path("run"), recipe, FireTransformer(recipe), AlarmSettings())

    general, own, anything = run_for(None), run_for("saafe-4"), devices.ANYTHING
    cases = [
        (general, None, "saafe-6", True), (general, "saafe-6", "saafe-6", True),
        (general, "saafe-4", "saafe-4", False), (general, anything, anything, False),
        (own, None, "saafe-4", True), (own, "saafe-4", "saafe-4", True),
        (own, "saafe-6", "saafe-6", False), (own, anything, anything, False),
    ]  # fmt: skip
    for run, asked, name, is_own in cases:
        found = exam_device(run, asked)
        assert (found.name, found.is_own) == (name, is_own), asked
        sensors = found.sensors if isinstance(found.sensors, str) else found.sensors.name
        assert sensors == name
    with pytest.raises(InputError, match="did you mean saafe-6"):
        exam_device(general, "saafe-7")
