"""What reading a recording found: what was used, masked, repaired and ignored."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from saafe.formats import duration
from saafe.recordings.cells import range_text
from saafe.sensors import CHANNELS, Channel

GAP_S = 90.0  # the grid holds a reading for this long, so a longer silence is felt
GAP_PERIODS = 3.0  # Chosen: a slow sensor's own interval is no gap, nor is a reading that it missed
SHOWN_GAPS = 5  # the longest
LINE_WIDTH = 80  # of a line, but for what cannot be broken
FIRST_READINGS = 10  # of a channel, by which a fire that began in a room is told from a wrong unit

# what a sensor may count in instead: its name for --unit, for people, factor and zero
_OTHER_UNITS = {
    "temperature": (("F", "degF", 1 / 1.8, 32.0), ("K", "kelvin", 1.0, 273.15)),
    "pm25": (("mg/m3", "mg/m3", 1e3, 0.0),),
    "humidity": (("fraction", "a fraction", 100.0, 0.0),),
}


@dataclass(frozen=True)
class Counts:
    """What became of one channel's cells."""

    present: int  # readings that are used
    masked: int  # that cannot be readings, left out
    missing: int  # empty cells of the rows counted, and words that say so
    first_masked: str = ""  # the first outside the physical range and its row, "" = none
    wrong_values: dict[str, int] = field(default_factory=dict)  # of those masked, by what they are
    doubt: str = ""  # why its readings look like another unit's; "" = they do not


@dataclass(frozen=True)
class Gap:
    """A time in which a sensor gave no reading. [s]"""

    sensor: str
    start_s: float  # when it last gave one, from the recording's first row
    length_s: float  # how long it was silent


@dataclass(frozen=True)
class Check:
    """What was read, masked, repaired and ignored."""

    path: str  # the file
    rows: int  # that are used and hold a cell of a channel
    sensors: tuple[str, ...]
    duration_s: float  # from the first row to the last. [s]
    period_s: float | None  # shortest of the sensors' median periods, None of a single time. [s]
    channels: dict[str, Counts]  # of those that the file has, by their names
    gaps: tuple[Gap, ...] = ()  # silences over `longest_pause_s` and three periods
    ignored: tuple[str, ...] = ()  # columns that are not read
    repairs: tuple[str, ...] = ()  # what `repair` did
    notes: tuple[str, ...] = ()  # what was odd but not wrong
    longest_pause_s: float = GAP_S  # no shorter silence is a gap. [s]

    def to_dict(self) -> dict:
        """Plain values, for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The same for people, one finding each."""
        period = "one time" if self.period_s is None else f"median period {self.period_s:g} s"
        path = self.path if self.path.isprintable() else ascii(self.path)
        names = ", ".join(self.sensors[:8]) + (", ..." if len(self.sensors) > 8 else "")
        whole = (
            f"{counted(self.rows, 'row')}, {counted(len(self.sensors), 'sensor')} ({names}), "
            f"{duration(self.duration_s)}, {period}"
        )
        fits = len(path) + 2 + len(whole) <= LINE_WIDTH
        lines = [f"{path}: {whole}" if fits else f"{path}:\n  {whole}"]
        for channel in CHANNELS:
            counts = self.channels.get(channel.name)
            if counts is None:
                continue
            parts = [f"{counts.present:,} present", f"{counts.missing:,} missing"]
            lines.append(f"  {channel.name}: {', '.join([*parts, *_masked(channel, counts)])}")
        lines += _gap_lines(self.gaps, self.longest_pause_s)
        if self.ignored:
            lines.append(f"  ignored columns: {', '.join(self.ignored)}")
        lines += [f"  repaired: {repair}" for repair in self.repairs]
        return lines + [f"  note: {note}" for note in self.notes]

    def doubts(self) -> list[str]:
        """What someone must know who sees figures alone: what was masked, ignored or is odd."""
        lines = [
            f"{channel.name}: {', '.join(masked)} of {counts.present + counts.masked:,}"
            for channel in CHANNELS
            if (counts := self.channels.get(channel.name)) and (masked := _masked(channel, counts))
        ]
        if self.ignored:
            lines.append(f"ignored columns: {', '.join(self.ignored)}")
        return [*lines, *self.repairs, *self.notes]

    def unit_doubts(self) -> list[str]:
        """Which channels look like another unit's, and what mends it."""
        return [
            f"{counts.doubt}{' of saafe data import' if '--unit' in counts.doubt else ''}"
            for counts in self.channels.values()
            if counts.doubt
        ]


def _masked(channel: Channel, counts: Counts) -> list[str]:
    """How many readings of a channel were masked, and why."""
    parts = []
    if outside := counts.masked - sum(counts.wrong_values.values()):
        limits = range_text(channel)
        parts.append(f"{outside:,} masked (outside {limits}; {counts.first_masked})")
    return parts + [
        f"{number:,} masked as no reading: {cause}" for cause, number in counts.wrong_values.items()
    ]


def counted(number: int, noun: str) -> str:
    """A number and its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def words_note(words: Counter[str]) -> list[str]:
    """The note of words that stood for missing readings, and how often; [] of none."""
    if not words:
        return []
    named = ", ".join(f"{word} ({number:,})" for word, number in words.most_common(5))
    return [f"{counted(words.total(), 'cell')} with a word in place of a reading: {named}"]


def doubt(channel: Channel, median: float) -> str | None:
    """Why the median of a channel's readings cannot be a room's, with the unit that it looks like.

    None where it can.

    Args:
        channel: a row of `sensors.CHANNELS`.
        median: in the channel's unit.
    """
    lowest, highest = channel.indoors
    if lowest <= median <= highest or median == channel.self_test.rests_from:
        return None
    for unit, name, factor, zero in _OTHER_UNITS.get(channel.name, ()):
        if lowest <= (median - zero) * factor <= highest:
            option = f"--unit {channel.name}={unit}"
            return f"{channel.name} looks like {name} (median {median:.4g}): {option}"
    return (
        f"{channel.name} has a median of {median:.4g} {channel.unit}, which no room has "
        f"({lowest:g} to {highest:g}): look at its unit"
    )


def doubt_readings(channel: Channel, values: np.ndarray) -> str | None:
    """What is odd about a channel's readings, nothing where they begin as a room's do.

    A fire's median may be none of a room, where its first readings are.
    """
    begins_well = not doubt(channel, float(np.median(values[:FIRST_READINGS])))
    return None if begins_well else doubt(channel, float(np.median(values)))


def _gap_lines(gaps: Sequence[Gap], least_s: float) -> list[str]:
    """The longest five gaps, and how many there are over `least_s`. [s]"""
    if not gaps:
        return []
    longest = sorted(gaps, key=lambda gap: -gap.length_s)
    total = sum(gap.length_s for gap in gaps)
    lines = [f"  {counted(len(gaps), 'gap')} over {duration(least_s)}, {duration(total)} in all"]
    for gap in longest[:SHOWN_GAPS]:
        start = f"{gap.start_s / 3600.0:,.2f} h"  # as --between of a picture counts
        lines.append(f"    sensor {gap.sensor}: {duration(gap.length_s)} from {start}")
    return lines + ([f"    and {len(gaps) - SHOWN_GAPS:,} more"] if len(gaps) > SHOWN_GAPS else [])
