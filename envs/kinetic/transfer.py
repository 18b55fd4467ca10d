"""Searches that spend simulator calls on every steady state they are asked about: what a trained policy saves."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from .calibration import sample_uniform_saturation
from .config import LN_KM_BOUNDS
from .network import FloatArray, IntArray
from .rewards import asinh_cost
from .task import KineticTask

POPULATION = 24
INITIAL_SIGMA = 2.0
SEARCH_LIMIT = 6.0
"""Bound of |ln(K/x)| in the search by CMA-ES, which works on ln(K/x) whatever the agent moves."""


class Search(Protocol):
    """Return the best of ``calls`` evaluated sets, ln K of the moved constants ``(P,)``, at one steady state."""

    def __call__(self, task: KineticTask, state: int, calls: int, generator: np.random.Generator) -> FloatArray:
        """Return the best set found."""
        ...


class PerStateSearch:
    """Answer every question by a search of its own at that steady state, with a fixed number of simulator calls."""

    answers_per_episode = 1

    def __init__(
        self, search: Search, task: KineticTask, calls: int, parameters_of: Callable[[FloatArray, IntArray], FloatArray]
    ) -> None:
        self.search = search
        self.task = task
        self.calls = calls
        self.parameters_of = parameters_of

    def answer(self, question: Any, *, generator: np.random.Generator) -> np.ndarray:
        """Return p (n, P) for the steady states (n,) of the question."""
        found = np.array([self.search(self.task, int(state), self.calls, generator) for state in question])
        return self.parameters_of(found, np.asarray(question))


def search_oracle(task: KineticTask, state: int, calls: int, generator: np.random.Generator) -> FloatArray:
    """Draw every saturation uniformly, as ORACLE does, and keep the best set."""
    sets = sample_uniform_saturation(task.simulators[state], calls, generator, bounds=LN_KM_BOUNDS)
    sets = task.parameters.complete(sets[:, task.parameters.index])
    best: FloatArray = sets[_costs(task, state, sets).argmin()]
    return best


def search_cma_es(task: KineticTask, state: int, calls: int, generator: np.random.Generator) -> FloatArray:
    """Search ln(K/x) by diagonal CMA-ES from half-saturated enzymes, and keep the best set seen.

    The last generation is cut where the calls end; with fewer than a population's calls only the initial
    distribution is sampled.
    """
    import cma

    ln_concentration = task.ln_concentration(np.array([state]))[0]
    options = {
        "bounds": [-SEARCH_LIMIT, SEARCH_LIMIT],
        "popsize": POPULATION,
        "CMA_diagonal": True,
        "randn": lambda *shape: generator.standard_normal(shape),
        "seed": np.nan,
        "verbose": -9,
    }
    strategy = cma.CMAEvolutionStrategy(np.zeros(len(ln_concentration)), INITIAL_SIGMA, options)
    best, best_cost, spent = np.zeros(0), np.inf, 0
    while spent < calls:
        population = np.array(strategy.ask())
        sets = task.parameters.complete(population[: calls - spent] + ln_concentration)
        costs = _costs(task, state, sets)
        spent += len(sets)
        if costs.min() <= best_cost:
            best, best_cost = sets[costs.argmin()], float(costs.min())
        if len(costs) == len(population):
            strategy.tell(list(population), list(costs))
    return best


def search_baselines(
    task: KineticTask, calls: Sequence[int], parameters_of: Callable[[FloatArray, IntArray], FloatArray]
) -> dict[str, PerStateSearch]:
    """Return ORACLE and CMA-ES with each number of calls per state, as ``oracle_10`` and ``cma_es_10``."""
    make = partial(PerStateSearch, task=task, parameters_of=parameters_of)
    return {
        f"{name}_{count}": make(search, calls=count)
        for name, search in (("oracle", search_oracle), ("cma_es", search_cma_es))
        for count in calls
    }


def _costs(task: KineticTask, state: int, sets: FloatArray) -> FloatArray:
    return asinh_cost(task.simulators[state].max_eigenvalue(sets), task.lambda_part[state])
