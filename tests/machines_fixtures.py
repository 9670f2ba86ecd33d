"""A scheduler and workers of dask as processes on this machine, to be killed."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import saafe

ROOT = Path(saafe.__file__).parent.parent


def environment(**more: str) -> dict[str, str]:
    """Of every process: this source code, one thread."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


class Machines:
    """One scheduler and its workers, each a process; logs and files lie in a folder."""

    def __init__(self, folder: Path, scheme: str = "tcp", **variables: str) -> None:
        """Start the scheduler; `variables` are those of every process."""
        self.folder, self.variables = folder, variables
        self.workers: list[subprocess.Popen] = []
        self.preload: tuple[str, ...] = ()  # words that have workers run a file first
        file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--host", f"{scheme}://127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(file),
        )  # fmt: skip
        wait_for(lambda: file.exists() and file.read_text().rstrip().endswith("}"))
        self.address = json.loads(file.read_text())["address"]

    def _start(self, kind: str, *words: str, **more: str) -> subprocess.Popen:
        log = self.folder / f"{kind}-{time.monotonic_ns()}.log"
        code = "import sys; sys.path.append(''); "  # modules of tests lie where it is started
        code += f"from distributed.cli.dask_{kind} import main; main()"
        with log.open("w") as file:
            return subprocess.Popen(
                [sys.executable, "-c", code, *words], stdout=file, stderr=file, cwd=self.folder,
                env=environment(**(self.variables | more)), start_new_session=True,
            )  # fmt: skip

    def add(self, count: int = 1, **more: str) -> "Machines":
        """Start workers, of one core each; those of before are gone."""
        self.end_workers()
        for _ in range(count):
            words = (self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
            self.workers.append(self._start("worker", *words, *self.preload, **more))
        return self

    def end_workers(self) -> None:
        """Kill all workers."""
        for process in self.workers:
            sigkill(process)
        self.workers = []

    def end(self) -> None:
        """Kill all that still run."""
        self.end_workers()
        sigkill(self.scheduler)

    def saafe(self, *words: object, **more: str) -> subprocess.CompletedProcess:
        """A command of saafe's with --workers, to its end."""
        return subprocess.run(
            self.line(*words), capture_output=True, text=True, timeout=240,
            env=environment(**(self.variables | more)),
        )  # fmt: skip

    def begin(self, *words: object) -> subprocess.Popen:
        """The same, under way."""
        return subprocess.Popen(
            self.line(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(**self.variables),
        )  # fmt: skip

    def line(self, *words: object) -> list[str]:
        """The command line, warnings being errors."""
        whole = [sys.executable, "-W", "error", "-m", "saafe", *map(str, words)]
        return [*whole, "--workers", self.address]


@contextmanager
def machines(folder: Path, workers: int = 0, **more: str) -> Iterator[Machines]:
    """A scheduler and so many workers, which end with the block."""
    folder.mkdir(exist_ok=True)
    here = Machines(folder, **more)
    try:
        yield here.add(workers)
    finally:
        here.end()


def wait_for(is_true: Callable[[], bool], patience_s: float = 60.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + patience_s
    while not is_true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def sigkill(process: subprocess.Popen) -> None:
    """End a process as a power cut does."""
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()


def task(common: str, word: str) -> str:
    """What a worker does in a test: it may die of it."""
    if word == "dies":
        os._exit(1)
    if word == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if word == "bug":
        raise ZeroDivisionError
    return common + word


def pair(common: str, word: str, _data: bytes) -> str:
    """What a worker does with a recording that asks for nothing."""
    return common + word
