"""What workers are asked for: recordings of an archive, and shards of a long exam."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from saafe.errors import InputError
from saafe.formats import clock
from saafe.machines.archive import DetectOptions, Outcome, outcome_of
from saafe.machines.cluster import LostItemError, cluster_at, spread
from saafe.machines.s3 import is_s3
from saafe.machines.shipping import Shipment, on_one_core, pack_model, unpack_model
from saafe.machines.storage import Entry, read_entry

if TYPE_CHECKING:
    from saafe.exam import ExamDevice
    from saafe.training import Run


def outcomes_on(
    address: str, model: Any, entries: Sequence[Entry], how: DetectOptions,
    *, on_wait: Callable[[int], None] = lambda _workers: None,
) -> Iterator[tuple[Entry, Outcome]]:  # fmt: skip
    """The outcomes of recordings from workers, in the order in which they are done.

    A worker reads what lies in S3 itself; what lies on this machine's disk is sent to it.

    Args:
        address: see `cluster_at`.
        model: a loaded run folder or exported file.
        entries: the recordings.
        how: what is asked of each.
        on_wait: takes the number of workers, about once a second.

    Raises:
        InputError: see `cluster_at` and `spread`.
    """

    def send(entry: Entry) -> tuple[str, bytes | None, str]:
        try:
            return entry.path, None if is_s3(entry.path) else read_entry(entry.path), ""
        except (OSError, ValueError):
            return entry.path, None, outcome_of(model, entry.path, how).error

    with cluster_at(address) as client:
        common = pack_model(model), how
        for entry, found in spread(
            client, outcome_there, entries, send=send, common=common, on_wait=on_wait
        ):
            if isinstance(found, LostItemError):
                found = Outcome(error=f"{entry.path}: {found}")
            yield entry, found


def outcome_there(
    common: tuple[Shipment, DetectOptions], path: str, data: bytes | None, refusal: str
) -> Outcome:
    """The outcome of one recording, on a worker."""
    if refusal:  # this machine could not read it, and said why
        return Outcome(error=refusal)
    shipment, how = common
    return outcome_of(unpack_model(shipment), path, how, data)


def shards_on(
    address: str, run: "Run", device: "ExamDevice", numbers: Sequence[int],
    *, on_progress: Callable[[str], None] = lambda _line: None,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Shards of the long exam from workers, as `write_shards` takes them.

    Args:
        address: see `cluster_at`.
        run: a loaded run folder.
        device: of the exam.
        numbers: of the shards.
        on_progress: takes a line of progress.

    Raises:
        InputError: see `cluster_at` and `spread`; or workers died at a shard, each that tried it.
    """
    from saafe.training import run_for

    run_for(run, device.sensors, say=on_progress)  # set here, so that all have the same
    topic, lost, done = f"saafe-{uuid.uuid4().hex}", [], 0
    with cluster_at(address) as client:
        client.subscribe_topic(topic, lambda event: on_progress(event[1]))
        began = time.monotonic()
        for number, shard in spread(
            client, shard_there, numbers, send=lambda number: (number,),
            common=(pack_model(run), device, topic),
        ):  # fmt: skip
            if isinstance(shard, LostItemError):
                on_progress(f"shard {number}: {shard}")
                lost.append(number)
                continue
            done += 1
            yield shard
            spent_s, left = time.monotonic() - began, len(numbers) - done - len(lost)
            workers = len(client.nthreads())
            on_progress(
                f"{done} of {len(numbers)} shards, {workers} workers, "
                f"{clock(spent_s / done * left)} left"
            )
    if lost:
        raise InputError(
            f"shards {', '.join(map(str, lost))} are not done, the others are; run this again"
        )


def shard_there(common: tuple[Shipment, Any, str], number: int) -> dict[str, Any]:
    """One shard, on a worker."""
    from saafe.exam import examine_shard

    shipment, device, topic = common
    worker = import_module("distributed").get_worker()
    with on_one_core():
        return examine_shard(
            unpack_model(shipment), device, number,
            on_progress=lambda line: worker.log_event(topic, line),
        )  # fmt: skip
