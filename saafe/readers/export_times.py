"""Time cells of an export in any usual form, as moments or as seconds from a start."""

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from saafe.errors import InputError, as_given
from saafe.recordings import plain
from saafe.windows import DAY_S

UTC_TYPE, LOCAL_TYPE = pl.Datetime("us", "UTC"), pl.Datetime("us")
MOST_UNREADABLE = 0.1  # Chosen: with more than a tenth a column is no time
LONGEST_STEP_S = 900.0  # Chosen: between rows of a counter; a longer step counts milliseconds
QUARTER_HOUR_S, TWENTY_MINUTES_S = 900.0, 1200.0
EXCEL_EPOCH_DAYS = 25569.0  # 1970-01-01 in Excel's days
_CLOCK = (
    r"(?<hour>\d{1,2})[:h](?<minute>\d{2})(?:[:.](?<second>\d{2})(?:[.,](?<fraction>\d{1,9})\d*)?)?"
    r" ?(?<half>[AaPp])?(?:\.?[Mm]\.?)? ?"
    r"(?<offset>[Zz]|(?:UTC|GMT)?[+-]\d{2}:?(?:\d{2})?)? ?(?<zone>\(?[A-Z]{2,5}\)?)?(?: m=.*)?"
)
_DATES = {  # of each form the parts; month names are English or German
    "year first": r"(?<year>\d{4})[-/.](?<month>\d{1,2})[-/.](?<day>\d{1,2})",
    "day first": r"(?<day>\d{1,2})[-/. ](?<month>\d{1,2})[-/. ](?<year>\d{4}|\d{2})",
    "month first": r"(?<month>\d{1,2})[-/ ](?<day>\d{1,2})[-/. ](?<year>\d{4}|\d{2})",
    "year of two digits first": r"(?<year>\d{2})[-/.](?<month>\d{1,2})[-/.](?<day>\d{1,2})",
    "day, month's name": r"(?:\w+,? )?(?<day>\d{1,2})\.?[- ]"
    r"(?<month>[A-Za-zä]{3})[a-zä]*\.?,?[- ](?<year>\d{4})",
    "month's name, day": r"(?:[A-Za-z]+,? )?(?<month>[A-Za-z]{3})[a-z]*\.? "
    r"(?<day>\d{1,2}),? (?<year>\d{4})",
}  # fmt: skip
# dates of numbers alone, of which one cell may be several
DATE_FORMS = ("day first", "month first", "year of two digits first")
_COMPACT = (
    r"^(?<year>(?:19|20)\d{2})(?<month>\d{2})(?<day>\d{2})T?"
    r"(?<hour>\d{2})(?<minute>\d{2})(?<second>\d{2})(?<offset>Z|[+-]\d{2}:?\d{2})?$"
)
_SPAN = r"^(?<hour>\d+):(?<minute>[0-5]\d):(?<second>[0-5]\d(?:[.,]\d+)?)$"
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar mär mrz", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt",
         "nov", "dec dez"), 1)
    for name in names.split()
}  # fmt: skip
# hours east of Greenwich of the names that exports write in place of an offset
_ZONES = {
    "UTC": 0, "GMT": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "MEZ": 1, "CEST": 2, "MESZ": 2,
    "EET": 2, "EEST": 3, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6,
    "PST": -8, "PDT": -7, "AEST": 10, "AEDT": 11, "JST": 9,
}  # fmt: skip
_EPOCHS = ((1e17, 1e-9, "ns"), (1e14, 1e-6, "us"), (1e11, 1e-3, "ms"), (3e8, 1.0, "s"))
_COUNTER_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_COUNTER_WORDS = {
    "us": r"us|microseconds?|micros",
    "ms": r"ms|msecs?|millis|milliseconds?",
    "min": r"min|mins|minutes?|minuten",
    "h": r"h|hours?|hrs|stunden",
    "s": r"secs?|seconds?|sekunden",
}


@dataclass(frozen=True)
class Times:
    """A column of times that was read.

    Attributes:
        values: `(row,)`, null where unreadable: Datetime in UTC, Datetime by a clock without
            offset, or Float64 seconds from any start.
        form: the form that was found, for people.
        zone: the time zone that a clock without offset was read in, "" = none.
        clock: the first offset or the zone of a clock that is not UTC's, "" = none is told.
    """

    values: pl.Series
    form: str
    zone: str = ""
    clock: str = ""

    @property
    def is_absolute(self) -> bool:
        """Whether the values are moments, not readings of some clock."""
        return self.values.dtype == UTC_TYPE

    @property
    def is_counter(self) -> bool:
        """Whether the values are seconds from an unknown start."""
        return self.values.dtype == pl.Float64


def is_zone(name: str) -> bool:
    """Whether there is a time zone of that name."""
    try:
        ZoneInfo(name)
        pl.Series([], dtype=LOCAL_TYPE).dt.replace_time_zone(name)
    except (ValueError, OSError, KeyError, pl.exceptions.PolarsError):
        return False
    return True


def check_zone(zone: str) -> None:
    """Raise an InputError where there is no time zone of that name."""
    if not isinstance(zone, str) or not is_zone(zone):
        allowed = "a name such as Europe/Berlin, America/New_York or UTC"
        came = zone if isinstance(zone, str) else repr(zone)
        raise InputError(
            f"{as_given('--zone', 'zone')} {came}: no such time zone; allowed: {allowed}"
        )


def read_moments(
    cells: pl.Series, name: str, *, zone: str | None = None, groups: np.ndarray | None = None,
    date_form: str | None = None,
) -> Times | None:  # fmt: skip
    """Read a column of times, whatever their form.

    Args:
        cells: stripped text `(row,)`.
        name: the column's, which may tell the order of day and month or a counter's unit.
        zone: the time zone of a clock without offset; its hours that come twice are told apart
            by the order of the rows.
        groups: `(row,)` int of the series that a row belongs to, each in order of time or in the
            reverse; None = one.
        date_form: which of `DATE_FORMS` dates of numbers alone have; None = guessed.

    Returns:
        The times, or None where more than a tenth of the cells are none.
    """
    text = cells.str.replace_all("[\u00a0\u202f]", " ").str.strip_chars()
    groups = np.zeros(len(text), dtype=np.int64) if groups is None else groups
    numbers = _with_points(text).cast(pl.Float64, strict=False)
    numbers = pl.select(pl.when(numbers.is_finite()).then(numbers)).to_series()
    if _reads(text.str.contains(_COMPACT), text):
        times = _read_texts(text, _COMPACT, "compact ISO 8601")
    elif _reads(numbers.is_not_null(), text):
        return _read_numbers(numbers, name)
    else:
        times = _read_dates(text, name, date_form) or _read_clocks(text, name)
    if times and zone and times.values.dtype == LOCAL_TYPE:
        values = localise(times.values, zone, groups)
        is_utc = (values.dt.replace_time_zone(None) == times.values).all()
        return Times(values, f"{times.form}, in {zone}", zone, "" if is_utc else zone)
    return times


def _with_points(text: pl.Series) -> pl.Series:
    """Seconds with decimal commas as with points; three digits behind may be thousands."""
    is_decimal = text.str.contains(r"^-?\d+,(?:\d{1,2}|\d{4,})$").any()
    return text.str.replace(r"^(-?\d+),(\d+)$", "${1}.${2}") if is_decimal else text


def _reads(is_read: pl.Series, text: pl.Series) -> bool:
    """Whether nearly all cells that are not empty were read."""
    given = int((text != "").sum())
    wrong = given - int((is_read & (text != "")).sum())
    return 2 * wrong < given and wrong <= max(2, MOST_UNREADABLE * given)


def _read_numbers(numbers: pl.Series, name: str) -> Times:
    """Seconds since 1970, or since the start, by their size and their steps."""
    values: NDArray[np.float64] = numbers.to_numpy()
    present = values[np.isfinite(values)]
    size = float(np.median(np.abs(present)))
    words = re.sub(r"[^a-z0-9]+", " ", plain(name))
    for least, factor, unit in _EPOCHS:
        if size >= least and not (unit == "s" and re.search(r"uptime|elapsed", words)):
            return _read_epochs(values, factor)
    steps = np.diff(np.unique(present))
    step = float(np.median(steps)) if len(steps) else 0.0
    if present.min() > 20_000 and present.max() < 80_000 and 0 < step < 0.05:
        stamps = _microseconds(((numbers - EXCEL_EPOCH_DAYS) * DAY_S).round(3))
        return Times(stamps, "Excel's days")
    unit = next((u for u, w in _COUNTER_WORDS.items() if re.search(rf"\b(?:{w})\b", words)), "s")
    if unit == "s" and step > LONGEST_STEP_S and not is_usual_long_step(step):
        unit = "ms"
    return Times(numbers * _COUNTER_UNITS[unit], f"{unit} from a start")


def _read_epochs(values: NDArray[np.float64], factor: float) -> Times:
    """Times since 1970, each in the unit that its size tells; one that tells none in the usual."""
    sizes = np.abs(values)
    factors = np.full(len(values), factor)
    for least, other, _ in reversed(_EPOCHS):
        factors[sizes >= least] = other
    stamps = _microseconds(pl.Series(values * factors, nan_to_null=True))
    used = [name for _, other, name in _EPOCHS if (factors[np.isfinite(values)] == other).any()]
    return Times(stamps.dt.replace_time_zone("UTC"), f"{' or '.join(used)} since 1970")


def is_usual_long_step(step_s: float) -> bool:
    """Whether sensors report so seldom: by quarters of an hour, that are no whole seconds in ms."""
    is_quarters = step_s % QUARTER_HOUR_S == 0 and step_s % 1000.0 > 0
    return is_quarters or step_s == TWENTY_MINUTES_S


def _microseconds(seconds: pl.Series) -> pl.Series:
    """Seconds since 1970 as moments; null beyond the year 2242."""
    is_real = seconds.abs() < 2**33
    seconds = pl.select(pl.when(is_real).then(seconds)).to_series()
    return (seconds * 1e6).round().cast(pl.Int64).cast(LOCAL_TYPE)


def _read_dates(text: pl.Series, name: str, date_form: str | None = None) -> Times | None:
    """Dates with or without a clock."""
    hint = re.sub(r"[^a-z]+", " ", name.lower())
    is_month_hinted = re.search(r"\bmm? dd?\b", hint) is not None
    is_day_hinted = re.search(r"\bdd? mm?\b", hint) is not None
    found = []
    for form, date in _DATES.items():
        pattern = rf"^{date},?(?:[T ,]+{_CLOCK})?$"
        if form in DATE_FORMS and date_form not in (None, form):
            continue
        if not _reads(text.str.contains(pattern), text):
            continue
        times = _read_texts(text, pattern, form)
        if not _reads(times.values.is_not_null(), text):
            continue
        if form not in DATE_FORMS or (is_day_hinted and form == "day first"):
            return times
        if is_month_hinted and form == "month first":
            return times
        found.append(times)
    # that which reads more rows, or puts them closer together; else month first with AM and PM
    is_half = text.str.contains("(?i)[ap]\\.?m").any()
    found.sort(key=lambda times: is_half and not times.form.startswith("month first"))
    return min(found, key=lambda times: _disorder(times.values), default=None)


def _disorder(values: pl.Series) -> tuple[int, int]:
    """How many times could not be read, and how far the others lie apart. [us]"""
    epochs = values.dt.epoch("us").drop_nulls().to_numpy()
    return values.null_count(), int(np.abs(np.diff(epochs)).sum())


def _read_texts(text: pl.Series, pattern: str, form: str) -> Times:
    """Cells by a pattern of named parts."""
    parts = text.str.extract_groups(pattern).struct.unnest()
    moments, offset = _moment(parts), _offset_s(parts)
    form = "ISO 8601" if form == "year first" else form
    if "half" in parts.columns and parts["half"].is_not_null().any():
        form += ", AM/PM"
    if offset.is_not_null().any():
        moments = (moments - (offset * 1e6).cast(pl.Int64)).cast(LOCAL_TYPE)
        return Times(moments.dt.replace_time_zone("UTC"), form, clock=_first_offset(offset))
    return Times(moments.cast(LOCAL_TYPE), f"{form}, without offset")


def _first_offset(east_s: pl.Series) -> str:
    """The first offset that is none of UTC, such as +05:30; "" where all are."""
    others = east_s.filter((east_s != 0.0).fill_null(False))
    if others.is_empty():
        return ""
    minutes = abs(int(others[0])) // 60
    return f"{'-' if others[0] < 0.0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


def _moment(parts: pl.DataFrame) -> pl.Series:
    """The clock's own time of parts of text; null for a day or an hour that there is not."""
    named = (
        parts["month"]
        .str.to_lowercase()
        .replace_strict(_MONTHS, default=None, return_dtype=pl.Int64)
    )
    month = named.fill_null(parts["month"].cast(pl.Int64, strict=False)).cast(pl.String)
    year = parts["year"].str.pad_start(3, "0").str.pad_start(4, "2")  # 26 is 2026
    date = year + "-" + month.str.zfill(2) + "-" + parts["day"].str.zfill(2)
    days = date.str.to_date("%Y-%m-%d", strict=False).cast(pl.Int64)
    return days * int(DAY_S * 1e6) + (_clock_s(parts) * 1e6).round().cast(pl.Int64)


def _clock_s(parts: pl.DataFrame) -> pl.Series:
    """Seconds since midnight, 0 of a date alone; null for an hour that there is not."""
    hour, minute = (parts[name].cast(pl.Float64).fill_null(0.0) for name in ("hour", "minute"))
    second = parts["second"].cast(pl.Float64).fill_null(0.0)
    if "half" in parts.columns:
        half = parts["half"].str.to_lowercase()
        second = second + ("0." + parts["fraction"]).cast(pl.Float64).fill_null(0.0)
        twelve = (hour % 12) + 12.0 * (half == "p").fill_null(False).cast(pl.Float64)
        hour = twelve.zip_with(half.is_not_null(), hour)
    is_real = (hour < 24) & (minute < 60) & (second < 61)
    seconds = hour * 3600 + minute * 60 + second
    return pl.select(pl.when(is_real).then(seconds)).to_series()


def _offset_s(parts: pl.DataFrame) -> pl.Series:
    """Seconds east of Greenwich that a time names by an offset or a zone's name; null: neither."""
    texts = parts["offset"].str.to_uppercase().str.replace("UTC|GMT", "").str.replace("^Z$", "+00")
    hours, minutes = (
        texts.str.extract(r"^([+-])(\d{2}):?(\d{2})?$", group).cast(pl.Float64, strict=False)
        for group in (2, 3)
    )
    east = hours * 3600 + minutes.fill_null(0.0) * 60
    east = east.zip_with(~texts.str.starts_with("-").fill_null(False), -east)
    if "zone" not in parts.columns:
        return east
    named = (
        parts["zone"]
        .str.strip_chars("()")
        .replace_strict(_ZONES, default=None, return_dtype=pl.Float64)
    )
    return east.fill_null(named * 3600)


def _read_clocks(text: pl.Series, name: str) -> Times | None:
    """Hours without a date, as seconds from the first midnight; a day later where they fall.

    Where more than a few go beyond a day they are hours, minutes and seconds from a start.
    """
    if re.search(r"\b(?:mm?|min\w*)[: ]+(?:ss?|sec\w*)\b", plain(name)) and not re.search(
        r"\bhh?\b", plain(name)
    ):
        return _read_spans(text, r"^(?<minute>\d+):(?<second>\d{1,2}(?:[.,]\d+)?)$", "mm:ss")
    pattern = f"^{_CLOCK}$"
    if not _reads(text.str.contains(pattern), text):
        return _read_spans(text, _SPAN, "h:mm:ss")
    seconds = _clock_s(text.str.extract_groups(pattern).struct.unnest())
    seconds = pl.select(pl.when(text.str.contains(pattern)).then(seconds)).to_series()
    if not _reads(seconds.is_not_null(), text):
        return _read_spans(text, _SPAN, "h:mm:ss")
    values = seconds.to_numpy().copy()
    at = np.flatnonzero(np.isfinite(values))
    steps = np.diff(values[at], prepend=values[at[:1]])
    days = np.cumsum((steps < -DAY_S / 2).astype(int) - (steps > DAY_S / 2).astype(int))
    values[at] += days * DAY_S
    return Times(pl.Series(values, nan_to_null=True), "hours without a date")


def _read_spans(text: pl.Series, pattern: str, form: str) -> Times | None:
    """Times from a start, written as on a stopwatch; None where more than a few are none."""
    parts = text.str.extract_groups(pattern).struct.unnest()
    numbers = {part: parts[part].str.replace(",", ".").cast(pl.Float64) for part in parts.columns}
    seconds = numbers["minute"] * 60.0 + numbers["second"]
    seconds = seconds + numbers["hour"] * 3600.0 if "hour" in numbers else seconds
    is_read = _reads(seconds.is_not_null(), text)
    return Times(seconds, f"{form} from a start") if is_read else None


def is_date(cells: pl.Series) -> bool:
    """Whether cells are dates without an hour."""
    return not cells.str.contains(":", literal=True).any() and _read_dates(cells, "") is not None


def is_clock(cells: pl.Series) -> bool:
    """Whether cells are hours without a date."""
    return _reads(cells.str.contains(f"^{_CLOCK}$"), cells)


def localise(local: pl.Series, zone: str, groups: np.ndarray) -> pl.Series:
    """Moments in UTC of a zone's clock; an hour that comes twice is the later once it fell back."""
    early, late = (
        local.dt.replace_time_zone(zone, ambiguous=which, non_existent="null").dt.convert_time_zone(
            "UTC"
        )
        for which in ("earliest", "latest")
    )
    is_twice = (early != late).fill_null(False).to_numpy()
    is_late = np.zeros(len(local), dtype=bool)
    epochs = local.dt.epoch("us").fill_null(0).to_numpy()
    for group in np.unique(groups[is_twice]):
        rows = np.flatnonzero(groups == group)
        rows = rows[::-1] if epochs[rows[0]] > epochs[rows[-1]] else rows  # newest first
        rows = rows[is_twice[rows]]
        years = epochs[rows] // int(200 * DAY_S * 1e6)
        for year in np.unique(years):  # a long recording falls back more than once
            at = rows[years == year]
            is_late[at] = np.cumsum(np.diff(epochs[at], prepend=epochs[at[0]] - 1) <= 0) > 0
    return late.zip_with(pl.Series(is_late), early)
