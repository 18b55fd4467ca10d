"""The semantics `spam` repeats SPAM-DFBA 1.0.0, step by step, from its recorded trajectories."""

import warnings

import numpy as np
import pytest

import bioppo
from bioppo.envs.dfba.community import Community, StepOptions
from bioppo.envs.dfba.culture.case import load_case
from bioppo.envs.dfba.culture.repairs import OPTIMAL
from bioppo.envs.dfba.scaling import interpolate

WITHOUT_TIES = [
    "starch_single", "starch_two", "starch_five", "starch_five_mass_transfer", "necom_facultative", "necom_no_overlap",
    "necom_no_overlap_dilution", "overshoot", "constant_species", "carry_over",
]  # fmt: skip


def community_of(case, **options):
    options = {"semantics": "spam", "infeasible": ("freeze",), "tie_break": "vertex", **options}
    return Community(load_case(case), StepOptions(**options))


def joint_actions(record, agents):
    return np.concatenate([record[f"actions_{agent}"] for agent in agents], axis=1)


def difference(states, expected):
    return (np.abs(states - expected) / np.maximum(1, np.abs(expected))).max()


@pytest.mark.parametrize("name", WITHOUT_TIES)
def test_whole_trajectories(golden, name):
    record = golden.trajectory(name)
    community = community_of(golden.case_of(name))
    assert list(record["species"]) == list(community.case.names)
    actions = joint_actions(record, record["agents"])
    state = community.new_state(1)
    assert state["concentration"][0].tolist() == record["states"][0].tolist()
    results, states = [], []
    for action in actions:
        results.append(community.step(state, action[None]))
        states.append(state["concentration"][0].copy())
    assert np.array_equal([result.status[0] != OPTIMAL for result in results], record["infeasible"])
    assert difference(np.array(states), record["states"][1:]) < 1e-9
    assert difference(np.array([result.spam_reward[0] for result in results]), record["rewards"]) < 1e-9
    assert community.mass_residual(state).max() < 1e-9


@pytest.mark.parametrize(("name", "growth"), [("necom_auxotrophs", 1e-9), ("e_coli_core", 1e-8)])
def test_tied_steps_stay_within_what_optimal_growth_leaves_open(golden, name, growth):
    record = golden.trajectory(name)
    community = community_of(golden.case_of(name))
    actions = joint_actions(record, record["agents"])
    state = community.new_state(len(actions))
    state["concentration"][:] = record["states"][:-1]
    result = community.step(state, actions)
    infeasible = record["infeasible"]
    assert np.array_equal(result.status != OPTIMAL, infeasible)
    assert np.abs(result.growth - record["growth"])[~infeasible].max() < growth
    fluxes, labels = community.all_exchanges(result.exchange), community.flux_labels()
    for position, agent in enumerate(record["agents"]):
        alive = ~infeasible[:, position]
        for column, reaction in enumerate(record[f"exchange_ids_{agent}"]):
            model = community.case.agents[position].model
            species = next(s for s, place in model.exchanges.items() if model.reactions[place] == reaction)
            flux = fluxes[alive, labels.index((str(agent), species))]
            assert (flux >= record[f"exchange_min_{agent}"][alive, column] - 1e-6).all()
            assert (flux <= record[f"exchange_max_{agent}"][alive, column] + 1e-6).all()
    unique = record["exchange_unique"].all(axis=1)
    assert unique.any() == (name == "e_coli_core")
    if unique.any():
        assert difference(state["concentration"][unique], record["states"][1:][unique]) < 1e-9


@pytest.mark.parametrize("name", ["necom_auxotrophs", "e_coli_core"])
def test_lexicographic_trajectories(golden, name):
    record = golden.trajectory(name)
    community = community_of(golden.case_of(name), tie_break="lexicographic")
    state = community.new_state(1)
    for step, action in enumerate(joint_actions(record, record["agents"])):
        result = community.step(state, action[None])
        assert difference(state["concentration"], record["states_lexicographic"][step + 1]) < 1e-7
        assert difference(result.spam_reward, record["rewards_lexicographic"][step]) < 1e-7


@pytest.mark.parametrize("name", ["necom_auxotrophs", "e_coli_core", "starch_two"])
def test_ties_are_counted_where_exchange_fluxes_are_not_unique(golden, name):
    record = golden.trajectory(name)
    community = community_of(golden.case_of(name), report_ties=True)
    actions = joint_actions(record, record["agents"])
    state = community.new_state(len(actions))
    state["concentration"][:] = record["states"][:-1]
    result = community.step(state, actions)
    assert (result.tied == ~record["exchange_unique"]).mean() > 0.995  # widths near the tolerance may fall either way
    assert result.tied.any() == (name != "starch_two")


@pytest.mark.slow
def test_genome_scale_growth_and_verdicts(golden):
    record = golden.trajectory("iJO1366_auxotrophs")
    community = community_of(golden.case_of("iJO1366_auxotrophs"))
    actions = joint_actions(record, record["agents"])
    state = community.new_state(len(actions))
    state["concentration"][:] = record["states"][:-1]
    result = community.step(state, actions)
    assert np.array_equal(result.status != OPTIMAL, record["infeasible"])
    alive = ~record["infeasible"]
    assert np.abs(result.growth - record["growth"])[alive].max() < 1e-6


CASES_OF_ROWS = {
    "starch_single": 4, "starch_two": 3, "starch_five": 2, "starch_five_mass_transfer": 2, "necom_auxotrophs": 2,
    "necom_facultative": 2, "necom_no_overlap": 1, "necom_no_overlap_dilution": 1,
}  # fmt: skip


def joint_of(row):
    if "actions" in row:
        return np.repeat(np.concatenate(row["actions"])[None], 1000, axis=0)
    return interpolate(np.array([row["schedule_knots"]]), np.arange(1000), 1000).T


@pytest.mark.parametrize("name", CASES_OF_ROWS)
def test_whole_episodes_of_constant_actions(golden, name):
    rows = [row for row in golden.contents("constant_actions") if row["case"] == name]
    assert len(rows) == CASES_OF_ROWS[name]
    tied = name == "necom_auxotrophs"
    community = community_of(golden.case_of(name), tie_break="lexicographic" if tied else "vertex")
    joint = np.array([joint_of(row) for row in rows])
    state = community.new_state(len(rows))
    returns = sum(community.step(state, joint[:, step]).spam_reward for step in range(1000))
    ending = "_lexicographic" if tied else ""
    assert np.allclose(returns, [row["returns" + ending] for row in rows], rtol=0, atol=1e-6)
    final = np.array([[row["final" + ending][one] for one in community.case.names] for row in rows])
    assert np.allclose(np.maximum(state["concentration"], 0), np.maximum(final, 0), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("biomass", "made"), [(0.1, 0.0), (5.0, 0.0), (10.0, 0.07), (20.0, 0.68), (50.0, 16.1)])
def test_cutting_at_zero_makes_sugar_which_is_told(golden, biomass, made):
    case = golden.case_of("starch_single")
    case = case | {"initial": case["initial"] | {"agent1": biomass}, "horizon_steps": 200}
    community = community_of(case)
    state = community.new_state(1)
    for _ in range(200):
        community.step(state, np.zeros((1, 1)))
    assert state["clipped"][0, 1] == pytest.approx(made, rel=0.08, abs=1e-12)
    environment = bioppo.make_env("dfba", num_envs=1, case=case, semantics="spam")
    environment.reset(seed=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(200):
            environment.step(np.zeros((1, 1)))
    assert [str(warning.message)[:18] for warning in caught] == ["semantics=spam mad"] * (made > 0)
