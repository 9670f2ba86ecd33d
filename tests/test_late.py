"""Readings that are older than the newest of their sensor."""

import pytest

from saafe.serving.fleet import Arrival
from saafe.serving.late_readings import LateReadings

NOW_S = 1_796_000_000.0
LATE = {  # name: (came s after now, own time from now or None) of each row, which are left out
    "at the pace of its clock": ([(10 * k, 10 * k) for k in range(9)], []),
    "without times": ([(10 * k, None) for k in range(9)], []),
    "of two hours ago, twice": ([(0, 0), (10, -7200), (20, -7200), (30, 30)], [1, 2]),
    "and after one without a time": ([(0, None), (10, -7200), (20, -7200), (30, None)], [1, 2]),
    "all that a bridge kept": ([(0, 0), *((10 + k, -7200 + 600 * k) for k in range(9))],
                               list(range(1, 10))),
    "a little late": ([(0, 0), (10, 10), (11, -30), (20, 20)], []),
    "an upload in order": ([(0, 0), *((3600, 10 * k) for k in range(1, 361))], []),
    "a clock set back": ([(0, 0), *((10 * k, 10 * k - 3600) for k in range(1, 9))], [1, 2]),
    "a slow clock, set back": ([(0, 0), *((3600 * k, 3600 * k - 9000) for k in range(1, 9))],
                               [1, 2]),
    "one far ahead": ([(0, 0), (10, 86_400), (20, 20), (30, 30)], []),
    "a clock that is always behind": ([(10 * k, 10 * k - 5000) for k in range(9)], []),
    "a clock that is always ahead": ([(10 * k, 10 * k + 5000) for k in range(9)], []),
    "a counter that begins anew": ([(10 * k, 10 * (k % 4) - NOW_S) for k in range(9)], []),
    "a clock behind, every other row without": (
        [(10 * k, None if k % 2 else 10 * k - 500) for k in range(9)], []),
}  # fmt: skip


@pytest.mark.parametrize("case", LATE)
def test_what_is_late(case: str) -> None:
    rows, left_out = LATE[case]
    late = LateReadings()
    found = []
    for k, (came_s, own_s) in enumerate(rows):
        time = {} if own_s is None else {"time_s": repr(NOW_S + own_s)}
        one = Arrival("den", "A", {"temperature_c": "21", **time}, NOW_S + came_s)
        if late.late_s(one):
            found.append(k)
        assert late.late_s(one._replace(sensor=f"B{k}")) == 0.0  # the first of its sensor
    assert found == left_out
