import numpy as np
import pytest

from bioppo.reports.statistics import (
    bootstrap_interval,
    improvement_interval,
    interquartile_mean,
    interquartile_weights,
    pointwise_summary,
    probability_of_improvement,
    share_above,
)


@pytest.mark.parametrize(
    ("count", "weights"),
    [
        # Of each value's share of the mass, the part between 1/4 and 3/4, doubled.
        (1, [1]),
        (2, [1 / 2, 1 / 2]),
        # Three values: thirds; the first keeps 1/3 - 1/4 = 1/12, the second 1/3: 1/6, 2/3, 1/6.
        (3, [1 / 6, 2 / 3, 1 / 6]),
        (4, [0, 1 / 2, 1 / 2, 0]),
        # Five values: fifths; 2/5 - 1/4 = 3/20 of the second, 1/5 of the third: 3/10, 4/10, 3/10.
        (5, [0, 3 / 10, 4 / 10, 3 / 10, 0]),
        # Ten: tenths; 3/10 - 1/4 = 1/20 of the third, so 1/10, then 1/5 four times.
        (10, [0, 0, 1 / 10, 1 / 5, 1 / 5, 1 / 5, 1 / 5, 1 / 10, 0, 0]),
    ],
)
def test_weights_worked_by_hand(count, weights):
    np.testing.assert_allclose(interquartile_weights(count), weights, atol=1e-15)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], 7),
        ([1.0, 3.0], 2),
        # (1 * 1 + 4 * 2 + 1 * 9) / 6
        ([2.0, 9.0, 1.0], 3),
        # The outermost do not count: (2 + 4) / 2.
        ([100.0, 2.0, -100.0, 4.0], 3),
        # 0.3 * 1 + 0.4 * 2 + 0.3 * 6
        ([50.0, 6.0, 2.0, 1.0, -50.0], 2.9),
        ([0.0, 1, 2, 3, 4, 5, 6, 7], 3.5),
    ],
)
def test_mean_worked_by_hand(values, expected):
    assert interquartile_mean(values) == pytest.approx(expected, abs=1e-12)


def test_mean_is_no_trimmed_mean_of_whole_values():
    # scipy.stats.trim_mean([0, 0, 3], 0.25) drops nothing: 1. Here the middle half is 1/12 of 0, 1/3 of 0, 1/12 of 3.
    assert interquartile_mean([0.0, 0.0, 3.0]) == pytest.approx(0.5)


def test_mean_works_along_the_last_axis_and_ignores_infinite_outliers():
    values = np.array([[1.0, 2.0, 3.0, np.inf], [4.0, 4.0, 4.0, 4.0]])
    np.testing.assert_allclose(interquartile_mean(values), [2.5, 4.0])


def test_mean_and_interval_do_not_depend_on_the_order_of_seeds():
    values = np.random.default_rng(1).normal(size=9)
    shuffled = np.random.default_rng(2).permutation(values)
    assert interquartile_mean(values) == interquartile_mean(shuffled)
    assert bootstrap_interval([values]) == bootstrap_interval([shuffled])


def test_mean_and_interval_follow_shift_and_scale():
    values = np.random.default_rng(1).normal(size=9)
    assert interquartile_mean(3 * values + 2) == pytest.approx(3 * interquartile_mean(values) + 2)
    low, high = bootstrap_interval([values])
    assert bootstrap_interval([3 * values + 2]) == pytest.approx((3 * low + 2, 3 * high + 2))


def test_interval_is_a_function_of_the_seed():
    values = [0.1, 0.5, 0.2, 0.9]
    assert bootstrap_interval([values], seed=4) == bootstrap_interval([values], seed=4)
    assert bootstrap_interval([values], seed=4, resamples=50) != bootstrap_interval([values], seed=5, resamples=50)


def test_interval_of_two_seeds_by_hand():
    # Of two values 0 and 1 a resample has the mean 0, 1/2 or 1 with probability 1/4, 1/2 and 1/4: the 2.5 and 97.5 per
    # cent points are the extremes; at 40 per cent confidence the 30 and 70 per cent points lie within the middle.
    assert bootstrap_interval([[0.0, 1.0]]) == (0.0, 1.0)
    assert bootstrap_interval([[0.0, 1.0]], confidence=0.4) == (0.5, 0.5)


def test_interval_of_equal_values_is_a_point():
    assert bootstrap_interval([[2.0] * 5]) == pytest.approx((2.0, 2.0))


@pytest.mark.parametrize("strata", [[], [[1.0]], [[1.0, 2.0], [3.0]]])
def test_interval_is_unknown_where_a_task_has_fewer_than_two_seeds(strata):
    assert np.isnan(bootstrap_interval(strata)).all()


def test_strata_keep_their_share():
    # Two tasks far apart, without spread in either: pooled resampling would mix 0 and 100, the stratified one cannot.
    assert bootstrap_interval([[0.0] * 4, [100.0] * 4]) == pytest.approx((50.0, 50.0))
    low, high = bootstrap_interval([[0.0] * 4 + [100.0] * 4])
    assert low < 10
    assert high > 90


def test_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for repetition in range(300):
        low, high = bootstrap_interval([generator.normal(size=20)], resamples=400, seed=repetition)
        covered += low <= 0 <= high
    # The interquartile mean of a normal sample is centred on 0. A percentile interval of 20 seeds is a little narrow.
    assert 0.86 < covered / 300 < 0.985


def test_pointwise_summary_counts_the_seeds_that_got_so_far():
    centre, low, high = pointwise_summary([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan]])
    np.testing.assert_array_equal(centre, [2.0, 2.0, np.nan])
    np.testing.assert_array_equal(low, [1.0, np.nan, np.nan])
    np.testing.assert_array_equal(high, [3.0, np.nan, np.nan])


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        # Of the six pairs 1 beats none, 3 beats 2 and ties with 3, 5 beats 2 and 3: (1 + 1/2 + 2) / 6.
        ([[1.0, 3.0, 5.0]], [[2.0, 3.0]], 3.5 / 6),
        ([[1.0, 2.0]], [[1.0, 2.0]], 0.5),
        ([[2.0]], [[1.0, 0.0, -np.inf]], 1),
        ([[np.inf]], [[np.inf]], 0.5),
        # Two tasks, each with the same weight, however many pairs it has: (1 + 1/4) / 2.
        ([[9.0, 9.0], [0.0, 2.0]], [[1.0], [1.0, 3.0]], 0.625),
    ],
)
def test_probability_of_improvement_worked_by_hand(ours, theirs, expected):
    assert probability_of_improvement(ours, theirs) == pytest.approx(expected, abs=1e-15)
    assert probability_of_improvement(theirs, ours) == pytest.approx(1 - expected, abs=1e-15)


def test_interval_of_an_improvement_by_hand():
    # Ours resampled: (0, 0), (0, 2) twice, (2, 2); against the constant 1 the share is 0, 1/2, 1/2 or 1. The extremes
    # have a quarter each: at 40 per cent confidence the 30 and 70 per cent points lie within the middle.
    ours, theirs = [[0.0, 2.0]], [[1.0, 1.0]]
    assert improvement_interval(ours, theirs) == (0.0, 1.0)
    assert improvement_interval(ours, theirs, confidence=0.4) == (0.5, 0.5)
    # A second task that is always won moves the middle to (1/2 + 1) / 2, and the lower end to (0 + 1) / 2.
    assert improvement_interval([*ours, [5.0, 5.0]], [*theirs, [1.0, 1.0]], confidence=0.4) == (0.75, 0.75)
    assert improvement_interval([*ours, [5.0, 5.0]], [*theirs, [1.0, 1.0]]) == (0.5, 1.0)


def test_both_sides_of_an_improvement_are_resampled():
    assert improvement_interval([[1.0, 1.0]], [[0.0, 2.0]]) == (0.0, 1.0)


def test_interval_of_an_improvement_does_not_depend_on_the_order_of_seeds_and_is_unknown_for_one():
    ours, theirs = np.random.default_rng(1).normal(size=(2, 9))
    assert improvement_interval([ours], [theirs]) == improvement_interval([ours[::-1]], [theirs[::-1]])
    assert np.isnan(improvement_interval([[1.0]], [[1.0, 2.0]])).all()
    assert np.isnan(improvement_interval([], [])).all()


def test_share_above_worked_by_hand():
    share, low, high = share_above([1.0, 3.0, 3.0, np.inf], [0.0, 1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(share, [1, 3 / 4, 3 / 4, 1 / 4, 1 / 4])
    # All or none have no spread; a share of 3/4 has the interval of the mean of 0, 1, 1, 1, and 1/4 that of 1 - it.
    assert (low[0], high[0]) == (1, 1)
    assert (low[1], high[1]) == bootstrap_interval([[0.0, 1, 1, 1]], statistic=lambda drawn: drawn.mean(axis=-1))
    assert (low[1], high[1]) == (0.25, 1.0)
    assert (low[3], high[3]) == (0.0, 0.75)
