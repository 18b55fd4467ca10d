"""Figures of a run: what they show is what the run measured, and they are written with their data."""

import contextlib
import io
import json
import re
import shutil

import anndata
import numpy as np
import pandas as pd
import pytest

from bioppo.cli.main import main
from bioppo.envs.perturbation import figures as drawn
from bioppo.envs.perturbation import generate_synthetic
from bioppo.envs.perturbation.effect_figures import apart, discrimination_table, draw_discrimination
from bioppo.envs.perturbation.evaluation_tables import principal_plane
from bioppo.envs.perturbation.score_figures import draw_learning, draw_scores, learning_table, score_table
from bioppo.envs.perturbation.trajectory_figures import choose_groups, group_title, split_series
from bioppo.reports.curves import study_data
from bioppo.reports.records import find_runs

SMALL = [
    *("env.generator.n_genes=20", "env.generator.n_perturbations=6", "env.generator.n_control=300"),
    *("env.generator.n_per_perturbation=60", "env.model.max_epochs=2", "env.model.max_train_cells=200"),
    *("env.num_envs=16", "algo.n_steps=32", "budget=1024", "evaluation.every=512", "evaluation.num_envs=64"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train the twin experiment on a small data set; return its directory and what it printed."""
    folder = tmp_path_factory.mktemp("twin")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["train", "experiment=perturbation_twin", *SMALL, f"hydra.run.dir={folder / 'run'}"]) == 0
    return folder / "run", printed.getvalue()


@pytest.fixture(scope="module")
def result(run):
    return json.loads((run[0] / "result.json").read_text())


@pytest.fixture(scope="module")
def data(run):
    return drawn.figure_data(run[0])


def test_the_twin_experiment_prints_distances_of_both_systems(run, result):
    printed = run[1]
    for name in ("dtw", "w1", "aligned_mad"):
        assert f"{name} ↓" in printed
    for system, words in (("last", "last"), ("embedding_model", "(embedding_model)"), ("no_change", "(no_change)")):
        for reference, title in drawn.REFERENCES.items():
            (line,) = re.findall(rf"^ *{re.escape(words)} +{title} +(.*)$", printed, flags=re.MULTILINE)
            values = [result[f"{system}/{name}_{reference}"] for name in ("dtw", "w1", "aligned_mad")]
            assert line.split() == [f"{value:.4g}" for value in values]
    assert result["embedding_model/dtw_twin"] < 1e-6 < result["last/dtw_twin"]


def test_trajectories_are_measured_on_test_cells_alone(run):
    progress = pd.read_csv(run[0] / "progress.csv")
    assert "evaluation/pearson_delta_A" in progress
    assert not any("dtw" in name for name in progress)


def test_training_leaves_every_figure_with_its_data(run):
    names = {"effects", "discrimination", "plane", "trajectories", "learning", "methods"}
    written = {path.name for path in (run[0] / "figures").iterdir()}
    assert written >= {f"{name}.{ending}" for name in names for ending in ("png", "svg", "csv")}
    assert written - {f"{name}.{ending}" for name in names for ending in ("png", "svg", "csv")} == {
        "trajectories_dtw.csv"
    }
    methods = pd.read_csv(run[0] / "figures" / "methods.csv")
    pd.testing.assert_frame_equal(methods, drawn.figure_data(run[0])["methods"].reset_index(drop=True))


def test_both_trajectories_are_kept(run, result, data):
    series = split_series(data["trajectories"])
    assert list(series) == ["system", "perturbed", "control", "twin"]
    assert {points.shape for points in series.values()} == {(11, 20)}
    np.testing.assert_allclose(series["system"].iloc[0], series["twin"].iloc[0], atol=1e-5)
    means = data["trajectories_dtw"].groupby("reference")["dtw"].mean()
    for reference, mean in means.items():
        assert mean == pytest.approx(result[f"last/dtw_{reference}"], abs=1e-9)
    twin = pd.read_parquet(run[0] / "tables" / "embedding_model_trajectory.parquet")
    np.testing.assert_allclose(split_series(twin)["system"], series["twin"], atol=1e-5)


def test_effects_are_those_that_were_scored(run, data):
    scored = pd.read_csv(run[0] / "evaluations.csv")
    scored = scored[(scored["split"] != "validation") & (scored["agent"] == "last")]
    for perturbation, genes in data["effects"].groupby("perturbation"):
        kept = genes[~genes["own_target"]]
        expected = scored.loc[scored["perturbation"] == perturbation, "pearson_delta"].iloc[-1]
        assert np.corrcoef(kept["predicted"], kept["observed"])[0, 1] == pytest.approx(expected, abs=1e-4)
        assert genes["own_target"].sum() == 1
        assert kept["significant"].sum() == scored.loc[scored["perturbation"] == perturbation, "n_significant"].iloc[-1]
    titles = [axes.get_title(loc="left") for axes in drawn.figures(run[0])["effects"].axes]
    assert sum("Pearson" in title for title in titles) == 6


def test_ranks_on_the_diagonal_are_those_of_pds(data, result):
    for split, rows in data["discrimination"].groupby("split"):
        scores = rows.groupby("predicted")["pds"].first()
        assert scores.mean() == pytest.approx(result[f"last/pds_{split}"])
        assert rows["mean_pds"].iloc[0] == pytest.approx(scores.mean())
        for predicted, own in rows.groupby("predicted"):
            right = own.loc[own["observed"] == predicted, "distance"].iloc[0]
            assert (own["distance"] < right).sum() == own["nearer"].iloc[0]


def test_nothing_is_told_apart_from_nothing(data):
    effects = data["effects"]
    alone = effects[effects["perturbation"] == effects["perturbation"].iloc[0]]
    assert discrimination_table(alone).empty


def test_of_many_perturbations_the_first_are_shown_and_all_are_ranked(data):
    random = np.random.default_rng(0)
    names = [f"p{number:02d}" for number in range(45)]
    frame = pd.DataFrame([(name, gene) for name in names for gene in "abcdef"], columns=["perturbation", "gene"])
    frame = frame.assign(split="A", cell_type="all", any_target=False, observed=random.normal(size=len(frame)))
    frame["predicted"] = frame["observed"]
    table = discrimination_table(frame)
    assert set(table["predicted"]) == set(table["observed"]) == set(names[:40])
    assert (table["rivals"] == 44).all()
    assert (table["pds"] == 1.0).all()
    assert draw_discrimination(table).axes[0].get_title(loc="left") == "Split A: PDS 1, first 40 of 45"


def test_ways_start_together_and_end_where_cells_end(run, data):
    plane = data["plane"]
    starts = plane[plane["point"] == 0]
    assert starts["mean_1"].max() - starts["mean_1"].min() < 1e-6
    assert (plane["low_1"] <= plane["mean_1"]).all()
    assert (plane["mean_2"] <= plane["high_2"]).all()
    still = pd.read_parquet(run[0] / "tables" / "no_change_plane.parquet")
    assert still.groupby("perturbation")[["mean_1", "high_2"]].agg(np.ptp).to_numpy().max() < 1e-5
    assert plane.groupby("perturbation")["mean_1"].agg(np.ptp).min() > 1e-3


def test_the_plane_is_that_of_the_singular_vectors():
    cells = np.random.default_rng(0).normal(size=(200, 6)) * np.array([1, 4, 1, 2, 1, 1]) + 3
    centre, axes, shares = principal_plane(cells)
    _, sizes, vectors = np.linalg.svd(cells - cells.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(axes.T @ vectors[:2].T), np.eye(2), atol=1e-9)
    np.testing.assert_allclose(shares, sizes[:2] ** 2 / (sizes**2).sum())
    np.testing.assert_allclose(centre, cells.mean(axis=0))
    assert axes[1, 0] > 0
    single = principal_plane(cells[:, :1])
    assert single[1].shape == (1, 2)
    assert single[2].tolist() == [pytest.approx(1.0), 0.0]


def test_bars_show_every_method_and_the_two_lines(run, data, result):
    methods = data["methods"]
    assert "best" not in set(methods["method"])
    for row in methods.itertuples():
        assert row.score == result[f"{row.method}/{row.metric}_{row.split}"]
    panel = drawn.figures(run[0])["methods"].axes[0]
    lines = {line.get_label(): line.get_xdata()[0] for line in panel.lines}
    assert lines["no_change"] == 0.0
    assert lines["additive"] == result["additive/pearson_delta_A"]


def test_a_score_that_is_not_defined_is_said_to_be_so():
    table = score_table({"last": [{"pds_A": 0.7}], "no_change": [{"pds_A": 0.5, "de_overlap_A": 0.1}]}, ["last"])
    texts = [text.get_text() for axes in draw_scores(table).axes for text in axes.texts]
    assert texts == [" not defined"]


def test_figures_of_a_study_average_over_seeds(run, tmp_path):
    for seed, score in ((0, 0.2), (1, 0.6)):
        folder = tmp_path / "twin" / f"seed_{seed}"
        shutil.copytree(run[0], folder)
        scalars = json.loads((folder / "result.json").read_text()) | {"last/pearson_delta_A": score}
        (folder / "result.json").write_text(json.dumps(scalars))
    folders = [tmp_path / "twin" / f"seed_{seed}" for seed in (0, 1)]
    found = drawn.study_figures({"twin": folders})
    bars = {bar.get_y(): bar.get_width() for bar in found["methods"].axes[0].patches}
    assert bars[min(bars)] == pytest.approx(0.4)
    table = drawn.study_figure_data({"twin": folders})["methods"]
    assert table.loc[table["method"] == "additive", "run"].max() == 1
    config = (folders[1] / "config.yaml").read_text()
    (folders[1] / "config.yaml").write_text(re.sub(r"^seed: .*$", "seed: 1", config, flags=re.MULTILINE))
    pd.testing.assert_frame_equal(
        study_data(find_runs(tmp_path))["methods"].drop(columns="method"), table.drop(columns="method")
    )


def test_a_run_without_tables_still_shows_its_training(run, tmp_path):
    shutil.copy(run[0] / "progress.csv", tmp_path)
    assert list(drawn.figures(tmp_path)) == ["learning"]
    assert drawn.summary(tmp_path) is None
    assert drawn.study_figures({"unfinished": [tmp_path]}) == {}


def test_training_is_drawn_along_calls_or_where_there_are_none_along_updates():
    progress = pd.DataFrame({"update": [0, 1, 2], "simulator_calls": [0, 0, 0], "evaluation/pds_A": [0.5, 0.7, 0.9]})
    (panel,) = draw_learning(learning_table(progress)).axes
    np.testing.assert_array_equal(panel.lines[0].get_xdata(), [0, 1, 2])
    rows = {"simulator_calls": [0, 64, 128], "train/total_kl": [np.nan, 0.01, 0.03], "train/early_stop": [np.nan, 0, 1]}
    figure = draw_learning(learning_table(progress.assign(**rows, **{"train/target_kl": 0.02})))
    assert figure.axes[0].lines[0].get_xdata().tolist() == [0, 64, 128]
    labels = {line.get_label(): line for line in figure.axes[1].lines}
    assert labels["early stop (1)"].get_xdata().tolist() == [128]
    assert list(labels) == ["total_kl", "target_kl", "early stop (1)"]


def test_both_splits_are_chosen_from():
    size = pd.Series({("A", f"p{rank}", "all"): 10.0 - rank for rank in range(5)} | {("B", "q", "all"): 0.1})
    assert choose_groups(size, 4) == [("A", "p0", "all"), ("A", "p1", "all"), ("A", "p2", "all"), ("B", "q", "all")]
    assert len(choose_groups(size, 20)) == 6
    assert group_title(("C", "p", "T cells"), several=True) == "p in T cells (split C)"


def test_labels_keep_apart_around_their_mean():
    assert apart([0.0, 0.0, 5.0], 1.0) == pytest.approx([-1 / 3, 2 / 3, 14 / 3])
    assert apart([], 1.0) == []


def test_a_file_becomes_scores_and_figures_by_one_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cells = generate_synthetic(
        n_genes=12, n_perturbations=4, n_control=240, n_per_perturbation=60, cell_types=2, counts=True
    )
    table = anndata.AnnData(cells.X, obs={"guide": cells.labels, "donor": cells.cell_types})
    table.var_names = cells.genes
    table.write_h5ad(tmp_path / "cells.h5ad")
    words = [
        *("train", "env=perturbation", "env.data.source=file", "env.data.path=cells.h5ad", "env.data.pert_col=guide"),
        *("env.data.control_label=control", "env.data.cell_type_col=donor", "env.data.n_genes=10"),
        *("env.data_split.held_out_perturbations=0.25", f"env.data_split.held_out_cell_type={cells.cell_types[0]}"),
        *("algo=supervised", "budget=512", "algo.n_samples=256", "evaluation.num_envs=64", "hydra.run.dir=run"),
    ]
    assert main(words) == 0
    assert "(additive)" in capsys.readouterr().out
    written = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert written == {
        f"{name}.{ending}"
        for name in ("effects", "discrimination", "plane", "learning", "methods")
        for ending in ("png", "svg", "csv")
    }
    assert set(pd.read_csv(tmp_path / "run" / "figures" / "methods.csv")["split"]) == {"A", "B", "C"}
    titles = [axes.get_title(loc="left") for axes in drawn.figures(tmp_path / "run")["plane"].axes]
    assert any(f"in {cells.cell_types[0]} (split C)" in title for title in titles)
    assert drawn.summary(tmp_path / "run") is None
