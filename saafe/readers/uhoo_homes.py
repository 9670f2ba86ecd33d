"""Ordinary homes with a uHoo monitor and hand-labelled use of the stove."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from saafe.readers.published import Published, Publisher, find_files, get_numbers
from saafe.recordings import Recording, parse_csv, parse_recording, read_text
from saafe.sensors import CHANNELS, CO, CO2, HUMIDITY, PM25, TEMPERATURE

_HEADER = "time,T,RH,PM2.5,TVOC,CO2,CO,pressure,O3,NO2,meal,stove"  # the files have none
_COLUMNS = {TEMPERATURE: "T", HUMIDITY: "RH", PM25: "PM2.5", CO2: "CO2", CO: "CO"}
PERIOD_S = 60.0
STOVE = "stove"  # the recording's source while it is on


def read(folder: Path) -> Iterator[Published]:
    """Yield the homes of a folder of `N.csv` or `.csv.gz` files."""
    for path in find_files(folder, "[0-9]*.csv"):
        yield _read_home(path)


def _read_home(path: Path) -> Published:
    # All cells are text here, so the meal label "None" cannot become a missing value.
    table = parse_csv(path, f"{_HEADER}\n{read_text(path)}")
    table = replace(table, row_numbers=table.row_numbers - 1)  # the header is ours
    numbers = get_numbers(table, *_COLUMNS.values())
    columns = {
        CHANNELS[index].column: np.round(numbers[name], CHANNELS[index].decimals)
        for index, name in _COLUMNS.items()
    }
    is_on = table.frame["stove"] == "1"
    source = pl.select(pl.when(is_on).then(pl.lit(STOVE)).otherwise(pl.lit(""))).to_series()
    frame = pl.DataFrame({"time": table.frame["time"], **columns, "source": source})
    recording, check = parse_recording(replace(table, frame=frame), repair=True)
    return Published(recording, check, "home", stove=find_stove_runs(recording))


def find_stove_runs(recording: Recording) -> tuple[tuple[float, float], ...]:
    """Start and end of each uninterrupted use of the stove; the last minute counts whole."""
    is_on = np.array([source == STOVE for source in recording.sources or ()], dtype=np.int8)
    edges = np.diff(is_on, prepend=0, append=0)
    starts = recording.times_s[np.flatnonzero(edges == 1)]
    ends = recording.times_s[np.flatnonzero(edges == -1) - 1] + PERIOD_S
    return tuple(zip(starts.tolist(), ends.tolist(), strict=True))


PUBLISHER = Publisher(
    read=read,
    description="4 homes with hand-labelled stove use; T, RH, PM2.5, CO2 and CO every minute",
    licence="not stated",
    citation="uHoo homes data set, 2018; publisher's description not at hand",
)
