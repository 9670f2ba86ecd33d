"""The real `saafe train` on the emulator gives what it gives here."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("boto3")
pytest.importorskip("moto")
pytest.importorskip("saafe.cli.train")

from cloud_stub import end_emulator
from safetensors.torch import load_file

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
    end_emulator(tmp_path / "runs" / ".emulator")


def last_loss(run):
    """The last loss in a run's metrics."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return next(row["loss"] for row in reversed(rows) if "loss" in row)


def test_one_rank_gives_the_weights_of_here(saafe, tmp_path):
    words = ("ultra-fast", "--set", "seed=3", *RECIPE)
    saafe("train", *words, "--name", "here")
    cloud = ("--on", "emulator", "--yes", "--json", "--set", "instance=ml.g5.xlarge")
    result = json.loads(saafe("launch", *words, *cloud))
    assert result["verified"]["loads"]
    here = load_file(tmp_path / "runs" / "here" / "model.safetensors")
    there = load_file(tmp_path / "runs" / result["run"] / "model.safetensors")
    assert here.keys() == there.keys()
    assert all(here[name].equal(there[name]) for name in here)


def test_a_job_trains_for_a_device_file(saafe, tmp_path):
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nkind = "product"\nsource = "data sheets"\n'
        'parts = ["sensirion-sht31", "plantower-pms5003"]\nreporting = { every_s = 30 }\n'
    )
    cloud = ("--on", "emulator", "--yes", "--json", "--set", "instance=ml.m5.large")
    result = json.loads(saafe("launch", "tiny", *RECIPE, *cloud, "--device", "mine.toml"))
    run = tmp_path / "runs" / result["run"]
    assert 'name = "mine"' in json.loads((run / "recipe.json").read_text())["device_file"]
    assert json.loads((run / "exam.json").read_text())["device"] == "mine"


def test_several_ranks_give_the_loss_of_here(saafe, tmp_path):
    words = ("ultra-fast", "--set", "seed=3", *RECIPE)
    saafe("train", *words, "--name", "here")
    result = json.loads(saafe("launch", *words, "--on", "emulator", "--yes", "--json"))
    losses = [last_loss(tmp_path / "runs" / name) for name in ("here", result["run"])]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
