"""An exam that was broken off goes on where it was, and never with what is another's."""

import json
import math
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import few_exam
import numpy as np
import pytest
import torch

from saafe.cli import saafe
from saafe.cli.output import run as run_words
from saafe.detector.alarms import AlarmSettings
from saafe.exam import kept
from saafe.exam.judging import Judged
from saafe.exam.kept import KeptParts, basis, digest
from saafe.exam.session import Session
from saafe.recipes import changed, find_tier
from saafe.recordings.recording import Recording, RefusedCell
from saafe.sensors import CHANNELS
from saafe.training import runs
from saafe.training.model import FireTransformer
from saafe.training.runs import Run, load


def made_run(folder: Path, *, seed: int = 0) -> Run:
    recipe = changed(
        find_tier("ultra-fast"), ("width=16", "layers=1", "heads=2", "device=cpu", "seed=3")
    )
    torch.manual_seed(seed)
    folder.mkdir()
    runs.save_model(folder, recipe, FireTransformer(recipe), AlarmSettings(fast=9.0, slow=8.0))
    return load(folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return made_run(tmp_path / "run")


class Maker:
    """Makes a value, and counts how often."""

    def __init__(self, value: object) -> None:
        self.value, self.times = value, 0

    def __call__(self) -> Any:
        self.times += 1
        return self.value


VALUES = [
    None, 3, -0.0, 0.1, math.inf, [1, "a b", None], {"fires": [{"time_s": 412.0}], "n": True},
    {"risk": np.array([0.1, math.nan, math.inf]), "none": np.zeros((0, 6), np.float32)},
    [np.arange(6, dtype=np.int64).reshape(2, 3), np.float64(0.1)],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=[str(k) for k in range(len(VALUES))])
def test_a_part_is_made_once_and_is_the_same_to_the_bit(tmp_path: Path, value: object) -> None:
    file, said = tmp_path / "exam.parts", []
    make = Maker(value)
    first = KeptParts(file, of="a").once("step", make, "given")
    again = KeptParts(file, of="a", say=said.append).once("step", make, "given")
    assert make.times == 1
    assert said == ["going on from an exam that was broken off: 1 parts kept"]
    np.testing.assert_equal(again, first)
    for one, other in zip(arrays_in(again), arrays_in(first), strict=True):
        assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes())
        one[:] = 0  # as fresh ones


def arrays_in(value: Any) -> list[np.ndarray]:
    rows = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [one for one in rows if isinstance(one, np.ndarray)]


GIVEN: dict[str, tuple[Any, ...]] = {
    "another basis": ("b", "step", (1, "x")), "another step": ("a", "other", (1, "x")),
    "another number": ("a", "step", (2, "x")), "a word for a number": ("a", "step", ("1", "x")),
    "one word for two": ("a", "step", ("1x",)), "in another order": ("a", "step", ("x", 1)),
    "another settings": ("a", "step", (AlarmSettings(fast=9.0),)),
    "an array": ("a", "step", (np.arange(3),)),
}  # fmt: skip


@pytest.mark.parametrize("case", GIVEN)
def test_a_part_that_follows_from_anything_else_is_not_taken(tmp_path: Path, case: str) -> None:
    of, name, given = GIVEN[case]
    make = Maker(1)
    KeptParts(tmp_path / "exam.parts", of="a").once("step", Maker(0), 1, "x")
    assert KeptParts(tmp_path / "exam.parts", of=of).once(name, make, *given) == 1
    assert make.times == 1


def test_what_follows_from_other_code_weights_or_packages_is_anothers(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = basis(run)
    assert basis(load(run.folder)) == mine
    assert basis(made_run(tmp_path / "other", seed=1)) != mine
    assert basis(replace(run, recipe=replace(run.recipe, seed=4))) != mine
    with torch.no_grad():  # in memory alone
        next(run.model.parameters()).add_(1.0)
    assert basis(run) != mine
    again = load(run.folder)
    for name, other in (("package_digest", lambda: "other"), ("distributions", lambda: ())):
        with monkeypatch.context() as patch:
            patch.setattr(kept, name, other)
            assert basis(again) != mine, name


def test_the_parts_of_another_model_go_away(tmp_path: Path) -> None:
    file = tmp_path / "exam.parts"
    KeptParts(file, of="a").once("step", Maker(0))
    KeptParts(file, of="b")
    assert not file.exists()


@pytest.mark.parametrize("cut", [1, 5, 20, 60])
def test_a_line_that_a_kill_cut_short_is_made_again(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "exam.parts"
    parts = KeptParts(file, of="a")
    for number in range(3):
        parts.once("step", Maker([number] * 50), number)
    file.write_bytes(file.read_bytes()[:-cut])
    said: list[str] = []
    again, makers = KeptParts(file, of="a", say=said.append), [Maker([k] * 50) for k in range(3)]
    assert [again.once("step", makers[k], k) for k in range(3)] == [[k] * 50 for k in range(3)]
    assert [one.times for one in makers] == [0, 0, 1]
    last = KeptParts(file, of="a")
    assert [last.once("step", makers[k], k) for k in range(3)] == [[k] * 50 for k in range(3)]
    assert [one.times for one in makers] == [0, 0, 1]


def test_a_full_disk_ends_no_exam(tmp_path: Path) -> None:
    said: list[str] = []
    parts = KeptParts(tmp_path / "nowhere" / "exam.parts", of="a", say=said.append)
    assert [parts.once("step", Maker(k), k) for k in range(3)] == [0, 1, 2]
    (line,) = said
    assert "cannot be written (No such file or directory); this exam goes on" in line


def test_the_clock_goes_on_with_what_the_parts_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0.0]
    monkeypatch.setattr("saafe.exam.kept.time.perf_counter", lambda: now_s[0])
    before = KeptParts(tmp_path / "exam.parts", of="a")
    for number in range(3):
        now_s[0] += 100.0
        before.once("step", Maker(0), number)
    after = KeptParts(tmp_path / "exam.parts", of="a")
    assert after.seconds == 0.0
    after.once("step", Maker(0), 1)
    assert after.seconds == 200.0
    after.once("step", Maker(0), 0)  # in any order
    now_s[0] += 7.0
    assert after.seconds == 207.0


def test_a_digest_tells_apart_whatever_a_detection_reads() -> None:
    """The order of rows of one moment decides which event comes first."""
    one = Recording("a", np.arange(3.0), ("A", "B"), np.ones((3, 2, len(CHANNELS)), np.float32))
    turns = np.zeros((3, 2), np.int8)
    others = [
        one, replace(one, turns=turns), replace(one, turns=turns + 1),
        replace(one, sensors=("A", "C")), replace(one, times_s=one.times_s + 1.0),
        replace(one, readings=one.readings + 1),
        replace(one, refused=(RefusedCell(0.0, "A", "co2", "range"),)),
    ]  # fmt: skip
    assert len({digest(other) for other in others}) == len(others)
    labels = np.zeros((3, 2), np.int8)
    assert digest(replace(one, name="b", labels=labels, sources=("", "", ""))) == digest(one)


def test_a_digest_knows_only_what_it_can_see_into() -> None:
    with pytest.raises(TypeError, match="does not know what it holds"):
        digest(object())


class Counting:
    """A model that counts what it is asked."""

    def __init__(self) -> None:
        self.windows = 0

    def score(self, windows: np.ndarray) -> np.ndarray:
        self.windows += len(windows)
        return np.where(np.nan_to_num(windows[:, -1, 0, 0]) > 40.0, 99.9, 1.0)


def a_session(file: Path, model: Counting, settings: AlarmSettings) -> Session:
    return Session(Judged("counting", model.score, settings), 0, kept=KeptParts(file, of="a"))


def test_a_detection_is_kept_with_its_windows(tmp_path: Path) -> None:
    readings = np.full((360, 1, 6), np.nan, np.float32)
    readings[:, 0, 0] = np.linspace(20.0, 70.0, 360)
    recording = Recording("one", 10.0 * np.arange(360), ("A",), readings)
    file, model, settings = tmp_path / "exam.parts", Counting(), AlarmSettings()
    first = a_session(file, model, settings)
    found, rules_s = first.detect(recording), first.rule_alarm_s(recording, since_s=0.0)
    assert found.events
    assert rules_s is not None
    asked = model.windows
    again = a_session(file, model, settings)
    np.testing.assert_equal(vars(again.detect(recording)), vars(found))
    assert again.rule_alarm_s(recording, since_s=0.0) == rules_s
    assert (model.windows, again.windows) == (asked, first.windows), "counted, and not asked"
    assert again.detect(recording, since_s=1800.0).times_s[0] >= 1800.0
    other = a_session(file, model, replace(settings, fast=math.inf, slow=math.inf, steady=math.inf))
    assert other.detect(recording).events != found.events


def in_a_process(folder: Path, *, until: str = "", sent: signal.Signals | None = None) -> list[str]:
    """Lines of an exam of a few streams, to which a signal is sent as it says a line."""
    words = [sys.executable, few_exam.__file__, str(folder)]
    lines = []
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if sent is not None and line.startswith(until):
                process.send_signal(sent)
                break
        _, errors = process.communicate()
    assert (process.returncode == 0) == (sent is None), errors
    return lines


def figures_of(folder: Path) -> dict[str, Any]:
    """What exam.json holds without times that it took."""
    found = json.loads((folder / "exam.json").read_text())
    del found["seconds"], found["provenance"]["examined"]
    found["gate"]["lines"] = [
        line for line in found["gate"]["lines"] if line["name"] != "latency_p99_ms"
    ]
    return found


@pytest.mark.slow
def test_a_killed_exam_and_a_stopped_one_go_on(tmp_path: Path) -> None:
    whole, broken = (made_run(tmp_path / name).folder for name in ("whole", "broken"))
    assert not [line for line in in_a_process(whole) if "going on" in line]
    parts = broken / "exam.parts"
    in_a_process(broken, until="nuisances, frying", sent=signal.SIGKILL)
    first = len(parts.read_bytes().split())
    assert not (broken / "exam.json").exists()
    lines = in_a_process(broken, until="faults said, dead", sent=signal.SIGINT)
    assert any(line.startswith("going on from an exam that was broken off") for line in lines)
    assert len(parts.read_bytes().split()) > first
    in_a_process(broken)
    assert not parts.exists()
    assert figures_of(broken) == figures_of(whole)


def test_ctrl_c_says_that_the_same_command_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("saafe.exam.exam.real_part", stopped)
    assert run_words(saafe, ["exam", str(run.folder)]) == 130
    said = capsys.readouterr().err
    assert said.endswith("saafe: stopped; the same command goes on where it was\n")
