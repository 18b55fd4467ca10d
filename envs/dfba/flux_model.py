"""What a flux-balance model is: reactions, bounds and exchanges as arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from .model_sources.draft import fail_unknown

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FluxModel:
    """A flux-balance model as arrays; data without behaviour, compared by identity, safe to pickle.

    Parameters
    ----------
    name
        As it was asked for.
    metabolites, reactions
        Names in the order of rows and columns.
    stoichiometry
        ``(n_metabolites, n_reactions)``; negative entries are consumed.
    lower, upper
        Bounds of the file, mmol/gDW/h (growth 1/h), ``(n_reactions,)``; may be infinite.
    objective
        Position of the growth reaction.
    exchanges
        Position of its exchange reaction for every extracellular species; a positive flux is secretion.
    formulas, charges
        Of metabolites, where the file states them; None where it states none.
    """

    name: str
    metabolites: tuple[str, ...]
    reactions: tuple[str, ...]
    stoichiometry: csc_array
    lower: FloatArray
    upper: FloatArray
    objective: int
    exchanges: dict[str, int]
    formulas: dict[str, str] | None = None
    charges: dict[str, float] | None = None

    def position(self, reaction: str) -> int:
        """Return a reaction's column; an unknown one is a :class:`~bioppo.UserError` with the nearest names."""
        if reaction not in self.reactions:
            fail_unknown(self.name, "reaction", reaction, self.reactions)
        return self.reactions.index(reaction)
