"""An export's bytes as a table of text cells: encodings, JSON, logs, separators, the header.

Nothing here knows what a column means, but for which names may stand in a header.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from saafe.readers.export_json import (
    Cells,
    numbered,
    read_json_records,
    refuse_form,
    to_cells,
)
from saafe.recordings import counted, plain, read_table, read_unzipped, refusal

SEPARATORS = (",", ";", "\t", "|")
HEADER_WITHIN = 200  # Chosen: no export has a longer banner
_LINE_PROTOCOL = re.compile(r"\s*[^\s,=]+(?:,[^\s,=]+=[^\s,]+)* [^\s,=]+=\S+(?: \d{10,19})?\s*$")
LONGEST_ROW = 50  # Chosen: lines that quoted cells of one row may reach over
# a cell's quote that its line leaves open, and one that ends such a cell
_OPENS = re.compile(r'(?:^|[,;\t|])\s*"(?:[^"]|"")*$')
_CLOSES = re.compile(r'(?:[^"]|"")*"\s*(?:[,;\t|]|$)')
HEADER_NAMES = 2  # known ones that make a header: a time and a channel
MOST_LEFT_OUT = 0.1  # Chosen: a file with more bad rows than a tenth was misread
_TOPIC = r"(?P<topic>[^\s']+)"
# lines of logs; the forms are from memory
_LOGS = [
    re.compile(pattern)
    for pattern in (
        # ESPHome: [08:00:00][D][sensor:094]: 'Kitchen CO2': Sending state 559.0 ppm with 0 dec...
        r"^.*?(?P<time>(?:\d{4}-\d\d-\d\d[ T])?\d\d:\d\d:\d\d(?:\.\d+)?)\].*'(?P<name>[^']+)'"
        r"(?:: Sending state|:? >>) *(?P<value>\S+) ?(?P<unit>(?!with )\S*)",
        # Zigbee2MQTT: ... MQTT publish: topic 'zigbee2mqtt/kitchen', payload '{"co2":559,...}'
        r"^.*?(?P<time>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?)\]?:? .*topic '"
        + _TOPIC
        + r"', payload '(?P<payload>\{.*\})'",
        # mosquitto_sub -v, and with -F '%I %t %p'
        rf"^(?:(?P<time>\d\S+) )?{_TOPIC} (?P<payload>\{{.*\}})$",
        r"^(?P<time>\d\S+) (?P<topic>[A-Za-z][^\s']*/[^\s']+) (?P<value>[+-]?[0-9.]+)$",
    )
]


@dataclass(frozen=True)
class Export:
    """A file's cells as text, "" where there is none."""

    path: Path
    frame: pl.DataFrame  # String columns, named as in the file
    row_numbers: np.ndarray  # int64 `(row,)`, lines of the file
    separator: str  # "" = JSON or a log
    notes: tuple[str, ...] = ()
    other_headers: tuple[int, ...] = ()  # lines at which another table begins

    def keep(self, is_kept: np.ndarray) -> "Export":
        """The same with some of the rows."""
        frame, numbers = self.frame.filter(pl.Series(is_kept)), self.row_numbers[is_kept]
        return replace(self, frame=frame, row_numbers=numbers)


def read_cells_of(path: Path, is_known: Callable[[str], bool]) -> Export:
    """Read any export as text cells.

    Args:
        path: of the file.
        is_known: whether a name may stand in the header.

    Raises:
        InputError: where no header is found, or more than a tenth of the rows do not fit it.
    """
    try:
        return _read_cells(path, read_unzipped(path), is_known)
    except RecursionError:  # the JSON reader's, and ours of its records
        mend = "export a table or a list of records"
        raise refusal(path, "JSON nested too deeply", allowed="readings", mend=mend) from None


def _read_cells(path: Path, data: bytes, is_known: Callable[[str], bool]) -> Export:
    """Read the bytes of an export: Parquet, JSON, a log or a table."""
    if data[:4] == b"PAR1":
        frame = pl.DataFrame([_as_text(column) for column in read_table(path).frame])
        return Export(path, frame, np.arange(1, frame.height + 1), "")
    text = decode(data)
    lines = text.split("\n")
    is_json = text.lstrip()[:1] in ("{", "[")
    if is_json and (found := read_json_records(path, text)):
        return _to_export(path, found.records, found.notes)
    if records := _read_log(lines):
        return _to_export(path, records)
    if re.match(r"\s*[\[{]\s*[\"\[{\]}]", text):
        raise refuse_form(path, "JSON that is broken or ends early")
    start = [line for line in lines[:HEADER_WITHIN] if line.strip()]
    # most of them, for a line above a table may be `Serial number=1234`
    if 2 * sum(bool(_LINE_PROTOCOL.match(line)) for line in start) > len(start):
        mend = "export it as CSV, as `influx` can"
        raise refusal(path, "InfluxDB's line protocol", allowed="CSV or JSON of it", mend=mend)
    return _read_table(path, _whole_rows(lines), is_known)


def _whole_rows(lines: list[str]) -> list[str]:
    """Lines, with a row whose quoted cells hold line ends in its first one, and "" in the others.

    Only where a cell opens in one line and closes in one of the next, so that a stray quote, such
    as that of a 5" pipe, joins nothing.
    """
    if not any(line.count('"') % 2 for line in lines):
        return lines
    whole: list[str] = []
    while (first := len(whole)) < len(lines):
        row, end = lines[first], first + 1
        while row.count('"') % 2 and _OPENS.search(row) and (closed := _closing(lines, end)):
            row, end = " ".join([row, *lines[end:closed]]), closed
        whole += [row, *[""] * (end - first - 1)]
    return whole


def _closing(lines: list[str], start: int) -> int | None:
    """Index behind the line that closes a cell left open before `start`; None where none does."""
    for at in range(start, min(start + LONGEST_ROW, len(lines))):
        if '"' in lines[at].replace('""', ""):
            return at + 1 if _CLOSES.match(lines[at]) else None
    return None


def _as_text(column: pl.Series) -> pl.Series:
    """A typed column as text cells; empty ones where its type has no text, as lists have none.

    Durations, as of pandas' timedeltas, are seconds.
    """
    if column.dtype == pl.Duration:
        column = column.dt.total_nanoseconds() / 1e9
    try:
        return column.cast(pl.String, strict=False).fill_null("")
    except pl.exceptions.PolarsError:
        return pl.repeat("", len(column), dtype=pl.String, eager=True).alias(column.name)


def decode(data: bytes) -> str:
    """Bytes as text with lines that end in a line feed, and no NUL.

    UTF-16 is told by its mark or its NULs; a line that is not UTF-8 is taken as Windows-1252.
    """
    sample = data[:4000]
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", errors="replace")
    elif sample.count(0) > len(sample) // 4:
        is_little = sample[1::2].count(0) > sample[::2].count(0)
        text = data.decode("utf-16-le" if is_little else "utf-16-be", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = "\n".join(_decode_line(line) for line in data.split(b"\n"))
    return text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")


def _decode_line(line: bytes) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")


def _to_export(path: Path, records: Cells, notes: tuple[str, ...] = ()) -> Export:
    """Records of (line, name -> cell) as columns, in the order of their first use."""
    names = list(dict.fromkeys(name for _, record in records for name in record))
    columns = {name: [record.get(name, "") for _, record in records] for name in names}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))
    numbers = np.array([line for line, _ in records], dtype=np.int64)
    return Export(path, frame, numbers, "", notes)


def _read_log(lines: list[str]) -> Cells:
    """Records of a log's lines that hold a reading; [] where it is no log."""
    start = [line for line in lines[:HEADER_WITHIN] if line.strip()]
    for log in _LOGS:
        if sum(bool(log.match(line)) for line in start) >= min(2, len(start)) > 0:
            found = (
                (i, log.match(re.sub("\x1b.*?m", "", line))) for i, line in enumerate(lines, 1)
            )
            records = ((i, _log_record(match)) for i, match in found if match)
            return to_cells(((i, record) for i, record in records if record), Counter())
    return []


def _log_record(match: re.Match[str]) -> dict[str, Any]:
    record = {name: text for name, text in match.groupdict().items() if text is not None}
    try:
        return record | json.loads(record.pop("payload", "{}"))
    except ValueError:
        return {}


def _read_table(path: Path, lines: list[str], is_known: Callable[[str], bool]) -> Export:
    """Read lines of cells under a header."""
    at, separator = _find_header(path, lines, is_known)
    rows: list[list[str]] = []
    numbers: list[int] = []
    names = header = _split(lines[at].lstrip("#"), separator)
    is_new, left_out, others, again = False, [], [], 0
    for number, line in enumerate(lines[at + 1 :], at + 2):
        if not line.strip() or line.startswith("#"):
            is_new |= line.startswith(("#datatype", "#group", "#default"))
            continue
        cells = _split(line, separator)
        if cells == header:
            again += 1
            is_new = False
        elif is_new or _is_header(cells, is_known):  # another table, with its own columns
            if not is_new:
                others.append(number)
            header, is_new = cells, False
            names = names + [name for name in header if name not in names]
        elif (fitted := _fit(cells, header)) is None:
            left_out.append(number)
        else:
            if header is not names:
                by_name = dict(zip(header, fitted, strict=True))
                fitted = [by_name.get(name, "") for name in names]
            rows.append(fitted)
            numbers.append(number)
    _refuse_many(path, len(left_out), len(rows), "rows with more or fewer cells than the header")
    notes = []
    above = [line for line in lines[:at] if line.strip() and not line.startswith(("#", "sep="))]
    if above:
        notes.append(f"skipped {counted(len(above), 'line')} before the header")
    if left_out:
        count = f"{len(left_out)} row{'s' * (len(left_out) > 1)}"
        notes.append(
            f"left out {count} with more or fewer cells than the header, first in line "
            f"{left_out[0]}"
        )
    if others:
        count = "another header" if len(others) == 1 else f"{len(others)} other headers"
        notes.append(f"{count}, first in line {others[0]}: rows below are read by it")
    if again:
        notes.append(
            f"the header came again {again} times" if again > 1 else "the header came again"
        )
    if rows and _are_units(rows[0]):
        cells, rows, numbers = rows[0], rows[1:], numbers[1:]
        names = [f"{n} ({u})" if u else n for n, u in zip(names, cells, strict=False)]
    if not rows:
        allowed, mend = "at least one row", "export the readings again"
        raise refusal(path, "a header and no rows", allowed=allowed, mend=mend, row=at + 2)
    unique = list(numbered(names))
    rows = [row + [""] * (len(unique) - len(row)) for row in rows]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(unique, pl.String), orient="row")
    frame = frame.select(pl.all().str.strip_chars())
    at_rows = np.array(numbers, dtype=np.int64)
    return Export(path, frame, at_rows, separator, tuple(notes), tuple(others))


def _find_header(path: Path, lines: list[str], is_known: Callable[[str], bool]) -> tuple[int, str]:
    """Index of the header's line, and the separator: where most names are known.

    Rows below one end the search: a later header is of another table.
    """
    declared = re.match(r"^\"?sep=(.)\"?$", next((line for line in lines if line.strip()), ""))
    best, found = 0, None
    for at, line in enumerate(lines[:HEADER_WITHIN]):
        if line.startswith(("#datatype", "#group", "#default", "sep=")):
            continue
        if found and best >= HEADER_NAMES and _begins_rows(line, lines[found[0]], found[1]):
            break
        for separator in declared.groups() if declared else SEPARATORS:
            cells = _split(line.lstrip("#"), separator)
            if len(cells) < 2 or any(_is_value(cell) for cell in cells):
                continue
            score = sum(is_known(cell) for cell in cells if cell)
            if score > best:
                best, found = score, (at, separator)
    if found is None:
        first = next((line for line in lines if line.strip()), "")
        came = f"no header in the first {HEADER_WITHIN} lines, which begin {first[:40]!r}"
        mend = "put a line such as time,temperature_c above the readings"
        raise refusal(path, came, allowed="a line of column names", mend=mend)
    return found


def _begins_rows(line: str, header: str, separator: str) -> bool:
    """Whether a line is a row of a header: with as many cells, and values among them."""
    cells = _split(line, separator)
    return len(cells) == len(_split(header, separator)) and any(map(_is_value, cells))


def _is_header(cells: list[str], is_known: Callable[[str], bool]) -> bool:
    """Whether cells are names of columns: at least two known ones, and no value."""
    if any(map(_is_value, cells)):  # of nearly every row, which is asked this: names take longer
        return False
    return sum(is_known(cell) for cell in cells if cell) >= HEADER_NAMES


def _is_value(cell: str) -> bool:
    """Whether a cell is a reading or a time, and so no name."""
    return bool(re.match(r"^[+-]?[0-9.,]+$|^\d+[-/.:]\d+[-/.:]", cell))


def _are_units(cells: list[str]) -> bool:
    """Whether the row below the header tells units."""
    is_unit = [re.fullmatch(r"\W*[cfk]|%.*|ppm|ppb|.g/m.*", plain(cell)) for cell in cells]
    return any(is_unit) and not any(_is_value(cell) for cell in cells)


def _split(line: str, separator: str) -> list[str]:
    """Cells of one line, stripped."""
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    try:
        cells: Iterable[str] = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    except (csv.Error, StopIteration):
        cells = line.split(separator)
    return [cell.strip() for cell in cells]


def _fit(cells: list[str], header: list[str]) -> list[str] | None:
    """Cells of a row, as many as the header; None where it does not fit."""
    over = len(cells) - len(header)
    if over > 0 and not any(cells[len(header) :]):
        return cells[: len(header)]
    if over < 0:
        return cells + [""] * -over if not any(header[len(cells) :]) else None
    return cells if over == 0 else _join_decimals(cells, over)


def _join_decimals(cells: list[str], over: int) -> list[str] | None:
    """A row whose decimal commas were taken for separators; None where that is not certain."""
    whole = [i for i, cell in enumerate(cells) if re.fullmatch(r"[+-]?\d+", cell)]
    if len(cells) == 2 * over + 1:  # a time, and a decimal in every other cell
        whole = [i for i in whole if i > 0]
    if len(whole) != 2 * over or any(
        b - a != 1 for a, b in zip(whole[::2], whole[1::2], strict=True)
    ):
        return None
    joined = {a: f"{cells[a]}.{cells[b]}" for a, b in zip(whole[::2], whole[1::2], strict=True)}
    return [joined.get(i, cell) for i, cell in enumerate(cells) if i not in whole[1::2]]


def _refuse_many(path: Path, wrong: int, right: int, what: str) -> None:
    if wrong > max(2, MOST_LEFT_OUT * (wrong + right)):
        mend = "export it with quotes around cells, or with semicolons between them"
        raise refusal(
            path, f"{wrong} {what}, of {wrong + right}", allowed="at most a tenth", mend=mend
        )
