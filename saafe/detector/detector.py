"""The detector: readings in, events out, the same on a stream and on a recording.

It takes anything that scores windows and has alarm settings (`Model`), and imports no torch.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from saafe import windows
from saafe.detector.alarms import AlarmSettings, SafetyRules, SensorAlarm, log_odds
from saafe.detector.self_test import SelfTest
from saafe.errors import InputError
from saafe.recordings import Recording
from saafe.sensors import CHANNEL_NAMES, CO, TEMPERATURE

WINDOW_BATCH = 4096  # windows scored at once


class Model(Protocol):
    """What a detector needs of a trained run, a rival or an exported file."""

    @property
    def settings(self) -> AlarmSettings:
        """Its alarm thresholds."""
        ...

    def score(self, windows: np.ndarray, /) -> np.ndarray:
        """Risk of windows. (batch, 60, 1, channel) to percent (batch,)"""
        ...


@dataclass(frozen=True)
class Scorer:
    """A model made of a scoring function and alarm settings; see `Model`."""

    score: Callable[[np.ndarray], np.ndarray]
    settings: AlarmSettings


@dataclass(frozen=True)
class Detection:
    """What a detector said of one recording."""

    events: list[dict]  # as they are printed, in time order
    times_s: np.ndarray  # of each decision. (decision,)
    sensors: np.ndarray  # index of the sensor decided on. (decision,)
    risk: np.ndarray  # percent. (decision,)


class SensorStream:
    """The grid of one sensor as it grows: the last 740 bins and the bin being filled."""

    def __init__(self) -> None:
        """Start with nothing known."""
        channels = len(CHANNEL_NAMES)
        self.history = np.full((windows.SPAN, channels), np.nan, np.float32)
        self.last = np.full(channels, np.nan, np.float32)  # last reading, and how old it is
        self.age = np.zeros(channels, np.int64)
        self.bin: int | None = None  # the bin being filled
        self.sums = np.zeros(channels)
        self.counts = np.zeros(channels)

    def add(self, readings: np.ndarray) -> None:
        """Put one row into the bin being filled."""
        valid = ~np.isnan(readings)
        self.sums += np.where(valid, readings, 0.0)
        self.counts += valid

    def close(self) -> bool:
        """Close the bin being filled; whether it held any reading."""
        assert self.bin is not None, "no bin is open"
        fresh = bool(self.counts.any())
        with np.errstate(invalid="ignore"):
            value = (self.sums / self.counts).astype(np.float32)
        new = ~np.isnan(value)
        self.last = np.where(new, value, self.last)
        self.age = np.where(new, 0, self.age + 1)
        held = np.where(self.age <= windows.HOLD_S / windows.BIN_S, self.last, np.nan)
        self.history = np.roll(self.history, -1, axis=0)
        self.history[-1] = held
        self.sums[:] = 0.0
        self.counts[:] = 0.0
        self.bin += 1
        return fresh

    def skip_to(self, target: int) -> None:
        """Close empty bins until `target` is the open one."""
        assert self.bin is not None, "no bin is open"
        if target - self.bin > windows.SPAN + 10:  # a long gap leaves nothing known
            self.history[:] = np.nan
            self.last[:] = np.nan
            self.bin = target
        while self.bin < target:
            self.close()


class Detector:
    """Events of one space, row by row.

    Feed rows in time order with `update`; call `finish` at the end of a recording.

    Example:
        >>> import numpy as np
        >>> import saafe
        >>> from saafe.detector import AlarmSettings, Scorer
        >>> calm = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())
        >>> detector = saafe.Detector(calm)  # or a run: saafe.Detector(saafe.load("runs/my-run"))
        >>> for time_s in (0.0, 10.0, 20.0):
        ...     events = detector.update(time_s, "kitchen", {"temperature": 70.0})
        >>> [event["cause"] for event in events + detector.finish()]
        ['heat']
    """

    def __init__(self, model: Model) -> None:
        """Take a run, or anything with `score` and `settings`."""
        self.model = model
        self.reset()

    def reset(self) -> None:
        """Forget everything seen."""
        self.streams: dict[str, SensorStream] = {}
        self.space = Space(self.model.settings)

    def update(
        self, time_s: float, sensor: str, readings: np.ndarray | Mapping[str, float]
    ) -> list[dict]:
        """Take one row.

        Args:
            time_s: not before the last row's time.
            sensor: name.
            readings: NaN where missing, in the order of `sensors.CHANNELS` (channel,); or by the
                channels' names.

        Returns:
            Events that became certain, in time order.
        """
        current = int(windows.bin_of(np.array([time_s]))[0])
        events = self._close_until(current)
        if isinstance(readings, Mapping):
            readings = by_name(readings)
        readings = np.asarray(readings, dtype=np.float64)
        if np.isnan(readings).all():
            return events + self.space.settle(time_s)
        stream = self.streams.setdefault(sensor, SensorStream())
        if stream.bin is None:
            stream.bin = current
        stream.add(readings)
        events += self.space.read(time_s, sensor, readings)
        return events

    def fault(self, time_s: float, sensor: str, channel: str, reason: str) -> dict:
        """The event of a reading that could not be used; the channel's next one restores it."""
        watch = self.space.channels.get(sensor)
        if watch is not None and channel in CHANNEL_NAMES:
            watch.faulty[CHANNEL_NAMES.index(channel)] = reason
        return fault_event("fault", time_s, sensor, channel, reason)

    def finish(self) -> list[dict]:
        """Close the open bins and return the last events."""
        return self._close_until(None) + self.space.complete(math.inf)

    def _close_until(self, current: int | None) -> list[dict]:
        """Close every bin before `current` (all where None) and decide on the fresh ones."""
        due = []
        for sensor, stream in self.streams.items():
            if stream.bin is None or (current is not None and stream.bin >= current):
                continue
            at = stream.bin
            if stream.close():
                window = windows.means(stream.history)[None, :, None, :]
                due.append((at, sensor, window, stream.history[-1].copy()))
            if current is not None:
                stream.skip_to(current)
        events: list[dict] = []
        due.sort(key=lambda row: row[:2])
        if due:
            risks = self.model.score(np.concatenate([row[2] for row in due]))
            for (at, sensor, _, latest), risk in zip(due, risks, strict=True):
                events += self.space.decide(at * windows.BIN_S, sensor, float(risk), latest)
        return events


class Space:
    """Alarm state of a space: its sensors' alarms are one incident."""

    def __init__(self, settings: AlarmSettings) -> None:
        """Start calm."""
        self.settings = settings
        self.alarms: dict[str, SensorAlarm] = {}
        self.rules: dict[str, SafetyRules] = {}
        self.channels: dict[str, SelfTest] = {}
        self.risks: dict[str, float] = {}
        self.settled_s = -math.inf

    def read(self, time_s: float, sensor: str, readings: np.ndarray) -> list[dict]:
        """Note that a sensor has spoken; faults and restorations that follow."""
        events = self.settle(time_s)
        watch = self.channels.setdefault(sensor, SelfTest())
        for kind, channel, reason in watch.read(time_s, readings):
            events.append(fault_event(kind, time_s, sensor, channel, reason))
        return events

    def settle(self, time_s: float) -> list[dict]:
        """What has become true by now: alarms of held readings, faults of silent sensors."""
        if time_s == self.settled_s:
            return []
        events = self.complete(time_s)
        self.settled_s = time_s
        for sensor, watch in self.channels.items():
            for since, channel, reason in watch.lapse(time_s):
                events.append(fault_event("fault", since, sensor, channel, reason))
                alarm = self.alarms.get(sensor)
                if reason == "silent" and alarm is not None and alarm.alarmed:
                    events += self._clear(since, sensor, alarm)
        return sorted(events, key=lambda event: (event["time_s"], event["sensor"]))

    def _clear(self, time_s: float, sensor: str, alarm: SensorAlarm) -> list[dict]:
        """End the alarm of a sensor that has fallen silent."""
        alarm.alarmed = alarm.warned = False
        if any(other.alarmed for other in self.alarms.values()):
            return []
        return [risk_event("clear", time_s, sensor, 0.0, "model")]

    def decide(self, time_s: float, sensor: str, risk: float, latest: np.ndarray) -> list[dict]:
        """Take a sensor's decision at a bin's end, on risk [%] and its last readings (channel,).

        The space alarms with its first sensor and clears with its last.
        """
        alarm = self.alarms.setdefault(sensor, SensorAlarm(self.settings))
        rules = self.rules.setdefault(sensor, SafetyRules())
        events = self.settle(time_s)  # before this reading replaces the held one
        rule = rules.step(time_s, float(latest[TEMPERATURE]), float(latest[CO]))
        others = any(a.alarmed for name, a in self.alarms.items() if name != sensor)
        self.risks[sensor] = risk
        step = alarm.step(time_s, log_odds(risk), rule)
        if step is None or others:
            return events
        kind, cause = step
        if kind == "warning" and any(a.warned for name, a in self.alarms.items() if name != sensor):
            return events
        return [*events, risk_event(kind, time_s, sensor, risk, cause)]

    def complete(self, until_s: float) -> list[dict]:
        """Alarms that held readings complete before a time."""
        due = []
        for sensor, alarm in self.alarms.items():
            if alarm.alarmed:
                continue
            at, rule = alarm.overdue(until_s), self.rules[sensor].overdue(until_s)
            ready = [(at, "model")] if at is not None else []
            ready += [rule] if rule is not None else []
            # what came due earlier has been said, and may have been cleared since
            ready = [one for one in ready if one[0] >= self.settled_s]
            if ready:
                due.append((*min(ready), sensor))
        events = []
        for at, cause, sensor in sorted(due):
            others = any(a.alarmed for a in self.alarms.values())
            self.alarms[sensor].alarmed = self.alarms[sensor].warned = True
            self.alarms[sensor].calm.since = None  # to clear, calm must hold from now on
            if not others:
                events.append(risk_event("alarm", at, sensor, self.risks[sensor], cause))
        return events


def risk_event(kind: str, time_s: float, sensor: str, risk: float, cause: str) -> dict:
    """An alarm, clear or warning as it is printed."""
    return {
        "event": kind,
        "time_s": round(float(time_s), 1),
        "sensor": sensor,
        "risk": round(risk, 1),
        "cause": cause,
    }


def fault_event(kind: str, time_s: float, sensor: str, channel: str, reason: str) -> dict:
    """A fault or its end as it is printed."""
    return {
        "event": kind,
        "time_s": round(float(time_s), 1),
        "sensor": sensor,
        "channel": channel,
        "reason": reason,
    }


def by_name(readings: Mapping[str, float]) -> np.ndarray:
    """Readings by their channels' names as an array, NaN where missing. (channel,)"""
    if unknown := sorted(set(readings) - set(CHANNEL_NAMES)):
        raise InputError(f"channel {unknown[0]!r} is unknown; use {', '.join(CHANNEL_NAMES)}")
    return np.array([readings.get(name, math.nan) for name in CHANNEL_NAMES])


def detect(model: Model, recording: Recording, *, since_s: float = -math.inf) -> Detection:
    """Run a recording through the detector, scoring its windows in bulk.

    Args:
        model: a run, or anything with `score` and `settings`.
        recording: readings of one space.
        since_s: no decision is taken before; windows know what came before all the same. [s]

    Returns:
        The events that `Detector` gives on the same rows, and the risk behind them.

    Example:
        >>> import numpy as np
        >>> import saafe
        >>> from saafe.detector import AlarmSettings, Scorer
        >>> calm = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())
        >>> (recording,) = saafe.simulate(1, hours=1.0, sources=["kettle"])
        >>> saafe.detect(calm, recording).events  # or of a run: saafe.load("runs/my-run")
        []
    """
    decisions = []  # (bin, sensor index, risk, latest readings)
    # (time, sensor index, readings); rows without readings tell that time goes on, of no sensor
    silent = np.flatnonzero(np.isnan(recording.readings).all(axis=(1, 2)))
    spoken = [
        (
            recording.times_s[silent],
            np.full(len(silent), -1),
            np.full((len(silent), len(CHANNEL_NAMES)), np.nan),
        )
    ]
    for index, _ in enumerate(recording.sensors):
        readings = recording.readings[:, index]
        rows = np.flatnonzero(~np.isnan(readings).all(axis=1))
        if len(rows) == 0:
            continue
        times = recording.times_s[rows]
        grid, fresh, first = windows.to_grid(times, readings[rows])
        ends = np.flatnonzero(fresh & ((np.arange(len(fresh)) + first) * windows.BIN_S >= since_s))
        risk = np.concatenate(
            [np.empty(0)]
            + [
                model.score(windows.cut_windows(grid, ends[at : at + WINDOW_BATCH]))
                for at in range(0, len(ends), WINDOW_BATCH)
            ]
        )
        decisions.append((ends + first, np.full(len(ends), index), risk, grid[ends]))
        spoken.append((times, np.full(len(rows), index), readings[rows]))
    if not decisions:
        return Detection([], np.empty(0), np.empty(0, np.int64), np.empty(0))
    bins, sensors, risk, latest = (np.concatenate(part) for part in zip(*decisions, strict=True))
    rank = np.argsort(np.argsort(recording.sensors))  # ties go by name, as on a stream
    order = np.lexsort((rank[sensors], bins))
    bins, sensors, risk, latest = bins[order], sensors[order], risk[order], latest[order]
    events = _replay(recording, model.settings, spoken, (bins, sensors, risk, latest))
    return Detection(events, bins * windows.BIN_S, sensors, risk)


def _replay(recording: Recording, settings: AlarmSettings, spoken, decided) -> list[dict]:
    """Let the space take readings and decisions in the order of time."""
    bins, sensors, risk, latest = decided
    times, who, readings = (np.concatenate(part) for part in zip(*spoken, strict=True))
    order = np.lexsort((who, times))
    names = recording.sensors
    space = Space(settings)
    events: list[dict] = []

    def decide(k: int) -> list[dict]:
        at_s = bins[k] * windows.BIN_S
        return space.decide(at_s, names[sensors[k]], float(risk[k]), latest[k])

    reading_bins = windows.bin_of(times)[order]
    at = 0
    for row, reading_bin in zip(order, reading_bins, strict=True):
        while at < len(bins) and bins[at] < reading_bin:
            events += decide(at)
            at += 1
        if who[row] < 0:
            events += space.settle(float(times[row]))
        else:
            events += space.read(float(times[row]), names[who[row]], readings[row])
    for k in range(at, len(bins)):
        events += decide(k)
    return events + space.complete(math.inf)
