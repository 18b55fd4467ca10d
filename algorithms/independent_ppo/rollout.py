"""One joint rollout of several models of stable-baselines3.

What the library's `collect_rollouts` does for one model, step by step for all of them: a test compares the two, bit for
bit, so that an upgrade which changes the library's fails loudly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import obs_as_tensor

from ..stable_baselines import StableBaselinesLearner
from .community import Community, CommunityPart


@dataclass(frozen=True)
class Seat:
    """Where one learner sits in a community: the agents it trains, which share its policy."""

    part: CommunityPart
    learner: StableBaselinesLearner

    @property
    def model(self) -> OnPolicyAlgorithm:
        """Its model of stable-baselines3, whose environment is ``part`` behind its normalisers."""
        return self.learner.model


@dataclass(frozen=True)
class Draw:
    """Actions as drawn and within their bounds, (n, ...), with the value and log probability that PPO keeps."""

    actions: np.ndarray
    bounded: np.ndarray
    values: torch.Tensor
    log_probs: torch.Tensor


def collect(
    community: Community, seats: Sequence[Seat], others: Callable[[], dict[str, np.ndarray]], n_steps: int
) -> None:
    """Fill the rollout buffer of every seat's model from ``n_steps`` joint steps.

    ``others`` gives the actions of the agents that learn nothing, on the community's present observation.
    """
    for seat in seats:
        seat.model.policy.set_training_mode(False)
        seat.model.rollout_buffer.reset()
    for _ in range(n_steps):
        draws = [draw(seat.model) for seat in seats]
        actions = others()
        for seat, drawn in zip(seats, draws, strict=True):
            actions |= seat.part.split(drawn.bounded)
        community.step(actions)
        for seat, drawn in zip(seats, draws, strict=True):
            record(seat.model, drawn)
    for seat in seats:
        finish(seat.model)


@torch.no_grad()
def draw(model: OnPolicyAlgorithm) -> Draw:
    """Draw an action for what every copy saw last."""
    observation: Any = model._last_obs
    actions, values, log_probs = model.policy(obs_as_tensor(observation, model.device))
    drawn: np.ndarray = actions.cpu().numpy()
    space = model.action_space
    bounded = np.clip(drawn, space.low, space.high) if isinstance(space, spaces.Box) else drawn
    return Draw(drawn, bounded, values, log_probs)


def record(model: OnPolicyAlgorithm, drawn: Draw) -> None:
    """Keep what the step brought, with the value of what would follow where time ran out."""
    assert model.env is not None
    observation, reward, ended, infos = model.env.step(drawn.bounded)
    model.num_timesteps += model.n_envs
    for copy in np.flatnonzero(ended).tolist():
        if infos[copy].get("TimeLimit.truncated", False):
            reward[copy] += np.float32(model.gamma) * value_of(model, infos[copy]["terminal_observation"])
    actions = drawn.actions
    if isinstance(model.action_space, spaces.Discrete):
        actions = actions.reshape(-1, 1)
    last: Any = model._last_obs
    starts: Any = model._last_episode_starts
    model.rollout_buffer.add(last, actions, reward, starts, drawn.values, drawn.log_probs)
    model._last_obs, model._last_episode_starts = observation, ended  # type: ignore[assignment]


@torch.no_grad()
def value_of(model: OnPolicyAlgorithm, observation: Any) -> np.float32:
    """Return the value of one copy's observation."""
    return np.float32(model.policy.predict_values(model.policy.obs_to_tensor(observation)[0]).item())


@torch.no_grad()
def finish(model: OnPolicyAlgorithm) -> None:
    """Compute returns and advantages, with the value of what follows the last step."""
    observation: Any = model._last_obs
    ended: Any = model._last_episode_starts
    values = model.policy.predict_values(obs_as_tensor(observation, model.device))
    model.rollout_buffer.compute_returns_and_advantage(last_values=values, dones=ended)
