"""Scores of whole sets of predictions: what they average, what they refuse, and published reference values."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.perturbation import metrics
from bioppo.envs.perturbation.baselines import Baseline, NoChange, fit_baselines, fit_mean_perturbed
from bioppo.envs.perturbation.data import PerturbationData, PreparedData
from bioppo.envs.perturbation.features import perturbation_features
from bioppo.envs.perturbation.loading import load_prepared
from bioppo.envs.perturbation.means import training_means
from bioppo.envs.perturbation.options import DataOptions, SplitOptions
from bioppo.envs.perturbation.preprocessing import preprocess
from bioppo.envs.perturbation.scoring import (
    MEASURES,
    ControlReference,
    Observed,
    Predictions,
    Scorer,
    ceiling,
    observed_groups,
    score,
    start_cells,
)
from bioppo.envs.perturbation.sources.generator import generate_synthetic
from bioppo.envs.perturbation.splits import split_data

SMALL = {"n_genes": 20, "n_perturbations": 6, "n_control": 300, "n_per_perturbation": 50}


def prepare(data: PerturbationData, **split: object) -> PreparedData:
    return preprocess(data, split_data(data, **split))


@pytest.fixture(scope="module")
def synthetic() -> PreparedData:
    return prepare(generate_synthetic(**SMALL))


@pytest.fixture(scope="module")
def three_types() -> PreparedData:
    data = generate_synthetic(**(SMALL | {"n_per_perturbation": 60}), cell_types=3)
    return prepare(data, held_out_cell_type="type_1")


def predict(
    prepared: PreparedData,
    baseline: Baseline,
    observed: Observed = "test",
    reference: ControlReference = "disjoint",
) -> Predictions:
    """Predict every group from all its start cells."""
    starts, labels, kinds = [], [], []
    for group in observed_groups(prepared, observed):
        cells = start_cells(prepared, observed, group.cell_type, control_reference=reference)
        starts.append(prepared.expression[cells])
        labels.append(np.full(len(cells), group.perturbation))
        kinds.append(np.full(len(cells), group.cell_type))
    start, label, kind = np.concatenate(starts), np.concatenate(labels), np.concatenate(kinds)
    return Predictions(start, baseline.predict(start, label, kind), label, kind)


def average(scores: Iterable[dict[str, float]], key: str) -> float:
    return float(np.mean([each[key] for each in scores]))


def test_rows_hold_what_the_metrics_say(synthetic: PreparedData) -> None:
    additive = fit_baselines(synthetic, np.eye(6))["additive"]
    predictions = predict(synthetic, additive)
    table, scalars = score(predictions, synthetic)
    assert table.perturbation.tolist() == list(synthetic.perturbations)
    held_out = synthetic.split.held_out
    assert table.split.tolist() == ["B" if name in held_out else "A" for name in synthetic.perturbations]
    assert table.members_seen.tolist() == [int(name not in held_out) for name in synthetic.perturbations]
    row = table.iloc[0]
    observed = synthetic.expression[synthetic.cells(0, test=True)].astype(np.float64)
    predicted = predictions.final[predictions.perturbation == 0]
    start = synthetic.expression[synthetic.split.start].mean(axis=0, dtype=np.float64)
    reference = synthetic.expression[synthetic.split.reference]
    a = predicted.mean(axis=0) - start
    b = observed.mean(axis=0) - reference.mean(axis=0, dtype=np.float64)
    target = synthetic.targets[0]
    significant = metrics.significant_genes(observed, reference)
    overlap = metrics.de_overlap(a, b, significant, target)
    expected = {
        "pearson_delta": metrics.pearson_delta(a, b, target),
        "mse_delta": metrics.mse_delta(a, b, target),
        "mse": metrics.mse(predicted.mean(axis=0), observed.mean(axis=0)),
        "de_overlap": overlap.overlap,
        "de_chance": overlap.chance,
        "n_significant": overlap.n_significant,
        "n_cells": len(observed),
        "fraction_negative": np.mean(predicted < 0),
    }
    assert dict(row[list(expected)]) == pytest.approx(expected, abs=1e-9)
    # As many predicted as observed cells; which ones is drawn.
    draws = [
        metrics.energy(predicted[np.random.default_rng(draw).permutation(len(predicted))[: len(observed)]], observed)
        for draw in range(20)
    ]
    assert min(draws) - np.std(draws) < row.energy < max(draws) + np.std(draws)
    for name in ("pearson_delta", "energy", "r2"):
        for letter in "AB":
            assert scalars[f"{name}_{letter}"] == pytest.approx(table[table.split == letter][name].mean())


def test_ranks_are_among_the_perturbations_of_a_split(synthetic: PreparedData) -> None:
    predictions = predict(synthetic, fit_baselines(synthetic, perturbation_features(synthetic))["linear_emb"])
    table, scalars = score(predictions, synthetic)
    expression = synthetic.expression.astype(np.float64)
    start, reference = (expression[cells].mean(axis=0) for cells in (synthetic.split.start, synthetic.split.reference))
    seen = np.flatnonzero(synthetic.seen)
    a = [predictions.final[predictions.perturbation == label].mean(axis=0) - start for label in seen]
    b = [expression[synthetic.cells(label, test=True)].mean(axis=0) - reference for label in seen]
    expected = metrics.pds(a, b, synthetic.targets)
    np.testing.assert_allclose(table[table.split == "A"].pds, expected)
    assert scalars["pds_A"] == pytest.approx(expected.mean())
    own = [synthetic.targets[label] for label in seen]
    np.testing.assert_allclose(table[table.split == "A"].pds_cell_eval, metrics.pds_cell_eval(a, b, own))


def test_doing_nothing_has_no_effect_in_any_split(synthetic: PreparedData, three_types: PreparedData) -> None:
    for prepared, letters in ((synthetic, "AB"), (three_types, "ABC")):
        scalars = score(predict(prepared, NoChange()), prepared)[1]
        for letter in letters:
            assert scalars[f"pearson_delta_{letter}"] == 0.0
            assert scalars[f"de_overlap_{letter}"] == 0.0
            assert scalars.get(f"pds_{letter}", 0.5) == 0.5


def test_keys_depend_on_observed_cells_alone(three_types: PreparedData) -> None:
    scorer = Scorer(three_types)
    baselines = fit_baselines(three_types, perturbation_features(three_types))
    scores = {name: scorer.score(predict(three_types, baseline))[1] for name, baseline in baselines.items()}
    keys = list(scores["no_change"])
    assert {key.rsplit("_", 1)[1] for key in keys} == {"A", "B", "C"}
    for scalars in scores.values():
        assert list(scalars) == keys
        assert np.isfinite(list(scalars.values())).all()
    # One label is held out: there is nothing to rank it among.
    assert "pds_B" not in keys
    assert {f"pds_{letter}" for letter in "AC"} <= set(keys)
    assert scores["additive"]["pearson_delta_C"] > scores["mean_delta"]["pearson_delta_C"] + 0.2


def test_perturbations_count_alike_however_many_types_they_have(three_types: PreparedData) -> None:
    # Cells of one label in one type only.
    drop = (three_types.label == 0) & (three_types.cell_type == 0)
    kept = np.flatnonzero(~drop)
    place = np.cumsum(~drop) - 1
    split = dataclasses.replace(
        three_types.split,
        test=three_types.split.test[kept],
        start=place[three_types.split.start],
        reference=place[three_types.split.reference],
    )
    prepared = dataclasses.replace(
        three_types,
        expression=three_types.expression[kept],
        label=three_types.label[kept],
        cell_type=three_types.cell_type[kept],
        split=split,
    )
    table, scalars = score(predict(prepared, NoChange()), prepared)
    of_a = table[table.split == "A"]
    assert of_a.groupby("perturbation").size().nunique() == 2
    by_label = of_a.groupby("perturbation").r2.mean()
    assert scalars["r2_A"] == pytest.approx(by_label.mean())
    assert abs(scalars["r2_A"] - of_a.r2.mean()) > 1e-6


def test_groups_name_split_and_cells(three_types: PreparedData) -> None:
    groups = observed_groups(three_types)
    assert len(groups) == 6 * 3
    held_out_type = three_types.cell_types.index("type_1")
    for group in groups:
        name = three_types.perturbations[group.perturbation]
        letter = "B" if name in three_types.split.held_out else "C" if group.cell_type == held_out_type else "A"
        assert group.split == letter
        assert three_types.split.test[group.cells].all()
        assert (three_types.label[group.cells] == group.perturbation).all()
        assert (three_types.cell_type[group.cells] == group.cell_type).all()


@pytest.mark.parametrize("observed", ["test", "train"])
def test_controls_of_both_effects_are_disjoint_unless_shared(three_types: PreparedData, observed: Observed) -> None:
    for kind in {group.cell_type for group in observed_groups(three_types, observed)}:
        start = start_cells(three_types, observed, kind)
        reference = Scorer(three_types, observed=observed).reference[kind]
        assert not np.intersect1d(start, reference).size
        shared = start_cells(three_types, observed, kind, control_reference="shared")
        np.testing.assert_array_equal(np.sort(shared), np.sort(np.concatenate([start, reference])))
        assert (three_types.label[shared] == -1).all()
        assert (three_types.cell_type[shared] == kind).all()
        assert (three_types.split.test[shared] == (observed == "test")).all()


def test_choosing_on_training_cells_looks_at_no_test_cell(synthetic: PreparedData) -> None:
    changed = synthetic.expression.copy()
    changed[synthetic.split.test] += 3.0
    other = dataclasses.replace(synthetic, expression=changed)
    features = perturbation_features(synthetic)
    scores = []
    for prepared in (synthetic, other):
        baseline = fit_baselines(prepared, features)["linear_emb"]
        table, scalars = score(predict(prepared, baseline, "train"), prepared, observed="train")
        assert set(table.split) == {"A"}
        assert not set(table.perturbation) & set(synthetic.split.held_out)
        scores.append(scalars)
    assert scores[0] == scores[1]
    assert {f"{name}_A" for name in MEASURES} == set(scores[0])


def test_observed_cells_are_tested_once(synthetic: PreparedData, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    test = metrics.significant_genes
    monkeypatch.setattr(metrics, "significant_genes", lambda *cells: calls.append(1) or test(*cells))
    scorer = Scorer(synthetic)
    predictions = predict(synthetic, NoChange())
    tables = [scorer.score(predictions)[0] for _ in range(3)]
    assert len(calls) == len(scorer.groups)
    assert tables[0].equals(tables[2])
    assert tables[0].equals(score(predictions, synthetic)[0])


def test_incomplete_and_broken_predictions_are_refused(synthetic: PreparedData) -> None:
    predictions = predict(synthetic, NoChange())
    some = predictions.perturbation != 3
    incomplete = Predictions(*(getattr(predictions, field.name)[some] for field in dataclasses.fields(predictions)))
    with pytest.raises(UserError, match=f"{synthetic.perturbations[3]}.*no predicted cells"):
        score(incomplete, synthetic)
    final = predictions.final.copy()
    final[0, 0] = np.nan
    with pytest.raises(UserError, match="not finite"):
        score(dataclasses.replace(predictions, final=final), synthetic)


def test_nothing_to_score_is_refused(synthetic: PreparedData) -> None:
    none = dataclasses.replace(synthetic.split, start=synthetic.split.start[:0])
    with pytest.raises(UserError, match="no cell type has two control cells"):
        observed_groups(dataclasses.replace(synthetic, split=none))


def test_the_number_of_cells_changes_energy_little(synthetic: PreparedData) -> None:
    predictions = predict(synthetic, fit_baselines(synthetic, np.eye(6))["mean_delta"])
    every, few = (score(predictions, synthetic, max_cells=most)[1] for most in (500, 8))
    assert every["pearson_delta_A"] == few["pearson_delta_A"]
    assert every["energy_B"] != few["energy_B"]
    assert every["energy_B"] == pytest.approx(few["energy_B"], rel=0.5)


def test_a_shared_reference_rewards_noise_and_disjoint_halves_do_not() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat(["control", *(f"p{number:02d}" for number in range(20))], [400, *[250] * 20])
    data = PerturbationData(
        X=generator.normal(8.0, 1.0, (len(labels), 200)).astype(np.float32),
        genes=np.array([f"gene{number}" for number in range(200)]),
        labels=labels,
        control=labels == "control",
        log_normalised=True,
    )
    prepared = prepare(data, held_out_perturbations=0)
    assert len(prepared.split.start) + len(prepared.split.reference) == 80
    mean_perturbed = fit_mean_perturbed(training_means(prepared))
    scores = {
        reference: score(predict(prepared, mean_perturbed, reference=reference), prepared, control_reference=reference)[
            1
        ]["pearson_delta_A"]
        for reference in ("disjoint", "shared")
    }
    assert abs(scores["disjoint"]) < 0.15
    assert scores["shared"] > 0.4


def test_ceiling_is_high_where_effects_are_and_low_without(synthetic: PreparedData) -> None:
    table, scalars = ceiling(synthetic)
    assert len(table) == 6
    assert 0.5 < scalars["half_depth_B"] < scalars["corrected_B"] <= 1.0
    generator = np.random.default_rng(1)
    noise = dataclasses.replace(synthetic, expression=generator.normal(size=synthetic.expression.shape))
    assert abs(ceiling(noise)[1]["half_depth_A"]) < 0.25
    assert ceiling(synthetic)[0].equals(table)


GENERATED = {
    "no_change": {"pearson_delta": (0.0, 0.0), "pds": (0.5, 0.5), "energy": (1.66, 1.50)},
    "mean_perturbed": {"pearson_delta": (0.27, 0.14), "pds": (0.5, 0.5), "energy": (3.81, 3.94)},
    "mean_delta": {"pearson_delta": (0.27, 0.14), "pds": (0.5, 0.5), "energy": (1.55, 1.56)},
    "additive": {"pearson_delta": (0.93, 0.14), "pds": (1.0, 0.5), "energy": (0.21, 1.56)},
    "linear_emb": {"pearson_delta": (0.64, 0.24), "pds": (0.91, 0.78), "energy": (0.75, 1.86)},
    "ridge": {"pearson_delta": (0.70, 0.18), "pds": (0.97, 0.67), "energy": (2.13, 4.86)},
}
"""On the generator's default data, as `REFERENCE` below."""


def test_baselines_reproduce_reference_values_on_generated_cells() -> None:
    data = generate_synthetic()
    assert data.truth is not None
    # There labels were numbered as they were drawn, which decides which ones are held out.
    numbered = {name: f"p{number:02d}" for number, name in enumerate(data.truth.labels)}
    labels, genes = (np.array([numbered.get(name, name) for name in names]) for names in (data.labels, data.genes))
    data = dataclasses.replace(data, labels=labels, genes=genes, truth=None)
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in GENERATED}
    ceilings = []
    for seed in range(3):
        prepared = preprocess(data, split_data(data, seed=seed), DataOptions(n_genes=50))
        scorer = Scorer(prepared)
        for name, baseline in fit_baselines(prepared, perturbation_features(prepared)).items():
            scores[name].append(scorer.score(predict(prepared, baseline))[1])
        ceilings.append(ceiling(prepared)[1])
    for name, measures in GENERATED.items():
        for measure, (of_a, of_b) in measures.items():
            assert average(scores[name], f"{measure}_A") == pytest.approx(of_a, abs=0.02), (name, measure)
            assert average(scores[name], f"{measure}_B") == pytest.approx(of_b, abs=0.06), (name, measure)
    for key, expected in {"half_depth": (0.84, 0.96), "corrected": (0.91, 0.98)}.items():
        assert average(ceilings, f"{key}_A") == pytest.approx(expected[0], abs=0.02), key
        assert average(ceilings, f"{key}_B") == pytest.approx(expected[1], abs=0.06), key


REFERENCE = {
    "no_change": {"pearson_delta": (0.0, 0.0), "pds": (0.5, 0.5), "energy": (0.33, 0.25), "de_overlap": (0.0, 0.0)},
    "mean_perturbed": {"pearson_delta": (0.05, 0.13), "pds": (0.5, 0.5), "energy": (3.68, 3.70)},
    "mean_delta": {"pearson_delta": (0.16, 0.27), "pds": (0.5, 0.5), "energy": (0.32, 0.23)},
    "additive": {"pearson_delta": (0.29, 0.27), "pds": (0.71, 0.5), "energy": (0.26, 0.23), "de_overlap": (0.58, 0.33)},
    "linear_emb": {"pearson_delta": (0.28, 0.27), "pds": (0.65, 0.5), "energy": (0.27, 0.23)},
    "ridge": {"pearson_delta": (0.15, 0.16), "pds": (0.60, 0.5), "energy": (3.01, 3.07), "de_overlap": (0.47, 0.35)},
}
"""On knock-outs in THP-1 cells, splits A and B: the mean of three split seeds, found with other code."""


@pytest.mark.slow
def test_baselines_reproduce_reference_values_on_knock_outs(public_data: Callable[[str], Path]) -> None:
    path = str(public_data("perturbation/papalexi2021_thp1_subset.h5ad"))
    options = DataOptions(source="file", path=path, control_label="non-targeting", min_counts=30, n_genes=200)
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in REFERENCE}
    shared, ceilings = [], []
    for seed in range(3):
        prepared = load_prepared(options, split=SplitOptions(seed=seed))
        scorer = Scorer(prepared)
        baselines = fit_baselines(prepared, perturbation_features(prepared, "onehot"))
        for name, baseline in baselines.items():
            scores[name].append(scorer.score(predict(prepared, baseline))[1])
        predictions = predict(prepared, baselines["mean_perturbed"], reference="shared")
        shared.append(score(predictions, prepared, control_reference="shared")[1])
        ceilings.append(ceiling(prepared)[1])
    for name, measures in REFERENCE.items():
        for measure, (of_a, of_b) in measures.items():
            assert average(scores[name], f"{measure}_A") == pytest.approx(of_a, abs=0.02), (name, measure)
            assert average(scores[name], f"{measure}_B") == pytest.approx(of_b, abs=0.06), (name, measure)
    assert average(shared, "pearson_delta_A") == pytest.approx(0.36, abs=0.02)
    assert average(shared, "pearson_delta_B") == pytest.approx(0.51, abs=0.06)
    for key, expected in {"half_depth": (0.21, 0.41), "corrected": (0.24, 0.45)}.items():
        assert average(ceilings, f"{key}_A") == pytest.approx(expected[0], abs=0.02), key
        assert average(ceilings, f"{key}_B") == pytest.approx(expected[1], abs=0.06), key


HELD_OUT_TYPES = {
    "B": (0.71, 0.89, 0.88),
    "CD14+Mono": (0.30, 0.79, 0.89),
    "CD4T": (0.79, 0.84, 0.85),
    "CD8T": (0.72, 0.83, 0.85),
    "Dendritic": (0.36, 0.89, 0.94),
    "FCGR3A+Mono": (0.39, 0.86, 0.92),
    "NK": (0.65, 0.83, 0.85),
}
"""On stimulated blood cells: r2 of no_change and of additive, and pearson_delta of additive, found with other code."""


@pytest.mark.parametrize("cell_type", HELD_OUT_TYPES)
def test_additive_reproduces_reference_values_on_held_out_types(
    cell_type: str, public_data: Callable[[str], Path]
) -> None:
    path = str(public_data("perturbation/kang2018_pbmc_subset.h5ad"))
    options = DataOptions(source="file", path=path, cell_type_col="cell_type", n_genes=200)
    prepared = load_prepared(options, split=SplitOptions(held_out_perturbations=0, held_out_cell_type=cell_type))
    baselines = fit_baselines(prepared, perturbation_features(prepared, "onehot"))
    before, after = (score(predict(prepared, baselines[name]), prepared)[1] for name in ("no_change", "additive"))
    found = before["r2_C"], after["r2_C"], after["pearson_delta_C"]
    assert found == pytest.approx(HELD_OUT_TYPES[cell_type], abs=0.045)


def test_the_first_start_cells_are_a_random_sample(synthetic: PreparedData) -> None:
    start = start_cells(synthetic)
    np.testing.assert_array_equal(start, start_cells(synthetic))
    np.testing.assert_array_equal(np.sort(start), np.sort(synthetic.split.start))
    assert (np.diff(start) < 0).sum() > len(start) / 4
