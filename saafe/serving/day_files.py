"""Recordings of a space, one file a day: what is quiet, and beside it what is not.

A day is a day of UTC. `SPACE/2026-11-28.csv.gz` holds its quiet readings, and
`SPACE/2026-11-28-alarm.csv.gz` what no detector may learn from. The `set.json` beside them lists
the quiet ones alone, so that `saafe tune --on` takes the folder as it is.
"""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from saafe.errors import InputError
from saafe.files import sync_folder, write_json
from saafe.recordings import HOME_KIND, SET_FILE, Recording, write_recording
from saafe.sensors import CHANNELS
from saafe.serving.home_assistant import slug

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

DAY_MS = 86_400_000
DAY_SUFFIX, ASIDE_SUFFIX, DAMAGED = ".csv.gz", "-alarm.csv.gz", ".damaged"
LOCK_FILE = ".lock"
MEND = "free some space or choose another --keep"


class DayRows(NamedTuple):
    """Readings of sensors at moments; no moment of a sensor twice, in their order."""

    times_ms: np.ndarray  # int64, since 1970. (row,)
    sensors: np.ndarray  # names. (row,)
    readings: np.ndarray  # NaN = missing. (row, channel)

    def take(self, which: np.ndarray) -> "DayRows":
        """Some of them."""
        return DayRows(self.times_ms[which], self.sensors[which], self.readings[which])


def make_rows(times_ms: Sequence[int], sensors: Sequence[str], readings: Iterable) -> DayRows:
    """DayRows of plain values, in any order; what came of one sensor at one moment is joined."""
    cells = np.array(list(readings), dtype=np.float64).reshape(-1, len(CHANNELS))
    return join_rows([
        DayRows(np.array(times_ms, dtype=np.int64), np.array(sensors, dtype=object), cells)
    ])  # fmt: skip


def join_rows(parts: Sequence[DayRows]) -> DayRows:
    """All rows in the order of time; of what came twice the first stays, cell by cell."""
    times_ms, sensors, readings = (np.concatenate(column) for column in zip(*parts, strict=True))
    names, number = np.unique(sensors.astype(str), return_inverse=True)
    order = np.lexsort((np.arange(len(times_ms)), number, times_ms))
    times_ms, number, readings = times_ms[order], number[order], readings[order]
    is_new = np.ones(len(times_ms), dtype=bool)
    is_new[1:] = (np.diff(times_ms) != 0) | (np.diff(number) != 0)
    first, group = np.flatnonzero(is_new), np.cumsum(is_new) - 1
    merged = readings[first]
    for row in np.flatnonzero(~is_new):  # a few: a message a channel, or a file that has them
        into = merged[group[row]]
        into[np.isnan(into)] = readings[row][np.isnan(into)]
    rows = DayRows(times_ms[first], names[number[first]].astype(object), merged)
    return rows.take(np.flatnonzero(np.isfinite(merged).any(axis=1)))


def day_of(time_ms: int) -> str:
    """The day of a moment, such as 2026-11-28."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).date().isoformat()


def read_day(path: Path) -> DayRows:
    """The rows of a file of ours; none where there is none.

    One that is damaged is put by under another name.
    """
    try:
        columns = {one.column: pl.Float64 for one in CHANNELS}
        frame = pl.read_csv(
            path.read_bytes(),
            schema_overrides={**columns, "time": pl.String, "sensor": pl.String},
        )
        times = frame["time"].str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_zone="UTC")
        missing = pl.Series([None] * len(frame), dtype=pl.Float64)
        cells = [frame.get_column(name, default=missing) for name in columns]
        return DayRows(
            times.dt.epoch("ms").to_numpy().astype(np.int64),
            np.array(frame["sensor"].to_list(), dtype=object),
            np.column_stack([one.fill_null(np.nan).to_numpy() for one in cells]),
        )
    except FileNotFoundError:
        return make_rows([], [], [])
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); mend its rights") from None
    except (pl.exceptions.PolarsError, ValueError, TypeError):  # somebody has edited it
        with suppress(OSError):
            os.replace(path, path.with_name(path.name + DAMAGED))
        return make_rows([], [], [])


def write_day(rows: DayRows, path: Path) -> None:
    """Write rows as a recording that would survive a power cut; no rows, no file."""
    if not len(rows.times_ms):
        path.unlink(missing_ok=True)
        return
    times_ms, at = np.unique(rows.times_ms, return_inverse=True)
    names, sensor = np.unique(rows.sensors.astype(str), return_inverse=True)
    readings = np.full((len(times_ms), len(names), len(CHANNELS)), np.nan, dtype=np.float32)
    readings[at, sensor] = rows.readings
    start = datetime.fromtimestamp(int(times_ms[0]) // 1000, UTC).replace(
        microsecond=int(times_ms[0]) % 1000 * 1000
    )
    recording = Recording(
        name=path.name.removesuffix(DAY_SUFFIX), times_s=(times_ms - times_ms[0]) / 1000.0,
        sensors=tuple(map(str, names)), readings=readings, start=start,
    )  # fmt: skip
    partial = path.with_name(f".{path.name}")  # hidden: nobody learns from it
    try:
        write_recording(recording, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    except (OSError, InputError) as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be written ({error.strerror}); {MEND}") from None


class DayFiles:
    """A folder of days, a folder a space; for one process at a time."""

    def __init__(self, folder: Path, days: int) -> None:
        """Take the folder and make it.

        Args:
            folder: of all spaces.
            days: how many are kept of each space, the newest.

        Raises:
            InputError: it cannot be made or written, or another process keeps its days there.
        """
        self.folder, self.days = folder, days
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.lock = (folder / LOCK_FILE).open("w")
        except OSError as error:
            raise InputError(
                f"--keep {folder}: cannot be made ({error.strerror}); choose another --keep"
            ) from None
        if fcntl is not None:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.lock.close()
                raise InputError(
                    f"--keep {folder}: another saafe keeps its days there; choose another --keep"
                ) from None
            except OSError:  # a disk that knows no locks
                pass

    def close(self) -> None:
        """Let others use the folder."""
        self.lock.close()

    def place(self, space: str) -> Path:
        """The folder of a space."""
        return self.folder / slug(space)

    def has_day(self, space: str, day_ms: int) -> bool:
        """Whether there is a file of a day."""
        names = (f"{day_of(day_ms)}{suffix}" for suffix in (DAY_SUFFIX, ASIDE_SUFFIX))
        return any(is_there(self.place(space), name) for name in names)

    def add(self, space: str, rows: DayRows, aside: Sequence[tuple[int, int]]) -> None:
        """Put rows into the files of their days; rows that are there already stay once.

        Args:
            space: whose they are.
            rows: of any days.
            aside: moments from and to which no detector may learn. [ms]

        Raises:
            InputError: a file cannot be written; the others may be.
        """
        days = rows.times_ms // DAY_MS
        for day in np.unique(days):
            self.sort_day(space, int(day) * DAY_MS, aside, rows.take(days == day))

    def sort_day(
        self, space: str, day_ms: int, aside: Sequence[tuple[int, int]], more: DayRows | None = None
    ) -> None:
        """Divide what is known of a day, and more rows of it, into what is quiet and what is not.

        What is not quiet is written first: a kill in between leaves a row in both files until the
        day is sorted again, and loses none.
        """
        place = self.place(space)
        name = day_of(day_ms)
        quiet, other = place / f"{name}{DAY_SUFFIX}", place / f"{name}{ASIDE_SUFFIX}"
        had = [read_day(quiet), read_day(other)]
        whole = join_rows([*had, more] if more is not None else had)
        is_aside = np.zeros(len(whole.times_ms), dtype=bool)
        for start_ms, end_ms in aside:
            is_aside |= (whole.times_ms >= start_ms) & (whole.times_ms <= end_ms)
        try:
            place.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"{place}: cannot be made ({error.strerror}); {MEND}") from None
        if is_aside.any():
            write_day(whole.take(is_aside), other)
        write_day(whole.take(~is_aside), quiet)
        if not is_aside.any():
            write_day(whole.take(is_aside), other)
        self.list_days(space)

    def list_days(self, space: str) -> None:
        """Write the set.json of a space anew where its files are others, and drop the oldest days.

        What a user has said there of a file that is still there stays.
        """
        place = self.place(space)
        names = sorted(path.name for path in place.glob(f"[0-9]*{DAY_SUFFIX}"))
        days = sorted({name[:10] for name in names})
        old = set(days[: -self.days])
        listed = [n for n in names if n[:10] not in old and not n.endswith(ASIDE_SUFFIX)]
        gone = [name for name in names if name[:10] in old]
        self._write_set(space, listed, gone)
        for name in gone:
            (place / name).unlink(missing_ok=True)

    def _write_set(self, space: str, listed: Collection[str], gone: Collection[str]) -> None:
        path = self.place(space) / SET_FILE
        said = set_said(path)
        entries = said.get("recordings", [])
        kept = [one for one in entries if is_there(path.parent, one["file"])]
        kept = [
            one for one in kept
            if one["file"] in listed or not (is_ours(one["file"]) or one["file"] in gone)
        ]  # fmt: skip
        known = {one["file"] for one in kept}
        kept += [
            {"file": name, "kind": HOME_KIND, "group": "days"}
            for name in listed
            if name not in known
        ]
        if kept == entries:
            return
        if not kept:
            path.unlink(missing_ok=True)
            return
        begun = {
            "name": f"{self.folder.resolve().name}: {space}",
            "origin": "readings that saafe kept",
            "licence": "yours",
            "note": "quiet days: what is near an alarm or a warning lies aside",
        }
        write_json(path, {**begun, **said, "recordings": kept}, mend=MEND)


def set_said(path: Path) -> dict:
    """What a set.json says; one that says no such thing is put by under another name."""
    try:
        said = json.loads(path.read_text())
        if all(isinstance(one["file"], str) for one in said["recordings"]):
            return said
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError):  # somebody has edited it
        pass
    with suppress(OSError):
        os.replace(path, path.with_name(path.name + DAMAGED))
    return {}


def is_there(folder: Path, name: str) -> bool:
    """Whether a folder holds a file that a set.json names."""
    return (folder / name).is_file()


def is_ours(name: str) -> bool:
    """Whether a file has the name of a day; one that is aside may be listed by a user."""
    return name.endswith(DAY_SUFFIX) and not name.endswith(ASIDE_SUFFIX) and name[:4].isdigit()
