"""Simple ways to find parameter sets, which a learned one must beat."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..batched import Arrays
from .calibration import sample_log_uniform, sample_uniform_saturation

if TYPE_CHECKING:
    from .environment import KineticVectorEnv


class Nothing:
    """Leave every start as it is: K = x exp(N(0, start_scale)) with normal starts."""

    def __init__(self, n_parameters: int) -> None:
        self.n_parameters = n_parameters

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return zeros (num_envs, P)."""
        del masks, generator
        return np.zeros((len(observation), self.n_parameters))


class LogUniform:
    """Draw ln K uniformly between the bounds of K: no knowledge at all."""

    def __init__(self, environment: "KineticVectorEnv", bounds: tuple[float, float]) -> None:
        self.environment = environment
        self.bounds = bounds

    def answer(self, question: Any, *, generator: np.random.Generator) -> np.ndarray:
        """Return one set p (P,) for every row of the question."""
        ln_km = sample_log_uniform(self.environment.task.simulator, len(question), generator, bounds=self.bounds)
        return self.environment.parameters_of(ln_km)


class Oracle:
    """Draw every saturation uniformly in (0, 1), as ORACLE does: the best simple sampler."""

    def __init__(self, environment: "KineticVectorEnv", bounds: tuple[float, float]) -> None:
        self.environment = environment
        self.bounds = bounds

    def answer(self, question: Any, *, generator: np.random.Generator) -> np.ndarray:
        """Return one set p (P,) for every row of the question."""
        ln_km = sample_uniform_saturation(self.environment.task.simulator, len(question), generator, bounds=self.bounds)
        return self.environment.parameters_of(ln_km)


def kinetic_baselines(environment: "KineticVectorEnv") -> dict[str, Any]:
    """Return the baselines by name."""
    from .environment import LN_KM_BOUNDS

    return {
        "nothing": Nothing(environment.n_parameters),
        "log_uniform": LogUniform(environment, LN_KM_BOUNDS),
        "oracle": Oracle(environment, LN_KM_BOUNDS),
    }
