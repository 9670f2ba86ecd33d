"""Workers as threads of this process: what a task gives, what fails, what is said of it.

tests/test_machines_workers.py has them as processes that die.
"""

import gc
import io
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import machines_fixtures
import pytest
from distributed import Client, LocalCluster
from distributed.comm import CommClosedError
from export_fixtures import small_run
from test_machines import contents, saafe_command, write_home

from saafe import __version__
from saafe.cli import archive as screen
from saafe.detector import PACKAGED_MODEL, load_exported
from saafe.errors import InputError, as_given, on_command_line
from saafe.exam import long
from saafe.exam.quick import exam_device
from saafe.machines import cluster
from saafe.machines.archive import DetectOptions, Outcome, Tally
from saafe.machines.cluster import LostItemError, cluster_at, spread
from saafe.machines.remote import outcomes_on, shards_on
from saafe.machines.storage import Entry, find_entries
from saafe.simulator import sources


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler and two workers."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp://", host="127.0.0.1",
        dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
    ) as here:  # fmt: skip
        yield here.scheduler_address


def word(one: str) -> tuple[str]:
    return (one,)


def test_every_item_comes_back_once_with_what_its_task_gave(address: str) -> None:
    items = [str(k) for k in range(23)]  # more than are sent ahead
    waited: list[int] = []
    with cluster_at(address) as client:
        found = list(
            spread(client, machines_fixtures.task, items, send=word, common="is ",
                   on_wait=waited.append)
        )  # fmt: skip
    assert sorted(item for item, _ in found) == sorted(items)
    assert all(value == f"is {item}" for item, value in found)
    assert set(waited) == {2}


def test_what_a_worker_lacks_costs_its_item_and_a_bug_is_raised(address: str) -> None:
    with cluster_at(address) as client:
        run = partial(spread, client, machines_fixtures.task, send=word, common="is ")
        found = dict(run(["well", "full", "fine"]))
        assert (found["well"], found["fine"]) == ("is well", "is fine")
        assert isinstance(found["full"], LostItemError)
        assert not found["full"].is_death
        assert str(found["full"]) == "a worker could not ([Errno 28] No space left on device)"
        with pytest.raises(ZeroDivisionError):
            list(run(["bug"]))
        with pytest.raises(InputError, match=r"no nowhere: .* pip install \"saafe\[train,fleet\]"):
            list(spread(client, absent, ["any"], send=word, common=""))


def test_errors_of_workers_name_what_whoever_asked_can_change(address: str) -> None:
    """`saafe detect --workers` named arguments of Python: a worker is no command line."""
    with cluster_at(address) as client:
        run = partial(spread, client, named, ["any"], send=word, common="zone")
        assert [value for _, value in run()] == ["zone"]
        with on_command_line():
            assert [value for _, value in run()] == ["--zone"]


def named(common: str, _word: str) -> str:
    return as_given(f"--{common}", common)


def absent(_common: str, _word: str) -> None:
    raise ModuleNotFoundError(name="nowhere")


def test_a_scheduler_that_goes_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    here = LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp://", host="127.0.0.1",
        dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
    )  # fmt: skip
    with cluster_at(here.scheduler_address) as client:
        found = spread(client, machines_fixtures.task, map(str, range(99)), send=word, common="")
        next(found)
        here.close()
        with pytest.raises(InputError, match="does not answer any more"):
            list(found)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("0", "--workers 0: give 1 to 1024, or the address of a scheduler"),
        ("1025", "--workers 1025: give 1 to 1024"),
        ("127.0.0.1:1", "no scheduler answers at 127.0.0.1:1: start one with `dask scheduler`"),
        ("tls://127.0.0.1:1", "tls:// needs certificates"),
        ("gopher://127.0.0.1:1", "give HOST:PORT or tls://HOST:PORT"),
        ("127.0.0.1:port", "give HOST:PORT or tls://HOST:PORT"),
    ],
)
def test_an_address_that_is_none_is_one_line(
    asked: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.2)
    with pytest.raises(InputError) as caught, cluster_at(asked):
        pass
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    # one that failed cannot be closed, and its finalizer may block the start of the next
    assert not [one for one in gc.get_objects() if type(one) is Client and one.status != "closed"]


def test_a_scheduler_without_workers_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.3)
    with (
        LocalCluster(n_workers=0, processes=False, protocol="tcp://", host="127.0.0.1",
                     dashboard_address="127.0.0.1:0") as here,
        pytest.raises(InputError, match="has no workers: start some with `dask worker tcp://"),
        cluster_at(here.scheduler_address),
    ):  # fmt: skip
        pass


class Lossy:
    """A client one of whose workers dies as it is asked."""

    def __init__(self, answers: dict[str, object], scheduler: object = None) -> None:
        self.answers, self.scheduler = answers, scheduler

    def nthreads(self) -> dict[str, int]:
        return {"tcp://a": 1, "tcp://b": 1}

    def run(self, ask: Any, *words: Any, **_: Any) -> dict[str, object]:
        return {"tcp://a": ask(*words), **self.answers}

    def run_on_scheduler(self, ask: Any, *words: Any) -> object:
        if isinstance(self.scheduler, Exception):
            raise self.scheduler
        return self.scheduler or ask(*words)


def test_a_worker_that_dies_as_it_is_asked_runs_no_other_saafe() -> None:
    cluster.check_workers(Lossy({"tcp://b": CommClosedError("gone")}), "address")


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (Lossy({"tcp://b": ValueError("odd")}), "tcp://b cannot import saafe (odd): pip install"),
        (Lossy({"tcp://b": ModuleNotFoundError(name="saafe")}), "tcp://b has no saafe: pip"),
        (Lossy({"tcp://b": "0.0.9"}), f"tcp://b runs saafe 0.0.9, this is {__version__}: pip"),
        (Lossy({"tcp://b": __version__}), f"runs a saafe {__version__} of other source code"),
        (Lossy({}, "0.0.9"), "the scheduler runs saafe 0.0.9"),
        (Lossy({}, ModuleNotFoundError(name="saafe")), "the scheduler has no saafe: pip install"),
    ],
)
def test_another_saafe_is_refused(client: Lossy, said: str) -> None:
    with pytest.raises(InputError) as caught:
        cluster.check_workers(client, "address")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_events_of_workers_are_those_of_one_process(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for k in range(3):
        write_home(tmp_path / "homes" / f"home-{k}.parquet", k, hours=1.2, burns=k == 1)
    (tmp_path / "homes" / "broken.parquet").write_bytes(b"PAR1 and no more")
    alone = saafe_command("detect", "homes/*.parquet", "--out", "alone")
    there = saafe_command("detect", "homes/*.parquet", "--out", "there", "--workers", address)
    assert (alone[0], there[0]) == (1, 1), "one recording is broken"
    assert contents(Path("there")) == contents(Path("alone"))
    assert any(b'"alarm"' in data for data in contents(Path("there")).values())
    assert there[2].splitlines()[-1] == alone[2].splitlines()[-1]
    assert "broken.parquet" in there[2].splitlines()[-1]


def test_a_recording_that_goes_away_is_told_by_the_machine_that_reads_it(
    address: str, tmp_path: Path
) -> None:
    write_home(tmp_path / "home.parquet", 0)
    (entry,) = find_entries([str(tmp_path / "*.parquet")])
    Path(entry.path).unlink()
    ((same, found),) = outcomes_on(address, load_exported(PACKAGED_MODEL), [entry], DetectOptions())
    assert same == entry
    assert "home.parquet: no such file" in found.error


def test_shards_of_workers_are_those_of_one_process(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "QUIET_STREAMS_OF_A_SHARD": 2, "QUIET_BATCH": 2, "QUIET_HOURS": 1.0,
        "COOKINGS_OF_A_SHARD": 1,
    }.items():  # fmt: skip
        monkeypatch.setattr(long, name, value)
    monkeypatch.setattr(long.sources, "NUISANCES", sources.NUISANCES[:1])
    monkeypatch.setattr("saafe.training.thresholds.REFERENCE_STREAMS", 4)
    run = small_run(tmp_path)
    device, said = exam_device(run, "saafe-4"), []
    there = list(shards_on(address, run, device, (0, 5), on_progress=said.append))
    here = [long.examine_shard(run, device, number) for number in (0, 5)]
    timeless = [
        sorted(({k: v for k, v in shard.items() if k != "seconds"} for shard in shards),
               key=lambda shard: shard["shard"])
        for shards in (there, here)
    ]  # fmt: skip
    assert timeless[0] == timeless[1]
    assert said[-1] == "2 of 2 shards, 2 workers, 00:00 left"


def test_the_screen_says_when_workers_come_and_go_and_what_is_odd(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = screen.ArchiveScreen()
    for workers in (2, 2, 1, 4):
        shown.wait(workers)
    entry, tally = Entry("a.csv", "a.csv", 10, 0.0), Tally(recordings=2_000, bytes_wanted=40)
    for outcome in (Outcome(error="a.csv: two\nlines"), Outcome(notes=("an odd cell",))):
        tally.add(entry, outcome)
        shown.show(entry, outcome, tally)
    assert capsys.readouterr().err.splitlines() == [
        "1 of the workers lost: its recordings are done by others; 1 now",
        "3 of the workers joined; 4 now",
        "saafe: a.csv: two lines",
        "a.csv: an odd cell",
    ]
    tally.seconds = 30.0
    assert screen.progress(tally, 1) == "2 of 2,000 recordings, 1 failed, 1 worker, 00:30 left"


def test_on_a_terminal_progress_goes_over_itself_and_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    shown = screen.ArchiveScreen()
    entry, tally = Entry("a.csv", "a.csv", 10, 0.0), Tally(recordings=10, bytes_wanted=100)
    tally.add(entry, Outcome())
    shown.show(entry, Outcome(), tally)
    line = screen.progress(tally, None)
    assert terminal.getvalue() == f"\r{line}"
    shown.note("odd")
    assert terminal.getvalue() == f"\r{line}\r{' ' * len(line)}\rodd\n"
    shown.end()
    assert terminal.getvalue().endswith("odd\n"), "there is nothing left to take away"
