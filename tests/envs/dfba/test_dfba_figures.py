"""Figures of cultures: what they show is what the run measured, on paper and in a browser."""

import contextlib
import io
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

import bioppo
from bioppo.cli.main import main
from bioppo.envs.dfba import figures as drawn
from bioppo.envs.dfba import simulate
from bioppo.envs.dfba.drawing.learning_figures import learning_table, mean_interval, pooled
from bioppo.envs.dfba.drawing.panel_charts import chart
from bioppo.envs.dfba.drawing.panel_figures import draw
from bioppo.envs.dfba.drawing.panels import Bars, Drawing, Line, Panel, stretches, visible_ends
from bioppo.envs.dfba.drawing.runtime_figures import written
from bioppo.envs.dfba.drawing.study_comparisons import setting_table, varied_settings
from bioppo.envs.dfba.records.policy_map import POINTS, policy_map
from bioppo.envs.dfba.records.run_records import (
    Episode,
    crossing_species,
    exchanged_amounts,
    read_episode,
    split_episode,
)
from bioppo.envs.dfba.records.runtime import TimedProgram, measure_runtime
from bioppo.envs.evaluation import evaluate
from bioppo.reports.curves import comparisons
from bioppo.reports.records import find_runs

SMALL = [
    *("env=dfba", "env/case=starch_amylase/two", "env.case.horizon_steps=60", "env.reward=spam", "env.num_envs=4"),
    *("algo=independent_ppo", "algo.n_steps=6", "algo.batch_size=24", "algo.n_epochs=1", "budget=480"),
    *("evaluation.episodes=2", "evaluation.every=240"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train a small community by the real command; return its directory and what it printed."""
    folder = tmp_path_factory.mktemp("culture") / "run" / "seed_0"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["train", *SMALL, f"hydra.run.dir={folder}"]) == 0
    return folder, printed.getvalue()


@pytest.fixture(scope="module")
def episode(run):
    return read_episode(run[0], "last")


@pytest.fixture(scope="module")
def culture():
    case = "starch_amylase/two"
    return bioppo.make_env("dfba", case=case, num_envs=3, seed=0, split="test")


def page_content(path):
    (content,) = re.findall(r'<script type="application/json" id="chart">(.*?)</script>', path.read_text(), flags=re.S)
    return json.loads(content)


def test_a_run_draws_all_figures_in_all_forms(run):
    names = {path.name for path in (run[0] / "figures").iterdir()}
    drawings = ("learning_curve", "concentrations", "fluxes", "growth", "policy_map")
    wanted = {f"{name}.{form}" for name in drawings for form in ("png", "svg", "html")}
    wanted |= {f"{name}.csv" for name in ("learning_curve", "policy_map", "cross_feeding")}
    assert names == wanted | {"cross_feeding.png", "cross_feeding.svg"}


def test_pages_hold_the_numbers_of_the_run_and_fetch_nothing(run, episode):
    for path in (run[0] / "figures").glob("*.html"):
        text = path.read_text()
        assert "default-src 'none'" in text
        assert not re.search(r"<(script|link|img)[^>]+(src|href)=\"(?!data:)", text)
    traces = page_content(run[0] / "figures" / "concentrations.html")["data"]
    first = {trace["name"]: trace for trace in traces if trace["xaxis"] == "x"}
    assert list(first) == ["agent1", "agent2", "greedy"]
    np.testing.assert_allclose(first["agent2"]["y"], episode.series["biomass", "agent2", "agent2"], rtol=1e-5)
    greedy = read_episode(run[0], "greedy")
    np.testing.assert_allclose(first["greedy"]["y"], greedy.series["biomass", "agent1", "agent1"], rtol=1e-5)


def test_records_come_back_from_the_tidy_table(run, episode):
    table = pd.read_parquet(run[0] / "tables" / "last_concentrations.parquet")
    assert episode.agents == ["agent1", "agent2"]
    assert episode.species == ["Glc", "P", "Amylase", "Starch"]
    np.testing.assert_allclose(episode.time_h, np.arange(1, 7))
    rows = table[(table["episode"] == 0) & (table["quantity"] == "exchange_flux") & (table["agent"] == "agent2")]
    for species in ("Glc", "P", "Amylase"):
        expected = rows[rows["id"] == species]["value"]
        np.testing.assert_array_equal(episode.series["exchange_flux", "agent2", species], expected)
    second = split_episode(table, 1)
    assert second.series.keys() == episode.series.keys()


def test_learning_curves_have_the_range_of_training_episodes(run):
    table, progress = learning_table(run[0]), pd.read_csv(run[0] / "progress.csv")
    training = table[(table["series"] == "training") & (table["agent"] == "agent2")]
    rows = progress.dropna(subset=["environment/agent2/episode_return"])
    for column, name in (("mean", ""), ("low", "_min"), ("high", "_max")):
        np.testing.assert_array_equal(training[column], rows[f"environment/agent2/episode_return{name}"])
    assert (training["low"] < training["mean"]).all()
    assert (training["mean"] < training["high"]).all()
    validation = table[(table["series"] == "validation") & (table["agent"] == "agent1")]
    evaluated = progress.dropna(subset=["evaluation/return_agent1"])
    np.testing.assert_allclose(validation["mean"], evaluated["evaluation/return_agent1"])
    legend = {text.get_text() for text in drawn.figures(run[0])["learning_curve"].legends[0].get_texts()}
    assert {"agent1, training", "agent1, validation"} <= legend
    assert any(text.startswith("greedy: ") for text in legend)


def test_amounts_are_flux_times_biomass_times_duration():
    series = {
        ("biomass", "a", "a"): np.array([3.0, 3.0]),
        ("exchange_flux", "a", "S"): np.array([-2.0, 1.0]),
    }
    table = exchanged_amounts(SimpleNamespace(time_h=np.array([0.5, 2.5]), of=lambda kind: of(series, kind)))
    assert table.to_dict("records") == [{"agent": "a", "species": "S", "secreted": 6.0, "taken_up": 3.0}]


def of(series, kind):
    return {(agent, name): values for (quantity, agent, name), values in series.items() if quantity == kind}


def test_crossing_species_need_a_giver_and_another_taker():
    rows = [
        ("a", "A", 1.0, 0.0),
        ("b", "A", 0.0, 0.5),
        ("a", "B", 1.0, 1.0),
        ("b", "B", 0.0, 0.0),
        ("b", "S", 0.0, 9.0),
    ]
    amounts = pd.DataFrame(rows, columns=["agent", "species", "secreted", "taken_up"])
    assert crossing_species(amounts) == {"A"}


def test_shaded_stretches_begin_at_the_point_before():
    time = np.array([1.0, 2.0, 3.0, 4.0])
    assert stretches(time, np.array([True, False, True, True])) == [(0.0, 1.0), (2.0, 4.0)]
    assert stretches(time, np.zeros(4, dtype=bool)) == []


def test_growth_is_shaded_where_no_flux_fits(culture):
    evaluation = evaluate(culture.baselines()["greedy"], culture, episodes=1, seed=0)
    starving = split_episode(evaluation.tables["concentrations"])
    status = starving.series["lp_status", "agent1", "agent1"]
    assert 0.5 < (status > 0).mean() < 1
    growth, action = drawn.draw_growth(starving).panels[:2]
    assert growth.shades == action.shades
    assert sum(end - begin for begin, end, _ in growth.shades) == pytest.approx((status > 0).sum())
    assert growth.title == f"agent1: {(status > 0).mean():.0%} infeasible (relax_maintenance)"


def test_far_levels_do_not_squeeze_lines():
    line = Line(np.arange(3.0), np.array([0.0, 5.0, 10.0]))
    low, high = visible_ends(Panel(lines=(line,), levels=(("greedy", -800.0), ("constant", 12.0))))
    assert (low, high) == pytest.approx((-0.6, 12.6))
    low, _ = visible_ends(Panel(lines=(line,), levels=(("greedy", -800.0),)), least_share=0.0)
    assert low < -800


class Proportional:
    """Secrete in proportion to glucose: an amylase bound of Glc/1000, as the unit range writes it."""

    def __init__(self, environment):
        self.column = {name: list(agent.observables).index("Glc") for name, agent in of_agents(environment)}

    def act(self, observation, *, masks, generator):
        del masks, generator
        glucose = {name: np.expm1(observation[name][:, [column]]) for name, column in self.column.items()}
        return {name: 2 * values / 1000 - 1 for name, values in glucose.items()}


def of_agents(environment):
    return [(agent.name, agent) for agent in environment.case.agents]


def test_policy_maps_say_what_a_policy_does(culture):
    policy = Proportional(culture)
    evaluation = evaluate(policy, culture, episodes=3, seed=0)
    table = culture.inspect(policy, evaluation)["policy_map"]
    assert set(table["agent"]) == {"agent1", "agent2"}
    assert (set(table["x_name"]), set(table["y_name"])) == ({"Glc"}, {"Starch"})
    assert len(table) == 2 * 3 * POINTS**2
    np.testing.assert_allclose(table["value"], table["x"] / 1000, atol=1e-6)
    episode = split_episode(evaluation.tables["concentrations"])
    here = table[table["time_h"] == 51.0].iloc[0]
    assert here["x_here"] == episode.series["concentration", "", "Glc"][50]
    assert here["others"].startswith(f"agent1 {episode.series['biomass', 'agent1', 'agent1'][50]:.3g}, agent2")


def test_maps_of_constant_policies_are_flat(culture):
    policy = culture.baselines()["greedy"]
    evaluation = evaluate(policy, culture, episodes=1, seed=0)
    table = policy_map(culture, policy, split_episode(evaluation.tables["concentrations"]))
    np.testing.assert_allclose(table["value"], 0.0, atol=1e-12)
    drawing = drawn.draw_policy(table)
    assert len(draw(drawing).axes) == 2 * 3 + 1  # and the scale


def test_runtime_is_measured_and_leaves_no_clock_behind(culture):
    batches = pd.DataFrame({"simulator_calls": [0, 100, 300], "update_seconds": [0.0, 1.0, 3.0]})
    copies = culture.sibling(3, 0, "train")
    found = measure_runtime(copies, culture.baselines()["greedy"], batches, seconds=0.05)
    levels = found["levels"]
    assert (found["copies"], found["agents"], found["decision_steps"]) == (3, 2, 10)
    assert list(levels) == ["optimisation", "policy", "step", "batch", "simulation"]
    # Two agents are alike: one call of linear programs per step, six programs in each.
    assert levels["optimisation"]["calls"] == 10 * levels["step"]["calls"] == 10 * levels["policy"]["calls"]
    per_program = levels["optimisation"]["mean"] / levels["optimisation"]["mean_per_unit"]
    assert per_program == pytest.approx(6)
    assert 10 * levels["optimisation"]["mean"] < levels["step"]["mean"]
    assert (levels["batch"]["mean"], levels["batch"]["sd"]) == pytest.approx((2.0, np.sqrt(2)))
    assert levels["simulation"]["mean"] == pytest.approx(4.0 / 300 * 20e6)
    assert levels["simulation"]["extrapolated"]
    assert not any(isinstance(group.program, TimedProgram) for group in culture.community.groups)


def test_a_run_writes_and_prints_its_times(run):
    found = json.loads((run[0] / "tables" / "runtime.json").read_text())
    timing = pd.read_csv(run[0] / "timing.csv")
    assert found["levels"]["simulation"]["run_seconds"] == pytest.approx(timing["update_seconds"].sum())
    assert found["levels"]["batch"]["calls"] == 2
    printed = run[1]
    assert "Simulation times: 4 copies of 2 agents, decisions every 10 steps" in printed
    for level in ("optimisation", "policy", "step", "batch"):
        (line,) = re.findall(rf"^ *{level} +(.*)$", printed, flags=re.MULTILINE)
        assert written(found["levels"][level]["mean"]) in line
        assert written(found["levels"][level]["sd"]) in line
    assert re.search(r"simulation .* extrapolated +20 million steps", printed)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (36000, "10 h"), (2164.7, "2165 s"), (0.0123, "12.3 ms"), (4.09e-6, "4.09 µs")]
)
def test_times_are_written_with_a_fitting_unit(seconds, text):
    assert written(seconds) == text


def test_bootstrap_intervals_hold_the_mean():
    values = np.array([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan], [5.0, 4.0, np.nan]])
    mean, low, high = mean_interval(values)
    np.testing.assert_allclose(mean, [3.0, 3.0, np.nan])
    np.testing.assert_allclose(low[:2], [1.0, 2.0], atol=0.7)
    assert (high[:2] > mean[:2]).all()
    assert np.isnan(mean_interval(values[:1])[1]).all()  # one seed has no interval


def copied(run, folder, **changes):
    """Copy a run with another config, as if it had been trained with it."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("figures", "checkpoints"))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    for key, value in changes.items():
        room, _, name = key.partition("__")
        if name:
            config[room][name] = value
        else:
            config[room] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture
def clips(run, tmp_path):
    folders = {
        f"clip_{clip}": [
            copied(run[0], tmp_path / f"clip_{clip}" / f"seed_{seed}", algo__clip_range=clip, seed=seed)
            for seed in range(2)
        ]
        for clip in (0.05, 1.0)
    }
    # One of them as if it had not moved from what greedy cells return.
    stuck = folders["clip_1.0"][1]
    greedy = json.loads((stuck / "result.json").read_text())["greedy/mean_return"]
    progress = pd.read_csv(stuck / "progress.csv")
    progress[["environment/agent1/episode_return", "environment/agent2/episode_return"]] = greedy
    progress.to_csv(stuck / "progress.csv", index=False)
    return folders


def test_a_study_of_one_setting_is_named_after_it(clips):
    found = varied_settings(clips)
    assert list(found) == ["clip"]
    table = setting_table(found["clip"])
    assert table["value"].tolist() == [0.05, 0.05, 1.0, 1.0]
    assert table["stuck"].tolist() == [False, False, False, True]
    curve = pooled([learning_table(clips["clip_0.05"][0])], "training", None)
    assert table["end"][0] == pytest.approx(curve["mean"].mean())
    assert list(drawn.comparison_figures(clips)) == ["clip", "runtime_comparison"]
    charts = drawn.comparison_charts(clips)
    assert list(charts) == ["clip", "runtime_comparison", "learning_curve_agents"]
    shares = next(trace for trace in charts["clip"]["data"] if trace["type"] == "bar" and trace["xaxis"] == "x4")
    assert (shares["x"], shares["y"]) == (["0.05: 0 of 2", "1: 1 of 2"], [0.0, 0.5])
    json.dumps(charts, allow_nan=False)


def test_mass_transfer_is_read_from_the_case(run, tmp_path):
    folders = {}
    for rate in (0.01, 10.0):
        folder = copied(run[0], tmp_path / f"k_{rate}")
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config["env"]["case"]["extracellular"].append({"law": "mass_transfer", "k": rate})
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        folders[f"k_{rate}"] = [folder]
    panels = drawn.comparison_drawings(folders)["mass_transfer"].panels
    starch = json.loads((run[0] / "result.json").read_text())["last/final_Starch"]
    np.testing.assert_allclose(panels[2].bars.values, starch)


def test_times_of_differently_named_environments_stand_in_one_figure(run, tmp_path):
    for number, name in enumerate(("starch_two", "starch_alone")):
        folder = copied(run[0], tmp_path / name / "seed_0", env__name=name, variant=name)
        times = json.loads((folder / "tables" / "runtime.json").read_text())
        times["agents"] = 2 - number
        (folder / "tables" / "runtime.json").write_text(json.dumps(times))
    found = comparisons(find_runs(tmp_path), "comparison_charts")["runtime_comparison"]
    bars = [trace for trace in found["data"] if trace["type"] == "bar"]
    assert [trace["x"] for trace in bars] == [["starch_alone (1)", "starch_two (2)"]] * 4
    titles = [entry["text"] for entry in found["layout"]["annotations"]]
    assert titles == ["optimisation", "step", "batch", "simulation of 20 million steps, extrapolated"]


def test_several_changes_at_once_are_no_study_of_one(run, tmp_path):
    first = copied(run[0], tmp_path / "a", algo__clip_range=0.1, algo__learning_rate=1e-3)
    second = copied(run[0], tmp_path / "b", algo__clip_range=0.2, algo__learning_rate=1e-4)
    assert varied_settings({"a": [first], "b": [second]}) == {}


def test_unknown_values_reach_neither_paper_nor_browser():
    nothing = np.full(2, np.nan)
    bars = Bars(("a", "b"), np.array([1.0, np.nan]), nothing, nothing)
    drawing = Drawing((Panel("x", bars=bars),), 1)
    json.dumps(chart(drawing), allow_nan=False)
    draw(drawing).savefig(io.BytesIO())


def test_an_unfinished_run_has_only_what_there_is(run, tmp_path):
    folder = tmp_path / "unfinished"
    folder.mkdir()
    for name in ("config.yaml", "provenance.json", "progress.csv"):
        shutil.copy(run[0] / name, folder)
    assert list(drawn.figures(folder)) == ["learning_curve"]
    assert drawn.summary(folder) is None
    assert Path(folder / "figures").exists() is False


def test_cultures_without_learning_are_drawn_too():
    table = simulate("necom/auxotrophs", {"agent1": [-10, 1.4], "agent2": [1.4, -10]})["concentrations"]
    amounts = exchanged_amounts(split_episode(table))
    assert crossing_species(amounts) == {"A", "B"}
    figures = drawn.draw_culture(table)
    assert list(figures) == ["concentrations", "fluxes", "growth", "cross_feeding"]
    bold = [text.get_text() for text in figures["cross_feeding"].axes[0].texts if text.get_weight() == "bold"]
    assert [text.partition(":")[0] for text in bold] == ["agent1", "agent2", "A", "B"]


def test_amounts_balance_what_the_medium_loses():
    table = simulate("necom/auxotrophs", {"agent1": [-10, 1.4], "agent2": [1.4, -10]})["concentrations"]
    amounts = exchanged_amounts(split_episode(table)).groupby("species")[["secreted", "taken_up"]].sum()
    end = split_episode(table).series["concentration", "", "A"][-1]
    # Dilution takes a small share of it away.
    assert end == pytest.approx(amounts.loc["A", "secreted"] - amounts.loc["A", "taken_up"], rel=0.1)


def test_what_is_left_out_is_said():
    time = np.arange(1.0, 4.0)
    series = {("biomass", "a", "a"): time}
    series |= {("concentration", "", f"S{n}"): time * n for n in range(20)}
    series |= {("exchange_flux", "a", f"S{n}"): -time * n for n in range(20)}
    crowded = Episode(time, series, dict.fromkeys(series, ""))
    concentrations, fluxes = drawn.draw_concentrations(crowded), drawn.draw_fluxes(crowded)
    assert [panel.title for panel in concentrations.panels] == ["biomass", *(f"S{n}" for n in range(9, 20))]
    assert "9 species that change less" in concentrations.note
    assert [panel.title for panel in fluxes.panels] == [f"S{n}" for n in range(8, 20)]
    assert "8 species that are exchanged less" in fluxes.note
