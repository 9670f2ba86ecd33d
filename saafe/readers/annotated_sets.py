"""Recordings of annotated sets, as those of publishers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from saafe.errors import InputError
from saafe.readers.published import Published
from saafe.recordings import (
    FIRE_KIND,
    SET_FILE,
    AnnotatedSet,
    Annotation,
    Check,
    Recording,
    check_annotation,
    doubt,
    read_recording,
)
from saafe.sensors import CHANNELS, FIRE

LEAST_BEFORE_S = 10.0  # a reading so long before an ignition is a level that a fire can rise from
NONE_BEFORE = "an early alarm cannot be counted"


@dataclass(frozen=True)
class Unreadable:
    """A recording that could not be read as its set describes it."""

    file: str
    group: str
    reason: str  # one line


def read_annotated(one: AnnotatedSet) -> Iterator[Published | Unreadable]:
    """Yield the recordings of a set, and in its place what could not be read.

    One damaged file of many must not cost the figures of the others.
    """
    for annotation in one.recordings:
        try:
            yield _read_one(annotation)
        except InputError as error:
            file = str(annotation.path.relative_to(one.path.parent))
            yield Unreadable(file, annotation.group, str(error))


def begins_before(fire: Published) -> bool:
    """Whether a fire's readings begin before its ignition, so that an alarm can be early."""
    first_s = float(fire.recording.times_s[0])
    return first_s <= fire.references["t_ignition"] - LEAST_BEFORE_S


def _read_one(annotation: Annotation) -> Published:
    recording, check = read_recording(annotation.path)
    check_annotation(annotation, duration_s=check.duration_s, period_s=check.period_s or 0.0)
    is_fire = annotation.kind == FIRE_KIND
    if not is_fire and recording.labels is not None and (recording.labels == FIRE).any():
        raise InputError(
            f"{annotation.path}: has rows labelled fire, and {SET_FILE} calls it a home, in which "
            "nothing burns; correct the one that is wrong"
        )
    references = {}
    if is_fire:
        check = _without_fires_doubts(check, recording, annotation.ignition_s)
        references = {
            "t_ignition": annotation.ignition_s,
            "t_end": annotation.end_s,
            **annotation.sounded_s,
        }
        if math.isfinite(annotation.limit_s):
            references["t_limit"] = annotation.limit_s
    return Published(
        recording,
        check,
        annotation.burning if is_fire else annotation.kind,
        references=references,
        stove=annotation.cooking_s,
        group=annotation.group,
        days=annotation.days,
    )


def _without_fires_doubts(check: Check, recording: Recording, ignition_s: float) -> Check:
    """The check without doubts of units that the fire itself raises: a fire is no room's air.

    What was read before the ignition alone can tell a wrong unit; else the first row.
    """
    before = recording.readings[recording.times_s < ignition_s]
    before = before if len(before) else recording.readings[:1]
    channels = dict(check.channels)
    for channel, readings in zip(CHANNELS, np.moveaxis(before, 2, 0), strict=True):
        values = readings[np.isfinite(readings)]
        is_doubted = values.size and doubt(channel, float(np.median(values)))
        if channel.name in channels and not is_doubted:
            channels[channel.name] = replace(channels[channel.name], doubt="")
    still = {counts.doubt for counts in channels.values()}
    settled = {counts.doubt for counts in check.channels.values()} - still
    notes = tuple(note for note in check.notes if note not in settled)
    return replace(check, channels=channels, notes=notes)
