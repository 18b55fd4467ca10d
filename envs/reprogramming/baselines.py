"""Simple ways to choose perturbations, none of which learns by reinforcement: what a learned policy must beat.

All look one step ahead with the simulator that the task has anyway. ``random`` is the package's own, see
`bioppo.algorithms.baselines.random`.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import UserError
from ..batched import Arrays
from . import planner
from .data import BoolArray, FloatArray, IntArray
from .distance_network import fit_distances
from .dynamics import StochasticDynamics

if TYPE_CHECKING:
    from .task import ReprogrammingTask

FAR = 1e6
"""How far a cell without any way counts."""
NEVER = 1e9
"""How far a cell that must not be entered counts."""
REVISIT = 1e4
"""What a cell of the episode's past costs a policy that avoids them."""
COMPONENTS = 30
"""Principal components that the distance network sees."""


def environment_baselines(task: "ReprogrammingTask") -> dict[str, Any]:
    """Return the baselines of a task by name.

    ``greedy`` goes to the next cell most similar to the target, ``greedy_no_revisit`` to one where it was not yet, if
    it can. ``distance_net`` goes where a network guesses the shortest way on. With the table's dynamics ``bfs`` follows
    a shortest way and ``bfs_train`` a shortest one that enters no held-out cell; with persistent perturbations they
    plan as if none persisted. With stochastic dynamics ``planner`` is the best policy there is, and ``planner_mean``
    plans as if every action led to its most probable cell.
    """
    similar = task.goals.sim
    found: dict[str, Any] = {
        "greedy": LookAheadPolicy(task, similar),
        "greedy_no_revisit": NoRevisitPolicy(task, similar),
        "distance_net": DistanceNetworkPolicy(task),
    }
    if task.config.dynamics.kind == "stochastic":
        return found | {"planner": PlannerPolicy(task), "planner_mean": MeanPlannerPolicy(task)}
    return found | {"bfs": ShortestPathPolicy(task), "bfs_train": TrainingPathPolicy(task)}


class StateReader:
    """Find out which cell and target an observation shows, whatever its form.

    Cells with equal expression are the same to an observer: the first of them stands for all.
    """

    def __init__(self, task: "ReprogrammingTask") -> None:
        self.task = task

    def read(self, observation: Arrays) -> tuple[IntArray, IntArray]:
        """Return cells and target types, (num_envs,) each."""
        if isinstance(observation, Mapping):
            cells, targets = self._rows
            return (
                _find(observation["current_expression"], cells, "cell"),
                _find(observation["target_expression"], targets, "type"),
            )
        if np.issubdtype(observation.dtype, np.integer):
            return observation[:, 0].astype(np.int64), observation[:, 1].astype(np.int64)
        cells, targets = self._component_rows
        size = self._components
        return _find(observation[:, :size], cells, "cell"), _find(observation[:, size : 2 * size], targets, "type")

    @cached_property
    def _rows(self) -> tuple[dict[bytes, int], dict[bytes, int]]:
        return _index(self.task.expression), _index(self.task.goals.centroid)

    @cached_property
    def _component_rows(self) -> tuple[dict[bytes, int], dict[bytes, int]]:
        cells, centres = self.task.components(self.task.config.task.features)
        return _index(cells), _index(centres)

    @property
    def _components(self) -> int:
        return min(self.task.config.task.features, int(self.task.table.pcs.shape[1]))


class LookAheadPolicy:
    """Take the allowed action that leads to the highest score, of equal ones the first.

    With stochastic dynamics the expected score counts.

    Parameters
    ----------
    task
        Whose actions are tried in thought.
    score
        (n, K): how good it is to be in a cell with a target.
    """

    uses_masks = True
    uses_steps = True

    def __init__(self, task: "ReprogrammingTask", score: FloatArray | None = None) -> None:
        self.task, self.reader = task, StateReader(task)
        self._score = score

    @property
    def score(self) -> FloatArray:
        """How good it is to be in a cell with a target, (n, K)."""
        if self._score is None:
            self._score = self.make_score()
        return self._score

    def make_score(self) -> FloatArray:
        """Work the score out, when it is first needed."""
        raise NotImplementedError

    def act(
        self,
        observation: Arrays,
        *,
        masks: np.ndarray | None,
        generator: np.random.Generator | None,
        steps: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return actions (num_envs,); ``steps`` of the episodes so far are needed by those with a memory."""
        del generator
        cell, target = self.reader.read(observation)
        return choose(self.rate(cell, target, steps), masks)

    def rate(self, cell: IntArray, target: IntArray, steps: np.ndarray | None) -> FloatArray:
        """Return the score of every action, (num_envs, A)."""
        del steps
        reached, weight = outcomes(self.task, cell)
        return _expected(self.score[reached, target[:, None, None]], weight)


class NoRevisitPolicy(LookAheadPolicy):
    """The same, and cells of the episode's past are only chosen where all actions lead to such."""

    def __init__(self, task: "ReprogrammingTask", score: FloatArray | None = None) -> None:
        super().__init__(task, score)
        self.visited = np.zeros((0, task.n_cells), dtype=bool)

    def rate(self, cell: IntArray, target: IntArray, steps: np.ndarray | None) -> FloatArray:
        """Return the score of every action; episodes at their first step have no past."""
        if steps is None:
            raise UserError("greedy_no_revisit remembers episodes: give steps=, how many each has taken.")
        if len(self.visited) != len(cell):
            self.visited = np.zeros((len(cell), self.task.n_cells), dtype=bool)
        rows = np.arange(len(cell))
        self.visited[steps == 0] = False
        self.visited[rows, cell] = True
        reached, weight = outcomes(self.task, cell)
        score = self.score[reached, target[:, None, None]] - REVISIT * self.visited[rows[:, None, None], reached]
        return _expected(score, weight)


class ShortestPathPolicy(LookAheadPolicy):
    """Follow a shortest way of the table: optimal with its dynamics."""

    def make_score(self) -> FloatArray:
        """Return minus the distance."""
        return closeness(self.task.distance)


class TrainingPathPolicy(LookAheadPolicy):
    """Follow a shortest way of the table that enters no held-out cell, unless all actions lead into one."""

    def make_score(self) -> FloatArray:
        """Return minus the distance, far below all for held-out cells."""
        task = self.task
        score = closeness(planner.bfs(task.table.next, task.goals.is_goal, task.heldout))
        score[task.heldout] = -NEVER
        return score


class DistanceNetworkPolicy(LookAheadPolicy):
    """Go where a network, fitted to shortest ways of training cells, guesses the fewest steps on."""

    def make_score(self) -> FloatArray:
        """Fit the network; it takes seconds."""
        task = self.task
        cells, centres = task.components(min(COMPONENTS, task.table.pcs.shape[1]))
        train = ~task.heldout & task.trainable[task.cluster_of_cell]
        return -fit_distances(cells, centres, task.distance_train, train, task.trainable)


class MeanPlannerPolicy(LookAheadPolicy):
    """Follow a shortest way in a table where every action leads to its most probable cell."""

    @cached_property
    def next(self) -> IntArray:
        """The most probable next cell of every action, (n, A); the cell itself where it leads nowhere."""
        cells = np.arange(self.task.n_cells)
        found = np.empty(self.task.table.next.shape, dtype=np.int32)
        for part in np.array_split(cells, max(1, len(cells) // 256)):
            reached, weight = outcomes(self.task, part)
            assert weight is not None
            best = np.take_along_axis(reached, weight.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
            found[part] = np.where(weight.sum(axis=2) > 0, best, part[:, None])
        return found

    def make_score(self) -> FloatArray:
        """Return minus the distance in that table."""
        return closeness(planner.bfs(self.next, self.task.goals.is_goal))

    def rate(self, cell: IntArray, target: IntArray, steps: np.ndarray | None) -> FloatArray:
        """Return the score of every action's most probable cell."""
        del steps
        score: FloatArray = self.score[self.next[cell], target[:, None]]
        return score


class PlannerPolicy:
    """The best policy with stochastic dynamics: it maximises the chance of success within the horizon.

    Parameters
    ----------
    horizon
        Steps of an episode; None: those of the task's evaluations. Beyond them it acts as in its last step.
    """

    uses_masks = True
    uses_steps = True

    def __init__(self, task: "ReprogrammingTask", horizon: int | None = None) -> None:
        self.task, self.reader = task, StateReader(task)
        self.horizon = task.config.task.horizon if horizon is None else horizon

    @cached_property
    def actions(self) -> IntArray:
        """The best actions by steps left, cell and target, (horizon + 1, n, K)."""
        reached, weight = outcomes(self.task, np.arange(self.task.n_cells))
        weight = np.ones(reached.shape) if weight is None else weight
        return planner.success_policy(reached, weight, self.task.goals.is_goal, self.horizon, self.task.masks_eval)

    def act(
        self,
        observation: Arrays,
        *,
        masks: np.ndarray | None,
        generator: np.random.Generator | None,
        steps: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return actions (num_envs,)."""
        del generator, masks
        if steps is None:
            raise UserError("planner counts the steps left: give steps=, how many each episode has taken.")
        cell, target = self.reader.read(observation)
        left = np.maximum(self.horizon - steps, 0)
        best: np.ndarray = self.actions[left, cell, target].astype(np.int64)
        return best


def outcomes(task: "ReprogrammingTask", cell: IntArray) -> tuple[IntArray, FloatArray | None]:
    """Return where actions lead from cells (m,), (m, A, q), and with which probability; None where it is certain.

    An action that leads nowhere has no probabilities above 0.
    """
    dynamics = task.dynamics(training=False)
    if isinstance(dynamics, StochasticDynamics):
        return dynamics.outcomes(cell)
    return task.table.next[cell][:, :, None], None


def closeness(distance: IntArray) -> FloatArray:
    """Return minus the distance (n, K), -1e6 where there is no way."""
    return np.where(distance == planner.UNREACHABLE, -FAR, -distance.astype(np.float64))


def choose(score: FloatArray, masks: BoolArray | None) -> np.ndarray:
    """Return the best allowed actions (num_envs,), of equal ones the first.

    Masks may have more columns than there are scores (actions that release perturbations): these come last.
    """
    masks = np.ones(score.shape, dtype=bool) if masks is None else masks
    padded = np.full(masks.shape, -2 * NEVER)
    padded[:, : score.shape[1]] = score
    padded[~masks] = -np.inf
    best: np.ndarray = padded.argmax(axis=1)
    return best


def _expected(score: FloatArray, weight: FloatArray | None) -> FloatArray:
    """Return the mean of scores (m, A, q) over outcomes, (m, A)."""
    expected: FloatArray = score[:, :, 0] if weight is None else (score * weight).sum(axis=2)
    return expected


def _index(rows: np.ndarray) -> dict[bytes, int]:
    """Return the position of every row by its bytes as float32, of equal rows the first."""
    found: dict[bytes, int] = {}
    for place, row in enumerate(np.ascontiguousarray(rows, dtype=np.float32)):
        found.setdefault(row.tobytes(), place)
    return found


def _find(rows: np.ndarray, known: dict[bytes, int], what: str) -> IntArray:
    """Return the position of every row."""
    try:
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        return np.array([known[row.tobytes()] for row in rows], dtype=np.int64)
    except KeyError as error:
        raise UserError(
            f"An observation shows no {what} of the task: measure baselines without task.obs_noise, or use "
            "task.obs=index."
        ) from error
