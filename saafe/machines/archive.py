"""The events of an archive: of each recording a file, here or on workers, done once.

EVENTS/NAME.jsonl holds what `saafe detect MODEL RECORDING` prints of the recording NAME, and is
empty where that is nothing. EVENTS/detect.json says what made them.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from saafe import __version__
from saafe.detector import Exported, Model, dated, detect, longest_pause, silence_notes
from saafe.errors import InputError
from saafe.files import json_text
from saafe.machines.s3 import is_s3
from saafe.machines.shipping import on_one_core
from saafe.machines.storage import OTHER_EVENTS, Entry, Storage, read_entry
from saafe.readers import read_recorded

MADE_BY = "detect.json"
EVENTS_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class DetectOptions:
    """What is asked of every recording."""

    export: Mapping[str, Any] | None = None  # as `read_recorded` takes it
    repair: bool = False
    longest_interval_s: float | None = None


class Outcome(NamedTuple):
    """What came of one recording."""

    lines: tuple[str, ...] = ()  # its events, as they are printed
    alarms: int = 0
    notes: tuple[str, ...] = ()  # what was odd about it
    error: str = ""  # why there are no events; "" = there are, or there is nothing to say


@dataclass
class Tally:
    """How far the work is."""

    recordings: int
    done_before: int = 0
    done: int = 0
    events: int = 0
    alarms: int = 0
    with_alarm: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    bytes_done: int = 0
    bytes_wanted: int = 0  # of what was not done before
    seconds: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Expected from the bytes done so far; None before the first."""
        if not self.bytes_done:
            return None
        return self.seconds * (self.bytes_wanted - self.bytes_done) / self.bytes_done

    def add(self, entry: Entry, outcome: Outcome) -> None:
        """Count one recording."""
        self.bytes_done += entry.size
        if outcome.error:
            self.failed.append({"file": entry.path, "error": outcome.error})
            return
        self.done += 1
        self.events += len(outcome.lines)
        self.alarms += outcome.alarms
        self.with_alarm += bool(outcome.alarms)

    def to_dict(self) -> dict[str, Any]:
        """What --json prints."""
        return {
            "recordings": self.recordings, "done": self.done, "done_before": self.done_before,
            "events": self.events, "alarms": self.alarms, "recordings_with_alarm": self.with_alarm,
            "failed": self.failed, "seconds": round(self.seconds, 3),
        }  # fmt: skip


Outcomes = Iterable[tuple[Entry, Outcome]]


def events_of_archive(
    model: Any, entries: list[Entry], storage: Storage, how: DetectOptions,
    *, work: Callable[[list[Entry]], Outcomes] | None = None,
    on_done: Callable[[Entry, Outcome, Tally], None] = lambda *_: None,
) -> Tally:  # fmt: skip
    """Find the events of recordings and write them, each file as soon as it is done.

    What is done is not done again, unless its recording has been written since.

    Args:
        model: a run or an exported model.
        entries: the recordings, each of a name of its own.
        storage: where the events go.
        how: what is asked of every recording.
        work: turns recordings into outcomes, in any order; in this process by default.
        on_done: takes each recording, what came of it, and how far the work is.

    Returns:
        What was done; recordings that cannot be read are in `failed`, the others go on.

    Raises:
        InputError: the storage holds events of another model or options, or cannot be written.
    """
    claim_storage(storage, model, how)
    written = storage.written()
    waiting = [
        entry for entry in entries
        if written.get(entry.name + EVENTS_SUFFIX, -1.0) < entry.changed_s
        or entry.name + EVENTS_SUFFIX not in written
    ]  # fmt: skip
    tally = Tally(len(entries), done_before=len(entries) - len(waiting),
                  bytes_wanted=sum(entry.size for entry in waiting))  # fmt: skip
    began = time.monotonic()
    work = work or (lambda all_: work_here(model, all_, how))
    refused = {entry: why for entry in waiting if (why := name_refused(entry, storage))}
    able = [entry for entry in waiting if entry not in refused]
    unable = ((entry, Outcome(error=why)) for entry, why in refused.items())
    for entry, outcome in chain(unable, work(able) if able else ()):
        if not outcome.error:
            data = "".join(f"{line}\n" for line in outcome.lines).encode()
            storage.write(entry.name + EVENTS_SUFFIX, data)
        tally.seconds = time.monotonic() - began
        tally.add(entry, outcome)
        on_done(entry, outcome, tally)
    return tally


def name_refused(entry: Entry, storage: Storage) -> str:
    """Why the storage cannot hold a recording's events; "" where it can."""
    longest = max(len(os.fsencode(part)) for part in (entry.name + EVENTS_SUFFIX).split("/"))
    if longest <= storage.longest_part:
        return ""
    return (
        f"{entry.path}: the name of its events would have {longest} bytes; allowed are "
        f"{storage.longest_part}; rename the recording"
    )


def claim_storage(storage: Storage, model: Any, how: DetectOptions) -> None:
    """Say on the storage what makes its events; refuse one that something else has made.

    Raises:
        InputError: it holds events of another model, of other thresholds, options or versions.
    """
    export = None if how.export is None else {k: repr(v) for k, v in how.export.items()}
    mine = {
        "saafe": __version__,
        "model": model.identity,
        "precision": model.metadata.get("precision") if isinstance(model, Exported) else None,
        "thresholds": model.settings.to_dict(),
        "longest_interval_s": how.longest_interval_s,
        "repair": how.repair,
        "export": export,
    }
    sent = {"sentinels": model.settings.sentinels, "units": model.settings.units}
    mine |= {name: told for name, told in sent.items() if told}
    mine = json.loads(json_text(mine))
    data = storage.read(MADE_BY)
    if data is None:
        storage.write(MADE_BY, (json_text(mine, indent=2) + "\n").encode())
        return
    try:
        theirs = json.loads(data)
        other = [name for name, value in mine.items() if theirs.get(name) != value]
    except (ValueError, AttributeError):
        raise InputError(f"{MADE_BY} of --out is unreadable; {OTHER_EVENTS}") from None
    if other:
        raise InputError(
            f"--out holds events that were made with another {' and '.join(other)} "
            f"({MADE_BY} there says which); {OTHER_EVENTS}"
        )


def work_here(
    model: Model, entries: Iterable[Entry], how: DetectOptions
) -> Iterator[tuple[Entry, Outcome]]:
    """The outcomes of recordings, one after the other in this process."""
    for entry in entries:
        yield entry, outcome_of(model, entry.path, how)


def outcome_of(model: Model, path: str, how: DetectOptions, data: bytes | None = None) -> Outcome:
    """Find the events of one recording, on one core.

    Args:
        model: a run, or anything with `score` and `settings`.
        path: as the user calls it; of a disk, or in S3.
        how: what is asked of it.
        data: its bytes, where its path leads nowhere on this machine.
    """
    told: dict[str, Any] = {
        "export": how.export, "repair": how.repair, "sentinels": model.settings.sentinels,
        "longest_interval_s": longest_pause(model, how.longest_interval_s),
    }  # fmt: skip
    try:
        if data is None and is_s3(path):
            data = read_entry(path)
        recording, check = (
            read_recorded(Path(path), **told) if data is None else read_bytes(path, data, told)
        )  # fmt: skip
    except InputError as error:
        return Outcome(error=str(error))
    with on_one_core():
        found = detect(model, recording, longest_interval_s=how.longest_interval_s)
    return Outcome(
        lines=tuple(json_text(event) for event in dated(found.events, recording.start)),
        alarms=sum(event["event"] == "alarm" for event in found.events),
        notes=(
            *(f"repaired: {repair}" for repair in check.repairs),
            *check.notes,
            *silence_notes(found.events, recording),
        ),
    )


def read_bytes(path: str, data: bytes, told: dict[str, Any]) -> Any:
    """Read a recording whose bytes are here and whose file is not; errors name its own path.

    `told` is what `read_recorded` takes.
    """
    with tempfile.TemporaryDirectory(prefix="saafe-") as folder:
        copy = Path(folder, Path(path).name)
        copy.write_bytes(data)
        try:
            return read_recorded(copy, **told)
        except InputError as error:
            beside = path.removesuffix(copy.name)  # the hint names a file there, too
            raise InputError(str(error).replace(f"{copy.parent}/", beside)) from None
