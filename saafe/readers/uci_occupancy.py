"""An office in which nothing burns: T, RH and CO2 every minute."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from saafe.readers.published import Published, Publisher, find_files, get_numbers
from saafe.recordings import parse_csv, parse_recording, read_text
from saafe.sensors import CHANNELS, CO2, HUMIDITY, TEMPERATURE

_COLUMNS = {TEMPERATURE: "Temperature", HUMIDITY: "Humidity", CO2: "CO2"}


def read(folder: Path) -> Iterator[Published]:
    """Yield the stretches of a folder of `datatraining.txt`, `datatest.txt`, `datatest2.txt`."""
    for path in find_files(folder, "data*.txt"):
        # the rows begin with their number, which the header does not name
        table = parse_csv(path, f"row,{read_text(path)}")
        numbers = get_numbers(table, *_COLUMNS.values())
        columns = {
            CHANNELS[index].column: np.round(numbers[name], CHANNELS[index].decimals)
            for index, name in _COLUMNS.items()
        }
        frame = pl.DataFrame({"time": table.frame["date"], **columns})
        recording, check = parse_recording(replace(table, frame=frame), repair=True)
        recording = replace(recording, name=recording.name.removesuffix(".txt"))
        yield Published(recording, check, "office")


PUBLISHER = Publisher(
    read=read,
    description="three stretches of an office, 14 days; T, RH and CO2 every minute",
    licence="not stated",
    citation="L. M. Candanedo and V. Feldheim, Occupancy Detection, UCI repository, 2016",
)
