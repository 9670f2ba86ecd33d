"""The user's recordings: which of them teach what is harmless, and which must not.

A fire or smoke in a recording is never taught as harmless: what is labelled so, or what a fixed
rule finds, is named and left out.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from saafe.detector import AlarmSettings, Scorer, detect
from saafe.errors import InputError, as_given
from saafe.exam import references
from saafe.readers import Published, Unreadable, read_annotated, read_recorded, sensors_note
from saafe.recordings import (
    HOME_KIND,
    RECORDING_SUFFIXES,
    SET_FILE,
    AnnotatedSet,
    Check,
    Interval,
    Recording,
    cut_recording,
    exposure_s,
    find_sets,
    read_sets,
    recording_files,
    without_sentinels,
)
from saafe.sensors import FIRE, PM25
from saafe.windows import DAY_S

SHORTEST_S = 3600.0  # Chosen: half a window's history; less shows nothing of a home
# Chosen: the day around what a fixed rule finds, its smoke as it comes and as it goes
BEFORE_S, AFTER_S = 3 * 3600.0, 21 * 3600.0
SMOKE_FROM_UG_M3 = 3_000.0  # no photoelectric alarm sounds below, whatever the smoke is


@dataclass(frozen=True)
class Room:
    """A recording, or a part of one, in which nothing burns."""

    recording: Recording
    group: str  # resembles itself: no split may divide it, but in time where it is the only one
    is_said: bool = False  # whether a set.json said so; else each file is a group
    sessions: tuple[Interval, ...] = ()  # uses of the stove. [s]
    knows_cooking: bool = False  # whether uses of the stove were noted
    days: float | None = None  # that were watched, where that is stated. [d]
    check: Check | None = None  # what reading it found

    @property
    def seconds(self) -> float:
        """From its first row to its last. [s]"""
        return float(self.recording.times_s[-1])

    @property
    def watched_days(self) -> float:
        """Days that were watched, as stated or as the recording shows. [d]"""
        return exposure_s(self.recording) / DAY_S if self.days is None else self.days


@dataclass(frozen=True)
class LeftOut:
    """What does not teach, and why."""

    file: str
    reason: str  # one line


@dataclass(frozen=True)
class OwnRooms:
    """What a folder holds."""

    rooms: tuple[Room, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups in their order."""
        return tuple(dict.fromkeys(room.group for room in self.rooms))

    @property
    def digest(self) -> str:
        """A number of all that teaches, to know the same recordings again."""
        said = hashlib.sha256(digest_of(self.rooms).encode())
        for room in self.rooms:
            said.update(f"{room.group}\0{room.recording.name}\0{room.sessions}\0".encode())
        return said.hexdigest()


def digest_of(rooms: Sequence[Room]) -> str:
    """A number of times and readings alone."""
    held = hashlib.sha256()
    for room in rooms:
        held.update(room.recording.times_s.tobytes() + room.recording.readings.tobytes())
    return held.hexdigest()


def read_rooms(
    folder: Path | str, on_progress: Callable[[str], None] = lambda _: None, *,
    sentinels: Sequence[tuple[str, float]] = (),
) -> OwnRooms:  # fmt: skip
    """Read the recordings of a folder that may teach what is harmless.

    Args:
        folder: recordings in our format (CSV, CSV.gz, Parquet), annotated sets, or both, at any
            depth. A recording outside of sets is a home of its own, and a group.
        on_progress: takes a line for each, with its length, or why it is left out.
        sentinels: what their device sends in place of readings, see `read_recording`.

    Raises:
        InputError: there is no such folder, nothing in it may teach, or a set.json is wrong.
    """
    folder, given = Path(folder), as_given("--on", "on")
    if not folder.is_dir():
        raise InputError(f"{given} {folder}: no such folder; give one with recordings or sets")
    rooms: list[Room] = []
    left_out: list[LeftOut] = []
    seen: dict[str, str] = {}  # file by what it holds

    def leave_out(file: str, reason: str) -> None:
        left_out.append(LeftOut(file, reason))
        on_progress(f"{file}: left out: {reason}")

    for file, read in recordings_of(folder):
        try:
            room = read()
            room = replace(room, recording=without_sentinels(room.recording, sentinels))
            if room.recording.labels is not None and (room.recording.labels == FIRE).any():
                raise InputError("holds rows labelled fire")
            twin = seen.setdefault(digest_of([room]), file)
            if twin != file:
                raise InputError(f"holds what {twin} holds")
            kept, reasons = harmless_parts(room)
            note = None if room.is_said else sensors_note(room.recording.sensors)
            on_progress(f"{file}: {room.watched_days:.2f} days" + (f"; {note}" if note else ""))
            for line in room.check.doubts() if room.check else ():
                on_progress(f"{file}: {line}")
        except InputError as error:
            leave_out(file, without_prefix(str(error), folder, file))
            continue
        units = room.check.unit_doubts() if room.check else []
        for reason in reasons:
            leave_out(file, "; ".join([reason, *units]))
        rooms += kept
    if not rooms:
        raise InputError(
            f"{given} {folder}: {nothing_left(left_out)}; give recordings without a fire, an hour "
            "long or more (docs/own-recordings.md)"
        )
    return OwnRooms(tuple(rooms), tuple(left_out))


def nothing_left(left_out: Sequence[LeftOut]) -> str:
    """Why a folder teaches nothing, in a few words."""
    if not left_out:
        return f"holds no recording ({', '.join(RECORDING_SUFFIXES)}) and no {SET_FILE}"
    first, more = left_out[0], len(left_out) - 1
    others = f", and {more} more" if more else ""
    return f"nothing in it may teach what is harmless ({first.file}: {first.reason}{others})"


def without_prefix(text: str, folder: Path, file: str) -> str:
    """A reason without the path that stands before it already."""
    for prefix in (
        f"{folder}/",
        f"{file}: ",
        f"{file}, ",
        f"{Path(file).name}: ",
        f"{Path(file).name}, ",
    ):
        text = text.removeprefix(prefix)
    return text


def recordings_of(folder: Path) -> Iterator[tuple[str, Callable[[], Room]]]:
    """Every recording of a folder by its place in it, and what reads it."""
    sets = read_sets(folder)
    taken = {annotation.path.resolve() for one in sets for annotation in one.recordings}
    inside = [path.parent.resolve() for path in find_sets(folder)]
    for one in sets:
        for item in read_annotated(one):
            yield _place(item, one, folder), lambda item=item, one=one: annotated_room(item, one)
    for path in recording_files(folder):
        if path.resolve() in taken:
            continue
        name = str(path.relative_to(folder))
        if any(path.resolve().is_relative_to(place) for place in inside):
            yield name, unlisted
        else:
            yield name, lambda path=path, name=name: plain_room(path, name)


def _place(item: Published | Unreadable, one: AnnotatedSet, folder: Path) -> str:
    """Where an annotated recording lies in the folder, as far as is known."""
    here = one.path.parent
    below = here.relative_to(folder) if here.is_relative_to(folder) else Path()
    return str(below / (item.file if isinstance(item, Unreadable) else item.recording.name))


def unlisted() -> Room:
    """A recording in a set's folder of which set.json says nothing."""
    raise InputError(f"{SET_FILE} beside it does not list it; say there what it is")


def annotated_room(item: Published | Unreadable, one: AnnotatedSet) -> Room:
    """A recording of a set, if it is a home."""
    if isinstance(item, Unreadable):
        raise InputError(item.reason)
    if item.kind != HOME_KIND:
        raise InputError(f"{SET_FILE} calls it a fire")
    group = f"{one.name}/{item.group}"
    return Room(item.recording, group, True, item.stove, bool(item.stove), item.days, item.check)


def plain_room(path: Path, name: str) -> Room:
    """A recording of which nothing is said: a home of its own."""
    recording, check = read_recorded(path)
    return Room(recording, name, check=check)


def harmless_parts(room: Room) -> tuple[list[Room], list[str]]:
    """A recording without the days around what fixed rules find, and what they found."""
    if room.seconds < SHORTEST_S:
        raise InputError(f"lasts {room.seconds / 3600:.1f} h; needed is an hour")
    found = sorted([*rule_alarms(room.recording), *smoke_alarms(room.recording)])
    if not found:
        return [room], []
    reasons = [f"{cause} at {time_s / 3600:.1f} h, so the day around it" for time_s, cause in found]
    parts = [
        cut_room(room, start_s, end_s)
        for start_s, end_s in between(
            [(time_s - BEFORE_S, time_s + AFTER_S) for time_s, _ in found], room.seconds
        )
    ]
    return [part for part in parts if part is not None], reasons


def between(taken: Sequence[Interval], until_s: float) -> list[Interval]:
    """What is left of [0, until] between intervals in order of their starts. [s]"""
    left, at = [], 0.0
    for start, end in taken:
        if start > at:
            left.append((at, start))
        at = max(at, end)
    return [*left, (at, until_s)] if at < until_s else left


def cut_room(room: Room, start_s: float, end_s: float) -> Room | None:
    """A part of a room's recording, None where it is too short to teach. [s]"""
    times = room.recording.times_s
    inside = times[(times >= start_s) & (times <= end_s)]
    if not inside.size or inside[-1] - inside[0] < SHORTEST_S:
        return None
    first, last = float(inside[0]), float(inside[-1])
    part = cut_recording(room.recording, first, last)
    began = room.recording.start
    start = None if began is None else began + timedelta(seconds=first)
    sessions = tuple(
        (max(a, first) - first, min(b, last) - first)
        for a, b in room.sessions
        if b >= first and a <= last
    )
    is_whole = first == times[0] and last == times[-1]
    return replace(
        room,
        recording=replace(part, start=start),
        sessions=sessions,
        days=room.days if is_whole else None,
    )


def rule_alarms(recording: Recording) -> list[tuple[float, str]]:
    """When the detector's fixed rules alone alarm, and which. [s]"""
    nothing = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())
    events = detect(nothing, recording).events
    return [
        (float(event["time_s"]), f"the fixed rule {event['cause']} alarms")
        for event in events
        if event["event"] == "alarm"
    ]


def smoke_alarms(recording: Recording) -> list[tuple[float, str]]:
    """When a photoelectric alarm beside the sensors would sound if all particles were smoke. [s]

    Of the smoke that needs the least mass. Once a day at most: what follows is left out with it.
    """
    with np.errstate(invalid="ignore"):
        is_thick = (recording.readings[:, :, PM25] >= SMOKE_FROM_UG_M3).any(axis=1)
    found: list[tuple[float, str]] = []
    at, times = 0.0, recording.times_s
    while (thick := times[is_thick & (times >= at)]).size:
        start, end = max(float(thick[0]) - 600.0, 0.0), float(thick[0]) + DAY_S
        part = cut_recording(recording, start, min(end, float(times[-1])))
        kind = references.SMOULDERING
        sounded = references.reference_alarms(part, references.aerosol_of(kind))["photo"]
        if sounded is not None:
            at_s = float(times[np.searchsorted(times, start)]) + sounded
            found.append((at_s, "smoke for a photoelectric alarm"))
        at = end
    return found
