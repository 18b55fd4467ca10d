"""What is done to rewards and advantages between the rollout and the fit."""

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

EPSILON = 1e-8
"""Added to a standard deviation that divides; stable-baselines3's number."""


class FiniteEpisodes(VecEnvWrapper):
    """Say of an episode whose time ran out that it is over: its return is the sum of its own rewards."""

    def reset(self) -> Any:
        """Begin new episodes."""
        return self.venv.reset()

    def step_wait(self) -> Any:
        """Return what the wrapped environment does, with no episode marked as truncated."""
        observation, reward, ended, infos = self.venv.step_wait()
        for copy in np.flatnonzero(ended).tolist():
            infos[copy]["TimeLimit.truncated"] = False
        return observation, reward, ended, infos


class ScaledRewards(VecEnvWrapper):
    """Multiply rewards by a constant, so that values are of the order of one."""

    def __init__(self, venv: VecEnv, factor: float) -> None:
        super().__init__(venv)
        self.factor = np.float32(factor)

    def reset(self) -> Any:
        """Begin new episodes."""
        return self.venv.reset()

    def step_wait(self) -> Any:
        """Return what the wrapped environment does, with scaled rewards."""
        observation, reward, ended, infos = self.venv.step_wait()
        return observation, reward * self.factor, ended, infos


class ShapedRolloutBuffer(RolloutBuffer):
    """A rollout that may standardise the rewards of its trajectories and limit its advantages.

    Parameters
    ----------
    standardize_reward
        Rewards get mean 0 and deviation 1 over every trajectory before returns are computed.
    standardize_advantage
        Advantages get mean 0 and deviation 1 over every minibatch, as the algorithm itself would do it.
    advantage_limit
        Thereafter they are clipped to +- this.
    *arguments, **keywords
        Those of `RolloutBuffer`.
    """

    def __init__(
        self,
        *arguments: Any,
        standardize_reward: bool,
        standardize_advantage: bool,
        advantage_limit: float | None,
        **keywords: Any,
    ) -> None:
        super().__init__(*arguments, **keywords)
        self.standardize_reward = standardize_reward
        self.standardize_advantage = standardize_advantage
        self.advantage_limit = advantage_limit

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: np.ndarray) -> None:
        """Fill ``returns`` and ``advantages`` (n_steps, n_envs)."""
        if self.standardize_reward:
            self.rewards = standardized_by_trajectory(self.rewards, self.episode_starts)
        super().compute_returns_and_advantage(last_values, dones)

    def _get_samples(self, *arguments: Any, **keywords: Any) -> Any:
        samples = super()._get_samples(*arguments, **keywords)
        advantages = samples.advantages
        if self.standardize_advantage:
            advantages = (advantages - advantages.mean()) / (advantages.std() + EPSILON)
        if self.advantage_limit is not None:
            advantages = advantages.clamp(-self.advantage_limit, self.advantage_limit)
        return samples._replace(advantages=advantages)


class ShapedDictRolloutBuffer(ShapedRolloutBuffer, DictRolloutBuffer):
    """The same for dictionary observations."""


def standardized_by_trajectory(rewards: np.ndarray, episode_starts: np.ndarray) -> np.ndarray:
    """Give the rewards of every trajectory mean 0 and (population) deviation 1, or 0 where they are all equal.

    Parameters
    ----------
    rewards
        (n_steps, n_envs).
    episode_starts
        (n_steps, n_envs), not 0 in an episode's first step; the first row begins a trajectory anyway, so that an
        episode over several rollouts is standardised part by part.
    """
    starts = episode_starts != 0
    starts[0] = True
    numbers = np.cumsum(starts.ravel(order="F")) - 1
    values = rewards.ravel(order="F").astype(np.float64)
    lengths = np.bincount(numbers)
    centred = values - (np.bincount(numbers, weights=values) / lengths)[numbers]
    deviations = np.sqrt(np.bincount(numbers, weights=centred**2) / lengths)
    standardized: np.ndarray = centred / (deviations + EPSILON)[numbers]
    return standardized.reshape(rewards.shape, order="F").astype(rewards.dtype)
