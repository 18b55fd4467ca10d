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
    cell = dict(zip(header[1:], _numbers(cells[1:]), strict=False))
    cell = {model_name(column): value for column, value in cell.items()} | cell
    reverse = {column.rpartition("_reverse_")[0]: value for column, value in cell.items() if "_reverse_" in column}
    names = [reaction.name for reaction in network.reactions]
    flux = {name: cell[name] - reverse.get(name, 0.0) for name in names if name in cell}
    ln_concentration = {species: cell.get(f"LC_{species.lstrip('_')}", np.nan) for species in network.species}
    free_energy = _told({name: cell.get(f"DG_{name}", np.nan) / KCAL_PER_MOL for name in names})
    free_energy |= _told({name: cell.get(f"LnGamma_{name}", np.nan) for name in names})
    return KnownValues(
        _told(flux),
        {species: float(np.exp(value)) for species, value in _told(ln_concentration).items()},
        {name: value for name, value in free_energy.items() if value != 0.0},
    )


def _told(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _numbers(cells: list[str]) -> list[float]:
    numbers = []
    for cell in cells:
        try:
            numbers.append(float(cell))
        except ValueError:
            numbers.append(np.nan)
    return numbers
