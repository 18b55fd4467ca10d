"""How near predicted cells of a perturbation come to observed ones: pure functions of arrays, in float64.

A profile is the mean expression of cells ``(n_genes,)``. An effect is a profile minus the mean of control cells. If one
control mean were taken from both effects, its noise would be in both and would correlate them; so the predicted and the
observed effect are measured against different control cells wherever `bioppo.envs.perturbation.scoring` does it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist, pdist
from scipy.stats import false_discovery_control, mannwhitneyu

from .data import BoolArray, FloatArray
from .sequence_metrics import aligned_mad, dtw, dtw_alignment, dtw_per_dimension, w1, w1_per_dimension

__all__ = [
    "aligned_mad",
    "de_overlap",
    "displacement",
    "displacement_mae",
    "displacement_mse",
    "displacement_pearson",
    "displacement_per_dimension",
    "displacement_r2",
    "displacement_rmse",
    "dtw",
    "dtw_alignment",
    "dtw_per_dimension",
    "energy",
    "mae",
    "mean_distance_within",
    "mse",
    "mse_delta",
    "pds",
    "pds_cell_eval",
    "pearson",
    "pearson_delta",
    "r2",
    "rmse",
    "significant_genes",
    "w1",
    "w1_per_dimension",
]

NO_EFFECT = 1e-12
"""An effect whose largest entry is below this says nothing about any gene."""

Targets = Sequence[int] | NDArray[np.integer[Any]]


def mse(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Mean squared difference of two profiles over genes."""
    predicted, observed = _pair(predicted, observed)
    return float(np.mean((predicted - observed) ** 2))


def rmse(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Root of `mse`."""
    return float(np.sqrt(mse(predicted, observed)))


def mae(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Mean absolute difference of two profiles over genes."""
    predicted, observed = _pair(predicted, observed)
    return float(np.mean(np.abs(predicted - observed)))


def r2(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Coefficient of determination over genes, 1 - SSE / SS(observed).

    Where all observed values are equal it is 1 for a perfect prediction and 0 for any other, as in scikit-learn.
    """
    predicted, observed = _pair(predicted, observed)
    error = float(np.sum((predicted - observed) ** 2))
    total = float(np.sum((observed - observed.mean()) ** 2))
    if total == 0.0:
        return float(error == 0.0)
    return 1.0 - error / total


def pearson(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Pearson correlation over genes, in [-1, 1]; 0 where one of the profiles is constant."""
    predicted, observed = _pair(predicted, observed)
    if len(predicted) == 0 or np.ptp(predicted) == 0.0 or np.ptp(observed) == 0.0:
        return 0.0
    one: FloatArray = predicted - predicted.mean()
    two: FloatArray = observed - observed.mean()
    scale = float(np.linalg.norm(one) * np.linalg.norm(two))
    return float(np.clip(one @ two / scale, -1.0, 1.0)) if scale > 0.0 else 0.0


def mse_delta(predicted_effect: ArrayLike, observed_effect: ArrayLike, targets: Targets = ()) -> float:
    """`mse` of two effects without the perturbation's own target genes (positions)."""
    kept = _without(targets, np.shape(predicted_effect)[-1])
    return mse(np.asarray(predicted_effect)[kept], np.asarray(observed_effect)[kept])


def pearson_delta(predicted_effect: ArrayLike, observed_effect: ArrayLike, targets: Targets = ()) -> float:
    """`pearson` of two effects without the perturbation's own target genes; 0 for a prediction of no effect."""
    kept = _without(targets, np.shape(predicted_effect)[-1])
    predicted = np.asarray(predicted_effect, dtype=np.float64)[kept]
    if np.abs(predicted).max(initial=0.0) < NO_EFFECT:
        return 0.0
    return pearson(predicted, np.asarray(observed_effect)[kept])


def pds(predicted_effects: ArrayLike, observed_effects: ArrayLike, targets: Sequence[Targets]) -> FloatArray:
    """Perturbation discrimination score of every perturbation, (K,), in [0, 1].

    Of perturbation p it is 1 - rank / (K - 1), where rank is the number of other perturbations whose observed effect is
    nearer to the predicted effect of p in L1 than p's own; ties count half. The target genes of all perturbations are
    left out, so that a prediction that is the same for all perturbations averages exactly 0.5.

    Parameters
    ----------
    predicted_effects, observed_effects
        (K, n_genes), K >= 2, in the same order.
    targets
        Positions of target genes, of these perturbations and of any others whose targets are to be left out.
    """
    predicted, observed = _pair(predicted_effects, observed_effects)
    if len(observed) < 2:
        raise ValueError("pds ranks among at least two perturbations")
    kept = _without(np.concatenate([np.asarray(genes, dtype=np.int64) for genes in targets]), observed.shape[1])
    distance = cdist(predicted[:, kept], observed[:, kept], "cityblock")
    return 1.0 - _ranks(distance) / (len(observed) - 1)


def pds_cell_eval(predicted_effects: ArrayLike, observed_effects: ArrayLike, targets: Sequence[Targets]) -> FloatArray:
    """Discrimination score in the convention of cell-eval, (K,): 1 - rank / K, only p's own targets left out.

    It flatters: p's largest component is missing from the distances of p alone, so that a prediction that is the same
    for all perturbations scores above one half.

    Parameters
    ----------
    predicted_effects, observed_effects
        (K, n_genes) in the same order.
    targets
        Positions of the target genes of each of the K perturbations.
    """
    predicted, observed = _pair(predicted_effects, observed_effects)
    distance = np.empty((len(observed), len(observed)))
    for row, own in enumerate(targets):
        kept = _without(own, observed.shape[1])
        distance[row] = cdist(predicted[row : row + 1, kept], observed[:, kept], "cityblock")[0]
    return 1.0 - _ranks(distance) / len(observed)


def significant_genes(cells: ArrayLike, control: ArrayLike, level: float = 0.05) -> BoolArray:
    """Return which genes differ between two sets of cells, (n_genes,) bool.

    Two-sided Mann-Whitney test with the normal approximation, tie and continuity correction, adjusted over all genes
    after Benjamini and Hochberg (1995) to a false discovery rate below `level`.
    """
    adjusted: FloatArray = adjusted_p_values(cells, control)
    return adjusted < level


def adjusted_p_values(cells: ArrayLike, control: ArrayLike) -> FloatArray:
    """Return the adjusted p values (n_genes,) behind `significant_genes`; 1 for a gene that is constant throughout."""
    cells, control = np.asarray(cells, dtype=np.float64), np.asarray(control, dtype=np.float64)
    lowest = np.minimum(cells.min(axis=0), control.min(axis=0))
    varies = np.maximum(cells.max(axis=0), control.max(axis=0)) > lowest
    p = np.ones(cells.shape[1])
    if varies.any():
        p[varies] = mannwhitneyu(cells[:, varies], control[:, varies], axis=0, method="asymptotic").pvalue
    adjusted: FloatArray = false_discovery_control(p, method="bh")
    return adjusted


class Overlap(NamedTuple):
    """How many of the genes that respond were predicted to, what chance would give, and how many respond."""

    overlap: float
    chance: float
    n_significant: int


def de_overlap(
    predicted_effect: ArrayLike,
    observed_effect: ArrayLike,
    significant: BoolArray,
    targets: Targets = (),
    *,
    largest: int | None = None,
) -> Overlap:
    """Share of the N significant genes found among the N genes of the largest predicted effect.

    Predicted cells are not tested: adding a constant to a gene with many zeros breaks all its ties and is significant
    at any level. Genes of no predicted effect are never among the predicted ones.

    Parameters
    ----------
    predicted_effect, observed_effect
        (n_genes,).
    significant
        (n_genes,) bool, from `significant_genes` of the observed cells.
    targets
        Positions of the perturbation's own target genes, which are left out.
    largest
        Only so many significant genes, those of the largest absolute observed effect.

    Returns
    -------
    Overlap
        In [0, 1], with the expectation for genes drawn at random; both NaN where N is 0.
    """
    predicted, observed = _pair(predicted_effect, observed_effect)
    kept = _without(targets, len(predicted))
    significance = np.asarray(significant)[kept]
    size, change = np.abs(predicted[kept]), np.abs(observed[kept])
    order = np.argsort(-change, kind="stable")
    found = order[significance[order]][:largest]
    if len(found) == 0:
        return Overlap(np.nan, np.nan, 0)
    guessed = np.argsort(-size, kind="stable")[: len(found)]
    guessed = guessed[size[guessed] >= NO_EFFECT]
    share = len(np.intersect1d(found, guessed)) / len(found)
    return Overlap(share, len(found) / len(size), len(found))


def energy(one: ArrayLike, two: ArrayLike, *, within_two: float | None = None) -> float:
    """Energy distance of two sets of cells, 2 E|U - V| - E|U - U'| - E|V - V'| (Székely and Rizzo 2013).

    The norm is Euclidean and means include the zero distances of cells to themselves: in one dimension it is the square
    of `scipy.stats.energy_distance`. The E-distance of scPerturb squares the norms and is another number.
    `within_two` is E|V - V'| where it is known already, from `mean_distance_within`.
    """
    one, two = _rows(one), _rows(two)
    within_two = mean_distance_within(two) if within_two is None else within_two
    return 2.0 * float(cdist(one, two).mean()) - mean_distance_within(one) - within_two


def mean_distance_within(cells: ArrayLike) -> float:
    """E|U - U'| over all ordered pairs of cells, of a cell with itself too."""
    cells = _rows(cells)
    return 2.0 * float(pdist(cells).sum()) / len(cells) ** 2


def displacement_per_dimension(start: ArrayLike, final: ArrayLike) -> dict[str, FloatArray]:
    """How far cells were moved: `mse`, `rmse`, `mae`, `r2`, `pearson` over cells in every dimension, (n_dimensions,).

    They compare where an episode starts with where it ends, not a prediction with an observation: doing nothing gives
    0, 0, 0, 1 and 1.
    """
    start, final = _rows(start), _rows(final)
    columns = range(start.shape[1])
    measured = {
        name: np.array([measure(final[:, column], start[:, column]) for column in columns])
        for name, measure in (("mse", mse), ("rmse", rmse), ("mae", mae), ("r2", r2), ("pearson", pearson))
    }
    measured["pearson"][(start == final).all(axis=0)] = 1.0
    return measured


def displacement(start: ArrayLike, final: ArrayLike) -> dict[str, float]:
    """Means over dimensions of `displacement_per_dimension`, as in the paper's Tables 1, 4 and 7."""
    return {name: float(values.mean()) for name, values in displacement_per_dimension(start, final).items()}


def displacement_mse(start: ArrayLike, final: ArrayLike) -> float:
    """Mean squared difference of start and final state."""
    return displacement(start, final)["mse"]


def displacement_rmse(start: ArrayLike, final: ArrayLike) -> float:
    """Mean over dimensions of the root mean squared difference of start and final state."""
    return displacement(start, final)["rmse"]


def displacement_mae(start: ArrayLike, final: ArrayLike) -> float:
    """Mean absolute difference of start and final state."""
    return displacement(start, final)["mae"]


def displacement_r2(start: ArrayLike, final: ArrayLike) -> float:
    """Mean over dimensions of `r2` over cells, of the final state against the start."""
    return displacement(start, final)["r2"]


def displacement_pearson(start: ArrayLike, final: ArrayLike) -> float:
    """Mean over dimensions of `pearson` over cells, of the final state and the start."""
    return displacement(start, final)["pearson"]


def _pair(one: ArrayLike, two: ArrayLike) -> tuple[FloatArray, FloatArray]:
    one, two = np.asarray(one, dtype=np.float64), np.asarray(two, dtype=np.float64)
    if one.shape != two.shape:
        raise ValueError(f"arrays of one shape are compared, not {one.shape} with {two.shape}")
    return one, two


def _rows(cells: ArrayLike) -> FloatArray:
    """Return cells as (n_cells, n_genes); one-dimensional arrays are cells of one gene."""
    cells = np.asarray(cells, dtype=np.float64)
    return cells[:, None] if cells.ndim == 1 else cells


def _without(targets: Targets, n_genes: int) -> BoolArray:
    kept = np.ones(n_genes, dtype=bool)
    kept[np.asarray(targets, dtype=np.int64)] = False
    return kept


def _ranks(distance: FloatArray) -> FloatArray:
    """Rank of the diagonal entry within its row (0: the smallest), ties counting half."""
    own = np.diagonal(distance)[:, None]
    nearer: FloatArray = (distance < own).sum(axis=1) + 0.5 * ((distance == own).sum(axis=1) - 1)
    return nearer
