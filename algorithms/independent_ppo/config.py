"""Options of independent PPO: those that all agents share, and what a single agent has for itself."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from ... import UserError
from ...configs.option import AlgorithmConfig, OptionError, Options, build_options, nearest, option
from ..ppo.config import PPOConfig
from ..trpo_ppo.config import TRPOPPOConfig

SHARED_WITH_TRPO_PPO = (
    "n_steps",
    "batch_size",
    "n_epochs",
    "gamma",
    "gae_lambda",
    "learning_rate",
    "ent_coef",
    "vf_coef",
    "max_grad_norm",
    "normalize_advantage",
    "hidden_sizes",
    "activation",
    "log_std_init",
    "zero_last_layer",
    "normalize_observation",
    "normalize_reward",
)
"""Options of PPO that mean the same in TRPO-preconditioned PPO."""

NOT_BY_AGENT = {
    "n_steps": "all agents take part in one rollout, so set algo.n_steps",
    "agents": "agents have no agents",
    "trpo_ppo": "give the option itself",
    "name": "give options of the algorithm",
    "_target_": "give options of the algorithm",
}


@dataclass(kw_only=True)
class AgentConfig(Options):
    """What one agent may be given besides other values of the shared options."""

    policy: str = option(
        "learned",
        "learned; constant: one action for ever; schedule: actions over the episode; greedy: what leaves the simulator "
        "to itself",
        choices=("learned", "constant", "schedule", "greedy"),
    )
    learner: str | None = option(None, "ppo or trpo_ppo; null: algo.learner", choices=("ppo", "trpo_ppo"))
    seed: int | None = option(
        None,
        "seed of its initial network; null: one of its own made from the run's, which the first agent has",
        minimum=0,
    )
    share_with: str | None = option(None, "agent whose policy it has too: one network, trained on both agents' steps")
    trainable: bool = option(True, "with false it acts by the policy of its checkpoint and never learns")
    checkpoint: str | None = option(None, "file of a run's checkpoint whose policy it begins with, or keeps")
    checkpoint_agent: str | None = option(None, "agent of that run; null: the one of the same name, or the only one")
    action: list[float] | None = option(None, "constant: the action, in the units of the action space")
    knots: list[Any] | None = option(
        None, "schedule: actions at equal distances over the episode, between which they are interpolated"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for policy, key, value in (("constant", "action", self.action), ("schedule", "knots", self.knots)):
            if (self.policy == policy) != (value is not None):
                raise OptionError(f"{key}={value}: policy={policy} needs it and no other takes it.")
        if not self.trainable and self.checkpoint is None:
            raise OptionError("trainable=false: a frozen agent needs a policy, so give checkpoint=FILE too.")
        if self.checkpoint_agent is not None and self.checkpoint is None:
            raise OptionError(f"checkpoint_agent={self.checkpoint_agent}: give checkpoint=FILE too.")
        if self.policy != "learned" and (self.checkpoint is not None or self.share_with is not None):
            raise OptionError(f"policy={self.policy}: leave checkpoint and share_with out, or choose policy=learned.")

    @property
    def scripted(self) -> bool:
        """Whether it follows a rule and has no network."""
        return self.policy != "learned"


@dataclass(kw_only=True)
class IndependentPPOConfig(PPOConfig):
    """A PPO for every agent of a community, each with its own network and optimizer, trained together."""

    _target_: str = option(
        "bioppo.algorithms.independent_ppo.learner.build_independent_ppo", "dotted name of its builder"
    )
    name: str = option("independent_ppo", "name of the algorithm in directories and tables")
    learner: str = option(
        "ppo", "how an agent learns unless agents.NAME.learner says otherwise", choices=("ppo", "trpo_ppo")
    )
    trpo_ppo: dict[str, Any] = option(
        {}, "options of algo=trpo_ppo for agents that learn by it, where they are not options above"
    )
    agents: dict[str, Any] = option(
        {}, "what an agent has for itself, by its name: +algo.agents.NAME.learning_rate=1e-3"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_keys(self.trpo_ppo, {TRPOPPOConfig}, "trpo_ppo")
        for name in self.agents:
            agent_options(self, name)


@dataclass(frozen=True)
class AgentOptions:
    """One agent's own config, and all options of the algorithm that it learns by (None if it follows a rule)."""

    own: AgentConfig
    algorithm: PPOConfig | TRPOPPOConfig | None
    overridden: tuple[str, ...]


def agent_options(config: IndependentPPOConfig, name: str) -> AgentOptions:
    """Return what the agent called ``name`` is trained with.

    Raises
    ------
    OptionError
        If a key or value of ``agents.NAME`` is not allowed.
    """
    given = config.agents.get(name) or {}
    place = f"agents.{name}"
    if not isinstance(given, Mapping):
        raise OptionError(f"{place}={given}: give a mapping of options.")
    for key in given:
        if key in NOT_BY_AGENT:
            raise OptionError(f"{place}.{key} cannot be given by agent: {NOT_BY_AGENT[key]}.")
    own_keys = {entry.name for entry in dataclasses.fields(AgentConfig)}
    own = made(AgentConfig, {key: given[key] for key in given if key in own_keys}, place)
    others = {key: value for key, value in given.items() if key not in own_keys}
    schema: type[AlgorithmConfig] = TRPOPPOConfig if (own.learner or config.learner) == "trpo_ppo" else PPOConfig
    check_keys(others, {schema, AgentConfig}, place)
    if (own.scripted or own.share_with) and others:
        reason = f"policy={own.policy}" if own.scripted else f"share_with={own.share_with}"
        raise OptionError(
            f"{place}.{next(iter(others))}: an agent with {reason} has no network of its own, so leave it out."
        )
    if own.scripted:
        return AgentOptions(own, None, ())
    algorithm = made(schema, shared_options(config, schema) | others, place)
    return AgentOptions(own, algorithm, tuple(others))


def shared_options(config: IndependentPPOConfig, schema: type[AlgorithmConfig]) -> dict[str, Any]:
    """Return the options that all agents with this algorithm have."""
    if schema is TRPOPPOConfig:
        return {key: getattr(config, key) for key in SHARED_WITH_TRPO_PPO} | dict(config.trpo_ppo)
    keys = [entry.name for entry in dataclasses.fields(PPOConfig) if entry.name not in ("_target_", "name")]
    return {key: getattr(config, key) for key in keys}


def made(schema: type[Options], values: Mapping[str, Any], place: str) -> Any:
    """Make an options object whose mistakes are named behind ``place``."""
    hints = get_type_hints(schema)
    for key, value in values.items():
        if not fits(value, hints[key]):
            raise OptionError(f"{place}.{key}={value}: give {described(hints[key])}.")
    try:
        return build_options(schema, values, place)
    except OptionError:
        raise
    except UserError as error:
        raise OptionError(str(error)) from error


def check_keys(given: Mapping[str, Any], schemas: set[type[Options]], place: str) -> None:
    """Refuse a key that none of the schemas has."""
    valid = {entry.name for schema in schemas for entry in dataclasses.fields(schema)} - NOT_BY_AGENT.keys()
    for key in given:
        if key not in valid:
            raise OptionError(f"{place}.{key} does not exist: {nearest(str(key), valid)}")


def fits(value: Any, kind: Any) -> bool:
    """Say whether a value from YAML may stand for a field of this type."""
    if get_origin(kind) is UnionType:
        return any(fits(value, part) for part in get_args(kind))
    if get_origin(kind) is list:
        return isinstance(value, list) and all(fits(entry, part) for entry in value for part in get_args(kind))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return kind is Any or isinstance(value, kind)


def described(kind: Any) -> str:
    """Return a type as words."""
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a name", NoneType: "null"}
    parts = get_args(kind) if get_origin(kind) is UnionType else (kind,)
    return " or ".join(words.get(part, "a list") for part in parts)
