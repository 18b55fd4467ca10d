"""Options of the baselines."""

from dataclasses import dataclass
from typing import ClassVar

from ...configs.option import AlgorithmConfig, OptionError, option


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


@dataclass(kw_only=True)
class CEMConfig(AlgorithmConfig):
    """Cross-entropy method over courses of actions: what can be reached without looking."""

    kind: ClassVar[str] = "search"
    _target_: str = option("bioppo.algorithms.baselines.cem.build_cem", "dotted name of its builder")
    name: str = option("cem", "name of the algorithm in directories and tables")
    knots: int = option(
        25, "actions at equal distances over the episode, between which they are interpolated", minimum=1
    )
    population_size: int = option(256, "courses per iteration", minimum=2)
    iterations: int = option(60, "iterations, unless the budget ends before", minimum=1)
    elite: int = option(32, "best courses of an iteration, whose mean and deviation are those of the next", minimum=2)
    episodes: int = option(1, "episodes of each course, where episodes differ", minimum=1)
    symmetric: bool = option(False, "all agents of a community follow the same course")
    low: float | None = option(None, "least action that is tried; null: that of the action space")
    high: float | None = option(None, "largest action that is tried; null: that of the action space")
    initial_std: float | None = option(
        None, "initial standard deviation of every knot, around the middle; null: a quarter of the range", above=0
    )
    min_std: float = option(
        0.1,
        "the standard deviation stays above this share of the range, which falls to zero over the iterations",
        minimum=0,
    )
    smoothing: float = option(
        1.0, "mean and deviation move this part of the way to those of the elite", above=0, maximum=1
    )
    answer: str = option(
        "best",
        "the agent is the best course so far (right where episodes are all alike), or the mean of the last elite",
        choices=("best", "mean"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.elite > self.population_size:
            raise OptionError(f"elite={self.elite}: give at most population_size={self.population_size}.")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise OptionError(f"low={self.low:g} and high={self.high:g}: give low < high.")


@dataclass(kw_only=True)
class NESConfig(AlgorithmConfig):
    """Evolution strategy over generator networks, as in RENAISSANCE (Choudhury et al. 2024)."""

    kind: ClassVar[str] = "search"
    _target_: str = option("bioppo.algorithms.baselines.nes.build_nes", "dotted name of its builder")
    name: str = option("nes", "name of the algorithm in directories and tables")
    reward_flag: int = option(
        1,
        "reward of a generator's batch: 0, the share of its answers that are good enough; 1, exp(-m/10)/2 with the "
        "mean m of its ten best",
        choices=(0, 1),
    )
    population_size: int = option(20, "generators per generation", minimum=2)
    sets_per_member: int = option(100, "answers that each generator gives", minimum=10)
    noise: float = option(0.01, "standard deviation of the noise on weights and biases", above=0)
    learning_rate: float = option(1e-3, "step size of the first generation", above=0)
    decay: float = option(0.95, "the step size is multiplied by this after every generation", above=0, maximum=1)
    hidden_sizes: list[int] = option([256, 512, 1024], "units of the generator's hidden layers")
    latent_size: int = option(99, "normal numbers that the generator makes an answer of", minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.hidden_sizes or any(size < 1 for size in self.hidden_sizes):
            raise OptionError(f"hidden_sizes={list(self.hidden_sizes)}: give at least one positive number of units.")
