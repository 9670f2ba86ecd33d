"""`saafe data`: check recordings, convert published ones, audit data sets."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from saafe.cli.output import Group, did_you_mean, print_json
from saafe.cli.progress import Busy
from saafe.cli.reading import ExportOptions, export_options, read_any
from saafe.cli.tables import print_lines
from saafe.detector import AlarmSettings
from saafe.errors import InputError
from saafe.files import plain_name, write_json
from saafe.readers import (
    NONE_BEFORE,
    PRESETS,
    PUBLISHERS,
    Published,
    Unreadable,
    begins_before,
    join_tables,
    read_annotated,
    read_exports,
    read_published,
    sensors_note,
    split_sensors,
)
from saafe.recordings import (
    HOME_KIND,
    RECORDING_SUFFIXES,
    SET_FILE,
    AnnotatedSet,
    Check,
    Recording,
    Table,
    counted,
    make_folder,
    parse_recording,
    read_sets,
    recording_files,
    write_recording,
)

# a file without rights is refused as one line says, not by click's usage
READABLE_OR_TOLD = click.Path(readable=False, path_type=Path)


@click.group("data", cls=Group)
def data_command() -> None:
    """Check recordings; convert published ones; audit data sets.

    Example: saafe data check home.csv
    """


@data_command.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=READABLE_OR_TOLD)
@click.option("--repair", is_flag=True, help="Sort rows, undo set clocks, drop few odd rows.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the mended recording here.")
@click.option("--seconds", is_flag=True, help="With --out: time_s from the first row, no dates.")
@click.option("--device", metavar="NAME|FILE", help="Take the units and codes of this device.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@export_options
def check_command(
    paths: tuple[Path, ...], repair: bool, out: Path | None, seconds: bool, device: str | None,
    as_json: bool, **reading: Any,
) -> None:  # fmt: skip
    """Say what was read, masked and repaired in each recording.

    A PATH may be a folder: then each recording in it and below it. In an annotated set set.json is
    checked too, and against its recordings. Exits 1 where one of them cannot be used.

    Example: saafe data check home.csv --repair --out mended.csv
    """
    options, sends = ExportOptions(**reading), settings_of_device(device)
    is_one = len(paths) == 1 and not paths[0].is_dir()
    if out and not (is_one and repair):
        raise InputError("--out takes the mended recording: give one PATH and --repair with it")
    if seconds and not out:
        raise InputError("--seconds says how --out is written: give --repair --out FILE with it")
    checks, failed = [], []
    for path in paths:
        try:
            sets = read_sets(path) if path.is_dir() else []
        except InputError as error:  # a set.json: the recordings are checked all the same
            sets = []
            failed.append(told_failure(path, error))
        try:
            files = files_to_check(path, sets)
        except InputError as error:
            if len(paths) == 1 and not failed:
                raise
            failed.append(told_failure(path, error))
            continue
        if sets and (repair or options or device):
            raise InputError(f"{path}: a set is read as it is; give its files one by one")
        for one in sets:
            found, unread = check_set(one, is_told=not as_json)
            checks += found
            failed += unread
        for file in files:
            try:
                recording, found = read_any(
                    file, options, repair=repair, settings=sends,
                    longest_interval_s=sends.longest_interval_s or None,
                )  # fmt: skip
                if out:
                    write_recording(replace(recording, start=None) if seconds else recording, out)
                    click.echo(f"wrote {out}", err=True)
            except InputError as error:
                if is_one:
                    raise
                failed.append(told_failure(file, error))
                continue
            checks.append(found.to_dict())
            if not as_json:
                print_lines(found.lines())
    if as_json:
        print_json({"checks": checks, "failed": failed})
    if failed:
        raise click.exceptions.Exit(1)


def files_to_check(path: Path, sets: Sequence[AnnotatedSet]) -> list[Path]:
    """A file itself; of a folder the recordings in it that lie in none of its sets.

    Raises:
        InputError: a folder with none of both.
    """
    if not path.is_dir():
        return [path]
    inside = [one.path.parent.resolve() for one in sets]
    files = [
        file
        for file in recording_files(path)
        if not any(file.resolve().is_relative_to(folder) for folder in inside)
    ]
    if not files and not sets:
        ends = ", ".join(RECORDING_SUFFIXES)
        raise InputError(f"{path}: holds no recording ({ends}) and no {SET_FILE}")
    return files


def told_failure(path: Path, error: InputError) -> dict[str, str]:
    """Say on stderr why something cannot be used; the same as JSON."""
    click.echo(f"saafe: {error}", err=True)
    return {"path": str(path), "error": str(error)}


def check_set(one: AnnotatedSet, *, is_told: bool) -> tuple[list[dict], list[dict]]:
    """Check the recordings of a set against what it says of them: checks, and what failed."""
    if is_told:
        click.echo(f"{one.path}: {one.name}, {len(one.recordings)} recordings")
    checks, failed, fires = [], [], []
    for item in read_annotated(one):
        if isinstance(item, Unreadable):
            click.echo(f"saafe: {item.reason}", err=True)
            failed.append({"path": str(one.path.parent / item.file), "error": item.reason})
            continue
        checks.append(item.check.to_dict())
        if item.kind != HOME_KIND:
            fires.append(item)
        if is_told:
            print_lines([f"{item.kind}, group {item.group}", *item.check.lines()])
    if is_told and (at_once := sum(not begins_before(fire) for fire in fires)):
        which = f"{at_once} of {counted(len(fires), 'fire')}"
        print_lines([f"note: no reading before ignition of {which}: {NONE_BEFORE}"])
    return checks, failed


@data_command.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=READABLE_OR_TOLD)
@click.argument("out", type=click.Path(path_type=Path))
@export_options
@click.option(
    "--split",
    type=click.Choice(["sensor"]),
    help="OUT is a folder: one recording a sensor, for sensors in homes of their own.",
)
@click.option("--device", metavar="NAME|FILE", help="Take the units and codes of this device.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def import_command(
    files: tuple[Path, ...], out: Path, split: str | None, device: str | None, as_json: bool,
    **reading: Any,
) -> None:  # fmt: skip
    """Turn a vendor's export FILE into a recording OUT.

    Separators, decimal signs, time forms, units and columns are guessed, and what was guessed is
    shown on stderr before it is used. Several FILEs, such as one a day, become one recording.
    PRESETS

    Example: saafe data import export.csv home.csv --unit temperature=F
    """
    sends = settings_of_device(device)
    options = ExportOptions(**reading).named(sends.units)
    exports = read_exports(files, **options)
    said: list[str] = []
    for file, (_, guess) in zip(files, exports, strict=True):
        if guess.lines() != said:
            said = guess.lines()
            click.echo("\n".join([f"{file}:"] * (len(files) > 1) + said), err=True)
    table = join_tables([table for table, _ in exports])
    document: dict[str, Any] = {"guess": exports[0][1].to_dict()}
    if split:
        for note in table.notes:  # of the files, not of one sensor
            click.echo(f"note: {note}", err=True)
        checks, failed = write_split(table, out, files, sends, is_told=not as_json)
        document |= {"notes": table.notes, "checks": checks, "failed": failed}
    else:
        failed = []
        recording, found = parse_sent(table, sends)
        note = sensors_note(recording.sensors)
        found = replace(found, notes=(*found.notes, note)) if note else found
        write_beside(recording, out, files)
        document["check"] = found.to_dict()
        if not as_json:
            print_lines(found.lines())
    if as_json:
        print_json(document)
    if failed:
        raise click.exceptions.Exit(1)


def settings_of_device(device: str | None) -> AlarmSettings:
    """What a device is known to send, as alarm settings hold it; nothing for None."""
    if device is None:
        return AlarmSettings()
    from saafe.simulator import devices

    if device == devices.ANYTHING:
        raise InputError(f"--device {device}: has no units and codes of its own; name a device")
    one = devices.load_device(device)
    return AlarmSettings(**devices.sends_of(one), longest_interval_s=one.longest_interval_s)


def parse_sent(table: Table, sends: AlarmSettings) -> tuple[Recording, Check]:
    """The recording of a table, by what its device is known to send."""
    return parse_recording(
        table, repair=True, longest_interval_s=sends.longest_interval_s or None,
        sentinels=sends.sentinels,
    )  # fmt: skip


def write_split(
    table: Table, out: Path, files: Sequence[Path], sends: AlarmSettings, *, is_told: bool
) -> tuple[list[dict], list[dict]]:
    """Write a recording of each sensor into a folder: checks, and which could not be read."""
    checks, failed = [], []
    for name, part in split_sensors(table).items():
        path = out / f"{name}.csv"
        try:
            recording, found = parse_sent(replace(part, path=path, notes=()), sends)
        except InputError as error:
            failed.append(told_failure(path, error))
            continue
        make_folder(out)
        write_beside(recording, path, files)
        checks.append(found.to_dict())
        if is_told:
            print_lines(found.lines())
    return checks, failed


def write_beside(recording: Recording, out: Path, files: Sequence[Path]) -> None:
    """Write a recording, but over none of the exports that it was read from."""
    for file in files:
        if out.exists() and file.exists() and out.samefile(file):
            raise InputError(f"{out}: is the export itself, which would be lost; name another OUT")
    write_recording(recording, out)


_NAMES = ", ".join(dict.fromkeys(preset.name for preset in PRESETS))
import_command.help = (import_command.help or "").replace("PRESETS", f"Presets: {_NAMES}.")


@data_command.command()
@click.argument("name")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "suffix",
    type=click.Choice(["csv", "csv.gz", "parquet"]),
    default="csv.gz",
    show_default=True,
    help="How to write the recordings.",
)
@click.option("--json", "as_json", is_flag=True, help="Print references.json instead of a list.")
def convert_command(name: str, source: Path, out: Path, suffix: str, as_json: bool) -> None:
    """Turn the publisher's raw files in folder SOURCE into recordings in folder OUT.

    NAME is nist_home_smoke_alarms, uhoo_homes, nazir_lab_fire, fsri_hvac_gasburner,
    nist_nrc_compartment, uci_occupancy or uci_room_occupancy_sound. OUT also gets
    references.json: fire types, reference times, stove use.

    Example: saafe data convert uhoo_homes raw/uhoo homes --format parquet
    """
    if name not in PUBLISHERS:  # as `read_published` says it, and which is near
        near = did_you_mean(name, PUBLISHERS)
        raise InputError(f"no reader named {name!r}; allowed: {', '.join(PUBLISHERS)}.{near}")
    recordings = {}
    for published in read_published(name, source):
        make_folder(out)
        file = f"{plain_name(published.recording.name)}.{suffix}"
        write_recording(published.recording, out / file)
        recordings[file] = describe_published(published)
        if not as_json:
            print_lines([f"{out / file}: {published.kind}", *published.check.lines()])
    about = PUBLISHERS[name]
    document = {
        "name": name,
        "description": about.description,
        "licence": about.licence,
        "citation": about.citation,
        "recordings": recordings,
    }
    write_json(out / "references.json", document)
    if as_json:
        print_json(document)


@data_command.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=READABLE_OR_TOLD)
@click.option("--label", default="label", show_default=True, help="Column of the class.")
@click.option(
    "--group",
    help="Column of the recording; COLUMN:restart where a counter falls; file for one a file "
    "(the default of several files).",
)
@click.option("--drop", multiple=True, help="Column to leave out.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def audit_command(
    paths: tuple[Path, ...], label: str, group: str | None, drop: tuple[str, ...], as_json: bool
) -> None:
    """Say whether a score on labelled rows can be believed.

    Looks for rows that repeat in another group, and compares a random split with groups held
    out. Exits 1 where the data set must not be scored on. Needs saafe[rivals].

    Example: saafe data audit a.csv b.csv --group file
    """
    from saafe import audit as leakage

    if group is None and len(paths) == 1:
        raise InputError("--group is missing: name the column that tells recordings apart")
    with Busy("comparing splits"):
        found = leakage.audit_data_set(
            leakage.read_data_set(paths, label=label, group=group or leakage.BY_FILE, drop=drop)
        )
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(leakage.lines(found)))
    leakage.refuse(found, ", ".join(map(str, paths)))


def describe_published(published: Published) -> dict:
    """What is known about a recording, as plain values."""
    return {
        "kind": published.kind,
        "references": published.references,
        "stove": published.stove,
        "notes": published.notes,
        "check": asdict(published.check),
    }
