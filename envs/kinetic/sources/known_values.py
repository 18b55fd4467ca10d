"""What a row of a table of states tells, where it does not tell all that a steady state needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..network import Network
from .state_table import KCAL_PER_MOL, model_name, read_row


@dataclass(frozen=True, slots=True)
class KnownValues:
    """Fluxes (mmol/gDW/h) and ``dG/RT`` by reaction, and concentrations (mol/L) by species."""

    flux: Mapping[str, float]
    concentration: Mapping[str, float]
    free_energy: Mapping[str, float]


def read_known_values(path: str | Path, network: Network, *, row: str | int) -> KnownValues:
    """Read what a row tells about a network's reactions and species; see `read_states` for the columns.

    Empty cells and those that are no number tell nothing, and other columns are ignored.

    Raises
    ------
    KineticInputError
        The file cannot be read, or has no such row.
    """
    header, cells = read_row(path, row)
    told = {model_name(column): value for column, value in zip(header[1:], _numbers(cells[1:]), strict=False)}
    told = {column: value for column, value in told.items() if np.isfinite(value)}
    reverse = {column.rpartition("_reverse_")[0]: value for column, value in told.items() if "_reverse_" in column}
    names = [reaction.name for reaction in network.reactions]
    concentration = {species: told[f"LC_{species.lstrip('_')}"] for species in network.species if _lc(species) in told}
    free_energy = {name: told[f"DG_{name}"] / KCAL_PER_MOL for name in names if f"DG_{name}" in told}
    free_energy |= {name: told[f"LnGamma_{name}"] for name in names if f"LnGamma_{name}" in told}
    return KnownValues(
        {name: told[name] - reverse.get(name, 0.0) for name in names if name in told},
        {species: float(np.exp(value)) for species, value in concentration.items()},
        {name: value for name, value in free_energy.items() if value != 0.0},
    )


def _lc(species: str) -> str:
    return f"LC_{species.lstrip('_')}"


def _numbers(cells: list[str]) -> list[float]:
    numbers = []
    for cell in cells:
        try:
            numbers.append(float(cell))
        except ValueError:
            numbers.append(np.nan)
    return numbers
