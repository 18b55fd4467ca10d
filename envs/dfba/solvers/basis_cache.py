"""Known bases and proofs of infeasibility, and the search for one that fits each of many copies."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .basis import PROOF, Basis, Ray
from .simplex import FloatArray

UNKNOWN = -1
SEARCHED = 256
"""Bases tried without a hint, the most used first: beyond, one simplex run is as fast."""
REORDERED = 256
"""Calls between two orders of bases by use."""


class BasisCache:
    """Bases by number; proofs have the numbers -2, -3, ... Numbers are never given twice.

    Parameters
    ----------
    n_inputs
        Length of `StandardForm.bound_inputs`.
    n_outputs
        Growth and tracked fluxes.
    max_bases
        Where there are more, the one whose last use is longest ago is forgotten.
    """

    def __init__(self, n_inputs: int, n_outputs: int, max_bases: int) -> None:
        self.n_outputs, self.max_bases = n_outputs, max_bases
        self.bases: dict[int, Basis] = {}
        self.rays: list[Ray] = []
        self.ray_rows = np.zeros((n_inputs, 0))
        self.numbers: dict[bytes, int] = {}
        self.next_number = 0
        self.calls = 0
        self.order: list[int] = []

    def find(self, inputs: FloatArray, last: NDArray[np.intp] | None) -> tuple[NDArray[np.intp], FloatArray]:
        """Return where each copy's answer is, ``UNKNOWN`` where nothing fits, and the outputs.

        Tried are each copy's last basis or proof, then all proofs, then bases by use.
        """
        self.calls += 1
        place = np.full(len(inputs), UNKNOWN, dtype=np.intp)
        outputs = np.zeros((len(inputs), self.n_outputs))
        if last is not None:
            for number in set(last.tolist()):
                if number in self.bases:
                    self.try_basis(number, np.flatnonzero(last == number), inputs, place, outputs)
        pending = np.flatnonzero(place == UNKNOWN)
        if not len(pending):
            return place, outputs
        if self.rays:
            self.try_rays(pending, inputs, place)
            pending = pending[place[pending] == UNKNOWN]
        for number in self._by_use():
            if not len(pending):
                break
            self.try_basis(number, pending, inputs, place, outputs)
            pending = pending[place[pending] == UNKNOWN]
        return place, outputs

    def try_basis(
        self, number: int, copies: NDArray[np.intp], inputs: FloatArray, place: NDArray[np.intp], outputs: FloatArray
    ) -> None:
        """Answer those of the copies at which a basis is feasible."""
        basis = self.bases[number]
        whole = len(copies) == len(inputs)
        values = (inputs if whole else inputs[copies]).take(basis.inputs, axis=1) @ basis.system
        if basis.n_slacks and values[:, : basis.n_slacks].min() < 0.0:
            fits = values[:, : basis.n_slacks].min(axis=1) >= 0.0
            copies, values = copies[fits], values[fits]
            whole = False
        if not len(copies):
            return
        basis.uses += len(copies)
        basis.last_use = self.calls
        if whole:
            place[:] = number
            outputs[:] = values[:, basis.n_slacks :]
        else:
            place[copies] = number
            outputs[copies] = values[:, basis.n_slacks :]

    def try_rays(self, copies: NDArray[np.intp], inputs: FloatArray, place: NDArray[np.intp]) -> None:
        """Mark those of the copies that a proof shows to be infeasible."""
        whole = len(copies) == len(inputs)
        values = (inputs if whole else inputs[copies]) @ self.ray_rows
        least = values.argmin(axis=1)
        proven = values[np.arange(len(copies)), least] < -PROOF
        place[copies[proven]] = -2 - least[proven]

    def add_basis(self, basis: Basis) -> int:
        """Keep a basis and return its number, the old one if it is known."""
        known = self.numbers.get(basis.key)
        if known is not None:
            return known
        if len(self.bases) >= self.max_bases:
            oldest = min(self.bases, key=lambda number: self.bases[number].last_use)
            del self.numbers[self.bases.pop(oldest).key]
        number = self.next_number
        self.next_number += 1
        basis.last_use = self.calls
        self.bases[number] = basis
        self.numbers[basis.key] = number
        self.order = []
        return number

    def add_ray(self, ray: Ray) -> int:
        """Keep a proof and return its number, the old one if it is known."""
        for index in self._similar(ray):
            return -2 - index
        self.rays.append(ray)
        self.ray_rows = np.stack([each.row for each in self.rays], axis=1)
        return -1 - len(self.rays)

    def _similar(self, ray: Ray) -> Iterator[int]:
        for index, known in enumerate(self.rays):
            if np.allclose(known.directions, ray.directions, rtol=1e-9, atol=1e-12):
                yield index

    def _by_use(self) -> list[int]:
        if not self.order or self.calls % REORDERED == 0:
            self.order = sorted(self.bases, key=lambda number: -self.bases[number].uses)[:SEARCHED]
        return self.order
