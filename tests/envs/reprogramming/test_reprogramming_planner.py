"""The planner against SciPy's shortest paths, golden values and cases worked by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from bioppo import UserError
from bioppo.envs.reprogramming.planner import bfs, max_success, optimal_actions, success_policy, value_iteration

GOLDEN = Path(__file__).parents[2] / "data" / "reprogramming"


def test_distances_and_optimal_actions_equal_the_golden_random_table() -> None:
    with np.load(GOLDEN / "bfs_random.npz") as golden:
        distance = bfs(golden["table"], golden["goal_sets"])
        assert distance.dtype == np.int16
        np.testing.assert_array_equal(distance, golden["distance"])
        around = bfs(golden["table"], golden["goal_sets"], golden["forbidden"])
        np.testing.assert_array_equal(around, golden["distance_forbidden"])
        for target, optimal in enumerate(golden["optimal"]):
            np.testing.assert_array_equal(optimal_actions(golden["table"], distance, target), optimal)


def test_distances_and_optimal_actions_equal_those_of_simulated_cells() -> None:
    with np.load(GOLDEN / "table_task.npz") as golden:
        table, goals = golden["table_gain1p5"], golden["bfs"] == 0
        distance = bfs(table, goals)
        np.testing.assert_array_equal(distance, golden["bfs"])
        held_out = ~np.isin(np.arange(len(table)), golden["train"])
        np.testing.assert_array_equal(bfs(table, goals, held_out), golden["bfs_not_entering_heldout"])
        np.testing.assert_array_equal(optimal_actions(table, distance, 0), golden["optimal_actions_target0"])


def random_table(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a table with an island, dead ends and forbidden cells, and its goals."""
    generator = np.random.default_rng(seed)
    cells, actions, targets = generator.integers(5, 60), generator.integers(1, 6), generator.integers(1, 70)
    table = generator.integers(0, cells, (cells, actions))
    island = cells // 3
    table[:island] = generator.integers(0, max(1, island), (island, actions))
    dead = generator.random(cells) < 0.2
    table[dead] = np.flatnonzero(dead)[:, None]
    return table, generator.random((cells, targets)) < 0.08, generator.random(cells) < 0.2


def scipy_distances(table: np.ndarray, goals: np.ndarray, forbidden: np.ndarray | None) -> np.ndarray:
    cells, actions = table.shape
    start, end = np.repeat(np.arange(cells), actions), table.ravel()
    if forbidden is not None:
        start, end = start[~forbidden[end]], end[~forbidden[end]]
    graph = sparse.csr_array((np.ones(len(start)), (start, end)), shape=(cells, cells))
    hops = sparse.csgraph.shortest_path(graph, unweighted=True)
    least = np.min(np.where(goals[None], hops[:, :, None], np.inf), axis=1)
    return np.where(np.isinf(least), -1, least)


def test_distances_equal_those_of_scipy_on_a_hundred_tables() -> None:
    unreachable = 0
    for seed in range(100):
        table, goals, forbidden = random_table(seed)
        for closed in (None, forbidden):
            expected = scipy_distances(table, goals, closed)
            np.testing.assert_array_equal(bfs(table, goals, closed), expected)
            unreachable += int((expected < 0).sum())
    assert unreachable > 1000


def test_optimal_actions_lead_one_step_nearer_and_never_into_forbidden_cells() -> None:
    table, goals, forbidden = random_table(3)
    distance = bfs(table, goals, forbidden)
    optimal = optimal_actions(table, distance, 0, forbidden)
    np.testing.assert_array_equal(optimal.any(axis=1), distance[:, 0] > 0)
    cells, actions = np.nonzero(optimal)
    reached = table[cells, actions]
    assert not forbidden[reached].any()
    np.testing.assert_array_equal(distance[reached, 0], distance[cells, 0] - 1)


def test_a_forbidden_cell_may_be_left_and_not_entered() -> None:
    table = np.array([[1], [2], [2]])
    goals = np.array([False, False, True])
    np.testing.assert_array_equal(bfs(table, goals), [2, 1, 0])
    np.testing.assert_array_equal(bfs(table, goals, np.array([False, True, False])), [-1, 1, 0])


def test_a_table_for_other_cells_is_refused() -> None:
    with pytest.raises(UserError, match="leads to cell 3"):
        bfs(np.array([[1], [3]]), np.array([True, False]))
    with pytest.raises(UserError, match="2 cells and the goals 3"):
        bfs(np.array([[1], [0]]), np.array([True, False, False]))


def test_chances_and_values_equal_the_golden_ones() -> None:
    with np.load(GOLDEN / "stochastic_small.npz") as golden:
        neighbours, probability, goal = golden["neighbours"], golden["prob"], golden["goal"]
        chance = max_success(neighbours, probability, goal, 20)
        np.testing.assert_allclose(chance, golden["max_success_probability"], rtol=0, atol=1e-9)
        value = value_iteration(neighbours, probability, goal, float(golden["gamma"]))
        np.testing.assert_allclose(value, golden["value_step_cost"], rtol=0, atol=1e-9)


def test_the_policy_of_backward_induction_earns_its_chances() -> None:
    with np.load(GOLDEN / "stochastic_small.npz") as golden:
        neighbours, probability, goal = golden["neighbours"], golden["prob"], golden["goal"]
    goals = np.stack([goal, ~goal], axis=1)
    chance = max_success(neighbours, probability, goals, 6)
    policy = success_policy(neighbours, probability, goals, 6)
    cell = np.arange(len(goal))
    earned = goals.astype(float)
    for left in range(1, 7):
        for target in range(2):
            action = policy[left, :, target]
            followed = (probability[cell, action] * earned[neighbours[cell, action], target]).sum(axis=1)
            earned[:, target] = np.where(goals[:, target], 1.0, followed)
        np.testing.assert_allclose(earned, chance[left], atol=1e-9)


def test_a_certain_table_has_chances_of_its_distances() -> None:
    table, goals, _ = random_table(5)
    certain = max_success(table[:, :, None], np.ones((*table.shape, 1)), goals, 8)
    distance = bfs(table, goals)
    for horizon in range(9):
        np.testing.assert_array_equal(certain[horizon], (distance >= 0) & (distance <= horizon))
    value = value_iteration(table[:, :, None], np.ones((*table.shape, 1)), goals, 0.9)
    hops = np.where(distance < 0, np.inf, distance.astype(float))
    np.testing.assert_allclose(value, -(1 - 0.9**hops) / (1 - 0.9), atol=1e-9)


def test_a_cell_without_an_allowed_action_stays() -> None:
    neighbours, probability = np.array([[[1], [0]], [[1], [1]]]), np.ones((2, 2, 1))
    goal = np.array([False, True])
    closed = np.array([[False, False], [True, True]])
    np.testing.assert_array_equal(max_success(neighbours, probability, goal, 3, closed)[-1], [0, 1])
    np.testing.assert_allclose(value_iteration(neighbours, probability, goal, 0.5, allowed=closed), [-2, 0])
    with pytest.raises(UserError, match="gamma=1"):
        value_iteration(neighbours, probability, goal, 1.0)
