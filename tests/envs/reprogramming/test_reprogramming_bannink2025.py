"""The preset of the thesis project, value by value."""

import dataclasses

import pytest

from bioppo import UserError
from bioppo.configs.option import build_options
from bioppo.envs.reprogramming.episodes.curriculum import make_schedule
from bioppo.envs.reprogramming.policy_options import NETWORKS
from bioppo.envs.reprogramming.task import EPISODES
from bioppo.tuning.composition import Composition

PRESET = "experiment=reprogramming_bannink2025"
OWN_CELLS = ("env.data.h5ad=mine.h5ad", "env.data.grn=mine.parquet")

ENVIRONMENT = {
    "num_envs": 8,
    "data": {"kind": "h5ad", "max_cells": 30_000, "n_genes": 3_000, "keep_tfs": True},
    "impute": {"method": "balanced", "k": 750},
    "data_split": {"val": 0.05, "test": 0.05, "before_imputation": False},
    "grn": {"alpha": 10.0, "filter": "bagging", "max_p_value": 0.001, "max_edges": 2_000, "fit_on": "all"},
    "sim": {"backend": "builtin", "n_propagation": 3, "oe": "mean_sd", "oe_layer": "lognorm"},
    "table": {
        "neighbors": 200,
        "sigma": 0.05,
        "nan_policy": "celloracle",
        "gain": 1.0,
        "embedding": "stored",
        "snap": "emb",
        "plus_one": False,
        "shift": "unit",
    },
    "task": {
        "reward": "cosine",
        "step_penalty": -1.0,
        "scale": 5.0,
        "goal_bonus": 0.0,
        "gamma": 0.9831,
        "success_percentile": 25,
        "trim_percentile": 95,
        "starts": "all",
        "obs_noise": 0.0,
        "horizon": 20,
        "horizon_train": 20,
        "block_heldout": "train",
    },
    "dynamics": {"kind": "table", "persist": "none", "multi_gene": None},
    "curriculum": {
        "kind": "nearest_types_time",
        "targets_per_phase": 6,
        "first_phase_steps": 100_000,
        "phase_step_increase": 100_000,
        "horizon_increase": 4,
    },
}

ALGORITHM = {
    "name": "masked_ppo",
    "policy": "embedding",
    "optimizer": "adamw",
    "weight_decay": 1e-2,
    "learning_rate": 1.07e-4,
    "schedule": "late",
    "schedule_start": 0.6,
    "n_steps": 1024,
    "batch_size": 64,
    "n_epochs": 11,
    "gamma": 0.9831,
    "gae_lambda": 0.9013,
    "clip_range": 0.2141,
    "ent_coef": 0.0054,
    "vf_coef": 0.4075,
    "max_grad_norm": 0.6452,
    "target_kl": None,
    "reward_scale": 1.0,
    "normalize_reward": False,
    "warm_start": "none",
    "decode": "plain",
}

NETWORK = {
    "components": None,
    "branch_sizes": [512, 128],
    "actor_sizes": [256, 64],
    "critic_sizes": [128, 64],
    "activation": "leaky_relu",
}


def differences(expected, found, path=""):
    """What is not as expected, by dotted key."""
    for key, value in expected.items():
        if isinstance(value, dict):
            yield from differences(value, found[key], f"{path}{key}.")
        elif found[key] != value:
            yield f"{path}{key}={found[key]}"


def test_the_preset_is_what_was_published():
    run = Composition((PRESET, *OWN_CELLS)).run({})
    assert list(differences(ENVIRONMENT, dataclasses.asdict(run.env))) == []
    assert list(differences(ALGORITHM, dataclasses.asdict(run.algo))) == []
    options = build_options(NETWORKS["embedding"], run.algo.policy_options, "algo.policy_options")
    assert dataclasses.asdict(options) == NETWORK
    assert (run.budget, run.checkpoint.every, run.evaluation.every) == (2_500_000, 500_000, 500_000)
    assert run.evaluation.episodes is run.evaluation.deterministic is None
    assert (EPISODES["validation"], EPISODES["test"]) == (1_000, 2_000)
    assert run.seed == 77


def test_thirty_types_come_in_five_phases_that_end_where_the_learning_rate_falls():
    run = Composition((PRESET, *OWN_CELLS)).run({})
    schedule = make_schedule(run.env.curriculum, 30, run.env.task.horizon_train)
    assert schedule.targets == (6, 12, 18, 24, 29)
    assert schedule.starts == (0, 100_000, 300_000, 600_000, 1_000_000)
    assert schedule.horizons == (20, 24, 28, 32, 36)
    assert schedule.finish == run.algo.schedule_start * run.budget == 1_500_000


def test_the_preset_needs_the_users_cells():
    with pytest.raises(UserError, match=r"^env\.data\.h5ad=null: data\.kind=h5ad needs a file, so give [^\n]*$"):
        Composition((PRESET,)).run({})
    run = Composition((PRESET, "env.data.table=mine.npz")).run({})
    assert (run.env.data.kind, run.env.data.table) == ("table", "mine.npz")
