"""Figures of reprogramming runs: what they show is what was measured, and each is written with its data."""

import json

import numpy as np
import pandas as pd
import pytest

from bioppo.cli.main import main
from bioppo.envs.evaluation import evaluate
from bioppo.envs.reprogramming import figures
from bioppo.envs.reprogramming.baselines import environment_baselines
from bioppo.envs.reprogramming.drawing import learning_figures, path_figures, share_figures
from bioppo.envs.reprogramming.drawing.figure_tables import choose_episodes, distance_table, figure_tables, find_way
from bioppo.envs.reprogramming.environment import ReprogrammingVectorEnv

NAMES = {"paths", "lengths", "types", "actions", "distances", "success"}


@pytest.fixture(scope="module")
def measured(golden_task):
    """The greedy policy on the golden table."""
    environment = ReprogrammingVectorEnv(golden_task.config, num_envs=32, seed=0, split="test", task=golden_task)
    return evaluate(environment_baselines(golden_task)["greedy"], environment, episodes=200, seed=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory, golden_task, measured):
    """A finished run's directory with these tables."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tables").mkdir()
    for name, table in (measured.tables | figure_tables(golden_task, measured.episodes)).items():
        table.to_parquet(folder / "tables" / f"last_{name}.parquet", index=False)
    rows = measured.episodes.assign(simulator_calls=100, split="test", agent="last")
    others = rows.assign(agent="random", success=False)
    pd.concat([rows, others]).to_csv(folder / "evaluations.csv", index=False)
    calls = np.arange(6) * 50
    phases = [np.nan, 1, 1, 2, 2, 3]
    progress = {"simulator_calls": calls, "evaluation/success": calls / 300, "environment/phase": phases}
    pd.DataFrame(progress).to_csv(folder / "progress.csv", index=False)
    return folder


def test_every_figure_is_drawn_from_its_data(run):
    data, drawn = figures.figure_data(run), figures.figures(run)
    assert set(data) == set(drawn) == NAMES
    for name, figure in drawn.items():
        figure.savefig(run / f"{name}.png")
        assert (run / f"{name}.png").stat().st_size > 5_000, name


def test_a_browser_can_show_every_way(run):
    (chart,) = figures.charts(run).values()
    data = figures.figure_data(run)["paths"]
    json.dumps(chart, allow_nan=False)
    lines = [trace for trace in chart["data"] if trace["mode"] == "lines+markers"]
    assert len(lines) == 2 * data["episode"].nunique()
    assert sum(len(trace["x"]) for trace in lines) == (data["series"] != "cells").sum()
    assert sum(len(trace["x"]) for trace in chart["data"] if trace["mode"] == "markers") == 120
    assert [trace["visible"] for trace in lines[:3]] == [True, True, "legendonly"]


def test_an_unfinished_run_has_its_curve_alone(tmp_path, run):
    (tmp_path / "progress.csv").write_text((run / "progress.csv").read_text())
    assert set(figures.figures(tmp_path)) == {"success"}
    assert figures.charts(tmp_path) == {}


def test_shortest_ways_are_as_long_as_the_planner_says(golden_task, measured):
    tables = figure_tables(golden_task, measured.episodes)
    shortest = tables["shortest"]
    episodes = measured.episodes.set_index("episode")
    assert len(shortest["episode"].unique()) == len(choose_episodes(measured.episodes))
    for episode, way in shortest.groupby("episode"):
        facts = episodes.loc[episode]
        target = list(golden_task.types).index(facts["target_type"])
        assert len(way) == facts["optimal_length"]
        assert way["cell"].iloc[0] == facts["start"]
        assert golden_task.goals.is_goal[way["next"].iloc[-1], target]
        assert (way["cell"].to_numpy()[1:] == way["next"].to_numpy()[:-1]).all()


def test_a_way_takes_the_first_action_that_comes_nearer():
    next_cell = np.array([[0, 1, 2], [3, 1, 1], [3, 3, 2], [3, 3, 3], [4, 4, 4]])
    distance = np.array([2, 1, 1, 0, -1])
    assert find_way(next_cell, distance, 0) == [(0, 1, 1), (1, 0, 3)]
    assert find_way(next_cell, distance, 3) == find_way(next_cell, distance, 4) == []


def test_distances_count_every_pair_once(golden_task):
    table = distance_table(golden_task)
    kinds = np.asarray(golden_task.cluster_of_cell)
    pairs = len(kinds) * (len(golden_task.types) - 1)
    assert table["cells"].sum() == pairs
    other = kinds[:, None] != np.arange(len(golden_task.types))
    horizon = golden_task.config.task.horizon
    within = ((golden_task.distance >= 0) & (golden_task.distance <= horizon) & other).sum()
    assert table.loc[table["solvable"], "cells"].sum() == within
    assert table.loc[table["distance"] < 0, "cells"].sum() == ((golden_task.distance < 0) & other).sum()


def test_the_chosen_episodes_end_with_the_one_that_lost_most():
    episodes = pd.DataFrame(
        {
            "episode": [0, 1, 2, 3, 4],
            "optimal_length": [3, -1, 1, 5, 2],
            "length": [3, 20, 4, 5, 20],
            "success": [True, False, True, True, False],
        }
    )
    assert choose_episodes(episodes, most=3) == [2, 3, 4]
    assert choose_episodes(episodes.iloc[1:2]) == []


def test_path_data_follow_the_agent(run, measured):
    data = figures.figure_data(run)["paths"]
    assert (data["series"] == "cells").sum() == 120
    agent = data[data["series"] == "agent"]
    for episode, way in agent.groupby("episode"):
        own = measured.tables["paths"]
        own = own[own["episode"] == episode]
        assert way["step"].tolist() == [0, *own["step"]]
        assert way["cell"].tolist() == [own["cell"].iloc[0], *own["next"]]


def test_lengths_types_and_actions_are_those_of_the_episodes(run, measured):
    data, episodes = figures.figure_data(run), measured.episodes
    lengths = data["lengths"]
    assert lengths["agent"].sum() == lengths["shortest"].sum() == episodes["success"].sum()
    assert lengths["all"].sum() == len(episodes)
    types = data["types"]
    assert types["episodes"].sum() == len(episodes)
    assert (types["success"] * types["episodes"]).sum() == pytest.approx(episodes["success"].sum())
    actions = data["actions"]
    assert actions["count"].is_monotonic_decreasing
    assert actions["count"].sum() == episodes["length"].sum()


def test_steps_that_end_close_together_share_their_numbers():
    place = np.array([[0, 0], [1, 0], [1.01, 0], [3, 0], [1, 0.01], [5, 0]], dtype=float)
    numbers = path_figures.number_steps(place, 0.1)
    assert [text for text, _ in numbers] == ["1-2", "3", "5"]


def test_names_are_moved_apart():
    moved = path_figures.part_names(np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 0.0]]), 1.0, 0.5)
    assert moved[0].tolist() == [0, 0]
    assert moved[1, 1] <= -0.5
    assert moved[2].tolist() == [5, 0]


def test_phases_begin_where_they_were_first_seen(run):
    curve = learning_figures.success_table(pd.read_csv(run / "progress.csv"))
    assert learning_figures.phase_starts(curve) == {2: 150.0, 3: 250.0}
    texts = [text.get_text() for text in learning_figures.draw_success(curve).axes[0].texts]
    assert texts == ["phase 2", "phase 3"]


def test_a_study_has_a_band_over_seeds(run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    calls = np.arange(4) * 50
    progress = {"simulator_calls": calls, "evaluation/success": calls / 150}
    pd.DataFrame(progress).to_csv(other / "progress.csv", index=False)
    variants = {"first": [run, other], "second": [other]}
    data = figures.study_figure_data(variants)["success"]
    calls, shares = learning_figures.common_curve(data[data["variant"] == "first"])
    assert calls.tolist() == [0, 50, 100, 150]
    np.testing.assert_allclose(shares, [calls / 300, calls / 150])
    (drawn,) = figures.study_figures(variants).values()
    labels = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert labels == ["first, 2 seeds", "second"]
    assert figures.study_figures({"none": []}) == {}


def test_unsolvable_pairs_are_drawn_apart():
    columns = ["target_type", "distance", "cells", "solvable"]
    data = pd.DataFrame([("a", 2, 5, True), ("a", 30, 3, False), ("b", -1, 2, False)], columns=columns)
    left, right = share_figures.draw_distances(data).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        *("within the horizon", "beyond it", "no way at all")
    ]
    assert [patch.get_width() for patch in right.patches] == pytest.approx([62.5, 0])


def test_training_leaves_figures_of_the_equations(tmp_path):
    folder = tmp_path / "run"
    small = [
        "env.num_envs=30",
        "algo.n_steps=2",
        "algo.batch_size=30",
        "budget=60",
        "evaluation.every=60",
        "evaluation.episodes=30",
        "evaluation.baselines=false",
    ]
    words = ["train", "env=reprogramming_krumsiek11", "algo=ppo", "env.horizon=3", *small, f"hydra.run.dir={folder}"]
    assert main(words) == 0
    written = {path.name for path in (folder / "figures").iterdir()}
    assert written >= {f"{name}.{ending}" for name in ("types", "actions", "success") for ending in ("png", "csv")}
    types = pd.read_csv(folder / "figures" / "types.csv")
    result = json.loads((folder / "result.json").read_text())
    assert types["success"].mean() == pytest.approx(result["last/success"])
