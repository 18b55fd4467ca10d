"""Rates and equations of motion against rate laws written out one by one, and against golden trajectories."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from bioppo.envs.kinetic.conservation import reduce_conservation
from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.integrators import trajectory
from bioppo.envs.kinetic.network import mass_balance_matrix
from bioppo.envs.kinetic.nonlinear import NonlinearModel
from bioppo.envs.kinetic.simulator import KineticSimulator
from bioppo.envs.kinetic.sources.models import COMPUTED_STATE
from bioppo.envs.kinetic.sources.skimpy_yaml import read_skimpy_model
from bioppo.envs.kinetic.sources.state_table import read_computed_state, read_states

DATA = Path(__file__).parents[2] / "data" / "kinetic"
MODELS = ["zoo", "e_coli_core", "varma", "renaissance384"]


def load_varma(public_data):
    model = read_skimpy_model(public_data("kinetic/varma_strain_1.yml"), concentration_unit="uM")
    (state,) = read_states(public_data("kinetic/tfa_reference_strains.csv"), model.network, rows=["strain_1"])
    return model, state


@pytest.fixture
def model_and_state(request):
    """Return network and steady state of the model that the test names."""

    def load(name):
        if name == "zoo":
            return request.getfixturevalue("zoo_network"), request.getfixturevalue("zoo_state")
        if name == "e_coli_core":
            return request.getfixturevalue("golden_network"), request.getfixturevalue("golden_states")[0]
        public_data = request.getfixturevalue("public_data")
        if name == "varma":
            model, state = load_varma(public_data)
            return model.network, state
        network = read_skimpy_model(public_data("kinetic/kin_varma_curated.yaml")).network
        return network, read_computed_state(COMPUTED_STATE, network)

    return load


def saturated_sets(model, count, seed=0):
    """Sets with uniform saturations, so that no slot is without effect."""
    return model.ln_concentration + np.random.default_rng(seed).logistic(size=(count, len(model.parameter_names)))


class ScalarRates:
    """Rates as functions of concentrations, with Vmax and Keq of their own; complex arguments are welcome."""

    def __init__(self, network, state, ln_km):
        self.network = network
        self.km = dict(zip(network.parameter_names, np.exp(ln_km), strict=True))
        at_rest = dict(zip(network.species, state.concentration, strict=True))
        self.equilibrium, self.vmax = {}, {}
        for reaction, flux, ln_rho in zip(network.reactions, state.flux, state.ln_displacement, strict=True):
            if reaction.law.value != "irreversible_michaelis_menten":
                self.equilibrium[reaction.name] = self.mass_action_ratio(reaction, at_rest) / np.exp(ln_rho)
            self.vmax[reaction.name] = flux / self.specific_rate(reaction, at_rest)
            assert self.vmax[reaction.name] > 0

    def __call__(self, concentration):
        x = dict(zip(self.network.species, concentration, strict=True))
        return np.array([self.vmax[r.name] * self.specific_rate(r, x) for r in self.network.reactions])

    @staticmethod
    def exponent(reaction, slot):
        return abs(slot.stoichiometry) if reaction.law.value == "convenience" else 1

    def mass_action_ratio(self, reaction, x):
        ratio = 1.0
        for slot in reaction.slots:
            ratio *= x[slot.species] ** (math.copysign(1, slot.stoichiometry) * self.exponent(reaction, slot))
        for modifier in reaction.modifiers:
            ratio *= x[modifier.species] ** modifier.stoichiometry
        return ratio

    def specific_rate(self, reaction, x):
        rate = 1.0 / self.denominator(reaction, x)
        for slot in reaction.slots:
            if slot.stoichiometry < 0:
                rate *= x[slot.species] ** self.exponent(reaction, slot)
        for modifier in reaction.modifiers:
            if modifier.kind.value == "first_order" and modifier.stoichiometry < 0:
                rate *= x[modifier.species] ** -modifier.stoichiometry
        if reaction.name in self.equilibrium:
            rate *= 1 - self.mass_action_ratio(reaction, x) / self.equilibrium[reaction.name]
        return rate

    def denominator(self, reaction, x):
        def ratio(slot):
            return x[slot.species] / self.km[slot.parameter]

        def polynomial(slot):
            return sum(ratio(slot) ** power for power in range(max(1, int(abs(slot.stoichiometry) + 0.5)) + 1))

        def number(slot):
            return int(re.sub(r"\D", "", slot.label) or 1)

        substrates = sorted((slot for slot in reaction.slots if slot.stoichiometry < 0), key=number)
        products = sorted((slot for slot in reaction.slots if slot.stoichiometry > 0), key=number)
        match reaction.law.value:
            case "pairwise_hill":
                return math.prod(1 + ratio(s) + ratio(p) for s, p in zip(substrates, products, strict=True))
            case "convenience":
                return math.prod(map(polynomial, substrates)) + math.prod(map(polynomial, products)) - 1
            case "irreversible_michaelis_menten":
                return math.prod(1 + ratio(slot) for slot in substrates)
        return 1.0

    def derivatives(self, concentration):
        """Return dv/dx of all species by complex step, ``(n_reactions, n_species)``."""
        columns = []
        for species, value in enumerate(concentration):
            moved = np.array(concentration, dtype=complex)
            moved[species] += 1e-30j * value
            columns.append(self(moved).imag / (1e-30 * value))
        return np.array(columns).T


@pytest.mark.parametrize("bounds", [(-12, -3), (-25, 3)])
@pytest.mark.parametrize("name", MODELS)
def test_jacobian_of_the_simulator_equals_complex_steps(model_and_state, name, bounds):
    network, state = model_and_state(name)
    variables = state.concentration[: len(network.variables)]
    balance = mass_balance_matrix(network)
    reduction = reduce_conservation(balance, np.argsort(variables))
    simulator = KineticSimulator(network, state, reduction=reduction)
    sets = np.random.default_rng(3).uniform(*bounds, (2, len(network.parameter_names)))
    for ln_km, found in zip(sets, simulator.jacobian(sets), strict=True):
        derivatives = ScalarRates(network, state, ln_km).derivatives(state.concentration)[:, : len(variables)]
        expected = balance[reduction.independent] @ derivatives @ reduction.link
        assert np.linalg.norm(found - expected) < 1e-8 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", MODELS)
def test_rates_and_their_derivatives_away_from_the_steady_state(model_and_state, name):
    network, state = model_and_state(name)
    model = NonlinearModel(network, state)
    generator = np.random.default_rng(4)
    sets = np.concatenate([saturated_sets(model, 1), generator.uniform(-25, 3, (1, len(network.parameter_names)))])
    ratio = np.exp(generator.normal(0.0, 0.4, (len(network.variables), 2)))
    dynamics = model.at(sets)
    rates, derivatives = dynamics.rates(ratio), dynamics.rate_derivatives(ratio)
    for copy, ln_km in enumerate(sets):
        concentration = np.concatenate(
            [model.concentration * ratio[:, copy], state.concentration[len(network.variables) :]]
        )
        scalar = ScalarRates(network, state, ln_km)
        np.testing.assert_allclose(rates[:, copy], scalar(concentration), rtol=1e-9)
        expected = (scalar.derivatives(concentration) * concentration)[:, : len(network.variables)]
        size = np.abs(expected).max(axis=1, keepdims=True) + 1e-300
        np.testing.assert_allclose(derivatives[copy] / size, expected / size, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_equations_of_motion_rest_at_the_steady_state_with_the_simulators_jacobian(model_and_state, name):
    network, state = model_and_state(name)
    model, simulator = NonlinearModel(network, state), KineticSimulator(network, state)
    sets = saturated_sets(model, 3)
    rest = np.zeros((simulator.n_independent, 3))
    dynamics = model.at(sets)
    np.testing.assert_allclose(dynamics.rates(np.ones((len(network.variables), 3))), state.flux[:, None].repeat(3, 1))
    concentration = model.concentration[model.reduction.independent]
    found = concentration[:, None] * dynamics.jacobian(rest) / concentration
    expected = simulator.jacobian(sets)
    size = np.abs(expected).max()
    np.testing.assert_allclose(found / size, expected / size, atol=1e-13)
    assert np.abs(dynamics.right_hand_side(rest)).max() < 1e-9 * np.abs(dynamics.jacobian(rest)).max()


@pytest.mark.parametrize("name", ["zoo", "e_coli_core"])
def test_jacobian_away_from_the_steady_state_equals_central_differences(model_and_state, name):
    model = NonlinearModel(*model_and_state(name))
    size = len(model.reduction.independent)
    z = np.random.default_rng(5).normal(0.0, 0.1, size)
    dynamics = model.at(saturated_sets(model, 1)).select(np.zeros(size, dtype=int))
    step = 1e-5 * np.eye(size)
    ahead, behind = dynamics.right_hand_side(z[:, None] + step), dynamics.right_hand_side(z[:, None] - step)
    expected = (ahead - behind) / 2e-5
    found = dynamics.jacobian(np.tile(z[:, None], size))[0]
    assert np.linalg.norm(found - expected) < 1e-7 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", ["zoo", "e_coli_core"])
def test_conserved_totals_are_kept_and_can_be_changed(model_and_state, name):
    network, state = model_and_state(name)
    model = NonlinearModel(network, state)
    generator = np.random.default_rng(6)
    # Columns of the left null space are the weights of the conserved totals.
    left, _, _ = np.linalg.svd(mass_balance_matrix(network) / np.abs(mass_balance_matrix(network)).max(axis=0))
    weights = left[:, len(model.reduction.independent) :]
    assert weights.shape[1] == len(model.dependent) > 0
    dynamics = model.at(saturated_sets(model, 5))
    z = generator.normal(0.0, 0.2, (len(model.reduction.independent), 5))
    expected = weights.T @ model.concentration
    scale = np.abs(weights.T) @ model.concentration
    found = weights.T @ (model.concentration[:, None] * dynamics.concentration_ratio(z))
    assert np.abs(found - expected[:, None]).max() < 1e-10 * scale.min()
    ratio = generator.uniform(0.5, 1.5, (len(network.variables), 5))
    changed = dynamics.with_totals_of(ratio)
    z = np.log(ratio[model.reduction.independent])
    np.testing.assert_allclose(changed.concentration_ratio(z), ratio, rtol=1e-12)
    np.testing.assert_array_equal(
        changed.select(np.array([3])).concentration_ratio(z[:, [3]])[:, 0], changed.concentration_ratio(z)[:, 3]
    )


def test_a_copy_does_not_depend_on_the_others(model_and_state):
    model = NonlinearModel(*model_and_state("e_coli_core"))
    z = np.random.default_rng(7).normal(0.0, 0.1, (45, 4))
    dynamics = model.at(saturated_sets(model, 4))
    one = dynamics.select(np.array([2]))
    np.testing.assert_allclose(one.right_hand_side(z[:, [2]]), dynamics.right_hand_side(z)[:, [2]], rtol=1e-9)
    z[0, 1] = 5.0  # beyond the total of its pool or not: it must stay within its own copy
    z[:, 0] = np.nan
    np.testing.assert_allclose(dynamics.jacobian(z)[2], one.jacobian(z[:, [2]])[0], rtol=1e-9, atol=1e-6)
    assert np.isnan(dynamics.right_hand_side(z)[:, 0]).all()


def test_a_state_outside_the_positive_orthant_has_no_rates(model_and_state):
    model = NonlinearModel(*model_and_state("e_coli_core"))
    ratio = np.ones((50, 1))
    ratio[0] = -0.1
    assert np.isnan(model.at(saturated_sets(model, 1)).rates(ratio)).all()


@pytest.mark.parametrize("case", ["varma_strain_1.yml", "e_coli_core"])
def test_trajectories_match_golden_values(request, golden, model_and_state, case):
    entries = json.loads((DATA / "trajectories.json").read_text())["trajectories"]
    (entry,) = [entry for entry in entries if entry["model"] == case]
    if case == "e_coli_core":
        network, state = model_and_state("e_coli_core")
        (ln_km,) = [item["ln_km"] for item in golden["members"][0]["cases"] if item["id"] == entry["case"]]
    else:
        stored, state = load_varma(request.getfixturevalue("public_data"))
        network, ln_km = stored.network, stored.require_ln_km()
    model = NonlinearModel(network, state)
    initial = dict(zip(entry["species"], entry["initial_ratio"], strict=True))
    ratio = np.array([initial[species] for species in network.variables])
    dynamics = model.at(np.array([ln_km]))
    start = np.log(ratio[model.reduction.independent])[:, None]
    # The stored start keeps the totals, so that the dependent species follow.
    np.testing.assert_allclose(dynamics.concentration_ratio(start)[:, 0], ratio, rtol=1e-9)
    columns = [entry["species"].index(species) for species in network.variables]
    for method in ("BDF", "Radau"):
        found = trajectory(dynamics, start, np.array([0.0, *entry["times_h"]]), method=method)
        np.testing.assert_allclose(found[0], ratio, rtol=1e-9)
        np.testing.assert_allclose(found[1:], np.array(entry["ratio"])[:, columns], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sets: sets[0], r"ln Km has the shape \(258,\); give \(number of sets, 258\)"),
        (lambda sets: sets[:, 1:], r"ln Km has the shape \(2, 257\)"),
        (lambda sets: np.where(np.arange(258) == 3, np.nan, sets), r"Set 0: ln Km of km_\w+ is nan; give finite"),
    ],
)
def test_wrong_sets_are_refused(model_and_state, change, message):
    model = NonlinearModel(*model_and_state("e_coli_core"))
    with pytest.raises(KineticInputError, match=message):
        model.at(change(saturated_sets(model, 2)))
