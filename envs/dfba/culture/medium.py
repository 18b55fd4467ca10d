"""Media: what a culture starts from, is held at, or may take up without limit of stock.

A concentration is never taken for an uptake limit or the other way round: the unit of every row decides.
"""

import csv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .... import UserError
from ....configs.option import nearest
from ..flux_model import FluxModel
from ..kinetics import read_number

COLUMNS = ("species", "mode", "value", "unit")
MODES = ("dynamic", "constant", "static")
CONCENTRATION_UNITS = {"mol/L": 1e3, "M": 1e3, "mmol/L": 1.0, "mM": 1.0, "umol/L": 1e-3, "uM": 1e-3}
"""mmol/L for one unit."""
FLUX_UNITS = {"mmol/gDW/h": 1.0, "umol/gDW/h": 1e-3}
"""mmol/gDW/h for one unit."""

M9_SALTS = (
    *("ca2_e", "cl_e", "co2_e", "cobalt2_e", "cu2_e", "fe2_e", "fe3_e", "h_e", "h2o_e", "k_e", "mg2_e", "mn2_e"),
    *("mobd_e", "na1_e", "nh4_e", "ni2_e", "pi_e", "sel_e", "slnt_e", "so4_e", "tungs_e", "zn2_e"),
)
M9_GLUCOSE = {**dict.fromkeys(M9_SALTS, 1000.0), "o2_e": 20.0, "glc__D_e": 10.0}
"""Uptake limits (mmol/gDW/h) of aerobic growth on glucose in M9 salts, by BiGG's names."""


@dataclass
class Medium:
    """What a medium says of species, by their names in the models.

    Attributes
    ----------
    dynamic, constant
        Start concentrations and held concentrations, mmol/L.
    static
        Uptake limits of species in excess, mmol/gDW/h.
    """

    dynamic: dict[str, float] = field(default_factory=dict)
    constant: dict[str, float] = field(default_factory=dict)
    static: dict[str, float] = field(default_factory=dict)


def read_medium(source: Any, models: Mapping[str, FluxModel]) -> Medium:
    """Return a medium for the models of all agents.

    Parameters
    ----------
    source
        A CSV or YAML file, a list of rows with the columns ``species, mode, value, unit``, ``model`` (what the
        models' own files let in), ``m9_glucose``, or ``{preset, mode, value, unit}``, which gives all species of a
        preset the same value.

    Raises
    ------
    UserError
        With all identifiers that match no exchange, or the row that cannot be read.
    """
    if source is None:
        return Medium()
    if isinstance(source, str) and source in ("model", "m9_glucose"):
        return Medium(static=_preset(source, models))
    if isinstance(source, Mapping):
        names = _preset(str(source.get("preset")), models)
        rows = [{**source, "species": name} for name in names]
        return _collect("medium", [{key: row.get(key) for key in COLUMNS} for row in rows], models)
    if isinstance(source, str):
        return _collect(source, _read_rows(Path(source)), models)
    return _collect("medium", list(source), models)


def _preset(name: str, models: Mapping[str, FluxModel]) -> dict[str, float]:
    if name == "m9_glucose":
        known = {species for model in models.values() for species in model.exchanges}
        found = {species: limit for species, limit in M9_GLUCOSE.items() if species in known}
        if "glc__D_e" not in found:
            raise UserError("medium=m9_glucose: no model has BiGG's glc__D_e; give the medium as a file.")
        return found
    if name != "model":
        raise UserError(f"medium.preset={name}: choose model or m9_glucose.")
    limits: dict[str, float] = {}
    for model in models.values():
        for species, reaction in model.exchanges.items():
            if model.lower[reaction] < 0:
                limits[species] = max(limits.get(species, 0.0), -float(model.lower[reaction]))
    return limits


def _read_rows(path: Path) -> list[Any]:
    wanted = f"give CSV or YAML with the columns {', '.join(COLUMNS)}"
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"medium={path} cannot be read ({error}): {wanted}.") from error
    if path.suffix == ".csv":
        return list(csv.DictReader(text.splitlines(), skipinitialspace=True))
    try:
        rows = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"medium={path} is not YAML ({str(error).splitlines()[0]}): {wanted}.") from error
    if not isinstance(rows, list):
        raise UserError(f"medium={path} holds no list of rows: {wanted}.")
    return rows


def _collect(name: str, rows: Sequence[Any], models: Mapping[str, FluxModel]) -> Medium:
    medium, unmatched = Medium(), []
    for number, row in enumerate(rows, start=1):
        place = f"{name}, row {number}"
        if not isinstance(row, Mapping) or any(row.get(column) in (None, "") for column in COLUMNS):
            raise UserError(f"{place}, is {dict(row) if isinstance(row, Mapping) else row}: give {', '.join(COLUMNS)}.")
        mode, unit = str(row["mode"]).strip(), str(row["unit"]).strip()
        if mode not in MODES:
            raise UserError(f"{place}: mode={mode}; {nearest(mode, MODES)}")
        units = FLUX_UNITS if mode == "static" else CONCENTRATION_UNITS
        if unit not in units:
            kind = "an uptake limit" if mode == "static" else "a concentration"
            raise UserError(f"{place}: unit={unit} with mode={mode}, which is {kind}; give {' or '.join(units)}.")
        value = row["value"]
        with suppress(ValueError):  # told by read_number
            value = float(value) if isinstance(value, str) else value
        amount = read_number(f"{place}: value", value, minimum=0) * units[unit]
        species = match_species(str(row["species"]).strip(), models)
        if species is None:
            unmatched.append(str(row["species"]))
            continue
        if any(species in part for part in (medium.dynamic, medium.constant, medium.static)):
            raise UserError(f"{place}: {species} stands in an earlier row too; keep one.")
        {"dynamic": medium.dynamic, "constant": medium.constant, "static": medium.static}[mode][species] = amount
    if unmatched:
        example = next((species for model in models.values() for species in model.exchanges), "none")
        raise UserError(
            f"{name} names {', '.join(unmatched)}, which no model exchanges: write identifiers as the models do, such "
            f"as {example}."
        )
    return medium


def match_species(identifier: str, models: Mapping[str, FluxModel]) -> str | None:
    """Return the species of a metabolite or exchange identifier, or None where no model has it."""
    for model in models.values():
        if identifier in model.exchanges:
            return identifier
        for species, reaction in model.exchanges.items():
            if model.reactions[reaction] == identifier:
                return species
    return None
