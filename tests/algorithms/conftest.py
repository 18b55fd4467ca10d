"""What the tests of several learners share."""

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gymnasium
import numpy as np
import pytest

from bioppo.envs.batched import BatchedEnv, Transition
from bioppo.storage.checkpoint import read_checkpoint, write_checkpoint
from bioppo.training.random_state import global_states, set_global_states


@pytest.fixture
def assert_continues_exactly(tmp_path: Path, bitwise_same: Callable[[Any, Any], bool]) -> Callable[..., None]:
    """Return a check that a learner restored from a real checkpoint goes on like one that was never stopped."""

    def without_seconds(scalars: dict[str, float]) -> dict[str, float]:
        return {key: value for key, value in scalars.items() if not key.startswith("time/")}

    def check(make_environment: Callable[..., Any], build: Callable[[Any], Any]) -> None:
        environment = make_environment()
        learner = build(environment)
        for _ in range(2):
            learner.update(0.5)
        write_checkpoint(
            tmp_path / "c.pt",
            {"learner": learner.get_state(), "environment": environment.get_state(), "random": global_states()},
        )
        expected = [without_seconds(learner.update(0.5)) for _ in range(2)]
        content = read_checkpoint(tmp_path / "c.pt")
        environment = make_environment(seed=5)
        other = build(environment)
        other.update(0.5)
        environment.set_state(content["environment"])
        other.set_state(content["learner"])
        set_global_states(content["random"])
        assert bitwise_same(expected, [without_seconds(other.update(0.5)) for _ in range(2)])
        assert bitwise_same(learner.get_state(), other.get_state())

    return check


@pytest.fixture
def masked_env(point_env):
    """Return a function that makes the small environment with moves to the right forbidden, and counts such moves."""

    class MaskedEnv(point_env):
        forbidden_moves = 0

        def action_masks(self):
            masks = {
                "discrete": np.tile([False, True, True, True], (self.num_envs, 1)),
                "multi_discrete": np.tile([True, True, False, True, True, True], (self.num_envs, 1)),
                "multi_binary": np.tile([True, False, True, True], (self.num_envs, 1)),
            }[self.space]
            lonely = self.state["x"][:, 0] > 0  # what is allowed differs between states
            masks[lonely, -1] = False
            return masks

        def advance(self, actions):
            if self.space in ("box", "dict"):
                return super().advance(actions)
            masks = self.action_masks()
            sizes = {"discrete": [4], "multi_discrete": [3, 3], "multi_binary": [2, 2]}[self.space]
            offsets = np.cumsum([0, *sizes[:-1]])
            chosen = np.asarray(actions).reshape(self.num_envs, -1).astype(int) + offsets
            self.forbidden_moves += int((~np.take_along_axis(masks, chosen, axis=1)).sum())
            return super().advance(actions)

        def sibling(self, num_envs, seed, split):
            return type(self)(num_envs, seed, split, space=self.space, horizon=self.horizon)

    return MaskedEnv


class RopeEnv(BatchedEnv):
    """Agents pull one knot of a rope along a line, each towards a place of its own, and pay for pulling.

    The agent called ``both`` pulls with two hands; every one sees the knot and the time that is left.
    """

    places = MappingProxyType({"left": -1.0, "right": 2.0, "both": 0.5})

    def __init__(self, num_envs=3, seed=0, split="train", *, agents=("left", "right"), horizon=8, truncates=False):
        self.agents = tuple(agents)
        self.horizon = horizon
        self.truncates = truncates
        observations = {name: gymnasium.spaces.Box(-50.0, 50.0, (2,), np.float32) for name in agents}
        actions = {name: gymnasium.spaces.Box(-1.0, 1.0, (2 if name == "both" else 1,), np.float32) for name in agents}
        several = len(agents) > 1
        super().__init__(
            num_envs=num_envs,
            seed=seed,
            split=split,
            observation_space=gymnasium.spaces.Dict(observations) if several else observations[agents[0]],
            action_space=gymnasium.spaces.Dict(actions) if several else actions[agents[0]],
        )

    def restart(self, copies):
        self.state.setdefault("x", np.zeros(self.num_envs))
        self.state.setdefault("wind", np.zeros((self.num_envs, self.horizon)))
        for copy in copies:
            self.state["x"][copy] = self.generators[copy].uniform(-2, 2)
            self.state["wind"][copy] = self.generators[copy].normal(0, 0.1, self.horizon)

    def advance(self, actions):
        self.simulator_calls += self.num_envs
        by_agent = actions if len(self.agents) > 1 else {self.agents[0]: actions}
        pulls = [np.asarray(by_agent[name], dtype=np.float64).sum(axis=1) for name in self.agents]
        step = self.state["elapsed_steps"]
        self.state["x"] = 0.9 * self.state["x"] + 0.5 * sum(pulls) + self.state["wind"][range(self.num_envs), step - 1]
        rewards = [
            -np.abs(self.state["x"] - self.places[name]) - 0.1 * pull**2
            for name, pull in zip(self.agents, pulls, strict=True)
        ]
        over = step >= self.horizon
        never = np.zeros(self.num_envs, dtype=bool)
        reward = np.stack(rewards, axis=1) if len(self.agents) > 1 else rewards[0]
        ends = (never, over) if self.truncates else (over, never)
        return Transition(reward, *ends, {"x": self.state["x"].copy()})

    def observe(self):
        left = 1.0 - self.state["elapsed_steps"] / self.horizon
        seen = np.stack([self.state["x"], left], axis=1).astype(np.float32)
        return {name: seen.copy() for name in self.agents} if len(self.agents) > 1 else seen

    def idle_action(self):
        idle = {name: np.zeros(2 if name == "both" else 1) for name in self.agents}
        return idle if len(self.agents) > 1 else idle[self.agents[0]]

    def sibling(self, num_envs, seed, split):
        return type(self)(num_envs, seed, split, agents=self.agents, horizon=self.horizon, truncates=self.truncates)


@pytest.fixture
def rope_env():
    """Return a function that makes a small community: agents that pull one rope."""
    return RopeEnv
