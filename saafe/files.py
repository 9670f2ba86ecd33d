"""Files that are written whole or not at all, and the one way in which JSON is written."""

import errno
import json
import math
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from saafe.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: two processes in one folder are the user's affair
    fcntl = None

FREE_SPACE = "free some space, or choose another folder"
SCRATCH_TIMES, SCRATCH_LEAST = 8, 1 << 22  # Chosen: what compilers and converters write for a model


@contextmanager
def sole_use(folder: Path, refusal: str) -> Iterator[None]:
    """Keep a folder from other processes that ask for it so; a kill lets go of it.

    Raises:
        InputError: another process has it; `refusal` says so.
    """
    if fcntl is None:
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a disk that knows no locks
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(refusal) from None
        yield
    finally:
        os.close(held)


def write_atomically(
    path: Path,
    data: bytes,
    *,
    partial: Path | None = None,
    mend: str = FREE_SPACE,
    is_durable: bool = False,
) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of one.

    Args:
        path: of the file; its folder exists.
        data: all of it.
        partial: where it is written first, on the same disk; by default a hidden file beside it
            that ends in this thread's number, as `training_run.sweep` expects. A device or a pipe
            is written in place, and a link stays: a file must not take their place.
        mend: what the user can do if it cannot be written.
        is_durable: wait until it would survive a power cut.

    Raises:
        InputError: the disk is full or the folder cannot be written; the old file stands.
    """
    target = Path(os.path.realpath(path))
    # a name may be as long as a disk takes it, of four bytes a letter
    partial = partial or target.with_name(f".{target.name[:50]}.{threading.get_native_id()}")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        with partial.open("wb") as file:
            file.write(data)
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, target)
        if is_durable:
            sync_folder(target.parent)
    except OSError as error:
        with suppress(OSError):  # where nothing can be written, nothing lies
            partial.unlink()
        raise InputError(f"{path}: cannot be written ({error.strerror}); {mend}") from None


def sync_folder(folder: Path) -> None:
    """Wait until a folder's names would survive a power cut, where the system lets one wait."""
    with suppress(OSError):  # a system or a disk that opens or syncs no folders
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


@contextmanager
def scratch_folder(size: int) -> Iterator[Path]:
    """A folder that is removed in the end, for what other programs make of `size` bytes.

    What those say of a full disk is that their own files are damaged.

    Raises:
        InputError: there is too little room for it.
    """
    needed = SCRATCH_TIMES * size + SCRATCH_LEAST
    try:
        with tempfile.TemporaryDirectory() as name:
            if shutil.disk_usage(name).free < needed:
                raise OSError(errno.ENOSPC, f"less than {math.ceil(needed / 1e6)} MB free")
            yield Path(name)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"{tempfile.gettempdir()}: no room for temporary files ({error.strerror}); free some "
            "space, or name another folder in TMPDIR"
        ) from None


def write_json(
    path: Path, value: object, *, mend: str = FREE_SPACE, is_durable: bool = False
) -> None:
    """Write JSON as `write_atomically` does."""
    data = (json_text(value, indent=2) + "\n").encode()
    write_atomically(path, data, mend=mend, is_durable=is_durable)


def json_text(value: object, **layout: Any) -> str:
    """JSON of plain values, which every reader takes: NaN and infinities become null.

    Args:
        value: of dictionaries, lists, words and numbers.
        layout: `indent`, `sort_keys` or `separators`, as `json.dumps` takes them.
    """
    return json.dumps(_finite(value), allow_nan=False, **layout)


def _finite(value: Any) -> Any:
    """The value, None in place of each number that is none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def cache_folder() -> Path:
    """Where saafe keeps what it can make or fetch again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "saafe"


def read_file(path: Path) -> bytes:
    """All of a file.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is there, but this user or this machine cannot read it.
    """
    try:
        return path.read_bytes()
    except NotADirectoryError:
        raise FileNotFoundError(path) from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(
            f"{path}: is unreadable ({error.strerror}); mend its rights, or copy it again"
        ) from None


def plain_name(name: str) -> str:
    """A name as one part of a path: a recording's or sensor's own may hold a slash or be `..`."""
    return re.sub(r"[/\\\x00-\x1f]|^\.", "_", name) or "_"


def writable_folder(folder: Path, mend: str = "choose another folder") -> Path:
    """The folder itself, made where it is not there.

    Args:
        folder: to write into.
        mend: what the user can do if that cannot be.

    Raises:
        InputError: it cannot be made, or not be written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); {mend}") from None
    return folder
