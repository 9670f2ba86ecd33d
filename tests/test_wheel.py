"""The wheel alone, in an empty environment: detection works, and without torch."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import saafe

ROOT = Path(__file__).parents[1]


def run(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing of this checkout on its path."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run([*map(str, words)], cwd=folder, capture_output=True, text=True, env=clean)


@cache
def offered(version: str) -> str | None:
    """A Python of this version that makes environments: this one, of the path, or of pyenv."""
    folders = [Path(each) for each in os.environ.get("PATH", "").split(os.pathsep)]
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders += sorted(root.glob(f"versions/{version}*/bin"))
    asked = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
    for python in [Path(sys.executable), *(folder / f"python{version}" for folder in folders)]:
        # a shim of pyenv may stand there and fail
        if python.exists() and run(python, "-c", asked, folder=ROOT).stdout.strip() == version:
            return str(python)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_the_wheel_detects_in_an_empty_environment(tmp_path: Path, version: str) -> None:
    own = offered(version)
    if own is None:
        pytest.skip(f"no python{version} here")
    built = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir",
                tmp_path / "dist", ROOT, folder=tmp_path)  # fmt: skip
    if built.returncode and not os.environ.get("SAAFE_CI"):
        pytest.skip(f"no wheel can be built here: {built.stderr.strip().splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("saafe-*.whl")
    run(own, "-m", "venv", tmp_path / "venv", folder=tmp_path).check_returncode()
    python = tmp_path / "venv" / "bin" / "python"
    installed = run(python, "-m", "pip", "install", "--quiet", wheel, folder=tmp_path)
    assert installed.returncode == 0, installed.stderr
    asked = "import importlib.util as u, saafe; print(saafe.__file__, u.find_spec('torch'))"
    place, torch = run(python, "-c", asked, folder=tmp_path).stdout.split()
    assert place.startswith(str(tmp_path / "venv")), "it is the wheel that is tried"
    assert torch == "None"

    (fire,) = saafe.simulate(1, seed=3, hours=2.0, sensors=1, sources=["curtain"], device="saafe-4")
    saafe.write_recording(fire, tmp_path / "kitchen.csv.gz")
    command = tmp_path / "venv" / "bin" / "saafe"
    done = run(command, "detect", "kitchen.csv.gz", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    recording, _ = saafe.read_recording(tmp_path / "kitchen.csv.gz")
    assert events == saafe.detect(saafe.load(), recording).events, "as this checkout says it"
    assert any(event["event"] == "alarm" for event in events)
    checked = run(command, "data", "check", "kitchen.csv.gz", "--json", folder=tmp_path)
    assert json.loads(checked.stdout)["failed"] == []
    needs = run(command, "simulate", "--scenarios", "1", "--out", "x", folder=tmp_path)
    assert (needs.returncode, needs.stderr.count("\n")) == (1, 1), needs.stderr
    assert 'pip install "saafe[train]"' in needs.stderr
