"""Which numbers of a steady state are known, and which were made up to complete it."""

from dataclasses import dataclass

import numpy as np

from ..network import FloatArray

KEPT = 1e-6
"""Relative distance within which a given value counts as kept."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the values of one kind come from: names of reactions or species, in the network's order.

    Parameters
    ----------
    given
        Known, and kept.
    moved
        Known, but no steady and driven state has the value.
    assumed
        Computed or drawn.
    """

    given: tuple[str, ...]
    moved: tuple[str, ...]
    assumed: tuple[str, ...]

    def __str__(self) -> str:
        moved = f", {len(self.moved)} given but moved" if self.moved else ""
        return f"{len(self.given)} given{moved}, {len(self.assumed)} assumed"


@dataclass(frozen=True, slots=True)
class StateOrigin:
    """Which numbers of a completed state are given and which assumed; irreversible reactions have no free energy."""

    fluxes: Origin
    free_energies: Origin
    concentrations: Origin

    def __str__(self) -> str:
        return (
            f"fluxes: {self.fluxes}; free energies: {self.free_energies}; concentrations: {self.concentrations}; "
            "assumed values are no measurements"
        )


def trace(names: tuple[str, ...], known: FloatArray, values: FloatArray) -> Origin:
    """Return what became of known numbers, NaN where nothing is known; all three in one order, ``(n,)``."""
    kept = np.isclose(values, known, rtol=KEPT, atol=0)
    moved = np.isfinite(known) & ~kept
    return Origin(
        *(
            tuple(name for name, chosen in zip(names, mask, strict=True) if chosen)
            for mask in (kept, moved, np.isnan(known))
        )
    )
