"""Options of Gymnasium's environments."""

from dataclasses import dataclass
from typing import Any

from ...configs.option import PLAIN_COPIES, EnvConfig, OptionError, option


@dataclass(kw_only=True)
class GymnasiumConfig(EnvConfig):
    """Any environment registered with Gymnasium, such as env.id=Pendulum-v1."""

    _target_: str = option("bioppo.envs.gymnasium.environment.make_gymnasium", "dotted name of the environment's class")
    name: str = option("", "name of the environment in directories and tables; empty: the id")
    num_envs: int = option(PLAIN_COPIES, "copies stepped together while training", minimum=1)
    id: str = option("", "Gymnasium's id, such as Pendulum-v1, or module:id to import a module first")
    kwargs: dict[str, Any] = option({}, "keywords of the environment, added one by one: +env.kwargs.g=9.81")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.id:
            raise OptionError("id is missing: write env.id=ID, such as env.id=Pendulum-v1.")
        self.name = self.name or self.id
