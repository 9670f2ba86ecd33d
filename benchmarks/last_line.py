"""The last line that a benchmark prints: its figures and where they were measured, as JSON."""

import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def print_last_line(
    benchmark: str, figures: Mapping[str, Any], runs: int, *packages: str, **more: object
) -> None:
    """Print one line of JSON.

    Args:
        benchmark: its name.
        figures: what it measured; floats are rounded to four decimals.
        runs: how often it measured each.
        *packages: whose versions matter, beside Python's; null where one is absent.
        **more: what else must be known; `device` in place of the processor's name.
    """
    print(json.dumps({
        "benchmark": benchmark,
        "figures": {name: rounded(value) for name, value in figures.items()},
        "runs": runs,
        "commit": commit(),
        "device": processor(),
        "versions": {"python": platform.python_version()} | {p: version_of(p) for p in packages},
    } | more))  # fmt: skip


def rounded(value: Any) -> Any:
    """A float to four decimals, anything else as it is."""
    return round(value, 4) if isinstance(value, float) else value


def commit() -> str:
    """The commit that this tree is at; empty outside git."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def version_of(package: str) -> str | None:
    """The version of a package, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
