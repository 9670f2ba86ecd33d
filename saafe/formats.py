"""Numbers, shares, intervals and times as people read them, and words as a shell takes them."""

import math
import shlex
from decimal import Decimal

DASH = "-"


def number(value: float | None, digits: int = 4) -> str:
    """So many digits; thousands and integers in full, no exponent, a dash for nothing."""
    if value is None or math.isnan(value):
        return DASH
    if isinstance(value, int) or min(1000.0, 10.0**digits) <= abs(value) < math.inf:
        return f"{value:,.0f}"
    text = f"{value + 0.0:.{digits}g}"  # no -0
    return f"{Decimal(text):f}" if "e" in text else text


def percent(share: float | None, digits: int = 3) -> str:
    """A share of one in percent."""
    return DASH if share is None or math.isnan(share) else f"{number(100.0 * share, digits)} %"


def interval(low: float | None, high: float | None, *, unit: str = "", digits: int = 4) -> str:
    """Two ends and their unit, such as "0.2 to 1.3 a day"."""
    return f"{number(low, digits)} to {number(high, digits)}{unit}"


def percent_interval(low: float | None, high: float | None) -> str:
    """Two shares of one in percent, such as "75 to 84 %"."""
    ends = (None if share is None else 100.0 * share for share in (low, high))
    return interval(*ends, unit=" %", digits=3)


def duration(seconds: float) -> str:
    """A time in the unit that suits it, such as "45 s", "90 min", "7.02 h" or "9.33 days"."""
    for longest_s, unit_s, unit in (
        (120.0, 1.0, "s"),
        (7200.0, 60.0, "min"),
        (172_800.0, 3600.0, "h"),
    ):
        if seconds <= longest_s:
            return f"{number(seconds / unit_s, 3)} {unit}"
    return f"{number(seconds / 86_400.0, 3)} days"


def clock(seconds: float) -> str:
    """Minutes and seconds, such as 01:07."""
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def shell_word(word: str) -> str:
    """A word of a command as a shell takes it, also one with line ends: on one line."""
    if word.isprintable():
        return shlex.quote(word)
    special = {"\\": "\\\\", "'": "\\'"}
    cells = (special.get(c, c if c.isprintable() else _escape(c)) for c in word)
    return "$'" + "".join(cells) + "'"


def _escape(character: str) -> str:
    """A character that cannot be shown as bash writes it."""
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="surrogateescape"))
