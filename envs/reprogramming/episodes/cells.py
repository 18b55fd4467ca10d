"""Cells on their way to a type: episodes of a whole batch, without what is said of agents."""

from collections.abc import Sequence
from typing import Any, Self

import gymnasium
import numpy as np

from .... import UserError
from ...batched import ActionError, Arrays, BatchedEnv, State, Transition
from ...counter_streams import CounterStreams
from ..config import ReprogrammingConfig
from ..data import FloatArray, IntArray
from ..task import Episodes, ReprogrammingTask, load_task
from .curriculum import Curriculum
from .observations import make_observer
from .starts import STEPS, TrainingStarts

COUNTED = ("activation", "self_loop", "forced_stay")
"""Keys of ``info`` whose share of all steps of an update is logged."""


class CellEpisodes(BatchedEnv):
    """A batch of measured cells, each moved by knock-outs and overexpressions towards a type.

    The state of a copy is its cell, its target type, the step and, where perturbations persist, what is clamped; see
    `observations` for what is seen of it. An episode terminates in a goal cell of its target and is truncated after
    `horizon` steps, or after those of the curriculum's phase. ``info`` holds, for the step just taken, ``success``,
    ``distance`` (fewest actions from the cell that was reached by the table, -1 for none), ``optimal_length`` (the
    same from the start), ``activation`` (a gene was overexpressed), ``self_loop`` (the cell stayed) and
    ``forced_stay`` (every action was masked, so that it had to); in evaluations also ``start``, ``target``,
    ``action`` and ``cell``, the one that was reached.

    A masked action leaves the cell where it is, costs and counts. Where all are masked, `action_masks` shows all as
    allowed, since a choice among none is undefined.

    Training episodes draw a training cell and a target. Those of an evaluation are counted out from held-out cells, see
    `ReprogrammingTask.count_out`.
    """

    suggested_deterministic = True
    masked = True

    def __init__(
        self,
        config: ReprogrammingConfig,
        *,
        num_envs: int,
        seed: int,
        split: str = "train",
        task: ReprogrammingTask | None = None,
    ) -> None:
        self.config = config
        self.task = task = load_task(config, seed) if task is None else task
        self.training = split == "train"
        self.dynamics = task.dynamics(training=self.training)
        self.persistent = task.persistent
        forced = task.forced_train if self.training else task.forced_eval
        self.forced = np.zeros_like(forced) if task.persistent is not None else forced
        self.observer = make_observer(task, noise=config.task.obs_noise if self.training else 0.0)
        self.streams = CounterStreams(np.zeros(0, dtype=np.uint64))  # made anew by the seeding
        self.starts: TrainingStarts | None = None
        super().__init__(
            num_envs=num_envs,
            seed=seed,
            split=split,
            observation_space=self.observer.space,
            action_space=gymnasium.spaces.Discrete(task.n_actions),
        )
        self._copies = np.arange(num_envs)
        self._counts = np.zeros(len(COUNTED) + 1, dtype=np.int64)
        self._shown = task.shown_masks(training=self.training)
        self._is_goal, self._distance = task.goals.is_goal.ravel(), task.distance.ravel()
        self._arriving = task.arriving.ravel()
        self._leaving = None if task.leaving is None else task.leaving.ravel()
        self.horizon: int = config.task.horizon
        self.episodes: Episodes | None = None
        if self.training:
            gates = len(task.pairs_by_distance[1]) - 1 if config.curriculum.kind == "bfs_gated" else 0
            self.curriculum = Curriculum(config.curriculum, task.schedule, gates)
            self.progress, self._recent = self.curriculum.begin()
            self.starts = TrainingStarts(task, self.curriculum)
            self.horizon = self.starts.longest
        else:
            self.begin_episodes(task.count_out(split))

    @property
    def phase(self) -> int:
        """The phase of the curriculum, the first being 0."""
        return int(self.progress.get("phase", 0))

    def begin(self, cells: Sequence[int | str], targets: Sequence[int | str]) -> Arrays:
        """Begin given episodes, one per copy, and return the observation; following episodes repeat them.

        Parameters
        ----------
        cells, targets
            num_envs names or positions of start cells and of target types.

        Raises
        ------
        UserError
            For an unknown cell or type, a cell that is of the target type, and another number of them than copies.
        """
        if self.training:
            raise UserError("split=train: episodes of a training are drawn, so begin given ones with split=test.")
        if not len(cells) == len(targets) == self.num_envs:
            raise UserError(
                f"{len(cells)} cells and {len(targets)} targets are given to {self.num_envs} copies: give as many."
            )
        found = Episodes(
            np.array([self.task.find_cell(cell) for cell in cells]),
            np.array([self.task.find_type(target) for target in targets]),
        )
        for cell, target, given in zip(found.cell, found.target, cells, strict=True):
            if self.task.cluster_of_cell[cell] == target:
                raise UserError(
                    f"start={given}: the cell is of type {self.task.types[target]} already, so name another target."
                )
        self.begin_episodes(found)
        self.streams.episode[:] = 0
        return self.reset()[0]

    def begin_episodes(self, episodes: Episodes) -> None:
        """Let the episodes from the next reset with a seed on be these, in turn."""
        self.episodes = episodes
        self.suggested_episodes = len(episodes)

    def restart(self, copies: np.ndarray) -> None:
        """Put new cells into these copies: drawn ones while training, the next ones in turn in an evaluation."""
        state = self.state
        if "cell" not in state:
            self._make_state()
        self.streams.begin(copies)
        if self.starts is not None:
            cell, target, state["gated"][copies] = self.starts.draw(self.streams, copies, self.phase)
            state["limit"][copies] = self.starts.horizon(self.phase)
        else:
            cell, target = self._count_out(copies)
        state["cell"][copies] = cell
        state["start"][copies] = cell
        state["target"][copies] = target
        state["optimal_length"][copies] = self._distance.take(cell * self.task.n_types + target)
        if self.persistent is not None:
            state["clamps"][copies] = 0

    def advance(self, actions: Arrays) -> Transition:
        """Move every cell, and see whether it is a goal cell now."""
        state, n_types = self.state, self.task.n_types
        actions = np.array(actions, dtype=np.int64)
        if actions.view(np.uint64).max() >= self.task.n_actions:  # negative ones are huge as well
            raise ActionError(f"An action is not among 0 to {self.task.n_actions - 1}: give positions of actions.")
        self.simulator_calls += self.num_envs
        cell, target = state["cell"], state["target"]
        reached = self._move(cell, actions)
        state["cell"] = reached
        after = reached * n_types + target
        reward = self._arriving.take(after)
        if self._leaving is not None:
            reward -= self._leaving.take(cell * n_types + target)
        success = self._is_goal.take(after)
        limit = state["limit"] if self.starts is not None else self.horizon
        truncated = (state["elapsed_steps"] >= limit) & ~success
        info = {
            "success": success,
            "distance": self._distance.take(after),
            "optimal_length": state["optimal_length"].copy(),
            "activation": self.task.activates.take(actions),
            "self_loop": reached == cell,
            "forced_stay": self.forced.take(cell),
        }
        if self.training:
            self._advance_curriculum(success, truncated)
            self._counts += np.array([self.num_envs, *(np.count_nonzero(info[key]) for key in COUNTED)])
        else:
            info |= {"start": state["start"].copy(), "target": target.copy(), "cell": reached.copy(), "action": actions}
        return Transition(reward, success.copy(), truncated, info)

    def observe(self) -> Arrays:
        """Return what the copies see: indices, expression or principal components."""
        noise = self._noise() if self.observer.draws else None
        return self.observer.observe(self.state, self.action_masks, noise)

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, (num_envs, A); all are where none is."""
        if self.persistent is not None:
            return self.persistent.masks(self.state["clamps"])
        masks: np.ndarray = self._shown.take(self.state["cell"], axis=0)
        return masks

    def training_scalars(self) -> dict[str, float]:
        """Return the statistics since the last call, with shares of steps and the curriculum's phase, from 1."""
        scalars = super().training_scalars()
        steps, *counts = self._counts.tolist()
        scalars |= {key: count / steps for key, count in zip(COUNTED, counts, strict=True) if steps}
        self._counts[:] = 0
        if self.training and self.config.curriculum.kind != "none":
            scalars["phase"] = float(self.phase + 1)
        return scalars

    def facts(self) -> dict[str, Any]:
        """Return what provenance should keep of the table, the goals and the curriculum."""
        schedule = self.task.schedule
        return self.task.facts() | {"phase_starts": list(schedule.starts), "last_phase_ends": schedule.finish}

    def sibling(self, num_envs: int, seed: int, split: str) -> Self:
        """Make another environment on the same table."""
        return type(self)(self.config, num_envs=num_envs, seed=seed, split=split, task=self.task)

    def get_state(self) -> State:
        """Return all that changes, with the streams."""
        saved = super().get_state() | {"keys": self.streams.keys.copy(), "episode": self.streams.episode.copy()}
        if self.training:
            saved["recent"] = self._recent.copy()
        return saved

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave."""
        super().set_state(state)
        self.streams.keys = np.array(state["keys"], dtype=np.uint64)
        self.streams.episode = np.array(state["episode"], dtype=np.uint64)
        if self.starts is not None:
            self.starts.forget()
        self._counts[:] = 0
        if self.training:
            self._recent = np.array(state["recent"], dtype=bool)

    def _make_generators(self, seed: int | list[int]) -> list[np.random.Generator]:
        generators = super()._make_generators(seed)
        keys = [generator.integers(2**64, dtype=np.uint64) for generator in generators]
        self.streams = CounterStreams(np.array(keys, dtype=np.uint64))
        if self.starts is not None:
            self.starts.forget()
        return generators

    def _make_state(self) -> None:
        for key in ("cell", "start", "target", "limit"):
            self.state[key] = np.zeros(self.num_envs, dtype=np.int64)
        self.state["optimal_length"] = np.zeros(self.num_envs, dtype=np.int16)
        self.state["gated"] = np.zeros(self.num_envs, dtype=bool)
        if self.persistent is not None:
            self.state["clamps"] = self.persistent.free(self.num_envs)

    def _log_episodes(self, ended: np.ndarray) -> None:
        super()._log_episodes(ended)
        after = self.state["cell"][ended] * self.task.n_types + self.state["target"][ended]
        self._pending.setdefault("success", []).append(self._is_goal.take(after))

    def _count_out(self, copies: np.ndarray) -> tuple[IntArray, IntArray]:
        assert self.episodes is not None
        begun = self.streams.episode[copies].astype(np.int64) - 1
        turn = (copies + begun * self.num_envs) % len(self.episodes)
        return self.episodes.cell[turn], self.episodes.target[turn]

    def _move(self, cell: IntArray, actions: IntArray) -> IntArray:
        """Return the cells that are reached; persistent clamps are changed."""
        if self.persistent is not None:
            self.state["clamps"], allowed = self.persistent.apply(self.state["clamps"], actions)
            blocked = self.task.blocked(training=self.training)
            return np.where(allowed, self.persistent.move(cell, self.state["clamps"], blocked), cell)
        uniform = None
        if self.dynamics.draws:
            place = STEPS + self.state["elapsed_steps"] * self._draws_per_step
            uniform = self.streams.uniform(self._copies, place, self.dynamics.draws)
        reached = self.dynamics.move(cell, actions, uniform)
        return reached

    @property
    def _draws_per_step(self) -> int:
        return self.dynamics.draws + self.observer.draws

    def _noise(self) -> FloatArray:
        """Return numbers in (0, 1), (num_envs, draws), for the observation after the steps so far."""
        place = STEPS + self.state["elapsed_steps"] * self._draws_per_step + self.dynamics.draws
        return self.streams.uniform(self._copies, place, self.observer.draws)

    def _advance_curriculum(self, success: np.ndarray, truncated: np.ndarray) -> None:
        if self.config.curriculum.kind == "none":
            return
        ended = success | truncated
        if self.config.curriculum.kind == "bfs_gated":  # episodes drawn from all say nothing of the gate
            ended &= self.state["gated"]
        self.curriculum.advance(self.progress, self._recent, self.num_envs, success[ended])
