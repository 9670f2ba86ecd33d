"""The long exam: rare false alarms, counted in shards that machines can share.

A shard is a detector-year of quiet life, some cookings and every other nuisance, on seeds of its
own. It leaves a small file of counts; files are added up, whoever made them and when.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from saafe.errors import InputError
from saafe.exam.fires import AS_MADE
from saafe.exam.gate import GATE_LIMITS, LIFE_LIMITS, as_bounds, gate_of, judged_line
from saafe.exam.judging import Judged, judged_run
from saafe.exam.nuisances import (
    YEAR_S,
    NuisanceRow,
    QuietRow,
    claim,
    draw_nuisances,
    per_100_cookings,
    try_nuisance,
    year,
)
from saafe.exam.outcomes import count_alarms
from saafe.exam.quick import VERSION, ExamDevice
from saafe.exam.results import Figures, plain_values
from saafe.exam.session import OnProgress, Session, Stage
from saafe.files import write_json
from saafe.metrics import finite_or_none, rate_bounds
from saafe.recordings import exposure_s
from saafe.sensors import CHANNELS, CO, CO2, HUMIDITY, PM25, SOUND, TEMPERATURE
from saafe.simulator import Mix, sources, to_recordings
from saafe.training import Run, run_for, runs

QUIET_HOURS = 24.0
QUIET_STREAMS_OF_A_SHARD = 366  # of a day each: a detector-year, and what gaps take from it
QUIET_BATCH = 61
COOKINGS_OF_A_SHARD = 7  # of each kind of cooking: 150 shards make 11,550
QUIET_YEARS, COOKINGS = 150.0, 10_000  # that the long level asks for
# Chosen: a window moves where its newest 200 s rise so far over its lowest reading; what stays
# under that in every channel is not scored, and its risk is taken for nothing
MOVES = {TEMPERATURE: 1.5, PM25: 12.0, CO: 4.0, CO2: 150.0, HUMIDITY: 10.0, SOUND: 25.0}
NEWEST_STEPS = 20

QUIET_COUNTS = ("streams", "alarms", "hours_in_alarm", "years")  # of a shard
NUISANCE_COUNTS = ("events", "alarms", "events_with_alarm", "hours_in_alarm", "photo_events")

ShardWork = Callable[..., Iterator[dict[str, Any]]]  # takes what `shards_here` takes


def has_moved(windows: np.ndarray) -> np.ndarray:
    """Whether any channel of a window has risen lately. (batch, 60, 1, channel) to bool (batch,)"""
    seen = windows[:, :, 0]
    known = ~np.isnan(seen)
    lowest = np.where(known, seen, np.inf).min(axis=1)
    highest = np.where(known, seen, -np.inf)[:, -NEWEST_STEPS:].max(axis=1)
    limits = np.array([MOVES[channel] for channel in range(len(CHANNELS))])
    return (highest - lowest > limits).any(axis=1)


def screened(one: Judged) -> Judged:
    """The same detector, asked only about windows in which a channel has moved."""

    def score(windows: np.ndarray) -> np.ndarray:
        risk, moved = np.zeros(len(windows)), has_moved(windows)
        if moved.any():
            risk[moved] = one.score(windows[moved])
        return risk

    return replace(one, score=score)


def examine_shard(
    run: Run, device: ExamDevice, number: int, *, on_progress: OnProgress = lambda _: None
) -> dict[str, Any]:
    """Count the false alarms of one shard; the number sets its seeds.

    Raises:
        InputError: the number is not 0 to 9,999.
    """
    if not 0 <= number < 10_000:
        raise InputError(f"shard {number}: choose from 0 to 9999")
    session = Session(
        screened(judged_run(run_for(run, device.sensors))), number, device=device.sensors
    )
    quiet = {"streams": 0, "alarms": 0, "hours_in_alarm": 0.0, "years": 0.0}
    mix = Mix(0.0, nuisance_counts=(1.0, 0.0, 0.0), fault_share=0.0)
    for batch in range(QUIET_STREAMS_OF_A_SHARD // QUIET_BATCH):
        drawn = session.simulate((Stage.LONG, batch), mix=mix, count=QUIET_BATCH, hours=QUIET_HOURS)
        recordings = to_recordings(drawn)
        for recording, detection in zip(
            recordings, session.each(session.detect, recordings), strict=True
        ):
            counted = count_alarms(detection.events, float(recording.times_s[-1]))
            quiet["streams"] += 1
            quiet["alarms"] += len(counted.times_s)
            quiet["hours_in_alarm"] += counted.hours
            quiet["years"] += exposure_s(recording) / YEAR_S
        days = quiet["streams"]
        on_progress(f"shard {number}: {days} quiet days, {session.windows:,} windows scored")
    nuisances = {}
    for k, source in enumerate(sources.NUISANCES):
        wanted = COOKINGS_OF_A_SHARD if source.cooking else 1
        trials = draw_nuisances(
            session, (source.name,), wanted, part=5000 + 10 * k, batch=2 * wanted + 1
        ).trials
        results = list(session.each(partial(try_nuisance, session, source.name), trials))
        nuisances[source.name] = {
            "events": len(results),
            "alarms": sum(len(result.alarms_s) for result in results),
            "events_with_alarm": sum(bool(result.alarms_s) for result in results),
            "hours_in_alarm": sum(result.hours for result in results),
            "photo_events": sum(result.trial.sounds["photo"][AS_MADE] for result in results),
        }
    on_progress(f"shard {number}: done in {session.seconds:.0f} s")
    return plain_values({
        "version": VERSION,
        "device": device.called,
        "model_sha256": runs.sha256(run.folder / runs.MODEL),
        "shard": number,
        "seconds": round(session.seconds, 1),
        "windows_scored": session.windows,
        "quiet": quiet,
        "nuisances": nuisances,
    })  # fmt: skip


def shard_path(folder: Path, number: int) -> Path:
    """The file of a shard."""
    return folder / f"shard-{number:04d}.json"


def shards_here(
    run: Run,
    device: ExamDevice,
    numbers: Sequence[int],
    *,
    on_progress: OnProgress = lambda _: None,
) -> Iterator[dict[str, Any]]:
    """Shards examined one after the other in this process."""
    for number in numbers:
        yield examine_shard(run, device, number, on_progress=on_progress)


def write_shards(
    run: Run, device: ExamDevice, folder: Path, numbers: Sequence[int],
    *, work: ShardWork = shards_here, on_progress: OnProgress = lambda _: None,
) -> None:  # fmt: skip
    """Examine the shards that the folder lacks; each is written as soon as it is done."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [number for number in numbers if not shard_path(folder, number).exists()]
    for made in work(run, device, wanted, on_progress=on_progress) if wanted else ():
        write_json(shard_path(folder, made["shard"]), made)


def missing_shards(folder: Path, count: int) -> list[int]:
    """The lowest numbers of which a folder has no shard."""
    numbers = (number for number in range(10_000) if not shard_path(folder, number).exists())
    return [number for _, number in zip(range(count), numbers, strict=False)]


def read_shards(folder: Path, run: Run, device: ExamDevice) -> list[dict[str, Any]]:
    """The shards of a folder, each once.

    Raises:
        InputError: a file is none, or is of another model, device or version.
    """
    wanted = {"version": VERSION, "device": device.called,
              "model_sha256": runs.sha256(run.folder / runs.MODEL)}  # fmt: skip
    shards: dict[int, dict[str, Any]] = {}
    for path in sorted(folder.glob("shard-*.json")):
        try:
            shard = json.loads(path.read_text())
            number = int(shard["shard"])
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path}: is no shard of a long exam; remove it") from None
        for name, value in wanted.items():
            if shard.get(name) != value:
                raise InputError(
                    f"{path}: its {name} is {shard.get(name)}, not {value}; keep the shards of "
                    "each model and device in a folder of their own"
                )
        if not has_counts(shard):
            raise InputError(
                f"{path}: its counts are damaged or another saafe's; remove it, and ask again"
            )
        shards[number] = shard
    if not shards:
        raise InputError(f"{folder}: holds no shard of a long exam")
    return list(shards.values())


def has_counts(shard: Mapping[str, Any]) -> bool:
    """Whether a shard holds what `merge_shards` adds up, each an amount."""
    try:
        amounts = [shard["seconds"], *(shard["quiet"][key] for key in QUIET_COUNTS)]
        rows = [shard["nuisances"][source.name] for source in sources.NUISANCES]
        amounts += [row[key] for row in rows for key in NUISANCE_COUNTS]
        return all(type(one) in (int, float) and 0 <= one < math.inf for one in amounts)
    except (KeyError, TypeError):
        return False


def merge_shards(shards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The false alarms of all shards: what a full exam's `life` and `nuisances` hold, and n."""

    def total(part: str, key: str) -> float:
        return sum(shard[part][key] for shard in shards)

    years, alarms = total("quiet", "years"), int(total("quiet", "alarms"))
    quiet = QuietRow(
        int(total("quiet", "streams")), alarms, total("quiet", "hours_in_alarm"), years,
        **claim(rate_bounds(alarms, years, sides=1), LIFE_LIMITS["quiet"]),
    )  # fmt: skip
    rows = []
    for source in sources.NUISANCES:
        counts = [shard["nuisances"][source.name] for shard in shards]
        events, found = (sum(one[key] for one in counts) for key in ("events", "alarms"))
        bounds = rate_bounds(found, events / 100.0)
        rows.append(NuisanceRow(
            nuisance=source.name, kitchen=source.kitchen, per_year=source.per_year,
            rate_source=source.rate_source, events=events, alarms=found,
            events_with_alarm=sum(one["events_with_alarm"] for one in counts),
            hours_in_alarm=sum(one["hours_in_alarm"] for one in counts),
            alarms_per_100=finite_or_none(bounds.value), lower=bounds.lower,
            upper=finite_or_none(bounds.upper),
            references=Figures(photo_sounds=sum(one["photo_events"] for one in counts)),
        ))  # fmt: skip
    cookings = per_100_cookings(rows)
    return {
        "shards": len(shards),
        "quiet_years": years,
        "quiet_years_asked": QUIET_YEARS,
        "cookings": cookings[1],
        "cookings_asked": COOKINGS,
        "seconds": total_seconds(shards),
        "life": year(quiet, rows),
        "nuisances": rows,
        "nuisance_per_100_cookings": cookings[0],
    }


def total_seconds(shards: Sequence[Mapping[str, Any]]) -> float:
    """Time that all shards took, on the machines that made them. [s]"""
    return round(sum(shard["seconds"] for shard in shards), 1)


def with_long(full: Mapping[str, Any], merged: Mapping[str, Any]) -> dict[str, Any]:
    """A full exam's document with the long level's lines in place of its own."""
    life = merged["life"]
    figures = {
        f"{room}_false_alarms_per_year": (
            as_bounds(vars(life[room]), "alarms_per_year"),
            life[room].alarms,
        )
        for room in LIFE_LIMITS
    } | {"nuisance_per_100_cookings": (merged["nuisance_per_100_cookings"], merged["cookings"])}
    lines = [
        judged_line(line["name"], *figures[line["name"]], GATE_LIMITS[line["name"]])
        if line["name"] in figures else line
        for line in full["gate"]["lines"]
    ]  # fmt: skip
    gate = gate_of("long", full["gate"]["device"], lines)
    return plain_values({**full, "level": "long", "gate": gate, "long": merged})
