"""How a perturbation of transcription factors changes the expression of all genes.

Kamimoto et al. 2023 (doi:10.1038/s41586-022-05688-9): with x >= 0 the smoothed expression of a cell and W the linear
network of its type, d_0 = value - x on the perturbed genes and 0 elsewhere, and then N times

    d <- d W;   d_g <- d_0g wherever d_0g is not 0;   d <- max(d, -x).

Only transcription factors have rows in W, so all passes but the last are made in their space, which is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ... import UserError
from . import arrays
from .data import FloatArray, IntArray, StrArray

MAX_PROPAGATION = 5
Conditions = Sequence[Mapping[str, float]]
Range = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class Clamps:
    """Conditions as arrays: an entry for every gene that a condition clamps.

    Attributes
    ----------
    condition, gene, value
        (M,) which condition clamps which gene at what expression.
    count
        A, the number of conditions (of every cell).
    cell
        (M,) whose condition it is, where every cell has its own; None where all cells have the same.
    """

    condition: IntArray
    gene: IntArray
    value: FloatArray
    count: int
    cell: IntArray | None = None

    @property
    def place(self) -> tuple[Any, Any]:
        """The first two indices of the clamped entries in an array (cells, A, G)."""
        return (slice(None) if self.cell is None else self.cell), self.condition

    def changes(self, x: Any) -> Any:
        """Return d_0 of the clamped entries, (cells, M) or (M,), in expression x (cells, G)."""
        return self.value - (x[:, self.gene] if self.cell is None else x[self.cell, self.gene])


def index_conditions(conditions: Conditions, genes: StrArray) -> Clamps:
    """Return conditions by position, in the order given; UserError for unknown genes and impossible values."""
    position = {name: index for index, name in enumerate(genes.tolist())}
    entries = []
    for row, condition in enumerate(conditions):
        for name, value in condition.items():
            if name not in position:
                raise UserError(
                    f"condition {dict(condition)}: {name} is none of the {len(genes)} measured genes, so name one of "
                    f"them, such as {', '.join(genes[:3].tolist())}."
                )
            if not (np.isfinite(value) and value >= 0):
                raise UserError(f"condition {name}={value}: expression is finite and not negative; 0 knocks out.")
            entries.append((row, position[name], value))
    array = np.array(entries, dtype=np.float64).reshape(-1, 3)
    return Clamps(array[:, 0].astype(np.int64), array[:, 1].astype(np.int64), array[:, 2], len(conditions))


def stack_clamps(conditions: Sequence[Conditions], genes: StrArray) -> Clamps:
    """Return conditions of every cell's own, as many for each cell."""
    count = len(conditions[0])
    flat = index_conditions([condition for of_cell in conditions for condition in of_cell], genes)
    return Clamps(flat.condition % count, flat.gene, flat.value, count, flat.condition // count)


def of_cells(clamps: Clamps, cells: IntArray) -> Clamps:
    """Return the conditions of some cells, ascending, which then count from 0."""
    if clamps.cell is None:
        return clamps
    among = np.isin(clamps.cell, cells)
    cell = np.searchsorted(cells, clamps.cell[among])
    return Clamps(clamps.condition[among], clamps.gene[among], clamps.value[among], clamps.count, cell)


def observed_range(imputed: FloatArray) -> Range:
    """Return the smallest and the largest expression of every gene, (G,) each: what clipping keeps to."""
    return imputed.min(axis=0), imputed.max(axis=0)


def locate(names: StrArray, genes: StrArray) -> IntArray:
    """Return the positions of names among genes; UserError with the first ones that are missing."""
    position = {name: index for index, name in enumerate(genes.tolist())}
    if missing := [name for name in names.tolist() if name not in position]:
        raise UserError(f"{len(missing)} genes are not measured, {', '.join(missing[:3])} first: leave them out.")
    return np.array([position[name] for name in names.tolist()], dtype=np.int64)


def check_expression(x: FloatArray, genes: StrArray) -> None:
    """Raise UserError unless expression (n, G) is finite and not negative."""
    if x.ndim != 2 or x.shape[1] != len(genes):
        raise UserError(f"expression has shape {x.shape}: give cells x {len(genes)} genes.")
    for bad, what, remedy in (
        (~np.isfinite(x), "not finite", "drop those cells or genes"),
        (x < 0, "negative", "give unscaled log-normalised expression"),
    ):
        if bad.any():
            cell, gene = np.argwhere(bad)[0]
            raise UserError(
                f"expression: {int(bad.sum())} values are {what}, that of {genes[gene]} in cell {cell} first, so "
                f"{remedy}."
            )


def check_network(W: FloatArray, genes: StrArray, tfs: StrArray) -> None:
    """Raise UserError unless coefficients (..., F, G) are finite and of the right shape."""
    if W.shape[-2:] != (len(tfs), len(genes)):
        raise UserError(f"W has shape {W.shape}: give {len(tfs)} transcription factors x {len(genes)} genes.")
    if not np.isfinite(W).all():
        *_, tf, gene = np.argwhere(~np.isfinite(W))[0]
        raise UserError(
            f"W: {int((~np.isfinite(W)).sum())} coefficients are not finite, that of {tfs[tf]} on {genes[gene]} first, "
            "so fit the network again."
        )


def check_steps(n: int) -> None:
    """Raise UserError unless the number of passes through the network is allowed."""
    if not 1 <= n <= MAX_PROPAGATION:
        raise UserError(f"sim.n_propagation={n}: choose 1 to {MAX_PROPAGATION}.")


def simulate(
    x: FloatArray,
    W: FloatArray,
    conditions: Conditions | Clamps,
    n: int = 3,
    clip: Range | None = None,
    *,
    genes: StrArray,
    tfs: StrArray,
    cluster_of_cell: IntArray | None = None,
) -> FloatArray:
    """Return the change of expression (cells, A, G) under every condition.

    Parameters
    ----------
    x
        (cells, G) smoothed expression; its dtype is the precision.
    W
        (F, G), or (C, F, G) with ``cluster_of_cell`` (cells,).
    conditions
        A mapping from gene to value each, 0 for a knock-out. A gene that is at its value already is not held.
    n
        How often the network passes a change on, 1 to 5.
    clip
        Smallest and largest expression of every gene that x + change may take, after the last pass.

    Raises
    ------
    UserError
        For unknown genes, negative values, values that are not finite and any other n.
    """
    check_steps(n)
    check_expression(x, genes)
    check_network(W, genes, tfs)
    clamps = conditions if isinstance(conditions, Clamps) else index_conditions(conditions, genes)
    clamps = replace(clamps, value=clamps.value.astype(x.dtype))
    rows = locate(tfs, genes)
    if cluster_of_cell is None:
        changed: FloatArray = propagate(np, x, W.astype(x.dtype), rows, clamps, n, clip)
        return changed
    delta = np.empty((len(x), clamps.count, x.shape[1]), dtype=x.dtype)
    for cluster in np.unique(cluster_of_cell):
        cells = np.flatnonzero(cluster_of_cell == cluster)
        delta[cells] = propagate(np, x[cells], W[cluster].astype(x.dtype), rows, of_cells(clamps, cells), n, clip)
    return delta


def propagate(xp: Any, x: Any, W: Any, tfs: Any, clamps: Clamps, n: int, clip: Any = None) -> Any:
    """Return `simulate`'s change for cells of one type, unchecked, with arrays of library ``xp``: numpy or torch."""
    delta = propagate_tfs(xp, x, W[:, tfs], tfs, clamps, n) @ W
    hold(xp, delta, clamps.gene, clamps, clamps.changes(x))
    delta = xp.maximum(delta, -x[:, None])
    if clip is not None:
        delta = xp.maximum(xp.minimum(delta, (clip[1] - x)[:, None]), (clip[0] - x)[:, None])
    return delta


def propagate_tfs(xp: Any, x: Any, W_tfs: Any, tfs: Any, clamps: Clamps, n: int) -> Any:
    """Return the change of transcription factors (cells, A, F) that the last pass starts from."""
    entry, position = xp.where(clamps.gene[:, None] == tfs)
    own = None if clamps.cell is None else clamps.cell[entry]
    of_tfs = Clamps(clamps.condition[entry], clamps.gene[entry], clamps.value[entry], clamps.count, own)
    start = of_tfs.changes(x)
    signal = arrays.zeros(x, (len(x), clamps.count, len(tfs)))
    hold(xp, signal, position, of_tfs, start)
    floor = -x[:, tfs][:, None]
    for _ in range(n - 1):
        signal = signal @ W_tfs
        hold(xp, signal, position, of_tfs, start)
        signal = xp.maximum(signal, floor)
    return signal


def hold(xp: Any, change: Any, position: Any, clamps: Clamps, start: Any) -> None:
    """Set clamped entries of a change (cells, A, ...), at positions (M,) of their genes, to d_0 where it is not 0."""
    place = (*clamps.place, position)
    change[place] = xp.where(start != 0, start, change[place])


def simulate_dense(
    x: FloatArray,
    W: FloatArray,
    conditions: Conditions,
    n: int = 3,
    clip: Range | None = None,
    *,
    genes: StrArray,
    tfs: StrArray,
) -> FloatArray:
    """Return what `simulate` does for cells of one type, through the whole G x G network: the reference, and slow."""
    network = np.zeros((len(genes), len(genes)))
    network[locate(tfs, genes)] = W
    position = {name: index for index, name in enumerate(genes.tolist())}
    delta = np.empty((len(x), len(conditions), len(genes)))
    for column, condition in enumerate(conditions):
        clamped = x.astype(np.float64)
        for name, value in condition.items():
            clamped[:, position[name]] = value
        start = clamped - x
        change = start
        for _ in range(n):
            change = change @ network
            change = np.where(start != 0, start, change)
            change = np.maximum(change, -x)
        delta[:, column] = change if clip is None else np.clip(x + change, *clip) - x
    return delta
