"""An exported file in the exam: the run's classes, its own place, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from export_fixtures import odd_windows, small_run
from few_exam import FEW

from saafe.cli import saafe as commands
from saafe.detector import load_exported, seal
from saafe.errors import InputError
from saafe.exam import exam
from saafe.exam.amounts import Amounts
from saafe.exam.examinee import classifier, judged_on
from saafe.exam.judging import judged_run
from saafe.exam.quick import exam_device
from saafe.export import onnx_files
from saafe.sensors import FIRE, PM25
from saafe.simulator import devices
from saafe.training.runs import Run, sha256


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return small_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def files(run: Run, tmp_path: Path) -> Path:
    """A folder as `saafe export` leaves it: both files beside the run's own exam and card."""
    (tmp_path / "saafe.onnx").write_bytes(onnx_files.single_precision(run))
    (tmp_path / "saafe-int8.onnx").write_bytes(onnx_files.eight_bits(run, odd_windows(range(3))))
    for name in ("exam.json", "MODEL_CARD.md"):
        (tmp_path / name).write_text("the run's")
    return tmp_path


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    amounts = {"saafe.exam.quick.QUICK": Amounts(1, 1, 0, 0, 1, 12, 4)}
    for name, value in (FEW | amounts).items():
        monkeypatch.setattr(name, value)


@pytest.mark.parametrize(("name", "least"), [("saafe.onnx", 1.0), ("saafe-int8.onnx", 0.9)])
def test_a_file_tells_the_classes_of_its_run(
    name: str, least: float, run: Run, files: Path
) -> None:
    tell, truth = classifier(load_exported(files / name)), judged_run(run).classify
    assert truth is not None
    for some in (odd_windows(range(8)), odd_windows([1])[:1], odd_windows([1])[:0]):
        said, due = tell(some), truth(some)
        assert (said.dtype, said.shape) == (due.dtype, due.shape)
        assert len(some) == 0 or np.mean(said == due) >= least
    assert len(set(truth(odd_windows(range(8))).tolist())) > 1


def test_a_lone_channel_moves_the_fire_of_a_file_too(run: Run, tmp_path: Path) -> None:
    """A run that takes lone particles for a fire, and its file, tell the same classes."""
    windows = odd_windows(range(8))
    windows[..., [channel for channel in range(windows.shape[-1]) if channel != PM25]] = np.nan
    excess = run.model.lone_excess.clone()
    try:
        run.model.lone_excess.fill_(-50.0)
        truth = judged_run(run).classify(windows)
        (tmp_path / "saafe.onnx").write_bytes(onnx_files.single_precision(run))
        said = classifier(load_exported(tmp_path / "saafe.onnx"))(windows)
    finally:
        run.model.lone_excess.copy_(excess)
    assert FIRE in truth
    assert said.tolist() == truth.tolist()


def figures_of(result: dict) -> dict:
    """What an exam found, without what a file is and takes."""
    lines = {row["name"]: row["value"] for row in result["gate"]["lines"]}
    found = result["figures"] if result["level"] == "quick" else result
    parts = {name: found[name] for name in ("fires", "windows", "windows_scored")}
    return parts | {k: v for k, v in lines.items() if k not in ("model_bytes", "latency_p99_ms")}


@pytest.mark.slow
@pytest.mark.parametrize("device", [None, "saafe-4", "anything"])
@pytest.mark.parametrize("level", ["quick", "full"])
def test_a_file_is_examined_as_its_run(
    level: str, device: str | None, few: None, run: Run, files: Path
) -> None:
    asked = ["--level", level, "--json", *(["--device", device] if device else [])]
    results = {}
    for path in (files / "saafe.onnx", run.folder):
        done = CliRunner().invoke(commands, ["exam", str(path), *asked])
        assert done.exit_code == 0, done.output
        results[path.name] = json.loads(done.stdout)
    of_file, of_run = (figures_of(results[name]) for name in ("saafe.onnx", run.folder.name))
    for name in ("calibration_error_in", "calibration_error_out"):  # sums in another order
        assert of_file.pop(name, 0.0) == pytest.approx(of_run.pop(name, 0.0), abs=1e-6)
    assert of_file == of_run
    tail = f"-{device}" if device else ""
    result, file = results["saafe.onnx"], files / "saafe.onnx"
    assert result == json.loads((files / f"saafe-exam{tail}.json").read_text())
    assert "Exam of saafe.onnx<" in (files / f"saafe-report{tail}.html").read_text()
    size = next(row for row in result["gate"]["lines"] if row["name"] == "model_bytes")
    assert size["value"] == file.stat().st_size
    assert result["provenance"]["model_sha256"] == sha256(file)
    for one in (load_exported(file), run):
        name = file.name if one is not run else run.folder.name
        used = judged_on(one, exam_device(one, device).sensors, say=lambda _: None).settings
        assert results[name]["provenance"]["alarms"] == used.to_dict(), name
        assert (used.fast == one.settings.fast) == (device == "anything"), "not its own"
    for name in ("exam.json", "MODEL_CARD.md"):
        assert (files / name).read_text() == "the run's"


def without_classes(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.op_type = node.op_type.replace("ReduceLogSumExp", "ReduceMax")


def of_no_recipe(model: onnx.ModelProto) -> None:
    for one in model.metadata_props:
        one.value = "{}" if one.key == "recipe" else one.value


def test_an_exam_of_a_file_leaves_the_runs_beside_it(run: Run, files: Path) -> None:
    exported = load_exported(files / "saafe-int8.onnx")
    found = {"level": "quick", "device": "saafe-6"}
    gate = found | {"passed": True, "lines": []}
    quick = found | {"gate": gate}
    written = exam.write_exam(exported, quick, [])
    assert [path.name for path in written] == ["saafe-int8-exam.json", "saafe-int8-report.html"]
    sha = {"model_sha256": sha256(exported.path), "file": exported.path.name}
    full = quick | {"level": "full", "gate": gate | {"level": "full"}, "provenance": sha}
    assert exam.write_exam(exported, full, []) == written
    assert exam.write_exam(exported, quick, []) == [], "a quick exam replaces no full one"
    assert "Exam of saafe-int8.onnx<" in written[1].read_text()
    elsewhere = exam.write_exam(exported, quick | {"device": "saafe-4"}, [], is_own=False)
    assert [path.name for path in elsewhere] == [
        "saafe-int8-exam-saafe-4.json", "saafe-int8-report-saafe-4.html"]  # fmt: skip
    other = exam.write_exam(load_exported(files / "saafe.onnx"), quick, [])
    assert not {*other} & {*written, *elsewhere}
    for name in ("exam.json", "MODEL_CARD.md"):
        assert (files / name).read_text() == "the run's"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_classes, "its graph tells no classes; export"),
        (of_no_recipe, "its recipe is missing"),
    ],
)
def test_a_file_that_cannot_be_examined_says_why(
    spoil: Callable[[onnx.ModelProto], None], said: str, files: Path
) -> None:
    model = onnx.load(files / "saafe.onnx")
    spoil(model)
    (files / "odd.onnx").write_bytes(seal(model.SerializeToString()))
    with pytest.raises(InputError, match=said):
        exam.examine(load_exported(files / "odd.onnx"), level="quick")


@pytest.mark.parametrize(
    "words", [("FILE", "--level", "long"), ("RUN", "--beside", "FILE")], ids=" ".join
)
def test_what_a_file_cannot_do_is_refused(words: tuple[str, ...], run: Run, files: Path) -> None:
    meant = {"FILE": str(files / "saafe.onnx"), "RUN": str(run.folder)}
    done = CliRunner().invoke(commands, ["exam", *(meant.get(word, word) for word in words)])
    assert done.exit_code == 1
    assert "saafe.onnx: is an exported model; allowed: a run folder" in str(done.exception)
    with pytest.raises(InputError, match="takes a run"):
        exam.examine(run, beside=[load_exported(files / "saafe.onnx")])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("tier", "device", "said"),
    [("of next year", "saafe-6", "has no limits"), ("ultra-fast", "x" * 300, "too long a name")],
)
def test_what_would_be_refused_in_the_end_is_refused_before_the_work(
    tier: str, device: str, said: str, run: Run, files: Path, tmp_path: Path
) -> None:
    """A file of a later saafe, and a device whose name no file can have, after 15 minutes."""
    model = onnx.load(files / "saafe.onnx")
    for prop in model.metadata_props:
        if prop.key == "recipe":
            prop.value = json.dumps(json.loads(prop.value) | {"tier": tier})
    (files / "saafe.onnx").write_bytes(seal(model.SerializeToString()))
    named = devices.to_toml(replace(devices.load_device("saafe-6"), name=device))
    (tmp_path / "device.toml").write_text(named)
    began: list[str] = []
    with pytest.raises(InputError, match=said):
        exam.examine(
            load_exported(files / "saafe.onnx"), level="quick",
            device=str(tmp_path / "device.toml"), on_progress=began.append,
        )  # fmt: skip
    assert began == []
