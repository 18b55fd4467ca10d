"""Build sb3-contrib's PPO with masks on a batched environment."""

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.spaces.utils import flatdim
from sb3_contrib import MaskablePPO
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from ... import UserError
from ...envs.batched import BatchedEnv
from ...envs.stable_baselines_adapter import StableBaselinesAdapter, refuse_several_agents
from ..ppo.learner import ACTIVATIONS, learning_rate_schedule
from ..ppo.rollouts import ScaledRewards
from ..stable_baselines import StableBaselinesLearner, check_rollout, normalized
from .config import MaskedPPOConfig
from .imitation import imitate
from .networks import environment_network
from .policies import MaskedActorCritic


def build_masked_ppo(
    config: MaskedPPOConfig, environment: BatchedEnv, *, seed: int, device: str
) -> StableBaselinesLearner:
    """Build the learner; the global random states of NumPy and torch are seeded, as sb3-contrib draws from them.

    Raises
    ------
    UserError
        If actions are continuous, the environment has no masks, its masks do not fit its
        actions, or a minibatch does not divide a rollout.
    """
    refuse_several_agents(environment)
    space = environment.single_action_space
    if isinstance(space, Box):
        raise UserError(f"algo=masked_ppo needs discrete actions, and these are {space}: choose algo=ppo.")
    check_rollout(environment, n_steps=config.n_steps, batch_size=config.batch_size)
    set_random_seed(seed)
    policy, keywords = network(config, environment)
    adapter: VecEnv = StableBaselinesAdapter(environment)
    model = MaskablePPO(
        policy,
        normalized(
            adapter if config.reward_scale == 1.0 else ScaledRewards(adapter, config.reward_scale),
            observation=config.normalize_observation,
            reward=config.normalize_reward,
            gamma=config.gamma,
        ),
        learning_rate=learning_rate_schedule(config.learning_rate, config.schedule, start=config.schedule_start),
        n_steps=config.n_steps,
        batch_size=config.batch_size,
        n_epochs=config.n_epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        normalize_advantage=config.normalize_advantage,
        ent_coef=config.ent_coef,
        vf_coef=config.vf_coef,
        max_grad_norm=config.max_grad_norm,
        target_kl=config.target_kl,
        policy_kwargs=keywords,
        device=device,
    )
    if config.zero_last_layer:
        model.policy.zero_last_layer()  # type: ignore[operator]
    learner = MaskedLearner(model, config, environment, seed)  # begins the episodes, without which there are no masks
    check_masks(environment.action_masks(), space, environment)
    return learner


class MaskedLearner(StableBaselinesLearner):
    """The algorithm update by update, whose agent may avoid where it has been."""

    model: MaskablePPO

    def __init__(self, model: MaskablePPO, config: MaskedPPOConfig, environment: BatchedEnv, seed: int) -> None:
        super().__init__(model)
        self.config, self.environment, self.seed = config, environment, seed

    def update(self, progress: float) -> dict[str, float]:
        """Collect one rollout and fit to it; before the first one, imitate the planner if that is asked for."""
        loss = {}
        if self.config.warm_start == "bc" and self.model.num_timesteps == 0:
            loss["train/imitation_loss"] = imitate(self.model, self.environment, self.config, seed=self.seed)
        return super().update(progress) | loss

    def agent(self) -> Any:
        """Return the policy as it is now; it follows further updates."""
        policy = super().agent()
        return policy if self.config.decode == "plain" else self.environment.without_revisits(policy)


def network(config: MaskedPPOConfig, environment: BatchedEnv) -> tuple[type[Any], dict[str, Any]]:
    """Return the class of the policy and its keywords."""
    policy, keywords = environment_network(config, environment) or (
        MaskedActorCritic,
        {"net_arch": list(config.hidden_sizes), "activation_fn": ACTIVATIONS[config.activation]},
    )
    if config.optimizer == "adamw":
        adamw = {"eps": 1e-5, "weight_decay": config.weight_decay}
        keywords |= {"optimizer_class": torch.optim.AdamW, "optimizer_kwargs": adamw}
    return policy, keywords


def check_masks(masks: np.ndarray, space: gymnasium.Space[Any], environment: BatchedEnv) -> None:
    """Refuse masks that are not one row per copy with an entry per choice of every component of ``space``."""
    expected = (environment.num_envs, number_of_choices(space))
    if np.shape(masks) != expected:
        raise UserError(
            f"The action masks of {type(environment).__name__} have the shape {np.shape(masks)}, and {expected} is one "
            f"entry per copy and choice of {space}: return that."
        )


def number_of_choices(space: gymnasium.Space[Any]) -> int:
    """Return how many choices all components of a discrete space have together; a bit has two."""
    if isinstance(space, gymnasium.spaces.MultiBinary):
        return 2 * flatdim(space)
    return flatdim(space)
