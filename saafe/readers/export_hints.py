"""What to say of a file that is refused as a recording and can be imported."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from saafe.errors import InputError
from saafe.formats import shell_word
from saafe.readers.clock_changes import USUAL_ZONES
from saafe.readers.exports import Guess, import_recording, read_export
from saafe.recordings import (
    Check,
    Conversion,
    Recording,
    parse_recording,
    read_recording,
    usual_units,
)

MOST_TRIED_BYTES = 20_000_000  # Chosen: a larger file is not read again for each zone


def read_recorded(
    path: Path, export: Mapping[str, Any] | None = None, *, repair: bool = False,
    longest_interval_s: float | None = None, sentinels: Iterable[tuple[str, float]] = (),
    units: Iterable[tuple[str, str]] = (), say: Callable[[str], None] = lambda _line: None,
    takes_options: bool = False,
) -> tuple[Recording, Check]:  # fmt: skip
    """Read a recording in saafe's format, or as a vendor exported it.

    Args:
        path: of the file.
        export: the options of `import_recording` by name, for an export; None for saafe's format.
        repair: see `read_recording`; exports are always mended.
        longest_interval_s: see `read_recording`. [s]
        sentinels: see `read_recording`.
        units: those that the device sends, a channel and its unit each. Saafe's format names its
            own, so they count only in what is said of a file that can be imported.
        say: takes what was guessed of an export, a line each, before it is used.
        takes_options: whether whoever asks could have given `export` by the options of the command
            line; then one that reads the file as it is is named beside the import.

    Raises:
        InputError: as the two do; one that is refused, but can be imported, says how.
    """
    told: dict[str, Any] = {"longest_interval_s": longest_interval_s, "sentinels": sentinels}
    if export is not None:
        table, guess = read_export(path, **export)
        for line in guess.lines():
            say(line)
        return parse_recording(table, repair=True, **told)
    try:
        return read_recording(path, repair=repair, **told)
    except InputError as error:
        if "--repair" in str(error) or (found := _find_import(path, units)) is None:
            raise
        what, reads = str(error).partition("; allowed:")[0], f"this reads it: {found.command}"
        reads += f"; or here, as it is: {found.options}" if takes_options else ""
        raise InputError("; ".join([what, reads, *found.doubts])) from None


class Import(NamedTuple):
    """What reads an export."""

    command: str  # that imports it
    options: str  # with which a command that reads recordings takes it as it is
    doubts: list[str]  # what to say beside it


def import_hint(path: Path | str) -> str | None:
    """The import command that reads a file; None where there is none.

    What the import guesses by itself is left out. Where clocks change and the file names no zone,
    one is named in which they change so.
    """
    found = _find_import(Path(path))
    return found.command if found else None


def _find_import(path: Path, units: Iterable[tuple[str, str]] = ()) -> Import | None:
    """What reads a file; `units` of the device count where it names none."""
    usual = usual_units(units)
    words = ["saafe", "data", "import", str(path)]
    words.append(str(path.with_name(f"{path.name.partition('.')[0] or 'import'}-saafe.csv")))
    if guess := _guess(path, usual):
        said = ["it takes the times as milliseconds"] if guess.time_form.startswith("ms ") else []
        return _import(words, _unit_words(path, usual, guess), [*said, *guess.doubts()], guess)
    if path.is_file() and path.stat().st_size > MOST_TRIED_BYTES:
        return None
    for zone in USUAL_ZONES:
        guess = _guess(path, usual, zone)
        if guess and not guess.zone_doubt:
            options = [*_unit_words(path, usual, guess, zone), "--zone", zone]
            said = f"{zone} stands for the time zone of its clock"
            return _import(words, options, [said, *guess.doubts()], guess)
    return None


def _import(words: list[str], options: list[str], doubts: list[str], guess: Guess) -> Import:
    """An import by words and options; without any, the first guessed unit says that it is one."""
    first = guess.columns[0]
    alone = options or ["--unit", f"{first.channel}={first.unit}"]
    command, here = (" ".join(map(shell_word, each)) for each in (words + options, alone))
    return Import(command, here, doubts)


def _unit_words(
    path: Path, usual: Mapping[str, Conversion], guess: Guess, zone: str | None = None
) -> list[str]:
    """The options for what the import takes to be in another unit than the device sends."""
    alone = _guess(path, {}, zone) if usual else guess
    by_itself = alone.columns if alone else ()  # none where no reading is possible in its unit
    units = {
        one.channel: one.unit
        for one in guess.columns
        if one.channel in usual and one not in by_itself and one.unit == usual[one.channel].unit
    }
    return [word for told in units.items() for word in ("--unit", "=".join(told))]


def _guess(path: Path, usual: Mapping[str, Conversion], zone: str | None = None) -> Guess | None:
    """How a file is understood; None where it cannot be imported."""
    try:
        return import_recording(path, units=usual, zone=zone)[2]
    except InputError:
        return None
