"""Where scalars go besides the run directory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .. import UserError
from ..configs.option import Options, option


class Tracker(Protocol):
    """Something that shows scalars while a run trains."""

    def log(self, simulator_calls: int, scalars: Mapping[str, float]) -> None:
        """Show the scalars of one update."""
        ...

    def close(self) -> None:
        """Write what is pending."""
        ...


@dataclass(kw_only=True)
class NoTrackerConfig(Options):
    """Keep scalars in the run directory only."""

    _target_: str = option("bioppo.training.trackers.NoTracker", "dotted name of the tracker")
    name: str = option("none", "name of the tracker")


@dataclass(kw_only=True)
class TensorBoardConfig(Options):
    """Write TensorBoard event files into the run directory."""

    _target_: str = option("bioppo.training.trackers.TensorBoardTracker", "dotted name of the tracker")
    name: str = option("tensorboard", "name of the tracker")


class NoTracker:
    """Ignore everything."""

    def __init__(self, config: Any, directory: Path, *, resumed_at: int | None) -> None:
        del config, directory, resumed_at

    def log(self, simulator_calls: int, scalars: Mapping[str, float]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class TensorBoardTracker:
    """Event files under ``tensorboard/``; a continued run hides the events after its checkpoint."""

    def __init__(self, config: Any, directory: Path, *, resumed_at: int | None) -> None:
        del config
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(
                "tracker=tensorboard needs the package tensorboard: run `pip install 'bioppo[tensorboard]'`."
            ) from error
        # Events at the checkpoint itself were written before the kill; those after it will be written again.
        purge = None if resumed_at is None else resumed_at + 1
        self.writer = SummaryWriter(str(directory / "tensorboard"), purge_step=purge)

    def log(self, simulator_calls: int, scalars: Mapping[str, float]) -> None:
        """Write one event per scalar, at this number of simulator calls."""
        for key, value in scalars.items():
            self.writer.add_scalar(key, value, simulator_calls)

    def close(self) -> None:
        """Write what is pending."""
        self.writer.close()
