"""A flux-balance model while it is read and edited: reactions by name, not yet arrays."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from .... import UserError
from ....configs.option import nearest

NAMES_SHOWN = 5


@dataclass
class ReactionDraft:
    """One reaction: stoichiometry by metabolite (negative: consumed), and bounds in mmol/gDW/h."""

    stoichiometry: dict[str, float]
    lower: float
    upper: float


@dataclass
class ModelDraft:
    """What a file says, with ``source`` as messages call it.

    ``exchanges`` gives the extracellular species of every exchange reaction, whose stoichiometry is ``{species: -1}``;
    ``formulas`` and ``charges`` hold what the file states of metabolites, and are empty where it states nothing.
    ``objectives`` are all reactions that the file maximises; ``declares_growth`` says that they are growth by the
    format of the file.
    """

    source: str
    reactions: dict[str, ReactionDraft]
    objectives: list[str]
    exchanges: dict[str, str]
    formulas: dict[str, str] = field(default_factory=dict)
    charges: dict[str, float] = field(default_factory=dict)
    declares_growth: bool = False

    @property
    def metabolites(self) -> tuple[str, ...]:
        """All metabolites in the order in which the reactions first name them."""
        return tuple(dict.fromkeys(name for reaction in self.reactions.values() for name in reaction.stoichiometry))


def check_reaction(source: str, name: str, reaction: ReactionDraft) -> None:
    """Raise a :class:`~bioppo.UserError` unless bounds and stoichiometry are numbers that make sense."""
    for metabolite, coefficient in reaction.stoichiometry.items():
        if not math.isfinite(coefficient):
            raise UserError(f"{source}: {metabolite} in {name} has the stoichiometry {coefficient}: give a number.")
    check_bounds(source, name, reaction.lower, reaction.upper)


def check_bounds(source: str, name: str, lower: float, upper: float) -> None:
    """Raise a :class:`~bioppo.UserError` unless lower <= upper, both numbers or infinite on their own side."""
    if math.isnan(lower) or math.isnan(upper) or lower == math.inf or upper == -math.inf:
        raise UserError(f"{source}: the bounds of {name} are [{lower:g}, {upper:g}]: give numbers.")
    if lower > upper:
        raise UserError(f"{source}: the bounds of {name} are [{lower:g}, {upper:g}]: give lower <= upper.")


def fail_unknown(source: str, what: str, name: str, valid: Iterable[str]) -> NoReturn:
    """Raise the sentence about an identifier that the model does not have, with the nearest ones."""
    valid = list(valid)
    hint = nearest(name, valid)
    if hint.startswith("choose") and len(valid) > NAMES_SHOWN:
        hint = f"it has {len(valid)}, such as {', '.join(sorted(valid)[:NAMES_SHOWN])}."
    raise UserError(f"{source} has no {what} '{name}': {hint}")
