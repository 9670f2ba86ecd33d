"""docs/edge.md: its examples run, in order, beside a recording and an exported file."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from export_fixtures import small_run

import saafe
from saafe.export import onnx_files
from saafe.export.c_source import c_sources

ROOT = Path(saafe.__file__).parents[1]
TEXT = (ROOT / "docs" / "edge.md").read_text()

IS_WITHOUT_CC = shutil.which("cc") is None and "SAAFE_CI" not in os.environ
NEEDS_CC = pytest.mark.skipif(IS_WITHOUT_CC, reason="no C compiler (cc) here")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader stands: a recording, an exported file and the C."""
    path = tmp_path_factory.mktemp("edge")
    kept = path / "runs" / "my-run"
    run = small_run(path)
    shutil.copytree(run.folder, kept)
    # hot enough for the fixed rules, whatever the small run's model says
    (burning,) = saafe.simulate(1, seed=1, hours=2.0, sensors=1, sources=["flammable_liquid"])
    saafe.write_recording(burning, path / "kitchen.csv")
    (path / "saafe.onnx").write_bytes(onnx_files.single_precision(run))
    (kept / "export").mkdir()
    shutil.copy(path / "saafe.onnx", kept / "export")
    for name, text in c_sources(run).items():
        (path / name).write_text(text)
    return path


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_runs(folder: Path, number: int) -> None:
    code = blocks("python")[number]
    if "runs/" not in code:  # a run's weights run on torch; nothing else here may need it
        code = "import sys; sys.modules['torch'] = None\n" + code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@NEEDS_CC
def test_c_runs(folder: Path) -> None:
    (code,) = blocks("c")
    (folder / "main.c").write_text(code)
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run(["cc", *strict, "saafe.c", "main.c", "-lm"], cwd=folder, check=True)
    done = subprocess.run(["./a.out"], cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    assert "10 s alarm heat" in done.stdout


@NEEDS_CC
@pytest.mark.parametrize("line", re.findall(r"^    (cc .*)$", TEXT, re.MULTILINE))
def test_compile_lines_run(folder: Path, line: str) -> None:
    (folder / "rows.csv").write_text("time_s,sensor,temperature_c\n0,0,70\n10,0,71\n20,0,72\n")
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "alarm" in done.stdout
