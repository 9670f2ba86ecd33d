"""What people read."""

import math

import pytest

from saafe import formats


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"), (math.nan, "-"), (math.inf, "inf"), (0.12345, "0.1235"), (-0.0, "0"),
        (1234567, "1,234,567"), (12345.6, "12,346"), (7, "7"), (1e-6, "0.000001"),
        (2.573e-5, "0.00002573"),
        (-3e-9, "-0.000000003"),
    ],
)  # fmt: skip
def test_numbers(value: float | None, expected: str) -> None:
    assert formats.number(value) == expected


def test_no_number_that_people_read_has_an_exponent_for_its_digits() -> None:
    assert [formats.number(v, 2) for v in (0.5, 5.5, 55.4, 550.2, 5500.0)] == [
        "0.5", "5.5", "55", "550", "5,500",
    ]  # fmt: skip


def test_shares() -> None:
    assert formats.percent(0.12345) == "12.3 %"
    assert formats.percent(0.99949, 4) == "99.95 %"
    assert formats.percent(2.573e-7, 2) == "0.000026 %"
    assert formats.percent(1.0, 2) == "100 %"
    assert formats.percent(None) == formats.percent(math.nan) == "-"


def test_intervals() -> None:
    assert formats.interval(0.2, None, unit=" a day") == "0.2 to - a day"
    assert formats.percent_interval(0.0126, 0.98734) == "1.26 to 98.7 %"


def test_clock() -> None:
    assert [formats.clock(s) for s in (0.0, 67.9, 3661.0)] == ["00:00", "01:07", "61:01"]
