"""CMA-ES over answers given at once: a search that never acts."""

from typing import Any

import cma
import numpy as np

from ... import UserError
from ...envs.batched import BatchedEnv, State
from .config import CMAESConfig


class GaussianSolver:
    """Answer with draws from the search distribution of a CMA-ES."""

    def __init__(self, strategy: cma.CMAEvolutionStrategy, shape: tuple[int, ...]) -> None:
        self.strategy = strategy
        self.shape = shape

    def answer(self, question: Any, *, generator: np.random.Generator) -> np.ndarray:
        """Return one independent draw (n, *shape) for every row of the question, inside the bounds."""
        rows = len(next(iter(question.values())) if isinstance(question, dict) else question)
        strategy = self.strategy
        steps = np.array([strategy.sm.transform(row) for row in generator.standard_normal((rows, strategy.N))])
        genotypes = strategy.mean + strategy.sigma * strategy.sigma_vec.scaling * steps
        repair = strategy.boundary_handler.repair
        return np.array([strategy.gp.pheno(row, into_bounds=repair) for row in genotypes]).reshape(rows, *self.shape)


class CMAESLearner:
    """One generation per update.

    The state is the history of costs: the library's strategy is a deterministic function of them and of the seed, so
    telling them again rebuilds it exactly, without pickling its objects.
    """

    def __init__(self, config: CMAESConfig, environment: BatchedEnv, seed: int) -> None:
        if environment.answer_space is None:
            raise UserError(
                f"algo=cma_es searches for answers, and {type(environment).__name__} takes actions only: use algo=ppo."
            )
        self.config = config
        self.environment = environment
        self.seed = seed
        self.space = environment.answer_space
        self.costs: list[np.ndarray] = []
        self.strategy = self._begin()

    @property
    def finished(self) -> bool:
        """Whether the strategy has converged by its own criteria."""
        return bool(self.strategy.stop())

    def update(self, progress: float) -> dict[str, float]:
        """Ask for a population, let the environment assess it, and tell the costs."""
        del progress
        population = self.strategy.ask()
        costs = self.environment.assess(np.array(population).reshape(-1, *self.space.shape))
        self._tell(population, costs)
        return {
            "search/cost_best": float(costs.min()),
            "search/cost_median": float(np.median(costs)),
            "search/sigma": float(self.strategy.sigma),
        }

    def agent(self) -> GaussianSolver:
        """Return draws from the present search distribution; it follows further updates."""
        return GaussianSolver(self.strategy, self.space.shape)

    def get_state(self) -> State:
        """Return all costs so far, (generations, population_size)."""
        return {"costs": np.array(self.costs).reshape(-1, self.config.population_size)}

    def set_state(self, state: State) -> None:
        """Rebuild the strategy by telling it the costs again."""
        self.costs = []
        self.strategy = self._begin()
        for costs in state["costs"]:
            self._tell(self.strategy.ask(), np.asarray(costs))

    def _tell(self, population: list[np.ndarray], costs: np.ndarray) -> None:
        self.costs.append(costs)
        self.strategy.tell(population, list(costs))

    def _begin(self) -> cma.CMAEvolutionStrategy:
        generator = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(12,)))
        low, high = self.space.low.ravel(), self.space.high.ravel()
        sigma = self.config.initial_sigma
        options = {
            "bounds": [low.tolist(), high.tolist()],
            "popsize": self.config.population_size,
            "CMA_diagonal": self.config.diagonal,
            "randn": lambda *shape: generator.standard_normal(shape),
            "seed": np.nan,  # the generator above is the only source of randomness
            "verbose": -9,
        }
        return cma.CMAEvolutionStrategy(
            (low + high) / 2, float(np.mean(high - low)) / 6 if sigma is None else sigma, options
        )


def build_cma_es(config: CMAESConfig, environment: BatchedEnv, *, seed: int, device: str) -> CMAESLearner:
    """Build the learner; it runs on the CPU whatever the device."""
    del device
    return CMAESLearner(config, environment, seed)
