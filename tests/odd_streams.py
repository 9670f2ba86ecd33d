"""Streams with everything that can come to a detector: rows, ticks and people, by a seed.

Silences of hours to weeks, rows twice and late, clocks that jump, channels that are away, codes in
place of readings, meters at their end, readings that stand for hours, periods of 1 s to an hour.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saafe.detector import Detector
from saafe.sensors import CHANNELS, CO, CO2, HUMIDITY, PM25, SOUND, TEMPERATURE

PERIODS_S = (1.0, 7.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
PAUSES_S = (None, None, None, 60.0, 900.0, 4 * 3600.0, 86_400.0)  # longest intervals that are told
HOUR_S, DAY_S = 3600.0, 86_400.0
# what no channel can read
NO_READINGS = (math.inf, -math.inf, 1e30, -999.0, 1e-30)
RISES = {TEMPERATURE: 80.0, PM25: 900.0, CO2: 4_000.0, CO: 400.0}


@dataclass(frozen=True)
class Step:
    """One thing that comes: a row, a tick or a person.

    Attributes:
        kind: "row", "tick" or "acknowledge".
        time_s: of a row or a tick. [s]
        sensor: of a row; its number as text.
        readings: of a row, float32, NaN where missing. (channel,)
    """

    kind: str
    time_s: float = 0.0
    sensor: str = "0"
    readings: NDArray[np.float32] | None = None

    def line(self) -> str:
        """As `saafe_check replay` reads it."""
        if self.readings is None:
            return self.kind if self.kind == "acknowledge" else f"tick,{self.time_s!r}"
        cells = ("" if np.isnan(value) else f"{value:.9g}" for value in self.readings)
        return f"{self.time_s!r},{self.sensor},{','.join(cells)}"


def said(detector: Detector, steps: list[Step]) -> list[dict[str, Any]]:
    """What a detector says of a stream, to its end."""
    events: list[dict[str, Any]] = []
    for step in steps:
        if step.readings is not None:
            events += detector.update(step.time_s, step.sensor, step.readings)
        elif step.kind == "tick":
            events += detector.tick(step.time_s)
        else:
            events += detector.acknowledge()
    return events + detector.finish()


def odd_stream(seed: int) -> tuple[list[Step], float | None]:
    """A stream, and the longest interval that its detector is told. [s]"""
    random = np.random.default_rng(seed)
    period_s, rows = float(random.choice(PERIODS_S)), int(random.choice([100, 200, 300, 900]))
    sensors = int(random.choice([1, 1, 2, 3]))
    rooms = [OddRoom(random, period_s) for _ in range(sensors)]
    rate = float(random.choice([0.0, 0.02, 0.2]))  # of odd times
    ticks = float(random.choice([0.0, 0.0, 0.2]))
    shift_s, now_s, steps = float(random.choice([0.0, 0.0, 1.7e9, -1e6])), 0.0, []
    digits = int(random.choice([0, 1, 3, 12]))
    for _ in range(rows):
        now_s += period_s * float(random.choice([1.0, 1.0, 1.0, 0.3, 1.2]))
        if random.random() < 0.01:
            now_s += float(
                random.choice([100.0, HOUR_S, 5 * HOUR_S, DAY_S, 11 * DAY_S, 100 * DAY_S])
            )
        if random.random() < 0.004:
            shift_s += float(random.choice([-1.0, 1.0])) * float(10 ** random.uniform(0.0, 7.5))
        for sensor in range(sensors):
            if (readings := rooms[sensor].read(now_s)) is None:
                continue
            time_s = round(now_s + shift_s, digits)
            steps.append(Step("row", time_s, str(sensor), readings))
            if random.random() < rate:
                steps.append(again(steps, random))
        if random.random() < ticks:
            ahead_s = float(random.choice([0.0, 10.0, 300.0, 3 * HOUR_S]))
            steps.append(Step("tick", now_s + shift_s + ahead_s * float(random.random())))
        if random.random() < 0.003:
            steps.append(Step("acknowledge"))
    return steps, PAUSES_S[int(random.integers(0, len(PAUSES_S)))]


def again(steps: list[Step], random: np.random.Generator) -> Step:
    """A row that came before, once more, late or with another reading."""
    old = [step for step in steps[-20:] if step.readings is not None]
    step = old[int(random.integers(0, len(old)))]
    assert step.readings is not None
    readings = step.readings.copy()
    if random.random() < 0.5:
        readings[int(random.integers(0, len(CHANNELS)))] += 1.0
    late_s = float(random.choice([0.0, 0.0, 0.5, 4.0, 100.0, 1_000.0, 90_000.0]))
    return Step("row", step.time_s - late_s, step.sensor, readings)


class OddRoom:
    """One sensor, and what happens to it."""

    def __init__(self, random: np.random.Generator, period_s: float) -> None:
        """Draw its channels, how it reports, and how often something happens."""
        self.random, self.period_s = random, period_s
        self.is_there = random.random(len(CHANNELS)) < 0.75
        self.is_on_change = random.random() < 0.4
        self.is_split = random.random() < 0.3  # a message a channel
        self.happens = float(random.choice([0.003, 0.01, 0.03]))
        self.codes = float(random.choice([0.0, 0.01, 0.1]))
        self.level = np.array([channel.rest + 5.0 for channel in CHANNELS])
        self.pace = np.array([0.2, 0.5, 5.0, 0.5, 0.1, 0.2]) * random.choice([0.0, 1.0, 2.0])
        self.ends_s = np.full(len(CHANNELS), -math.inf)  # of what happens to a channel
        self.what = np.full(len(CHANNELS), "", dtype=object)
        self.began_s = 0.0
        self.beats_s, self.sent_s = float(random.choice([300.0, HOUR_S, 4 * HOUR_S])), -math.inf
        self.sent = np.full(len(CHANNELS), np.nan, np.float32)

    def read(self, now_s: float) -> NDArray[np.float32] | None:
        """What it sends now, None for nothing. float32 (channel,)"""
        self.level = np.maximum(self.level + self.random.normal(0.0, self.pace + 1e-9), 0.0)
        if self.random.random() < self.happens:
            self.happen(now_s)
        readings = np.round(self.level, 1)
        for channel in range(len(CHANNELS)):
            if now_s < self.ends_s[channel]:
                readings[channel] = self.changed(channel, readings[channel], now_s)
        is_code = self.random.random(len(CHANNELS)) < self.codes
        for channel in np.flatnonzero(is_code):
            readings[channel] = self.code(channel)
        readings[~self.is_there] = np.nan
        if self.is_split:
            readings[np.arange(len(CHANNELS)) != self.random.integers(0, len(CHANNELS))] = np.nan
        out = readings.astype(np.float32)
        if self.is_on_change and not self.is_new(out, now_s):
            return None
        return None if now_s < self.ends_s[HUMIDITY] and self.what[HUMIDITY] == "silent" else out

    def is_new(self, out: NDArray[np.float32], now_s: float) -> bool:
        """Whether a device that reports on change would send this."""
        step = np.array([0.5, 5.0, 50.0, 3.0, 1.0, 2.0])
        with np.errstate(invalid="ignore"):  # infinite codes
            moved = ~np.isnan(out) & ~(np.abs(out - self.sent) < step)
        if not moved.any() and now_s - self.sent_s < self.beats_s:
            return False
        self.sent, self.sent_s = np.where(np.isnan(out), self.sent, out), now_s
        return True

    def happen(self, now_s: float) -> None:
        """Let something begin, for minutes to days."""
        for_s = float(10 ** self.random.uniform(1.5, 5.3)) + 3 * self.period_s
        self.began_s = now_s
        what = str(
            self.random.choice(
                ["fire", "silent", "away", "stands", "end", "hot", "co", "spikes", "drift"]
            )
        )
        if what == "fire":
            some = [c for c in RISES if self.random.random() < 0.7]
        elif what in ("silent", "hot", "co"):
            some = [{"silent": HUMIDITY, "hot": TEMPERATURE, "co": CO}[what]]
        else:
            some = [int(self.random.choice([TEMPERATURE, PM25, CO, CO2, HUMIDITY, SOUND]))]
        for channel in some:
            self.what[channel], self.ends_s[channel] = what, now_s + for_s

    def changed(self, channel: int, value: float, now_s: float) -> float:
        """A channel's reading in what happens to it."""
        what = self.what[channel]
        if what == "fire":
            grown = (now_s - self.began_s) / (self.ends_s[channel] - self.began_s)
            return value + round(RISES[channel] * min(4.0 * grown, 1.0) ** 2, 1)
        if what == "spikes":
            return value + 300.0 * (self.random.random() < 0.2)
        spec, days = CHANNELS[channel].instruments, (now_s - self.began_s) / DAY_S
        table = {
            "away": math.nan,
            "hot": 58.0,
            "co": 120.0,
            "stands": round(CHANNELS[channel].rest + 3.3, 1),
            "end": spec.top,
            "drift": value + round(spec.drift_a_day * days, 1),
        }
        return table.get(what, value)

    def code(self, channel: int) -> float:
        """What comes in place of a reading, or lies beyond what is possible, or nearly so."""
        spec = CHANNELS[channel]
        beside = (spec.lowest, spec.highest, spec.highest + spec.overshoot, spec.lowest - 0.1,
                  spec.highest * 1.001, spec.highest + 5.0)  # fmt: skip
        some = [*(value for value, _ in spec.wrong_values), *beside, *NO_READINGS]
        return float(some[int(self.random.integers(0, len(some)))])
