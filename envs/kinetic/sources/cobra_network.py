"""The kinetic network of a constraint-based model: which reactions and species take part, and which way they run."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from ..errors import KineticInputError
from ..network import Network
from .cobra_reactions import build_network
from .cobra_source import (
    AT_REST,
    blocked_reactions,
    is_lumped,
    is_proton,
    is_water,
    optimal_fluxes,
    read_cobra_file,
)
from .state_builder import direction_problem
from .state_draws import SMALLEST_FLUX
from .thermodynamics import drivable_reactions

RESTING = ("remove", "drive")
LARGEST_DRIVEN = 500
"""Reactions; with 1500 at a smallest flux all at once, solvers no longer tell fluxes from their own tolerance."""


@dataclass(frozen=True, slots=True, eq=False)
class CobraNetwork:
    """A network made from a cobra model, and what the model says of its fluxes.

    Parameters
    ----------
    network
        Reactions with their rate laws.
    reference
        Fluxes of the growth optimum by reaction, mmol/gDW/h; empty where the fluxes are given.
    directions
        +1 or -1 by reaction, where the model or its optimum allows one only.
    removed
        Reason to the reactions that were removed for it.
    species, reactions
        All names of the source: what is given for others is a mistake.
    """

    network: Network
    reference: dict[str, float]
    directions: dict[str, int]
    removed: dict[str, list[str]]
    species: list[str]
    reactions: list[str]


def read_cobra_network(
    source: Any,
    *,
    fluxes: Mapping[str, float] | None = None,
    constants: Collection[str] = (),
    left_out: Collection[str] = (),
    irreversible: Collection[str] = (),
    resting: str = "remove",
    smallest_flux: float = SMALLEST_FLUX,
) -> CobraNetwork:
    """Return the kinetic network of a cobra model, or of a file that holds one.

    All reactions follow convenience kinetics but those without thermodynamic meaning. Options: see
    :func:`.cobra_model.load_cobra_model`; ``fluxes`` are those of its file.
    """
    if resting not in RESTING:
        raise KineticInputError(f"resting={resting}: give {' or '.join(RESTING)}.")
    model = read_cobra_file(source) if isinstance(source, str | os.PathLike) else source
    species = [metabolite.id for metabolite in model.metabolites]
    reactions = [reaction.id for reaction in model.reactions]
    check_known(constants, species, f"{model.id}: constants")
    for what, names in (("left_out", left_out), ("irreversible", irreversible), ("fluxes", fluxes or ())):
        check_known(names, reactions, f"{model.id}: {what}")
    groups = _group_species(model, constants)
    reference = optimal_fluxes(model, left_out) if fluxes is None else dict(fluxes)
    removed = _removed(model, groups, reference, left_out, resting)
    without = set().union(*removed.values())
    kept = [reaction for reaction in model.reactions if not reaction.boundary and reaction.id not in without]
    if not kept:
        raise KineticInputError(f"{model.id}: no reaction carries flux; check its bounds, objective or flux_file.")
    groups["irreversible"] = {reaction.id for reaction in kept if is_lumped(reaction)}.union(irreversible)
    network = build_network(kept, **groups)
    one_way = _directions(kept, {})
    directions = _directions(kept, reference)
    if resting == "drive" and (undriven := _undriven(network, reference, directions, smallest_flux)):
        removed["no free energies drive them together with the others"] = sorted(undriven)
        network = build_network([reaction for reaction in kept if reaction.id not in undriven], **groups)
    names = [reaction.name for reaction in network.reactions]
    return CobraNetwork(
        network,
        {name: reference[name] for name in names if fluxes is None and reference[name] != 0},
        # Signs of given fluxes give way where no state has them; those of an optimum are taken as they are.
        {name: sign for name, sign in (directions if fluxes is None else one_way).items() if name in names},
        removed,
        species,
        reactions,
    )


def check_known(names: Collection[str], known: Collection[str], what: str) -> None:
    """Raise :class:`KineticInputError` for a name that is not among the known ones."""
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, 3)
            hint = f"did you mean {' or '.join(close)}?" if close else "leave it out."
            raise KineticInputError(f"{what} names {name}, which the model does not have; {hint}")


def _group_species(model: Any, constants: Collection[str]) -> dict[str, set[str]]:
    """Return the species that have no mass balance, by the reason."""
    exchanged = {metabolite.id for reaction in model.boundary for metabolite in reaction.metabolites}
    return {
        "constants": exchanged | set(constants),
        "water": {metabolite.id for metabolite in model.metabolites if is_water(metabolite)},
        "protons": {metabolite.id for metabolite in model.metabolites if is_proton(metabolite)},
    }


def _removed(
    model: Any,
    groups: Mapping[str, set[str]],
    reference: Mapping[str, float],
    left_out: Collection[str],
    resting: str,
) -> dict[str, list[str]]:
    """Return the reactions that take no part, by the reason; boundary reactions are not named."""
    unmoved = set().union(*groups.values())
    inner = [reaction for reaction in model.reactions if not reaction.boundary and reaction.id not in left_out]
    idle = [reaction.id for reaction in inner if unmoved.issuperset(m.id for m in reaction.metabolites)]
    at_rest = {reaction.id for reaction in inner if abs(reference.get(reaction.id, 0.0)) < AT_REST} - set(idle)
    removed = {"named in left_out": sorted(left_out), "they move no variable species": idle}
    if resting == "drive":
        if len(inner) > LARGEST_DRIVEN:
            raise KineticInputError(
                f"{model.id}: resting=drive takes at most {LARGEST_DRIVEN} reactions, the model has {len(inner)}; give "
                "resting=remove."
            )
        removed["they cannot carry flux within the model's bounds"] = sorted(blocked_reactions(model, at_rest))
    else:
        removed["they are at rest"] = sorted(at_rest)
    return removed


def _undriven(
    network: Network, reference: Mapping[str, float], directions: Mapping[str, int], smallest_flux: float
) -> set[str]:
    """Return resting reactions that cannot be driven: a loop without a driving force, for instance."""
    names = [reaction.name for reaction in network.reactions]
    known = np.array([reference.get(name, 0.0) for name in names])
    direction = np.array([float(directions.get(name, 0)) for name in names])
    problem = direction_problem(network, known, direction, smallest_flux)
    running = drivable_reactions(problem, optional=known == 0)
    return {name for name, runs in zip(names, running, strict=True) if not runs}


def _directions(reactions: list[Any], reference: Mapping[str, float]) -> dict[str, int]:
    directions = {}
    for reaction in reactions:
        if reference.get(reaction.id):
            directions[reaction.id] = 1 if reference[reaction.id] > 0 else -1
        elif reaction.lower_bound >= 0:
            directions[reaction.id] = 1
        elif reaction.upper_bound <= 0:
            directions[reaction.id] = -1
    return directions
