"""Gymnasium ids of the environments, for ``gymnasium.make`` and ``gymnasium.make_vec``."""

from collections.abc import Iterable
from typing import Any

import gymnasium


def register_ids(names: Iterable[str]) -> None:
    """Register ``bioppo/<Name>-v0`` for each environment name, as one copy and as a batch."""
    for name in names:
        gymnasium.register(
            id=f"bioppo/{name.title()}-v0",
            entry_point="bioppo.envs.gymnasium_ids:make_single",
            vector_entry_point="bioppo.envs:make_env",
            kwargs={"name": name},
        )


def make_single(name: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """Build one copy of an environment as a plain Gymnasium environment."""
    from . import config_of, make_env
    from .single import SingleEnv

    return SingleEnv(make_env(name, num_envs=1, **config_of(name).single_options | options))
