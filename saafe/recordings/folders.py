"""Folders of recordings."""

from collections.abc import Iterator
from pathlib import Path

RECORDING_SUFFIXES = (".csv", ".csv.gz", ".parquet")


def recording_files(folder: Path) -> Iterator[Path]:
    """The recordings of a folder and of all below it, in the order of their paths.

    They are told by `RECORDING_SUFFIXES`, in any case. Hidden files and folders are left out.
    """
    for path in sorted(folder.rglob("*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not is_hidden and path.name.lower().endswith(RECORDING_SUFFIXES) and path.is_file():
            yield path
