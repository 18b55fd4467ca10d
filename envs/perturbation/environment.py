"""Move control cells, step by step, to where a perturbation would take them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import gymnasium
import numpy as np
from scipy.special import betaincinv

from ..batched import Arrays, BatchedEnv, State, Transition
from ..counter_streams import CounterStreams
from ..evaluation import Evaluation, Trajectories
from .config import PerturbationConfig
from .data import FloatArray, IntArray
from .evaluation import cell_metrics, measure
from .paper_tables import displacement_table, paper_numbers
from .predictors import environment_baselines
from .rewards import SMALLEST_ERROR, cosine, mean_squared, penalty
from .task import OBSERVED_LIMIT, Episodes, PerturbationTask, load_task

if TYPE_CHECKING:
    import pandas as pd

EFFICACY = (6.0, 2.0)
"""Parameters of the beta distribution that an episode's efficacy is drawn from."""

LABEL, START, TARGET, STRENGTH, NOISE = 0, 1, 2, 3, 4
"""Places of an episode's random numbers in its stream; those of noise go on without end."""


class PerturbationVectorEnv(BatchedEnv):
    """A batch of cells x (num_envs, D), each moved by ``x <- x + s f a`` towards the target y of its perturbation.

    The observation is ``[(x - m_c) / s_c clipped to +-10 (D), e_p (E), t / H if H > 1]``, float32; the target never
    enters it, unless ``observe_target`` asks for that leak. ``info`` holds ``perturbation`` and ``mse_to_target``; in
    evaluations also ``start`` (the position of the start cell), ``cell_type`` and ``cell``, the coordinates reached.

    Training episodes draw a perturbation and a training control cell. Those of an evaluation are counted out: every
    perturbation of the split is predicted from every start cell once, in `suggested_episodes` episodes. Episodes
    terminate after ``horizon`` steps: the task is finite, so nothing is bootstrapped.
    """

    logged_means = ("mse_to_target",)
    suggested_deterministic = True

    def __init__(
        self,
        config: PerturbationConfig,
        *,
        num_envs: int,
        seed: int,
        split: str = "train",
        task: PerturbationTask | None = None,
    ) -> None:
        self.config = config
        self.task = load_task(config, seed) if task is None else task
        self.actions = self.task.actions
        self.n_coordinates = self.task.coordinates.shape[1]
        self.n_features = self.task.features.shape[1]
        self.masked = config.action_map == "gene_choice"
        self.needs_baselines = config.paper_compat
        self.streams = CounterStreams(np.zeros(0, dtype=np.uint64))  # made anew by the seeding
        super().__init__(
            num_envs=num_envs,
            seed=seed,
            split=split,
            observation_space=self._make_observation_space(),
            action_space=self.actions.space,
        )
        self.observed = "test" if split == "test" else "train"
        self.targets = self.task.targets(test=split == "test")
        self.metrics = cell_metrics(self.task)
        self.episodes: Episodes | None = None
        if split != "train":
            self.episodes = self.task.evaluated(split)
            self.suggested_episodes = len(self.episodes)

    def restart(self, copies: np.ndarray) -> None:
        """Put new cells into these copies: drawn ones while training, the next ones in turn in an evaluation."""
        state = self.state
        if "cell" not in state:
            self._make_state()
        self.streams.begin(copies)
        uniform = self.streams.uniform(copies, 0, NOISE)
        label, kind, start = self._count_out(copies) if self.episodes is not None else self._draw(uniform)
        cell = self.task.coordinates.take(start, axis=0)
        target = self.targets.draw(start, cell, label, kind, uniform[:, TARGET])
        error = mean_squared(cell - target)
        drawn = {"label": label, "cell_type": kind, "start": start, "cell": cell, "target": target, "error": error}
        drawn["first_error"] = error.copy()
        if self.config.efficacy == "beta":
            drawn["efficacy"] = betaincinv(*EFFICACY, uniform[:, STRENGTH]).astype(np.float32)
        if len(copies) == self.num_envs:  # the usual case, without copying everything once more
            state |= drawn
        else:
            for key, values in drawn.items():
                state[key][copies] = values
        if self.masked:
            state["allowed"][copies] = True

    def advance(self, actions: Arrays) -> Transition:
        """Move every cell, and compare it with its target."""
        config, state = self.config, self.state
        self.simulator_calls += self.num_envs
        bounded = self.actions.bounded(np.asarray(actions))
        step = self._step(bounded, state["cell_type"], state["efficacy"] if config.efficacy == "beta" else None)
        if self.masked:  # a gene that is knocked down already cannot be knocked down again
            step = step * state["allowed"][np.arange(self.num_envs), bounded][:, None]
        if config.noise:
            place = NOISE + state["elapsed_steps"] * self.n_coordinates
            normal = self.streams.normal(np.arange(self.num_envs), place, self.n_coordinates)
            step = step + (config.noise * normal).astype(np.float32)
        moved = state["cell"] + step
        if config.clip_nonnegative:
            np.maximum(moved, 0.0, out=moved)
        error = mean_squared(moved - state["target"])
        reward = self._reward(moved, error, bounded)
        state["cell"], state["error"] = moved, error
        ended = state["elapsed_steps"] >= config.horizon
        if self.masked:
            ended |= self._use_up(bounded)
        info = {"perturbation": state["label"].copy(), "mse_to_target": error.copy()}
        if self.episodes is not None:
            info |= {"start": state["start"].copy(), "cell_type": state["cell_type"].copy(), "cell": moved.copy()}
        return Transition(reward, ended, np.zeros(self.num_envs, dtype=bool), info)

    def observe(self) -> Arrays:
        """Return scaled coordinates, the perturbation's features and, in episodes of several steps, their part done."""
        state = self.state
        # Where all copies have just begun, which with one step per episode is always, scaling was done beforehand.
        fresh = not state["elapsed_steps"].any()
        cell = self.task.scaled.take(state["start"], axis=0) if fresh else self.task.scale(state["cell"])
        done = state["elapsed_steps"] / self.config.horizon
        return self._observation(cell, state["label"], done, state["target"])

    def make_observation(
        self, cell: FloatArray, label: IntArray, done: FloatArray, target: FloatArray | None = None
    ) -> Arrays:
        """Return what is seen of cells (n, D) under perturbations (n,), ``done`` (n,) being the part of the episode.

        A policy that sees the target sees zeros where none is given.
        """
        target = np.zeros_like(cell) if target is None else target
        return self._observation(self.task.scale(cell), label, done, target)

    def _observation(self, scaled: FloatArray, label: IntArray, done: FloatArray, target: FloatArray) -> Arrays:
        size, config = self.n_coordinates, self.config
        if config.observation == "dict":
            parts = {"cell": scaled, "perturbation": self.task.features[label]}
            if config.horizon > 1:
                parts["time"] = done.astype(np.float32)[:, None]
            if config.observe_target:
                parts["target"] = self.task.scale(target)
            return parts
        observation = np.empty((len(scaled), *(self.single_observation_space.shape or ())), dtype=np.float32)
        observation[:, :size] = scaled
        observation[:, size : size + self.n_features] = self.task.features.take(label, axis=0)
        if config.horizon > 1:
            observation[:, size + self.n_features] = done
        if config.observe_target:
            observation[:, -size:] = self.task.scale(target)
        return observation

    def action_masks(self) -> np.ndarray:
        """Return which knock-downs were not used in this episode, (num_envs, n_acting + 1); stopping always is."""
        return self.state["allowed"].copy() if self.masked else super().action_masks()

    def question(self, observation: Arrays) -> Arrays:
        """Return ``start`` (num_envs, n_genes), ``perturbation`` and ``cell_type`` (num_envs,), for predictors."""
        del observation
        state = self.state
        return {
            "start": self.task.data.expression[state["start"]],
            "perturbation": state["label"].copy(),
            "cell_type": state["cell_type"].copy(),
        }

    def grade(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        """Return the ``info`` of predicted expression (n, n_genes), one row for each of the first n copies."""
        rows = slice(len(answers))
        return {
            "perturbation": self.state["label"][rows].copy(),
            "start": self.state["start"][rows].copy(),
            "cell_type": self.state["cell_type"][rows].copy(),
            "expression": np.asarray(answers),
        }

    def measure(self, trajectories: Trajectories) -> Evaluation:
        """Return the scores of the final cells per perturbation, and their means over each split."""
        return measure(self.task, trajectories, observed=self.observed)

    def baselines(self) -> dict[str, Any]:
        """Return doing nothing, the simple predictors, and with ``twin`` the experimental model."""
        return environment_baselines(self.task)

    def final_tables(self, scalars: Mapping[str, Any], algorithm: str) -> "dict[str, pd.DataFrame]":
        """Return ``displacement`` with ``paper_compat``: the run beside doing nothing, random actions and the paper."""
        if not self.config.paper_compat or "last/displacement_mse" not in scalars:
            return {}
        return {"displacement": displacement_table(scalars, paper_numbers(self.config.paper_table, algorithm))}

    def facts(self) -> dict[str, Any]:
        """Return what provenance should keep of the data."""
        data = self.task.data
        return data.provenance | {
            "perturbations": list(data.perturbations),
            "held_out": list(data.split.held_out),
            "genes": data.genes.tolist(),
            "n_coordinates": self.n_coordinates,
            "n_features": self.n_features,
        }

    def sibling(self, num_envs: int, seed: int, split: str) -> Self:
        """Make another environment on the same prepared data."""
        return type(self)(self.config, num_envs=num_envs, seed=seed, split=split, task=self.task)

    def draw_samples(self, count: int) -> dict[str, np.ndarray]:
        """Draw training pairs for regression, and count a simulator call for each; they come in whole batches.

        Returns ``observation`` (n, D'), ``start`` and ``target`` (n, D), ``perturbation`` and ``cell_type`` (n,), with
        n the least multiple of num_envs that is at least ``count``.
        """
        parts: list[dict[str, np.ndarray]] = []
        for _ in range(-(-count // self.num_envs)):
            observation, _ = self.reset()
            assert isinstance(observation, np.ndarray)
            state = self.state
            drawn = {"observation": observation, "start": state["cell"], "target": state["target"]}
            parts.append(drawn | {"perturbation": state["label"], "cell_type": state["cell_type"]})
            parts[-1] = {key: values.copy() for key, values in parts[-1].items()}
        self.simulator_calls += len(parts) * self.num_envs
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def predict_rollout(self, policy: Any, start: FloatArray, label: IntArray, kind: IntArray) -> FloatArray:
        """Return the coordinates (H + 1, n, D) on the way of a deterministic policy; nothing random is drawn here.

        Efficacy is 1 and there is no noise; a policy that sees the target sees zeros.
        """
        cell: FloatArray = np.array(start, dtype=np.float32)
        path = [cell]
        for step in range(self.config.horizon):
            done = np.full(len(cell), step / self.config.horizon)
            observation = self.make_observation(cell, label, done)
            actions = self.actions.bounded(np.asarray(policy.act(observation, masks=None, generator=None)))
            cell = cell + self._step(actions, kind, None)
            if self.config.clip_nonnegative:
                cell = np.maximum(cell, 0.0)
            path.append(cell)
        return np.stack(path)

    def get_state(self) -> State:
        """Return all that changes, with the streams."""
        return super().get_state() | {"keys": self.streams.keys.copy(), "episode": self.streams.episode.copy()}

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave."""
        super().set_state(state)
        self.streams.keys = np.array(state["keys"], dtype=np.uint64)
        self.streams.episode = np.array(state["episode"], dtype=np.uint64)

    def _make_generators(self, seed: int | list[int]) -> list[np.random.Generator]:
        generators = super()._make_generators(seed)
        keys = [generator.integers(2**64, dtype=np.uint64) for generator in generators]
        self.streams = CounterStreams(np.array(keys, dtype=np.uint64))
        return generators

    def _make_state(self) -> None:
        size, state = (self.num_envs, self.n_coordinates), self.state
        state["cell"] = np.zeros(size, dtype=np.float32)
        state["target"] = np.zeros(size, dtype=np.float32)
        for key in ("label", "cell_type", "start"):
            state[key] = np.zeros(self.num_envs, dtype=np.int64)
        for key in ("error", "first_error"):
            state[key] = np.zeros(self.num_envs, dtype=np.float32)
        if self.config.efficacy == "beta":
            state["efficacy"] = np.ones(self.num_envs, dtype=np.float32)
        if self.masked:
            assert isinstance(self.single_action_space, gymnasium.spaces.Discrete)
            state["allowed"] = np.ones((self.num_envs, int(self.single_action_space.n)), dtype=bool)

    def _make_observation_space(self) -> gymnasium.Space[Any]:
        config = self.config
        largest = float(np.abs(self.task.features).max(initial=1.0))
        limits = {"cell": (OBSERVED_LIMIT, self.n_coordinates), "perturbation": (largest, self.n_features)}
        if config.horizon > 1:
            limits["time"] = (1.0, 1)
        if config.observe_target:
            limits["target"] = (OBSERVED_LIMIT, self.n_coordinates)
        if config.observation == "dict":
            boxes = {key: gymnasium.spaces.Box(-limit, limit, (size,)) for key, (limit, size) in limits.items()}
            return gymnasium.spaces.Dict(boxes)  # type: ignore[arg-type]
        bound = np.concatenate([np.full(size, limit, np.float32) for limit, size in limits.values()])
        return gymnasium.spaces.Box(-bound, bound)

    def _draw(self, uniform: FloatArray) -> tuple[IntArray, IntArray, IntArray]:
        labels, lists = self.task.eligible
        chosen = np.searchsorted(self.task.label_shares, uniform[:, LABEL])
        start = lists.pick(chosen, uniform[:, START])
        return labels[chosen], self.task.data.cell_type[start], start

    def _count_out(self, copies: np.ndarray) -> tuple[IntArray, IntArray, IntArray]:
        assert self.episodes is not None
        begun = self.streams.episode[copies].astype(np.int64) - 1
        turn = (copies + begun * self.num_envs) % len(self.episodes)
        return self.episodes.perturbation[turn], self.episodes.cell_type[turn], self.episodes.start[turn]

    def _use_up(self, chosen: np.ndarray) -> np.ndarray:
        """Note which genes are knocked down now; return which copies stop."""
        allowed = self.state["allowed"]
        allowed[np.arange(self.num_envs), chosen] = False
        allowed[:, -1] = True
        stopped: np.ndarray = chosen == allowed.shape[1] - 1
        return stopped

    def _step(self, bounded: np.ndarray, kind: IntArray, efficacy: FloatArray | None) -> FloatArray:
        moved = self.actions.displacement(bounded, kind)
        length = self.config.step_length
        if efficacy is not None:
            return moved * (np.float32(length) * efficacy[:, None])
        return moved if length == 1.0 else moved * np.float32(length)

    def _reward(self, moved: FloatArray, error: FloatArray, bounded: np.ndarray) -> FloatArray:
        config, state = self.config, self.state
        paid = penalty(bounded, config.penalties, summed=config.reward == "neg_sq_dist")
        match config.reward:
            case "neg_sq_dist":
                gain = -error * self.n_coordinates
            case "cosine_delta":
                first = self.task.coordinates[state["start"]]
                wanted = state["target"] - first
                gain = cosine(moved - first, wanted) - cosine(state["cell"] - first, wanted)
            case "mse_reduction_relative":
                gain = (state["error"] - error) / np.maximum(state["first_error"], SMALLEST_ERROR)
            case _:
                gain = state["error"] - error
        reward: FloatArray = gain - paid
        return reward
