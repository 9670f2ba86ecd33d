"""The part of a recording that is asked for: what is refused, and what of it is there."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from saafe.errors import InputError, as_given
from saafe.pictures.curves import rows_drawn, silence_s
from saafe.recordings import Interval, Recording, times_with_readings


def asked_part(recording: Recording, path: Path, between_h: Interval | None) -> Interval:
    """Start and end of what is drawn. [s]"""
    last_s = float(recording.times_s[-1])
    if between_h is None:
        return 0.0, max(last_s, 1.0)
    start_s, end_s = (3600.0 * hours for hours in between_h)
    if not 0.0 <= start_s < end_s or start_s >= last_s:
        given = as_given("--between", "between_h")
        raise InputError(
            f"{given}: {between_h[0]:.4g} to {between_h[1]:.4g} h came; "
            f"allowed are two hours in order, from 0 to {last_s / 3600:.4g} h, where {path} "
            f"ends{on_the_clock(recording, (0.0, last_s))}"
            + as_given("; minutes are written 30min", "")
        )
    return start_s, min(end_s, last_s)


def on_the_clock(recording: Recording, part: Interval) -> str:
    """When a part of a recording with dates begins and ends, in brackets."""
    if recording.start is None:
        return ""
    start, end = (recording.start + timedelta(seconds=time_s) for time_s in part)
    return f" ({start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M})"


def refuse_silence(
    recording: Recording, path: Path, part: Interval, longest_interval_s: float
) -> None:
    """Refuse a part in which no sensor said anything, and name the nearest one with readings."""
    has_reading = np.any(np.isfinite(recording.readings), axis=2)
    for index in range(len(recording.sensors)):
        spoken = recording.times_s[has_reading[:, index]]
        rows = rows_drawn(spoken, part, silence_s(spoken, longest_interval_s))
        if rows.start < rows.stop:
            return
    start_s, end_s = part
    spoken = times_with_readings(recording)
    before, after = spoken[spoken < start_s], spoken[spoken > end_s]
    is_before = len(before) and (not len(after) or start_s - before[-1] < after[0] - end_s)
    length_s = end_s - start_s
    near_s = max(before[-1] - length_s, 0.0) if is_before else after[0]
    given = as_given("--between", "between_h")
    asked = f"{start_s / 3600:.4g} to {end_s / 3600:.4g} h"
    raise InputError(
        f"{given}: {path} has no reading from {asked}{on_the_clock(recording, part)}; "
        f"the nearest part with readings: {as_option(recording, near_s, near_s + length_s)}"
    )


def as_option(recording: Recording, start_s: float, end_s: float) -> str:
    """A part as whoever is told of it can ask for it; whole minutes, so that all is in it."""
    first_s, last_s = 60.0 * np.floor(start_s / 60.0), 60.0 * np.ceil(end_s / 60.0)
    hours = f"between_h=({first_s / 3600.0:.7g}, {last_s / 3600.0:.7g})"
    if recording.start is None:
        return as_given(f"--between {first_s / 60.0:.0f}min {last_s / 60.0:.0f}min", hours)
    moments = (
        recording.start + timedelta(seconds=start_s),
        recording.start + timedelta(seconds=end_s + 60.0),
    )
    return as_given(f"--between {moments[0]:%Y-%m-%dT%H:%M} {moments[1]:%Y-%m-%dT%H:%M}", hours)


def rows_within(recording: Recording, part: Interval) -> Recording:
    """The rows of a part, for what is named of them."""
    at = np.flatnonzero((recording.times_s >= part[0]) & (recording.times_s <= part[1]))
    labels, sources = recording.labels, recording.sources
    return replace(
        recording, times_s=recording.times_s[at], readings=recording.readings[at],
        labels=None if labels is None else labels[at],
        sources=None if sources is None else tuple(sources[k] for k in at),
        turns=None if recording.turns is None else recording.turns[at],
    )  # fmt: skip
