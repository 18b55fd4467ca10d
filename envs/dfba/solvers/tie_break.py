"""Which of several optimal flux distributions is taken: an ordered list of linear objectives.

Growth is optimised first. What remains free is settled by later levels, each minimised within the optimal face of those
before it (lexicographic dFBA: Gomez, Höffner and Barton 2014, doi:10.1186/s12859-014-0409-8).
"""

from collections.abc import Mapping, Sequence

MANY_EXCHANGES = 40
"""With more tracked exchanges than this, one sum settles those that no one has named."""
TIE_BREAKS = ("lexicographic", "vertex", "parsimonious")

Level = dict[int, float]
"""Coefficients by column of one objective, which is minimised."""


def lexicographic_levels(
    secretion: Mapping[int, int],
    uptake: Mapping[int, int],
    tracked: Sequence[int],
    actions: Sequence[int],
    named: Sequence[int],
) -> list[Level]:
    """Return the levels below growth.

    Least secretion of every action's exchange in the order of the actions, least uptake of every tracked exchange in
    the order of the species, and least secretion of every other one. With more than ``MANY_EXCHANGES`` only exchanges
    of actions and ``named`` ones have levels, and a last one minimises the sum of all uptakes and secretions.

    Parameters
    ----------
    secretion, uptake
        Columns of both parts of every tracked exchange.
    tracked, actions, named
        Reactions; those actions that are not tracked have no level.
    """
    acting = [reaction for reaction in dict.fromkeys(actions) if reaction in secretion]
    many = len(tracked) > MANY_EXCHANGES
    ordered = [reaction for reaction in tracked if not many or reaction in acting or reaction in named]
    levels = [{secretion[reaction]: 1.0} for reaction in acting]
    levels += [{uptake[reaction]: 1.0} for reaction in ordered]
    levels += [{secretion[reaction]: 1.0} for reaction in ordered if reaction not in acting]
    if many:
        levels.append({column: 1.0 for part in (secretion, uptake) for column in part.values()})
    return levels
