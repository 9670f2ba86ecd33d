"""C files written, compiled here and compared with the run."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saafe.errors import InputError
from saafe.export import parity
from saafe.export.c_source import HEADER, SOURCE, c_sources
from saafe.files import scratch_folder, write_atomically
from saafe.recordings import Recording
from saafe.sensors import MAX_SENSORS
from saafe.training import Run

CHECK = "saafe_check.c"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
COMPILE_S = 300.0  # at most; the largest tier takes a tenth
UNCHECKED = "no C compiler (cc) is here: the C was written, and neither compiled nor compared"


def export_c(
    run: Run, out: Path, limit: float, *, on_progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Write the C of a run, compile it strictly, and compare its risk and its events.

    Without a C compiler the files are written, and the report says that nothing was compared.
    """
    on_progress("writing C")
    texts = c_sources(run)
    report: dict[str, Any] = {
        "files": {name: len(text.encode()) for name, text in texts.items()},
        "parity": None, "events": None, "notes": [UNCHECKED],
    }  # fmt: skip
    if shutil.which("cc"):
        on_progress("compiling and comparing with the run")
        with scratch_folder(sum(report["files"].values())) as folder:
            for file, text in texts.items():
                (folder / file).write_text(text)
            report |= compare_c(run, folder, limit)
    for name, text in texts.items():
        write_atomically(out / name, text.encode())
    return report


def compare_c(run: Run, folder: Path, limit: float) -> dict[str, Any]:
    """Differences, events and sizes of C files in a folder."""
    recordings = parity.parity_recordings(run.recipe)
    sensors = max(len(r.sensors) for r in recordings)
    program = compile_c(folder, "saafe_check", (SOURCE, CHECK), sensors=sensors)
    rows = parity.compare_risk(
        run, lambda some: score_c(program, some), parity.parity_cases(recordings)
    )
    parity.check_limit(rows, limit)
    events = parity.compare_events(run, lambda r: replay_c(program, r), recordings)
    return {"parity": [row._asdict() for row in rows], "events": events, "notes": [],
            **sizes(folder), "window_ms": window_ms(program)}  # fmt: skip


def compile_c(
    folder: Path, name: str, sources: Sequence[str], *, sensors: int = 1,
    options: Sequence[str] = ("-O2",),
) -> Path:  # fmt: skip
    """A program of C files of a folder, compiled with every warning an error."""
    program = folder / name
    command = ["cc", *STRICT, *options, f"-DSAAFE_SENSORS={sensors}", *sources, "-o", name, "-lm"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=COMPILE_S, check=False
    )
    assert done.returncode == 0, f"the C that was written does not compile:\n{done.stderr[:2000]}"
    return program


def score_c(program: Path, some: NDArray) -> NDArray:
    """Risk that a compiled `saafe_check` gives windows. (window, 60, 1, channel) to percent"""
    data = np.ascontiguousarray(some, np.float32).tobytes()
    done = subprocess.run([program, "risk"], input=data, stdout=subprocess.PIPE, check=True)
    with np.errstate(over="ignore"):
        return 100.0 / (1.0 + np.exp(-np.frombuffer(done.stdout, np.float32).astype(np.float64)))


def replay_c(program: Path, recording: Recording) -> list[dict]:
    """Events that a compiled `saafe_check` gives a recording, its sensors by name.

    Raises:
        InputError: the recording has more sensors than a detector takes.
    """
    if len(recording.sensors) > MAX_SENSORS:
        raise InputError(f"{recording.name}: has {len(recording.sensors)} sensors")
    lines = []
    for time_s, row in zip(recording.times_s.tolist(), recording.readings, strict=True):
        for sensor, readings in enumerate(row):
            if not np.isnan(readings).all():
                cells = ("" if np.isnan(v) else f"{v:.9g}" for v in readings)
                lines.append(f"{time_s!r},{sensor},{','.join(cells)}\n")
    done = subprocess.run(
        [program, "replay"], input="".join(lines), stdout=subprocess.PIPE, text=True, check=True
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [{**event, "sensor": recording.sensors[event["sensor"]]} for event in events]


def window_ms(program: Path) -> float:
    """Time of one window on this computer. [ms]"""
    done = subprocess.run(
        [program, "time"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    return float(done.stdout) / 1e3


def sizes(folder: Path) -> dict[str, int]:
    """Flash and RAM of model and detector of one sensor, compiled for size on this computer.

    Flash is code and constants. RAM is static memory, one detector, and the stack of all functions
    together, which no call reaches: nothing calls itself.
    """
    probe = folder / "probe.c"
    probe.write_text(f'#include "{HEADER}"\nsaafe_detector probe;\n')
    command = ["cc", *STRICT, "-Os", "-c", "-fstack-usage", SOURCE, probe.name]
    subprocess.run(command, cwd=folder, check=True, timeout=COMPILE_S, capture_output=True)
    text, data, bss = object_sizes(folder / "saafe.o")
    _, _, state = object_sizes(folder / "probe.o")
    usage = (folder / "saafe.su").read_text().splitlines()
    stack = sum(int(re.split(r"\t", line)[1]) for line in usage)
    return {
        "c_flash_bytes": text + data, "c_ram_bytes": data + bss + state + stack,
        "c_state_bytes": state, "c_scratch_bytes": bss, "c_stack_bytes": stack,
    }  # fmt: skip


def object_sizes(path: Path) -> tuple[int, int, int]:
    """Bytes of code and constants, of set variables, and of cleared ones, as `size` counts them."""
    done = subprocess.run(["size", path.name], cwd=path.parent, stdout=subprocess.PIPE, text=True,
                          check=True)  # fmt: skip
    text, data, bss = done.stdout.splitlines()[1].split()[:3]
    return int(text), int(data), int(bss)
