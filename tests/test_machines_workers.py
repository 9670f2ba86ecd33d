"""Workers as processes that die: the same events and shards as of one process, nothing twice.

tests/test_cluster.py has them as threads, in the fast suite.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import machines_fixtures
import pytest
import torch
from export_fixtures import small_run
from machines_fixtures import ROOT, Machines, environment, machines, sigkill, wait_for
from test_machines import contents, s3_environment, saafe_command, write_home

from saafe.exam import long
from saafe.exam.long import write_shards
from saafe.exam.quick import exam_device
from saafe.machines import s3
from saafe.machines.cluster import cluster_at, spread
from saafe.machines.remote import shards_on
from saafe.simulator import sources

pytest_plugins = ["cloud_fixtures"]
pytestmark = pytest.mark.slow
HOMES = 16
FEW = """
from saafe.exam import long
from saafe.simulator import sources

long.QUIET_STREAMS_OF_A_SHARD, long.QUIET_BATCH, long.QUIET_HOURS = 6, 2, 1.0
long.COOKINGS_OF_A_SHARD = 1
long.sources.NUISANCES = sources.NUISANCES[:3]
"""


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("homes")
    for k in range(HOMES):
        write_home(folder / f"site-{k % 3}" / f"home-{k}.parquet", k, hours=9.0, burns=k % 5 == 0)
    (folder / "site-0" / "broken.parquet").write_bytes(b"PAR1 and no more")
    return folder


@pytest.fixture(scope="module")
def alone(homes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The events that one process finds, with the model in the package."""
    events = tmp_path_factory.mktemp("alone")
    code, _, _ = saafe_command("detect", f"{homes}/*/*.parquet", "--out", events)
    assert code == 1  # one recording is broken
    found = contents(events)
    assert any(b'"alarm"' in data for data in found.values())
    return found


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A scheduler for all; each test has workers of its own."""
    with machines(tmp_path_factory.mktemp("dask")) as found:
        yield found


def done(events: Path) -> int:
    return len(list(events.rglob("*.jsonl")))


def test_a_worker_that_dies_costs_its_part_only(
    here: Machines, homes: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    events = tmp_path / "events"
    words = ("detect", f"{homes}/*/*.parquet", "--out", events, "--json")
    here.add(2)
    command = here.begin(*words)
    wait_for(lambda: done(events) >= 3)
    sigkill(here.workers[0])
    assert done(events) < HOMES - 2, "too late: too little to do"
    out, said = command.communicate(timeout=120)
    assert command.returncode == 1, said
    found = json.loads(out)
    assert (found["done"], len(found["failed"])) == (HOMES, 1)
    assert "1 of the workers lost" in said
    assert "site-0/broken.parquet: not readable as Parquet" in said
    assert "Traceback" not in said
    assert contents(events) == alone
    again = json.loads(here.saafe(*words).stdout)
    assert (again["done"], again["done_before"]) == (0, HOMES)


def test_a_client_that_dies_goes_on_where_it_was(
    here: Machines, homes: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    events = tmp_path / "events"
    words = ("detect", f"{homes}/*/*.parquet", "--out", events, "--json")
    command = here.add(1).begin(*words)
    wait_for(lambda: done(events) >= 3)
    sigkill(command)
    command.communicate()
    before = done(events)
    assert before < HOMES
    found = json.loads(here.saafe(*words).stdout)
    assert (found["done"], found["done_before"]) == (HOMES - before, before)
    assert contents(events) == alone


def test_ctrl_c_ends_it_in_a_line(here: Machines, homes: Path, tmp_path: Path) -> None:
    events = tmp_path / "events"
    command = here.add(1).begin("detect", f"{homes}/*/*.parquet", "--out", events)
    wait_for(lambda: done(events) >= 2)
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=60)
    assert (command.returncode, said.splitlines()[-1]) == (130, "saafe: interrupted")
    assert "Traceback" not in said


def test_workers_read_s3_by_themselves(
    here: Machines, homes: Path, alone: dict[str, bytes], emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    variables = s3_environment(emulator)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    s3.s3_client.cache_clear()
    emulator.aws().call("s3", "create_bucket", Bucket="archive-of-homes")
    for name, data in contents(homes).items():
        s3.put_object(f"s3://archive-of-homes/in/{name}", data)
    ended = here.add(2, **variables).saafe(
        "detect", "s3://archive-of-homes/in/*/*.parquet",
        "--out", "s3://archive-of-homes/out", "--json", **variables,
    )  # fmt: skip
    assert json.loads(ended.stdout)["done"] == HOMES, ended.stderr
    place = s3.list_objects("archive-of-homes", "out/")
    found = {one.key[4:]: s3.get_object(f"s3://archive-of-homes/{one.key}") for one in place}
    assert found == alone
    s3.s3_client.cache_clear()


def test_workers_must_be_there_and_run_this_saafe(
    here: Machines, homes: Path, tmp_path: Path
) -> None:
    words = ("detect", f"{homes}/*/*.parquet", "--out", tmp_path / "e")
    older, changed, without = (tmp_path / name for name in ("older", "changed", "without"))
    for folder in (older, changed):
        shutil.copytree(ROOT / "saafe", folder / "saafe")
    init = older / "saafe" / "__init__.py"
    init.write_text(init.read_text().replace("__version__ = ", "__version__ = '0.0.9'  # "))
    with (changed / "saafe" / "windows.py").open("a") as file:
        file.write("# another line\n")
    without.mkdir()
    (without / "saafe.py").write_text("raise ModuleNotFoundError(name='saafe')\n")
    for folder, line in (
        (None, f"saafe: the scheduler at {here.address} has no workers: start some"),
        (older, " runs saafe 0.0.9, this is "),
        (changed, "of other source code: install the same there"),
        (without, ' has no saafe: pip install "saafe[fleet]'),
    ):
        here.end_workers()
        if folder:
            here.add(1, PYTHONPATH=str(folder))
        ended = here.saafe(*words)
        assert ended.returncode == 1, ended.stderr
        assert line in ended.stderr
        assert ended.stderr.count("\n") == 1
        assert ended.stdout == ""
    assert done(tmp_path / "e") == 0


def test_shards_of_a_long_exam_are_those_of_one_process(
    here: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, device, numbers = small_run(tmp_path), None, (0, 1, 5)
    device = exam_device(run, "saafe-4")
    monkeypatch.setattr("saafe.training.thresholds.REFERENCE_STREAMS", 16)
    (tmp_path / "few.py").write_text(FEW)
    here.preload = ("--preload", str(tmp_path / "few.py"))
    here.add(2)
    here.preload = ()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            sigkill(here.workers[0])

    write_shards(run, device, tmp_path / "there", numbers, on_progress=say,
                 work=partial(shards_on, here.address))  # fmt: skip
    assert any(line.startswith("3 of 3 shards, 1 workers, 00:00 left") for line in said), said
    assert any(line.startswith("shard 5: ") for line in said)  # of a worker
    before = contents(tmp_path / "there")
    write_shards(run, device, tmp_path / "there", numbers, work=partial(shards_on, "nowhere"))
    assert contents(tmp_path / "there") == before  # nothing was left to do
    for name, value in {
        "QUIET_STREAMS_OF_A_SHARD": 6, "QUIET_BATCH": 2, "QUIET_HOURS": 1.0,
        "COOKINGS_OF_A_SHARD": 1,
    }.items():  # fmt: skip
        monkeypatch.setattr(long, name, value)
    monkeypatch.setattr("saafe.exam.long.sources.NUISANCES", sources.NUISANCES[:3])
    torch.set_num_threads(1)
    write_shards(run, device, tmp_path / "here", numbers)
    timeless = [
        {
            name: {k: v for k, v in json.loads(data).items() if k != "seconds"}
            for name, data in contents(tmp_path / folder).items()
        }
        for folder in ("here", "there")
    ]
    assert timeless[0] == timeless[1]
    assert len(timeless[0]) == 3


def test_a_scheduler_that_dies_ends_it_in_a_line(homes: Path, tmp_path: Path) -> None:
    events = tmp_path / "events"
    with machines(tmp_path / "dask", workers=1) as own:
        command = own.begin("detect", f"{homes}/*/*.parquet", "--out", events)
        wait_for(lambda: done(events) >= 2)
        sigkill(own.scheduler)
        _, said = command.communicate(timeout=120)
    assert command.returncode == 1
    assert said.splitlines()[-1].startswith("saafe: the scheduler does not answer any more")
    assert "Traceback" not in said
    assert 0 < done(events) < HOMES


def test_a_number_starts_workers_here_and_a_run_travels(homes: Path, tmp_path: Path) -> None:
    run, pattern = small_run(tmp_path), f"{homes}/site-1/*.parquet"
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "saafe", "detect", run.folder, pattern,
         "--out", tmp_path / "there", "--workers", "2"],
        capture_output=True, text=True, env=environment(),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"{tmp_path / 'there'}: ")
    saafe_command("detect", run.folder, pattern, "--out", tmp_path / "here")
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_ctrl_c_in_a_terminal_reaches_workers_here_and_is_one_line(
    homes: Path, tmp_path: Path
) -> None:
    events = tmp_path / "events"
    command = subprocess.Popen(
        [sys.executable, "-m", "saafe", "detect", f"{homes}/*/*.parquet", "--out", events,
         "--workers", "1"],
        stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True,
    )  # fmt: skip
    wait_for(lambda: done(events) >= 1)
    os.killpg(command.pid, signal.SIGINT)
    _, said = command.communicate(timeout=60)
    assert (command.returncode, said.splitlines()[-1]) == (130, "saafe: interrupted")
    assert "Traceback" not in said


def test_what_kills_each_worker_fails_alone(tmp_path: Path) -> None:
    def send(word: str) -> tuple[str]:
        return (word,)

    variables = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",  # dask's own is 3
    }
    words = ("well", "dies", "full", "also well", "fine")
    with (
        machines(tmp_path / "dask", workers=3, **variables) as own,
        cluster_at(own.address) as all_,
    ):
        all_.wait_for_workers(3)
        found = dict(spread(all_, machines_fixtures.task, words, send=send, common="is "))
        for word in ("well", "also well", "fine"):
            assert found[word] == f"is {word}"
        assert "each worker that tried it died (1)" in str(found["dies"])
        assert "a worker could not ([Errno 28] No space left" in str(found["full"])
        with pytest.raises(ZeroDivisionError):
            list(spread(all_, machines_fixtures.task, ["bug"], send=send, common=""))
