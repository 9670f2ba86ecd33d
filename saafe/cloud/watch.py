"""Follow a job to its end: metrics, dollars, logs, then the artefact and the bill."""

import re
import shutil
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from saafe.cloud.artifact import fetch
from saafe.cloud.aws import NETWORK, Aws, AwsError, redact
from saafe.cloud.billing import so_far_usd
from saafe.cloud.estimate import STOP_GRACE_S
from saafe.cloud.ledger import ENDED
from saafe.cloud.request import METRIC_PATTERNS, TIME_LEFT
from saafe.cloud.sagemaker import (
    NOT_CREATED,
    Cloud,
    describe_job,
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
LIVE_EVERY_S = 30.0  # where there is no terminal
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Pace:
    """How often to ask, and how long to bear a lost network, in seconds."""

    poll_s: float = 5.0
    patience_s: float = 1800.0


class Screen:
    """Progress for people: one live line on a terminal, plain lines elsewhere."""

    def __init__(self, stream: TextIO | None = None):
        """Print to a stream, by default to stderr."""
        self.stream = stream or sys.stderr
        self.is_terminal = self.stream.isatty()
        self._erase, self._phase, self._printed = "", "", 0.0

    def print_line(self, line: str) -> None:
        """Print a line above the live one."""
        print(f"{self._erase}{line}", file=self.stream, flush=True)
        self._erase = ""

    def live(self, line: str, phase: str = "") -> None:
        """Replace the live line; where there is no terminal, print it now and then."""
        if self.is_terminal:  # a line that wraps cannot be erased
            line = line[: shutil.get_terminal_size().columns - 1]
            print(f"{self._erase}\r{line}", end="", file=self.stream, flush=True)
            self._erase = "\r\x1b[2K"
        elif phase != self._phase or time.monotonic() - self._printed > LIVE_EVERY_S:
            self.print_line(line)
            self._phase, self._printed = phase, time.monotonic()


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
                asked = {"logGroupName": LOG_GROUP, "logStreamName": stream, **token}
                page = self.aws.call("logs", "get_log_events", **asked, startFromHead=True)
                lines += [clean(event["message"], self.aws.account) for event in page["events"]]
                is_end = page["nextForwardToken"] == self.tokens.get(stream)
                self.tokens[stream] = page["nextForwardToken"]
                if is_end or not page["events"]:
                    break
        return lines

    def _streams(self, job: str) -> list[str]:
        asked = {"logGroupName": LOG_GROUP, "logStreamNamePrefix": f"{job}/"}
        try:
            pages = list(self.aws.pages("logs", "describe_log_streams", **asked))
        except AwsError as error:
            if error.code == "ResourceNotFoundException":  # no job has written yet
                return []
            raise
        streams = [stream for page in pages for stream in page["logStreams"]]
        streams.sort(key=lambda stream: stream.get("creationTime", 0))
        return [stream["logStreamName"] for stream in streams]


def clean(line: str, account: str | None = None) -> str:
    """A log line without terminal control sequences, account ids and secrets."""
    return redact(_CONTROL.sub("", line), account).rstrip()


def parse_metrics(line: str) -> dict[str, float]:
    """Figures of a progress line by the expressions that SageMaker is given; else empty."""
    figures = {}
    for name, regex in METRIC_PATTERNS.items():
        with suppress(ValueError):  # no number
            if match := re.search(regex, line):
                figures[name] = float(match.group(1))
    return figures


@dataclass
class Log:
    """A job's log as it is shown: its new lines, the last ones, and the figures in them.

    Lines name the run's folder in the container; shown is where it will be here.
    """

    reader: LogReader
    screen: Screen
    run: Path
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    metrics: dict[str, float] = field(default_factory=dict)
    left: str = ""

    def show(self, job: str) -> None:
        """Show what came; on a terminal the live line stands for progress lines."""
        for line in self.reader.read(job):
            line = re.sub(
                rf"\S*/checkpoints/{self.run.name}(?![\w-])", lambda _: str(self.run), line
            )
            self.tail.append(line)
            found, left = parse_metrics(line), TIME_LEFT.search(line)
            self.metrics |= found
            self.left = left.group(1) if left else self.left
            if not ({"epoch", "loss"} <= found.keys() and self.screen.is_terminal):
                self.screen.print_line(f"  {line}")


def follow(cloud: Cloud, entry: dict[str, Any], *, screen: Screen, pace: Pace) -> dict[str, Any]:
    """Watch a job until it ends, fetch what it left, and return its settled entry.

    Raises:
        InputError: watching cannot go on; the line says what the job does meanwhile.
    """
    log = Log(LogReader(cloud.aws), screen, cloud.ledger.runs / entry["job"])
    heard, has_ended = time.monotonic(), False
    while True:
        try:
            entry, job = _look(cloud, entry)
            log.show(entry["attempts"][-1])
            heard = time.monotonic()
        except AwsError as error:
            _bear(error, entry, screen, silent_s=time.monotonic() - heard, pace=pace)
            time.sleep(pace.poll_s)
            continue
        screen.live(status_line(entry, job, log), phase=entry["secondary"])
        entry = record_metrics(cloud, entry, log.metrics)
        if may_try_next(entry):
            entry = try_next(cloud, entry)
        elif has_ended:
            break
        elif _is_over_budget(entry, job):
            spent = f"${entry['max_cost_usd']:g}"
            screen.print_line(f"{entry['job']} has used its {spent}: stopping it")
            entry = stop(cloud, entry)
        has_ended = entry["status"] in ENDED  # once more: the log lags some seconds behind
        time.sleep(pace.poll_s)
    if entry["status"] == "Failed" and screen.is_terminal:  # elsewhere it stands above already
        for line in log.tail:
            screen.print_line(f"  {line}")
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
    return cloud.ledger.update(entry, **found, settled=True)


def status_line(entry: dict[str, Any], job: dict[str, Any], log: Log) -> str:
    """Status, dollars so far, figures, instance and job in one line, what changes first."""
    cost = entry.get("cost_usd")
    bound = "up to " if entry["plan"]["spot"] and cost is None else ""
    dollars = so_far_usd(entry, job) if cost is None else cost
    parts = [
        entry["secondary"] or entry["status"],
        f"{bound}${dollars:.4f}",
        *(f"{name} {value:g}" for name, value in log.metrics.items() if name != "samples_per_s"),
        *([f"left {log.left}"] if log.left and entry["status"] not in ENDED else []),
        f"{entry['instances']} x {entry['instance']}",
        entry["job"],
    ]
    return "  ".join(parts)


def record_metrics(
    cloud: Cloud, entry: dict[str, Any], metrics: dict[str, float]
) -> dict[str, Any]:
    """Keep the last figures of an ended job in the ledger."""
    if entry["status"] not in ENDED or not metrics or entry.get("metrics") == metrics:
        return entry
    is_settled = bool(entry.get("settled"))  # as a failed job is at once
    return cloud.ledger.update(entry, metrics=dict(metrics), settled=is_settled)


def _look(cloud: Cloud, entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The job as it stands; a further attempt whose launcher died before it is created now."""
    require_account(cloud, entry)
    job = describe_job(cloud.aws, entry["attempts"][-1])
    if job is None and entry["status"] == NOT_CREATED:
        if len(entry["attempts"]) == 1:  # its code may not be in S3 either
            raise InputError(
                f"{entry['job']} was planned and never created, nothing was paid: launch it again,"
                f" or `saafe stop {entry['job']}`"
            )
        entry = ensure(cloud, entry)
        job = describe_job(cloud.aws, entry["attempts"][-1])
    if job is None:
        raise InputError(f"{entry['job']} is not in {entry['region']}: check the account")
    return record(cloud, entry, job), job


def _bear(
    error: AwsError, entry: dict[str, Any], screen: Screen, *, silent_s: float, pace: Pace
) -> None:
    """Go on watching through a lost network; give up in one line on anything else."""
    most = entry["estimate"]["most_usd"]
    back = f"the job runs on (at most ${most:.2f}); come back with `saafe watch {entry['job']}`"
    if not error.is_passing or silent_s > pace.patience_s:
        raise AwsError(f"{error}; {back}", code=error.code) from error
    reason = "network lost" if error.code == NETWORK else f"AWS answers {error.code}"
    screen.print_line(f"{reason}, still trying: {back}")


def _is_over_budget(entry: dict[str, Any], job: dict[str, Any]) -> bool:
    """Whether the run time, stop grace included, has used the budget, past SageMaker's limit."""
    budget = entry.get("max_cost_usd")
    if budget is None or entry["status"] in {"Stopping", *ENDED} or entry["plan"]["spot"]:
        return False
    grace = STOP_GRACE_S * entry["instances"] * entry["usd_per_hour"] / 3600
    return so_far_usd(entry, job) + grace > budget
