"""An actor and a critic whose choices can be masked: sb3-contrib's networks with the signature of this package's."""

from typing import Any

from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.torch_layers import CombinedExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from ..ppo.policies import last_layer


class MaskedActorCritic(MaskableActorCriticPolicy):
    """A separate actor and critic for discrete actions, some of which may be excluded state by state.

    Parameters
    ----------
    use_sde
        Always False; every on-policy algorithm of stable-baselines3 hands it over.
    **keywords
        Those of `MaskableActorCriticPolicy`.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        use_sde: bool = False,
        **keywords: Any,
    ) -> None:
        del use_sde
        if isinstance(observation_space, spaces.Dict):
            keywords = {"features_extractor_class": CombinedExtractor} | keywords
        super().__init__(observation_space, action_space, lr_schedule, **keywords)

    def zero_last_layer(self) -> None:
        """Make the allowed actions equally probable, whatever is observed."""
        nn.init.zeros_(last_layer(self.action_net).weight)
