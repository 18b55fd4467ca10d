"""Flux-balance programs against stored optima, closed forms and each other."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.dfba.linear_program import LinearProgram, Solution
from bioppo.envs.dfba.model import load_model
from bioppo.envs.dfba.model_sources.files import own_models
from bioppo.envs.dfba.solvers.form_solver import LinearProgramError

DATA = Path(__file__).parents[2] / "data" / "dfba"
NECOM = [f"necom_{kind}_{species}" for kind in ("aux", "mut", "no_overlap") for species in (1, 2)]
STORED = ["toy_sa", *NECOM, "e_coli_core"]
SOLVERS = ["cache", "glpk", "highs"]

Stored = dict[str, np.ndarray]


def stored(name: str) -> Stored:
    with np.load(DATA / f"lp_{name}.npz", allow_pickle=False) as file:
        return dict(file)


def program(name: str, data: Stored, **options: Any) -> LinearProgram:
    model = load_model({"e_coli_core": "bundled:textbook"}.get(name, name))
    columns = {
        key: [model.position(str(reaction)) for reaction in data[ids]]
        for key, ids in (("varying", "bound_ids"), ("tracked", "exchange_ids"), ("actions", "action_ids"))
    }
    return LinearProgram(model, **columns, **options)


def check(solution: Solution, data: Stored, order: np.ndarray | None = None) -> None:
    order = np.arange(len(data["feasible"])) if order is None else order
    feasible = data["feasible"][order]
    assert np.array_equal(solution.feasible, feasible)
    assert np.isnan(solution.growth[~feasible]).all()
    assert not solution.exchange[~feasible].any()
    np.testing.assert_allclose(solution.growth[feasible], data["objective"][order][feasible], rtol=0, atol=1e-8)
    np.testing.assert_allclose(solution.exchange[feasible], data["lex_flux"][order][feasible], rtol=0, atol=1e-7)


def starch(solver: str, **options: Any) -> LinearProgram:
    model = load_model("toy_sa")
    exchanges = [model.exchanges[species] for species in ("Glc", "P", "Amylase")]
    return LinearProgram(model, varying=exchanges, tracked=exchanges, actions=exchanges[2:], solver=solver, **options)


def starch_bounds(uptake: np.ndarray, secretion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lower = np.stack([-uptake, np.zeros_like(uptake), secretion], axis=1)
    return lower, np.full(lower.shape, 100.0)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", STORED)
def test_stored_optima(name: str, solver: str) -> None:
    data = stored(name)
    if solver == "highs" and name == "e_coli_core":
        data = {key: value if key.endswith("_ids") else value[:60] for key, value in data.items()}
    check(program(name, data, solver=solver).solve(data["lower"], data["upper"]), data)


@pytest.mark.parametrize("name", STORED)
def test_answers_do_not_depend_on_what_was_asked_before(name: str) -> None:
    data = stored(name)
    cold = program(name, data, solver="cache")
    first = cold.solve(data["lower"], data["upper"])
    hot = cold.solve(data["lower"], data["upper"], last=first.basis)
    misses = cold.statistics["misses"]
    assert hot.feasible.tolist() == first.feasible.tolist()
    check(hot, data)
    order = np.random.default_rng(3).permutation(len(first.growth))
    shuffled = program(name, data, solver="cache").solve(data["lower"][order], data["upper"][order])
    check(shuffled, data, order)
    wrong = np.random.default_rng(4).permutation(first.basis)
    again = cold.solve(data["lower"], data["upper"], last=wrong)
    alone = [cold.solve(data["lower"][[copy]], data["upper"][[copy]]) for copy in range(10)]
    for other, mapped in ((hot, slice(None)), (again, slice(None)), (shuffled, np.argsort(order))):
        np.testing.assert_allclose(other.growth[mapped], first.growth, rtol=0, atol=1e-9)
        np.testing.assert_allclose(other.exchange[mapped], first.exchange, rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.concatenate([one.growth for one in alone]), first.growth[:10], rtol=0, atol=1e-9)
    assert cold.statistics["misses"] == misses
    assert cold.statistics["hits"] == cold.statistics["solved"] - misses


@pytest.mark.parametrize("name", ["toy_sa", "necom_aux_1", "necom_mut_2", "e_coli_core"])
def test_ties_are_found(name: str) -> None:
    data = stored(name)
    solution = program(name, data, report_ties=True).solve(data["lower"], data["upper"])
    assert np.array_equal(solution.tied, ~data["exchange_unique"])


@pytest.mark.parametrize("solver", SOLVERS)
def test_starch_model_follows_its_closed_form(solver: str) -> None:
    generator = np.random.default_rng(1)
    glucose, wanted = generator.uniform(0, 100, 1000), generator.uniform(0, 12, 1000)
    uptake, secretion = 10 * glucose / (glucose + 10), np.minimum(wanted, 10.0)
    if solver == "highs":
        uptake, secretion = uptake[:100], secretion[:100]
    solution = starch(solver).solve(*starch_bounds(uptake, secretion))
    growth = (2 * uptake - 1 - 20 * secretion) / 101
    assert np.array_equal(solution.feasible, growth >= 0)
    expected = np.stack([-uptake, 0.1 * (uptake - growth - 10 * secretion), secretion], axis=1)
    feasible = growth >= 0
    np.testing.assert_allclose(solution.growth[feasible], growth[feasible], rtol=0, atol=1e-12)
    np.testing.assert_allclose(solution.exchange[feasible], expected[feasible], rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_hardly_forced_secretion_of_what_is_not_made_is_infeasible(solver: str) -> None:
    """GLPK's primal simplex calls these optimal; nothing in the model makes B."""
    model = load_model("necom_aux_2")
    exchanges = [model.exchanges[species] for species in ("S", "A", "B", "P")]
    engine = LinearProgram(model, varying=exchanges, tracked=exchanges, actions=exchanges[1:3], solver=solver)
    floors = 10.0 ** -np.arange(1.0, 7.0)
    lower = np.stack([np.full(6, -10.0), np.full(6, -10.0), floors, np.zeros(6)], axis=1)
    assert not engine.solve(lower, np.full((6, 4), 100.0)).feasible.any()
    lower[:, 2] = -10.0
    assert engine.solve(lower, np.full((6, 4), 100.0)).feasible.all()
    lower[:, 2] = floors
    assert not engine.solve(lower, np.full((6, 4), 100.0)).feasible.any()
    assert engine.blocking_bounds(lower[3], np.full(4, 100.0)) == [("B_e", 1e-4)]


@pytest.mark.parametrize("solver", SOLVERS)
def test_forced_secretion_is_cut_to_what_is_feasible(solver: str) -> None:
    generator = np.random.default_rng(2)
    count = 200 if solver == "highs" else 1000
    uptake, secretion = generator.uniform(0, 5, count), generator.uniform(0.01, 3, count)
    lower, upper = starch_bounds(uptake, secretion)
    engine = starch(solver)
    forced = np.tile([False, False, True], (count, 1))
    factor = engine.action_factor(lower, upper, forced)
    expected = np.where(uptake < 0.5, np.nan, np.minimum(1.0, (2 * uptake - 1) / (20 * secretion)))
    np.testing.assert_allclose(factor, expected, rtol=0, atol=1e-12)
    lower[:, 2] *= np.nan_to_num(factor)
    assert np.array_equal(engine.solve(lower, upper).feasible, uptake >= 0.5)
    relaxed, missed = engine.relax_maintenance(lower, upper)
    assert relaxed.feasible.all()
    np.testing.assert_allclose(missed, np.maximum(1 - 2 * uptake, 0.0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(relaxed.growth, np.maximum(2 * uptake - 1 - 20 * lower[:, 2], 0) / 101, atol=1e-12)


def test_several_forced_secretions_share_one_factor() -> None:
    model = load_model("bundled:textbook")
    names = ("EX_glc__D_e", "EX_o2_e", "EX_ac_e", "EX_etoh_e", "EX_succ_e")
    columns = [model.position(name) for name in names]
    engine = LinearProgram(model, varying=columns, tracked=columns, actions=columns[2:])
    generator = np.random.default_rng(5)
    lower = np.concatenate([generator.uniform(-10, 0, (30, 2)), generator.uniform(0, 12, (30, 3))], axis=1)
    upper, forced = np.full((30, 5), 100.0), np.tile([False, False, True, True, True], (30, 1))
    factor = engine.action_factor(lower, upper, forced)
    assert np.nanmin(factor) < 1.0
    found = ~np.isnan(factor)
    for share, verdict in ((1.0, True), (1.0 + 1e-6, False)):
        scaled = np.where(forced, share * factor[:, None] * lower, lower)
        rows = found & ((factor < 1.0) | verdict)
        assert (engine.solve(scaled[rows], upper[rows]).feasible == verdict).all()
    nothing = engine.solve(np.where(forced, 0.0, lower), upper)
    assert np.array_equal(nothing.feasible, found)


def test_floors_are_cut_to_upper_bounds_and_keep_what_must_stay() -> None:
    engine = starch("cache")
    lower, upper = starch_bounds(np.array([5.0, 5.0, 5.0, 5.0, 0.4]), np.array([3.0, 150.0, 3.0, 3.0, 1e-8]))
    upper[2, 2] = 0.3
    least = np.where([False, False, True], np.array([0.1, 0.0, 0.0, 0.6, 0.0])[:, None], lower)
    solution, factor = engine.clip_actions(lower, upper, np.tile([False, False, True], (5, 1)), least=least)
    np.testing.assert_allclose(factor, [0.15, 0.003, 0.1, np.nan, np.nan], rtol=1e-9)
    np.testing.assert_allclose(solution.exchange[:, 2], [0.45, 0.45, 0.3, 0.0, 0.0], atol=1e-9)
    assert np.array_equal(solution.feasible, ~np.isnan(factor))


def test_all_fluxes_balance_and_agree() -> None:
    data = stored("e_coli_core")
    for solver in ("cache", "glpk"):
        engine = program("e_coli_core", data, solver=solver)
        solution = engine.solve(data["lower"], data["upper"], all_fluxes=True)
        assert solution.fluxes is not None
        assert np.abs(engine.model.stoichiometry @ solution.fluxes.T).max() < 1e-9
        np.testing.assert_allclose(solution.fluxes[:, list(engine.tracked)], solution.exchange, atol=1e-9)
        growing = solution.feasible
        np.testing.assert_allclose(
            solution.fluxes[growing, engine.model.objective], solution.growth[growing], rtol=0, atol=1e-9
        )


def test_least_sum_of_fluxes() -> None:
    from cobra.flux_analysis import pfba

    from bioppo.envs.kinetic.sources.e_coli_core import read_textbook_model

    source = read_textbook_model()
    model = load_model("bundled:textbook")
    columns = [model.position(name) for name in ("EX_glc__D_e", "EX_o2_e")]
    engine = LinearProgram(model, varying=columns, tracked=columns, tie_break="parsimonious")
    lower = np.array([[-10.0, -20.0], [-10.0, -5.0], [-6.0, -1000.0]])
    solution = engine.solve(lower, np.full((3, 2), 1000.0), all_fluxes=True)
    assert solution.fluxes is not None
    for row, (glucose, oxygen) in enumerate(lower):
        source.reactions.EX_glc__D_e.lower_bound, source.reactions.EX_o2_e.lower_bound = glucose, oxygen
        expected = pfba(source).fluxes
        assert np.abs(solution.fluxes[row]).sum() == pytest.approx(expected.abs().sum(), rel=1e-7)
        np.testing.assert_allclose(solution.fluxes[row], expected[list(model.reactions)], atol=1e-5)


def test_vertex_has_the_same_growth() -> None:
    data = stored("e_coli_core")
    for solver in ("cache", "glpk"):
        solution = program("e_coli_core", data, solver=solver, tie_break="vertex").solve(data["lower"], data["upper"])
        assert np.array_equal(solution.feasible, data["feasible"])
        np.testing.assert_allclose(solution.growth, data["objective"], rtol=0, atol=1e-8)


def test_many_exchanges_are_settled_by_their_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bioppo.envs.dfba.solvers.tie_break.MANY_EXCHANGES", 10)
    data = stored("e_coli_core")
    few = {key: value if key.endswith("_ids") else value[:40] for key, value in data.items()}
    solutions = [program("e_coli_core", few, solver=solver).solve(few["lower"], few["upper"]) for solver in SOLVERS]
    listed = few["lex_flux"]
    acting = [list(few["exchange_ids"]).index(name) for name in few["action_ids"]]
    for solution in solutions:
        assert np.array_equal(solution.feasible, few["feasible"])
        np.testing.assert_allclose(solution.growth, few["objective"], rtol=0, atol=1e-8)
        rows = solution.feasible
        np.testing.assert_allclose(
            np.maximum(solution.exchange[rows][:, acting[0]], 0), np.maximum(listed[rows][:, acting[0]], 0), atol=1e-7
        )
        sums = np.abs(solution.exchange).sum(axis=1)
        np.testing.assert_allclose(sums, np.abs(solutions[0].exchange).sum(axis=1), atol=1e-6)
        assert (sums[rows] <= np.abs(listed[rows]).sum(axis=1) + 1e-6).all()


def test_pickled_programs_answer_alike() -> None:
    data = stored("necom_mut_1")
    for solver in SOLVERS:
        engine = program("necom_mut_1", data, solver=solver, report_ties=True)
        first = engine.solve(data["lower"], data["upper"])
        copied = pickle.loads(pickle.dumps(engine))
        second = copied.solve(data["lower"], data["upper"], last=first.basis)
        assert np.array_equal(first.growth, second.growth, equal_nan=True)
        assert np.array_equal(first.exchange, second.exchange)
        assert np.array_equal(first.tied, second.tied)
        if solver == "cache":
            assert copied.statistics["misses"] == engine.statistics["misses"]


def test_cache_forgets_the_basis_not_used_longest() -> None:
    data = stored("necom_aux_1")
    engine = program("necom_aux_1", data, solver="cache", max_bases=2)
    for _ in range(2):
        solution = engine.solve(data["lower"], data["upper"])
        check(solution, data)
        assert engine.statistics["bases"] == 2
        check(engine.solve(data["lower"], data["upper"], last=solution.basis), data)


def test_cache_switches_itself_off() -> None:
    data = stored("necom_aux_1")
    kept, engine = program("necom_aux_1", data), program("necom_aux_1", data, max_bases=1)
    for copy in np.random.default_rng(6).integers(0, 100, 2100):
        for each in (kept, engine):
            each.solve(data["lower"][[copy]], data["upper"][[copy]])
    solved = engine.statistics["misses"]
    check(engine.solve(data["lower"], data["upper"]), data)
    assert engine.statistics["misses"] == solved + 100
    assert kept.statistics["misses"] < 20


def test_relaxed_programs_pass_the_cross_check() -> None:
    engine = starch("auto", cross_check=1.0)
    lower, upper = starch_bounds(np.linspace(0, 2, 40), np.zeros(40))
    for _ in range(2):
        solution, missed = engine.relax_maintenance(lower, upper)
        np.testing.assert_allclose(missed, np.maximum(1 - 2 * np.linspace(0, 2, 40), 0), rtol=0, atol=1e-12)
        assert solution.feasible.all()


def test_cross_check_stops_at_a_wrong_answer() -> None:
    lower, upper = starch_bounds(np.linspace(1, 9, 50), np.zeros(50))
    engine = starch("cache", cross_check=1.0)
    engine.solve(lower, upper)
    engine.solve(lower, upper)
    assert engine.statistics["checked"] == 50
    basis = next(iter(engine._main.cache.bases.values()))
    basis.system[:, basis.n_slacks] *= 1.001
    with pytest.raises(LinearProgramError, match="growth") as caught:
        engine.solve(lower, upper)
    with np.load(caught.value.file) as file:
        assert file["lower"].shape == file["upper"].shape == (12,)
    Path(caught.value.file).unlink()


def test_crossed_bounds_are_infeasible_for_that_copy_only() -> None:
    lower, upper = starch_bounds(np.array([5.0, 5.0, 5.0]), np.array([0.1, 0.1, 0.1]))
    upper[1, 2] = 0.05
    for solver in SOLVERS:
        solution = starch(solver).solve(lower, upper)
        assert solution.feasible.tolist() == [True, False, True]
        assert solution.growth[0] == solution.growth[2] == pytest.approx(7 / 101)


def test_crossed_bounds_are_not_checked_again() -> None:
    model = load_model("necom_aux_1")
    exchanges = list(model.exchanges.values())
    engine = LinearProgram(model, varying=exchanges, tracked=exchanges, cross_check=1.0)
    lower, upper = np.full((4, 4), -5.0), np.full((4, 4), 100.0)
    upper[2] = -6.0
    for _ in range(2):
        assert engine.solve(lower, upper).feasible.tolist() == [True, True, False, True]
    assert engine.statistics["checked"] == 3


def test_infinite_bounds() -> None:
    lower, _ = starch_bounds(np.array([5.0]), np.array([0.1]))
    for solver in SOLVERS:
        solution = starch(solver).solve(lower, np.full((1, 3), np.inf), all_fluxes=True)
        assert solution.growth[0] == pytest.approx(7 / 101)


def test_all_own_models_have_a_verdict_at_their_own_bounds() -> None:
    for name in own_models():
        model = load_model(name)
        exchanges = list(model.exchanges.values())
        engine = LinearProgram(model, varying=exchanges, tracked=exchanges)
        solution = engine.solve(model.lower[exchanges][None], model.upper[exchanges][None])
        assert solution.feasible[0], name


@pytest.mark.parametrize(("key", "value"), [("solver", "gurobi"), ("tie_break", "random")])
def test_unknown_choices(key: str, value: str) -> None:
    with pytest.raises(UserError, match=f"{key}={value}: choose one of"):
        starch(**{"solver": "cache", key: value})


@pytest.mark.slow
def test_genome_scale_optima() -> None:
    data = stored("iJO1366")
    model = load_model("bundled:iJO1366")
    columns = [model.position(str(reaction)) for reaction in data["bound_ids"]]
    for solver in ("cache", "auto"):
        engine = LinearProgram(model, varying=columns, tracked=columns, solver=solver)
        solution = engine.solve(data["lower"], data["upper"])
        assert np.array_equal(solution.feasible, data["feasible"])
        np.testing.assert_allclose(solution.growth, data["objective"], rtol=0, atol=1e-8)
