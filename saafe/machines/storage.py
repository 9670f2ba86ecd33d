"""Where recordings lie and events go: folders of a disk, or S3.

Patterns mean the same in both: `*` and `?` stay within a folder, `**` is any number of folders.
"""

import fnmatch
import glob
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from saafe.errors import InputError
from saafe.files import plain_name, read_file, writable_folder, write_atomically
from saafe.machines.s3 import (
    S3_SCHEME,
    get_object,
    is_s3,
    list_objects,
    put_object,
    split_url,
)

OTHER_EVENTS = "name another folder for --out"


class Entry(NamedTuple):
    """A recording to work on."""

    path: str  # as the user would name it: of a file, or s3://BUCKET/KEY
    name: str  # below the fixed part of its pattern, "site-1/kitchen.parquet"; of a file its own
    size: int  # [byte]
    changed_s: float  # when it was written. [s since 1970]


def is_pattern(word: str) -> bool:
    """Whether a word stands for files by a pattern; a file may be called `a[1].csv`."""
    return glob.has_magic(word) and (is_s3(word) or not os.path.lexists(word))


def find_entries(words: Sequence[str]) -> list[Entry]:
    """The recordings that paths and patterns name, each once, sorted by what they are called.

    Raises:
        InputError: a pattern matches nothing, or two recordings are called the same.
    """
    found: dict[str, Entry] = {}
    for word in words:
        for entry in files_named(word):
            other = found.setdefault(entry.name, entry)
            if os.path.normpath(other.path) != os.path.normpath(entry.path):
                raise InputError(
                    f"{other.path} and {entry.path} are both called {entry.name}: give one "
                    "pattern from a folder above them, or examine them one after the other"
                )
    return [found[name] for name in sorted(found)]


def files_named(word: str) -> list[Entry]:
    """The recordings of one path or pattern; a path that is not there is one all the same.

    Raises:
        InputError: nothing matches.
    """
    if is_s3(word):
        found = entries_in_s3(word)
    elif is_pattern(word):
        fixed = fixed_part(word)
        paths = (path for path in glob.iglob(word, recursive=True) if not os.path.isdir(path))
        found = [entry_on_disk(path, path.removeprefix(fixed)) for path in sorted(paths)]
    else:
        found = [entry_on_disk(word, Path(word).name)]
    if not found:
        raise InputError(f"{word}: matches no file; check the folder and the pattern")
    return found


def entry_on_disk(path: str, name: str) -> Entry:
    """What a disk says of a file; nothing where it cannot: reading it will say why."""
    try:
        state = os.stat(path)
        size, changed_s = state.st_size, state.st_mtime
    except (OSError, ValueError):
        size, changed_s = 0, 0.0
    return Entry(path, name_below(name), size, changed_s)


def entries_in_s3(url: str) -> list[Entry]:
    """The objects of a URL or of a pattern of URLs."""
    bucket, key = split_url(url)
    pattern = key.split("/")
    if is_pattern(url):
        fixed, begin = fixed_part(key), re.split(r"[*?[]", key, maxsplit=1)[0]
    else:
        fixed, begin = key[: key.rfind("/") + 1], key
    return [
        Entry(f"{S3_SCHEME}{bucket}/{one.key}", name_below(one.key.removeprefix(fixed)),
               one.size, one.changed_s)
        for one in list_objects(bucket, begin)
        if not one.key.endswith("/")  # the console's mark of a folder
        and (is_match(one.key.split("/"), pattern) if is_pattern(url) else one.key == key)
    ]  # fmt: skip


def fixed_part(pattern: str) -> str:
    """The folders of a pattern before the first part that is none, with their last slash."""
    parts = re.split(r"(?<=/)", pattern)
    return "".join(itertools.takewhile(lambda part: not glob.has_magic(part), parts[:-1]))


def is_match(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a key fit those of a pattern, as `glob` reads it on a disk."""
    if not pattern or not parts:
        return not pattern and not parts
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        depths = itertools.takewhile(
            lambda n: not n or not is_hidden(parts[n - 1]), range(len(parts))
        )
        return any(is_match(parts[n:], rest or ("*",)) for n in depths)
    if is_hidden(parts[0]) and not is_hidden(first):
        return False
    return fnmatch.fnmatchcase(parts[0], first) and is_match(parts[1:], rest)


def is_hidden(part: str) -> bool:
    """Whether `*` does not show it."""
    return part.startswith(".")


def name_below(path: str) -> str:
    """A name whose parts cannot lead out of a folder."""
    return "/".join(plain_name(part) for part in path.strip("/").split("/"))


def read_entry(path: str) -> bytes:
    """All of a recording's bytes.

    Raises:
        InputError: it is in S3 and cannot be read.
        OSError: it is on a disk and cannot be read.
    """
    return get_object(path) if is_s3(path) else Path(path).read_bytes()


class Storage(Protocol):
    """Where files are written, by names that may hold slashes."""

    longest_part: int  # of a name, between slashes. [byte]

    def written(self) -> dict[str, float]:
        """When each file that is there was written, by name. [s since 1970]"""
        ...

    def read(self, name: str) -> bytes | None:
        """All of a file; None where there is none."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all."""
        ...


class DiskStorage:
    """A folder of a disk."""

    longest_part = 255

    def __init__(self, folder: Path) -> None:
        """Make the folder where it is not there.

        Raises:
            InputError: it cannot be written into.
        """
        self.folder = writable_folder(folder, OTHER_EVENTS)

    def written(self) -> dict[str, float]:
        """When each file that is there was written, by name. [s since 1970]"""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.stat().st_mtime for path in paths}

    def read(self, name: str) -> bytes | None:
        """All of a file; None where there is none."""
        try:
            return read_file(self.folder / name)
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all."""
        path = self.folder / name
        writable_folder(path.parent, OTHER_EVENTS)
        write_atomically(path, data, mend=OTHER_EVENTS)


class S3Storage:
    """A prefix of a bucket."""

    longest_part = 1024

    def __init__(self, url: str) -> None:
        """Remember it.

        Raises:
            InputError: it names no bucket.
        """
        self.bucket, prefix = split_url(url)
        self.prefix = prefix.rstrip("/") + "/" if prefix.strip("/") else ""

    def url(self, name: str) -> str:
        """The whole address of a name."""
        return f"{S3_SCHEME}{self.bucket}/{self.prefix}{name}"

    def written(self) -> dict[str, float]:
        """When each file that is there was written, by name. [s since 1970]"""
        found = list_objects(self.bucket, self.prefix)
        return {one.key.removeprefix(self.prefix): one.changed_s for one in found}

    def read(self, name: str) -> bytes | None:
        """All of a file; None where there is none."""
        keys = [one.key for one in list_objects(self.bucket, self.prefix + name)]
        return get_object(self.url(name)) if self.prefix + name in keys else None

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all."""
        put_object(self.url(name), data)


def open_storage(word: str) -> Storage:
    """A folder of a disk, or a prefix of S3.

    Raises:
        InputError: it cannot be written into, or names no bucket.
    """
    return S3Storage(word) if is_s3(word) else DiskStorage(Path(word))
