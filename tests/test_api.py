"""The public names of `saafe`: there, lazy, documented, and their examples run."""

import doctest
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cloud_stub import end_emulator

import saafe
from saafe.detector import AlarmSettings, Scorer
from saafe.exam.amounts import Amounts
from saafe.recordings import Recording
from saafe.simulator import devices
from saafe.training import for_device, run_for

ROOT = Path(__file__).parents[1]
NAMES = {
    "load", "Detector", "detect", "read_recording", "write_recording", "simulate", "train",
    "tune", "examine", "launch", "InputError", "__version__",
}  # fmt: skip
WITH_EXAMPLES = sorted(NAMES - {"__version__"})
FEW = Amounts(1, 2, 0, 0, 1, 6, 8)
LONG = {"launch": pytest.mark.slow, "tune": pytest.mark.slow, "examine": pytest.mark.slow}

CALM = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())
QUIET = Recording("quiet", np.arange(3.0), ("A",), np.full((3, 1, 6), 20.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def run(folder: Path):
    tiny = {"epochs": 1, "windows": 256, "batch": 64, "streams": 32, "held_out": 64, "width": 16}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("saafe.training.thresholds.REFERENCE_STREAMS", 8)
        patch.setattr("saafe.training.thresholds.DENSE_PARTS", 1)
        patch.setattr("saafe.exam.quick.QUICK", FEW)
        return saafe.train("tiny", settings=tiny, out=folder, name="fixture")


def test_names_are_the_promised_ones() -> None:
    assert set(saafe.__all__) == NAMES
    assert saafe.__all__ == sorted(saafe.__all__)
    assert dir(saafe) == saafe.__all__
    for name in NAMES:
        assert getattr(saafe, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'arena'"):
        _ = saafe.arena


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=LONG.get(name, ())) for name in WITH_EXAMPLES]
)
def test_examples_run(name: str, run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    shutil.copytree(run.folder, tmp_path / "runs" / "RUN")
    if name in ("train", "tune"):
        monkeypatch.setattr("saafe.training.thresholds.REFERENCE_STREAMS", 8)
        monkeypatch.setattr("saafe.training.thresholds.DENSE_PARTS", 1)
        monkeypatch.setattr("saafe.exam.quick.QUICK", FEW)
    public = getattr(saafe, name)
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(public, name, globs={})  # as typed by hand
    assert example.examples, f"{name} has no example"
    try:
        failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example)
    finally:
        if name == "launch":
            end_emulator(tmp_path / "runs" / ".emulator")
    assert failed == 0


def test_readme_lines_run(run, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    code = text[text.index("```python\n") + 10 :].split("```")[0]
    saafe.write_recording(saafe.simulate(1, hours=1.0)[0], tmp_path / "kitchen.csv")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "RUN").symlink_to(run.folder.resolve())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


LAZY = """
import sys, time
began = time.perf_counter()
import saafe
print(time.perf_counter() - began < 0.5)
heavy = ("torch", "numpy", "polars", "boto3", "matplotlib", "scipy")
print([name for name in heavy if name in sys.modules])
"""


def test_import_is_light() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LAZY], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == "True\n[]\n"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda at: (at / "saafe-int8.onnx").write_bytes(b""),
            r"load .*saafe-int8\.onnx to detect",
        ),
        (lambda at: (at / "recipe.json").write_text("{}"), "continue it with resume=True"),
        (lambda at: None, "give a run folder"),
    ],
)
def test_a_folder_without_weights_says_what_it_is(make, said: str, tmp_path: Path) -> None:
    make(tmp_path)
    for read in (saafe.load, lambda path: saafe.tune(path, on=tmp_path)):
        with pytest.raises(saafe.InputError, match=said):
            read(tmp_path)


def test_a_file_cannot_be_tuned(tmp_path: Path) -> None:
    file = tmp_path / "saafe-int8.onnx"
    file.write_bytes(b"")
    with pytest.raises(saafe.InputError, match="is a file; give a run folder"):
        saafe.tune(file, on=tmp_path)


@pytest.mark.parametrize("path", [5, b"model.onnx", ["model.onnx"]])
def test_load_refuses_what_is_no_path(path) -> None:
    with pytest.raises(saafe.InputError, match=f"path of a run or .*, got {type(path).__name__}"):
        saafe.load(path)


@pytest.mark.parametrize("run", [5, None, b"runs/RUN", ["runs/RUN"]])
def test_tune_refuses_what_is_no_run(run) -> None:
    with pytest.raises(saafe.InputError, match=f"a run or its folder, got {type(run).__name__}"):
        saafe.tune(run, on="my_rooms")


@pytest.mark.parametrize("on", [5, None, b"my_rooms", ["my_rooms"]])
def test_tune_refuses_what_is_no_folder(on, run) -> None:
    with pytest.raises(saafe.InputError, match=f"a folder of recordings, got {type(on).__name__}"):
        saafe.tune(run, on=on)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": -1}, {"n": 1.5}, {"n": "3"}, {"seed": None}, {"seed": "a"}, {"seed": 2**70},
        {"hours": 0}, {"hours": 0.001}, {"hours": math.nan}, {"hours": math.inf}, {"hours": "1"},
        {"sensors": 0}, {"sensors": 1.0}, {"sensors": 65}, {"times": 0}, {"times": "x"},
        {"sources": "curtain"}, {"sources": None},
    ],
    ids=str,
)  # fmt: skip
def test_simulate_refuses_what_cannot_be_simulated(wrong: dict) -> None:
    """They ended in torch's words, in a division by zero, or in nothing simulated."""
    (name,) = wrong
    with pytest.raises(saafe.InputError, match=f"^{name}: came .*; allowed: "):
        saafe.simulate(**{"n": 1, "hours": 0.5, **wrong})


def test_simulate_takes_the_numbers_of_numpy_and_any_names() -> None:
    (one,) = saafe.simulate(np.int64(1), seed=np.int64(3), hours=0.1, sources=iter(["kettle"]))  # type: ignore
    (two,) = saafe.simulate(1, seed=3, hours=np.float64(0.1), sources=["kettle"])
    np.testing.assert_array_equal(one.readings, two.readings)
    with pytest.raises(saafe.InputError, match="source 1 is unknown"):
        saafe.simulate(1, hours=0.5, sources=[1])  # type: ignore


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: saafe.launch("tiny", settings=["epochs=1"]), "settings: takes"),  # type: ignore
        (lambda: saafe.launch(3), "tier: takes the name of a tier, got int"),  # type: ignore
        (lambda: saafe.train("tiny", out=3), "out: takes the path of a folder, got int"),  # type: ignore
        (lambda: saafe.train("tiny", name=3), "name: takes the name of a folder, got int"),  # type: ignore
        (lambda: saafe.detect(CALM, QUIET, since_s="1"), "since_s: came '1'; allowed: seconds"),  # type: ignore
        (lambda: saafe.detect(CALM, QUIET, since_s=None), "since_s: came None; allowed: seconds"),  # type: ignore
        (
            lambda: saafe.Detector(CALM).update(0.0, "A", {"co": 1.0}, ["co"]),  # type: ignore
            "refused: takes",
        ),
    ],
)
def test_what_is_of_another_type_is_refused_in_one_line(call: Callable, said: str) -> None:
    with pytest.raises(saafe.InputError, match=said) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("device", [5, b"saafe-4", ["saafe-4"]])
def test_a_device_is_a_name_or_a_path(device, run) -> None:
    says = f"^device: takes a name .*, got {type(device).__name__}$"
    for use in (
        lambda: saafe.load(device=device), lambda: saafe.load(run.folder, device=device),
        lambda: saafe.simulate(1, device=device), lambda: saafe.examine(run, device=device),
        lambda: saafe.train("tiny", device=device),
    ):  # fmt: skip
        with pytest.raises(saafe.InputError, match=says):
            use()


def test_a_device_itself_is_loaded_for(run) -> None:
    """What `fit_device` gives could be trained for, and not be loaded for."""
    device = devices.load_device("saafe-4")
    assert saafe.load(device=device).settings == saafe.load(device="saafe-4").settings
    assert saafe.load(device=Path("saafe-4")).settings == saafe.load(device="saafe-4").settings
    own = replace(run, recipe=for_device(run.recipe, device))
    assert run_for(own, device) is own
