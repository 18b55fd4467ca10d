"""Build stable-baselines3's PPO on a batched environment."""

import math
from collections.abc import Callable
from typing import Any

import torch
from gymnasium.spaces import Box, Dict, Discrete
from stable_baselines3 import PPO
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from ... import UserError
from ...envs.stable_baselines_adapter import AnyVectorEnv, StableBaselinesAdapter, refuse_several_agents
from ..stable_baselines import StableBaselinesLearner, check_rollout, normalized
from .config import PPOConfig
from .policies import MASK, ActorCritic, MaskReadingActorCritic
from .rollouts import FiniteEpisodes, ShapedDictRolloutBuffer, ShapedRolloutBuffer

ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "elu": torch.nn.ELU, "gelu": torch.nn.GELU}
# Adam is left as stable-baselines3 has it; the fused kernel takes a fraction of the time for wide networks.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam": {"optimizer_class": torch.optim.Adam},
    "adamw": {"optimizer_class": torch.optim.AdamW, "optimizer_kwargs": {"fused": True}},
}
DECAY_END = 1e-6


def build_ppo(config: PPOConfig, environment: AnyVectorEnv, *, seed: int, device: str) -> StableBaselinesLearner:
    """Build the learner; the global random states of NumPy and torch are seeded, as stable-baselines3 draws from them.

    Raises
    ------
    UserError
        If a minibatch does not divide a rollout, an option does not fit the actions, or the environment has masks
        that the policy does not read.
    """
    refuse_several_agents(environment)
    check_rollout(environment, n_steps=config.n_steps, batch_size=config.batch_size)
    check_actions(config, environment)
    check_masks(config, environment)
    set_random_seed(seed)
    model = GroupedPPO(
        MaskReadingActorCritic if config.mask_in_policy else ActorCritic,
        training_environment(config, environment),
        learning_rate=learning_rate_schedule(config.learning_rate, config.schedule),
        n_steps=config.n_steps,
        batch_size=config.batch_size,
        n_epochs=config.n_epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=clip_range_schedule(config.clip_range, config.clip_range_end),
        # The buffer standardises advantages that it limits afterwards.
        normalize_advantage=config.normalize_advantage and config.advantage_limit is None,
        ent_coef=config.ent_coef,
        vf_coef=config.vf_coef,
        max_grad_norm=config.max_grad_norm,
        target_kl=config.target_kl,
        policy_kwargs=policy_keywords(config),
        device=device,
        **rollout_keywords(config, environment),
    )
    if config.zero_last_layer:
        model.policy.zero_last_layer()
    return StableBaselinesLearner(model)


class GroupedPPO(PPO):
    """PPO whose schedule scales the learning rate of every parameter group by the group's own factor."""

    policy: ActorCritic

    def train(self) -> None:
        """Fit to the rollout, and log the standard deviation of the last minibatch where it depends on the state."""
        super().train()
        if self.policy.state_dependent_std:
            distribution: Any = self.policy.action_dist.distribution
            self.logger.record("train/std", distribution.stddev.mean().item())

    def _update_learning_rate(self, optimizers: list[torch.optim.Optimizer] | torch.optim.Optimizer) -> None:
        super()._update_learning_rate(optimizers)  # gives all groups the same
        groups = self.policy.optimizer.param_groups
        for group in groups:
            group["lr"] *= group.get("learning_rate_scale", 1.0)
        if len(groups) > 1:
            self.logger.record("train/critic_learning_rate", groups[1]["lr"])


def check_actions(config: PPOConfig, environment: AnyVectorEnv) -> None:
    """Refuse options of a Gaussian policy where actions are not continuous, or too few to be normalised."""
    space = environment.single_action_space
    continuous = isinstance(space, Box)
    for option, asked in (
        ("state_dependent_std=true", config.state_dependent_std),
        (f"log_std_bounds={config.log_std_bounds}", config.log_std_bounds is not None),
        ("layer_norm=all", config.layer_norm == "all"),
    ):
        if asked and not continuous:
            raise UserError(f"algo.{option} needs continuous actions, and these are {space}: choose another value.")
    if config.layer_norm == "all" and math.prod(space.shape or ()) < 2:
        raise UserError("algo.layer_norm=all makes a single action constant: choose hidden.")


def check_masks(config: PPOConfig, environment: AnyVectorEnv) -> None:
    """Refuse an environment with masks where the policy does not read them, and a mask that is not there."""
    actions, seen = environment.single_action_space, environment.single_observation_space
    if not config.mask_in_policy:
        if getattr(environment, "masked", False):
            raise UserError(
                f"algo=ppo would draw actions that {type(environment).__name__} excludes: choose algo=masked_ppo, or "
                "set algo.mask_in_policy=true and, in env=reprogramming, env.task.obs=dict."
            )
        return
    mask = seen.get(MASK) if isinstance(seen, Dict) else None
    if mask is None or not isinstance(actions, Discrete) or mask.shape != (actions.n,):
        raise UserError(
            f"algo.mask_in_policy=true: {type(environment).__name__} has no observation {MASK} with a number per "
            "discrete action, so choose algo=masked_ppo, or in env=reprogramming set env.task.obs=dict."
        )


def training_environment(config: PPOConfig, environment: AnyVectorEnv) -> VecEnv:
    """Return the environment as stable-baselines3 sees it, with the normalisers that the options ask for."""
    adapter: VecEnv = StableBaselinesAdapter(environment)
    if not config.bootstrap_truncated:
        adapter = FiniteEpisodes(adapter)
    return normalized(
        adapter, observation=config.normalize_observation, reward=config.normalize_reward, gamma=config.gamma
    )


def policy_keywords(config: PPOConfig) -> dict[str, Any]:
    """Return the keywords of `ActorCritic`."""
    critic_rate, bounds = config.critic_learning_rate, config.log_std_bounds
    return {
        "net_arch": list(config.hidden_sizes),
        "activation_fn": ACTIVATIONS[config.activation],
        "log_std_init": config.log_std_init,
        "layer_norm": config.layer_norm,
        "state_dependent_std": config.state_dependent_std,
        "log_std_bounds": None if bounds is None else (bounds[0], bounds[1]),
        "critic_scale": None if critic_rate is None else critic_rate / config.learning_rate,
        **OPTIMIZERS[config.optimizer],
    }


def rollout_keywords(config: PPOConfig, environment: AnyVectorEnv) -> dict[str, Any]:
    """Return class and keywords of the rollout buffer; none, hence the library's own, where nothing is shaped."""
    if not config.standardize_reward and config.advantage_limit is None:
        return {}
    dictionary = isinstance(environment.single_observation_space, Dict)
    return {
        "rollout_buffer_class": ShapedDictRolloutBuffer if dictionary else ShapedRolloutBuffer,
        "rollout_buffer_kwargs": {
            "standardize_reward": config.standardize_reward,
            "standardize_advantage": config.normalize_advantage and config.advantage_limit is not None,
            "advantage_limit": config.advantage_limit,
        },
    }


def learning_rate_schedule(initial: float, kind: str, *, start: float = 0.0) -> float | Callable[[float], float]:
    """Return the learning rate as a function of the share of the budget that remains, or the constant itself.

    ``late`` holds it until the share ``start`` of the budget is spent.
    """
    if kind == "late":
        return lambda remaining: DECAY_END + (initial - DECAY_END) * min(1.0, remaining / (1.0 - start))
    if kind == "linear":
        return lambda remaining: initial * remaining
    if kind == "cosine":
        return lambda remaining: DECAY_END + (initial - DECAY_END) * (1.0 + math.cos(math.pi * (1.0 - remaining))) / 2
    return initial


def clip_range_schedule(initial: float, end: float | None) -> float | Callable[[float], float]:
    """Return the clip range as a function of the share of the budget that remains, or the constant itself."""
    if end is None:
        return initial
    return lambda remaining: end + (initial - end) * remaining
