"""Options of the searches and samplers that only the kinetic environment has."""

from dataclasses import dataclass
from typing import ClassVar

from ...configs.option import AlgorithmConfig, option


@dataclass(kw_only=True)
class GradientConfig(AlgorithmConfig):
    """Descend the largest eigenvalue along its normalised gradient, from many starts at once."""

    kind: ClassVar[str] = "search"
    _target_: str = option("bioppo.envs.kinetic.gradient_search.build_gradient_search", "dotted name of its builder")
    name: str = option("gradient", "name of the algorithm in directories and tables")
    starts: int = option(32, "sets that descend together, each from a point drawn uniformly in the box", minimum=1)
    iterations: int = option(40, "steps of each set; then the next wave of starts begins", minimum=1)
    learning_rate: float = option(1.0, "step size, in units of p", above=0)
    momentum: float = option(0.7, "decay of the running mean of gradients", minimum=0, below=1)
    squared_momentum: float = option(0.9, "decay of the running mean of squared gradients", minimum=0, below=1)
    epsilon: float = option(1e-3, "added to the root of the mean square", above=0)


@dataclass(kw_only=True)
class SamplerConfig(AlgorithmConfig):
    """What every sampler's config has."""

    kind: ClassVar[str] = "rule"
    population_size: int = option(64, "sets drawn and graded per update", minimum=1)


@dataclass(kw_only=True)
class OracleConfig(SamplerConfig):
    """Draw the saturation of every enzyme uniformly in (0, 1), as ORACLE does."""

    _target_: str = option("bioppo.envs.kinetic.samplers.build_oracle", "dotted name of its builder")
    name: str = option("oracle", "name of the algorithm in directories and tables")


@dataclass(kw_only=True)
class NearXConfig(SamplerConfig):
    """Draw every Michaelis constant near its species' concentration: K = x exp(N(0, 0.5))."""

    _target_: str = option("bioppo.envs.kinetic.samplers.build_near_x", "dotted name of its builder")
    name: str = option("near_x", "name of the algorithm in directories and tables")


@dataclass(kw_only=True)
class LogUniformConfig(SamplerConfig):
    """Draw the logarithm of every Michaelis constant uniformly between its bounds."""

    _target_: str = option("bioppo.envs.kinetic.samplers.build_log_uniform", "dotted name of its builder")
    name: str = option("log_uniform", "name of the algorithm in directories and tables")
