"""Build TRPO-preconditioned PPO on a batched environment."""

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.utils import set_random_seed

from ...envs.batched import State
from ...envs.stable_baselines_adapter import AnyVectorEnv, StableBaselinesAdapter
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
    model = TRPOPPO(
        MaskedActorCritic if config.use_masking else ActorCritic,
        normalized(
            StableBaselinesAdapter(environment),
            observation=config.normalize_observation,
            reward=config.normalize_reward,
            gamma=config.gamma,
        ),
        config,
        policy_kwargs=policy_keywords(config, environment.single_action_space),
        device=device,
    )
    model.seed = seed
    if config.zero_last_layer:
        policy: Any = model.policy
        policy.zero_last_layer()
    return TRPOPPOLearner(model)


def policy_keywords(config: TRPOPPOConfig, action_space: spaces.Space[Any]) -> dict[str, Any]:
    """Return the keywords of the policy's class."""
    keywords: dict[str, Any] = {
        "net_arch": list(config.hidden_sizes),
        "activation_fn": ACTIVATIONS[config.activation],
        # stable-baselines3's epsilon; the fused kernel saves a fifth of an update of small networks.
        "optimizer_class": torch.optim.Adam,
        "optimizer_kwargs": {"eps": 1e-5, "fused": True},
    }
    if isinstance(action_space, spaces.Box):
        keywords["log_std_init"] = config.log_std_init
    return keywords


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
