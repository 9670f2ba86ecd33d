"""What tests of the exported C share: a compiler, its options, and where the files go."""

import os
import shutil
from pathlib import Path

import pytest

from saafe.export.c_source import c_sources
from saafe.training.runs import Run

SENSORS = 3
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def need_compiler() -> None:
    """Skip the module where there is no C compiler; in CI its tests fail instead."""
    if shutil.which("cc") is None and "SAAFE_CI" not in os.environ:
        pytest.skip("no C compiler (cc) here", allow_module_level=True)


def write(run: Run, path: Path) -> Path:
    """Write the C of a run into a folder, and name the folder."""
    for name, text in c_sources(run).items():
        (path / name).write_text(text)
    return path
