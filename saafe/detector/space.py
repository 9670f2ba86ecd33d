"""Events of one space: its sensors' alarms are one incident; every fault is said once."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saafe.detector.alarms import AlarmSettings, Evidence, SafetyRules, SensorAlarm, log_odds
from saafe.detector.self_test import REASONS, Said, SelfTest
from saafe.sensors import CHANNEL_NAMES, CHANNELS, CO, TEMPERATURE
from saafe.windows import BIN_S

Event = dict[str, Any]  # as it is printed: one flat JSON object


class Watched:
    """What is known of one sensor."""

    def __init__(self, settings: AlarmSettings, longest_interval_s: float | None) -> None:
        """Start calm and healthy."""
        self.alarm, self.rules = SensorAlarm(settings), SafetyRules()
        self.test = SelfTest(longest_interval_s)
        self.risk = 0.0
        self.began_s = math.inf  # the claims began anew with this row
        self.latest = np.full(len(CHANNELS), np.nan)  # readings at the last decision
        self.alarmed_with: list[int] = []  # channels that told something as it alarmed
        self.late_s = 0.0  # how long after its bin's end the last decision was taken

    def overdue(self) -> tuple[float, str] | None:
        """The alarm that a held reading completes with no further one: when, and its cause."""
        alarm, rules = self.alarm, self.rules
        if alarm.fast.since is None and rules.hot.since is None and rules.rising.since is None:
            return None  # as nearly always
        if alarm.alarmed:
            return None
        at, rule = alarm.overdue(), rules.overdue()
        due = [(at, "model")] if at is not None else []
        first = min(due + ([rule] if rule is not None else []), default=None)
        return first and (first[0] + self.late_s, first[1])  # it stands since it came

    def is_waiting(self) -> bool:
        """Whether a lone reading would alarm if nothing contradicted it."""
        return self.overdue() is not None

    def begin_anew(self) -> None:
        """Drop the claims that an outage has ended."""
        if self.began_s != self.test.began_s:
            self.began_s = self.test.began_s
            self.alarm.restart()
            self.rules = SafetyRules()

    def note_alarm(self) -> None:
        """Remember with which channels it alarms."""
        self.alarmed_with = [
            k
            for k, name in enumerate(CHANNEL_NAMES)
            if not math.isnan(self.latest[k]) and self.test.faulty.get(name) not in REASONS
        ]

    def is_blind(self, time_s: float) -> bool:
        """Whether a channel that it alarmed with tells nothing now: what is left is no calm.

        It has a fault, or it has given no reading since the calm began.
        """
        if not self.alarm.alarmed:
            return False
        since_s = time_s if self.alarm.calm.since is None else self.alarm.calm.since
        return any(
            self.test.is_untold(CHANNEL_NAMES[k])
            or (
                math.isnan(self.latest[k])
                and self.test.channels[k].intervals.last_s < since_s - BIN_S
            )
            for k in self.alarmed_with
        )

    def evidence(self, time_s: float, agree: bool) -> Evidence:
        """What stands behind a decision."""
        period_s = self.test.period_s
        return Evidence(agree, period_s, is_first=time_s < self.test.began_s + BIN_S)


class Space:
    """Alarm state of a space.

    It goes on in time by `advance`; `read`, `refuse` and `decide` stand at a moment. What becomes
    true of several sensors at one moment is said in the order of `sensors`: of their first rows.
    """

    def __init__(self, settings: AlarmSettings, longest_interval_s: float | None = None) -> None:
        """Start calm; `longest_interval_s` is how long a healthy sensor may pause. [s]"""
        self.settings = settings
        self.longest_interval_s = longest_interval_s
        self.sensors: dict[str, Watched] = {}
        self.incident: str | None = None  # the sensor that the alarm was said of
        self.now_s = -math.inf

    @property
    def is_raised(self) -> bool:
        """Whether an alarm or a warning stands."""
        return self.incident is not None or any(one.alarm.warned for one in self.sensors.values())

    @property
    def hushed_until_s(self) -> float:
        """Until when the model raises no alarm, -inf where nobody acknowledged one. [s]"""
        return max((one.alarm.hushed_until_s for one in self.sensors.values()), default=-math.inf)

    def sensor(self, name: str) -> Watched:
        """What is known of a sensor."""
        if name not in self.sensors:
            watched = Watched(self.settings, self.longest_interval_s)
            watched.alarm.hushed_until_s = self.hushed_until_s  # a person hushed the whole space
            self.sensors[name] = watched
            if "" in self.sensors:  # of lines that name no sensor, which no file has among its own
                self.sensors[""] = self.sensors.pop("")
        return self.sensors[name]

    def next_due(self) -> float:
        """When something becomes true with no further reading, inf for never. [s]"""
        due = math.inf
        for watched in self.sensors.values():
            due = min(due, watched.test.silent_due(), watched.test.lines_due())
            if (overdue := watched.overdue()) and overdue[0] < due:
                due = overdue[0]
        return due

    def advance(self, until_s: float, *, inclusive: bool = False) -> list[Event]:
        """Let time go on: what held readings and silence make true before a time, or by it. [s]"""
        events: list[Event] = []
        while (due := self.next_due()) < until_s or (inclusive and due == until_s < math.inf):
            at = self.now_s = max(due, self.now_s)
            for name, watched in self.sensors.items():
                overdue = watched.overdue()
                if overdue is not None and overdue[0] <= due:
                    events += self._complete(at, name, watched, overdue[1])
                if watched.test.silent_due() <= due:
                    events += said_events([("fault", *watched.test.lapse())], at, name)
                if watched.test.lines_due() <= due:
                    events += said_events(watched.test.end_lines(), at, name)
        self.now_s = max(self.now_s, until_s) if math.isfinite(until_s) else self.now_s
        return events

    def lose(self, time_s: float, name: str) -> list[Event]:
        """A sensor is known to be away: what its silence would say later is said now."""
        watched = self.sensors.get(name)
        if watched is None or watched.test.silent_due() == math.inf:
            return []
        return said_events([("fault", *watched.test.lapse())], time_s, name)

    def excuse(self, now_s: float, pause_s: float = math.inf) -> None:
        """Nobody listened until now, for so long: go on from here. [s]"""
        self.now_s = max(self.now_s, now_s)
        for watched in self.sensors.values():
            watched.test.excuse(self.now_s, pause_s)
            watched.begin_anew()

    def complete(self) -> list[Event]:
        """The alarms that held readings complete after the last row, and nothing else."""
        due = [
            (*overdue, name)
            for name, watched in self.sensors.items()
            if (overdue := watched.overdue()) is not None
        ]
        events: list[Event] = []
        for at, cause, name in sorted(due):
            events += self._complete(max(at, self.now_s), name, self.sensors[name], cause)
        return events

    def _complete(self, at: float, name: str, watched: Watched, cause: str) -> list[Event]:
        watched.alarm.alarmed = watched.alarm.warned = True
        watched.alarm.calm.since = None  # to clear, calm must hold from now on
        return self._alarm(at, name, cause)

    def _alarm(self, time_s: float, name: str, cause: str) -> list[Event]:
        self.sensors[name].note_alarm()
        if self.incident is not None:
            return []
        self.incident = name
        return [risk_event("alarm", time_s, name, self.sensors[name].risk, cause)]

    def read(
        self,
        time_s: float,
        name: str,
        readings: NDArray[np.float64],
        refused: Mapping[str, str] | None,
    ) -> list[Event]:
        """Note a row of a sensor, by its own time: the faults that it begins and ends now.

        Readings are NaN where missing (channel,); `refused` tells why cells could not be used.
        """
        now_s = max(self.now_s, time_s)
        said = self.sensor(name).test.read(now_s, readings, own_s=time_s)
        if refused:
            is_empty = bool(np.isnan(readings).all())
            said = said + self.sensor(name).test.refuse(now_s, refused, is_empty=is_empty)
        return said_events(said, now_s, name)

    def decide(
        self,
        time_s: float,
        name: str,
        risk: float,
        latest: NDArray[np.float32],
        *,
        agree: bool = False,
    ) -> list[Event]:
        """Take a sensor's decision at a bin's end.

        Args:
            time_s: of the bin's end; what it makes true is said now, which may be later.
            name: of the sensor.
            risk: percent.
            latest: its last readings. (channel,)
            agree: whether two channels show a fire in them.

        Returns:
            Events. The space alarms with its first sensor, and clears with its last.
        """
        watched = self.sensor(name)
        watched.begin_anew()
        was_waiting = watched.is_waiting()
        said_s = max(time_s, self.now_s)
        watched.risk, watched.latest, watched.late_s = risk, latest, said_s - time_s
        evidence = watched.evidence(time_s, agree)
        rule = watched.rules.step(
            time_s, float(latest[TEMPERATURE]), float(latest[CO]),
            evidence=evidence, outage_s=watched.test.outage_s,
        )  # fmt: skip
        is_blind = watched.is_blind(time_s)
        step = watched.alarm.step(time_s, log_odds(risk), rule, evidence, is_blind=is_blind)
        kind, cause = step or ("", "")
        events: list[Event] = []
        if was_waiting and not watched.alarm.alarmed and not watched.is_waiting():
            events = said_events(watched.test.jump(), said_s, name)
        if kind == "alarm":
            return events + self._alarm(said_s, name, cause)
        if kind == "clear":
            return events + self._clear(said_s, cause)
        if kind == "warning" and not self._others_warned(watched):
            events.append(risk_event("warning", said_s, name, risk, cause))
        return events

    def acknowledge(self, time_s: float, *, hush_s: float) -> list[Event]:
        """A person ends the incident; for `hush_s` the model alone raises no other. [s]"""
        for watched in self.sensors.values():
            watched.alarm.alarmed = watched.alarm.warned = False
            watched.alarm.restart()
            watched.rules = SafetyRules()
            watched.alarm.hushed_until_s = time_s + hush_s
        return self._clear(time_s, "acknowledged")

    def _others_warned(self, watched: Watched) -> bool:
        return any(other.alarm.warned for other in self.sensors.values() if other is not watched)

    def _clear(self, time_s: float, cause: str) -> list[Event]:
        """End the incident once no sensor alarms, naming the sensor that began it."""
        if self.incident is None or any(one.alarm.alarmed for one in self.sensors.values()):
            return []
        name, self.incident = self.incident, None
        return [risk_event("clear", time_s, name, self.sensors[name].risk, cause)]


def risk_event(kind: str, time_s: float, sensor: str, risk: float, cause: str) -> Event:
    """An alarm, clear or warning as it is printed."""
    return {
        "event": kind,
        "time_s": round(float(time_s), 1),
        "sensor": sensor,
        "risk": round(risk, 1),
        "cause": cause,
    }


def said_events(said: list[Said], time_s: float, sensor: str) -> list[Event]:
    """Faults and their ends as they are printed."""
    return [
        {
            "event": kind,
            "time_s": round(float(time_s), 1),
            "sensor": sensor,
            "channel": channel,
            "reason": reason,
        }
        for kind, channel, reason in said
    ]


def dated(events: Sequence[Event], start: datetime | None) -> list[Event]:
    """Events with their `time`, ISO 8601, beside their `time_s`.

    Args:
        events: of a recording or a stream.
        start: when its first row was; None where that is not known: the events as they are.
    """
    if start is None:
        return list(events)
    found: list[Event] = []
    for event in events:
        moment = start + timedelta(seconds=event["time_s"])
        rest = {key: value for key, value in event.items() if key not in ("event", "time_s")}
        time = {"time": moment.isoformat(timespec="seconds")}
        found.append({"event": event["event"], "time_s": event["time_s"], **time, **rest})
    return found
