"""Refine Michaelis constants step by step until the steady state is stable and fast."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import gymnasium
import numpy as np

from ..batched import Arrays, BatchedEnv, Metric, State, Transition
from ..evaluation import Evaluation, Trajectories
from .baselines import kinetic_baselines, starts_near_x
from .config import KineticConfig
from .evaluation import METRICS, ROBUSTNESS, RUN_METRICS, TrainingRecord, measure
from .handover import DEFAULT_UNIT, write_valid_sets
from .rewards import DIRECT_REWARDS, asinh_cost
from .robust_sets import returning_shares, robustness_score, validate_sets
from .task import FEATURE_LIMIT, KineticTask, load_task
from .transfer import search_baselines

LARGEST_INVALID_SHARE = 0.05


class KineticVectorEnv(BatchedEnv):
    """A batch of parameter vectors p (num_envs, P), each moved by ``p <- clip(p + beta * action, low, high)``.

    The observation is p scaled to [-1, 1], then the share of the episode that has passed, then what is seen of the
    steady state. After every step ``info`` holds ``lambda_max`` (1/h; inf if the eigenvalues failed), ``valid``,
    ``stable``, ``invalid_eigen``, the episode's ``lambda_best``, ``first_hit_step`` (the first step that gave a valid
    set, 0 for none) and ``calls``, the simulator calls this episode has cost (`simulator_calls` counts them all),
    ``ln_km`` of all constants (num_envs, n_parameters), and ``member``, the position of the steady state in the task.

    Episodes are truncated after ``horizon`` steps; they terminate only with ``stop_when_valid``.
    """

    metrics: tuple[Metric, ...] = METRICS
    run_metrics: ClassVar[tuple[Metric, ...]] = RUN_METRICS
    logged_means = ("valid", "stable", "invalid_eigen")
    logged_quantiles = ("lambda_max",)
    quantile_levels = (0, 5, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 95, 100)

    def __init__(
        self, config: KineticConfig, *, num_envs: int, seed: int, split: str = "train", task: KineticTask | None = None
    ) -> None:
        self.config = config
        self.task = load_task(config) if task is None else task
        self.members = self.task.testing if split == "test" else self.task.training
        self.lambda_part = float(self.task.lambda_part[self.members[0]])
        self.n_parameters = len(self.task.parameters.names)
        self.record = TrainingRecord()
        if config.robustness_sets:
            self.metrics = (*METRICS, ROBUSTNESS)
        limit, size = config.action_limit, self.n_parameters
        sizes = [size + int(config.time_feature), self.task.features.shape[1]]
        bound = np.repeat(np.array([1.0, FEATURE_LIMIT], np.float32), sizes)
        super().__init__(
            num_envs=num_envs,
            seed=seed,
            split=split,
            observation_space=gymnasium.spaces.Box(-bound, bound),
            action_space=gymnasium.spaces.Box(-limit, limit, (size,), np.float32),
        )
        self.answer_space = gymnasium.spaces.Box(config.low, config.high, (size,), np.float64)
        self.horizon = config.horizon

    def restart(self, copies: np.ndarray) -> None:
        """Draw a steady state and p for new episodes; a potential reward costs one simulator call for each."""
        state = self.state
        if "parameters" not in state:
            state["parameters"] = np.zeros((self.num_envs, self.n_parameters))
            state["member"] = np.resize(self.members, self.num_envs)
            state["cost"] = np.zeros(self.num_envs)
            state["lambda_max"] = np.full((self.num_envs, self.config.horizon), np.inf)
            state["first_hit_step"] = np.zeros(self.num_envs, dtype=np.int64)
            state["start_seed"] = np.zeros(self.num_envs, dtype=np.int64)
        for copy in copies:
            generator = self.generators[copy]
            if self.config.robustness_weight:
                state["start_seed"][copy] = generator.integers(2**63)
            if len(self.members) > 1:
                state["member"][copy] = generator.choice(self.members)
            state["parameters"][copy] = self._draw_start(generator, state["member"][copy])
        state["lambda_max"][copies] = np.inf
        state["first_hit_step"][copies] = 0
        if self.config.reward == "asinh_potential":
            member = state["member"][copies]
            lambda_max = self.max_eigenvalue(self.ln_km(state["parameters"][copies], member), member)
            state["cost"][copies] = asinh_cost(lambda_max, self.task.lambda_part[member])

    def advance(self, actions: Arrays) -> Transition:
        """Move every p and compute the largest eigenvalue of every Jacobian in one call."""
        config, state, member = self.config, self.state, self.state["member"]
        step = np.clip(np.asarray(actions, dtype=np.float64), -config.action_limit, config.action_limit)
        state["parameters"] = np.clip(state["parameters"] + config.beta * step, config.low, config.high)
        ln_km = self.ln_km(state["parameters"], member)
        lambda_max = self.max_eigenvalue(ln_km, member)
        sets = describe_sets(lambda_max, self.task.lambda_part[member])
        valid = sets["valid"]
        state["lambda_max"][np.arange(self.num_envs), state["elapsed_steps"] - 1] = lambda_max
        first = valid & (state["first_hit_step"] == 0)
        state["first_hit_step"] = np.where(first, state["elapsed_steps"], state["first_hit_step"])
        info = sets | {
            "lambda_best": state["lambda_max"].min(axis=1),
            "first_hit_step": state["first_hit_step"].copy(),
            "calls": state["elapsed_steps"] + int(config.reward == "asinh_potential"),
            "member": member.copy(),
            "ln_km": ln_km,
        }
        terminated = valid if config.stop_when_valid else np.zeros(self.num_envs, dtype=bool)
        truncated = (state["elapsed_steps"] >= config.horizon) & ~terminated
        reward = self._reward(lambda_max) + config.reward_offset
        if config.robustness_weight:
            rows = np.flatnonzero((terminated | truncated) & valid)
            info["calls"][rows] += config.robustness_starts
            reward[rows] += config.robustness_weight * self._returning_shares(ln_km, lambda_max, rows)
        return Transition(reward, terminated, truncated, info)

    def observe(self) -> Arrays:
        """Return p scaled to [-1, 1], the share of the episode that has passed, and what is seen of the state."""
        centre, half = (self.config.high + self.config.low) / 2, (self.config.high - self.config.low) / 2
        observation = np.empty(self.observation_space.shape or (), dtype=np.float32)
        observation[:, : self.n_parameters] = (self.state["parameters"] - centre) / half
        if self.config.time_feature:
            observation[:, self.n_parameters] = self.state["elapsed_steps"] / self.config.horizon
        if n_features := self.task.features.shape[1]:
            observation[:, -n_features:] = self.task.features[self.state["member"]]
        return observation

    def grade(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the sets p (n, P) are worth; only the bounds of K itself are imposed, not low and high.

        Row i is graded at the steady state of copy i, and the copies are gone through again for more answers.
        """
        member = self.answered_states(len(answers))
        ln_km = self.ln_km(answers, member)
        lambda_max = self.max_eigenvalue(ln_km, member)
        part = self.task.lambda_part[member]
        more = {"cost": asinh_cost(lambda_max, part), "excess": lambda_max - part, "member": member, "ln_km": ln_km}
        return describe_sets(lambda_max, part) | more

    def question(self, observation: Arrays) -> Arrays:
        """Return the position of every copy's steady state among the task's, (num_envs,)."""
        del observation
        return self.state["member"].copy()

    def answered_states(self, count: int) -> np.ndarray:
        """Return at which steady states so many answers are graded: those of the copies, over and over."""
        return np.resize(self.state.get("member", self.members), count)

    @property
    def answers_per_episode(self) -> int:
        """As many independent answers as a policy has steps, so that first_hit compares like with like."""
        return self.config.horizon

    def measure(self, trajectories: Trajectories) -> Evaluation:
        """Return incidence, first hits, diversity and eigenvalues over whole episodes; robustness in tests only."""
        evaluation = measure(trajectories, compared=self.task.compared)
        if self.config.robustness_sets and self.split == "test":
            table = validate_sets(self.task, trajectories, self.config.robustness_sets, workers=self.config.workers)
            evaluation.scalars[ROBUSTNESS.name] = robustness_score(table)
            evaluation.tables["robustness"] = table
        return evaluation

    def write_answers(
        self, trajectories: Trajectories, folder: Path, *, formats: Sequence[str], facts: Mapping[str, Any]
    ) -> list[Path]:
        """Write the valid single-shot sets as csv, npz, hdf5, or skimpy (a model and a population)."""
        unit = self.config.concentration_unit or DEFAULT_UNIT
        return write_valid_sets(self.task, trajectories, folder, formats=formats, facts=facts, concentration_unit=unit)

    def baselines(self) -> dict[str, Any]:
        """Return doing nothing, the samplers, and the searches with a number of calls for every state."""
        samplers = kinetic_baselines(self.task, self.parameters_of, nothing_is_near_x=starts_near_x(self.config))
        return samplers | search_baselines(self.task, self.config.search_calls, self.parameters_of)

    def facts(self) -> dict[str, Any]:
        """Return what provenance should keep of the loaded model."""
        return {
            "lambda_part": self.lambda_part,
            "lambda_parts": self.task.lambda_part.tolist(),
            "steady_state_hash": self.task.simulators[0].content_hash,
            "steady_states": [state.provenance for state in self.task.states],
            "n_parameters": self.n_parameters,
        }

    def run_scalars(self) -> dict[str, float | None]:
        """Return means over the last ten training episodes, and the calls up to the first valid set."""
        return self.record.scalars()

    def sibling(self, num_envs: int, seed: int, split: str) -> Self:
        """Make another environment on the same loaded model."""
        return type(self)(self.config, num_envs=num_envs, seed=seed, split=split, task=self.task)

    def ln_km(self, parameters: np.ndarray, member: np.ndarray) -> np.ndarray:
        """Turn p (n, P) into ln K of all constants (n, n_parameters), ln(mol/L), within the bounds of K."""
        if self.config.param == "ln_k_over_x":
            parameters = parameters + self.task.ln_concentration(member)
        return self.task.parameters.complete(parameters)

    def parameters_of(self, ln_km: np.ndarray, member: np.ndarray) -> np.ndarray:
        """Turn ln K of all constants (n, n_parameters) into p (n, P)."""
        moved: np.ndarray = ln_km[:, self.task.parameters.index]
        return moved - self.task.ln_concentration(member) if self.config.param == "ln_k_over_x" else moved

    def max_eigenvalue(self, ln_km: np.ndarray, member: np.ndarray) -> np.ndarray:
        """Return lambda_max (n,) of sets at their steady states, and count n simulator calls."""
        lambda_max = self.task.max_eigenvalue(ln_km, member)
        self.record.see(lambda_max <= self.task.lambda_part[member], self.simulator_calls)
        self.simulator_calls += len(ln_km)
        return lambda_max

    def transition(self, actions: Arrays) -> Transition:
        """Take one step in all copies, and record the episodes that end."""
        transition = super().transition(actions)
        for copy in np.flatnonzero(transition.terminated | transition.truncated):
            steps = int(self.state["elapsed_steps"][copy])
            rewards = self.state["episode_return"][copy] / steps, self.state["episode_max_reward"][copy]
            self.record.end_episode(self.state["lambda_max"][copy, :steps], *rewards)
        return transition

    def training_scalars(self) -> dict[str, float]:
        """Return the statistics since the last call; warn where eigenvalues fail often."""
        scalars = super().training_scalars()
        if scalars.get("invalid_eigen", 0.0) > LARGEST_INVALID_SHARE:
            warnings.warn(
                f"invalid_eigen: more than {LARGEST_INVALID_SHARE:.0%} of an update's sets have no finite eigenvalues; "
                "give low and high closer to each other, or check the steady state.",
                stacklevel=2,
            )
        return scalars

    def get_state(self) -> State:
        """Return all that changes, with the record of training."""
        return super().get_state() | {"record": self.record.get_state()}

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave."""
        super().set_state(state)
        self.record.set_state(state["record"])

    def _draw_start(self, generator: np.random.Generator, member: int) -> np.ndarray:
        config = self.config
        match config.start:
            case "normal":
                start = generator.normal(0.0, config.start_scale, self.n_parameters)
            case "uniform":
                start = generator.uniform(config.low, config.high, self.n_parameters)
            case "file":
                assert self.task.starts is not None  # load_starts refuses a config that names none
                row = generator.integers(len(self.task.starts))
                start = self.parameters_of(self.task.starts[row : row + 1], np.array([member]))[0]
            case _:
                start = np.full(self.n_parameters, config.start_value)
        return np.clip(start, config.low, config.high)

    def _returning_shares(self, ln_km: np.ndarray, lambda_max: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the share of displaced starts that return for some copies' sets; each start is a simulator call."""
        config = self.config
        self.simulator_calls += config.robustness_starts * len(rows)
        return returning_shares(
            self.task,
            ln_km[rows],
            self.state["member"][rows],
            lambda_max[rows],
            self.state["start_seed"][rows],
            displacement=config.robustness_displacement,
            starts=config.robustness_starts,
            workers=config.workers,
        )

    def _reward(self, lambda_max: np.ndarray) -> np.ndarray:
        part = self.task.lambda_part[self.state["member"]]
        if self.config.reward != "asinh_potential":
            return DIRECT_REWARDS[self.config.reward](lambda_max, part)
        previous = self.state["cost"]
        # A set without eigenvalues earns nothing, and the next one is compared with the last that had them.
        self.state["cost"] = np.where(np.isfinite(lambda_max), asinh_cost(lambda_max, part), previous)
        gain: np.ndarray = previous - self.state["cost"]
        return gain


def describe_sets(lambda_max: np.ndarray, lambda_part: np.ndarray) -> dict[str, np.ndarray]:
    """Return the ``info`` that any set has, however it was found."""
    return {
        "lambda_max": lambda_max,
        "valid": lambda_max <= lambda_part,
        "stable": lambda_max < 0,
        "invalid_eigen": ~np.isfinite(lambda_max),
    }
