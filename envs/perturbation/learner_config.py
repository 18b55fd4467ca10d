"""Options of the learners that only the perturbation environment has."""

from dataclasses import dataclass
from typing import ClassVar

from ...configs.option import AlgorithmConfig, check_sizes, option
from .embedding.options import NetworkOptions


@dataclass(kw_only=True)
class EmbeddingConfig(NetworkOptions, AlgorithmConfig):
    """Train the perturbation embedding with gene-graph attention, an epoch per update, without simulator calls."""

    kind: ClassVar[str] = "search"
    _target_: str = option("bioppo.envs.perturbation.learners.build_embedding", "dotted name of its builder")
    name: str = option("embedding", "name of the algorithm in directories and tables")


@dataclass(kw_only=True)
class SupervisedConfig(AlgorithmConfig):
    """Regress targets on observations with the policy's network: the reward's derivative is known, so use it."""

    kind: ClassVar[str] = "search"
    _target_: str = option("bioppo.envs.perturbation.learners.build_supervised", "dotted name of its builder")
    name: str = option("supervised", "name of the algorithm in directories and tables")
    n_samples: int = option(2048, "cells drawn per update, rounded up to whole batches of env.num_envs", minimum=1)
    learning_rate: float = option(3e-4, "Adam's step size", above=0)
    batch_size: int = option(64, "cells per gradient step", minimum=1)
    n_epochs: int = option(10, "passes over the cells of an update", minimum=1)
    hidden_sizes: list[int] = option([64, 64], "units of each hidden layer")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes("hidden_sizes", self.hidden_sizes)
