"""The paper's tables: they compose, never lack the row that does nothing, and measure what they say they measure."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import bioppo
from bioppo import UserError
from bioppo.cli.main import main
from bioppo.cli.sweeper import read_reference
from bioppo.configs.schema import stems
from bioppo.envs.perturbation.config import PerturbationConfig
from bioppo.envs.perturbation.environment import PerturbationVectorEnv
from bioppo.envs.perturbation.loading import load_prepared
from bioppo.envs.perturbation.notebook import nearest_cells, notebook_coordinates, principal_components
from bioppo.envs.perturbation.options import DataOptions, GeneratorOptions, SplitOptions
from bioppo.envs.perturbation.paper_tables import COLUMNS, MEASURES, displacement_table, paper_numbers
from bioppo.envs.perturbation.targets import weighted_lists

CONFIGS = Path(bioppo.__file__).parent / "configs"
SMALL = {"n_genes": 12, "n_perturbations": 4, "n_control": 160, "n_per_perturbation": 40}
TINY_RUN = [
    *(f"env.generator.{key}={value}" for key, value in SMALL.items()),
    *("budget=1024", "algo.n_steps=8", "env.max_start_cells=10", "display=off", "device=cpu"),
]
KINDS = ("displacement", "profiles", "trajectories")
DATA = {1: "papalexi2021_thp1_subset", 4: "papalexi2021_thp1_subset+kang2018_pbmc_subset", 7: "kang2018_pbmc_subset"}
ROWS = [
    (table, path.stem)
    for table in range(1, 10)
    for path in sorted((CONFIGS / "ablation" / f"perturbation_{KINDS[(table - 1) % 3]}").glob("*.yaml"))
]


def small_data(**options):
    return load_prepared(DataOptions(**options), GeneratorOptions(**SMALL), SplitOptions(held_out_perturbations=0.0))


def notebook_config(**options):
    return PerturbationConfig(
        data=DataOptions(scale_separately=True),
        generator=GeneratorOptions(**SMALL),
        data_split=SplitOptions(seed=0, held_out_perturbations=0.0),
        **{"paper_compat": True, "representation": "notebook", "action_map": "gene_effects"} | options,
    )


@pytest.fixture(scope="module")
def environment():
    return PerturbationVectorEnv(notebook_config(start="pseudotime"), num_envs=16, seed=0)


def scalars(agents):
    return {
        f"{agent}/displacement_{measure}{ending}": float(place)
        for place, agent in enumerate(agents)
        for measure in MEASURES
        for ending in ("", "_train")
    }


def test_displacement_stands_beside_doing_nothing_or_not_at_all():
    table = displacement_table(scalars(("last", "no_change", "random")), {"displacement_mse": 1.5})
    assert table.columns.tolist() == ["metric", "cells", "run", "no_op", "random_policy", "paper"]
    assert table[["metric", "cells"]].to_numpy().tolist() == [
        [measure, cells] for measure in MEASURES for cells in ("Test", "Train")
    ]
    assert (table["run"] == 0).all()
    assert (table["no_op"] == 1).all()
    assert (table["random_policy"] == 2).all()
    assert table["paper"].tolist()[:1] == [1.5]
    assert table["paper"].isna().sum() == 9
    for column, agent in COLUMNS.items():
        present = [each for each in ("last", "no_change", "random") if each != agent]
        with pytest.raises(UserError, match=rf"column {column}, and {agent}/displacement_mse was not measured"):
            displacement_table(scalars(present), {})


def test_the_papers_numbers_are_found_by_algorithm():
    assert paper_numbers(1, "trpo_ppo")["displacement_mse"] == 0.0327
    assert paper_numbers(7, "ppo")["displacement_r2_train"] == -2.4281
    assert paper_numbers(4, "cma_es") == {}
    assert paper_numbers(None, "ppo") == {}


@pytest.mark.parametrize("name", ["perturbation_paper_compat", "perturbation_paper_compat_two_phase"])
@pytest.mark.filterwarnings("ignore:algo.paper_compat_target_kl_zero=true stops PPO")
def test_a_run_has_doing_nothing_beside_it_even_without_baselines(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [f"experiment={name}", *TINY_RUN, "evaluation.baselines=false", "env.paper_table=1", "variant=run"]
    assert main(["train", *words]) == 0
    (file,) = tmp_path.rglob("displacement.csv")
    table = pd.read_csv(file, float_precision="round_trip").set_index(["metric", "cells"])
    assert table["no_op"].to_dict() == {
        (measure, cells): float(measure in ("r2", "pearson")) for measure in MEASURES for cells in ("Test", "Train")
    }
    assert (table.loc[["mse", "rmse", "mae"], ["run", "random_policy"]] > 0).all(axis=None)
    assert table.loc[("mse", "Test"), "paper"] == (0.0327 if name.endswith("two_phase") else 1.3798)
    result = json.loads((file.parent / "result.json").read_text())
    assert result["last/displacement_mse_train"] == table.loc[("mse", "Train"), "run"]
    capsys.readouterr()
    assert main(["table", "results", "--format", "markdown", "--output", "out"]) == 0
    (row,) = [line for line in (tmp_path / "out" / "table.md").read_text().splitlines() if "*no_change*" in line]
    assert row.count("**0") == 7  # three errors of either kind of cells, and that of the best policy
    assert row.count("**1") == 4


def test_a_test_starts_from_test_and_from_training_controls(environment):
    task = environment.task
    test = environment.sibling(8, 0, "test")
    starts = test.episodes.start
    of_test = task.data.split.test[starts]
    assert 0 < of_test.sum() < len(starts)
    assert (task.data.label[starts] == -1).all()
    assert not task.data.split.test[environment.sibling(8, 0, "validation").episodes.start].any()
    assert test.suggested_episodes == len(starts)


def test_episodes_that_leave_training_controls_out_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "experiment=perturbation_paper_compat", *TINY_RUN, "evaluation.episodes=5"]) != 0
    assert "evaluation.episodes leaves none that start from training controls" in capsys.readouterr().err


def test_episodes_start_in_proportion_to_pseudotime(environment):
    environment.reset(seed=3)
    weights = environment.task.pseudotime
    starts = []
    for _ in range(250):
        environment.reset()
        starts.append(environment.state["start"].copy())
    drawn = np.concatenate(starts)
    controls = environment.task.data.cells(None)
    shares = weights[controls] / weights[controls].sum()
    expected, spread = shares @ weights[controls], np.sqrt(shares @ weights[controls] ** 2)
    assert np.isin(drawn, controls).all()
    assert abs(weights[drawn].mean() - expected) < 4 * spread / np.sqrt(len(drawn))
    assert weights[controls].mean() < expected - 4 * spread / np.sqrt(len(drawn))  # unlike uniform draws


def test_weighted_lists_draw_from_the_list_that_is_named():
    lists = weighted_lists([np.array([4, 7]), np.array([2]), np.array([5, 6])], np.array([0, 0, 0, 0, 1, 3, 1, 3.0]))
    uniform = np.array([0.2, 0.3, 0.5, 0.7, 0.8])
    assert lists.pick(np.array([0, 0, 1, 2, 2]), uniform).tolist() == [4, 7, 2, 5, 6]


def test_notebook_coordinates_are_the_same_again_and_follow_the_seed(environment):
    data = environment.task.data
    coordinates = environment.task.coordinates
    assert coordinates.shape == (len(data.label), 58)
    assert coordinates.dtype == np.float32
    again, other = notebook_coordinates(data), notebook_coordinates(data, seed=1)
    assert again.tobytes() == coordinates.tobytes()
    assert (other[:, 16:26] == coordinates[:, 16:26]).all()  # principal components have no seed
    assert (other[:, :16] != coordinates[:, :16]).any()
    assert (other[:, 26:] != coordinates[:, 26:]).any()


def test_the_autoencoder_learns_and_test_cells_reach_no_fit_but_the_graph():
    import dataclasses

    data = small_data()
    changed = data.expression.copy()
    changed[data.split.test] = changed[data.split.test][:, ::-1]
    before, after = (notebook_coordinates(dataclasses.replace(data, expression=x)) for x in (data.expression, changed))
    training = ~data.split.test
    assert (before[training, :26] == after[training, :26]).all()
    assert (before[training, 26:] != after[training, 26:]).any()  # test cells are neighbours
    fit = np.linalg.lstsq(np.c_[before[:, :16], np.ones(len(before))], data.expression, rcond=None)[0]
    residual = data.expression - np.c_[before[:, :16], np.ones(len(before))] @ fit
    assert residual.var() < 0.5 * (data.expression - data.expression.mean(axis=0)).var()


def test_principal_components_are_those_of_a_decomposition():
    values = np.random.default_rng(0).normal(size=(60, 5)) * np.array([5, 4, 3, 2, 1])
    fitted = np.arange(60) < 40
    scores = principal_components(values, fitted, 3)
    centred = values - values[fitted].mean(axis=0)
    loadings = np.linalg.svd(centred[fitted], full_matrices=False)[2][:3]
    np.testing.assert_allclose(np.abs(scores), np.abs(centred @ loadings.T), atol=1e-9)
    assert (principal_components(values[:, :2], fitted, 3)[:, 2] == 0).all()


def test_every_cell_is_its_own_first_neighbour_also_among_equal_cells():
    points = np.array([[0.0], [0], [0], [0], [1], [2], [4]])
    neighbours = nearest_cells(points, 2)
    assert neighbours[:, 0].tolist() == list(range(7))
    assert all(len(set(row)) == 3 for row in neighbours.tolist())
    assert set(neighbours[6].tolist()) == {6, 5, 4}


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_studies_compose(table, row, capsys):
    kind, first = KINDS[(table - 1) % 3], 3 * ((table - 1) // 3) + 1
    words = [f"study=perturbation_table{table}", f"+ablation/perturbation_{kind}={row}"]
    assert main(["train", *words, "--cfg", "job", "--resolve"]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["variant"] == f"{row}-{DATA[first]}"
    assert config["env"]["data"]["n_genes"] == {1: 200, 4: 50, 7: 100}[first]
    assert config["env"]["data"]["allow_batch_confound"] == (first == 4)
    assert config["env"]["horizon"] == (10 if kind == "trajectories" else 1)
    assert config["evaluation"]["baselines"]
    if kind == "displacement":
        assert config["env"]["paper_table"] == table
        assert config["env"]["action_scale"] == {1: 0.517, 4: 0.696, 7: 0.608}[table]
        assert config["env"]["representation"] == "notebook"
        assert config["env"]["reward"] == "neg_sq_dist"
        assert config["budget"] == 150_000
        assert config["algo"]["n_steps"] * config["env"]["num_envs"] == 2048
        assert config["algo"].get("paper_compat_target_kl_zero", False) == (row == "trpo_ppo")
        assert config["algo"]["batch_size"] == 64  # 256 in the second phase, by paper_compat_target_kl_zero
    else:
        assert config["env"]["representation"] == "gene"
        assert not config["env"]["data"]["scale_separately"]


def test_the_rows_of_every_table_are_there():
    assert [row for table, row in ROWS if table == 1] == ["ppo", "trpo_ppo", "trpo_ppo_repaired"]
    assert [row for table, row in ROWS if table == 8] == ["embedding"]
    assert [row for table, row in ROWS if table == 6] == ["embedding", "ppo", "trpo_ppo"]


@pytest.mark.parametrize("table", range(1, 10))
def test_the_papers_rows_stand_in_columns_that_runs_have(table, capsys):
    study = yaml.safe_load((CONFIGS / "study" / f"perturbation_table{table}.yaml").read_text())
    assert study["hydra"]["sweeper"]["reference"] == study["study"] == f"perturbation_table{table}"
    reference = read_reference(f"perturbation_table{table}")
    assert f"Table {table}" in reference["source"]
    assert [len(row) - 1 for row in reference["rows"]] == {0: [10, 10], 1: [10], 2: [4]}[(table - 1) % 3]
    columns = {
        0: {f"displacement_{name}{ending}" for name in MEASURES for ending in ("", "_train")},
        1: {f"{name}{ending}" for name in MEASURES for ending in ("_A", "_train")},
        2: {f"{name}_{which}" for name in ("dtw", "w1") for which in ("control", "perturbed")},
    }[(table - 1) % 3]
    assert all(set(row) - {"variant"} == columns for row in reference["rows"])


def test_predictions_are_measured_on_test_and_training_cells(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["env=perturbation", "algo=embedding", "algo.max_epochs=1", "env.paper_compat=true"]
    words += ["env.data_split.held_out_perturbations=0", *TINY_RUN[:4], "env.max_start_cells=10", "display=off"]
    assert main(["train", *words]) == 0
    result = json.loads(next(tmp_path.rglob("result.json")).read_text())
    for agent in ("last", "no_change", "ridge"):
        for name in MEASURES:
            assert np.isfinite([result[f"{agent}/{name}_A"], result[f"{agent}/{name}_train"]]).all()
    assert result["last/mse_A"] != result["last/mse_train"]
    assert result["no_change/displacement_mse"] == 0
    assert result["last/displacement_mse"] > 0


def test_a_study_without_its_file_says_where_to_name_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BIOPPO_PERTURBATION_DATA", raising=False)
    assert main(["sweep", "study=perturbation_table7", "+ablation/perturbation_displacement=ppo", "seed=42"]) != 0
    error = capsys.readouterr().err
    assert "data/kang2018_pbmc_subset.h5ad does not exist" in error
    assert "with env.data.path" in error


def test_variants_are_named_after_their_files():
    assert stems(None, "/where/cells.h5ad", None) == "cells"
    assert stems("vcc2025_h1", None, None) == "vcc2025_h1"
    assert stems(None, None) == "generated"
