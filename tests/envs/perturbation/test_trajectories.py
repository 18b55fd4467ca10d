"""Ways of cells, and cells in order of pseudotime."""

import dataclasses

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.perturbation.data import PreparedData, Split
from bioppo.envs.perturbation.pseudotime import diffusion_pseudotime
from bioppo.envs.perturbation.trajectories import compare, mean_trajectory, reference_trajectory, straight_steps


@pytest.fixture(scope="module")
def line() -> PreparedData:
    """Return cells along a line with little noise: controls at its beginning, one perturbation further on."""
    generator = np.random.default_rng(0)
    place = np.sort(generator.uniform(0.0, 10.0, 240))
    direction = np.array([1.0, 0.5, -0.2, 0.0, 0.3])
    expression = (place[:, None] * direction + generator.normal(0.0, 0.02, (240, 5)) + 3.0).astype(np.float32)
    label = np.where(np.arange(240) < 80, -1, 0)
    test = np.arange(240) % 4 == 1
    controls = np.flatnonzero(test & (label < 0))
    training = expression[(label < 0) & ~test]
    return PreparedData(
        expression=expression,
        genes=np.array(list("abcde")),
        perturbations=("push",),
        label=label,
        cell_types=("all",),
        cell_type=np.zeros(240, dtype=np.int64),
        split=Split(test, (), None, controls[::2], controls[1::2], {"push": 1}),
        mean=training.mean(axis=0),
        deviation=training.std(axis=0),
        targets=(np.zeros(0, dtype=np.int64),),
    )


def test_pseudotime_grows_along_the_way_and_is_the_same_every_time(line: PreparedData) -> None:
    pseudotime = diffusion_pseudotime(line)
    assert pseudotime.shape == (240,)
    assert pseudotime.min() == 0.0
    assert pseudotime.max() == 1.0
    controls = line.cells(None)
    centre = line.expression[controls].mean(axis=0)
    root = controls[np.argmin(np.linalg.norm(line.expression[controls] - centre, axis=1))]
    assert pseudotime[root] == 0.0
    beyond = np.arange(100, 240)
    assert np.corrcoef(np.argsort(np.argsort(pseudotime[beyond])), beyond)[0, 1] > 0.98
    np.testing.assert_array_equal(diffusion_pseudotime(line), pseudotime)


def test_no_test_cell_enters_the_pseudotime_of_training_cells(line: PreparedData) -> None:
    moved = line.expression.copy()
    moved[line.split.test] += np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32)
    other = dataclasses.replace(line, expression=moved)
    training = ~line.split.test
    one, two = diffusion_pseudotime(line), diffusion_pseudotime(other)
    assert one[training].tobytes() == two[training].tobytes()
    assert not np.array_equal(one, two)
    # Test cells have values of training cells.
    assert np.isin(two[~training], two[training]).all()


def test_a_map_of_some_cells_still_orders_all(line: PreparedData) -> None:
    few = diffusion_pseudotime(line, max_cells=60)
    assert len(np.unique(few)) <= 60
    assert np.corrcoef(few[100:], np.arange(100, 240))[0, 1] > 0.9
    np.testing.assert_array_equal(diffusion_pseudotime(line, max_cells=60), few)


def test_cells_out_of_reach_stand_at_the_end(line: PreparedData) -> None:
    far = line.expression.copy()
    far[200:] += 1000.0
    pseudotime = diffusion_pseudotime(dataclasses.replace(line, expression=far))
    assert np.isfinite(pseudotime).all()
    np.testing.assert_array_equal(pseudotime[200:], 1.0)


def test_too_few_cells_are_refused(line: PreparedData) -> None:
    test = np.ones(240, dtype=bool)
    test[:10] = False
    with pytest.raises(UserError, match="10 training cells"):
        diffusion_pseudotime(dataclasses.replace(line, split=dataclasses.replace(line.split, test=test)))


def test_references_are_test_cells_at_equal_ranks(line: PreparedData) -> None:
    pseudotime = np.linspace(1.0, 0.0, 240)
    perturbed = np.flatnonzero(line.split.test & (line.label == 0))[::-1]
    reference = reference_trajectory(line, "perturbed", len(perturbed), pseudotime=pseudotime)
    np.testing.assert_array_equal(reference, line.expression[perturbed])
    reference = reference_trajectory(line, "perturbed", 3, pseudotime=pseudotime)
    middle = round((len(perturbed) - 1) / 2)
    np.testing.assert_array_equal(reference, line.expression[perturbed[[0, middle, -1]]])
    controls = np.flatnonzero(line.split.test & (line.label < 0))[::-1]
    reference = reference_trajectory(line, "control", 2, pseudotime=pseudotime)
    np.testing.assert_array_equal(reference, line.expression[controls[[0, -1]]])
    own = reference_trajectory(line, "perturbed", 6)
    np.testing.assert_array_equal(
        own, reference_trajectory(line, "perturbed", 6, pseudotime=diffusion_pseudotime(line))
    )
    with pytest.raises(UserError, match="reference_points=500: there are 40 perturbed test cells"):
        reference_trajectory(line, "perturbed", 500, pseudotime=pseudotime)


def test_a_prediction_made_at_once_goes_straight() -> None:
    start, final = np.zeros((2, 3)), np.array([[4.0, 8.0, 0.0], [0.0, 0.0, 2.0]])
    states = straight_steps(start, final, 4)
    np.testing.assert_allclose(states[1], final / 4)
    np.testing.assert_array_equal(states[0], start)
    np.testing.assert_array_equal(states[-1], final)
    np.testing.assert_allclose(mean_trajectory(states)[[0, 2, 4]], [[0, 0, 0], [1, 2, 0.5], [2, 4, 1]])


def test_comparison_by_hand() -> None:
    system = np.arange(5.0)[:, None] * [1.0, 2.0]
    assert compare(system, system) == {"dtw": 0.0, "w1": 0.0, "aligned_mad": 0.0}
    raised = compare(system, system + np.array([10.0, 20.0]))
    assert raised["aligned_mad"] == raised["w1"] == 15.0
    # Of series so far apart the diagonal is cheapest, since every further pair costs: five pairs 10 and 20 apart.
    assert raised["dtw"] == np.mean([50.0, 100.0])
    stretched = compare(system, np.repeat(system, 3, axis=0))
    assert stretched == {"dtw": 0.0, "w1": pytest.approx(0.0, abs=1e-12)}


def test_short_series_are_warned_about() -> None:
    with pytest.warns(UserWarning, match="has 2 points"):
        measured = compare(np.zeros((2, 3)), np.ones((2, 3)))
    assert measured == {"dtw": 2.0, "w1": 1.0, "aligned_mad": 1.0}
