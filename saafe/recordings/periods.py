"""How often the sensors of a recording report, and their gaps; what is too seldom is refused."""

import math

import numpy as np

from saafe.recordings.check import GAP_PERIODS, GAP_S, Gap
from saafe.recordings.columns import time_column
from saafe.recordings.rows import TableRows
from saafe.recordings.tables import Table, quoted
from saafe.sensors import LONGEST_PERIOD_S, SHORTEST_PERIOD_S
from saafe.windows import DAY_S


def shortest_period(
    table: Table, rows: TableRows, sensors: tuple[str, ...], notes: list[str],
    longest_interval_s: float | None,
) -> float | None:  # fmt: skip
    """The shortest of the sensors' median periods; None where no sensor has two readings.

    Rows without a reading, as simulated ones of sensors that report on change, tell no period.
    """
    told_s = longest_interval_s or 0.0
    periods: dict[str, float] = {}
    has_reading = np.any(~np.isnan(rows.readings), axis=1)
    for index, name in enumerate(sensors):
        is_own = rows.sensor == index
        own = rows.times_s[is_own & has_reading]
        if len(own) < 2:
            continue
        period = round(float(np.median(np.diff(own))), 6)
        readings = rows.readings[is_own & has_reading]
        periods[name] = _entity_period(own, readings) or period
        _refuse_slow(table, name, np.diff(rows.times_s[is_own]), told_s)
    if not periods:
        return None
    slowest = max(periods, key=lambda name: periods[name])
    if periods[slowest] > max(GAP_S, told_s):
        of = f" of sensor {quoted(slowest)}" if len(sensors) > 1 else ""
        notes.append(
            f"readings{of} every {periods[slowest]:g} s: longer than the model's windows hold a "
            f"reading ({max(GAP_S, told_s):g} s)"
        )
    shortest = min(periods.values())
    if shortest < SHORTEST_PERIOD_S:
        notes.append(f"median period {shortest:g} s is under {SHORTEST_PERIOD_S:g} s")
    return shortest


def find_gaps(
    times_s: np.ndarray, sensors: tuple[str, ...], readings: np.ndarray, *, longest_pause_s: float
) -> tuple[Gap, ...]:
    """Times longer than a pause and three periods in which a sensor gave no reading at all.

    Args:
        times_s: from the recording's first row (time,). [s]
        sensors: their names.
        readings: NaN = missing (time, sensor, channel).
        longest_pause_s: no shorter silence is a gap. [s]
    """
    gaps: list[Gap] = []
    has_reading = np.any(np.isfinite(readings), axis=2)
    for index, sensor in enumerate(sensors):
        spoken = times_s[has_reading[:, index]]
        period = np.median(np.diff(spoken)) if len(spoken) > 1 else 0.0
        lengths = np.diff(np.concatenate([[0.0], spoken, [float(times_s[-1])]]))
        starts = np.append(0.0, spoken)
        for k in np.flatnonzero(lengths > max(longest_pause_s, GAP_PERIODS * period)):
            gaps.append(Gap(sensor, float(starts[k]), round(float(lengths[k]), 6)))
    return tuple(sorted(gaps, key=lambda gap: gap.start_s))


def whole_minutes(seconds: float) -> int:
    """A longest interval that people can give: the next whole minute, at most a day. [s]"""
    return int(min(60.0 * math.ceil(seconds / 60.0), DAY_S))


def _refuse_slow(table: Table, name: str, intervals_s: np.ndarray, told_s: float) -> None:
    """Refuse rows over an hour apart, unless the sensor was said to pause so long."""
    median_s = float(np.median(intervals_s))
    most_s = DAY_S if told_s > LONGEST_PERIOD_S else LONGEST_PERIOD_S
    if median_s <= most_s:
        return
    came = f"sensor {quoted(name)} has a median period of {median_s:g} s"
    if median_s <= DAY_S:
        pause_s = whole_minutes(float(intervals_s.max()))
        came += f" (where it pauses so long: saafe detect --longest-interval {pause_s})"
    mend = "record more often, or give the times in seconds"
    allowed = f"at most {most_s:g} s"
    raise table.refusal(came, allowed=allowed, mend=mend, column=time_column(table))


def _entity_period(times_s: np.ndarray, readings: np.ndarray) -> float | None:
    """The shortest median period of a sensor's channels, where no row of it holds two of them.

    So exports look with a row an entity: from row to row passes the time to the next channel.
    """
    held = np.isfinite(readings)
    if held.sum(axis=1).max() > 1 or held.any(axis=0).sum() < 2:
        return None
    counts = held.sum(axis=0)
    each = [float(np.median(np.diff(times_s[held[:, k]]))) for k in np.flatnonzero(counts > 1)]
    return round(min(each), 6) if each else None
