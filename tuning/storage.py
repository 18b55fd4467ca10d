"""Where a study is kept, and the locks by which its processes know of each other.

Locks are the system's own (flock): whatever ends a process, the system lets go of what it held. They lie in the
study's directory, so that processes which share a study must share that directory, whatever its storage is.
"""

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from .. import UserError

JOURNAL = "study.journal"


def claim(path: Path) -> IO[str] | None:
    """Lock a file for as long as it stays open; None if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Wait until no other process is in here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class JournalLock(JournalFileOpenLock):
    """Lock of a journal that a killed process cannot leave behind; Optuna's own ones are waited for half a minute."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path.with_name(path.name + ".lock")

    def acquire(self) -> bool:
        """Wait for the lock and take it."""
        self._file = self._path.open("a")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Let go of it."""
        self._file.close()


def open_storage(url: str | None, directory: Path) -> BaseStorage:
    """Open the storage of a study; ``url`` of None is a journal in its directory.

    Raises
    ------
    UserError
        If the URL cannot be read, its driver is missing, or nobody answers there; it never shows a password.
    """
    if url is None:
        journal = directory / JOURNAL
        return JournalStorage(JournalFileBackend(str(journal), lock_obj=JournalLock(journal)))
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return RDBStorage(url)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        reason = next(iter(str(getattr(error, "orig", None) or error).strip().splitlines()), type(error).__name__)
        raise UserError(
            f"storage={without_password(url)} cannot be opened ({without_password(reason).rstrip('.')}): check the URL "
            "and that its server runs, or leave storage out for a journal file."
        ) from error


def without_password(text: str) -> str:
    """Return a URL, or a text with URLs in it, without user names and passwords."""
    return re.sub(r"//[^/@\s]*@", "//", text)
