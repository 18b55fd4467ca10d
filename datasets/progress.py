"""What a person sees while files are downloaded, always on standard error."""

import sys
import time
from typing import TYPE_CHECKING, Protocol, Self

from .catalogue import size_text

if TYPE_CHECKING:
    from rich.progress import TaskID

LINE_SECONDS = 10.0
"""Where there is no terminal, a line is printed at the beginning of a file and then this often."""


class Progress(Protocol):
    """Shows how much of a file is there; used as a context."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def begin(self, title: str, done: int, total: int | None) -> None:
        """Start a file of which ``done`` bytes are there already; ``total`` is None if nobody knows."""
        ...

    def advance(self, count: int) -> None:
        """Count so many more bytes."""
        ...


class SilentProgress:
    """Show nothing: for notebooks and tests."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def begin(self, title: str, done: int, total: int | None) -> None:
        """Do nothing."""

    def advance(self, count: int) -> None:
        """Do nothing."""


class LineProgress(SilentProgress):
    """Print a line now and then: for log files."""

    def begin(self, title: str, done: int, total: int | None) -> None:
        """Print how much there is to do."""
        self.title, self.done, self.total = title, done, total
        self.show()

    def advance(self, count: int) -> None:
        """Print a line if the last one is old."""
        self.done += count
        if time.monotonic() - self.shown_at > LINE_SECONDS:
            self.show()

    def show(self) -> None:
        """Print one line."""
        self.shown_at = time.monotonic()
        whole = "unknown size" if self.total is None else size_text(self.total)
        print(f"{self.title}: {size_text(self.done)} of {whole}", file=sys.stderr, flush=True)


class BarProgress(SilentProgress):
    """Show a bar per file with the speed and the time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bars

        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.task: TaskID | None = None

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bars.stop()

    def begin(self, title: str, done: int, total: int | None) -> None:
        """Add a bar."""
        self.task = self.bars.add_task(title, total=total, completed=done)

    def advance(self, count: int) -> None:
        """Move the latest bar."""
        if self.task is not None:
            self.bars.advance(self.task, count)


def make_progress() -> Progress:
    """Return bars on a terminal, lines elsewhere."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()
