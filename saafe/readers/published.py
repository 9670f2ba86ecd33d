"""What a published recording is, and the steps that readers share."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from saafe.errors import InputError
from saafe.recordings import Check, Recording, Table, parse_recording, refusal, to_numbers
from saafe.sensors import CHANNELS, COLUMNS, SMOKE_EXTINCTION_M2_G, TEMPERATURE

BASELINE_S = 60.0  # a channel's level before a fire is the median of the first minute
OUTDOOR_CO2_PPM = 450.0
BACKGROUND_PM25_UG_M3 = 8.0
PM25_CEILING_UG_M3 = 1000.0  # a low-cost sensor says no more
OPTICAL_DENSITY_NOISE = 0.012  # [1/m]
# of smoke, by how it was made, on natural logarithms: smouldering (Seader and Einhorn) from memory
EXTINCTION_M2_G = {"flaming": SMOKE_EXTINCTION_M2_G, "smouldering": 4.4}
PPM_PER_VOL_PCT = 1e4


@dataclass(frozen=True)
class Published:
    """One published recording with what is known about it.

    Attributes:
        recording: the readings.
        check: what was masked, repaired and missing.
        kind: "flaming", "smouldering", "cooking oil", "gas burner", "pool fire", "home" or
            "office".
        references: known moments in seconds of the recording's clock; docs/recordings.md lists
            the names.
        stove: start and end of each uninterrupted use of the stove, in the same seconds.
        notes: what was left out or assumed.
        group: of an annotated set's recording; no split may divide a group.
        days: that were watched, where an annotated set says so. [d]
        smoke: what smoke meters measured before a low-cost sensor's ceiling, by sensor: times of
            the recording's clock [s] and mass over the first minute's [ug/m3], 0 under the noise.
    """

    recording: Recording
    check: Check
    kind: str
    references: dict[str, float] = field(default_factory=dict)
    stove: tuple[tuple[float, float], ...] = ()
    notes: tuple[str, ...] = ()
    group: str = ""
    days: float | None = None
    smoke: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Publisher:
    """A publisher's set of recordings."""

    read: Callable[[Path], Iterator[Published]]  # the recordings of a folder with the raw files
    description: str  # what was recorded
    licence: str  # as the publisher states it
    citation: str  # where it comes from


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Files whose name without `.gz` matches; of a file and its gzipped twin, the plain one."""
    if not folder.is_dir():
        mend = "unpack the publisher's files into one"
        raise refusal(folder, "no such folder", allowed="a folder", mend=mend)
    plain = {path.name: path for path in folder.glob(pattern)}
    zipped = {path.name.removesuffix(".gz"): path for path in folder.glob(f"{pattern}.gz")}
    files = zipped | plain
    if not files:
        mend = "name the folder that holds the publisher's raw files"
        allowed = f"files named {pattern} or {pattern}.gz"
        raise refusal(folder, "none of the files", allowed=allowed, mend=mend)
    return [files[name] for name in sorted(files, key=_natural)]


def _natural(name: str) -> list[str]:
    """A key that sorts 2 before 10."""
    return [part.zfill(9) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def get_numbers(table: Table, *columns: str) -> dict[str, np.ndarray]:
    """Columns as float64 `(row,)`, NaN where empty."""
    for column in columns:
        if column not in table.frame.columns:
            mend = "use the file as the publisher wrote it"
            raise refusal(
                table.path, f"no column {column}", allowed=", ".join(columns), mend=mend, row=1
            )
    return {column: to_numbers(table, column) for column in columns}


def to_recording(
    path: Path, times_s: np.ndarray, sensors: dict[str, dict[int, np.ndarray]]
) -> tuple[Recording, Check]:
    """Lay sensors' channels out as a recording, checked as any other.

    `sensors` has name -> channel index -> float64 `(time,)`; `path`, the raw file, is for messages:
    an InputError where it holds none of them.
    """
    if not sensors:
        mend = "use the file as the publisher wrote it"
        raise refusal(path, "no sensor that is known", allowed="its columns", mend=mend, row=1)
    frames = []
    for name, channels in sensors.items():
        columns = {
            COLUMNS[index]: np.round(values, CHANNELS[index].decimals) + 0.0
            for index, values in channels.items()
        }
        frames.append(pl.DataFrame({"time_s": times_s, "sensor": [name] * len(times_s), **columns}))
    frame = pl.concat(frames, how="diagonal")
    row_numbers = np.tile(np.arange(2, len(times_s) + 2), len(sensors))
    order = np.argsort(np.tile(np.arange(len(times_s)), len(sensors)), kind="stable")
    table = Table(path, frame[order], row_numbers[order])
    return parse_recording(table, repair=True)


def peak_time(recording: Recording) -> float:
    """When the hottest ceiling thermocouple was hottest: a fire is scored up to there. [s]

    Raises:
        InputError: there is no temperature.
    """
    temperatures = recording.readings[:, :, TEMPERATURE]
    if not np.isfinite(temperatures).any():
        raise InputError(f"{recording.name}: has no temperature, by which its fire is scored")
    row, _ = np.unravel_index(np.nanargmax(temperatures), temperatures.shape)
    return float(recording.times_s[row])


def ignited(recording: Recording, ignition_s: float) -> dict[str, float]:
    """Known moments of a fire whose publisher gives its ignition alone, by its own clock. [s]

    `t_ignition`, `t_peak`, and `t_dT20`: the first reading of any sensor from then on that is
    20 K over that sensor's median in the minute before; absent where there is none.
    """
    times, temperatures = recording.times_s, recording.readings[:, :, TEMPERATURE]
    moments = {"t_ignition": ignition_s, "t_peak": peak_time(recording)}
    before = temperatures[(times >= ignition_s - BASELINE_S) & (times < ignition_s)]
    rises = [
        column - np.median(level)
        for column, calm in zip(temperatures.T, before.T, strict=True)
        if len(level := calm[np.isfinite(calm)])
    ]
    hot = np.any([rise >= 20.0 for rise in rises], axis=0) & (times >= ignition_s)
    return moments | ({"t_dT20": float(times[np.argmax(hot)])} if hot.any() else {})


def above_baseline(times_s: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values minus their median over the first minute."""
    first = values[times_s <= times_s[0] + BASELINE_S]
    first = first[np.isfinite(first)]
    return values - (np.median(first) if len(first) else 0.0)


def optical_density_to_smoke(
    times_s: np.ndarray, density: np.ndarray, *, kind: str = "flaming"
) -> np.ndarray:
    """Mass of smoke [ug/m3] over the first minute's at this optical density, 0 under the noise.

    Args:
        times_s: `(time,)`. [s]
        density: decadic optical density, `(time,)`. [1/m]
        kind: of the fire; a kind without an extinction of its own is taken as flaming.

    Source:
        G. W. Mulholland and C. Croarkin, "Specific extinction coefficient of flame generated
        smoke," Fire and Materials, vol. 24, no. 5, pp. 227-230, 2000: 8.7 m2/g on natural
        logarithms. The figure is quoted from memory and was not checked against the paper. That
        of smouldering smoke, 4.4 m2/g, is from memory too.

    Valid:
        Over-ventilated fires.
    """
    extinction = EXTINCTION_M2_G.get(kind, SMOKE_EXTINCTION_M2_G)
    density = above_baseline(times_s, density)
    density = np.where(density < OPTICAL_DENSITY_NOISE, 0.0, density)  # keeps NaN
    return density * np.log(10.0) / extinction * 1e6  # g/m3 -> ug/m3


def optical_density_to_pm25(
    times_s: np.ndarray, density: np.ndarray, *, kind: str = "flaming"
) -> np.ndarray:
    """PM2.5 [ug/m3] that a low-cost sensor would show in smoke of this optical density.

    As `optical_density_to_smoke`. The ceiling of 1,000 ug/m3 hides the coefficient: 0.012/m alone
    is 3,176 ug/m3 of flaming and 6,280 of smouldering smoke.
    """
    smoke = optical_density_to_smoke(times_s, density, kind=kind)
    return np.clip(smoke + BACKGROUND_PM25_UG_M3, 0.0, PM25_CEILING_UG_M3)


def smoke_to_pm25(times_s: np.ndarray, smoke_mg_m3: np.ndarray) -> np.ndarray:
    """PM2.5 [ug/m3] that a low-cost sensor would show at a mass concentration of smoke."""
    smoke = np.maximum(above_baseline(times_s, smoke_mg_m3), 0.0) * 1000.0
    return np.clip(smoke + BACKGROUND_PM25_UG_M3, 0.0, PM25_CEILING_UG_M3)


def co2_above_outdoor(times_s: np.ndarray, co2_ppm: np.ndarray) -> np.ndarray:
    """CO2 [ppm] with the analyser's offset replaced by a ventilated room's level."""
    return above_baseline(times_s, co2_ppm) + OUTDOOR_CO2_PPM


def co_above_zero(times_s: np.ndarray, co_ppm: np.ndarray) -> np.ndarray:
    """CO [ppm] without the analyser's offset, never negative."""
    return np.maximum(above_baseline(times_s, co_ppm), 0.0)
