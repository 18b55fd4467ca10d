"""Which genes vary between cells more than counting does."""

from typing import Any

import numpy as np
from scipy import sparse

from ..data import BoolArray, FloatArray, IntArray

THETA = 100.0
"""Overdispersion of counts: the variance of mean m is m + m^2 / theta."""

VALUES_AT_ONCE = 5_000_000
"""Values that are dense in memory at once."""


def residual_variances(counts: Any, rows: BoolArray) -> FloatArray:
    """Return every gene's variance of Pearson residuals over some cells (G,), float64.

    With mu_ij = (sum of cell i) (sum of gene j) / (sum of all), the residual of count x_ij is
    (x_ij - mu_ij) / sqrt(mu_ij + mu_ij^2 / theta), clipped to plus or minus the square root of the number of cells
    (Lause et al. 2021, Analytic Pearson residuals, equations 3 to 5). A gene without counts has variance 0.

    Parameters
    ----------
    counts
        (n, G) dense or CSR.
    rows
        (n,) cells to look at.
    """
    part = counts[np.flatnonzero(rows)]
    part = sparse.csc_matrix(part) if sparse.issparse(part) else part
    m, n_genes = part.shape
    of_cell = np.asarray(part.sum(axis=1, dtype=np.float64)).ravel()
    of_gene = np.asarray(part.sum(axis=0, dtype=np.float64)).ravel()
    bound, whole = np.sqrt(m), of_gene.sum()
    variance = np.zeros(n_genes)
    step = max(1, VALUES_AT_ONCE // max(m, 1))
    for start in range(0, n_genes, step):
        columns = slice(start, start + step)
        block = part[:, columns]
        block = np.asarray(block.toarray() if sparse.issparse(block) else block, dtype=np.float64)
        mean = np.outer(of_cell, of_gene[columns] / max(whole, 1.0))
        deviation = np.sqrt(mean + mean**2 / THETA)
        residual = np.divide(block - mean, deviation, out=np.zeros_like(mean), where=deviation > 0)
        variance[columns] = np.clip(residual, -bound, bound, out=residual).var(axis=0)
    return variance


def plain_variances(values: Any, rows: BoolArray) -> FloatArray:
    """Return every gene's variance over some cells (G,), float64, for values that are logarithms already."""
    part = values[np.flatnonzero(rows)]
    n_genes = part.shape[1]
    step = max(1, VALUES_AT_ONCE // max(part.shape[0], 1))
    part = sparse.csc_matrix(part) if sparse.issparse(part) else part
    variance = np.empty(n_genes)
    for start in range(0, n_genes, step):
        block = part[:, start : start + step]
        block = np.asarray(block.toarray() if sparse.issparse(block) else block, dtype=np.float64)
        variance[start : start + step] = block.var(axis=0)
    return variance


def choose_genes(variance: FloatArray, count: int, forced: BoolArray) -> IntArray:
    """Return increasing positions of the most variable genes, and of forced ones on top of them.

    Of equally variable genes the first are chosen.
    """
    chosen = forced.copy()
    chosen[np.argsort(-variance, kind="stable")[:count]] = True
    return np.flatnonzero(chosen)
