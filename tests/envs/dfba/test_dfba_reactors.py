"""Reactors, media and rate laws: matter is conserved, and what a file says is what happens."""

import numpy as np
import pytest

import bioppo
from bioppo import UserError
from bioppo.envs.dfba import check_convergence, simulate
from bioppo.envs.dfba.community import Community, StepOptions
from bioppo.envs.dfba.culture.case import load_case
from bioppo.envs.dfba.culture.extracellular import ExtracellularReactions
from bioppo.envs.dfba.culture.repairs import CLIPPED, OPTIMAL
from bioppo.envs.dfba.kinetics import UptakeKinetics, UptakeLaw
from bioppo.envs.dfba.options import load_options, plain_case

TOY = {
    "species": ["Glc", "P", "Amylase"],
    "initial": {"a": 0.1, "Glc": 20},
    "agents": {"a": {"model": "toy_sa", "actions": [{"reaction": "Amylase_e", "low": 0, "high": 1}]}},
    "horizon_steps": 50,
}


def community_of(case, **options):
    return Community(load_case(case), StepOptions(**options))


def play(community, steps, action=np.nan, copies=1):
    state = community.new_state(copies)
    for _ in range(steps):
        result = community.step(state, np.full((copies, community.n_actions), action))
    assert community.mass_residual(state).max() < 1e-9
    return state, result


def test_a_batch_loses_nothing():
    state, _ = play(community_of(TOY), 50)
    biomass, glucose, product, _ = state["concentration"][0]
    # Of every glucose, what does not become biomass leaves as a tenth of P.
    assert 0.1 * (20 - glucose) == pytest.approx(product + 0.1 * (biomass - 0.1), rel=1e-9)


def test_a_chemostat_washes_out():
    case = TOY | {"reactor": {"kind": "chemostat", "dilution_per_h": 1.0, "inlet": {"Glc": 5}}, "initial": {"a": 1e-9}}
    state, _ = play(community_of(case | {"initial": {"a": 1e-9, "Glc": 20}}), 100)
    assert state["concentration"][0, 0] < 1e-12
    assert state["concentration"][0, 1] == pytest.approx(5 + 15 * 0.9**100, rel=1e-6)


def test_a_fed_batch_grows_in_volume_and_dilutes():
    reactor = {"kind": "fed_batch", "volume_L": 1.0, "feed_L_per_h": [[0, 0.0], [1, 0.5]], "inlet": {"Amylase": 2.0}}
    case = TOY | {"reactor": reactor, "initial": {"a": 1e-12, "Glc": 20, "P": 4}}
    community = community_of(case)
    state, _ = play(community, 50)
    assert state["volume"][0] == pytest.approx(1 + 0.5 * 4)
    assert state["concentration"][0, 2] * state["volume"][0] == pytest.approx(4)
    with pytest.raises(UserError, match="a step must feed less than volume_L"):
        load_case(TOY | {"reactor": reactor | {"feed_L_per_h": 10}})


def test_the_feed_may_be_an_action():
    agents = {"a": {"model": "toy_sa", "actions": [{"kind": "feed_rate", "low": 0, "high": 0.5}]}}
    reactor = {"kind": "fed_batch", "volume_L": 1.0, "inlet": {"Glc": 50}}
    state, _ = play(community_of(TOY | {"agents": agents, "reactor": reactor}), 50, action=0.2)
    assert state["volume"][0] == pytest.approx(2.0)


def test_serial_dilution_takes_place_after_every_period():
    reactor = {"kind": "serial_dilution", "period_h": 1.0, "factor": 4.0, "inlet": {"Glc": 20}}
    case = TOY | {"reactor": reactor, "initial": {"a": 1e-12, "Glc": 20, "P": 8}}
    community = community_of(case)
    assert play(community, 10)[0]["concentration"][0, 2] == pytest.approx(8)
    assert play(community, 11)[0]["concentration"][0, 2] == pytest.approx(2)
    assert play(community, 25)[0]["concentration"][0, 2] == pytest.approx(0.5)
    with pytest.raises(UserError, match=r"reactor.period_h=0.25: give a multiple of dt_h=0.1"):
        load_case(case | {"reactor": reactor | {"period_h": 0.25}})


@pytest.mark.parametrize("substeps", [1, 7, "auto"])
@pytest.mark.parametrize("start", [0.1, 5.0, 50.0])
def test_nothing_falls_below_zero_and_nothing_is_made(substeps, start):
    case = plain_case(load_options("starch_amylase/two"))
    case["initial"] = case["initial"] | {"agent1": start, "agent2": 0.3 * start}
    community = community_of(case, substeps=substeps)
    generator = np.random.default_rng(0)
    state, least = community.new_state(4), 0.0
    for _ in range(60):
        community.step(state, generator.uniform(0, 1, (4, 2)))
        least = min(least, state["concentration"].min())
    assert least >= -1e-12
    assert community.mass_residual(state).max() < 1e-9


def test_a_copys_substeps_are_its_own():
    case = plain_case(load_options("starch_amylase/single"))
    community = community_of(case, substeps="auto")
    state = community.new_state(3)
    state["concentration"][:, 0] = [0.1, 20, 100]
    assert community.needed_substeps(state["concentration"]).tolist() == [1, 4, 20]
    state["concentration"][2, 0] = 1000
    assert community.needed_substeps(state["concentration"]).tolist() == [1, 4, 64]
    alone = {key: value[1:2].copy() for key, value in state.items()}
    community.step(state, np.full((3, 1), 0.3))
    community.step(alone, np.full((1, 1), 0.3))
    assert np.array_equal(state["concentration"][1:2], alone["concentration"])


def test_death_follows_the_maintenance_that_is_not_met():
    case = TOY | {"initial": {"a": 0.1, "Glc": 0.2, "Amylase": 0.0}, "grows_at_start": False}
    options = {"infeasible": ("clip_action", "relax_maintenance"), "death_rate": 0.5}
    community = community_of(case, **options)
    state, result = community.new_state(1), None
    result = community.step(state, np.zeros((1, 1)))
    uptake = 10 * 0.2 / 10.2
    assert result.status[0, 0] == 2
    assert state["concentration"][0, 0] == pytest.approx(0.1 * (1 - 0.1 * 0.5 * (1 - 2 * uptake)))
    frozen = community_of(case, infeasible=("freeze",))
    start = frozen.new_state(1)
    frozen.step(start, np.zeros((1, 1)))
    assert start["concentration"][0].tolist() == frozen.case.initial.tolist()
    decaying = community_of(case, infeasible=("decay",), death_rate=0.5)
    start = decaying.new_state(1)
    decaying.step(start, np.zeros((1, 1)))
    assert start["concentration"][0, 0] == pytest.approx(0.1 * 0.95)


def test_two_floors_shrink_by_one_factor():
    case = plain_case(load_options("necom/facultative"))
    community = community_of(case)
    state = community.new_state(1)
    result = community.step(state, np.array([[6.0, 6.0, 0.0, 0.0]]))
    assert result.status[0].tolist() == [1, 0]
    fluxes = dict(zip(community.flux_labels(), community.all_exchanges(result.exchange)[0], strict=True))
    given = fluxes["agent1", "A"]
    assert given == pytest.approx(fluxes["agent1", "B"])
    # An uptake of 10 * 100/110 gives 2 ATP each; A costs 3 of them, B a third of one.
    assert 3 * given + given / 3 == pytest.approx(2 * 10 * 100 / 110)


def test_uptake_laws():
    names = ("a", "Glc", "O2", "I")
    laws = [
        UptakeLaw(vmax=8, km=2, hill_n=2, inhibitors={"I": 4.0}),
        UptakeLaw(rate="v*O2 - 1", parameters={"v": 3.0}),
    ]
    state = np.array([[0.1, 3.0, 2.0, 1.0], [0.1, 0.0, 0.1, 0.0]])
    limits = UptakeKinetics([laws], np.array([1, 2]), names).limits(state)
    assert limits[0, 0] == pytest.approx([8 * 9 / (9 + 4) / (1 + 1 / 4), 5.0])
    assert limits[0, 1] == pytest.approx([0.0, 0.0])


def test_extracellular_laws():
    names = ("a", "S", "E", "P")
    move = {"S": -1, "P": 1}
    entries = [
        {"stoichiometry": move, "law": "mass_transfer"},
        {"stoichiometry": move, "law": "first_order", "k": 2},
        {"stoichiometry": {"S": -2, "E": -1, "P": 1}, "law": "mass_action", "k": 0.5},
        {"stoichiometry": move, "law": "hill", "k": 3, "Km": 2, "hill_n": 2, "enzyme": "E"},
        {"stoichiometry": move, "law": "enzyme_michaelis_menten", "enzyme": "E"},
        {"stoichiometry": move, "law": "expression", "rate": "k*max(S - P, 0)", "parameters": {"k": 7}},
    ]
    reactions = ExtracellularReactions(entries, names)
    rates = reactions.rates(np.array([[0.0, 4.0, 3.0, 1.0]]))[0]
    assert rates == pytest.approx([0.03, 8.0, 0.5 * 16 * 3, 3 * 16 / 20 * 3, 0.1 * 3 * 4 / 14, 21.0])
    assert reactions.enzymes == ["E", "E"]


def test_scarce_substrates_slow_all_their_reactions_alike():
    entries = [
        {"stoichiometry": {"S": -1, "P": 1}, "law": "first_order", "k": 30},
        {"stoichiometry": {"S": -1, "Q": 1}, "law": "first_order", "k": 10},
    ]
    case = TOY | {"species": ["Glc", "P", "Amylase", "S", "Q"], "extracellular": entries}
    case["initial"] = {"a": 0.1, "Glc": 20, "S": 8}
    state, _ = play(community_of(case), 1)
    end = dict(zip(community_of(case).case.names, state["concentration"][0], strict=True))
    assert end["S"] == pytest.approx(0, abs=1e-12)
    assert end["Q"] == pytest.approx(2.0)


def medium_case(medium, **more):
    agents = {"a": {"model": "bundled:textbook"}}
    return {"agents": agents, "initial": {"a": 0.1}, "medium": medium, "horizon_steps": 5, **more}


def test_a_medium_file_says_which_numbers_are_concentrations(tmp_path):
    path = tmp_path / "medium.csv"
    path.write_text(
        "species, mode, value, unit\n"
        "EX_glc__D_e, dynamic, 0.02, mol/L\n"
        "o2_e, constant, 250, umol/L\n"
        "nh4_e, static, 1000, mmol/gDW/h\n"
        "pi_e, static, 1000, mmol/gDW/h\n"
        "h2o_e, static, 1000, mmol/gDW/h\n"
        "h_e, static, 1000, mmol/gDW/h\n"
    )
    case = load_case(medium_case(str(path)))
    assert case.names == ("a", "glc__D_e", "o2_e")
    assert case.initial.tolist() == [0.1, 20.0, 0.25]
    assert case.constant == (2,)
    community = Community(case, StepOptions())
    state, result = play(community, 5)
    assert result.growth[0, 0] > 0.1
    assert state["concentration"][0, 2] == 0.25
    growth = [play(community_of(medium_case(medium)), 1)[1].growth[0, 0] for medium in ("model", "m9_glucose")]
    assert growth == pytest.approx([0.8739, 0.8142], abs=0.06)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("glc__D_e,dynamic,10,mmol/gDW/h", "row 1: unit=mmol/gDW/h with mode=dynamic, which is a concentration; give"),
        ("glc__D_e,static,10,mmol/L", "unit=mmol/L with mode=static, which is an uptake limit; give mmol/gDW/h"),
        ("glc__D_e,dynamic,ten,mM", "row 1: value=ten: give a number of at least 0."),
        ("glc__D_e,dynamics,10,mM", "row 1: mode=dynamics; did you mean dynamic?"),
        ("glc__D_e,dynamic,10,", "give species, mode, value, unit"),
        ("glc_D[e],dynamic,1,mM\nEX_o2(e),dynamic,1,mM", "names glc_D[e], EX_o2(e), which no model exchanges: write"),
    ],
)
def test_mistakes_in_media(tmp_path, row, words):
    path = tmp_path / "medium.csv"
    path.write_text("species,mode,value,unit\n" + row + "\n")
    with pytest.raises(UserError) as raised:
        load_case(medium_case(str(path)))
    assert words in str(raised.value)


def test_simulate_returns_a_tidy_table(golden):
    tables = simulate("starch_amylase/single", {"agent1": [0.3]}, record_fluxes=True)
    table = tables["concentrations"]
    end = table[(table["id"] == "agent1") & (table["quantity"] == "biomass")]
    assert len(end) == 1001
    assert end["value"].iloc[0] == 0.1
    assert end["value"].iloc[-1] == pytest.approx(3.2350672757830243, abs=1e-8)
    assert set(tables["fluxes"]["id"]) >= {"ATP_M"}
    nothing = simulate("starch_amylase/single")["concentrations"]
    last = nothing[nothing["time_h"] == nothing["time_h"].max()].set_index(["quantity", "id"])["value"]
    assert last["biomass", "agent1"] == pytest.approx(1.9027591733884506, abs=1e-8)
    with pytest.raises(UserError, match="actions names agent9: choose among agent1"):
        simulate("starch_amylase/single", {"agent9": [0.3]})
    with pytest.raises(UserError, match=r"actions of agent1 have shape \(2,\): give 1 numbers"):
        simulate("starch_amylase/single", {"agent1": [0.3, 0.1]})


def test_convergence_is_shown_and_a_step_recommended(golden, capsys):
    row = golden.contents("standard_reference")["dt_refinement"][1]
    table = check_convergence("starch_amylase/single", {"agent1": [0.3]}, factors=(4, 2, 1))
    expected = {entry["dt"]: entry["final_biomass"] for entry in row["rows"]}
    assert table["agent1"].tolist() == pytest.approx([expected[dt] for dt in table["dt_h"]], abs=1e-8)
    assert table["error"].is_monotonic_decreasing
    assert "Use dt_h=0.1." in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_lsoda_agrees_with_the_reference_and_with_short_steps(golden, number):
    reference = golden.contents("standard_reference")
    row, euler = reference["lsoda"][number], reference["dt_refinement"][number]["rows"]
    environment = bioppo.make_env("dfba", num_envs=1, integrator="lsoda", action_range="raw", frame_skip=100)
    environment.reset(seed=0)
    for _ in range(10):
        *_, info = environment.step(np.array([[row["action"]]]))
    end = dict(zip(environment.case.names, info["concentration"][0], strict=True))
    for name in ("agent1", "P", "Starch"):
        assert end[name] == pytest.approx(row["final"][name], rel=1e-3)
    extrapolated = 2 * euler[-1]["final_biomass"] - euler[-2]["final_biomass"]
    assert end["agent1"] == pytest.approx(extrapolated, rel=1e-3)


def common_factor(model, varying, lower, upper, forced):
    """Return the largest common factor of floors by one linear program with a column for it."""
    from scipy.optimize import linprog

    count = len(model.reactions)
    bottom, top = model.lower.copy(), model.upper.copy()
    bottom[varying], top[varying] = lower, upper
    rows = [np.zeros(count + 1) for _ in forced]
    for row, (place, floor) in zip(rows, forced.items(), strict=True):
        row[varying[place]], row[count] = -1.0, floor
    balance = np.hstack([model.stoichiometry.toarray(), np.zeros((len(model.metabolites), 1))])
    bounds = np.column_stack([np.append(bottom, 0.0), np.append(top, 1.0)])
    cost = np.append(np.zeros(count), -1.0)
    zeros = np.zeros(len(balance))
    return -linprog(cost, A_ub=np.array(rows), b_ub=np.zeros(len(rows)), A_eq=balance, b_eq=zeros, bounds=bounds).fun


@pytest.mark.parametrize("model", ["necom_mut_1", "necom_aux_1"])
def test_common_factors_are_the_largest(model):
    agents = {"a": {"model": model, "actions": [{"reaction": "A_e", "high": 9}, {"reaction": "B_e", "high": 9}]}}
    case = {"agents": agents, "species": ["S", "A", "B", "P"], "initial": {"a": 0.1, "S": 50, "A": 3, "B": 2}}
    community = community_of(case | {"grows_at_start": False})
    group = community.groups[0]
    generator = np.random.default_rng(0)
    forced = generator.uniform(0.1, 9, (25, 2))
    state = community.new_state(25)
    state["concentration"][:, 1:] = generator.uniform(0, 60, (25, 4))
    limits = group.limits(state["concentration"])
    result = community.step(state, forced)
    clipped = 0
    for row in range(25):
        lower = -limits[0, row]
        lower[[1, 2]] = 0.0
        theta = common_factor(group.model, group.varying, lower, group.upper, {1: forced[row, 0], 2: forced[row, 1]})
        assert result.exchange[0][0, row, 1:3] == pytest.approx(theta * forced[row], abs=1e-7) or theta == 1
        assert (result.status[row, 0] != OPTIMAL) == (theta < 1 - 1e-9)
        clipped += result.status[row, 0] == CLIPPED
    assert clipped > 3


def test_elements_are_conserved_by_consistent_models_only():
    start = {"a": 0.1, "glc__D_e": 10, "o2_e": 20, "nh4_e": 10, "pi_e": 10, "h2o_e": 10, "h_e": 10, "co2_e": 1}
    case = {"agents": {"a": {"model": "bundled:textbook"}}, "species": ["*"], "initial": start, "horizon_steps": 3}
    balance = simulate(case, record_fluxes=True)["balance"]
    assert set(balance["element"]) == {"C", "N", "P", "charge"}
    assert (balance["created"].abs() <= 1e-9 * balance["largest_flux"]).all()
    edits = {"add_reactions": {"LEAK": {"stoichiometry": {"pyr_c": -1, "accoa_c": 1, "coa_c": -1}, "upper": 2}}}
    edits["bounds"] = {"LEAK": [1, 2]}
    case["agents"]["a"]["edits"] = edits
    leaking = simulate(case, record_fluxes=True)["balance"]
    carbon = leaking[leaking["element"] == "C"]["created"]
    assert carbon.between(-2.001, -0.999).all()  # pyruvate's third carbon is lost
    assert len(simulate("starch_amylase/single", record_fluxes=True)["balance"]) == 0


@pytest.mark.parametrize(
    ("action", "value", "expected"),
    [
        ({"reaction": "A_e", "kind": "signed", "low": -10}, -2.0, -2.0),
        ({"reaction": "A_e", "kind": "signed", "low": -10}, -9.0, -5.0),
        ({"reaction": "A_e", "kind": "signed", "low": -10}, 0.0, 0.0),
        ({"reaction": "A_e", "kind": "signed", "low": -10}, 0.5, 0.5),
        ({"reaction": "A_e", "kind": "signed", "low": -10}, np.nan, -5.0),
        ({"reaction": "A_e", "kind": "uptake_limit"}, 0.3, -1.5),
        ({"reaction": "A_e", "kind": "uptake_limit"}, 0.0, 0.0),
        ({"reaction": "A_e", "kind": "uptake_limit"}, np.nan, -5.0),
        ({"reaction": "A_e", "kind": "secretion_floor"}, 0.7, 0.7),
        ({"reaction": "A_e", "kind": "secretion_floor"}, 0.0, -5.0),
        ({"reaction": "R_2_sp1", "kind": "secretion_floor"}, 1.0, 1.0),
        ({"reaction": "R_2_sp1", "kind": "secretion_floor"}, np.nan, 0.0),
    ],
)
def test_kinds_of_actions_set_lower_bounds(action, value, expected):
    agents = {"a": {"model": "necom_mut_1", "actions": [action]}}
    case = {"agents": agents, "species": ["S", "A", "B", "P"], "initial": {"a": 0.1, "S": 50, "A": 10}}
    community = community_of(case)
    group = community.groups[0]
    lower, _ = group.bounds(group.limits(community.case.initial[None]), np.array([[value]]), None)
    place = group.varying.index(group.model.position(action["reaction"]))
    assert lower[0, 0, place] == pytest.approx(expected)


def test_exchanges_that_are_not_mapped_are_closed_unless_they_are_in_excess():
    case = {"agents": {"a": {"model": "necom_mut_1"}}, "species": ["P"], "initial": {"a": 0.1}}
    closed = play(community_of(case), 1)[1]
    assert closed.growth[0, 0] == pytest.approx(0, abs=1e-12)
    rows = [{"species": "S", "mode": "static", "value": 4, "unit": "mmol/gDW/h"}]
    fed = play(community_of(case | {"medium": rows}), 1)[1]
    rich = play(community_of(case | {"species": ["P", "S"], "initial": {"a": 1e-9, "S": 20 / 3}}), 1)[1]
    assert fed.growth[0, 0] == pytest.approx(rich.growth[0, 0])  # 10 c / (10 + c) = 4
    assert fed.growth[0, 0] > 0.01


def test_the_files_own_uptake_limits_act_only_where_asked():
    agent = {"model": "toy_sa", "edits": {"bounds": {"Glc_e": [-3, 0]}}}
    growth = [
        play(community_of(TOY | {"agents": {"a": agent | {"respect_lower": asked}}}), 1)[1].growth[0, 0]
        for asked in (False, True)
    ]
    assert growth == pytest.approx([(2 * 10 * 20 / 30 - 1) / 101, (2 * 3 - 1) / 101])
