"""Follow a job to its end: metrics, dollars, logs, then the artefact and the bill. Layer 6."""

import re
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, TextIO

from saafe.cloud.artifact import fetch
from saafe.cloud.aws import NETWORK, Aws, AwsError, redact
from saafe.cloud.estimate import STOP_GRACE_S, so_far_usd
from saafe.cloud.ledger import ENDED
from saafe.cloud.request import METRICS, TIME_LEFT
from saafe.cloud.sagemaker import (
    NOT_CREATED,
    Cloud,
    describe,
    ensure,
    may_try_next,
    record,
    require_account,
    stop,
    try_next,
)
from saafe.cloud.setup import LOG_GROUP, place_of
from saafe.errors import InputError

TAIL_LINES = 40
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Pace:
    """How often to ask, and how long to bear a lost network, in seconds."""

    poll_s: float = 5.0
    patience_s: float = 1800.0


@dataclass
class Screen:
    """Progress for people: one live line on a terminal, plain lines elsewhere."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    every_s: float = 30.0
    _shown: str = ""
    _phase: str = ""
    _printed: float = 0.0

    @property
    def is_terminal(self) -> bool:
        """Whether lines can be drawn over."""
        return self.stream.isatty()

    def note(self, line: str) -> None:
        """Print a line above the live one."""
        self._clear()
        print(line, file=self.stream, flush=True)

    def live(self, line: str, phase: str = "") -> None:
        """Replace the live line; where there is no terminal, print it now and then."""
        if self.is_terminal:
            self._clear()
            print(f"\r{line}", end="", file=self.stream, flush=True)
            self._shown = line
        elif phase != self._phase or time.monotonic() - self._printed > self.every_s:
            print(line, file=self.stream, flush=True)
            self._phase, self._printed = phase, time.monotonic()

    def _clear(self) -> None:
        if self._shown and self.is_terminal:
            print("\r\x1b[2K", end="", file=self.stream)
            self._shown = ""


class LogReader:
    """New lines of a job, over all hosts and restarts; each spot restart opens a new stream."""

    def __init__(self, aws: Aws):
        """Start before the first line."""
        self.aws = aws
        self.tokens: dict[str, str] = {}

    def read(self, job: str) -> list[str]:
        """Lines that came since the last call."""
        lines: list[str] = []
        for stream in self._streams(job):
            while True:
                token = {"nextToken": self.tokens[stream]} if stream in self.tokens else {}
                page = self.aws.call(
                    "logs",
                    "get_log_events",
                    logGroupName=LOG_GROUP,
                    logStreamName=stream,
                    startFromHead=True,
                    **token,
                )
                lines += [clean(event["message"]) for event in page["events"]]
                is_end = page["nextForwardToken"] == self.tokens.get(stream)
                self.tokens[stream] = page["nextForwardToken"]
                if is_end or not page["events"]:
                    break
        return lines

    def _streams(self, job: str) -> list[str]:
        names: list[str] = []
        token: dict[str, str] = {}
        while True:
            try:
                page = self.aws.call(
                    "logs",
                    "describe_log_streams",
                    logGroupName=LOG_GROUP,
                    logStreamNamePrefix=f"{job}/",
                    **token,
                )
            except AwsError as error:
                if error.code == "ResourceNotFoundException":  # no job has written yet
                    return []
                raise
            streams = sorted(page["logStreams"], key=lambda stream: stream.get("creationTime", 0))
            names += [stream["logStreamName"] for stream in streams]
            if not page.get("nextToken"):
                return names
            token = {"nextToken": page["nextToken"]}


def clean(line: str) -> str:
    """A log line without terminal control sequences, account ids and secrets."""
    return redact(_CONTROL.sub("", line)).rstrip()


@dataclass
class Progress:
    """The latest figures that a job printed."""

    metrics: dict[str, float] = field(default_factory=dict)
    left: str = ""

    def read(self, line: str) -> bool:
        """Take what a line tells; says whether it is a progress line."""
        found, left = parse_metrics(line), TIME_LEFT.search(line)
        self.metrics |= found
        self.left = left.group(1) if left else self.left
        return {"epoch", "loss"} <= found.keys()


def parse_metrics(line: str) -> dict[str, float]:
    """Figures of a progress line by the expressions that SageMaker is given; else empty."""
    found = {name: re.search(regex, line) for name, regex in METRICS.items()}
    figures = {}
    for name, match in found.items():
        if match:
            try:
                figures[name] = float(match.group(1))
            except ValueError:
                continue
    return figures


def follow(
    cloud: Cloud,
    entry: dict[str, Any],
    *,
    screen: Screen,
    pace: Pace | None = None,
) -> dict[str, Any]:
    """Watch a job until it ends, fetch what it left, and return its settled entry.

    Raises:
        InputError: watching cannot go on; the line says what the job does meanwhile.
    """
    pace = pace or Pace()
    reader, tail = LogReader(cloud.aws), deque[str](maxlen=TAIL_LINES)
    heard = time.monotonic()
    progress = Progress()
    while True:
        try:
            entry, job = _look(cloud, entry)
            for line in reader.read(entry["attempts"][-1]):
                tail.append(line)
                if not (progress.read(line) and screen.is_terminal):
                    screen.note(f"  {line}")
            heard = time.monotonic()
        except AwsError as error:
            _bear(error, entry, screen, silent_s=time.monotonic() - heard, pace=pace)
            time.sleep(pace.poll_s)
            continue
        screen.live(status_line(entry, job, progress), phase=entry["secondary"])
        entry = keep_metrics(cloud, entry, progress.metrics)
        if may_try_next(entry):
            entry = try_next(cloud, entry)
        elif entry["status"] in ENDED:
            break
        elif _is_over_budget(entry, job):
            screen.note(f"{entry['job']} has used its ${entry['max_cost_usd']:g}: stopping it")
            entry = stop(cloud, entry)
        time.sleep(pace.poll_s)
    if entry["status"] == "Failed":
        for line in tail if screen.is_terminal else ():  # elsewhere it stands above already
            screen.note(f"  {line}")
    return settle(cloud, entry, job)


def settle(cloud: Cloud, entry: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Fetch an ended job's artefact into its run folder and close its entry."""
    place, run = place_of(cloud.aws), cloud.ledger.runs / entry["job"]
    if entry.get("settled") and (entry.get("run") is None or run.exists()):
        return entry
    uri = job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
    key = uri.removeprefix(f"s3://{place.bucket}/")
    if uri and key == uri:
        raise InputError("the artefact lies in another bucket than the job was given: refused")
    digest = fetch(cloud.aws, bucket=place.bucket, key=key, run=run) if uri else None
    found = {"run": run.name, "artifact_sha256": digest} if digest else {"run": None}
    return cloud.ledger.write({**entry, **found, "settled": True})


def status_line(entry: dict[str, Any], job: dict[str, Any], progress: Progress) -> str:
    """Status, instance, dollars so far and figures in one line."""
    cost, metrics = entry.get("cost_usd"), progress.metrics
    bound = "up to " if entry["plan"]["spot"] and cost is None else ""
    dollars = so_far_usd(entry, job) if cost is None else cost
    names = [name for name in ("epoch", "loss", "accuracy") if name in metrics]
    parts = [
        f"{entry['job']} {entry['secondary'] or entry['status']}",
        f"{entry['instances']} x {entry['instance']}",
        f"{bound}${dollars:.4f}",
        *(f"{name} {metrics[name]:g}" for name in names),
        *([f"left {progress.left}"] if progress.left and entry["status"] not in ENDED else []),
    ]
    return "  ".join(parts)


def keep_metrics(cloud: Cloud, entry: dict[str, Any], metrics: dict[str, float]) -> dict[str, Any]:
    """Keep the last figures of an ended job in the ledger."""
    if entry["status"] not in ENDED or not metrics or entry.get("metrics") == metrics:
        return entry
    return cloud.ledger.write({**entry, "metrics": dict(metrics)})


def _look(cloud: Cloud, entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The job as it stands; a further attempt whose launcher died before it is created now."""
    require_account(cloud, entry)
    job = describe(cloud.aws, entry["attempts"][-1])
    if job is None and entry["status"] == NOT_CREATED:
        if len(entry["attempts"]) == 1:  # its code may not be in S3 either
            raise InputError(
                f"{entry['job']} was planned and never created, nothing was paid: launch it again,"
                f" or `saafe stop {entry['job']}`"
            )
        entry = ensure(cloud, entry)
        job = describe(cloud.aws, entry["attempts"][-1])
    if job is None:
        raise InputError(f"{entry['job']} is not in {entry['region']}: check --region and account")
    return record(cloud, entry, job), job


def _bear(
    error: AwsError, entry: dict[str, Any], screen: Screen, *, silent_s: float, pace: Pace
) -> None:
    """Go on watching through a lost network; give up in one line on anything else."""
    most = entry["estimate"]["most_usd"]
    back = f"the job runs on (at most ${most:.2f}); come back with `saafe watch {entry['job']}`"
    if not error.is_passing or silent_s > pace.patience_s:
        raise AwsError(f"{error}; {back}", code=error.code, operation=error.operation) from error
    reason = "network lost" if error.code == NETWORK else f"AWS answers {error.code}"
    screen.note(f"{reason}, still trying: {back}")


def _is_over_budget(entry: dict[str, Any], job: dict[str, Any]) -> bool:
    """Whether the run time, stop grace included, has used the budget, past SageMaker's limit."""
    budget = entry.get("max_cost_usd")
    if budget is None or entry["status"] == "Stopping" or entry["plan"]["spot"]:
        return False
    grace = STOP_GRACE_S * entry["instances"] * entry["usd_per_hour"] / 3600
    return so_far_usd(entry, job) + grace > budget
