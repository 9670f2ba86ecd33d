"""The detector: readings in, events out, the same on a stream and on a recording.

It takes anything that scores windows and has alarm settings (`Model`), and imports no torch.
"""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from saafe import windows
from saafe.detector.alarms import HUSH_S, AlarmSettings
from saafe.detector.sensor_stream import SensorStream
from saafe.detector.space import Event, Space
from saafe.detector.state import (
    STATE_FORMAT,
    MismatchError,
    fill,
    float_of,
    model_identity,
    read_state,
    to_plain,
    write_state,
)  # fmt: skip
from saafe.errors import InputError, check_type
from saafe.recordings import BEHIND_S, LATE_S, held_sentinels, without_unusable
from saafe.sensors import CHANNEL_NAMES, CHANNELS

SHOWS = np.array([c.visibility.event if c.visibility else math.inf for c in CHANNELS])
LONGEST_PAUSE_S = windows.DAY_S  # Chosen: a sensor that says nothing for longer is no detector
ROUNDED = 1e-3  # Chosen: that a risk may be beyond 0 or 100 by its last digits. [%]
RECENT_STEPS = 40  # of a window: its last 23 minutes
# yields windows (window, 60, 1, channel), takes their risk in percent (window,), ends with events
Scoring = Generator[NDArray[np.float32], NDArray[np.float64], list[Event]]


class Model(Protocol):
    """What a detector needs of a trained run, a rival or an exported file."""

    @property
    def settings(self) -> AlarmSettings:
        """Its alarm thresholds."""
        ...

    def score(self, windows: NDArray[np.float32], /) -> NDArray[np.float64]:
        """Risk of windows. (batch, 60, 1, channel) to percent (batch,)"""
        ...


@dataclass(frozen=True)
class Scorer:
    """A model made of a scoring function and alarm settings; see `Model`."""

    score: Callable[[NDArray[np.float32]], NDArray[np.float64]]
    settings: AlarmSettings


class Detector:
    """Events of one space, row by row and by the clock.

    Feed rows with `update` as they come, and let time go on with `tick` where none comes; call
    `finish` at the end of a recording.

    Example:
        >>> import numpy as np
        >>> import saafe
        >>> from saafe.detector import AlarmSettings, Scorer
        >>> calm = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())
        >>> detector = saafe.Detector(calm)  # or a run: saafe.Detector(saafe.load("runs/my-run"))
        >>> for time_s in (0.0, 10.0, 20.0):
        ...     events = detector.update(time_s, "kitchen", {"temperature": 70.0})
        ...     print(time_s, [event["cause"] for event in events])
        0.0 []
        10.0 ['heat']
        20.0 []
        >>> [event["reason"] for event in detector.tick(200.0)]
        ['silent']
    """

    def __init__(self, model: Model, *, longest_interval_s: float | None = None) -> None:
        """Take a run, or anything with `score` and `settings`.

        `longest_interval_s` is how long a healthy sensor may pause, for those that report on
        change: so long its last reading holds, and it is silent after 1.5 times that. [s] None:
        as the device does that the model was trained for, else as the sensor itself usually does.
        """
        self.model = model
        self.longest_interval_s = longest_pause(model, longest_interval_s)
        self.hold_bins = hold_bins(self.longest_interval_s)
        self.sentinels = held_sentinels(model.settings.sentinels)
        self.reset()

    def reset(self) -> None:
        """Forget everything seen."""
        self.streams: dict[str, SensorStream] = {}
        self.space = Space(self.model.settings, self.longest_interval_s)

    @property
    def now_s(self) -> float:
        """Stream time: as far as rows and ticks have come, -inf before the first. [s]"""
        return self.space.now_s

    def update(
        self,
        time_s: float,
        sensor: str,
        readings: NDArray[np.float64] | Mapping[str, float],
        refused: Mapping[str, str] | None = None,
        *,
        now_s: float = -math.inf,
    ) -> list[Event]:
        """Take one row.

        Args:
            time_s: of the row. One up to 5 s late, or in the order of its sensor's rows, joins its
                bin; any other counts from now on.
            sensor: name.
            readings: NaN where missing, in the order of `sensors.CHANNELS` (channel,); or by the
                channels' names. An impossible value, a known wrong one and one that the model's
                device sends in place of a reading is none, and a fault.
            refused: why cells could not be used, by channel; "row", "sensor" or "time" for what
                is wrong with the row.
            now_s: stream time as the row came, where it came late. [s]

        Returns:
            Events that became true before the row and by it, in time order.

        Raises:
            InputError: the time is no number, the sensor no text, or the readings are not one a
                channel.
        """
        return self._scored(self.updating(time_s, sensor, readings, refused, now_s=now_s))

    def updating(
        self,
        time_s: float,
        sensor: str,
        readings: NDArray[np.float64] | Mapping[str, float],
        refused: Mapping[str, str] | None = None,
        *,
        now_s: float = -math.inf,
    ) -> Scoring:
        """`update`, to be scored by the caller: windows of many detectors in one batch."""
        if not isinstance(time_s, Real) or not math.isfinite(time_s):
            raise InputError(f"time_s: came {time_s}; allowed: seconds from any start")
        # a saved state would hold a number as text, which is another sensor
        check_type(sensor, str, 'sensor: takes a name, such as "kitchen"')
        check_type(refused, Mapping | None, 'refused: takes {"pm25": "why"}')
        readings = to_array(readings)  # refused before time goes on, or its events would be lost
        time_s = self._in_order(time_s, sensor)
        events = yield from self._advance(max(time_s, now_s), inclusive=False)
        now_s = self.now_s
        # faster than numpy on six
        values, unusable = without_unusable(readings.tolist(), self.sentinels)
        readings = np.array(values)
        if unusable:
            refused = unusable | dict(refused or {})
        events += self.space.read(time_s, sensor, readings, refused)
        if not any(map(math.isfinite, values)):
            return events
        first = windows.bin_at(time_s)
        if sensor not in self.streams:
            self.streams[sensor] = SensorStream(first, self.hold_bins)
        stream = self.streams[sensor]
        if first < stream.bin and time_s < stream.last_s:  # its bin is closed
            time_s = max(now_s, (stream.bin - 1) * windows.BIN_S + 1e-6)
        stream.add(time_s, readings)
        if stream.end_s <= now_s:
            events += yield from self._decide([sensor])
        return events

    def _in_order(self, time_s: float, sensor: str) -> float:
        """A row's time; now where its sensor's rows have come further, or it is far behind."""
        stream = self.streams.get(sensor)
        earliest_s = self.now_s - BEHIND_S if stream is None else stream.last_s
        return time_s if time_s >= min(earliest_s, self.now_s - LATE_S) else self.now_s

    def tick(self, now_s: float) -> list[Event]:
        """Let time go on to `now_s` with no row: the events that have become true by then. [s]

        Inf is the end of all that a missing row makes true; an InputError where it is no number.
        """
        return self._scored(self.ticking(now_s))

    def ticking(self, now_s: float) -> Scoring:
        """`tick`, to be scored by the caller."""
        return self._advance(now_s, inclusive=True)

    def resuming(self, now_s: float, *, pause_s: float = math.inf) -> Scoring:
        """Go on after a pause in which nobody listened, as after a restart, until `now_s`. [s]

        What was being read is decided on. No claim bridges the pause where it was an outage. No
        silence is said for ten times as long as the pause, for a minute at least, and at most for
        as long as a sensor may be silent. To be scored by the caller.

        Args:
            now_s: stream time. [s]
            pause_s: for how long nobody listened, inf where that is not known. [s]
        """
        events = yield from self._advance(min(now_s, self.now_s + windows.BIN_S), inclusive=True)
        self.space.excuse(now_s, pause_s)
        return events

    def next_due(self) -> float:
        """When `tick` has something to do, if no row comes before; inf for never. [s]"""
        ends = [stream.end_s for stream in self.streams.values()]
        return min([self.space.next_due(), *ends])

    def acknowledge(self) -> list[Event]:
        """A person has seen to the alarm: it clears, and the model raises no other for 10 min.

        The fixed rules may: readings that go on to meet one alarm again. A calm space too is
        hushed: ask `space.is_raised` before.
        """
        return self.space.acknowledge(self.now_s, hush_s=HUSH_S)

    def lose(self, sensor: str) -> list[Event]:
        """Somebody else knows that a sensor is away: it is silent from now on, until its next row.

        One that is silent already, or of which no row has come, stays as it is.
        """
        return self.space.lose(self.now_s, sensor)

    def finish(self) -> list[Event]:
        """Close the open bins and return the last events."""
        ends = [stream.end_s for stream in self.streams.values()]
        last_s = max([self.now_s, *(end for end in ends if end < math.inf)])
        return self.tick(last_s) + self.space.complete()

    def state(self) -> dict[str, Any]:
        """All that it has seen, as JSON values: for `set_state`, after a restart or elsewhere."""
        space = {"incident": self.space.incident, "now_s": to_plain(self.space.now_s)}
        return {
            "format": STATE_FORMAT,
            "model": model_identity(self.model),
            "channels": list(CHANNEL_NAMES),
            "longest_interval_s": self.longest_interval_s,
            "streams": to_plain(self.streams),
            "space": space | {"sensors": to_plain(self.space.sensors)},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave: the same rows give the same events as without a break.

        Raises:
            InputError: it is another model's state, of another longest interval, of another
                version, or damaged; then nothing has changed.
        """
        check_type(state, Mapping, "set_state: takes what `state` gave")
        for name, ours in (
            ("format", STATE_FORMAT), ("channels", list(CHANNEL_NAMES)),
            ("model", model_identity(self.model)), ("longest_interval_s", self.longest_interval_s),
        ):  # fmt: skip
            if (theirs := state.get(name)) != ours:
                # whole numbers and seconds say something to people; a model's checksum does not
                what = f"another {name}" if name == "model" else f"{name} {theirs}, not {ours}"
                raise InputError(f"the saved state has {what}: start without it")
        space = Space(self.model.settings, self.longest_interval_s)
        streams: dict[str, SensorStream] = {}
        try:
            saved = state["space"]
            for sensor, plain in saved["sensors"].items():
                fill(space.sensor(sensor), plain)
            space.now_s, space.incident = float_of(saved["now_s"]), saved["incident"]
            for sensor, plain in state["streams"].items():
                streams[sensor] = SensorStream(0, self.hold_bins)
                fill(streams[sensor], plain)
            if not (space.incident is None or space.incident in space.sensors):
                raise MismatchError("the incident's sensor")
        except (MismatchError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"the saved state is damaged ({error}): start without it") from None
        self.space, self.streams = space, streams

    def save(self, path: Path | str) -> None:
        """Write `state` to a file, whole or not at all.

        Example:
            >>> import numpy as np
            >>> import saafe
            >>> detector = saafe.Detector(saafe.load())
            >>> events = detector.update(0.0, "kitchen", {"temperature": 21.0})
            >>> detector.save("kitchen.state")
            >>> again = saafe.Detector(saafe.load())
            >>> again.restore("kitchen.state")
            >>> again.now_s
            0.0
        """
        write_state(Path(path), self.state())

    def restore(self, path: Path | str) -> None:
        """Go on from a file that `save` wrote; see `set_state` for what is refused."""
        self.set_state(read_state(Path(path)))

    def _scored(self, scoring: Scoring) -> list[Event]:
        """The events of a piece of work whose windows are scored as they come."""
        try:
            cut = next(scoring)
            while True:
                cut = scoring.send(score(self.model, cut))
        except StopIteration as done:
            return done.value

    def _advance(self, until_s: float, *, inclusive: bool) -> Scoring:
        """Go on to a time, deciding on each bin that ends before it, or by it, as it ends."""
        if not isinstance(until_s, Real) or math.isnan(until_s):
            allowed = "seconds of the rows' own time, or inf"
            raise InputError(f"now_s: came {until_s!r}; allowed: {allowed}")
        events: list[Event] = []
        while True:
            ends = {sensor: stream.end_s for sensor, stream in self.streams.items()}
            end_s = min(ends.values(), default=math.inf)
            if end_s > until_s or (end_s == until_s and not inclusive) or end_s == math.inf:
                return events + self.space.advance(until_s, inclusive=inclusive)
            events += self.space.advance(end_s)
            due = [sensor for sensor in self.space.sensors if ends.get(sensor) == end_s]
            events += yield from self._decide(due)

    def _decide(self, due: Sequence[str]) -> Scoring:
        """Close the open bins of sensors and decide on them."""
        ends = [self.streams[sensor].end_s for sensor in due]
        windows_of = [self.streams[sensor].close()[None] for sensor in due]
        closed = windows_of[0] if len(due) == 1 else np.concatenate(windows_of)
        agree = agreeing(closed)
        risk = yield closed
        events: list[Event] = []
        for k, sensor in enumerate(due):
            latest = self.streams[sensor].latest()
            events += self.space.decide(
                ends[k], sensor, float(risk[k]), latest, agree=bool(agree[k])
            )
        return events


def score(model: Model, cut: NDArray[np.float32]) -> NDArray[np.float64]:
    """Risk of windows (window, 60, 1, channel) in percent (window,).

    Raises:
        InputError: it is no number, no percentage, or not one a window. That is nothing to be
            calm about.
    """
    risk = model.score(cut)
    if np.shape(risk) != (len(cut),):
        came = f"shape {np.shape(risk)} of {len(cut)} windows"
        raise InputError(f"score: came {came}; allowed: (window,), a risk in percent each")
    if not (np.abs(np.asarray(risk) - 50.0) <= 50.0 + ROUNDED).all():  # nor is NaN
        raise wrong_risk(model, cut, np.asarray(risk))
    return risk


def wrong_risk(model: Model, cut: NDArray[np.float32], risk: NDArray[np.float64]) -> InputError:
    """Why a risk of windows (window, 60, 1, channel) cannot be one, with what mends it."""
    if np.isfinite(risk).all():
        came = f"{risk.min():g} to {risk.max():g}"
        return InputError(f"score: came {came}; allowed: a risk in percent, 0 to 100")
    for k, channel in enumerate(CHANNELS):  # of a recording that was made by hand
        most = np.nanmax(np.abs(cut[..., k]), initial=0.0)
        if most > 1e6 * channel.highest:
            return InputError(
                f"readings: came {most:g} of {channel.name}; allowed: {channel.lowest:g} to "
                f"{channel.highest:g} {channel.unit}, NaN for missing"
            )
    name = getattr(model, "folder", "the model")
    return InputError(f"{name} is damaged (its risk is no number): copy or train it again")


def longest_pause(model: Model, longest_interval_s: float | None) -> float | None:
    """How long a healthy sensor may pause: as was said, else as the model's device does. [s]"""
    if not hasattr(model, "settings"):
        takes = "a model: saafe.load() or anything with `score` and `settings`"
        raise InputError(f"model: takes {takes}, got {type(model).__name__}")
    if longest_interval_s is None:
        return model.settings.longest_interval_s or None
    return longest_interval_s


def hold_bins(longest_interval_s: float | None) -> int:
    """For how many empty bins a reading is shown.

    Raises:
        InputError: no sensor pauses so long, or so briefly.
    """
    if longest_interval_s is None:
        return int(windows.HOLD_S / windows.BIN_S)
    if not isinstance(longest_interval_s, Real):
        raise InputError(f"longest interval: came {longest_interval_s!r}; allowed: seconds")
    if not 1.0 <= longest_interval_s <= LONGEST_PAUSE_S:
        raise InputError(
            f"longest interval: came {longest_interval_s:g} s; allowed: 1 s to a day "
            f"({LONGEST_PAUSE_S:g} s), the longest pause of a healthy sensor"
        )
    return int(max(windows.HOLD_S, longest_interval_s) / windows.BIN_S)


def agreeing(cut: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether two channels show a fire at the end of windows. (window, 60, 1, channel) to (window,)

    Against their lowest of the last 23 minutes, by `sensors.Visibility.event`.
    """
    lowest = recent = cut[:, -RECENT_STEPS:, 0]
    if len(recent) == 1:  # few calls for one
        rise = recent[0, -1] - np.fmin.reduce(recent[0], axis=0)
        return np.array([np.count_nonzero(rise >= SHOWS) >= 2])
    while lowest.shape[1] > 1:  # numpy takes its time to reduce an axis beside one as short
        half = lowest.shape[1] // 2
        rest = lowest[:, 2 * half :]
        lowest = np.fmin(lowest[:, :half], lowest[:, half : 2 * half])  # a number before NaN
        lowest[:, :1] = np.fmin(lowest[:, :1], rest) if rest.size else lowest[:, :1]
    return (recent[:, -1] - lowest[:, 0] >= SHOWS).sum(axis=1) >= 2


def to_array(readings: NDArray[np.float64] | Mapping[str, float]) -> NDArray[np.float64]:
    """Readings of a row as an array, NaN where missing. (channel,)"""
    values = by_name(readings) if isinstance(readings, Mapping) else readings
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"readings: came {readings}; allowed: numbers, NaN for missing") from None
    if array.shape != (len(CHANNELS),):
        raise InputError(f"readings: came {array.shape}; allowed: ({len(CHANNELS)},)")
    return array


def by_name(readings: Mapping[str, float]) -> list[float]:
    """Readings by their channels' names in the order of the channels, NaN where missing."""
    if unknown := sorted(set(readings) - set(CHANNEL_NAMES)):
        raise InputError(f"channel {unknown[0]!r} is unknown; use {', '.join(CHANNEL_NAMES)}")
    return [readings.get(name, math.nan) for name in CHANNEL_NAMES]
