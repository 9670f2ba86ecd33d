"""One emulated training job: SageMaker's container contract, run as processes here.

Statuses, their order, the folders under /opt/ml and the failure text follow botocore's
documentation of DescribeTrainingJob; what is invented is marked Chosen.
"""

import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from saafe.cloud import ENDED, LOG_GROUP, inside
from saafe.cloud.emulator.processes import cores, kill_tree, pump
from saafe.cloud.emulator.validation import requested

# Chosen: spot is billed as 30 % of the time, within what EC2's spot market showed.
SPOT_BILLED = 0.3
TICK_S = 0.05
SYNC_EVERY_S = 0.5
NO_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a"
    " different ML instance type."
)


@dataclass
class EmulatedRegion:
    """What surrounds the jobs: clients of the endpoint, and what the rehearsal should bring.

    Args:
        s3: client of the emulator's own endpoint.
        logs: the same for CloudWatch Logs.
        gpus: GPUs by instance type.
        grace_s: from SIGTERM to SIGKILL. [s]
        pace_s: how long each status without work of its own lasts. [s]
        no_capacity: instance types that are sold out.
        interruptions: how often each spot job is interrupted, after a checkpoint.
        hurry: seconds of job time in a second here, for limits and bills.
    """

    s3: Any
    logs: Any
    gpus: dict[str, int]
    grace_s: float = 120.0
    pace_s: float = 0.2
    no_capacity: set[str] = field(default_factory=set)
    interruptions: int = 0
    hurry: float = 1.0


class EmulatedJob:
    """A training job and the thread that lives it."""

    def __init__(
        self,
        description: dict[str, Any],
        folder: Path,
        region_state: EmulatedRegion,
        save: Callable[[Path, dict[str, Any]], None],
    ):
        """A job that is not started yet; `save` keeps a description in the job's folder."""
        self.description, self.folder = description, folder
        self.region_state, self.save = region_state, save
        self.stop_asked = threading.Event()
        self.turn = threading.RLock()
        self.restarts = 0
        self.thread = threading.Thread(target=self._live, daemon=True)

    @property
    def name(self) -> str:
        """TrainingJobName."""
        return self.description["TrainingJobName"]

    @property
    def has_ended(self) -> bool:
        """Whether no status will follow."""
        return self.description["TrainingJobStatus"] in ENDED

    def set_status(self, primary: str, secondary: str, message: str) -> None:
        """Enter a status, as SecondaryStatusTransitions tells it; saved before anybody sees it."""
        with self.turn:
            now = time.time()
            transitions = [dict(row) for row in self.description["SecondaryStatusTransitions"]]
            if transitions:
                transitions[-1]["EndTime"] = now
            transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
            entered = {
                "TrainingJobStatus": primary,
                "SecondaryStatus": secondary,
                "SecondaryStatusTransitions": transitions,
                "LastModifiedTime": now,
            }
            self.save(self.folder, self.description | entered)
            self.description |= entered

    def ask_to_stop(self) -> bool:
        """Stop as soon as the container lets it; False for a job that has ended."""
        with self.turn:
            if self.has_ended:
                return False
            self.set_status("Stopping", "Stopping", "Stopping the training job")
            self.stop_asked.set()
            return True

    def _live(self) -> None:
        try:
            self._run()
        except Exception as error:  # the emulator must outlive any one job
            self._end("Failed", "Failed", f"InternalServerError: {type(error).__name__}: {error}")

    def _run(self) -> None:
        self.stop_asked.wait(self.region_state.pace_s)  # Starting since its creation
        if not self._select_instance():
            self._end("Failed", "Failed", NO_CAPACITY)
            return
        self.description["TrainingStartTime"] = time.time()
        outcome, reason = self._downloaded()
        while outcome == "go":
            outcome, reason = self._train()
            if outcome == "interrupted":
                self._rest("Interrupted", "The spot instances were interrupted")
                self._rest("Starting", "Starting the training job")
                outcome, reason = self._downloaded()
        if outcome == "failed":
            self._end("Failed", "Failed", reason)
            return
        if self.description["TrainingJobStatus"] != "Stopping":
            self._rest("Uploading", "Uploading generated training model")
        self._upload_model()
        primary, secondary = {
            "done": ("Completed", "Completed"),
            "stopped": ("Stopped", "Stopped"),
            "too long": ("Stopped", "MaxRuntimeExceeded"),
        }[outcome]
        self._end(primary, secondary, "")

    def _proceed(self, secondary: str, message: str) -> bool:
        """Enter a status in progress; False where a stop was asked, which no status undoes."""
        with self.turn:
            if self.stop_asked.is_set():
                return False
            self.set_status("InProgress", secondary, message)
            return True

    def _rest(self, secondary: str, message: str) -> None:
        if self._proceed(secondary, message):
            self.stop_asked.wait(self.region_state.pace_s)

    def _end(self, primary: str, secondary: str, reason: str) -> None:
        now = time.time()
        started = self.description.get("TrainingStartTime")
        if started is not None:
            seconds = max(1, math.ceil((now - started) * self.region_state.hurry))
            share = SPOT_BILLED if self.description.get("EnableManagedSpotTraining") else 1.0
            self.description["TrainingTimeInSeconds"] = seconds
            self.description["BillableTimeInSeconds"] = max(1, math.ceil(seconds * share))
            self.description["TrainingEndTime"] = now
        if reason:
            self.description["FailureReason"] = reason[:1024]
        self.set_status(primary, secondary, reason[:1024])

    def _select_instance(self) -> bool:
        """Take the first type that is not sold out; says whether there is one."""
        resources = self.description["ResourceConfig"]
        for name, count in requested(resources):
            if name not in self.region_state.no_capacity:
                self.instance, self.count = name, count
                if "InstancePreferences" in resources:
                    resources |= {"SelectedInstanceType": name, "SelectedInstanceCount": count}
                return True
        return False

    # The container's folders

    def _downloaded(self) -> tuple[str, str]:
        """Bring channels and checkpoints to every host; ("go", "") or how the job ends."""
        if not self._proceed("Downloading", "Downloading input data"):
            return "stopped", ""
        for index in range(self.count):
            base = self._base(index)
            shutil.rmtree(base, ignore_errors=True)
            for part in ("model", "output", "checkpoints", "input/config", "input/data"):
                (base / part).mkdir(parents=True)
            self._write_config(base, index)
            for channel in self.description.get("InputDataConfig", []):
                uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
                if not self._download(uri, base / "input" / "data" / channel["ChannelName"]):
                    reason = f"ClientError: Data download failed:NoSuchKey: No data at {uri}"
                    return "failed", reason
            checkpoints = self.description.get("CheckpointConfig")
            if checkpoints:
                self._download(checkpoints["S3Uri"] + "/", base / "checkpoints")
        return "go", ""

    def _base(self, index: int) -> Path:
        return self.folder / f"algo-{index + 1}" / "ml"

    def _hosts(self) -> list[str]:
        # The first host is where ranks meet, so its name must mean this machine here.
        return ["localhost", *(f"localhost-{index + 1}" for index in range(1, self.count))]

    def _write_config(self, base: Path, index: int) -> None:
        hosts = self._hosts()
        config = base / "input" / "config"
        resources = {
            "current_host": hosts[index],
            "hosts": hosts,
            "current_instance_type": self.instance,
            "network_interface_name": "lo",
        }
        (config / "resourceconfig.json").write_text(json.dumps(resources))
        parameters = self.description.get("HyperParameters", {})
        (config / "hyperparameters.json").write_text(json.dumps(parameters))
        channels = {
            row["ChannelName"]: {
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
            }
            for row in self.description.get("InputDataConfig", [])
        }
        (config / "inputdataconfig.json").write_text(json.dumps(channels))

    def _download(self, uri: str, folder: Path) -> int:
        """Copy an S3 prefix into a folder; returns how many objects came."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        pages = self.region_state.s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix
        )
        count = 0
        for page in pages:
            for item in page.get("Contents", []):
                name = item["Key"][len(prefix) :].lstrip("/") or Path(item["Key"]).name
                target = inside(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                body = self.region_state.s3.get_object(Bucket=bucket, Key=item["Key"])["Body"]
                target.write_bytes(body.read())
                count += 1
        return count

    # The container itself

    def _train(self) -> tuple[str, str]:
        """Run the entry point on every host until it ends or must end."""
        if not self._proceed("Training", "Training in progress"):
            return "stopped", ""
        lines: SimpleQueue[tuple[int, str]] = SimpleQueue()
        started = time.time()
        stamp = int(started * 1000)  # a log stream a host; a restart opens new ones
        streams = [f"{self.name}/algo-{index + 1}-{stamp}" for index in range(self.count)]
        for stream in streams:
            self.region_state.logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=stream)
        synced: dict[Path, tuple[int, int]] = {}
        self._changed_checkpoints(synced)  # what was restored is in S3 already
        restored = dict(synced)
        processes = [self._start(index) for index in range(self.count)]
        readers = [
            threading.Thread(target=pump, args=(process, index, lines), daemon=True)
            for index, process in enumerate(processes)
        ]
        for reader in readers:
            reader.start()
        outcome, signalled, last_sync = "", 0.0, 0.0
        while any(process.poll() is None for process in processes):
            time.sleep(TICK_S)
            self._write_logs(lines, streams)
            if time.time() - last_sync > SYNC_EVERY_S:
                self._sync_checkpoints(synced)
                last_sync = time.time()
            if not outcome:
                outcome = self._must_end(started, synced != restored)
                if outcome:
                    signalled = time.time()
                    for process in processes:
                        process.send_signal(signal.SIGTERM)
            is_failed = not outcome and any(process.poll() for process in processes)
            is_too_late = outcome and time.time() - signalled > self.region_state.grace_s
            if is_failed or is_too_late:  # one host failed: SageMaker ends the others
                for process in processes:
                    kill_tree(process.pid)
        for reader in readers:
            reader.join(timeout=5)
        self._write_logs(lines, streams)
        self._sync_checkpoints(synced)
        return self._judge(outcome, [process.returncode for process in processes])

    def _judge(self, outcome: str, codes: list[int]) -> tuple[str, str]:
        if outcome:
            return outcome, ""
        failed = [index for index, code in enumerate(codes) if code]
        if not failed:
            return "done", ""
        path = self._base(failed[0]) / "output" / "failure"
        text = path.read_text(errors="replace")[:900] if path.exists() else ""
        return "failed", f"AlgorithmError: {text}, exit code: {abs(codes[failed[0]])}"

    def _must_end(self, started: float, has_checkpoint: bool) -> str:
        """Why the container must end now; empty when it need not."""
        stopping = self.description["StoppingCondition"]
        limit_s = stopping.get("MaxRuntimeInSeconds", 86_400)
        if self.stop_asked.is_set():
            return "stopped"
        if (time.time() - started) * self.region_state.hurry > limit_s:
            return "too long"
        is_spot = self.description.get("EnableManagedSpotTraining")
        if is_spot and has_checkpoint and self.restarts < self.region_state.interruptions:
            self.restarts += 1
            return "interrupted"
        return ""

    def _start(self, index: int) -> subprocess.Popen[str]:
        base = self._base(index)
        algorithm = self.description["AlgorithmSpecification"]
        words = algorithm.get("ContainerEntrypoint", []) + algorithm.get("ContainerArguments", [])
        command = [word.replace("/opt/ml", str(base)) for word in words]
        return subprocess.Popen(
            command,
            cwd=base.parent,
            env=self._environment(base, index),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C at the launcher is not for the container
        )

    def _environment(self, base: Path, index: int) -> dict[str, str]:
        """The container's variables; nothing of this shell's but where Python is."""
        hosts = self._hosts()
        ranks = min(self.region_state.gpus.get(self.instance, 0), max(1, cores() // self.count))
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
            "HOME": str(base.parent),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "SAGEMAKER_BASE_DIR": str(base),
            "TRAINING_JOB_NAME": self.name,
            "TRAINING_JOB_ARN": self.description["TrainingJobArn"],
            "SM_HOSTS": json.dumps(hosts),
            "SM_CURRENT_HOST": hosts[index],
            "SM_NUM_GPUS": str(ranks),
            **self.description.get("Environment", {}),
        }

    # What leaves the container

    def _write_logs(self, lines: SimpleQueue[tuple[int, str]], streams: list[str]) -> None:
        batches: dict[str, list[dict[str, Any]]] = {}
        while True:
            try:
                index, line = lines.get_nowait()
            except Empty:
                break
            event = {"timestamp": int(time.time() * 1000), "message": line or " "}
            batches.setdefault(streams[index], []).append(event)
            self._match_metrics(line)
        for stream, events in batches.items():
            self.region_state.logs.put_log_events(
                logGroupName=LOG_GROUP, logStreamName=stream, logEvents=events
            )

    def _match_metrics(self, line: str) -> None:
        latest = {row["MetricName"]: row for row in self.description["FinalMetricDataList"]}
        for metric in self.description["AlgorithmSpecification"].get("MetricDefinitions", []):
            match = re.search(metric["Regex"], line)
            with suppress(ValueError, IndexError):  # no number, or no group to read it from
                if match:
                    row = {"MetricName": metric["Name"], "Value": float(match.group(1))}
                    latest[metric["Name"]] = {**row, "Timestamp": time.time()}
        self.description["FinalMetricDataList"] = list(latest.values())

    def _sync_checkpoints(self, synced: dict[Path, tuple[int, int]]) -> None:
        """Copy changed files to S3; one that is being renamed meanwhile comes next time."""
        config = self.description.get("CheckpointConfig")
        if not config:
            return
        bucket, _, prefix = config["S3Uri"].removeprefix("s3://").partition("/")
        for name, content in self._changed_checkpoints(synced):
            key = f"{prefix.rstrip('/')}/{name}"
            self.region_state.s3.put_object(Bucket=bucket, Key=key, Body=content)

    def _changed_checkpoints(self, synced: dict[Path, tuple[int, int]]) -> list[tuple[str, bytes]]:
        """Name and content of checkpoint files that changed; `synced` learns of them."""
        changed = []
        for index in range(self.count):
            folder = self._base(index) / "checkpoints"
            for path in sorted(folder.rglob("*")):
                try:
                    stat = path.stat()
                    mark = (stat.st_mtime_ns, stat.st_size)
                    if not path.is_file() or synced.get(path) == mark:
                        continue
                    content = path.read_bytes()
                except FileNotFoundError:
                    continue
                synced[path] = mark
                changed.append((path.relative_to(folder).as_posix(), content))
        return changed

    def _upload_model(self) -> None:
        """Tar every host's model folder to <output>/<job>/output/model.tar.gz."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for index in range(self.count):
                model = self._base(index) / "model"
                for path in sorted(model.iterdir()) if model.exists() else []:
                    tar.add(path, arcname=path.name)
        output = self.description["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        uri = f"{output}/{self.name}/output/model.tar.gz"
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.region_state.s3.put_object(Bucket=bucket, Key=key, Body=packed.getvalue())
        self.description["ModelArtifacts"] = {"S3ModelArtifacts": uri}
