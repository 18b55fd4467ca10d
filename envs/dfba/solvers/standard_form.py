"""The linear program of a flux-balance model in columns that all have simple bounds.

``min c'x`` subject to ``A x = 0`` and ``l <= x <= u``, for many bounds at once. A tracked exchange is written as
secretion minus uptake, so that every level of a tie-break is a list of columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, hstack, identity

from ..flux_model import FluxModel
from .tie_break import Level, lexicographic_levels

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


WITHIN = 1e-7
"""How far an answer may leave a bound b, relative to 1 + |b|."""
BALANCED = 1e-6
"""How much of a metabolite an answer may leave over, mmol/gDW/h."""


@dataclass(frozen=True, eq=False)
class StandardForm:
    """Columns, their fixed bounds and the levels of one linear program.

    Parameters
    ----------
    matrix
        ``(n_rows, n_columns)``.
    flux_of_columns
        ``(n_reactions, n_columns)``: ``v = flux_of_columns @ x``.
    lower, upper
        Bounds of columns that do not vary, ``(n_columns,)``; those of varying columns are replaced.
    levels, n_growth_levels
        Objectives in order, each minimised; how many there are up to and with growth.
    n_varying
        How many reactions have bounds of their own in every call.
    split_inputs, plain_inputs
        Which of those are written in two columns and in one.
    varying
        Columns whose bounds vary: secretions, uptakes, then those written in one column.
    objective, tracked
        Positions of reactions, as in the model; relaxed ones follow the tracked ones.
    """

    matrix: csc_array
    flux_of_columns: csc_array
    lower: FloatArray
    upper: FloatArray
    levels: list[Level]
    n_growth_levels: int
    n_varying: int
    split_inputs: IntArray
    plain_inputs: IntArray
    varying: IntArray
    objective: int
    tracked: IntArray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.matrix.shape[0], self.matrix.shape[1]

    @cached_property
    def full_matrix(self) -> csc_array:
        """The columns and one of minus one for every row's activity, which is fixed at 0."""
        return csc_array(hstack([self.matrix, -identity(self.shape[0], format="csc")], format="csc"))

    @cached_property
    def level_matrix(self) -> FloatArray:
        """Coefficients of all levels, ``(n_columns + n_rows, n_levels)``."""
        matrix = np.zeros((sum(self.shape), len(self.levels)))
        for number, level in enumerate(self.levels):
            matrix[list(level), number] = list(level.values())
        return matrix

    @cached_property
    def reported_of_columns(self) -> csc_array:
        """Growth and tracked fluxes, ``(1 + n_tracked, n_columns)``."""
        return csc_array(self.flux_of_columns.tocsr()[[self.objective, *self.tracked.tolist()]])

    def bound_inputs(self, lower: FloatArray, upper: FloatArray) -> FloatArray:
        """Return ``(K, 1 + 2 len(varying))``: a one, the lower and the upper bounds of all varying columns.

        Everything that a basis says of a copy is linear in this vector.
        """
        split, plain = len(self.split_inputs), len(self.plain_inputs)
        count = 2 * split + plain
        inputs = np.empty((len(lower), 1 + 2 * count))
        inputs[:, 0] = 1.0
        if split:
            low = lower if not plain else lower[:, self.split_inputs]
            high = upper if not plain else upper[:, self.split_inputs]
            first = 1 + count
            np.maximum(low, 0.0, out=inputs[:, 1 : 1 + split])
            np.maximum(high, 0.0, out=inputs[:, first : first + split])
            np.maximum(-high, 0.0, out=inputs[:, 1 + split : 1 + 2 * split])
            np.maximum(-low, 0.0, out=inputs[:, first + split : first + 2 * split])
        if plain:
            inputs[:, 1 + 2 * split : 1 + count] = lower[:, self.plain_inputs]
            inputs[:, 1 + count + 2 * split :] = upper[:, self.plain_inputs]
        return inputs

    @cached_property
    def reported_columns(self) -> list[int]:
        """The columns that growth and tracked fluxes depend on."""
        return [int(column) for column in np.unique(self.reported_of_columns.tocoo().col)]

    def holds(self, columns: FloatArray, inputs: FloatArray) -> NDArray[np.bool_]:
        """Whether columns ``(K, n_columns)`` keep the bounds of ``inputs`` and balance all metabolites."""
        count = len(self.varying)
        lower, upper = np.tile(self.lower, (len(columns), 1)), np.tile(self.upper, (len(columns), 1))
        lower[:, self.varying], upper[:, self.varying] = inputs[:, 1 : 1 + count], inputs[:, 1 + count :]
        above = columns >= lower - WITHIN * (1.0 + np.abs(lower))
        below = columns <= upper + WITHIN * (1.0 + np.abs(upper))
        balanced = np.abs(self.matrix @ columns.T) <= BALANCED
        return np.asarray((above & below).all(axis=1) & balanced.all(axis=0))

    def column_bounds(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the bounds of all columns for one row of `bound_inputs`."""
        lower, upper = self.lower.copy(), self.upper.copy()
        count = len(self.varying)
        lower[self.varying] = inputs[1 : 1 + count]
        upper[self.varying] = inputs[1 + count :]
        return lower, upper


def build_form(
    model: FluxModel,
    *,
    varying: Sequence[int],
    tracked: Sequence[int],
    actions: Sequence[int] = (),
    named: Sequence[int] = (),
    tie_break: str = "lexicographic",
    relaxed: Sequence[int] = (),
    probe: float = 0.0,
) -> StandardForm:
    """Return the standard form of a model.

    Parameters
    ----------
    model
        Whose bounds hold for everything that does not vary.
    varying
        Reactions whose bounds are given in every call, in that order.
    tracked
        Exchanges whose fluxes are wanted, in the order of the species.
    actions, named
        See :func:`.tie_break.lexicographic_levels`.
    tie_break
        ``lexicographic``; ``parsimonious`` (least sum of absolute fluxes of all reactions, then as lexicographic); or
        ``vertex`` (growth only).
    relaxed
        Reactions whose positive lower bound may be missed; a first level, before growth, minimises the sum missed.
    probe
        +1 or -1: below growth minimise or maximise the tracked fluxes in their order, instead of the tie-break.
    """
    n_reactions = len(model.reactions)
    varies = set(varying)
    split: set[int] = set() if tie_break == "vertex" or probe else set(tracked)
    if tie_break == "parsimonious" and not probe:
        split |= varies | {r for r in range(n_reactions) if model.lower[r] < 0.0 < model.upper[r]}
    reactions: list[int] = []
    signs: list[float] = []
    lower: list[float] = []
    upper: list[float] = []
    first: dict[int, int] = {}
    second: dict[int, int] = {}
    for reaction, (low, high) in enumerate(zip(model.lower.tolist(), model.upper.tolist(), strict=True)):
        first[reaction] = len(reactions)
        if reaction in split:
            second[reaction] = len(reactions) + 1
            columns = [(1.0, max(low, 0.0), max(high, 0.0)), (-1.0, max(-high, 0.0), max(-low, 0.0))]
        elif reaction in relaxed:
            columns = [(1.0, 0.0, low), (1.0, 0.0, high - low)]
        else:
            columns = [(1.0, low, high)]
        for sign, column_low, column_high in columns:
            reactions.append(reaction)
            signs.append(sign)
            lower.append(column_low)
            upper.append(column_high)
    flux_of_columns = csc_array(
        (np.array(signs), (np.array(reactions), np.arange(len(reactions)))), shape=(n_reactions, len(reactions))
    )
    inputs = np.array(varying, dtype=np.intp)
    is_split = np.array([reaction in split for reaction in varying], dtype=bool)
    varying_columns = [first[r] for r in varying if r in split] + [second[r] for r in varying if r in split]
    varying_columns += [first[r] for r in varying if r not in split]

    def part(reaction: int, sign: float) -> Level:
        level = {first[reaction]: sign}
        return level | ({second[reaction]: -sign} if reaction in split else {})

    levels = [{first[r]: -1.0 for r in relaxed}] if len(relaxed) else []
    levels.append(part(model.objective, -1.0))
    if probe:
        levels += [part(reaction, probe) for reaction in tracked]
    elif tie_break != "vertex":
        if tie_break == "parsimonious":
            levels.append(_absolute_flux(reactions, upper, split))
        secretion = {reaction: first[reaction] for reaction in tracked}
        uptake = {reaction: second[reaction] for reaction in tracked}
        levels += lexicographic_levels(secretion, uptake, tracked, actions, named)
    return StandardForm(
        matrix=csc_array(model.stoichiometry @ flux_of_columns),
        flux_of_columns=flux_of_columns,
        lower=np.array(lower),
        upper=np.array(upper),
        levels=levels,
        n_growth_levels=2 if len(relaxed) else 1,
        n_varying=len(inputs),
        split_inputs=np.flatnonzero(is_split),
        plain_inputs=np.flatnonzero(~is_split),
        varying=np.array(varying_columns, dtype=np.intp),
        objective=model.objective,
        tracked=np.array([*tracked, *relaxed], dtype=np.intp),
    )


def _absolute_flux(reactions: list[int], upper: list[float], split: set[int]) -> Level:
    """Columns of reactions that are not split have one sign: they run forwards unless their upper bound is below 0."""
    return {
        column: -1.0 if reaction not in split and upper[column] <= 0.0 else 1.0
        for column, reaction in enumerate(reactions)
    }
