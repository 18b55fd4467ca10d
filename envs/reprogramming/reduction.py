"""Correlations of changes with differences between cells, without computing the changes.

With t (A, F) the change of transcription factors before the last pass, that pass gives delta = t W + e, where e is what
clamps, floors and ranges add: zero for most genes. With D the differences of a cell to its neighbours, then,

    delta D' = t (W D') + e D',   |delta|^2 = t (W W') t' + sum over e's genes of delta^2 - (t W)^2,

and W D' is a difference of W x, made once per block for all cells in it. Genes that no action can floor are found by
bounding t W from below over all actions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .data import FloatArray, IntArray
from .project import divide, norm
from .propagate import Clamps, of_cells, propagate, propagate_tfs

CANCELLED = {np.dtype(np.float32): 1e-2, np.dtype(np.float64): 1e-8}
"""Share of |t W|^2 below which |delta|^2 is what cancellation left, so that such a change is computed after all."""


@dataclass(frozen=True)
class Network:
    """What one type's network implies.

    Attributes
    ----------
    exact, W, by_gene
        (F, G) float64, the same in the simulation's precision, and its transpose.
    raising, lowering
        The positive and the negative part of W.
    gram, total
        W W' (F, F) and W 1 (F,), float64.
    """

    exact: FloatArray
    W: FloatArray
    by_gene: FloatArray
    raising: FloatArray
    lowering: FloatArray
    gram: FloatArray
    total: FloatArray

    @classmethod
    def of(cls, exact: FloatArray, W: FloatArray) -> "Network":
        """Return that of coefficients in float64 and in the simulation's precision."""
        transposed = np.ascontiguousarray(W.T)
        return cls(exact, W, transposed, np.maximum(W, 0), np.minimum(W, 0), exact @ exact.T, exact.sum(axis=1))


@dataclass(frozen=True)
class Differences:
    """Differences between cells and their neighbours, without most genes; all float64.

    Attributes
    ----------
    mean, norm
        (b, K): mean over genes, and norm about it; 0 for cells that are the same but for rounding.
    projected
        (U, F + P): W x, and x of the genes that conditions clamp, of every cell that the block needs.
    perturbed
        (P,) those genes, ascending.
    cell, neighbour
        (b,) and (b, K) positions in ``projected``.
    neighbours
        (b, K) positions among all cells.
    """

    mean: FloatArray
    norm: FloatArray
    projected: FloatArray
    perturbed: IntArray
    cell: IntArray
    neighbour: IntArray
    neighbours: IntArray

    @classmethod
    def of(cls, x: FloatArray, cells: IntArray, neighbours: IntArray, W: FloatArray, clamps: Clamps) -> "Differences":
        """Return those of cells (b,) with neighbours (b, K), in expression x (n, G) and network W (F, G)."""
        needed, place = np.unique(np.concatenate([cells, neighbours.ravel()]), return_inverse=True)
        cell, neighbour = place[: len(cells)], place[len(cells) :].reshape(neighbours.shape)
        own = x[needed]
        square = np.einsum("ug,ug->u", own, own)
        total = own.sum(axis=1)
        inner = np.take_along_axis(own[cell] @ own.T, neighbour, axis=1)
        mean = (total[neighbour] - total[cell][:, None]) / x.shape[1]
        scale = square[neighbour] + square[cell][:, None]
        variance = scale - 2 * inner - x.shape[1] * mean**2
        # What is left of nearly equal cells is rounding.
        for row, column in np.argwhere(variance < 1e-6 * scale):
            difference = own[neighbour[row, column]] - own[cell[row]]
            centred = difference - difference.mean()
            variance[row, column] = centred @ centred
        perturbed = np.unique(clamps.gene)
        projected = np.concatenate([own @ W.T, own[:, perturbed]], axis=1)
        return cls(mean, norm(np, variance, square[cell][:, None]), projected, perturbed, cell, neighbour, neighbours)

    def rows(self, rows: IntArray) -> "Differences":
        """Return those of some cells of the block."""
        per_cell = (part[rows] for part in (self.cell, self.neighbour, self.neighbours))
        return Differences(self.mean[rows], self.norm[rows], self.projected, self.perturbed, *per_cell)

    def project(self, dtype: Any) -> FloatArray:
        """Return W D' and D' of the clamped genes, (b, F + P, K)."""
        difference = self.projected[self.neighbour] - self.projected[self.cell][:, None]
        return difference.astype(dtype).swapaxes(1, 2)


@dataclass(frozen=True)
class Sums:
    """Sums over genes that are added to part by part: delta D' (b, A, K), |delta|^2 and sum of delta (b, A) float64."""

    product: FloatArray
    square: FloatArray
    total: FloatArray


def correlate_reduced(
    x: FloatArray,
    cells: IntArray,
    near: Differences,
    network: Network,
    tfs: IntArray,
    clamps: Clamps,
    n: int,
    clip: Any,
    undefined: float,
) -> tuple[FloatArray, FloatArray]:
    """Return rho (b, A, K) and |delta| (b, A) of cells of one type, as `project.correlate` of `propagate.propagate`."""
    own, G = x[cells], x.shape[1]
    signal = propagate_tfs(np, own, network.W[:, tfs], tfs, clamps, n)
    lower, upper = (-own, None) if clip is None else (np.maximum(-own, clip[0] - own), clip[1] - own)
    wide = signal.astype(np.float64)
    linear_square = ((wide @ network.gram) * wide).sum(axis=-1)
    square, total = linear_square.copy(), wide @ network.total
    extra = clamp_extra(square, total, own, near, signal, network, clamps, lower, upper)
    sums = Sums(np.concatenate([signal, extra], axis=2) @ near.project(x.dtype), square, total)
    at_risk = find_genes_at_risk(signal, network, lower, upper)
    for row in np.flatnonzero(at_risk.any(axis=1)).tolist():
        genes = np.flatnonzero(at_risk[row])
        limits = lower[row, genes], None if upper is None else upper[row, genes]
        add_bounds(sums, row, x, own[row], near.neighbours[row], signal[row], network, clamps, genes, limits)
    sums.product[...] -= total[..., None].astype(x.dtype) * near.mean[:, None].astype(x.dtype)
    lost = square - total**2 / G < CANCELLED[x.dtype] * linear_square
    for row in np.flatnonzero(lost.any(axis=1)).tolist():
        delta = propagate(np, own[row][None], network.W, tfs, of_cells(clamps, np.array([row])), n, clip)[0, lost[row]]
        square[row, lost[row]] = (delta.astype(np.float64) ** 2).sum(axis=1)
        total[row, lost[row]] = delta.sum(axis=1, dtype=np.float64)
        difference = x[near.neighbours[row]] - own[row] - near.mean[row][:, None].astype(x.dtype)
        sums.product[row, lost[row]] = delta @ difference.T
    spread = norm(np, square - total**2 / G, square).astype(x.dtype)
    return divide(np, sums.product, spread, near.norm.astype(x.dtype), undefined), np.sqrt(square)


def clamp_extra(
    square: FloatArray,
    total: FloatArray,
    x: FloatArray,
    near: Differences,
    signal: FloatArray,
    network: Network,
    clamps: Clamps,
    lower: FloatArray,
    upper: FloatArray | None,
) -> FloatArray:
    """Return what clamps add to t W (b, A, P), and add it to |delta|^2 and the sum of delta."""
    start, condition, gene = clamps.changes(x), clamps.condition, clamps.gene
    cell: Any = np.arange(len(x))[:, None] if clamps.cell is None else clamps.cell
    linear = (signal[cell, condition] * network.by_gene[gene]).sum(axis=-1)
    change = start if upper is None else np.clip(start, lower[cell, gene], upper[cell, gene])
    held = start != 0
    np.add.at(
        square, (cell, condition), np.where(held, change.astype(np.float64) ** 2 - linear.astype(np.float64) ** 2, 0)
    )
    np.add.at(total, (cell, condition), np.where(held, change - linear, 0))
    extra = np.zeros((*square.shape, len(near.perturbed)), dtype=x.dtype)
    extra[cell, condition, np.searchsorted(near.perturbed, gene)] = np.where(held, change - linear, 0)
    return extra


def find_genes_at_risk(signal: FloatArray, network: Network, lower: FloatArray, upper: FloatArray | None) -> Any:
    """Return which genes (b, G) some action may take to a bound, judged by the extremes of t over actions."""
    least, most = np.minimum(signal.min(axis=1), 0), np.maximum(signal.max(axis=1), 0)
    at_risk = least @ network.raising + most @ network.lowering < lower
    if upper is not None:
        at_risk |= most @ network.raising + least @ network.lowering > upper
    return at_risk


def add_bounds(
    sums: Sums,
    row: int,
    x: FloatArray,
    own: FloatArray,
    neighbours: IntArray,
    signal: FloatArray,
    network: Network,
    clamps: Clamps,
    genes: IntArray,
    limits: tuple[FloatArray, FloatArray | None],
) -> None:
    """Add what floors and ranges change in one cell, at the genes at risk; clamped entries are left as they are."""
    linear = (network.by_gene if len(genes) == x.shape[1] else network.by_gene[genes]) @ signal.T
    lower, upper = limits
    touched = linear.min(axis=1) < lower
    if upper is not None:
        touched |= linear.max(axis=1) > upper
    if not touched.any():
        return
    linear, genes, lower = linear[touched], genes[touched], lower[touched]
    change = np.maximum(linear, lower[:, None])
    if upper is not None:
        change = np.maximum(np.minimum(change, upper[touched][:, None]), lower[:, None])
    mine = of_cells(clamps, np.array([row]))
    held = (mine.changes(own[None]) != 0).ravel() & np.isin(mine.gene, genes)
    place = np.searchsorted(genes, mine.gene[held]), mine.condition[held]
    change[place] = linear[place]
    extra = change - linear
    change += linear
    change *= extra
    sums.square[row] += change.sum(axis=0, dtype=np.float64)
    sums.total[row] += extra.sum(axis=0, dtype=np.float64)
    difference = x[neighbours[:, None], genes] - own[genes]
    sums.product[row] += extra.T @ difference.T
