"""The conserving semantics against a closed form, and what it never does."""

import numpy as np
import pytest

from bioppo.envs.dfba.case import load_case
from bioppo.envs.dfba.community import Community, StepOptions
from bioppo.envs.dfba.repairs import OPTIMAL
from bioppo.envs.dfba.scaling import interpolate

NAMES = {1: "starch_single", 2: "starch_two", 5: "starch_five"}


def community_of(case, **options):
    return Community(load_case(case), StepOptions(**options))


def play(community, decisions, hold=1, copies=1):
    """Return states (steps + 1, S), summed returns (n,), and the share of steps whose bounds left no flux (n,)."""
    state = community.new_state(copies)
    states, returns, limited = [state["concentration"][0].copy()], 0.0, 0.0
    for decision in decisions:
        for _ in range(hold):
            result = community.step(state, np.repeat(np.asarray(decision, dtype=float)[None], copies, axis=0))
            states.append(state["concentration"][0].copy())
            returns = returns + result.formed[0]
            limited = limited + (result.status[0] != OPTIMAL)
    assert community.mass_residual(state).max() < 1e-9
    return np.array(states), returns, limited / (len(states) - 1)


@pytest.mark.parametrize("number", range(8))
def test_constant_actions(golden, number):
    row = golden.contents("standard_reference")["constant"][number]
    community = community_of(golden.case_of(NAMES[row["n_agents"]]))
    states, returns, limited = play(community, [row["actions"]] * 1000)
    assert np.allclose(returns, row["returns"], rtol=0, atol=1e-8)
    assert np.allclose(limited, row["limited_fraction"])
    assert np.allclose(states[-1], [row["final"][name] for name in community.case.names], rtol=0, atol=1e-8)


def test_a_held_schedule(golden):
    row = golden.contents("standard_reference")["schedule"]
    values = interpolate(np.array(row["knots"]), np.arange(0, 1000, 10), 1000)
    _, returns, limited = play(community_of(golden.case_of("starch_single")), values[:, None], hold=10)
    assert returns[0] == pytest.approx(row["ret"], abs=1e-8)
    assert limited[0] == pytest.approx(row["limited_fraction"])


@pytest.mark.parametrize(("name", "case"), [("standard_starch_two", "starch_two"), ("standard_overshoot", "overshoot")])
def test_trajectories(golden, name, case):
    record = golden.trajectory(name)
    community = community_of(golden.case_of(case))
    states, returns, _ = play(community, record["actions"], hold=int(record["hold"]))
    assert list(record["species"]) == list(community.case.names)
    assert np.allclose(states, record["states"], rtol=0, atol=1e-8)
    assert np.allclose(returns, record["returns"], rtol=0, atol=1e-8)


@pytest.mark.parametrize("number", range(3))
def test_shorter_steps(golden, number):
    row = golden.contents("standard_reference")["dt_refinement"][number]
    for entry in row["rows"][:3]:
        steps = round(100 / entry["dt"])
        community = community_of(golden.case_of("starch_single", dt_h=entry["dt"], horizon_steps=steps))
        states, returns, _ = play(community, [[row["action"]]] * steps)
        assert states[-1, 0] == pytest.approx(entry["final_biomass"], abs=1e-8)
        assert returns[0] == pytest.approx(entry["ret"], abs=1e-8)
