"""Transition tables as files: one ``.npz`` without pickles, and the features beside it, mapped into memory.

``table.npz`` holds ``T`` (n, A) int32, ``shift`` (n, A, d) float32, ``genes``, ``tfs``, ``action_names`` and
``activates`` (A,), ``action_values`` (A, number of genes) with NaN where a gene is left alone, ``clusters``,
``cluster_of_cell``, ``embedding``, ``cells``, ``pcs``, ``split`` and ``meta``, a JSON text. Stochastic tables add
``neighbours`` and ``probability``.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from .... import UserError
from ..data import Actions, FloatArray, IntArray, StrArray, Table

FORMAT = 1
"""Raised when files of an older version can no longer be read."""

REQUIRED = (
    "T", "shift", "genes", "tfs", "action_names", "action_values", "activates", "clusters", "cluster_of_cell",
    "embedding", "cells", "pcs", "split", "meta",
)  # fmt: skip

NO_MOVES = "without_moves"
"""Key in ``Table.meta`` of tables whose source knows next cells alone, so that their gain stays."""

SHOWN = 3
"""Offenders that a sentence names."""


class DamagedFileError(UserError):
    """A file that is not what was once written."""


def save(table: Table, path: Path) -> Path:
    """Write a table and its features, each whole or not at all, and return the path of the first.

    Raises
    ------
    UserError
        With the path, where the disk is full or the folder cannot be written.
    """
    values = np.full((len(table.actions.names), len(table.genes)), np.nan)
    column = {str(gene): position for position, gene in enumerate(table.genes)}
    for row, condition in enumerate(table.actions.conditions):
        for gene, value in condition.items():
            values[row, column[gene]] = value
    features = np.ascontiguousarray(table.features, dtype=np.float32)
    with replacing(features_path(path)) as file:
        # Not np.save, whose own writing hides why a disk refuses.
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(features))
        file.write(features.data)
    arrays: dict[str, NDArray[Any]] = {
        "T": np.asarray(table.next, dtype=np.int32),
        "shift": np.asarray(table.shift, dtype=np.float32),
        "genes": table.genes,
        "tfs": table.tfs,
        "action_names": table.actions.names,
        "action_values": values,
        "activates": np.asarray(table.actions.activates, dtype=bool),
        "clusters": table.clusters,
        "cluster_of_cell": np.asarray(table.cluster_of_cell, dtype=np.int32),
        "embedding": table.embedding,
        "cells": table.cells,
        "pcs": table.pcs,
        "split": np.asarray(table.split, dtype=np.int8),
    }
    if table.neighbours is not None and table.probability is not None:
        arrays["neighbours"] = np.asarray(table.neighbours, dtype=np.int32)
        arrays["probability"] = np.asarray(table.probability, dtype=np.float16)
    meta = table.meta | {"format": FORMAT, "features": {"shape": list(features.shape), "sha256": checksum(features)}}
    arrays["meta"] = np.array(json.dumps(meta, sort_keys=True))
    with replacing(path) as file:
        np.savez(file, **{name: _plain(values) for name, values in arrays.items()})  # type: ignore[arg-type]
    return path


def load(path: Path) -> Table:
    """Read and check what `save` wrote.

    Raises
    ------
    DamagedFileError
        If the file or its features are not what was written.
    UserError
        If there is no such file, an array lacks, or shapes, positions and names do not fit together.
    """
    arrays = _read_arrays(path)
    if absent := [name for name in REQUIRED if name not in arrays]:
        raise UserError(
            f"{path} lacks {', '.join(absent)}: it is no transition table of this package; rebuild it with `bioppo "
            "data build reprogramming`."
        )
    meta = json.loads(str(arrays["meta"]))
    if meta.get("format") != FORMAT:
        raise UserError(f"{path} has format {meta.get('format')} and {FORMAT} is read here: rebuild the table.")
    next_cell, notes = as_cells(arrays["T"], str(path))
    actions = _actions(arrays, path)
    table = Table(
        next=next_cell,
        shift=arrays["shift"],
        actions=actions,
        genes=arrays["genes"],
        tfs=arrays["tfs"],
        clusters=arrays["clusters"],
        cluster_of_cell=arrays["cluster_of_cell"].astype(np.int32, copy=False),
        embedding=arrays["embedding"],
        cells=arrays["cells"],
        features=_read_features(features_path(path), meta["features"]),
        pcs=arrays["pcs"],
        split=arrays["split"].astype(np.int8, copy=False),
        meta=meta | {"notes": [*meta.get("notes", []), *notes]} if notes else meta,
        neighbours=arrays.get("neighbours"),
        probability=arrays.get("probability"),
    )
    check(table, str(path))
    return table


def check(table: Table, name: str) -> None:
    """Raise UserError unless all parts of a table fit together; ``name`` is the file that is at fault."""
    cells, width = table.next.shape
    if width != len(table.actions.names):
        raise UserError(
            f"{name}: T has {width} columns and there are {len(table.actions.names)} actions: give the names of the "
            "actions that this table was built for."
        )
    check_positions(table.next, cells, f"{name}: T")
    lengths = {
        "shift": len(table.shift),
        "cluster_of_cell": len(table.cluster_of_cell),
        "embedding": len(table.embedding),
        "features": len(table.features),
        "pcs": len(table.pcs),
        "split": len(table.split),
    } | ({"cells": len(table.cells)} if len(table.cells) else {})
    for part, length in lengths.items():
        if length != cells:
            raise UserError(f"{name}: {part} has {length} rows and T {cells}: both need one for every cell.")
    if table.shift.shape[:2] != table.next.shape:
        raise UserError(f"{name}: shift is {table.shift.shape} and T {table.next.shape}: rebuild the table.")
    check_positions(table.cluster_of_cell, len(table.clusters), f"{name}: cluster_of_cell")
    check_unique(table.cells, f"{name}: cells")
    check_unique(table.actions.names, f"{name}: action_names")
    check_unique(table.clusters, f"{name}: clusters")
    check_finite(table.embedding, f"{name}: embedding")
    if table.neighbours is not None and table.probability is not None:
        if table.neighbours.shape[:2] != table.next.shape or table.neighbours.shape != table.probability.shape:
            raise UserError(f"{name}: neighbours and probability do not fit T {table.next.shape}: rebuild the table.")
        check_positions(table.neighbours, cells, f"{name}: neighbours")


def as_cells(values: NDArray[Any], name: str) -> tuple[IntArray, list[str]]:
    """Return a matrix of cells as int32, with a note where it was of another type.

    Raises
    ------
    UserError
        If it has not two dimensions, or holds anything but whole numbers.
    """
    if values.ndim != 2:
        raise UserError(f"{name}: T has {values.ndim} dimensions: it needs cells x actions.")
    if values.dtype == np.int32:
        return values, []
    if values.dtype.kind == "f":
        broken = values != np.rint(values)  # also where a number is missing
        if broken.any():
            raise UserError(
                f"{name}: T is {values.dtype} and {broken.sum()} entries are no whole numbers, such as "
                f"{', '.join(f'{value:g}' for value in values[broken][:SHOWN])}: give positions of cells."
            )
    elif values.dtype.kind not in "iu":
        raise UserError(f"{name}: T is of type {values.dtype}: give positions of cells as whole numbers.")
    limit = np.iinfo(np.int32).max
    if values.size and not (-limit <= values.min() and values.max() <= limit):
        raise UserError(f"{name}: T holds {values.max()}, which is no position of a cell: give positions from 0.")
    return values.astype(np.int32), [f"{name}: T was {values.dtype} and was converted to int32."]


def check_positions(values: IntArray, count: int, name: str) -> None:
    """Raise UserError unless all values are positions from 0 to below count."""
    if values.size and not (values.min() >= 0 and values.max() < count):
        wrong = values[(values < 0) | (values >= count)]
        raise UserError(
            f"{name} has {wrong.size} positions outside 0 to {count - 1}, such as "
            f"{', '.join(map(str, wrong[:SHOWN]))}: the file belongs to other data; rebuild it."
        )


def check_unique(names: StrArray, name: str) -> None:
    """Raise UserError if a name occurs twice."""
    values, counts = np.unique(names, return_counts=True)
    if (twice := values[counts > 1]).size:
        raise UserError(f"{name}: {twice.size} names occur twice, such as {', '.join(twice[:SHOWN])}: rename them.")


def check_finite(values: FloatArray, name: str) -> None:
    """Raise UserError with rows where a number is missing or infinite."""
    broken = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if broken.any():
        raise UserError(
            f"{name} has {broken.sum()} rows with missing or infinite numbers, such as rows "
            f"{', '.join(map(str, np.flatnonzero(broken)[:SHOWN]))}: repair or drop them."
        )


def features_path(path: Path) -> Path:
    """Return where the features of a table lie: ``features.npy`` beside ``table.npz``."""
    return path.with_name("features.npy" if path.stem == "table" else f"{path.stem}_features.npy")


def checksum(values: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that replaces the one at ``path`` once it is complete, so that nobody ever sees half of it.

    Raises
    ------
    UserError
        With the path and a remedy, where the system refuses to write.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"Cannot write {path} ({error.strerror or error}): give space or permission there, or set BIOPPO_CACHE to "
            "another folder, then run the same command again to continue."
        ) from error
    finally:
        if temporary.exists():
            temporary.unlink()


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return names as fixed-width text, since objects would need a pickle."""
    return values.astype(str) if values.dtype == object else values


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise UserError(f"data.table={path}: there is no such file; `bioppo data build reprogramming` makes one.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (BadZipFile, EOFError, KeyError, ValueError, AttributeError, OSError) as error:
        if "allow_pickle" in str(error):
            raise UserError(f"{path} holds pickled objects, which are not read: save plain arrays.") from error
        raise DamagedFileError(
            f"{path} is damaged or no .npz file ({error}): remove it and build the table again."
        ) from error


def _read_features(path: Path, written: Mapping[str, Any]) -> FloatArray:
    if not path.is_file():
        raise DamagedFileError(f"{path} is missing: keep it beside its table, or build the table again.")
    try:
        features: FloatArray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DamagedFileError(f"{path} is damaged ({error}): build the table again.") from error
    if list(features.shape) != written["shape"] or checksum(features) != written["sha256"]:
        raise DamagedFileError(f"{path} does not belong to its table or is damaged: build the table again.")
    return features


def _actions(arrays: Mapping[str, NDArray[Any]], path: Path) -> Actions:
    values, genes = arrays["action_values"], arrays["genes"]
    if values.shape != (len(arrays["action_names"]), len(genes)):
        raise UserError(
            f"{path}: action_values is {values.shape} and there are {len(arrays['action_names'])} actions and "
            f"{len(genes)} genes: rebuild the table."
        )
    conditions = tuple(
        {str(genes[gene]): float(row[gene]) for gene in np.flatnonzero(~np.isnan(row))} for row in values
    )
    return Actions(arrays["action_names"], conditions, arrays["activates"])


def warn_notes(table: Table) -> None:
    """Warn of what was converted when a table was read."""
    for note in table.meta.get("notes", []):
        warnings.warn(note, stacklevel=2)
