"""`saafe detect`."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from saafe.cli.archive import ArchiveOptions, detect_archive, expand
from saafe.cli.output import line_of, names_near, print_events, print_json
from saafe.cli.progress import Busy
from saafe.cli.reading import (
    ExportOptions,
    check_run_folder,
    export_options,
    load_for,
    read_any,
    refuse_unreadable,
)
from saafe.cli.serving import ServingOptions, mqtt_options, watch_mqtt
from saafe.errors import InputError
from saafe.files import json_text
from saafe.recordings import RECORDING_SUFFIXES, quoted
from saafe.windows import DAY_S

if TYPE_CHECKING:
    from saafe.detector import Live

MQTT_SCHEMES = ("mqtt://", "mqtts://")
MODEL_SUFFIXES = (".onnx", ".safetensors")
DRILL_FIRE, DRILL_SEED, DRILL_HOURS = "flaming_foam", 1, 1.0


def check_interval(value_s: float | None) -> float | None:
    """A longest interval; one that no sensor has, or that is no number, is wrong usage. [s]"""
    if value_s is not None and not 1.0 <= value_s <= DAY_S:
        raise click.BadParameter(f"came {value_s:g}; allowed: 1 to {DAY_S:g} seconds, a day")
    return value_s


@click.command("detect")
@click.argument("words", nargs=-1, required=True,
                metavar="[MODEL] [RECORDING... | PATTERN | - | mqtt://HOST]")  # fmt: skip
@click.option("--repair", is_flag=True, help="Mend the order of a file's rows first.")
@click.option("--longest-interval", "longest_interval_s", type=float, metavar="S",
              callback=lambda _context, _option, value: check_interval(value),
              help="Longest pause of a healthy sensor that reports on change. [s]")  # fmt: skip
@click.option("--device", metavar="NAME|FILE",
              help="Take the thresholds, pauses, units and codes of this device.")  # fmt: skip
@export_options
@click.option("--json", "as_json", is_flag=True, help="Of files: one JSON document, not lines.")
@click.option(
    "--out",
    "events_out",
    metavar="EVENTS",
    help="Write the events of each recording into this folder, or s3://; go on there.",
)
@click.option("--workers", metavar="ADDRESS",
              help="With --out: a dask scheduler, or a number of processes here.")  # fmt: skip
@click.option("--drill", is_flag=True, help="Play a simulated fire over a live stream.")
@mqtt_options
def detect_command(
    words: tuple[str, ...], repair: bool, longest_interval_s: float | None, device: str | None,
    drill: bool, as_json: bool, **reading: Any,
) -> None:  # fmt: skip
    """Print what a model finds in recordings, one JSON event a line; `-` reads a live CSV stream.

    MODEL is a run folder or an exported .onnx file; without one, saafe's own. On a stream each
    event is printed when it becomes true. A line `acknowledge` among the rows clears the alarm.
    `mqtt://[USER@]HOST[:PORT]` or `mqtts://` takes readings from a broker, with --preset
    (zigbee2mqtt, esphome, tasmota, json) or --topic, and publishes events there.

    Of an archive, --out keeps a file of events a recording, EVENTS/NAME.jsonl. The same command
    goes on where it was stopped. Patterns in quotes may be long: 'homes/**/*.parquet'.

    Example: saafe detect kitchen.csv

    Example: saafe detect runs/my-run kitchen.csv

    Example: saafe detect runs/my-run 'simulated/*.csv.gz' --out events
    """
    from saafe.machines import DetectOptions

    serving, archive = ServingOptions.take_from(reading), ArchiveOptions.take_from(reading)
    model, recordings = split_words(words)
    refuse_folders(recordings)
    if as_json and (recordings in ((), ("-",)) or recordings[0].startswith(MQTT_SCHEMES)):
        raise InputError("--json: a stream has no end; each event is a JSON line as it is")
    if model is not None and not recordings:
        refuse_nothing(model)
    if archive.workers is not None and archive.out is None:
        raise InputError("--workers needs --out EVENTS: a folder, or s3://BUCKET/FOLDER")
    options = ExportOptions(**reading)
    source = source_of(recordings)
    if source == "a broker":
        check_broker(options, repair=repair, drill=drill)
    elif serving.uses_mqtt or serving.keep:
        raise InputError("--topic, --keep and the like are for a broker: give mqtt://HOST")
    elif source == "a stream":
        check_stream(options, archive, repair=repair)
    else:
        check_files(recordings, drill=drill)
        if archive.out is None:
            recordings = tuple(expand(recordings))
            refuse_unreadable(recordings, options, device, repair=repair)
    run = load_for(model, device)
    if not run.has_checksum:
        click.echo(f"note: {model} has no checksum: damage to its weights may go unseen", err=True)
    if source == "a broker":
        return watch_mqtt(run, recordings[0], options, longest_interval_s, serving)
    if source == "a stream":
        return detect_stream(run, longest_interval_s, options.units, drill=drill)
    if archive.out is not None:
        export = options.named(run.settings.units) if options else None
        how = DetectOptions(export, repair, longest_interval_s)
        return detect_archive(run, recordings, archive, how, as_json=as_json)
    found = detect_files(
        run, recordings, longest_interval_s, options, repair=repair, is_told=not as_json
    )
    note_other_channels(device, found["files"])
    if as_json:
        print_json(found)
    if found["failed"]:
        names = ", ".join(quoted(row["file"]) for row in found["failed"])
        click.echo(
            f"saafe: skipped {len(found['failed'])} of {len(recordings)} files: {names}", err=True
        )
        raise click.exceptions.Exit(1)


def split_words(words: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The model, None for saafe's own, and the recordings; only a first word can be a model.

    A file alone is no model to read a stream with but readings, whatever its suffix.
    """
    if not words or is_recording(words[0]) or (len(words) == 1 and is_other_file(words[0])):
        return None, tuple(words)
    return words[0], tuple(words[1:])


def refuse_folders(recordings: Sequence[str]) -> None:
    """Say the pattern that names a folder's recordings, where the folder is given."""
    for name in recordings:
        if Path(name).is_dir():
            ends = [end for end in RECORDING_SUFFIXES if any(Path(name).glob(f"*{end}"))]
            pattern = Path(name) / f"*{ends[0] if ends else RECORDING_SUFFIXES[0]}"
            raise InputError(f"{name}: is a folder; name its recordings, such as '{pattern}'")


def refuse_nothing(word: str) -> None:
    """Say what a lone word that names nothing may have meant: a run, a recording or a broker."""
    path = Path(word)
    if path.exists() or path.suffix.lower() in MODEL_SUFFIXES:  # loading says what is wrong
        return
    folder = path.parent if path.parent.is_dir() else Path()
    # without their suffixes, which are alike for all
    files = {one.name.partition(".")[0]: one for one in folder.iterdir() if is_recording(one.name)}
    if near := names_near(path.name.partition(".")[0], files):
        meant = " or ".join(str(files[name]) for name in near)
        raise InputError(f"{word}: no such recording or run folder; did you mean {meant}?")
    check_run_folder(word)
    raise InputError(
        f"{word}: no such recording or run folder; allowed: a run folder, a recording "
        f"({', '.join(RECORDING_SUFFIXES)}), or mqtt://HOST[:PORT] for a broker"
    )


def source_of(recordings: Sequence[str]) -> str:
    """Where readings come from: a stream, a broker or files."""
    if len(recordings) == 1 and recordings[0].startswith(MQTT_SCHEMES):
        return "a broker"
    return "a stream" if recordings in ((), ("-",)) else "files"


def check_broker(options: ExportOptions, *, repair: bool, drill: bool) -> None:
    """Refuse options that a broker's readings do not take."""
    if drill:
        raise InputError("--drill plays over a CSV stream: saafe detect - --drill; to try who "
                         "listens at a broker, send two hot readings there")  # fmt: skip
    if repair or replace(options, presets=(), units=()):
        raise InputError("a broker's readings come as they are; of these options it takes "
                         "--preset, --unit and --longest-interval")  # fmt: skip


def check_stream(options: ExportOptions, archive: ArchiveOptions, *, repair: bool) -> None:
    """Refuse options that a live stream does not take."""
    if archive.out is not None:
        raise InputError(
            "--out is for recordings; a stream's events are printed: > FILE keeps them"
        )
    if repair:
        raise InputError("--repair mends files; a live stream is mended as it comes")
    if replace(options, units=()):
        raise InputError("a live stream is CSV in saafe's format; of these options it takes --unit")


def check_files(recordings: Sequence[str], *, drill: bool) -> None:
    """Refuse a drill over files, and a stream among them."""
    if drill:
        raise InputError("--drill plays over a live stream: use - for RECORDING")
    if odd := [name for name in recordings if name == "-" or name.startswith(MQTT_SCHEMES)]:
        raise InputError(
            f"{odd[0]}: pipe the readings of one space as CSV into `saafe detect MODEL -`, alone"
        )


def is_recording(word: str) -> bool:
    """Whether a word names readings and no model: by its suffix, or as a stream."""
    if word.lower().endswith(MODEL_SUFFIXES):  # at an address too: loading says that none is there
        return False
    if word == "-" or "://" in word or (has_magic(word) and not Path(word).exists()):
        return True
    return word.lower().endswith(RECORDING_SUFFIXES) and not Path(word).is_dir()


def is_other_file(word: str) -> bool:
    """Whether a word names a file that holds no model."""
    path = Path(word)  # a pipe too, as of `<(zcat kitchen.csv.gz)`
    return path.exists() and not path.is_dir() and path.suffix.lower() not in MODEL_SUFFIXES


def detect_files(
    run: Any, paths: Sequence[str], longest_interval_s: float | None, options: ExportOptions,
    *, repair: bool, is_told: bool,
) -> dict[str, list[dict]]:  # fmt: skip
    """Find the events of recordings, one after the other; of several, one may be unreadable.

    Each event is printed as a line where `is_told`. What comes back holds `files`, each with its
    check and its events, and `failed`, what could not be read.
    """
    from saafe.detector import longest_pause, silence_notes

    files, failed = [], []
    pause_s = longest_pause(run, longest_interval_s)
    for path in paths:
        try:
            readings, check = read_any(
                Path(path),
                options,
                repair=repair,
                longest_interval_s=pause_s,
                settings=run.settings,
            )
        except InputError as error:
            if len(paths) == 1:
                raise
            click.echo(f"saafe: {line_of(error)}", err=True)
            failed.append({"file": path, "error": line_of(error)})
            continue
        for line in check.lines():
            click.echo(line, err=True)
        events = events_of(run, readings, longest_interval_s, path)
        files.append({"file": path, "check": check.to_dict(), "events": events})
        for note in silence_notes(events, readings):
            click.echo(f"note: {note}", err=True)
        if is_told and not events:
            click.echo(f"{path}: no event", err=True)
        for event in events if is_told else ():
            click.echo(json_text({**event, "file": path} if len(paths) > 1 else event))
    return {"files": files, "failed": failed}


def note_other_channels(device: str | None, files: Sequence[dict]) -> None:
    """Say once which channels of recordings the device that was named does not have."""
    from saafe.simulator import devices

    if device is None or device == devices.ANYTHING:
        return
    own = devices.load_device(device).channels
    counts = (item for row in files for item in row["check"]["channels"].items())
    if other := sorted({name for name, one in counts if one["present"] and name not in own}):
        are = "is" if len(other) == 1 else "are"
        click.echo(f"note: {', '.join(other)} {are} not of {device}, and judged all the same",
                   err=True)  # fmt: skip


def events_of(run: Any, readings: Any, longest_interval_s: float | None, path: str) -> list[dict]:
    """The events of one recording; how far it is, is said."""
    from saafe.detector import dated
    from saafe.detector import detect as detect_recording

    with Busy(path) as busy:
        found = detect_recording(
            run, readings, longest_interval_s=longest_interval_s, on_progress=busy.reached
        )
    return dated(found.events, readings.start)


def detect_stream(
    run: Any, longest_interval_s: float | None, units: Sequence[str], *, drill: bool
) -> None:
    """Read lines of standard input as they come, and print events as they become true."""
    from saafe.cli.stdin_lines import Lines
    from saafe.detector import Drill, Live, dated
    from saafe.recordings import RowReader, parse_units

    live = Live(
        run,
        RowReader(units=parse_units(units), sentinels=run.settings.sentinels),
        longest_interval_s=longest_interval_s,
        drill=Drill(run, *simulated_fire(), longest_interval_s) if drill else None,
        note=lambda text: click.echo(f"note: {text}", err=True),
    )
    lines = Lines()
    if torch := sys.modules.get("torch"):  # a run's; an exported model has one thread anyway
        torch.set_num_threads(1)  # one window at a time: threads would only wait for each other
    while True:
        try:
            came = lines.next(live.wait_s(time.monotonic()))
        except TimeoutError:
            events = live.tick(time.monotonic())
        except InputError:  # it broke; what is due of the rows before is told all the same
            if live.reader.names:
                print_events(dated(closing_events(live), live.reader.start))
            raise
        else:
            events = closing_events(live) if came is None else live.line(*came)
            if came is None:
                print_events(dated(events, live.reader.start))
                return
        print_events(dated(events, live.reader.start))


def closing_events(live: "Live") -> list[dict]:
    """The last events of a stream; a drill whose fire had not begun by then found out nothing."""
    events = live.close()
    if live.drill is None:
        return events
    start_s, ended_s = live.drill.start_s, live.drill.detector.now_s
    if start_s is not None and ended_s >= start_s:
        return events
    cut = {"alarmed": None, "after_s": None, "cause": "cut off"}
    told = [event | cut if event["event"] == "drill" else event for event in events]
    if told != events:
        click.echo(
            "note: the stream ended before the drill's fire began, two minutes after its first "
            "row: nothing was tried", err=True,
        )  # fmt: skip
    return told


def simulated_fire() -> tuple[str, Any]:
    """The fire of a drill: its name, and what it adds to readings."""
    import torch

    from saafe.simulator import onto_recording

    generator = torch.Generator().manual_seed(DRILL_SEED)
    mix = onto_recording.fire_mix((DRILL_FIRE,))
    (fire,) = onto_recording.simulate_fires(1, DRILL_HOURS, mix, generator)
    return fire.name, fire.rise
