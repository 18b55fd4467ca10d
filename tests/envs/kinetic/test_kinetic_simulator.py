import dataclasses

import numpy as np
import pytest

from bioppo.envs.kinetic.conservation import reduce_conservation
from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.network import Network, RateLaw, Reaction, Slot, mass_balance_matrix
from bioppo.envs.kinetic.simulator import SETS_PER_BLOCK, KineticSimulator
from bioppo.envs.kinetic.steady_state import SteadyState


def golden_sets(golden, member):
    return np.array([case["ln_km"] for case in golden["members"][member]["cases"]])


def wide_sets(simulator, count, seed=0):
    return np.random.default_rng(seed).uniform(-25, 3, (count, len(simulator.parameter_names)))


def saturated_sets(simulator, count, seed=0):
    shape = (count, len(simulator.parameter_names))
    return simulator.ln_concentration + np.random.default_rng(seed).logistic(size=shape)


@pytest.mark.parametrize("member", [0, 1])
def test_eigenvalues_match_golden_values(golden, golden_simulators, member):
    simulator = golden_simulators[member]
    sets = golden_sets(golden, member)
    cases = golden["members"][member]["cases"]
    expected = np.array([case["lambda_max"] for case in cases])
    found = simulator.max_eigenvalue(sets)
    assert found.dtype == np.float64
    assert np.all(np.abs(found - expected) <= 1e-7 * (1 + np.abs(expected)))
    for eigenvalues, case in zip(simulator.eigenvalues(sets), cases, strict=True):
        leading = eigenvalues[np.argsort(-eigenvalues.real)][: len(case["leading_eigenvalues"])]
        pairs = np.array(case["leading_eigenvalues"])
        np.testing.assert_allclose(leading.real, pairs[:, 0], rtol=1e-7, atol=1e-7)
        # The two of a complex pair have no order.
        np.testing.assert_allclose(np.abs(leading.imag), np.abs(pairs[:, 1]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", ["ecc_m0_1", "ecc_m0_2", "ecc_m1_1", "ecc_m1_2"])
def test_jacobian_matches_golden_values(golden, golden_network, golden_states, golden_jacobians, case):
    member = int(case[5])
    assert golden_network.variables == tuple(golden_jacobians["species"])
    concentration = golden_states[member].concentration[: len(golden_network.variables)]
    reduction = reduce_conservation(mass_balance_matrix(golden_network), np.argsort(concentration))
    simulator = KineticSimulator(golden_network, golden_states[member], reduction=reduction)
    (values,) = [entry["ln_km"] for entry in golden["members"][member]["cases"] if entry["id"] == case]
    full = golden_jacobians[case]
    expected = full[reduction.independent] @ reduction.link
    found = simulator.jacobian(np.array([values]))[0]
    assert np.linalg.norm(found - expected) <= 1e-11 * np.linalg.norm(expected)
    # The whole of the unreduced Jacobian, not only the rows that were chosen.
    assert np.linalg.norm(reduction.link @ found - full @ reduction.link) <= 1e-11 * np.linalg.norm(full)


def test_counts_of_the_core_network(golden, golden_network, golden_simulators):
    simulator = golden_simulators[0]
    assert len(golden_network.variables) == 50
    assert len(golden_network.reactions) == 73
    assert simulator.n_independent == 45
    assert list(simulator.parameter_names) == golden["members"][0]["km_names"]
    assert len(simulator.parameter_names) == 258
    assert simulator.acting.all()


def test_inert_constants_change_nothing(zoo_simulator):
    inert = [name for name, acts in zip(zoo_simulator.parameter_names, zoo_simulator.acting, strict=True) if not acts]
    assert inert == ["km_product1_uptake", "km_product1_drain_g"]
    sets = saturated_sets(zoo_simulator, 5)
    moved = sets.copy()
    moved[:, ~zoo_simulator.acting] += np.array([40.0, np.nan])
    np.testing.assert_array_equal(zoo_simulator.max_eigenvalue(moved), zoo_simulator.max_eigenvalue(sets))
    _, gradient = zoo_simulator.gradient(sets)
    assert np.all(gradient[:, ~zoo_simulator.acting] == 0)
    for column in np.flatnonzero(zoo_simulator.acting):
        moved = sets.copy()
        moved[:, column] += 1.0
        assert np.any(zoo_simulator.saturations(moved) != zoo_simulator.saturations(sets), axis=1).all()


def test_results_do_not_depend_on_batch_size_order_or_workers(golden_network, golden_states, golden_simulators):
    simulator = golden_simulators[0]
    sets = wide_sets(simulator, 2 * SETS_PER_BLOCK + 7)
    expected = simulator.max_eigenvalue(sets)
    single = np.concatenate([simulator.max_eigenvalue(sets[row : row + 1]) for row in range(20)])
    np.testing.assert_array_equal(single, expected[:20])
    np.testing.assert_array_equal(simulator.max_eigenvalue(sets[::-1])[::-1], expected)
    threaded = KineticSimulator(golden_network, golden_states[0], workers=3)
    np.testing.assert_array_equal(threaded.max_eigenvalue(sets), expected)
    np.testing.assert_array_equal(threaded.eigenvalues(sets), simulator.eigenvalues(sets))
    np.testing.assert_array_equal(threaded.max_eigenvalue(sets[:2]), expected[:2])


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_bad_set_is_infinite_and_spoils_no_other(golden_simulators, bad):
    simulator = golden_simulators[0]
    sets = wide_sets(simulator, 6)
    expected = simulator.max_eigenvalue(sets)
    expected_gradient = simulator.gradient(sets)[1]
    assert np.isfinite(expected).all()
    spoiled = sets.copy()
    spoiled[2] = bad
    found = simulator.max_eigenvalue(spoiled)
    others = np.arange(6) != 2
    np.testing.assert_array_equal(found[others], expected[others])
    gradient = simulator.gradient(spoiled)[1]
    np.testing.assert_allclose(gradient[others], expected_gradient[others])
    assert found[2] == np.inf
    assert np.isnan(gradient[2]).all()
    assert np.isnan(simulator.eigenvalues(spoiled)[2]).all()


def test_no_sets_give_no_eigenvalues(golden_simulators):
    assert golden_simulators[0].max_eigenvalue(np.empty((0, 258))).shape == (0,)


@pytest.mark.parametrize("shape", [(258,), (3, 257)])
def test_wrong_shape_is_refused(golden_simulators, shape):
    with pytest.raises(KineticInputError, match=r"give \(number of sets, 258\)"):
        golden_simulators[0].max_eigenvalue(np.zeros(shape))


def test_workers_below_one_are_refused(golden_network, golden_states):
    with pytest.raises(KineticInputError, match="workers=0: give at least 1"):
        KineticSimulator(golden_network, golden_states[0], workers=0)


def test_eigenvalues_do_not_depend_on_the_choice_of_dependent_species(golden_network, golden_states, golden_simulators):
    sets = saturated_sets(golden_simulators[0], 20)
    expected = golden_simulators[0].max_eigenvalue(sets)
    balance = mass_balance_matrix(golden_network)
    default = np.argsort(golden_states[0].concentration[:50])
    for order in (default[::-1], np.random.default_rng(1).permutation(50)):
        reduction = reduce_conservation(balance, order)
        assert set(reduction.independent) != set(reduce_conservation(balance, default).independent)
        other = KineticSimulator(golden_network, golden_states[0], reduction=reduction)
        np.testing.assert_allclose(other.max_eigenvalue(sets), expected, rtol=1e-7)


def test_the_most_abundant_member_of_a_pool_is_dependent(golden_network, golden_states, golden_simulators):
    reduction = golden_simulators[0].reduction
    dependent = {golden_network.variables[row] for row in set(range(50)) - set(reduction.independent)}
    value = dict(zip(golden_network.species, golden_states[0].concentration, strict=True))
    for pool in ({"nad_c", "nadh_c"}, {"nadp_c", "nadph_c"}, {"q8_c", "q8h2_c"}):
        assert dependent & pool == {max(pool, key=value.__getitem__)}
    assert len(dependent) == 5
    # Rounding leaves no traces in the link matrix, which would fill the Jacobian's weights.
    entries = np.abs(reduction.link[reduction.link != 0])
    assert entries.min() > 1e-3


def test_a_large_column_does_not_hide_independence():
    matrix = np.array([[1e9, 1.0, 0.0], [1e9, 0.0, 1.0], [-1e9, -1.0, 0.0]])
    reduction = reduce_conservation(matrix, np.arange(3))
    np.testing.assert_array_equal(reduction.independent, [0, 1])
    np.testing.assert_allclose(reduction.link, [[1, 0], [0, 1], [-1, 0]], atol=1e-6)


@pytest.mark.parametrize("model", ["golden", "zoo"])
def test_order_of_reactions_and_species_is_free(request, model):
    if model == "golden":
        network = request.getfixturevalue("golden_network")
        state = request.getfixturevalue("golden_states")[0]
    else:
        network, state = request.getfixturevalue("zoo_network"), request.getfixturevalue("zoo_state")
    ratios = network.volume_ratios[::-1]
    mirrored = Network(network.variables[::-1], network.constants[::-1], network.reactions[::-1], ratios)
    order = [network.species_index[name] for name in mirrored.species]
    mirrored_state = SteadyState(state.flux[::-1], state.ln_displacement[::-1], state.concentration[order], "mirrored")
    simulator, other = KineticSimulator(network, state), KineticSimulator(mirrored, mirrored_state)
    sets = saturated_sets(simulator, 20)
    columns = [simulator.parameter_names.index(name) for name in other.parameter_names]
    np.testing.assert_allclose(other.max_eigenvalue(sets[:, columns]), simulator.max_eigenvalue(sets), rtol=1e-7)


def test_eigenvalues_are_proportional_to_the_fluxes(golden_network, golden_states, golden_simulators):
    scaled = dataclasses.replace(golden_states[0], flux=golden_states[0].flux * 1.2)
    sets = saturated_sets(golden_simulators[0], 20)
    found = KineticSimulator(golden_network, scaled).max_eigenvalue(sets)
    np.testing.assert_allclose(found, 1.2 * golden_simulators[0].max_eigenvalue(sets), rtol=1e-9)


def test_saturations_depend_on_ratios_only(zoo_network, zoo_state, zoo_simulator):
    scaled = dataclasses.replace(zoo_state, concentration=zoo_state.concentration * 7.0)
    sets = wide_sets(zoo_simulator, 20)
    found = KineticSimulator(zoo_network, scaled).saturations(sets + np.log(7.0))
    np.testing.assert_allclose(found, zoo_simulator.saturations(sets), rtol=1e-12)


def test_saturations_stay_between_zero_and_the_degree(zoo_simulator):
    sets = np.random.default_rng(3).uniform(-40, 40, (200, len(zoo_simulator.parameter_names)))
    found = zoo_simulator.saturations(sets)
    names = np.array(zoo_simulator.parameter_names)[zoo_simulator.acting]
    assert found.shape == (200, len(names))
    assert found.min() >= 0
    assert found[:, names != "km_product1_split"].max() <= 1
    assert 2.9 < found[:, names == "km_product1_split"].max() <= 3


def test_a_hill_law_pairs_in_natural_order(zoo_simulator):
    """substrate2 (a) shares its denominator with product1 (b), substrate10 (atp) with product2 (adp)."""
    names = [name for name, acts in zip(zoo_simulator.parameter_names, zoo_simulator.acting, strict=True) if acts]
    sets = np.tile(zoo_simulator.ln_concentration, (2, 1))
    sets[1, zoo_simulator.parameter_names.index("km_product1_kinase")] -= 3.0
    before, after = zoo_simulator.saturations(sets)
    assert before[names.index("km_substrate2_kinase")] == pytest.approx(1 / 3)
    assert after[names.index("km_substrate2_kinase")] == pytest.approx(1 / (2 + np.exp(3.0)))
    assert after[names.index("km_substrate10_kinase")] == before[names.index("km_substrate10_kinase")]


def test_a_network_without_michaelis_constants_has_one_spectrum():
    """a -> b -> : eigenvalues worked by hand from v = k (1 - rho)."""
    reactions = (
        Reaction("in", RateLaw.MASS_ACTION, (Slot("s", "source", -1, None), Slot("p", "a", 1, None))),
        Reaction("out", RateLaw.MASS_ACTION, (Slot("s", "a", -1, None), Slot("p", "sink", 1, None))),
    )
    rho = np.array([0.5, 0.2])
    state = SteadyState([3.0, 3.0], np.log(rho), [2.0, 1.0, 1.0], "by hand")
    simulator = KineticSimulator(Network(("a",), ("source", "sink"), reactions), state)
    # dv/dx: in -> -v rho / (1 - rho) / x, out -> v / (1 - rho) / x.
    expected = -3.0 * rho[0] / (1 - rho[0]) / 2.0 - 3.0 / (1 - rho[1]) / 2.0
    assert simulator.max_eigenvalue(np.empty((4, 0))) == pytest.approx(np.full(4, expected))
    assert simulator.gradient(np.empty((1, 0)))[1].shape == (1, 0)


def test_conserved_totals_that_cannot_be_resolved_are_refused():
    matrix = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert list(reduce_conservation(matrix, np.array([1, 0])).independent) == [0, 1]
    with pytest.raises(KineticInputError, match="conserved totals leave a residual"):
        reduce_conservation(np.array([[1.0, 0.0], [1.0, np.nan]]), np.array([0, 1]))
