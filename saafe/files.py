"""Files that are written whole or not at all."""

import errno
import json
import os
import threading
from pathlib import Path

from saafe.errors import InputError

FREE_SPACE = "free some space or choose another --out"


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
            that ends in this thread's number, as `training_run.sweep` expects.
        mend: what the user can do if it cannot be written.
        is_durable: wait until it would survive a power cut.

    Raises:
        InputError: the disk is full or the folder cannot be written; the old file stands.
    """
    partial = partial or path.with_name(f".{path.name}.{threading.get_native_id()}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror}); {mend}") from None


def write_json(
    path: Path, value: object, *, mend: str = FREE_SPACE, is_durable: bool = False
) -> None:
    """Write JSON as `write_atomically` does."""
    data = (json.dumps(value, indent=2) + "\n").encode()
    write_atomically(path, data, mend=mend, is_durable=is_durable)


def writable_folder(folder: Path, mend: str = "choose another --out") -> Path:
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
