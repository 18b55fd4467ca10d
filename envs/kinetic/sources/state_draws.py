"""Plausible numbers for what no one has measured: targets of fluxes and free energies, and concentrations.

Every draw takes its numbers from the generator whether they are used or not, so that what is known of a state does not
change the rest of it.
"""

from collections.abc import Mapping

import numpy as np

from ..network import FloatArray, Network, stoichiometric_matrix

FLUX_SCALE = 0.3
"""mol/L/h for 1 mmol/gDW/h: 1200 g/L of cell at 0.25 g dry weight per gram (Choudhury et al. 2024)."""
SMALLEST_FLUX = 0.05
"""mmol/gDW/h; a rate law has no maximal rate at rest."""
SMALLEST_FREE_ENERGY = 0.1
LARGEST_FREE_ENERGY = 40.0
LONGEST_TURNOVER = 1 / 60
"""h; without this bound the slowest pool sets the largest eigenvalue, whatever the Michaelis constants."""
OTHER_CONCENTRATION = 3e-4
CONCENTRATIONS = {
    "atp_c": 3e-3,
    "adp_c": 0.6e-3,
    "amp_c": 0.2e-3,
    "nad_c": 1.5e-3,
    "nadh_c": 0.1e-3,
    "nadp_c": 0.1e-3,
    "nadph_c": 0.12e-3,
    "coa_c": 0.5e-3,
    "accoa_c": 0.6e-3,
    "glu__L_c": 30e-3,
    "gln__L_c": 4e-3,
    "pi_c": 10e-3,
    "g6p_c": 1e-3,
    "f6p_c": 0.3e-3,
    "fdp_c": 2e-3,
    "dhap_c": 0.3e-3,
    "g3p_c": 0.2e-3,
    "pep_c": 0.3e-3,
    "pyr_c": 1e-3,
    "o2_c": 0.2e-3,
    "co2_c": 1e-3,
    "nh4_c": 5e-3,
    "glc__D_e": 10e-3,
    "o2_e": 0.24e-3,
    "nh4_e": 20e-3,
    "pi_e": 20e-3,
    "co2_e": 1e-3,
    "h_c": 10**-7.5,
    "h_p": 10**-7.0,
    "h_e": 10**-7.0,
}
"""mol/L; typical values of growing cells and of a minimal medium, by BiGG identifier."""


def draw_flux_targets(
    reference: FloatArray, direction: FloatArray, smallest: FloatArray, member: int, generator: np.random.Generator
) -> FloatArray:
    """Return fluxes near a reference, ``(n_reactions,)``; those of member 0 are not scattered.

    Fluxes below the smallest are drawn above it, in the given direction.
    """
    scale = generator.uniform(0.7, 1.2) if member else 1.0
    scatter = generator.standard_normal(len(reference))
    excess = generator.exponential(size=len(reference))
    target: FloatArray = reference * scale * np.exp(0.2 * scatter if member else 0.0)
    return np.where(np.abs(target) < smallest, direction * smallest * np.exp(excess), target)


def draw_free_energy_targets(direction: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Return ``dG/RT`` against the directions, between 0.1 and 40, ``(n_reactions,)``."""
    size = generator.lognormal(np.log(3.0), 0.9, size=len(direction))
    target: FloatArray = -direction * np.clip(size, SMALLEST_FREE_ENERGY, LARGEST_FREE_ENERGY)
    return target


def draw_concentrations(
    network: Network, flux: FloatArray, generator: np.random.Generator, given: Mapping[str, float]
) -> FloatArray:
    """Return concentrations in the network's order of species, mol/L, ``(n_species,)``; given ones are kept.

    No variable species turns over more slowly than once a minute at the fluxes ``(n_reactions,)`` in mol/L/h.
    """
    names = sorted(network.species)
    typical = np.array([CONCENTRATIONS.get(name, OTHER_CONCENTRATION) for name in names])
    drawn = dict(zip(names, typical * np.exp(0.5 * generator.standard_normal(len(names))), strict=True))
    concentration: FloatArray = np.array([drawn[name] for name in network.species]).clip(1e-7, 0.1)
    n_variables = len(network.variables)
    throughput = 0.5 * np.abs(stoichiometric_matrix(network)[:n_variables]) @ np.abs(flux)
    concentration[:n_variables] = np.minimum(concentration[:n_variables], throughput * LONGEST_TURNOVER)
    for name, value in given.items():
        concentration[network.species_index[name]] = value
    return concentration
