"""One environment as several: each learner sees the agents it trains, and all step together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space

from ... import UserError
from ...envs.batched import Arrays, BatchedEnv

LONE = "agent"
"""What the agent of an environment is called that names none."""


class Community:
    """An environment, the observation its agents act on next, and the outcome of their last step.

    An environment of a single agent is a community too: its spaces, observations and rewards are passed through.
    """

    def __init__(self, environment: BatchedEnv) -> None:
        self.environment = environment
        self.agents = tuple(environment.agents) or (LONE,)
        self.several = len(self.agents) > 1
        if environment.masked:
            raise UserError(
                f"{type(environment).__name__} has action masks, and independent_ppo takes none: use algo=masked_ppo."
            )
        if self.several and not isinstance(environment.single_action_space, spaces.Dict):
            raise UserError(
                f"{type(environment).__name__} has several agents: its spaces must be dictionaries by agent."
            )
        self.outcome: tuple[Arrays, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]] | None = None
        self.begin()

    @property
    def steps(self) -> np.ndarray:
        """How many steps of its episode every copy has taken, (num_envs,)."""
        taken: np.ndarray = self.environment.state["elapsed_steps"]
        return taken.copy()

    def begin(self) -> None:
        """Begin a new episode in every copy."""
        self.observation, _ = self.environment.reset()

    def step(self, actions: Mapping[str, Any]) -> np.ndarray:
        """Take one step with the actions of all agents; return which copies ended, (num_envs,) bool."""
        self.outcome = self.environment.step(dict(actions) if self.several else actions[self.agents[0]])
        self.observation = self.outcome[0]
        ended: np.ndarray = self.outcome[2] | self.outcome[3]
        return ended

    def reward(self, agent: str) -> np.ndarray:
        """Return what an agent's last step earned, (num_envs,)."""
        assert self.outcome is not None
        reward = self.outcome[1]
        return reward[:, self.agents.index(agent)] if self.several else reward

    def spaces(self, agent: str) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        """Return observation and action space of one copy of an agent."""
        environment = self.environment
        if not self.several:
            return environment.single_observation_space, environment.single_action_space
        observations, actions = environment.single_observation_space, environment.single_action_space
        assert isinstance(observations, spaces.Dict)
        assert isinstance(actions, spaces.Dict)
        return observations[agent], actions[agent]

    def observed(self, agent: str) -> Any:
        """Return what an agent sees, a row per copy."""
        return self.observation[agent] if self.several else self.observation


class CommunityPart(VectorEnv[Any, Any, Any]):
    """The agents that one learner trains, as an environment of its own: their copies one agent after the other.

    ``step`` tells what the community's last step brought; the actions went into that one.
    """

    def __init__(self, community: Community, agents: Sequence[str]) -> None:
        self.community = community
        self.names = tuple(agents)
        self.metadata = community.environment.metadata
        self.num_envs = len(agents) * community.environment.num_envs
        self.single_observation_space, self.single_action_space = community.spaces(agents[0])
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    @property
    def unwrapped(self) -> Any:
        """The whole environment, which messages name."""
        return self.community.environment

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what the agents see at the start; the community has begun its episodes already."""
        del seed, options
        return stacked([self.community.observed(name) for name in self.names]), {}

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Return observations, rewards, terminated, truncated and final observations of these agents."""
        del actions
        community = self.community
        assert community.outcome is not None
        if not community.several:
            return community.outcome
        observation, _, terminated, truncated, info = community.outcome
        count = len(self.names)
        rewards = np.concatenate([community.reward(name) for name in self.names])
        mine: dict[str, Any] = {}
        if "final_obs" in info:
            mine["final_obs"] = stacked([info["final_obs"][name] for name in self.names])
        return (
            stacked([observation[name] for name in self.names]),
            rewards,
            np.tile(terminated, count),
            np.tile(truncated, count),
            mine,
        )

    def split(self, actions: np.ndarray) -> dict[str, np.ndarray]:
        """Return actions (num_envs of this part, ...) by agent."""
        return dict(zip(self.names, np.split(actions, len(self.names)), strict=True))


def stacked(parts: Sequence[Any]) -> Any:
    """Join arrays, or the arrays of mappings, along the copies."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], Mapping):
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return np.concatenate(parts)
