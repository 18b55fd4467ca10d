"""Which cells and genes are kept before anything is fitted."""

import dataclasses
import warnings
from typing import Any

import numpy as np
from scipy import sparse

from .... import UserError
from ..data import BoolArray, Cells, IntArray
from ..options import DataOptions
from ..sources.checks import check_types, some
from ..sources.h5ad import renumber

MITOCHONDRIAL = ("MT-", "mt-", "Mt-")
"""Prefixes of mitochondrial genes in human, mouse and rat."""

DOWNSAMPLE_SEED = 123
"""Of the draw of ``max_cells``; a constant, so that splits differ in nothing else."""


def take_cells(cells: Cells, rows: IntArray, line: str) -> Cells:
    """Return some cells in increasing order, with types that have any; the line is noted with both numbers."""
    clusters, codes = renumber(cells.clusters, cells.cluster_of_cell[rows])
    lost = sorted(set(cells.clusters.tolist()) - set(clusters.tolist()))
    note = f"{line}: {_shape(cells)} -> {len(rows)} x {len(cells.genes)}"
    return dataclasses.replace(
        cells,
        X=cells.X[rows],
        cells=cells.cells[rows],
        cluster_of_cell=codes,
        clusters=clusters,
        embedding=None if cells.embedding is None else cells.embedding[rows],
        imputed=None if cells.imputed is None else cells.imputed[rows],
        log=(*cells.log, note + (f"; types without cells left out: {some(lost)}" if lost else "")),
    )


def take_genes(cells: Cells, columns: IntArray, line: str) -> Cells:
    """Return some genes in increasing order; the line is noted with both numbers."""
    return dataclasses.replace(
        cells,
        X=cells.X[:, columns],
        genes=cells.genes[columns],
        imputed=None if cells.imputed is None else cells.imputed[:, columns],
        log=(*cells.log, f"{line}: {_shape(cells)} -> {len(cells.cells)} x {len(columns)}"),
    )


def _shape(cells: Cells) -> str:
    return f"{len(cells.cells)} x {len(cells.genes)}"


def noted(cells: Cells, line: str) -> Cells:
    """Return cells with one line more in their log."""
    return dataclasses.replace(cells, log=(*cells.log, line))


def present(values: Any, axis: int) -> IntArray:
    """Return how many values are above zero per column (axis 0) or per row (axis 1)."""
    counts: IntArray = np.asarray((values > 0).sum(axis=axis)).ravel().astype(np.int64)
    return counts


def totals(values: Any) -> np.ndarray:
    """Return sums of rows (n,), float64."""
    if sparse.issparse(values):
        return np.asarray(values.sum(axis=1, dtype=np.float64)).ravel()
    return np.asarray(values.sum(axis=1, dtype=np.float64))


def filter_cells(cells: Cells, options: DataOptions) -> Cells:
    """Leave listed types and poor cells out, and draw from too many.

    Cells with fewer than ``min_genes_per_cell`` genes, or a larger share of mitochondrial counts than
    ``max_mitochondrial``, are left out; both look at one cell at a time and at counts only.

    Raises
    ------
    UserError
        If no cell is left, or a type has fewer than two.
    """
    dropped = np.isin(cells.clusters, options.drop_types)
    if dropped.any():
        line = f"types left out ({some(cells.clusters[dropped])})"
        cells = take_cells(cells, np.flatnonzero(~dropped[cells.cluster_of_cell]), line)
    if cells.log_normalised:
        cells = noted(
            cells, "values are logarithms: cells are not filtered by numbers of genes or mitochondrial counts"
        )
    else:
        cells = _filter_counts(cells, options)
    if len(cells.cells) > options.max_cells:
        random = np.random.default_rng(DOWNSAMPLE_SEED)
        rows = np.sort(random.choice(len(cells.cells), options.max_cells, replace=False))
        cells = take_cells(cells, rows, f"drawn at random (data.max_cells={options.max_cells})")
    sizes = np.bincount(cells.cluster_of_cell, minlength=len(cells.clusters)).tolist()
    check_types(
        dict(zip(cells.clusters.tolist(), sizes, strict=True)),
        "What the filters of data.min_genes_per_cell, data.max_mitochondrial, data.max_cells and data.drop_types leave",
        "make the filters milder, or leave such types out with data.drop_types",
    )
    return cells


def _filter_counts(cells: Cells, options: DataOptions) -> Cells:
    found = present(cells.X, axis=1)
    cells = _keep(
        cells,
        found >= options.min_genes_per_cell,
        f"data.min_genes_per_cell={options.min_genes_per_cell}",
        f"cells have {int(np.median(found))} genes each (median)",
    )
    columns = np.flatnonzero([gene.startswith(MITOCHONDRIAL) for gene in cells.genes.tolist()])
    if not len(columns):
        return noted(cells, "no mitochondrial genes by name: cells are not filtered by them")
    share = totals(cells.X[:, columns]) / np.maximum(totals(cells.X), 1)
    return _keep(
        cells,
        share <= options.max_mitochondrial,
        f"data.max_mitochondrial={options.max_mitochondrial:g}",
        f"the share of mitochondrial counts is {np.median(share):.2g} (median)",
    )


def _keep(cells: Cells, kept: BoolArray, option: str, reason: str) -> Cells:
    if not kept.any():
        raise UserError(f"{option} leaves none of {len(kept)} cells, as {reason}: choose a milder value.")
    if 2 * kept.sum() < len(kept):
        warnings.warn(f"{option} leaves {int(kept.sum())} of {len(kept)} cells, as {reason}.", stacklevel=2)
    return take_cells(cells, np.flatnonzero(kept), option)


def filter_genes(cells: Cells, rows: BoolArray, options: DataOptions) -> Cells:
    """Leave genes out that are seen in fewer than ``min_cells_per_gene`` of some cells.

    Raises
    ------
    UserError
        If no gene is left.
    """
    if cells.log_normalised:
        return noted(cells, "values are logarithms: genes are not filtered by numbers of cells")
    kept = present(cells.X[np.flatnonzero(rows)], axis=0) >= options.min_cells_per_gene
    option = f"data.min_cells_per_gene={options.min_cells_per_gene}"
    if not kept.any():
        raise UserError(f"{option} leaves none of {len(kept)} genes: choose a smaller number.")
    return take_genes(cells, np.flatnonzero(kept), option)
