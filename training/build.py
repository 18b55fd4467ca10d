"""Make environments and learners out of config nodes, calling what their ``_target_`` names."""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

from .. import UserError
from ..algorithms.learner import Learner
from ..configs.option import check_target
from ..envs.batched import BatchedEnv


def build_environment(config: Any, *, seed: int, split: str) -> BatchedEnv:
    """Build the environment of a config object."""
    environment: BatchedEnv = import_target(config)(config, num_envs=config.num_envs, seed=seed, split=split)
    return environment


def build_learner(config: Any, environment: BatchedEnv, *, seed: int, device: str) -> Learner:
    """Build the learner of a config object, in its environment."""
    learner: Learner = import_target(config)(config, environment, seed=seed, device=device)
    return learner


def import_target(config: Any) -> Any:
    """Import what a config object's ``_target_`` names.

    Raises
    ------
    UserError
        If the name begins with a room of this package, which would import it a second time, or cannot be imported.
    """
    target = config["_target_"] if isinstance(config, Mapping) else config._target_
    module, _, attribute = target.rpartition(".")
    check_target(target)
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"_target_={target} cannot be imported ({error}): check its spelling.") from error


def plain(config: Any) -> dict[str, Any]:
    """Return a config object as plain containers."""
    content: dict[str, Any] = dataclasses.asdict(config)
    return content
