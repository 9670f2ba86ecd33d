"""The commands as a user types them, against the emulator, with a stub as the training."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("boto3")
pytest.importorskip("moto")

from cloud_stub import PATIENCE_S, end_emulator, until

from saafe.cli import saafe
from saafe.cli.cloud import launch_command
from saafe.cloud.emulator import endpoint
from saafe.errors import InputError

pytest_plugins = ["cloud_fixtures"]

ROOT = Path(__file__).parent.parent
TRAIN = """
import json, os, signal, sys, time
from pathlib import Path
import click
from saafe.recipes import changed, find_tier

@click.command("train")
@click.argument("tier")
@click.option("--set", "settings", multiple=True)
@click.option("--out", type=Path, default="runs")
@click.option("--name", default="here")
@click.option("--resume", is_flag=True)
@click.option("--json", "as_json", is_flag=True)
def train_command(tier, settings, out, name, resume, as_json):
    run, checkpoint = out / name, out / name / "checkpoint" / "state"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    epochs = int(dict(text.split("=") for text in settings).get("epochs", 3))
    for epoch in range(1, epochs + 1):
        checkpoint.write_text(str(epoch))
        line = f"epoch {epoch}/{epochs} step {epoch}/{epochs} loss {1 / epoch:.4f} accuracy 0.9"
        print(f"{line} samples/s 1000 left 00:01", file=sys.stderr, flush=True)
        time.sleep(0.1)
    import torch
    from saafe.detector.alarms import AlarmSettings
    from saafe.training.model import FireTransformer
    from saafe.training.runs import save_model
    recipe = changed(find_tier(tier), settings)
    torch.manual_seed(recipe.seed)
    save_model(run, recipe, FireTransformer(recipe), AlarmSettings())
    (run / "exam.json").write_text(json.dumps({"gate": {"passed": True, "lines": []}}))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The package with a quick training in the place of the real one."""
    folder = tmp_path_factory.mktemp("package")
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "saafe", folder / "saafe", ignore=skipped)
    (folder / "saafe" / "cli" / "train.py").write_text(TRAIN)
    return folder


@pytest.fixture
def shell(package, cloud, tmp_path):
    """Starts `saafe ...` in an empty folder, with the emulator as AWS."""

    def start(*words):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        variables = {"PYTHONPATH": str(package), **aws_variables(cloud, tmp_path)}
        return subprocess.Popen(
            [sys.executable, "-m", "saafe", *words],
            cwd=tmp_path,
            env=kept | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def aws_variables(cloud, home):
    """What makes the emulator this user's AWS."""
    return {
        "HOME": str(home),
        "AWS_ENDPOINT_URL": cloud.emulator.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
    }


@pytest.fixture
def here(cloud, tmp_path, monkeypatch, capsys):
    """Runs a command in this process, as the shell would; returns stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    for name, value in aws_variables(cloud, tmp_path).items():
        monkeypatch.setenv(name, value)

    def command(*words):
        capsys.readouterr()
        saafe.main(list(words), standalone_mode=False)
        return capsys.readouterr()

    return command


def run(shell, *words, code=0):
    """What a command prints on stdout and on stderr."""
    process = shell(*words)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, err
    return out, err


CPU = ("--set", "instance=ml.m5.large", "--on", "sagemaker", "--yes")
SET = ("--set",)


def test_launch_jobs_watch_and_cost(shell, here, tmp_path):
    out, err = run(shell, "launch", "ultra-fast", "--set", "seed=5", *CPU, "--json")
    result = json.loads(out)
    assert result["status"] == "Completed"
    assert result["verified"]["loads"]
    assert result["verified"]["gate_passed"]
    assert len(set(result["verified"]["risks"])) == 3
    for word in ("most", "total", "billed", "rehearsal", "hashes match"):
        assert word in err
    job = json.loads(here("jobs", "--json")[0])[0]
    dollars = job["billed_seconds"] * job["instances"] * job["usd_per_hour"] / 3600
    assert (job["status"], job["cost_usd"]) == ("Completed", pytest.approx(dollars))
    assert (tmp_path / "runs" / job["run"] / "model.safetensors").exists()
    assert "Completed" in here("watch", "--latest")[1]
    assert job["job"] in here("jobs")[0]
    cost = json.loads(here("cost", "--json")[0])
    assert (cost["billed_usd"], cost["rehearsed_usd"]) == (0, pytest.approx(dollars))
    assert "Completed" in here("stop", "--latest")[1]


def test_ctrl_c_detaches_and_watch_comes_back(shell, cloud, tmp_path):
    process = shell("launch", "ultra-fast", "--set", "epochs=600", *CPU)
    line = ""
    while "epoch 2/600" not in line:
        line = process.stderr.readline()
        assert line, "the launcher ended"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    job = re.search(r"saafe watch (\S+?)`", err).group(1)
    assert not cloud.emulator.jobs[job].has_ended
    out, _ = run(shell, "stop", job, "--json")
    assert json.loads(out)["status"] == "Stopped"
    assert (tmp_path / "runs" / job / "checkpoint" / "state").exists()


@pytest.mark.slow
def test_ctrl_c_while_launching_says_how_to_go_on(shell, cloud):
    before, holder = set(cloud.emulator.jobs), []

    def listener(moment, name):
        if (moment, name) == ("before", "sagemaker.CreateTrainingJob"):
            holder[0].send_signal(signal.SIGINT)
            holder[0].wait()

    cloud.emulator.listener = listener
    try:
        holder.append(shell("launch", "ultra-fast", *CPU))
        _, err = holder[0].communicate(timeout=PATIENCE_S)
    finally:
        cloud.emulator.listener = lambda *_: None
    assert holder[0].returncode == 130
    assert "the same command again" in err
    run(shell, "launch", "ultra-fast", *CPU)
    assert len(set(cloud.emulator.jobs) - before) == 1


@pytest.mark.slow
def test_detach_and_the_same_launch_again(shell, cloud):
    words = ("launch", "ultra-fast", "--set", "epochs=15", *CPU)
    first = json.loads(run(shell, *words, "--detach", "--json")[0])
    again, err = run(shell, *words, "--json")
    assert json.loads(again)["job"] == first["job"]
    assert "nothing is paid twice" in err


REFUSED = [
    (("watch", "--latest"), "no job was launched"),
    (("watch",), "which job"),
    (("stop", "nobody"), "no job nobody"),
    (("launch", "ultra-fast", "--set", "spot=true"), "--set spot is for rented machines"),
    (("launch", "ultra-fast", "--max-cost", "2"), "--max-cost is for rented machines"),
    (("launch", "ultra-fast", "--detach"), "--detach is for rented machines"),
    (("launch", "ultra-fast", "--set", "instence=x"), "did you mean instance?"),
    (("launch", "--on", "sagemaker", "--yes"), "name a tier"),
    (("launch", "ultrafast", "--on", "sagemaker", "--yes"), "did you mean ultra-fast"),
    (("launch", "ultra-fast", "--on", "sagemaker", "--set", "width=1", "--yes"), "width"),
    (("launch", "ultra-fast", "--on", "sagemaker"), "add --yes"),
    (("launch", "ultra-fast", *CPU, "--max-cost", "0.001"), "leaves no five minutes"),
    (("launch", "ultra-fast", *CPU, "--max-cost", "nan"), "leaves no five minutes"),
    (("launch", "ultra-fast", *CPU, *SET, "instance=ml.m5.large,ml.m5.large"), "each type once"),
    (("launch", "ultra-fast", *CPU, *SET, "instance=ml.p3.2xlarge"), "retired"),
    (("launch", "ultra-fast", *CPU, *SET, "instances=65"), "allowed is 1 to 64"),
    (("launch", "ultra-fast", *CPU, *SET, "name=a.b"), "1 to 60"),
    (("launch", "ultra-fast", *CPU, *SET, "region=eu-west-1"), "refresh --region eu-west-1"),
    (("launch", "ultra-fast", "--on", "emulator", *SET, "out=/dev/null/runs"), "--set out=DIR"),
    (("prices", "--tier", "none"), "choose from"),
]


@pytest.mark.parametrize(("words", "line"), REFUSED, ids=[" ".join(row[0]) for row in REFUSED])
def test_what_cannot_be_done_is_one_line(here, words, line):
    with pytest.raises(InputError) as raised:
        here(*words)
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "line"), [("http://127.0.0.1:9", "no answer from AWS"), ("nowhere", "Invalid endpoint")]
)
def test_an_endpoint_that_is_none_is_one_line(here, monkeypatch, url, line):
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setattr("saafe.cloud.aws.WAITS_S", ())
    with pytest.raises(InputError, match=line):
        here("launch", "ultra-fast", *CPU)


def test_setup_shows_the_policy_first(here):
    _, err = here("launch", "--on", "sagemaker", "--setup", "--yes")
    assert err.index("sts:AssumeRole") < err.index("s3:PutObject") < err.index("ready")
    assert "123456789012" not in err


def test_prices_are_dated_and_rehearsed_ones_not_kept(here, tmp_path):
    result = json.loads(here("prices", "--tier", "standard", "--json")[0])
    assert result["as_of"] == "2026-09-27"
    assert {row["basis"] for row in result["instances"]} == {"not measured"}
    shown = here("prices", "--tier", "standard")[0]
    assert "ml.g5.2xlarge" in shown
    assert "not measured, no own job has trained standard there" in shown
    assert "saafe launch standard --on emulator" in shown, "it rehearses without an account"
    assert "not kept" in here("prices", "refresh")[1]
    assert not (tmp_path / ".cache").exists()


@pytest.mark.slow
def test_launch_here_is_the_training_itself(shell, tmp_path):
    _, err = run(shell, "launch", "ultra-fast", "--set", "epochs=2", "--set", "name=x")
    assert "epoch 2/2" in err
    assert (tmp_path / "runs" / "x" / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", ["launch_fast_training.sh", "aws_fast_training.py"])
def test_the_original_commands_launch_and_monitor(package, cloud, tmp_path, wrapper):
    program = tmp_path / "bin" / "saafe"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m saafe "$@"\n')
    program.chmod(0o755)
    variables = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(package),
        **aws_variables(cloud, tmp_path),
    }
    shutil.copy(ROOT / wrapper, tmp_path)
    shutil.copy(ROOT / "monitor_training.sh", tmp_path)
    first = [sys.executable] if wrapper.endswith(".py") else []
    launched = [*first, f"./{wrapper}", "--set", "instance=ml.m5.large", "--yes", "--detach"]
    for words in (launched, ["./monitor_training.sh"]):
        done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "hashes match" in done.stderr


@pytest.mark.slow
def test_on_emulator_starts_one_and_every_command_finds_it(package, tmp_path):
    variables = {**os.environ, "PYTHONPATH": str(package), "HOME": str(tmp_path)}

    def command(*words):
        done = subprocess.run(
            [sys.executable, "-m", "saafe", *words],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    state = tmp_path / "runs" / ".emulator"
    try:
        example = launch_command.help.partition("Example: saafe ")[2].split()
        command(*example)  # two ranks, through torchrun
        job = json.loads(command("jobs", "--json"))[0]
        assert (job["status"], job["instance"]) == ("Completed", "ml.g5.12xlarge")
        until(lambda: endpoint.running(state))
        command("launch", "standard", "--on", "emulator", "--yes", "--detach")
        command("stop", "--latest")
        assert json.loads(command("jobs", "--json"))[1]["status"] in {"Stopped", "Completed"}
        assert "rehearsed for $0" in command("cost")
    finally:
        end_emulator(state)


@pytest.mark.parametrize("name", ["launch", "jobs", "watch", "stop", "cost", "prices", "emulator"])
def test_every_command_and_option_is_documented(name):
    text = (ROOT / "docs" / "cloud.md").read_text()
    command = saafe.get_command(None, name)
    assert f"saafe {name}" in text
    assert f"Example: saafe {name}" in command.help
    options = [option for parameter in command.params for option in parameter.opts]
    missing = [option for option in options if option.startswith("--") and option not in text]
    assert not missing


def test_launch_has_at_most_eight_options():
    options = [parameter for parameter in launch_command.params if parameter.opts[0][0] == "-"]
    assert len(options) <= 8
