"""All actions of many cells at once: what a transition table is filled from."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import UserError
from . import arrays
from .data import Actions, FloatArray, Grn, IntArray
from .project import UNDEFINED, correlate, directions, move, softmax
from .propagate import (
    Clamps,
    Range,
    check_expression,
    check_network,
    check_steps,
    index_conditions,
    locate,
    of_cells,
    propagate,
)
from .reduction import Differences, Network, correlate_reduced

CHUNK = 16
"""Cells computed at once: what they need stays in the processor's cache."""


@dataclass(frozen=True)
class Moves:
    """Where actions move cells.

    Attributes
    ----------
    shift
        (b, A, d) in the precision of the simulation, before any gain; exactly 0 where the change is.
    size
        (b, A) float64: |delta|.
    neighbours, probability
        (b, A, q) int32 and float16, most probable first, where asked for: renormalised over the q.
    """

    shift: FloatArray
    size: FloatArray
    neighbours: IntArray | None = None
    probability: FloatArray | None = None


class Simulator:
    """Moves cells under the actions of a table.

    Parameters
    ----------
    imputed
        (n, G) smoothed expression of all cells, not negative.
    coordinates
        (n, d): the space of the moves. With ``snap=pcaN`` those components, else the drawing.
    neighbours
        (n, K) of `project.find_neighbours`.
    n, sigma, nan_policy, clip
        Of `propagate.simulate` and `project.shift`; ``clip`` is an option here: the observed range, or None.
    device
        ``cpu`` takes numpy's reduced path; ``cuda`` and ``torch:cpu`` take torch's direct path.
    direct
        Take the direct path with numpy, too.
    """

    def __init__(
        self,
        imputed: FloatArray,
        grn: Grn,
        actions: Actions,
        coordinates: FloatArray,
        neighbours: IntArray,
        cluster_of_cell: IntArray,
        *,
        n: int = 3,
        sigma: float = 0.05,
        nan_policy: str = "zero",
        clip: Range | None = None,
        precision: str = "float32",
        device: str = "cpu",
        direct: bool = False,
    ) -> None:
        check_steps(n)
        check_expression(imputed, grn.genes)
        check_network(grn.W, grn.genes, grn.tfs)
        if nan_policy not in UNDEFINED:
            raise UserError(f"table.nan_policy={nan_policy}: choose one of {', '.join(UNDEFINED)}.")
        self.grn, self.n, self.sigma, self.undefined = grn, n, sigma, UNDEFINED[nan_policy]
        self.precision, self.device, self.direct = precision, device, direct or device != "cpu"
        self.xp = arrays.library(device)
        self.tfs = locate(grn.tfs, grn.genes)
        self.clamps = index_conditions(actions.conditions, grn.genes)
        self.cluster_of_cell, self.cell_neighbours = cluster_of_cell, neighbours
        self.exact = np.ascontiguousarray(imputed, dtype=np.float64)
        self.x = arrays.put(imputed, device, precision)
        self.coordinates = arrays.put(coordinates, device, "float64")
        self.clip = None if clip is None else tuple(arrays.put(bound, device, precision) for bound in clip)
        self._network: tuple[int, Any] | None = None

    def moves(self, cells: IntArray, *, clamps: Clamps | None = None, top_q: int = 0) -> Moves:
        """Return the moves of cells of one type (b,) under all actions, or under ``clamps``.

        Raises
        ------
        UserError
            For cells of several types, which have networks of their own.
        """
        clusters = np.unique(self.cluster_of_cell[cells]) if len(self.grn.W) > 1 else np.zeros(1, dtype=int)
        if len(clusters) != 1:
            raise UserError(f"cells of {len(clusters)} types: ask for moves type by type.")
        network = self._network_of(int(clusters[0]))
        clamps = self.clamps if clamps is None else clamps
        cells = np.asarray(cells)
        near = (
            None
            if self.direct
            else Differences.of(self.exact, cells, self.cell_neighbours[cells], network.exact, clamps)
        )
        parts = []
        for first in range(0, len(cells), CHUNK):
            rows = np.arange(first, min(first + CHUNK, len(cells)))
            own = self._place(of_cells(clamps, rows))
            if near is None:
                rho, size = self._direct(cells[rows], network, own)
            else:
                rho, size = correlate_reduced(
                    self.x, cells[rows], near.rows(rows), network, self.tfs, own, self.n, self.clip, self.undefined
                )
            parts.append(self._finish(cells[rows], rho, size, top_q))
        shift, size, best, probability = zip(*parts, strict=True)
        if not top_q:
            return Moves(np.concatenate(shift), np.concatenate(size))
        return Moves(*(np.concatenate(part) for part in (shift, size, best, probability)))

    def _place(self, clamps: Clamps) -> Clamps:
        """Return clamps on the device."""
        return Clamps(
            arrays.put(clamps.condition, self.device),
            arrays.put(clamps.gene, self.device),
            arrays.put(clamps.value, self.device, self.precision),
            clamps.count,
            None if clamps.cell is None else arrays.put(clamps.cell, self.device),
        )

    def _network_of(self, cluster: int) -> Any:
        """Return what a type's network implies; that of the last type is kept."""
        if self._network is None or self._network[0] != cluster:
            W = self.grn.W[cluster]
            placed = arrays.put(W, self.device, self.precision)
            self._network = cluster, placed if self.direct else Network.of(W, placed)
        return self._network[1]

    def _direct(self, cells: IntArray, W: Any, clamps: Clamps) -> tuple[Any, Any]:
        """Return rho (b, A, K) and |delta| (b, A) from the changes themselves."""
        rows = arrays.put(cells, self.device)
        near = arrays.put(self.cell_neighbours[cells].astype(np.int64), self.device)
        tfs = arrays.put(self.tfs, self.device)
        delta = propagate(self.xp, self.x[rows], W, tfs, clamps, self.n, self.clip)
        size = self.xp.sqrt((delta * delta).sum(-1))
        return correlate(self.xp, self.x, rows, delta, near, self.undefined), size

    def _finish(self, cells: IntArray, rho: Any, size: Any, top_q: int) -> tuple[Any, ...]:
        """Return the parts of Moves from correlations."""
        xp, neighbours = self.xp, self.cell_neighbours[cells]
        rho /= self.sigma
        p = softmax(xp, rho)
        near = arrays.put(neighbours.astype(np.int64), self.device)
        unit = directions(xp, self.coordinates, arrays.put(cells, self.device), near)
        unit = unit.astype(p.dtype) if xp is np else unit.to(p.dtype)
        shift, size = arrays.take_back(move(p, unit)), arrays.take_back(size).astype(np.float64)
        shift[size == 0] = 0
        if not top_q:
            return shift, size, None, None
        probability = arrays.take_back(p)
        top_q = min(top_q, probability.shape[2])
        # Ties go to the nearer neighbour, whatever the library.
        order = np.argsort(-probability, axis=2, kind="stable")[:, :, :top_q]
        best = np.take_along_axis(probability, order, axis=2)
        chosen = np.take_along_axis(neighbours[:, None].repeat(order.shape[1], axis=1), order, axis=2)
        best = best / best.sum(axis=2, keepdims=True)
        return shift, size, chosen.astype(np.int32), best.astype(np.float16)
