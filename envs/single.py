"""One copy of a batched environment as a plain `gymnasium.Env`, without automatic resets."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from .. import UserError
from .batched import BatchedEnv


class SingleEnv(gymnasium.Env[Any, Any]):
    """A view of a batched environment that has exactly one copy.

    With equal seeds its episodes are those of row 0 of a batch of any size.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  # Gymnasium declares it so

    def __init__(self, batched: BatchedEnv) -> None:
        if batched.num_envs != 1:
            raise ValueError(f"a one-copy view needs num_envs=1, not {batched.num_envs}")
        if len(batched.agents) > 1:
            raise UserError(
                f"{', '.join(batched.agents)} all learn, and a gymnasium.Env has one reward: use the PettingZoo view "
                "of the environment, or make_env with num_envs=1."
            )
        self.batched = batched
        self.observation_space = batched.single_observation_space
        self.action_space = batched.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin a new episode."""
        super().reset(seed=seed)
        del options
        observation, info = self.batched.reset(seed=seed)
        return first_row(observation), first_row(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one step; an ended episode stays ended until `reset`."""
        if isinstance(action, Mapping):
            transition = self.batched.transition({key: np.asarray(value)[None] for key, value in action.items()})
        else:
            transition = self.batched.transition(np.asarray(action)[None])
        return (
            first_row(self.batched.observe()),
            float(transition.reward[0]),
            bool(transition.terminated[0]),
            bool(transition.truncated[0]),
            first_row(transition.info),
        )

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, (n_actions,) bool."""
        masks: np.ndarray = self.batched.action_masks()[0]
        return masks


def first_row(arrays: Any) -> Any:
    """Take row 0 of an array, or of every array of a mapping."""
    if isinstance(arrays, Mapping):
        return {key: value[0] for key, value in arrays.items()}
    return arrays[0]
