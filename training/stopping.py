"""Requests to stop, which a run answers between two updates."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """The user or the system asked the run to stop; its checkpoint is written."""

    def __init__(self, signal_number: int, directory: Path) -> None:
        super().__init__(f"Stopped, and saved in {directory}: the same command continues.")
        self.exit_status = 128 + signal_number


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM in a list that is looked at between updates; a second one acts at once."""
    requests: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        if requests:
            signal.default_int_handler(number, frame)
        requests.append(number)

    try:
        previous = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread, where signals cannot be caught
        yield requests
        return
    try:
        yield requests
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
