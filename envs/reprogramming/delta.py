"""What a perturbation does to every gene of one cell, for export."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ... import UserError
from .config import ReprogrammingConfig
from .data import FloatArray, Prepared, StrArray
from .propagate import observed_range, simulate
from .simulation import Simulation
from .tables.file import replacing


@dataclass(frozen=True)
class CellChange:
    """Expression of one cell before and after.

    Attributes
    ----------
    cell, cluster
        Names.
    genes
        (G,) names.
    expression, change
        (G,): smoothed expression, and what the perturbation adds to it.
    """

    cell: str
    cluster: str
    genes: StrArray
    expression: FloatArray
    change: FloatArray


def change_cell(
    simulation: Simulation, cell: str, condition: Mapping[str, float], config: ReprogrammingConfig
) -> CellChange:
    """Return what a perturbation of genes to values does to a cell, named or by its position.

    Raises
    ------
    UserError
        For an unknown cell or gene, and a negative value.
    """
    prepared, grn = simulation.prepared, simulation.grn
    position = find_cell(prepared, cell)
    cluster = int(prepared.cluster_of_cell[position])
    clip = observed_range(prepared.imputed) if config.sim.clip else None
    expression = prepared.imputed[position]
    network = grn.W[cluster if len(grn.W) > 1 else 0]
    change = simulate(
        expression[None], network, [condition], config.sim.n_propagation, clip, genes=grn.genes, tfs=grn.tfs
    )
    return CellChange(
        str(prepared.cells[position]), str(prepared.clusters[cluster]), grn.genes, expression, change[0, 0]
    )


def find_cell(prepared: Prepared, cell: str) -> int:
    """Return the position of a cell by its name, or of a number that is no name.

    Raises
    ------
    UserError
        If there is none.
    """
    named = np.flatnonzero(prepared.cells == cell)
    if len(named):
        return int(named[0])
    if cell.isdigit() and int(cell) < len(prepared.cells):
        return int(cell)
    raise UserError(
        f"--cell {cell}: there is no such cell; give one of {', '.join(prepared.cells[:3])}, ... or a number below "
        f"{len(prepared.cells)}."
    )


def read_condition(genes: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """Return genes with their values.

    Raises
    ------
    UserError
        If there is not one value for each gene, or a gene is named twice.
    """
    if len(genes) != len(values) or len(set(genes)) < len(genes):
        raise UserError(
            f"--gene {' '.join(genes)} --value {' '.join(f'{value:g}' for value in values)}: give one value for each "
            "gene, and each gene once."
        )
    return dict(zip(genes, values, strict=True))


def write_change(change: CellChange, path: Path) -> None:
    """Write a line per gene: its expression, the change and their sum.

    Raises
    ------
    UserError
        With the path, where it cannot be written.
    """
    rows = zip(change.genes.tolist(), change.expression.tolist(), change.change.tolist(), strict=True)
    lines = ["gene,expression,change,simulated"]
    lines += [f"{gene},{before!r},{added!r},{before + added!r}" for gene, before, added in rows]
    with replacing(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def largest_changes(change: CellChange, count: int = 10) -> list[str]:
    """Return lines with the genes that change most, for a person."""
    order = np.argsort(-np.abs(change.change), kind="stable")[:count]
    changed = int((change.change != 0).sum())
    lines = [f"{change.cell} ({change.cluster}): {changed:,} of {len(change.genes):,} genes change"]
    width = max(len(str(gene)) for gene in change.genes[order])
    lines += [
        f"  {change.genes[gene]:<{width}}  {change.expression[gene]:8.4f}  {change.change[gene]:+9.4f}"
        for gene in order
        if change.change[gene] != 0
    ]
    return lines
