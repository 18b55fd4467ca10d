import json

import numpy as np
import pandas as pd
import pytest

from bioppo.cli.main import main

SMALL = (
    "env=perturbation env.num_envs=8 env.generator.n_genes=20 env.generator.n_perturbations=6 "
    "env.generator.n_control=200 env.generator.n_per_perturbation=40 env.data.n_genes=20 env.max_start_cells=10 "
    "device=cpu display=off"
)


def train(words, directory):
    (directory / "figures").mkdir(parents=True)  # not drawn again where they are; they have tests of their own
    assert main(["train", *words.split(), f"hydra.run.dir={directory}"]) == 0
    return json.loads((directory / "result.json").read_text())


ROLLOUT = "algo.n_steps=8 algo.batch_size=32 budget=128 evaluation.every=64"
PAIRS = {
    "ppo": ROLLOUT,
    "trpo": ROLLOUT,
    "trpo_ppo": ROLLOUT,
    "random": "algo.n_steps=8 budget=128 evaluation.every=64",
    "supervised": "algo.n_samples=64 budget=128 evaluation.every=64",
    "embedding": "algo.max_epochs=2",
    "masked_ppo": f"{ROLLOUT} env.horizon=3",
}


@pytest.mark.parametrize("algo", PAIRS)
def test_every_algorithm_trains(algo, tmp_path):
    result = train(f"{SMALL} algo={algo} {PAIRS[algo]}", tmp_path)
    assert result["updates"] == 2
    assert result["no_change/pearson_delta_A"] == 0
    assert result["no_change/pds_A"] == 0.5
    assert {"last/pearson_delta_A", "additive/pearson_delta_A", "random/pearson_delta_B"} <= result.keys()
    groups = pd.read_csv(tmp_path / "evaluations.csv") if (tmp_path / "evaluations.csv").exists() else None
    if groups is not None:
        assert {"perturbation", "split", "energy"} <= set(groups.columns)


def test_searches_without_a_question_are_refused_in_a_sentence(tmp_path, capsys):
    words = f"{SMALL} algo=cma_es budget=48 hydra.run.dir={tmp_path / 'run'}"
    assert main(["train", *words.split()]) == 2
    error = capsys.readouterr().err
    assert "takes actions only: use algo=ppo" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("algo", ["masked_ppo", "trpo_ppo algo.use_masking=true"])
def test_choosing_genes_never_repeats_one(algo, tmp_path):
    words = f"{SMALL} algo={algo} {ROLLOUT} env.action_map=gene_choice env.horizon=4 evaluation.deterministic=false"
    train(words, tmp_path)
    from bioppo.configs.saved import read_config
    from bioppo.configs.schema import to_run_config
    from bioppo.training.saved import load_agent

    run = to_run_config(read_config(tmp_path))
    agent, environment = load_agent(run, tmp_path, checkpoint="last")
    generator = np.random.default_rng(0)
    observation, _ = environment.reset()
    chosen = [[] for _ in range(8)]
    for _ in range(40):
        actions = agent.act(observation, masks=environment.action_masks(), generator=generator)
        for copy, action in enumerate(actions.tolist()):
            assert action not in chosen[copy]
            chosen[copy].append(action)
        observation, _, terminated, truncated, _ = environment.step(actions)
        for copy in np.flatnonzero(terminated | truncated):
            chosen[copy] = []


@pytest.mark.slow
def test_ppo_learns_most_of_the_effect_of_seen_perturbations(tmp_path):
    result = train("env=perturbation algo=ppo device=cpu display=off", tmp_path)
    assert result["last/pearson_delta_A"] > 0.5
    assert result["last/pds_A"] > 0.8


@pytest.mark.slow
def test_the_leak_looks_like_success_on_perturbations_never_seen(tmp_path):
    words = "env=perturbation algo=ppo device=cpu display=off env.target=cell"
    honest = train(words, tmp_path / "honest")
    leaking = train(f"{words} env.observe_target=true", tmp_path / "leaking")
    assert leaking["last/mse_delta_B"] < 0.7 * honest["last/mse_delta_B"]
