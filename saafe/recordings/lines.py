"""Lines of a recording as loggers leave them: which is the header, which are rows, which neither.

Streams and files share what is a header, and what is wrong with a row of too few or too many
cells. A stream reads line by line; here a file's lines are sifted, so that a table is left.
"""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from saafe.errors import InputError
from saafe.recordings.cells import WHITESPACE
from saafe.recordings.check import counted
from saafe.recordings.columns import known_name, refuse_columns
from saafe.recordings.rows import LARGEST_LOSS
from saafe.recordings.tables import (
    Lost,
    Table,
    cells_in_lines,
    count_quoted_rows,
    line_ends,
    not_text,
    parse_header,
    refusal,
    split_line,
    to_table,
    unique_names,
    wrong_width,
)
from saafe.sensors import COLUMNS

LINES_BEFORE_HEADER = 50  # Chosen: banners and comments before it are passed over
_BOM = "\ufeff"
_OTHER_HEADER = "another header"
_NO_TEXT, _NUL = "bytes that are not UTF-8", "a NUL byte"


def header_names(line: str) -> list[str] | None:
    """Column names of a line that is a header, one with a time or a channel; else None."""
    names = [known_name(name) for name in split_line(line)]
    is_header = any(name in ("time", "time_s") or name in COLUMNS for name in names)
    return unique_names(names) if is_header else None


def other_header(line: str) -> list[str]:
    """Column names of a line below the header that is another one, whole; none of any other."""
    if "time" not in line.casefold():  # as nearly always
        return []
    names = header_names(line) or []
    with suppress(InputError):
        refuse_columns("-", names)
        return names
    return []


def no_header(name: Path | str, line: str, *, row: int = 1) -> InputError:
    """Why a line is no header; `row` is its number."""
    try:
        refuse_columns(name, unique_names(parse_header(name, line, row=row)), row=row)
    except InputError as error:
        return error
    raise AssertionError("it is one")


def strip_line(line: str) -> str:
    """A line without the white space around it and without a byte-order mark."""
    return line.strip(WHITESPACE).removeprefix(_BOM)


def row_cells(line: str, names: list[str]) -> tuple[list[str], str]:
    """A line's cells and what is wrong with their number, "" for nothing.

    There are none where the line is the header again.
    """
    cells = [cell.strip(WHITESPACE) for cell in split_line(line)]
    if unique_names([known_name(cell) for cell in cells]) == names:
        return [], ""
    if len(cells) == len(names):
        return cells, ""
    return cells, f"{len(cells)} cells where the header has {len(names)}"


class Header(NamedTuple):
    """The header of a file."""

    names: list[str]
    row: int  # its number
    start: int  # index of its first byte
    end: int  # of the byte where the next line begins
    skipped: int = 0  # lines before it that are not blank


class OddLine(NamedTuple):
    """A line below the header that is no row, or none that can be read."""

    index: int  # 0 is the one below the header
    reason: str  # why it cannot be read; "" for a blank line and for the header again
    width: int = 0  # its number of cells, where that is the reason


def parse_lines(path: Path, data: bytes) -> Table:
    """Parse a recording's CSV as loggers leave it.

    Left out are lines before the header, blank ones and the header come again; and rows that
    cannot be read, with a note.

    Args:
        path: what to call the file.
        data: its bytes.

    Raises:
        InputError: there is no header, or more than 2 % of the rows cannot be read.
    """
    data = data.removeprefix(_BOM.encode())
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    header = _find_header(path, data)
    body = data[header.end :].rstrip(b"\n")
    odd = _odd_lines(path, body, header, data[header.start : header.end].strip())
    notes = (f"skipped {counted(header.skipped, 'line')} before the header",) * (header.skipped > 0)
    if not odd:
        return to_table(path, header.names, body, header_row=header.row, notes=notes)
    if other := [line.index for line in odd if line.reason == _OTHER_HEADER]:
        mend = "write the rows from there on as a recording of their own"
        row = header.row + 1 + other[0]
        raise refusal(path, _OTHER_HEADER, allowed="one header a file", mend=mend, row=row)
    lines = body.split(b"\n")
    if _are_too_many(odd, lines):  # so many NULs stand where a cell may
        odd = [line for line in odd if line.reason != _NUL]
    bad = [line for line in odd if line.reason]
    if _are_too_many(odd, lines):
        raise _refusal(path, bad[0], body, header)
    left_out = {line.index for line in odd}
    kept = np.array([k for k in range(len(lines)) if k not in left_out], dtype=np.int64)
    body = b"\n".join([lines[index] for index in kept.tolist()])
    first = header.row + 1
    if bad:
        what = f"{counted(len(bad), 'row')} that could not be read"
        notes += (f"dropped {what}, first row {bad[0].index + first}: {bad[0].reason}",)
    again = sum(not line.reason and bool(lines[line.index].strip()) for line in odd)
    if again:
        notes += (f"dropped {counted(again, 'line')} with the header again",)
    lost = tuple(Lost(int(np.searchsorted(kept, k)), reason) for k, reason, width in bad if width)
    return to_table(
        path, header.names, body, numbers=kept + first, header_row=header.row, notes=notes,
        lost=lost,
    )  # fmt: skip


def _find_header(path: Path, data: bytes) -> Header:
    """The first of the first lines that is a header; an InputError by the first where none is."""
    passed, end = [], 0
    for row in range(1, LINES_BEFORE_HEADER + 1):
        start, end = end, data.find(b"\n", end) + 1 or len(data)
        text = strip_line(data[start:end].decode(errors="replace"))
        if names := header_names(text):
            return Header(names, row, start, end, len(passed))
        if text:
            passed.append((row, start, end))
        if end == len(data):
            break
    row, start, end = passed[0] if passed else (1, 0, len(data))
    try:
        text = data[start:end].decode()
    except UnicodeDecodeError as error:
        raise not_text(path, data[start + error.start], row) from None
    raise no_header(path, text.strip(), row=row)


def _odd_lines(path: Path, body: bytes, header: Header, raw_header: bytes) -> list[OddLine]:
    """The lines below the header that are no rows; `raw_header` is the header as it stands."""
    if not body:
        return []
    ends = line_ends(body)
    starts = np.append(0, ends[:-1] + 1)
    is_noisy = _noisy_lines(body, starts, ends)
    is_odd = is_noisy | (starts == ends)
    if b'"' not in body:
        is_odd |= cells_in_lines(body) != len(header.names)
    elif not _is_table(path, body, header):
        is_odd[:] = True  # each is to be looked at by itself, as a stream does
    for sought in (raw_header, b"time_s"):  # the header again, or another one
        at = body.find(sought)
        while at >= 0:
            is_odd[np.searchsorted(ends, at)] = True
            at = body.find(sought, at + 1)
    looked_at = (
        _look_at(k, body[starts[k] : ends[k]], header.names, bool(is_noisy[k]))
        for k in np.flatnonzero(is_odd).tolist()
    )
    return [line for line in looked_at if line is not None]


def _is_table(path: Path, body: bytes, header: Header) -> bool:
    """Whether rows with quotes, which may hold commas and line ends, all have their cells."""
    try:
        count_quoted_rows(path, body, len(header.names), header.row)
    except InputError:
        return False
    return True


def _noisy_lines(body: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Where a line has a byte that is no text: bool (line,)."""
    is_noisy = np.zeros(len(ends), dtype=bool)
    if _first_noise(body) < 0:
        return is_noisy
    codes = np.frombuffer(body, np.uint8)
    suspects = np.unique(np.searchsorted(ends, np.flatnonzero((codes >= 0x80) | (codes == 0))))
    is_noisy[suspects] = [_first_noise(body[starts[k] : ends[k]]) >= 0 for k in suspects]
    return is_noisy


def _first_noise(line: bytes) -> int:
    """Index of the first byte that is no text, not UTF-8 or NUL; -1 where all are text."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return error.start
    return line.find(b"\0")


def _look_at(index: int, line: bytes, names: list[str], is_noisy: bool) -> OddLine | None:
    """What is odd about a line, None for a row like the others."""
    text = strip_line(line.decode(errors="replace"))
    if not text:
        return OddLine(index, "")
    cells, wrong = row_cells(text, names)
    if not cells:
        return OddLine(index, "")
    if other_header(text):
        return OddLine(index, _OTHER_HEADER)
    if wrong:
        return OddLine(index, wrong, len(cells))
    if is_noisy:
        return OddLine(index, _NO_TEXT if "\ufffd" in text else _NUL)
    return None


def _are_too_many(odd: list[OddLine], lines: list[bytes]) -> bool:
    """Whether more rows cannot be read than may be left out."""
    bad = sum(bool(line.reason) for line in odd)
    return bad > LARGEST_LOSS * (len(lines) - len(odd) + bad)


def _refusal(path: Path, odd: OddLine, body: bytes, header: Header) -> InputError:
    """The refusal of a file with too many lines that cannot be read, by the first of them."""
    line = body.split(b"\n")[odd.index]
    row, noise = header.row + 1 + odd.index, _first_noise(line)
    if noise >= 0 and line[noise]:
        return not_text(path, line[noise], row)
    if b'"' in body:
        count_quoted_rows(path, body, len(header.names), header.row)  # may know more
    return wrong_width(path, odd.width, len(header.names), row)
