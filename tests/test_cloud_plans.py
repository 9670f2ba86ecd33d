"""Requests, estimates, bills, packages: what needs no endpoint."""

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import replace
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import pytest
from cloud_stub import write_stub

from saafe.cloud import container
from saafe.cloud.aws import redact
from saafe.cloud.billing import bill, bill_lines
from saafe.cloud.estimate import (
    STOP_GRACE_S,
    budget_limit,
    estimate_job,
    estimate_lines,
    expected_time,
    offers,
)
from saafe.cloud.ledger import Ledger
from saafe.cloud.package import DEVICE_FILE, REQUIREMENTS, pack
from saafe.cloud.preflight import fit_region
from saafe.cloud.prices import load_prices
from saafe.cloud.request import (
    INSTANCES,
    METRIC_PATTERNS,
    JobPlan,
    Place,
    build_request,
    image_uri,
)
from saafe.cloud.setup import role_policy
from saafe.cloud.verify import verify_run
from saafe.cloud.watch import clean, parse_metrics
from saafe.detector.alarms import AlarmSettings
from saafe.errors import InputError
from saafe.recipes import TIERS, changed, find_tier
from saafe.training.model import FireTransformer
from saafe.training.runs import load, new_folder, save_model

ROOT = Path(__file__).parent.parent
LINE = "epoch 3/25 step 141/1175 loss 0.4312 accuracy 0.812 samples/s 1834 left 00:41"
PLACE = Place("us-east-1", "saafe-0", "arn:aws:iam::123456789012:role/saafe-training")


@pytest.fixture
def prices(tmp_path):
    return load_prices(folder=tmp_path)


def entry_of(plan, prices, **more):
    expected = estimate_job(plan, prices, [])
    return {
        "job": "j",
        "created": "2026-01-01",
        "fingerprint": "0",
        "code_sha256": "0" * 64,
        "tier": plan.tier,
        "plan": dict(plan.__dict__),
        "limit_s": expected["limit_s"],
        "estimate": expected,
        "rehearsal": False,
        **more,
    }


# Requests


@pytest.mark.parametrize("spot", [False, True])
@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_makes_a_request_that_the_model_accepts(tier, spot, prices):
    validation = pytest.importorskip("saafe.cloud.emulator.validation")
    pytest.importorskip("botocore")
    plan = JobPlan(tier, ("epochs=5", "seed=3"), spot=spot)
    rows = [prices.instance(name) for name in plan.types][: 1 if spot else None]
    request = build_request(entry_of(plan, prices), PLACE, rows, "j-2")
    validation.validate("sagemaker", "CreateTrainingJob", request)
    validation.check_training_job(request, set(prices.instances))
    words = request["AlgorithmSpecification"]["ContainerArguments"]
    assert words == ["--name", "j", "--", "train", tier, "--set", "epochs=5", "--set", "seed=3"]


def test_the_model_names_every_wrong_member():
    pytest.importorskip("botocore")
    from saafe.cloud.emulator.validation import Refusal, validate

    with pytest.raises(Refusal, match=r"2 validation errors .*must not be null.*colour"):
        validate("sagemaker", "StopTrainingJob", {"Colour": "red"})


def test_the_image_is_the_regions_own_and_fits_the_instance():
    gpu = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch:2.13-cu133-amzn2023-sagemaker"
    assert image_uri("eu-west-1", has_gpu=True) == gpu
    assert image_uri("eu-south-1", has_gpu=False).startswith("692866216735.dkr.ecr.eu-south-1")
    with pytest.raises(InputError, match="cn-north-1"):
        image_uri("cn-north-1", has_gpu=True)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"instances": 0}, "1 to 64"),
        ({"settings": ("device=" + "x" * 300,)}, "256 characters"),
        ({"instance_types": tuple(f"ml.m5.{n}xlarge" for n in range(6))}, "at most 5"),
        ({"instance_types": ("ml.m5.large",) * 2}, "each type once"),
    ],
)
def test_a_plan_that_sagemaker_would_refuse_is_refused(words, line):
    with pytest.raises(InputError, match=line):
        JobPlan("ultra-fast", **words)


def test_gpu_and_cpu_types_do_not_mix(prices):
    plan = JobPlan("ultra-fast", instance_types=("ml.g5.xlarge", "ml.m5.large"))
    rows = [prices.instance(name) for name in plan.types]
    with pytest.raises(InputError, match="different images"):
        build_request(entry_of(plan, prices), PLACE, rows, "j")


def test_one_set_of_expressions_reads_the_progress_line():
    found = parse_metrics(LINE)
    assert found == {"epoch": 3, "loss": 0.4312, "accuracy": 0.812, "samples_per_s": 1834}
    assert all(re.compile(regex).groups == 1 for regex in METRIC_PATTERNS.values())
    assert parse_metrics("nothing of the kind") == {}


def test_the_role_may_touch_its_bucket_only():
    statements = role_policy(PLACE)["Statement"]
    wide = [row for row in statements if "*" in row["Resource"] and "Condition" not in row]
    assert [row["Action"] for row in wide] == [["ecr:GetAuthorizationToken"]]
    actions = {action for row in statements for action in row["Action"]}
    assert not any("*" in action or "Delete" in action for action in actions)


# Prices, estimates, bills


def test_retired_and_unknown_types_say_what_to_use(prices):
    with pytest.raises(InputError, match=r"retired.*ml.g5.12xlarge"):
        prices.instance("ml.p3.8xlarge")
    with pytest.raises(InputError, match="saafe prices"):
        prices.instance("ml.g99.xlarge")
    with pytest.raises(InputError, match="refresh --region eu-west-1"):
        load_prices("eu-west-1", Path("nowhere"))


def test_the_table_is_dated_and_holds_the_tiers_types(prices):
    assert prices.as_of == "2026-09-27"
    assert prices.instance("ml.g5.12xlarge").usd_per_hour == 7.09
    for names in INSTANCES.values():
        assert all(prices.instance(name).gpus for name in names)


def test_a_budget_is_a_run_time():
    limit_s = budget_limit(8.0, 2 * 7.09, 0.01)
    assert (limit_s + STOP_GRACE_S) * 2 * 7.09 / 3600 + 0.01 <= 8.0
    assert (limit_s + 1 + STOP_GRACE_S) * 2 * 7.09 / 3600 + 0.01 > 8.0
    with pytest.raises(InputError, match=r"allow \$1.67") as raised:
        budget_limit(1.0, 2 * 7.09, 0.01)
    enough = float(re.search(r"allow \$([\d.]+)", str(raised.value)).group(1))
    assert budget_limit(enough, 2 * 7.09, 0.01) >= 300
    assert budget_limit(float("inf"), 2 * 7.09, 0.01) < 28 * 86_400


@pytest.mark.parametrize("usd", [0.0, -1.0, 0.5, float("nan"), float("-inf")])
def test_no_budget_is_a_line(usd):
    with pytest.raises(InputError, match="max_cost_usd"):
        budget_limit(usd, 7.09, 0.01)


def test_no_job_can_cost_more_than_its_budget(prices):
    """Volumes of types without a local disk count, at most a twentieth of the cheapest's rate."""
    for name in prices.instances:
        plan = JobPlan("standard", ("epochs=10000",), instance_types=(name,), instances=2)
        assert estimate_job(plan, prices, [], 20.0)["most_usd"] <= 20.0


def test_the_budget_counts_the_dearest_fallback(prices):
    plan = JobPlan("ultra-fast", instance_types=("ml.g4dn.xlarge", "ml.g5.12xlarge"))
    storage_usd = estimate_job(plan, prices, [])["storage_usd"]
    assert estimate_job(plan, prices, [], 2.0)["limit_s"] == budget_limit(2.0, 7.09, storage_usd)


def test_no_limit_is_longer_than_sagemaker_allows(prices):
    plan = JobPlan("ultra-fast", ("epochs=10000", "windows=100000000"))
    expected = estimate_job(plan, prices, [])
    assert expected["expected_s"] <= expected["limit_s"] == 432_000
    assert expected["total_usd"] <= expected["most_usd"]


def test_a_region_without_the_tiers_first_type_takes_the_next(prices):
    notes = []
    rented = {name: row for name, row in prices.instances.items() if not name.startswith("ml.g5")}
    elsewhere = replace(prices, region="eu-north-1", instances=rented)
    plan = fit_region(JobPlan("ultra-fast"), elsewhere, notes.append)
    assert plan.types == INSTANCES["ultra-fast"][1:]
    assert "eu-north-1 does not rent ml.g5.12xlarge" in notes[0]
    named = JobPlan("ultra-fast", instance_types=("ml.g5.xlarge", "ml.g6.xlarge"))
    with pytest.raises(InputError, match=r"no price for ml\.g5\.xlarge"):
        fit_region(named, elsewhere, notes.append)
    with pytest.raises(InputError, match="no price"):
        fit_region(JobPlan("ultra-fast"), replace(prices, instances={}), notes.append)


def test_an_estimate_names_its_basis_and_range(prices):
    plan = JobPlan("ultra-fast", spot=True)
    expected = estimate_job(plan, prices, [])
    words = "\n".join(estimate_lines(expected, plan))
    assert "assumed, never measured on a GPU" in words
    assert "spot" in words
    assert expected["spot_usd"][1] == pytest.approx(expected["total_usd"])
    assert expected["volume_usd"] == 0  # g5 has local disks
    cpu = JobPlan("ultra-fast", instance_types=("ml.m5.large",))
    assert estimate_job(cpu, prices, [])["volume_usd"] > 0


def test_own_jobs_replace_assumptions(prices):
    plan = JobPlan("ultra-fast", instance_types=("ml.g5.xlarge",))
    row = prices.instance("ml.g5.xlarge")
    job = entry_of(plan, prices, status="Completed", instance="ml.g5.xlarge", instances=1)
    job["plan"]["settings"] = []
    runs = [{**job, "train_seconds": seconds} for seconds in (100, 120, 400)]
    assert expected_time(plan, row, runs) == (120, "median of 3 own jobs on ml.g5.xlarge", True)
    rehearsed = [{**run, "rehearsal": True} for run in runs]
    assert "never measured on a GPU" in expected_time(plan, row, rehearsed)[1]
    assert "never measured" in expected_time(plan, prices.instance("ml.g6.xlarge"), runs)[1]


def test_the_speed_that_a_job_printed_replaces_the_assumption(prices):
    plan = JobPlan("ultra-fast", ("epochs=9",), instance_types=("ml.g5.xlarge",))
    entry = entry_of(plan, prices, status="Stopped", instance="ml.g5.xlarge", instances=1)
    plans = {name: {**entry["plan"], "settings": [name]} for name in ("width=16", "depth=3")}
    entries = [
        {**entry, "metrics": {"samples_per_s": 15_000.0}},
        {**entry, "metrics": {"samples_per_s": 1.0}, "rehearsal": True},
        {**entry, "metrics": None},
        # of another model, and of another version: do not count
        *({**entry, "plan": other, "metrics": {"samples_per_s": 9e9}} for other in plans.values()),
    ]
    asked = JobPlan("ultra-fast", instance_types=("ml.g5.xlarge",))
    seconds, basis, is_measured = expected_time(asked, prices.instance("ml.g5.xlarge"), entries)
    assert is_measured
    assert "15000 windows/s: median of 1 own jobs on ml.g5.xlarge" in basis
    windows = find_tier("ultra-fast").windows * find_tier("ultra-fast").epochs
    assert seconds == pytest.approx(240 + windows / 15_000)
    assert not expected_time(asked, prices.instance("ml.g6.xlarge"), entries)[2]
    rows = {row["instance"]: row for row in offers(asked, prices, entries)}
    assert rows["ml.g5.xlarge"]["cost_usd"] == pytest.approx(seconds / 3600 * 1.408, abs=1e-4)
    assert rows["ml.g6.xlarge"]["expected_s"] is rows["ml.g6.xlarge"]["cost_usd"] is None
    assert rows["ml.g6.xlarge"]["basis"] == "not measured"


def test_the_assumption_is_one_core_and_slower_for_larger_models(prices):
    row = prices.instance("ml.g5.12xlarge")
    fast = expected_time(JobPlan("ultra-fast"), row, [])
    assert fast[0] == pytest.approx(240 + 12_000 * 32 / 2400)
    assert fast[1].endswith("(2400 windows/s: one CPU core's by model size; assumed, never"
                            " measured on a GPU)")  # fmt: skip
    assert expected_time(JobPlan("standard"), row, [])[0] == pytest.approx(240 + 20_000 * 100 / 400)
    hour = expected_time(JobPlan("standard", ("hours=1",)), row, [])
    assert hour[0] == 240 + 3600


BILLS = {
    "on demand": ({"InstanceType": "ml.g5.xlarge", "InstanceCount": 2}, 900, 900, 0.704),
    "spot": ({"InstanceType": "ml.g5.xlarge", "InstanceCount": 1}, 300, 900, 0.1173333),
    "selected": (
        {"SelectedInstanceType": "ml.g4dn.xlarge", "SelectedInstanceCount": 1},
        3600,
        3600,
        0.7364,
    ),
    "not given": ({"InstanceType": "ml.g5.xlarge", "InstanceCount": 1}, None, None, None),
}


@pytest.mark.parametrize("case", BILLS)
def test_a_bill_is_seconds_by_instances_by_rate(case, prices):
    resources, billed, trained, usd = BILLS[case]
    job = {"ResourceConfig": resources}
    job |= {"BillableTimeInSeconds": billed, "TrainingTimeInSeconds": trained} if billed else {}
    entry = entry_of(JobPlan("ultra-fast", spot=case == "spot"), prices)
    figures = bill(job, entry, prices)
    assert figures["cost_usd"] == (None if usd is None else pytest.approx(usd, rel=1e-4))
    assert figures["spot_saving"] == (pytest.approx(2 / 3) if case == "spot" else None)


def test_offers_are_sorted_by_price(prices):
    rows = offers(JobPlan("standard"), prices, [])
    rates = [row["usd_per_hour"] for row in rows]
    assert rates == sorted(rates)
    assert {row["cost_usd"] for row in rows} == {None}
    assert len(rows) == len(prices.instances)


# The package and the container


def test_equal_sources_make_equal_archives(tmp_path):
    first = write_stub(tmp_path / "a")
    package = pack(first)
    (first / "saafe" / "__pycache__").mkdir()
    (first / "saafe" / "__pycache__" / "x.pyc").write_bytes(b"0")
    (first / "saafe" / ".env").write_text("SECRET=1")
    (first / "saafe" / "__main__.py").touch()
    assert pack(first) == package
    (first / "saafe" / "__main__.py").write_text("pass")
    assert pack(first).sha256 != package.sha256
    with tarfile.open(fileobj=BytesIO(package.files["source.tar.gz"])) as tar:
        assert {member.mtime for member in tar.getmembers()} == {0}
        assert "requirements.txt" in tar.getnames()


def test_a_device_travels_beside_the_code(tmp_path):
    source = write_stub(tmp_path)
    package = pack(source, device='name = "ours"')
    assert package.sha256 != pack(source).sha256, "another device is another job"
    with tarfile.open(fileobj=BytesIO(package.files["source.tar.gz"])) as tar:
        member = tar.extractfile(DEVICE_FILE)
        assert member is not None
        assert member.read() == b'name = "ours"'
    container_source = Path(container.__file__).read_text()
    assert f'"{DEVICE_FILE}"' in container_source, "it imports nothing of ours"


def test_the_shipped_requirements_are_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    every = project["dependencies"] + [
        line
        for named in extras["train"]
        for line in (extras["plot"] if named == "saafe[plot]" else [named])
    ]
    wanted = [line for line in every if not line.startswith(("torch", "onnx"))]
    assert list(REQUIREMENTS) == wanted


def test_the_container_entry_needs_the_standard_library_only():
    text = (ROOT / "saafe" / "cloud" / "container.py").read_text()
    modules = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
    import sys

    assert modules <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("hosts", "gpus", "expected"),
    [
        (["algo-1"], "0", []),
        (["algo-1"], "1", []),
        (["algo-1"], "4", ["--nproc-per-node=4", "--standalone"]),
        (["algo-1", "algo-2"], "8", ["--nproc-per-node=8", "--nnodes=2", "--node-rank=1"]),
    ],
)
def test_torchrun_takes_every_gpu_of_every_host(tmp_path, monkeypatch, hosts, gpus, expected):
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    resources = {"hosts": hosts, "current_host": hosts[-1]}
    (config / "resourceconfig.json").write_text(json.dumps(resources))
    monkeypatch.setenv("SM_NUM_GPUS", gpus)
    words = container.launcher(tmp_path, "job")
    assert words[3 : 3 + len(expected)] == expected
    assert (len(words) == 1) == (not expected)


def test_logs_lose_control_sequences_ids_and_secrets():
    line = "\x1b[31mred\x1b[0m arn:aws:iam::123456789012:role/x AKIAABCDEFGHIJKLMNOP token=abc"
    assert clean(line) == "red arn:aws:iam::************:role/x **** token=****"
    assert redact("loss 0.123456789012") == "loss 0.123456789012"
    assert redact("of 123456789012", "123456789012") == "of ************"


# The ledger


def test_the_ledger_finds_jobs_by_the_start_of_their_name(tmp_path):
    ledger = Ledger(tmp_path)
    with pytest.raises(InputError, match="no job was launched"):
        ledger.latest()
    for index, job in enumerate(("saafe-a1", "saafe-a2", "saafe-b")):
        ledger.write({"job": job, "created": f"2026-01-0{index + 1}", "fingerprint": "0"})
    (ledger.folder / "broken.json").write_text("{")
    assert ledger.latest()["job"] == ledger.find("saafe-b")["job"] == "saafe-b"
    with pytest.raises(InputError, match="fits several"):
        ledger.find("saafe-a")
    with pytest.raises(InputError, match="no job nobody"):
        ledger.find("nobody")
    with pytest.raises(InputError, match="1 to 60"):
        ledger.write({"job": "../x", "created": "", "fingerprint": ""})


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("")
    ledger = Ledger(tmp_path / "runs")
    entry = {"job": "j", "created": "2026", "fingerprint": "0"}
    with pytest.raises(InputError, match="cannot be made"):
        ledger.write(entry)
    with pytest.raises(InputError, match="cannot be made"):
        ledger.update(entry, status="Planned")


def test_what_two_processes_change_is_all_kept(tmp_path):
    ledger = Ledger(tmp_path)
    entry = ledger.write({"job": "j", "created": "2026", "fingerprint": "0", "status": "Planned"})
    ledger.update(entry, status="InProgress")
    settled = ledger.update(entry, run="j", settled=True)
    assert settled["status"] == "InProgress"
    assert ledger.update(entry, status="Planned") == settled  # too late
    assert ledger.update(entry, settled=False)["run"] == "j"
    assert {path.name for path in ledger.folder.iterdir()} == {"j.json", "lock"}


# A fetched run


@pytest.fixture
def run(tmp_path):
    """A run folder with the weights that a small recipe starts from."""
    recipe = changed(find_tier("ultra-fast"), ("width=16", "layers=1"))
    folder = new_folder(tmp_path, "run", find_tier("ultra-fast"))
    save_model(folder, recipe, FireTransformer(recipe), AlarmSettings())
    return folder


def test_a_run_that_loads_and_scores_is_verified(run):
    found = verify_run(run)
    assert found["loads"]
    assert found["gate_passed"] is None
    (run / "exam.json").write_text(json.dumps({"gate": {"passed": False, "lines": []}}))
    assert verify_run(run)["gate_passed"] is False


def test_a_run_without_weights_says_how_to_go_on(run, prices):
    (run / "model.safetensors").unlink()
    found = verify_run(run)
    assert not found["loads"]
    plan = JobPlan("ultra-fast", ("epochs=9", "seed=4"))
    entry = entry_of(plan, prices, status="Stopped", run="run", verified=found)
    words = "train ultra-fast --set epochs=9 --set seed=4 --out runs --name run --resume"
    assert words in "\n".join(bill_lines(entry, Path("runs")))


@pytest.mark.parametrize("damage", ["truncated", "not a number"])
def test_a_run_that_is_no_detector_is_refused(run, damage):
    weights = run / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-8])
    else:
        loaded = load(run)
        loaded.model.head.weight.data *= float("nan")
        save_model(run, loaded.recipe, loaded.model, loaded.settings)
    with pytest.raises(InputError, match=r"is damaged|that is no detector") as raised:
        verify_run(run)
    assert "\n" not in str(raised.value)


def no_account(home):
    """This environment without AWS's variables, and with an empty home."""
    kept = {key: value for key, value in os.environ.items() if key[:4] not in ("AWS_", "XDG_")}
    return {**kept, "PYTHONPATH": str(ROOT), "HOME": str(home)}


def test_a_launch_is_estimated_without_an_account_or_boto3(tmp_path):
    """The same lines as a launch shows before it asks; nothing is started or written."""
    block = "import sys; sys.modules['boto3'] = sys.modules['moto'] = None; "
    block += "from saafe.cli import main; main()"
    machine = [f"--set={one}" for one in ("instance=ml.g5.xlarge", "instances=2", "spot=true")]

    def shown(*words):
        command, env = [sys.executable, "-c", block, "prices", *words], no_account(tmp_path)
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    plan = JobPlan("standard", ("epochs=3",), ("ml.g5.xlarge",), instances=2, spot=True)
    expected = estimate_job(plan, load_prices(folder=tmp_path), [])
    words = ["--tier", "standard", "--set", "epochs=3", *machine]
    said = [line.strip() for line in shown(*words).splitlines()]
    assert set(estimate_lines(expected, plan)) <= set(said)
    assert json.loads(shown(*words, "--json"))["estimate"] == expected
    assert list(tmp_path.iterdir()) == []


def test_prices_of_a_region_without_the_tiers_own_types_are_listed_all_the_same(tmp_path):
    table = json.loads((files("saafe.cloud") / "prices_us-east-1.json").read_text())
    kept = {name: row for name, row in table["instances"].items() if ".g4dn." in name}
    table |= {"region": "mx-central-1", "instances": kept}
    path = tmp_path / ".cache" / "saafe" / "prices_mx-central-1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(table))
    words = [sys.executable, "-m", "saafe", "prices", "--region", "mx-central-1"]
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=tmp_path, env=no_account(tmp_path)
    )
    assert done.returncode == 0
    assert "ml.g4dn.xlarge" in done.stdout
    assert "ml.g5.12xlarge, which ultra-fast takes, is not here: --set instance=TYPE" in done.stdout
