"""What runs first in the container: unpack, train on every GPU, hand the run over.

It travels beside the source archive and needs nothing but Python's standard library. The
container's contract (folders under /opt/ml, SIGTERM before the end, the failure file) is
SageMaker's; the training is `saafe train`, unchanged.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zlib
from collections import deque
from importlib import metadata
from pathlib import Path

LARGEST_REASON = 1000  # characters SageMaker shows of a failure


def main(arguments: list[str]) -> int:
    """Run one training as the container contract asks; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("train", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    # The platform's own toolkit moves the folder by the same variable.
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    run = base / "checkpoints" / options.name
    tail: deque[str] = deque(maxlen=12)
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    try:
        code = unpack_code(base)
        install(code, tail)
        exit_code = 0 if stop.is_asked else run_training(options.train, base, run, tail, stop)
        is_failed = exit_code != 0 and not stop.is_asked
        if hosts(base)[1] == 0 and run.exists() and not is_failed:
            hand_over(run, base / "model", is_finished=not stop.is_asked)
    except (OSError, tarfile.TarError, subprocess.CalledProcessError) as error:
        tail.append(f"{type(error).__name__}: {error}")
        print(tail[-1], file=sys.stderr, flush=True)
        exit_code, is_failed = 1, True
    if is_failed:
        failure = base / "output" / "failure"
        failure.parent.mkdir(parents=True, exist_ok=True)
        lines = [line for line in tail if line.strip()]  # the last line says most: first
        failure.write_text("\n".join([*lines[-1:], *lines[:-1]])[:LARGEST_REASON])
    return exit_code if is_failed else 0


def unpack_code(base: Path) -> Path:
    """Unpack the code channel; returns the folder that holds the package."""
    code = base / "code"
    with tarfile.open(base / "input" / "data" / "code" / "source.tar.gz") as tar:
        # Debian 12's Python, 3.11.2, has no argument for it
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        tar.extractall(code)
    return code


def install(code: Path, tail: deque[str]) -> None:
    """Install what the image lacks of the shipped requirements."""
    wanted = (code / "requirements.txt").read_text().split()
    missing = [line for line in wanted if not is_installed(line)]
    if missing:
        print(f"installing {' '.join(missing)}", flush=True)
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        command = [sys.executable, "-m", "pip", "install", *quiet, *missing]
        environment = {**os.environ, "PIP_BREAK_SYSTEM_PACKAGES": "1"}  # the container is ours
        done = subprocess.run(
            command, env=environment, text=True, stderr=subprocess.PIPE, check=False
        )
        if done.returncode:
            tail.extend(done.stderr.splitlines()[-5:])
            print(done.stderr, file=sys.stderr, flush=True)
            raise OSError(f"pip could not install {' '.join(missing)}")


def is_installed(requirement: str) -> bool:
    """Whether some version of a requirement is there; the image's own versions are trusted."""
    name = requirement.split(">")[0].split("=")[0].split("<")[0]
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def hosts(base: Path) -> tuple[list[str], int, str]:
    """All hosts of the job, the index of this one, and the interface over which they meet."""
    path = base / "input" / "config" / "resourceconfig.json"
    resources = json.loads(path.read_text())
    names = sorted(resources["hosts"])
    interface = resources.get("network_interface_name", "")
    return names, names.index(resources["current_host"]), interface


def devices() -> int:
    """GPUs of this host: as the platform says, or as the driver does; 0 without any."""
    count = os.environ.get("SM_NUM_GPUS")
    if count is not None:
        return int(count)
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def launcher(base: Path, name: str) -> list[str]:
    """The command before `-m saafe`: plain Python for one rank, torchrun for several."""
    names, index, _ = hosts(base)
    ranks = max(1, devices())
    if ranks == 1 and len(names) == 1:
        return [sys.executable]
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}"]
    if len(names) == 1:
        return [*torchrun, "--standalone"]
    port = 29500 + zlib.crc32(name.encode()) % 1000  # jobs that share a machine must not meet
    return [
        *torchrun,
        f"--nnodes={len(names)}",
        f"--node-rank={index}",
        f"--master-addr={names[0]}",
        f"--master-port={port}",
    ]


class Stop:
    """What SIGTERM sets off: the training, through torchrun, saves a checkpoint and exits."""

    is_asked = False
    child: "subprocess.Popen[str] | None" = None

    def __call__(self, number: int, frame: object) -> None:
        """Handle the signal."""
        self.is_asked = True
        if self.child is not None:
            self.child.terminate()


def variables(base: Path) -> dict[str, str]:
    """Environment of the training: where the code is, and over which interface ranks meet."""
    interface = hosts(base)[2]
    found = {"PYTHONPATH": str(base / "code"), "PYTHONUNBUFFERED": "1"}
    if devices() > 1:  # torchrun's own default, without its warning
        found["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")
    if interface:
        found |= {"NCCL_SOCKET_IFNAME": interface, "GLOO_SOCKET_IFNAME": interface}
    return found


def run_training(words: list[str], base: Path, run: Path, tail: "deque[str]", stop: Stop) -> int:
    """Run `saafe train` to its end or to SIGTERM, on from its checkpoint; returns the exit code."""
    checkpoint = run / "checkpoint"
    has_checkpoint = checkpoint.is_dir() and any(checkpoint.iterdir())
    if run.exists() and not has_checkpoint:
        shutil.rmtree(run)  # interrupted before its first checkpoint
    saafe = ["-m", "saafe", *(word for word in words if word != "--")]
    place = ["--out", str(run.parent), "--name", run.name]
    if (device := base / "code" / "device.toml").exists():  # package.DEVICE_FILE
        place += ["--device", str(device)]
    child = subprocess.Popen(
        [*launcher(base, run.name), *saafe, *place, *(["--resume"] if has_checkpoint else [])],
        env={**os.environ, **variables(base)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    stop.child = child
    if stop.is_asked:  # between the last look and the start
        child.terminate()
    assert child.stdout is not None, "the pipe was asked for"
    with child.stdout:
        for line in child.stdout:
            tail.append(line.rstrip("\n"))
            print(line, end="", flush=True)
    return child.wait()


def hand_over(run: Path, model: Path, *, is_finished: bool) -> None:
    """Copy the run folder to where it is uploaded from, with a hash of every file.

    An unfinished run takes its checkpoint along, so that it can be continued elsewhere.
    """
    skipped = {"checkpoint"} if is_finished else set()
    hashes = {}
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        name = path.relative_to(run)
        if name.parts[0] in skipped:
            continue
        target = model / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        hashes[name.as_posix()] = hashlib.sha256(target.read_bytes()).hexdigest()
    manifest = {"finished": is_finished, "files": hashes}
    (model / "manifest.json").write_text(json.dumps(manifest, indent=1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
