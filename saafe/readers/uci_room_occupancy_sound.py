"""A room with people in which nothing burns: T and CO2 every half minute."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from saafe.readers.published import Published, Publisher, find_files, get_numbers
from saafe.recordings import parse_recording, read_table
from saafe.sensors import CHANNELS, CO2, TEMPERATURE

_COLUMNS = {TEMPERATURE: "S1_Temp", CO2: "S5_CO2"}
_NOTE = "node 1's temperature and node 5's CO2 taken as one sensor; sound is in volts, left out"


def read(folder: Path) -> Iterator[Published]:
    """Yield the room of a folder with `Occupancy_Estimation.csv` or `.csv.gz`."""
    for path in find_files(folder, "Occupancy_Estimation.csv"):
        table = read_table(path)
        numbers = get_numbers(table, *_COLUMNS.values())
        columns = {CHANNELS[index].column: numbers[name] for index, name in _COLUMNS.items()}
        time = table.frame["Date"] + " " + table.frame["Time"].str.zfill(8)  # hours of one digit
        frame = pl.DataFrame({"time": time, **columns})
        recording, check = parse_recording(replace(table, frame=frame), repair=True)
        yield Published(recording, check, "office", notes=(_NOTE,))


PUBLISHER = Publisher(
    read=read,
    description="a room with up to three people, four days; T and CO2 every half minute",
    licence="not stated",
    citation="A. P. Singh et al., Room Occupancy Estimation, UCI repository, 2018",
)
