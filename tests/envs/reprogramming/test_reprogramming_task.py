import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.data import TEST, TRAIN, Goals
from bioppo.envs.reprogramming.episodes.goals import cosine, goals
from bioppo.envs.reprogramming.episodes.rewards import centroid_distances, reward_parts
from bioppo.envs.reprogramming.options import SplitOptions, TaskOptions
from bioppo.envs.reprogramming.task import ReprogrammingTask, warn_unreachable


@pytest.fixture(scope="module")
def golden(golden_folder):
    return np.load(golden_folder / "table_task.npz")


def with_task(table, **options):
    return ReprogrammingTask(table, ReprogrammingConfig(task=TaskOptions(**options)))


def test_goals_are_the_golden_ones(golden_task, golden):
    np.testing.assert_allclose(golden_task.goals.centroid, golden["centroid"], atol=1e-9)
    np.testing.assert_allclose(golden_task.goals.threshold, golden["threshold"], atol=1e-9)
    np.testing.assert_allclose(golden_task.goals.sim, golden["similarity"], atol=1e-9)
    np.testing.assert_array_equal(golden_task.goals.is_goal.any(axis=1), golden["goal"])
    np.testing.assert_array_equal(golden_task.nearest, golden["nearest_types"])


def test_distances_are_the_golden_ones(golden_task, golden):
    np.testing.assert_array_equal(golden_task.distance, golden["bfs"])
    np.testing.assert_array_equal(golden_task.distance_train, golden["bfs_not_entering_heldout"])


def test_goals_do_not_depend_on_cells_that_are_held_out(golden_table, golden_task):
    features = golden_table.features.copy()
    features[golden_table.split != TRAIN] += 5.0
    changed = ReprogrammingTask(replace(golden_table, features=features), golden_task.config)
    train = golden_table.split == TRAIN
    np.testing.assert_array_equal(changed.goals.centroid, golden_task.goals.centroid)
    np.testing.assert_array_equal(changed.goals.threshold, golden_task.goals.threshold)
    np.testing.assert_array_equal(changed.goals.is_goal[train], golden_task.goals.is_goal[train])


def test_goals_worked_by_hand():
    """Directions at 0, 0, 60 and 90 degrees: the last is trimmed, and the centre is the mean of the other three."""
    angles = np.deg2rad([0.0, 0.0, 60.0, 90.0])
    features = np.column_stack([np.cos(angles), np.sin(angles)])
    found = goals(features, np.zeros(4, dtype=int), np.arange(4), 1, trim_percentile=75, success_percentile=50)
    centre = features[:3].mean(axis=0)
    np.testing.assert_allclose(found.centroid, [centre])
    distance = 1 - features @ centre / np.linalg.norm(centre)
    assert found.threshold[0] == pytest.approx(np.sort(distance)[1:3].mean())
    np.testing.assert_array_equal(found.is_goal[:, 0], [True, True, False, False])


def test_a_type_with_two_training_cells_is_named(golden_table, golden_task):
    split = golden_table.split.copy()
    split[np.flatnonzero(golden_table.cluster_of_cell == 2)] = TEST
    split[np.flatnonzero(golden_table.cluster_of_cell == 2)[:2]] = TRAIN
    with pytest.raises(UserError, match=r"^Type xtype2 has 2 training cells, and a goal needs 3: lower "):
        ReprogrammingTask(replace(golden_table, split=split), golden_task.config)


def test_a_type_of_equal_cells_has_no_goal(golden_table, golden_task):
    features = golden_table.features.copy()
    features[golden_table.cluster_of_cell == 2] = features[3]
    with pytest.raises(UserError, match=r"^Type xtype2 has no goal cell, since .*: raise task.success_percentile=25,"):
        ReprogrammingTask(replace(golden_table, features=features), golden_task.config)


def test_masks_forbid_staying_and_in_training_cells_that_are_held_out(golden_task, golden_table):
    stays = golden_table.next == np.arange(120)[:, None]
    held_out = golden_table.split[golden_table.next] != TRAIN
    np.testing.assert_array_equal(golden_task.masks_eval, ~stays)
    np.testing.assert_array_equal(golden_task.masks_train, ~stays & ~held_out)
    assert golden_task.forced_train[99]
    assert 99 not in golden_task.start_cells
    never, always = with_task(golden_table, block_heldout="never"), with_task(golden_table, block_heldout="always")
    np.testing.assert_array_equal(never.masks_train, ~stays)
    np.testing.assert_array_equal(always.masks_eval, ~stays & ~held_out)
    assert never.distance_train is never.distance


def test_pairs_are_all_starts_with_all_other_types(golden_task):
    pairs = golden_task.pairs(2, 28)
    cell, target = pairs // 3, pairs % 3
    assert len(np.unique(pairs)) == len(pairs) == 2 * len(golden_task.start_cells)
    assert (golden_task.cluster_of_cell[cell] != target).all()
    assert (golden_task.split[cell] == TRAIN).all()
    nearest = golden_task.pairs(1, 28)
    np.testing.assert_array_equal(nearest % 3, golden_task.nearest[golden_task.cluster_of_cell[nearest // 3], 0])


def test_solvable_starts_can_reach_their_target_in_time(golden_table):
    task = with_task(golden_table, starts="solvable")
    for horizon in (3, 28):
        pairs = task.pairs(2, horizon)
        distance = task.distance_train[pairs // 3, pairs % 3]
        assert 0 < distance.min() <= distance.max() <= horizon
    assert len(task.pairs(2, 3)) < len(task.pairs(2, 28))


def test_pairs_in_order_of_distance(golden_task):
    pairs, counts = golden_task.pairs_by_distance
    distance = golden_task.distance_train[pairs // 3, pairs % 3]
    assert (np.diff(distance) >= 0).all()
    np.testing.assert_array_equal(counts, [(distance <= d).sum() for d in range(len(counts))])
    assert counts[-1] == len(pairs)


def test_types_held_out_are_never_trained_on(golden_table):
    config = ReprogrammingConfig(data_split=SplitOptions(holdout_types=["xtype1"]))
    task = ReprogrammingTask(golden_table, config)
    pairs = task.pairs(task.schedule.targets[-1], 28)
    assert set(pairs % 3) == {0, 2} == set(task.cluster_of_cell[pairs // 3])
    assert set(task.count_out("test").target) == {0, 1, 2}
    for types, sentence in ((["xtype9"], "choose from xtype0"), (["xtype0", "xtype1"], "leave at least two")):
        with pytest.raises(UserError, match=rf"^data_split.holdout_types=\[.*{sentence}"):
            ReprogrammingTask(golden_table, ReprogrammingConfig(data_split=SplitOptions(holdout_types=types)))


def test_evaluations_count_held_out_cells_out(golden_task, golden):
    for split, count in (("validation", 1000), ("test", 2000)):
        episodes = golden_task.count_out(split)
        cells, often = np.unique(episodes.cell, return_counts=True)
        assert len(episodes) == count
        np.testing.assert_array_equal(cells, np.sort(golden["val" if split == "validation" else split]))
        assert set(often) == {count // 14, count // 14 + 1}
        assert (np.diff(often) <= 0).all()
        own = golden_task.cluster_of_cell[episodes.cell]
        assert (episodes.target != own).all()
        for kind in range(3):
            shares = np.bincount(episodes.target[own == kind], minlength=3) / (own == kind).sum()
            np.testing.assert_allclose(np.delete(shares, kind), 0.5, atol=0.15)


def test_evaluations_depend_on_the_seed_of_the_split_alone(golden_task, golden_table):
    other = ReprogrammingTask(golden_table, ReprogrammingConfig(data_split=SplitOptions(seed=1)))
    first = golden_task.count_out("test")
    np.testing.assert_array_equal(first.target, golden_task.count_out("test").target)
    np.testing.assert_array_equal(first.cell, other.count_out("test").cell)
    assert (first.target != other.count_out("test").target).any()


def test_a_split_without_cells_is_an_error(golden_table, golden_task):
    split = np.where(golden_table.split == TEST, TRAIN, golden_table.split)
    task = ReprogrammingTask(replace(golden_table, split=split), golden_task.config)
    with pytest.raises(UserError, match=r"^The split test has no cells: raise data_split.test, or"):
        task.count_out("test")


def test_many_unreachable_pairs_warn(golden_table, golden_task):
    warn_unreachable(golden_task)
    stuck = golden_table.next.copy()
    stuck[:60] = np.arange(60)[:, None]
    task = ReprogrammingTask(replace(golden_table, next=stuck), golden_task.config)
    assert task.unreachable > 0.05
    with pytest.warns(UserWarning, match=r"^\d+\.\d% of pairs of a cell and another type have no way at all: raise"):
        warn_unreachable(task)


def test_facts_count_cells_without_action_and_are_json(golden_task):
    facts = golden_task.facts()
    assert facts["cells_without_action"]["train"] == golden_task.forced_train.sum() > 0
    assert facts["cells_of_splits"] == {"train": 92, "validation": 14, "test": 14}
    json.dumps(facts)


def test_names_of_cells_and_types_are_found(golden_task):
    assert golden_task.find_cell("xc003") == golden_task.find_cell(3) == golden_task.find_cell("3") == 3
    assert golden_task.find_type("xtype2") == golden_task.find_type(2) == 2
    with pytest.raises(UserError, match=r"^start=nobody: give the name, such as xc000, or the number below 120"):
        golden_task.find_cell("nobody")
    with pytest.raises(UserError, match=r"^target=Xtype2: choose one of xtype0, xtype1, xtype2"):
        golden_task.find_type("Xtype2")


def test_components_are_centred_on_training_cells(golden_task):
    cells, centres = golden_task.components(5)
    train = golden_task.split == TRAIN
    assert (cells.shape, centres.shape) == ((120, 5), (3, 5))
    assert cells.dtype == centres.dtype == np.float32
    np.testing.assert_allclose(cells[train].mean(axis=0), 0, atol=1e-6)
    assert cells[train].std(axis=0).mean() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(centres[1], cells[train & (golden_task.cluster_of_cell == 1)].mean(axis=0), rtol=1e-5)


@pytest.fixture
def two_cells():
    """Cells at distance 5 and 0 of one centre, the second of them a goal."""
    features = np.array([[3.0, 4.0], [0.0, 0.0]])
    return features, Goals(np.zeros((1, 2)), np.array([0.2]), np.array([[0.5], [0.9]]), np.array([[False], [True]]))


@pytest.mark.parametrize(
    ("form", "bonus", "into", "back"),
    [
        ("cosine", None, -1 + 5 * (0.8 * 0.9 - 0.5), -1 + 5 * (0.8 * 0.5 - 0.9)),
        ("cosine", 2.0, -1 + 5 * (0.8 * 0.9 - 0.5) + 2, -1 + 5 * (0.8 * 0.5 - 0.9)),
        ("pbrs_exact", None, -1 + 5 * (0 + 0.5), -1 + 5 * (0.8 * -0.5 + 0.1)),
        ("readme", None, -1 - 0 + 1, -1 - 25),
        ("sparse", None, -1, -1),
    ],
)
def test_rewards_worked_by_hand(two_cells, form, bonus, into, back):
    features, few = two_cells
    arriving, leaving = reward_parts(form, few, features, goal_bonus=bonus, gamma=0.8)
    leaving = np.zeros_like(arriving) if leaving is None else leaving
    assert arriving[1, 0] - leaving[0, 0] == pytest.approx(into)
    assert arriving[0, 0] - leaving[1, 0] == pytest.approx(back)


def test_exact_shaping_telescopes_to_the_first_potential(golden_task):
    """Discounted, the shaping of a way into a goal is minus the potential that it began with."""
    arriving, leaving = reward_parts("pbrs_exact", golden_task.goals, None, gamma=0.9, step_penalty=0.0)
    goal = np.flatnonzero(golden_task.goals.is_goal[:, 1])[0]
    way = [0, 7, 30, goal]
    total = sum(
        0.9**step * (arriving[after, 1] - leaving[before, 1]) for step, (before, after) in enumerate(pairwise(way))
    )
    assert total == pytest.approx(-5 * (golden_task.goals.sim[0, 1] - 1))


def test_distances_to_centroids_and_cosines():
    features = np.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(centroid_distances(features, np.array([[0.0, 4.0]])), [[3.0], [4.0]])
    np.testing.assert_allclose(cosine(features, np.array([[0.0, 2.0]])), [[0.8], [0.0]])
