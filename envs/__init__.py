"""Biological simulators as batched Gymnasium environments.

Importing this package registers the Gymnasium ids, such as ``bioppo/Kinetic-v0``.
"""

from typing import TYPE_CHECKING, Any

from .. import UserError
from ..configs.option import build_options, nearest
from ..configs.registry import GROUPS, load, schema_of
from .gymnasium_ids import register_ids

if TYPE_CHECKING:
    from ..configs.option import EnvConfig
    from .batched import BatchedEnv

register_ids(name for name in GROUPS["env"] if name != "gymnasium")


def make_env(name: str, *, num_envs: int = 64, seed: int = 0, split: str = "train", **options: Any) -> "BatchedEnv":
    """Build an environment by its name, for use without the command line.

    Parameters
    ----------
    name
        For example ``"kinetic"``.
    num_envs
        Number of copies that are stepped together.
    seed
        Whole number; copy ``i`` depends on it and on ``i`` alone.
    split
        ``"train"``, ``"validation"`` or ``"test"``.
    **options
        Fields of the environment's config, as ``bioppo train env=NAME --cfg job`` shows them, and its shorthands.

    Raises
    ------
    UserError
        If the name, an option or a value is not allowed.
    """
    config_class = config_of(name)
    for key, part in config_class.shorthands.items():
        if key in options:
            options[part] = {key: options.pop(key), **options.get(part, {})}
    config = build_options(config_class, {"num_envs": num_envs, **options}, "env")
    environment_class = load(config._target_)
    environment: BatchedEnv = environment_class(config, num_envs=num_envs, seed=seed, split=split)
    return environment


def config_of(name: str) -> "type[EnvConfig]":
    """Return the config dataclass of the environment called ``name``."""
    if name not in GROUPS["env"]:
        raise UserError(f"There is no environment '{name}': {nearest(name, GROUPS['env'])}")
    config_class: type[EnvConfig] = schema_of("env", name)
    return config_class
