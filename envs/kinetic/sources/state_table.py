"""Steady states from files: tables of thermodynamic flux analysis (CSV), and computed states (JSON)."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import KineticInputError
from ..network import FloatArray, Network
from ..steady_state import SteadyState, check_steady_state

KCAL_PER_MOL = 8.314462618e-3 / 4.184 * 298.15
"""RT at 298.15 K, kcal/mol."""
REVERSE = re.compile(r"(.+)_reverse_[0-9a-f]+")
ROWS_SHOWN = 10


def row_names(path: str | Path) -> list[str]:
    """Return the names of a table's rows: its first column, without the header."""
    with _rows(Path(path)) as rows:
        next(rows)
        return [row[0] for row in rows if row]


def read_row(path: str | Path, row: str | int) -> tuple[list[str], list[str]]:
    """Return the cells of the header and of one row, given by name or position, as text."""
    path = Path(path)
    with _rows(path) as lines:
        header = next(lines)
        ((_, cells),) = _select(path, lines, [row])
    return header, cells


def read_states(
    path: str | Path, network: Network, *, rows: Sequence[str | int], flux_scale: float = 0.3
) -> list[SteadyState]:
    """Read steady states from a table with one row for each.

    The columns are net fluxes ``R``, or ``R`` and ``R_reverse_<hash>`` whose difference it is, ln concentrations
    ``LC_<species>`` in mol/L, and displacements ``LnGamma_<R>`` or else free energies ``DG_<R>`` in kcal/mol at 298.15
    K. Species are spelled as in the model, or with ``-`` for ``_`` and without the ``_`` before a leading digit.
    Columns that the network does not need are ignored, as are displacements of irreversible reactions.

    Parameters
    ----------
    path
        The table, CSV with a header, row names in the first column.
    network
        The model, whose reactions and species the states are ordered by.
    rows
        Each a row's name, or its position from 0.
    flux_scale
        mol/L/h in 1 mmol/gDW/h: 1e-3 times density (g/L) times dry weight per wet weight.

    Raises
    ------
    KineticInputError
        The file cannot be read, a row or a column is missing, or a state does not fit the network or physics.
    """
    path = Path(path)
    if not (flux_scale > 0 and np.isfinite(flux_scale)):
        raise KineticInputError(f"flux_scale={flux_scale:g}: give a finite number greater than 0.")
    with _rows(path) as lines:
        columns = _columns(path, next(lines), network)
        found = _select(path, lines, rows)
    states = [_state(f"{path} row {name}", cells, columns, flux_scale) for name, cells in found]
    for state in states:
        check_steady_state(network, state)
    return states


def read_computed_state(path: str | Path, network: Network) -> SteadyState:
    """Read a computed state: JSON with reaction_names, flux, ln_displacement (null where irreversible), concentration.

    Fluxes are in mol/L/h, concentrations in mol/L by species. The provenance says ``state=computed``.

    Raises
    ------
    KineticInputError
        The file cannot be read, lacks a reaction or a species, or the state does not fit the network or physics.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_bytes())
        names = content["reaction_names"]
        flux = dict(zip(names, content["flux"], strict=True))
        displacement = dict(zip(names, content["ln_displacement"], strict=True))
        concentration = dict(content["concentration"])
    except OSError as error:
        raise KineticInputError(f"{path}: {error.strerror}; give the path of a computed state.") from None
    except (KeyError, TypeError, ValueError):
        raise KineticInputError(
            f"{path}: is no computed state; give JSON with reaction_names, flux and ln_displacement of equal length, "
            "and concentration by species."
        ) from None
    missing = [reaction.name for reaction in network.reactions if reaction.name not in flux]
    missing += [species for species in network.species if species not in concentration]
    _refuse_missing(path, missing, "each reaction of the model in reaction_names and each species in concentration")
    try:
        state = SteadyState(
            np.array([flux[reaction.name] for reaction in network.reactions], dtype=np.float64),
            np.array(
                [displacement[reaction.name] if reaction.law.reversible else -np.inf for reaction in network.reactions],
                dtype=np.float64,
            ),
            np.array([concentration[species] for species in network.species], dtype=np.float64),
            f"{path} (state=computed)",
        )
    except (TypeError, ValueError):
        raise KineticInputError(f"{path}: a flux, displacement or concentration is no number; give numbers.") from None
    check_steady_state(network, state)
    return state


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where a table has the numbers of each reaction and species, and what displacements are divided by."""

    header: list[str]
    forward: list[int]
    reverse: list[int | None]
    displacement: list[tuple[int, float] | None]
    ln_concentration: list[int]


@contextmanager
def _rows(path: Path) -> Iterator[Iterator[list[str]]]:
    """Open a table; give its lines as lists of text, the header first."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            yield rows
    except OSError as error:
        raise KineticInputError(f"{path}: {error.strerror}; give the path of a table of states (CSV).") from None
    except (UnicodeDecodeError, csv.Error):
        raise KineticInputError(f"{path}: is no table of text, and pickles are refused; give states as CSV.") from None
    except StopIteration:
        raise KineticInputError(f"{path}: is empty; give a table with a header and one row for each state.") from None


def _columns(path: Path, header: list[str], network: Network) -> _Columns:
    position = {model_name(name): index for index, name in reversed(list(enumerate(header)))}
    position |= {name: index for index, name in enumerate(header)}
    reverse = {match[1]: index for index, name in enumerate(header) if (match := REVERSE.fullmatch(name))}
    reverse |= {model_name(name): index for name, index in reverse.items() if model_name(name) not in reverse}
    ln_concentration = {model_name(name[3:]): index for index, name in enumerate(header) if name.startswith("LC_")}
    displacement = {
        reaction.name: (position[f"{prefix}_{reaction.name}"], divisor)
        for prefix, divisor in (("DG", KCAL_PER_MOL), ("LnGamma", 1.0))
        for reaction in network.reactions
        if f"{prefix}_{reaction.name}" in position and reaction.law.reversible
    }
    names = [reaction.name for reaction in network.reactions]
    missing = [name for name in names if name not in position]
    missing += [f"LC_{species}" for species in network.species if species not in ln_concentration]
    missing += [
        f"LnGamma_{reaction.name}"
        for reaction in network.reactions
        if reaction.law.reversible and reaction.name not in displacement
    ]
    _refuse_missing(
        path,
        missing,
        "columns <reaction>, LC_<species> and LnGamma_<reaction> or DG_<reaction>, spelled as in the model",
    )
    return _Columns(
        header,
        [position[name] for name in names],
        [reverse.get(name) for name in names],
        [displacement.get(name) for name in names],
        [ln_concentration[species] for species in network.species],
    )


def _refuse_missing(path: Path, missing: list[str], expected: str) -> None:
    if missing:
        raise KineticInputError(
            f"{path}: {len(missing)} needed entries are missing, {', '.join(missing[:10])}"
            f"{' and others' if len(missing) > 10 else ''}; give {expected}."
        )


def model_name(name: str) -> str:
    """Return a table's name as a kinetic model spells it."""
    name = name.replace("-", "_")
    return f"_{name}" if name[:1].isdigit() else name


def _select(path: Path, lines: Iterator[list[str]], rows: Sequence[str | int]) -> list[tuple[str, list[str]]]:
    """Return name and cells of the wanted rows, in their order; only these are kept in memory."""
    wanted = set(rows)
    names: list[str] = []
    kept: dict[str | int, tuple[str, list[str]]] = {}
    for cells in filter(None, lines):
        for key in (len(names), cells[0]):
            if key in wanted:
                if key in kept:
                    raise KineticInputError(f"{path}: has two rows {key}; give the position of one, from 0.")
                kept[key] = (cells[0], cells)
        names.append(cells[0])
    for row in rows:
        if row not in kept:
            shown = ", ".join(names[:ROWS_SHOWN]) + (", ..." if len(names) > ROWS_SHOWN else "")
            raise KineticInputError(
                f"{path}: has no row {row!r}; give one of the {len(names)} names ({shown}) or a position from 0 to "
                f"{len(names) - 1}."
            )
    return [kept[row] for row in rows]


def _state(place: str, cells: list[str], columns: _Columns, flux_scale: float) -> SteadyState:

    def number(index: int) -> float:
        try:
            return float(cells[index])
        except (ValueError, IndexError):
            value: Any = cells[index] if index < len(cells) else "missing"
            raise KineticInputError(f"{place}: {columns.header[index]} is {value!r}; give a number.") from None

    reverse = np.array([0.0 if index is None else number(index) for index in columns.reverse])
    flux: FloatArray = flux_scale * (np.array([number(index) for index in columns.forward]) - reverse)
    displacement = [-np.inf if entry is None else number(entry[0]) / entry[1] for entry in columns.displacement]
    with np.errstate(over="ignore"):
        concentration = np.exp([number(index) for index in columns.ln_concentration])
    return SteadyState(flux, np.array(displacement), concentration, place)
