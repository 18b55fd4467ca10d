"""A finished rollout as tensors, and how it is cut into minibatches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor

from ...envs.batched import NonFiniteError
from .distributions import Observations

SMALLEST_DEVIATION = 1e-8
"""Advantages that differ by less are left as they are; also added to what divides."""


@dataclass(frozen=True)
class Rollout:
    """Transitions, a row each.

    Attributes
    ----------
    observations
        (n, ...), or a dictionary of such, in their own types.
    actions
        (n, components).
    advantages, returns
        (n,).
    masks
        (n, choices of all components), or None without masking.
    """

    observations: Observations
    actions: Tensor
    advantages: Tensor
    returns: Tensor
    masks: Tensor | None

    def __len__(self) -> int:
        return len(self.advantages)

    def rows(self, rows: Tensor) -> Self:
        """Return these transitions only."""
        observations = self.observations
        if isinstance(observations, dict):
            observations = {key: part[rows] for key, part in observations.items()}
        else:
            observations = observations[rows]
        masks = None if self.masks is None else self.masks[rows]
        return type(self)(observations, self.actions[rows], self.advantages[rows], self.returns[rows], masks)


def read_rollout(buffer: RolloutBuffer, *, normalize_advantage: bool, environment: str) -> Rollout:
    """Return all that a full buffer holds, in an order drawn from NumPy's global generator, as the buffer has it.

    Raises
    ------
    NonFiniteError
        If an advantage is not finite; the environment's name and the rollout's rewards and values are told.
    """
    samples: Any = next(iter(buffer.get(batch_size=None)))
    advantages: Tensor = samples.advantages
    if not torch.isfinite(advantages).all():
        raise NonFiniteError(
            f"An advantage in {environment} is not finite (rewards from {buffer.rewards.min():g} to "
            f"{buffer.rewards.max():g}, values from {buffer.values.min():g} to {buffer.values.max():g}): check the "
            "environment's rewards, or lower algo.learning_rate."
        )
    actions = samples.actions.flatten(start_dim=1)
    masks = getattr(samples, "action_masks", None)
    if normalize_advantage:
        advantages = normalized(advantages)
    return Rollout(samples.observations, actions, advantages, samples.returns, masks)


def normalized(advantages: Tensor) -> Tensor:
    """Return advantages (n,) with mean 0 and deviation 1, or as they are where they hardly differ or n is 1."""
    if len(advantages) < 2:
        return advantages
    deviation = advantages.std()
    if deviation < SMALLEST_DEVIATION:
        return advantages
    return (advantages - advantages.mean()) / (deviation + SMALLEST_DEVIATION)


def minibatches(size: int, batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """Yield the rows of one pass in an order drawn from torch's generator; a last single row joins those before it."""
    rows = torch.randperm(size).to(device)
    starts = list(range(0, size, batch_size))
    if len(starts) > 1 and size - starts[-1] == 1:
        starts.pop()
    for start, end in zip(starts, [*starts[1:], size], strict=True):
        yield rows[start:end]
