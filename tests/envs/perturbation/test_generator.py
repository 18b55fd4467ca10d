import json
from pathlib import Path

import numpy as np
import pytest

from bioppo import UserError
from bioppo.configs.option import OptionError
from bioppo.envs.perturbation.options import GeneratorOptions
from bioppo.envs.perturbation.sources.generator import generate_synthetic

DATA = Path(__file__).parents[2] / "data" / "perturbation"
SMALL = {"n_genes": 12, "n_perturbations": 4, "n_control": 600, "n_per_perturbation": 200}


@pytest.fixture(scope="module")
def default():
    return generate_synthetic()


@pytest.fixture(scope="module")
def golden():
    with np.load(DATA / "synthetic_arrays.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def test_the_default_cells_are_the_golden_ones(default, golden):
    facts = json.loads((DATA / "synthetic_values.json").read_text())
    names = [f"gene_{target:02d}" for target in golden["targets"]]
    assert default.X.dtype == np.float32
    assert default.X.shape == (facts["n_cells"], facts["G"])
    assert default.truth.labels == tuple(names)
    np.testing.assert_allclose(default.truth.network, golden["W"], atol=1e-9)
    np.testing.assert_allclose(default.truth.mean, golden["mu"], atol=1e-9)
    np.testing.assert_allclose(default.truth.effects, golden["effects"], atol=1e-9)
    np.testing.assert_allclose(default.X[:3], golden["first_rows"], rtol=1e-5)
    np.testing.assert_allclose(default.X[-1], golden["last_row"], rtol=1e-5)
    np.testing.assert_allclose(default.X[default.control].mean(axis=0), golden["control_mean"], rtol=1e-5)
    means = [default.X[default.labels == name].mean(axis=0) for name in names]
    np.testing.assert_allclose(means, golden["pert_means"], rtol=1e-5)
    assert (default.truth.network != 0).sum() == facts["n_edges"] == 385
    assert np.abs(np.linalg.eigvals(default.truth.network)).max() == pytest.approx(facts["spectral_radius"])
    assert default.X.mean(dtype=np.float64) == pytest.approx(facts["mean"], rel=1e-5)
    assert default.X.std(dtype=np.float64) == pytest.approx(facts["std"], rel=1e-5)
    assert (default.X == 0).mean() == pytest.approx(facts["fraction_zero"])


def test_cells_are_named_and_ordered(default):
    assert default.genes[0] == "gene_00"
    assert default.genes[-1] == "gene_49"
    assert default.control.sum() == 4000
    assert default.control[:4000].all()
    assert list(dict.fromkeys(default.labels)) == ["control", *default.truth.labels]
    assert default.log_normalised is True
    assert default.cell_types is None
    assert json.loads(json.dumps(default.provenance))["generator"]["seed"] == 0


def test_the_mean_effect_is_the_known_one_within_three_standard_errors(default):
    cells = default.X.astype(np.float64)
    control, untouched = cells[default.control], (cells > 0).all(axis=0)
    beyond, count = 0, 0
    for label, effect in zip(default.truth.labels, default.truth.effects, strict=True):
        mine = cells[default.labels == label]
        clear = untouched | ((mine > 0).all(axis=0) & (control > 0).all(axis=0))
        error = np.sqrt(mine.var(axis=0) / len(mine) + control.var(axis=0) / len(control))
        deviation = np.abs(mine.mean(axis=0) - control.mean(axis=0) - 0.75 * effect) / error
        beyond, count = beyond + int((deviation[clear] > 3).sum()), count + int(clear.sum())
    # 0.27 % of normal deviations are beyond three; genes of one label are correlated, hence the margin.
    assert count > 900
    assert beyond / count < 0.02


def test_a_seed_gives_the_same_cells_and_another_one_others():
    first, again, other = (generate_synthetic(**SMALL, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.X, again.X)
    assert not np.array_equal(first.X, other.X)


def test_constant_efficacy_without_noise_makes_effects_exact():
    data = generate_synthetic(**SMALL, noise=0, latent_sd=0, efficacy="const", clip=False)
    for label, effect in zip(data.truth.labels, data.truth.effects, strict=True):
        cells = data.X[data.labels == label]
        np.testing.assert_allclose(cells - data.truth.mean, np.tile(0.75 * effect, (200, 1)), atol=1e-5)


def test_paired_cells_are_their_control_cells_plus_the_effect():
    data = generate_synthetic(**SMALL, paired=True, efficacy="const", clip=False)
    control = data.X[data.control]
    for number, (label, effect) in enumerate(zip(data.truth.labels, data.truth.effects, strict=True)):
        start = control[(np.arange(200) + 200 * number) % 600]
        np.testing.assert_allclose(data.X[data.labels == label] - start, np.tile(0.75 * effect, (200, 1)), atol=1e-5)


def test_clipping_is_all_that_clip_does():
    clipped, free = generate_synthetic(knock=9), generate_synthetic(knock=9, clip=False)
    assert free.X.min() < 0
    assert np.array_equal(np.maximum(free.X, 0), clipped.X)


def test_saturated_effects_are_at_most_one():
    plain, saturated = generate_synthetic(**SMALL), generate_synthetic(**SMALL, saturation=True)
    assert np.abs(plain.truth.effects).max() > 1.5
    np.testing.assert_allclose(saturated.truth.effects, np.tanh(plain.truth.effects))
    assert np.array_equal(plain.X[:600], saturated.X[:600])


def test_pairs_follow_the_single_perturbations_and_add_their_knock_downs():
    plain, paired = generate_synthetic(**SMALL), generate_synthetic(**SMALL, combos=6)
    assert np.array_equal(plain.X, paired.X[: len(plain.X)])
    singles, pairs = paired.truth.labels[:4], paired.truth.labels[4:]
    assert singles == plain.truth.labels
    assert len(set(pairs)) == 6
    effects = dict(zip(paired.truth.labels, paired.truth.effects, strict=True))
    for pair in pairs:
        one, other = pair.split("+")
        assert one < other
        np.testing.assert_allclose(effects[pair], effects[one] + effects[other], atol=1e-12)
        assert (paired.labels == pair).sum() == 200


def test_cell_types_shift_means_and_leave_the_rest():
    plain = generate_synthetic(**SMALL, clip=False)
    typed = generate_synthetic(**SMALL, clip=False, cell_types=3)
    assert sorted(set(typed.cell_types)) == ["type_0", "type_1", "type_2"]
    for label in ("control", *typed.truth.labels):
        assert min(np.unique(typed.cell_types[typed.labels == label], return_counts=True)[1]) >= 66
    shifts = typed.X - plain.X
    for kind in range(3):
        mine = shifts[typed.cell_types == f"type_{kind}"]
        assert np.ptp(mine, axis=0).max() < 1e-5
        assert np.abs(mine).max() < 1e-5 if kind == 0 else np.abs(mine).mean() > 0.1


def test_batches_differ_by_a_shift_within_every_type():
    plain = generate_synthetic(**SMALL, clip=False, cell_types=2)
    batched = generate_synthetic(**SMALL, clip=False, cell_types=2, batch_effect=0.3)
    first = batched.batches == "batch_0"
    assert np.array_equal(plain.X[first], batched.X[first])
    assert np.ptp((batched.X - plain.X)[~first], axis=0).max() < 1e-5
    assert np.abs((batched.X - plain.X)[~first]).mean() > 0.05
    for kind in ("type_0", "type_1"):
        assert 0.4 < first[batched.cell_types == kind].mean() < 0.6


def test_counts_have_the_expression_as_their_logarithmic_mean():
    plain, counts = generate_synthetic(**SMALL), generate_synthetic(**SMALL, counts=True)
    assert counts.log_normalised is False
    assert np.array_equal(counts.X, np.rint(counts.X))
    assert counts.X.mean(dtype=np.float64) == pytest.approx(np.expm1(plain.X.astype(np.float64)).mean(), rel=0.01)
    scaled = (counts.X - np.expm1(plain.X)) / np.sqrt(np.maximum(np.expm1(plain.X), 1))
    assert scaled.var() == pytest.approx(1, abs=0.05)


def test_a_network_without_edges_leaves_effects_on_the_target_alone():
    data = generate_synthetic(**SMALL, density=0)
    assert not data.truth.network.any()
    assert ((data.truth.effects != 0).sum(axis=1) == 1).all()


def test_an_unknown_option_is_named():
    with pytest.raises(UserError, match="The generator has no option n_gene: did you mean n_genes"):
        generate_synthetic(n_gene=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_perturbations": 51}, "n_perturbations=51: give at most n_genes=50"),
        ({"combos": 191}, "combos=191: 20 targets make only 190 pairs"),
        ({"efficacy_beta": [6.0]}, "efficacy_beta=.*give two positive numbers"),
        ({"efficacy": "gamma"}, "efficacy=gamma: choose one of beta, const"),
        ({"counts": True, "clip": False}, "clip=false: counts=true needs expression"),
        ({"spectral_radius": 1.0}, "spectral_radius=1.0: give a value of less than 1"),
        ({"noise": -0.1}, "noise=-0.1: give a value of at least 0"),
    ],
)
def test_options_that_make_no_cells_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        GeneratorOptions(**options)
