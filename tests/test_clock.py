"""Stream time of rows whose clocks are wrong: (sensor, its time) in, the stream's time out."""

import pytest

from saafe.recordings.clock import StreamClock


def placed(rows: list[tuple[str, float]], arrivals: list[float] | None = None) -> list[float]:
    clock = StreamClock()
    times = arrivals or [None] * len(rows)
    return [clock.place(*row, at)[0] for row, at in zip(rows, times, strict=True)]


def counted(times: list[float]) -> list[tuple[str, float]]:
    return [("A", time_s) for time_s in times]


YEAR = 365.25 * 86_400.0
CASES = {  # the stream's clock starts with the first row
    "in order": ([0, 10, 20, 7220], [0, 10, 20, 7220]),
    "late": ([0, 10, 7, 20], [0, 10, 7, 20]),
    "very late": ([0, 10, 20, 10, 30], [0, 10, 20, 20, 30]),
    "a lone row of 2036": ([0, 10, 9 * YEAR, 30], [0, 10, 10, 30]),
    "a lone row of 1970": ([0, 10, -50 * YEAR, 30], [0, 10, 10, 30]),
    "before NTP": ([0, 50 * YEAR, 50 * YEAR + 10, 50 * YEAR + 20, 50 * YEAR + 30],
                   [0, 0, 10, 20, 30]),
    "an hour back": ([0, 60, 3600, 60, 120, 180, 240], [0, 60, 3600, 3600, 3660, 3720, 3780]),
    "a restart": ([0, 10, 20, 1000, 0, 10, 20, 30], [0, 10, 20, 1000, 1000, 1010, 1020, 1030]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_sensor_s_clock(case: str):
    stamps, times = CASES[case]
    assert placed(counted(stamps)) == times


def test_a_second_device_s_clock_counts_from_its_first_row():
    rows = [("A", 0.0), ("B", -3600.0), ("A", 10.0), ("B", -3590.0), ("B", -3580.0), ("A", 30.0)]
    assert placed(rows) == [0, 0, 10, 10, 20, 30]


def test_seconds_between_two_clocks_stay():
    rows = [("A", 3.0), ("B", 1.0), ("A", 13.0), ("B", 11.0)]
    assert placed(rows) == [3, 1, 13, 11]


def test_a_live_clock_that_is_set_ahead_is_no_outage():
    stamps = [0.0, 10.0, 20.0, 630.0, 640.0, 650.0, 660.0]
    live = placed(counted(stamps), arrivals=[100.0 + 10.0 * k for k in range(7)])
    assert live == [0, 10, 20, 30, 40, 50, 60]
    file = placed(counted(stamps))  # nobody knows: it may have been silent
    assert file == stamps
    arrivals = [0.0, 10.0, 20.0, 630.0, 640.0, 650.0, 660.0]
    assert placed(counted(stamps), arrivals) == stamps  # it was


def test_stream_time_goes_on_between_rows():
    clock = StreamClock()
    clock.place("A", 0.0, 1000.0)
    assert clock.now_s(1003.5) == 3.5
    assert clock.place("A", 10.0, 1010.0) == (10.0, "")
    assert clock.place("B", 2.0, 1011.0)[0] == 11.0  # its clock is behind
