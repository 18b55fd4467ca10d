"""What both simplex engines share: their answers, and the fixing of columns between the levels of a tie-break."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

BASIC, AT_LOWER, AT_UPPER, AT_ZERO = 0, 1, 2, 3
"""Where a column stands in a basis; a column without bounds that is not basic stands at zero."""
FEASIBILITY = 1e-9
"""How far a solver may leave a bound; answers are checked against 1e-7 of their own."""
ZERO_COST = 1e-9
"""A reduced cost below is zero: moving the column leaves the level's optimum as it is."""


INFINITE = 1e20
"""Bounds from here on are none."""


class SolverError(Exception):
    """A solver gave neither an optimum nor a proof that there is none; the message says what it gave."""


@dataclass(frozen=True, slots=True, eq=False)
class SimplexAnswer:
    """The end of a simplex run.

    ``columns`` are the values ``(n_columns,)`` of the optimum, None where there is no feasible point. ``status`` says
    where every column and every row's activity stands, ``(n_columns + n_rows,)``. ``ray`` may hold multipliers of the
    rows that prove infeasibility, ``(n_rows,)``.
    """

    columns: FloatArray | None
    status: NDArray[np.int8]
    ray: FloatArray | None = None


class Simplex(Protocol):
    """One linear program whose bounds change from call to call; it starts where the last call ended."""

    def solve(self, lower: FloatArray, upper: FloatArray, *, levels: int | None = None) -> SimplexAnswer:
        """Return the optimum of the first ``levels`` levels (None: all) within bounds of all columns."""

    def sweep(self, inputs: FloatArray, *, whole: bool) -> tuple[FloatArray, NDArray[np.int8]]:
        """Solve all levels for rows of `StandardForm.bound_inputs`, one after the other.

        Return the columns ``(K, n_columns)``, unless ``whole`` only those that are reported, and whether each is an
        optimum that holds (1), infeasible (0) or unsolved (-1).
        """

    def restart(self) -> None:
        """Forget the last basis, so that the next call starts cold."""
