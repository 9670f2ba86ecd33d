"""What goes wrong on the way to the cloud must lose nothing, and burn no money."""

import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

pytest.importorskip("boto3")
pytest.importorskip("moto")

from cloud_stub import CPU, FAST, PATIENCE_S, describe, inject, screen, until, write_stub

from saafe.cloud import artifact
from saafe.cloud.artifact import unpack_run
from saafe.cloud.aws import connect
from saafe.cloud.billing import billed_so_far
from saafe.cloud.container import hand_over
from saafe.cloud.emulator.emulator import DROP
from saafe.cloud.request import JobPlan, build_request
from saafe.cloud.sagemaker import Cloud, start_job, status, stop, try_next
from saafe.cloud.setup import place_of, set_up
from saafe.cloud.watch import Pace, follow, settle
from saafe.errors import InputError

pytest_plugins = ["cloud_fixtures"]

PLAN = JobPlan("ultra-fast", instance_types=CPU)
OPERATIONS = (
    "sts.GetCallerIdentity",
    "iam.GetRole",
    "s3.HEAD",
    "s3.PUT",
    "s3.GET",
    "service-quotas.ListServiceQuotas",
    "sagemaker.CreateTrainingJob",
    "sagemaker.DescribeTrainingJob",
    "logs.DescribeLogStreams",
    "logs.GetLogEvents",
)
LAUNCHER = """
import sys
from pathlib import Path
from saafe.cloud.aws import Aws
from saafe.cloud.ledger import Ledger
from saafe.cloud.request import JobPlan
from saafe.cloud.sagemaker import Cloud, start_job
from saafe.cloud.watch import Pace, Screen, follow

url, runs, source, limit = sys.argv[1:]
cloud = Cloud(Aws("us-east-1", url, ("emulator", "emulator")), Ledger(Path(runs)), "emulator")
plan = JobPlan("ultra-fast", instance_types=("ml.m5.large",))
entry = start_job(cloud, plan, source=Path(source))
if int(limit):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), -1))
follow(cloud, entry, screen=Screen(), pace=Pace(0.05))
"""


def jobs_of(cloud, entry):
    return [name for name in cloud.emulator.jobs if name.startswith(entry["job"])]


def launcher(cloud, source, limit=0):
    words = [cloud.emulator.url, str(cloud.ledger.runs), str(source), str(limit)]
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_every_call_may_be_throttled_fail_and_be_cut_once(cloud, stub):
    for operation in OPERATIONS:
        inject(cloud, operation, "ThrottlingException")
        inject(cloud, operation, "InternalFailure", status=500)
        inject(cloud, operation, DROP)
    entry = follow(cloud, start_job(cloud, PLAN, source=stub), screen=screen(), pace=FAST)
    assert entry["status"] == "Completed"
    assert jobs_of(cloud, entry) == [entry["job"]]
    assert not cloud.emulator.faults


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("sagemaker.CreateTrainingJob", "ThrottlingException"),
        ("sagemaker.DescribeTrainingJob", DROP),
    ],
)
def test_a_call_that_keeps_failing_gives_one_line(cloud, stub, operation, code):
    keep_failing(cloud, stub, operation, code)


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure", DROP])
def test_any_call_that_keeps_failing_gives_one_line(cloud, stub, operation, code):
    keep_failing(cloud, stub, operation, code)


def keep_failing(cloud, stub, operation, code):
    """Fail a call for good, read the line, let it heal, and count the jobs."""
    status = 500 if code == "InternalFailure" else 400
    inject(cloud, operation, code, times=1000, status=status)
    with pytest.raises(InputError, match=r"run this again|the job runs on") as raised:
        follow(
            cloud,
            start_job(cloud, PLAN, source=stub),
            screen=screen(),
            pace=Pace(0.01, patience_s=0),
        )
    assert "\n" not in str(raised.value)
    cloud.emulator.faults.clear()
    entry = follow(cloud, start_job(cloud, PLAN, source=stub), screen=screen(), pace=FAST)
    assert entry["status"] == "Completed"
    assert len(cloud.ledger.entries()) == 1  # the second launch went on with the first


def test_a_launcher_killed_and_run_again_makes_one_job(cloud, stub):
    kill_at(cloud, stub, "after", "sagemaker.CreateTrainingJob")  # the dearest moment


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_launcher_killed_at_any_call_makes_one_job(cloud, stub, when, operation):
    kill_at(cloud, stub, when, operation)


def kill_at(cloud, stub, when, operation):
    """Kill the launcher around a call, run it again, and count the jobs."""
    before = set(cloud.emulator.jobs)
    holder, armed = [], threading.Event()

    def listener(moment, name):
        # s3.GET also reads bucket settings: the artefact comes after the job
        is_late = operation != "s3.GET" or set(cloud.emulator.jobs) != before
        if (moment, name) == (when, operation) and is_late and not armed.is_set():
            armed.set()
            holder[0].send_signal(signal.SIGKILL)
            holder[0].wait()

    cloud.emulator.listener = listener
    try:
        holder.append(launcher(cloud, stub))
        _, first_words = holder[0].communicate(timeout=PATIENCE_S)
        assert armed.is_set(), first_words.decode()
    finally:
        cloud.emulator.listener = lambda *_: None
    again = launcher(cloud, stub)
    _, words = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0, words.decode()
    new = set(cloud.emulator.jobs) - before
    entries = cloud.ledger.entries()
    assert new == {entries[-1]["job"]}
    assert (entries[-1]["status"], entries[-1]["settled"]) == ("Completed", True)
    assert (cloud.ledger.runs / entries[-1]["run"] / "model.safetensors").exists()


def test_a_network_lost_while_watching_is_borne(cloud, tmp_path):
    source = write_stub(tmp_path / "source", epochs=10, pause=0.1)
    entry = start_job(cloud, PLAN, source=source)
    inject(cloud, "sagemaker.*", DROP, times=40)
    shown = screen()
    entry = follow(cloud, entry, screen=shown, pace=FAST)
    assert entry["status"] == "Completed"
    assert "network lost" in shown.stream.getvalue()


def test_a_network_that_stays_away_ends_the_watch_but_not_the_job(cloud, slow_stub):
    entry = start_job(cloud, PLAN, source=slow_stub)
    inject(cloud, "*", DROP, times=10_000)
    with pytest.raises(InputError, match=rf"the job runs on .*saafe watch {entry['job']}"):
        follow(cloud, entry, screen=screen(), pace=Pace(0.02, patience_s=0.1))
    cloud.emulator.faults.clear()
    assert not status(cloud, entry)["settled"]
    assert follow(cloud, stop(cloud, entry), screen=screen(), pace=FAST)["status"] == "Stopped"


@pytest.mark.slow
def test_expired_credentials_end_the_watch_but_not_the_job(cloud, tmp_path):
    source = write_stub(tmp_path / "source", epochs=5, pause=0.1)
    entry = start_job(cloud, PLAN, source=source)
    until(lambda: describe(cloud, entry)["SecondaryStatus"] not in {"Starting", "Downloading"})
    inject(cloud, "*", "ExpiredTokenException", times=1000)
    with pytest.raises(InputError, match=r"aws sso login.*the job runs on \(at most \$"):
        follow(cloud, entry, screen=screen(), pace=FAST)
    cloud.emulator.faults.clear()
    assert follow(cloud, entry, screen=screen(), pace=FAST)["status"] == "Completed"


def test_a_wrong_clock_is_named(cloud, stub):
    cloud.emulator.clock_offset_s = 3600.0
    try:
        with pytest.raises(InputError, match=r"clock wrong .*timedatectl"):
            start_job(cloud, PLAN, source=stub)
    finally:
        cloud.emulator.clock_offset_s = 0.0


def test_dollars_so_far_do_not_follow_this_machines_clock(cloud, slow_stub):
    entry = start_job(cloud, PLAN, source=slow_stub)
    until(lambda: describe(cloud, entry)["SecondaryStatus"] == "Training")
    job = describe(cloud, entry)
    assert billed_so_far(job) < 60
    job["ResponseMetadata"]["HTTPHeaders"]["date"] = "Thu, 01 Jan 2099 00:00:00 GMT"
    assert billed_so_far(job) > 1e6  # AWS's date header is the clock
    follow(cloud, stop(cloud, entry), screen=screen(), pace=FAST)


@pytest.mark.slow
def test_spot_interrupted_twice_goes_on_from_the_checkpoint(cloud, tmp_path):
    cloud.emulator.region_state.interruptions = 2
    source = write_stub(tmp_path / "source", epochs=15, pause=0.25)
    shown = screen()
    plan = JobPlan("ultra-fast", instance_types=CPU, spot=True)
    entry = follow(cloud, start_job(cloud, plan, source=source), screen=shown, pace=FAST)
    words = shown.stream.getvalue()
    transitions = [row["Status"] for row in describe(cloud, entry)["SecondaryStatusTransitions"]]
    assert (entry["status"], transitions.count("Interrupted")) == ("Completed", 2)
    assert words.count("resumed after epoch") == 2
    assert words.count("epoch 1/15") == 1  # logs of all three streams, nothing trained twice
    assert 0.3 < entry["spot_saving"] < 0.9


def test_on_demand_takes_the_third_type_when_two_are_sold_out(cloud, stub):
    types = ("ml.c5.xlarge", "ml.m5.xlarge", "ml.m5.large")
    cloud.emulator.region_state.no_capacity |= set(types[:2])
    plan = JobPlan("ultra-fast", instance_types=types)
    entry = follow(cloud, start_job(cloud, plan, source=stub), screen=screen(), pace=FAST)
    assert (entry["status"], entry["instance"]) == ("Completed", types[2])
    assert entry["usd_per_hour"] == 0.115
    assert jobs_of(cloud, entry) == [entry["job"]]


@pytest.mark.slow
def test_spot_takes_the_third_type_when_two_are_sold_out(cloud, stub):
    types = ("ml.c5.xlarge", "ml.m5.xlarge", "ml.m5.large")
    cloud.emulator.region_state.no_capacity |= set(types[:2])
    plan = JobPlan("ultra-fast", instance_types=types, spot=True)
    entry = follow(cloud, start_job(cloud, plan, source=stub), screen=screen(), pace=FAST)
    assert (entry["status"], entry["instance"]) == ("Completed", types[2])
    assert entry["attempts"] == [entry["job"], f"{entry['job']}-2", f"{entry['job']}-3"]


def test_no_capacity_at_all_costs_nothing_and_says_so(cloud, stub):
    cloud.emulator.region_state.no_capacity |= set(CPU)
    entry = follow(cloud, start_job(cloud, PLAN, source=stub), screen=screen(), pace=FAST)
    assert (entry["status"], entry["cost_usd"]) == ("Failed", None)  # no billable time is given
    assert "CapacityError" in entry["failure"]


@pytest.mark.slow
def test_types_without_quota_are_skipped(cloud, stub):
    types = ("ml.c5.xlarge", "ml.m5.large")
    cloud.emulator.quotas["ml.c5.xlarge for training job usage"] = 0
    entry = start_job(cloud, JobPlan("ultra-fast", instance_types=types), source=stub)
    assert "skipping ml.c5.xlarge" in cloud.notes[0]
    assert follow(cloud, entry, screen=screen(), pace=FAST)["instance"] == "ml.m5.large"


def test_no_quota_says_what_to_ask_for(cloud, stub):
    cloud.emulator.quotas["ml.m5.large for training job usage"] = 0
    with pytest.raises(InputError, match=r"quota 'ml.m5.large for training job usage' is 0"):
        start_job(cloud, PLAN, source=stub)
    assert not cloud.ledger.entries()


def test_a_quota_used_up_meanwhile_falls_back(cloud, stub, slow_stub_elsewhere):
    types = ("ml.c5.xlarge", "ml.m5.large")
    for use in ("training job usage", "spot training job usage"):
        cloud.emulator.quotas[f"ml.c5.xlarge for {use}"] = 1
    first = start_job(
        cloud, JobPlan("ultra-fast", instance_types=types[:1]), source=slow_stub_elsewhere
    )
    entry = start_job(cloud, JobPlan("ultra-fast", instance_types=types), source=stub)
    assert follow(cloud, entry, screen=screen(), pace=FAST)["instance"] == "ml.m5.large"
    follow(cloud, stop(cloud, first), screen=screen(), pace=FAST)


@pytest.fixture
def slow_stub_elsewhere(tmp_path):
    return write_stub(tmp_path / "slow", epochs=600, pause=0.1)


def test_a_full_disk_on_download_leaves_nothing_and_is_mended(cloud, stub):
    process = launcher(cloud, stub, limit=10_000)
    _, words = process.communicate(timeout=PATIENCE_S)
    entry = cloud.ledger.latest()
    assert process.returncode != 0
    assert "free some space" in words.decode()
    left = [path.name for path in cloud.ledger.runs.iterdir()]
    assert left == [".ledger"]
    entry = follow(cloud, entry, screen=screen(), pace=FAST)
    assert entry["settled"]
    assert (cloud.ledger.runs / entry["run"] / "model.safetensors").exists()


def test_what_a_killed_launcher_of_the_same_number_left_is_removed(tmp_path, monkeypatch):
    """In containers numbers come again: the next fetch said "File exists; free some space"."""
    monkeypatch.setattr(artifact, "_download", lambda *_: None)
    (tmp_path / f".job.{os.getpid()}.partial").mkdir()
    assert artifact.fetch(None, bucket="b", key="k", run=tmp_path / "job") is None
    assert not list(tmp_path.iterdir())


def test_a_corrupt_artefact_is_refused(cloud, stub):
    entry = start_job(cloud, PLAN, source=stub)
    until(lambda: describe(cloud, entry)["TrainingJobStatus"] == "Completed")
    job = describe(cloud, entry)
    item = {
        "Bucket": place_of(cloud.aws).bucket,
        "Key": f"saafe/jobs/{entry['job']}/output/model.tar.gz",
    }
    content = cloud.aws.call("s3", "get_object", **item)["Body"].read()
    cloud.aws.call("s3", "put_object", **item, Body=damaged(content, "truncated"))
    with pytest.raises(InputError, match="artefact is refused") as raised:
        settle(cloud, status(cloud, entry), job)
    assert "\n" not in str(raised.value)
    assert [path.name for path in cloud.ledger.runs.iterdir()] == [".ledger"]
    cloud.aws.call("s3", "put_object", **item, Body=content)
    assert settle(cloud, status(cloud, entry), job)["settled"]


@pytest.mark.parametrize(
    "damage", ["truncated", "changed", "path traversal", "link", "no manifest"]
)
def test_a_damaged_archive_is_refused(tmp_path, damage):
    run, model = tmp_path / "run", tmp_path / "model"
    run.mkdir()
    (run / "recipe.json").write_text('{"tier": "ultra-fast"}' * 100)
    hand_over(run, model, is_finished=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path in sorted(model.iterdir()):
            tar.add(path, arcname=path.name)
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(packed.getvalue())
    assert unpack_run(archive, tmp_path / "good")["finished"]
    archive.write_bytes(damaged(packed.getvalue(), damage))
    with pytest.raises(InputError, match="artefact is refused"):
        unpack_run(archive, tmp_path / "bad")
    assert not (tmp_path / "escaped").exists()


def damaged(content, damage):
    """The artefact's bytes, spoilt in one way."""
    if damage == "truncated":
        return content[:-30]
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        tarfile.open(fileobj=packed, mode="w:gz") as new,
    ):
        for member in old.getmembers():
            body = old.extractfile(member).read()
            if damage == "changed" and member.name == "recipe.json":
                body = body.replace(b"ultra", b"ultrb")
            if damage == "no manifest" and member.name == "manifest.json":
                continue
            new.addfile(member, io.BytesIO(body))
        odd = tarfile.TarInfo("../escaped" if damage == "path traversal" else "link")
        if damage == "link":
            odd.type, odd.linkname = tarfile.SYMTYPE, "/etc/passwd"
        if damage in {"path traversal", "link"}:
            new.addfile(odd, io.BytesIO(b""))
    return packed.getvalue()


def test_a_name_taken_by_another_job_is_refused(cloud, stub):
    entry = start_job(cloud, PLAN, source=stub)
    taken = {**entry, "job": "taken", "attempts": ["taken"], "fingerprint": "another"}
    row = cloud.prices.instance(CPU[0])
    request = build_request(taken, place_of(cloud.aws), [row], "taken")
    cloud.aws.call("sagemaker", "create_training_job", **request)
    with pytest.raises(InputError, match="the name taken is taken by another job"):
        start_job(cloud, PLAN, source=stub, name="taken")
    assert [row["job"] for row in cloud.ledger.entries()] == [entry["job"]]
    follow(cloud, entry, screen=screen(), pace=FAST)


def test_a_job_launched_elsewhere_under_the_same_name_is_adopted(cloud, stub, tmp_path):
    first = start_job(cloud, PLAN, source=stub, name="shared")
    other = Cloud(cloud.aws, type(cloud.ledger)(tmp_path / "other"), "emulator", print)
    second = start_job(other, PLAN, source=stub, name="shared")
    assert second["fingerprint"] == first["fingerprint"]
    assert follow(other, second, screen=screen(), pace=FAST)["status"] == "Completed"
    assert jobs_of(cloud, first) == ["shared"]


def test_two_launchers_at_once_make_one_job(cloud, stub):
    before = set(cloud.emulator.jobs)
    both = [launcher(cloud, stub), launcher(cloud, stub)]
    words = [process.communicate(timeout=PATIENCE_S)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], words
    assert len(set(cloud.emulator.jobs) - before) == 1


def test_credentials_of_another_account_launch_nothing(cloud, slow_stub):
    entry = start_job(cloud, PLAN, source=slow_stub)
    other = cloud.ledger.write({**entry, "account_mark": "000000", "status": "Planned"})
    with pytest.raises(InputError, match="another account"):
        follow(cloud, other, screen=screen(), pace=FAST)
    with pytest.raises(InputError, match="another account"):
        stop(cloud, other)  # "not found" there does not mean "never created"
    assert not cloud.ledger.latest()["settled"]
    follow(cloud, stop(cloud, cloud.ledger.write(entry)), screen=screen(), pace=FAST)


def test_another_budget_holds_for_a_job_that_was_never_created(cloud, stub):
    inject(cloud, "s3.PUT", "AccessDenied", status=403, times=2)
    with pytest.raises(InputError, match="AccessDenied"):
        start_job(cloud, PLAN, source=stub)
    first = cloud.ledger.latest()
    with pytest.raises(InputError, match="never created"):
        follow(cloud, first, screen=screen(), pace=FAST)
    cloud.emulator.faults.clear()
    second = start_job(cloud, PLAN, source=stub, max_cost_usd=0.02)
    assert (second["job"], second["max_cost_usd"]) == (first["job"], 0.02)
    assert second["limit_s"] < first["limit_s"]
    with pytest.raises(InputError, match=r"with \$0.02 as max_cost_usd"):
        start_job(cloud, PLAN, source=stub)
    assert follow(cloud, second, screen=screen(), pace=FAST)["status"] == "Completed"


def test_a_job_that_was_never_created_can_be_settled(cloud, stub):
    inject(cloud, "s3.PUT", "AccessDenied", status=403)
    with pytest.raises(InputError, match="AccessDenied"):
        start_job(cloud, PLAN, source=stub)
    entry = stop(cloud, cloud.ledger.latest())
    assert (entry["status"], entry["settled"], entry["cost_usd"]) == ("Stopped", True, 0)


def test_a_stale_look_at_a_job_does_not_undo_its_settling(cloud, stub):
    stale = start_job(cloud, PLAN, source=stub)  # `saafe jobs`, slow, beside a watcher
    settled = follow(cloud, stale, screen=screen(), pace=FAST)
    seen = status(cloud, stale)
    assert (seen["settled"], seen["run"]) == (True, settled["run"])
    assert cloud.ledger.latest() == settled


def test_two_watchers_make_one_further_attempt(cloud, stub):
    types = ("ml.c5.xlarge", "ml.m5.large")
    cloud.emulator.region_state.no_capacity |= {types[0]}
    plan = JobPlan("ultra-fast", instance_types=types, spot=True)
    entry = start_job(cloud, plan, source=stub)
    until(lambda: describe(cloud, entry)["TrainingJobStatus"] == "Failed")
    failed = status(cloud, entry)
    first = try_next(cloud, failed)
    late = status(cloud, failed)  # what the first attempt came to must not start a third
    assert late["attempts"] == first["attempts"]
    assert late["status"] != "Failed"
    second = try_next(cloud, failed)
    assert first["attempts"] == second["attempts"] == [entry["job"], f"{entry['job']}-2"]
    assert follow(cloud, second, screen=screen(), pace=FAST)["status"] == "Completed"
    assert jobs_of(cloud, entry) == second["attempts"]


def test_a_role_that_was_just_made_is_waited_for(cloud, stub):
    role = {"RoleName": "saafe-training"}
    trust = {"RoleName": "saafe-training", "PolicyDocument": '{"Statement": []}'}
    asked = []

    def listener(moment, name):
        if (moment, name) == ("before", "sagemaker.CreateTrainingJob"):
            asked.append(name)
            if len(asked) == 1:
                cloud.emulator.aws().client("iam").update_assume_role_policy(**trust)
            if len(asked) == 2:
                set_up(cloud.emulator.aws())

    cloud.emulator.listener = listener
    try:
        entry = start_job(cloud, PLAN, source=stub)
    finally:
        cloud.emulator.listener = lambda *_: None
    assert len(asked) == 2
    assert cloud.aws.call("iam", "get_role", **role)["Role"]
    assert follow(cloud, entry, screen=screen(), pace=FAST)["status"] == "Completed"


def test_a_public_bucket_is_refused(cloud, stub):
    bucket = place_of(cloud.aws).bucket
    cloud.aws.call("s3", "delete_public_access_block", Bucket=bucket)
    try:
        with pytest.raises(InputError, match="open to the public"):
            start_job(cloud, PLAN, source=stub)
    finally:
        set_up(cloud.aws)
    assert not cloud.ledger.entries()


def test_another_accounts_bucket_is_refused(cloud, stub):
    cloud.emulator.foreign_buckets.add(place_of(cloud.aws).bucket)
    try:
        with pytest.raises(InputError, match="belongs to another account"):
            start_job(cloud, PLAN, source=stub)
    finally:
        cloud.emulator.foreign_buckets.clear()
    assert not cloud.ledger.entries()


def test_no_account_id_or_secret_is_kept_or_shown(cloud, tmp_path):
    account, shown = cloud.aws.account, screen()
    reason = f"arn:aws:iam::{account}:role/saafe-training of {account} may not"
    source = write_stub(tmp_path / "source", fail=1, reason=reason)
    for path in (source, write_stub(tmp_path / "good")):
        follow(cloud, start_job(cloud, PLAN, source=path), screen=shown, pace=FAST)
    inject(cloud, "iam.GetRole", "AccessDenied", status=403)
    with pytest.raises(InputError) as raised:
        start_job(cloud, PLAN, source=source)
    words = [shown.stream.getvalue(), str(raised.value), *cloud.notes]
    kept = [path.read_bytes() for path in Path(cloud.ledger.runs).rglob("*") if path.is_file()]
    assert len(kept) >= 5
    assert "may not" in cloud.ledger.entries()[0]["failure"]
    assert not any(account.encode() in content for content in kept)
    assert not any(account in text for text in words)


def test_nothing_in_the_package_unpickles():
    package = Path(__file__).parent.parent / "saafe" / "cloud"
    text = "".join(path.read_text() for path in package.rglob("*.py"))
    assert not re.search(r"pickle|torch\.load\b|(?<!\.)\b(eval|exec)\(", text)


BROKEN = {
    "no file of the kind": "[default\nregion=us-east-1",
    "a program that gives none": "[default]\ncredential_process = /bin/false\n",
    "half a role": "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\n",
    "a profile that is not there": "",
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_configuration_is_one_line(tmp_path, monkeypatch, case):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(BROKEN[case])
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    if not BROKEN[case]:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(InputError, match="check aws configure") as raised:
        connect("us-east-1")
    assert "\n" not in str(raised.value)
    assert "123456789012" not in str(raised.value)


@pytest.mark.parametrize(
    ("module", "on", "line"),
    [
        ("boto3", "sagemaker", 'boto3 is not installed: pip install "saafe[aws]"'),
        ("boto3", "emulator", 'boto3 is not installed: pip install "saafe[emulator]"'),
        ("moto", "emulator", 'the emulator is not installed: pip install "saafe[emulator]"'),
    ],
)
def test_without_the_extra_one_line_names_the_pip_command(tmp_path, module, on, line):
    block = f"import sys; sys.modules['{module}'] = None; from saafe.cli import main; main()"
    words = [sys.executable, "-c", block, "launch", "ultra-fast", "--on", on]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=_clean())
    assert done.returncode == 1
    assert done.stderr.strip() == f"saafe: {line}"


def test_without_credentials_one_line_offers_here(tmp_path):
    words = [sys.executable, "-m", "saafe", "launch", "ultra-fast", "--on", "sagemaker"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=_clean(tmp_path))
    assert done.returncode == 1
    assert "--on here" in done.stderr
    assert done.stderr.count("\n") == 1


def _clean(home=None):
    """This environment without AWS's variables."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    kept |= {"AWS_EC2_METADATA_DISABLED": "true"}
    kept["PYTHONPATH"] = str(Path(__file__).parent.parent)
    return {**kept, "HOME": str(home)} if home else kept
