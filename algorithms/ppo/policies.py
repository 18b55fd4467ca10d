"""The actor and the critic of PPO: stable-baselines3's networks, with other layers, heads and learning rates."""

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import CombinedExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

SMALL_GAIN = 0.01
"""Of a head's initial weights, so that every observation gives nearly the same at first; stable-baselines3's number."""


class ActorCritic(ActorCriticPolicy):
    """A separate actor and critic; with the defaults below, stable-baselines3's own policy bit for bit.

    Parameters
    ----------
    layer_norm
        ``"none"``; ``"hidden"`` normalises the input of every hidden activation; ``"all"`` also the outputs of the
        heads of continuous actions, mean and log-std.
    state_dependent_std
        Compute the logarithm of the standard deviation from the observation, instead of learning one per action.
    log_std_bounds
        That logarithm is clamped to these two numbers.
    critic_scale
        The critic's learning rate in units of the actor's, as an optimiser's parameter group of its own with the key
        ``learning_rate_scale``; None puts all parameters into one group.
    **keywords
        Those of `ActorCriticPolicy`.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        layer_norm: str = "none",
        state_dependent_std: bool = False,
        log_std_bounds: tuple[float, float] | None = None,
        critic_scale: float | None = None,
        **keywords: Any,
    ) -> None:
        # The base class builds the networks while it is made.
        self.layer_norm = layer_norm
        self.state_dependent_std = state_dependent_std
        self.log_std_bounds = log_std_bounds
        self.critic_scale = critic_scale
        if isinstance(observation_space, spaces.Dict):
            keywords = {"features_extractor_class": CombinedExtractor} | keywords
        super().__init__(observation_space, action_space, lr_schedule, **keywords)

    def zero_last_layer(self) -> None:
        """Make the mean action zero, or discrete ones equally probable, whatever is observed."""
        nn.init.zeros_(last_layer(self.action_net).weight)

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        if self.layer_norm != "none":
            self.mlp_extractor.policy_net = with_layer_norm(self.mlp_extractor.policy_net)
            self.mlp_extractor.value_net = with_layer_norm(self.mlp_extractor.value_net)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        assert isinstance(self.action_net, nn.Linear)
        size = self.action_net.out_features
        if self.layer_norm == "all":
            self.action_net = self._normalized(self.action_net)
        if self.state_dependent_std:
            del self.log_std
            self.log_std_net = self._log_std_head(size)
        self.optimizer = self.optimizer_class(
            self._parameter_groups(lr_schedule(1)),
            **self.optimizer_kwargs,
        )

    def _log_std_head(self, size: int) -> nn.Module:
        """Return a head that gives ``log_std_init`` at first: nearly so, or on average where it is normalised."""
        linear = nn.Linear(self.mlp_extractor.latent_dim_pi, size)
        self.init_weights(linear, gain=SMALL_GAIN)
        head = self._normalized(linear) if self.layer_norm == "all" else linear
        nn.init.constant_(last_layer(head).bias, self.log_std_init)
        return head

    def _normalized(self, linear: nn.Linear) -> nn.Sequential:
        # Small weights would be scaled up again, and with them every step of the optimiser.
        self.init_weights(linear, gain=1.0)
        return nn.Sequential(linear, nn.LayerNorm(linear.out_features))

    def _parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        if self.critic_scale is None:
            return [{"params": list(self.parameters()), "lr": learning_rate}]
        critic = [*self.mlp_extractor.value_net.parameters(), *self.value_net.parameters()]
        known = set(map(id, critic))
        actor = [parameter for parameter in self.parameters() if id(parameter) not in known]
        return [
            {"params": group, "lr": learning_rate * scale, "learning_rate_scale": scale}
            for group, scale in ((actor, 1.0), (critic, self.critic_scale))
        ]

    def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Distribution:
        if not isinstance(self.action_dist, DiagGaussianDistribution):
            return super()._get_action_dist_from_latent(latent_pi)
        log_std = self.log_std_net(latent_pi) if self.state_dependent_std else self.log_std
        if self.log_std_bounds is not None:
            log_std = log_std.clamp(*self.log_std_bounds)
        return self.action_dist.proba_distribution(self.action_net(latent_pi), log_std)


MASK = "action_mask"
"""Key of an observation that says which actions are allowed, a number per action, 0 for no."""

EXCLUDED = -1e8
"""Logit of an action that is never drawn, as in sb3-contrib; entropies stay finite."""


class MaskReadingActorCritic(ActorCritic):
    """The same for discrete actions, of which those that the observation's mask excludes are never drawn.

    The mask is part of what the networks see, too.
    """

    def forward(self, obs: Any, deterministic: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return actions (n,), values (n, 1) and log probabilities (n,)."""
        self._read_mask(obs)
        return super().forward(obs, deterministic)

    def evaluate_actions(
        self, obs: Any, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return values (n, 1), log probabilities (n,) and entropies (n,)."""
        self._read_mask(obs)
        return super().evaluate_actions(obs, actions)

    def get_distribution(self, obs: Any) -> Distribution:
        """Return what actions are drawn from."""
        self._read_mask(obs)
        return super().get_distribution(obs)

    def _read_mask(self, observation: Any) -> None:
        self._excluded = observation[MASK] < 0.5

    def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Distribution:
        logits = self.action_net(latent_pi).masked_fill(self._excluded, EXCLUDED)
        return self.action_dist.proba_distribution(action_logits=logits)


def last_layer(head: nn.Module) -> nn.Linear | nn.LayerNorm:
    """Return the layer whose weight and bias are the last to shape what a head gives."""
    last = head[-1] if isinstance(head, nn.Sequential) else head
    assert isinstance(last, nn.Linear | nn.LayerNorm)
    return last


def with_layer_norm(network: nn.Sequential) -> nn.Sequential:
    """Return the same layers with a normalisation after each linear one (Ba et al. 2016, arXiv:1607.06450)."""
    layers: list[nn.Module] = []
    for layer in network:
        layers.append(layer)
        if isinstance(layer, nn.Linear):
            layers.append(nn.LayerNorm(layer.out_features, device=layer.weight.device))
    return nn.Sequential(*layers)
