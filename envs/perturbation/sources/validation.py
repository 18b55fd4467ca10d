"""What labels and numbers of cells make data unusable."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .... import UserError
from ..data import BoolArray
from ..options import DataOptions

MIN_CONTROL_CELLS = 30


def frequent(labels: NDArray[np.str_], count: int) -> str:
    """Write the most frequent labels with their numbers of cells."""
    names, counts = np.unique(labels[labels != ""], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:count]
    return ", ".join(f"{names[place]} ({counts[place]:,})" for place in order) or "none"


def check_groups(labels: NDArray[np.str_], control: BoolArray, name: str) -> None:
    """Refuse data without perturbed cells or with too few control cells."""
    there = frequent(labels, 20)
    if control.all():
        raise UserError(
            f"{name} has no perturbation left: the labels are {there}; lower min_cells_per_perturbation or min_counts, "
            "raise the limits on cells, or check control_label."
        )
    if (count := int(control.sum())) < MIN_CONTROL_CELLS:
        raise UserError(
            f"{name} has {count} control cells left, fewer than {MIN_CONTROL_CELLS}: the labels are {there}; lower "
            "min_counts, raise the limits on cells, or check control_label."
        )


def check_labels(labels: Iterable[str], options: DataOptions, genes: NDArray[np.str_]) -> None:
    """Refuse labels that can be read in two ways: a control that is a gene, and a separator inside a gene's name."""
    for label in options.control_labels:
        if label in genes:
            raise UserError(
                f"control_label={label} is a measured gene too, so the label could mean control or its target: rename "
                f"the label in {options.pert_col}."
            )
    separator = options.combo_separator
    if separator is None:
        return
    framed = [f"{separator}{label}{separator}" for label in labels]
    for gene in genes[np.char.find(genes, separator) >= 0].tolist():
        if any(f"{separator}{gene}{separator}" in label for label in framed):
            raise UserError(
                f"combo_separator={separator}: gene {gene} has it inside its name and is a target; set combo_separator "
                "to characters that no target has, or to null if there are no combinations."
            )
