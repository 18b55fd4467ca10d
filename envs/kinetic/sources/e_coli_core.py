"""A kinetic model of the *E. coli* core network, made from the model that cobra ships (Orth et al. 2010).

Directions and reference fluxes follow the growth optimum. Fluxes, free energies and concentrations of an ensemble of
steady states are drawn around plausible values: they are no measurements.
"""

import logging
import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from ..disk_cache import read_entry, write_entry
from ..errors import KineticInputError
from ..network import FloatArray, Network, stoichiometric_matrix
from ..steady_state import SteadyState, check_steady_state
from .cobra_reactions import build_network
from .model_json import decode_network, decode_state, encode_network, encode_state
from .state_draws import (
    FLUX_SCALE,
    SMALLEST_FLUX,
    SMALLEST_FREE_ENERGY,
    draw_concentrations,
    draw_flux_targets,
    draw_free_energy_targets,
)
from .thermodynamics import DirectionProblem, choose_directions, nearest_fluxes, nearest_free_energies

FORMAT = 1
"""Raised when the builder changes, so that older files in the cache are not read."""
SMALLEST_GROWTH = 0.3

BIOMASS = "Biomass_Ecoli_core"
IRREVERSIBLE = {BIOMASS, "ATPM"}
# SUCDi and FRD7 run in opposite directions through one reaction: a loop without a driving force. H2Ot moves only water.
LEFT_OUT = {"FRD7", "H2Ot"}
WATER = {"h2o_c", "h2o_e"}
PROTONS = {"h_c": 10**-7.5, "h_e": 10**-7.0}


@dataclass(frozen=True, slots=True, eq=False)
class CoreModel:
    """The network with what all members of the ensemble share.

    Parameters
    ----------
    network
        Reactions with their rate laws.
    reference
        Fluxes of the growth optimum, mmol/gDW/h, ``(n_reactions,)``.
    direction
        +1 or -1 for every reaction, ``(n_reactions,)``.
    distance
        The objective of the program that chose the directions.
    """

    network: Network
    reference: FloatArray
    direction: FloatArray
    distance: float


def load_e_coli_core(member: int = 0) -> tuple[Network, SteadyState]:
    """Return the network and one steady state of the ensemble, from the cache or built (a few seconds).

    Parameters
    ----------
    member
        0 stays closest to the growth optimum; every other number draws fluxes, free energies and concentrations anew.

    Raises
    ------
    KineticInputError
        The number is negative, or cobra is missing.
    """
    if member < 0:
        raise KineticInputError(f"member={member}: give a number of at least 0.")
    core = load_core_model()
    key = {**_versions(), "member": int(member)}
    state = decode_state(core.network, read_entry("e_coli_core_state", key))
    if state is None:
        state = draw_member(core, member)
        write_entry("e_coli_core_state", key, encode_state(core.network, state))
    return core.network, state


def load_core_model() -> CoreModel:
    """Return network, reference fluxes and directions, from the cache or built."""
    key = _versions()
    core = _decode_core(read_entry("e_coli_core_model", key))
    if core is None:
        core = build_core_model()
        write_entry("e_coli_core_model", key, _encode_core(core))
    return core


def build_core_model() -> CoreModel:
    """Build the network from cobra's file and choose its directions."""
    source = read_textbook_model()
    reactions = [reaction for reaction in source.reactions if not reaction.boundary and reaction.id not in LEFT_OUT]
    # Without FRD7 the optimum is unique; with it SUCDi is free to run up to its bound.
    source.reactions.FRD7.bounds = (0.0, 0.0)
    optimum = source.optimize()
    reference = optimum.fluxes[[reaction.id for reaction in reactions]].to_numpy(dtype=np.float64)
    network = _build_network(reactions)
    smallest = _smallest_flux(network)
    direction, distance = choose_directions(
        DirectionProblem(
            stoichiometry=stoichiometric_matrix(network),
            balanced=np.arange(len(network.species)) < len(network.variables),
            reference=reference,
            smallest_flux=smallest,
            fixed_direction=np.array([float(reaction.lower_bound >= 0) for reaction in reactions]),
        )
    )
    return CoreModel(network, reference, direction, distance)


def read_textbook_model() -> Any:
    """Return the cobra model of the file in cobra's own package; nothing is downloaded."""
    from importlib.resources import as_file, files

    try:
        from cobra.io import read_sbml_model
    except ImportError as error:
        raise KineticInputError(
            "The e_coli_core model is built from cobra's files: install the package cobra."
        ) from error
    # Where a program logs at INFO, as Hydra's do, cobra announces what its default solver cannot be told.
    logging.getLogger("cobra.core.model").setLevel(logging.WARNING)
    # cobra.io.load_model asks remote servers when it does not find a file, and its order of search is not documented.
    with as_file(files("cobra") / "data" / "textbook.xml.gz") as path:
        return read_sbml_model(os.fspath(path))


def draw_member(core: CoreModel, member: int) -> SteadyState:
    """Draw the steady state of an ensemble member; the same member is always the same state.

    Every member takes the same number of draws for fluxes, free energies and concentrations, in this order.
    """
    generator = np.random.default_rng([2026, member])
    flux = FLUX_SCALE * _draw_fluxes(core, member, generator)
    free_energy = _draw_free_energies(core, generator)
    concentration = draw_concentrations(core.network, flux, generator, PROTONS)
    provenance = f"e_coli_core member {member} (computed with cobra {version('cobra')}, scipy {version('scipy')})"
    state = SteadyState(flux, free_energy, concentration, provenance)
    check_steady_state(core.network, state)
    return state


def _build_network(reactions: list[Any]) -> Network:
    used = {metabolite.id for reaction in reactions for metabolite in reaction.metabolites}
    outside = {species for species in used if not species.endswith("_c")}
    return build_network(reactions, constants=outside, water=WATER, protons=PROTONS, irreversible=IRREVERSIBLE)


def _smallest_flux(network: Network) -> FloatArray:
    return np.array([SMALLEST_GROWTH if reaction.name == BIOMASS else SMALLEST_FLUX for reaction in network.reactions])


def _draw_fluxes(core: CoreModel, member: int, generator: np.random.Generator) -> FloatArray:
    """Return steady fluxes near the growth optimum, mmol/gDW/h."""
    smallest = _smallest_flux(core.network)
    target = draw_flux_targets(core.reference, core.direction, smallest, member, generator)
    balance = stoichiometric_matrix(core.network)[: len(core.network.variables)]
    return nearest_fluxes(balance, target, core.direction, smallest)


def _draw_free_energies(core: CoreModel, generator: np.random.Generator) -> FloatArray:
    """Return dG/RT, minus infinity for irreversible reactions, ``(n_reactions,)``."""
    reversible = core.network.reversible
    target = draw_free_energy_targets(core.direction[reversible], generator)
    stoichiometry = stoichiometric_matrix(core.network)[:, reversible]
    free_energy = np.full(len(reversible), -np.inf)
    free_energy[reversible] = nearest_free_energies(stoichiometry, target, SMALLEST_FREE_ENERGY)
    return free_energy


def _versions() -> dict[str, Any]:
    try:
        return {"format": FORMAT, **{name: version(name) for name in ("cobra", "numpy", "scipy")}}
    except PackageNotFoundError as error:
        raise KineticInputError(f"The e_coli_core model needs the package {error.name}: install it.") from error


def _encode_core(core: CoreModel) -> dict[str, Any]:
    return {
        "network": encode_network(core.network),
        "reference": core.reference.tolist(),
        "direction": core.direction.tolist(),
        "distance": core.distance,
    }


def _decode_core(content: Any) -> CoreModel | None:
    """Return the model, or None where the content is missing or is none."""
    try:
        network = decode_network(content["network"])
        reference = np.array(content["reference"], dtype=np.float64)
        direction = np.array(content["direction"], dtype=np.float64)
        distance = float(content["distance"])
    except (KeyError, TypeError, ValueError):
        return None
    if network is None or not len(network.reactions) == len(reference) == len(direction):
        return None
    return CoreModel(network, reference, direction, distance)
