"""Simple ways to find parameter sets, which a learned one must beat."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..batched import Arrays
from .calibration import sample_log_uniform, sample_uniform_saturation
from .config import LN_KM_BOUNDS
from .simulator import KineticSimulator


class Nothing:
    """Leave every start as it is: K = x exp(N(0, start_scale)) with normal starts."""

    def __init__(self, n_parameters: int) -> None:
        self.n_parameters = n_parameters

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return zeros (num_envs, P)."""
        del masks, generator
        return np.zeros((len(observation), self.n_parameters))


class Sampler:
    """Draw sets from a fixed distribution of ln K."""

    def __init__(
        self, draw: Callable[..., np.ndarray], simulator: KineticSimulator, parameters_of: Callable[..., np.ndarray]
    ) -> None:
        self.draw = draw
        self.simulator = simulator
        self.parameters_of = parameters_of

    def answer(self, question: Any, *, generator: np.random.Generator) -> np.ndarray:
        """Return one set p (P,) for every row of the question."""
        return self.parameters_of(self.draw(self.simulator, len(question), generator, bounds=LN_KM_BOUNDS))


def kinetic_baselines(
    simulator: KineticSimulator, parameters_of: Callable[[np.ndarray], np.ndarray]
) -> dict[str, Nothing | Sampler]:
    """Return the baselines by name; ``parameters_of`` turns ln K (n, P) into p.

    ``nothing`` leaves the starts as they are, ``log_uniform`` draws ln K uniformly between its bounds, and ``oracle``
    draws every saturation uniformly in (0, 1), as ORACLE does.
    """
    return {
        "nothing": Nothing(len(simulator.parameter_names)),
        "log_uniform": Sampler(sample_log_uniform, simulator, parameters_of),
        "oracle": Sampler(sample_uniform_saturation, simulator, parameters_of),
    }
