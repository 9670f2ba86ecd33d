"""Alarm logic: from risk and readings to events. Numbers only.

Three tiers of persistence: an instant finds flaming fires fast, a minute keeps single wrong
readings from alarming, and five minutes let a smoulder alarm at a risk that cooking reaches too,
but does not keep. Fixed safety rules stand beside the model: it may precede them and never
suppress them.

A claim is a condition that would alarm if it lasted. No claim outlives an outage of its sensor.
"""

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from saafe.recordings import LATE_S
from saafe.sensors import HEAT_C, RISE_K_PER_MIN, RISE_SPAN_S

CONFIRM_S = 10.0
# (ppm, seconds at or above). EN 50291-1:2018 asks for an alarm after 60 to 90 min at 50 ppm, 10 to
# 40 min at 100 ppm and at most 3 min at 300 ppm; these times lie within each.
CO_DOSES = ((300.0, 120.0), (100.0, 1500.0), (50.0, 4500.0))
LEAST_CO_PPM = min(level for level, _ in CO_DOSES)
HUSH_S = 600.0  # Chosen, as smoke alarms' hush buttons do, 5 to 15 min (UL 217, from memory)


@dataclass(frozen=True)
class AlarmSettings:
    """Thresholds on the log-odds of fire, and times.

    Attributes:
        fast: alarm once the log-odds have stayed at or above it for `fast_s`.
        slow: alarm once they have stayed at or above it for `slow_s`.
        steady: alarm once they have stayed at or above it for `steady_s`.
        warn: a warning once they have stayed at or above it for `slow_s`.
        leave: an alarm clears once they have stayed below it for `clear_s`.
        fast_s: persistence of the fast tier. [s]
        slow_s: persistence of the slow tier and of warnings. [s]
        steady_s: persistence of the steady tier. [s]
        clear_s: calm before an alarm clears. [s]
        warm_s: a sensor's first seconds, in which the fast tier waits for a baseline: there is
            nothing yet that a first high reading could be high against. [s]
        longest_interval_s: for how long a healthy device of the kind that the model was trained
            for may say nothing; 0 where it was trained for none. [s]
        sentinels: what that device sends in place of readings, beside what every detector knows: a
            channel and a value in its own unit each.
        units: in which it sends readings where nobody names a unit: a channel and its unit each.
    """

    fast: float = 6.0
    slow: float = 4.0
    steady: float = 3.0
    warn: float = 1.0
    leave: float = 0.0
    fast_s: float = 10.0
    slow_s: float = 60.0
    steady_s: float = 300.0
    clear_s: float = 120.0
    warm_s: float = 60.0
    longest_interval_s: float = 0.0
    sentinels: tuple[tuple[str, float], ...] = ()
    units: tuple[tuple[str, str], ...] = ()

    @cached_property
    def least(self) -> float:
        """Log-odds below which no claim stands, to alarm or to warn."""
        return min(self.fast, self.slow, self.steady, self.warn)

    @classmethod
    def from_dict(cls, table: Any) -> "AlarmSettings":
        """The settings that `to_dict` gave.

        Raises:
            ValueError: they are another version's, or damaged.
        """
        try:
            settings, known = cls(**table), cls().to_dict()
            finite = all(map(math.isfinite, settings.to_dict().values()))
            if finite and table.keys() <= known.keys():
                return settings
        except (TypeError, OverflowError):
            pass
        raise ValueError("no alarm settings of this version of saafe")

    def to_dict(self) -> dict[str, float]:
        """Thresholds and times, for a model's metadata; what a device sends its file says."""
        return {key: value for key, value in asdict(self).items() if not isinstance(value, tuple)}

    def moved(self, shift: float) -> "AlarmSettings":
        """The same settings with every threshold shifted. [log-odds]"""
        return replace(
            self, fast=self.fast + shift, slow=self.slow + shift, steady=self.steady + shift,
            warn=self.warn + shift, leave=self.leave + shift,
        )  # fmt: skip


def log_odds(risk: float) -> float:
    """Log-odds of a risk in percent, finite at both ends."""
    share = min(max(risk / 100.0, 1e-15), 1.0 - 1e-15)
    return math.log(share / (1.0 - share))


class Evidence(NamedTuple):
    """What stands behind the reading that a decision is taken on.

    Attributes:
        agree: whether two channels show a fire in it, so that it needs no second reading.
        period_s: the sensor's usual interval. [s]
        is_first: whether it is the sensor's first, or the first after an outage.
    """

    agree: bool = False
    period_s: float = 60.0
    is_first: bool = False

    def wait_s(self, for_s: float) -> float:
        """How long a lone reading must stand that would be believed after `for_s`. [s]

        Two channels are believed at once; one alone waits for the next reading, or for a period
        in which nothing contradicts it.
        """
        believed = self.agree and not self.is_first
        return for_s if believed else max(for_s, self.period_s + LATE_S)


ALONE = Evidence()


class Held:
    """How long a condition has held without a break, judged at decisions only."""

    def __init__(self) -> None:
        """Start with the condition false."""
        self.since: float | None = None
        self.is_lone = False  # whether one decision only has found it
        self.wait_s = 0.0  # how long a lone one must stand

    def step(self, time_s: float, claim: bool) -> float:
        """Seconds since the first decision of the unbroken run; -1 while false."""
        if not claim:
            self.since = None
            return -1.0
        self.is_lone = self.since is None or self.since == time_s
        if self.since is None:
            self.since = time_s
        return time_s - self.since

    def stands(self, time_s: float, *, last_s: float, for_s: float, evidence: Evidence) -> bool:
        """Whether a condition that holds now has stood for `for_s` and is acted on. [s]

        A sensor that reports less often than `for_s` cannot contradict itself in time: to wait
        would bring nothing, where two channels agree. `last_s` is the time of the sensor's
        decision before, -inf for none.
        """
        held_s = self.step(time_s, True)
        self.wait_s = evidence.wait_s(for_s)
        is_slow = for_s < time_s - last_s < math.inf
        return held_s >= for_s or (is_slow and self.wait_s <= for_s)

    def overdue(self, last_s: float, for_s: float) -> float | None:
        """When the last decision's claim completes with no further reading; None if it does not."""
        if self.since is None:
            return None
        at = self.since + (self.wait_s if self.is_lone else for_s)
        return at if at > last_s else None


class SafetyRules:
    """The fixed rules of one sensor: heat, rate of rise, carbon-monoxide dose.

    Heat and rise must stand for `CONFIRM_S`, so that one wrong reading cannot fire them; between
    readings the last one stands, as everywhere.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.hot, self.rising = Held(), Held()
        self.doses = [Held() for _ in CO_DOSES]
        self.past: list[tuple[float, float]] = []  # (time, temperature) since the last outage
        self.rise_from, self.rise_by = 0.0, 0.0
        self.before_s = self.last_s = -math.inf  # of the last two temperatures
        self.last_co_s = -math.inf

    def step(
        self, time_s: float, temperature_c: float, co_ppm: float,
        *, evidence: Evidence = ALONE, outage_s: float = math.inf,
    ) -> str | None:  # fmt: skip
        """The rule that fires on these readings (NaN where missing), or None.

        No claim bridges more than `outage_s` without a reading of its channel. [s]
        """
        cause = None
        if not math.isnan(co_ppm):
            if time_s - self.last_co_s > outage_s:
                self.doses = [Held() for _ in CO_DOSES]
            self.last_co_s = time_s
            if co_ppm < LEAST_CO_PPM:  # as nearly always
                for held in self.doses:
                    held.since = None
            else:
                for (level, seconds), held in zip(CO_DOSES, self.doses, strict=True):
                    if held.step(time_s, co_ppm >= level) >= seconds:
                        cause = "co_dose"
        if not math.isnan(temperature_c):
            if time_s - self.last_s > outage_s:
                self.hot, self.rising, self.past = Held(), Held(), []
                self.last_s = -math.inf
            if time_s > self.last_s:
                self.before_s, self.last_s = self.last_s, time_s
            for held, claim, rule in (
                (self.rising, self._rises(time_s, temperature_c), "rate_of_rise"),
                (self.hot, temperature_c >= HEAT_C, "heat"),
            ):
                if not claim:
                    held.since = None
                elif held.stands(time_s, last_s=self.before_s, for_s=CONFIRM_S, evidence=evidence):
                    cause = rule
        return cause

    def overdue(self) -> tuple[float, str] | None:
        """The rule that a held reading completes with no further one, and when."""
        if self.hot.since is None and self.rising.since is None:  # as nearly always
            return None
        due = [
            (at, cause)
            for held, cause in ((self.hot, "heat"), (self.rising, "rate_of_rise"))
            if (at := held.overdue(self.last_s, CONFIRM_S)) is not None
        ]
        return min(due, default=None)

    def _rises(self, time_s: float, temperature_c: float) -> bool:
        """Whether the temperature has risen by 8.3 K a minute, and has not come back since.

        Over the shortest span of at least a minute between two readings.
        """
        while self.past and self.past[-1][0] >= time_s:  # a bin may be decided on again
            self.past.pop()
        self.past.append((time_s, temperature_c))
        while len(self.past) > 1 and self.past[1][0] <= time_s - RISE_SPAN_S:
            self.past.pop(0)
        if self.rising.since is None:
            start_s, self.rise_from = self.past[0]
            # a younger sensor than a minute: a step in it is one within the first minute
            self.rise_by = RISE_K_PER_MIN * max(time_s - start_s, RISE_SPAN_S) / 60.0
        return temperature_c - self.rise_from >= self.rise_by


class SensorAlarm:
    """Alarm state of one sensor."""

    def __init__(self, settings: AlarmSettings) -> None:
        """Start calm."""
        self.settings = settings
        self.alarmed = self.warned = False
        self.hushed_until_s = -math.inf
        self.first_s: float | None = None
        self.restart()

    def restart(self) -> None:
        """Drop every claim, to be an alarm or to be calm: after an outage, or by a person."""
        self.fast, self.slow, self.steady = Held(), Held(), Held()
        self.warn, self.calm = Held(), Held()
        self.before_s = self.last_s = -math.inf  # of the last two decisions

    def overdue(self) -> float | None:
        """When a held reading completes the fast tier with no further one.

        Between readings the last one is held: at a period of a minute a fire need not wait for
        more than one reading.
        """
        at = None if self.alarmed else self.fast.overdue(self.last_s, self.settings.fast_s)
        return at if at is None or at >= self.hushed_until_s else None

    def step(
        self, time_s: float, odds: float, rule: str | None, evidence: Evidence = ALONE,
        *, is_blind: bool = False,
    ) -> tuple[str, str] | None:  # fmt: skip
        """Take one decision, on the log-odds of fire and the safety rule that fires now, if any.

        One that is blind, without a channel that the sensor alarmed with, is not calm.
        Returns ("alarm", cause), ("clear", "model"), ("warning", "model") or None.
        """
        s = self.settings
        if time_s > self.last_s:
            self.before_s, self.last_s = self.last_s, time_s
        self.first_s = time_s if self.first_s is None else self.first_s
        persisted = raised = False
        if odds < s.least:  # as nearly always
            self.fast.since = self.slow.since = self.steady.since = self.warn.since = None
        else:
            is_warm = time_s - self.first_s >= s.warm_s
            persisted = self._persists(time_s, odds, is_warm, evidence)
            raised = self.warn.step(time_s, odds >= s.warn) >= s.slow_s
        calm = self.calm.step(time_s, odds < s.leave and rule is None and not is_blind)
        if not self.alarmed and (persisted or rule is not None):
            self.alarmed = self.warned = True
            return "alarm", "model" if persisted else str(rule)
        if self.alarmed and calm >= s.clear_s:
            self.alarmed = self.warned = False
            return "clear", "model"
        if not self.warned and raised:
            self.warned = True
            return "warning", "model"
        if not self.alarmed and calm >= s.clear_s:
            self.warned = False
        return None

    def _persists(self, time_s: float, odds: float, is_warm: bool, evidence: Evidence) -> bool:
        """Whether the model alarms: one of the three tiers has stood long enough."""
        s = self.settings
        persisted = False
        if is_warm and odds >= s.fast:
            persisted = self.fast.stands(
                time_s, last_s=self.before_s, for_s=s.fast_s, evidence=evidence
            )
        else:
            self.fast.since = None
        persisted |= self.slow.step(time_s, odds >= s.slow) >= s.slow_s
        persisted |= self.steady.step(time_s, odds >= s.steady) >= s.steady_s
        return persisted and time_s >= self.hushed_until_s
