"""Networks against the golden fit, a plain regression and their own rules."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.reprogramming import grn

DATA = Path(__file__).parents[2] / "data" / "reprogramming"


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    names = json.loads((DATA / "meta.json").read_text())
    inputs = np.load(DATA / "simulation_inputs.npz")
    return {
        "arguments": (inputs["imputed"], inputs["cluster"], names["base_grn"]),
        "names": {"genes": np.array(names["genes"]), "tfs": np.array(names["tfs"])},
        "coefficients": np.load(DATA / "grn.npz"),
    }


@pytest.mark.parametrize("alpha", [1, 10])
def test_fit_equals_the_golden_coefficients(golden: dict[str, Any], alpha: int) -> None:
    fitted = grn.fit(*golden["arguments"], alpha=alpha, **golden["names"])
    np.testing.assert_allclose(fitted.W, golden["coefficients"][f"coef_cluster_alpha{alpha}"], atol=1e-10)


def test_fit_of_the_whole_population_equals_the_golden_coefficients(golden: dict[str, Any]) -> None:
    fitted = grn.fit(*golden["arguments"], alpha=10, unit="whole", **golden["names"])
    np.testing.assert_allclose(fitted.W, golden["coefficients"]["coef_whole_alpha10"][None], atol=1e-10)


def test_active_factors_act_on_another_gene(golden: dict[str, Any]) -> None:
    fitted = grn.fit(*golden["arguments"], **golden["names"])
    genes = golden["names"]["genes"].tolist()
    for name, active, rows in zip(fitted.tfs, fitted.active, fitted.W.swapaxes(0, 1), strict=True):
        assert active == np.delete(rows, genes.index(name), axis=1).any()


def problem(n: int = 80, n_genes: int = 700) -> tuple[np.ndarray, np.ndarray, dict[str, list[str]], dict[str, Any]]:
    """Return cells of two types; more targets than a block, with 0 to 9 candidates each."""
    generator = np.random.default_rng(3)
    genes = np.array([f"g{index:03}" for index in range(n_genes)])
    x = generator.gamma(2.0, 1.0, (n, n_genes))
    candidates = {
        gene: generator.choice(genes[:12], index % 10, replace=False).tolist() for index, gene in enumerate(genes)
    }
    return x, np.arange(n) % 2, candidates, {"genes": genes, "tfs": genes[:12]}


def test_blocks_equal_one_regression_per_target() -> None:
    from sklearn.linear_model import Ridge

    x, cluster, candidates, names = problem()
    fitted = grn.fit(x, cluster, candidates, alpha=2.0, **names)
    for target in range(0, 700, 7):
        columns = [index for index in range(12) if names["genes"][index] in candidates[names["genes"][target]]]
        columns = [index for index in columns if index != target]
        expected = np.zeros(12)
        if columns:
            cells = cluster == 1
            expected[columns] = Ridge(alpha=2.0).fit(x[cells][:, columns], x[cells, target]).coef_
        np.testing.assert_allclose(fitted.W[1, :, target], expected, atol=1e-10)


def test_fit_sees_only_its_rows() -> None:
    x, cluster, candidates, names = problem()
    rows = np.arange(len(x)) < 60
    changed = x.copy()
    changed[60:] *= 3
    one = grn.fit(x, cluster, candidates, rows=rows, **names)
    other = grn.fit(changed, cluster, candidates, rows=np.flatnonzero(rows), **names)
    np.testing.assert_array_equal(one.W, other.W)
    assert np.abs(one.W - grn.fit(x, cluster, candidates, **names).W).max() > 1e-3


def test_bagging_keeps_true_edges_and_refits_the_plain_ridge() -> None:
    x, cluster, candidates, names = problem(n=400, n_genes=60)
    for target in range(20, 40):
        candidates[names["genes"][target]] = names["tfs"][:8].tolist()
        x[:, target] = 1 + 0.9 * x[:, 0] + 0.4 * x[:, 1] + np.random.default_rng(target).normal(0, 0.05, len(x)) + 1
    filtered = grn.fit_filtered(x, cluster, candidates, alpha=1.0, **names)
    assert (filtered.W[:, :2, 20:40] != 0).all()
    plain = grn.fit(x, cluster, candidates, alpha=1.0, **names)
    assert (filtered.W[:, 2:, 20:40] != 0).mean() < 0.7 * (plain.W[:, 2:, 20:40] != 0).mean()
    # The survivors are fitted as if there had been no other candidates.
    kept = {
        gene: names["tfs"][filtered.W[0, :, index] != 0].tolist() for index, gene in enumerate(names["genes"].tolist())
    }
    again = grn.fit(x[cluster == 0], np.zeros((cluster == 0).sum(), dtype=int), kept, alpha=1.0, **names)
    np.testing.assert_allclose(filtered.W[0], again.W[0], atol=1e-12)


def test_bagging_follows_its_seed_and_limits() -> None:
    x, cluster, candidates, names = problem(n=60, n_genes=60)
    loose = {"max_p_value": 1.0, "min_coef_abs": 0.0}
    one, same, other = (
        grn.fit_filtered(x, cluster, candidates, seed=seed, max_edges=30, **loose, **names) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.W, same.W)
    assert ((one.W != 0) != (other.W != 0)).any()
    assert ((one.W != 0).sum(axis=(1, 2)) == 30).all()


def test_strongest_edges_obey_every_limit() -> None:
    mean = np.array([[0.5, -0.4, 0.3, 0.009, np.nan, 0.2]])
    p_value = np.array([[1e-4, 1e-3, 0.01, 1e-9, np.nan, 1e-9]])
    assert grn.strongest_edges(mean, p_value, 0.001, 0.01, 9).tolist() == [[True, True, False, False, False, True]]
    assert grn.strongest_edges(mean, p_value, 0.001, 0.3, 9).tolist() == [[True, True, False, False, False, False]]
    assert grn.strongest_edges(mean, p_value, 0.001, 0.0, 1).tolist() == [[True, False, False, False, False, False]]


def test_bagged_p_value_is_that_of_a_t_test(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.stats import ttest_1samp

    x, _, candidates, names = problem(n=50, n_genes=30)
    mask = grn.candidate_mask(candidates, names["genes"], names["tfs"])
    solved: list[np.ndarray] = []
    solve = grn.solve

    def record(*arguments: Any) -> np.ndarray:
        solved.append(solve(*arguments))
        return solved[-1]

    monkeypatch.setattr(grn, "solve", record)
    mean, p_value = grn.bagged_edges(x, np.arange(12), mask, 1.0, np.random.default_rng(0))
    assert len(solved) == 20
    for row, column in np.argwhere(mask)[::5]:
        seen = np.array([W[row, column] for W in solved if W[row, column] != 0])
        assert mean[row, column] == pytest.approx(seen.mean())
        assert p_value[row, column] == pytest.approx(ttest_1samp(seen, 0).pvalue)


def test_small_types_are_told_apart() -> None:
    x, _, candidates, names = problem(n=30, n_genes=20)
    clusters = np.array(["many", "rare"])
    with pytest.raises(UserError, match="1 types have fewer than 2 cells to fit a network on, rare with 1 first"):
        grn.fit(x, np.arange(30) // 29, candidates, clusters=clusters, **names)
    with pytest.raises(UserError, match="rare with 0 first"):
        grn.fit(x, np.zeros(30, dtype=int), candidates, clusters=clusters, **names)
    with pytest.warns(UserWarning, match=r"1 types have fewer than 10 cells to fit a network on: rare \(5\)"):
        grn.fit(x, np.arange(30) // 25, candidates, clusters=clusters, **names)


def test_bad_expression_is_named() -> None:
    x, cluster, candidates, names = problem(n=30, n_genes=20)
    x[4, 3] = np.nan
    with pytest.raises(UserError, match="1 values are not finite, that of g003 in cell 4 first"):
        grn.fit(x, cluster, candidates, **names)
    x[4, 3] = -0.5
    with pytest.raises(UserError, match="1 values are negative, that of g003 in cell 4 first"):
        grn.fit(x, cluster, candidates, **names)
    with pytest.raises(UserError, match=r"grn\.unit=cells: choose cluster or whole"):
        grn.fit(x, cluster, candidates, unit="cells", **names)
