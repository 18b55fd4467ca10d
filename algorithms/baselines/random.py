"""Random actions: the floor that every learned policy is compared with."""

import json
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from ...envs.batched import Arrays, BatchedEnv, State
from .config import RandomConfig


class RandomPolicy:
    """Draw every action uniformly from the action space, or from the allowed ones where masks are given."""

    always_draws = True
    """It has no most probable action."""

    def __init__(self, environment: BatchedEnv) -> None:
        self.action_space = environment.single_action_space
        self.uses_masks = environment.masked

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return actions (num_envs, ...); without a generator they come from a fixed one."""
        first = next(iter(observation.values())) if isinstance(observation, Mapping) else observation
        generator = np.random.default_rng(0) if generator is None else generator
        space = self.action_space
        if isinstance(space, gymnasium.spaces.Dict):
            return {name: draw(part, len(first), None, generator) for name, part in space.items()}
        return draw(space, len(first), masks, generator)


def draw(
    space: gymnasium.Space[Any], num_envs: int, masks: np.ndarray | None, generator: np.random.Generator
) -> np.ndarray:
    """Return uniform actions (num_envs, ...) of a space, of those that the masks allow if there are any."""
    if isinstance(space, gymnasium.spaces.Box):
        actions: np.ndarray = generator.uniform(space.low, space.high, (num_envs, *space.shape)).astype(space.dtype)
        return actions
    if isinstance(space, gymnasium.spaces.Discrete):
        if masks is None:
            return np.asarray(space.start + generator.integers(space.n, size=num_envs))
        weights = masks / masks.sum(axis=1, keepdims=True)
        return np.array([generator.choice(space.n, p=row) for row in weights])
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return generator.integers(space.nvec, size=(num_envs, *space.nvec.shape), dtype=space.dtype)
    if isinstance(space, gymnasium.spaces.MultiBinary):
        return generator.integers(2, size=(num_envs, *space.shape), dtype=space.dtype)
    raise TypeError(f"no random actions for the space {space}")


class RandomLearner:
    """Spend the budget on random actions, so that its curves stand beside those of what learns."""

    finished = False

    def __init__(self, config: RandomConfig, environment: BatchedEnv, seed: int) -> None:
        self.environment = environment
        self.n_steps = config.n_steps
        self.policy = RandomPolicy(environment)
        self.generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(11,)))
        self.observation, _ = environment.reset()

    def update(self, progress: float) -> dict[str, float]:
        """Play ``n_steps`` steps in every copy."""
        del progress
        for _ in range(self.n_steps):
            masks = self.environment.action_masks() if self.environment.masked else None
            actions = self.policy.act(self.observation, masks=masks, generator=self.generator)
            self.observation = self.environment.step(actions)[0]
        return {}

    def agent(self) -> RandomPolicy:
        """Return the random policy."""
        return self.policy

    def get_state(self) -> State:
        """Return the generator; what is observed never matters."""
        return {"generator": json.dumps(self.generator.bit_generator.state)}

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave."""
        self.generator.bit_generator.state = json.loads(state["generator"])


def build_random(config: RandomConfig, environment: BatchedEnv, *, seed: int, device: str) -> RandomLearner:
    """Build the learner; it runs on the CPU whatever the device."""
    del device
    return RandomLearner(config, environment, seed)
