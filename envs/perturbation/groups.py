"""What is to be predicted, and the control cells to start from and to compare with.

A group is the cells of one perturbation and, where the data have several, of one cell type. It belongs to split B if
its label was held out, whatever its type, else to C if its type was, else to A.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ... import UserError
from .data import IntArray, PreparedData

Observed = Literal["test", "train"]
ControlReference = Literal["disjoint", "shared"]


@dataclass(frozen=True)
class Group:
    """What is to be predicted: the cells of a perturbation and type, by position, and the split they belong to."""

    perturbation: int
    cell_type: int
    split: str
    cells: IntArray


def observed_groups(prepared: PreparedData, observed: Observed = "test") -> list[Group]:
    """Return what is to be predicted, by perturbation and then by cell type.

    Training cells are all of split A, since their labels and types were seen. Types without control cells to start from
    and to compare with are left out.
    """
    test, split = observed == "test", prepared.split
    groups = []
    kinds = [
        kind
        for kind in range(len(prepared.cell_types))
        if min(map(len, control_halves(prepared, observed, kind, "disjoint", 0))) > 0
    ]
    for label, name in enumerate(prepared.perturbations):
        for kind in kinds:
            if len(cells := prepared.cells(label, kind, test=test)):
                held_out_type = prepared.cell_types[kind] == split.held_out_cell_type
                letter = "B" if name in split.held_out else "C" if held_out_type else "A"
                groups.append(Group(label, kind, letter, cells))
    if not groups:
        raise UserError(
            f"observed={observed}: no cell type has two control cells and a perturbed one, so supply more or hold "
            "out fewer."
        )
    return groups


def start_cells(
    prepared: PreparedData,
    observed: Observed = "test",
    cell_type: int = 0,
    *,
    control_reference: ControlReference = "disjoint",
    seed: int = 0,
) -> IntArray:
    """Return positions of the control cells of a type that predictions start from, in random order.

    For test cells it is the first half of the test controls; for training cells half of the training controls, drawn
    with the seed. With a shared reference it is all of them. The first few are a random sample of them all.
    """
    return control_halves(prepared, observed, cell_type, control_reference, seed)[0]


def control_halves(
    prepared: PreparedData, observed: Observed, cell_type: int, control_reference: ControlReference, seed: int
) -> tuple[IntArray, IntArray]:
    """Return the controls of a type to start from and those to measure effects against."""
    generator = np.random.default_rng(seed)
    if observed == "test":
        start, reference = (
            half[prepared.cell_type[half] == cell_type] for half in (prepared.split.start, prepared.split.reference)
        )
    else:
        start, reference = np.array_split(generator.permutation(prepared.cells(None, cell_type)), 2)
    if control_reference == "shared":
        start = reference = np.concatenate([start, reference])
    return generator.permutation(start), reference
