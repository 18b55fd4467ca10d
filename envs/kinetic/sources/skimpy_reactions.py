"""Reactions in the YAML of SKiMpy: mechanism classes, slots and modifiers, and the numbers that go with them."""

import math
import re
from collections.abc import Mapping
from typing import Any

from ..errors import KineticInputError
from ..network import Modifier, ModifierKind, RateLaw, Reaction, Slot

MECHANISMS = {
    "ReversibleMichaelisMenten": RateLaw.PAIRWISE_HILL,
    "H1GeneralizedReversibleHill": RateLaw.PAIRWISE_HILL,
    "Convenience": RateLaw.CONVENIENCE,
    # With Hill coefficient 1 both are convenience kinetics of three participants.
    "UniBiReversibleHill": RateLaw.CONVENIENCE,
    "BiUniReversibleHill": RateLaw.CONVENIENCE,
    "IrrevMichaelisMenten": RateLaw.IRREVERSIBLE,
    "RevMassaction": RateLaw.MASS_ACTION,
}
MODIFIERS = {
    "DisplacementSmallMoleculeModifier": ModifierKind.DISPLACEMENT,
    "FirstOrderSmallMoleculeModifier": ModifierKind.FIRST_ORDER,
}

GENERATED_SUFFIX = re.compile(r"(_m?[0-9][0-9.e+]*)+$")
"""SKiMpy generates a class for every stoichiometry and names it so: ``Convenience_m1_m1_2``."""
SLOT = re.compile(r"(substrate|product)[0-9]*")


class StoredNumbers:
    """The section ``parameters``, with values that are numbers or null."""

    def __init__(self, section: Mapping[str, Any]) -> None:
        self.section = section

    def positive(self, key: str) -> float | None:
        """Return a number greater than 0, or None where the key is missing or null."""
        value = self.section.get(key)
        if value is None:
            return None
        number = as_number(value)
        if not 0 < number < math.inf:
            raise KineticInputError(f"parameters.{key} is {value}; give a finite number greater than 0, or null.")
        return number

    def known(self, keys: Mapping[str, str]) -> dict[str, float]:
        """Return the stored positive numbers by the names that the keys are given under."""
        values = {name: self.positive(key) for name, key in keys.items()}
        return {name: value for name, value in values.items() if value is not None}


def as_number(value: Any) -> float:
    """Return a float, NaN for what is none; text too, as YAML 1.1 reads 1e-6 (without a point) as text."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan


def mapping(content: Mapping[str, Any], key: str, place: str = "") -> dict[str, Any]:
    """Return a mapping, empty for null."""
    value = content.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise KineticInputError(f"{place}{key} is {value!r:.60}; give a mapping.")
    return {str(name): entry for name, entry in value.items()}


def read_reaction(name: str, entry: Any, parameters: StoredNumbers) -> Reaction:
    """Return a reaction with its slots as substrates, then products, in natural order."""
    place = f"Reaction {name}: "
    if not isinstance(entry, dict):
        raise KineticInputError(f"{place}is {entry!r:.60}; give a mapping with mechanism.")
    mechanism = mapping(entry, "mechanism", place)
    law = _law(name, mechanism, parameters)
    if entry.get("enzyme") is not None:
        raise KineticInputError(f"{place}has the enzyme {entry['enzyme']} as a variable; set enzyme to null, use vmax.")
    stoichiometry = mapping(mechanism, "mechanism_stoichiometry", place)
    slots = []
    for label, species in mechanism.items():
        if label in ("class", "mechanism_stoichiometry"):
            continue
        if not SLOT.fullmatch(label) or species is None:
            raise KineticInputError(
                f"{place}mechanism.{label} is {species}; only species at substrate and product slots are supported, no "
                "inhibitors or activators."
            )
        sign = -1.0 if label.startswith("substrate") else 1.0
        number = as_number(stoichiometry.get(label, sign))
        if number * sign < 0:
            raise KineticInputError(
                f"{place}mechanism_stoichiometry.{label} is {number:g}; give substrates negative and products positive "
                "numbers."
            )
        parameter = None if law is RateLaw.MASS_ACTION else f"km_{label}_{name}"
        slots.append(Slot(label, str(species), number, parameter))
    modifiers = tuple(_modifier(name, key, item) for key, item in mapping(entry, "modifiers", place).items())
    reaction = Reaction(name, law, tuple(slots), modifiers)
    return Reaction(name, law, reaction.substrates + reaction.products, modifiers)


def _law(name: str, mechanism: Mapping[str, Any], parameters: StoredNumbers) -> RateLaw:
    given = str(mechanism.get("class"))
    class_name = GENERATED_SUFFIX.sub("", given)
    if class_name not in MECHANISMS:
        raise KineticInputError(
            f"Reaction {name}: the mechanism class {given} is not supported; use one of {', '.join(MECHANISMS)}."
        )
    key = f"hill_coefficient_{name}"
    coefficient = parameters.positive(key) if class_name in ("UniBiReversibleHill", "BiUniReversibleHill") else None
    if coefficient not in (None, 1.0):
        raise KineticInputError(f"Reaction {name}: parameters.{key} is {coefficient:g}; only 1 is supported.")
    return MECHANISMS[class_name]


def _modifier(reaction: str, key: str, entry: Any) -> Modifier:
    class_name = entry.get("class") if isinstance(entry, dict) else None
    if class_name not in MODIFIERS:
        raise KineticInputError(
            f"Reaction {reaction}: the modifier {key} of class {class_name} is not supported; use one of "
            f"{', '.join(MODIFIERS)}, or leave the modifier out of the file if the reaction shall run without it."
        )
    stoichiometry = entry.get("mechanism_stoichiometry")
    if isinstance(stoichiometry, dict):
        stoichiometry = stoichiometry.get("small_molecule")
    if entry.get("small_molecule") is None or math.isnan(as_number(stoichiometry)):
        raise KineticInputError(
            f"Reaction {reaction}: the modifier {key} needs small_molecule and a number as mechanism_stoichiometry."
        )
    return Modifier(str(entry["small_molecule"]), as_number(stoichiometry), MODIFIERS[class_name])
