"""Processes of the emulator: cores, ending whole trees, reading what they print."""

import os
import signal
import subprocess
from pathlib import Path
from queue import SimpleQueue


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def kill_tree(pid: int) -> None:
    """SIGKILL a process and all its descendants: torchrun's workers have sessions of their own."""
    parents = _parents()
    doomed = [pid]
    for parent in doomed:
        doomed += [child for child, its_parent in parents.items() if its_parent == parent]
    for process in doomed:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _parents() -> dict[int, int]:
    """Process: its parent, of everything that runs here."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True)
        rows = [line.split() for line in listed.stdout.splitlines()]
        return {int(child): int(parent) for child, parent in rows}
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:  # the command's name, in brackets, may hold anything
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
    return parents


def pump(process: subprocess.Popen[str], index: int, lines: SimpleQueue[tuple[int, str]]) -> None:
    """Put a process's lines, marked with its index, where another thread takes them."""
    assert process.stdout is not None, "the pipe was asked for"
    with process.stdout:
        for line in process.stdout:
            lines.put((index, line.rstrip("\n")))
