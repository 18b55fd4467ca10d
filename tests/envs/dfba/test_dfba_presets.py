"""Shipped settings of communities compose to what they say, and one of them trains."""

import copy
import importlib.util
import json
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

import bioppo
from bioppo.cli.main import main
from bioppo.configs.schema import to_run_config
from bioppo.envs.dfba.evaluation import METRICS

ROOT = Path(bioppo.__file__).parent
CONFIGS = ROOT / "configs"
STUDIES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CONFIGS / "study").glob("dfba_*.yaml"))}
PUBLISHED = {"reward": "spam", "semantics": "spam"}
COMPOSED = {}


def rows_of(study):
    """Return the ablation groups of a study, each with its rows."""
    groups = [key.removeprefix("+ablation/") for key in STUDIES[study]["hydra"]["sweeper"]["params"] if "+" in key]
    return {group: sorted(path.stem for path in (CONFIGS / "ablation" / group).glob("*.yaml")) for group in groups}


JOBS = [
    (study, group, row) for study in STUDIES for group, rows in rows_of(study).items() for row in rows
]  # every row once, the other groups at their last row


def composed(capsys, *words):
    assert main(["train", *words, "--cfg", "job", "--resolve"]) == 0
    return yaml.safe_load(capsys.readouterr().out)


def job(capsys, study, group, row):
    chosen = {name: rows[-1] for name, rows in rows_of(study).items()} | {group: row}
    words = (f"study={study}", *(f"+ablation/{name}={value}" for name, value in chosen.items()))
    if words not in COMPOSED:
        COMPOSED[words] = composed(capsys, *words)
    return copy.deepcopy(COMPOSED[words])


def test_the_published_setting_composes(capsys):
    config = composed(capsys, "experiment=dfba_spam", "env/case=starch_amylase/two")
    run = to_run_config(OmegaConf.create(config))
    expected = {"num_envs": 4, "frame_skip": 1, "reward": "spam", "tie_break": "vertex", "action_range": "raw"}
    assert {name: getattr(run.env, name) for name in expected} == expected
    assert (run.env.semantics, run.env.infeasible, run.env.observation.scaling) == ("spam", ["freeze"], "raw")
    # Learner: 5000 batches of four whole episodes, and what was published of networks and optimizers.
    assert run.budget == 5000 * run.env.num_envs * run.env.case.horizon_steps
    learner = {"clip_range": 0.1, "grad_updates": 10, "actor_learning_rate": 1e-4, "critic_learning_rate": 1e-3}
    learner |= {"action_std": 0.1, "gamma": 1.0, "hidden_layers": 8, "share_hidden": True, "idle_first_batch": True}
    assert {name: getattr(run.algo, name) for name in learner} == learner
    assert list(run.env.case.agents) == ["agent1", "agent2"]


def test_what_the_published_setting_writes_out_is_what_the_semantics_imply(capsys):
    written, implied = (
        to_run_config(OmegaConf.create(composed(capsys, *words)))
        for words in (
            ["experiment=dfba_spam"],
            ["env=dfba", "env.semantics=spam", "env.num_envs=4", "algo=independent_ppo_spam"],
        )
    )
    assert (written.env, written.algo) == (implied.env, implied.algo)


@pytest.mark.parametrize(("study", "group", "row"), JOBS)
def test_every_row_composes(capsys, study, group, row):
    config = job(capsys, study, group, row)
    run = to_run_config(OmegaConf.create(config))
    assert run.study == study
    assert run.variant
    assert STUDIES[study]["hydra"]["sweeper"]["params"]["seed"] == "0,1,2,3,4"
    if study != "dfba_genome_scale" and row != "single_standard":
        assert {name: getattr(run.env, name) for name in PUBLISHED} == PUBLISHED


@pytest.mark.parametrize(
    ("study", "fixed", "key", "values"),
    [
        (
            "dfba_clip",
            {"grad_updates": 4, "actor_learning_rate": 1e-4, "action_std": 0.1},
            "clip_range",
            [0.05, 0.1, 1],
        ),
        (
            "dfba_grad_updates",
            {"clip_range": 0.1, "actor_learning_rate": 1e-4, "action_std": 0.1},
            "grad_updates",
            [1, 5, 20],
        ),
        (
            "dfba_lr",
            {"clip_range": 0.1, "grad_updates": 20, "action_std": 0.1},
            "actor_learning_rate",
            [1e-4, 1e-3, 1e-2],
        ),
        (
            "dfba_actor_sd",
            {"clip_range": 0.1, "grad_updates": 20, "actor_learning_rate": 1e-3},
            "action_std",
            [1e-3, 0.1, 1],
        ),
    ],
)
def test_learner_studies_change_one_key(capsys, study, fixed, key, values):
    rows = rows_of(study)[study]
    configs = [job(capsys, study, study, row) for row in rows]
    assert sorted(config["algo"][key] for config in configs) == values
    for config in configs:
        assert config["budget"] == 1000 * 4 * 1000
        assert {name: config["algo"][name] for name in fixed} == fixed
        # The name says the value.
        assert float(config["variant"].rpartition("_")[2]) == config["algo"][key]


def test_mass_transfer_changes_nothing_but_its_rate(capsys):
    plain = composed(capsys, "experiment=dfba_spam", "env/case=starch_amylase/five_mass_transfer")["env"]["case"]
    found = []
    for row in rows_of("dfba_mass_transfer")["dfba_mass_transfer"]:
        case = job(capsys, "dfba_mass_transfer", "dfba_mass_transfer", row)["env"]["case"]
        rates = {entry["k"] for entry in case["extracellular"] if entry["law"] == "mass_transfer"}
        assert len(rates) == 1
        found += rates
        for entry in case["extracellular"]:
            entry["k"] = 0.01 if entry["law"] == "mass_transfer" else entry["k"]
        # Explicit steps are stable while the exchange of a step is less than what there is.
        assert max(rates) * case["dt_h"] <= 0.2
        assert case["dt_h"] * case["horizon_steps"] == pytest.approx(plain["dt_h"] * plain["horizon_steps"])
        assert case | {key: plain[key] for key in ("dt_h", "horizon_steps")} == plain
    assert sorted(found) == [0.01, 0.1, 1, 10]


def test_all_cases_of_toy_models_are_in_the_study(capsys):
    groups = rows_of("dfba_cases")
    files = [*(CONFIGS / "env" / "case" / "starch_amylase").glob("*"), *(CONFIGS / "env" / "case" / "necom").glob("*")]
    written = [yaml.safe_load(path.read_text()) for path in files if path.suffix == ".yaml"]
    names = set()
    for row in groups["dfba_cases"]:
        config = job(capsys, "dfba_cases", "dfba_cases", row)
        names.add(config["env"]["name"])
        case = {key: value for key, value in config["env"]["case"].items() if value or value is False}
        assert any(case["agents"] == other["agents"] and case["initial"] == other["initial"] for other in written)
    assert len(names) == len(written) == 8


@pytest.mark.parametrize(("row", "limits"), [("starch_five", (-0.5, 1.0)), ("necom_facultative", (-10.0, 3.0))])
def test_schedules_are_searched_where_bounds_make_sense(capsys, row, limits):
    words = ["study=dfba_cases", f"+ablation/dfba_cases={row}", "+ablation/dfba_methods=schedule"]
    run = to_run_config(OmegaConf.create(composed(capsys, *words)))
    assert (run.algo.low, run.algo.high, run.env.action_range) == (*limits, "raw")
    assert run.algo.population_size * run.algo.iterations * run.env.case.horizon_steps <= run.budget
    for agent in run.env.case.agents.values():
        assert all(limits[0] <= action["low"] <= action["high"] <= limits[1] for action in agent["actions"])


@pytest.mark.parametrize(
    "study", [study for study, config in STUDIES.items() if "reference" in config["hydra"]["sweeper"]]
)
def test_published_numbers_belong_to_rows_and_metrics(capsys, study):
    content = yaml.safe_load((CONFIGS / "reference" / f"{study}.yaml").read_text())
    assert "10.1093/bioinformatics/btae003" in content["source"]
    variants = {job(capsys, *entry)["variant"] for entry in JOBS if entry[0] == study}
    known = {metric.name for metric in METRICS} | {"variant"}
    for row in content["rows"]:
        assert row["variant"] in variants
        assert set(row) <= known


def test_a_study_trains_and_its_times_are_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["study=dfba_learning", "+ablation/dfba_learning=single", "seed=0", "display=off", "env.num_envs=4"]
    words += ["env.case.horizon_steps=40", "budget=960", "evaluation.every=320", "algo.n_steps=4", "algo.batch_size=16"]
    assert main(["sweep", *words]) == 0
    study = tmp_path / "results" / "dfba_learning"
    (directory,) = study.glob("*/*/seed_0")
    result = json.loads((directory / "result.json").read_text())
    assert result["updates"] == 3
    for name in ("last", "greedy", "constant", "random"):
        assert result[f"{name}/mass_residual"] < 1e-9
    assert result["constant/mean_return"] >= result["greedy/mean_return"]
    capsys.readouterr()

    script = ROOT / "benchmarks" / "dfba_learning.py"
    if not script.is_file():
        pytest.skip("the benchmarks are in the repository only")
    spec = importlib.util.spec_from_file_location("dfba_learning", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.time_to_return(directory, -1e9)[1:] == (0.0, 0.0)
    assert module.time_to_return(directory, 1e9)[1] == float("inf")
    module.print_learning(study)
    assert "best constant" in capsys.readouterr().out
