"""What an exam has found so far, kept in a file: one that was broken off goes on from there.

A part is what a step gives that draws nothing: what the detector says of one recording, say. It is
found by a digest of all that it follows from, so that no other model's or code's is ever taken.
"""

import base64
import hashlib
import json
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from saafe import recipes
from saafe.exam.examinee import Examinee, weights_file
from saafe.recordings import Recording
from saafe.training import Run, runs

KEPT_PARTS = ".parts"  # how the file ends
MACHINE = ("python", "system", "device", "threads")  # what last digits may follow from
ARRAY = "array of"
PLAIN = (bytes, str, int, float, np.generic)  # whose text tells all of them

_Made = TypeVar("_Made")


class KeptParts:
    """Steps of an exam, each done once, whatever breaks it off; and its clock."""

    def __init__(
        self, path: Path | None = None, *, of: str = "", say: Callable[[str], None] = lambda _: None
    ) -> None:  # fmt: skip
        """Take up what the file holds.

        Args:
            path: of the file; None keeps nothing.
            of: what every part follows from, as `basis` tells; others' parts are not taken up.
            say: takes a line where parts are taken up, or cannot be kept.
        """
        self.path, self.of, self.say = path, of, say
        self._began_s, self._skipped_s = time.perf_counter(), 0.0
        self._lock, self._found = threading.Lock(), {} if path is None else parts_in(path, of)
        if path is not None and not self._found:
            path.unlink(missing_ok=True)  # of another model or code
        if self._found:
            say(f"going on from an exam that was broken off: {len(self._found):,} parts kept")

    @property
    def seconds(self) -> float:
        """Time that all parts took, those before a break included. [s]"""
        return time.perf_counter() - self._began_s + self._skipped_s

    def once(self, name: str, make: Callable[[], _Made], *given: object) -> _Made:
        """What a step makes, or made before the break.

        Args:
            name: of the step.
            make: does it; gives plain values as JSON has them, and arrays.
            given: all that it follows from beside `of`.
        """
        if self.path is None:
            return make()
        key = digest(self.of, name, given)
        if key in self._found:
            after_s, kept = self._found[key]
            with self._lock:
                ahead_s = after_s - (time.perf_counter() - self._began_s)
                self._skipped_s = max(self._skipped_s, ahead_s)
            return unpacked(kept)
        made = make()
        # the line before may have been cut short
        self._keep(f"\n{self.of} {key} {self.seconds:.2f} ".encode() + packed(made))
        return made

    def drop(self) -> None:
        """Forget the parts: the exam is written."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _keep(self, line: bytes) -> None:
        with self._lock:
            if self.path is None:
                return
            try:
                with self.path.open("ab", buffering=0) as file:
                    file.write(line)
            except OSError as error:
                self.say(
                    f"{self.path}: cannot be written ({error.strerror}); this exam goes on, but "
                    "would begin anew if it were broken off"
                )
                with suppress(OSError):  # it may be the room that the exam's own files need
                    self.path.unlink()
                self.path = None


def parts_in(path: Path, of: str) -> dict[str, tuple[float, bytes]]:
    """The parts of a file that follow from the same: when each was there [s], and as packed.

    A line that a kill cut short is passed over.
    """
    found: dict[str, tuple[float, bytes]] = {}
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return found
    for line in lines:
        with suppress(ValueError, zlib.error):
            begin, key, after_s, kept = line.split(b" ")
            if begin == of.encode():
                zlib.decompress(base64.b64decode(kept))  # which has a checksum
                found[key.decode()] = float(after_s), kept
    return found


def packed(value: object) -> bytes:
    """A plain value on one line, its arrays to the bit."""
    return base64.b64encode(zlib.compress(json.dumps(value, default=plain_array).encode(), 1))


def unpacked(line: bytes) -> Any:
    """The value again."""
    return json.loads(zlib.decompress(base64.b64decode(line)), object_hook=array_again)


def plain_array(value: object) -> Any:
    """An array or a number of numpy's, as JSON takes it.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {ARRAY: value.dtype.str, "shape": value.shape, "data": data}
    raise TypeError(f"{type(value).__name__} is no plain value")


def array_again(row: dict[str, Any]) -> Any:
    """The array that a row of `plain_array` tells; another row as it is."""
    if ARRAY not in row:
        return row
    values = np.frombuffer(base64.b64decode(row["data"]), row[ARRAY])
    return values.reshape(row["shape"]).copy()


def basis(one: Examinee) -> str:
    """What every part of an exam follows from: code, machine, weights and recipe, as a digest."""
    now = runs.environment()
    weights = one.model.state_dict() if isinstance(one, Run) else {}
    return digest(
        package_digest(),
        sorted((one.name, one.version) for one in distributions()),
        [now[name] for name in MACHINE],
        runs.sha256(weights_file(one)),
        {name: tensor.cpu().numpy() for name, tensor in weights.items()},
        recipes.to_dict(one.recipe),
    )


@cache
def package_digest() -> str:
    """A digest of all of saafe: its code and its tables."""
    root = Path(__file__).parents[1]
    files = [path for path in sorted(root.rglob("*")) if "__pycache__" not in path.parts]
    named = [(path.relative_to(root).as_posix(), path) for path in files if path.is_file()]
    return digest([(name, path.read_bytes()) for name, path in named])


def digest(*values: object) -> str:
    """A digest of plain values, arrays, rows and recordings; of a recording, what is read of it."""
    found = hashlib.blake2b(digest_size=16)
    feed(found.update, values)
    return found.hexdigest()


def feed(update: Callable[[Any], None], value: object) -> None:
    """Feed a digest a value, so that no two differ unseen.

    Raises:
        TypeError: it is of a kind whose contents are not known.
    """
    if isinstance(value, Recording):
        names = ("times_s", "readings", "sensors", "refused", "turns")
        value = [getattr(value, name) for name in names]
    if isinstance(value, np.ndarray):
        update(f"array {value.dtype.str} {value.shape} ".encode())
        update(np.ascontiguousarray(value).data.cast("B") if value.size else b"")
    elif is_dataclass(value):
        update(f"{type(value).__name__} ".encode())
        feed(update, {field.name: getattr(value, field.name) for field in fields(value)})
    elif isinstance(value, Mapping):
        feed(update, [*value.items()])
    elif isinstance(value, list | tuple):
        update(f"row {len(value)} ".encode())
        for item in value:
            feed(update, item)
    elif value is None or isinstance(value, PLAIN):
        text = repr(value).encode()
        update(f"{type(value).__name__} {len(text)} ".encode() + text)
    else:
        raise TypeError(f"{type(value).__name__}: a digest does not know what it holds")
