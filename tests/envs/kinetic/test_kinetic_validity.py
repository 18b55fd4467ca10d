"""The validity oracle: determinants before eigenvalues, with the same verdicts."""

import numpy as np
import pytest

from bioppo.envs.kinetic.determinant import may_be_valid
from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.simulator import KineticSimulator
from bioppo.envs.kinetic.sources.models import COMPUTED_STATE
from bioppo.envs.kinetic.sources.skimpy_yaml import read_skimpy_model
from bioppo.envs.kinetic.sources.state_table import read_computed_state, read_states


def drawn_sets(simulator, count):
    """Half log-uniform, half with uniform saturations, of which many are valid."""
    generator = np.random.default_rng(7)
    shape = (count // 2, len(simulator.parameter_names))
    return np.concatenate(
        [generator.uniform(-25, 3, shape), simulator.ln_concentration + generator.logistic(size=shape)]
    )


def test_no_valid_set_is_rejected_and_verdicts_are_those_of_the_eigenvalues(golden_simulators):
    simulator = golden_simulators[0]
    sets = drawn_sets(simulator, 2000)
    largest = simulator.max_eigenvalue(sets)
    jacobian = simulator.jacobian(sets)
    for threshold, expected in ((-20.4, 100), (-38.3, 1), (-1.0, 500)):
        valid = largest <= threshold
        assert valid.sum() >= expected
        kept = may_be_valid(jacobian, threshold)
        assert not np.any(valid & ~kept)
        assert np.mean(~kept[:1000]) > 0.35  # of the log-uniform sets
        np.testing.assert_array_equal(simulator.validity(sets, threshold), valid)


@pytest.mark.parametrize("name", ["varma", "renaissance384"])
def test_no_valid_set_of_a_published_model_is_rejected(public_data, name):
    if name == "varma":
        network = read_skimpy_model(public_data("kinetic/varma_strain_1.yml")).network
        (state,) = read_states(public_data("kinetic/tfa_reference_strains.csv"), network, rows=["strain_1"])
    else:
        network = read_skimpy_model(public_data("kinetic/kin_varma_curated.yaml")).network
        state = read_computed_state(COMPUTED_STATE, network)
    simulator = KineticSimulator(network, state)
    sets = drawn_sets(simulator, 2000)
    valid = simulator.max_eigenvalue(sets) <= -2.5
    assert valid.sum() > 20
    np.testing.assert_array_equal(simulator.validity(sets, -2.5), valid)


def test_the_threshold_itself_is_valid(golden_simulators):
    """A determinant is zero there, and its sign is rounding."""
    simulator = golden_simulators[0]
    sets = drawn_sets(simulator, 200)
    largest = simulator.max_eigenvalue(sets)
    for row in np.flatnonzero(largest < 0):
        assert simulator.validity(sets[[row]], largest[row])[0]
        assert not simulator.validity(sets[[row]], np.nextafter(largest[row], -np.inf))[0]


def test_eigenvalues_between_and_beyond_the_shifts():
    for diagonal, expected in (
        ((-3.0, -4.0), True),
        ((-3.0, 1.0), False),
        # Two real eigenvalues between threshold and zero: only a shift between them shows it.
        ((-1.5, -0.5), False),
        ((-1.9, -1.8), True),
        # A pair to the right of all shifts leaves every sign positive; the eigenvalues decide.
        ((1.0, 1.0), True),
    ):
        assert may_be_valid(np.diag(diagonal)[None], -2.0)[0] == expected


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_set_without_eigenvalues_is_not_valid_and_spoils_no_other(golden_simulators, bad):
    simulator = golden_simulators[0]
    sets = np.tile(simulator.ln_concentration, (4, 1))
    expected = simulator.validity(sets, -1.0)
    assert expected.all()
    sets[1] = bad
    np.testing.assert_array_equal(simulator.validity(sets, -1.0), [True, False, True, True])


def test_no_sets_and_threads_give_the_same_verdicts(golden_network, golden_states, golden_simulators):
    simulator = golden_simulators[0]
    assert simulator.validity(np.empty((0, 258)), -1.0).shape == (0,)
    sets = drawn_sets(simulator, 150)
    threaded = type(simulator)(golden_network, golden_states[0], workers=2)
    np.testing.assert_array_equal(threaded.validity(sets, -10.0), simulator.validity(sets, -10.0))


@pytest.mark.parametrize("threshold", [0.0, 2.5, np.nan])
def test_a_threshold_that_is_not_negative_is_refused(golden_simulators, threshold):
    with pytest.raises(KineticInputError, match=rf"lambda_part={threshold}: .*give a negative number"):
        golden_simulators[0].validity(np.empty((0, 258)), threshold)
