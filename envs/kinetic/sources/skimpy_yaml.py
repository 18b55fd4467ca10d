"""Kinetic models in the YAML of SKiMpy (Weilandt et al. 2023), as its ``export_to_yaml`` writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import KineticInputError
from ..network import FloatArray, Network, Reaction, Slot
from .skimpy_reactions import StoredNumbers, mapping, read_reaction
from .units import CONCENTRATION_UNITS, molar

REQUIRED_KEYS = ("reactants", "boundary_conditions", "parameters", "reactions")


@dataclass(frozen=True, slots=True, eq=False)
class SkimpyModel:
    """A model file: its network, and the numbers stored beside it.

    Parameters
    ----------
    path, name
        The file and the name that the model has in it.
    network
        Variables in file order; slots as substrates, then products, in natural order.
    compartments
        Compartment of every species that has one.
    concentration_unit
        Unit of the stored concentrations and Michaelis constants, as the caller gave it.
    km
        Stored Michaelis constants by name, in that unit.
    vmax
        Stored maximal forward rates by reaction, in that unit and hours.
    ln_km
        ln(mol/L) of all Michaelis constants, ``(n_parameters,)``; None where one is missing or the unit is not known.
    """

    path: Path
    name: str
    network: Network
    compartments: dict[str, str]
    concentration_unit: str | None
    km: dict[str, float]
    vmax: dict[str, float]
    ln_km: FloatArray | None

    def require_ln_km(self) -> FloatArray:
        """Return :attr:`ln_km`, or raise :class:`KineticInputError` with what is missing."""
        names = self.network.parameter_names
        missing = [name for name in names if name not in self.km]
        if missing:
            shown = ", ".join(missing[:10]) + (" and others" if len(missing) > 10 else "")
            raise KineticInputError(
                f"{self.path}: parameters has {len(names) - len(missing)} of {len(names)} Michaelis constants, without "
                f"{shown}; store all of them, or start from another set."
            )
        if self.ln_km is None:
            raise KineticInputError(
                f"{self.path}: the unit of the stored Michaelis constants is not known; give concentration_unit, one "
                f"of {', '.join(CONCENTRATION_UNITS)}."
            )
        return self.ln_km


def read_skimpy_model(path: str | Path, *, concentration_unit: str | None = None) -> SkimpyModel:
    """Read a model; only plain YAML is accepted, so that reading never runs code from the file.

    Parameters
    ----------
    path
        A YAML file with ``reactants``, ``boundary_conditions``, ``parameters`` and ``reactions``.
    concentration_unit
        Unit of stored Michaelis constants: M, mM, uM or nM. Files do not tell it, and it is not guessed.

    Raises
    ------
    KineticInputError
        The file cannot be read, or holds something that the rate laws here cannot express.
    """
    path = Path(path)
    unit = None if concentration_unit is None else molar(concentration_unit)
    content = _load(path)
    try:
        parameters = StoredNumbers(mapping(content, "parameters"))
        network, compartments = _network(content, parameters)
        km = parameters.known({name: name for name in network.parameter_names})
        vmax = parameters.known({reaction.name: f"vmax_forward_{reaction.name}" for reaction in network.reactions})
    except KineticInputError as error:
        raise KineticInputError(f"{path}: {error}") from None
    ln_km = None
    if unit is not None and len(km) == len(network.parameter_names):
        ln_km = np.log(np.array([km[name] for name in network.parameter_names]) * unit)
    return SkimpyModel(path, str(content.get("name")), network, compartments, concentration_unit, km, vmax, ln_km)


def renaissance_order(network: Network) -> tuple[str, ...]:
    """Return the names of all Michaelis constants in the order that SKiMpy and RENAISSANCE give them.

    Reactions are in file order. SKiMpy numbers the slots of a mechanism of any size and goes through the numbers:
    substrate1, product1, substrate2, and so on; mechanisms of fixed size list substrates, then products.
    """
    return tuple(
        slot.parameter
        for reaction in network.reactions
        for slot in _numbered_order(reaction)
        if slot.parameter is not None
    )


def _numbered_order(reaction: Reaction) -> list[Slot]:
    substrates, products = reaction.substrates, reaction.products
    if not all(slot.label[-1].isdigit() for slot in reaction.slots):
        return [*substrates, *products]
    return [slot for pair in zip_longest(substrates, products) for slot in pair if slot is not None]


def _load(path: Path) -> dict[str, Any]:
    import yaml

    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise KineticInputError(f"{path}: {error.strerror}; give the path of a model in SKiMpy's YAML.") from None
    except UnicodeDecodeError:
        raise KineticInputError(
            f"{path}: is no text, and pickles are refused because loading one runs code; give a model in SKiMpy's YAML."
        ) from None
    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise KineticInputError(
            f"{path}{line}: {error.problem}; give plain YAML (no Python objects) as SKiMpy's export_to_yaml writes it, "
            f"with {', '.join(REQUIRED_KEYS)}."
        ) from None
    except yaml.YAMLError:
        raise KineticInputError(
            f"{path}: contains characters that YAML forbids; give a model in SKiMpy's YAML."
        ) from None
    missing = [key for key in REQUIRED_KEYS if not isinstance(content, dict) or key not in content]
    if missing:
        raise KineticInputError(
            f"{path}: has no {', '.join(missing)}; give a model in SKiMpy's YAML, with {', '.join(REQUIRED_KEYS)}."
        )
    return dict(content)


def _network(content: Mapping[str, Any], parameters: StoredNumbers) -> tuple[Network, dict[str, str]]:
    reactants = mapping(content, "reactants") | mapping(content, "dependent_reactants")
    constants = _constants(content)
    variables = tuple(name for name in reactants if name not in constants)
    compartments = {
        name: str(entry["compartment"])
        for name, entry in reactants.items()
        if isinstance(entry, dict) and entry.get("compartment") is not None
    }
    ratios = _volume_ratios(parameters, sorted({*compartments.values()}))
    network = Network(
        variables,
        constants,
        tuple(
            read_reaction(str(entry.get("name", key)) if isinstance(entry, dict) else key, entry, parameters)
            for key, entry in mapping(content, "reactions").items()
        ),
        tuple(ratios.get(compartments.get(name, ""), 1.0) for name in variables),
    )
    return network, compartments


def _constants(content: Mapping[str, Any]) -> tuple[str, ...]:
    names = []
    for key, entry in mapping(content, "boundary_conditions").items():
        if not isinstance(entry, dict) or entry.get("class") != "ConstantConcentration" or "reactant" not in entry:
            raise KineticInputError(
                f"boundary_conditions.{key} is {entry!r:.80}; only class ConstantConcentration with a reactant is "
                "supported."
            )
        names.append(str(entry["reactant"]))
    return tuple(names)


def _volume_ratios(parameters: StoredNumbers, compartments: list[str]) -> dict[str, float]:
    """Return cell volume over compartment volume of every compartment, 1 where one of them is not given."""
    ratios = {}
    for compartment in compartments:
        volume = parameters.positive(f"volume_{compartment}")
        cell_volume = parameters.positive(f"cell_volume_{compartment}")
        ratios[compartment] = 1.0 if volume is None or cell_volume is None else cell_volume / volume
    return ratios
