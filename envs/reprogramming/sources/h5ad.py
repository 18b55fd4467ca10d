"""Cells from an .h5ad file or an AnnData object, checked before anything is made of them."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .... import UserError
from ..config import ReprogrammingConfig
from ..data import Cells, IntArray, StrArray
from .checks import check_embedding, check_finite, check_matrix, check_types, check_unique, some

IMPUTED_LAYER = "imputed_count"
"""Layer with smoothed expression, by its name in CellOracle."""

EXACT_FLOAT32 = 2**24
"""Whole numbers below it are exact in single precision."""


def read_h5ad(path: str | Path, config: ReprogrammingConfig) -> Cells:
    """Return the cells of an .h5ad file without regulators.

    Raises
    ------
    UserError
        If the file is missing or damaged, lacks an entry, or holds what :func:`convert` refuses.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"data.h5ad={path} does not exist: give an .h5ad file.")
    import anndata

    with warnings.catch_warnings():
        # Names that occur twice are an error of our own, with the names in it.
        warnings.simplefilter("ignore")
        try:
            cells = anndata.read_h5ad(path)
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"data.h5ad={path} is no .h5ad that anndata reads ({first_line(error)}).") from error
    return convert(cells, config, str(path))


def first_line(error: Exception) -> str:
    """Return what an error says, on one line."""
    return str(error).strip().split("\n")[0]


def convert(adata: Any, config: ReprogrammingConfig, name: str = "AnnData") -> Cells:
    """Return the cells of an AnnData object, checked, without regulators.

    Counts are those of ``layers[data.counts_layer]`` or, where there is no such layer, of X; with
    ``data.values=lognorm`` X is taken as it is. Listed types (``data.drop_types``) are left out first.

    Raises
    ------
    UserError
        If a key is missing, a name occurs twice, a value is not finite or not what ``data.values`` says, a cell has no
        type, or a type has fewer than two cells.
    """
    options = config.data
    cells, genes = names_of(adata.obs_names), names_of(adata.var_names)
    if not len(cells) or not len(genes):
        raise UserError(f"{name} has {len(cells)} cells and {len(genes)} genes: give a file that has some.")
    check_unique(cells, "cells", name)
    check_unique(genes, "genes", name)
    log = [f"{name}: {len(cells)} cells x {len(genes)} genes"]
    clusters, codes, notes = types_of(adata, options.cluster_key, cells, name)
    log += notes
    kept = ~np.isin(clusters, options.drop_types)[codes]
    if unknown := [drop for drop in options.drop_types if drop not in clusters]:
        raise UserError(
            f"data.drop_types={some(unknown)}: {name} has the types {some(clusters, 20)}; choose among them."
        )
    rows = np.flatnonzero(kept)
    if options.drop_types:
        log.append(f"types left out ({some(options.drop_types)}): {len(cells)} -> {len(rows)} cells")
        clusters, codes = renumber(clusters, codes[rows])
    cells = cells[rows]
    sizes = dict(zip(clusters.tolist(), np.bincount(codes, minlength=len(clusters)).tolist(), strict=True))
    check_types(sizes, name, "give more cells, or leave such types out with data.drop_types")
    matrix, place, notes = matrix_of(adata, options.values, options.counts_layer, name)
    log += notes
    values = csr_or_dense(matrix, rows if options.drop_types else None)
    log += check_matrix(values, options.values == "lognorm", cells, genes, f"{name}, {place}")
    embedding = None
    if config.table.embedding == "stored":
        entry = entry_of(adata.obsm, options.embedding_key, "embedding_key", "obsm", name)
        entry = entry.to_numpy() if hasattr(entry, "to_numpy") else np.asarray(entry)
        embedding = check_embedding(entry[rows], cells, f"{name}, obsm[{options.embedding_key}]")
    imputed = None
    if config.impute.use_existing:
        layer = entry_of(adata.layers, IMPUTED_LAYER, "impute.use_existing=true: layer", "layers", name)
        layer = csr_or_dense(layer, rows if options.drop_types else None)
        imputed = np.asarray(layer.toarray() if sparse.issparse(layer) else layer, dtype=np.float64)
        check_finite(imputed, cells, genes, f"{name}, layers[{IMPUTED_LAYER}]")
        if imputed.min() < 0:
            raise UserError(
                f"{name}, layers[{IMPUTED_LAYER}] goes down to {imputed.min():.4g}: it must not be negative."
            )
    return Cells(
        X=values,
        log_normalised=options.values == "lognorm",
        cells=cells,
        genes=genes,
        cluster_of_cell=codes,
        clusters=clusters,
        embedding=embedding,
        regulators={},
        imputed=imputed,
        log=tuple(log),
    )


def names_of(index: Any) -> StrArray:
    """Return an index as an array of strings."""
    return np.asarray([str(name) for name in index], dtype=np.str_)


def entry_of(container: Any, key: str, option: str, kind: str, name: str) -> Any:
    """Return an entry of obsm, layers or obs; one that is not there raises UserError with those that are."""
    if key not in container:
        there = some([str(other) for other in container.keys()], 20) or "nothing"  # noqa: SIM118
        option = option if "=" in option else f"data.{option}={key}"
        raise UserError(f"{option}: {name} has no {kind}[{key}] but {there}; choose one of them.")
    return container[key]


def types_of(adata: Any, key: str, cells: StrArray, name: str) -> tuple[StrArray, IntArray, list[str]]:
    """Return sorted names of types (K,), every cell's place in them (n,) int32, and notes."""
    column = entry_of(adata.obs, key, "cluster_key", "obs", name)
    absent = np.asarray(column.isna())
    if absent.any():
        raise UserError(
            f"data.cluster_key={key}: {int(absent.sum())} cells of {name} have no type ({some(cells[absent])}), so "
            "leave them out or name their type."
        )
    notes = []
    if hasattr(column, "cat"):
        unused = [str(value) for value in column.cat.categories if not (column == value).any()]
        if unused:
            notes.append(f"{len(unused)} types without cells were left out: {some(unused)}")
    values = column.tolist()
    kinds = {type(value).__name__ for value in values}
    labels = np.asarray([str(value) for value in values], dtype=np.str_)
    if len(kinds) > 1 or kinds != {"str"}:
        notes.append(f"types of {key} are {' and '.join(sorted(kinds))}; all are read as text")
    clusters, codes = np.unique(labels, return_inverse=True)
    notes.append(f"{len(clusters)} types of {key}, sorted by name")
    return clusters, codes.astype(np.int32), notes


def renumber(clusters: StrArray, codes: IntArray) -> tuple[StrArray, NDArray[np.int32]]:
    """Leave types out that have no cell."""
    there, places = np.unique(codes, return_inverse=True)
    return clusters[there], places.astype(np.int32)


def matrix_of(adata: Any, values: str, layer: str, name: str) -> tuple[Any, str, list[str]]:
    """Return the matrix that ``data.values`` asks for, where it stands, and notes."""
    if values == "counts":
        if layer in adata.layers:
            return adata.layers[layer], f"layers[{layer}]", []
        if layer != "counts":
            entry_of(adata.layers, layer, "counts_layer", "layers", name)
    if adata.X is None:
        there = some([str(other) for other in adata.layers], 20) or "none"
        raise UserError(f"{name} has no X; its layers are {there}, so name one with data.counts_layer.")
    notes = [f"there is no layer {layer}, so X is taken for counts"] if values == "counts" else []
    return adata.X, "X", notes


def csr_or_dense(matrix: Any, rows: IntArray | None) -> Any:
    """Return rows of a matrix as CSR or a dense array, with values in floating point."""
    values: Any = sparse.csr_matrix(matrix) if sparse.issparse(matrix) else np.asarray(matrix)
    if rows is not None:
        values = values[rows]
    if values.dtype.kind != "f":
        stored = values.data if sparse.issparse(values) else values
        exact = stored.size == 0 or np.abs(stored.astype(np.float64)).max() < EXACT_FLOAT32
        values = values.astype(np.float32 if exact else np.float64)
    return values
