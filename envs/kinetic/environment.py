"""Refine Michaelis constants step by step until the steady state is stable and fast."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import gymnasium
import numpy as np

from ..batched import Arrays, BatchedEnv, Metric, Transition
from ..evaluation import Evaluation, Trajectories
from .baselines import kinetic_baselines
from .calibration import calibrate
from .config import LN_KM_BOUNDS, KineticConfig
from .sources.e_coli_core import load_e_coli_core
from .evaluation import measure
from .rewards import DIRECT_REWARDS, asinh_cost
from .simulator import KineticSimulator


@dataclass(frozen=True)
class KineticTask:
    """The loaded, immutable part that siblings share.

    Attributes
    ----------
    simulator
        Jacobian spectrum of one network at one steady state.
    lambda_part
        1/h; a set is valid if its largest eigenvalue is at most this.
    """

    simulator: KineticSimulator
    lambda_part: float


class KineticVectorEnv(BatchedEnv):
    """A batch of parameter vectors p (num_envs, P), each moved by ``p <- clip(p + beta * action, low, high)``.

    The observation is p scaled to [-1, 1], then the share of the episode that has passed. After every step ``info``
    holds ``lambda_max`` (1/h; inf if the eigenvalues failed), ``valid``, ``stable``, ``invalid_eigen``, the episode's
    ``lambda_best``, ``first_hit_step`` (the first step that gave a valid set, 0 for none) and ``calls``, the simulator
    calls this episode has cost; `simulator_calls` counts them all.

    Episodes are truncated after ``horizon`` steps; they terminate only with ``stop_when_valid``.
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("incidence", "higher", "share of single-shot sets (the last of each episode) that are valid"),
        Metric("first_hit", "higher", "share of episodes with at least one valid set"),
        Metric("stable", "higher", "share of single-shot sets with lambda_max < 0"),
        Metric("lambda_max", "lower", "median largest eigenvalue of single-shot sets, 1/h"),
        Metric("lambda_best", "lower", "median over episodes of the least lambda_max within one, 1/h"),
    )
    logged_means = ("valid", "stable", "invalid_eigen")
    logged_quantiles = ("lambda_max",)

    def __init__(
        self, config: KineticConfig, *, num_envs: int, seed: int, split: str = "train", task: KineticTask | None = None
    ) -> None:
        self.config = config
        self.task = load_task(config) if task is None else task
        self.lambda_part = self.task.lambda_part
        self.n_parameters = len(self.task.simulator.parameter_names)
        limit, size = config.action_limit, self.n_parameters
        super().__init__(
            num_envs=num_envs,
            seed=seed,
            split=split,
            observation_space=gymnasium.spaces.Box(-1.0, 1.0, (size + int(config.time_feature),), np.float32),
            action_space=gymnasium.spaces.Box(-limit, limit, (size,), np.float32),
        )
        self.answer_space = gymnasium.spaces.Box(config.low, config.high, (size,), np.float64)

    def restart(self, copies: np.ndarray) -> None:
        """Draw p for new episodes; a potential reward costs one simulator call for each."""
        if "parameters" not in self.state:
            self.state["parameters"] = np.zeros((self.num_envs, self.n_parameters))
            self.state["cost"] = np.zeros(self.num_envs)
            self.state["lambda_best"] = np.full(self.num_envs, np.inf)
            self.state["first_hit_step"] = np.zeros(self.num_envs, dtype=np.int64)
        for copy in copies:
            self.state["parameters"][copy] = self._draw_start(self.generators[copy])
        self.state["lambda_best"][copies] = np.inf
        self.state["first_hit_step"][copies] = 0
        if self.config.reward == "asinh_potential":
            lambda_max = self.max_eigenvalue(self.state["parameters"][copies])
            self.state["cost"][copies] = asinh_cost(lambda_max, self.lambda_part)

    def advance(self, actions: Arrays) -> Transition:
        """Move every p and compute the largest eigenvalue of every Jacobian in one call."""
        config, state = self.config, self.state
        step = np.clip(np.asarray(actions, dtype=np.float64), -config.action_limit, config.action_limit)
        state["parameters"] = np.clip(state["parameters"] + config.beta * step, config.low, config.high)
        lambda_max = self.max_eigenvalue(state["parameters"])
        valid = lambda_max <= self.lambda_part
        np.minimum(state["lambda_best"], lambda_max, out=state["lambda_best"])
        first = valid & (state["first_hit_step"] == 0)
        state["first_hit_step"] = np.where(first, state["elapsed_steps"], state["first_hit_step"])
        info = describe_sets(lambda_max, self.lambda_part) | {
            "lambda_best": state["lambda_best"].copy(),
            "first_hit_step": state["first_hit_step"].copy(),
            "calls": state["elapsed_steps"] + int(config.reward == "asinh_potential"),
        }
        terminated = valid if config.stop_when_valid else np.zeros(self.num_envs, dtype=bool)
        truncated = (state["elapsed_steps"] >= config.horizon) & ~terminated
        return Transition(self._reward(lambda_max), terminated, truncated, info)

    def observe(self) -> Arrays:
        """Return p scaled to [-1, 1] and, with ``time_feature``, the share of the episode that has passed."""
        centre, half = (self.config.high + self.config.low) / 2, (self.config.high - self.config.low) / 2
        observation = np.empty(self.observation_space.shape or (), dtype=np.float32)
        observation[:, : self.n_parameters] = (self.state["parameters"] - centre) / half
        if self.config.time_feature:
            observation[:, -1] = self.state["elapsed_steps"] / self.config.horizon
        return observation

    def grade(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the sets p (n, P) are worth; only the bounds of K itself are imposed, not low and high."""
        lambda_max = self.max_eigenvalue(answers)
        return describe_sets(lambda_max, self.lambda_part) | {"cost": asinh_cost(lambda_max, self.lambda_part)}

    @property
    def answers_per_episode(self) -> int:
        """As many independent answers as a policy has steps, so that first_hit compares like with like."""
        return self.config.horizon

    def measure(self, trajectories: Trajectories) -> Evaluation:
        """Return incidence, first hits and eigenvalues over whole episodes."""
        return measure(trajectories)

    def baselines(self) -> dict[str, Any]:
        """Return doing nothing, sets drawn log-uniformly, and sets with uniform saturations (as ORACLE draws them)."""
        return kinetic_baselines(self.task.simulator, self.parameters_of)

    def facts(self) -> dict[str, Any]:
        """Return what provenance should keep of the loaded model."""
        return {
            "lambda_part": self.lambda_part,
            "steady_state_hash": self.task.simulator.content_hash,
            "n_parameters": self.n_parameters,
        }

    def sibling(self, num_envs: int, seed: int, split: str) -> Self:
        """Make another environment on the same loaded model."""
        return type(self)(self.config, num_envs=num_envs, seed=seed, split=split, task=self.task)

    def ln_km(self, parameters: np.ndarray) -> np.ndarray:
        """Turn p (n, P) into ln K, ln(mol/L), within the bounds of K."""
        if self.config.param == "ln_k_over_x":
            parameters = parameters + self.task.simulator.ln_concentration
        ln_km: np.ndarray = np.clip(parameters, *LN_KM_BOUNDS)
        return ln_km

    def parameters_of(self, ln_km: np.ndarray) -> np.ndarray:
        """Turn ln K (n, P) into p."""
        return ln_km - self.task.simulator.ln_concentration if self.config.param == "ln_k_over_x" else ln_km

    def max_eigenvalue(self, parameters: np.ndarray) -> np.ndarray:
        """Return lambda_max (n,) of the sets p (n, P), and count n simulator calls."""
        self.simulator_calls += len(parameters)
        return self.task.simulator.max_eigenvalue(self.ln_km(parameters))

    def _draw_start(self, generator: np.random.Generator) -> np.ndarray:
        config = self.config
        if config.start == "normal":
            return np.clip(generator.normal(0.0, config.start_scale, self.n_parameters), config.low, config.high)
        if config.start == "uniform":
            return generator.uniform(config.low, config.high, self.n_parameters)
        return np.clip(np.zeros(self.n_parameters), config.low, config.high)

    def _reward(self, lambda_max: np.ndarray) -> np.ndarray:
        if self.config.reward != "asinh_potential":
            return DIRECT_REWARDS[self.config.reward](lambda_max, self.lambda_part)
        previous = self.state["cost"]
        # A set without eigenvalues earns nothing, and the next one is compared with the last that had them.
        self.state["cost"] = np.where(np.isfinite(lambda_max), asinh_cost(lambda_max, self.lambda_part), previous)
        gain: np.ndarray = previous - self.state["cost"]
        return gain


def describe_sets(lambda_max: np.ndarray, lambda_part: float) -> dict[str, np.ndarray]:
    """Return the ``info`` that any set has, however it was found."""
    return {
        "lambda_max": lambda_max,
        "valid": lambda_max <= lambda_part,
        "stable": lambda_max < 0,
        "invalid_eigen": ~np.isfinite(lambda_max),
    }


def load_task(config: KineticConfig) -> KineticTask:
    """Load the model and, where the threshold is a rule, calibrate it (both are cached on disk)."""
    network, state = load_e_coli_core(config.member)
    simulator = KineticSimulator(network, state, workers=config.workers)
    if isinstance(config.lambda_part, str):
        lambda_part = calibrate(simulator, config.lambda_part, bounds=LN_KM_BOUNDS)
    else:
        lambda_part = float(config.lambda_part)
    return KineticTask(simulator, lambda_part)
