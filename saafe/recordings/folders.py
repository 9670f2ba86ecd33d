"""Folders of recordings."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

RECORDING_SUFFIXES = (".csv", ".csv.gz", ".parquet")


def recording_files(folder: Path) -> Iterator[Path]:
    """The recordings of a folder and of all below it, in the order of their paths.

    They are told by `RECORDING_SUFFIXES`, in any case; `files_below` says where they may lie.
    """
    for path in sorted(files_below(folder)):
        if path.name.lower().endswith(RECORDING_SUFFIXES) and path.is_file():
            yield path


def files_below(
    folder: Path, on_error: Callable[[OSError], None] = lambda _: None
) -> Iterator[Path]:
    """The files of a folder and of all below it; hidden files and folders are left out.

    Links to folders are followed. Each folder is looked into once: by its own path where it lies
    below, and never by a link to one that holds the first, which would lead round.

    Args:
        folder: where to begin.
        on_error: takes why a folder cannot be looked into.
    """
    top, seen, waiting = Path(os.path.realpath(folder)), set(), [str(folder)]
    while waiting:
        for here, below, files in os.walk(waiting.pop(0), onerror=on_error):
            real = os.path.realpath(here)
            if real in seen:
                below.clear()
                continue
            seen.add(real)
            below[:] = sorted(name for name in below if not name.startswith("."))
            links = [link for name in below if os.path.islink(link := os.path.join(here, name))]
            waiting += [link for link in links if not top.is_relative_to(os.path.realpath(link))]
            yield from (Path(here, name) for name in files if not name.startswith("."))
