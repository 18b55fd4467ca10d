"""Maximal rates and equilibrium constants that belong to a steady state, and stored ones compared with them.

In SKiMpy's convention ``v = Vmax prod y_s**e (1 - rho) / D`` with ``y = x / K`` over the substrates, times ``x**-n`` of
first-order modifiers with ``n < 0``; mass action has no K (Weilandt et al. 2023).
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..elasticity import rate_exponents
from ..errors import KineticInputError
from ..network import FloatArray, Network, Reaction, Slot
from ..saturation import coupled_slots
from ..steady_state import SteadyState
from .units import molar

LARGEST_DEVIATION = 1e-3
"""Stored rates that deviate more than this from the common ratio, relatively, do not belong to the state."""


@dataclass(frozen=True, slots=True)
class RateComparison:
    """Stored maximal rates over computed ones.

    Parameters
    ----------
    ratio
        The median; the quotient of the two flux scales where the stored rates belong to the state.
    outliers
        Stored over computed, divided by the median, of the reactions that deviate from it.
    """

    ratio: float
    outliers: dict[str, float]


def ln_maximal_rates(network: Network, state: SteadyState, ln_km: FloatArray) -> FloatArray:
    """Return ln Vmax in powers of mol/L and hours, ``(n_sets, n_reactions)``, for ln K in mol/L, ``(n_sets, P)``."""
    ln_x = np.log(state.concentration)
    column = {name: ln_km[:, index] for index, name in enumerate(network.parameter_names)}
    result = np.empty((len(ln_km), len(network.reactions)))
    result[:] = np.log(np.abs(state.flux)) - rate_exponents(network)[0] @ ln_x
    reversible = network.reversible
    result[:, reversible] -= np.log(np.abs(np.expm1(state.ln_displacement[reversible])))
    for index, reaction in enumerate(network.reactions):
        for slot in reaction.substrates:
            if slot.parameter is not None:
                result[:, index] += reaction.exponent(slot) * column[slot.parameter]
        for group in coupled_slots(reaction):
            result[:, index] += _ln_group(
                reaction,
                {slot: ln_x[network.species_index[slot.species]] - column[str(slot.parameter)] for slot in group},
            )
    return result


def ln_equilibrium_constants(network: Network, state: SteadyState) -> FloatArray:
    """Return ``ln Keq = ln Gamma - ln rho`` in powers of mol/L, ``(n_reactions,)``; NaN for irreversible reactions."""
    ln_gamma = rate_exponents(network)[1] @ np.log(state.concentration)
    ln_rho = np.where(network.reversible, state.ln_displacement, np.nan)
    constants: FloatArray = ln_gamma - ln_rho
    return constants


def rate_orders(network: Network) -> FloatArray:
    """Return the power of mol/L in every Vmax, ``(n_reactions,)``: 1, less those of mass action and modifiers."""
    orders: FloatArray = 1.0 - rate_exponents(network)[0].sum(axis=1)
    for index, reaction in enumerate(network.reactions):
        orders[index] += sum(reaction.exponent(slot) for slot in reaction.substrates if slot.parameter is not None)
    return orders


def equilibrium_orders(network: Network) -> FloatArray:
    """Return the power of mol/L in every Keq, ``(n_reactions,)``."""
    orders: FloatArray = rate_exponents(network)[1].sum(axis=1)
    return orders


def compare_maximal_rates(
    network: Network, state: SteadyState, ln_km: FloatArray, vmax: Mapping[str, float], *, concentration_unit: str
) -> RateComparison:
    """Compare stored maximal rates with those that the fluxes, concentrations and Michaelis constants imply.

    Parameters
    ----------
    network, state
        The model and the state that the rates should belong to.
    ln_km
        Stored Michaelis constants, ln(mol/L), ``(n_parameters,)``.
    vmax
        Stored maximal rates by reaction, in the file's unit of concentration and hours.
    concentration_unit
        That unit: M, mM, uM or nM.

    Raises
    ------
    KineticInputError
        No stored rate belongs to a reaction of the network, or the unit is unknown.
    """
    computed = ln_maximal_rates(network, state, ln_km[None])[0]
    computed -= rate_orders(network) * np.log(molar(concentration_unit))
    names = [reaction.name for reaction in network.reactions if reaction.name in vmax]
    if not names:
        raise KineticInputError("No maximal rate is stored for any reaction of the network; leave the comparison out.")
    keep = np.array([reaction.name in vmax for reaction in network.reactions])
    ratios = np.exp(np.log([vmax[name] for name in names]) - computed[keep])
    median = float(np.median(ratios))
    outliers = {
        name: float(ratio)
        for name, ratio in zip(names, ratios / median, strict=True)
        if abs(ratio - 1.0) > LARGEST_DEVIATION
    }
    return RateComparison(median, outliers)


def warn_of_outliers(comparison: RateComparison, *, model: str, state: str) -> None:
    """Warn where stored maximal rates do not belong to the state; the sentence calls the two as the keywords say."""
    if not comparison.outliers:
        return
    worst = sorted(comparison.outliers, key=lambda name: -abs(np.log(comparison.outliers[name])))
    shown = ", ".join(f"{name} {comparison.outliers[name]:.4g}x" for name in worst[:10])
    warnings.warn(
        f"{model}: {len(worst)} stored vmax do not fit {state} ({shown}, relative to the common ratio "
        f"{comparison.ratio:.4g}), so that the stored parameters do not belong to this state; its own vmax are used.",
        stacklevel=2,
    )


def _ln_group(reaction: Reaction, ln_ratio: Mapping[Slot, FloatArray]) -> FloatArray:
    """Return ``ln(A + B - 1)`` of one group of the denominator, given ``ln y`` of its slots."""
    sides = [np.zeros(()), np.zeros(())]
    for slot, ln_y in ln_ratio.items():
        degree = max(1, int(np.floor(reaction.exponent(slot) + 0.5)))
        powers = np.arange(degree + 1)[:, None] * ln_y
        sides[slot.stoichiometry > 0] = sides[slot.stoichiometry > 0] + np.logaddexp.reduce(powers, axis=0)
    ln_sum = np.logaddexp(*sides)
    # A and B are at least 1, so that the sum is at least 2 and nothing cancels.
    ln_group: FloatArray = ln_sum + np.log1p(-np.exp(-ln_sum))
    return ln_group
