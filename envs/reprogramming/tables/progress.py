"""What a person sees while a table is built, always on standard error."""

import sys
import time
from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Told how many cells of how many are done, first before any is computed."""

LINE_SECONDS = 10.0
"""A line is printed at most this often, so that a short build prints none but its end."""


class BuildLines:
    """Print a line with an estimate of the time left now and then."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.first = 0
        self.printed = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Print a line where the last one is old, and one at the end of what took longer than a moment."""
        now = time.monotonic()
        if self.began is None:
            self.began = self.printed = now
            self.first = done
            if 0 < done < total:
                say(f"{done:,} of {total:,} cells are there already.")
        elif done == total and now - self.began >= LINE_SECONDS:
            say(f"{total:,} cells after {duration(now - self.began)}.")
        elif now - self.printed >= LINE_SECONDS:
            self.printed = now
            left = (now - self.began) / max(1, done - self.first) * (total - done)
            say(f"{done:,} of {total:,} cells, about {duration(left)} left")


def say(text: str) -> None:
    """Print a line about the build."""
    print(f"Transition table: {text}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Return a time as a person says it: ``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
