"""Preparing cells: golden components and smoothing, and that held-out cells change nothing that training sees."""

import dataclasses
import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bioppo import UserError
from bioppo.envs.reprogramming import preprocess
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.data import TEST, TRAIN, VALIDATION, Cells
from bioppo.envs.reprogramming.options import DataOptions, ImputeOptions, SplitOptions, TableOptions
from bioppo.envs.reprogramming.preparation.components import draw, fit_components
from bioppo.envs.reprogramming.preparation.imputation import balance, impute, nearest
from bioppo.envs.reprogramming.preparation.splits import split_cells
from bioppo.envs.reprogramming.preparation.variable_genes import residual_variances
from bioppo.envs.reprogramming.sources.loading import load_cells


@pytest.fixture(scope="module")
def golden(golden_folder):
    """Logarithms of 120 cells x 60 genes with their components and smoothed values."""
    return np.load(golden_folder / "imputation.npz")


def make_cells(n=120, n_genes=60, seed=0, log_normalised=False):
    """Return cells of three types with sparse counts."""
    random = np.random.default_rng(seed)
    codes = np.repeat([0, 1, 2], [n // 2, n // 4, n - n // 2 - n // 4]).astype(np.int32)
    level = random.gamma(1.0, 2.0, (3, n_genes))[codes]
    counts = random.poisson(level).astype(np.float32)
    return Cells(
        X=np.log1p(counts) if log_normalised else sparse.csr_matrix(counts),
        log_normalised=log_normalised,
        cells=np.array([f"c{number}" for number in range(n)]),
        genes=np.array([f"g{number:02d}" for number in range(n_genes)]),
        cluster_of_cell=codes,
        clusters=np.array(["A", "B", "C"]),
        embedding=random.normal(size=(n, 2)),
        regulators={f"g{number:02d}": ["g00", "g01", "g02"] for number in range(n_genes)},
    )


def make_config(data=None, split=None, impute=None, table=None):
    """Return options for small counts."""
    small = {"kind": "h5ad", "h5ad": "none", "min_genes_per_cell": 5} | (data or {})
    return ReprogrammingConfig(
        data=DataOptions(**small),
        data_split=SplitOptions(**(split or {})),
        impute=ImputeOptions(**({"k": 6} | (impute or {}))),
        table=TableOptions(**(table or {})),
    )


def test_golden_components(golden):
    values = golden["X_lognorm"]
    components = fit_components(values, np.ones(len(values), dtype=bool), 20)
    np.testing.assert_allclose(np.abs(components.project(values)), golden["pca20_abs"], atol=1e-10)
    np.testing.assert_allclose(components.variance, golden["explained_variance"], atol=1e-10)
    largest = np.abs(components.loadings).argmax(axis=0)
    assert (components.loadings[largest, np.arange(20)] > 0).all()
    # With fewer cells than genes another product is decomposed; the components are the same.
    few = np.arange(len(values)) < 40
    wide, mean = fit_components(values, few, 10), values[few].mean(axis=0)
    axes = np.linalg.svd(values[few] - mean, full_matrices=False)[2][:10]
    np.testing.assert_allclose(np.abs(np.sum(axes.T * wide.loadings, axis=0)), 1.0, atol=1e-10)


def test_components_without_variance_are_left_out():
    values = np.random.default_rng(0).normal(size=(30, 3)) @ np.random.default_rng(1).normal(size=(3, 20))
    assert fit_components(values, np.ones(30, dtype=bool), 10).loadings.shape == (20, 3)


@pytest.mark.parametrize(("method", "name", "tolerance"), [("knn", "plain", 1e-10), ("balanced", "balanced", 1e-8)])
def test_golden_imputation(golden, method, name, tolerance):
    values, everything = golden["X_lognorm"], np.ones(120, dtype=bool)
    pcs = fit_components(values, everything, 20).project(values)[:, : int(golden["n_pca_dims"])]
    imputed = impute(values, pcs, int(golden["k"]), method=method)
    np.testing.assert_allclose(imputed, golden[f"imputed_{name}"], atol=tolerance)


def test_nearest_agrees_with_all_distances():
    random = np.random.default_rng(0)
    points = random.normal(size=(50, 4))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    expected = np.argsort(distances, axis=1)[:, :7]
    np.testing.assert_array_equal(nearest(points, points, 7, np.arange(50)), expected)
    # Copies of a cell are its neighbours, and the cell itself is not.
    copies = np.zeros((5, 4))
    assert nearest(copies, copies, 2, np.arange(5)).tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]


def test_held_out_cells_average_themselves_and_training_cells(golden):
    values = golden["X_lognorm"]
    pcs = fit_components(values, np.ones(120, dtype=bool), 8).project(values)
    train = np.random.default_rng(0).random(120) < 0.8
    imputed = impute(values, pcs, 5, reference=train)
    places = np.flatnonzero(train)
    for cell in range(120):
        order = places[np.argsort(np.linalg.norm(pcs[places] - pcs[cell], axis=1))]
        others = order[order != cell][:5]
        np.testing.assert_allclose(imputed[cell], values[[cell, *others]].mean(axis=0), atol=1e-12)


def test_balance_limits_how_often_a_cell_is_chosen():
    # Cells 1 to 5 all want cell 0; it may be chosen twice.
    candidates = np.array([[1, 2, 3], [0, 2, 3], [0, 3, 4], [0, 4, 5], [0, 5, 1], [0, 1, 2]])
    chosen = balance(candidates, 1, 2)
    assert np.bincount(np.concatenate(chosen), minlength=6).max() <= 2
    assert all(len(row) == 1 for row in chosen)
    # Cells choose in order of how often they are candidates, so the two with most get what they want.
    popularity = np.bincount(candidates.ravel())
    order = [cell for cell in np.argsort(-popularity, kind="stable") if cell != 0]
    assert [chosen[cell][0] for cell in order[:2]] == [0, 0]
    assert all(chosen[cell][0] != 0 for cell in order[2:])
    assert [len(row) for row in balance(np.array([[1], [2], [1]]), 1, 1)].count(0) == 1


def test_residual_variances_by_hand():
    counts = make_cells(50, 20).X.toarray().astype(np.float64)
    counts[3, 4] = 5_000  # clipped
    rows = np.arange(50) % 5 > 0
    part = counts[rows]
    mean = part.sum(axis=1, keepdims=True) * part.sum(axis=0) / part.sum()
    residual = (part - mean) / np.sqrt(mean + mean**2 / 100)
    assert residual.max() > np.sqrt(40)
    expected = np.clip(residual, -np.sqrt(40), np.sqrt(40)).var(axis=0)
    np.testing.assert_allclose(residual_variances(counts, rows), expected, rtol=1e-12)
    np.testing.assert_allclose(residual_variances(sparse.csr_matrix(counts), rows), expected, rtol=1e-12)
    assert residual_variances(np.zeros((4, 2)), np.ones(4, dtype=bool)).tolist() == [0, 0]


@pytest.mark.slow
def test_residual_variances_agree_with_scanpy():
    scanpy = pytest.importorskip("scanpy")
    cells = make_cells(150, 80)
    counts = cells.X.toarray()
    counts[:, 0] = 0
    rows = np.arange(150) % 5 > 0
    variance = residual_variances(sparse.csr_matrix(counts), rows)
    np.testing.assert_array_equal(variance, residual_variances(counts, rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = anndata.AnnData(counts[rows][:, 1:])
        scanpy.experimental.pp.highly_variable_genes(reference, n_top_genes=20, flavor="pearson_residuals")
    assert variance[0] == 0
    np.testing.assert_allclose(variance[1:], reference.var["residual_variances"], rtol=1e-4)


def test_pipeline_shapes_and_log():
    config = make_config({"n_genes": 30})
    prepared = preprocess.run(make_cells(), config)
    n, genes = prepared.lognorm.shape
    assert n == 120
    assert 30 <= genes <= 33
    assert set(prepared.genes) >= {"g00", "g01", "g02"}
    assert prepared.genes.tolist() == sorted(prepared.genes)
    np.testing.assert_allclose(np.expm1(prepared.lognorm).sum(axis=1), 1e4)
    assert prepared.features.dtype == np.float32
    train = prepared.split == TRAIN
    np.testing.assert_allclose(prepared.features[train].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(prepared.features[train].std(axis=0), 1, atol=1e-5)
    assert prepared.pcs.shape == (120, genes)
    assert all(name not in members for name, members in prepared.regulators.items())
    assert set(prepared.regulators) <= set(prepared.genes)
    steps = ["min_genes_per_cell", "mitochondrial", "split", "min_cells_per_gene", "Pearson", "log1p", "components"]
    steps += ["nearest", "network", "drawing", "z-scores"]
    places = [next(place for place, line in enumerate(prepared.log) if step in line) for step in steps]
    assert places == sorted(places)


def test_held_out_cell_changes_nothing_that_training_sees():
    config = make_config({"n_genes": 30})
    cells = make_cells()
    before = preprocess.run(cells, config)
    held_out = np.flatnonzero(before.split != TRAIN)
    counts = cells.X.toarray()
    counts[held_out] = np.random.default_rng(9).poisson(50.0, counts[held_out].shape)
    after = preprocess.run(dataclasses.replace(cells, X=sparse.csr_matrix(counts)), config)
    train = before.split == TRAIN
    np.testing.assert_array_equal(after.split, before.split)
    np.testing.assert_array_equal(after.genes, before.genes)
    for name in ("lognorm", "imputed", "features", "pcs"):
        np.testing.assert_array_equal(getattr(after, name)[train], getattr(before, name)[train])
        assert not np.array_equal(getattr(after, name)[~train], getattr(before, name)[~train])
    # The other order, for comparison with the thesis project, does let them take part.
    config = make_config({"n_genes": 30}, {"before_imputation": False})
    first = preprocess.run(cells, config)
    second = preprocess.run(dataclasses.replace(cells, X=sparse.csr_matrix(counts)), config)
    np.testing.assert_array_equal(first.split, before.split)
    assert not np.array_equal(first.imputed[train][:, :10], second.imputed[train][:, :10])


def test_split_of_every_type():
    codes = np.repeat([0, 1, 2], [67, 42, 11]).astype(np.int32)
    names = np.array(["a", "b", "c"])
    split = split_cells(codes, names, val=0.05, test=0.1, seed=3)
    for place, count in enumerate((67, 42, 11)):
        sizes = np.bincount(split[codes == place], minlength=3)
        assert sizes.tolist() == [count - sizes[1] - sizes[2], -(-count // 20), -(-count // 10)]
    np.testing.assert_array_equal(split, split_cells(codes, names, val=0.05, test=0.1, seed=3))
    assert not np.array_equal(split, split_cells(codes, names, val=0.05, test=0.1, seed=4))
    # 20 cells have exactly one in twenty; 0.05 * 60 is three although 0.05 is no binary fraction.
    assert np.bincount(split_cells(np.zeros(20, int), names[:1]), minlength=3).tolist() == [18, 1, 1]
    assert np.bincount(split_cells(np.zeros(60, int), names[:1]), minlength=3).tolist() == [54, 3, 3]
    assert (split_cells(codes, names, val=0, test=0) == TRAIN).all()
    assert {TRAIN, VALIDATION, TEST} == set(split.tolist())


def test_type_with_too_few_training_cells():
    codes = np.repeat([0, 1], [30, 4])
    with pytest.raises(UserError, match=r"fewer than 3 training cells of small \(2 of 4\).*data\.drop_types"):
        split_cells(codes, np.array(["large", "small"]))


def test_unknown_types_are_named():
    with pytest.raises(UserError, match=r"data_split\.holdout_types=Mono: no such type; there are A, B, C"):
        preprocess.run(make_cells(), make_config(split={"holdout_types": ["Mono"]}))
    config = ReprogrammingConfig(data=DataOptions(preset="easy", drop_types=["Osteoclast"]))
    with pytest.raises(UserError, match=r"data\.drop_types=Osteoclast: no such type"):
        preprocess.run(load_cells(config), config)


def test_filters_drop_types_cells_and_genes():
    cells = make_cells(240, 60)
    counts = cells.X.toarray()
    counts[:, 5] = 0
    counts[:2, 5] = 1  # in fewer cells than three
    counts[7] = 0
    counts[7, 10] = 4  # of fewer genes than five
    counts[9, 11] = 10_000  # mostly mitochondrial
    genes = cells.genes.copy()
    genes[11] = "mt-1"
    cells = dataclasses.replace(cells, X=sparse.csr_matrix(counts), genes=genes)
    prepared = preprocess.run(cells, make_config({"drop_types": ["B"], "max_mitochondrial": 0.5}))
    assert prepared.clusters.tolist() == ["A", "C"]
    assert len(prepared.cells) == 178
    assert {"c7", "c9"}.isdisjoint(prepared.cells)
    assert "g05" not in prepared.genes
    everything = {"min_cells_per_gene": 0, "min_genes_per_cell": 0, "max_mitochondrial": 1.0}
    assert preprocess.run(cells, make_config(everything)).lognorm.shape == (240, 60)


def test_filter_that_leaves_nothing_names_its_option():
    with pytest.raises(
        UserError, match=r"data\.min_genes_per_cell=200 leaves none of 120 cells, as cells have \d+ genes"
    ):
        preprocess.run(make_cells(), make_config({"min_genes_per_cell": 200}))
    with pytest.raises(UserError, match=r"data\.min_cells_per_gene=500 leaves none of 60 genes"):
        preprocess.run(make_cells(), make_config({"min_cells_per_gene": 500}))


def test_filter_that_leaves_little_is_warned_of():
    cells = make_cells(240)
    counts = cells.X.toarray()
    counts[np.arange(240) % 5 > 1, 20:] = 0
    with pytest.warns(
        UserWarning, match=r"data\.min_genes_per_cell=21 leaves \d\d of 240 cells, as cells have \d+ genes"
    ):
        preprocess.run(dataclasses.replace(cells, X=counts), make_config({"min_genes_per_cell": 21}))


def test_many_cells_are_drawn_from():
    config = make_config({"max_cells": 60})
    prepared = preprocess.run(make_cells(240), config)
    assert len(prepared.cells) == 60
    np.testing.assert_array_equal(prepared.cells, preprocess.run(make_cells(240), config).cells)
    expected = np.sort(np.random.default_rng(123).choice(240, 60, replace=False))
    np.testing.assert_array_equal(prepared.cells, make_cells(240).cells[expected])


def test_logarithms_are_not_normalised_again():
    cells = make_cells(log_normalised=True)
    prepared = preprocess.run(cells, make_config({"values": "lognorm"}))
    np.testing.assert_allclose(prepared.lognorm, cells.X)
    chosen = preprocess.run(cells, make_config({"values": "lognorm", "n_genes": 10, "keep_tfs": False})).genes
    train = prepared.split == TRAIN
    assert chosen.tolist() == sorted(cells.genes[np.argsort(-cells.X[train].var(axis=0))[:10]])


def test_existing_smoothed_layer_and_no_smoothing():
    imputed = np.random.default_rng(0).random((120, 60))
    cells = dataclasses.replace(make_cells(), imputed=imputed)
    used = preprocess.run(cells, make_config({"min_cells_per_gene": 0}, impute={"use_existing": True}))
    np.testing.assert_array_equal(used.imputed, imputed)
    with pytest.raises(UserError, match=r"impute\.use_existing=true: the cells bring no smoothed expression"):
        preprocess.run(make_cells(), make_config(impute={"use_existing": True}))
    plain = preprocess.run(make_cells(), make_config(impute={"k": 0}))
    np.testing.assert_array_equal(plain.imputed, plain.lognorm)


def test_too_many_neighbours_are_reduced_with_a_warning():
    with pytest.warns(UserWarning, match=r"impute\.k=500: each cell has \d+ others"):
        prepared = preprocess.run(make_cells(), make_config(impute={"k": 500}))
    train = prepared.split == TRAIN
    np.testing.assert_allclose(prepared.imputed[train], np.tile(prepared.lognorm[train].mean(axis=0), (train.sum(), 1)))
    assert (prepared.features[train] == 0).all() or np.abs(prepared.features[train]).max() < 1e-3


def test_drawings_from_components():
    prepared = preprocess.run(make_cells(), make_config(table={"embedding": "pca3"}))
    np.testing.assert_array_equal(prepared.embedding, prepared.pcs[:, :3])
    stored = preprocess.run(make_cells(), make_config())
    np.testing.assert_array_equal(stored.embedding, make_cells().embedding)
    with pytest.raises(UserError, match=r"table\.embedding=pca80: the cells have 60 principal components"):
        preprocess.run(make_cells(), make_config(table={"embedding": "pca80"}))


@pytest.mark.slow
def test_diffusion_map_tells_types_apart():
    pytest.importorskip("scanpy")
    random = np.random.default_rng(0)
    pcs = np.concatenate([random.normal(0, 1, (60, 4)), random.normal(4, 1, (60, 4))])
    drawing = draw("diffmap", pcs, np.ones(120, dtype=bool), n_pcs=4, seed=0)
    assert drawing.shape == (120, 2)
    assert (np.sign(drawing[:60, 0]) == -np.sign(drawing[60:, 0])).mean() > 0.9


@pytest.mark.slow
def test_umap_places_held_out_cells_among_their_kind():
    pytest.importorskip("umap")
    random = np.random.default_rng(0)
    pcs = np.concatenate([random.normal(0, 1, (80, 4)), random.normal(12, 1, (80, 4))])
    train = np.arange(160) % 8 > 0
    drawing = draw("umap", pcs, train, n_pcs=4, seed=0)
    centres = np.stack([drawing[:80][train[:80]].mean(axis=0), drawing[80:][train[80:]].mean(axis=0)])
    nearer = np.linalg.norm(drawing[:, None] - centres, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearer, np.repeat([0, 1], 80))


def test_missing_umap_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(UserError, match=r"table\.embedding=umap: the package umap-learn is not installed"):
        draw("umap", np.zeros((5, 2)), np.ones(5, dtype=bool), n_pcs=2, seed=0)


def test_anndata_is_accepted(tmp_path):
    cells = make_cells()
    adata = anndata.AnnData(
        X=cells.X,
        obs=pd.DataFrame({"celltype": cells.clusters[cells.cluster_of_cell]}, index=cells.cells),
        var=pd.DataFrame(index=cells.genes),
        obsm={"X_umap": cells.embedding},
    )
    (tmp_path / "network.csv").write_text("TF,target\ng00,g05\ng01,g05\n")
    config = make_config({"grn": str(tmp_path / "network.csv")})
    prepared = preprocess.run(adata, config)
    np.testing.assert_array_equal(prepared.imputed, preprocess.run(cells, config).imputed)
    assert prepared.regulators == {"g05": ["g00", "g01"]}
