"""PPO with an exact KL penalty around a reference policy (equation 7; Algorithm 1, lines 5-17)."""

import math
from collections import defaultdict
from dataclasses import dataclass

import torch
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from .config import TRPOPPOConfig
from .distributions import ActionDistribution, action_distribution
from .rollout import Rollout, minibatches

STOP_FACTOR = 1.5
"""Times target_kl, above which the policy is left alone and beta doubled; one over it, beta is halved."""
BETA_BOUNDS = (1e-4, 1e4)


@dataclass(frozen=True)
class PPOSettings:
    """What the PPO phase needs of the options; see `TRPOPPOConfig`."""

    n_epochs: int
    batch_size: int
    clip_range: float | None
    vf_coef: float
    ent_coef: float
    max_grad_norm: float
    value_continues_after_stop: bool


def ppo_settings(config: TRPOPPOConfig) -> PPOSettings:
    """Return the settings, or those of the paper's notebooks where they are asked for."""
    notebooks = config.paper_compat_target_kl_zero
    return PPOSettings(
        n_epochs=config.n_epochs,
        batch_size=256 if notebooks else config.batch_size,
        clip_range=0.2 if notebooks else config.clip_range,
        vf_coef=config.vf_coef,
        ent_coef=config.ent_coef,
        max_grad_norm=config.max_grad_norm,
        value_continues_after_stop=config.value_continues_after_stop and not notebooks,
    )


@dataclass(frozen=True)
class PolicyTerms:
    """Means over a minibatch, each differentiable.

    Attributes
    ----------
    objective
        Of r A, or of the clipped minimum.
    divergence
        KL(reference || new), summed over components.
    entropy
        Of the new policy.
    largest_ratio
        Largest r.
    """

    objective: Tensor
    divergence: Tensor
    entropy: Tensor
    largest_ratio: Tensor

    @property
    def finite(self) -> bool:
        """Whether no ratio overflows, as it does where the policy has moved far away from an action that was drawn."""
        return math.isfinite(self.objective.item()) and math.isfinite(self.largest_ratio.item())

    def loss(self, beta: float, ent_coef: float) -> Tensor:
        """Return equation 7's loss with the entropy bonus, without the value's part."""
        return beta * self.divergence - self.objective - ent_coef * self.entropy


def policy_terms(
    new: ActionDistribution,
    reference: ActionDistribution,
    log_prob_reference: Tensor,
    actions: Tensor,
    advantages: Tensor,
    clip_range: float | None,
) -> PolicyTerms:
    """Return the parts of a minibatch's loss; the ratio r is that of ``new`` to ``reference``."""
    ratio = torch.exp(new.log_prob(actions) - log_prob_reference)
    gains = ratio * advantages
    if clip_range is not None:
        gains = torch.minimum(gains, ratio.clamp(1.0 - clip_range, 1.0 + clip_range) * advantages)
    divergence = reference.divergence(new).mean()
    return PolicyTerms(gains.mean(), divergence, new.entropy().mean(), ratio.detach().max())


def fit_policy_and_value(
    policy: BasePolicy,
    rollout: Rollout,
    reference: ActionDistribution,
    settings: PPOSettings,
    *,
    beta: float,
    target_kl: float | None,
) -> dict[str, float]:
    """Minimise equation 7 by minibatches, and return what is logged of it.

    A minibatch whose divergence exceeds 1.5 ``target_kl``, or in which a ratio overflows, ends the policy's part before
    its own gradient step; that step and those that follow are the value function's alone, or do not take place.

    Parameters
    ----------
    policy
        Of stable-baselines3 or sb3-contrib, with its optimizer.
    rollout
        All transitions.
    reference
        The distributions, for all of them, that ratio and penalty refer to.
    settings
        Options.
    beta
        Weight of the penalty.
    target_kl
        None: no early stop.
    """
    limit = math.inf if target_kl is None else STOP_FACTOR * target_kl
    log_prob_reference = reference.log_prob(rollout.actions)
    sums: dict[str, float] = defaultdict(float)
    policy_steps = value_steps = 0
    ratio_max = 0.0
    stopped = False
    for rows in passes(rollout, settings.n_epochs, settings.batch_size):
        part = rollout.rows(rows)
        loss = torch.zeros((), device=part.returns.device)
        if not stopped:
            new = action_distribution(policy, part.observations, part.masks)
            terms = policy_terms(
                new, reference.rows(rows), log_prob_reference[rows], part.actions, part.advantages, settings.clip_range
            )
            stopped = terms.divergence.item() > limit or not terms.finite
            if not stopped:
                loss = terms.loss(beta, settings.ent_coef)
                policy_steps += 1
                ratio_max = max(ratio_max, terms.largest_ratio.item())
                sums["policy_gradient_loss"] -= terms.objective.item()
                sums["entropy_loss"] -= terms.entropy.item()
        if stopped and not settings.value_continues_after_stop:
            break
        value_loss = squared_value_error(policy, part)
        descend(policy, loss + settings.vf_coef * value_loss, settings.max_grad_norm)
        value_steps += 1
        sums["value_loss"] += value_loss.item()
    scalars = {"ppo_minibatches": float(policy_steps), "early_stop": float(stopped)}
    if policy_steps:
        scalars["ratio_max"] = ratio_max
        scalars |= {key: sums[key] / policy_steps for key in ("policy_gradient_loss", "entropy_loss")}
    if value_steps:
        scalars["value_loss"] = sums["value_loss"] / value_steps
    return scalars


def fit_value(policy: BasePolicy, rollout: Rollout, settings: PPOSettings, *, n_epochs: int) -> dict[str, float]:
    """Fit the value function alone: the critic passes of a TRPO rollout."""
    losses = []
    for rows in passes(rollout, n_epochs, settings.batch_size):
        value_loss = squared_value_error(policy, rollout.rows(rows))
        descend(policy, settings.vf_coef * value_loss, settings.max_grad_norm)
        losses.append(value_loss.item())
    return {"value_loss": sum(losses) / len(losses)}


def passes(rollout: Rollout, n_epochs: int, batch_size: int) -> list[Tensor]:
    """Return the rows of every minibatch of all passes."""
    device = rollout.advantages.device
    return [rows for _ in range(n_epochs) for rows in minibatches(len(rollout), batch_size, device)]


def squared_value_error(policy: BasePolicy, part: Rollout) -> Tensor:
    """Return the mean of (V - R)^2; with vf_coef 1/2 it is equation 9 with c_v = 1."""
    values: Tensor = policy.predict_values(part.observations)  # type: ignore[operator]
    return (values.flatten() - part.returns).square().mean()


def descend(policy: BasePolicy, loss: Tensor, max_grad_norm: float) -> None:
    """Take one step of the optimizer; parameters that the loss does not depend on stay as they are."""
    assert policy.optimizer is not None
    policy.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    clip_grad_norm_(policy.parameters(), max_grad_norm)
    policy.optimizer.step()


def adapted_beta(beta: float, divergence: float, target_kl: float) -> float:
    """Return beta doubled above 1.5 target_kl, halved below target_kl / 1.5, within [1e-4, 1e4]."""
    low, high = BETA_BOUNDS
    if divergence > STOP_FACTOR * target_kl:
        return min(2.0 * beta, high)
    if divergence < target_kl / STOP_FACTOR:
        return max(beta / 2.0, low)
    return beta
