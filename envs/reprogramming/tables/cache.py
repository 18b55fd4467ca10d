"""Where finished tables are kept, and what decides whether one fits."""

import contextlib
import hashlib
import json
import warnings
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....datasets.cache import cache_directory
from ....datasets.download import remove
from ..config import ReprogrammingConfig
from ..data import Table
from .file import DamagedFileError, load, replacing

ROOM = "reprogramming"
MOVES, TABLES, REQUESTS = "moves", "tables", "requests"

MOVE_CODE = ("arrays.py", "moves.py", "project.py", "propagate.py", "reduction.py")
"""Modules whose changes make older moves useless."""

CODE_ROOMS = ("dynamics", "preparation", "sources", "tables")
"""Rooms beside the simulator's own that may change a table."""

FILES = ("h5ad", "table", "perturbable_genes", "oracle", "grn", "grn_tfs")
"""Options of the data that name files."""


def digest(facts: Any, arrays: Iterable[NDArray[Any]] = ()) -> str:
    """Return the SHA-256 of JSON values and of arrays with their types and shapes."""
    total = hashlib.sha256(json.dumps(facts, sort_keys=True, default=list).encode())
    for array in arrays:
        plain = np.ascontiguousarray(array.astype(str) if array.dtype == object else array)
        total.update(f"{plain.dtype.str} {plain.shape}".encode())
        total.update(plain.view(np.uint8).data if plain.size else b"")
    return total.hexdigest()


@cache
def code_version(*names: str) -> str:
    """Return the SHA-256 of modules of the simulator by their names, or of all that a table may follow from."""
    folder = Path(__file__).parents[1]
    rooms = ("", *CODE_ROOMS)
    files = [folder / name for name in names] or sorted(file for room in rooms for file in (folder / room).glob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def room(*parts: str) -> Path | None:
    """Return a folder of the cache, or None for a user without a home."""
    directory = cache_directory()
    return None if directory is None else directory.joinpath(ROOM, *parts)


def table_folder(key: str) -> Path | None:
    """Return where the table of a key is, or would be."""
    return room(TABLES, key[:32])


def moves_folder(key: str) -> Path | None:
    """Return where the blocks of a key are, or would be."""
    return room(MOVES, key[:32])


def request_key(config: ReprogrammingConfig) -> str | None:
    """Return the SHA-256 of all that a table follows from, as far as it can be told without reading any cells.

    Files count by path, size and time of their last change; None where one of them is missing.
    """
    named = [getattr(config.data, name) for name in FILES]
    if config.sim.oe.endswith(".csv"):
        named.append(config.sim.oe)
    if (more := config.dynamics.multi_gene) is not None and not more.startswith("pairs:"):
        named.append(more)
    files = []
    for name in filter(None, named):
        with contextlib.suppress(OSError):
            facts = Path(name).stat()
            files.append((str(Path(name).absolute()), facts.st_size, facts.st_mtime_ns))
            continue
        if name != "correlation":
            return None
    table = replace(config.table, memory_mb=1, cache=True)  # which change nothing in a table
    parts = (config.data, config.data_split, config.impute, config.grn, config.sim, table)
    return digest([code_version(), files, [asdict(part) for part in parts], _moving(config)])


def _moving(config: ReprogrammingConfig) -> list[Any]:
    """Return the options of the dynamics that a table depends on."""
    dynamics = config.dynamics
    return [dynamics.multi_gene, dynamics.top_q if dynamics.kind == "stochastic" else 0]


def find_request(key: str | None) -> Table | None:
    """Return the finished table that was last built for a request, or None."""
    path = None if key is None else room(REQUESTS, f"{key[:32]}.json")
    if path is None:
        return None
    try:
        table_key = str(json.loads(path.read_text(encoding="utf-8"))["table"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return find_table(table_key)


def note_request(key: str | None, table_key: str) -> None:
    """Note which table a request led to."""
    path = None if key is None else room(REQUESTS, f"{key[:32]}.json")
    if path is not None:
        with replacing(path) as file:
            file.write(json.dumps({"table": table_key}).encode())


def find_table(key: str) -> Table | None:
    """Return a finished table, or None; a damaged one is left out with a warning."""
    folder = table_folder(key)
    if folder is None or not (folder / "table.npz").is_file():
        return None
    try:
        table = load(folder / "table.npz")
    except DamagedFileError as error:
        warnings.warn(f"{error} It is built again.", stacklevel=2)
        return None
    return table if table.meta.get("key") == key else None


def clear_tables() -> dict[str, int]:
    """Remove all tables and moves that were kept, and return the bytes they took."""
    folder = room()
    return {ROOM: remove(folder)} if folder is not None and folder.is_dir() else {}
