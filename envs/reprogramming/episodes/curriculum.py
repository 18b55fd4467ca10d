"""Which targets training begins with, and when it goes on to the next ones.

Where a curriculum stands is kept outside of it, in the environment's ``progress`` and ``state``, so that a continued
training stands where it stopped.
"""

from dataclasses import dataclass

import numpy as np

from ..data import BoolArray
from ..options import CurriculumOptions

FIRST_GATE = 2
"""Longest shortest path of the first episodes with ``bfs_gated``."""

FEWEST_GATED = 0.5
"""Share of the window that must be full before the gate of ``bfs_gated`` opens further."""


@dataclass(frozen=True)
class Schedule:
    """The phases of a curriculum by types; the first phase has position 0.

    Attributes
    ----------
    targets
        Nearest types that a start may aim at.
    horizons
        Steps of an episode.
    starts
        Steps of training before each phase; what ``nearest_types_time`` follows.
    finish
        Steps after which the last phase ends: a learning rate may decay from here.
    """

    targets: tuple[int, ...]
    horizons: tuple[int, ...]
    starts: tuple[int, ...]
    finish: int


def make_schedule(options: CurriculumOptions, n_types: int, horizon: int) -> Schedule:
    """Return the phases for ``n_types`` types, each of which may aim at all others in the end."""
    others = max(n_types - 1, 1)
    count = -(-others // options.targets_per_phase)
    lengths = options.first_phase_steps + options.phase_step_increase * np.arange(count)
    ends = np.cumsum(lengths)
    return Schedule(
        targets=tuple(min(options.targets_per_phase * (phase + 1), others) for phase in range(count)),
        horizons=tuple(horizon + options.horizon_increase * phase for phase in range(count)),
        starts=(0, *(int(end) for end in ends[:-1])),
        finish=int(ends[-1]),
    )


class Curriculum:
    """Says in which phase a training is.

    Parameters
    ----------
    options
        Of the curriculum.
    schedule
        Phases by types, for all kinds but ``bfs_gated``.
    last_gate
        The longest shortest path there is; ``bfs_gated`` goes no further.
    """

    def __init__(self, options: CurriculumOptions, schedule: Schedule, last_gate: int) -> None:
        self.options = options
        self.schedule = schedule
        self.last_phase = {"none": 0, "bfs_gated": max(last_gate - FIRST_GATE, 0)}.get(
            options.kind, len(schedule.targets) - 1
        )

    def begin(self) -> tuple[dict[str, float], BoolArray]:
        """Return the ``progress`` of a training that has not begun, and room for its last successes (window,)."""
        progress = {"steps": 0.0, "phase": 0.0, "phase_start": 0.0, "phase_episodes": 0.0}
        return progress, np.zeros(self.options.window, dtype=bool)

    def advance(self, progress: dict[str, float], recent: BoolArray, steps: int, successes: BoolArray) -> bool:
        """Count ``steps`` more and episodes that ended, ``successes`` (m,) bool; return whether a phase began.

        ``progress`` and ``recent``, the last successes, are changed in place.
        """
        progress["steps"] += steps
        kind, phase = self.options.kind, int(progress["phase"])
        if kind == "nearest_types_time":
            reached = int(np.searchsorted(self.schedule.starts, progress["steps"], side="right")) - 1
            return self._enter(progress, max(reached, phase), float(self.schedule.starts[reached]))
        if kind == "none":
            return False
        episodes = int(progress["phase_episodes"])
        recent[(episodes + np.arange(len(successes))) % len(recent)] = successes
        progress["phase_episodes"] = float(episodes + len(successes))
        if phase < self.last_phase and (self._succeeds(progress, recent) or self._lasts_too_long(progress)):
            return self._enter(progress, phase + 1, progress["steps"])
        return False

    def gate(self, phase: int) -> int:
        """Return the longest shortest path of episodes in a phase of ``bfs_gated``."""
        return FIRST_GATE + phase

    def _succeeds(self, progress: dict[str, float], recent: BoolArray) -> bool:
        seen, window = int(progress["phase_episodes"]), len(recent)
        needed = FEWEST_GATED * window if self.options.kind == "bfs_gated" else window
        return seen >= needed and float(recent[: min(seen, window)].mean()) >= self.options.success

    def _lasts_too_long(self, progress: dict[str, float]) -> bool:
        if self.options.kind == "bfs_gated":
            return False
        return progress["steps"] - progress["phase_start"] >= self.options.max_phase_steps

    def _enter(self, progress: dict[str, float], phase: int, start: float) -> bool:
        if phase == int(progress["phase"]):
            return False
        progress |= {"phase": float(phase), "phase_start": start, "phase_episodes": 0.0}
        return True
