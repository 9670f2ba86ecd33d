"""One examination under way: who is examined, on which seeds, what it has cost."""

import heapq
import itertools
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
import torch

from saafe.detector import (
    NO_DECISION,
    AlarmSettings,
    Detection,
    Scorer,
    can_alarm,
    decide,
    detect,
)
from saafe.exam.judging import Judged
from saafe.exam.kept import KeptParts
from saafe.formats import clock
from saafe.recordings import Recording
from saafe.simulator import ANYTHING, Mix, Rooms, Streams, devices, simulation
from saafe.threads import Workers, all_threads
from saafe.training import Purpose, seeded_generator

HOURS = 3.0  # length of a simulated stream
STREAM_BATCH = 128  # streams simulated at once
KEPT = 10  # worst cases of each sort


_Item = TypeVar("_Item")
_Made = TypeVar("_Made")
OnProgress = Callable[[str], None]  # takes a line of progress


class Stage(IntEnum):
    """Stages of an exam, each with seeds of its own."""

    FIRES = 0
    NUISANCES = 1
    QUIET = 2
    FAULTS = 3
    SHIFTS = 4
    LASTING = 5
    NORMAL = 6
    LONG = 7


@dataclass(frozen=True)
class Case:
    """A stream worth looking at."""

    kind: str  # "miss", "late", "early" or "false alarm"
    title: str
    recording: Recording  # of one sensor
    detection: Detection
    alarm_s: float | None = None
    limit_s: float | None = None
    first_signal_s: float | None = None

    def drawn(self) -> dict[str, Any]:
        """What the report draws: readings and risk at every decision."""
        times = self.detection.times_s
        rows = np.searchsorted(self.recording.times_s, times, side="right") - 1
        readings = self.recording.readings[np.maximum(rows, 0), 0]
        return self.named() | {"times_s": times, "readings": readings, "risk": self.detection.risk}

    def named(self) -> dict[str, Any]:
        """What exam.json keeps."""
        names = ("kind", "title", "alarm_s", "limit_s", "first_signal_s")
        return {name: getattr(self, name) for name in names}


class Recalled:
    """A model that gives known risks back, in the order in which windows are asked for."""

    def __init__(self, settings: AlarmSettings, risk: np.ndarray) -> None:
        """Remember them."""
        self.settings, self.risk, self.given = settings, risk, 0

    def score(self, windows: np.ndarray) -> np.ndarray:
        """The next risks. (batch, 60, 1, channel) to percent (batch,)"""
        self.given += len(windows)
        return self.risk[self.given - len(windows) : self.given]


def no_risk(windows: np.ndarray) -> np.ndarray:
    """A model that sees nothing, so that the fixed rules stand alone. (batch, ...) to (batch,)"""
    return np.zeros(len(windows))


class Session:
    """Scores streams for one examination; counts windows and keeps the worst cases."""

    def __init__(
        self, one: Judged, seed: int, *, device: str | devices.Device = ANYTHING,
        on_progress: OnProgress = lambda _: None, kept: KeptParts | None = None,
    ) -> None:  # fmt: skip
        """Begin; the device is the sensors' of every simulated stream; `kept` what is done."""
        self.one, self.seed, self.device = one, seed, device
        self.windows, self.kept = 0, kept or KeptParts()
        self._done, self._share = 0.0, 1.0  # of the work: stages that are over, the one that is on
        self._on_progress = on_progress
        self._worst: dict[bool, list] = {True: [], False: []}  # of alarms that are false, of fires
        self._number, self._lock = itertools.count(), threading.Lock()

    def each(self, work: Callable[[_Item], _Made], items: Iterable[_Item]) -> Iterator[_Made]:
        """What `work` makes of each item, in their order; cores share them, a thread each."""
        with Workers(all_threads(torch.device("cpu"))) as workers:
            coming: deque[Callable[[], _Made]] = deque()
            for item in items:
                coming.append(workers.later(work, item))
                if len(coming) > 2 * workers.threads:
                    yield coming.popleft()()
            while coming:
                yield coming.popleft()()

    def count(self, windows: int) -> None:
        """Count windows that are scored."""
        with self._lock:
            self.windows += windows

    def score(self, windows: np.ndarray) -> np.ndarray:
        """Risk of windows, counted. (batch, 60, 1, channel) to percent (batch,)"""
        self.count(len(windows))
        return self.one.score(windows)

    @property
    def settings(self) -> AlarmSettings:
        """Alarm thresholds of the examinee."""
        return self.one.settings

    def classify(self, windows: np.ndarray) -> np.ndarray:
        """Classes of windows, counted as well. (batch, 60, 1, channel) to (batch,)"""
        assert self.one.classify is not None, f"{self.one.name} only scores"
        self.count(len(windows))
        return self.one.classify(windows)

    def judged(self) -> Judged:
        """The examinee, with its windows counted here."""
        classify = None if self.one.classify is None else self.classify

        def score(windows: np.ndarray) -> np.ndarray:
            self.count(len(windows))
            return self.kept.once("score", lambda: self.one.score(windows), windows)

        return Judged(self.one.name, score, self.one.settings, classify)

    def detect(self, recording: Recording, *, since_s: float = -math.inf) -> Detection:
        """Run a recording through the detector; no decision is taken before `since_s`.

        Where nothing in it can raise an alarm, only its risk is given, and no events.
        """

        def detected() -> dict[str, Any]:
            decided = decide(self.one, recording, since_s=since_s)
            if not can_alarm(self.settings, recording, decided):
                return vars(Detection([], decided.times_s, decided.sensors, decided.risk))
            recalled = Recalled(self.settings, decided.risk)
            return vars(detect(recalled, recording, since_s=since_s))

        found = Detection(**self.kept.once("detect", detected, self.settings, recording, since_s))
        self.count(len(found.risk))
        return found

    def rule_alarm_s(self, recording: Recording, *, since_s: float) -> float | None:
        """When the fixed rules alone would have alarmed, None for never. [s]"""

        def alarmed_s() -> float | None:
            if not can_alarm(self.settings, recording, NO_DECISION):
                return None
            alone = detect(Scorer(no_risk, self.settings), recording, since_s=since_s)
            return next((e["time_s"] for e in alone.events if e["event"] == "alarm"), None)

        return self.kept.once("rules", alarmed_s, self.settings, recording, since_s)

    def simulate(
        self,
        part: tuple[Stage, int],
        *,
        mix: Mix,
        rooms: Rooms | None = None,
        count: int | None = None,
        hours: float = HOURS,
    ) -> Streams:
        """Streams of one sensor, of seeds that nothing else uses; a part is under 10,000."""
        stage, number = part
        assert 0 <= number < 10_000, f"part {number} would share a seed"
        generator = seeded_generator(
            self.seed, Purpose.EXAM, stage * 10_000 + number, torch.device("cpu")
        )
        return simulation.simulate_streams(
            count or STREAM_BATCH, generator=generator, hours=hours, sensors=1,
            mix=replace(mix, device=self.device), rooms=rooms, alarms=True,
        )  # fmt: skip

    def keep(self, case: Case, badness: float) -> None:
        """Remember a case if it is among the ten worst of its sort."""
        worst = self._worst[case.kind == "false alarm"]
        with self._lock:  # titles order equals, as threads come in any order
            heapq.heappush(worst, (badness, case.title, next(self._number), case))
            if len(worst) > KEPT:
                heapq.heappop(worst)

    def cases(self) -> list[Case]:
        """The worst fires, then the worst false alarms, each from the worst on."""
        return [row[-1] for fires in (False, True) for row in sorted(self._worst[fires])[::-1]]

    @property
    def seconds(self) -> float:
        """Time spent so far, before a break too. [s]"""
        return self.kept.seconds

    def begin(self, share: float) -> None:
        """Begin a stage that is about so much of all the work."""
        self._done, self._share = self._done + self._share, share
        if self._done >= 1.0:  # the first stage: nothing is done yet
            self._done = 0.0

    def on_progress(self, text: str, part: float = 1.0) -> None:
        """Say what has been done, of the stage `part`, and about how long the rest will take."""
        done = min(self._done + part * self._share, 1.0)
        left = self.seconds * (1.0 - done) / done
        scored = f", {self.windows:,} windows" if self.windows else ""
        self._on_progress(f"{text}{scored}: {clock(self.seconds)} so far, about {clock(left)} left")
