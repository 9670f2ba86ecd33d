"""Workers on other machines, by dask.distributed: who answers, what they run, and their tasks.

Scheduler, workers and this process exchange pickles, as dask does: all are trusted, or TLS with
certificates keeps others out (docs/scale.md).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

from saafe import __version__
from saafe.cloud import pack
from saafe.errors import InputError, is_on_command_line, on_command_line

INSTALL_FLEET = 'working with --workers needs dask: pip install "saafe[fleet]"'
START_ONE = "start one with `dask scheduler`, and workers with `dask worker ADDRESS`"
NEEDS_TLS = "tls:// needs certificates in dask's configuration (docs/scale.md)"
CONNECT_S = 10.0  # Chosen: a scheduler that lives answers sooner
NO_WORKER_S = 300.0  # Chosen: for so long all workers may be away, as when they are replaced
ASKED_EVERY_S = 1.0  # how often waiting is told of
QUIETED_LOGGERS = ("distributed", "distributed.client", "tornado", "tornado.application", "asyncio")
TASKS_AHEAD = 2  # tasks a core that are sent before it asks, so that it never waits for the network
SCHEDULER = "the scheduler"
# a Ctrl-C reaches all processes of a terminal: ours ends the workers, without their tracebacks
NO_CTRL_C = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
PINNED = {  # of this process alone
    "distributed.comm.timeouts.connect": f"{CONNECT_S:g}s",
    "distributed.admin.large-graph-warning-threshold": "1TiB",  # recordings travel with tasks
}

Piece = TypeVar("Piece")


@contextmanager
def cluster_at(address: str) -> Iterator[Any]:
    """A client of the scheduler at an address; a number starts so many workers here instead.

    Args:
        address: HOST:PORT, tcp://HOST:PORT, or tls://HOST:PORT with certificates by dask's own
            configuration; or the number of processes to start on this machine.

    Raises:
        InputError: dask is not installed; nobody answers; there is no worker; somebody runs
            another saafe or none.
    """
    try:
        distributed, dask = import_module("distributed"), import_module("dask")
    except ModuleNotFoundError:
        raise InputError(INSTALL_FLEET) from None
    for name in QUIETED_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is said here
    with dask.config.set(PINNED):
        client = local_client(distributed, int(address)) if address.isdigit() else remote_client(
            distributed, address
        )  # fmt: skip
        try:
            check_workers(client, address)
            yield client
        finally:
            client.close(timeout=2)
            if client.cluster is not None:
                client.cluster.close(timeout=5)


def remote_client(distributed: Any, address: str) -> Any:
    """A client of a scheduler that runs.

    Raises:
        InputError: none answers there.
    """
    try:
        asyncio.run(knock(distributed, address))
        return distributed.Client(address, timeout=CONNECT_S)
    except (OSError, TimeoutError) as error:
        is_closed = not address.startswith("tls://") or "refused" in str(error)
        mend = START_ONE if is_closed else "check its certificates and yours"
        raise InputError(f"no scheduler answers at {address}: {mend}") from None
    except (ValueError, TypeError, RuntimeError) as error:  # no port, no such scheme, no keys
        reason = NEEDS_TLS if "TLS" in str(error) else " ".join(str(error).split())
        raise InputError(
            f"--workers {address}: {reason}; give HOST:PORT or tls://HOST:PORT"
        ) from None


async def knock(distributed: Any, address: str) -> None:
    """Open and close a connection: a Client that fails cannot be closed, and may block later ones.

    Its finalizer takes a lock of dask in whichever thread collects it.

    Raises:
        OSError: nobody answers.
        ValueError: the address is none.
        TypeError, RuntimeError: its certificates are missing.
    """
    secured = distributed.Security().get_connection_args("client")
    comm = await distributed.core.connect(address, timeout=CONNECT_S, **secured)
    await comm.close()


def local_client(distributed: Any, number: int) -> Any:
    """A client of workers that are started on this machine, and end with it.

    Raises:
        InputError: the number is none.
    """
    if not 1 <= number <= 1024:
        raise InputError(f"--workers {number}: give 1 to 1024, or the address of a scheduler")
    cluster = distributed.LocalCluster(
        n_workers=number,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
        silence_logs=logging.CRITICAL,
        preload=NO_CTRL_C,
    )
    return distributed.Client(cluster)


def check_workers(client: Any, address: str) -> None:
    """Check that there are workers, and that all run the saafe of this process.

    Raises:
        InputError: there are none, or somebody runs another saafe or none.
    """
    deadline = time.monotonic() + CONNECT_S
    while not client.nthreads():
        if time.monotonic() > deadline:
            raise InputError(
                f"the scheduler at {address} has no workers: start some with "
                f"`dask worker {address} --nthreads 1`"
            )
        time.sleep(0.2)
    ask = "__import__('saafe').__version__"
    said = client.run(eval, ask, on_error="return")  # a builtin: it needs no saafe to be sent
    try:
        said[SCHEDULER] = client.run_on_scheduler(eval, ask)
    except Exception as error:  # whatever its machine raises
        said[SCHEDULER] = error
    for who, version in said.items():
        if who == SCHEDULER or not is_lost(version):
            refuse_other(who, version, __version__)
    mine, said = source_digest(), client.run(source_digest, on_error="return")
    for who, digest in said.items():
        if digest != mine and not is_lost(digest):
            raise InputError(
                f"{who} runs a saafe {__version__} of other source code: install the same there"
            )


def is_lost(answer: object) -> bool:
    """Whether a worker has died instead of answering: others do its part, or its successor."""
    return isinstance(answer, OSError)


def refuse_other(who: str, version: object, wanted: str) -> None:
    """Refuse a worker or a scheduler of another version.

    Raises:
        InputError: it is one.
    """
    install = f'pip install "saafe[fleet]=={wanted}" there'
    if isinstance(version, ModuleNotFoundError):
        raise InputError(f"{who} has no {version.name}: {install}")
    if isinstance(version, BaseException):
        raise InputError(f"{who} cannot import saafe ({version}): {install}")
    if version != wanted:
        raise InputError(f"{who} runs saafe {version}, this is {wanted}: {install}")


def source_digest() -> str:
    """The hash of the source code that runs."""
    return pack().sha256


class LostItemError(Exception):
    """A task whose workers died each time, or lack memory or disk."""

    def __init__(self, why: str, *, is_death: bool = False) -> None:
        """Say why, and whether workers died."""
        super().__init__(why)
        self.is_death = is_death


def spread(
    client: Any, task: Callable[..., Any], items: Iterable[Piece],
    *, send: Callable[[Piece], tuple], common: Any,
    on_wait: Callable[[int], None] = lambda _workers: None,
) -> Iterator[tuple[Piece, Any]]:  # fmt: skip
    """Have workers do tasks; what a lost worker was at is done again by another.

    Args:
        client: of the scheduler.
        task: called there with `common` and what `send` gives; must be deterministic.
        items: one a task.
        send: what travels of an item.
        common: what all tasks need; it travels once to a worker.
        on_wait: takes the number of workers, about once a second.

    Yields:
        Items with what their task returned, in the order in which they are done; instead of what
        it returned a `LostItemError`, where too many workers died at it or lack what it takes.

    Raises:
        InputError: the scheduler went away, or all workers were away for five minutes.
    """
    distributed = import_module("distributed")
    told = {"common": common, "is_command": is_on_command_line()}
    held = client.submit(dict, told, pure=False)  # made anew where its worker is lost
    waiting, running, blamed = iter(items), {}, []
    is_over, is_alone, seen_s = False, False, time.monotonic()
    try:
        while True:
            threads = client.nthreads()
            seen_s = time.monotonic() if threads else seen_s
            on_wait(len(threads))
            most = 1 if is_alone else TASKS_AHEAD * max(sum(threads.values()), 1)
            while not is_over and len(running) < most:
                item = next(waiting, None)
                if is_over := item is None:
                    break
                future = client.submit(call, task, held, *send(item), pure=False)
                running[future] = item
            if not running:
                if not blamed:
                    return
                # a task is blamed that only waited where another killed: alone the truth shows
                waiting, blamed, is_over, is_alone = iter(blamed), [], False, True
                continue
            for future in first_done(list(running), distributed):
                item, value = running.pop(future), value_of(future, distributed)
                if isinstance(value, LostItemError) and value.is_death and not is_alone:
                    blamed.append(item)
                else:
                    yield item, value
            if time.monotonic() - seen_s > NO_WORKER_S:
                raise InputError(
                    "no worker is left: start some, and run this again; what is done is kept"
                )
    except (distributed.CancelledError, distributed.comm.CommClosedError, TimeoutError, OSError):
        raise InputError(
            "the scheduler does not answer any more: start it and its workers, and run this "
            "again; what is done is kept"
        ) from None
    finally:
        for future in running:
            future.release()


def first_done(futures: list, distributed: Any) -> Iterable[Any]:
    """Those that are done after a second, or as soon as one is."""
    try:
        return distributed.wait(futures, ASKED_EVERY_S, return_when="FIRST_COMPLETED").done
    except TimeoutError:
        return ()


def call(task: Callable[..., Any], held: dict[str, Any], *sent: Any) -> Any:
    """Do a task on a worker, whose errors are told to whoever asked."""
    with on_command_line(is_so=held["is_command"]):
        return task(held["common"], *sent)


def value_of(future: Any, distributed: Any) -> Any:
    """What a task returned; a bug in it is raised here, what its machine lacks is said."""
    try:
        return future.result()
    except distributed.comm.CommClosedError:  # an OSError of our own connection
        raise
    except (OSError, MemoryError) as error:
        return LostItemError(f"a worker could not ({' '.join(str(error).split()) or 'no memory'})")
    except distributed.KilledWorker as error:
        return LostItemError(
            f"each worker that tried it died ({error.allowed_failures + 1}); is memory enough?",
            is_death=True,
        )
    except ModuleNotFoundError as error:
        raise InputError(
            f"a worker has no {error.name}: install there what is installed here, such as "
            f'pip install "saafe[train,fleet]=={__version__}"'
        ) from None
