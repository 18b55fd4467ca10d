"""Exact answers where the table is finished: shortest ways, best chances and best values, for all targets at once.

Letters as in `data`; q is the number of cells that a stochastic action may lead to.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ... import UserError
from .data import BoolArray, FloatArray, IntArray

UNREACHABLE = -1
"""The distance of a cell from which no sequence of actions leads to a goal."""
WORD = 64
"""Targets searched together, a bit each."""
BLOCK_VALUES = 20_000_000
"""Expected values held at once by backward induction, 160 MB."""
TIE = 1e-12
"""Chances of success nearer than this count as equal, so that the rounding of sums chooses no action."""


def bfs(next_cell: IntArray, goals: BoolArray, forbidden: BoolArray | None = None) -> NDArray[np.int16]:
    """Return the fewest actions from every cell to a goal cell of every type.

    All types are searched at once: a word per cell has a bit for each type that is reached within the steps so far,
    and a step of the search gives a cell all bits of the cells that its actions lead to.

    Parameters
    ----------
    next_cell
        (n, A): the cell that each action leads to.
    goals
        (n, K), or (n,) for one target.
    forbidden
        (n,): cells that are never entered, not even as goals; a way may begin in one.

    Returns
    -------
    (n, K) int16, or (n,): 0 in goal cells, -1 where there is no way.
    """
    next_cell = np.asarray(next_cell)
    goals = np.asarray(goals, dtype=bool)
    if goals.ndim == 1:
        return bfs(next_cell, goals[:, None], forbidden)[:, 0]
    check_cells(next_cell, len(goals))
    columns = np.ascontiguousarray(next_cell.T, dtype=np.intp)
    enterable = None if forbidden is None else ~np.asarray(forbidden, dtype=bool)
    parts = [
        _search_word(columns, goals[:, first : first + WORD], enterable) for first in range(0, goals.shape[1], WORD)
    ]
    return np.concatenate(parts, axis=1) if parts else np.zeros(goals.shape, dtype=np.int16)


def _search_word(columns: NDArray[np.intp], goals: BoolArray, enterable: BoolArray | None) -> NDArray[np.int16]:
    """Search at most 64 targets; ``columns`` (A, n) are the next cells, action by action."""
    bit = np.left_shift(np.uint64(1), np.arange(goals.shape[1], dtype=np.uint64))
    everything = np.bitwise_or.reduce(bit)
    reached = np.bitwise_or.reduce(np.where(goals, bit, np.uint64(0)), axis=1)
    distance = np.where(goals, 0, UNREACHABLE).astype(np.int16)
    open_cells = np.arange(len(goals))
    level = 0
    while True:
        level += 1
        still_open = reached[open_cells] != everything
        if not still_open.all():
            open_cells = open_cells[still_open]
            columns = columns[:, still_open]
        seen = reached if enterable is None else np.where(enterable, reached, np.uint64(0))
        found = np.zeros(len(open_cells), dtype=np.uint64)
        for column in columns:
            found |= seen[column]
        found &= ~reached[open_cells]
        fresh = found != 0
        if not fresh.any():
            return distance
        if level > np.iinfo(np.int16).max:
            raise UserError(f"A shortest way has more than {level - 1} steps: check the transition table.")
        cells, bits = open_cells[fresh], found[fresh]
        distance[cells] = np.where(bits[:, None] & bit != 0, np.int16(level), distance[cells])
        reached[cells] |= bits


def optimal_actions(
    next_cell: IntArray, distance: IntArray, target: int, forbidden: BoolArray | None = None
) -> BoolArray:
    """Return which actions begin a shortest way to one type, (n, A): all of them; none in goals and hopeless cells.

    Parameters
    ----------
    next_cell
        (n, A).
    distance
        (n, K) of `bfs`, with the same ``forbidden``.
    target
        Column of ``distance``.
    forbidden
        (n,): cells that are never entered.
    """
    column = distance[:, target]
    optimal: BoolArray = (column[next_cell] == column[:, None] - 1) & (column > 0)[:, None]
    if forbidden is not None:
        optimal &= ~forbidden[next_cell]
    return optimal


def max_success(
    neighbours: IntArray, probability: FloatArray, goals: BoolArray, horizon: int, allowed: BoolArray | None = None
) -> FloatArray:
    """Return the largest probability of reaching a goal within every number of steps, by backward induction.

    Parameters
    ----------
    neighbours, probability
        (n, A, q): where actions lead and how likely; probabilities of an action sum to 1.
    goals
        (n, K), or (n,) for one target; a goal ends the episode.
    horizon
        Most steps.
    allowed
        (n, A): actions that may be taken; a cell without any stays for ever.

    Returns
    -------
    (horizon + 1, n, K) float64, or (horizon + 1, n): row h is the chance with h steps left.
    """
    goals = np.asarray(goals, dtype=bool)
    if goals.ndim == 1:
        return max_success(neighbours, probability, goals[:, None], horizon, allowed)[..., 0]
    moves = transition_matrix(neighbours, probability)
    chance = np.zeros((horizon + 1, *goals.shape))
    chance[0] = goals
    for left in range(1, horizon + 1):
        best, _ = _best(moves, chance[left - 1], neighbours.shape[1], allowed, stay=0.0)
        chance[left] = np.where(goals, 1.0, best)
    return chance


def success_policy(
    neighbours: IntArray, probability: FloatArray, goals: BoolArray, horizon: int, allowed: BoolArray | None = None
) -> NDArray[np.int16]:
    """Return the actions that reach `max_success`, (horizon + 1, n, K) int16: row h with h steps left.

    Of equally good actions the first is taken, and row 0 equals row 1.
    """
    moves = transition_matrix(neighbours, probability)
    chosen = np.zeros((horizon + 1, *goals.shape), dtype=np.int16)
    chance = goals.astype(np.float64)
    for left in range(1, horizon + 1):
        best, chosen[left] = _best(moves, chance, neighbours.shape[1], allowed, stay=0.0)
        chance = np.where(goals, 1.0, best)
    chosen[0] = chosen[min(1, horizon)]
    return chosen


def value_iteration(
    neighbours: IntArray,
    probability: FloatArray,
    goals: BoolArray,
    gamma: float,
    *,
    step_reward: float = -1.0,
    tolerance: float = 1e-12,
    allowed: BoolArray | None = None,
) -> FloatArray:
    """Return the value of the best policy that is paid ``step_reward`` for every step until a goal is reached.

    V(s) = max_a r + gamma sum_s' p(s' | s, a) V(s'), and 0 in goals. Iterated until the error's bound
    gamma / (1 - gamma) times the largest change is below ``tolerance``.

    Parameters
    ----------
    neighbours, probability, goals, allowed
        As in `max_success`.
    gamma
        Discount, below 1.
    """
    if not 0 <= gamma < 1:
        raise UserError(f"gamma={gamma}: value iteration needs a discount of at least 0 and below 1.")
    goals = np.asarray(goals, dtype=bool)
    if goals.ndim == 1:
        column = goals[:, None]
        keywords = {"step_reward": step_reward, "tolerance": tolerance}
        return value_iteration(neighbours, probability, column, gamma, allowed=allowed, **keywords)[:, 0]
    moves = transition_matrix(neighbours, probability)
    stay = step_reward / (1 - gamma)
    value = np.zeros(goals.shape)
    while True:
        best, _ = _best(moves, value, neighbours.shape[1], allowed, stay=(stay - step_reward) / gamma if gamma else 0.0)
        improved = np.where(goals, 0.0, step_reward + gamma * best)
        change = float(np.abs(improved - value).max(initial=0.0))
        value = improved
        if gamma * change <= tolerance * (1 - gamma):
            return value


def transition_matrix(neighbours: IntArray, probability: FloatArray) -> sparse.csr_array:
    """Return the probabilities as a sparse matrix (n A, n), a row for every action of every cell."""
    cells, actions, outcomes = neighbours.shape
    check_cells(neighbours, cells)
    begins = np.arange(0, neighbours.size + 1, outcomes)
    values = np.asarray(probability, dtype=np.float64).ravel()
    return sparse.csr_array((values, neighbours.ravel(), begins), shape=(cells * actions, cells))


def check_cells(next_cell: IntArray, cells: int) -> None:
    """Raise UserError unless a table has a row for each of the cells and leads to these cells alone."""
    if len(next_cell) != cells:
        raise UserError(f"The table has {len(next_cell)} cells and the goals {cells}: both need the same cells.")
    if next_cell.size and not (next_cell.min() >= 0 and next_cell.max() < cells):
        wrong = next_cell[(next_cell < 0) | (next_cell >= cells)]
        raise UserError(f"The table leads to cell {wrong[0]}, and there are {cells}: rebuild it for these cells.")


def _best(
    moves: sparse.csr_array, value: FloatArray, actions: int, allowed: BoolArray | None, *, stay: float
) -> tuple[FloatArray, IntArray]:
    """Return the largest expected value (n, K) over actions, and the first action that has it.

    ``stay`` is the value of cells without an allowed action.
    """
    cells, targets = value.shape
    best = np.empty((cells, targets))
    chosen = np.empty((cells, targets), dtype=np.intp)
    rows = max(1, BLOCK_VALUES // max(1, actions * targets))
    for first in range(0, cells, rows):
        part = slice(first, min(first + rows, cells))
        expected = moves[part.start * actions : part.stop * actions] @ value
        expected = expected.reshape(-1, actions, targets)
        if allowed is not None:
            expected[~allowed[part]] = -np.inf
        top = expected.max(axis=1)
        chosen[part] = (expected >= top[:, None] - TIE).argmax(axis=1)
        best[part] = np.where(np.isneginf(top), stay, top)
    return best, chosen
