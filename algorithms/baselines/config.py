"""Options of the baselines."""

from dataclasses import dataclass
from typing import ClassVar

from ...configs.option import AlgorithmConfig, option


@dataclass(kw_only=True)
class RandomConfig(AlgorithmConfig):
    """Act at random: every action drawn uniformly from the action space."""

    kind: ClassVar[str] = "rule"
    _target_: str = option("bioppo.algorithms.baselines.random.build_random", "dotted name of its builder")
    name: str = option("random", "name of the algorithm in directories and tables")
    n_steps: int = option(5, "steps of every copy per update", minimum=1)


@dataclass(kw_only=True)
class CMAESConfig(AlgorithmConfig):
    """Covariance matrix adaptation (Hansen), with a diagonal matrix by default (sep-CMA-ES, Ros and Hansen 2008)."""

    kind: ClassVar[str] = "search"
    _target_: str = option("bioppo.algorithms.baselines.cma_es.build_cma_es", "dotted name of its builder")
    name: str = option("cma_es", "name of the algorithm in directories and tables")
    population_size: int = option(24, "answers per generation", minimum=4)
    initial_sigma: float | None = option(
        None, "initial standard deviation of every coordinate; null: a sixth of the answer's range", above=0
    )
    diagonal: bool = option(True, "adapt the variances alone: cheap, and fast in hundreds of dimensions")
