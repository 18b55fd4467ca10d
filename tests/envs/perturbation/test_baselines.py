"""Simple predictions against numbers of scikit-learn, known effects, and sums worked by hand."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from bioppo.envs.perturbation.baselines import (
    EffectTable,
    fit_additive,
    fit_baselines,
    fit_linear_embedding,
    fit_mean_delta,
    fit_mean_perturbed,
)
from bioppo.envs.perturbation.data import PreparedData
from bioppo.envs.perturbation.features import perturbation_features
from bioppo.envs.perturbation.means import TrainingMeans, training_means
from bioppo.envs.perturbation.preprocessing import preprocess
from bioppo.envs.perturbation.sources.generator import generate_synthetic
from bioppo.envs.perturbation.splits import split_data

DATA = Path(__file__).parents[2] / "data" / "perturbation"
NAMES = ["no_change", "mean_perturbed", "mean_delta", "additive", "linear_emb", "ridge"]


def prepared_synthetic(split: dict | None = None, **generator: object) -> PreparedData:
    small = {"n_genes": 20, "n_perturbations": 6, "n_control": 300, "n_per_perturbation": 50}
    data = generate_synthetic(**(small | generator))
    return preprocess(data, split_data(data, **(split or {})))


def means_of(effects: np.ndarray) -> TrainingMeans:
    """Return means with control at zero and these effects (K, n_types, n_genes), NaN where nothing was measured."""
    return TrainingMeans(np.zeros(effects.shape[1:]), effects, ~np.isnan(effects[:, :, 0]))


def test_linear_embedding_equals_scikit_learn() -> None:
    arrays = np.load(DATA / "synthetic_arrays.npz", allow_pickle=False)
    assert json.loads((DATA / "synthetic_values.json").read_text())["K"] == len(arrays["emb"])
    effects = arrays["mean_delta"].astype(np.float64)[:, None, :].copy()
    effects[np.setdiff1d(np.arange(len(effects)), arrays["seen"])] = np.nan
    fitted = fit_linear_embedding(means_of(effects), arrays["emb"])
    np.testing.assert_allclose(fitted.effects[:, 0], arrays["linear_emb_prediction"], atol=1e-8)


def test_additive_is_exact_without_noise() -> None:
    prepared = prepared_synthetic(noise=0.0, latent_sd=0.0, efficacy="const")
    additive = fit_baselines(prepared, np.eye(6))["additive"]
    rows = np.flatnonzero(prepared.split.test & (prepared.label >= 0) & prepared.seen[prepared.label])
    start = prepared.expression[np.full(len(rows), prepared.split.start[0])]
    predicted = additive.predict(start, prepared.label[rows], prepared.cell_type[rows])
    np.testing.assert_allclose(predicted, prepared.expression[rows], atol=1e-6)
    assert np.abs(predicted - start).max() > 1.0


def test_additive_finds_the_known_effects() -> None:
    prepared = prepared_synthetic({"held_out_perturbations": 0}, clip=False, n_control=1000, n_per_perturbation=400)
    means = training_means(prepared)
    assert prepared.truth is not None
    errors = []
    for label, name in enumerate(prepared.perturbations):
        known = 0.75 * prepared.truth.effects[prepared.truth.labels.index(name)]
        spread = [
            prepared.expression[rows].std(axis=0, dtype=np.float64) / np.sqrt(len(rows))
            for rows in (prepared.cells(label), prepared.cells(None))
        ]
        errors.append((fit_additive(means, prepared.perturbations).effects[label, 0] - known) / np.hypot(*spread))
    # Of 120 normal numbers hardly any lies outside, and they scatter as much as standard errors say.
    assert np.mean(np.abs(errors) < 3) >= 0.97
    assert 0.7 < np.sqrt(np.mean(np.square(errors))) < 1.4


def test_all_share_one_interface_and_see_training_cells_alone() -> None:
    prepared = prepared_synthetic()
    features = perturbation_features(prepared)
    changed = prepared.expression.copy()
    changed[prepared.split.test] += 7.0
    perturbed = dataclasses.replace(prepared, expression=changed)
    start = prepared.expression[prepared.split.start[:6]]
    asked = np.arange(6), np.zeros(6, dtype=np.int64)
    one, two = fit_baselines(prepared, features), fit_baselines(perturbed, features)
    assert list(one) == NAMES
    answers = {}
    for name in NAMES:
        answers[name] = one[name].predict(start, *asked)
        assert answers[name].dtype == np.float64
        assert answers[name].shape == start.shape
        assert answers[name].tobytes() == two[name].predict(start, *asked).tobytes(), name
    np.testing.assert_array_equal(answers["no_change"], start)
    np.testing.assert_array_equal(answers["mean_perturbed"], answers["mean_perturbed"][[0] * 6])
    shift = answers["mean_delta"] - start
    np.testing.assert_allclose(shift, shift[[0] * 6], atol=1e-12)
    held_out = prepared.perturbations.index(prepared.split.held_out[0])
    np.testing.assert_array_equal(answers["additive"][held_out], answers["mean_delta"][held_out])
    assert np.abs(answers["additive"] - answers["mean_delta"]).max() > 0.1


def test_ridge_draws_the_same_controls_every_time_and_beats_doing_nothing() -> None:
    prepared = prepared_synthetic({"held_out_perturbations": 0})
    features = perturbation_features(prepared)
    start = prepared.expression[prepared.split.start]
    one, two = (fit_baselines(prepared, features)["ridge"] for _ in range(2))
    errors = []
    for label in range(6):
        asked = np.full(len(start), label), np.zeros(len(start), dtype=np.int64)
        predicted = one.predict(start, *asked)
        np.testing.assert_array_equal(predicted, two.predict(start, *asked))
        observed = prepared.expression[prepared.cells(label, test=True)].mean(axis=0)
        errors.append([np.mean((cells.mean(axis=0) - observed) ** 2) for cells in (predicted, start)])
    ridge, nothing = np.mean(errors, axis=0)
    assert ridge < 0.5 * nothing


def test_combinations_add_their_members() -> None:
    nan = np.nan
    effects = np.array([[1.0, 0.0], [nan, nan], [0.0, 2.0], [nan, nan], [nan, nan], [nan, nan]])[:, None, :]
    labels = ("A", "A+B", "B", "B+C", "C", "C+D")
    table = fit_additive(means_of(effects), labels).effects[:, 0]
    average = [0.5, 1.0]
    np.testing.assert_allclose(table, [[1, 0], [1, 2], [0, 2], [0.5, 3.0], average, average])
    # Where labels are no combinations, "A+B" is a name like any other.
    np.testing.assert_allclose(fit_additive(means_of(effects), labels, None).effects[1, 0], average)
    # A+control is A.
    labels = ("A", "A+none", "B", "C", "D", "E")
    np.testing.assert_allclose(fit_additive(means_of(effects), labels, "+", "none").effects[1, 0], [1, 0])


def test_a_type_without_training_cells_gets_the_average_of_the_others() -> None:
    nan = np.nan
    # Labels x types x genes; nothing was measured in the last type, and the second label in the first type alone.
    effects = np.array([[[1.0, 0], [3.0, 0], [nan, nan]], [[0, 4.0], [nan, nan], [nan, nan]]])
    means = means_of(effects)
    additive = fit_additive(means, ("A", "B")).effects
    np.testing.assert_allclose(additive[0], [[1, 0], [3, 0], [2, 0]])
    np.testing.assert_allclose(additive[1], [[0, 4], [0, 4], [0, 4]])
    delta = fit_mean_delta(means).effects
    np.testing.assert_allclose(delta[0], delta[1])
    np.testing.assert_allclose(delta[0], [[0.5, 2], [3, 0], [1, 2]])
    np.testing.assert_allclose(fit_mean_perturbed(means).profile, delta[0])
    linear = fit_linear_embedding(means, np.array([[1.0], [-1.0]])).effects
    # One label alone gives the intercept; two are pulled halfway to their mean by a penalty of half their spread.
    np.testing.assert_allclose(linear[:, 1], [[3, 0], [3, 0]])
    np.testing.assert_allclose(linear[0, 2] + linear[1, 2], [2, 4])
    np.testing.assert_allclose(linear[0, 2] - linear[1, 2], np.array([2, -4]) * 2 / 3)


def test_types_are_chosen_by_cell() -> None:
    table = EffectTable(np.arange(8.0).reshape(2, 2, 2))
    moved = table.predict(np.ones((2, 2), dtype=np.float32), np.array([1, 0]), np.array([0, 1]))
    np.testing.assert_array_equal(moved, [[5.0, 6.0], [3.0, 4.0]])


def test_a_held_out_cell_type_is_predicted() -> None:
    data = generate_synthetic(n_genes=20, n_perturbations=4, n_control=300, n_per_perturbation=60, cell_types=3)
    prepared = preprocess(data, split_data(data, held_out_cell_type="type_0", held_out_perturbations=0))
    rows = prepared.split.start[prepared.cell_type[prepared.split.start] == 0]
    asked = np.zeros(len(rows), dtype=np.int64), prepared.cell_type[rows]
    observed = prepared.expression[prepared.cells(0, 0, test=True)].mean(axis=0)
    errors = {
        name: np.mean((baseline.predict(prepared.expression[rows], *asked).mean(axis=0) - observed) ** 2)
        for name, baseline in fit_baselines(prepared, perturbation_features(prepared)).items()
    }
    assert min(errors, key=lambda name: errors[name]) == "additive"
    assert errors["additive"] < 0.2 * errors["no_change"]
