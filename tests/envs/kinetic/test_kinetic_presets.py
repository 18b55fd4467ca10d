"""Shipped settings compose to what they say: experiments, studies, their rows and their reference values."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hydra.core.plugins import Plugins

import bioppo
from bioppo.cli.main import main

CONFIGS = Path(bioppo.__file__).parent / "configs"
ROWS = sorted(path.stem for path in (CONFIGS / "ablation" / "kinetic_poster_table1").glob("*.yaml"))
COLUMNS = (
    "algo.learning_rate",
    "algo.critic_learning_rate",
    "algo.vf_coef",
    "algo.clip_range",
    "algo.max_grad_norm",
    "algo.n_epochs",
    "algo.schedule",
    "env.beta",
)
BASE = (3e-4, 1e-3, 0.5, 0.2, 0.5, 10, "constant", 1.0)
CHANGED = {
    "02": {"algo.learning_rate": 1e-5},
    "03": {"algo.learning_rate": 1e-4},
    "04": {"algo.critic_learning_rate": 1e-4},
    "05": {"algo.critic_learning_rate": 5e-4},
    "06": {"algo.vf_coef": 0.75},
    "07": {"algo.vf_coef": 0.25},
    "08": {"algo.clip_range": 0.1},
    "09": {"algo.max_grad_norm": 0.75},
    "10": {"algo.max_grad_norm": 0.25},
    "11": {"algo.n_epochs": 5},
    "12": {"algo.schedule": "cosine"},
    "13": {"env.beta": 0.25},
}


def composed(capsys, *words):
    assert main(["train", *words, "--cfg", "job", "--resolve"]) == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "env", "algo"),
    [
        (
            "kinetic_poster",
            {"param": "ln_km", "low": -25, "high": 3, "start": "uniform", "horizon": 50, "time_feature": True}
            | {"reward": "sigmoid", "reward_offset": 0.0, "lambda_part": "auto_log_uniform", "action_limit": 10},
            {"hidden_sizes": [256, 256], "gae_lambda": 1.0, "ent_coef": 0.0, "batch_size": 25, "n_steps": 50},
        ),
        (
            "kinetic_report",
            {"param": "ln_km", "low": -25, "high": 3, "start": "uniform", "horizon": 50, "time_feature": False}
            | {"reward": "sigmoid", "reward_offset": 1e-3, "lambda_part": "auto_log_uniform", "action_limit": 10},
            {"hidden_sizes": [1536, 1536], "gae_lambda": 0.98, "ent_coef": 0.01, "advantage_limit": 3, "n_steps": 50},
        ),
        (
            "kinetic_generator",
            {"param": "ln_k_over_x", "start": "fixed", "horizon": 1, "time_feature": False, "reward": "asinh"},
            {"batch_size": 64, "n_steps": 1, "schedule": "linear", "zero_last_layer": True, "hidden_sizes": []},
        ),
    ],
)
def test_experiments_compose(capsys, name, env, algo):
    config = composed(capsys, f"experiment={name}")
    assert config["env"] | env == config["env"]
    assert config["algo"] | algo == config["algo"]
    assert config["algo"]["n_steps"] * config["env"]["num_envs"] % config["algo"]["batch_size"] == 0
    # Every episode of a measurement has a copy of its own, or all copies are used equally often.
    assert (config["evaluation"]["episodes"] or 500) % (config["evaluation"]["num_envs"] or 1) == 0


def test_options_that_take_lists_and_numbers_compose(capsys):
    words = (
        "env=kinetic algo=ppo env.search_calls=[1,10,50] env.held_out=[16,17] evaluation.num_envs=25 env.members=[0,1]"
    )
    config = composed(capsys, *words.split())
    assert config["env"]["search_calls"] == [1, 10, 50]
    assert (config["env"]["members"], config["env"]["held_out"]) == ([0, 1], [16, 17])
    assert config["evaluation"]["num_envs"] == 25


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("experiment=kinetic_postr", "experiment=kinetic_postr does not exist: did you mean kinetic_poster"),
        ("study=kinetic_poster_table", "study=kinetic_poster_table does not exist: did you mean kinetic_poster_table1"),
        ("env=kinetic algo=ppo evaluation.num_envs=0", "evaluation.num_envs=0: give a value of at least 1"),
        ("env=kinetic algo=ppo env.search_calls=[0]", "search_calls=[0]: give numbers of at least 1"),
        (
            "env=kinetic algo=ppo env.robustness_displacement=1.5",
            "robustness_displacement=1.5: give a value of less than 1",
        ),
    ],
)
def test_presets_that_do_not_exist_and_values_out_of_range_are_refused(capsys, words, sentence):
    assert main(["train", *words.split()]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_table_1_changes_one_setting(capsys, row):
    config = composed(capsys, "study=kinetic_poster_table1_core", f"+ablation/kinetic_poster_table1={row}")
    found = {column: config[column.partition(".")[0]][column.partition(".")[2]] for column in COLUMNS}
    assert found == dict(zip(COLUMNS, BASE, strict=True)) | CHANGED.get(row[:2], {})
    assert config["variant"] == row


@pytest.mark.parametrize(
    ("study", "model", "lambda_part"),
    [
        ("kinetic_poster_table1", "renaissance384", -2.5),
        ("kinetic_poster_table1_core", "e_coli_core", "auto_log_uniform"),
    ],
)
def test_table_1_has_five_seeds_of_every_row_and_the_posters_values(
    study, model, lambda_part, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    launched = []
    launcher = SimpleNamespace(launch=lambda jobs, initial_job_idx: launched.extend(jobs))
    monkeypatch.setattr(Plugins, "instantiate_launcher", lambda *arguments, **keywords: launcher)
    # Thirteen rows of one seed, then five seeds of one row: all 65 jobs would take long to compose.
    for word, count in (("seed=0", 13), ("+ablation/kinetic_poster_table1=01_base", 5)):
        launched.clear()
        assert main(["sweep", f"study={study}", word]) == 2
        assert f"{count} of {count} jobs failed" in capsys.readouterr().err
        assert len(launched) == count
    content = json.loads((tmp_path / "results" / study / "study.json").read_text())
    assert {job["directory"] for job in content["jobs"]} == {
        *(f"{row}/seed_0" for row in ROWS),
        *(f"01_base/seed_{seed}" for seed in range(5)),
    }
    assert Counter(job["variant"] for job in content["jobs"]) == dict.fromkeys(ROWS, 1) | {"01_base": 5}
    reference = {row.pop("variant"): row for row in content["reference"]["rows"]}
    assert sorted(reference) == ROWS
    columns = {"training_lambda_mean", "training_reward_max", "training_reward_mean"}
    assert all(row.keys() == columns for row in reference.values())
    config = composed(capsys, f"study={study}")
    assert (config["env"]["model"], config["env"]["lambda_part"]) == (model, lambda_part)
    assert config["evaluation"]["num_envs"] == 20
