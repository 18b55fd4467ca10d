"""Where cells stand along the way from control: diffusion pseudotime, fitted to training cells."""

import warnings

import numpy as np
from scipy.spatial.distance import cdist

from ... import UserError
from .data import FloatArray, IntArray, PreparedData

MAX_FITTED_CELLS = 2000
"""Training cells that the diffusion map is fitted to, at most: its time and memory grow with them."""

N_NEIGHBOURS = 15
N_COMPONENTS = 20
FEWEST_CELLS = 20
CHUNK = 1000
"""Cells whose distances to all fitted cells are held at once."""


def diffusion_pseudotime(
    data: PreparedData, coordinates: FloatArray | None = None, *, max_cells: int = MAX_FITTED_CELLS, seed: int = 0
) -> FloatArray:
    """Return the diffusion pseudotime of every cell (n_cells,), in [0, 1], as scanpy computes it.

    It is fitted to training cells, drawn at random where there are more than `max_cells`; every other cell gets the
    value of the nearest fitted one. The root, at 0, is the training control cell closest to the mean of the training
    controls. Cells that no path of neighbours leads to stand at the end, at 1. Equal input gives equal values.
    Haghverdi et al. 2016, doi:10.1038/nmeth.3971.

    Parameters
    ----------
    data
        Cells and split.
    coordinates
        (n_cells, n_coordinates), in which cells are near each other; their expression unless it is given.
    """
    coordinates = data.expression if coordinates is None else coordinates
    fitted, root = choose_cells(data, coordinates, max_cells, seed)
    values = _fit(coordinates[fitted], root)
    pseudotime = values[nearest(coordinates, coordinates[fitted])]
    pseudotime[fitted] = values
    return pseudotime


def choose_cells(data: PreparedData, coordinates: FloatArray, max_cells: int, seed: int) -> tuple[IntArray, int]:
    """Return positions of the training cells to fit, ascending, and which of them is the root."""
    controls, training = data.cells(None), np.flatnonzero(~data.split.test)
    if len(controls) == 0 or len(training) < FEWEST_CELLS:
        raise UserError(
            f"{len(training)} training cells, {len(controls)} of them control: pseudotime needs at least "
            f"{FEWEST_CELLS} and one control cell, so supply more."
        )
    centre = coordinates[controls].mean(axis=0, dtype=np.float64)
    root = controls[np.argmin(((coordinates[controls] - centre) ** 2).sum(axis=1))]
    if len(training) > max_cells:
        others = np.random.default_rng(seed).choice(training[training != root], max_cells - 1, replace=False)
        training = np.sort(np.append(others, root))
    return training, int(np.searchsorted(training, root))


def nearest(cells: FloatArray, candidates: FloatArray) -> IntArray:
    """Return for each cell the position of the nearest candidate, by Euclidean distance."""
    parts = [
        cdist(cells[first : first + CHUNK], candidates, "sqeuclidean").argmin(axis=1)
        for first in range(0, len(cells), CHUNK)
    ]
    return np.concatenate(parts).astype(np.int64)


def _fit(cells: FloatArray, root: int) -> FloatArray:
    import anndata

    with warnings.catch_warnings():
        # Of libraries about each other; none is about these cells.
        warnings.simplefilter("ignore")
        import scanpy

        annotated = anndata.AnnData(np.asarray(cells, dtype=np.float64))
        components = min(N_COMPONENTS, *(size - 1 for size in cells.shape))
        scanpy.pp.pca(annotated, n_comps=components, random_state=0)
        # The Gaussian kernel is the one of the method's paper, and needs no compilation at the first call.
        scanpy.pp.neighbors(
            annotated, n_neighbors=min(N_NEIGHBOURS, len(cells) - 1), method="gauss", use_rep="X_pca", random_state=0
        )
        annotated.uns["iroot"] = root
        scanpy.tl.diffmap(annotated, n_comps=min(15, len(cells) - 2), random_state=0)
        scanpy.tl.dpt(annotated)
    values = annotated.obs["dpt_pseudotime"].to_numpy(np.float64)
    reached = np.isfinite(values)
    largest = values[reached].max(initial=0.0)
    return np.where(reached, values / largest if largest > 0 else 0.0, 1.0)
