"""Simple ways to choose perturbations, none of which learns by reinforcement: what a learned policy must beat.

All look one step ahead with the simulator that the task has anyway. ``random`` is the package's own, see
`bioppo.algorithms.baselines.random`.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import UserError
from ..batched import Arrays
from . import planner
from .data import BoolArray, FloatArray, IntArray
from .distance_network import fit_distances
from .dynamics.memoryless import StochasticDynamics
from .episodes.state_reader import Past, StateReader

if TYPE_CHECKING:
    from .task import ReprogrammingTask

FAR = 1e6
"""How far a cell without any way counts."""
NEVER = 1e9
"""How far a cell that must not be entered counts."""
REVISIT = 1e4
"""What a cell of the episode's past costs a policy that avoids them."""
LARGEST_GAMMA, VALUE_ERROR = 0.99, 0.01
"""Discount and error, in steps, of values that are iterated: later rewards and exacter values take ever longer."""
COMPONENTS = 30
"""Principal components that the distance network sees."""


def environment_baselines(task: "ReprogrammingTask") -> dict[str, Any]:
    """Return the baselines of a task by name.

    ``greedy`` goes to the next cell most similar to the target, ``greedy_no_revisit`` to one where it was not yet, if
    it can. ``distance_net`` goes where a network guesses the shortest way on. With the table's dynamics ``bfs`` follows
    a shortest way and ``bfs_train`` a shortest one that enters no held-out cell; with persistent perturbations they
    plan as if none persisted. With stochastic dynamics ``planner`` has the best chance of success that there is, though
    it takes its time, ``planner_steps`` expects the fewest steps, and ``planner_mean`` plans as if every action led to
    its most probable cell.
    """
    similar = task.goals.sim
    found: dict[str, Any] = {
        "greedy": LookAheadPolicy(task, similar),
        "greedy_no_revisit": NoRevisitPolicy(task, similar),
        "distance_net": DistanceNetworkPolicy(task),
    }
    if task.config.dynamics.kind == "stochastic":
        planned = {"planner": PlannerPolicy(task), "planner_steps": FewestStepsPolicy(task)}
        return found | planned | {"planner_mean": MeanPlannerPolicy(task)}
    return found | {"bfs": ShortestPathPolicy(task), "bfs_train": TrainingPathPolicy(task)}


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
        self.past = Past(task.n_cells)

    def rate(self, cell: IntArray, target: IntArray, steps: np.ndarray | None) -> FloatArray:
        """Return the score of every action; episodes at their first step have no past."""
        if steps is None:
            raise UserError("greedy_no_revisit remembers episodes: give steps=, how many each has taken.")
        reached, weight = outcomes(self.task, cell)
        been = self.past.note(cell, steps)[np.arange(len(cell))[:, None, None], reached]
        return _expected(self.score[reached, target[:, None, None]] - REVISIT * been, weight)


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


class FewestStepsPolicy(LookAheadPolicy):
    """Expect the fewest steps with stochastic dynamics, discounted as the task's shaping is."""

    def make_score(self) -> FloatArray:
        """Return the value of paying 1 for every step."""
        task = self.task
        reached, weight = outcomes(task, np.arange(task.n_cells))
        weight = np.ones(reached.shape) if weight is None else weight
        gamma = min(task.config.task.gamma, LARGEST_GAMMA)
        goals, allowed = task.goals.is_goal, task.masks_eval
        return planner.value_iteration(reached, weight, goals, gamma, tolerance=VALUE_ERROR, allowed=allowed)


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
