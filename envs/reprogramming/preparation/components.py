"""Principal components that training cells define, and drawings of cells."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from .... import UserError
from ..data import BoolArray, FloatArray

CELLS_AT_ONCE = 2_000
"""Cells whose centred expression is in memory at once."""

DRAWING_NEIGHBOURS = 50
"""Neighbours of a cell in the graph that UMAP and diffusion maps are made from."""


@dataclass(frozen=True)
class Components:
    """Principal components.

    Attributes
    ----------
    mean
        (G,) of the cells that they were fitted on.
    loadings
        (G, P) orthonormal columns, by decreasing variance; the largest entry of each in size is positive.
    variance
        (P,) sample variance (divisor n - 1) along each.
    """

    mean: FloatArray
    loadings: FloatArray
    variance: FloatArray

    def project(self, values: FloatArray) -> FloatArray:
        """Return coordinates (n, P) of expression (n, G)."""
        projected = np.empty((len(values), len(self.variance)))
        for start in range(0, len(values), CELLS_AT_ONCE):
            rows = slice(start, start + CELLS_AT_ONCE)
            projected[rows] = (values[rows] - self.mean) @ self.loadings
        return projected


def fit_components(values: FloatArray, rows: BoolArray, count: int = 50) -> Components:
    """Return the first principal components of some cells' expression.

    They are eigenvectors of the covariance of genes or, where there are fewer cells than genes, follow from the inner
    products of cells. Directions without variance are left out, so there may be fewer than ``count``.

    Parameters
    ----------
    values
        (n, G) expression.
    rows
        (n,) cells to fit on.
    """
    places = np.flatnonzero(rows)
    mean = values[places].mean(axis=0) if len(places) <= CELLS_AT_ONCE else _mean(values, places)
    m, n_genes = len(places), values.shape[1]
    if m < n_genes:
        centred = values[places] - mean
        product = centred @ centred.T
    else:
        product = np.zeros((n_genes, n_genes))
        for start in range(0, m, CELLS_AT_ONCE):
            part = values[places[start : start + CELLS_AT_ONCE]] - mean
            product += part.T @ part
    size = len(product)
    count = min(count, size)
    squares, vectors = linalg.eigh(product, subset_by_index=(size - count, size - 1))
    squares, vectors = squares[::-1], vectors[:, ::-1]
    kept = squares > 1e-12 * max(squares[0], np.finfo(float).tiny)
    squares, vectors = squares[kept], vectors[:, kept]
    loadings = centred.T @ vectors / np.sqrt(squares) if m < n_genes else vectors
    largest = np.abs(loadings).argmax(axis=0)
    loadings = loadings * np.where(loadings[largest, np.arange(loadings.shape[1])] < 0, -1.0, 1.0)
    return Components(mean, np.ascontiguousarray(loadings), squares / max(m - 1, 1))


def _mean(values: FloatArray, places: np.ndarray) -> FloatArray:
    total = np.zeros(values.shape[1])
    for start in range(0, len(places), CELLS_AT_ONCE):
        total += values[places[start : start + CELLS_AT_ONCE]].sum(axis=0)
    return total / len(places)


def draw(kind: str, pcs: FloatArray, train: BoolArray, *, n_pcs: int, seed: int) -> FloatArray:
    """Return coordinates (n, d), float64, of a drawing made from principal components.

    Parameters
    ----------
    kind
        ``pcaN``: the first N components. ``umap``: two coordinates learned from training cells, into which the others
        are placed. ``diffmap``: the first two diffusion components that are not constant; these have no rule for new
        cells, so held-out cells take part.
    pcs
        (n, P).
    n_pcs
        Components that neighbours are looked for in (umap, diffmap).

    Raises
    ------
    UserError
        If there are fewer components than asked for, or umap-learn is not installed.
    """
    if kind.startswith("pca"):
        wanted = int(kind.removeprefix("pca"))
        if wanted > pcs.shape[1]:
            raise UserError(
                f"table.embedding={kind}: the cells have {pcs.shape[1]} principal components with variance, so choose "
                "a smaller number."
            )
        return pcs[:, :wanted].copy()
    near = min(DRAWING_NEIGHBOURS, int(train.sum()) - 1)
    return _umap(pcs[:, :n_pcs], train, near, seed) if kind == "umap" else _diffusion_map(pcs[:, :n_pcs], near)


def _umap(pcs: FloatArray, train: BoolArray, near: int, seed: int) -> FloatArray:
    try:
        import umap  # type: ignore[import-untyped]
    except ImportError as error:
        raise UserError(
            "table.embedding=umap: the package umap-learn is not installed, so install it or choose pca2."
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The layout of one seed is the same only on one thread.
        reducer = umap.UMAP(n_neighbors=near, n_components=2, random_state=seed, n_jobs=1)
        drawing = np.empty((len(pcs), 2))
        drawing[train] = reducer.fit_transform(pcs[train])
        if not train.all():
            drawing[~train] = reducer.transform(pcs[~train])
    return drawing


def _diffusion_map(pcs: FloatArray, near: int) -> FloatArray:
    import anndata
    import scanpy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells = anndata.AnnData(obsm={"X_pca": pcs}, shape=(len(pcs), 0))
        scanpy.pp.neighbors(cells, n_neighbors=near, use_rep="X_pca", random_state=0)
        scanpy.tl.diffmap(cells, n_comps=3)
    return np.asarray(cells.obsm["X_diffmap"][:, 1:3], dtype=np.float64)
