"""What an evaluation sees, and what it says: data without behaviour, shared by environments and `evaluation`."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trajectories:
    """Every step of a number of whole episodes, in long form; all arrays have leading axis n_steps.

    Attributes
    ----------
    episode, step
        Integers; steps count from 1.
    reward
        NaN where a solver answered, since answers earn no reward.
    info
        The environment's information after each step or answer.
    rewards
        Of each agent of a community; ``reward`` is their sum.
    """

    episode: np.ndarray
    step: np.ndarray
    reward: np.ndarray
    info: dict[str, np.ndarray]
    rewards: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """What was measured: scalars with the same keys for every agent of an environment, and the data behind them.

    Attributes
    ----------
    scalars
        Written to the run's result.
    episodes
        A row per episode, or per episode's worth of answers.
    tables
        Larger tables by name, read by the environment's figures.
    """

    scalars: dict[str, float]
    episodes: "pd.DataFrame"
    tables: dict[str, "pd.DataFrame"] = field(default_factory=dict)


def measure_returns(trajectories: Trajectories) -> Evaluation:
    """Return the sum of rewards and the length of every episode: what any environment can be judged by.

    In a community also every agent's own sum, as ``<agent>/episode_return``.
    """
    import pandas as pd

    steps = pd.DataFrame({"episode": trajectories.episode, "step": trajectories.step, "reward": trajectories.reward})
    grouped = steps.groupby("episode", sort=True)
    episodes = pd.DataFrame({"episode_return": grouped["reward"].sum(), "episode_length": grouped["step"].max()})
    for agent, rewards in trajectories.rewards.items():
        episodes[f"{agent}/episode_return"] = pd.Series(rewards).groupby(trajectories.episode).sum()
    scalars = {key: float(episodes[key].mean()) for key in episodes.columns}
    return Evaluation(scalars, episodes.reset_index())
