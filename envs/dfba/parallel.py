"""One culture as a PettingZoo parallel environment, whatever the number of its agents."""

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
from pettingzoo import ParallelEnv

from .environment import DynamicFBAVectorEnv


class DynamicFBAParallelEnv(ParallelEnv[str, np.ndarray, np.ndarray]):  # type: ignore[misc]  # it has no types
    """A single copy of `DynamicFBAVectorEnv`; every learning agent acts in every step, and all end together.

    Parameters
    ----------
    seed
        Of what is random in other environments; cultures begin alike.
    **options
        Fields of `DynamicFBAConfig`, such as ``case="starch_amylase/two"``.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": [], "name": "bioppo_dfba_v0", "is_parallelizable": True}

    def __init__(self, *, seed: int = 0, **options: Any) -> None:
        from .. import make_env

        environment = make_env("dfba", num_envs=1, seed=seed, **options)
        assert isinstance(environment, DynamicFBAVectorEnv)
        self.environment = environment
        self.render_mode = None
        self.possible_agents = list(self.environment.agents)
        self.agents: list[str] = []

    def observation_space(self, agent: str) -> gymnasium.Space[Any]:
        """Return the space of what an agent sees, always the same object."""
        return self._space(self.environment.single_observation_space, agent)

    def action_space(self, agent: str) -> gymnasium.Space[Any]:
        """Return the space of what an agent decides, always the same object."""
        return self._space(self.environment.single_action_space, agent)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Begin a new episode."""
        del options
        self.agents = list(self.possible_agents)
        observation, _ = self.environment.reset(seed=seed)
        return self._rows(observation), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, np.ndarray]) -> tuple[Any, Any, Any, Any, Any]:
        """Take one decision of every agent; an ended episode stays ended until `reset`."""
        acting = self.agents
        joint: Any = {name: np.asarray(actions[name])[None] for name in acting}
        if self.environment.alone:
            joint = joint[acting[0]]
        transition = self.environment.transition(joint)
        reward = np.atleast_2d(transition.reward.T).T
        rewards = {name: float(reward[0, column]) for column, name in enumerate(acting)}
        terminated = dict.fromkeys(acting, bool(transition.terminated[0]))
        truncated = dict.fromkeys(acting, bool(transition.truncated[0]))
        places = dict(zip(acting, self.environment.learning, strict=True))
        status = transition.info["lp_status"][0]
        infos = {name: {"lp_status": int(status[place])} for name, place in places.items()}
        observations = self._rows(self.environment.observe())
        if transition.terminated[0] or transition.truncated[0]:
            self.agents = []
        return observations, rewards, terminated, truncated, infos

    def render(self) -> None:
        """Draw nothing."""

    def close(self) -> None:
        """Close the culture."""
        self.environment.close()

    def _space(self, space: gymnasium.Space[Any], agent: str) -> gymnasium.Space[Any]:
        return space if self.environment.alone else space[agent]  # type: ignore[index]

    def _rows(self, observation: Any) -> dict[str, np.ndarray]:
        parts = observation if isinstance(observation, Mapping) else {self.possible_agents[0]: observation}
        return {name: part[0] for name, part in parts.items()}
