"""A stub of the package that cloud jobs run, and what cloud tests share.

The stub is plain Python and reads from a file what to do: jobs take a second instead of ten.
"""

import io
import json
import os
import signal
import time
from pathlib import Path

from saafe.cloud.emulator import endpoint
from saafe.cloud.watch import Pace, Screen

CPU = ("ml.m5.large",)
PATIENCE_S = 300.0  # machines that run tests may be busy: what waits must not rely on the time
FAST = Pace(poll_s=0.05, patience_s=PATIENCE_S)

STUB = """
import argparse, json, os, pathlib, random, signal, struct, sys, time

parser = argparse.ArgumentParser()
parser.add_argument("command")
parser.add_argument("tier")
parser.add_argument("--set", action="append", default=[])
parser.add_argument("--out", required=True)
parser.add_argument("--name", required=True)
parser.add_argument("--resume", action="store_true")
options = parser.parse_args()
behaviour = json.loads((pathlib.Path(__file__).parent / "stub.json").read_text())
epochs, pause = int(behaviour.get("epochs", 3)), float(behaviour.get("pause", 0.0))
run = pathlib.Path(options.out) / options.name
checkpoint = run / "checkpoint" / "state.json"
first = 0
if options.resume:
    first = json.loads(checkpoint.read_text())["epoch"]
    print(f"resumed after epoch {first}", flush=True)
elif run.exists():
    sys.exit(f"saafe: {run} exists")
stopped = []
signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
checkpoint.parent.mkdir(parents=True, exist_ok=True)
(run / "recipe.json").write_text(json.dumps([options.tier, *options.set]))
for epoch in range(first + 1, epochs + 1):
    partial = checkpoint.with_suffix(".partial")
    partial.write_text(json.dumps({"epoch": epoch}))
    os.replace(partial, checkpoint)
    print(f"epoch {epoch}/{epochs} step {epoch}/{epochs} loss {1 / epoch:.4f} accuracy 0.9"
          f" samples/s 1000 left 00:{epochs - epoch:02d}", flush=True)
    until = time.time() + pause
    while time.time() < until and not stopped:
        time.sleep(0.01)
    if stopped:
        print("saved a checkpoint, continue with --resume", flush=True)
        sys.exit(0)
if "fail" in behaviour:
    reason = behaviour.get("reason", "Traceback: the loss is not a number")
    print(reason, file=sys.stderr, flush=True)
    sys.exit(int(behaviour["fail"]))
values = [random.random() for _ in range(10_000)]
shape = {"dtype": "F32", "shape": [10_000], "data_offsets": [0, 40_000]}
header = json.dumps({"w": shape}).encode()
weights = struct.pack("<Q", len(header)) + header + struct.pack("<10000f", *values)
(run / "model.safetensors").write_bytes(weights)
(run / "exam.json").write_text(json.dumps({"gate": {"passed": True, "lines": []}}))
print(f"done; next: saafe detect {run} RECORDING.csv", flush=True)
"""


def write_stub(folder: Path, **behaviour: float | str) -> Path:
    """A folder that `launch(source=...)` packs instead of the real package.

    Args:
        folder: where to write it.
        behaviour: `epochs`, `pause` after each [s], `fail` with an exit code and a `reason`.
    """
    package = folder / "saafe"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(STUB)
    (package / "stub.json").write_text(json.dumps({**behaviour, "mark": time.time_ns()}))
    return folder


def screen() -> Screen:
    return Screen(io.StringIO())


def describe(cloud, entry):
    """The job as the endpoint has it."""
    job = entry["attempts"][-1]
    return cloud.aws.call("sagemaker", "describe_training_job", TrainingJobName=job)


def until(condition, patience_s=PATIENCE_S):
    """Wait for a condition."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def inject(cloud, operation, code, **more):
    """Let the next calls of an operation fail."""
    cloud.emulator.rehearse({"faults": [{"operation": operation, "code": code, **more}]})


def end_emulator(state):
    """End the detached emulator that serves a folder, if one runs, and wait for it."""
    if endpoint.running(state) is not None:
        pid = json.loads((state / "endpoint.json").read_text())["pid"]
        os.kill(pid, signal.SIGTERM)
        until(lambda: endpoint.running(state) is None)
        for process in endpoint._started:
            if process.pid == pid:
                process.wait(PATIENCE_S)
