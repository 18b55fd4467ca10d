"""Where every action leads from every cell: built in blocks, kept, and found again.

A table has two stages. Moves (`table_moves`) cost minutes to hours and depend on cells, network and actions; from them
cells are snapped in seconds, under any gain. Both stages are kept under a checksum of all that they follow from, so a
second process finds the table, and another gain finds the moves.
"""

from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ... import UserError, __version__
from .config import ReprogrammingConfig
from .data import Actions, FloatArray, Grn, IntArray, Prepared, Table
from .moves import Moves
from .project import choose_gain, find_neighbours, scale_by_size, snap
from .simulation import Simulation, load_simulation
from .tables.all_moves import MoveOptions, as_arrays, compute_moves, move_key
from .tables.blocks import locked
from .tables.cache import (
    code_version,
    digest,
    find_request,
    find_table,
    moves_folder,
    note_request,
    request_key,
    table_folder,
)
from .tables.file import FORMAT, NO_MOVES, load, save, warn_notes
from .tables.progress import BuildLines, Progress

__all__ = ["build", "load", "load_table", "resnap", "save"]


def load_table(config: ReprogrammingConfig, *, progress: Progress | None = None, device: str = "cpu") -> Table:
    """Return the transition table that options describe: found in the cache, read from a file, or built.

    Parameters
    ----------
    config
        Any ``data.kind`` but krumsiek11.
    progress
        Told how many cells are done while a table is built; by default lines are printed.
    device
        Of a build: ``cpu`` or ``cuda``.

    Raises
    ------
    UserError
        For all that is wrong with files and options.
    """
    if config.data.kind == "table":
        return read_table(config)
    key = request_key(config) if config.table.cache else None
    if (table := find_request(key)) is not None:
        return table
    simulation = load_simulation(config)
    return build_cached(simulation, config, request=key, progress=progress or BuildLines(), device=device)


def read_table(config: ReprogrammingConfig) -> Table:
    """Return the finished table of ``data.table``, with another gain where ``table.gain`` says one."""
    path = Path(str(config.data.table))
    if path.suffix in (".pkl", ".pickle"):
        from .sources.thesis import import_table

        table: Table = import_table(config)
    else:
        table = load(path)
        if config.data.h5ad is not None:
            from .sources.thesis import check_order

            check_order(table, path, config)
    warn_notes(table)
    return table if config.table.gain is None else resnap(table, config.table.gain)


def build_cached(
    simulation: Simulation,
    config: ReprogrammingConfig,
    *,
    request: str | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
) -> Table:
    """Return a table from the cache, or build it there; another process that builds the same is waited for."""
    prepared, grn, actions = simulation.prepared, simulation.grn, simulation.actions
    source = {"source": simulation.source}
    folder = None
    if config.table.cache:
        folder = moves_folder(move_key(prepared, grn, actions, MoveOptions.of(config), space_of(prepared, config)))
    if folder is None:
        return build(prepared, grn, actions, config, progress=progress, device=device, meta=source)
    key = table_key(prepared, grn, actions, config)
    target = table_folder(key)
    assert target is not None
    with locked(folder):
        table = find_table(key)
        if table is None:
            table = build(prepared, grn, actions, config, progress=progress, device=device, folder=folder, meta=source)
            save(table, target / "table.npz")
            table = load(target / "table.npz")  # whose features need not stay in memory
        note_request(request, key)
    return table


def build(
    prepared: Prepared,
    grn: Grn,
    actions: Actions,
    config: ReprogrammingConfig,
    *,
    progress: Progress | None = None,
    device: str = "cpu",
    folder: Path | None = None,
    meta: dict[str, Any] | None = None,
) -> Table:
    """Return the transition table of prepared cells.

    Parameters
    ----------
    prepared, grn, actions
        Cells, the network of each type, and the columns.
    config
        Its ``sim``, ``table`` and ``dynamics`` count here.
    progress
        Told how many cells are done.
    device
        ``cpu`` or ``cuda``; both give the same table but for rounding.
    folder
        Where finished blocks are kept, so that a build that was stopped goes on; None to keep nothing.
    meta
        More facts for ``Table.meta``.

    Raises
    ------
    UserError
        For expression, networks and conditions that make no sense, and where the disk is full.
    """
    space = space_of(prepared, config)
    if config.sim.backend == "celloracle":
        moves = _celloracle_moves(prepared, grn, actions, config, progress)
    else:
        moves = compute_moves(
            prepared,
            grn,
            actions,
            MoveOptions.of(config),
            space,
            memory_mb=config.table.memory_mb,
            progress=progress,
            device=device,
            folder=folder,
        )
    shift = moves.shift
    if config.table.shift == "magnitude":
        shift = scale_by_size(shift, moves.size)
    shift = np.asarray(shift, dtype=np.float32)
    gain = choose_gain(1.0 if config.table.gain is None else config.table.gain, space, shift)
    facts = {
        "bioppo": __version__,
        "key": table_key(prepared, grn, actions, config),
        "gain": gain,
        "snap": config.table.snap,
        "options": {"sim": asdict(config.sim), "table": asdict(config.table), "dynamics": asdict(config.dynamics)},
        "log": list(prepared.log),
    }
    return Table(
        next=snap_cells(space, shift, gain),
        shift=shift,
        actions=actions,
        genes=np.array(sorted_genes(actions)),
        tfs=grn.tfs,
        clusters=prepared.clusters,
        cluster_of_cell=prepared.cluster_of_cell,
        embedding=prepared.embedding,
        cells=prepared.cells,
        features=prepared.features,
        pcs=prepared.pcs,
        split=prepared.split,
        meta=facts | (meta or {}),
        neighbours=moves.neighbours,
        probability=moves.probability,
    )


def resnap(table: Table, gain: float | str) -> Table:
    """Return a table with another gain, ``auto`` included, from the moves that it holds.

    Raises
    ------
    UserError
        If the table's source knows no moves.
    """
    if table.meta.get(NO_MOVES):
        raise UserError(
            f"table.gain={gain}: this table holds next cells without moves, so its gain cannot be changed; build one "
            "from the cells with data.h5ad."
        )
    space = table.embedding if table.meta.get("snap", "emb") == "emb" else table.pcs[:, : table.shift.shape[2]]
    chosen = choose_gain(gain, space, table.shift)
    facts = {name: value for name, value in table.meta.items() if name != "key"}
    return replace(table, next=snap_cells(space, table.shift, chosen), meta=facts | {"gain": chosen})


def snap_cells(space: FloatArray, shift: FloatArray, gain: float) -> IntArray:
    """Return the next cells (n, A) int32 of all shifts, a few thousand cells at a time."""
    n, n_actions = shift.shape[:2]
    reached = np.empty((n, n_actions), dtype=np.int32)
    step = max(1, 2**21 // n_actions)
    for first in range(0, n, step):
        rows = np.arange(first, min(first + step, n))
        reached[rows] = snap(space, shift[rows], gain, rows=rows)
    return reached


def sorted_genes(actions: Actions) -> list[str]:
    """Return the action genes in the order of their first actions."""
    return list(dict.fromkeys(gene for condition in actions.conditions for gene in condition))


def space_of(prepared: Prepared, config: ReprogrammingConfig) -> FloatArray:
    """Return the coordinates (n, d) that cells are moved and snapped in.

    Raises
    ------
    UserError
        If there are fewer principal components than ``table.snap`` asks for.
    """
    if config.table.snap == "emb":
        return prepared.embedding
    count = int(config.table.snap.removeprefix("pca"))
    if count > prepared.pcs.shape[1]:
        raise UserError(
            f"table.snap=pca{count}: there are {prepared.pcs.shape[1]} principal components, so choose that many or "
            "fewer."
        )
    return np.ascontiguousarray(prepared.pcs[:, :count])


def table_key(prepared: Prepared, grn: Grn, actions: Actions, config: ReprogrammingConfig) -> str:
    """Return the SHA-256 of everything that a finished table holds or follows from."""
    options = config.table
    moves = move_key(prepared, grn, actions, MoveOptions.of(config), space_of(prepared, config))
    facts = [FORMAT, options.gain, options.snap, options.shift]
    if config.sim.backend == "celloracle":
        facts += [version("celloracle"), code_version("celloracle_backend.py")]
    return digest([moves, facts], [prepared.features, prepared.pcs, prepared.split, prepared.cells, prepared.clusters])


def _celloracle_moves(
    prepared: Prepared, grn: Grn, actions: Actions, config: ReprogrammingConfig, progress: Progress | None
) -> Moves:
    from .celloracle_backend import simulate

    if config.table.snap != "emb":
        raise UserError(
            f"table.snap={config.table.snap}: celloracle moves in the drawing alone, so set table.snap=emb."
        )
    options = MoveOptions.of(config)
    neighbours = find_neighbours(prepared.embedding, options.neighbors, plus_one=options.plus_one)
    cells = np.arange(len(prepared.cells))

    def tell(done: int, total: int) -> None:
        if progress is not None:  # celloracle goes action by action
            progress(len(cells) * done // total, len(cells))

    moves = simulate(prepared, grn, actions, config, neighbours, top_q=options.top_q, progress=tell)
    return Moves(**as_arrays(moves, cells))
