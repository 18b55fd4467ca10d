"""The numbers in a table's cell: interquartile mean and bootstrap interval over seeds.

Pure functions of arrays. The choice of the interquartile mean with a stratified percentile bootstrap follows
Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice", NeurIPS 34.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 2000


def interquartile_weights(count: int) -> Floats:
    """Return the weight of each of ``count`` ordered values in their interquartile mean, shape ``(count,)``.

    Value ``i`` stands for the mass between ``i / count`` and ``(i + 1) / count``; its weight is the part of that mass
    between 1/4 and 3/4, divided by the half that is kept. Where ``count`` is not divisible by four the outermost values
    kept have fractional weights, so that exactly the middle half of the mass counts. ``scipy.stats.trim_mean`` drops
    ``floor(count / 4)`` whole values at each end instead: with three seeds it is the plain mean, which lets the worst
    seed count in full.
    """
    edges = np.arange(count + 1) / count
    return np.diff(np.clip(edges, 0.25, 0.75)) / 0.5


def interquartile_mean(values: npt.ArrayLike) -> Floats:
    """Average the middle half of the values along the last axis.

    Parameters
    ----------
    values
        Shape ``(..., n)`` with ``n`` of at least 1; NaN is not allowed for.

    Returns
    -------
    Floats
        Shape ``(...)``.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    weights = interquartile_weights(ordered.shape[-1])
    # Values without weight are left out and not multiplied by zero: an infinite outlier would turn into NaN.
    kept = weights > 0
    with np.errstate(invalid="ignore"):
        return np.asarray((ordered[..., kept] * weights[kept]).sum(axis=-1))


def bootstrap_interval(
    strata: Sequence[npt.ArrayLike],
    *,
    statistic: Callable[[Floats], Floats] = interquartile_mean,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the stratified percentile bootstrap interval of a statistic of the pooled values.

    Each stratum (the seeds of one task) is resampled with replacement to its own size, so that every task keeps its
    share; with one stratum this is the plain bootstrap over seeds. The values are ordered before they are drawn: the
    interval does not depend on the order in which seeds are listed. With few seeds a percentile interval is too narrow.

    Parameters
    ----------
    strata
        One array of shape ``(n_seeds,)`` per task; the sizes may differ.
    statistic
        Maps shape ``(resamples, n)`` to ``(resamples,)``.
    confidence
        Between 0 and 1.
    resamples
        How many times the seeds are drawn anew.
    seed
        Of the generator that draws; equal seeds give equal intervals.

    Returns
    -------
    tuple[float, float]
        The lower and the upper end; both NaN where a task has fewer than two seeds, whose spread is unknown.
    """
    samples = [np.sort(np.asarray(stratum, dtype=np.float64)) for stratum in strata]
    if not samples or any(sample.size < 2 for sample in samples):
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    drawn = [sample[generator.integers(sample.size, size=(resamples, sample.size))] for sample in samples]
    tail = 50 * (1 - confidence)
    with np.errstate(invalid="ignore"):
        low, high = np.percentile(statistic(np.concatenate(drawn, axis=-1)), [tail, 100 - tail])
    return float(low), float(high)


def probability_of_improvement(ours: Sequence[npt.ArrayLike], theirs: Sequence[npt.ArrayLike]) -> float:
    """Return the mean over tasks of P(X > Y) + P(X = Y) / 2, over all pairs of a seed of ours and one of theirs.

    Parameters
    ----------
    ours, theirs
        One array of shape ``(n_seeds,)`` per task, higher being better; the sizes may differ.
    """
    pairs = zip(ours, theirs, strict=True)
    return float(np.mean([share_of_wins(np.asarray(one)[None], np.asarray(other)[None])[0] for one, other in pairs]))


def share_of_wins(ours: Floats, theirs: Floats) -> Floats:
    """Return the share of pairs that ours win, ties counting half: ``(m, n)`` and ``(m, k)`` give ``(m,)``."""
    one, other = ours[:, :, None], theirs[:, None, :]
    return np.asarray(((one > other) + 0.5 * (one == other)).mean(axis=(1, 2)))


def improvement_interval(
    ours: Sequence[npt.ArrayLike],
    theirs: Sequence[npt.ArrayLike],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the stratified percentile bootstrap interval of :func:`probability_of_improvement`.

    The seeds of each task are resampled on both sides, independently and to their own number; both ends are NaN where
    a task has fewer than two seeds on a side.
    """
    strata = [
        tuple(np.sort(np.asarray(side, dtype=np.float64)) for side in pair) for pair in zip(ours, theirs, strict=True)
    ]
    if not strata or any(side.size < 2 for pair in strata for side in pair):
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    shares = np.zeros(resamples)
    for pair in strata:
        one, other = (side[generator.integers(side.size, size=(resamples, side.size))] for side in pair)
        shares += share_of_wins(one, other) / len(strata)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(shares, [tail, 100 - tail])
    return float(low), float(high)


def share_above(values: npt.ArrayLike, thresholds: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return the share of values above each threshold, with its bootstrap interval at each: a performance profile.

    Parameters
    ----------
    values
        Shape ``(n_seeds,)``.
    thresholds
        Shape ``(n_points,)``.

    Returns
    -------
    tuple[Floats, Floats, Floats]
        Share, lower and upper end, each of shape ``(n_points,)``.
    """
    scores = np.asarray(values, dtype=np.float64)
    above = (scores[:, None] > np.asarray(thresholds, dtype=np.float64)).sum(axis=0)
    # The interval depends on how many values are above, and not on which: one bootstrap for each number of them.
    ranks = np.arange(scores.size)
    ends = {int(count): bootstrap_interval([ranks < count], statistic=mean_share) for count in np.unique(above)}
    low, high = np.array([ends[int(count)] for count in above]).reshape(-1, 2).T
    return above / scores.size, low, high


def mean_share(values: Floats) -> Floats:
    """Average along the last axis."""
    return np.asarray(values.mean(axis=-1))


def pointwise_summary(values: npt.ArrayLike, *, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Summarise curves over seeds, point by point.

    Parameters
    ----------
    values
        Shape ``(n_seeds, n_points)``; NaN where a seed has no value, which then does not count at that point.
    seed
        Of the bootstrap.

    Returns
    -------
    tuple[Floats, Floats, Floats]
        Interquartile mean, lower and upper end of its interval, each of shape ``(n_points,)``; NaN where unknown.
    """
    array = np.asarray(values, dtype=np.float64)
    summary = np.full((3, array.shape[1]), np.nan)
    for point, column in enumerate(array.T):
        present = column[~np.isnan(column)]
        if present.size:
            summary[:, point] = interquartile_mean(present), *bootstrap_interval([present], seed=seed)
    centre, low, high = summary
    return centre, low, high
