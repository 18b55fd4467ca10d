"""The contract of every algorithm and every baseline."""

from typing import Protocol

from ..envs.batched import State
from ..envs.evaluation import Policy, Solver

__all__ = ["Learner", "Policy", "Solver"]


class Learner(Protocol):
    """Something that gets better by `update`, or is `finished` at once. No budget, files or logging inside.

    A learner is made by the function its config names as ``_target_``, called with
    ``(config, environment, *, seed, device)``. In a notebook, ``learner.update(progress)`` in a for loop trains it.
    """

    finished: bool

    def update(self, progress: float) -> dict[str, float]:
        """Do one rollout and fit, one generation or one epoch; return its scalars, all finite.

        ``progress`` is the share of the budget that is spent, in [0, 1]: what schedules run on.
        """
        ...

    def agent(self) -> Policy | Solver:
        """Return what is evaluated and exported now."""
        ...

    def get_state(self) -> State:
        """Return everything but the environment, to continue exactly."""
        ...

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave."""
        ...
