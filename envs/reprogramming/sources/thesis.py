"""Files of Bannink's project (2025): a pickled transition matrix, its action genes and its cells.

``transition_matrix*.pkl`` holds whole numbers (n, A): knock-outs of the action genes, then their overexpressions.
Pickles run code when they are read, so they are read only where the user says so.
"""

import dataclasses
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .... import UserError, __version__
from ..config import ReprogrammingConfig
from ..data import Actions, Prepared, StrArray, Table
from ..tables.file import NO_MOVES, SHOWN, as_cells, check, check_positions
from .h5ad import convert, read_h5ad

PICKLES = (".pkl", ".pickle")


def import_table(config: ReprogrammingConfig) -> Table:
    """Return the transition table of ``data.table``, with the cells of ``data.h5ad``.

    Cells and genes are all kept, in the order of the file. Smoothed expression is that of the layer ``imputed_count``
    where there is one. Action genes are those of ``data.perturbable_genes``, a pickle or a text file with one per line.

    Raises
    ------
    UserError
        If pickles are not allowed, files are missing or do not fit together, or nothing tells that rows of the table
        are in the order of the cells.
    """
    path = Path(str(config.data.table))
    if config.data.h5ad is None or config.data.perturbable_genes is None:
        lacking = "data.h5ad" if config.data.h5ad is None else "data.perturbable_genes"
        raise UserError(
            f"data.table={path}: the matrix alone says neither what its cells nor what its columns are, so give "
            f"{lacking}=FILE."
        )
    content = read_pickle(path, "data.table", config)
    names = np.array([str(name) for name in content.index]) if hasattr(content, "index") else np.array([], dtype=str)
    next_cell, notes = as_cells(np.asarray(content), str(path))
    check_positions(next_cell, len(next_cell), f"{path}: T")
    prepared = prepare_cells(config)
    if len(next_cell) != len(prepared.cells):
        raise UserError(
            f"data.table={path} has {len(next_cell)} rows and {config.data.h5ad} {len(prepared.cells)} cells: give the "
            "cells that the table was made of."
        )
    compare_order(names, prepared.cells, path, config)
    if len(names) and not np.array_equal(names, prepared.cells):
        next_cell = reorder(next_cell, names, prepared.cells)
    actions, genes = name_actions(next_cell.shape[1], read_genes(config), prepared, config)
    moved = prepared.embedding[next_cell] - prepared.embedding[:, None]
    table = Table(
        next=next_cell,
        shift=moved.astype(np.float32),
        actions=actions,
        genes=genes,
        tfs=genes,
        clusters=prepared.clusters,
        cluster_of_cell=prepared.cluster_of_cell,
        embedding=prepared.embedding,
        cells=prepared.cells,
        features=prepared.features,
        pcs=prepared.pcs,
        split=prepared.split,
        meta={
            "bioppo": __version__,
            "source": f"table {path.name}",
            NO_MOVES: True,
            "notes": notes,
            "log": list(prepared.log),
        },
    )
    check(table, str(path))
    return table


def read_pickle(path: Path, key: str, config: ReprogrammingConfig) -> Any:
    """Return what a pickle holds, where the user allows that, and warn with the name of the file.

    Raises
    ------
    UserError
        If pickles are not allowed, or the file is missing or cannot be read.
    """
    if not path.is_file():
        raise UserError(f"{key}={path}: there is no such file.")
    if not config.data.allow_pickle:
        raise UserError(
            f"{key}={path}: pickles run code from the file, so set data.allow_pickle=true if you made it or trust it, "
            "and turn it into an .npz for good with `bioppo data convert reprogramming`."
        )
    warnings.warn(f"{path}: unpickling runs code from the file; open only files you made or trust.", stacklevel=2)
    try:
        with path.open("rb") as file:
            return pickle.load(file)
    except Exception as error:  # a pickle may raise anything
        raise UserError(
            f"{key}={path} cannot be unpickled ({type(error).__name__}: {error}): read it with the versions of "
            "packages that wrote it, and save it anew."
        ) from error


def read_genes(config: ReprogrammingConfig) -> list[str]:
    """Return the action genes of ``data.perturbable_genes`` in their order.

    Raises
    ------
    UserError
        If these are no names, or one occurs twice.
    """
    path = Path(str(config.data.perturbable_genes))
    if path.suffix in PICKLES:
        content = read_pickle(path, "data.perturbable_genes", config)
        genes = [str(gene) for gene in (content if not hasattr(content, "tolist") else content.tolist())]
    elif path.is_file():
        genes = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    else:
        raise UserError(f"data.perturbable_genes={path}: there is no such file.")
    if not genes or len(set(genes)) < len(genes):
        raise UserError(f"data.perturbable_genes={path}: {len(genes)} names, some twice or none: give each gene once.")
    return genes


def prepare_cells(config: ReprogrammingConfig) -> Prepared:
    """Return all cells of ``data.h5ad``, an .h5ad or a pickled AnnData object, in their order.

    Raises
    ------
    UserError
        For all that is wrong with the file.
    """
    from ..preprocess import run

    path = Path(str(config.data.h5ad))
    largest = np.iinfo(np.int32).max
    data = dataclasses.replace(
        config.data, min_cells_per_gene=0, min_genes_per_cell=0, max_mitochondrial=1.0, drop_types=[],
        max_cells=largest, n_genes=largest, grn=None,
    )  # fmt: skip
    config = dataclasses.replace(config, data=data)
    if path.suffix in PICKLES:
        content = read_pickle(path, "data.h5ad", config)
        if not hasattr(content, "obs_names"):
            raise UserError(f"data.h5ad={path} holds a {type(content).__name__}: give a pickled AnnData or an .h5ad.")
        cells = convert(content, config, str(path))
    else:
        cells = read_h5ad(path, config)
    smoothed = dataclasses.replace(config.impute, use_existing=cells.imputed is not None)
    return run(cells, dataclasses.replace(config, impute=smoothed))


def name_actions(
    width: int, genes: list[str], prepared: Prepared, config: ReprogrammingConfig
) -> tuple[Actions, StrArray]:
    """Return the columns of a table: knock-outs alone, or knock-outs and then overexpressions, and the genes.

    Raises
    ------
    UserError
        If the table has another width, or a gene is not measured.
    """
    from ..overexpression import levels

    if width not in (len(genes), 2 * len(genes)):
        raise UserError(
            f"data.table={config.data.table} has {width} columns and {config.data.perturbable_genes} {len(genes)} "
            f"genes: it needs {2 * len(genes)} columns, or {len(genes)} for knock-outs alone."
        )
    if unknown := sorted(set(genes) - set(prepared.genes.tolist())):
        raise UserError(
            f"data.perturbable_genes={config.data.perturbable_genes}: {len(unknown)} genes are not measured, such as "
            f"{', '.join(unknown[:SHOWN])}: give the cells that the table was made of."
        )
    names = np.array(genes)
    conditions = [{gene: 0.0} for gene in genes]
    if width > len(genes):
        values = levels(prepared, config.sim, names, training_only=config.data_split.before_imputation)
        conditions += [{gene: float(value)} for gene, value in zip(genes, values, strict=True)]
    labels = [f"{kind} {gene}" for kind in ("KO", "OE")[: width // len(genes)] for gene in genes]
    activates = np.arange(width) >= len(genes)
    return Actions(np.array(labels), tuple(conditions), activates), names


def compare_order(names: StrArray, cells: StrArray, path: Path, config: ReprogrammingConfig) -> None:
    """Raise UserError unless rows of a table are known to be these cells: by name, or by the user's word."""
    if not len(names):
        if not config.data.trust_order:
            raise UserError(
                f"data.table={path} names no cells, so nothing tells that its rows are in the order of "
                f"{config.data.h5ad}: set data.trust_order=true if they are."
            )
        return
    if foreign := sorted(set(names.tolist()) ^ set(cells.tolist())):
        raise UserError(
            f"data.table={path} and {config.data.h5ad} differ in {len(foreign)} cells, such as "
            f"{', '.join(foreign[:SHOWN])}: give the cells that the table was made of."
        )


def reorder(next_cell: np.ndarray, names: StrArray, cells: StrArray) -> np.ndarray:
    """Return a table whose rows and entries follow ``cells`` and no longer ``names``."""
    place = {name: position for position, name in enumerate(names.tolist())}
    rows = np.array([place[name] for name in cells.tolist()])
    position = np.empty(len(rows), dtype=np.int32)
    position[rows] = np.arange(len(rows))
    moved: np.ndarray = position[next_cell[rows]]
    return moved


def check_order(table: Table, path: Path, config: ReprogrammingConfig) -> None:
    """Raise UserError unless a finished table and ``data.h5ad`` are about the same cells; their order may differ."""
    import anndata

    file = Path(str(config.data.h5ad))
    if not file.is_file():
        raise UserError(f"data.h5ad={file} does not exist: give an .h5ad file, or leave it out.")
    cells = np.array([str(name) for name in anndata.read_h5ad(file, backed="r").obs_names])
    if len(cells) != len(table.next) and not len(table.cells):
        raise UserError(
            f"data.table={path} has {len(table.next)} rows and {file} {len(cells)} cells: give the cells that the "
            "table was made of."
        )
    compare_order(table.cells, cells, path, config)
