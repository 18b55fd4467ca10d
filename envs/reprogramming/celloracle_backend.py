"""Transitions by the installed package celloracle: the same table, a cross-check of this package's own simulator.

CellOracle (Kamimoto et al. 2023, doi:10.1038/s41586-022-05688-9) is driven through its public methods. It gets the
expression that was prepared here, smoothed and split, so that both simulators see the same cells. It holds several
arrays of all cells by all cells and simulates one action at a time, so it is for few thousand cells.
"""

import contextlib
import dataclasses
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from .config import ReprogrammingConfig
from .data import TRAIN, Actions, FloatArray, Grn, IntArray, Prepared
from .moves import Moves

LICENCE = "celloracle: its licence allows non-commercial academic use only."
DENSE_ARRAYS = 6
"""Arrays of cells x cells in float64 that celloracle holds at once."""
CLUSTER, EMBEDDING = "cluster", "X_drawing"
_told: set[str] = set()


def import_celloracle() -> ModuleType:
    """Return the package, and say once per process what its licence allows.

    Raises
    ------
    UserError
        If it is not installed.
    """
    # gimmemotifs, which comes with it, replaces this function by one that does nothing, for the whole process.
    warn = warnings.warn
    try:
        with _quietly():
            import celloracle
    except ImportError as error:
        raise UserError(
            f"sim.backend=celloracle: the package celloracle cannot be imported ({error}): make an environment of its "
            "own with tests/system/install_celloracle.sh (Python 3.11), or leave sim.backend=builtin."
        ) from error
    finally:
        warnings.warn = warn
    if LICENCE not in _told:
        _told.add(LICENCE)
        print(LICENCE, file=sys.stderr)
    module: ModuleType = celloracle
    return module


def fit(prepared: Prepared, config: ReprogrammingConfig, survivors: Grn | None = None) -> Grn:
    """Return the network that celloracle fits on the cells of ``grn.fit_on``.

    Where ``survivors`` is given, each type's candidates are the regulators with a coefficient in it.
    """
    options = config.grn
    rows = np.flatnonzero(prepared.split == TRAIN) if options.fit_on == "train" else np.arange(len(prepared.cells))
    candidates = None if survivors is None else [_candidates(survivors, W) for W in survivors.W]
    whole = options.unit == "whole"
    if whole and candidates is not None:
        prepared = dataclasses.replace(prepared, regulators=candidates[0])
    with _quietly():
        oracle = make_oracle(prepared, rows)
        if candidates is not None and not whole:
            oracle.cluster_specific_TFdict = dict(zip(prepared.clusters.tolist(), candidates, strict=True))
        oracle.fit_GRN_for_simulation(
            GRN_unit=options.unit,
            alpha=options.alpha,
            use_cluster_specific_TFdict=candidates is not None and not whole,
            verbose_level=0,
        )
    if whole:
        matrices = [oracle.coef_matrix]
    else:
        if lacking := [name for name in prepared.clusters.tolist() if name not in oracle.coef_matrix_per_cluster]:
            raise UserError(f"grn.fit_on={options.fit_on}: no cell of type {lacking[0]} is left, so drop the type.")
        matrices = [oracle.coef_matrix_per_cluster[name] for name in prepared.clusters.tolist()]
    tfs = _regulators(prepared) if survivors is None else survivors.tfs
    return grn_of_coefficients(matrices, prepared.genes, tfs)


def simulate(
    prepared: Prepared,
    grn: Grn,
    actions: Actions,
    config: ReprogrammingConfig,
    neighbours: IntArray,
    *,
    top_q: int = 0,
    only: IntArray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Moves:
    """Return celloracle's moves (n, A) in the drawing, for all actions or the columns of ``only``.

    Parameters
    ----------
    grn
        The network, `fit`'s or any other.
    neighbours
        (n, K) of `project.find_neighbours`: celloracle looks for as many of its own, the same but for ties.
    top_q
        How many of the most probable neighbours to keep.
    progress
        Called with the cells done and their number, counting as many cells as the share of actions that is done.

    Raises
    ------
    UserError
        If memory does not suffice, the drawing has not two coordinates or two cells in one place, or celloracle is not
        installed.
    """
    n = len(prepared.cells)
    check_memory(n)
    check_drawing(prepared.embedding)
    oracle = network_oracle(prepared, grn, config)
    columns = np.arange(len(actions.names)) if only is None else np.asarray(only)
    top_q = min(top_q, neighbours.shape[1])
    shift, size = np.zeros((n, len(columns), 2)), np.zeros((n, len(columns)))
    likely = np.zeros((n, len(columns), top_q), dtype=np.int32)
    probability = np.zeros(likely.shape, dtype=np.float16)
    equal = equal_pairs(prepared.imputed) if config.table.nan_policy == "zero" else None
    if progress is not None:
        progress(0, n)
    for place, column in enumerate(columns):
        with _quietly():
            move(oracle, actions.conditions[column], config, neighbours.shape[1], equal)
        shift[:, place] = oracle.delta_embedding
        size[:, place] = np.linalg.norm(oracle.adata.layers["delta_X"], axis=1)
        if top_q:
            likely[:, place], probability[:, place] = most_probable(oracle.transition_prob, neighbours, top_q)
        if progress is not None:
            progress(n * (place + 1) // len(columns), n)
    # Where nothing changes all correlations are undefined, hence equal, and their moves cancel up to rounding.
    shift[size == 0] = 0.0
    return Moves(shift, size, likely, probability) if top_q else Moves(shift, size)


def move(
    oracle: Any,
    condition: dict[str, float],
    config: ReprogrammingConfig,
    n_neighbours: int,
    equal: tuple[IntArray, IntArray] | None = None,
) -> None:
    """Make celloracle's three calls for one action; ``equal`` are pairs of cells whose correlation counts as 0."""
    oracle.simulate_shift(
        perturb_condition=dict(condition),
        n_propagation=config.sim.n_propagation,
        ignore_warning=True,
        clip_delta_X=config.sim.clip,
    )
    oracle.estimate_transition_prob(
        n_neighbors=n_neighbours - 1,  # it takes one more
        knn_random=True,
        sampled_fraction=1,
        calculate_randomized=False,
        n_jobs=1,
        threads=1,
    )
    if equal is not None:
        oracle.corrcoef[equal] = 0.0
    oracle.calculate_embedding_shift(sigma_corr=config.table.sigma)


def make_oracle(prepared: Prepared, rows: IntArray | None = None) -> Any:
    """Return an Oracle of cells prepared here: log-normalised and smoothed expression, types, drawing, regulators."""
    import anndata
    import pandas as pd

    rows = np.arange(len(prepared.cells)) if rows is None else rows
    clusters = pd.Categorical.from_codes(prepared.cluster_of_cell[rows], prepared.clusters.astype(object))
    cells = anndata.AnnData(
        prepared.lognorm[rows].astype(np.float64),
        obs=pd.DataFrame({CLUSTER: clusters.remove_unused_categories()}, index=prepared.cells[rows].astype(object)),
        var=pd.DataFrame(index=prepared.genes.astype(object)),
    )
    cells.obsm[EMBEDDING] = prepared.embedding[rows].astype(np.float64)
    oracle = import_celloracle().Oracle()
    # Its choice of variable genes only advises, and fails where one of fewer than 1,000 genes is hardly expressed.
    oracle.import_anndata_as_normalized_count(
        cells, cluster_column_name=CLUSTER, embedding_name=EMBEDDING, test_mode=True
    )
    oracle.high_var_genes = prepared.genes.astype(object)
    oracle.import_TF_data(TFdict={target: list(tfs) for target, tfs in prepared.regulators.items()})
    oracle.adata.layers["imputed_count"] = prepared.imputed[rows].astype(np.float64)
    return oracle


def network_oracle(prepared: Prepared, grn: Grn, config: ReprogrammingConfig) -> Any:
    """Return an Oracle of all cells that holds a network, ready for `move`."""
    import pandas as pd

    names = prepared.genes.astype(object)
    matrices = []
    for coefficients in grn.W:
        matrix = pd.DataFrame(0.0, index=names, columns=names)
        matrix.loc[grn.tfs.astype(object), grn.genes.astype(object)] = coefficients
        matrices.append(matrix)
    with _quietly():
        oracle = make_oracle(prepared)
        oracle.GRN_unit = config.grn.unit if len(matrices) == 1 else "cluster"
        if oracle.GRN_unit == "whole":
            oracle.coef_matrix = matrices[0]
        else:
            oracle.coef_matrix_per_cluster = dict(zip(prepared.clusters.tolist(), matrices, strict=True))
        oracle.extract_active_gene_lists()
    return oracle


def impute(prepared: Prepared, k: int, n_pcs: int = 50, *, balanced: bool = False) -> FloatArray:
    """Return expression (n, G) as celloracle smooths it, over all cells, for comparison.

    A table never uses it: held-out cells would enter the neighbourhoods of training cells.
    """
    with _quietly():
        oracle = make_oracle(prepared)
        oracle.perform_PCA()
        oracle.knn_imputation(k=k, n_pca_dims=n_pcs, balanced=balanced, b_sight=8 * k, b_maxl=4 * k, n_jobs=1)
    smoothed: FloatArray = np.asarray(oracle.adata.layers["imputed_count"])
    return smoothed


def grn_of_coefficients(matrices: list[Any], genes: NDArray[np.str_], tfs: NDArray[np.str_]) -> Grn:
    """Return data frames of coefficients, (regulators, targets) each, as one network."""
    W = np.stack([matrix.reindex(index=tfs, columns=genes, fill_value=0.0).to_numpy(np.float64) for matrix in matrices])
    own = tfs[:, None] == genes[None, :]
    return Grn(W, tfs, genes, ((W != 0) & ~own).any(axis=(0, 2)))


def equal_pairs(imputed: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the pairs of different cells with equal expression, whose correlation is undefined."""
    _, group = np.unique(imputed, axis=0, return_inverse=True)
    group = group.reshape(-1)
    members = [np.flatnonzero(group == number) for number in np.flatnonzero(np.bincount(group) > 1)]
    pairs = [(one, two) for cells in members for one in cells for two in cells if one != two]
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return first, second


def most_probable(probability: FloatArray, neighbours: IntArray, count: int) -> tuple[IntArray, FloatArray]:
    """Return the neighbours (n, count) with the largest of the probabilities (n, n), best first, and these as shares.

    Ties go to the nearer neighbour.
    """
    near = np.take_along_axis(probability, neighbours.astype(np.int64), axis=1)
    order = np.argsort(-near, axis=1, kind="stable")[:, :count]
    kept = np.take_along_axis(near, order, axis=1)
    return np.take_along_axis(neighbours, order, axis=1), kept / kept.sum(axis=1, keepdims=True)


def check_memory(n_cells: int, available: int | None = None) -> None:
    """Raise UserError where celloracle's arrays of cells x cells do not fit into free memory (bytes)."""
    needed = n_cells**2 * 8 * DENSE_ARRAYS
    free = available_memory() if available is None else available
    if needed > free:
        raise UserError(
            f"sim.backend=celloracle: its arrays of {n_cells} x {n_cells} cells take {needed:,} bytes and {free:,} are "
            "free, so lower data.max_cells or set sim.backend=builtin."
        )


def available_memory() -> int:
    """Return the bytes that a new program could use."""
    with contextlib.suppress(OSError), open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_drawing(embedding: FloatArray) -> None:
    """Raise UserError unless there are two coordinates and no two cells share a place, where celloracle has no move."""
    n, dimensions = embedding.shape
    if dimensions != 2:
        raise UserError(
            f"sim.backend=celloracle: the drawing has {dimensions} coordinates and celloracle takes 2: set "
            "table.embedding=pca2, or sim.backend=builtin."
        )
    places = len(np.unique(embedding, axis=0))
    if places < n:
        raise UserError(
            f"sim.backend=celloracle: {n - places} of {n} cells share their place in the drawing with another, between "
            "which celloracle has no direction: drop these cells or set sim.backend=builtin."
        )


def _candidates(network: Grn, coefficients: FloatArray) -> dict[str, list[str]]:
    kept = coefficients != 0
    return {
        str(gene): network.tfs[kept[:, column]].tolist()
        for column, gene in enumerate(network.genes)
        if kept[:, column].any()
    }


def _regulators(prepared: Prepared) -> NDArray[np.str_]:
    return np.array(sorted({tf for regulators in prepared.regulators.values() for tf in regulators}))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep what the package prints and warns of from the user, and NumPy's global stream, which it seeds, as it was."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
