"""Stream time of rows whose clocks are wrong: (sensor, its time) in, the stream's time out."""

import pytest

from saafe.recordings.stream_clock import StreamClock


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
    assert clock.place("B", 2.0, 1011.0)[0] == 2.0  # on its way for long, or a clock that is behind


BATCHES = [(10.0, 6, 0.0), (10.0, 6, 0.02), (1.0, 15, 0.0), (10.0, 30, 0.05), (60.0, 5, 0.0)]


@pytest.mark.parametrize(("period_s", "rows", "apart_s"), BATCHES)
@pytest.mark.parametrize("names", [("A",), ("A", "B")])
def test_rows_that_come_many_at_once_keep_their_times_and_time_does_not_run_away(
    period_s: float, rows: int, apart_s: float, names: tuple[str, ...]
):
    batch_s, clock = period_s * rows, StreamClock()
    for batch in range(round(7200.0 / batch_s)):
        came_s = 1000.0 + batch_s * (batch + 1)
        for k in range(rows):
            stamp = batch_s * batch + period_s * k
            for name in names:
                arrival_s = came_s + apart_s * k
                now_s = clock.now_s(arrival_s)
                time_s, wrong = clock.place(name, stamp, arrival_s)
                assert wrong == ""
                if stamp <= now_s:
                    assert time_s == stamp
                assert 0.0 <= clock.now_s(arrival_s) - (arrival_s - 1000.0) + batch_s <= batch_s


@pytest.mark.parametrize("rate", [0.9997, 1.0003])  # a second an hour
def test_a_clock_that_drifts_is_never_late_by_more_than_a_few_seconds(rate: float):
    clock = StreamClock()
    for k in range(30_000):
        clock.place("A", 10.0 * k, 1000.0 + 10.0 * k)
        time_s, wrong = clock.place("B", 10.0 * k * rate, 1001.0 + 10.0 * k)
        assert wrong == ""
        assert abs(clock.now_s(1001.0 + 10.0 * k) - time_s) < 6.0
        assert abs(clock.now_s(1001.0 + 10.0 * k) - 10.0 * k) < 100.0


def test_arrivals_that_go_back_do_not_make_time_run():
    """Threads may hand rows over in another order than they came in."""
    clock = StreamClock()
    for k in range(100):
        clock.place("A", 10.0 * k, 1000.0 + 10.0 * k)
        clock.place("B", 10.0 * k, 999.8 + 10.0 * k)
        assert clock.now_s(1000.0 + 10.0 * k) <= 10.0 * k + 0.3
