"""Prepare split cells: normalise, choose genes, and measure what observations are scaled by.

Everything that is fitted comes from training cells. Control and perturbed cells, training and test cells are all
treated alike: scaling them separately would erase the difference between them, which is the effect under study.
"""

import dataclasses
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ... import UserError
from .data import BoolArray, FloatArray, IntArray, PerturbationData, PreparedData, Split, Truth
from .genes import label_members, target_positions
from .options import DataOptions
from .value_scale import is_logarithm, stored_values

FLOOR = 1e-6
"""Added to standard deviations, so that a gene that never varies stays finite."""

DOUBLE_LOGARITHM = 4.0
"""Values all below it after log1p make a second logarithm likely where the data claim a first one."""

GENES_AT_ONCE = 256


def preprocess(
    data: PerturbationData, split: Split, options: DataOptions | None = None, **changes: Any
) -> PreparedData:
    """Return log-normalised expression of the chosen genes, with statistics of training cells alone.

    Counts are scaled to ``target_sum`` per cell (the median of training controls over all genes) and log1p is taken,
    unless they are logarithms already. Of the genes, measured targets and those with the largest variance over
    training cells are kept, in the data's order. ``mean`` and ``deviation`` (standard deviation + 1e-6) are those of
    training controls.

    Raises
    ------
    UserError
        If it cannot be told whether values are logarithms, or they would be taken twice.
    """
    options = dataclasses.replace(options or DataOptions(), **changes)
    perturbations = tuple(np.unique(data.labels[~data.control]).tolist())
    control = str(data.labels[data.control][0])
    training = ~split.test
    notes: dict[str, Any] = {}
    values, notes["normalised"] = normalise(data, training, options)
    targets = {member for label in perturbations for member in label_members(label, options.combo_separator, control)}
    chosen, messages = choose_genes(values, data.genes, training, targets, options)
    expression = dense(values[:, chosen])
    if not np.isfinite(expression).all():
        raise UserError("X has values that are NaN or infinite, or negative ones that have no logarithm: mend them.")
    if options.scale_separately:
        expression = scale_groups(expression, (data.control, split.test))
        messages.append("control and perturbed cells were scaled separately, which erases the effect under study")
    controls = expression[training & data.control]
    mean, deviation = controls.mean(axis=0, dtype=np.float64), controls.std(axis=0, dtype=np.float64)
    if constant := int((deviation == 0).sum()):
        messages.append(f"{constant} genes do not vary among training controls")
    genes = data.genes[chosen]
    positions = target_positions(perturbations, genes, options.combo_separator, control)
    notes |= {
        "messages": messages,
        "combo_separator": options.combo_separator,
        "control_label": control,
        "perturbations_without_measured_target": [
            label for label, found in zip(perturbations, positions, strict=True) if not len(found)
        ],
    }
    if data.truth is None:
        for message in messages:
            warnings.warn(f"{data.provenance.get('file', 'The data')}: {message}.", stacklevel=2)
    types, kinds = (
        np.unique(data.cell_types, return_inverse=True)
        if data.cell_types is not None
        else (np.array(["all"]), np.zeros(len(data.labels), dtype=np.int64))
    )
    return PreparedData(
        expression=expression,
        genes=genes,
        perturbations=perturbations,
        label=np.where(data.control, -1, np.searchsorted(perturbations, data.labels)).astype(np.int64),
        cell_types=tuple(types.tolist()),
        cell_type=kinds.astype(np.int64),
        split=split,
        mean=mean,
        deviation=deviation + FLOOR,
        targets=positions,
        provenance=data.provenance | {"preprocessing": notes},
        truth=reduced_truth(data.truth, chosen),
    )


def normalise(data: PerturbationData, training: BoolArray, options: DataOptions) -> tuple[Any, dict[str, Any]]:
    """Return log-normalised values over all genes, CSR or dense float32, and what was done."""
    stated = bool(data.provenance.get("log1p_stated"))
    logarithm = data.log_normalised
    if isinstance(options.normalise, bool):
        logarithm = not options.normalise
    elif logarithm is None:
        logarithm = is_logarithm(data.X[training], stated=stated, name=str(data.provenance.get("file", "X")))
    if logarithm:
        return data.X, {"done": False, "reason": "values are logarithms already"}
    totals = np.asarray(data.X.sum(axis=1, dtype=np.float64)).ravel()
    target = (
        float(np.median(totals[training & data.control]))
        if options.target_sum == "median"
        else float(options.target_sum)
    )
    values = logarithm_of_shares(data.X, np.divide(target, totals, out=np.zeros_like(totals), where=totals > 0))
    if stated and stored_values(values).max() < DOUBLE_LOGARITHM:
        doubt = f"uns says that values are logarithms, and after log1p none reaches {DOUBLE_LOGARITHM:g}"
        if options.normalise == "auto":
            raise UserError(
                f"{data.provenance.get('file', 'X')}: {doubt}, so the logarithm would be taken twice; set "
                "normalise=false to leave the values as they are, or normalise=true to insist."
            )
        warnings.warn(f"{doubt}: perhaps the logarithm was taken twice.", stacklevel=3)
    return values, {"done": True, "target_sum": target}


def logarithm_of_shares(counts: Any, factors: FloatArray) -> Any:
    """Return log1p of counts times a factor per cell."""
    scale = factors.astype(np.float32)
    if sparse.issparse(counts):
        values = counts.data * np.repeat(scale, np.diff(counts.indptr))
        return sparse.csr_matrix((np.log1p(values, out=values), counts.indices, counts.indptr), shape=counts.shape)
    values = counts * scale[:, None]
    return np.log1p(values, out=values)


def choose_genes(
    values: Any, genes: NDArray[np.str_], training: BoolArray, targets: set[str], options: DataOptions
) -> tuple[IntArray, list[str]]:
    """Return increasing positions of the genes to keep, and what a user should know about the choice."""
    count = len(genes)
    messages: list[str] = []
    if options.hvg_method == "none":
        return np.arange(count), messages
    if options.n_genes > count:
        messages.append(f"n_genes={options.n_genes} is more than the {count} genes there are, which are all kept")
    forced = np.isin(genes, sorted(targets)) & options.force_target_genes
    if forced.sum() > options.n_genes:
        messages.append(
            f"n_genes={options.n_genes} is less than the {int(forced.sum())} measured target genes; those with the "
            "largest variance are kept"
        )
    # Targets first, then by variance; a stable sort leaves ties in the genes' order.
    order = np.lexsort((np.arange(count), -variances(values, training), ~forced))
    return np.sort(order[: options.n_genes]), messages


def variances(values: Any, rows: BoolArray) -> FloatArray:
    """Return the variance of each gene over some cells (n_genes,), float64."""
    places, count = np.flatnonzero(rows), int(rows.sum())
    if sparse.issparse(values):
        part = values[places]
        mean = np.bincount(part.indices, part.data, part.shape[1]) / count
        present = np.bincount(part.indices, minlength=part.shape[1])
        # Squared distances from the mean, of stored values and of the zeros that are not stored.
        squares = (part.data - mean[part.indices]) ** 2
        total = np.bincount(part.indices, squares, part.shape[1]) + (count - present) * mean**2
        variance: FloatArray = total / count
        return variance
    return np.concatenate(
        [
            values[places, start : start + GENES_AT_ONCE].var(axis=0, dtype=np.float64)
            for start in range(0, values.shape[1], GENES_AT_ONCE)
        ]
    )


def dense(values: Any) -> FloatArray:
    """Return a matrix as a dense float32 array of its own."""
    matrix = values.toarray() if sparse.issparse(values) else values
    return np.array(matrix, dtype=np.float32, order="C")


def scale_groups(expression: FloatArray, marks: tuple[BoolArray, ...]) -> FloatArray:
    """Scale each group of cells to mean 0 and deviation 1 by its own statistics; groups differ in any of the marks."""
    scaled = expression.astype(np.float64)
    code = sum(mark.astype(np.int64) << place for place, mark in enumerate(marks))
    for group in np.unique(code):
        part = scaled[code == group]
        scaled[code == group] = (part - part.mean(axis=0)) / (part.std(axis=0) + FLOOR)
    return scaled.astype(np.float32)


def reduced_truth(truth: Truth | None, chosen: IntArray) -> Truth | None:
    """Return what is known of the chosen genes."""
    if truth is None:
        return None
    square = np.ix_(chosen, chosen)
    return Truth(
        truth.network[square], truth.propagation[square], truth.mean[chosen], truth.effects[:, chosen], truth.labels
    )
