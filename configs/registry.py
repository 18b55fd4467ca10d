"""The choices of every config group, by the name users type. Their modules import nothing heavy."""

from importlib import import_module
from typing import Any

GROUPS: dict[str, dict[str, str]] = {
    "env": {
        "kinetic": "bioppo.envs.kinetic.config.KineticConfig",
    },
    "algo": {
        "ppo": "bioppo.algorithms.ppo.config.PPOConfig",
        "random": "bioppo.algorithms.baselines.config.RandomConfig",
        "cma_es": "bioppo.algorithms.baselines.config.CMAESConfig",
    },
    "tracker": {
        "none": "bioppo.training.trackers.NoTrackerConfig",
        "tensorboard": "bioppo.training.trackers.TensorBoardConfig",
    },
}


def schema_of(group: str, name: str) -> type[Any]:
    """Import the dataclass of one choice of a group."""
    schema: type[Any] = load(GROUPS[group][name])
    return schema


def load(dotted_name: str) -> Any:
    """Import ``package.module.attribute``."""
    module, _, attribute = dotted_name.rpartition(".")
    return getattr(import_module(module), attribute)
