"""Saturations of the rate laws' denominators, for many sets of Michaelis constants at once.

Every law's denominator is a product of groups ``A + B - 1``, where ``A`` and ``B`` are products of
``T_m(y) = 1 + y + ... + y**m`` over the group's substrates and products and ``y = x / K``: a convenience reaction is
one group (Liebermeister et al. 2010), a Hill law one group for each pair of substrate and product, an irreversible law
one group for each substrate. Arrays have the slots first and the sets last, so that the sparse products run over
contiguous memory.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .network import FloatArray, IntArray, Network, RateLaw, Reaction, Slot


@dataclass(frozen=True, slots=True, eq=False)
class SaturationGroups:
    """Which acting slots share a group.

    Sides ``2 g`` and ``2 g + 1`` are the substrates and the products of group ``g``.

    Parameters
    ----------
    degree
        Degree ``m`` of every acting slot, ``(n_slots, 1)``.
    higher
        The degrees above 1 with the slots that have them.
    side
        Side on which every acting slot stands, ``(n_slots,)``.
    membership
        Sparse 0/1 matrix that adds slots up to sides, ``(n_sides, n_slots)``.
    """

    degree: FloatArray
    higher: tuple[tuple[int, IntArray], ...]
    side: IntArray
    membership: Any


def build_groups(network: Network) -> SaturationGroups:
    """Return the groups of all acting slots, in the order of the acting Michaelis constants."""
    from scipy.sparse import csr_array

    degree, side, n_groups = [], [], 0
    for reaction in network.reactions:
        groups = {slot.parameter: group for group, members in enumerate(coupled_slots(reaction)) for slot in members}
        for slot in reaction.slots:
            if reaction.is_acting(slot):
                degree.append(_degree(reaction, slot))
                side.append(2 * (n_groups + groups[slot.parameter]) + (slot.stoichiometry > 0))
        n_groups += len(set(groups.values()))
    columns = np.arange(len(side))
    membership = csr_array((np.ones(len(side)), (side, columns)), shape=(2 * n_groups, len(side)))
    return SaturationGroups(
        degree=np.array(degree, dtype=np.float64)[:, None],
        higher=tuple((m, np.flatnonzero(np.array(degree) == m)) for m in sorted({*degree} - {1})),
        side=np.array(side, dtype=np.intp),
        membership=membership,
    )


def saturations(groups: SaturationGroups, ln_ratio: FloatArray) -> FloatArray:
    """Return ``d ln D / d ln y`` of every acting slot, ``(n_slots, n_sets)``.

    Parameters
    ----------
    groups
        The slots' groups.
    ln_ratio
        ``ln y = ln(x / K)``, ``(n_slots, n_sets)``.
    """
    ln_term, slope = _terms(groups, ln_ratio)
    return slope * _shares(groups, ln_term)[groups.side]


def saturation_pullback(groups: SaturationGroups, ln_ratio: FloatArray, cotangent: FloatArray) -> FloatArray:
    """Return the derivative of ``sum_s cotangent_s sat_s`` by ``ln y``, ``(n_slots, n_sets)``.

    With ``g = y T' / T`` and the share ``a = A / D`` of the slot's own side,
    ``d sat_s / d ln y_t = sat_s g_t (1 - a) + delta_st a dg / d ln y`` on one side and ``-sat_s g_t a_t`` across.
    """
    ln_term, slope = _terms(groups, ln_ratio)
    share = _shares(groups, ln_term)[groups.side]
    saturation = slope * share
    own = groups.membership @ (cotangent * saturation)
    both = own + _opposite(own)
    own_term = share * _curvature(groups, ln_ratio) * cotangent
    gradient: FloatArray = slope * own[groups.side] - saturation * both[groups.side] + own_term
    return gradient


def coupled_slots(reaction: Reaction) -> list[tuple[Slot, ...]]:
    """Return the groups of a reaction's denominator: slots of one group enter each other's saturations."""
    match reaction.law:
        case RateLaw.CONVENIENCE:
            return [reaction.slots]
        case RateLaw.PAIRWISE_HILL:
            return list(zip(reaction.substrates, reaction.products, strict=True))
        case RateLaw.IRREVERSIBLE:
            return [(slot,) for slot in reaction.substrates]
        case RateLaw.MASS_ACTION:
            return []


def _degree(reaction: Reaction, slot: Slot) -> int:
    if reaction.law is not RateLaw.CONVENIENCE:
        return 1
    return max(1, int(np.floor(abs(slot.stoichiometry) + 0.5)))


def _shares(groups: SaturationGroups, ln_term: FloatArray) -> FloatArray:
    """Return ``A / D`` and ``B / D``, ``(n_sides, n_sets)``."""
    ln_side = groups.membership @ ln_term
    # A / (A + B - 1) divided through by A: neither product is formed, so that six saturated slots do not overflow.
    shares: FloatArray = 1.0 / (1.0 + np.exp(_opposite(ln_side) - ln_side) - np.exp(-ln_side))
    return shares


def _opposite(sides: FloatArray) -> FloatArray:
    """Swap the two sides of every group."""
    n_sides, n_sets = sides.shape
    return sides.reshape(n_sides // 2, 2, n_sets)[:, ::-1].reshape(n_sides, n_sets)


def _terms(groups: SaturationGroups, ln_ratio: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``ln T_m`` and ``g = d ln T_m / d ln y``, each ``(n_slots, n_sets)``.

    ``T_m(y) = y**m T_m(1 / y)`` reduces everything to powers of ``z = min(y, 1 / y)``, which cannot overflow.
    """
    tail = np.exp(-np.abs(ln_ratio))
    slope = tail / (1.0 + tail)
    for degree, rows in groups.higher:
        z, powers = tail[rows], range(1, degree + 1)
        tail[rows] = _power_sum(z, [1.0 for _ in powers])
        slope[rows] = _power_sum(z, [float(i) for i in powers]) / (1.0 + tail[rows])
    ln_term = np.log1p(tail) + groups.degree * np.maximum(ln_ratio, 0.0)
    return ln_term, np.where(ln_ratio > 0, groups.degree - slope, slope)


def _curvature(groups: SaturationGroups, ln_ratio: FloatArray) -> FloatArray:
    """Return ``dg / d ln y``, which is the same for ``y`` and ``1 / y``, ``(n_slots, n_sets)``.

    It is the variance of a power i that has the probability ``z**i / T``, as ``g`` is its mean.
    """
    z = np.exp(-np.abs(ln_ratio))
    curvature: FloatArray = z / (1.0 + z) ** 2
    for degree, rows in groups.higher:
        powers = range(1, degree + 1)
        total, mean, square = (_power_sum(z[rows], [float(i**k) for i in powers]) for k in range(3))
        curvature[rows] = square / (1.0 + total) - (mean / (1.0 + total)) ** 2
    return curvature


def _power_sum(z: FloatArray, coefficients: list[float]) -> FloatArray:
    """Return ``c_1 z + c_2 z**2 + ...`` by Horner's rule."""
    total = coefficients[-1] * z
    for coefficient in coefficients[-2::-1]:
        total = (total + coefficient) * z
    return total
