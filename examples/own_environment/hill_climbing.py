"""Random-restart hill climbing over the weights of a linear policy."""

import json
from typing import Any

import numpy as np


class LinearPolicy:
    """Act by ``clip([1, observation] W, low, high)``."""

    def __init__(self, weights: np.ndarray, space: Any) -> None:
        self.weights, self.space = weights, space

    def act(self, observation: Any, *, masks: Any = None, generator: Any = None) -> np.ndarray:
        """Return actions (num_envs, n) for observations (num_envs, m)."""
        del masks, generator
        inputs = np.column_stack([np.ones(len(observation)), observation])
        return np.clip(inputs @ self.weights, self.space.low, self.space.high).astype(self.space.dtype)


class HillClimbing:
    """One update scores one change of the weights, and keeps it if it earns more than what it changes."""

    finished = False

    def __init__(self, config: Any, environment: Any, *, seed: int, device: str) -> None:
        del device  # there is nothing to put on one
        self.config, self.environment, self.generator = config, environment, np.random.default_rng(seed)
        zeros = np.zeros((environment.single_observation_space.shape[0] + 1, environment.single_action_space.shape[0]))
        self.state = {"weights": zeros, "score": -np.inf, "best": zeros, "best_score": -np.inf, "failures": 0}

    def update(self, progress: float) -> dict[str, float]:
        """Try a neighbour; after too many failures in a row begin elsewhere."""
        del progress
        state, shape = self.state, self.state["weights"].shape
        if state["failures"] >= self.config.patience:
            start = self.generator.normal(0.0, self.config.restart_scale, shape)
            state |= {"weights": start, "score": -np.inf, "failures": 0}
        weights = state["weights"] + self.generator.normal(0.0, self.config.step_size, shape)
        score = self._score(weights)
        better = score > state["score"]
        state |= {"weights": weights, "score": score, "failures": 0} if better else {"failures": state["failures"] + 1}
        if score > state["best_score"]:
            state |= {"best": weights, "best_score": score}
        return {"search/score": score, "search/best_score": state["best_score"]}

    def _score(self, weights: np.ndarray) -> float:
        """Return the mean reward summed over ``n_steps`` steps of every copy."""
        policy, (observation, _) = LinearPolicy(weights, self.environment.single_action_space), self.environment.reset()
        total = 0.0
        for _ in range(self.config.n_steps):
            observation, reward, *_ = self.environment.step(policy.act(observation))
            total += float(reward.mean())
        return total

    def agent(self) -> LinearPolicy:
        """Return the best policy so far."""
        return LinearPolicy(self.state["best"], self.environment.single_action_space)

    def get_state(self) -> dict[str, Any]:
        """Return weights, scores and the generator."""
        return {**self.state, "generator": json.dumps(self.generator.bit_generator.state)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` gave."""
        self.state = {key: state[key] for key in self.state}
        self.generator.bit_generator.state = json.loads(state["generator"])
