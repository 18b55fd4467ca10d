import dataclasses
import json
import warnings

import numpy as np
import pytest
from scipy import sparse

from bioppo import UserError
from bioppo.configs.option import OptionError
from bioppo.envs.perturbation.data import PerturbationData
from bioppo.envs.perturbation.loading import load_prepared
from bioppo.envs.perturbation.options import DataOptions, GeneratorOptions, SplitOptions
from bioppo.envs.perturbation.preprocessing import preprocess
from bioppo.envs.perturbation.sources.generator import generate_synthetic
from bioppo.envs.perturbation.sources.readers import load_data
from bioppo.envs.perturbation.splits import split_data

SIZE = {"n_genes": 40, "n_perturbations": 6, "n_control": 300, "n_per_perturbation": 60}


def from_file(data, **changes):
    """Return generated cells as a file would give them: nothing is known of them."""
    return dataclasses.replace(data, truth=None, log_normalised=None, **changes)


@pytest.fixture(scope="module")
def counts():
    return from_file(generate_synthetic(**SIZE, counts=True))


@pytest.fixture(scope="module")
def expression():
    return from_file(generate_synthetic(**SIZE))


def gap(expression, control):
    return np.abs(expression[control].mean(axis=0, dtype=float) - expression[~control].mean(axis=0, dtype=float)).mean()


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("target_sum", ["median", 1000])
def test_counts_become_logarithms_of_shares(form, target_sum, counts):
    split = split_data(counts)
    prepared = preprocess(dataclasses.replace(counts, X=form(counts.X)), split, target_sum=target_sum, n_genes=40)
    totals = counts.X.sum(axis=1)
    target = np.median(totals[counts.control & ~split.test]) if target_sum == "median" else target_sum
    assert prepared.expression.dtype == np.float32
    np.testing.assert_allclose(prepared.expression, np.log1p(counts.X * target / totals[:, None]), rtol=1e-5)
    assert prepared.provenance["preprocessing"]["normalised"] == {"done": True, "target_sum": target}


def test_genes_are_the_targets_and_those_that_vary_most(counts):
    split = split_data(counts)
    prepared = preprocess(counts, split, n_genes=15)
    everything = preprocess(counts, split, n_genes=40)
    variance = everything.expression[~split.test].var(axis=0, dtype=float)
    targets = {label for label in counts.labels.tolist() if label != "control"}
    others = [gene for gene in counts.genes[np.argsort(-variance)] if gene not in targets]
    assert set(prepared.genes) == targets | set(others[:9])
    assert list(prepared.genes) == sorted(prepared.genes)
    assert [prepared.genes[position[0]] for position in prepared.targets] == list(prepared.perturbations)
    free = preprocess(counts, split, n_genes=15, force_target_genes=False)
    assert set(free.genes) == set(counts.genes[np.argsort(-variance)][:15])
    assert len(preprocess(counts, split, n_genes=15, hvg_method="none").genes) == 40


def test_sparse_and_dense_cells_choose_the_same_genes(counts):
    split = split_data(counts)
    one = preprocess(counts, split, n_genes=15)
    other = preprocess(dataclasses.replace(counts, X=sparse.csr_matrix(counts.X)), split, n_genes=15)
    assert list(one.genes) == list(other.genes)
    np.testing.assert_allclose(one.expression, other.expression, rtol=1e-6)


def test_ties_are_kept_in_the_order_of_the_genes():
    values = np.tile(np.arange(100, dtype=np.float32)[:, None] % 7 + 0.5, (1, 6))
    data = PerturbationData(
        X=values,
        genes=np.array(list("fedcba")),
        labels=np.repeat(["control", "a", "x"], [50, 25, 25]),
        control=np.arange(100) < 50,
    )
    assert list(preprocess(data, split_data(data), n_genes=3).genes) == ["f", "e", "a"]


def test_more_targets_than_genes_are_chosen_by_variance(counts):
    with pytest.warns(UserWarning, match="n_genes=4 is less than the 6 measured target genes"):
        prepared = preprocess(counts, split_data(counts), n_genes=4)
    assert set(prepared.genes) <= set(prepared.perturbations)


def test_observations_are_scaled_by_training_controls(counts):
    split = split_data(counts)
    prepared = preprocess(counts, split, n_genes=15)
    controls = prepared.expression[counts.control & ~split.test].astype(float)
    np.testing.assert_allclose(prepared.mean, controls.mean(axis=0))
    np.testing.assert_allclose(prepared.deviation, controls.std(axis=0) + 1e-6)


def test_labels_are_positions_in_the_alphabetical_list(counts):
    prepared = preprocess(counts, split_data(counts), n_genes=15)
    assert list(prepared.perturbations) == sorted(set(counts.labels) - {"control"})
    assert np.array_equal(prepared.label == -1, counts.control)
    named = np.array([*prepared.perturbations, "control"])[prepared.label]
    assert np.array_equal(named, counts.labels)
    assert prepared.cell_types == ("all",)
    assert prepared.seen.sum() == len(prepared.perturbations) - len(prepared.split.held_out)


def test_the_truth_is_reduced_to_the_chosen_genes():
    data = generate_synthetic(**SIZE)
    prepared = preprocess(data, split_data(data), n_genes=15)
    chosen = np.flatnonzero(np.isin(data.genes, prepared.genes))
    assert np.array_equal(prepared.truth.effects, data.truth.effects[:, chosen])
    assert np.array_equal(prepared.truth.network, data.truth.network[np.ix_(chosen, chosen)])


# The difference between control and perturbed cells


def test_the_gap_survives_preprocessing(counts):
    before = gap(np.log1p(counts.X / counts.X.sum(axis=1, keepdims=True) * 1000), counts.control)
    prepared = preprocess(counts, split_data(counts), n_genes=40, target_sum=1000)
    assert 0.2 < gap(prepared.expression, counts.control) / before < 5


def test_scaling_separately_erases_the_gap(counts):
    with pytest.warns(UserWarning, match="scaled separately, which erases the effect under study"):
        prepared = preprocess(counts, split_data(counts), n_genes=40, scale_separately=True)
    assert gap(prepared.expression, counts.control) < 1e-5
    for test in (False, True):
        rows = prepared.split.test == test
        assert gap(prepared.expression[rows], counts.control[rows]) < 1e-5
    assert "erases" in prepared.provenance["preprocessing"]["messages"][0]


def test_the_gap_of_real_cells_survives(public_data):
    path = public_data("perturbation/papalexi2021_thp1_subset.h5ad")
    options = DataOptions(source="file", path=str(path), control_label="non-targeting", min_counts=30)
    plain = load_prepared(options)
    control = plain.label == -1
    counts = load_data(options=options)
    before = np.log1p(counts.X[:, np.isin(counts.genes, plain.genes)].toarray())
    assert 0.2 < gap(plain.expression, control) / gap(before, control) < 5
    with pytest.warns(UserWarning, match="scaled separately"):
        scaled = load_prepared(dataclasses.replace(options, scale_separately=True))
    assert gap(scaled.expression, control) < 1e-5


@pytest.mark.parametrize("scale", ["counts", "logarithms"])
def test_no_test_cell_changes_what_is_fitted(scale, counts, expression):
    data = counts if scale == "counts" else expression
    split = split_data(data)
    changed = data.X.copy()
    noise = np.random.default_rng(5).poisson(30, changed.shape)
    changed[split.test] = (changed + noise)[split.test]
    before = preprocess(data, split, n_genes=15)
    after = preprocess(dataclasses.replace(data, X=changed), split, n_genes=15)
    assert before.genes.tobytes() == after.genes.tobytes()
    assert before.mean.tobytes() == after.mean.tobytes()
    assert before.deviation.tobytes() == after.deviation.tobytes()
    training = ~split.test
    assert before.expression[training].tobytes() == after.expression[training].tobytes()
    assert before.expression[split.test].tobytes() != after.expression[split.test].tobytes()
    assert before.provenance == after.provenance


# Logarithms


@pytest.mark.parametrize("stated", [False, True])
def test_logarithms_are_left_alone(stated, expression):
    data = dataclasses.replace(expression, provenance={"log1p_stated": stated})
    prepared = preprocess(data, split_data(data), n_genes=40)
    assert np.array_equal(prepared.expression, data.X)
    assert prepared.provenance["preprocessing"]["normalised"]["done"] is False


def test_the_user_can_say_whether_to_normalise(counts, expression):
    split = split_data(counts)
    assert np.array_equal(preprocess(counts, split, n_genes=40, normalise=False).expression, counts.X)
    assert np.array_equal(preprocess(counts, split, n_genes=40, normalise="false").expression, counts.X)
    assert not np.array_equal(preprocess(expression, split, n_genes=40, normalise=True).expression, expression.X)


def test_large_values_that_are_no_counts_need_a_word_from_the_user(counts):
    data = dataclasses.replace(counts, X=counts.X + np.float32(0.5), provenance={"file": "cells.h5ad"})
    with pytest.raises(UserError, match=r"cells.h5ad has values that are no whole numbers and reach .*normalise=true"):
        preprocess(data, split_data(data), n_genes=40)
    preprocess(data, split_data(data), n_genes=40, normalise=True)
    said = dataclasses.replace(data, provenance={"log1p_stated": True})
    assert np.array_equal(preprocess(said, split_data(said), n_genes=40).expression, data.X)


def test_a_second_logarithm_is_refused_unless_wanted():
    random = np.random.default_rng(0)
    data = PerturbationData(
        X=random.integers(0, 5, (120, 8)).astype(np.float32) + 1,
        genes=np.array([f"g{number}" for number in range(8)]),
        labels=np.repeat(["control", "g1", "g2"], 40),
        control=np.arange(120) < 40,
        provenance={"file": "cells.h5ad", "log1p_stated": True},
    )
    split = split_data(data)
    with pytest.raises(UserError, match=r"cells.h5ad: uns says that values are logarithms.*set normalise=false"):
        preprocess(data, split, n_genes=8)
    with pytest.warns(UserWarning, match="perhaps the logarithm was taken twice"):
        preprocess(data, split, n_genes=8, normalise=True)
    assert np.array_equal(preprocess(data, split, n_genes=8, normalise=False).expression, data.X)
    unsaid = dataclasses.replace(data, provenance={})
    assert preprocess(unsaid, split, n_genes=8).expression.max() < 4


def test_values_without_logarithm_are_refused(counts):
    wrong = counts.X.copy()
    wrong[0, 0] = np.nan
    data = dataclasses.replace(counts, X=wrong)
    with pytest.raises(UserError, match="NaN or infinite"):
        preprocess(data, split_data(data), n_genes=40, normalise=True)


# What a user should know


def test_too_many_genes_are_clipped_with_a_warning(counts):
    with pytest.warns(UserWarning, match="n_genes=41 is more than the 40 genes there are"):
        assert len(preprocess(counts, split_data(counts), n_genes=41).genes) == 40


def test_genes_that_never_vary_stay_finite(counts):
    data = dataclasses.replace(counts, X=np.where(counts.genes == "gene_00", np.float32(0), counts.X))
    with pytest.warns(UserWarning, match="1 genes do not vary among training controls"):
        prepared = preprocess(data, split_data(data), n_genes=40)
    assert prepared.deviation.min() == 1e-6
    assert np.isfinite((prepared.expression - prepared.mean) / prepared.deviation).all()


def test_generated_cells_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepared = load_prepared(generator=GeneratorOptions(noise=0, latent_sd=0, efficacy="const"))
    assert len(prepared.provenance["preprocessing"]["messages"]) == 2


def test_a_target_that_is_not_measured_keeps_its_label(counts):
    data = dataclasses.replace(counts, labels=np.where(counts.labels == counts.labels[-1], "other", counts.labels))
    prepared = preprocess(data, split_data(data), n_genes=15)
    assert not len(prepared.targets[prepared.perturbations.index("other")])
    assert prepared.provenance["preprocessing"]["perturbations_without_measured_target"] == ["other"]


# All of it at once


def test_all_steps_in_one_call():
    prepared = load_prepared()
    assert prepared.expression.shape == (9000, 50)
    assert len(prepared.split.held_out) == 4
    json.dumps(prepared.provenance)


def test_the_fingerprint_follows_content_and_options(tmp_path, counts):
    path, copy = tmp_path / "cells.npz", tmp_path / "copy.npz"
    for place in (path, copy):
        np.savez(place, X=counts.X, genes=counts.genes, label=counts.labels)
    changed = counts.X.copy()
    changed[7, 3] += 1
    np.savez(tmp_path / "changed.npz", X=changed, genes=counts.genes, label=counts.labels)

    def mark(place, seed=0, **options):
        options = DataOptions(source="file", path=str(place), n_genes=20, **options)
        return load_prepared(options, split=SplitOptions(seed=seed)).provenance["fingerprint"]

    assert mark(path) == mark(copy)
    different = {mark(path), mark(tmp_path / "changed.npz"), mark(path, seed=1), mark(path, target_sum=500.0)}
    assert len(different) == 4
    assert all(len(each) == 64 for each in different)
    assert load_prepared().provenance["fingerprint"] == load_prepared().provenance["fingerprint"]


def test_generated_counts_take_the_whole_way(tmp_path, counts):
    np.savez(tmp_path / "cells.npz", X=counts.X, genes=counts.genes, label=counts.labels)
    direct = load_prepared(DataOptions(n_genes=20), GeneratorOptions(**SIZE, counts=True), SplitOptions(seed=2))
    read = load_data(tmp_path / "cells.npz")
    prepared = preprocess(read, split_data(read, seed=2), n_genes=20)
    assert np.array_equal(direct.expression, prepared.expression)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "file"}, "path=null: source=file needs path"),
        ({"source": "preset"}, "preset=null: source=preset needs preset"),
        ({"target_sum": "mean"}, "target_sum=mean: give a positive number or median"),
        ({"target_sum": 0}, "target_sum=0: give a value of greater than 0"),
        ({"control_label": []}, "control_label=.*give a label, or a list of labels"),
        ({"control_label": 3}, "control_label=3: give a label"),
        ({"combo_separator": ""}, "combo_separator='': give the characters"),
        ({"normalise": "maybe"}, "normalise=maybe: choose one of auto, True, False"),
        ({"n_genes": 0}, "n_genes=0: give a value of at least 1"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        DataOptions(**options)
