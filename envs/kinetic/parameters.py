"""Which Michaelis constants an agent moves, within which bounds, and how its vector p becomes ln K."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...configs.option import nearest
from .config import LN_KM_BOUNDS
from .errors import KineticInputError
from .network import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class ParameterSpace:
    """The moved constants among all constants of a model.

    Parameters
    ----------
    names
        Of the moved constants, in the agent's order, ``(P,)``.
    index
        Where each stands among the model's constants, ``(P,)``.
    low, high
        Bounds of ln K of the moved constants, ln(mol/L), ``(P,)``.
    resting
        ln K of all constants, ``(n_parameters,)``; only the entries that are not moved are read.
    """

    names: tuple[str, ...]
    index: IntArray
    low: FloatArray
    high: FloatArray
    resting: FloatArray

    def complete(self, moved: FloatArray) -> FloatArray:
        """Return ln K of all constants, ``(n, n_parameters)``, for moved ones ``(n, P)``, clipped to their bounds."""
        ln_km = np.repeat(self.resting[None], len(moved), axis=0)
        ln_km[:, self.index] = np.clip(moved, self.low, self.high)
        return ln_km


def parameter_space(
    names: Sequence[str],
    acting: BoolArray,
    *,
    include_inert: bool = True,
    order: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
    ranges: Mapping[str, Sequence[float]] | None = None,
) -> ParameterSpace:
    """Choose the moved constants of a model.

    Parameters
    ----------
    names, acting
        All constants, ``(n_parameters,)``, and which of them take part in a rate.
    include_inert
        Whether those that take part in none are moved too.
    order
        All names in the agent's order; None: as in ``names``.
    fixed, ranges
        Measured constants that stay, and bounds of others, mol/L.

    Raises
    ------
    KineticInputError
        A measured constant is unknown, or none is left to be moved.
    """
    fixed, ranges = dict(fixed or {}), dict(ranges or {})
    position = {name: index for index, name in enumerate(names)}
    _check_names("fixed", fixed, position, acting)
    _check_names("ranges", ranges, position, acting)
    moved = [
        name
        for name in (names if order is None else order)
        if name not in fixed and (include_inert or acting[position[name]])
    ]
    if not moved:
        raise KineticInputError("fixed names every constant, so that nothing is left to move; fix fewer of them.")
    resting = np.zeros(len(names))
    for name, value in fixed.items():
        resting[position[name]] = math.log(value)
    low, high = (np.full(len(moved), bound) for bound in LN_KM_BOUNDS)
    for index, name in enumerate(moved):
        if name in ranges:
            low[index], high[index] = np.log(ranges[name])
    return ParameterSpace(tuple(moved), np.array([position[name] for name in moved]), low, high, resting)


def _check_names(key: str, given: Mapping[str, Any], position: Mapping[str, int], acting: BoolArray) -> None:
    for name in given:
        if name not in position:
            raise KineticInputError(f"{key}.{name}: the model has no such constant; {nearest(name, position)}")
        if not acting[position[name]]:
            warnings.warn(
                f"{key}.{name}: the constant takes part in no rate, so that its value changes nothing.", stacklevel=4
            )
