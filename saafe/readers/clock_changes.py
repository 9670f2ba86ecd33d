"""Signs that the clock of an export changed where its zone, as given, did not."""

import numpy as np
import polars as pl

from saafe.errors import as_given
from saafe.readers.export_times import Times, localise

# Chosen: to offer; between them their clocks change in all the usual ways
USUAL_ZONES = (
    "Europe/Berlin", "Europe/London", "Europe/Helsinki", "America/New_York", "Australia/Sydney",
)  # fmt: skip
CHANGE_S = 3600.0
LEAST_NEAR_S, MOST_NEAR_S = 60.0, 1500.0  # Chosen: how far two periods may reach
LAST_HOUR = 3  # clocks change between midnight and the end of this hour
SUNDAY = 6


def doubt_zone(times: Times, groups: np.ndarray) -> str | None:
    """Say where a clock changed that should not have, and what to try; None where none did.

    Args:
        times: oldest first; those with an offset of their own are believed.
        groups: `(row,)` int of the series that a row belongs to.
    """
    if times.is_counter or (times.is_absolute and not times.zone):
        return None
    local = times.values
    if times.zone:
        local = local.dt.convert_time_zone(times.zone).dt.replace_time_zone(None)
    found = find_change(times.values, local, groups)
    if found is None:
        return None
    row, step_s = found
    moment = local.dt.strftime("%Y-%m-%d %H:%M")[row]
    did = "goes back" if step_s < 0 else "jumps ahead"
    others = (zone for zone in USUAL_ZONES if zone != times.zone)
    zone = min(others, key=lambda zone: _roughness(local, zone, groups))
    said = f"{zone_given(times.zone)} looks wrong, try" if times.zone else "name its zone, such as"
    return f"the clock {did} an hour at {moment}, as clocks change: {said} {zone_given(zone)}"


def zone_given(zone: str) -> str:
    """How whoever reads an error names a time zone."""
    return as_given(f"--zone {zone}", f'zone="{zone}"')


def _roughness(local: pl.Series, zone: str, groups: np.ndarray) -> tuple[int, float]:
    """How badly a zone fits a clock: times that it does not have, and the sum of all steps."""
    values = localise(local, zone, groups)
    seconds = values.dt.epoch("us").fill_null(strategy="forward").to_numpy() / 1e6
    steps = np.abs(np.diff(seconds[np.argsort(groups, kind="stable")]))
    return values.null_count(), float(np.nansum(steps))


def find_change(
    values: pl.Series, local: pl.Series, groups: np.ndarray
) -> tuple[int, float] | None:
    """The first row before an hour's step at night, and the step; None where there is none. [s]

    Back at any night, ahead on Sundays alone: an hour without readings is common.
    """
    order = np.argsort(groups, kind="stable")
    seconds = values.dt.epoch("us").to_numpy()[order] / 1e6
    steps, is_same = np.diff(seconds), np.diff(groups[order]) == 0
    forward = steps[is_same & (steps > 0)]
    if not len(forward):
        return None
    near_s = np.clip(2.0 * np.median(forward), LEAST_NEAR_S, MOST_NEAR_S)
    is_hour = is_same & (np.abs(np.abs(steps) - CHANGE_S) <= near_s)
    hours = local.dt.hour().to_numpy()[order]
    is_night = (hours[:-1] <= LAST_HOUR) & (hours[1:] <= LAST_HOUR) & (hours[1:] > 0)
    is_sunday = (local.dt.weekday().to_numpy()[order] - 1)[:-1] == SUNDAY
    at = np.flatnonzero(is_hour & is_night & ((steps < 0) | is_sunday))
    if not len(at):
        return None
    first = at[np.argmin(order[at])]
    return int(order[first]), float(steps[first])
