"""The emulator rejects what AWS rejects, and serves boto3 and the `aws` command alike."""

import copy
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("boto3")
pytest.importorskip("moto")

from cloud_stub import CPU, FAST, describe, end_emulator, screen, until, write_stub

from saafe.cloud.aws import Aws, AwsError
from saafe.cloud.emulator import endpoint
from saafe.cloud.emulator.emulator import Emulator
from saafe.cloud.prices import load_prices, refresh
from saafe.cloud.request import ROLE, JobPlan, build_request
from saafe.cloud.sagemaker import Cloud, start_job, stop
from saafe.cloud.setup import bucket_name, place_of, set_up
from saafe.cloud.watch import follow

pytest_plugins = ["cloud_fixtures"]

PLAN = JobPlan("ultra-fast", instance_types=CPU)


@pytest.fixture
def request_of(cloud):
    """A valid request, to be spoilt."""
    entry = {
        "job": "valid",
        "plan": {**PLAN.__dict__},
        "limit_s": 600,
        "code_sha256": "0",
        "fingerprint": "0",
    }
    row = cloud.prices.instance(CPU[0])
    return build_request(entry, place_of(cloud.aws), [row], "valid")


SPOILT = {
    "name with a dot": ("TrainingJobName", "a.b", "ValidationException"),
    "name too long": ("TrainingJobName", "a" * 64, "ValidationException"),
    "role that is no ARN": ("RoleArn", "saafe-training-role-name", "ValidationException"),
    "role that does not exist": (
        "RoleArn",
        "arn:aws:iam::123456789012:role/nobody",
        "ValidationException",
    ),
    "no output": ("OutputDataConfig", None, "ValidationException"),
    "argument too long": (
        "AlgorithmSpecification.ContainerArguments",
        ["a" * 257],
        "ValidationException",
    ),
    "input mode": ("AlgorithmSpecification.TrainingInputMode", "Tape", "ValidationException"),
    "instance that does not exist": (
        "ResourceConfig.InstanceType",
        "ml.x9.huge",
        "ValidationException",
    ),
    "instance that is retired": (
        "ResourceConfig.InstanceType",
        "ml.p3.8xlarge",
        "ValidationException",
    ),
    "no instance": ("ResourceConfig.InstanceCount", 0, "ValidationException"),
    "text for a number": ("ResourceConfig.InstanceCount", "1", "ValidationException"),
    "more than the quota": ("ResourceConfig.InstanceCount", 5, "ResourceLimitExceeded"),
    "spot without waiting time": ("EnableManagedSpotTraining", True, "ValidationException"),
    "waiting time without spot": (
        "StoppingCondition.MaxWaitTimeInSeconds",
        700,
        "ValidationException",
    ),
    "too long": ("StoppingCondition.MaxRuntimeInSeconds", 10**7, "ValidationException"),
    "bucket that does not exist": (
        "OutputDataConfig.S3OutputPath",
        "s3://nowhere/jobs",
        "ValidationException",
    ),
    "hyperparameter that is no text": ("HyperParameters.seed", 1, "ValidationException"),
    "one instance type twice": (
        "ResourceConfig",
        {"VolumeSizeInGB": 1, "InstancePreferences": [{"InstanceType": "ml.m5.large"}] * 2},
        "ValidationException",
    ),
    "a count on one preference of two": (
        "ResourceConfig",
        {
            "VolumeSizeInGB": 1,
            "InstancePreferences": [
                {"InstanceType": "ml.m5.large", "InstanceCount": 1},
                {"InstanceType": "ml.c5.xlarge"},
            ],
        },
        "ValidationException",
    ),
    "two ways to name instances": (
        "ResourceConfig.InstancePreferences",
        [{"InstanceType": "ml.m5.large", "InstanceCount": 1}],
        "ValidationException",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_aws_rejects_is_rejected(cloud, request_of, case):
    path, value, code = SPOILT[case]
    request = copy.deepcopy(request_of)
    *parents, last = path.split(".")
    target = request
    for parent in parents:
        target = target[parent]
    if value is None:
        del target[last]
    else:
        target[last] = value
    with pytest.raises(AwsError) as raised:
        _create_unchecked(cloud, request)
    assert raised.value.code == code
    assert "\n" not in str(raised.value)
    assert "valid" not in cloud.emulator.jobs


def _create_unchecked(cloud, request):
    """CreateTrainingJob without botocore's own check before sending."""
    client = cloud.aws.client("sagemaker")
    client.meta.config.parameter_validation = False
    serializer = client._serializer
    client._serializer = getattr(serializer, "_serializer", serializer)
    try:
        cloud.aws.call("sagemaker", "create_training_job", **request)
    finally:
        client._serializer = serializer


def test_the_model_and_the_service_name_unknown_jobs_alike(cloud):
    with pytest.raises(AwsError) as raised:
        cloud.aws.call("sagemaker", "describe_training_job", TrainingJobName="nobody")
    assert raised.value.code == "ValidationException"
    assert "not found" in str(raised.value)


def test_a_missing_channel_fails_the_job_as_sagemaker_does(cloud, request_of):
    request_of["TrainingJobName"] = "empty-channel"
    cloud.aws.call("sagemaker", "create_training_job", **request_of)
    until(lambda: cloud.emulator.jobs["empty-channel"].has_ended)
    description = cloud.emulator.jobs["empty-channel"].description
    assert description["TrainingJobStatus"] == "Failed"
    assert description["FailureReason"].startswith("ClientError: Data download failed")


def test_jobs_are_listed_in_pages_by_status_and_name(cloud, stub):
    names = [f"listed-{index}" for index in range(3)]
    entries = [start_job(cloud, PLAN, source=stub, name=name) for name in names]
    for entry in entries:
        follow(cloud, entry, screen=screen(), pace=FAST)
    pages = cloud.aws.client("sagemaker").get_paginator("list_training_jobs")
    found = [
        row["TrainingJobName"]
        for page in pages.paginate(NameContains="listed", PaginationConfig={"PageSize": 2})
        for row in page["TrainingJobSummaries"]
    ]
    assert found == names[::-1]  # the newest first
    listed = cloud.aws.call("sagemaker", "list_training_jobs", StatusEquals="InProgress")
    assert not {row["TrainingJobName"] for row in listed["TrainingJobSummaries"]} & set(names)


def test_an_ended_job_cannot_be_stopped(cloud, stub):
    entry = follow(cloud, start_job(cloud, PLAN, source=stub), screen=screen(), pace=FAST)
    with pytest.raises(AwsError) as raised:
        cloud.aws.call("sagemaker", "stop_training_job", TrainingJobName=entry["job"])
    assert raised.value.code == "ValidationException"
    assert stop(cloud, entry)["status"] == "Completed"


def test_prices_are_refreshed_from_the_price_list(cloud, tmp_path):
    prices, changed = refresh(cloud.aws, tmp_path)
    shipped = load_prices(folder=tmp_path / "none")
    assert prices.instances == shipped.instances  # one-off fees of $0.01 are not prices
    assert changed == {}
    assert load_prices(folder=tmp_path).note != shipped.note


def test_setup_makes_a_private_encrypted_expiring_bucket(cloud):
    s3, bucket = cloud.aws.client("s3"), place_of(cloud.aws).bucket
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    expiry = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]
    assert all(block.values())
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert expiry["Expiration"]["Days"] == 30
    assert cloud.aws.account not in bucket
    assert bucket == bucket_name(cloud.aws.account, "us-east-1")


def test_regions_do_not_undo_one_anothers_rights(cloud):
    iam = cloud.aws.client("iam")
    set_up(cloud.emulator.aws("eu-west-1"))
    names = iam.list_role_policies(RoleName=ROLE)["PolicyNames"]
    assert sorted(names) == ["saafe-training-eu-west-1", "saafe-training-us-east-1"]


def test_types_that_are_new_are_priced_and_take_the_right_image(cloud, tmp_path, monkeypatch):
    prices = load_prices(folder=tmp_path)
    row = prices.instance("ml.g5.xlarge")
    new = {name: replace(row, name=name) for name in ("ml.g7e.2xlarge", "ml.trn1.2xlarge")}
    answers = cloud.emulator._answers
    monkeypatch.setattr(answers, "prices", replace(prices, instances=prices.instances | new))
    found, changed = refresh(cloud.aws, tmp_path)
    assert found.instance("ml.g7e.2xlarge").gpus == 1  # else its job would get the CPU image
    assert "ml.trn1.2xlarge" not in found.instances
    assert changed == {}


def test_a_proxy_is_not_asked_for_the_emulator(cloud, monkeypatch, tmp_path):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    endpoint.write_address(tmp_path, cloud.emulator.url)
    assert endpoint.running(tmp_path) == cloud.emulator.url
    assert cloud.emulator.aws(waits_s=()).account == cloud.aws.account


def test_a_rehearsal_is_known_by_its_endpoint(cloud, monkeypatch, tmp_path):
    keys = ("emulator", "emulator")
    assert cloud.aws.is_elsewhere
    assert not Aws("us-east-1", None, keys).is_elsewhere
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", cloud.emulator.url)
    assert Aws("us-east-1", None, keys).is_elsewhere
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert not Aws("us-east-1", None, keys).is_elsewhere


def test_an_object_put_twice_in_a_second_is_kept_as_it_is(cloud):
    emulator, bucket = cloud.emulator, place_of(cloud.aws).bucket
    for body in (b"first", b"second"):
        cloud.aws.call("s3", "put_object", Bucket=bucket, Key="saafe/twice", Body=body)
        emulator.save_objects()
        kept = emulator.state / "objects" / bucket / "saafe" / "twice"
        assert kept.read_bytes() == body
    cloud.aws.call("s3", "put_object", Bucket=bucket, Key="saafe/../../../out", Body=b"0")
    emulator.save_objects()
    assert not (emulator.state / "out").exists()
    cloud.aws.call("s3", "delete_object", Bucket=bucket, Key="saafe/../../../out")


def test_web_pages_cannot_reach_the_emulator(cloud):
    for headers in ({"Origin": "http://example.org"}, {"Host": "example.org:80"}):
        asked = urllib.request.Request(cloud.emulator.url + "/", headers=headers)
        with pytest.raises(urllib.error.HTTPError, match="403") as raised:
            urllib.request.urlopen(asked)
        raised.value.close()


def test_faults_are_rehearsed_over_http(cloud):
    payload = {"faults": [{"operation": "sts.GetCallerIdentity", "code": "ExpiredToken"}]}
    body = json.dumps(payload).encode()
    with urllib.request.urlopen(f"{cloud.emulator.url}/_emulator/faults", data=body) as answer:
        assert json.load(answer)["faults"][0]["code"] == "ExpiredToken"
    for nonsense in (b"[]", b'{"hurry": "x"}', b'{"quotas": 3}', b'{"faults": [{"when": 1}]}'):
        with pytest.raises(urllib.error.HTTPError, match="400") as raised:
            urllib.request.urlopen(f"{cloud.emulator.url}/_emulator/faults", data=nonsense)
        raised.value.close()
    with pytest.raises(AwsError, match="renew"):
        cloud.aws.call("sts", "get_caller_identity")


def aws_words(*words):
    """The real AWS command line, where it is installed."""
    program = Path(sys.executable).parent / "aws"
    found = str(program) if program.exists() else shutil.which("aws")
    if found is None:
        pytest.skip("the aws command is not installed")
    return [found, *words]


@pytest.mark.slow
def test_the_aws_command_lists_running_jobs(cloud, slow_stub):
    entry = start_job(cloud, PLAN, source=slow_stub)
    until(lambda: describe(cloud, entry)["SecondaryStatus"] == "Training")
    variables = {
        "AWS_ENDPOINT_URL": cloud.emulator.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
    }
    words = ("sagemaker", "list-training-jobs", "--status-equals", "InProgress")
    done = subprocess.run(
        aws_words(*words, "--output", "json"),
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["TrainingJobSummaries"]
    assert entry["job"] in {row["TrainingJobName"] for row in rows}
    follow(cloud, stop(cloud, entry), screen=screen(), pace=FAST)


@pytest.mark.slow
def test_a_folder_is_served_by_one_process_and_found_again(tmp_path):
    state = tmp_path / "state"
    try:
        first = endpoint.find_or_start(state)
        assert endpoint.find_or_start(state).endpoint_url == first.endpoint_url
        done = subprocess.run(
            [sys.executable, "-m", "saafe", "emulator", "--state", str(state)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert "another emulator serves" in done.stderr
    finally:
        end_emulator(state)
    assert endpoint.running(state) is None


@pytest.mark.slow
def test_jobs_and_artefacts_outlive_the_process(tmp_path, cloud, stub):
    state = cloud.emulator.state
    entry = follow(cloud, start_job(cloud, PLAN, source=stub), screen=screen(), pace=FAST)
    copied = shutil.copytree(state, tmp_path / "state")
    shutil.rmtree(cloud.ledger.runs / entry["run"])
    script = """
import sys
from pathlib import Path
from saafe.cloud.emulator.emulator import Emulator
from saafe.cloud.ledger import Ledger
from saafe.cloud.sagemaker import Cloud
from saafe.cloud.watch import Pace, Screen, follow
emulator = Emulator(Path(sys.argv[1])).start()
ledger = Ledger(Path(sys.argv[2]))
entry = {**ledger.latest(), "settled": False}
follow(Cloud(emulator.aws(), ledger, "emulator"), entry, screen=Screen(), pace=Pace(0.05))
emulator.close()
"""
    words = [sys.executable, "-c", script, str(copied), str(cloud.ledger.runs)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (cloud.ledger.runs / entry["run"] / "model.safetensors").exists()


@pytest.mark.slow
def test_two_hosts_with_two_ranks_each_meet(tmp_path, cloud):
    """torchrun in the container: hosts find one another, every rank runs, one run comes back."""
    source = write_stub(tmp_path / "source")
    stub = source / "saafe" / "__main__.py"
    meet = """
import os, torch.distributed as dist
dist.init_process_group("gloo")
print(f"rank {dist.get_rank()} of {dist.get_world_size()} met", flush=True)
dist.barrier()
if dist.get_rank():
    raise SystemExit(0)
"""
    stub.write_text(meet + stub.read_text())
    plan = JobPlan("ultra-fast", instance_types=("ml.g5.12xlarge",), instances=2)
    shown = screen()
    emulated = Cloud(cloud.aws, cloud.ledger, "emulator", print)
    entry = follow(emulated, start_job(emulated, plan, source=source), screen=shown, pace=FAST)
    words = shown.stream.getvalue()
    assert entry["status"] == "Completed", words
    world = words.count(" met")
    assert world >= 2
    assert all(f"rank {rank} of {world} met" in words for rank in range(world))


def test_the_emulator_names_a_port_in_use(cloud, tmp_path):
    with pytest.raises(ValueError, match="in use"):
        Emulator(tmp_path, port=cloud.emulator.port)
