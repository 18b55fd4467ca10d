"""What options cannot tell alone: whether they fit the policy, the actions and the size of a rollout."""

from typing import Any

from gymnasium import spaces

from ... import UserError
from .config import TRPOPPOConfig


def refuse_other_distributions(policy_kwargs: dict[str, Any]) -> None:
    """Refuse action distributions whose divergence has no closed form here."""
    for name in ("use_sde", "squash_output"):
        if policy_kwargs.get(name):
            raise UserError(
                f"policy_kwargs {name}=True: trpo_ppo needs the exact divergence of its distributions, so leave it out."
            )


def refuse_masked_continuous_actions(config: TRPOPPOConfig, action_space: spaces.Space[Any]) -> None:
    """Refuse masks where there are no choices to exclude."""
    if config.use_masking and isinstance(action_space, spaces.Box):
        raise UserError(f"algo.use_masking=true needs discrete actions, and these are {action_space}: leave it out.")


def doubts(config: TRPOPPOConfig, policy: Any, rollout_size: int) -> list[str]:
    """Return what is probably not meant, as sentences to warn with.

    ``policy`` is one of stable-baselines3's or sb3-contrib's; ``rollout_size`` counts transitions of all copies.
    """
    found = []
    if config.trpo_timesteps is not None and config.schedule == "per_iteration":
        found.append(
            f"algo.trpo_timesteps={config.trpo_timesteps} has no effect with algo.schedule=per_iteration: "
            "set algo.schedule=two_phase, or leave it out."
        )
    if config.batch_size > rollout_size:
        found.append(
            f"algo.batch_size={config.batch_size} exceeds the {rollout_size} transitions of a rollout: "
            "minibatches are whole rollouts."
        )
    if config.paper_compat_target_kl_zero:
        found.append(
            "algo.paper_compat_target_kl_zero=true stops PPO after its first minibatch of every rollout, as the "
            "paper's notebooks did."
        )
    if policy.share_features_extractor and any(True for _ in policy.features_extractor.parameters()):
        found.append(
            "Policy and value function share a feature extractor: fitting values moves the policy after its "
            "divergence was checked, so set share_features_extractor=False."
        )
    return found
