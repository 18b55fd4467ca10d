"""Whole runs in cultures: a stopped one continues exactly, and says what was measured."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bioppo import UserError
from bioppo.algorithms.ppo.config import PPOConfig
from bioppo.configs.option import build_options
from bioppo.configs.schema import CheckpointConfig, EvaluationConfig, RunConfig
from bioppo.envs.dfba.config import DynamicFBAConfig
from bioppo.envs.dfba.options import load_options, plain_case
from bioppo.envs.dfba.solvers.basis_cache import UNKNOWN, BasisCache
from bioppo.envs.dfba.solvers.glpk_engine import GlpkSimplex
from bioppo.envs.dfba.solvers.highs_engine import HighsSimplex
from bioppo.envs.dfba.solvers.simplex import SolverError
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


def break_solvers(monkeypatch, after):
    """Forget known bases and let both solvers fail from a batch on; return which were asked then."""
    asked, batches = [], []
    find = BasisCache.find

    def forget(self, inputs, last):
        batches.append(len(inputs))
        place, outputs = find(self, inputs, last)
        if len(batches) > after:
            place[:] = UNKNOWN
        return place, outputs

    def failing(name, solve):
        def give_up(self, lower, upper, *, levels=None):
            if len(batches) > after:
                asked.append(name)
                raise SolverError(f"{name} gives up")
            return solve(self, lower, upper, levels=levels)

        return give_up

    monkeypatch.setattr(BasisCache, "find", forget)
    for name, engine in (("GLPK", GlpkSimplex), ("HiGHS", HighsSimplex)):
        monkeypatch.setattr(engine, "solve", failing(name, engine.solve))
    return asked


def test_a_step_that_no_solver_solves_stops_the_run_and_keeps_what_it_needs(tmp_path, monkeypatch):
    whole = train(run_config(), tmp_path / "whole")
    with monkeypatch.context() as patched:
        asked = break_solvers(patched, after=170)
        with pytest.raises(UserError, match=r"No solver solves a linear program .* in step ") as raised:
            train(run_config(), tmp_path / "stopped")
    assert asked == ["GLPK", "GLPK", "HiGHS"]
    assert "GLPK gives up; GLPK gives up; HiGHS gives up" in str(raised.value)
    file = Path(re.search(r"in (\S+\.npz)", str(raised.value))[1])
    with np.load(file) as kept:
        assert {"lower", "upper", "concentration", "community_step", "actions"} <= set(kept)
        step = f"in step {kept['community_step'].min() + 1} of"
    assert step in str(raised.value)
    file.unlink()
    continued = train(run_config(), tmp_path / "stopped")
    assert continued.scalars == whole.scalars
