"""Tables in files: CSV, gzipped CSV and Parquet, in and out."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from saafe.errors import InputError
from saafe.files import write_atomically

FORMATS = "CSV (commas, UTF-8), CSV.gz or Parquet"
COUNTED_BYTES = 1 << 20  # looked at at once
LONGEST_LINE = 1 << 20  # bytes of a file, characters of a stream: no line of readings is so long
TELLING = 4  # bytes that tell an encoding
_JSON = re.compile(rb"(\xff\xfe|\xfe\xff|\xef\xbb\xbf)?\s*[\[{]")
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_UNPACK, _EXPORT = "unpack it", "save its table as CSV"
_OTHERS = {  # how files begin that are taken for recordings now and then: what they are, and a mend
    b"PK\x03\x04": ("a spreadsheet or a ZIP", f"{_EXPORT}, or {_UNPACK}"),
    b"\xd0\xcf\x11\xe0": ("an old spreadsheet", _EXPORT),
    b"BZh": ("packed with bzip2", _UNPACK),
    b"\xfd7zXZ": ("packed with xz", _UNPACK),
    b"\x28\xb5\x2f\xfd": ("packed with zstd", _UNPACK),
    b"7z\xbc\xaf": ("packed with 7-Zip", _UNPACK),
    b"ARROW1": ("in Arrow's format (Feather)", "save it as Parquet or CSV"),
    b"SQLite format 3": ("a database", _EXPORT),
}


class Lost(NamedTuple):
    """A row that could not be read and was left out."""

    before: int  # how many of the table's rows stand before it
    reason: str  # as a stream says it


@dataclass(frozen=True)
class Table:
    """A file's cells, not yet understood."""

    path: Path  # where it came from
    frame: pl.DataFrame  # all text for CSV, typed for Parquet
    row_numbers: np.ndarray  # int64 `(row,)`, as a person counts them: a CSV's header is row 1
    notes: tuple[str, ...] = ()  # what was odd about the file but not wrong
    header_row: int = 1  # number of the header's row
    lost: tuple[Lost, ...] = ()  # the rows that were left out for their number of cells

    def refusal(
        self, came: str, *, allowed: str, mend: str, index: int | None = None, column: str = ""
    ) -> InputError:
        """What `refusal` says, of the row with this index."""
        row = None if index is None else int(self.row_numbers[index])
        return refusal(self.path, came, allowed=allowed, mend=mend, row=row, column=column or None)


def refusal(
    path: Path | str,
    came: str,
    *,
    allowed: str,
    mend: str,
    row: int | None = None,
    column: str | None = None,
) -> InputError:
    """One line that says where, what came, what is allowed and what mends it."""
    # one line, whatever the name
    place = str(path) if str(path).isprintable() else ascii(str(path))
    if row is not None:
        place += f", row {row}"
    if column is not None:
        place += f", column {column}"
    return InputError(f"{place}: {came}; allowed: {allowed}; {mend}")


def quoted(cell: object) -> str:
    """A cell as it may stand in a one-line message."""
    text = repr(str(cell))
    return text if len(text) <= 42 else text[:38] + "..." + text[-1]


def read_table(path: Path, parse: Callable[[Path, bytes], Table] | None = None) -> Table:
    """Read a CSV, gzipped CSV or Parquet file; its content, not its name, says which it is.

    `parse` takes the bytes of a CSV, where they are not to be `parse_csv`'s.
    """
    data = _read_bytes(path)
    if data[:4] == _PARQUET or path.suffix == ".parquet":
        return _read_parquet(path, data)
    is_zipped = data[:2] == _GZIP
    notes = ()
    if is_zipped != (path.suffix == ".gz"):
        notes = (f"{'gzipped' if is_zipped else 'not gzipped'}, unlike its name",)
    data = _to_utf8(_unzip(path, data))
    table = parse(path, data) if parse else parse_csv(path, _to_text(path, data))
    return replace(table, notes=(*notes, *table.notes))


def read_text(path: Path) -> str:
    """Read a text file, gzipped or not."""
    return _to_text(path, read_unzipped(path))


def read_unzipped(path: Path) -> bytes:
    """Read a file's bytes, gzipped or not; JSON may be one line, however long."""
    return _unzip(path, _read_bytes(path, may_be_json=True), may_be_json=True)


def _unzip(path: Path, data: bytes, *, may_be_json: bool = False) -> bytes:
    if data[:2] != _GZIP:
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return _read_lines(path, file, may_be_json=may_be_json)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        came = "truncated gzip" if isinstance(error, EOFError) else "damaged gzip"
        mend = "copy the file again, whole"
        raise refusal(path, f"{came} ({error})", allowed="a complete gzip", mend=mend) from None


def _to_text(path: Path, data: bytes, rows_before: int = 0) -> str:
    try:
        return data.decode("utf-8-sig")  # -sig: a byte-order mark is no part of the first name
    except UnicodeDecodeError as error:
        row = rows_before + data.count(b"\n", 0, error.start) + 1
        raise not_text(path, data[error.start], row) from None


def not_text(path: Path, byte: int, row: int) -> InputError:
    """The refusal of a byte that is not UTF-8."""
    came = f"byte 0x{byte:02x} is not UTF-8"
    mend = f"save it as UTF-8, for example: iconv -f LATIN1 -t UTF-8 {path.name}"
    return refusal(path, came, allowed=FORMATS, mend=mend, row=row)


def _read_bytes(path: Path, *, may_be_json: bool = False) -> bytes:
    """Read a whole file; one of no lines is refused before it fills the memory."""
    came, allowed, mend = "cannot be opened", f"a file: {FORMATS}", "check the path"
    try:
        with path.open("rb") as file:
            return _read_lines(path, file, may_be_json=may_be_json)
    except InputError:  # a ValueError too
        raise
    except IsADirectoryError:
        came, mend = "a folder", "name the files in it, one by one"
    except FileNotFoundError:
        came = "no such file"
    except NotADirectoryError:
        came = "no such file, because a part of the path before it is no folder"
    except PermissionError:
        came, allowed = "may not be read by this user", "a file that you may read"
        mend = f"give the right to, for example: chmod +r {path.name}"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        came += f" ({getattr(error, 'strerror', None) or error})"
    raise refusal(path, came, allowed=allowed, mend=mend)


def _read_lines(path: Path, file: io.BufferedIOBase, *, may_be_json: bool) -> bytes:
    """All of an open file; refused as soon as a line of text in it is too long."""
    held, length = io.BytesIO(), 0
    is_text = True
    while data := file.read(COUNTED_BYTES):
        if not held.tell():
            _refuse_others(path, data)
            is_json = may_be_json and _JSON.match(data[:100].replace(b"\0", b""))
            is_text = not (is_json or data.startswith((_GZIP, _PARQUET)))
        held.write(data)
        end = max(data.rfind(b"\n"), data.rfind(b"\r"))
        length = len(data) - 1 - end if end >= 0 else length + len(data)
        if is_text and length > LONGEST_LINE:
            before = held.getvalue()
            raise too_long(path, (before.count(b"\n") or before.count(b"\r")) + 1)
    return held.getvalue()


def _refuse_others(path: Path, data: bytes) -> None:
    """Say what a file is that is neither text nor Parquet, by its first bytes."""
    for begins, (what, mend) in _OTHERS.items():
        if data.startswith(begins):
            raise refusal(path, what, allowed=FORMATS, mend=mend)


def too_long(path: Path | str, row: int) -> InputError:
    """The refusal of a line over `LONGEST_LINE`, by its number."""
    came = f"line {row} is longer than {LONGEST_LINE >> 20} MB, as in no recording"
    return refusal(path, came, allowed=FORMATS, mend="check that it is the right file")


def encoding_of(data: bytes) -> str:
    """The encoding that a byte order mark tells, or the zeros of UTF-16; UTF-8 without either."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = [byte == 0 for byte in data[:TELLING]]
    if zeros == [False, True, False, True]:
        return "utf-16-le"
    return "utf-16-be" if zeros == [True, False, True, False] else "utf-8-sig"


def _to_utf8(data: bytes) -> bytes:
    """Text in UTF-16 as UTF-8; anything else as it is."""
    encoding = encoding_of(data)
    if not encoding.startswith("utf-16"):
        return data
    return data.decode(encoding, errors="replace").encode()


def parse_csv(path: Path, text: str) -> Table:
    """Parse comma-separated text into a table of stripped text cells, empty where missing."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    header_line, _, body = text.partition("\n")
    names = parse_header(path, header_line)
    numbers = None
    if body.startswith("\n") or "\n\n" in body:
        lines = body.split("\n")
        numbers = np.array([i for i, line in enumerate(lines, 2) if line], dtype=np.int64)
        body = "\n".join(line for line in lines if line)
    return to_table(path, names, body.encode(), numbers=numbers)


def to_table(
    path: Path, names: list[str], body: bytes, *, numbers: np.ndarray | None = None,
    header_row: int = 1, notes: tuple[str, ...] = (), lost: tuple[Lost, ...] = (),
) -> Table:  # fmt: skip
    """A table of the rows below a header, with no blank line among them.

    Args:
        path: what to call the file.
        names: of the columns.
        body: the rows as text, UTF-8.
        numbers: of the rows, int64 `(row,)`; None: they follow the header.
        header_row: the header's own.
        notes: what was odd about the file.
        lost: the rows left out, as `Table` keeps them.

    Raises:
        InputError: there is no row, or one with more or fewer cells than names.
    """
    if not body:
        came, allowed = "a header and no rows", "at least one row"
        raise refusal(path, came, allowed=allowed, mend="add readings", row=header_row + 1)
    quote = '"' if b'"' in body else None
    if quote:
        rows = count_quoted_rows(path, body, len(names), header_row)
    else:
        rows = _count_plain_rows(path, body, len(names), header_row, numbers)
    schema = {str(i): pl.String for i in range(len(names))}
    try:
        frame = pl.read_csv(body, has_header=False, schema=schema, quote_char=quote)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise refusal(path, reason, allowed=FORMATS, mend="check the quotes") from None
    if frame.height != rows:
        came = f"quotes that leave {frame.height} rows of {rows}"
        raise refusal(path, came, allowed="quotes around whole cells", mend="check the quotes")
    for name in frame.columns:  # only where it must be: a copy of all would be the largest thing
        column = frame[name]
        if column.null_count() or column.str.contains(r"^\s|\s$").any():
            frame = frame.with_columns(column.fill_null("").str.strip_chars())
    frame.columns = unique_names(names)
    if numbers is None or len(numbers) != rows:
        numbers = np.arange(1, rows + 1) + header_row
    return Table(path, frame, numbers, notes, header_row, lost)


def parse_header(path: Path | str, line: str, *, row: int = 1) -> list[str]:
    """Column names of a CSV's header, stripped; `row` is its number."""
    names = [name.strip() for name in split_line(line)]
    if not any(names):
        mend = "give the file a header such as time_s,sensor,temperature_c"
        raise refusal(path, "an empty header", allowed="column names", mend=mend, row=row)
    for separator in (";", "\t", "|"):
        if len(names) == 1 and separator in names[0]:
            # a comma in such a file is a decimal sign, which must not become a separator
            mend = f"save it with commas and decimal points: tr {',' + separator!r} '.,' < FILE"
            came = f"cells separated by {separator!r}"
            raise refusal(path, came, allowed="commas", mend=mend, row=row)
    return names


def split_line(line: str) -> list[str]:
    """Cells of one CSV line; one that csv cannot split is one cell."""
    try:
        return next(csv.reader([line]), [""])
    except csv.Error:
        return [line]


def unique_names(names: list[str]) -> list[str]:
    """Repeated and empty names, made unique so that a frame can hold them."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 and name else f"{name or 'unnamed'} #{seen[name]}")
    return unique if len(set(unique)) == len(unique) else [f"{i}:{n}" for i, n in enumerate(names)]


def line_ends(body: bytes) -> np.ndarray:
    """Index of the byte behind each line, its line end. int64 (line,)"""
    return np.append(np.flatnonzero(np.frombuffer(body, np.uint8) == ord("\n")), len(body))


def cells_in_lines(body: bytes) -> np.ndarray:
    """How many cells each line has, where none stands in quotes. int64 (line,)"""
    text, ends = np.frombuffer(body, np.uint8), line_ends(body)
    commas, total = np.zeros(len(ends), np.int64), 0  # up to the end of each line
    # in parts: the places of all commas would fill much memory
    for start in range(0, len(text), COUNTED_BYTES):
        so_far = total + np.cumsum(text[start : start + COUNTED_BYTES] == ord(","))
        inside = slice(*np.searchsorted(ends, [start, start + COUNTED_BYTES]))
        commas[inside] = so_far[np.minimum(ends[inside] - start, len(so_far) - 1)]
        total = int(so_far[-1])
    commas[-1] = total
    return np.diff(commas, prepend=0) + 1


def _count_plain_rows(
    path: Path, body: bytes, width: int, header_row: int, numbers: np.ndarray | None
) -> int:
    """Rows of a body without quotes, each checked to have as many cells as the header."""
    cells = cells_in_lines(body)
    wrong = np.flatnonzero(cells != width)
    if len(wrong):
        index = int(wrong[0])
        row = index + header_row + 1 if numbers is None else int(numbers[index])
        raise wrong_width(path, int(cells[index]), width, row)
    return len(cells)


def count_quoted_rows(path: Path, body: bytes, width: int, header_row: int) -> int:
    """Rows of a body with quotes; slow, because a quoted cell may hold commas and line ends."""
    text, rows, blank = _to_text(path, body, header_row), 0, 0
    try:
        for cells in csv.reader(io.StringIO(text), strict=True):
            if not cells:
                blank += 1
                continue
            rows += 1
            if len(cells) != width:
                raise wrong_width(path, len(cells), width, rows + blank + header_row)
    except csv.Error as error:
        allowed, mend = "quotes around whole cells", "check the quotes"
        row = rows + blank + header_row + 1
        raise refusal(path, str(error), allowed=allowed, mend=mend, row=row) from None
    return rows


def wrong_width(path: Path, cells: int, width: int, row: int) -> InputError:
    """The refusal of a row with more or fewer cells than the header."""
    allowed = f"{width} cells, as many as the header"
    mend = "leave a missing reading empty, and write decimals with a point"
    return refusal(path, f"{cells} cells", allowed=allowed, mend=mend, row=row)


def _read_parquet(path: Path, data: bytes) -> Table:
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        came = f"not readable as Parquet ({reason})"
        raise refusal(path, came, allowed=FORMATS, mend="write the file again") from None
    frame.columns = unique_names([name.strip() for name in frame.columns])
    if frame.height == 0:
        raise refusal(path, "no rows", allowed="at least one row", mend="add readings", row=1)
    return Table(path, frame, np.arange(1, frame.height + 1))


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write `.csv`, `.csv.gz` or `.parquet` by the suffix, wholly or not at all."""
    if not path.name.endswith((".csv", ".csv.gz", ".parquet")):
        allowed = "a name that ends in .csv, .csv.gz or .parquet"
        raise refusal(path, quoted(path.name), allowed=allowed, mend="name it so")
    buffer = io.BytesIO()
    if path.suffix == ".parquet":
        frame.write_parquet(buffer)
    else:
        frame.write_csv(buffer)
    data = buffer.getvalue()
    if path.suffix == ".gz":
        data = gzip.compress(data, 4, mtime=0)  # no time stamp: the same rows, the same bytes
    write_atomically(path, data, mend="make the folder or name another file")


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where it does not exist."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        mend = "name another folder"
        raise refusal(path, str(error.strerror), allowed="a folder", mend=mend) from None
