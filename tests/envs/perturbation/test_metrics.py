"""Metrics against golden values of independent libraries, and what must hold of any of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import ot
import pytest
import scipy.stats
from dtaidistance import dtw as dtaidistance_dtw

from bioppo.envs.perturbation import metrics

DATA = Path(__file__).parents[2] / "data" / "perturbation"
VALUES: dict[str, Any] = json.loads((DATA / "metrics_values.json").read_text())
ARRAYS = dict(np.load(DATA / "metrics_arrays.npz", allow_pickle=False))
LABELS = ARRAYS["perturbations"]
CONTROL = ARRAYS["control"]
TARGETS = [np.flatnonzero(ARRAYS["genes"] == name) for name in LABELS]


def cells(side: str, label: int) -> np.ndarray:
    return ARRAYS[side][ARRAYS[f"{side}_label"] == label]


def effects(side: str) -> np.ndarray:
    return np.array([cells(side, label).mean(axis=0) for label in range(len(LABELS))]) - CONTROL.mean(axis=0)


@pytest.mark.parametrize("label", range(len(LABELS)), ids=LABELS)
def test_bulk_metrics_equal_golden_values(label: int) -> None:
    expected = VALUES["pseudobulk"][LABELS[label]]
    predicted, observed = cells("pred", label).mean(axis=0), cells("real", label).mean(axis=0)
    for name in ("mse", "rmse", "mae", "r2", "pearson"):
        assert getattr(metrics, name)(predicted, observed) == pytest.approx(expected[name], abs=1e-10), name
    a, b = effects("pred")[label], effects("real")[label]
    assert metrics.pearson_delta(a, b) == pytest.approx(expected["pearson_delta"], abs=1e-10)
    assert metrics.r2(a, b) == pytest.approx(expected["r2_delta"], abs=1e-10)
    assert metrics.mse_delta(a, b) == pytest.approx(expected["mse"], abs=1e-10)


@pytest.mark.parametrize("label", range(len(LABELS)), ids=LABELS)
def test_distribution_metrics_equal_golden_values(label: int) -> None:
    expected = VALUES["distribution"][LABELS[label]]
    predicted, observed = cells("pred", label), cells("real", label)
    assert metrics.energy(predicted, observed) == pytest.approx(expected["energy"], abs=1e-9)
    assert metrics.energy(predicted[:, 0], observed[:, 0]) == pytest.approx(expected["energy_gene0"], abs=1e-9)
    np.testing.assert_allclose(metrics.w1_per_dimension(predicted, observed), expected["w1_per_gene"], atol=1e-9)
    assert metrics.w1(predicted, observed) == pytest.approx(expected["w1_mean"], abs=1e-9)


def test_discrimination_scores_equal_golden_values() -> None:
    a, b = effects("pred"), effects("real")
    assert dict(zip(LABELS, metrics.pds(a, b, TARGETS), strict=True)) == pytest.approx(VALUES["pds"], abs=1e-12)
    golden = VALUES["pds_cell_eval"]
    own = dict(zip(LABELS, metrics.pds_cell_eval(a, b, TARGETS), strict=True))
    assert own == pytest.approx(golden["l1_drop_target"], abs=1e-12)
    kept = dict(zip(LABELS, metrics.pds_cell_eval(a, b, [()] * len(LABELS)), strict=True))
    assert kept == pytest.approx(golden["l1_keep_target"], abs=1e-12)


def test_a_prediction_equal_for_all_perturbations_discriminates_nothing() -> None:
    observed = effects("real")
    constant = np.tile(effects("pred").mean(axis=0), (len(LABELS), 1))
    for prediction in (constant, np.zeros_like(observed)):
        assert metrics.pds(prediction, observed, TARGETS).mean() == pytest.approx(0.5, abs=1e-12)
    # With only its own target left out the same prediction looks better than chance.
    count = len(LABELS)
    flattered = 1 - (1 - metrics.pds_cell_eval(constant, observed, TARGETS)).mean() * count / (count - 1)
    assert flattered > 0.5


def test_tied_distances_count_half() -> None:
    observed = np.array([[1.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    np.testing.assert_allclose(metrics.pds(observed, observed, [()] * 3), [0.75, 0.75, 1.0])


def test_ranks_need_two_perturbations() -> None:
    with pytest.raises(ValueError, match="two perturbations"):
        metrics.pds(np.ones((1, 3)), np.ones((1, 3)), [()])


@pytest.mark.parametrize("label", range(len(LABELS)), ids=LABELS)
def test_differential_expression_equals_golden_values(label: int) -> None:
    expected, name = VALUES["de"], LABELS[label]
    adjusted = metrics.adjusted_p_values(cells("real", label), CONTROL)
    np.testing.assert_allclose(adjusted, ARRAYS["de_real_fdr"][label], atol=1e-8, rtol=1e-8)
    significant = metrics.significant_genes(cells("real", label), CONTROL)
    a, b = effects("pred")[label], effects("real")[label]
    every = metrics.de_overlap(a, b, significant)
    assert every.n_significant == expected["n_significant"][name]
    assert every.overlap == pytest.approx(expected["overlap_N_delta"][name], abs=1e-12)
    assert every.chance == every.n_significant / len(a)
    assert metrics.de_overlap(a, b, significant, largest=5).overlap == expected["overlap_5_delta"][name]


def test_genes_that_never_vary_are_not_significant() -> None:
    control = np.column_stack([np.zeros(30), np.linspace(0, 1, 30)])
    adjusted = metrics.adjusted_p_values(control[:20] + np.array([0.0, 2.0]), control)
    assert adjusted[0] == 1.0
    assert adjusted[1] < 1e-6
    np.testing.assert_array_equal(metrics.adjusted_p_values(np.zeros((5, 2)), np.zeros((6, 2))), [1.0, 1.0])


def test_own_targets_and_unpredicted_genes_do_not_count() -> None:
    observed = np.array([9.0, 2.0, 1.0, 0.1])
    significant = np.array([True, True, True, False])
    all_but_target = metrics.de_overlap(observed, observed, significant, targets=[0])
    assert all_but_target == (1.0, 2 / 3, 2)
    assert metrics.de_overlap(np.array([9.0, 0, 0, 0]), observed, significant, targets=[0]).overlap == 0.0
    assert np.isnan(metrics.de_overlap(observed, observed, np.zeros(4, dtype=bool)).overlap)
    assert metrics.pearson_delta(np.array([9.0, 1e-13, 0, 0]), observed, targets=[0]) == 0.0
    assert metrics.mse_delta(np.array([5.0, 2, 1, 0.1]), observed, targets=[0]) == 0.0


def test_displacement_equals_golden_values() -> None:
    start, final = ARRAYS["start"], ARRAYS["final"]
    measured = metrics.displacement_per_dimension(start, final)
    for dimension, expected in enumerate(VALUES["displacement"]["per_dim"]):
        assert {name: measured[name][dimension] for name in measured} == pytest.approx(expected, abs=1e-10)
    for name, expected in VALUES["displacement"]["mean"].items():
        assert getattr(metrics, f"displacement_{name}")(start, final) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("start", [ARRAYS["start"], np.zeros((5, 2))], ids=["cells", "constant"])
def test_doing_nothing_has_the_displacement_of_a_perfect_score(start: np.ndarray) -> None:
    for name, expected in VALUES["displacement"]["no_op_mean"].items():
        assert getattr(metrics, f"displacement_{name}")(start, start.copy()) == pytest.approx(expected, abs=1e-14)


def test_sequence_metrics_equal_golden_values() -> None:
    a, b, c = (ARRAYS[f"traj_{name}"] for name in "abc")
    golden = VALUES["trajectory"]
    np.testing.assert_allclose(metrics.dtw_per_dimension(a, b), golden["dtw_per_dim"], atol=1e-9)
    np.testing.assert_allclose(metrics.dtw_per_dimension(b, a), golden["dtw_per_dim"], atol=1e-9)
    np.testing.assert_allclose(metrics.dtw_per_dimension(a, c), golden["dtw_per_dim_equal_length"], atol=1e-9)
    np.testing.assert_allclose(metrics.w1_per_dimension(a, b), golden["w1_per_dim"], atol=1e-9)
    np.testing.assert_allclose(metrics.w1_per_dimension(a, c), golden["w1_per_dim_equal_length"], atol=1e-9)
    assert metrics.dtw(a, b) == pytest.approx(golden["dtw_mean"], abs=1e-9)
    assert metrics.w1(a, b) == pytest.approx(golden["w1_mean"], abs=1e-9)
    for dimension, expected in enumerate(golden["aligned_mad_per_dim_equal_length"]):
        assert metrics.aligned_mad(a[:, dimension], c[:, dimension]) == pytest.approx(expected, abs=1e-9)


def test_alignment_is_the_cheapest_one() -> None:
    a, b = ARRAYS["traj_a"][:, 0], ARRAYS["traj_b"][:, 0]
    cost, path = metrics.dtw_alignment(a, b)
    assert path.tolist() == VALUES["trajectory"]["path_dim0"]
    assert cost[-1, -1] == pytest.approx(metrics.dtw(a, b), abs=1e-12)
    assert np.abs(a[path[:, 0]] - b[path[:, 1]]).sum() == pytest.approx(cost[-1, -1], abs=1e-9)


def test_the_paper_equation_12_is_no_wasserstein_distance() -> None:
    series = ARRAYS["traj_a"][:, 0]
    permuted = series[ARRAYS["traj_perm"]]
    golden = VALUES["trajectory"]["permuted"]
    assert metrics.aligned_mad(series, permuted) == pytest.approx(golden["aligned_mad"], abs=1e-9)
    assert metrics.w1(series, permuted) == pytest.approx(golden["w1"], abs=1e-12)
    assert metrics.aligned_mad(series, permuted) > 0.5


def test_means_over_perturbations_equal_golden_values() -> None:
    a, b = effects("pred"), effects("real")
    numbers = range(len(LABELS))
    measured = {
        "pearson_delta": [metrics.pearson_delta(a[k], b[k]) for k in numbers],
        "energy": [metrics.energy(cells("pred", k), cells("real", k)) for k in numbers],
        "w1": [metrics.w1(cells("pred", k), cells("real", k)) for k in numbers],
        "pds": metrics.pds(a, b, TARGETS),
        "de_overlap": [
            metrics.de_overlap(a[k], b[k], metrics.significant_genes(cells("real", k), CONTROL)).overlap
            for k in numbers
        ],
    }
    for name, values in measured.items():
        assert np.mean(values) == pytest.approx(VALUES["mean"][name], abs=1e-9), name


@pytest.mark.parametrize("shape", [((7, 3), (12, 3)), ((9, 4), (9, 4))], ids=["lengths differ", "equal lengths"])
def test_distances_are_symmetric_and_zero_between_equals(shape: tuple[tuple[int, int], tuple[int, int]]) -> None:
    generator = np.random.default_rng(3)
    one, two = (generator.normal(size=size) for size in shape)
    for distance in (metrics.energy, metrics.w1, metrics.dtw):
        assert distance(one, two) == pytest.approx(distance(two, one), abs=1e-12)
        assert distance(one, two) > 0.01
        assert distance(one, one.copy()) == pytest.approx(0.0, abs=1e-12)
        assert distance(one, one[:, [1, 0, *range(2, one.shape[1])]]) > 0.01


def test_energy_and_w1_of_one_gene_agree_with_scipy_and_pot() -> None:
    generator = np.random.default_rng(4)
    for sizes in ((40, 40), (40, 57)):
        # Rounded, so that there are ties within and between the samples.
        one, two = (np.round(generator.gamma(2.0, size=size), 1) for size in sizes)
        assert metrics.energy(one, two) == pytest.approx(scipy.stats.energy_distance(one, two) ** 2, abs=1e-9)
        assert metrics.w1(one, two) == pytest.approx(scipy.stats.wasserstein_distance(one, two), abs=1e-12)
        assert metrics.w1(one, two) == pytest.approx(float(ot.wasserstein_1d(one, two)), abs=1e-9)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 6), (6, 1), (13, 9), (30, 30)])
def test_warping_agrees_with_dtaidistance(n: int, m: int) -> None:
    generator = np.random.default_rng(n * 100 + m)
    one, two = generator.normal(size=n), generator.normal(size=m)
    expected, matrix = dtaidistance_dtw.warping_paths(one, two, inner_dist="euclidean", use_c=False)
    cost, path = metrics.dtw_alignment(one, two)
    assert metrics.dtw(one, two) == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(cost, matrix[1:, 1:], atol=1e-9)
    assert path.tolist() == [list(pair) for pair in dtaidistance_dtw.best_path(matrix)]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        metrics.mse(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="one by one"):
        metrics.aligned_mad(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="one dimension"):
        metrics.dtw_alignment(np.zeros((3, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="at least one point"):
        metrics.dtw(np.zeros(0), np.zeros(3))


# cell-eval imports Polars, scanpy and anndata, whose deprecations are not about this package.
@pytest.mark.filterwarnings("ignore")
def test_agreement_with_cell_eval() -> None:
    import anndata
    import pandas as pd
    from cell_eval import PerturbationAnndataPair
    from cell_eval.metrics import _anndata as cell_eval

    def side(name: str) -> anndata.AnnData:
        names = np.concatenate([LABELS[ARRAYS[f"{name}_label"]], np.full(len(CONTROL), "control")])
        observations = pd.DataFrame({"label": names}, index=[f"cell{i}" for i in range(len(names))])
        genes = pd.DataFrame(index=ARRAYS["genes"].astype(str))
        return anndata.AnnData(np.concatenate([ARRAYS[name], CONTROL]), obs=observations, var=genes)

    pair = PerturbationAnndataPair(side("real"), side("pred"), pert_col="label", control_pert="control")
    a, b = effects("pred"), effects("real")
    own = {name: metrics.pearson_delta(a[k], b[k]) for k, name in enumerate(LABELS)}
    assert own == pytest.approx(cell_eval.pearson_delta(pair), abs=1e-9)
    own = {name: metrics.mae(a[k], b[k]) for k, name in enumerate(LABELS)}
    assert own == pytest.approx(cell_eval.mae_delta(pair), abs=1e-9)
    own = dict(zip(LABELS, metrics.pds_cell_eval(a, b, TARGETS), strict=True))
    assert own == pytest.approx(cell_eval.discrimination_score(pair, metric="l1"), abs=1e-12)
