"""Build stable-baselines3's PPO on a batched environment."""

import math
from collections.abc import Callable

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from ... import UserError
from ...envs.batched import BatchedEnv
from ...envs.stable_baselines_adapter import StableBaselinesAdapter
from ..stable_baselines import StableBaselinesLearner
from .config import PPOConfig

ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "elu": torch.nn.ELU, "gelu": torch.nn.GELU}
COSINE_END = 1e-6


def build_ppo(config: PPOConfig, environment: BatchedEnv, *, seed: int, device: str) -> StableBaselinesLearner:
    """Build the learner; the global random states of NumPy and torch are seeded, as stable-baselines3 draws from them.

    Raises
    ------
    UserError
        If a rollout does not fill a minibatch.
    """
    rollout = config.n_steps * environment.num_envs
    if rollout % config.batch_size:
        raise UserError(
            f"algo.batch_size={config.batch_size} does not divide the {rollout} transitions of a rollout "
            f"(algo.n_steps={config.n_steps} x env.num_envs={environment.num_envs}): choose a divisor."
        )
    set_random_seed(seed)
    adapter: VecEnv = StableBaselinesAdapter(environment)
    if config.normalize_observation or config.normalize_reward:
        adapter = VecNormalize(
            adapter,
            norm_obs=config.normalize_observation,
            norm_reward=config.normalize_reward,
            gamma=config.gamma,
        )
    model = PPO(
        "MultiInputPolicy" if hasattr(environment.single_observation_space, "spaces") else "MlpPolicy",
        adapter,
        learning_rate=learning_rate_schedule(config.learning_rate, config.schedule),
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
        policy_kwargs={
            "net_arch": list(config.hidden_sizes),
            "activation_fn": ACTIVATIONS[config.activation],
            "log_std_init": config.log_std_init,
        },
        device=device,
    )
    if config.zero_last_layer:
        torch.nn.init.zeros_(model.policy.action_net.weight)  # type: ignore[arg-type]
    return StableBaselinesLearner(model)


def learning_rate_schedule(initial: float, kind: str) -> float | Callable[[float], float]:
    """Return the learning rate as a function of the share of the budget that remains, or the constant itself."""
    if kind == "linear":
        return lambda remaining: initial * remaining
    if kind == "cosine":
        return lambda remaining: COSINE_END + (initial - COSINE_END) * (1.0 + math.cos(math.pi * (1.0 - remaining))) / 2
    return initial
