"""The real `saafe train` on the emulator gives what it gives here."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("boto3")
pytest.importorskip("moto")
pytest.importorskip("saafe.cli.train")

from safetensors.torch import load_file

from saafe.cloud import endpoint

pytestmark = pytest.mark.slow

SMALL = ("windows=512", "epochs=2", "streams=32", "held_out=32", "width=32", "layers=1")
RECIPE = [word for setting in SMALL for word in ("--set", setting)]


@pytest.fixture
def saafe(tmp_path):
    """Runs `saafe ...` in an empty folder, on one thread; returns stdout."""

    def command(*words):
        done = subprocess.run(
            [sys.executable, "-m", "saafe", *words],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield command
    endpoint.end(tmp_path / "runs" / ".emulator")


def last_loss(run):
    """The last loss in a run's metrics."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return next(row["loss"] for row in reversed(rows) if "loss" in row)


def test_the_rehearsed_run_is_the_run_here(saafe, tmp_path):
    words = ("ultra-fast", "--seed", "3", *RECIPE)
    runs = tmp_path / "runs"
    saafe("train", *words, "--name", "here")
    cloud = (*words, "--on", "emulator", "--yes", "--json")
    one = json.loads(saafe("launch", *cloud, "--instance", "ml.g5.xlarge"))
    assert one["verified"]["loads"]
    here = load_file(runs / "here" / "model.safetensors")
    there = load_file(runs / one["run"] / "model.safetensors")
    assert here.keys() == there.keys()
    assert all(here[name].equal(there[name]) for name in here)
    several = json.loads(saafe("launch", *cloud, "--instance", "ml.g5.12xlarge"))
    loss = last_loss(runs / several["run"])
    assert loss == pytest.approx(last_loss(runs / "here"), abs=1e-3)
