"""NIST TN 1455: fires in a manufactured home, beside commercial smoke alarms."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from saafe.readers.published import (
    PPM_PER_VOL_PCT,
    Published,
    Publisher,
    co2_above_outdoor,
    co_above_zero,
    find_files,
    get_numbers,
    optical_density_to_pm25,
    optical_density_to_smoke,
    peak_time,
    to_recording,
)
from saafe.recordings import Table, read_table, to_text
from saafe.sensors import CO, CO2, PM25, TEMPERATURE

STATIONS = "ABCDEF"
SCENARIOS_FILE = "SCENARIOS_derived.csv"
_REFERENCES = ("t_dT5", "t_dT20", "t_OD05", "t_OD14")
_SCENARIO_COLUMNS = ("test", "type", "good_OD", "good_CO2", "good_CO", *_REFERENCES)
_KINDS = {"smoldering": "smouldering"}
_MISSING_SCENARIOS = (
    f"no {SCENARIOS_FILE}: all stations kept, fire type and reference times unknown"
)


def read(folder: Path) -> Iterator[Published]:
    """Yield the fires of a folder of `SDCnn.csv` or `.csv.gz` files."""
    scenarios = _read_scenarios(folder)
    for path in find_files(folder, "SDC*.csv"):
        test = path.name.split(".")[0]
        yield _read_fire(path, test, scenarios.get(test))


def _read_scenarios(folder: Path) -> dict[str, dict[str, str]]:
    """Rows of the table that says which stations are usable, by test; empty where absent."""
    if not (folder / SCENARIOS_FILE).exists():
        return {}
    table = read_table(folder / SCENARIOS_FILE)
    for name in _SCENARIO_COLUMNS:
        if name not in table.frame.columns:
            allowed, mend = ", ".join(_SCENARIO_COLUMNS), "complete it, or leave the file out"
            raise table.refusal(f"no column {name}", allowed=allowed, mend=mend)
    return {row["test"]: row for row in table.frame.to_dicts()}


def _read_fire(path: Path, test: str, scenario: dict[str, str] | None) -> Published:
    table = read_table(path)
    times_s = get_numbers(table, "TIME")["TIME"]
    notes = [] if scenario else [_MISSING_SCENARIOS]
    kind = scenario["type"] if scenario else "unknown"
    kind = _KINDS.get(kind, kind)
    sensors, smoke = {}, {}
    for station in STATIONS:
        channels = _read_station(table, times_s, station, scenario, notes)
        if PM25 in channels:
            density = channels[PM25]
            mass = optical_density_to_smoke(times_s, density, kind=kind)
            smoke[station] = (times_s - times_s[0], mass)
            channels[PM25] = optical_density_to_pm25(times_s, density, kind=kind)
        if channels:
            sensors[station] = channels
    recording, check = to_recording(path, times_s, sensors)
    references = {"t_peak": peak_time(recording)}
    for name in _REFERENCES if scenario else ():
        if scenario and scenario[name]:
            references[name] = float(scenario[name]) - float(times_s[0])
    references |= _read_alarms(path.parent, test, float(times_s[0]))
    if test == "SDC15":
        notes.append("the first ignition failed")
    return Published(recording, check, kind, references=references, notes=tuple(notes), smoke=smoke)


def _read_station(
    table: Table,
    times_s: np.ndarray,
    station: str,
    scenario: dict[str, str] | None,
    notes: list[str],
) -> dict[int, np.ndarray]:
    """Channel -> readings of one station, of PM2.5 the optical density that stands for it [1/m].

    What is there but not usable goes into the notes.
    """
    names = table.frame.columns
    # The CO and CO2 analysers; columns CO1A to CO3A are carbon-monoxide alarm cells, not CO2.
    smoke = f"SM{station}_1" if f"SM{station}_1" in names else f"SM{station}_3"
    wanted = {
        TEMPERATURE: (f"TC{station}_1", None),
        PM25: (smoke, "good_OD"),
        CO2: (f"GAS{station}_3", "good_CO2"),
        CO: (f"GAS{station}_1", "good_CO"),
    }
    channels = {}
    for channel, (column, usable) in wanted.items():
        if column not in names:
            continue
        if scenario and usable and station not in scenario[usable]:
            notes.append(f"{column} left out: not marked usable")
            continue
        values = get_numbers(table, column)[column]
        if channel == CO2:
            values = co2_above_outdoor(times_s, values * PPM_PER_VOL_PCT)
        elif channel == CO:
            values = co_above_zero(times_s, values * PPM_PER_VOL_PCT)
        channels[channel] = values
    return channels


def _read_alarms(folder: Path, test: str, first_s: float) -> dict[str, float]:
    """The first commercial alarm of each kind: the file has 0 before and 1 after it, per alarm."""
    path = folder / f"Activation_Times_{test}.csv"
    if not path.exists():
        return {}
    table = read_table(path)
    times_s = get_numbers(table, "Time")["Time"]
    first: dict[str, float] = {}
    for column in table.frame.columns[1:]:
        name = "t_ion" if column.startswith("Ion") else "t_photo"
        sounding = np.flatnonzero((to_text(table, column) == "1").to_numpy())
        if len(sounding):
            time_s = float(times_s[sounding[0]]) - first_s
            first[name] = min(time_s, first.get(name, np.inf))
    return first


PUBLISHER = Publisher(
    read=read,
    description="14 fires in a manufactured home; temperature, smoke, CO2 and CO at six stations",
    licence="NIST, no copyright in the United States",
    citation="R. W. Bukowski et al., Performance of Home Smoke Alarms, NIST TN 1455, 2003 to 2008",
)
