"""Make environments and learners out of config nodes, calling what their ``_target_`` names."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gymnasium

from .. import UserError
from ..algorithms.learner import Learner
from ..configs.option import FreeOptions
from ..configs.registry import load_target
from ..envs.batched import BatchedEnv
from ..envs.gymnasium.environment import GymnasiumVectorEnv


def build_environment(config: Any, *, seed: int, split: str) -> BatchedEnv:
    """Build the environment of a config object.

    The target of a config without a schema may also be a plain Gymnasium environment, or a function that makes one: it
    gets the options as keywords, and as many copies as ``num_envs`` says are stepped one after the other.
    """
    target = import_target(config)
    batched = isinstance(target, type) and issubclass(target, BatchedEnv)
    if isinstance(config, FreeOptions) and not batched:
        factory = single_environment(target, config)
        return GymnasiumVectorEnv(factory, num_envs=config.num_envs, seed=seed, split=split)
    environment: BatchedEnv = target(config, num_envs=config.num_envs, seed=seed, split=split)
    return environment


def single_environment(target: Any, config: FreeOptions) -> Callable[[], gymnasium.Env[Any, Any]]:
    """Return a function that makes one copy of a user's environment.

    Raises
    ------
    UserError
        If the target does not take the config's options as keywords.
    """
    keywords = {key: value for key, value in config.items() if key not in ("_target_", "name", "num_envs")}
    try:
        inspect.signature(target).bind(**keywords)
    except (TypeError, ValueError) as error:
        raise UserError(f"env._target_={config._target_} does not take the options of its YAML: {error}.") from error
    return partial(target, **keywords)


def build_learner(config: Any, environment: BatchedEnv, *, seed: int, device: str) -> Learner:
    """Build the learner of a config object, in its environment."""
    learner: Learner = import_target(config)(config, environment, seed=seed, device=device)
    return learner


def import_target(config: Any) -> Any:
    """Import what a config object's ``_target_`` names, or raise `UserError`."""
    return load_target(config["_target_"] if isinstance(config, Mapping) else config._target_)


def plain(config: Any) -> dict[str, Any]:
    """Return a config object as plain containers."""
    content: dict[str, Any] = _plain(dataclasses.asdict(config))
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
