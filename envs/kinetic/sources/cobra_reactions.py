"""Reactions of a cobra model as kinetic ones: rate laws, slots, and species without a mass balance."""

from collections.abc import Collection, Iterable
from typing import Any

from ..network import Modifier, ModifierKind, Network, RateLaw, Reaction, Slot


def build_network(
    reactions: Iterable[Any],
    *,
    constants: Collection[str],
    water: Collection[str],
    protons: Collection[str],
    irreversible: Collection[str],
) -> Network:
    """Return the network of cobra reactions, in their order.

    Parameters
    ----------
    reactions
        cobra reactions; each has a species other than water and protons.
    constants
        Species without a mass balance.
    water
        Species that are dropped: the solvent's concentration does not change.
    protons
        Species that enter displacements only, and are constant: the pH is buffered.
    irreversible
        Reactions that follow products of Michaelis-Menten terms; all others follow convenience kinetics.
    """
    built = tuple(_build_reaction(reaction, water, protons, irreversible) for reaction in reactions)
    used = {participant.species for reaction in built for participant in reaction.participants}
    variables = used.difference(constants, protons)
    return Network(tuple(sorted(variables)), tuple(sorted(used - variables)), built)


def _build_reaction(
    source: Any, water: Collection[str], protons: Collection[str], irreversible: Collection[str]
) -> Reaction:
    law = RateLaw.IRREVERSIBLE if source.id in irreversible else RateLaw.CONVENIENCE
    slots, modifiers = [], []
    count = {"substrate": 0, "product": 0}
    for species, stoichiometry in sorted((metabolite.id, float(n)) for metabolite, n in source.metabolites.items()):
        if species in water:
            continue
        if species in protons:
            modifiers.append(Modifier(species, stoichiometry, ModifierKind.DISPLACEMENT))
            continue
        side = "substrate" if stoichiometry < 0 else "product"
        count[side] += 1
        label = f"{side}{count[side]}"
        saturable = law.reversible or side == "substrate"
        slots.append(Slot(label, species, stoichiometry, f"km_{label}_{source.id}" if saturable else None))
    return Reaction(source.id, law, tuple(slots), tuple(modifiers))
