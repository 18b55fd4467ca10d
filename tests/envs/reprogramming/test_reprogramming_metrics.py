"""Measures of episodes against golden values and ways counted by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from bioppo import UserError
from bioppo.algorithms.baselines.random import RandomPolicy
from bioppo.cli.sweeper import read_reference
from bioppo.envs.evaluation import Trajectories
from bioppo.envs.reprogramming.baselines import LookAheadPolicy, ShortestPathPolicy
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.environment import ReprogrammingVectorEnv
from bioppo.envs.reprogramming.evaluation import METRICS, SCALARS, horizon_table, measure, name_bins
from bioppo.envs.reprogramming.metrics import (
    activation_fraction,
    count_revisits,
    count_self_loops,
    evaluate,
    learning_curve_area,
    measure_episodes,
    summarise,
)
from bioppo.envs.reprogramming.options import SplitOptions, TaskOptions
from bioppo.envs.reprogramming.task import ReprogrammingTask

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "reprogramming" / "metrics.json").read_text())


def long_form(paths: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    episode = np.repeat(np.arange(len(paths)), [len(path) - 1 for path in paths])
    cell = np.concatenate([path[:-1] for path in paths])
    return episode, cell, np.concatenate([path[1:] for path in paths])


def test_the_area_under_the_golden_curve() -> None:
    steps, success = np.array(GOLDEN["aulc"]["history"]).T
    assert learning_curve_area(steps, success) == pytest.approx(GOLDEN["aulc"]["expected"], abs=1e-12)


def test_the_area_of_certain_success_begins_at_nothing() -> None:
    assert learning_curve_area([10, 20], [1.0, 1.0]) == pytest.approx(0.75)
    for steps, success in (([], []), ([2, 1], [0, 1]), ([1, 2], [0])):
        with pytest.raises(UserError, match="has no area"):
            learning_curve_area(steps, success)


def test_the_golden_share_of_activations() -> None:
    golden = GOLDEN["activation"]
    activates = np.arange(golden["n_actions"]) >= golden["n_actions"] // 2
    assert activation_fraction(np.array(golden["actions"]), activates) == pytest.approx(golden["expected"], abs=1e-12)


def test_golden_revisits_and_self_loops() -> None:
    ways = long_form(GOLDEN["repeats"]["paths"])
    np.testing.assert_array_equal(count_revisits(*ways), GOLDEN["repeats"]["expected_revisits"])
    np.testing.assert_array_equal(count_self_loops(*ways), GOLDEN["repeats"]["expected_self_loops"])


@pytest.fixture
def measures() -> dict[str, np.ndarray]:
    """Three ways to cell 0 from which cell c is c steps away, and cell 9 cut off: direct, with a detour, lost."""
    episode, cell, reached = long_form([[2, 1, 0], [2, 3, 3, 2, 1, 0], [1, 9, 9, 9], [9, 9]])
    distance = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, -1])
    activation = np.array([True, False, False, False, False, False, True, False, False, False, True])
    success = reached == 0
    return measure_episodes(episode, cell, reached, distance[cell], distance[reached], success, activation, horizon=6)


def test_measures_of_ways_counted_by_hand(measures: dict[str, np.ndarray]) -> None:
    expected = {
        "optimal_length": [2, 2, 1, -1],
        "solvable": [True, True, True, False],
        "success": [True, True, False, False],
        "length": [2, 5, 3, 1],
        "length_ratio": [1.0, 2.5, np.nan, np.nan],
        "spl": [1.0, 0.4, 0.0, 0.0],
        "regret": [0.0, 3.0, 8.0, np.nan],
        "optimal_steps": [2, 3, 0, 0],
        "decided_steps": [2, 5, 1, 0],
        "activations": [1, 1, 0, 1],
        "revisits": [0, 2, 2, 1],
        "self_loops": [0, 1, 2, 1],
    }
    assert measures.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(measures[key], values, err_msg=key)


def test_means_over_these_ways(measures: dict[str, np.ndarray]) -> None:
    assert summarise(measures) == pytest.approx(
        {
            "success": 0.5,
            "success_solvable": 2 / 3,
            "solvable": 0.75,
            "length": 3.5,
            "length_ratio": 1.75,
            "spl": 0.35,
            "regret": 11 / 3,
            "optimal_share": 5 / 8,
            "activation": 3 / 11,
            "revisits": 5 / 4,
            "self_loops": 1.0,
        }
    )


def test_what_no_episode_defines_is_left_out(measures: dict[str, np.ndarray]) -> None:
    hopeless = {key: values[3:] for key, values in measures.items()}
    left_out = {"success_solvable", "length", "length_ratio", "regret", "optimal_share"}
    assert summarise(measures).keys() - summarise(hopeless).keys() == left_out


def test_a_shortest_way_scores_best_on_held_out_cells(golden_task: ReprogrammingTask) -> None:
    found = evaluate(ShortestPathPolicy(golden_task), golden_task, "test", episodes=300)
    assert found.scalars["success_solvable"] == 1
    assert found.scalars["success"] == found.scalars["solvable"] == pytest.approx(found.scalars["spl"])
    assert found.scalars["length_ratio"] == found.scalars["optimal_share"] == 1
    assert found.scalars["regret"] == found.scalars["revisits"] == found.scalars["self_loops"] == 0
    assert found.scalars.keys() <= set(SCALARS)
    episodes = found.episodes
    won = episodes[episodes["success"]]
    np.testing.assert_array_equal(won["length"], won["optimal_length"])
    assert (golden_task.split[episodes["start"]] == 2).all()
    assert (episodes["start_type"] != episodes["target_type"]).all()


@pytest.mark.parametrize("obs", ["dict", "features"])
def test_planners_see_the_same_whatever_is_observed(golden_task: ReprogrammingTask, obs: str) -> None:
    config = ReprogrammingConfig(task=TaskOptions(gamma=0.9831, obs=obs, features=10))
    task = ReprogrammingTask(golden_task.table, config)
    found = evaluate(ShortestPathPolicy(task), task, "test", episodes=100)
    assert found.scalars == evaluate(ShortestPathPolicy(golden_task), golden_task, "test", episodes=100).scalars


def test_tables_of_an_evaluation_agree_with_each_other(golden_task: ReprogrammingTask) -> None:
    environment = ReprogrammingVectorEnv(golden_task.config, num_envs=7, seed=0, split="test", task=golden_task)
    found = evaluate(RandomPolicy(environment), golden_task, "test", episodes=200)
    episodes, paths, groups = found.episodes, found.tables["paths"], found.tables["groups"]
    assert 0 < found.scalars["success"] < 1
    assert found.scalars["success"] == episodes["success"].mean()
    assert len(episodes) == 200
    assert len(paths) == episodes["length"].sum()
    np.testing.assert_array_equal(paths["next"], golden_task.table.next[paths["cell"], paths["action"]])
    follows = (paths["step"] > 1).to_numpy()
    np.testing.assert_array_equal(paths["cell"][follows], paths["next"].shift()[follows])
    np.testing.assert_array_equal(paths.groupby("episode")["success"].max(), episodes["success"])
    assert (paths["next_type"] == paths["target_type"])[paths["success"]].all()
    for by, own in groups.groupby("by"):
        assert own["episodes"].sum() == 200, by
        weighted = (own["success"] * own["episodes"]).sum() / 200
        assert weighted == pytest.approx(found.scalars["success"])
    actions = found.tables["actions"]
    assert actions["count"].sum() == len(paths)
    assert (actions["count"] == 0).sum() == found.scalars["unused_actions"]
    assert actions["share"][actions["activates"]].sum() == pytest.approx(found.scalars["activation"])


def test_measures_do_not_depend_on_the_order_of_steps(golden_task: ReprogrammingTask) -> None:
    cell = np.flatnonzero(golden_task.distance[:, 0] == 2)[0]
    first = np.flatnonzero(golden_task.distance[golden_task.table.next[cell], 0] == 1)[0]
    middle = golden_task.table.next[cell, first]
    second = np.flatnonzero(golden_task.distance[golden_task.table.next[middle], 0] == 0)[0]
    reached = np.array([golden_task.table.next[middle, second], middle])
    info = {"start": np.array([cell, cell]), "target": np.zeros(2, dtype=int), "cell": reached}
    info |= {"action": np.array([second, first]), "success": np.array([True, False])}
    found = measure(golden_task, Trajectories(np.array([5, 5]), np.array([2, 1]), np.array([1.0, 2.0]), info))
    assert found.scalars["length"] == 2
    assert found.scalars["spl"] == 1
    assert found.episodes["episode_return"].tolist() == [3.0]
    assert found.tables["paths"]["action"].tolist() == [first, second]


def test_more_time_never_hurts_and_both_splits_are_measured(golden_task: ReprogrammingTask) -> None:
    environment = ReprogrammingVectorEnv(golden_task.config, num_envs=16, seed=0, split="test", task=golden_task)
    table = horizon_table(environment, RandomPolicy(environment), episodes=160)
    assert table[["split", "horizon"]].to_records(index=False).tolist() == [
        ("validation", 20),
        ("validation", 36),
        ("test", 20),
        ("test", 36),
    ]
    assert (table["episodes"] == 160).all()
    success = table.set_index(["split", "horizon"])["success"]
    for split in ("validation", "test"):
        assert success[split, 36] > success[split, 20]
    assert environment.horizon == 20


def test_a_longer_horizon_is_kept_to_by_a_script(golden_task: ReprogrammingTask) -> None:
    greedy = LookAheadPolicy(golden_task, golden_task.goals.sim)
    found = evaluate(greedy, golden_task, "validation", 5, episodes=100)
    assert found.episodes["length"].max() == 5
    with pytest.raises(UserError, match="split=train"):
        evaluate(greedy, golden_task, "train")


def test_numbers_of_the_thesis_project_stand_in_our_columns() -> None:
    rows = read_reference("reprogramming_bannink2025")["rows"]
    assert {key for row in rows for key in row} - {"variant"} <= {metric.name for metric in METRICS}


def test_targets_that_training_held_out_are_measured_apart_for_agents_and_baselines(
    golden_task: ReprogrammingTask,
) -> None:
    held_out = golden_task.types[1]
    config = ReprogrammingConfig(task=golden_task.config.task, data_split=SplitOptions(holdout_types=[str(held_out)]))
    task = ReprogrammingTask(golden_task.table, config)
    environment = ReprogrammingVectorEnv(config, num_envs=16, seed=0, split="test", task=task)
    agents = environment.baselines() | {"random": RandomPolicy(environment)}
    assert "bfs" in agents
    assert {"success_unseen", "length_ratio_unseen"} <= {metric.name for metric in environment.metrics}
    for name, agent in agents.items():
        found = evaluate(agent, task, "test", episodes=200)
        own = found.episodes[found.episodes["target_type"] == held_out]
        assert 0 < len(own) < 200
        assert found.scalars["success_unseen"] == pytest.approx(own["success"].mean()), name
        ratio = own["length_ratio"].mean()
        assert found.scalars.get("length_ratio_unseen", np.nan) == pytest.approx(ratio, nan_ok=True), name
    table = horizon_table(environment, agents["bfs"], episodes=64)
    assert table["length_ratio_unseen"].tolist() == [1.0] * 4
    assert not [key for key in evaluate(agents["bfs"], golden_task, episodes=50).scalars if key.endswith("_unseen")]


def test_bins_of_shortest_lengths_have_names() -> None:
    assert name_bins(np.array([-1, 0, 1, 2, 3, 10, 15, 20, 21, 90])).tolist() == [
        "none",
        "0",
        "1-2",
        "1-2",
        "3-4",
        "9-10",
        "11-15",
        "16-20",
        "21+",
        "21+",
    ]
