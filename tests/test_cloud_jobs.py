"""Launch, watch, stop, fetch and bill on the emulator, with a stub as the training."""

import io
import json
import re

import pytest

pytest.importorskip("boto3")
pytest.importorskip("moto")

from cloud_stub import CPU, FAST, describe, screen, until, write_stub

from saafe.cloud.billing import bill_lines
from saafe.cloud.request import JobPlan
from saafe.cloud.sagemaker import start_job, status, stop, view
from saafe.cloud.watch import Screen, follow

pytest_plugins = ["cloud_fixtures"]

PLAN = JobPlan("ultra-fast", instance_types=CPU)


def test_a_job_is_launched_watched_fetched_and_billed(cloud, stub):
    shown = screen()
    plan = JobPlan("ultra-fast", ("seed=7",), instance_types=CPU)
    entry = start_job(cloud, plan, source=stub)
    entry = follow(cloud, entry, screen=shown, pace=FAST)
    run = cloud.ledger.runs / entry["job"]
    assert (entry["status"], entry["settled"], entry["run"]) == ("Completed", True, run.name)
    assert json.loads((run / "recipe.json").read_text()) == ["ultra-fast", "seed=7"]
    assert not (run / "checkpoint").exists()
    assert entry["metrics"]["loss"] == pytest.approx(0.3333)
    cost = entry["billed_seconds"] * entry["instances"] * entry["usd_per_hour"] / 3600
    assert entry["cost_usd"] == pytest.approx(cost)
    assert view(entry)["cost_usd"] == entry["cost_usd"]
    assert "epoch 2/3" in shown.stream.getvalue()
    assert any("rehearsal" in line for line in bill_lines(entry, cloud.ledger.runs))


def test_statuses_come_in_the_documented_order(cloud, stub):
    entry = start_job(cloud, JobPlan("ultra-fast", instance_types=CPU), source=stub)
    follow(cloud, entry, screen=screen(), pace=FAST)
    job = describe(cloud, entry)
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
    plan = JobPlan("ultra-fast", instance_types=CPU)
    first = start_job(cloud, plan, source=stub)
    second = start_job(cloud, plan, source=stub)
    assert first["job"] == second["job"]
    follow(cloud, second, screen=screen(), pace=FAST)
    assert (
        start_job(cloud, plan, source=stub)["job"] != first["job"]
    )  # a finished one is not reused


def test_a_stopped_job_keeps_its_checkpoint(cloud, slow_stub):
    plan = JobPlan("ultra-fast", instance_types=CPU)
    entry = start_job(cloud, plan, source=slow_stub)
    until(lambda: describe(cloud, entry)["FinalMetricDataList"])
    assert status(cloud, entry)["secondary"] == "Training"
    entry = follow(cloud, stop(cloud, entry), screen=screen(), pace=FAST)
    assert entry["status"] == "Stopped"
    assert (cloud.ledger.runs / entry["run"] / "checkpoint" / "state.json").exists()
    assert entry["cost_usd"] > 0


def test_a_failed_job_shows_its_log_and_reason(cloud, tmp_path):
    shown, source = screen(), write_stub(tmp_path / "source", fail=3)
    entry = start_job(cloud, JobPlan("ultra-fast", instance_types=CPU), source=source)
    entry = follow(cloud, entry, screen=shown, pace=FAST)
    assert (entry["status"], entry["settled"], entry["run"]) == ("Failed", True, None)
    assert "AlgorithmError" in entry["failure"]
    assert "the loss is not a number" in entry["failure"]
    assert "the loss is not a number" in shown.stream.getvalue()


def test_the_limit_stops_a_job_and_keeps_what_it_has(cloud, slow_stub):
    plan = JobPlan("ultra-fast", instance_types=CPU)
    entry = start_job(cloud, plan, source=slow_stub, max_cost_usd=0.02)
    until(lambda: describe(cloud, entry)["FinalMetricDataList"])
    cloud.emulator.region_state.hurry = 100_000.0
    entry = follow(cloud, entry, screen=screen(), pace=FAST)
    assert (entry["status"], entry["secondary"]) == ("Stopped", "MaxRuntimeExceeded")
    assert (cloud.ledger.runs / entry["run"] / "checkpoint" / "state.json").exists()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_a_terminal_sees_one_live_line_with_time_left(cloud, stub):
    shown = Screen(Terminal())
    entry = follow(cloud, start_job(cloud, PLAN, source=stub), screen=shown, pace=FAST)
    words = shown.stream.getvalue()
    # lines that are no progress stand above; the run is where it will be here
    assert f"  done; next: saafe detect {cloud.ledger.runs / entry['job']} REC" in words
    assert "  epoch 1/3" not in words
    assert re.search(r"\$0\.00\d\d  epoch \d  loss [\d.]+  accuracy 0.9  left 00:0\d", words)


def test_a_running_job_shows_metrics_and_dollars_so_far(cloud, slow_stub):
    entry = start_job(cloud, PLAN, source=slow_stub)
    until(lambda: describe(cloud, entry)["FinalMetricDataList"])
    seen = view(status(cloud, entry))
    assert seen["metrics"]["loss"] <= 1
    assert seen["so_far_usd"] >= 0
    follow(cloud, stop(cloud, entry), screen=screen(), pace=FAST)
