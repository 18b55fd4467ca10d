"""Linear gene-regulatory networks: ridge regressions of every gene on its candidate regulators, type by type.

For a target y with candidates X, both centred within the type, w = (X'X + alpha I)^-1 X'y (Kamimoto et al. 2023,
doi:10.1038/s41586-022-05688-9; its bagging and its edge filter are those of `fit_filtered`). Products over cells are
made once per type: of the transcription factors with each other, and with all genes. Every target then solves a small
system of its own, of the size of its candidates.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from ... import UserError
from .data import BoolArray, FloatArray, Grn, IntArray, StrArray
from .propagate import check_expression, locate

BLOCK = 256
FEW_CELLS = 10
ESTIMATORS = 20
SHARE_OF_CANDIDATES = 0.8


def fit(
    imputed: FloatArray,
    cluster_of_cell: IntArray,
    candidates: Mapping[str, Sequence[str]],
    *,
    alpha: float = 10.0,
    unit: str = "cluster",
    rows: IntArray | BoolArray | None = None,
    genes: StrArray,
    tfs: StrArray,
    clusters: StrArray | None = None,
) -> Grn:
    """Return a ridge fit of every gene on its candidates.

    Parameters
    ----------
    imputed
        (n, G) smoothed expression.
    candidates
        Regulators by target; targets and regulators that are not measured, regulators that are not among ``tfs`` and a
        gene among its own are passed over. A gene without candidates has no coefficients.
    alpha
        Penalty; the intercept has none.
    unit
        ``cluster``: a network per type; ``whole``: one for all cells.
    rows
        Cells to fit on, by position or as a mask; all by default.
    tfs
        (F,) measured genes: the rows of the result.
    clusters
        (K,) names for messages.

    Raises
    ------
    UserError
        For a type with fewer than 2 cells to fit on, and expression that is not finite or negative. Fewer than 10
        cells are worth a warning.
    """
    mask = candidate_mask(candidates, genes, tfs)
    groups = _groups(cluster_of_cell, unit, rows, clusters)
    check_expression(imputed, genes)
    position = locate(tfs, genes)
    W = np.stack([solve(*products(imputed[cells], position), mask, alpha) for cells in groups])
    return as_grn(W, genes, tfs)


def fit_filtered(
    imputed: FloatArray,
    cluster_of_cell: IntArray,
    candidates: Mapping[str, Sequence[str]],
    *,
    alpha: float = 10.0,
    unit: str = "cluster",
    rows: IntArray | BoolArray | None = None,
    genes: StrArray,
    tfs: StrArray,
    clusters: StrArray | None = None,
    max_p_value: float = 0.001,
    min_coef_abs: float = 0.01,
    max_edges: int = 2_000,
    seed: int = 0,
) -> Grn:
    """Return `fit` on those candidates alone that bagged fits support, type by type.

    Each of 20 ridges sees a bootstrap of the cells, four fifths of every target's candidates, and regulators in
    z-scores within the type. An edge stays where, over the ridges that saw it, the p-value of a t-test against 0 is at
    most ``max_p_value`` and the mean coefficient at least ``min_coef_abs`` in size, and among those are kept the
    ``max_edges`` largest. Parameters and errors are otherwise those of `fit`.
    """
    mask = candidate_mask(candidates, genes, tfs)
    groups = _groups(cluster_of_cell, unit, rows, clusters)
    check_expression(imputed, genes)
    position = locate(tfs, genes)
    coefficients = []
    for group, cells in enumerate(groups):
        x = imputed[cells]
        mean, p_value = bagged_edges(x, position, mask, alpha, np.random.default_rng([seed, group]))
        kept = strongest_edges(mean, p_value, max_p_value, min_coef_abs, max_edges)
        coefficients.append(solve(*products(x, position), kept, alpha))
    return as_grn(np.stack(coefficients), genes, tfs)


def as_grn(W: FloatArray, genes: StrArray, tfs: StrArray) -> Grn:
    """Return coefficients (C, F, G) with their names, and which transcription factors act on another gene."""
    others = locate(tfs, genes)[:, None] != np.arange(len(genes))
    return Grn(W, tfs, genes, ((W != 0) & others).any(axis=(0, 2)))


def candidate_mask(candidates: Mapping[str, Sequence[str]], genes: StrArray, tfs: StrArray) -> BoolArray:
    """Return which transcription factors may regulate which genes (F, G): measured ones, none itself."""
    column = {name: index for index, name in enumerate(genes.tolist())}
    row = {name: index for index, name in enumerate(tfs.tolist())}
    mask = np.zeros((len(tfs), len(genes)), dtype=bool)
    for target, regulators in candidates.items():
        if target in column:
            mask[[row[name] for name in regulators if name in row and name != target], column[target]] = True
    return mask


def _groups(
    cluster_of_cell: IntArray, unit: str, rows: IntArray | BoolArray | None, clusters: StrArray | None
) -> list[IntArray]:
    """Return the cells that each network is fitted on."""
    if unit not in ("cluster", "whole"):
        raise UserError(f"grn.unit={unit}: choose cluster or whole.")
    chosen = np.arange(len(cluster_of_cell)) if rows is None else np.asarray(rows)
    fitted: IntArray = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
    count = len(clusters) if clusters is not None else int(np.max(cluster_of_cell, initial=-1)) + 1
    names = clusters if clusters is not None else np.arange(count).astype(str)
    groups: list[IntArray] = [fitted]
    if unit == "whole":
        names = np.array(["all"])
    else:
        groups = [fitted[cluster_of_cell[fitted] == cluster] for cluster in range(count)]
    sizes = np.array([len(group) for group in groups])
    for index in np.flatnonzero(sizes < 2)[:1]:
        raise UserError(
            f"{int((sizes < 2).sum())} types have fewer than 2 cells to fit a network on, {names[index]} with "
            f"{sizes[index]} first: drop or merge them (data.drop_types), or set grn.unit=whole."
        )
    if few := [f"{names[index]} ({sizes[index]})" for index in np.flatnonzero(sizes < FEW_CELLS)]:
        warnings.warn(
            f"{len(few)} types have fewer than {FEW_CELLS} cells to fit a network on: {', '.join(few[:5])}.",
            stacklevel=3,
        )
    return groups


def products(x: FloatArray, tfs: IntArray, weight: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Return T'T (F, F) and T'X (F, G), centred, over cells x (n, G) of weights (n,), such as a bootstrap's counts."""
    weight = np.ones(len(x)) if weight is None else weight
    centred = x - weight @ x / weight.sum()
    regulators = (centred[:, tfs] * weight[:, None]).T
    return regulators @ centred[:, tfs], regulators @ centred


def solve(gram: FloatArray, cross: FloatArray, mask: BoolArray, alpha: float) -> FloatArray:
    """Return ridge coefficients (F, G), 0 outside the mask, from T'T (F, F) and T'X (F, G).

    Targets with as many candidates are solved together; shorter systems of a block are filled up with ones on the
    diagonal.
    """
    W = np.zeros(mask.shape)
    size = mask.sum(axis=0)
    order = np.argsort(size, kind="stable")
    # A regulator of zeros stands for what fills up.
    padded = np.pad(gram, (0, 1))
    padded_cross = np.pad(cross, ((0, 1), (0, 0)))
    for first in range(int(np.searchsorted(size[order], 1)), len(order), BLOCK):
        targets = order[first : first + BLOCK]
        width = size[targets[-1]]
        chosen = np.argsort(~mask[:, targets], axis=0, kind="stable")[:width].T
        real = np.arange(width) < size[targets][:, None]
        chosen = np.where(real, chosen, len(gram))
        system = padded[chosen[:, :, None], chosen[:, None, :]]
        diagonal = np.arange(width)
        system[:, diagonal, diagonal] += np.where(real, alpha, 1.0)
        solution = np.linalg.solve(system, padded_cross[chosen, targets[:, None]][..., None])[..., 0]
        target, entry = np.nonzero(real)
        W[chosen[target, entry], targets[target]] = solution[target, entry]
    return W


def bagged_edges(
    x: FloatArray, tfs: IntArray, mask: BoolArray, alpha: float, generator: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return mean coefficients and p-values (F, G) of edges over the ridges that saw them; NaN where none did."""
    from scipy.stats import t as student

    deviation = x[:, tfs].std(axis=0)
    scale = np.where(deviation > 0, deviation, 1)
    chosen_share = np.maximum(1, (SHARE_OF_CANDIDATES * mask.sum(axis=0)).astype(int))
    seen, total, squares = np.zeros(mask.shape), np.zeros(mask.shape), np.zeros(mask.shape)
    for _ in range(ESTIMATORS):
        counts = np.bincount(generator.integers(0, len(x), len(x)), minlength=len(x)).astype(np.float64)
        rank = np.where(mask, generator.random(mask.shape), 2.0).argsort(axis=0).argsort(axis=0)
        chosen = mask & (rank < chosen_share)
        gram, cross = products(x, tfs, counts)
        W = solve(gram / np.outer(scale, scale), cross / scale[:, None], chosen, alpha)
        seen += chosen
        total += W
        squares += W * W
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / seen
        variance = np.maximum(squares - seen * mean**2, 0) / (seen - 1)
        # Equal coefficients leave rounding alone.
        variance = np.where(variance <= 1e-24 * mean**2, 0, variance)
        statistic = np.abs(mean) / np.sqrt(variance / seen)
        p_value = 2 * student.sf(statistic, seen - 1)
    return mean, np.where(mean == 0, 1.0, p_value)


def strongest_edges(
    mean: FloatArray, p_value: FloatArray, max_p_value: float, min_coef_abs: float, max_edges: int
) -> BoolArray:
    """Return which edges (F, G) stay: supported, at least of that size, and among the ``max_edges`` largest."""
    # A comparison with NaN, of an edge that too few saw, is false.
    kept = (p_value <= max_p_value) & (np.abs(mean) >= min_coef_abs)
    edges = np.flatnonzero(kept)
    largest = edges[np.argsort(-np.abs(mean.ravel()[edges]), kind="stable")[:max_edges]]
    result = np.zeros(mean.size, dtype=bool)
    result[largest] = True
    return result.reshape(mean.shape)
