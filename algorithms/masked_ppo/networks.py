"""Which network a policy has: perceptrons over the observation, or one that the environment brings."""

from typing import Any, Protocol

from ... import UserError
from ...envs.batched import BatchedEnv

PERCEPTRONS = "mlp"


class NetworkOptions(Protocol):
    """The options that decide."""

    policy: str
    policy_options: dict[str, Any]
    hidden_sizes: list[int]
    activation: str
    zero_last_layer: bool
    normalize_observation: bool


def environment_network(config: NetworkOptions, environment: BatchedEnv) -> tuple[type[Any], dict[str, Any]] | None:
    """Return the class and keywords of the environment's network, or None where perceptrons are asked for.

    Raises
    ------
    UserError
        If options are given that the network does not have, or those of perceptrons.
    """
    if config.policy == PERCEPTRONS:
        if config.policy_options:
            raise UserError(
                f"algo.policy_options={dict(config.policy_options)}: they belong to networks of the environment, so "
                "set algo.policy, or use algo.hidden_sizes."
            )
        return None
    for name in ("zero_last_layer", "normalize_observation"):
        if getattr(config, name):
            raise UserError(
                f"algo.{name}=true: the network algo.policy={config.policy} has none of it, so leave it out."
            )
    usual = type(config)()
    for name in ("hidden_sizes", "activation"):
        if (given := getattr(config, name)) != getattr(usual, name):
            raise UserError(
                f"algo.{name}={given}: it shapes perceptrons, and algo.policy={config.policy} is another network, so "
                "set algo.policy_options."
            )
    return environment.network(config.policy, dict(config.policy_options))
