"""What every test is held to."""

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings

from saafe.cli.progress import THREAD

# CI judges a commit, so it fuzzes the same examples every time; elsewhere they are new ones
settings.register_profile("ci", derandomize=True)
if os.environ.get("SAAFE_CI"):
    settings.load_profile("ci")

# pytest loads readline, which tells all children how wide the terminal is, or 80 where there is
# none: xdist's workers broke lines that a user's pipe keeps; a test that asks for a width sets it
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def nobody_goes_on_counting() -> Iterator[None]:
    """A test leaves no thread that writes lines of progress into the next one's output."""
    yield
    assert THREAD not in [thread.name for thread in threading.enumerate()]
