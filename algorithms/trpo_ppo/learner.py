"""Build TRPO-preconditioned PPO on a batched environment."""

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.utils import set_random_seed

from ...envs.batched import BatchedEnv, State
from ...envs.stable_baselines_adapter import AnyVectorEnv, StableBaselinesAdapter
from ..masked_ppo.networks import environment_network
from ..masked_ppo.policies import MaskedActorCritic
from ..ppo.learner import ACTIVATIONS
from ..ppo.policies import ActorCritic
from ..stable_baselines import StableBaselinesLearner, normalized
from .algorithm import TRPOPPO
from .config import TRPOPPOConfig


def build_trpo_ppo(config: TRPOPPOConfig, environment: AnyVectorEnv, *, seed: int, device: str) -> "TRPOPPOLearner":
    """Build the learner; the global random states of NumPy and torch are seeded, as stable-baselines3 draws from them.

    Raises
    ------
    UserError
        If masks are asked for and actions are continuous.
    """
    set_random_seed(seed)
    policy, keywords = network(config, environment)
    model = TRPOPPO(
        policy,
        normalized(
            StableBaselinesAdapter(environment),
            observation=config.normalize_observation,
            reward=config.normalize_reward,
            gamma=config.gamma,
        ),
        config,
        policy_kwargs=keywords,
        device=device,
    )
    model.seed = seed
    if config.zero_last_layer:
        model.policy.zero_last_layer()  # type: ignore[operator]
    return TRPOPPOLearner(model)


def network(config: TRPOPPOConfig, environment: AnyVectorEnv) -> tuple[type[Any], dict[str, Any]]:
    """Return the class of the policy and its keywords."""
    # stable-baselines3's epsilon; the fused kernel saves a fifth of an update of small networks.
    adam = {"optimizer_class": torch.optim.Adam, "optimizer_kwargs": {"eps": 1e-5, "fused": True}}
    if isinstance(environment, BatchedEnv) and (own := environment_network(config, environment)):
        return own[0], own[1] | adam
    keywords: dict[str, Any] = {
        "net_arch": list(config.hidden_sizes),
        "activation_fn": ACTIVATIONS[config.activation],
        **adam,
    }
    if isinstance(environment.single_action_space, spaces.Box):
        keywords["log_std_init"] = config.log_std_init
    return MaskedActorCritic if config.use_masking else ActorCritic, keywords


class TRPOPPOLearner(StableBaselinesLearner):
    """The algorithm update by update, with its adapted coefficients in the state."""

    model: TRPOPPO

    def get_state(self) -> State:
        """Return all of `StableBaselinesLearner`'s, and what training adapts besides the networks."""
        return super().get_state() | {"adaptive": self.model.adaptive_state()}

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave for a model of the same config."""
        super().set_state(state)
        self.model.set_adaptive_state(state["adaptive"])
