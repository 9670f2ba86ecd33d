"""The parts of a recording that was made by hand, as from a table in a notebook."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

import numpy as np

from saafe.errors import InputError
from saafe.sensors import CHANNELS, LABELS, UNKNOWN


def checked_parts(parts: dict[str, Any]) -> dict[str, Any]:
    """A recording's attributes by name; lists and tables' columns become arrays.

    Raises:
        InputError: one is of another shape or kind, or times do not increase.
    """
    times, sensors = checked_times(parts["times_s"]), checked_sensors(parts["sensors"])
    shape, sources, start = (len(times), len(sensors)), parts["sources"], parts["start"]
    if sources is not None and len(sources) != len(times):
        _refuse("sources", str(len(sources)), f"one a time, here {len(times)}")
    if start is not None and not isinstance(start, datetime):
        _refuse("start", repr(start), "a datetime, or None")
    labels = None if parts["labels"] is None else checked_labels(parts["labels"], shape)
    readings = checked_readings(parts["readings"], shape)
    if parts["turns"] is not None and np.shape(parts["turns"]) != shape:
        _refuse("turns", f"shape {np.shape(parts['turns'])}", f"(time, sensor), here {shape}")
    return {**parts, "times_s": times, "sensors": sensors, "readings": readings, "labels": labels}


def checked_times(times_s: Any) -> np.ndarray:
    """Times as an array `(time,)`: what is one already stays as it is. [s]

    Raises:
        InputError: they are dates, no numbers, or do not increase.
    """
    times = _numbers("times_s", times_s, np.float64)
    if times.ndim != 1:
        _refuse("times_s", f"shape {times.shape}", "(time,)")
    if not np.isfinite(times).all():
        _refuse("times_s", "no number", "a number of seconds each")
    if (bad := np.flatnonzero(np.diff(times) <= 0)).size:
        at = bad[0]
        came = f"{times[at + 1]:g} after {times[at]:g}"
        _refuse("times_s", came, "increasing seconds, one row of readings a time")
    return times


def checked_sensors(sensors: Any) -> tuple[str, ...]:
    """Names of sensors.

    Raises:
        InputError: they are no names, or two are alike.
    """
    if isinstance(sensors, str) or not isinstance(sensors, Sequence | np.ndarray):
        _refuse("sensors", repr(sensors), 'names, such as ["kitchen"]')
    for name in sensors:
        if not isinstance(name, str):
            _refuse("sensors", f"{name!r}, {type(name).__name__}", 'names, such as ["kitchen"]')
    if len(set(sensors)) < len(sensors) or not len(sensors):
        _refuse("sensors", ", ".join(sensors) or "none", "one name at least, each once")
    return tuple(sensors)


def checked_readings(readings: Any, shape: tuple[int, int]) -> np.ndarray:
    """Readings as an array `(time, sensor, channel)`, what is masked as NaN.

    Raises:
        InputError: they are no numbers, or of another shape.
    """
    array = _numbers("readings", readings, np.float32)
    if array.shape != (*shape, len(CHANNELS)):
        allowed = f"(time, sensor, channel), here {(*shape, len(CHANNELS))}"
        _refuse("readings", f"shape {array.shape}", allowed)
    return array


def checked_labels(labels: Any, shape: tuple[int, int]) -> np.ndarray:
    """Labels as an array `(time, sensor)`.

    Raises:
        InputError: one is no index of `sensors.LABELS`, or they are of another shape.
    """
    array = np.asarray(labels)
    if array.shape != shape:
        _refuse("labels", f"shape {array.shape}", f"(time, sensor), here {shape}")
    known = ", ".join(f"{k} {label}" for k, label in enumerate(LABELS))
    allowed = f"whole numbers: {known}, {UNKNOWN} not known"
    if array.dtype.kind not in "iu":
        _refuse("labels", f"type {array.dtype}", allowed)
    if array.size and not (array.min() >= UNKNOWN and array.max() < len(LABELS)):
        _refuse("labels", f"{array.min()} to {array.max()}", allowed)
    return array


def _refuse(part: str, came: str, allowed: str) -> NoReturn:
    """Refuse a part of a recording in one line."""
    raise InputError(f"Recording: {part}: came {came}; allowed: {allowed}")


def _numbers(part: str, values: Any, kind: type[np.floating]) -> np.ndarray:
    """Values as an array of floats; a plain one stays as it is."""
    if type(values) is np.ndarray and values.dtype.kind == "f":
        return values
    array = np.ma.filled(values, np.nan) if np.ma.isMaskedArray(values) else np.asarray(values)
    if array.dtype.kind in "mM":
        _refuse(part, "dates", "seconds from the first row, and the date of that row as start")
    try:
        return array.astype(kind)
    except (TypeError, ValueError):
        _refuse(part, f"type {array.dtype}", "numbers, NaN for missing")
