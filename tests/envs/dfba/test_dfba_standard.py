"""The conserving semantics against a closed form, and what it never does."""

import numpy as np
import pytest

from bioppo.envs.dfba.community import Community, StepOptions
from bioppo.envs.dfba.culture.case import load_case
from bioppo.envs.dfba.culture.repairs import OPTIMAL
from bioppo.envs.dfba.scaling import interpolate

NAMES = {1: "starch_single", 2: "starch_two", 5: "starch_five"}


def community_of(case, **options):
    return Community(load_case(case), StepOptions(**options))


def play(community, decisions, hold=1):
    """Return states (steps + 1, K, S), returns (K, n), and the share of steps whose bounds left no flux (K, n).

    ``decisions`` has shape (n_decisions, K, A).
    """
    decisions = np.asarray(decisions, dtype=float)
    state = community.new_state(decisions.shape[1])
    states, returns, limited = [state["concentration"].copy()], 0.0, 0.0
    for decision in decisions:
        for _ in range(hold):
            result = community.step(state, decision)
            states.append(state["concentration"].copy())
            returns = returns + result.formed
            limited = limited + (result.status != OPTIMAL)
    assert community.mass_residual(state).max() < 1e-9
    assert np.min(states) >= -1e-12
    return np.array(states), returns, limited / (len(states) - 1)


@pytest.mark.parametrize(("agents", "count"), [(1, 3), (2, 3), (5, 2)])
def test_constant_actions(golden, agents, count):
    rows = [row for row in golden.contents("standard_reference")["constant"] if row["n_agents"] == agents]
    assert len(rows) == count
    community = community_of(golden.case_of(NAMES[agents]))
    states, returns, limited = play(community, [[row["actions"] for row in rows]] * 1000)
    assert np.allclose(returns, [row["returns"] for row in rows], rtol=0, atol=1e-8)
    assert np.allclose(limited, [row["limited_fraction"] for row in rows])
    final = [[row["final"][name] for name in community.case.names] for row in rows]
    assert np.allclose(states[-1], final, rtol=0, atol=1e-8)


def test_a_held_schedule(golden):
    row = golden.contents("standard_reference")["schedule"]
    values = interpolate(np.array(row["knots"]), np.arange(0, 1000, 10), 1000)
    _, returns, limited = play(community_of(golden.case_of("starch_single")), values[:, None, None], hold=10)
    assert returns[0, 0] == pytest.approx(row["ret"], abs=1e-8)
    assert limited[0, 0] == pytest.approx(row["limited_fraction"])


@pytest.mark.parametrize(("name", "case"), [("standard_starch_two", "starch_two"), ("standard_overshoot", "overshoot")])
def test_trajectories(golden, name, case):
    record = golden.trajectory(name)
    community = community_of(golden.case_of(case))
    states, returns, _ = play(community, record["actions"][:, None], hold=int(record["hold"]))
    assert list(record["species"]) == list(community.case.names)
    assert np.allclose(states[:, 0], record["states"], rtol=0, atol=1e-8)
    assert np.allclose(returns[0], record["returns"], rtol=0, atol=1e-8)


@pytest.mark.parametrize("dt", [0.4, 0.2])
def test_other_lengths_of_a_step(golden, dt):
    rows = golden.contents("standard_reference")["dt_refinement"]
    entries = [next(entry for entry in row["rows"] if entry["dt"] == dt) for row in rows]
    steps = round(100 / dt)
    community = community_of(golden.case_of("starch_single", dt_h=dt, horizon_steps=steps))
    states, returns, _ = play(community, [[[row["action"]] for row in rows]] * steps)
    assert states[-1, :, 0] == pytest.approx([entry["final_biomass"] for entry in entries], abs=1e-8)
    assert returns[:, 0] == pytest.approx([entry["ret"] for entry in entries], abs=1e-8)


@pytest.mark.slow
def test_the_shortest_step(golden):
    rows = golden.contents("standard_reference")["dt_refinement"]
    community = community_of(golden.case_of("starch_single", dt_h=0.025, horizon_steps=4000))
    states, _, _ = play(community, [[[row["action"]] for row in rows]] * 4000)
    assert states[-1, :, 0] == pytest.approx([row["rows"][-1]["final_biomass"] for row in rows], abs=1e-8)
