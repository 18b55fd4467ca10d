"""Prepare cells: filter, hold out, choose genes, normalise, smooth and scale.

Cells are held out before anything is fitted, so that expression of a held-out cell changes nothing that training
sees; ``data_split.before_imputation=false`` lets all cells take part, as the thesis project does.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ... import UserError
from .config import ReprogrammingConfig
from .data import TRAIN, BoolArray, Cells, FloatArray, Prepared, StrArray
from .preparation.components import draw, fit_components
from .preparation.correlation import correlated_regulators
from .preparation.filters import filter_cells, filter_genes, noted, take_genes, totals
from .preparation.imputation import impute
from .preparation.splits import check_types, split_cells
from .preparation.variable_genes import choose_genes, plain_variances, residual_variances
from .sources.loading import CORRELATION, add_regulators, measured_factors

SIZE = 1e4
"""Sum of every cell's normalised counts."""

COMPONENTS = 50
"""Principal components at least, where there are as many."""

NEIGHBOUR_SHARE = 0.025
"""Neighbours that expression is smoothed over where no number is given, as a share of all cells."""

ROWS_AT_ONCE = 2_000


def run(cells: Any, config: ReprogrammingConfig) -> Prepared:
    """Return prepared cells, with a line of log per step.

    Parameters
    ----------
    cells
        :class:`Cells`, or an AnnData object that is checked as a file would be.

    Raises
    ------
    UserError
        If filters leave too little, or a type keeps fewer than three training cells.
    """
    if not isinstance(cells, Cells):
        from .sources.h5ad import convert

        cells = add_regulators(convert(cells, config), config)
    if config.data.kind == "landscape":
        check_types(config.data.drop_types, cells.clusters, "data.drop_types")
    cells, split = hold_out(filter_cells(cells, config.data), config)
    train = split == TRAIN
    fitted = train if config.data_split.before_imputation else np.ones_like(train)
    cells = filter_genes(cells, fitted, config.data)
    factors = find_factors(cells, config)
    cells = choose_variable(cells, fitted, factors, config)
    lognorm = normalise(cells)
    step = "logarithms, not normalised again" if cells.log_normalised else f"size factors to {SIZE:g}, log1p"
    log = [*cells.log, f"{step}: {shape(lognorm)}"]
    pcs = fit_components(lognorm, fitted, _n_components(config)).project(lognorm)
    log.append(f"principal components of {int(fitted.sum())} cells: {shape(pcs)}")
    imputed, line = smooth(cells, lognorm, pcs, fitted, config)
    log.append(line)
    regulators, line = find_regulators(cells, lognorm, fitted, factors, config)
    log.append(line)
    embedding, line = embed(cells, pcs, fitted, config)
    log.append(line)
    return Prepared(
        lognorm=lognorm,
        imputed=imputed,
        features=standardise(imputed, train),
        pcs=pcs,
        cells=cells.cells,
        genes=cells.genes,
        cluster_of_cell=cells.cluster_of_cell,
        clusters=cells.clusters,
        embedding=embedding,
        split=split,
        regulators=regulators,
        log=(*log, f"z-scores by {int(train.sum())} training cells: {shape(imputed)}"),
    )


def hold_out(cells: Cells, config: ReprogrammingConfig) -> tuple[Cells, NDArray[np.int8]]:
    """Return cells with a note, and which of them are held out (n,)."""
    options = config.data_split
    check_types(options.holdout_types, cells.clusters, "data_split.holdout_types")
    split = split_cells(cells.cluster_of_cell, cells.clusters, val=options.val, test=options.test, seed=options.seed)
    counts = ", ".join(f"{np.sum(split == part)} {what}" for part, what in enumerate(("train", "validation", "test")))
    moment = "before anything is fitted" if options.before_imputation else "but all cells take part in what is fitted"
    return noted(cells, f"split (seed {options.seed}): {counts} cells, {moment}"), split


def is_guessed(config: ReprogrammingConfig) -> bool:
    """Return whether regulators are to be guessed from correlations; a landscape brings its own."""
    return config.data.grn == CORRELATION and config.data.kind != "landscape"


def find_factors(cells: Cells, config: ReprogrammingConfig) -> list[str]:
    """Return the transcription factors of the network, or of the list where it is guessed."""
    if is_guessed(config):
        return measured_factors(cells.genes, config)
    return sorted({factor for members in cells.regulators.values() for factor in members})


def find_regulators(
    cells: Cells, lognorm: FloatArray, rows: BoolArray, factors: list[str], config: ReprogrammingConfig
) -> tuple[dict[str, list[str]], str]:
    """Return the regulators of every chosen gene, and how many there are."""
    weak = ""
    if is_guessed(config):
        regulators = correlated_regulators(lognorm, rows, cells.genes, [f for f in factors if f in cells.genes])
        weak = ", WEAK: guessed from correlations alone"
        warnings.warn(
            "data.grn=correlation: regulators are guessed from correlations alone, which is weak evidence; give a "
            "network in data.grn where there is one.",
            stacklevel=2,
        )
    else:
        regulators = among(cells.regulators, cells.genes)
    edges = sum(map(len, regulators.values()))
    return regulators, f"network: {len(regulators)} targets, {edges} candidate edges{weak}"


def shape(values: np.ndarray) -> str:
    """Write the shape of a matrix."""
    return f"{values.shape[0]} x {values.shape[1]}"


def choose_variable(cells: Cells, rows: BoolArray, factors: list[str], config: ReprogrammingConfig) -> Cells:
    """Return cells with their most variable genes, and with transcription factors on top where these are kept."""
    options = config.data
    if options.n_genes >= len(cells.genes):
        return noted(cells, f"data.n_genes={options.n_genes}: all {len(cells.genes)} genes are kept")
    forced = np.isin(cells.genes, factors) & options.keep_tfs
    variance = plain_variances(cells.X, rows) if cells.log_normalised else residual_variances(cells.X, rows)
    what = "of logarithms" if cells.log_normalised else "of Pearson residuals"
    return take_genes(
        cells,
        choose_genes(variance, options.n_genes, forced),
        f"largest variance {what} in {int(rows.sum())} cells, {int(forced.sum())} transcription factors kept",
    )


def normalise(cells: Cells) -> FloatArray:
    """Return log1p of counts that sum to 10,000 per cell over the chosen genes (n, G), float64.

    Logarithms are returned as they are, and a cell without counts stays 0.
    """
    lognorm = np.empty(cells.X.shape)
    scale = None if cells.log_normalised else SIZE / np.maximum(totals(cells.X), 1e-12)
    for start in range(0, len(lognorm), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        part = cells.X[rows]
        lognorm[rows] = part.toarray() if sparse.issparse(part) else part
        if scale is not None:
            lognorm[rows] *= scale[rows, None]
            np.log1p(lognorm[rows], out=lognorm[rows])
    return lognorm


def smooth(
    cells: Cells, lognorm: FloatArray, pcs: FloatArray, reference: BoolArray, config: ReprogrammingConfig
) -> tuple[FloatArray, str]:
    """Return smoothed expression (n, G) and what was done."""
    options = config.impute
    if options.use_existing:
        if cells.imputed is None:
            raise UserError("impute.use_existing=true: the cells bring no smoothed expression, so set it to false.")
        return np.asarray(cells.imputed, dtype=np.float64), f"smoothed expression of the file: {shape(cells.imputed)}"
    k = max(1, int(NEIGHBOUR_SHARE * len(lognorm))) if options.k is None else options.k
    if k > (most := int(reference.sum()) - 1):
        warnings.warn(
            f"impute.k={k}: each cell has {most} others to be averaged with, which are all taken.", stacklevel=2
        )
        k = most
    near = pcs[:, : options.n_pcs]
    imputed = impute(lognorm, near, k, reference=reference, method=options.method)
    method = "nearest" if options.method == "knn" else "nearest, balanced"
    return imputed, (
        f"mean over each cell and its {k} {method} of {int(reference.sum())} cells in {near.shape[1]} components: "
        f"{shape(imputed)}"
    )


def standardise(values: FloatArray, train: BoolArray) -> np.ndarray:
    """Return z-scores (n, G), float32, by mean and population deviation of training cells; deviation 0 counts as 1."""
    places = np.flatnonzero(train)
    mean, deviation = np.empty(values.shape[1]), np.empty(values.shape[1])
    for start in range(0, values.shape[1], 500):
        columns = slice(start, start + 500)
        part = values[places, columns]
        mean[columns], deviation[columns] = part.mean(axis=0), part.std(axis=0)
    # Means of equal numbers differ from them by rounding, and that is no deviation.
    deviation[deviation <= 1e-12 * np.maximum(np.abs(mean), 1.0)] = 1.0
    scaled = np.empty(values.shape, dtype=np.float32)
    for start in range(0, len(values), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        scaled[rows] = (values[rows] - mean) / deviation
    return scaled


def among(regulators: dict[str, list[str]], genes: StrArray) -> dict[str, list[str]]:
    """Return regulators among some genes of targets among them, no gene among its own."""
    there = set(genes.tolist())
    found = {
        target: [name for name in sorted(set(members)) if name in there and name != target]
        for target, members in sorted(regulators.items())
        if target in there
    }
    return {target: members for target, members in found.items() if members}


def embed(cells: Cells, pcs: FloatArray, train: BoolArray, config: ReprogrammingConfig) -> tuple[FloatArray, str]:
    """Return the drawing (n, d) that is stored or asked for, and what was done."""
    kind = config.table.embedding or "stored"
    if kind == "stored":
        if cells.embedding is not None:
            stored = np.asarray(cells.embedding, dtype=np.float64)
            return stored, f"drawing as stored: {shape(stored)}"
        kind = "pca2"
    drawing = draw(kind, pcs, train, n_pcs=config.impute.n_pcs, seed=config.data_split.seed)
    return drawing, f"drawing by {kind}: {shape(drawing)}"


def _n_components(config: ReprogrammingConfig) -> int:
    """Return how many components some option asks for."""
    texts = (str(config.table.embedding), str(config.table.snap))
    asked = [int(text.removeprefix("pca")) for text in texts if text.removeprefix("pca").isdigit()]
    return max(COMPONENTS, config.impute.n_pcs, config.task.features, *asked)
