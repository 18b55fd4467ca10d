"""Read cells from files: which are kept, and what no later step could repair."""

import dataclasses
import logging
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .... import UserError
from ..data import BoolArray, PerturbationData
from ..genes import check_duplicates, shared_genes, unique_names
from ..options import DataOptions
from ..value_scale import check_values, is_logarithm
from .cell_limits import choose_cells, drop_cells
from .file_formats import CellFile, open_cells
from .presets import check_number, preset_options
from .validation import check_groups, check_labels, frequent

log = logging.getLogger(__name__)


def load_data(path: str | Path | None = None, options: DataOptions | None = None, **changes: Any) -> PerturbationData:
    """Return the cells of a file that are kept, with every cell's label, type and batch.

    Cells without a label are left out, then the limits on their number are drawn for (seeded, in proportion to the
    perturbations, before any value is read), then cells with too few counts and perturbations with too few cells are
    dropped. ``path`` and ``changes`` take the place of what ``options`` say.

    Raises
    ------
    UserError
        If a column, a label or a value makes the data unusable; the message names it and a remedy.
    """
    if path is not None:
        changes["path"] = str(path)
        if (options is None or options.source == "synthetic") and "source" not in changes:
            changes["source"] = "file"
    options = preset_options(dataclasses.replace(options or DataOptions(), **changes))
    if options.path is None:
        raise UserError("source=synthetic: load_data reads files, so give path, or use generate_synthetic.")
    data = read_cells(options)
    data, dropped = drop_cells(data, options)
    for what, count in dropped.items():
        if count:
            log.info("%s: %s %s", options.path, what.replace("_", " "), count)
    check_groups(data.labels, data.control, str(options.path))
    return dataclasses.replace(data, provenance=data.provenance | dropped)


def read_cells(options: DataOptions) -> PerturbationData:
    """Read the chosen cells of a file, and of a second one that brings the controls."""
    path = Path(str(options.path))
    with ExitStack() as open_files:
        first = open_files.enter_context(_open(path, options))
        labels = column(first, options.pert_col, "pert_col")
        control = find_control(labels, options, path)
        check_number(options, path, len(np.unique(labels[~control & (labels != "")])))
        provenance: dict[str, Any] = {
            "source": options.source,
            "preset": options.preset if options.source == "preset" else None,
            "file": path.name,
            "bytes": path.stat().st_size if path.is_file() else None,
            "cells_in_file": first.n_cells,
            "cells_without_label": int(np.sum(labels == "")),
            "log1p_stated": first.log1p,
        }
        if options.control_file is None:
            rows = choose_cells(labels, control, options)
            data = _read(first, rows, labels, control, options)
            check_duplicates(data, first.genes, options)
        else:
            second = open_files.enter_context(_open(Path(options.control_file), options))
            data, notes = _read_with_controls(first, second, labels, control, options)
            provenance |= notes
        provenance["cells_read"] = len(data.labels)
    check_labels(np.unique(data.labels), options, data.genes)
    return dataclasses.replace(data, provenance=provenance)


def _open(path: Path, options: DataOptions) -> Any:
    return open_cells(path, layer=options.layer, gene_col=options.gene_col, obs_file=options.obs_file)


def column(cells: CellFile, name: str, key: str) -> NDArray[np.str_]:
    """Return a column of a file; one that is not there raises :class:`UserError` with those that are."""
    if name not in cells.columns:
        there = ", ".join(cells.columns) or "none"
        hint = "" if cells.path.suffix in (".h5ad", ".npz") else ", or name a table that has it with obs_file"
        raise UserError(f"{key}={name}: {cells.path} has no such column but {there}; choose one of them{hint}.")
    return cells.columns[name]()


def find_control(labels: NDArray[np.str_], options: DataOptions, path: Path) -> BoolArray:
    """Return which cells are controls (n_cells,); all labels must be there unless controls come from elsewhere."""
    absent = [label for label in options.control_labels if label not in labels]
    if absent and options.control_file is None:
        raise UserError(
            f"control_label={', '.join(absent)}: {path} has no such label in {options.pert_col}; the most frequent "
            f"ones are {frequent(labels, 10)}, so set control_label to one of them."
        )
    return np.isin(labels, options.control_labels)


def _read(
    cells: CellFile, rows: Any, labels: NDArray[np.str_], control: BoolArray, options: DataOptions
) -> PerturbationData:
    """Read rows of one file and check their values."""
    genes, renamed = unique_names(cells.genes)
    if renamed:
        warnings.warn(
            f"{cells.path}: {renamed} genes have the name of another one and were given a number.", stacklevel=2
        )
    if cells.duplicate_cells:
        warnings.warn(
            f"{cells.path}: {cells.duplicate_cells} cells have the name of another one; they are told apart by place.",
            stacklevel=2,
        )
    values = cells.rows(rows)
    check_values(values, genes, rows, cells.path)
    return PerturbationData(
        X=values,
        genes=genes,
        labels=np.where(control[rows], options.control_labels[0], labels[rows]),
        control=control[rows],
        cell_types=_names(cells, options.cell_type_col, "cell_type", "cell_type_col", rows),
        batches=_names(cells, options.batch_col, "batch", "batch_col", rows),
    )


def _names(cells: CellFile, name: str | None, own: str, key: str, rows: Any) -> NDArray[np.str_] | None:
    """Return cell types or batches; archives have columns of known names, which need no option."""
    if name is None and not (cells.path.suffix == ".npz" and own in cells.columns):
        return None
    names = column(cells, name or own, key)[rows]
    return np.where(names == "", "unknown", names)


def _read_with_controls(
    first: CellFile, second: CellFile, labels: NDArray[np.str_], control: BoolArray, options: DataOptions
) -> tuple[PerturbationData, dict[str, Any]]:
    """Read perturbed cells of one file and control cells of another, reduced to the genes that both have."""
    theirs = np.array([options.control_labels[0]] * second.n_cells)
    if options.pert_col in second.columns:
        theirs = column(second, options.pert_col, "pert_col")
        if not np.isin(theirs, options.control_labels).any():
            raise UserError(
                f"control_file={second.path} has no cell with control_label={', '.join(options.control_labels)} but "
                f"{frequent(theirs, 10)}: add its label of control cells to control_label as a list."
            )
    is_control = np.isin(theirs, options.control_labels)
    # Controls of the first file are left out: cells to choose from are its perturbed ones and the other's controls.
    both = np.concatenate([np.where(control, "", labels), np.where(is_control, theirs, "")])
    rows = choose_cells(both, np.concatenate([np.zeros(first.n_cells, bool), is_control]), options)
    if not (rows >= first.n_cells).any() or not (rows < first.n_cells).any():
        raise UserError(f"{first.path} has no perturbed cells, or {second.path} no controls: check control_label.")
    perturbed = _read(first, rows[rows < first.n_cells], labels, control, options)
    reference = _read(second, rows[rows >= first.n_cells] - first.n_cells, theirs, is_control, options)
    check_duplicates(perturbed, first.genes, options)
    check_duplicates(reference, second.genes, options)
    confounded = check_studies(perturbed, reference, first.path, second.path, options)
    mine, others = shared_genes(perturbed.genes, reference.genes)
    if not len(mine):
        raise UserError(f"{first.path} and control_file={second.path} share no gene name: check gene_col.")
    values, logarithm, undone = one_scale([perturbed.X[:, mine], reference.X[:, others]], (first, second), options)
    data = PerturbationData(
        X=values,
        genes=perturbed.genes[mine],
        labels=np.concatenate([perturbed.labels, reference.labels]),
        control=np.concatenate([perturbed.control, reference.control]),
        cell_types=_joined(perturbed.cell_types, reference.cell_types),
        batches=_joined(perturbed.batches, reference.batches),
        log_normalised=logarithm,
    )
    return data, {
        "control_file": second.path.name,
        "shared_genes": len(mine),
        "effect_and_study_confounded": confounded,
        "logarithm_undone": undone,
        "log1p_stated": bool(first.log1p and second.log1p),
    }


def _joined(first: NDArray[np.str_] | None, second: NDArray[np.str_] | None) -> NDArray[np.str_] | None:
    return None if first is None or second is None else np.concatenate([first, second])


def check_studies(
    perturbed: PerturbationData, reference: PerturbationData, path: Path, control_path: Path, options: DataOptions
) -> bool:
    """Return whether controls are of another study than perturbed cells, which is refused unless allowed."""
    if perturbed.batches is None or reference.batches is None:
        theirs, ours = {path.resolve()}, {control_path.resolve()}
        studies = f"{path} and {control_path} are different files"
    else:
        theirs, ours = set(perturbed.batches), set(reference.batches)
        studies = f"perturbed cells have {options.batch_col} {some(theirs)} and controls {some(ours)}"
    if theirs <= ours:
        return False
    if not options.allow_batch_confound:
        raise UserError(
            f"control_file={control_path}: {studies}, so effect and study would be confounded; use controls of the "
            "same study, or set allow_batch_confound=true."
        )
    warnings.warn(f"Effect and study are confounded: {studies}.", stacklevel=2)
    return True


def some(names: set[Any], count: int = 5) -> str:
    """Write the first names of a set."""
    listed = sorted(map(str, names))
    return ", ".join(listed[:count]) + (f" and {len(listed) - count} more" if len(listed) > count else "")


def one_scale(
    matrices: list[Any], files: tuple[CellFile, CellFile], options: DataOptions
) -> tuple[Any, bool | None, str | None]:
    """Join matrices over the same genes; where only one holds logarithms they are undone, and its file is named."""
    stacked, undone = list(matrices), None
    logarithm: bool | None = None
    if options.normalise == "auto":
        logarithms = [
            is_logarithm(matrix, stated=file.log1p, name=str(file.path))
            for matrix, file in zip(matrices, files, strict=True)
        ]
        logarithm = all(logarithms)
        if any(logarithms) and not logarithm:
            changed = logarithms.index(True)
            stacked[changed] = np.expm1(matrices[changed])
            undone = files[changed].path.name
    if all(sparse.issparse(matrix) for matrix in stacked):
        return sparse.vstack(stacked, format="csr"), logarithm, undone
    dense = [matrix.toarray() if sparse.issparse(matrix) else matrix for matrix in stacked]
    return np.concatenate(dense), logarithm, undone
