"""Measure policies outside of any run; with the measures of whole episodes, see `episodes.measures`."""

from typing import TYPE_CHECKING

from ... import UserError
from ..evaluation import evaluate as play_and_measure
from .episodes.measures import (
    activation_fraction,
    count_revisits,
    count_self_loops,
    learning_curve_area,
    measure_episodes,
    summarise,
)

if TYPE_CHECKING:
    from ..evaluation import Evaluation, Policy
    from .task import ReprogrammingTask

__all__ = [
    "activation_fraction",
    "count_revisits",
    "count_self_loops",
    "evaluate",
    "learning_curve_area",
    "measure_episodes",
    "summarise",
]


def evaluate(
    policy: "Policy",
    task: "ReprogrammingTask",
    split: str = "test",
    horizon: int | None = None,
    *,
    episodes: int | None = None,
    num_envs: int = 256,
    seed: int = 0,
    deterministic: bool | None = None,
) -> "Evaluation":
    """Measure a policy on a task outside of any run.

    Parameters
    ----------
    split
        ``validation`` or ``test``: where episodes begin.
    horizon
        Most steps of an episode; None: the task's.
    episodes, deterministic
        As `bioppo.envs.evaluation.evaluate`; None: what the environment suggests.
    """
    if split not in ("validation", "test"):
        raise UserError(f"split={split}: episodes are measured on validation or test, so choose one of them.")
    from .environment import ReprogrammingVectorEnv  # which imports gymnasium

    environment = ReprogrammingVectorEnv(task.config, num_envs=num_envs, seed=seed, split=split, task=task)
    if horizon is not None:
        environment.horizon = horizon
    return play_and_measure(policy, environment, episodes=episodes, seed=seed, deterministic=deterministic)
