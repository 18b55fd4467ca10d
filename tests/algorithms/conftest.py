"""What the tests of several learners share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bioppo.training.checkpoint import read_checkpoint, write_checkpoint
from bioppo.training.random_state import global_states, set_global_states


@pytest.fixture
def assert_continues_exactly(tmp_path: Path, bitwise_same: Callable[[Any, Any], bool]) -> Callable[..., None]:
    """Return a check that a learner restored from a real checkpoint goes on like one that was never stopped."""

    def check(make_environment: Callable[..., Any], build: Callable[[Any], Any]) -> None:
        environment = make_environment()
        learner = build(environment)
        for _ in range(2):
            learner.update(0.5)
        write_checkpoint(
            tmp_path / "c.pt",
            {"learner": learner.get_state(), "environment": environment.get_state(), "random": global_states()},
        )
        expected = [learner.update(0.5) for _ in range(2)]
        content = read_checkpoint(tmp_path / "c.pt")
        environment = make_environment(seed=5)
        other = build(environment)
        other.update(0.5)
        environment.set_state(content["environment"])
        other.set_state(content["learner"])
        set_global_states(content["random"])
        assert bitwise_same(expected, [other.update(0.5) for _ in range(2)])
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
