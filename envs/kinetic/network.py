"""A kinetic network: species, reactions, their rate laws and the slots that carry Michaelis constants."""

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .errors import KineticInputError

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


class RateLaw(StrEnum):
    """How a reaction's rate depends on its slots.

    Every law reads ``v = V F(x) (1 - rho) / D(x, K)``; they differ in the denominator ``D`` and the exponents in ``F``.
    """

    PAIRWISE_HILL = "pairwise_hill"
    """Generalised reversible Hill law with Hill coefficient 1 (Hofmeyr and Cornish-Bowden 1997)."""
    CONVENIENCE = "convenience"
    """Convenience kinetics, the common modular rate law (Liebermeister et al. 2010)."""
    IRREVERSIBLE = "irreversible_michaelis_menten"
    """Product of Michaelis-Menten terms of the substrates."""
    MASS_ACTION = "mass_action"
    """Reversible mass action; no Michaelis constants."""

    @property
    def reversible(self) -> bool:
        """Whether the rate contains the thermodynamic factor ``1 - rho``."""
        return self is not RateLaw.IRREVERSIBLE


class ModifierKind(StrEnum):
    """What a species that takes no slot does to a reaction."""

    DISPLACEMENT = "displacement"
    """Enters the displacement ``rho`` only (protons, usually)."""
    FIRST_ORDER = "first_order"
    """Enters ``rho``, and multiplies the rate by ``x**-n`` where its stoichiometry ``n`` is negative."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A substrate or product of a reaction and the name of its Michaelis constant.

    ``stoichiometry`` is negative for a substrate and positive for a product. ``label`` (``substrate2``) gives the
    natural order within a side; ``parameter`` is None where the law has no Michaelis constant for the slot.
    """

    label: str
    species: str
    stoichiometry: float
    parameter: str | None


@dataclass(frozen=True, slots=True)
class Modifier:
    """A species that acts on a reaction without a Michaelis constant; its stoichiometry enters the mass balance."""

    species: str
    stoichiometry: float
    kind: ModifierKind


@dataclass(frozen=True, slots=True)
class Reaction:
    """A reaction: rate law, slots in file order, modifiers."""

    name: str
    law: RateLaw
    slots: tuple[Slot, ...]
    modifiers: tuple[Modifier, ...] = ()

    @property
    def substrates(self) -> tuple[Slot, ...]:
        """Slots that are consumed, in natural order (substrate2 before substrate10)."""
        return tuple(sorted((slot for slot in self.slots if slot.stoichiometry < 0), key=_natural_order))

    @property
    def products(self) -> tuple[Slot, ...]:
        """Slots that are produced, in natural order."""
        return tuple(sorted((slot for slot in self.slots if slot.stoichiometry > 0), key=_natural_order))

    @property
    def participants(self) -> tuple[Slot | Modifier, ...]:
        """Slots and modifiers: all that enters the mass balance."""
        return self.slots + self.modifiers

    def exponent(self, slot: Slot) -> float:
        """Return the slot's exponent in the rate: ``|n|`` for convenience kinetics, else 1 (as in SKiMpy)."""
        return abs(slot.stoichiometry) if self.law is RateLaw.CONVENIENCE else 1.0

    def is_acting(self, slot: Slot) -> bool:
        """Whether the slot's Michaelis constant takes part in the rate; products of irreversible laws do not."""
        return slot.parameter is not None and (self.law.reversible or slot.stoichiometry < 0)


@dataclass(frozen=True)
class Network:
    """Species, reactions and compartment volume ratios; checked when it is made.

    Parameters
    ----------
    variables, constants
        Names of the species with and without a mass balance.
    reactions
        In file order, which is also the order of the Michaelis constants.
    volume_ratios
        Cell volume over compartment volume of each variable species; empty: 1 everywhere.

    Raises
    ------
    KineticInputError
        A name is unknown or given twice, or a reaction does not fit its rate law.
    """

    variables: tuple[str, ...]
    constants: tuple[str, ...]
    reactions: tuple[Reaction, ...]
    volume_ratios: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_names(self)
        _check_volume_ratios(self)
        for reaction in self.reactions:
            _check_reaction(reaction, set(self.species))

    @cached_property
    def species(self) -> tuple[str, ...]:
        """All species, variables first."""
        return self.variables + self.constants

    @cached_property
    def species_index(self) -> dict[str, int]:
        """Position of every species in :attr:`species`."""
        return {name: index for index, name in enumerate(self.species)}

    @cached_property
    def parameter_slots(self) -> tuple[tuple[int, Slot], ...]:
        """Reaction index and slot of every Michaelis constant, inert ones included, in file order."""
        return tuple(
            (index, slot)
            for index, reaction in enumerate(self.reactions)
            for slot in reaction.slots
            if slot.parameter is not None
        )

    @cached_property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the Michaelis constants, inert ones included, in file order."""
        return tuple(slot.parameter for _, slot in self.parameter_slots if slot.parameter is not None)

    @cached_property
    def acting(self) -> BoolArray:
        """Which Michaelis constants take part in a rate, ``(n_parameters,)``."""
        return np.array([self.reactions[index].is_acting(slot) for index, slot in self.parameter_slots], dtype=bool)

    @cached_property
    def reversible(self) -> BoolArray:
        """Which reactions have a displacement, ``(n_reactions,)``."""
        return np.array([reaction.law.reversible for reaction in self.reactions], dtype=bool)


def stoichiometric_matrix(network: Network) -> FloatArray:
    """Return the net stoichiometry of slots and modifiers, ``(n_species, n_reactions)``, variables first.

    Rows of constant species are filled too: chemical potentials need them. Volume ratios are left out.
    """
    matrix = np.zeros((len(network.species), len(network.reactions)))
    for column, reaction in enumerate(network.reactions):
        for participant in reaction.participants:
            matrix[network.species_index[participant.species], column] += participant.stoichiometry
    return matrix


def mass_balance_matrix(network: Network) -> FloatArray:
    """Return ``diag(r) N``, which maps rates to ``dx/dt`` of the variable species, ``(n_variables, n_reactions)``."""
    ratios = np.array(network.volume_ratios or (1.0,) * len(network.variables))
    return ratios[:, None] * stoichiometric_matrix(network)[: len(network.variables)]


def _natural_order(slot: Slot) -> list[str | int]:
    # Text and digits alternate, starting with text, so that two lists always compare like with like.
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", slot.label)]


def _check_names(network: Network) -> None:
    for kind, names in (
        ("species", network.species),
        ("reaction", tuple(reaction.name for reaction in network.reactions)),
        ("Michaelis constant", network.parameter_names),
    ):
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise KineticInputError(f"The {kind} {name} is given twice; give every {kind} its own name.")
            seen.add(name)
    if not network.variables or not network.reactions:
        raise KineticInputError("The network has no variable species or no reactions; give at least one of each.")


def _check_volume_ratios(network: Network) -> None:
    if not network.volume_ratios:
        return
    if len(network.volume_ratios) != len(network.variables):
        raise KineticInputError(
            f"{len(network.volume_ratios)} volume ratios for {len(network.variables)} variable species; "
            "give one for each, or none."
        )
    for species, ratio in zip(network.variables, network.volume_ratios, strict=True):
        if not (ratio > 0 and math.isfinite(ratio)):
            raise KineticInputError(
                f"The volume ratio of {species} is {ratio:g}; give compartment and cell volumes greater than 0."
            )


def _check_reaction(reaction: Reaction, known: set[str]) -> None:
    name = reaction.name
    if not reaction.slots:
        raise KineticInputError(f"Reaction {name} has no substrates or products; give it some or leave it out.")
    for participant in reaction.participants:
        if participant.species not in known:
            raise KineticInputError(
                f"Reaction {name} uses the species {participant.species}, which is neither variable nor constant; "
                "declare it as one of the two."
            )
        if participant.stoichiometry == 0 or not math.isfinite(participant.stoichiometry):
            raise KineticInputError(
                f"Reaction {name} gives {participant.species} the stoichiometry {participant.stoichiometry:g}; "
                "give a finite number other than 0."
            )
    if reaction.law is RateLaw.PAIRWISE_HILL and len(reaction.substrates) != len(reaction.products):
        raise KineticInputError(
            f"Reaction {name} has {len(reaction.substrates)} substrates and {len(reaction.products)} products, but a "
            "Hill law pairs them one to one; use Convenience."
        )
    for slot in reaction.slots:
        _check_parameter(reaction, slot)


def _check_parameter(reaction: Reaction, slot: Slot) -> None:
    if reaction.law is RateLaw.MASS_ACTION and slot.parameter is not None:
        raise KineticInputError(
            f"Reaction {reaction.name} follows mass action but {slot.species} has the Michaelis constant "
            f"{slot.parameter}; leave the constant out or choose another law."
        )
    needs_parameter = reaction.law.reversible or slot.stoichiometry < 0
    if reaction.law is not RateLaw.MASS_ACTION and needs_parameter and slot.parameter is None:
        raise KineticInputError(
            f"Reaction {reaction.name} has no Michaelis constant for {slot.species}, which its law "
            f"{reaction.law} needs; name one."
        )
