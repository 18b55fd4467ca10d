"""Elasticities of the rate laws that do not depend on Michaelis constants."""

import numpy as np

from .network import FloatArray, ModifierKind, Network
from .steady_state import SteadyState


def rate_exponents(network: Network) -> tuple[FloatArray, FloatArray]:
    """Return the exponents of every species in ``F`` and in ``Gamma``, each ``(n_reactions, n_species)``.

    A rate is ``v = V F (1 - Gamma / Keq) / D``. ``F`` is the product of the substrates to their exponents and of
    ``x**-n`` of first-order modifiers with ``n < 0``; ``Gamma`` is products over substrates, times ``x**n`` of every
    modifier (Weilandt et al. 2023). Irreversible reactions have no ``Gamma``; their rows are filled nevertheless.
    """
    forward = np.zeros((len(network.reactions), len(network.species)))
    displacement = np.zeros_like(forward)
    for row, reaction in enumerate(network.reactions):
        for slot in reaction.slots:
            column = network.species_index[slot.species]
            exponent = reaction.exponent(slot)
            displacement[row, column] += np.sign(slot.stoichiometry) * exponent
            if slot.stoichiometry < 0:
                forward[row, column] += exponent
        for modifier in reaction.modifiers:
            column = network.species_index[modifier.species]
            displacement[row, column] += modifier.stoichiometry
            if modifier.kind is ModifierKind.FIRST_ORDER and modifier.stoichiometry < 0:
                forward[row, column] -= modifier.stoichiometry
    return forward, displacement


def unsaturated_elasticities(network: Network, state: SteadyState) -> FloatArray:
    """Return ``d ln v / d ln x`` without the saturation terms, ``(n_reactions, n_variables)``.

    ``E0 = Fs - rho / (1 - rho) Gx`` at the steady state; the elasticities are ``E0`` minus the saturations of the
    reaction's slots on the species. The maximal rates drop out because the fluxes are given.
    """
    forward, displacement = rate_exponents(network)
    # rho / (1 - rho) = 1 / (1 / rho - 1), which neither overflows nor cancels for rho near 0 or 1.
    ratio = np.zeros(len(network.reactions))
    ratio[network.reversible] = 1.0 / np.expm1(-state.ln_displacement[network.reversible])
    elasticities: FloatArray = (forward - ratio[:, None] * displacement)[:, : len(network.variables)]
    return elasticities
