"""Pure figures: exact bounds, window figures, calibration, ranking, bootstrap."""
# scipy has no types
# pyright: reportMissingTypeStubs=false

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

PASS, FAIL, NOT_SHOWN = "pass", "fail", "not_shown"
CONFIDENCE = 0.95  # of all bounds that say nothing else
CALIBRATION_BINS = 10  # Chosen: steps of ten points of risk, because people read risk in those


class Bounds(NamedTuple):
    """A figure with its confidence limits."""

    value: float
    lower: float
    upper: float


class ReliabilityRow(NamedTuple):
    """One bin of a reliability table: what was predicted there, and what happened."""

    low: float
    high: float
    n: int
    weight: float
    predicted: float
    observed: float


def proportion_bounds(
    successes: int, trials: int, *, confidence: float = CONFIDENCE, sides: int = 2
) -> Bounds:
    """Bound a proportion exactly, from counts.

    Args:
        successes: how often it happened.
        trials: how often it could have.
        confidence: probability that a bound (one side) or both bounds (two sides) hold.
        sides: 2 shares the error between the two limits; 1 gives each limit all of it, and
            then only one of the two may be claimed.

    Returns:
        The proportion and its limits; without trials NaN, 0 and 1.

    Source:
        C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated
        in the case of the binomial," Biometrika, vol. 26, no. 4, pp. 404-413, 1934.
    """
    assert 0 <= successes <= trials, f"{successes} of {trials} is not a proportion"
    lower, upper = _binomial_limits(successes, trials, _error_per_side(confidence, sides))
    return Bounds(successes / trials if trials else math.nan, lower, upper)


def clustered_proportion_bounds(happened: ArrayLike, group: ArrayLike) -> Bounds:
    """Bound a proportion of items that come in groups and resemble one another there.

    Clopper and Pearson's limits with the effective number of items, n / (design effect), in the
    place of n: many windows of one scenario are little more than one. Where all items or none
    count, nothing tells how alike a group's are, and each group counts once.

    The design effect is estimated too, and may fall as a success is lost. So the lower limit is the
    lowest that these successes give, or these with any more; the upper likewise. That makes both
    monotone: no success that turns into a failure raises either. Neither is then better than
    where all items of the groups count. With many groups of much the same size they are the plain
    ones, except near 0 and 1.

    Args:
        happened: bool (item,)
        group: of each item. (item,)

    Returns:
        The proportion and its two limits; without items NaN, 0 and 1.

    Source:
        E. L. Korn and B. I. Graubard, "Confidence intervals for proportions with small expected
        number of positive counts estimated from survey data," Survey Methodology, vol. 24,
        no. 2, pp. 193-201, 1998, without their factor for degrees of freedom (0.997 for 500
        groups) and, at 0 and 1, with groups for items.
    """
    x = np.asarray(happened, dtype=bool)
    _, place = np.unique(np.asarray(group), return_inverse=True)
    assert x.shape == place.shape, f"{x.shape} items in groups of {place.shape}"
    if not len(x):
        return Bounds(math.nan, 0.0, 1.0)
    sizes = np.bincount(place)
    hits = np.bincount(place, weights=x).astype(np.int64)
    upper = 1.0 - _clustered_lower_limit(sizes - hits, sizes)
    return Bounds(float(x.mean()), _clustered_lower_limit(hits, sizes), upper)


def rate_bounds(
    count: int, exposure: float, *, confidence: float = CONFIDENCE, sides: int = 2
) -> Bounds:
    """Bound the rate of a Poisson process exactly, per unit of exposure.

    Args:
        count: events seen.
        exposure: how long was watched, or how many sessions; the rate is per unit of this.
        confidence: probability that a bound (one side) or both bounds (two sides) hold.
        sides: as in `proportion_bounds`.

    Returns:
        The rate and its limits; without exposure NaN, 0 and infinity.

    Source:
        F. Garwood, "Fiducial limits for the Poisson distribution," Biometrika, vol. 28,
        no. 3/4, pp. 437-442, 1936.
    """
    assert count >= 0, f"a count cannot be {count}"
    assert exposure >= 0.0, f"an exposure cannot be {exposure}"
    if exposure == 0.0:
        return Bounds(math.nan, 0.0, math.inf)
    error = _error_per_side(confidence, sides)
    lower = float(special.gammaincinv(count, error)) if count else 0.0
    upper = float(special.gammaincinv(count + 1, 1.0 - error))
    return Bounds(count / exposure, lower / exposure, upper / exposure)


def weighted_rate_bounds(
    counts: ArrayLike, exposures: ArrayLike, weights: ArrayLike, *, sides: int = 2
) -> Bounds:
    """Bound a weighted sum of the rates of several strata, sum(weight * count / exposure).

    Such a sum is not Poisson. The gamma bound is exact for one stratum and was conservative
    in every case that its authors simulated; `bonferroni_rate_bounds` is the proven check.

    Args:
        counts: events seen in each stratum.
        exposures: what each stratum was watched for.
        weights: how much of each stratum's exposure one unit of the whole holds.
        sides: as in `proportion_bounds`.

    Returns:
        The summed rate and its limits.

    Source:
        M. P. Fay and E. J. Feuer, "Confidence intervals for directly standardized rates: a
        method based on the gamma distribution," Statistics in Medicine, vol. 16, no. 7,
        pp. 791-801, 1997, equations for L and U with w_M, the largest weight.
    """
    count, exposure, weight = _strata(counts, exposures, weights)
    if np.any(exposure[weight > 0] == 0.0):
        return Bounds(math.nan, 0.0, math.inf)
    error = _error_per_side(CONFIDENCE, sides)
    used = weight > 0
    w = weight[used] / exposure[used]
    x = count[used]
    value, variance = float(w @ x), float(w**2 @ x)
    largest = float(w.max())
    lower = 0.0
    if value > 0:
        lower = float(special.gammaincinv(value**2 / variance, error)) * variance / value
    value_up, variance_up = value + largest, variance + largest**2
    shape = value_up**2 / variance_up
    upper = float(special.gammaincinv(shape, 1.0 - error)) * variance_up / value_up
    return Bounds(value, lower, upper)


def bonferroni_rate_bounds(
    counts: ArrayLike, exposures: ArrayLike, weights: ArrayLike, *, sides: int = 2
) -> Bounds:
    """Bound the same sum by bounding every stratum at its share of the error.

    Valid whatever the weights, wider than `weighted_rate_bounds`. Arguments and result as
    there.

    Source:
        Bonferroni's inequality over the exact bounds of `rate_bounds`.
    """
    count, exposure, weight = _strata(counts, exposures, weights)
    used = np.flatnonzero(weight > 0)
    share = 1.0 - (1.0 - CONFIDENCE) / len(used)
    bounds = [
        rate_bounds(int(count[i]), float(exposure[i]), confidence=share, sides=sides) for i in used
    ]
    value, lower, upper = np.asarray(bounds).T @ weight[used]
    return Bounds(float(value), float(lower), float(upper))


def effective_exposure(exposures: ArrayLike, weights: ArrayLike) -> float:
    """Exposure in which one Poisson process without an event would show the same upper bound.

    The stratum that was watched least for its weight sets it: min(exposure / weight).
    """
    _, exposure, weight = _strata(np.zeros_like(np.asarray(weights)), exposures, weights)
    used = weight > 0
    return float(np.min(exposure[used] / weight[used]))


def line_status(value: float, bound: float, limit: float, *, at_most: bool = True) -> str:
    """Say whether a figure is shown to keep its limit.

    Args:
        value: the figure as measured.
        bound: its confidence limit on the bad side: the upper one where the figure must be at
            most the limit, else the lower one. A figure without uncertainty gives itself.
        limit: what the figure must keep.
        at_most: the limit is the largest allowed; else the smallest.

    Returns:
        "fail" where the value itself breaks the limit, "pass" where even the bound keeps it,
        else, and where there is no value (NaN), "not_shown": the exposure cannot carry the claim.
    """
    sign = 1.0 if at_most else -1.0
    if sign * value > sign * limit:
        return FAIL
    return PASS if sign * bound <= sign * limit else NOT_SHOWN


def gate_line(
    name: str, bounds: Bounds, limit: float, *, n: int, at_most: bool = True
) -> dict[str, str | float | int | None]:
    """Build one line of the gate, ready for JSON; what is not a finite number becomes None."""
    bound = bounds.upper if at_most else bounds.lower
    return {
        "name": name,
        "value": finite_or_none(bounds.value),
        "lower": finite_or_none(bounds.lower),
        "upper": finite_or_none(bounds.upper),
        "limit": limit,
        "n": n,
        "status": line_status(bounds.value, bound, limit, at_most=at_most),
    }


def finite_or_none(value: float) -> float | None:
    """Turn NaN and infinities, which JSON has no word for, into None."""
    return float(value) if math.isfinite(value) else None


def confusion(truth: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count windows by true class (row) and predicted class (column), `(classes, classes)`."""
    t, p = np.asarray(truth, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    assert t.shape == p.shape, f"{t.shape} truths against {p.shape} predictions"
    return np.bincount(t * classes + p, minlength=classes**2).reshape(classes, classes)


def roc_auc(is_positive: ArrayLike, score: ArrayLike) -> float:
    """Probability that a positive scores above a negative, ties counting half.

    Source:
        J. A. Hanley and B. J. McNeil, "The meaning and use of the area under a receiver
        operating characteristic (ROC) curve," Radiology, vol. 143, no. 1, pp. 29-36, 1982.
    """
    positive, values = np.asarray(is_positive, dtype=bool), np.asarray(score, dtype=np.float64)
    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    if not n_positive or not n_negative:
        return math.nan
    _, place, ties = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2.0)[place]  # equal scores share their mean rank
    rank_sum = ranks[positive].sum() - n_positive * (n_positive + 1) / 2.0
    return float(rank_sum / (n_positive * n_negative))


def reliability_table(
    probability: ArrayLike,
    truth: ArrayLike,
    *,
    weights: ArrayLike | None = None,
) -> list[ReliabilityRow]:
    """Compare predicted probabilities with what happened, in ten bins of equal width.

    Each bin is closed on the left, the last on both sides.

    Args:
        probability: predicted probability of fire, 0 to 1, `(n,)`.
        truth: 1 where there was a fire, `(n,)`.
        weights: how much each prediction counts under a reference mix; all alike by default.

    Returns:
        The bins that hold predictions, lowest first.
    """
    p, y = np.asarray(probability, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    w = np.ones_like(p) if weights is None else np.asarray(weights, dtype=np.float64)
    bins = CALIBRATION_BINS
    place = np.minimum((p * bins).astype(np.int64), bins - 1)
    n = np.bincount(place, minlength=bins)
    weight, predicted, observed = (
        np.bincount(place, weights=column, minlength=bins) for column in (w, w * p, w * y)
    )
    return [
        ReliabilityRow(
            low=i / bins,
            high=(i + 1) / bins,
            n=int(n[i]),
            weight=float(weight[i]),
            predicted=float(predicted[i] / weight[i]),
            observed=float(observed[i] / weight[i]),
        )
        for i in np.flatnonzero(weight > 0)
    ]


def calibration_error(table: Sequence[ReliabilityRow]) -> float:
    """Expected calibration error: weighted mean distance of predicted from observed.

    Source:
        M. P. Naeini, G. F. Cooper and M. Hauskrecht, "Obtaining well calibrated probabilities
        using Bayesian binning," AAAI, 2015 (ECE), on the bins of `reliability_table`.
    """
    total = sum(row.weight for row in table)
    if not total:
        return math.nan
    return sum(row.weight * abs(row.predicted - row.observed) for row in table) / total


def even_split_chance(first: int, second: int) -> float:
    """Probability that chance alone splits counts so unevenly, where either side is as likely.

    Of items that one of two detectors alone got right it is the exact test of McNemar; of events
    in the same exposure the conditional test that two Poisson rates are equal. Two-sided.

    Source:
        Q. McNemar, "Note on the sampling error of the difference between correlated proportions
        or percentages," Psychometrika, vol. 12, pp. 153-157, 1947, with the binomial in the place
        of his chi-square; J. Przyborowski and H. Wilenski, "Homogeneity of results in testing
        samples from Poisson series," Biometrika, vol. 31, pp. 313-323, 1940 (from memory).
    """
    fewer, n = min(first, second), first + second
    return min(1.0, 2.0 * float(special.bdtr(fewer, n, 0.5))) if n else 1.0


def _error_per_side(confidence: float, sides: int) -> float:
    assert 0.0 < confidence < 1.0, f"confidence {confidence} is not between 0 and 1"
    assert sides in (1, 2), f"a bound has 1 or 2 sides, not {sides}"
    return (1.0 - confidence) / sides


def _strata(
    counts: ArrayLike, exposures: ArrayLike, weights: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    count, exposure, weight = (
        np.asarray(values, dtype=np.float64) for values in (counts, exposures, weights)
    )
    assert count.shape == exposure.shape == weight.shape, "one count, exposure, weight a stratum"
    assert weight.min() >= 0 < weight.max(), "weights are positive"
    return count, exposure, weight


def _binomial_limits(successes: float, trials: float, error: float) -> tuple[float, float]:
    lower, upper = 0.0, 1.0
    if successes > 0:
        lower = float(special.betaincinv(successes, trials - successes + 1, error))
    if successes < trials:
        upper = float(special.betaincinv(successes + 1, trials - successes, 1.0 - error))
    return lower, upper


def _clustered_lower_limit(hits: NDArray[np.int64], sizes: NDArray[np.int64]) -> float:
    """The lowest limit that these successes give, or any outcome with these and more. (group,)"""
    n, groups, found = int(sizes.sum()), len(sizes), int(hits.sum())
    if not found:
        return 0.0
    successes = np.arange(found, n + 1)
    effective = np.full(len(successes), float(groups))  # where all count, each group counts once
    if groups > 1:
        share = successes[:-1] / n
        chance, variance = share * (1.0 - share), _largest_variances(hits, sizes)
        # groups of one share each differ by less than chance: items count as they are
        effective[:-1] = chance / np.maximum(variance, chance / n)
    counted = successes / n * effective
    error = _error_per_side(CONFIDENCE, sides=2)
    return float(special.betaincinv(counted, effective - counted + 1.0, error).min())


def _largest_variances(hits: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """A bound on the variance of the share, with these successes and with each number more.

    A group's squared residual is convex in its successes: each more adds at most what all of its
    failures would add, turned, on average. So groups are filled in the order of that, and the sum
    of squares is at most this. No failure turned raises it, for the same number of successes.

    Args:
        hits: successes. (group,)
        sizes: items. (group,)

    Returns:
        Of hits.sum(), hits.sum() + 1 ... sizes.sum() - 1 successes; exact of the first. (outcome,)
    """
    n, groups, found = sizes.sum(), len(sizes), hits.sum()
    (hit, size), times = np.unique(np.stack([hits, sizes]), axis=1, return_counts=True)
    variances: list[float] = []
    for successes in range(found, n):
        residual = hit - successes / n * size
        gain = 2.0 * residual + (size - hit)  # of the sum of squares, by each success more
        order = np.argsort(-gain)
        room = (times * (size - hit))[order]
        turned = np.clip(successes - found - (np.cumsum(room) - room), 0, room)
        squares = residual**2 @ times + gain[order] @ turned
        variances.append(groups / (groups - 1) * float(squares) / n**2)
    return np.array(variances)
