"""The grid of 10 s bins and the windows cut from it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from saafe import windows
from saafe.sensors import CHANNELS

NAN = np.nan


def grid_of(times_s, values) -> tuple[np.ndarray, np.ndarray, int]:
    """The grid of one channel."""
    readings = np.asarray(values, dtype=np.float32)[:, None]
    grid, fresh, first = windows.to_grid(np.asarray(times_s, dtype=np.float64), readings)
    return grid[:, 0], fresh, first


@pytest.mark.parametrize(
    ("time_s", "bin_"),
    [(0.0, 0), (0.001, 1), (9.999, 1), (10.0, 1), (10.001, 2), (20.0, 2), (-10.0, -1), (-9.0, 0)],
)
def test_bins_are_closed_on_the_right(time_s: float, bin_: int) -> None:
    assert windows.bin_of(np.array([time_s]))[0] == bin_


def test_bins_forgive_rounding() -> None:
    times = np.cumsum(np.full(3000, 0.1))  # 0.1 cannot be written exactly
    assert_array_equal(windows.bin_of(times), np.arange(3000) // 100 + 1)


def test_mean_of_a_bin() -> None:
    grid, fresh, first = grid_of([1.0, 4.0, 10.0, 11.0], [1.0, 2.0, 6.0, 8.0])
    assert_array_equal(grid, [3.0, 8.0])
    assert fresh.all()
    assert first == 1


def test_missing_readings_do_not_count() -> None:
    times = np.array([1.0, 2.0, 12.0])
    readings = np.array([[1.0, NAN], [NAN, 4.0], [NAN, NAN]], dtype=np.float32)
    grid, fresh, _ = windows.to_grid(times, readings)
    assert_array_equal(grid, [[1.0, 4.0], [1.0, 4.0]])
    assert_array_equal(fresh, [True, False])


def test_holds_for_90_s() -> None:
    grid, fresh, _ = grid_of([10.0, 210.0], [5.0, 7.0])
    assert_array_equal(grid, [5.0] + [5.0] * 9 + [NAN] * 10 + [7.0])
    assert_array_equal(np.flatnonzero(fresh), [0, 20])


def test_holds_each_channel_alone() -> None:
    readings = np.full((30, 2), NAN, np.float32)
    readings[0], readings[5, 0] = (1.0, 2.0), 3.0
    held = windows.hold(readings)
    assert_array_equal(held[:, 0], [1.0] * 5 + [3.0] * 10 + [NAN] * 15)
    assert_array_equal(held[:, 1], [2.0] * 10 + [NAN] * 20)


@pytest.mark.parametrize("period_s", [1.0, 7.0, 10.0, 33.0, 60.0, 85.0])
def test_any_period_leaves_no_hole(period_s: float) -> None:
    times = np.arange(0.0, 3600.0, period_s)
    grid, fresh, first = grid_of(times, np.sin(times))
    assert not np.isnan(grid).any()
    assert fresh[0]
    # each bin holds the mean of what fell into it, else what was read last
    for k in range(len(grid)):
        inside = (times > 10.0 * (first + k - 1)) & (times <= 10.0 * (first + k))
        assert fresh[k] == inside.any()
        expected = np.sin(times[inside]).mean() if inside.any() else grid[k - 1]
        assert grid[k] == pytest.approx(expected, abs=1e-6)


def test_irregular_times_agree_with_a_plain_loop() -> None:
    random = np.random.default_rng(0)
    times = np.sort(random.uniform(0.0, 2000.0, 150)).round(1)
    times = np.unique(times)
    values = random.normal(size=len(times)).astype(np.float32)
    values[random.random(len(times)) < 0.3] = NAN
    grid, _, first = grid_of(times, values)
    last, at = NAN, -np.inf
    for k in range(len(grid)):
        inside = (np.ceil(times / 10.0 - 1e-9) == first + k) & ~np.isnan(values)
        if inside.any():
            last, at = values[inside].mean(), k
        assert_allclose(grid[k], last if k - at <= 9 else NAN, atol=1e-6)


def test_window_is_20_means_of_5_min_1_min_and_10_s() -> None:
    assert windows.STEPS == 60
    assert windows.SPAN == 740
    grid = np.arange(1000.0, dtype=np.float32)[:, None]
    window = windows.cut_windows(grid, np.array([999]))
    assert window.shape == (1, 60, 1, 1)
    steps = window[0, :, 0, 0]
    assert_array_equal(steps[40:], np.arange(980.0, 1000.0))
    assert_array_equal(steps[20:40], 860.0 + 6.0 * np.arange(20) + 2.5)
    assert_array_equal(steps[:20], 260.0 + 30.0 * np.arange(20) + 14.5)


def test_window_averages_what_is_known() -> None:
    grid = np.full((740, len(CHANNELS)), 2.0, np.float32)
    grid[0:29] = NAN  # one bin of the first 5 min is known
    grid[29] = 8.0
    grid[600:606] = NAN  # a whole minute is not
    window = windows.cut_windows(grid, np.array([739]))[0, :, 0]
    assert_array_equal(window[0], np.full(6, 8.0))
    assert_array_equal(window[20], np.full(6, NAN))
    assert_array_equal(np.isnan(window[:, 0]).nonzero()[0], [20])


def test_window_knows_nothing_before_the_start_nor_after_its_end() -> None:
    grid = np.arange(50.0, dtype=np.float32)[:, None]
    window = windows.cut_windows(grid, np.array([3]))[0, :, 0, 0]
    assert_array_equal(window, [NAN] * 56 + [0.0, 1.0, 2.0, 3.0])


def test_windows_of_several_ends() -> None:
    grid = np.random.default_rng(1).normal(size=(900, 6)).astype(np.float32)
    ends = np.array([0, 5, 600, 899])
    together = windows.cut_windows(grid, ends)
    for k, end in enumerate(ends):
        assert_array_equal(together[k], windows.cut_windows(grid[: end + 1], ends[k : k + 1])[0])


def test_cut_equals_means_of_each_history_to_the_last_bit() -> None:
    random = np.random.default_rng(0)
    grid = random.normal(50.0, 20.0, (1500, len(CHANNELS))).astype(np.float32)
    grid[random.random(grid.shape) < 0.3] = NAN
    grid[200:900] = NAN
    grid[:, 3] = NAN
    ends = np.sort(random.choice(1500, 300, replace=False))
    padded = np.concatenate([np.full((windows.SPAN, len(CHANNELS)), NAN, np.float32), grid])
    histories = padded[ends[:, None] + 1 + np.arange(windows.SPAN)]
    assert_array_equal(windows.cut_windows(grid, ends)[:, :, 0], windows.means(histories))
