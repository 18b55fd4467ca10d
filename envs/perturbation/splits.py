"""Split cells into training and test cells, by cell, by perturbation and by cell type."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from .data import SEPARATOR, BoolArray, IntArray, PerturbationData, Split
from .genes import label_members
from .options import SplitOptions
from .sources.validation import frequent

HALVES_SEED = 1000
"""Added to the split's seed for cutting the test controls into halves."""


def split_data(
    data: PerturbationData,
    options: SplitOptions | None = None,
    *,
    combo_separator: str | None = SEPARATOR,
    **changes: Any,
) -> Split:
    """Return which cells are test cells; the same seed and labels give the same split.

    Of control cells and of each seen perturbation ``test_fraction`` are test cells (split A), within each cell type.
    Of the perturbations, ``held_out_perturbations`` have nothing but test cells (split B), and so have combinations
    with one of them. All cells of ``held_out_cell_type`` are test cells, the perturbed ones (split C) and the
    controls that predictions for them start from. Test controls are cut into halves that share no cell.

    Raises
    ------
    UserError
        If no perturbation would be seen, or the cell type is unknown or has no control cells.
    """
    options = dataclasses.replace(options or SplitOptions(), **changes)
    check_cell_type(data, options.held_out_cell_type)
    labels = np.unique(data.labels[~data.control]).tolist()
    control = str(data.labels[data.control][0])
    members = {label: label_members(label, combo_separator, control) for label in labels}
    seed = options.seed or 0
    random = np.random.default_rng(seed)
    held_out = held_out_labels(members, options.held_out_perturbations, random)
    test = np.zeros(len(data.labels), dtype=bool)
    for rows, whole in _groups(data, labels, held_out, options.held_out_cell_type):
        order = random.permutation(len(rows))
        test[rows[order if whole else order[: round(options.test_fraction * len(rows))]]] = True
    check_seen(data, test, options)
    seen_labels = np.unique(data.labels[~data.control & ~test]).tolist()
    seen_members = {member for label in seen_labels for member in members[label]}
    start, reference = control_halves(test & data.control, seed)
    return Split(
        test=test,
        held_out=tuple(label for label in labels if label in held_out),
        held_out_cell_type=options.held_out_cell_type,
        start=start,
        reference=reference,
        members_seen={label: sum(member in seen_members for member in members[label]) for label in labels},
    )


def held_out_labels(
    members: dict[str, tuple[str, ...]], fraction: float, random: np.random.Generator
) -> frozenset[str]:
    """Draw the labels that are held out, and add combinations with a member among them."""
    labels = list(members)
    order = random.permutation(len(labels))
    if not fraction:
        return frozenset()
    if len(labels) < 2:
        raise UserError(
            f"There is only one perturbation, {labels[0]}, and held_out_perturbations={fraction:g} would hold it out: "
            "set held_out_perturbations=0."
        )
    drawn = {labels[place] for place in order[: max(1, round(fraction * len(labels)))]}
    held_out = frozenset(label for label in labels if label in drawn or drawn & set(members[label]))
    if len(held_out) == len(labels):
        raise UserError(
            f"held_out_perturbations={fraction:g} holds out all {len(labels)} perturbations, combinations with a "
            "held-out member included: give a smaller share."
        )
    return held_out


def _groups(
    data: PerturbationData, labels: list[str], held_out: frozenset[str], cell_type: str | None
) -> Iterator[tuple[IntArray, bool]]:
    """Yield positions of control, then of each label, by cell type, and whether all of them are test cells."""
    codes = np.searchsorted(labels, data.labels) if labels else np.zeros(len(data.labels), dtype=np.int64)
    codes = np.where(data.control, -1, codes)
    types, kinds = (
        (["all"], np.zeros(len(codes), dtype=np.int64))
        if data.cell_types is None
        else np.unique(data.cell_types, return_inverse=True)
    )
    # One stable sort finds all groups, with cells in the data's order.
    order = np.lexsort((np.arange(len(codes)), kinds, codes))
    keys = codes[order] * len(types) + kinds[order]
    for rows in np.split(order, np.flatnonzero(np.diff(keys)) + 1):
        label = "" if codes[rows[0]] < 0 else labels[codes[rows[0]]]
        yield rows, label in held_out or types[kinds[rows[0]]] == cell_type


def control_halves(test_control: BoolArray, seed: int) -> tuple[IntArray, IntArray]:
    """Return increasing positions of two halves of the test controls, of cells to start from and of reference cells."""
    cells = np.flatnonzero(test_control)
    order = cells[np.random.default_rng(HALVES_SEED + seed).permutation(len(cells))]
    return np.sort(order[: len(cells) // 2]), np.sort(order[len(cells) // 2 :])


def check_cell_type(data: PerturbationData, cell_type: str | None) -> None:
    """Refuse a held-out cell type that is not there or has no control cells."""
    if cell_type is None:
        return
    if data.cell_types is None:
        raise UserError(
            f"held_out_cell_type={cell_type}: cells have no types, so name their column with cell_type_col."
        )
    types: NDArray[np.str_] = data.cell_types
    controls = types[data.control]
    if cell_type not in controls:
        problem = "has no control cells" if cell_type in types else "is not there"
        raise UserError(
            f"held_out_cell_type={cell_type} {problem}: types have cells {frequent(types, len(types))}, of them "
            f"controls {frequent(controls, len(types))}; choose one that has some."
        )


def check_seen(data: PerturbationData, test: BoolArray, options: SplitOptions) -> None:
    """Refuse a split without training cells of a kind that is needed."""
    if test[data.control].all():
        raise UserError(
            f"held_out_cell_type={options.held_out_cell_type}, test_fraction={options.test_fraction:g}: no control "
            "cell is left for training; hold out less."
        )
    if test[~data.control].all():
        raise UserError(
            f"held_out_perturbations={options.held_out_perturbations:g}, "
            f"held_out_cell_type={options.held_out_cell_type}, test_fraction={options.test_fraction:g}: no perturbed "
            "cell is left for training; hold out less."
        )
    if test[data.control].sum() < 2:
        raise UserError(
            f"test_fraction={options.test_fraction:g} leaves {int(test[data.control].sum())} test controls, and both "
            "halves need one: give a larger share."
        )
