"""What every test is held to."""

import threading
from collections.abc import Iterator

import pytest

from saafe.cli.busy import THREAD


@pytest.fixture(autouse=True)
def nobody_goes_on_counting() -> Iterator[None]:
    """A test leaves no thread that writes lines of progress into the next one's output."""
    yield
    assert THREAD not in [thread.name for thread in threading.enumerate()]
