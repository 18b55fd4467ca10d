"""Action distributions as plain tensors: densities, exact divergences and Fisher metrics.

Each distribution holds *coordinates*, tensors with a row per state that depend differentiably on the policy's
parameters, chosen so that the Fisher metric at the distribution itself is diagonal in them. stable-baselines3 and
sb3-contrib keep one distribution object per policy and change it in place; these here are values.
"""

from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor
from torch.distributions import Bernoulli, Normal
from torch.nn.functional import logsigmoid

LOG_2_PI = 1.8378770664093453

Observations = Any
"""A tensor (n, ...), or a dictionary of tensors."""


class ActionDistribution:
    """One distribution over actions per state, independent between the components of an action."""

    @property
    def coordinates(self) -> tuple[Tensor, ...]:
        """The tensors that determine it, each (n, ...)."""
        return tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]

    @property
    def components(self) -> int:
        """Number of components of an action."""
        return self.coordinates[0].shape[1]

    def with_coordinates(self, coordinates: tuple[Tensor, ...]) -> Self:
        """Return a distribution of the same kind."""
        return type(self)(*coordinates)

    def detach(self) -> Self:
        """Return the same distribution, independent of any parameters."""
        return self.with_coordinates(tuple(part.detach() for part in self.coordinates))

    def rows(self, rows: Tensor) -> Self:
        """Return the distributions of these states only."""
        return self.with_coordinates(tuple(part[rows] for part in self.coordinates))

    def fisher_metric(self) -> tuple[Tensor, ...]:
        """Return the diagonal of each state's Fisher matrix in the coordinates, in their shapes."""
        raise NotImplementedError

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return log densities (n,) of actions (n, components)."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """Return entropies (n,), summed over components."""
        raise NotImplementedError

    def divergence(self, other: Self) -> Tensor:
        """Return KL(self || other) of each state (n,), summed over components."""
        raise NotImplementedError


@dataclass(frozen=True)
class Gaussian(ActionDistribution):
    """Independent normal components.

    Attributes
    ----------
    mean, std
        (n, components).
    """

    mean: Tensor
    std: Tensor

    def fisher_metric(self) -> tuple[Tensor, ...]:
        """Return 1/std^2 for means and 2/std^2 for standard deviations."""
        precision = self.std.pow(-2)
        return precision, 2.0 * precision

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return log densities (n,) of actions (n, components)."""
        z = (actions - self.mean) / self.std
        return -(0.5 * z.square() + self.std.log()).sum(dim=1) - 0.5 * LOG_2_PI * self.components

    def entropy(self) -> Tensor:
        """Return entropies (n,)."""
        return self.std.log().sum(dim=1) + 0.5 * (1.0 + LOG_2_PI) * self.components

    def divergence(self, other: Self) -> Tensor:
        """Return KL(self || other) (n,); expm1 keeps the small divergences of single precision."""
        ratio = (self.std / other.std).log()
        distance = (self.mean - other.mean) / other.std
        return (0.5 * (torch.expm1(2.0 * ratio) + distance.square()) - ratio).sum(dim=1)


@dataclass(frozen=True)
class Bernoullis(ActionDistribution):
    """Independent yes-or-no components.

    Attributes
    ----------
    logits
        (n, components), of yes.
    """

    logits: Tensor

    def fisher_metric(self) -> tuple[Tensor, ...]:
        """Return p (1 - p)."""
        probability = self.logits.sigmoid()
        return (probability * (1.0 - probability),)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return log probabilities (n,) of actions (n, components) of zeros and ones."""
        return logsigmoid(torch.where(actions > 0.5, self.logits, -self.logits)).sum(dim=1)

    def entropy(self) -> Tensor:
        """Return entropies (n,)."""
        return -self._expected(self)

    def divergence(self, other: Self) -> Tensor:
        """Return KL(self || other) (n,)."""
        return self._expected(self) - self._expected(other)

    def _expected(self, other: Self) -> Tensor:
        """Return the mean log probability (n,) that ``other`` gives to what is drawn from this one."""
        probability = self.logits.sigmoid()
        return (probability * logsigmoid(other.logits) + (1.0 - probability) * logsigmoid(-other.logits)).sum(dim=1)


class Categoricals(ActionDistribution):
    """One choice, or several independent ones; choices that a mask excludes have probability 0 and contribute 0.

    Parameters
    ----------
    *log_probabilities
        For each component (n, choices), normalised; where masked, finite but so low that its exponential is 0.
    """

    def __init__(self, *log_probabilities: Tensor) -> None:
        self.log_probabilities = log_probabilities

    @property
    def coordinates(self) -> tuple[Tensor, ...]:
        """Log probabilities, in which the Fisher matrix is diag(p)."""
        return self.log_probabilities

    @property
    def components(self) -> int:
        """Number of choices made at once."""
        return len(self.log_probabilities)

    def fisher_metric(self) -> tuple[Tensor, ...]:
        """Return the probabilities."""
        return tuple(part.exp() for part in self.log_probabilities)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return log probabilities (n,) of actions (n, components), counted from zero."""
        chosen = zip(self.log_probabilities, actions.long().unsqueeze(1).unbind(dim=2), strict=True)
        return torch.cat([part.gather(1, action) for part, action in chosen], dim=1).sum(dim=1)

    def entropy(self) -> Tensor:
        """Return entropies (n,)."""
        return torch.stack([-(part.exp() * part).sum(dim=1) for part in self.log_probabilities]).sum(dim=0)

    def divergence(self, other: Self) -> Tensor:
        """Return KL(self || other) (n,)."""
        pairs = zip(self.log_probabilities, other.log_probabilities, strict=True)
        return torch.stack([(mine.exp() * (mine - theirs)).sum(dim=1) for mine, theirs in pairs]).sum(dim=0)


def action_distribution(policy: BasePolicy, observations: Observations, masks: Tensor | None) -> ActionDistribution:
    """Return what a policy of stable-baselines3 or sb3-contrib would draw from.

    Parameters
    ----------
    policy
        With diagonal Gaussian, (masked) categorical or Bernoulli actions.
    observations
        (n, ...), or a dictionary of such.
    masks
        (n, choices of all components) of what is allowed, for sb3-contrib's maskable policies only.
    """
    keywords = {} if masks is None else {"action_masks": masks}
    made: Any = policy.get_distribution(observations, **keywords)  # type: ignore[operator]
    torch_distribution = getattr(made, "distributions", None) or made.distribution
    if isinstance(torch_distribution, Normal):
        return Gaussian(torch_distribution.mean, torch_distribution.stddev)
    if isinstance(torch_distribution, Bernoulli):
        return Bernoullis(torch_distribution.logits)
    parts = torch_distribution if isinstance(torch_distribution, list) else [torch_distribution]
    return Categoricals(*(part.logits for part in parts))
