"""A steady state of a kinetic network: fluxes, displacements from equilibrium and concentrations."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass

import numpy as np

from .errors import KineticInputError
from .network import FloatArray, Network, stoichiometric_matrix

STEADINESS = 1e-9
"""Largest net production of a species relative to its total turnover."""
LARGEST_CONCENTRATION = 10.0
"""mol/L; anything above is taken for a wrong unit."""


@dataclass(frozen=True, slots=True, eq=False)
class SteadyState:
    """Fluxes, displacements and concentrations in the order of a network; the arrays are read-only copies.

    Parameters
    ----------
    flux
        Net fluxes, mol/L/h, ``(n_reactions,)``.
    ln_displacement
        ``ln(Gamma / Keq) = dG / RT``, ``(n_reactions,)``; entries of irreversible reactions are not read.
    concentration
        All species, variables first, mol/L, ``(n_species,)``.
    provenance
        Where the numbers come from; it begins every error message about them.
    """

    flux: FloatArray
    ln_displacement: FloatArray
    concentration: FloatArray
    provenance: str

    def __post_init__(self) -> None:
        for name in ("flux", "ln_displacement", "concentration"):
            values = np.array(getattr(self, name), dtype=np.float64)
            values.setflags(write=False)
            object.__setattr__(self, name, values)


def content_hash(network: Network, state: SteadyState) -> str:
    """Return a hexadecimal hash of everything that decides an eigenvalue: network and state, without provenance."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(network), sort_keys=True).encode())
    displacement = np.where(network.reversible, state.ln_displacement, 0.0)
    for values in (state.flux, displacement, state.concentration):
        # Adding 0 turns -0 into 0, which compares equal but has other bytes.
        digest.update((values + 0.0).astype("<f8").tobytes())
    return digest.hexdigest()


def check_steady_state(network: Network, state: SteadyState) -> None:
    """Raise :class:`KineticInputError` where the state does not fit the network or physics."""
    _check_shapes(network, state)
    _check_concentrations(network, state)
    _check_fluxes(network, state)
    _check_displacements(network, state)
    _check_steadiness(network, state)


def _check_shapes(network: Network, state: SteadyState) -> None:
    for name, expected in (
        ("flux", len(network.reactions)),
        ("ln_displacement", len(network.reactions)),
        ("concentration", len(network.species)),
    ):
        shape = getattr(state, name).shape
        if shape != (expected,):
            raise KineticInputError(f"{state.provenance}: {name} has the shape {shape}; give ({expected},).")


def _check_concentrations(network: Network, state: SteadyState) -> None:
    for species, value in zip(network.species, state.concentration, strict=True):
        if not 0 < value <= LARGEST_CONCENTRATION:
            raise KineticInputError(
                f"{state.provenance}: the concentration of {species} is {value:g} mol/L; give a value between 0 and "
                f"{LARGEST_CONCENTRATION:g}, check concentration_unit."
            )


def _check_fluxes(network: Network, state: SteadyState) -> None:
    for reaction, value in zip(network.reactions, state.flux, strict=True):
        if value == 0 or not np.isfinite(value):
            raise KineticInputError(
                f"{state.provenance}: the flux of {reaction.name} is {value:g} mol/L/h; give a finite flux other than "
                "0, or leave the reaction out."
            )
        if value < 0 and not reaction.law.reversible:
            raise KineticInputError(
                f"{state.provenance}: the flux of {reaction.name} is {value:g} mol/L/h, but its law is irreversible; "
                "swap its substrates and products, or choose a reversible law."
            )


def _check_displacements(network: Network, state: SteadyState) -> None:
    for reaction, flux, value in zip(network.reactions, state.flux, state.ln_displacement, strict=True):
        if reaction.law.reversible and not (np.isfinite(value) and value * flux < 0):
            raise KineticInputError(
                f"{state.provenance}: reaction {reaction.name} has the flux {flux:g} mol/L/h and the displacement "
                f"dG/RT = {value:g}; give them opposite signs."
            )


def _check_steadiness(network: Network, state: SteadyState) -> None:
    matrix = stoichiometric_matrix(network)[: len(network.variables)]
    turnover = np.abs(matrix) @ np.abs(state.flux)
    residual = np.abs(matrix @ state.flux) / np.where(turnover > 0, turnover, 1.0)
    worst = int(np.argmax(residual))
    if residual[worst] > STEADINESS:
        raise KineticInputError(
            f"{state.provenance}: the state is not steady, {network.variables[worst]} changes by "
            f"{residual[worst]:.3g} of its turnover (at most {STEADINESS:g}); give balanced fluxes."
        )
