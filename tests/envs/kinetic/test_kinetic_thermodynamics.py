import numpy as np
import pytest

from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.sources import thermodynamics
from bioppo.envs.kinetic.sources.thermodynamics import (
    DirectionProblem,
    choose_directions,
    nearest_fluxes,
    nearest_free_energies,
)

# source -> a -> b -> sink, and a second way from a to b; rows: a, b, source, sink.
BRANCHED = np.array([[1.0, -1.0, 0.0, -1.0], [0.0, 1.0, -1.0, 1.0], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])


def problem(stoichiometry=BRANCHED, balanced=(True, True, False, False), reference=(2.0, 2.0, 2.0, 0.0), **keywords):
    n_reactions = stoichiometry.shape[1]
    arguments = {"smallest_flux": np.full(n_reactions, 0.1), "fixed_direction": np.zeros(n_reactions), **keywords}
    return DirectionProblem(stoichiometry, np.array(balanced), np.array(reference, dtype=float), **arguments)


def test_parallel_reactions_run_in_one_direction():
    """The second way must carry 0.1 in the direction of the first: a loop has no driving force."""
    direction, distance = choose_directions(problem())
    np.testing.assert_array_equal(direction, [1, 1, 1, 1])
    # |1.9 - 2| / 3 in the first way and |0.1 - 0| in the second.
    assert distance == pytest.approx(0.1 / 3 + 0.1)


def test_directions_follow_the_reference():
    direction, distance = choose_directions(problem(reference=(-2.0, -1.0, -2.0, -1.0)))
    np.testing.assert_array_equal(direction, [-1, -1, -1, -1])
    assert distance == pytest.approx(0.0, abs=1e-9)


def test_a_given_direction_outweighs_the_reference():
    direction, distance = choose_directions(
        problem(reference=(-2.0, -1.0, -2.0, -1.0), fixed_direction=np.array([1.0, 0.0, 0.0, 0.0]))
    )
    np.testing.assert_array_equal(direction, [1, 1, 1, 1])
    assert distance > 1


@pytest.mark.parametrize(
    ("case", "remedy"),
    [
        (problem(smallest_flux=np.array([0.1, 0.1, 0.1, 70.0])), "smaller smallest fluxes (eps), lower them"),
        (problem(fixed_direction=np.array([1.0, 0.0, -1.0, 0.0])), "without the given directions, free some of them"),
        (
            # A ring a -> b -> c -> a: balanced, and downhill all the way round.
            problem(np.array([[-1.0, 0, 1], [1, -1, 0], [0, 1, -1]]), (True, True, True), (1.0, 1.0, 1.0)),
            "no potentials drive the fluxes, break the loop",
        ),
        (problem(np.array([[1.0]]), (True,), (1.0,)), "no single group of constraints is to blame, check the mass bal"),
    ],
)
def test_the_constraints_to_relax_are_named(case, remedy):
    with pytest.raises(KineticInputError) as error:
        choose_directions(case)
    assert remedy in str(error.value)


def test_running_out_of_time_is_said(monkeypatch):
    monkeypatch.setattr(thermodynamics, "SECONDS", 0.0)
    with pytest.raises(KineticInputError, match="no optimum within 0 s; give more reactions a fixed direction"):
        choose_directions(problem())


def test_nearest_fluxes_are_steady_and_keep_their_directions():
    target = np.array([2.0, 1.5, 2.0, -0.3])
    flux = nearest_fluxes(BRANCHED[:2], target, np.ones(4), np.full(4, 0.1))
    np.testing.assert_allclose(BRANCHED[:2] @ flux, 0, atol=1e-14)
    # Lifting one flux by 0.4 costs 0.4 / 2.5; lowering the two around it would cost twice 0.4 / 3.
    np.testing.assert_allclose(flux, [2.0, 1.9, 2.0, 0.1], atol=1e-9)


def test_what_the_solver_leaves_unbalanced_is_projected_away(monkeypatch):
    monkeypatch.setattr(
        thermodynamics, "_nearest", lambda *arguments, **keywords: np.array([2.0, 1.9, 2.0 + 1e-7, 0.1])
    )
    flux = nearest_fluxes(BRANCHED[:2], np.ones(4), np.ones(4), np.full(4, 0.1))
    np.testing.assert_allclose(BRANCHED[:2] @ flux, 0, atol=1e-14)
    np.testing.assert_allclose(flux, [2.0, 1.9, 2.0, 0.1], atol=1e-7)


def test_nearest_fluxes_that_do_not_exist_are_refused():
    with pytest.raises(KineticInputError, match="No state has these directions"):
        nearest_fluxes(BRANCHED[:2], np.ones(4), np.array([1.0, 1.0, -1.0, 1.0]), np.full(4, 0.1))


def test_nearest_free_energies_agree_around_a_loop():
    target = np.array([-3.0, -2.0, -1.0, -9.0])
    free_energy = nearest_free_energies(BRANCHED, target, 0.1)
    # Reactions 1 and 3 turn a into b: the larger free energy costs less to move by the same amount.
    np.testing.assert_allclose(free_energy, [-3, -2, -1, -2], atol=1e-9)
    np.testing.assert_allclose(nearest_free_energies(BRANCHED, np.array([-3, -0.01, -1, -0.02]), 0.1)[[1, 3]], -0.1)
