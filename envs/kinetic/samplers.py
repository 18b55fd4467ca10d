"""Samplers of Michaelis constants as learners: they spend the budget on draws, and learn nothing from them."""

import json

import numpy as np

from ... import UserError
from ..batched import BatchedEnv, State
from .baselines import SAMPLERS, Sampler
from .environment import KineticVectorEnv
from .search_config import LogUniformConfig, NearXConfig, OracleConfig, SamplerConfig


class SamplingLearner:
    """One population of draws per update, so that curves and first valid sets stand beside those of what learns."""

    finished = False

    def __init__(self, config: SamplerConfig, environment: KineticVectorEnv, sampler: Sampler, seed: int) -> None:
        self.population_size = config.population_size
        self.environment = environment
        self.sampler = sampler
        self.generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(15,)))

    def update(self, progress: float) -> dict[str, float]:
        """Draw a population and let the environment grade it."""
        del progress
        states = self.environment.answered_states(self.population_size)
        sets = self.sampler.answer(states, generator=self.generator)
        costs = self.environment.assess(sets)
        return {"search/cost_best": float(costs.min()), "search/cost_median": float(np.median(costs))}

    def agent(self) -> Sampler:
        """Return the sampler, whose answers are fresh draws."""
        return self.sampler

    def get_state(self) -> State:
        """Return the generator."""
        return {"generator": json.dumps(self.generator.bit_generator.state)}

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave."""
        self.generator.bit_generator.state = json.loads(state["generator"])


def build_oracle(config: OracleConfig, environment: BatchedEnv, *, seed: int, device: str) -> SamplingLearner:
    """Build the learner that draws uniform saturations; it runs on the CPU whatever the device."""
    del device
    return _build("oracle", config, environment, seed)


def build_near_x(config: NearXConfig, environment: BatchedEnv, *, seed: int, device: str) -> SamplingLearner:
    """Build the learner that draws constants near the concentrations; it runs on the CPU whatever the device."""
    del device
    return _build("near_x", config, environment, seed)


def build_log_uniform(config: LogUniformConfig, environment: BatchedEnv, *, seed: int, device: str) -> SamplingLearner:
    """Build the learner that draws constants log-uniformly; it runs on the CPU whatever the device."""
    del device
    return _build("log_uniform", config, environment, seed)


def require_kinetic(algo: str, environment: BatchedEnv) -> KineticVectorEnv:
    """Return the environment if it is a kinetic one.

    Raises
    ------
    UserError
        It is another, which has no Michaelis constants.
    """
    if not isinstance(environment, KineticVectorEnv):
        raise UserError(
            f"algo={algo} looks for Michaelis constants, and {type(environment).__name__} has none: use env=kinetic."
        )
    return environment


def _build(algo: str, config: SamplerConfig, environment: BatchedEnv, seed: int) -> SamplingLearner:
    kinetic = require_kinetic(algo, environment)
    return SamplingLearner(config, kinetic, Sampler(SAMPLERS[algo], kinetic.task, kinetic.parameters_of), seed)
