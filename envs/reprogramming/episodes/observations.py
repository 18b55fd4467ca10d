"""What is seen of a cell on its way: indices, expression, or principal components."""

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium
import numpy as np
from scipy.special import ndtri

from ...batched import Arrays
from ..data import FloatArray
from ..task import ReprogrammingTask

NOISY_SHARE = 0.3
"""Share of observations that carry noise."""


LONG_HORIZON = 1000
"""Steps of an episode that an index observation has room for at least."""


class Observer(Protocol):
    """One form of observation."""

    draws: int
    """Random numbers that an observation of one copy needs."""

    @property
    def space(self) -> gymnasium.Space[Any]:
        """Space of one copy."""

    def observe(
        self, state: dict[str, np.ndarray], masks: Callable[[], np.ndarray], noise: FloatArray | None
    ) -> Arrays:
        """Return fresh arrays of what all copies see; ``noise`` (num_envs, draws) lies in (0, 1)."""


class IndexObserver:
    """(num_envs, 4) int32: cell, target type, step, and 0.

    Where perturbations persist, what is clamped takes the place of the 0: ``max_clamps`` columns of action positions
    + 1, the largest first, 0 for none.
    """

    draws = 0

    def __init__(self, task: ReprogrammingTask) -> None:
        options, persistent = task.config.task, task.persistent
        longest = max(options.horizon, options.horizon_train, *task.schedule.horizons, LONG_HORIZON)
        clamps = [1] if persistent is None else [task.n_actions] * persistent.max_clamps
        high = np.array([task.n_cells - 1, task.n_types - 1, longest, *clamps], dtype=np.int32)
        self.space = gymnasium.spaces.Box(np.zeros_like(high), high, dtype=np.int32)
        self._columns = len(high)

    def observe(
        self, state: dict[str, np.ndarray], masks: Callable[[], np.ndarray], noise: FloatArray | None
    ) -> Arrays:
        """Return the indices."""
        del masks, noise
        cell = state["cell"]
        observation = np.zeros((len(cell), self._columns), dtype=np.int32)
        observation[:, 0] = cell
        observation[:, 1] = state["target"]
        observation[:, 2] = state["elapsed_steps"]
        if "clamps" in state:
            observation[:, 3:] = state["clamps"]
        return observation


class ExpressionObserver:
    """A mapping: ``current_expression`` and ``target_expression`` (num_envs, G) float32, ``action_mask`` (num_envs, A).

    The target's is its centroid. Where perturbations persist, ``clamps`` (num_envs, A) says which actions hold. Masks
    and clamps are int8.
    """

    def __init__(self, task: ReprogrammingTask, noise: float) -> None:
        self.task, self.noise = task, noise
        self.cells, self.targets = task.expression, task.goals.centroid.astype(np.float32)
        self.draws = 1 + self.cells.shape[1] if noise else 0
        both = self.cells, self.targets
        self.limit = limit = float(max(max(part.max(), -part.min()) for part in both))
        spaces: dict[str, gymnasium.Space[Any]] = {
            name: gymnasium.spaces.Box(-limit, limit, (self.cells.shape[1],))
            for name in ("current_expression", "target_expression")
        }
        flags = ["action_mask", *(["clamps"] if task.persistent is not None else [])]
        spaces |= {name: gymnasium.spaces.Box(0, 1, (task.n_actions,), np.int8) for name in flags}
        self.space = gymnasium.spaces.Dict(spaces)

    def observe(
        self, state: dict[str, np.ndarray], masks: Callable[[], np.ndarray], noise: FloatArray | None
    ) -> Arrays:
        """Return expression and masks."""
        cells = self.cells.take(state["cell"], axis=0)
        parts = {
            "current_expression": add_noise(cells, noise, self.noise, self.limit),
            "target_expression": self.targets.take(state["target"], axis=0),
            "action_mask": masks().astype(np.int8),
        }
        if self.task.persistent is not None:
            parts["clamps"] = self.task.persistent.flags(state["clamps"]).astype(np.int8)
        return parts


class ComponentObserver:
    """(num_envs, 2 d) float32: principal components of the cell, then of the target's centre.

    Where perturbations persist, (num_envs, A) follows: which actions hold, 0 or 1.
    """

    def __init__(self, task: ReprogrammingTask, count: int, noise: float) -> None:
        self.task, self.noise = task, noise
        self.cells, self.targets = task.components(count)
        self.draws = 1 + self.cells.shape[1] if noise else 0
        limit = np.maximum(np.abs(self.cells).max(axis=0), np.abs(self.targets).max(axis=0))
        self.limit = limit
        flags = np.ones(task.n_actions if task.persistent is not None else 0, dtype=np.float32)
        self.space = gymnasium.spaces.Box(
            np.concatenate([-limit, -limit, 0 * flags]), np.concatenate([limit, limit, flags])
        )

    def observe(
        self, state: dict[str, np.ndarray], masks: Callable[[], np.ndarray], noise: FloatArray | None
    ) -> Arrays:
        """Return the components."""
        del masks
        cells = add_noise(self.cells.take(state["cell"], axis=0), noise, self.noise, self.limit)
        parts = [cells, self.targets.take(state["target"], axis=0)]
        if self.task.persistent is not None:
            parts.append(self.task.persistent.flags(state["clamps"]).astype(np.float32))
        return np.concatenate(parts, axis=1)


def add_noise(cells: FloatArray, noise: FloatArray | None, deviation: float, limit: FloatArray | float) -> FloatArray:
    """Return values (n, d) of which three rows in ten carry normal noise, kept within +- ``limit``.

    ``noise`` (n, 1 + d) lies in (0, 1): the first column says which rows those are.
    """
    if noise is None:
        return cells
    noisy = noise[:, :1] < NOISY_SHARE
    moved = cells + np.where(noisy, deviation * ndtri(noise[:, 1:]), 0.0).astype(np.float32)
    return np.clip(moved, -limit, limit)


def make_observer(task: ReprogrammingTask, *, noise: float) -> Observer:
    """Return the form that ``task.obs`` names; noise is its deviation, 0 for none."""
    options = task.config.task
    match options.obs:
        case "dict":
            return ExpressionObserver(task, noise)
        case "features":
            return ComponentObserver(task, options.features, noise)
    return IndexObserver(task)
