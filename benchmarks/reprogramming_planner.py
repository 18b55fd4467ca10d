"""Speed of exact planning over transition tables, against SciPy's graph search.

Run ``python benchmarks/reprogramming_planner.py`` on an idle machine, with one thread. Cells lie in the unit square and
actions are short moves, so that tables have as many different neighbours and as long ways as simulated ones.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from bioppo.envs.reprogramming.planner import bfs, max_success, optimal_actions

REPEATS = 3
ACTIONS, TARGETS, OUTCOMES, HORIZON = 216, 30, 8, 20
MOVE, GOAL = 0.012, 0.02
"""Deviation of a move and radius of a goal, in the unit square."""

IntArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]


def main() -> None:
    """Print a line per question."""
    table, goals = draw_table(30_000)
    distance = bfs(table, goals)
    print(f"longest way {distance.max()}, neighbours {np.mean([len(np.unique(row)) for row in table[:500]]):.0f}")
    print(
        f"bfs, {len(table)} cells x {ACTIONS} actions x {TARGETS} targets: {seconds(lambda: bfs(table, goals)):.2f} s"
    )
    print(f"  the same by SciPy: {seconds(lambda: scipy_distances(table, goals), 1):.2f} s")
    assert np.array_equal(distance, scipy_distances(table, goals))
    print(f"optimal actions of one target: {seconds(lambda: optimal_actions(table, distance, 0)):.3f} s")
    small, small_goals = draw_table(2_000)
    neighbours = small[:, (np.arange(ACTIONS)[:, None] + np.arange(OUTCOMES)) % ACTIONS]
    probability = np.random.default_rng(1).dirichlet(np.ones(OUTCOMES), neighbours.shape[:2])
    spent = seconds(lambda: max_success(neighbours, probability, small_goals[:, :12], HORIZON))
    print(f"backward induction, {len(small)} cells x 12 targets x {OUTCOMES} outcomes, {HORIZON} steps: {spent:.2f} s")


def draw_table(cells: int) -> tuple[IntArray, BoolArray]:
    """Return next cells (n, A) and goal cells (n, K)."""
    generator = np.random.default_rng(0)
    scale = (30_000 / cells) ** 0.5
    place = generator.uniform(size=(cells, 2))
    moves = generator.normal(0.0, MOVE * scale, (cells, ACTIONS, 2))
    table = cKDTree(place).query(place[:, None] + moves)[1].astype(np.int32)
    centre = generator.uniform(size=(TARGETS, 1, 2))
    goals = ((place - centre) ** 2).sum(axis=2) < (GOAL * scale) ** 2
    return table, goals.T


def scipy_distances(table: IntArray, goals: BoolArray) -> NDArray[np.int16]:
    """Search the reversed graph from a further node per target, from which all its goals are one step away."""
    cells, targets = goals.shape
    goal, target = np.nonzero(goals)
    begin = np.concatenate([table.ravel(), cells + target])
    end = np.concatenate([np.repeat(np.arange(cells), table.shape[1]), goal])
    size = cells + targets
    graph = sparse.csr_array((np.ones(len(begin)), (begin, end)), shape=(size, size))
    hops = sparse.csgraph.dijkstra(graph, unweighted=True, indices=np.arange(cells, size))[:, :cells].T
    return np.where(np.isinf(hops), -1, hops - 1).astype(np.int16)


def seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median processor time of a piece of work."""
    spent = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return statistics.median(spent)


if __name__ == "__main__":
    main()
