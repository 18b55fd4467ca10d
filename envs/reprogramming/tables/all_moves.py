"""The first stage of a table: where every action pushes every cell, before any gain and any snapping."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .... import UserError
from ..config import ReprogrammingConfig
from ..data import Actions, FloatArray, Grn, Prepared
from ..moves import Moves, Simulator
from ..project import find_neighbours
from ..propagate import observed_range
from .blocks import Arrays, BlockStore, block_size, plan_blocks, sort_cells
from .cache import MOVE_CODE, code_version, digest
from .progress import Progress


@dataclass(frozen=True)
class MoveOptions:
    """What moves depend on besides cells, network and actions.

    Attributes
    ----------
    n_propagation, clip, sigma, nan_policy, precision
        As in the options of the environment.
    neighbors, plus_one
        As they were asked for; few cells have fewer neighbours.
    top_q
        Most probable neighbours that are kept for stochastic dynamics; 0 for none.
    """

    n_propagation: int
    clip: bool
    neighbors: int
    plus_one: bool
    sigma: float
    nan_policy: str
    precision: str
    top_q: int

    @classmethod
    def of(cls, config: ReprogrammingConfig) -> "MoveOptions":
        """Take them from the options of an environment."""
        sim, table, dynamics = config.sim, config.table, config.dynamics
        return cls(
            n_propagation=sim.n_propagation,
            clip=sim.clip,
            neighbors=int(table.neighbors or 200),
            plus_one=table.plus_one,
            sigma=table.sigma,
            nan_policy=table.nan_policy,
            precision=table.precision,
            top_q=dynamics.top_q if dynamics.kind == "stochastic" else 0,
        )


def move_key(prepared: Prepared, grn: Grn, actions: Actions, options: MoveOptions, space: FloatArray) -> str:
    """Return the SHA-256 of everything that moves follow from, the code that computes them included."""
    conditions = [sorted(condition.items()) for condition in actions.conditions]
    facts = [asdict(options), conditions, code_version(*MOVE_CODE)]
    return digest(
        facts,
        [
            prepared.imputed, prepared.genes, prepared.cluster_of_cell, prepared.embedding, space,
            grn.W, grn.tfs, grn.genes, actions.names,
        ],
    )  # fmt: skip


def compute_moves(
    prepared: Prepared,
    grn: Grn,
    actions: Actions,
    options: MoveOptions,
    space: FloatArray,
    *,
    memory_mb: int = 1024,
    progress: Progress | None = None,
    device: str = "cpu",
    folder: Path | None = None,
) -> Moves:
    """Move all cells by all actions, block by block; the result's ``shift`` and ``size`` are float32.

    Parameters
    ----------
    space
        (n, d) coordinates that shifts are made in: the drawing, or principal components.
    memory_mb
        What a block may take; it changes no result but for rounding.
    device
        ``cpu``, or ``cuda`` through torch.
    folder
        Where finished blocks are kept, so that a build that was stopped goes on; None to keep nothing.

    Raises
    ------
    UserError
        For expression, networks and conditions that make no sense, and where the disk is full.
    """
    simulator = make_simulator(prepared, grn, actions, options, space, device=device)
    top_q = min(options.top_q, simulator.cell_neighbours.shape[1])
    n, n_actions, n_genes = len(prepared.imputed), len(actions.names), len(prepared.genes)
    size = block_size(memory_mb, n_actions, n_genes, np.dtype(options.precision).itemsize)
    blocks = plan_blocks(prepared.cluster_of_cell, size)
    store = None
    if folder is not None:
        store = BlockStore(folder, move_key(prepared, grn, actions, options, space), blocks)
        blocks = store.blocks
    result: Arrays = {
        "shift": np.zeros((n, n_actions, space.shape[1]), dtype=np.float32),
        "size": np.zeros((n, n_actions), dtype=np.float32),
    }
    if top_q:
        result["neighbours"] = np.zeros((n, n_actions, top_q), dtype=np.int32)
        result["probability"] = np.zeros((n, n_actions, top_q), dtype=np.float16)
    order, open_blocks, done = sort_cells(prepared.cluster_of_cell), [], 0
    for block in blocks:
        arrays = store.read(block) if store is not None else None
        if arrays is None:
            open_blocks.append(block)
            continue
        done += block.stop - block.first
        _put_rows(result, arrays, order[block.first : block.stop])
    if progress is not None:
        progress(done, n)
    for block in open_blocks:
        cells = order[block.first : block.stop]
        arrays = move_block(simulator, cells, top_q)
        if store is not None:
            store.write(block, arrays)
        _put_rows(result, arrays, cells)
        done += len(cells)
        if progress is not None:
            progress(done, n)
    return Moves(result["shift"], result["size"], result.get("neighbours"), result.get("probability"))


def _put_rows(result: Arrays, arrays: Arrays, cells: NDArray[np.intp]) -> None:
    for name, values in result.items():
        values[cells] = arrays[name]


def make_simulator(
    prepared: Prepared,
    grn: Grn,
    actions: Actions,
    options: MoveOptions,
    space: FloatArray,
    *,
    device: str = "cpu",
) -> Simulator:
    """Return what moves these cells by these actions.

    Raises
    ------
    UserError
        If the network is not about the cells' genes, or expression, network or conditions make no sense.
    """
    if not np.array_equal(grn.genes, prepared.genes):
        raise UserError(
            f"The network has {len(grn.genes)} genes and the cells {len(prepared.genes)}, or in another order: fit it "
            "on these cells."
        )
    return Simulator(
        prepared.imputed,
        grn,
        actions,
        space,
        find_neighbours(prepared.embedding, options.neighbors, plus_one=options.plus_one),
        prepared.cluster_of_cell,
        n=options.n_propagation,
        sigma=options.sigma,
        nan_policy=options.nan_policy,
        clip=observed_range(prepared.imputed) if options.clip else None,
        precision=options.precision,
        device=device,
    )


def move_block(simulator: Simulator, cells: NDArray[np.intp], top_q: int) -> Arrays:
    """Return shift, size and, where asked for, neighbours and probability of cells of one type."""
    return as_arrays(simulator.moves(cells, top_q=top_q), cells)


def as_arrays(moves: Moves, cells: NDArray[np.intp]) -> Arrays:
    """Return moves in the types that are kept; what does not change leads to the cell itself with probability 1."""
    arrays: Arrays = {"shift": moves.shift.astype(np.float32), "size": moves.size.astype(np.float32)}
    if moves.neighbours is not None and moves.probability is not None:
        still, first = moves.size == 0, np.arange(moves.neighbours.shape[2]) == 0
        arrays["neighbours"] = np.where(still[..., None], cells[:, None, None], moves.neighbours).astype(np.int32)
        arrays["probability"] = np.where(still[..., None], first, moves.probability).astype(np.float16)
    return arrays
