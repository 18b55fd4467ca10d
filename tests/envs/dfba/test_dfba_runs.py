"""Whole runs in cultures: a stopped one continues exactly, and says what was measured."""

import json

import pandas as pd
import pytest

from bioppo.algorithms.ppo.config import PPOConfig
from bioppo.configs.option import build_options
from bioppo.configs.schema import CheckpointConfig, EvaluationConfig, RunConfig
from bioppo.envs.dfba.config import DynamicFBAConfig
from bioppo.envs.dfba.options import load_options, plain_case
from bioppo.training.trackers import NoTrackerConfig
from bioppo.training.train import train


class Stop(Exception):  # noqa: N818  # an ending, not an error
    """Ends a run early."""


def run_config():
    case = plain_case(load_options("starch_amylase/single")) | {"horizon_steps": 200}
    return RunConfig(
        env=build_options(DynamicFBAConfig, {"case": case, "num_envs": 4}, "env"),
        algo=PPOConfig(n_steps=7, batch_size=14, n_epochs=2, hidden_sizes=[8]),
        tracker=NoTrackerConfig(),
        budget=4 * 7 * 10 * 5,
        evaluation=EvaluationConfig(episodes=2, every=500),
        checkpoint=CheckpointConfig(seconds=0),
        device="cpu",
    )


def test_a_stopped_run_continues_exactly(tmp_path):
    whole = train(run_config(), tmp_path / "whole")

    def stop(simulator_calls, evaluation):
        if simulator_calls >= 600:
            raise Stop

    with pytest.raises(Stop):
        train(run_config(), tmp_path / "stopped", report=stop)
    continued = train(run_config(), tmp_path / "stopped")
    assert continued.scalars == whole.scalars
    assert (tmp_path / "stopped" / "progress.csv").read_text() == (tmp_path / "whole" / "progress.csv").read_text()
    scalars = json.loads((tmp_path / "whole" / "result.json").read_text())
    assert scalars["last/mass_residual"] < 1e-9
    assert {f"{agent}/mean_return" for agent in ("last", "greedy", "constant", "random")} <= set(scalars)
    table = pd.read_parquet(tmp_path / "whole" / "tables" / "greedy_concentrations.parquet")
    assert table[table["quantity"] == "biomass"]["value"].iloc[-1] == scalars["greedy/final_biomass"]
