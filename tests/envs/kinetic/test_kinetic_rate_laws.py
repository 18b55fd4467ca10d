"""Jacobians against rate laws written out one reaction at a time and differentiated by complex step."""

import math

import numpy as np
import pytest

from bioppo.envs.kinetic.conservation import reduce_conservation
from bioppo.envs.kinetic.network import mass_balance_matrix
from bioppo.envs.kinetic.simulator import KineticSimulator

HILL_PAIRS = {
    "kinase": [("a", "b"), ("atp", "adp")],
    "feed_m": [("source", "m")],
    "drain_q": [("q", "sink")],
}


def denominator(reaction, x, km):
    """Return D(x, K); ``km`` maps (reaction, species) to a constant, as no reaction here uses a species twice."""

    def ratio(species):
        return x[species] / km[reaction.name, species]

    substrates = [slot for slot in reaction.slots if slot.stoichiometry < 0]
    products = [slot for slot in reaction.slots if slot.stoichiometry > 0]
    match reaction.law.value:
        case "pairwise_hill":
            return math.prod(1 + ratio(s) + ratio(p) for s, p in HILL_PAIRS[reaction.name])
        case "irreversible_michaelis_menten":
            return math.prod(1 + ratio(slot.species) for slot in substrates)
        case "mass_action":
            return 1.0
        case "convenience":

            def polynomial(slot):
                degree = max(1, int(abs(slot.stoichiometry) + 0.5))
                return sum(ratio(slot.species) ** i for i in range(degree + 1))

            return math.prod(map(polynomial, substrates)) + math.prod(map(polynomial, products)) - 1


def displacement_ratio(reaction, x):
    """Return Gamma, the mass-action ratio with the law's own exponents."""
    convenience = reaction.law.value == "convenience"
    ratio = 1.0
    for slot in reaction.slots:
        exponent = abs(slot.stoichiometry) if convenience else 1
        ratio *= x[slot.species] ** (exponent if slot.stoichiometry > 0 else -exponent)
    for modifier in reaction.modifiers:
        ratio *= x[modifier.species] ** modifier.stoichiometry
    return ratio


def rate_without_vmax(reaction, x, km, equilibrium):
    convenience = reaction.law.value == "convenience"
    forward = 1.0
    for slot in reaction.slots:
        if slot.stoichiometry < 0:
            forward *= x[slot.species] ** (-slot.stoichiometry if convenience else 1)
    for modifier in reaction.modifiers:
        if modifier.kind.value == "first_order" and modifier.stoichiometry < 0:
            forward *= x[modifier.species] ** -modifier.stoichiometry
    if reaction.law.value != "irreversible_michaelis_menten":
        forward *= 1 - displacement_ratio(reaction, x) / equilibrium
    return forward / denominator(reaction, x, km)


def unreduced_jacobian(network, state, ln_km):
    """Return d(dx/dt)/dx of the variable species; Vmax and Keq follow from the state."""
    names = network.variables + network.constants
    at_rest = dict(zip(names, state.concentration, strict=True))
    values = dict(zip(network.parameter_names, np.exp(ln_km), strict=True))
    km = {
        (r.name, slot.species): values[slot.parameter] for r in network.reactions for slot in r.slots if slot.parameter
    }
    ratios = network.volume_ratios or (1.0,) * len(network.variables)
    jacobian = np.zeros((len(network.variables), len(network.variables)))
    for reaction, flux, ln_rho in zip(network.reactions, state.flux, state.ln_displacement, strict=True):
        reversible = np.isfinite(ln_rho)
        equilibrium = displacement_ratio(reaction, at_rest) / np.exp(ln_rho) if reversible else None
        vmax = flux / rate_without_vmax(reaction, at_rest, km, equilibrium)
        assert vmax > 0
        derivative = np.zeros(len(network.variables))
        for column, species in enumerate(network.variables):
            step = 1e-30 * at_rest[species]
            moved = {**at_rest, species: at_rest[species] + 1j * step}
            derivative[column] = np.imag(vmax * rate_without_vmax(reaction, moved, km, equilibrium)) / step
        for participant in (*reaction.slots, *reaction.modifiers):
            if participant.species in network.variables:
                row = network.variables.index(participant.species)
                jacobian[row] += ratios[row] * participant.stoichiometry * derivative
    return jacobian


@pytest.mark.parametrize("bounds", [(-12, -3), (-25, 3)])
@pytest.mark.parametrize("model", ["zoo", "golden"])
def test_jacobian_equals_the_complex_step_derivative(request, model, bounds):
    network = request.getfixturevalue(f"{model}_network")
    state = request.getfixturevalue("zoo_state") if model == "zoo" else request.getfixturevalue("golden_states")[1]
    variables = state.concentration[: len(network.variables)]
    reduction = reduce_conservation(mass_balance_matrix(network), np.argsort(variables))
    simulator = KineticSimulator(network, state, reduction=reduction)
    sets = np.random.default_rng(11).uniform(*bounds, (20 if model == "zoo" else 2, len(network.parameter_names)))
    for ln_km, found in zip(sets, simulator.jacobian(sets), strict=True):
        expected = unreduced_jacobian(network, state, ln_km)
        size = np.linalg.norm(expected)
        assert np.linalg.norm(found - expected[reduction.independent] @ reduction.link) < 1e-8 * size
        assert np.linalg.norm(reduction.link @ found - expected @ reduction.link) < 1e-8 * size


def test_volume_ratios_matter(zoo_network, zoo_state, zoo_simulator):
    """The reduced spectrum is the unreduced one without the zero of the conserved total."""
    assert zoo_simulator.n_independent == len(zoo_network.variables) - 1
    ln_km = zoo_simulator.ln_concentration.copy()
    expected = np.linalg.eigvals(unreduced_jacobian(zoo_network, zoo_state, ln_km))
    expected = expected[np.argsort(np.abs(expected))]
    assert abs(expected[0]) < 1e-8 * abs(expected[1])
    found = zoo_simulator.eigenvalues(ln_km[None])[0]
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(expected[1:]), rtol=1e-6)
