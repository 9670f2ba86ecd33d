"""The emulator as a process of its own: start it, or find the one that runs."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from saafe.cloud import INSTALL_BOTO3 as INSTALL_AWS
from saafe.cloud import SHIPPED_REGION, Aws, other_out
from saafe.cloud.emulator.emulator import INSTALL_EMULATOR, KEYS, Emulator
from saafe.errors import InputError
from saafe.files import writable_folder, write_json

IDLE_S = 900.0
START_PATIENCE_S = 120.0  # its imports take seconds, on a busy machine many
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine
# Handles of detached emulators: one that is dropped warns that its process lives on.
_started: list["subprocess.Popen[bytes]"] = []


def require_installed() -> None:
    """Check the extra without importing it.

    Raises:
        InputError: the line names the pip command.
    """
    if find_spec("boto3") is None:
        raise InputError(INSTALL_AWS.replace("[aws]", "[emulator]"))
    if any(find_spec(name) is None for name in ("moto", "flask", "flask_cors")):
        raise InputError(INSTALL_EMULATOR)


def find_or_start(state: Path, region: str | None = None) -> Aws:
    """Clients of the emulator that keeps its state in a folder; it is started when none runs.

    Raises:
        InputError: it is not installed, or does not start.
    """
    require_installed()
    url = running(state) or _start(writable_folder(state, other_out()))
    return Aws(region or SHIPPED_REGION, url, KEYS)


def running(state: Path) -> str | None:
    """Address of the emulator that serves this folder, if one answers."""
    try:
        address = json.loads((state / "endpoint.json").read_text())
        with NO_PROXY.open(f"{address['url']}/_emulator/health", timeout=5) as answer:
            healthy = json.load(answer)
        return address["url"] if healthy["pid"] == address["pid"] else None
    except (OSError, ValueError, KeyError):
        return None


def serve(state: Path, *, port: int = 0, idle_s: float | None = None, rehearse: Any = None) -> None:
    """Run an emulator on a folder until Ctrl-C, SIGTERM or `idle_s` without calls and jobs.

    Args:
        state: folder for jobs and objects; one emulator at a time.
        port: 0 takes a free one.
        idle_s: None serves until it is asked to end. [s]
        rehearse: called with the emulator before it serves, to set what should go wrong.

    Raises:
        InputError: another emulator serves the folder.
    """
    state = writable_folder(state, "pick another --state").resolve()
    with (state / "lock").open("w") as lock:
        _lock(lock, state)
        emulator = Emulator(state, port=port).start()
        if rehearse is not None:
            rehearse(emulator)
        signals: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: signals.append(number))
        write_address(state, emulator.url)
        while not signals and not _is_idle(emulator, idle_s):
            time.sleep(0.2)
        (state / "endpoint.json").unlink(missing_ok=True)
        emulator.close()


def _is_idle(emulator: Any, idle_s: float | None) -> bool:
    silent_s = time.monotonic() - emulator.last_call
    return idle_s is not None and silent_s > idle_s and not emulator.is_busy


def write_address(state: Path, url: str) -> None:
    """Keep where this process serves a folder, for `running` to find."""
    write_json(state / "endpoint.json", {"url": url, "pid": os.getpid()})


def _lock(file: Any, state: Path) -> None:
    """Hold the folder for this process; the system lets go when it dies."""
    try:
        fcntl = import_module("fcntl")
    except ImportError:  # Windows has none: two emulators on one folder are the user's affair
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise InputError(
            f"another emulator serves {state}: use it, or pick another --state"
        ) from error


def _start(state: Path) -> str:
    """Start a detached emulator and wait for its address."""
    command = [sys.executable, "-m", "saafe", "emulator", "--state", str(state)]
    with (state / "emulator.log").open("a") as log:
        process = subprocess.Popen(
            [*command, "--idle", str(IDLE_S)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _started.append(process)
    deadline = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < deadline:
        has_failed = bool(process.poll())
        if has_failed:
            time.sleep(0.5)  # another launcher's emulator may have won the folder
        if url := running(state):
            return url
        if has_failed:
            break
        time.sleep(0.1)
    raise InputError(f"the emulator did not start: {state / 'emulator.log'} says why")
