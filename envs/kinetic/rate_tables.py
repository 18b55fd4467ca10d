"""Index tables from which the rates of a network away from its steady state are computed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .gradient import JacobianFactors
from .network import FloatArray, IntArray, Network
from .saturation import build_groups


@dataclass(frozen=True, slots=True, eq=False)
class SlotTable:
    """The acting slots by side, group and reaction, padded with empty entries so that no side or reaction lacks one.

    Parameters
    ----------
    slot
        Acting slot of every entry; the one beyond the last for an empty entry.
    species
        Variable species of every entry; the one beyond the last for constant species and empty entries.
    reaction
        Reaction of every entry.
    higher
        Degrees above 1 and the entries that have them.
    side
        Side of every entry: ``2 g`` and ``2 g + 1`` are substrates and products of group g.
    side_start, reaction_start
        First entry of every side, first group of every reaction.
    """

    slot: IntArray
    species: IntArray
    reaction: IntArray
    higher: tuple[tuple[int, IntArray], ...]
    side: IntArray
    side_start: IntArray
    reaction_start: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class PartialTable:
    """The non-zero partial derivatives of rates, and the sparse map from them to the reduced Jacobian.

    Parameters
    ----------
    reaction, species
        Of every partial derivative: those of the exponents first, then those of the saturations.
    forward, displacement
        Exponents in F and Gamma, ``(n_exponents, 1)``.
    entries
        Entry of the slot table of every saturation's derivative.
    row, column
        Positions of the Jacobian's entries that are not always zero.
    weights
        Sparse, ``(n_jacobian_entries, n_partials)``.
    """

    reaction: IntArray
    species: IntArray
    forward: FloatArray
    displacement: FloatArray
    entries: IntArray
    row: IntArray
    column: IntArray
    weights: Any


def denominators(slots: SlotTable, ratio: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the denominators of all groups and the saturations of all entries at ``y = x / K``.

    Powers are formed directly: ``y`` stays below e^40 within the bounds of K, whereas logarithms cost twice the time.
    """
    term = 1.0 + ratio
    slope = ratio / term
    for degree, rows in slots.higher:
        y = ratio[rows]
        powers = [y**power for power in range(1, degree + 1)]
        term[rows] = 1.0 + sum(powers)
        slope[rows] = sum(power * value for power, value in enumerate(powers, start=1)) / term[rows]
    sides = np.multiply.reduceat(term, slots.side_start, axis=0)
    denominator = sides[0::2] + sides[1::2] - 1.0
    share = (sides.reshape(len(denominator), 2, -1) / denominator[:, None]).reshape(sides.shape)
    return denominator, slope * share[slots.side]


def slot_table(network: Network) -> SlotTable:
    """Return the table of a network's acting slots, in the order of its acting Michaelis constants."""
    groups = build_groups(network)
    acting = [(index, slot) for index, slot in network.parameter_slots if network.reactions[index].is_acting(slot)]
    slot_reaction = np.array([index for index, _ in acting], dtype=np.intp)
    species = np.array([network.species_index[slot.species] for _, slot in acting] + [len(network.variables)])
    group_reaction = np.zeros(groups.membership.shape[0] // 2, dtype=np.intp)
    group_reaction[groups.side // 2] = slot_reaction
    # Mass action has no group and an irreversible law no products, but reduceat needs one entry everywhere.
    group_reaction = np.append(group_reaction, np.setdiff1d(np.arange(len(network.reactions)), group_reaction))
    order = np.argsort(group_reaction, kind="stable")
    position = np.argsort(order)
    side = 2 * position[groups.side // 2] + groups.side % 2
    empty = np.setdiff1d(np.arange(2 * len(order)), side)
    side, slot = np.append(side, empty), np.append(np.arange(len(acting)), np.full(len(empty), len(acting)))
    entries = np.argsort(side, kind="stable")
    side, slot = side[entries], slot[entries]
    degree = np.append(groups.degree[:, 0], 1.0)[slot]
    reaction = group_reaction[order]
    return SlotTable(
        slot=slot,
        species=np.minimum(species[slot], len(network.variables)),
        reaction=reaction[side // 2],
        higher=tuple((int(m), np.flatnonzero(degree == m)) for m in np.unique(degree[degree > 1])),
        side=side,
        side_start=np.searchsorted(side, np.arange(2 * len(order))),
        reaction_start=np.searchsorted(reaction, np.arange(len(network.reactions))),
    )


def partial_table(
    slots: SlotTable, forward: FloatArray, displacement: FloatArray, balance: FloatArray, link: FloatArray
) -> PartialTable:
    """Return the table of partial derivatives.

    Parameters
    ----------
    slots
        The acting slots.
    forward, displacement
        Exponents of the variable species in F and Gamma, ``(n_reactions, n_variables)``.
    balance, link
        ``diag(1/x_ind) N_R`` and ``diag(1/x) L diag(x_ind)`` at the steady state.
    """
    reaction, species = np.nonzero((forward != 0) | (displacement != 0))
    exponents = forward[reaction, species, None], displacement[reaction, species, None]
    entries = np.flatnonzero(slots.species < len(link))
    reaction, species = np.append(reaction, slots.reaction[entries]), np.append(species, slots.species[entries])
    weights = -JacobianFactors(balance, link, reaction, species).saturation_weights()
    positions = np.flatnonzero(np.diff(weights.indptr))
    row, column = np.divmod(positions, len(balance))
    return PartialTable(reaction, species, *exponents, entries, row, column, weights[positions])
