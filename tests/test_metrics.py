"""metrics: published values, and sums of probabilities that use no quantile."""

import math

import numpy as np
import pytest
from scipy import stats

from saafe import metrics


def binomial_sum(counts, n, p):
    """Probability that one of so many counts comes of n trials."""
    log_p, log_q = math.log(p), math.log1p(-p)
    ways = (math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in counts)
    return math.fsum(
        math.exp(w + i * log_p + (n - i) * log_q) for i, w in zip(counts, ways, strict=True)
    )


def poisson_sum(most, mean):
    """Probability that at most so many come where a mean is expected."""
    return math.fsum(
        math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(most + 1)
    )


@pytest.mark.parametrize(("found", "fires"), [(299, 299), (996, 1000)])
def test_recall_of_99_percent_is_shown_by_published_counts(found, fires):
    # ../shared/FACTS.md: 299 fires with no miss, 1,000 with 4 (one-sided 95 %)
    assert metrics.proportion_bounds(found, fires, sides=1).lower >= 0.99
    one_worse = metrics.proportion_bounds(found - 1, fires, sides=1)
    assert one_worse.lower < 0.99


def test_298_fires_do_not_show_it():
    assert metrics.proportion_bounds(298, 298, sides=1).lower < 0.99


def test_clopper_pearson_of_10_in_100_as_tabled():
    # Any table of exact binomial limits: 4.90 % to 17.62 %
    bounds = metrics.proportion_bounds(10, 100)
    assert bounds.value == 0.1
    assert bounds.lower == pytest.approx(0.0490, abs=5e-5)
    assert bounds.upper == pytest.approx(0.1762, abs=5e-5)


@pytest.mark.parametrize(
    ("k", "n"), [(0, 1), (1, 1), (0, 14), (3, 14), (14, 14), (17, 1000), (7_000, 150_000)]
)
@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_clopper_pearson_leaves_the_error_in_each_tail(k, n, sides, confidence):
    error = pytest.approx((1 - confidence) / sides, rel=1e-6)
    bounds = metrics.proportion_bounds(k, n, sides=sides, confidence=confidence)
    assert k == 0 or binomial_sum(range(k, n + 1), n, bounds.lower) == error
    assert k == n or binomial_sum(range(k + 1), n, bounds.upper) == error
    assert k > 0 or bounds.lower == 0.0
    assert k < n or bounds.upper == 1.0


def test_no_trials_bound_nothing():
    bounds = metrics.proportion_bounds(0, 0)
    assert math.isnan(bounds.value)
    assert (bounds.lower, bounds.upper) == (0.0, 1.0)


def test_detector_years_that_show_two_alarms_a_century():
    # ../shared/FACTS.md: 150 device-years without event show <= 0.02 a year; 3.0 / 150
    assert metrics.rate_bounds(0, 150, sides=1).upper <= 0.02
    assert metrics.rate_bounds(0, 149, sides=1).upper > 0.02


def test_poisson_limits_as_garwood_tabled():
    # Garwood 1936: 95 % limits of a mean where 0, 1, 10 are seen
    for seen, lower, upper in ((0, 0, 3.69), (1, 0.0253, 5.57), (10, 4.80, 18.39)):
        bounds = metrics.rate_bounds(seen, 1.0)
        assert bounds.lower == pytest.approx(lower, abs=5e-3)
        assert bounds.upper == pytest.approx(upper, abs=5e-3)


@pytest.mark.parametrize("count", [0, 1, 3, 40, 999, 100_000])
def test_poisson_limits_leave_the_error_in_each_tail(count):
    bounds = metrics.rate_bounds(count, 7.5)
    assert poisson_sum(count, 7.5 * bounds.upper) == pytest.approx(0.025, rel=1e-6)
    if count:
        assert poisson_sum(count - 1, 7.5 * bounds.lower) == pytest.approx(0.975, rel=1e-6)
    else:
        assert bounds.lower == 0.0


def test_no_exposure_bounds_no_rate():
    assert metrics.rate_bounds(0, 0.0)[1:] == (0.0, math.inf)
    assert metrics.weighted_rate_bounds([0, 0], [0.0, 1.0], [1, 1]).upper == math.inf


def test_gamma_bound_of_one_stratum_is_the_poisson_bound():
    gamma = metrics.weighted_rate_bounds([5], [2.0], [3.0])
    poisson = metrics.rate_bounds(5, 2.0)
    assert gamma == pytest.approx([3 * figure for figure in poisson])


def test_gamma_bound_equals_its_chi_squared_form():
    counts, exposures = np.array([4, 0, 11]), np.array([3.0, 1.5, 20.0])
    weights = np.array([0.2, 0.5, 0.3])
    w = weights / exposures
    y, v, largest = w @ counts, w**2 @ counts, w.max()
    lower = v / (2 * y) * stats.chi2.ppf(0.025, 2 * y**2 / v)
    y_up, v_up = y + largest, v + largest**2
    upper = v_up / (2 * y_up) * stats.chi2.ppf(0.975, 2 * y_up**2 / v_up)
    bounds = metrics.weighted_rate_bounds(counts, exposures, weights)
    assert bounds == pytest.approx((y, lower, upper))


def test_gamma_bound_covers_and_lies_within_bonferroni():
    generator = np.random.default_rng(1)
    exposures, weights = np.array([5.0, 40.0, 1.0]), np.array([0.7, 0.2, 0.1])
    rates = np.array([0.3, 0.1, 2.0])
    counts = generator.poisson(rates * exposures, (400, 3))
    uppers = [metrics.weighted_rate_bounds(c, exposures, weights, sides=1).upper for c in counts]
    assert np.mean(np.array(uppers) >= rates @ weights) >= 0.95
    wider = metrics.bonferroni_rate_bounds(counts[0], exposures, weights, sides=1)
    assert wider.upper > uppers[0]
    assert wider.value == pytest.approx(counts[0] @ (weights / exposures))


def test_effective_exposure_gives_the_bound_of_no_event():
    exposures, weights = [10.0, 300.0], [0.5, 0.5]
    effective = metrics.effective_exposure(exposures, weights)
    assert effective == 20.0
    bounds = metrics.weighted_rate_bounds([0, 0], exposures, weights)
    assert bounds.upper == pytest.approx(metrics.rate_bounds(0, effective).upper)


@pytest.mark.parametrize(
    ("value", "bound", "limit", "at_most", "status"),
    [
        (0.0, 0.02, 0.02, True, "pass"),
        (0.0, 0.021, 0.02, True, "not_shown"),
        (0.03, 0.04, 0.02, True, "fail"),
        (1.0, 0.991, 0.99, False, "pass"),
        (1.0, 0.98, 0.99, False, "not_shown"),
        (0.98, 0.97, 0.99, False, "fail"),
        (math.nan, math.inf, 0.02, True, "not_shown"),
        (math.nan, math.nan, 0.02, False, "not_shown"),
    ],
)
def test_shown(value, bound, limit, at_most, status):
    assert metrics.line_status(value, bound, limit, at_most=at_most) == status


def test_gate_line_is_json_able():
    line = metrics.gate_line("early_alarms", metrics.rate_bounds(0, 0.0), 1.0, n=0)
    assert list(line) == ["name", "value", "lower", "upper", "limit", "n", "status"]
    assert line["value"] is None
    assert line["upper"] is None
    assert line["status"] == "not_shown"
    fires = metrics.gate_line(
        "fires", metrics.proportion_bounds(299, 299, sides=1), 0.99, n=299, at_most=False
    )
    assert fires["status"] == "pass"
    assert fires["lower"] >= 0.99
    quiet = metrics.gate_line("false_alarms", metrics.rate_bounds(0, 150.0, sides=1), 0.02, n=150)
    assert (quiet["status"], quiet["n"], quiet["limit"]) == ("pass", 150, 0.02)


def test_groups_of_one_are_bounded_as_clopper_and_pearson_do():
    happened = np.arange(400) < 37
    clustered = metrics.clustered_proportion_bounds(happened, np.arange(400))
    assert clustered == pytest.approx(metrics.proportion_bounds(37, 400), abs=1e-4)


def test_three_groups_are_bounded_as_by_hand():
    happened = [1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0]  # 4, 0 and 1 of 4 each; 5 of 12
    # residuals 7/3, -5/3, -2/3: variance 3/2 x 78/9 / 144, so 35/13 items in place of 12
    effective = 35 / 13
    hits = 5 / 12 * effective
    lower = stats.beta.ppf(0.025, hits, effective - hits + 1)
    # of outcomes with fewer successes that of 4, 0 and 0 has the highest limit: 4 of 12, whose
    # residuals 8/3, -4/3, -4/3 give the variance 3/2 x 96/9 / 144, so 2 items
    upper = stats.beta.ppf(0.975, 2 / 3 + 1, 2 - 2 / 3)
    bounds = metrics.clustered_proportion_bounds(happened, np.repeat(np.arange(3), 4))
    assert bounds == pytest.approx((5 / 12, lower, upper), abs=1e-6)


def test_no_success_that_becomes_a_failure_raises_a_bound():
    """13 of 13 fires in 6 groups had 54.1 % as their lower limit, 12 of 13 had 64.0 %."""
    random = np.random.default_rng(0)
    outcomes = [(np.ones(13, bool), np.array([0] * 5 + [1] * 4 + [2, 3, 4, 5]))]
    for groups in random.integers(1, 9, 150):
        group = np.repeat(np.arange(groups), random.integers(1, 12, groups))
        outcomes.append((random.random(len(group)) < random.random(groups)[group], group))
    for happened, group in outcomes:
        before = metrics.clustered_proportion_bounds(happened, group)
        best = metrics.clustered_proportion_bounds(np.ones_like(happened), group).lower
        worst = metrics.clustered_proportion_bounds(np.zeros_like(happened), group).upper
        assert before.lower <= min(best, before.value) + 1e-12
        assert before.upper >= max(worst, before.value) - 1e-12
        for item in np.flatnonzero(happened):
            fewer = happened.copy()
            fewer[item] = False
            after = metrics.clustered_proportion_bounds(fewer, group)
            assert after.lower <= before.lower + 1e-12, (happened, group, item)
            assert after.upper <= before.upper + 1e-12, (happened, group, item)


def test_of_hundreds_of_groups_the_bounds_are_those_of_the_design_effect():
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(345), 3)
    happened = random.random(len(group)) < random.beta(8.6, 0.4, 345)[group]
    share = happened.mean()
    residual = np.bincount(group, weights=happened - share)
    effective = share * (1 - share) / (345 / 344 * residual @ residual / 1035**2)
    hits = share * effective
    lower = stats.beta.ppf(0.025, hits, effective - hits + 1)
    upper = stats.beta.ppf(0.975, hits + 1, effective - hits)
    bounds = metrics.clustered_proportion_bounds(happened, group)
    assert bounds == pytest.approx((share, lower, upper), abs=1e-9)


def test_repeating_every_item_shows_nothing_more():
    happened = np.arange(400) < 37
    repeated = metrics.clustered_proportion_bounds(
        np.repeat(happened, 25), np.repeat(np.arange(400), 25)
    )
    assert repeated == pytest.approx(metrics.proportion_bounds(37, 400), abs=2e-4)


@pytest.mark.parametrize(("happened", "lower", "upper"), [(False, 0.0, 0.0711), (True, 0.9289, 1)])
def test_where_all_or_none_count_a_group_counts_once(happened, lower, upper):
    items = np.full(600, happened)
    bounds = metrics.clustered_proportion_bounds(items, np.arange(600) % 50)
    assert bounds == pytest.approx((float(happened), lower, upper), abs=1e-4)


def test_no_items_bound_nothing():
    value, lower, upper = metrics.clustered_proportion_bounds([], [])
    assert math.isnan(value)
    assert (lower, upper) == (0.0, 1.0)


@pytest.mark.parametrize("group", [[1, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0, 0, 0, 0, 0]])
def test_groups_of_one_share_are_bounded_as_single_items(group):
    """Two kinds of fire, one found and one missed of each, divided by a variance of nothing."""
    for groups in (2, 3, 7, 40):
        bounds = metrics.clustered_proportion_bounds(
            group * groups, np.repeat(np.arange(groups), len(group))
        )
        plain = metrics.proportion_bounds(sum(group) * groups, len(group) * groups)
        assert bounds.lower <= plain.lower + 1e-9
        assert bounds.upper >= plain.upper - 1e-9
        if groups == 40:  # of fewer, one that loses all might resemble itself
            assert bounds == pytest.approx(plain)


def test_clustered_bounds_cover_where_plain_ones_do_not():
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(200), 12)
    covered = plain = 0
    for _ in range(400):
        share = random.beta(0.04 * 2, 0.96 * 2, 200)  # intraclass correlation 1/3
        happened = random.random(len(group)) < share[group]
        _, lower, upper = metrics.clustered_proportion_bounds(happened, group)
        covered += lower <= 0.04 <= upper
        _, lower, upper = metrics.proportion_bounds(int(happened.sum()), len(group))
        plain += lower <= 0.04 <= upper
    assert covered >= 0.9 * 400  # 95 % is meant; 92 % found
    assert plain < 0.8 * 400


def test_a_stratum_of_no_weight_counts_for_nothing():
    counts, exposures, weights = [4, 9, 1], [3.0, 0.0, 20.0], [0.2, 0.0, 0.8]
    for bound in (metrics.weighted_rate_bounds, metrics.bonferroni_rate_bounds):
        whole = bound(counts, exposures, weights)
        assert whole == bound([4, 1], [3.0, 20.0], [0.2, 0.8])
        assert whole.value == pytest.approx(0.2 * 4 / 3 + 0.8 / 20)
    assert metrics.effective_exposure(exposures, weights) == 15.0
    with pytest.raises(AssertionError, match="weights are positive"):
        metrics.weighted_rate_bounds([1, 1], [1.0, 1.0], [0.0, 0.0])
    with pytest.raises(AssertionError, match="weights are positive"):
        metrics.weighted_rate_bounds([1, 1], [1.0, 1.0], [-0.1, 1.0])


def test_bonferroni_bounds_of_two_strata_by_hand():
    """Half of the error each: 0 of 10 and 3 of 5 at 97.5 %, two-sided."""
    bounds = metrics.bonferroni_rate_bounds([0, 3], [10.0, 5.0], [0.5, 2.0])
    first, second = (metrics.rate_bounds(k, e, confidence=0.975) for k, e in ((0, 10.0), (3, 5.0)))
    assert bounds.value == pytest.approx(1.2)
    assert bounds.lower == pytest.approx(2.0 * second.lower)
    assert bounds.upper == pytest.approx(0.5 * first.upper + 2.0 * second.upper)
    assert first.upper == pytest.approx(-math.log(0.0125) / 10.0)


def test_confusion_counts_true_classes_by_row():
    counted = metrics.confusion([0, 0, 2, 2, 2], [0, 1, 2, 2, 0], 3)
    assert counted.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 2]]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"confidence": 0.0}, "confidence 0.0 is not between"),
        ({"confidence": 1.0}, "confidence 1.0 is not between"),
        ({"sides": 3}, "1 or 2 sides, not 3"),
        ({"sides": 0}, "1 or 2 sides, not 0"),
    ],
)
def test_a_bound_that_means_nothing_is_refused(options, says):
    with pytest.raises(AssertionError, match=says):
        metrics.rate_bounds(1, 1.0, **options)


def test_counts_that_cannot_be_are_refused():
    for successes, trials in ((-1, 5), (6, 5)):
        with pytest.raises(AssertionError, match="is not a proportion"):
            metrics.proportion_bounds(successes, trials)
    with pytest.raises(AssertionError, match="a count cannot be -1"):
        metrics.rate_bounds(-1, 1.0)
    with pytest.raises(AssertionError, match="an exposure cannot be"):
        metrics.rate_bounds(0, -0.5)


def test_roc_auc_counts_pairs():
    generator = np.random.default_rng(0)
    positive = generator.random(200) < 0.3
    score = np.round(generator.random(200) + 0.3 * positive, 1)  # rounding makes ties
    pairs = score[positive][:, None] - score[~positive]
    expected = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    assert metrics.roc_auc(positive, score) == pytest.approx(expected)
    assert math.isnan(metrics.roc_auc([1, 1], [0.2, 0.3]))


def test_calibration_by_hand():
    table = metrics.reliability_table([0.05, 0.05, 0.9, 1.0], [0, 1, 1, 1])
    assert [(row.low, row.n) for row in table] == [(0.0, 2), (0.9, 2)]
    assert metrics.calibration_error(table) == pytest.approx((2 * 0.45 + 2 * 0.05) / 4)
    assert [(row.high, row.weight, row.observed) for row in table] == [(0.1, 2, 0.5), (1.0, 2, 1.0)]
    assert [row.predicted for row in table] == pytest.approx([0.05, 0.95])
    assert math.isnan(metrics.calibration_error([]))


def test_calibration_error_of_a_calibrated_forecast_is_small():
    probability = np.random.default_rng(0).random(100_000)
    truth = np.random.default_rng(1).random(100_000) < probability
    assert metrics.calibration_error(metrics.reliability_table(probability, truth)) < 0.01


def test_calibration_weights_are_repetitions():
    weighted = metrics.reliability_table([0.2, 0.8], [0, 1], weights=[3, 1])
    repeated = metrics.reliability_table([0.2, 0.2, 0.2, 0.8], [0, 0, 0, 1])
    assert metrics.calibration_error(weighted) == metrics.calibration_error(repeated)


@pytest.mark.parametrize(
    ("first", "second", "chance"),
    [
        (0, 0, 1.0), (3, 3, 1.0), (1, 2, 1.0), (0, 1, 1.0), (0, 5, 2 / 2**5), (6, 0, 2 / 2**6),
        (1, 9, 2 * 11 / 2**10),
    ],
)  # fmt: skip
def test_even_splits_are_those_of_a_coin(first: int, second: int, chance: float) -> None:
    assert metrics.even_split_chance(first, second) == pytest.approx(chance)
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert metrics.even_split_chance(first, second) == pytest.approx(expected)
