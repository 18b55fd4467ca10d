"""Perturbed starts: how they are drawn, what becomes of them, and that both integrators agree."""

from functools import partial

import numpy as np
import pytest

from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.integrators import Arrival, integrate_each, integrate_together, trajectory
from bioppo.envs.kinetic.network import Network, RateLaw, Reaction, Slot
from bioppo.envs.kinetic.nonlinear import NonlinearModel
from bioppo.envs.kinetic.robustness import (
    Outcome,
    largest_eigenvalue,
    perturbed_starts,
    robustness,
    validation_table,
)
from bioppo.envs.kinetic.robustness_figure import LINES_SHOWN, draw_robustness
from bioppo.envs.kinetic.steady_state import SteadyState


@pytest.fixture(scope="module")
def core(golden_network, golden_states):
    return NonlinearModel(golden_network, golden_states[0])


@pytest.fixture(scope="module")
def core_sets(core, golden_simulators):
    """A valid, a weak and an unstable set."""
    drawn = core.ln_concentration + np.random.default_rng(0).logistic(size=(1000, 258))
    largest = golden_simulators[0].max_eigenvalue(drawn)
    order = np.argsort(largest)
    weak = order[np.searchsorted(largest[order], -5.0)]
    unstable = order[np.searchsorted(largest[order], 100.0)]
    return drawn[[order[0], weak, unstable]]


def generator():
    return np.random.default_rng(1)


def chain(rate_of_entry=2.0):
    """a -> b at mass action: dx/dt is linear, with a solution by hand."""
    reactions = (
        Reaction(
            "in", RateLaw.IRREVERSIBLE, (Slot("substrate1", "source", -1, "km_in"), Slot("product1", "a", 1, None))
        ),
        Reaction("out", RateLaw.MASS_ACTION, (Slot("s", "a", -1, None), Slot("p", "sink", 1, None))),
    )
    state = SteadyState([rate_of_entry, rate_of_entry], [-np.inf, -1.0], [0.5, 1.0, 0.1], "chain")
    return NonlinearModel(Network(("a",), ("source", "sink"), reactions), state)


def test_integrators_reproduce_a_solution_by_hand():
    """With v_out = k (a - a_eq): a(t) = a* + (a0 - a*) exp(-k t), and k = v / (a* (1 - rho))."""
    model = chain()
    k = 2.0 / (0.5 * (1 - np.exp(-1.0)))
    assert largest_eigenvalue(model, np.zeros((1, 1)))[0] == pytest.approx(-k)
    dynamics = model.at(np.zeros((3, 1)))
    start, until = np.log([[0.7, 1.2, 1.9]]), np.array([0.05, 0.3, 1.0])
    expected = 1.0 + (np.exp(start[0]) - 1.0) * np.exp(-k * until)
    for integrator, tolerance in (
        (integrate_together, 2e-4),
        (partial(integrate_together, relative_tolerance=1e-8, absolute_tolerance=1e-10), 1e-8),
        (integrate_each, 2e-5),
        (partial(integrate_each, method="Radau"), 2e-5),
    ):
        ends, arrivals = integrator(dynamics, start, until)
        np.testing.assert_array_equal(arrivals, Arrival.FINISHED)
        np.testing.assert_allclose(np.exp(ends[0]), expected, rtol=tolerance)


@pytest.mark.parametrize("integrator", [integrate_together, integrate_each])
def test_time_scales_sixteen_orders_apart_are_no_obstacle(integrator):
    reactions = (
        Reaction(
            "in", RateLaw.IRREVERSIBLE, (Slot("substrate1", "source", -1, "km_in"), Slot("product1", "a", 1, None))
        ),
        Reaction("on", RateLaw.MASS_ACTION, (Slot("s", "a", -1, None), Slot("p", "b", 1, None))),
        Reaction("out", RateLaw.MASS_ACTION, (Slot("s", "b", -1, None), Slot("p", "sink", 1, None))),
    )
    state = SteadyState([2.0, 2.0, 2.0], [-np.inf, -5.0, -1.0], [1e-16, 0.5, 1.0, 0.1], "two time scales")
    model = NonlinearModel(Network(("a", "b"), ("source", "sink"), reactions), state)
    result = robustness(model, np.zeros((1, 1)), starts=2, generator=generator(), integrator=integrator)
    assert -10 < result.lambda_max[0] < 0
    assert result.share[0] == 1.0


def test_starts_move_every_species_by_at_most_the_displacement_and_keep_the_totals(core):
    for displacement in (0.1, 0.25, 0.5):
        ratio = perturbed_starts(core, displacement, 200, generator())
        assert ratio.shape == (50, 200)
        change = np.abs(ratio - 1.0)
        assert 0.95 * displacement < change.max() <= displacement * (1 + 1e-12)
        dependent = 1.0 + core.relative_link[core.dependent] @ (ratio[core.reduction.independent] - 1.0)
        np.testing.assert_allclose(ratio[core.dependent], dependent, rtol=1e-12)


def test_a_start_is_shrunk_where_a_scarce_species_is_dependent(golden_network, golden_states):
    """With the most abundant species independent, the scarce dependent ones would go below zero."""
    from bioppo.envs.kinetic.conservation import reduce_conservation
    from bioppo.envs.kinetic.network import mass_balance_matrix

    order = np.argsort(-golden_states[0].concentration[:50])
    reduction = reduce_conservation(mass_balance_matrix(golden_network), order)
    model = NonlinearModel(golden_network, golden_states[0], reduction=reduction)
    unshrunk = generator().uniform(-0.5, 0.5, (20, 45)).T
    assert np.abs(model.relative_link[model.dependent] @ unshrunk).max() > 1.0
    ratio = perturbed_starts(model, 0.5, 20, generator())
    assert np.abs(ratio - 1.0).max() <= 0.5 * (1 + 1e-12)
    factor = (ratio[reduction.independent] - 1.0) / unshrunk
    np.testing.assert_allclose(factor, factor[:1].repeat(45, 0), rtol=1e-9)
    assert factor.min() < 0.9


def test_more_starts_leave_the_first_ones_as_they_are(core):
    few, many = (perturbed_starts(core, 0.25, count, generator()) for count in (3, 8))
    np.testing.assert_allclose(few, many[:, :3], rtol=1e-14)


def test_free_totals_move_every_species_by_itself(core):
    ratio = perturbed_starts(core, 0.5, 100, generator(), totals="free")
    implied = 1.0 + core.relative_link[core.dependent] @ (ratio[core.reduction.independent] - 1.0)
    assert np.abs(ratio[core.dependent] - implied).max() > 0.1
    assert 0.5 <= ratio.min() < ratio.max() <= 1.5


def test_valid_sets_return_and_an_unstable_one_does_not(core, core_sets, golden_simulators):
    result = robustness(core, core_sets, starts=3, generator=generator())
    np.testing.assert_allclose(result.lambda_max, golden_simulators[0].max_eigenvalue(core_sets), rtol=1e-7)
    assert result.lambda_max[0] < -20
    assert result.lambda_max[2] > 50
    assert result.share[0] == 1.0
    assert result.share[2] == 0.0
    totals = sum(result.count(outcome) for outcome in Outcome)
    np.testing.assert_array_equal(totals, 3)


def test_both_integrators_give_the_same_outcomes(core, core_sets):
    together = robustness(core, core_sets[:2], starts=2, displacement=0.5, generator=generator())
    each = robustness(core, core_sets[:2], starts=2, displacement=0.5, generator=generator(), integrator=integrate_each)
    np.testing.assert_array_equal(together.outcome, each.outcome)


def test_outcomes_depend_neither_on_other_sets_nor_on_workers(core, core_sets):
    sets = np.concatenate([core_sets[:2]] * 6)
    both = robustness(core, sets, starts=6, displacement=0.5, generator=generator())
    threaded = robustness(core, sets, starts=6, displacement=0.5, generator=generator(), workers=2)
    alone = robustness(core, sets[1:2], starts=6, displacement=0.5, generator=generator())
    np.testing.assert_array_equal(both.outcome, threaded.outcome)
    np.testing.assert_array_equal(both.outcome[1], alone.outcome[0])


def test_free_totals_ask_for_bounded_concentrations_only(core, core_sets):
    kept = robustness(core, core_sets[:1], starts=4, generator=generator(), totals="free")
    assert kept.share[0] == 1.0
    dynamics = core.at(np.repeat(core_sets[:1], 4, axis=0))
    ratio = perturbed_starts(core, 0.25, 4, generator(), totals="free")
    changed = dynamics.with_totals_of(ratio)
    z = np.log(ratio[core.reduction.independent])
    ends, _ = integrate_together(changed, z, np.full(4, 10.0 / 40.0))
    # The totals are others, so that the steady state is not reached again.
    assert np.abs(changed.concentration_ratio(ends) - 1.0).max(axis=0).min() > 0.01


def test_failures_are_counted_by_kind(core, core_sets):
    slow = partial(integrate_together, most_steps=2)
    np.testing.assert_array_equal(
        robustness(core, core_sets[:1], starts=2, generator=generator(), integrator=slow).outcome, Outcome.TIMED_OUT
    )
    impatient = partial(integrate_each, time_out=0.0)
    np.testing.assert_array_equal(
        robustness(core, core_sets[:1], starts=2, generator=generator(), integrator=impatient).outcome,
        Outcome.TIMED_OUT,
    )
    spoiled = core_sets[:2].copy()
    spoiled[1, 0] = np.nan
    result = robustness(core, spoiled, starts=2, generator=generator())
    np.testing.assert_array_equal(result.outcome[1], Outcome.NOT_FINITE)
    assert result.lambda_max[1] == np.inf
    assert result.share[0] == 1.0


@pytest.mark.parametrize("integrator", [integrate_together, integrate_each])
def test_a_start_outside_the_positive_orthant_fails_as_such(core, core_sets, integrator):
    dynamics = core.at(core_sets[:1])
    # An independent member of a pool alone holds more than the whole total.
    dependent, column = np.argwhere(core.relative_link[core.dependent] < -0.01)[0]
    z = np.zeros((45, 1))
    z[column] = np.log1p(2.0 / -core.relative_link[core.dependent[dependent], column])
    assert dynamics.concentration_ratio(z).min() < 0
    _, arrivals = integrator(dynamics, z, np.array([0.1]))
    assert arrivals[0] == Arrival.NOT_POSITIVE


def test_table_has_a_row_for_every_set_and_displacement(core, core_sets):
    table = validation_table(core, core_sets[[0, 2]], starts=2, seed=3)
    assert list(table["displacement"]) == [0.1, 0.25, 0.5] * 2
    assert list(table["set"]) == [0, 0, 0, 1, 1, 1]
    assert list(table["robustness"][:3]) == [1.0, 1.0, 1.0]
    assert list(table["robustness"][3:]) == [0.0, 0.0, 0.0]
    kinds = [outcome.name.lower() for outcome in Outcome]
    assert kinds == ["returned", "strayed", "not_positive", "not_finite", "timed_out"]
    assert (table[kinds].sum(axis=1) == 2).all()


def test_figure_shows_every_set_and_names_the_slowest_species(core, core_sets):
    table = validation_table(core, core_sets[[0, 1]], starts=1, displacements=(0.1, 0.25))
    times = np.array([0.0, 1e-4, 1e-2, 0.2])
    dynamics = core.at(core_sets[:1])
    start = np.zeros((45, 1))
    start[7] = np.log(1.5)
    figure = draw_robustness(table, times, trajectory(dynamics, start, times), core.species)
    shares, trajectories = figure.axes
    assert len(shares.lines) == 3
    assert [label.get_text() for label in shares.get_xticklabels()] == ["10%", "25%"]
    assert len(trajectories.lines) == 50
    named = [text.get_text() for text in trajectories.get_legend().get_texts()]
    assert core.species[core.reduction.independent[7]] in named
    assert len(named) == LINES_SHOWN + 1


def test_no_sets_have_no_outcomes(core):
    assert robustness(core, np.empty((0, 258)), starts=3, generator=generator()).outcome.shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"displacement": 0.0}, "displacement=0: give a share of the concentrations between 0 and 1"),
        ({"displacement": 1.0}, "displacement=1: give"),
        ({"starts": 0}, "starts=0: give at least 1"),
        ({"totals": "fixed"}, "totals=fixed: give kept or free"),
        ({"workers": 0}, "workers=0: give at least 1"),
    ],
)
def test_wrong_options_are_refused(core, core_sets, options, message):
    with pytest.raises(KineticInputError, match=message):
        robustness(core, core_sets, generator=generator(), **options)
