"""Steady states completed from what is known of them: fluxes, free energies and concentrations.

What is not known is assumed: it is drawn around plausible values under mass balances and thermodynamics, and named.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import version

import numpy as np

from ..errors import KineticInputError
from ..network import BoolArray, FloatArray, Network, stoichiometric_matrix
from ..steady_state import LARGEST_CONCENTRATION, SteadyState, check_steady_state
from .state_draws import (
    FLUX_SCALE,
    SMALLEST_FLUX,
    SMALLEST_FREE_ENERGY,
    draw_concentrations,
    draw_flux_targets,
    draw_free_energy_targets,
)
from .state_origin import StateOrigin, trace
from .thermodynamics import (
    LARGEST_FLUX,
    DirectionProblem,
    choose_directions,
    has_directions,
    nearest_fluxes,
    nearest_free_energies,
)

ASSUMED_WEIGHT = 0.01
"""Cost of moving an assumed value relative to a given one: given values move only where nothing else can."""
LARGEST_COEFFICIENT = 1e3
"""Reactions with larger coefficients (growth reactions reach 1e7) are scaled; the solver's tolerance is absolute."""


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """Values in the network's order, NaN where nothing is known."""

    flux: FloatArray
    free_energy: FloatArray
    concentration: FloatArray
    direction: FloatArray


def complete_state(
    network: Network,
    *,
    fluxes: Mapping[str, float] | None = None,
    concentrations: Mapping[str, float] | None = None,
    free_energies: Mapping[str, float] | None = None,
    directions: Mapping[str, int] | None = None,
    reference: Mapping[str, float] | None = None,
    smallest_flux: float = SMALLEST_FLUX,
    flux_scale: float = FLUX_SCALE,
    member: int = 0,
    source: str = "state",
) -> tuple[SteadyState, StateOrigin]:
    """Return a steady, driven state that keeps the known values where it can, and what became of them.

    Directions come from a mixed-integer program, fluxes and free energies from linear ones that move assumed values
    rather than given ones. Given directions, and signs of given fluxes and free energies, are kept if a state has all
    of them; else only ``directions`` are.

    Parameters
    ----------
    network
        The reactions and species to be completed.
    fluxes
        Known net fluxes by reaction, mmol/gDW/h; 0 means at rest, which no rate law allows, and is not kept.
    concentrations
        Known concentrations by species, mol/L.
    free_energies
        Known ``dG/RT`` by reaction.
    directions
        +1 or -1 by reaction, whatever is known of its flux.
    reference
        Computed fluxes to stay close to where none is known, such as those of a growth optimum, mmol/gDW/h.
    smallest_flux
        Least absolute flux (eps) of a reaction without a known flux or a smaller reference, mmol/gDW/h; of a reaction
        with coefficients above 1000, the least flux times its largest coefficient.
    flux_scale
        mol/L/h for 1 mmol/gDW/h.
    member
        Number of the draw; all numbers share the known values.
    source
        What the provenance begins with.

    Raises
    ------
    KineticInputError
        A name is unknown, a value is impossible, or no state exists.
    """
    _check_positive({"smallest_flux (eps)": smallest_flux, "flux_scale": flux_scale}, source)
    if member < 0:
        raise KineticInputError(f"member={member}: give a number of at least 0.")
    known = _arrange(network, fluxes, concentrations, free_energies, directions, source)
    generator = np.random.default_rng([2026, member])
    flux = _complete_fluxes(network, known, reference or {}, smallest_flux, member, generator, source)
    free_energy = _complete_free_energies(network, known, np.sign(flux), generator)
    concentration = draw_concentrations(network, flux_scale * flux, generator, concentrations or {})
    reactions = tuple(reaction.name for reaction in network.reactions)
    reversible = np.flatnonzero(network.reversible)
    origin = StateOrigin(
        trace(reactions, known.flux, flux),
        trace(tuple(reactions[index] for index in reversible), known.free_energy[reversible], free_energy[reversible]),
        trace(network.species, known.concentration, concentration),
    )
    provenance = f"{source} member {member} (computed with scipy {version('scipy')}; {origin})"
    state = SteadyState(flux_scale * flux, free_energy, concentration, provenance)
    check_steady_state(network, state)
    return state, origin


def _complete_fluxes(
    network: Network,
    known: _Known,
    reference: Mapping[str, float],
    smallest_flux: float,
    member: int,
    generator: np.random.Generator,
    source: str,
) -> FloatArray:
    """Return steady fluxes of thermodynamically possible directions, mmol/gDW/h, ``(n_reactions,)``."""
    given = np.isfinite(known.flux) & (known.flux != 0)
    computed = np.array([reference.get(reaction.name, 0.0) for reaction in network.reactions])
    wanted = np.where(given, known.flux, computed)
    _check_one_way(network, wanted, source)
    problem = direction_problem(network, wanted, known.direction, smallest_flux)
    importance = np.where(given, 1.0, ASSUMED_WEIGHT)
    problem = replace(problem, weight=importance / (1.0 + np.abs(problem.reference)))
    direction = _choose_directions(problem, known, given)
    drawn = draw_flux_targets(problem.reference, direction, problem.smallest_flux, member, generator)
    target = np.where(given, problem.reference, drawn)
    scaled = nearest_fluxes(
        problem.stoichiometry[problem.balanced],
        target,
        direction,
        problem.smallest_flux,
        weight=importance / (1.0 + np.abs(target)),
        largest_flux=problem.largest_flux,
    )
    return scaled / _column_scale(network)


def direction_problem(
    network: Network, reference: FloatArray, direction: FloatArray, smallest_flux: float
) -> DirectionProblem:
    """Return the problem of finding directions for reference fluxes, mmol/gDW/h, 0 where none is known.

    Fluxes of reactions with large coefficients are multiplied by the largest of them. ``direction`` is +1, -1 or, where
    it is free, 0; ``(n_reactions,)`` both.
    """
    scale = _column_scale(network)
    wanted = scale * reference
    return DirectionProblem(
        stoichiometry=stoichiometric_matrix(network) / scale,
        balanced=np.arange(len(network.species)) < len(network.variables),
        reference=wanted,
        smallest_flux=np.where(wanted == 0, smallest_flux, np.minimum(smallest_flux, np.abs(wanted))),
        fixed_direction=np.where(network.reversible, direction, 1.0),
        driven=network.reversible,
        largest_flux=max(LARGEST_FLUX, 1.25 * float(np.abs(wanted).max())),
    )


def _column_scale(network: Network) -> FloatArray:
    largest = np.abs(stoichiometric_matrix(network)).max(axis=0)
    return np.where(largest > LARGEST_COEFFICIENT, largest, 1.0)


def _choose_directions(problem: DirectionProblem, known: _Known, given: BoolArray) -> FloatArray:
    """Return directions with the signs of the known values; without them if no state has them all."""
    signs = np.where(given, np.sign(known.flux), -np.sign(np.nan_to_num(known.free_energy)))
    signed = replace(problem, fixed_direction=np.where(problem.fixed_direction != 0, problem.fixed_direction, signs))
    if has_directions(signed):
        return choose_directions(signed)[0]
    return choose_directions(problem)[0]


def _complete_free_energies(
    network: Network, known: _Known, direction: FloatArray, generator: np.random.Generator
) -> FloatArray:
    """Return dG/RT, minus infinity for irreversible reactions, ``(n_reactions,)``."""
    reversible = network.reversible
    given = known.free_energy[reversible]
    # A known free energy against the flux is of no use; one of the right sign may be as small as it likes.
    usable = given * direction[reversible] < 0
    drawn = draw_free_energy_targets(direction[reversible], generator)
    target = np.where(usable, given, drawn)
    free_energy = np.full(len(reversible), -np.inf)
    free_energy[reversible] = nearest_free_energies(
        stoichiometric_matrix(network)[:, reversible],
        target,
        np.minimum(SMALLEST_FREE_ENERGY, np.abs(target)),
        weight=np.where(usable, 1.0, ASSUMED_WEIGHT) / (1.0 + np.abs(target)),
    )
    return free_energy


def _arrange(
    network: Network,
    fluxes: Mapping[str, float] | None,
    concentrations: Mapping[str, float] | None,
    free_energies: Mapping[str, float] | None,
    directions: Mapping[str, int] | None,
    source: str,
) -> _Known:
    reactions = tuple(reaction.name for reaction in network.reactions)
    known = _Known(
        flux=_array(fluxes, reactions, f"{source}: fluxes", "reaction"),
        free_energy=_array(free_energies, reactions, f"{source}: free_energies", "reaction"),
        concentration=_array(concentrations, network.species, f"{source}: concentrations", "species"),
        direction=np.nan_to_num(_array(directions, reactions, f"{source}: directions", "reaction")),
    )
    for species, value in (concentrations or {}).items():
        if not 0 < value <= LARGEST_CONCENTRATION:
            raise KineticInputError(
                f"{source}: the concentration of {species} is {value:g} mol/L; give a value between 0 and "
                f"{LARGEST_CONCENTRATION:g}, check concentration_unit."
            )
    for reaction, sign, reversible in zip(reactions, known.direction, network.reversible, strict=True):
        if sign not in (-1, 0, 1) or (directions and directions.get(reaction) == 0):
            raise KineticInputError(f"{source}: directions gives {reaction} {sign:g}; give 1 or -1.")
        if sign < 0 and not reversible:
            raise KineticInputError(
                f"{source}: directions gives the irreversible reaction {reaction} -1; swap its substrates and products."
            )
    return known


def _array(values: Mapping[str, float] | None, names: tuple[str, ...], what: str, kind: str) -> FloatArray:
    """Return the values in the order of the names, NaN where there is none."""
    values = values or {}
    for name, value in values.items():
        if name not in names:
            close = get_close_matches(name, names, 3)
            hint = f"; did you mean {' or '.join(close)}?" if close else "; leave it out."
            raise KineticInputError(f"{what} names the {kind} {name}, which the network does not have{hint}")
        if not isinstance(value, int | float) or not np.isfinite(value):
            raise KineticInputError(f"{what} gives {name} {value}; give a finite number, or leave it out.")
    return np.array([values.get(name, np.nan) for name in names], dtype=np.float64)


def _check_one_way(network: Network, flux: FloatArray, source: str) -> None:
    for reaction, value in zip(network.reactions, flux, strict=True):
        if value < 0 and not reaction.law.reversible:
            raise KineticInputError(
                f"{source}: the flux of {reaction.name} is {value:g} mmol/gDW/h, but its law is irreversible; swap its "
                "substrates and products, or choose a reversible law."
            )


def _check_positive(options: Mapping[str, float], source: str) -> None:
    for name, value in options.items():
        if not (value > 0 and np.isfinite(value)):
            raise KineticInputError(f"{source}: {name} is {value:g}; give a number greater than 0.")
