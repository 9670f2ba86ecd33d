"""NIST/NRC: pool fires in one large compartment."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from saafe.readers.published import (
    Published,
    Publisher,
    co2_above_outdoor,
    co_above_zero,
    find_files,
    get_numbers,
    ignited,
    smoke_to_pm25,
    to_recording,
)
from saafe.recordings import Table, read_table
from saafe.sensors import CO, CO2, PM25, TEMPERATURE

MISSING_VALUE = 999.0
PPM_PER_FRACTION = 1e6  # O2 reads 0.209 in air, so gases are volume fractions
THERMOCOUPLE_TREES = range(1, 8)
_GAS = {CO: "CO-3", CO2: "CO2-4"}
_SMOKE = "Smoke Conc."
_NOTES = (
    "gases and smoke come from probes of their own, given here as the sensor Gas",
    "smoke taken as mg/m3, which the file does not say",
)


def read(folder: Path) -> Iterator[Published]:
    """Yield the fires of a folder of `NIST_NRC_Test_NN_file_1.csv` or `.csv.gz` files."""
    for path in find_files(folder, "NIST_NRC_Test_*_file_1.csv"):
        table = read_table(path)
        times_s = get_numbers(table, "Time")["Time"]
        notes: list[str] = list(_NOTES)
        sensors = _read_trees(table, notes)
        gas = _read_gas(table, times_s, notes)
        if gas:
            sensors["Gas"] = gas
        recording, check = to_recording(path, times_s, sensors)
        recording = replace(recording, name=recording.name.removesuffix("_file_1"))
        references = ignited(recording, -float(times_s[0]))  # the file's time 0
        yield Published(recording, check, "pool fire", references=references, notes=tuple(notes))


def _read_trees(table: Table, notes: list[str]) -> dict[str, dict[int, np.ndarray]]:
    """The highest working thermocouple of each tree; number 10 is nearest the ceiling."""
    sensors = {}
    for tree in THERMOCOUPLE_TREES:
        for height in range(10, 0, -1):
            values = _read_or_missing(table, f"Tree {tree}-{height}")
            if values is None:
                notes.append(f"Tree {tree}-{height} left out: missing")
                continue
            sensors[f"Tree {tree}"] = {TEMPERATURE: values}
            break
    return sensors


def _read_gas(table: Table, times_s: np.ndarray, notes: list[str]) -> dict[int, np.ndarray]:
    channels = {}
    for index, column in {**_GAS, PM25: _SMOKE}.items():
        values = _read_or_missing(table, column)
        if values is None:
            notes.append(f"{column} left out: missing")
        elif index == CO:
            channels[CO] = co_above_zero(times_s, values * PPM_PER_FRACTION)
        elif index == CO2:
            channels[CO2] = co2_above_outdoor(times_s, values * PPM_PER_FRACTION)
        else:
            channels[PM25] = smoke_to_pm25(times_s, values)
    return channels


def _read_or_missing(table: Table, column: str) -> np.ndarray | None:
    """A column, or None where it is missing: 999 in the first row and 0 or empty in the others."""
    values = get_numbers(table, column)[column]
    if values[0] == MISSING_VALUE or not np.any(np.nan_to_num(values)):
        return None
    return np.where(values == MISSING_VALUE, np.nan, values)


PUBLISHER = Publisher(
    read=read,
    description="15 pool fires in a large compartment; ceiling temperature, CO, CO2 and smoke",
    licence="NIST, no copyright in the United States",
    citation="A. Hamins et al., NIST/NRC large compartment tests, NUREG/CR-6905, 2006",
)
