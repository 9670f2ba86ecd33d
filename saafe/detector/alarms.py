"""Alarm logic: from risk and readings to events. Numbers only.

Three tiers of persistence: an instant finds flaming fires fast, a minute keeps single wrong
readings from alarming, and five minutes let a smoulder alarm at a risk that cooking reaches too,
but does not keep. Fixed safety rules stand beside the model: it may precede them and never
suppress them.
"""

import math
from dataclasses import asdict, dataclass, replace

from saafe.windows import HOLD_S

HEAT_C = 57.0  # fixed-temperature heat detectors, UL 521 / EN 54-5 class A1's range
RISE_K_PER_MIN = 8.3  # 15 F a minute, rate-of-rise heat detectors, UL 521
CONFIRM_S = 10.0
# (ppm, seconds at or above). EN 50291-1:2018 asks for an alarm after 60 to 90 min at 50 ppm, 10 to
# 40 min at 100 ppm and at most 3 min at 300 ppm; these times lie within each.
CO_DOSES = ((300.0, 120.0), (100.0, 1500.0), (50.0, 4500.0))


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

    def to_dict(self) -> dict[str, float]:
        """Plain values, for a model's metadata."""
        return asdict(self)

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


class Held:
    """How long a condition has held without a break, judged at decisions only."""

    def __init__(self) -> None:
        """Start with the condition false."""
        self.since: float | None = None

    def step(self, time_s: float, claim: bool) -> float:
        """Seconds since the first decision of the unbroken run; -1 while false."""
        if not claim:
            self.since = None
            return -1.0
        if self.since is None:
            self.since = time_s
        return time_s - self.since


def stands(held: Held, time_s: float, *, last_s: float, for_s: float) -> bool:
    """Whether a condition, this decision included, has stood for `for_s` [s] and is to be acted on.

    A sensor that reports less often than the persistence asked for cannot contradict itself in
    time, so its one reading counts: to wait would bring nothing. `last_s` is the time of the
    sensor's decision before, -inf for none.
    """
    if held.since is None:
        return False
    return time_s - held.since >= for_s or for_s < time_s - last_s < math.inf


class SafetyRules:
    """The fixed rules of one sensor: heat, rate of rise, carbon-monoxide dose.

    Heat and rise must stand for `CONFIRM_S`, so that one wrong reading cannot fire them; between
    readings the last one stands, as everywhere.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.hot, self.rising = Held(), Held()
        self.doses = [Held() for _ in CO_DOSES]
        self.past: list[tuple[float, float]] = []  # (time, temperature) of the last minute
        self.rise_from: float | None = None
        self.last_s = -math.inf

    def step(self, time_s: float, temperature_c: float, co_ppm: float) -> str | None:
        """The rule that fires on these readings (NaN where missing), or None."""
        last_s, self.last_s = self.last_s, time_s
        cause = None
        if not math.isnan(co_ppm):
            for (level, seconds), held in zip(CO_DOSES, self.doses, strict=True):
                if held.step(time_s, co_ppm >= level) >= seconds:
                    cause = "co_dose"
        if not math.isnan(temperature_c):
            self.rising.step(time_s, self._rises(time_s, temperature_c))
            self.hot.step(time_s, temperature_c >= HEAT_C)
            if stands(self.rising, time_s, last_s=last_s, for_s=CONFIRM_S):
                cause = "rate_of_rise"
            if stands(self.hot, time_s, last_s=last_s, for_s=CONFIRM_S):
                cause = "heat"
        return cause

    def overdue(self, until_s: float) -> tuple[float, str] | None:
        """The rule that a held reading completes before a time, and when."""
        for held, cause in ((self.hot, "heat"), (self.rising, "rate_of_rise")):
            if held.since is not None:
                at = held.since + CONFIRM_S
                if self.last_s < at < min(until_s, self.last_s + HOLD_S):
                    return at, cause
        return None

    def _rises(self, time_s: float, temperature_c: float) -> bool:
        """Whether the temperature has risen 8.3 K in a minute, and has not come back since."""
        self.past = [(t, v) for t, v in self.past if t >= time_s - 60.0]
        coolest = min((v for _, v in self.past), default=temperature_c)
        self.past.append((time_s, temperature_c))
        if self.rising.since is None:
            self.rise_from = coolest
        assert self.rise_from is not None, "a rise begins somewhere"
        return temperature_c - self.rise_from >= RISE_K_PER_MIN


class SensorAlarm:
    """Alarm state of one sensor."""

    def __init__(self, settings: AlarmSettings) -> None:
        """Start calm."""
        self.settings = settings
        self.fast, self.slow, self.steady = Held(), Held(), Held()
        self.warn, self.calm = Held(), Held()
        self.alarmed = False
        self.warned = False
        self.last_s = -math.inf
        self.first_s: float | None = None

    def overdue(self, until_s: float) -> float | None:
        """When a reading held since the last decision completes the fast tier before a time.

        Between readings the last one is held, for at most 90 s, as it is in the windows: at a
        period of a minute a fire need not wait for a second reading.
        """
        if self.alarmed or self.fast.since is None:
            return None
        at = self.fast.since + self.settings.fast_s
        return at if self.last_s < at < min(until_s, self.last_s + HOLD_S) else None

    def step(self, time_s: float, odds: float, rule: str | None) -> tuple[str, str] | None:
        """Take one decision, on the log-odds of fire and the safety rule that fires now, if any.

        Returns ("alarm", cause), ("clear", "model"), ("warning", "model") or None.
        """
        s = self.settings
        last_s, self.last_s = self.last_s, time_s
        self.first_s = time_s if self.first_s is None else self.first_s
        is_warm = time_s - self.first_s >= s.warm_s
        self.fast.step(time_s, odds >= s.fast and is_warm)
        persisted = stands(self.fast, time_s, last_s=last_s, for_s=s.fast_s)
        persisted |= self.slow.step(time_s, odds >= s.slow) >= s.slow_s
        persisted |= self.steady.step(time_s, odds >= s.steady) >= s.steady_s
        raised = self.warn.step(time_s, odds >= s.warn) >= s.slow_s
        calm = self.calm.step(time_s, odds < s.leave and rule is None)
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
