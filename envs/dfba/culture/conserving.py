"""Sharing what there is, so that no step takes more: sums without an order, and shares of what is wanted."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from .... import UserError

FloatArray = NDArray[np.float64]

LEAST_CONCENTRATION = -1e-12
"""Relative to the largest concentration of a copy, where that is above 1: more is an error, not rounding."""


def order_free_sum(parts: FloatArray) -> FloatArray:
    """Return the sum over the first axis, the same to the last bit in whatever order the parts come."""
    if len(parts) == 1:
        return cast("FloatArray", parts[0])
    if len(parts) == 2:
        return cast("FloatArray", parts[0] + parts[1])
    return cast("FloatArray", np.sort(parts, axis=0).sum(axis=0))


def scale_reactions(rates: FloatArray, stoichiometry: FloatArray, available: FloatArray) -> FloatArray:
    """Slow down reactions (K, R) that consume more than is available (K, S) per hour; take what they use from it.

    Every reaction that consumes a scarce species is scaled by the same ratio, and a reaction by the smallest of its
    substrates'.
    """
    used = np.maximum(0.0, -rates[:, :, None] * stoichiometry)
    total = used.sum(axis=1)
    if (total > available).any():
        share = share_of(available, total)
        rates = rates * np.where(used > 0, share[:, None, :], 1.0).min(axis=2)
        total = np.maximum(0.0, -rates[:, :, None] * stoichiometry).sum(axis=1)
    available -= total
    return rates


def check_concentrations(after: FloatArray, names: Sequence[str]) -> None:
    """Refuse a state below zero by more than rounding: matter would have to be made to go on."""
    least = after.min()
    if least >= LEAST_CONCENTRATION:
        return
    scale = np.maximum(1.0, after.max(axis=1, keepdims=True))
    copy, column = (int(place) for place in np.unravel_index(int((after / scale).argmin()), after.shape))
    if after[copy, column] < LEAST_CONCENTRATION * scale[copy, 0]:
        raise UserError(
            f"{names[column]} would fall to {after[copy, column]:.3g} in copy {copy}: lower dt_h, or set substeps=auto."
        )


def share_of(available: FloatArray, wanted: FloatArray) -> FloatArray:
    """Return which share (at most 1) of what is wanted there is."""
    available = np.maximum(available, 0.0)
    share, scarce = np.ones_like(wanted), wanted > available
    if scarce.any():
        np.divide(available, wanted, out=share, where=scarce)
    return share
