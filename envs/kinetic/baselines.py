"""Simple ways to find parameter sets, which a learned one must beat."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..batched import Arrays
from .calibration import sample_log_uniform, sample_uniform_saturation
from .config import LN_KM_BOUNDS, KineticConfig
from .network import FloatArray, IntArray
from .simulator import KineticSimulator
from .task import KineticTask

ParametersOf = Callable[[FloatArray, IntArray], FloatArray]

NEAR_X_SCALE = 0.5
"""Standard deviation of ln(K/x) in the sampler near_x."""


class Nothing:
    """Leave every start as it is."""

    def __init__(self, n_parameters: int) -> None:
        self.n_parameters = n_parameters

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return zeros (num_envs, P)."""
        del masks, generator
        return np.zeros((len(observation), self.n_parameters))


class Sampler:
    """Draw sets from a fixed distribution of ln K at each steady state."""

    def __init__(self, draw: Callable[..., FloatArray], task: KineticTask, parameters_of: ParametersOf) -> None:
        self.draw = draw
        self.task = task
        self.parameters_of = parameters_of

    def answer(self, question: Any, *, generator: np.random.Generator) -> np.ndarray:
        """Return one set p (n, P) for the steady states (n,) of the question."""
        states = np.asarray(question)
        answers = np.empty((len(states), len(self.task.parameters.names)))
        for state in np.unique(states):
            rows = np.flatnonzero(states == state)
            ln_km = self.draw(self.task.simulators[int(state)], len(rows), generator, bounds=LN_KM_BOUNDS)
            answers[rows] = self.parameters_of(ln_km, states[rows])
        return answers


def sample_near_x(
    simulator: KineticSimulator, count: int, generator: np.random.Generator, *, bounds: tuple[float, float]
) -> FloatArray:
    """Draw ``K = x exp(N(0, 0.5))`` of every slot, ``ln K`` clipped to the bounds, ``(count, n_parameters)``."""
    ln_ratio = generator.normal(0.0, NEAR_X_SCALE, size=(count, len(simulator.parameter_names)))
    ln_km: FloatArray = (simulator.ln_concentration + ln_ratio).clip(*bounds)
    return ln_km


SAMPLERS = {"log_uniform": sample_log_uniform, "oracle": sample_uniform_saturation, "near_x": sample_near_x}


def starts_near_x(config: KineticConfig) -> bool:
    """Whether episodes start as the sampler near_x draws, so that doing nothing measures it already."""
    return (config.param, config.start, config.start_scale) == ("ln_k_over_x", "normal", NEAR_X_SCALE)


def kinetic_baselines(
    task: KineticTask, parameters_of: ParametersOf, *, nothing_is_near_x: bool = True
) -> dict[str, Nothing | Sampler]:
    """Return the baselines by name; ``parameters_of`` turns ln K (n, n_parameters) at states (n,) into p (n, P).

    ``nothing`` leaves the starts as they are, ``log_uniform`` draws ln K uniformly between its bounds, and ``oracle``
    draws every saturation uniformly in (0, 1), as ORACLE does. ``near_x`` draws K around x; it is left out where
    ``nothing_is_near_x``.
    """
    samplers = {name: Sampler(draw, task, parameters_of) for name, draw in SAMPLERS.items()}
    if nothing_is_near_x:
        del samplers["near_x"]
    return {"nothing": Nothing(len(task.parameters.names)), **samplers}
