"""Build sb3-contrib's TRPO on a batched environment."""

import torch
from sb3_contrib import TRPO
from stable_baselines3.common.utils import set_random_seed

from ...envs.batched import BatchedEnv
from ...envs.stable_baselines_adapter import StableBaselinesAdapter, refuse_several_agents
from ..ppo.learner import ACTIVATIONS, learning_rate_schedule
from ..stable_baselines import StableBaselinesLearner, check_rollout, normalized
from .config import TRPOConfig


def build_trpo(config: TRPOConfig, environment: BatchedEnv, *, seed: int, device: str) -> StableBaselinesLearner:
    """Build the learner; the global random states of NumPy and torch are seeded, as sb3-contrib draws from them.

    Raises
    ------
    UserError
        If a rollout does not fill a minibatch.
    """
    refuse_several_agents(environment)
    check_rollout(environment, n_steps=config.n_steps, batch_size=config.batch_size)
    set_random_seed(seed)
    adapter = normalized(
        StableBaselinesAdapter(environment),
        observation=config.normalize_observation,
        reward=config.normalize_reward,
        gamma=config.gamma,
    )
    model = TRPO(
        "MultiInputPolicy" if hasattr(environment.single_observation_space, "spaces") else "MlpPolicy",
        adapter,
        learning_rate=learning_rate_schedule(config.learning_rate, config.schedule),
        n_steps=config.n_steps,
        batch_size=config.batch_size,
        n_critic_updates=config.n_critic_updates,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        target_kl=config.target_kl,
        cg_max_steps=config.cg_max_steps,
        cg_damping=config.cg_damping,
        line_search_shrinking_factor=config.line_search_shrinking_factor,
        line_search_max_iter=config.line_search_max_iter,
        normalize_advantage=config.normalize_advantage,
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
