"""Baselines in the golden task and in worked tables: they keep to masks, and planners are as good as planned."""

import dataclasses

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.reprogramming.baselines import (
    DistanceNetworkPolicy,
    LookAheadPolicy,
    NoRevisitPolicy,
    PlannerPolicy,
    ShortestPathPolicy,
    TrainingPathPolicy,
    choose,
    environment_baselines,
)
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.data import Table
from bioppo.envs.reprogramming.distance_network import fit_distances
from bioppo.envs.reprogramming.episodes.state_reader import StateReader
from bioppo.envs.reprogramming.options import DynamicsOptions
from bioppo.envs.reprogramming.planner import bfs, max_success
from bioppo.envs.reprogramming.task import ReprogrammingTask

HORIZON = 20


def index(cell: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.stack([cell, target, np.zeros_like(cell), np.zeros_like(cell)], axis=1).astype(np.int32)


def all_pairs(task: ReprogrammingTask) -> tuple[np.ndarray, np.ndarray]:
    """Every cell with every other type."""
    cell, target = np.divmod(np.arange(task.n_cells * task.n_types), task.n_types)
    other = target != task.cluster_of_cell[cell]
    return cell[other], target[other]


def follow(task: ReprogrammingTask, policy, cell: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Play episodes in the table; return cells (H + 1, m) and lengths (m,), 0 without success."""
    allowed = task.masks_eval | ~task.masks_eval.any(axis=1, keepdims=True)
    ways, length = [cell], np.zeros(len(cell), dtype=np.int64)
    for step in range(HORIZON):
        masks = allowed[ways[-1]]
        action = policy.act(index(ways[-1], target), masks=masks, generator=None, steps=np.full(len(cell), step))
        assert masks[np.arange(len(cell)), action].all()
        done = task.goals.is_goal[ways[-1], target]
        ways.append(np.where(done, ways[-1], task.table.next[ways[-1], action]))
        length[~done & task.goals.is_goal[ways[-1], target]] = step + 1
    return np.array(ways), length


def test_a_shortest_way_is_followed_from_every_cell(golden_task: ReprogrammingTask) -> None:
    cell, target = all_pairs(golden_task)
    _, length = follow(golden_task, ShortestPathPolicy(golden_task), cell, target)
    distance = golden_task.distance[cell, target]
    assert (distance > 2).any()
    np.testing.assert_array_equal(length, np.maximum(distance, 0))


def test_the_way_of_training_enters_no_held_out_cell(golden_task: ReprogrammingTask) -> None:
    cell, target = all_pairs(golden_task)
    ways, length = follow(golden_task, TrainingPathPolicy(golden_task), cell, target)
    distance = bfs(golden_task.table.next, golden_task.goals.is_goal, golden_task.heldout)[cell, target]
    ways, length, reachable = ways[:, distance >= 0], length[distance >= 0], distance[distance >= 0]
    np.testing.assert_array_equal(length, reachable)
    assert not golden_task.heldout[ways[1:]][ways[1:] != ways[:-1]].any()
    assert (reachable > golden_task.distance[cell, target][distance >= 0]).any()


def test_greedy_goes_to_the_most_similar_next_cell(golden_task: ReprogrammingTask) -> None:
    cell, target = all_pairs(golden_task)
    allowed = golden_task.masks_eval[cell]
    rows = allowed.any(axis=1)
    cell, target, allowed = cell[rows], target[rows], allowed[rows]
    policy = LookAheadPolicy(golden_task, golden_task.goals.sim)
    action = policy.act(index(cell, target), masks=allowed, generator=None)
    for row in range(0, len(cell), 17):
        reached = golden_task.table.next[cell[row]][allowed[row]]
        best = golden_task.goals.sim[reached, target[row]].max()
        assert golden_task.goals.sim[golden_task.table.next[cell[row], action[row]], target[row]] == best


def test_without_revisits_no_cell_is_seen_twice_while_there_is_another(golden_task: ReprogrammingTask) -> None:
    cell, target = all_pairs(golden_task)
    policy = NoRevisitPolicy(golden_task, golden_task.goals.sim)
    ways, length = follow(golden_task, policy, cell, target)
    greedy = follow(golden_task, LookAheadPolicy(golden_task, golden_task.goals.sim), cell, target)[1]
    assert (length > 0).sum() > (greedy > 0).sum()
    fresh_left = 0
    for copy in range(0, len(cell), 7):
        last = length[copy] or HORIZON
        for step in range(last):
            here = ways[step, copy]
            past = set(ways[: step + 1, copy].tolist())
            others = set(golden_task.table.next[here][golden_task.masks_eval[here]].tolist()) - past
            if others:
                fresh_left += 1
                assert ways[step + 1, copy] not in past
    assert fresh_left > 100


def test_memory_is_of_one_episode_of_one_copy(golden_task: ReprogrammingTask) -> None:
    policy = NoRevisitPolicy(golden_task, golden_task.goals.sim)
    cell, target = (part[:40] for part in all_pairs(golden_task))
    masks = golden_task.masks_eval[cell]
    fresh = policy.act(index(cell, target), masks=masks, generator=None, steps=np.zeros(40))
    reached = golden_task.table.next[cell, fresh]
    policy.act(index(reached, target), masks=golden_task.masks_eval[reached], generator=None, steps=np.ones(40))
    steps = np.where(np.arange(40) < 20, 0, 2)
    again = policy.act(index(cell, target), masks=masks, generator=None, steps=steps)
    np.testing.assert_array_equal(again[:20], fresh[:20])
    assert (golden_task.table.next[cell, again] != reached)[20:].any()
    with pytest.raises(UserError, match="give steps="):
        policy.act(index(cell, target), masks=masks, generator=None)


def test_the_distance_network_learns_distances(golden_task: ReprogrammingTask) -> None:
    policy = DistanceNetworkPolicy(golden_task)
    train = ~golden_task.heldout
    distance = golden_task.distance_train[train].astype(float)
    distance[distance < 0] = distance.max() + 1
    error = (-policy.score[train] - distance).std() / distance.std()
    assert error < 0.3


def test_the_distance_network_is_the_same_for_one_seed(golden_task: ReprogrammingTask) -> None:
    cells, centres = golden_task.components(20)
    known = np.ones(golden_task.n_types, dtype=bool)
    once, twice, other = (
        fit_distances(cells, centres, golden_task.distance, ~golden_task.heldout, known, seed=seed, updates=20)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(once, twice)
    assert (once != other).all()


def test_the_distance_network_answers_for_types_that_were_held_out() -> None:
    generator = np.random.default_rng(0)
    cells, targets = generator.normal(size=(400, 3)), generator.normal(size=(12, 3))
    distance = np.round(4 * np.linalg.norm(cells[:, None] - targets, axis=2)).astype(int)
    known = np.arange(12) > 0
    guess = fit_distances(cells, targets, distance, np.ones(400, dtype=bool), known, updates=300)
    assert np.corrcoef(guess[:, 0], distance[:, 0])[0, 1] > 0.5
    with pytest.raises(UserError, match="0 training cells"):
        fit_distances(cells, targets, distance, np.zeros(400, dtype=bool), known)


def test_baselines_read_cells_from_expression_and_components(golden_task: ReprogrammingTask) -> None:
    cell, target = all_pairs(golden_task)
    unique = {row.tobytes(): place for place, row in reversed(list(enumerate(golden_task.expression)))}
    first = np.array([unique[golden_task.expression[place].tobytes()] for place in cell])
    reader = StateReader(golden_task)
    centroid = golden_task.goals.centroid.astype(np.float32)
    seen = {"current_expression": golden_task.expression[cell], "target_expression": centroid[target]}
    for read, expected in zip(reader.read(seen), (first, target), strict=True):
        np.testing.assert_array_equal(read, expected)
    cells, centres = golden_task.components(golden_task.config.task.features)
    read_cell, read_target = reader.read(np.concatenate([cells[cell], centres[target]], axis=1))
    np.testing.assert_array_equal(cells[read_cell], cells[cell])
    np.testing.assert_array_equal(read_target, target)
    with pytest.raises(UserError, match="shows no cell"):
        reader.read(seen | {"current_expression": seen["current_expression"] + 1})


def test_actions_beyond_the_table_are_the_last_resort() -> None:
    score = np.array([[1.0, 3.0], [1.0, 3.0], [1.0, 3.0]])
    masks = np.array([[True, True, True], [True, False, True], [False, False, True]])
    np.testing.assert_array_equal(choose(score, masks), [1, 0, 2])
    np.testing.assert_array_equal(choose(score, None), [1, 1, 1])


@pytest.fixture
def stochastic_task(golden_table: Table) -> ReprogrammingTask:
    """The golden cells with three outcomes for every action: the table's, and those of the next two actions."""
    following = golden_table.next
    neighbours = np.stack([following, np.roll(following, 1, axis=1), np.roll(following, 2, axis=1)], axis=2)
    probability = np.broadcast_to(np.array([0.5, 0.3, 0.2], dtype=np.float16), neighbours.shape)
    table = dataclasses.replace(golden_table, neighbours=neighbours, probability=probability)
    return ReprogrammingTask(table, ReprogrammingConfig(dynamics=DynamicsOptions(kind="stochastic", top_q=3)))


def test_the_planner_reaches_its_chance_and_the_mean_model_less(stochastic_task: ReprogrammingTask) -> None:
    task = stochastic_task
    dynamics = task.dynamics(training=False)
    reached, weight = dynamics.outcomes(np.arange(task.n_cells))
    np.testing.assert_allclose(weight.sum(axis=2)[task.masks_eval], 1.0)
    chance = max_success(reached, weight, task.goals.is_goal, HORIZON, task.masks_eval)[HORIZON]
    cell, target = all_pairs(task)
    copies = 20
    start, target = np.repeat(cell, copies), np.repeat(target, copies)
    expected, shares, lengths = chance[start, target].mean(), {}, {}
    allowed = task.masks_eval | ~task.masks_eval.any(axis=1, keepdims=True)
    for name, policy in environment_baselines(task).items():
        generator, here = np.random.default_rng(0), start
        done, taken = np.zeros(len(start), dtype=bool), np.zeros(len(start))
        for step in range(HORIZON):
            seen, steps = index(here, target), np.full(len(here), step)
            action = policy.act(seen, masks=allowed[here], generator=None, steps=steps)
            moved = dynamics.move(here, action, generator.random((len(here), 1)))
            here = np.where(done, here, moved)
            done |= task.goals.is_goal[here, target]
            taken += ~done
        shares[name], lengths[name] = done.mean(), taken.mean()
    assert shares["planner"] == pytest.approx(expected, abs=3 * 0.5 / len(start) ** 0.5)
    assert max(shares.values()) == pytest.approx(shares["planner"], abs=0.02)
    assert lengths["planner_steps"] == min(lengths[name] for name in ("planner", "planner_steps", "planner_mean"))
    for name in ("planner_steps", "planner_mean"):
        assert 0.5 * shares["planner"] < shares[name]


def test_the_planner_knows_when_time_runs_out(stochastic_task: ReprogrammingTask) -> None:
    cell, target = all_pairs(stochastic_task)
    masks = stochastic_task.masks_eval[cell]
    policy = PlannerPolicy(stochastic_task)
    early, late = (
        policy.act(index(cell, target), masks=masks, generator=None, steps=np.full(len(cell), steps))
        for steps in (0, HORIZON - 1)
    )
    assert (early != late).any()
    beyond = policy.act(index(cell, target), masks=masks, generator=None, steps=np.full(len(cell), 99))
    np.testing.assert_array_equal(beyond, late)
    with pytest.raises(UserError, match="steps left"):
        policy.act(index(cell, target), masks=masks, generator=None)


def test_baselines_of_the_table_have_their_names(golden_task: ReprogrammingTask) -> None:
    found = environment_baselines(golden_task)
    assert list(found) == ["greedy", "greedy_no_revisit", "distance_net", "bfs", "bfs_train"]
