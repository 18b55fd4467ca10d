import numpy as np
import pytest
from scipy.stats import kstest

from bioppo.envs.counter_streams import CounterStreams, mix


def streams(count, key=0):
    return CounterStreams(np.random.default_rng(key).integers(2**64, size=count, dtype=np.uint64))


def test_the_hash_is_that_of_splitmix64():
    # First outputs of SplitMix64 with seed 1234567, as its reference implementation prints them.
    gamma = np.uint64(0x9E3779B97F4A7C15)
    states = np.uint64(1234567) + np.arange(1, 6, dtype=np.uint64) * gamma
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert mix(states).tolist() == expected


@pytest.mark.parametrize("many", [3, 50])
def test_a_row_does_not_depend_on_how_many_there_are(many):
    few, more = CounterStreams(np.arange(2, dtype=np.uint64)), CounterStreams(np.arange(many, dtype=np.uint64))
    for each in (few, more):
        each.begin(np.arange(len(each.keys)))
    rows = np.array([1, 0])
    np.testing.assert_array_equal(few.uniform(rows, 4, 7), more.uniform(rows, 4, 7))
    np.testing.assert_array_equal(few.normal(rows, 4, 7), more.normal(np.array([1, 0]), 4, 7))


def test_places_and_episodes_differ_and_repeat():
    drawn = streams(2)
    rows = np.arange(2)
    drawn.begin(rows)
    first = drawn.uniform(rows, 0, 10)
    np.testing.assert_array_equal(first[:, 3:5], drawn.uniform(rows, 3, 2))
    drawn.begin(rows)
    assert not np.isin(drawn.uniform(rows, 0, 10), first).any()
    drawn.episode[:] = 1
    np.testing.assert_array_equal(first, drawn.uniform(rows, 0, 10))


def test_distributions_are_right():
    drawn = streams(200)
    rows = np.arange(200)
    collected, counts = [], np.zeros(7)
    for _ in range(50):
        drawn.begin(rows)
        collected.append(drawn.normal(rows, 3, 4))
        counts += np.bincount(drawn.integers(rows, 1, 7), minlength=7)
    values = np.concatenate(collected)
    assert kstest(values.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(values.T) - np.eye(4)).max() < 0.05
    neighbours = np.corrcoef(values[:-1, 0], values[1:, 0])[0, 1]
    assert abs(neighbours) < 0.05
    expected = counts.sum() / 7
    assert ((counts - expected) ** 2 / expected).sum() < 22.46  # 99.9 % of chi-squared with 6 degrees of freedom
