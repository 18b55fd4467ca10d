"""Which parts of the algorithm a rollout gets, and which divergence PPO aims at."""

from collections.abc import Sequence
from enum import Enum

from .config import DEFAULT_TARGET_KL, DEFAULT_TRPO_TIMESTEPS, TRPOPPOConfig


class Phase(Enum):
    """What is done with a rollout; the number is logged."""

    TRPO = 0
    """A natural step and passes of the value function."""
    PPO = 1
    """The penalised PPO alone, around the policy that acted."""
    BOTH = 2
    """Algorithm 1: a natural step, then the penalised PPO."""


def phase_of(config: TRPOPPOConfig, start: int) -> Phase:
    """Return the phase of a rollout that began after ``start`` steps of all copies together."""
    if config.schedule == "per_iteration":
        return Phase.BOTH
    boundary = DEFAULT_TRPO_TIMESTEPS if config.trpo_timesteps is None else config.trpo_timesteps
    return Phase.TRPO if start < boundary else Phase.PPO


def follows_natural_steps(config: TRPOPPOConfig) -> bool:
    """Say whether PPO's target comes from the divergences of natural steps."""
    return config.target_kl == "auto" or (config.target_kl == "default" and config.schedule == "two_phase")


def resolved_target_kl(config: TRPOPPOConfig, step_divergences: Sequence[float]) -> float | None:
    """Return the divergence to aim at; None where there is none to stop at.

    Parameters
    ----------
    config
        Options.
    step_divergences
        Of the natural steps accepted so far; for ``auto``, which uses delta where they are all zero or there are none.
    """
    if config.paper_compat_target_kl_zero:
        return 0.0
    if follows_natural_steps(config):
        total = sum(step_divergences)
        return config.auto_factor * total / len(step_divergences) if total > 0.0 else config.delta
    if config.target_kl is None:
        return None
    return DEFAULT_TARGET_KL if config.target_kl == "default" else float(config.target_kl)
