"""A recording through the detector: its windows are scored in bulk, its events are a stream's."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from saafe import windows
from saafe.detector.alarms import CO_DOSES, AlarmSettings, log_odds
from saafe.detector.detector import Model, agreeing, hold_bins, longest_pause, score
from saafe.detector.space import Event, Space
from saafe.errors import InputError, check_type
from saafe.recordings import Recording, without_sentinels
from saafe.sensors import CHANNELS, CO, HEAT_C, RISE_K_PER_MIN, RISE_SPAN_S, TEMPERATURE

WINDOW_BATCH = 4096  # windows scored at once
NO_READING = np.full(len(CHANNELS), np.nan)
LEAST_RISE_K = RISE_K_PER_MIN * RISE_SPAN_S / 60.0  # that the rate of rise asks for
GRID_BINS = 50_000  # put on a grid at once: six days, some megabytes
Reasons = defaultdict[tuple[float, str], dict[str, str]]  # (time, sensor): channel: why not used


@dataclass(frozen=True)
class Detection:
    """What a detector said of one recording.

    Attributes:
        events: as they are printed, in time order.
        times_s: of each decision. [s] (decision,)
        sensors: index of the sensor decided on. (decision,)
        risk: of fire, 0 to 100. [%] (decision,)
    """

    events: list[Event]
    times_s: NDArray[np.float64]
    sensors: NDArray[np.int64]
    risk: NDArray[np.float64]


class Decisions(NamedTuple):
    """Decisions of a recording's sensors, at the ends of bins that hold a reading."""

    times_s: NDArray[np.float64]  # (decision,)
    sensors: NDArray[np.int64]  # index of the sensor. int64 (decision,)
    risk: NDArray[np.float64]  # percent. (decision,)
    latest: NDArray[np.float32]  # the sensor's last readings. (decision, channel)
    agree: NDArray[np.bool_]  # see `agreeing`. bool (decision,)

    def only(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "Decisions":
        """Some of them, by a mask or an index."""
        return Decisions(
            self.times_s[which], self.sensors[which], self.risk[which], self.latest[which],
            self.agree[which],
        )  # fmt: skip


NO_DECISION = Decisions(
    np.empty(0), np.empty(0, np.int64), np.empty(0), np.empty((0, len(CHANNELS)), np.float32),
    np.empty(0, bool),
)  # fmt: skip


def detect(
    model: Model,
    recording: Recording,
    *,
    since_s: float = -math.inf,
    longest_interval_s: float | None = None,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> Detection:
    """Run a recording through the detector, scoring its windows in bulk.

    Args:
        model: a run, or anything with `score` and `settings`.
        recording: readings of one space, possible ones as `read_recording` gives them.
        since_s: no decision is taken before; windows know what came before all the same. [s]
        longest_interval_s: see `Detector`.
        on_progress: takes the share of the work that is done.

    Returns:
        The events that `Detector` gives on the same rows, at the same times, and the risk behind
        them.

    Example:
        >>> import numpy as np
        >>> import saafe
        >>> from saafe.detector import AlarmSettings, Scorer
        >>> calm = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())
        >>> (recording,) = saafe.simulate(1, hours=1.0, sources=["kettle"])
        >>> saafe.detect(calm, recording).events  # or of a run: saafe.load("runs/my-run")
        []
    """
    pause_s = longest_pause(model, longest_interval_s)
    if not isinstance(since_s, Real) or math.isnan(since_s):  # no decision would ever be taken
        raise InputError(f"since_s: came {since_s!r}; allowed: seconds from the first row, or -inf")
    check_type(recording, Recording, "detect: takes a model, then a recording")
    if not len(recording.times_s):
        raise InputError(f"{recording.name}: has no rows to detect in")
    recording = without_sentinels(recording, model.settings.sentinels)
    decided = decide(
        model, recording, since_s=since_s, longest_interval_s=longest_interval_s,
        on_progress=lambda share: on_progress(0.5 * share),
    )  # fmt: skip
    space = Space(model.settings, pause_s)
    events = _replay(recording, space, decided, lambda share: on_progress(0.5 + 0.5 * share))
    return Detection(events, decided.times_s, decided.sensors, decided.risk)


def can_alarm(settings: AlarmSettings, recording: Recording, decided: Decisions) -> bool:
    """Whether anything in a recording could raise an alarm: else `detect` need not be asked.

    A risk at a threshold, or a temperature or carbon monoxide that a fixed rule looks at.
    """
    lowest = min(settings.fast, settings.slow, settings.steady)
    if len(decided.risk) and log_odds(float(decided.risk.max())) >= lowest:
        return True
    temperature, co = (recording.readings[..., k] for k in (TEMPERATURE, CO))
    warm, gas = temperature[np.isfinite(temperature)], co[np.isfinite(co)]
    rises = warm.size and (warm.max() >= HEAT_C or np.ptp(warm) >= LEAST_RISE_K)
    return bool(rises or (gas.size and gas.max() >= CO_DOSES[-1][0]))


def decide(
    model: Model,
    recording: Recording,
    *,
    since_s: float = -math.inf,
    longest_interval_s: float | None = None,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> Decisions:
    """What `detect` decides on, without the events that come of it; arguments are its own."""
    hold = hold_bins(longest_pause(model, longest_interval_s))
    recording = without_sentinels(recording, model.settings.sentinels)
    counts = (~np.isnan(recording.readings).all(axis=2)).sum()
    parts, done = [NO_DECISION], 0
    for index in range(len(recording.sensors)):
        for part, rows in _decisions(model, recording, index, hold, since_s):
            parts.append(part)
            done += rows
            on_progress(done / counts)
    decided = Decisions(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    parts.clear()
    if len(recording.sensors) > 1:  # one sensor's are in order
        decided = decided.only(np.lexsort((decided.sensors, decided.times_s)))
    return decided


def _decisions(
    model: Model, recording: Recording, index: int, hold: int, since_s: float
) -> Iterator[tuple[Decisions, int]]:
    """Decisions of one sensor span by span, each with its number of rows.

    A span's grid begins as long before it as a window and a held reading reach back.
    """
    rows = np.flatnonzero(~np.isnan(recording.readings[:, index]).all(axis=1))
    times, readings = recording.times_s[rows], recording.readings[rows, index]
    bins = windows.bin_of(times)
    at = 0
    while at < len(rows):
        begin = int(bins[at])
        end = int(np.searchsorted(bins, begin + GRID_BINS))
        known = slice(int(np.searchsorted(bins, begin - windows.SPAN - hold)), end)
        grid, fresh, first = windows.to_grid(times[known], readings[known], hold_bins=hold)
        fresh[: begin - first] = False
        fresh &= (np.arange(len(fresh)) + first) * windows.BIN_S >= since_s
        ends = np.flatnonzero(fresh)
        risk, agree = [NO_DECISION.risk], [NO_DECISION.agree]
        for batch in np.array_split(ends, math.ceil(len(ends) / WINDOW_BATCH) or 1):
            if not len(batch):
                continue
            cut = windows.cut_windows(grid, batch)
            risk.append(score(model, cut))
            agree.append(agreeing(cut))
        part = Decisions(
            (ends + first).astype(np.float64) * windows.BIN_S, np.full(len(ends), index),
            np.concatenate(risk), grid[ends], np.concatenate(agree),
        )  # fmt: skip
        yield part, end - at
        at = end


def _replay(
    recording: Recording, space: Space, decided: Decisions, on_progress: Callable[[float], None]
) -> list[Event]:
    """Let the space take rows and decisions in the order in which a stream does."""
    # views give plain floats, as lists of millions would, and take no memory
    times, names = recording.times_s.data, recording.sensors
    for name in names:  # a row that held nothing is in no recording; it may have been the first
        space.sensor(name)
    refused: Reasons = defaultdict(dict)
    alone: Reasons = defaultdict(dict)
    for cell in recording.refused:
        (alone if cell.is_alone else refused)[cell.time_s, cell.sensor][cell.channel] = cell.reason
    is_row = np.any(~np.isnan(recording.readings), axis=2)
    readings, turns, every = recording.readings, recording.turns, range(len(names))
    end_s, who = decided.times_s.data, decided.sensors.data
    events: list[Event] = []
    at = 0  # the next decision
    early: set[int] = set()  # taken before it, where a row of another sensor ended its own bin

    def decide(k: int) -> list[Event]:
        if k in early:
            early.remove(k)
            return []
        return space.decide(
            end_s[k], names[who[k]], float(decided.risk[k]), decided.latest[k],
            agree=bool(decided.agree[k]),
        )  # fmt: skip

    for moment, time_s in enumerate(times):
        while at < len(end_s) and end_s[at] < time_s:
            events += space.advance(end_s[at])
            events += decide(at)
            at += 1
        events += space.advance(time_s)
        for turn, index in enumerate(every if turns is None else np.argsort(turns[moment])):
            name = names[index]
            reasons = refused.get((time_s, name)) if refused else None
            rows = alone.get((time_s, name), {}) if alone else {}
            if is_row[moment, index] or reasons or rows:
                if turn:  # a row of the same time may have set a claim
                    events += space.advance(time_s)
                events += space.read(time_s, name, readings[moment, index], reasons)
                for channel, reason in rows.items():  # on a stream each is a row of its own
                    events += space.read(time_s, name, NO_READING, {channel: reason})
                own = at
                while own < len(end_s) and end_s[own] == time_s and who[own] != index:
                    own += 1
                if own < len(end_s) and end_s[own] == time_s and is_row[moment, index]:
                    events += decide(own)
                    early.add(own)
        # a row that could not be read names no sensor
        if refused and (lost := refused.get((time_s, ""))):
            events += space.read(time_s, "", NO_READING, lost)
        if moment % 10_000 == 0:
            on_progress(moment / len(times))
    for k in range(at, len(end_s)):
        events += space.advance(end_s[k])
        events += decide(k)
    events += space.advance(max([times[-1], *end_s[-1:]]), inclusive=True)
    return events + space.complete()
