"""Launch, watch, stop, fetch and bill on the emulator, with a stub as the training."""

import io
import json
import time

import pytest

from saafe.cloud.estimate import bill_lines
from saafe.cloud.ledger import Ledger
from saafe.cloud.request import Plan
from saafe.cloud.sagemaker import Cloud, launch, status, stop, view
from saafe.cloud.watch import Pace, Screen, follow

pytest.importorskip("boto3")
pytest.importorskip("moto")
from cloud_stub import write_stub

from saafe.cloud.emulator import Emulator

CPU = ("ml.m5.large",)
FAST = Pace(poll_s=0.05, patience_s=5.0)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    emulator = Emulator(tmp_path_factory.mktemp("emulator")).start()
    emulator.world.pace_s, emulator.world.grace_s = 0.02, 2.0
    yield emulator
    emulator.close()


@pytest.fixture
def stub(tmp_path):
    return write_stub(tmp_path / "source")


@pytest.fixture
def cloud(emulator, tmp_path):
    notes = []
    cloud = Cloud(emulator.aws(waits_s=(0.01,) * 4), Ledger(tmp_path / "runs"), "emulator")
    cloud.note = notes.append
    cloud.notes, cloud.emulator = notes, emulator
    yield cloud
    emulator.faults.clear()
    emulator.quotas.clear()
    emulator.world.no_capacity.clear()
    emulator.world.interruptions, emulator.world.hurry = 0, 1.0


def screen():
    return Screen(io.StringIO())


def test_a_job_is_launched_watched_fetched_and_billed(cloud, stub):
    shown = screen()
    entry = launch(cloud, Plan("ultra-fast", instance_types=CPU, seed=7), source=stub)
    entry = follow(cloud, entry, screen=shown, pace=FAST)
    run = cloud.ledger.runs / entry["job"]
    assert (entry["status"], entry["settled"], entry["run"]) == ("Completed", True, run.name)
    assert json.loads((run / "recipe.json").read_text()) == {"tier": "ultra-fast", "seed": 7}
    assert not (run / "checkpoint").exists()
    assert entry["metrics"]["loss"] == pytest.approx(0.3333)
    cost = entry["billed_seconds"] * entry["instances"] * entry["usd_per_hour"] / 3600
    assert entry["cost_usd"] == pytest.approx(cost)
    assert view(entry)["cost_usd"] == entry["cost_usd"]
    assert "epoch 2/3" in shown.stream.getvalue()
    assert any("rehearsal" in line for line in bill_lines(entry, cloud.ledger.runs))


def test_statuses_come_in_the_documented_order(cloud, stub):
    entry = launch(cloud, Plan("ultra-fast", instance_types=CPU), source=stub)
    follow(cloud, entry, screen=screen(), pace=FAST)
    job = cloud.aws.call("sagemaker", "describe_training_job", TrainingJobName=entry["job"])
    order = [row["Status"] for row in job["SecondaryStatusTransitions"]]
    assert list(dict.fromkeys(order)) == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    values = {row["MetricName"]: row["Value"] for row in job["FinalMetricDataList"]}
    assert values["accuracy"] == pytest.approx(0.9)


def test_launching_the_same_again_goes_on_with_it(cloud, stub):
    plan = Plan("ultra-fast", ("pause=0.2",), instance_types=CPU)
    first = launch(cloud, plan, source=stub)
    second = launch(cloud, plan, source=stub)
    assert first["job"] == second["job"]
    follow(cloud, second, screen=screen(), pace=FAST)
    assert launch(cloud, plan, source=stub)["job"] != first["job"]  # a finished one is not reused


def test_a_stopped_job_keeps_its_checkpoint(cloud, stub):
    plan = Plan("ultra-fast", ("epochs=50", "pause=0.2"), instance_types=CPU)
    entry = launch(cloud, plan, source=stub)
    _until(lambda: status(cloud, entry)["secondary"] == "Training")
    _until(lambda: "FinalMetricDataList" in _describe(cloud, entry) and _metrics(cloud, entry))
    entry = follow(cloud, stop(cloud, entry), screen=screen(), pace=FAST)
    assert entry["status"] == "Stopped"
    assert (cloud.ledger.runs / entry["run"] / "checkpoint" / "state.json").exists()
    assert entry["cost_usd"] > 0


def test_a_failed_job_shows_its_log_and_reason(cloud, stub):
    shown = screen()
    entry = launch(cloud, Plan("ultra-fast", ("fail=3",), instance_types=CPU), source=stub)
    entry = follow(cloud, entry, screen=shown, pace=FAST)
    assert (entry["status"], entry["settled"], entry["run"]) == ("Failed", True, None)
    assert "AlgorithmError" in entry["failure"]
    assert "the loss is not a number" in entry["failure"]
    assert "the loss is not a number" in shown.stream.getvalue()


def test_the_limit_stops_a_job_and_keeps_what_it_has(cloud, stub):
    cloud.emulator.world.hurry = 1000.0
    plan = Plan("ultra-fast", ("epochs=50", "pause=0.2"), instance_types=CPU)
    entry = launch(cloud, plan, source=stub, max_cost_usd=0.02)
    entry = follow(cloud, entry, screen=screen(), pace=FAST)
    assert (entry["status"], entry["secondary"]) == ("Stopped", "MaxRuntimeExceeded")
    assert (cloud.ledger.runs / entry["run"] / "checkpoint" / "state.json").exists()


def _describe(cloud, entry):
    return cloud.aws.call("sagemaker", "describe_training_job", TrainingJobName=entry["job"])


def _metrics(cloud, entry):
    return _describe(cloud, entry)["FinalMetricDataList"]


def _until(condition, patience_s=10.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
