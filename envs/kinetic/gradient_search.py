"""Gradient descent of the largest eigenvalue: a search that looks into the simulator."""

import json
from typing import Any

import numpy as np

from ..batched import BatchedEnv, State
from .environment import KineticVectorEnv
from .network import FloatArray
from .samplers import require_kinetic
from .search_config import GradientConfig

WAVE = ("parameters", "mean", "square", "best", "best_eigenvalue")
"""Arrays of the present wave, with leading axis ``starts``."""


class FoundSets:
    """Answer with sets that were found, each once while they last and then all over again."""

    def __init__(self, sets: FloatArray) -> None:
        self.sets = sets

    def answer(self, question: Any, *, generator: np.random.Generator) -> np.ndarray:
        """Return one set p (P,) for every row of the question, drawn without replacement from all sets."""
        rows = len(question)
        rounds = -(-rows // len(self.sets))
        order = np.concatenate([generator.permutation(len(self.sets)) for _ in range(rounds)])
        drawn: FloatArray = self.sets[order[:rows]]
        return drawn


class GradientSearch:
    """One step of all sets of the present wave per update; a wave that is over leaves the best set of every start.

    A step moves p by ``learning_rate * m / (sqrt(s) + epsilon)``, where m and s are the bias-corrected running means
    of the normalised gradient and its square (Kingma and Ba 2015), and p stays in the box. Every gradient counts as
    one simulator call.
    """

    finished = False

    def __init__(self, config: GradientConfig, environment: KineticVectorEnv, seed: int) -> None:
        self.config = config
        self.environment = environment
        self.generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(14,)))
        self.member = np.resize(environment.members, config.starts)
        self.found = np.empty((0, environment.n_parameters))
        self._begin_wave()

    def update(self, progress: float) -> dict[str, float]:
        """Evaluate the gradient at every set and take one step."""
        del progress
        if self.iteration == self.config.iterations:
            self.found = np.concatenate([self.found, self.wave["best"]])
            self._begin_wave()
        wave = self.wave
        lambda_max, gradient = gradient_by_parameters(self.environment, wave["parameters"], self.member)
        better = lambda_max < wave["best_eigenvalue"]
        wave["best"][better] = wave["parameters"][better]
        wave["best_eigenvalue"][better] = lambda_max[better]
        self._step(normalise(gradient))
        best = np.minimum(wave["best_eigenvalue"], np.finfo(np.float64).max)
        part = self.environment.task.lambda_part[self.member]
        return {
            "search/valid": float((lambda_max <= part).mean()),
            "search/lambda_best": float(best.min()),
            "search/lambda_median": float(np.median(best)),
        }

    def agent(self) -> FoundSets:
        """Return the best sets of all starts of finished waves, or of the present one while it is the first."""
        done = self.iteration == self.config.iterations
        return FoundSets(np.concatenate([self.found, self.wave["best"]]) if done or not len(self.found) else self.found)

    def get_state(self) -> State:
        """Return the sets found, the present wave and the generator."""
        return {
            "found": self.found.copy(),
            "wave": {key: self.wave[key].copy() for key in WAVE},
            "iteration": self.iteration,
            "generator": json.dumps(self.generator.bit_generator.state),
        }

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave."""
        self.found = np.array(state["found"])
        self.wave = {key: np.array(state["wave"][key]) for key in WAVE}
        self.iteration = state["iteration"]
        self.generator.bit_generator.state = json.loads(state["generator"])

    def _begin_wave(self) -> None:
        space = self.environment.answer_space
        assert space is not None
        shape = (self.config.starts, *space.shape)
        start = self.generator.uniform(space.low, space.high, shape)
        self.wave = {
            "parameters": start,
            "mean": np.zeros(shape),
            "square": np.zeros(shape),
            "best": start.copy(),
            "best_eigenvalue": np.full(len(start), np.inf),
        }
        self.iteration = 0

    def _step(self, gradient: FloatArray) -> None:
        config, wave, space = self.config, self.wave, self.environment.answer_space
        assert space is not None
        self.iteration += 1
        wave["mean"] += (1.0 - config.momentum) * (gradient - wave["mean"])
        wave["square"] += (1.0 - config.squared_momentum) * (gradient**2 - wave["square"])
        mean = wave["mean"] / (1.0 - config.momentum**self.iteration)
        square = wave["square"] / (1.0 - config.squared_momentum**self.iteration)
        step = config.learning_rate * mean / (np.sqrt(square) + config.epsilon)
        wave["parameters"] = np.clip(wave["parameters"] - step, space.low, space.high)


def gradient_by_parameters(
    environment: KineticVectorEnv, parameters: FloatArray, member: np.ndarray
) -> tuple[FloatArray, FloatArray]:
    """Return lambda_max (n,) and its gradient (n, P) by p, at each set's steady state; count n simulator calls.

    The gradient is 0 along constants at their bounds, where p moves nothing, and for sets without eigenvalues.
    """
    task = environment.task
    ln_km = environment.ln_km(parameters, member)
    lambda_max, by_ln_km = np.empty(len(ln_km)), np.empty(ln_km.shape)
    for index in np.unique(member):
        rows = member == index
        lambda_max[rows], by_ln_km[rows] = task.simulators[index].gradient(ln_km[rows])
    environment.record.see(lambda_max <= task.lambda_part[member], environment.simulator_calls)
    environment.simulator_calls += len(ln_km)
    space = task.parameters
    moved = ln_km[:, space.index]
    free = (moved > space.low) & (moved < space.high)
    return lambda_max, np.where(free, np.nan_to_num(by_ln_km[:, space.index]), 0.0)


def normalise(gradient: FloatArray) -> FloatArray:
    """Return rows of length 1; a row of zeros stays."""
    length = np.linalg.norm(gradient, axis=1, keepdims=True)
    normalised: FloatArray = gradient / np.where(length > 0, length, 1.0)
    return normalised


def build_gradient_search(config: GradientConfig, environment: BatchedEnv, *, seed: int, device: str) -> GradientSearch:
    """Build the learner; it runs on the CPU whatever the device."""
    del device
    return GradientSearch(config, require_kinetic("gradient", environment), seed)
