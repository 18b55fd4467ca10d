"""Parts of a table on disk: what is finished stays, and a build that was killed goes on where it was."""

import fcntl
import hashlib
import io
import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from .... import UserError
from ..data import IntArray
from .file import replacing

MANIFEST = "manifest.json"
FOLDER = "blocks"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Block:
    """Cells of one type that are moved together.

    Attributes
    ----------
    cluster
        Position of their type.
    first, stop
        Range among all cells sorted by type, and within a type by position.
    """

    cluster: int
    first: int
    stop: int

    @property
    def file(self) -> str:
        """Name of the block's file."""
        return f"{self.first:08d}-{self.stop:08d}.npz"


def sort_cells(cluster_of_cell: IntArray) -> NDArray[np.intp]:
    """Return positions of cells (n,) by type, and within a type in their order."""
    return np.argsort(cluster_of_cell, kind="stable")


def plan_blocks(cluster_of_cell: IntArray, size: int) -> list[Block]:
    """Cut sorted cells into blocks of at most ``size`` cells, none of which holds two types."""
    counts = np.bincount(cluster_of_cell)
    ends = np.cumsum(counts)
    return [
        Block(cluster, int(first), int(min(first + size, end)))
        for cluster, (count, end) in enumerate(zip(counts, ends, strict=True))
        for first in range(end - count, end, size)
    ]


def block_size(memory_mb: int, actions: int, genes: int, itemsize: int) -> int:
    """Return how many cells fit: every cell takes three arrays of actions x genes.

    Raises
    ------
    UserError
        If not even one does.
    """
    needed = 3 * actions * genes * itemsize
    if needed > memory_mb * 2**20:
        raise UserError(
            f"table.memory_mb={memory_mb}: one cell with {actions} actions and {genes} genes takes "
            f"{-(-needed // 2**20)} MiB, so give at least that."
        )
    return memory_mb * 2**20 // needed


class BlockStore:
    """The finished blocks of one build, in a folder that belongs to its key.

    ``manifest.json`` lists the cell range and the SHA-256 of every block; a block that is not listed, or is not what
    was listed, does not count.

    Parameters
    ----------
    folder
        Made where it does not exist.
    key
        Of the build; blocks of another one are removed.
    blocks
        The plan. Where the folder has another plan with blocks that are no larger, that one is kept, and with it what
        is finished.
    """

    def __init__(self, folder: Path, key: str, blocks: list[Block]) -> None:
        self.folder, self.key = folder, key
        saved = self._read_manifest()
        largest = max(block.stop - block.first for block in blocks)
        there = [Block(**entry["cells"]) for entry in saved]
        fits = _covers(there, blocks) and max(block.stop - block.first for block in there) <= largest
        self.blocks = there if fits else blocks
        self.checksums: dict[str, str] = {
            block.file: entry["sha256"] for block, entry in zip(there, saved, strict=True) if fits and entry["sha256"]
        }
        self._remove_others()

    def read(self, block: Block) -> Arrays | None:
        """Return a finished block, or None; a damaged one is left out with a warning."""
        if block.file not in self.checksums:
            return None
        path = self.folder / FOLDER / block.file
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == self.checksums[block.file]:
                with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                    return {name: arrays[name] for name in arrays.files}
        except (OSError, BadZipFile, ValueError):
            pass
        warnings.warn(f"{path} is missing or damaged, and is computed again.", stacklevel=2)
        del self.checksums[block.file]
        return None

    def write(self, block: Block, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write a block and then list it, so that whatever is listed is complete."""
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        content = buffer.getvalue()
        with replacing(self.folder / FOLDER / block.file) as file:
            file.write(content)
        self.checksums[block.file] = hashlib.sha256(content).hexdigest()
        self._write_manifest()

    def _read_manifest(self) -> list[dict[str, Any]]:
        try:
            manifest = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
            return list(manifest["blocks"]) if manifest["key"] == self.key else []
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError):
            warnings.warn(f"{self.folder / MANIFEST} is damaged, so all blocks are computed again.", stacklevel=2)
            return []

    def _write_manifest(self) -> None:
        entries = [
            {"file": f"{FOLDER}/{block.file}", "cells": asdict(block), "sha256": self.checksums.get(block.file)}
            for block in self.blocks
        ]
        with replacing(self.folder / MANIFEST) as file:
            file.write(json.dumps({"key": self.key, "blocks": entries}, indent=1).encode())

    def _remove_others(self) -> None:
        """Remove blocks of other plans, and what a killed process left half-written."""
        kept = {block.file for block in self.blocks}
        for pattern in (f"{FOLDER}/*", f"{FOLDER}/.*.part", f".{MANIFEST}.*.part"):
            for path in self.folder.glob(pattern):
                if path.name not in kept:
                    path.unlink(missing_ok=True)


def _covers(there: list[Block], wanted: list[Block]) -> bool:
    """Say whether two plans are about the same cells: without gaps, and with types that end at the same places."""
    joined = bool(there) and there[0].first == 0
    joined = joined and all(one.stop == other.first for one, other in pairwise(there))
    return joined and _ends(there) == _ends(wanted)


def _ends(blocks: list[Block]) -> dict[int, int]:
    return {block.cluster: block.stop for block in blocks}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a folder, or wait until they are done; a killed process keeps nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise UserError(
            f"Cannot write {error.filename or folder} ({error.strerror}): give space or permission there, set "
            "BIOPPO_CACHE to another folder, or give env.table.cache=false."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another process builds this table in {folder}: waiting for it.", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
