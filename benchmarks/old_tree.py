"""The package of an old commit, which benchmarks hold this one against."""

import io
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def write_old_tree(commit: str, folder: Path) -> Path:
    """Write a commit's `saafe/` into a folder, which is returned.

    Raises:
        SystemExit: the clone does not hold the commit.
    """
    done = subprocess.run(["git", "archive", commit, "saafe"], cwd=ROOT, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{commit} is not in this clone; `git fetch --unshallow` brings it")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        # Debian 12's Python, 3.11.2, has no argument for it
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        archive.extractall(folder)
    return folder
