"""The ledger of launched jobs: one JSON file a job, written before money can flow.

No account id, bucket, role or key is kept: they follow from the credentials of the day.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: two launchers at the same instant are the user's affair
    fcntl = None

from saafe.cloud.request import setting
from saafe.errors import InputError
from saafe.files import writable_folder, write_json

ENDED = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(frozen=True)
class Ledger:
    """The jobs launched into one folder of runs."""

    runs: Path

    @property
    def folder(self) -> Path:
        """Where the entries are."""
        return self.runs / ".ledger"

    def write(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Keep one job's entry: whole or not at all, also when the process is killed."""
        path = writable_folder(self.folder, other_out()) / f"{check_name(entry['job'])}.json"
        # it must survive a power cut: it is the money's receipt
        write_json(path, entry, mend="free some space, and run this again", is_durable=True)
        return entry

    def update(self, entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Keep what changed of one job, and return its entry as it then stands.

        What another process (`saafe jobs` beside a watcher) has kept meanwhile stays. What is
        said of an earlier attempt comes too late, and a settled entry is only changed by who
        says whether it is settled still.
        """
        with self.locked():
            kept = _read(self.folder / f"{entry['job']}.json") or entry
            is_late = kept.get("attempts") != entry.get("attempts")
            if is_late or (kept.get("settled") and "settled" not in changes):
                return kept
            fresh = {**kept, **changes}
            return fresh if fresh == kept else self.write(fresh)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the ledger for this process; the system lets go when it dies."""
        with (writable_folder(self.folder, other_out()) / "lock").open("w") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def entries(self) -> list[dict[str, Any]]:
        """All jobs, oldest first; unreadable files are skipped."""
        found = [_read(path) for path in self.folder.glob("*.json")]
        return sorted((entry for entry in found if entry), key=lambda entry: entry["created"])

    def find(self, job: str) -> dict[str, Any]:
        """One job by its name or the start of it.

        Raises:
            InputError: none or several fit.
        """
        entries = self.entries()
        exact = [entry for entry in entries if entry["job"] == job]
        fitting = exact or [entry for entry in entries if entry["job"].startswith(job)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            names = ", ".join(entry["job"] for entry in fitting[-3:])
            raise InputError(f"{job} fits several jobs ({names}): write more of the name")
        raise InputError(f"no job {job} in {self.runs}: `saafe jobs --out DIR` lists what there is")

    def latest(self) -> dict[str, Any]:
        """The job launched last.

        Raises:
            InputError: nothing was launched.
        """
        entries = self.entries()
        if not entries:
            raise InputError(
                f"no job was launched from {self.runs}: start one with"
                " `saafe launch ultra-fast --on emulator`"
            )
        return entries[-1]

    def unfinished(self, fingerprint: str) -> dict[str, Any] | None:
        """The newest job of the same request that is not settled yet, if any."""
        same = [entry for entry in self.entries() if entry["fingerprint"] == fingerprint]
        return next((entry for entry in reversed(same) if not entry.get("settled")), None)


def other_out() -> str:
    """What to do where the folder of runs cannot be written."""
    return f"choose another {setting('out', 'DIR')}"


def check_name(job: str) -> str:
    """The name itself, if a job may have it.

    Raises:
        InputError: SageMaker does not take it, or it leaves no room for later attempts.
    """
    if not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,59}", job):
        raise InputError(f"job name {job!r}: allowed are 1 to 60 letters, digits, inner hyphens")
    return job


def _read(path: Path) -> dict[str, Any] | None:
    try:
        entry = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    is_entry = isinstance(entry, dict) and {"job", "created", "fingerprint"} <= entry.keys()
    return entry if is_entry else None
