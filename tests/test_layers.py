"""Imports go down the layers only, and what must run without torch does."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import saafe

ROOT = Path(saafe.__file__).parent
FILES = {
    ".".join(("saafe", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(ROOT.rglob("*.py"))
}
MODULES = [name for name in FILES if name not in ("saafe", "saafe.__main__")]  # no layer: version


def layer(name: str) -> int:
    docstring = ast.get_docstring(ast.parse(FILES[name].read_text())) or ""
    stated = re.search(r"Layer (\d)", docstring)
    assert stated, f"{name} does not state its layer"
    return int(stated[1])


def imported(name: str) -> set[str]:
    """Modules of saafe that a module imports, also inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in FILES else node.module or "")
    return {module for module in found if module in MODULES}


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT.parent
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down_only(name: str) -> None:
    for other in imported(name):
        assert layer(other) <= layer(name), f"{name} imports {other}, which lies above it"


def test_no_cycles() -> None:
    graphlib.TopologicalSorter({name: imported(name) for name in MODULES}).prepare()


def test_finds_real_imports() -> None:
    assert {"saafe.alarms", "saafe.windows", "saafe.recordings"} <= imported("saafe.detector")
    assert "saafe.runs" in imported("saafe.cli.detect")  # inside a function


@pytest.mark.parametrize("module", ["saafe.cli", "saafe.recipes", "saafe.cli.train"])
def test_imports_without_torch(module: str) -> None:
    assert python(f"import sys, {module}; print('torch' in sys.modules)") == "False\n"


WITHOUT_TORCH = """
import sys

for name in ("torch", "onnxruntime", "boto3"):
    sys.modules[name] = None  # importing it fails, as if it were not installed
import numpy as np
from saafe.alarms import AlarmSettings
from saafe.detector import detect
from saafe.recordings import Recording

times = np.arange(0.0, 1200.0, 10.0)
readings = np.full((len(times), 1, 6), np.nan, np.float32)
readings[:, 0, 0] = 20.0
readings[:, 0, 1] = np.where(times >= 600.0, 500.0, 5.0)

def score(windows):
    return np.where(windows[:, -1, 0, 1] > 100.0, 99.99, 0.01).astype(np.float64)

recording = Recording("r", times, ("A",), readings)
for event in detect(recording, score, AlarmSettings(warm_s=0.0, fast_s=20.0)).events:
    print(event["event"], event["time_s"], event["sensor"])
"""


def test_detector_runs_without_torch() -> None:
    assert python(WITHOUT_TORCH) == "alarm 620.0 A\n"
