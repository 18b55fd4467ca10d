"""The directory of one run: the only contract between training, which writes it, and reports, which read it."""

import errno
import fcntl
import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import yaml

from .. import UserError
from ..configs.saved import identity, read_config
from ..storage.atomic_file import write_atomically
from ..storage.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from .table_file import TableFile

if TYPE_CHECKING:
    import pandas as pd

ABSENT = "absent"

TABLES = ("progress", "timing", "evaluations")


class RunDirectory:
    """Open the directory with `open`, as a context: it is locked until the context ends.

    ``config`` holds plain containers, resolved. Whatever the process's fate, the files are such that opening the
    directory again and restoring the last checkpoint continues exactly.
    """

    def __init__(self, path: Path, config: dict[str, Any], lock: IO[str]) -> None:
        self.path = path
        self.config = config
        self._lock = lock
        self.tables = {name: TableFile(path / f"{name}.csv") for name in TABLES}

    @classmethod
    def open(cls, path: Path, config: dict[str, Any]) -> Self:
        """Lock the directory and write its config, or compare with the config it already holds.

        Raises
        ------
        UserError
            If another process trains here, or the directory belongs to a run of another config.
        """
        path.mkdir(parents=True, exist_ok=True)
        lock = _lock(path)
        try:
            file = path / "config.yaml"
            if file.exists():
                _compare(path, read_config(path), config)
            else:
                write_atomically(file, yaml.safe_dump(config, sort_keys=False).encode())
            (path / "checkpoints").mkdir(exist_ok=True)
        except BaseException:
            lock.close()
            raise
        return cls(path, config, lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.close()

    def result(self) -> dict[str, Any] | None:
        """Return the scalars of a finished run, or None."""
        file = self.path / "result.json"
        if not file.exists():
            return None
        try:
            scalars: dict[str, Any] = json.loads(file.read_text())
        except ValueError as error:
            raise UserError(f"{file} is damaged: delete it and run the same command to write it again.") from error
        return scalars

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write ``name`` (a file name, or one in a folder) as JSON, atomically."""
        text = json.dumps(content, indent=2, allow_nan=False)
        (self.path / name).parent.mkdir(exist_ok=True)
        write_atomically(self.path / name, (text + "\n").encode())

    def write_table(self, name: str, table: "pd.DataFrame") -> None:
        """Write ``tables/<name>.parquet``."""
        (self.path / "tables").mkdir(exist_ok=True)
        write_atomically(self.path / "tables" / f"{name}.parquet", table.to_parquet(index=False))

    def write_csv(self, name: str, table: "pd.DataFrame") -> None:
        """Write ``<name>.csv``: a small table that is read by people too."""
        write_atomically(self.path / f"{name}.csv", table.to_csv(index=False).encode())

    def save(self, content: dict[str, Any]) -> None:
        """Write ``checkpoints/last.pt``, keeping the one before as ``previous.pt``; also marks the tables' ends."""
        last = self._checkpoint("last")
        aside = self._checkpoint("next")
        positions = {name: table.position() for name, table in self.tables.items()}
        write_checkpoint(aside, content | {"tables": positions})
        if last.exists():
            last.replace(self._checkpoint("previous"))
        aside.replace(last)

    def save_as(self, name: str, content: dict[str, Any]) -> None:
        """Write ``checkpoints/<name>.pt``: the best policy, or a numbered one."""
        write_checkpoint(self._checkpoint(name), content)

    def numbered(self) -> list[Path]:
        """Return the numbered checkpoints, oldest first."""
        return sorted((self.path / "checkpoints").glob("calls_*.pt"))

    def read(self, name: str) -> dict[str, Any]:
        """Read ``checkpoints/<name>.pt``, or raise `CheckpointError`."""
        return read_checkpoint(self._checkpoint(name))

    def restore(self, say: Callable[[str], None]) -> dict[str, Any] | None:
        """Return the last good checkpoint and cut the tables back to it; None where training must begin anew.

        ``say`` is told whenever ``last.pt`` was not good.
        """
        content = None
        for name, fallback in (("last", "previous.pt"), ("previous", "the beginning")):
            if not self._checkpoint(name).exists():
                continue
            try:
                content = self.read(name)
                break
            except CheckpointError as error:
                say(f"{error} Continuing from {fallback} instead.")
        empty = {"columns": [], "n_rows": 0}
        for name, table in self.tables.items():
            table.cut(empty if content is None else content["tables"][name])
        (self.path / "failure.json").unlink(missing_ok=True)
        return content

    def _checkpoint(self, name: str) -> Path:
        return self.path / "checkpoints" / f"{name}.pt"


def storage_error(error: OSError, path: Path) -> UserError:
    """Turn a failure to write into a sentence with a remedy."""
    where = error.filename or path
    remedies = {
        errno.ENOSPC: "free space there",
        errno.EDQUOT: "free space there",
        errno.EFBIG: "raise the limit on file sizes",
        errno.EACCES: "give yourself permission or choose another folder with results=FOLDER",
        errno.EPERM: "give yourself permission or choose another folder with results=FOLDER",
        errno.EROFS: "choose another folder with results=FOLDER",
    }
    remedy = remedies.get(error.errno or 0, "choose another folder with results=FOLDER")
    return UserError(f"Cannot write {where} ({error.strerror}): {remedy}, then run the same command to continue.")


def _compare(path: Path, saved: dict[str, Any], config: dict[str, Any]) -> None:
    # Written and read once, so that both have YAML's types.
    config = yaml.safe_load(yaml.safe_dump(config))
    there, here = (identity(part) | {"seed": part["seed"]} for part in (saved, config))
    different = [key for key in sorted(there.keys() | here.keys()) if there.get(key, ABSENT) != here.get(key, ABSENT)]
    if not different:
        return
    shown = "; ".join(f"{key} is {there.get(key, ABSENT)} there and {here.get(key, ABSENT)} here" for key in different)
    raise UserError(f"{path} holds a run of another config ({shown}): choose another directory or the same values.")


def _lock(path: Path) -> IO[str]:
    """Lock the directory for this process; the system lets go of it however the process ends."""
    file = (path / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip() or "another process"
        file.close()
        raise UserError(f"{path} is being trained by {owner}: wait for it or stop it.") from error
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    return file
