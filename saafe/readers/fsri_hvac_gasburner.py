"""FSRI: propane gas-burner fires in a house with heating and cooling."""

import re
from collections.abc import Iterator
from pathlib import Path

from saafe.readers.published import (
    PPM_PER_VOL_PCT,
    Published,
    Publisher,
    co2_above_outdoor,
    find_files,
    get_numbers,
    ignited,
    to_recording,
)
from saafe.recordings import Table, read_table
from saafe.sensors import CO2, TEMPERATURE

_TEMPERATURE = re.compile(r"(.+) Temperature ([\d.]+) m Above Floor")
_CO2 = re.compile(r"(.+) Carbon Dioxide [\d.]+ m Above Floor")
_NOT_ROOMS = ("Attic", "Basement Stairwell", "Top Stairwell", "Front Door")
_CO2_ROOM = {"Basement": "Basement B Quadrant"}  # where the channel list puts the probe
_BAD_CO2 = {("Gas_Burner_Experiment_1", "Bedroom 3")}  # 7.9 vol % before ignition
_NOTE = "CO2 was sampled 1.22 m above the floor, temperature near the ceiling"


def read(folder: Path) -> Iterator[Published]:
    """Yield the fires of a folder of `Gas_Burner_Experiment_N.csv` or `.csv.gz` files."""
    for path in find_files(folder, "Gas_Burner_Experiment_*.csv"):
        table = read_table(path)
        name = path.name.split(".")[0]
        times_s = get_numbers(table, "Time")["Time"]
        sensors = {
            room: {TEMPERATURE: get_numbers(table, column)[column]}
            for room, column in _find_highest(table).items()
        }
        notes = [_NOTE]
        for column in table.frame.columns:
            if not (match := _CO2.fullmatch(column)):
                continue
            room = _CO2_ROOM.get(match[1], match[1])
            if (name, match[1]) in _BAD_CO2 or room not in sensors:
                notes.append(f"{column} left out: a bad analyser or no such room")
                continue
            values = get_numbers(table, column)[column] * PPM_PER_VOL_PCT
            sensors[room][CO2] = co2_above_outdoor(times_s, values)
        recording, check = to_recording(path, times_s, sensors)
        references = ignited(recording, -float(times_s[0]))  # the file's time 0
        yield Published(recording, check, "gas burner", references=references, notes=tuple(notes))


def _find_highest(table: Table) -> dict[str, str]:
    """Room -> the column of its highest thermocouple."""
    highest: dict[str, tuple[float, str]] = {}
    for column in table.frame.columns:
        match = _TEMPERATURE.fullmatch(column)
        if match and match[1] not in _NOT_ROOMS:
            candidate = (float(match[2]), column)
            highest[match[1]] = max(highest.get(match[1], candidate), candidate)
    return {room: column for room, (_, column) in highest.items()}


PUBLISHER = Publisher(
    read=read,
    description="29 propane fires, near-replicates, in a house; ceiling temperature and CO2 a room",
    licence="MIT",
    citation="UL Fire Safety Research Institute, HVAC gas-burner experiments",
)
