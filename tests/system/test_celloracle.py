"""The real package celloracle beside this package's simulator and beside golden values of a later version of it.

Runs in an environment of its own, with old versions of numpy and pandas: .ci/run shows how.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.reprogramming import celloracle_backend
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.data import Actions, Prepared
from bioppo.envs.reprogramming.grn import fit
from bioppo.envs.reprogramming.moves import Simulator
from bioppo.envs.reprogramming.options import (
    DataOptions,
    DynamicsOptions,
    GRNOptions,
    ImputeOptions,
    SimOptions,
    TableOptions,
)
from bioppo.envs.reprogramming.preprocess import run
from bioppo.envs.reprogramming.project import find_neighbours, shift, snap
from bioppo.envs.reprogramming.propagate import observed_range, simulate
from bioppo.envs.reprogramming.sources.oracle import prepare_options, read_oracle
from bioppo.envs.reprogramming.table import load_table

pytestmark = [pytest.mark.celloracle, pytest.mark.filterwarnings("ignore")]

GOLDEN = Path(__file__).parents[1] / "data" / "reprogramming"
NEIGHBOURS = 15
SIGMA = 0.05


def golden(name):
    return dict(np.load(GOLDEN / f"{name}.npz"))


@pytest.fixture(scope="module")
def meta():
    return json.loads((GOLDEN / "meta.json").read_text())


@pytest.fixture(scope="module")
def prepared(meta):
    """Cells of the golden values, all for training."""
    inputs = golden("simulation_inputs")
    genes = np.array(meta["genes"])
    regulators = {
        target: [tf for tf in tfs if tf in meta["genes"] and tf != target]
        for target, tfs in meta["base_grn"].items()
        if target in meta["genes"]
    }
    return Prepared(
        lognorm=inputs["X_lognorm"],
        imputed=inputs["imputed"],
        features=inputs["imputed"].astype(np.float32),
        pcs=inputs["embedding"],
        cells=np.array(meta["cells"]),
        genes=genes,
        cluster_of_cell=inputs["cluster"].astype(np.int32),
        clusters=np.array(meta["clusters"]),
        embedding=inputs["embedding"],
        split=np.zeros(len(inputs["imputed"]), dtype=np.int8),
        regulators={target: tfs for target, tfs in regulators.items() if tfs},
    )


@pytest.fixture(scope="module")
def config():
    table = TableOptions(neighbors=NEIGHBOURS, plus_one=True, nan_policy="celloracle", sigma=SIGMA, precision="float64")
    return ReprogrammingConfig(table=table, grn=GRNOptions(fit_on="all"))


@pytest.fixture(scope="module")
def network(prepared, config):
    return celloracle_backend.fit(prepared, config)


@pytest.fixture(scope="module")
def actions(meta):
    """Golden conditions, then knock-outs and overexpressions of every transcription factor."""
    singles = [{tf: 0.0} for tf in meta["tfs"]]
    singles += [
        {tf: float(level)}
        for tf, level in zip(meta["tfs"], golden("simulation_inputs")["oe_from_lognorm"], strict=True)
    ]
    conditions = [*meta["conditions"].values(), *singles]
    names = [*meta["conditions"], *(f"single {number}" for number in range(len(singles)))]
    return Actions(np.array(names), tuple(conditions), np.array([any(c.values()) for c in conditions]))


@pytest.fixture(scope="module")
def neighbours(prepared):
    return find_neighbours(prepared.embedding, NEIGHBOURS, plus_one=True)


@pytest.fixture(scope="module")
def moves(prepared, network, actions, config, neighbours):
    return celloracle_backend.simulate(prepared, network, actions, config, neighbours, top_q=8)


def test_imputation_is_that_of_the_later_version(prepared):
    values = golden("imputation")
    inputs = dataclasses.replace(prepared, lognorm=values["X_lognorm"])
    k, n_pcs = int(values["k"]), int(values["n_pca_dims"])
    for balanced, name in ((False, "imputed_plain"), (True, "imputed_balanced")):
        smoothed = celloracle_backend.impute(inputs, k, n_pcs, balanced=balanced)
        np.testing.assert_allclose(smoothed, values[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("unit", "alpha", "name"),
    [
        ("cluster", 10.0, "coef_cluster_alpha10"),
        ("cluster", 1.0, "coef_cluster_alpha1"),
        ("whole", 10.0, "coef_whole_alpha10"),
    ],
)
def test_coefficients_are_those_of_the_later_version_and_ours(prepared, config, meta, unit, alpha, name):
    options = dataclasses.replace(config, grn=GRNOptions(unit=unit, alpha=alpha, fit_on="all"))
    fitted = celloracle_backend.fit(prepared, options)
    expected = golden("grn")[name].reshape(fitted.W.shape)
    assert fitted.tfs.tolist() == meta["tfs"]
    assert fitted.tfs[fitted.active].tolist() == meta["active_regulators"]
    np.testing.assert_allclose(fitted.W, expected, rtol=0, atol=1e-10)
    ours = fit(
        prepared.imputed,
        prepared.cluster_of_cell,
        prepared.regulators,
        alpha=alpha,
        unit=unit,
        genes=prepared.genes,
        tfs=fitted.tfs,
    )
    np.testing.assert_allclose(ours.W, fitted.W, rtol=0, atol=1e-10)
    assert np.array_equal(ours.active, fitted.active)


def test_training_cells_alone_are_fitted_on(prepared, config):
    split = np.zeros(len(prepared.cells), dtype=np.int8)
    split[::5] = 2
    held_out = dataclasses.replace(prepared, split=split)
    fitted = celloracle_backend.fit(held_out, dataclasses.replace(config, grn=GRNOptions(fit_on="train")))
    ours = fit(
        prepared.imputed,
        prepared.cluster_of_cell,
        prepared.regulators,
        rows=split == 0,
        genes=prepared.genes,
        tfs=fitted.tfs,
    )
    np.testing.assert_allclose(fitted.W, ours.W, rtol=0, atol=1e-10)
    assert not np.allclose(fitted.W, celloracle_backend.fit(prepared, config).W)


@pytest.mark.parametrize("unit", ["cluster", "whole"])
def test_filtered_edges_are_refitted(prepared, config, unit):
    options = dataclasses.replace(config, grn=GRNOptions(unit=unit, fit_on="all"))
    network = celloracle_backend.fit(prepared, options)
    weak = np.abs(network.W) < np.quantile(np.abs(network.W[network.W != 0]), 0.5)
    survivors = dataclasses.replace(network, W=np.where(weak, 0.0, network.W))
    refitted = celloracle_backend.fit(prepared, options, survivors)
    assert np.array_equal(refitted.W != 0, survivors.W != 0)
    assert not np.allclose(refitted.W, survivors.W)


def test_changes_correlations_and_probabilities_are_those_of_the_later_version_and_ours(
    prepared, network, config, meta, neighbours
):
    deltas, projected = golden("delta_x"), golden("projection")
    near = projected["neighbours_K_plus_1"]
    assert np.array_equal(neighbours, near)
    oracle = celloracle_backend.network_oracle(prepared, network, config)
    rows = np.arange(len(prepared.cells))[:, None]
    for name, condition in meta["conditions"].items():
        celloracle_backend.move(oracle, condition, config, near.shape[1])
        delta = oracle.adata.layers["delta_X"]
        np.testing.assert_allclose(delta, deltas[f"delta_{name}"], rtol=0, atol=1e-10)
        np.testing.assert_allclose(oracle.corrcoef[rows, near], projected[f"corr_{name}"], rtol=0, atol=1e-10)
        np.testing.assert_allclose(oracle.transition_prob[rows, near], projected[f"prob_{name}"], rtol=0, atol=1e-8)
        np.testing.assert_allclose(oracle.delta_embedding, projected[f"shift_{name}"], rtol=0, atol=1e-8)
        ours = simulate(
            prepared.imputed,
            network.W,
            [condition],
            genes=prepared.genes,
            tfs=network.tfs,
            cluster_of_cell=prepared.cluster_of_cell,
        )
        np.testing.assert_allclose(ours[:, 0], delta, rtol=0, atol=1e-10)
        moved, rho, p = shift(prepared.imputed, ours, near, prepared.embedding, SIGMA, "celloracle")
        np.testing.assert_allclose(rho[:, 0], oracle.corrcoef[rows, near], rtol=0, atol=1e-10)
        np.testing.assert_allclose(p[:, 0], oracle.transition_prob[rows, near], rtol=0, atol=1e-8)
        np.testing.assert_allclose(moved[:, 0], oracle.delta_embedding, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("steps", "clip"), [(1, False), (2, False), (5, False), (3, True)])
def test_other_numbers_of_steps_and_clipping(prepared, network, config, meta, steps, clip):
    name = "OE_limit" if clip else "KO_a"
    options = dataclasses.replace(config, sim=dataclasses.replace(config.sim, n_propagation=steps, clip=clip))
    oracle = celloracle_backend.network_oracle(prepared, network, options)
    celloracle_backend.move(oracle, meta["conditions"][name], options, NEIGHBOURS)
    delta = oracle.adata.layers["delta_X"]
    expected = golden("delta_x")[f"delta_{name}_clipped" if clip else f"delta_{name}_nprop{steps}"]
    np.testing.assert_allclose(delta, expected, rtol=0, atol=1e-10)
    ours = simulate(
        prepared.imputed,
        network.W,
        [meta["conditions"][name]],
        steps,
        observed_range(prepared.imputed) if clip else None,
        genes=prepared.genes,
        tfs=network.tfs,
        cluster_of_cell=prepared.cluster_of_cell,
    )
    np.testing.assert_allclose(ours[:, 0], delta, rtol=0, atol=1e-10)


@pytest.mark.parametrize("policy", ["celloracle", "zero"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_all_moves_are_ours(prepared, network, actions, config, neighbours, moves, policy, precision):
    """Also where correlations are undefined: of cells with equal expression, and of actions that change nothing."""
    if policy != config.table.nan_policy:
        options = dataclasses.replace(config, table=dataclasses.replace(config.table, nan_policy=policy))
        moves = celloracle_backend.simulate(prepared, network, actions, options, neighbours, top_q=8)
    simulator = Simulator(
        prepared.imputed,
        network,
        actions,
        prepared.embedding,
        neighbours,
        prepared.cluster_of_cell,
        sigma=SIGMA,
        nan_policy=policy,
        precision=precision,
    )
    tolerance = 1e-8 if precision == "float64" else 1e-4
    for cluster in range(len(prepared.clusters)):
        cells = np.flatnonzero(prepared.cluster_of_cell == cluster)
        ours = simulator.moves(cells, top_q=8)
        np.testing.assert_allclose(ours.shift, moves.shift[cells], rtol=0, atol=tolerance)
        np.testing.assert_allclose(ours.size, moves.size[cells], rtol=1e-5, atol=1e-6)
        assert np.array_equal(ours.size == 0, moves.size[cells] == 0)
        np.testing.assert_allclose(ours.probability, moves.probability[cells], rtol=0, atol=2e-3)
    assert (moves.size == 0).any()
    assert not moves.shift[moves.size == 0].any()


def test_policies_differ_where_two_cells_are_equal(prepared, network, actions, config, neighbours, moves):
    first, second = celloracle_backend.equal_pairs(prepared.imputed)
    one, two = golden("simulation_inputs")["tie"]
    assert (one, two) in list(zip(first, second, strict=True))
    assert two in neighbours[one]
    options = dataclasses.replace(config, table=dataclasses.replace(config.table, nan_policy="zero"))
    zero = celloracle_backend.simulate(prepared, network, actions, options, neighbours, only=np.array([0]))
    differs = np.abs(zero.shift[:, 0] - moves.shift[:, 0]).max(axis=1) > 1e-9
    assert set(np.flatnonzero(differs).tolist()) <= set(first.tolist())
    assert differs[one]


@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_whole_tables_are_golden_with_as_many_neighbours_as_asked_for(prepared, network, actions, config, meta, gain):
    """Of 20 actions; next cells agree wherever the second nearest is not as near."""
    options = dataclasses.replace(config, table=dataclasses.replace(config.table, plus_one=False))
    singles = np.arange(len(meta["conditions"]), len(actions.names))
    near = find_neighbours(prepared.embedding, NEIGHBOURS)
    found = celloracle_backend.simulate(prepared, network, actions, options, near, only=singles)
    task, label = golden("table_task"), str(gain).replace(".", "p").removesuffix("p0")
    np.testing.assert_allclose(found.shift, task["shift"], rtol=0, atol=1e-8)
    next_cell = snap(prepared.embedding, found.shift, gain, unchanged=found.size == 0)
    clear = task[f"margin_gain{label}"] > 1e-6
    assert clear.mean() > 0.9
    assert np.array_equal(next_cell[clear], task[f"table_gain{label}"][clear])


@pytest.fixture(scope="module")
def saved(prepared, network, config, tmp_path_factory):
    """An Oracle as a user would save it."""
    path = tmp_path_factory.mktemp("oracle") / "cells.celloracle.oracle"
    celloracle_backend.network_oracle(prepared, network, config).to_hdf5(str(path))
    return path


def oracle_config(path, **options):
    return ReprogrammingConfig(data=DataOptions(kind="oracle", oracle=str(path), **options))


def test_a_saved_oracle_becomes_cells_and_network(prepared, network, saved):
    """And the warning is heard, although a part of celloracle replaces `warnings.warn` when it is imported."""
    with pytest.warns(UserWarning, match="unpickling runs code from the file"):
        cells, grn = read_oracle(oracle_config(saved, allow_pickle=True))
    assert np.array_equal(cells.imputed, prepared.imputed)
    assert np.array_equal(cells.X, prepared.lognorm)
    assert np.array_equal(cells.embedding, prepared.embedding)
    assert cells.clusters.tolist() == prepared.clusters.tolist()
    assert np.array_equal(cells.cluster_of_cell, prepared.cluster_of_cell)
    assert {target: sorted(tfs) for target, tfs in prepared.regulators.items()} == cells.regulators
    assert np.array_equal(grn.W, network.W)
    assert np.array_equal(grn.active, network.active)


def test_preprocessing_keeps_what_a_saved_oracle_holds(prepared, network, saved):
    config = prepare_options(oracle_config(saved, allow_pickle=True))
    cells, grn = read_oracle(config)
    made = run(cells, config)
    assert np.array_equal(made.imputed, prepared.imputed)
    assert np.array_equal(made.genes, grn.genes)
    assert np.array_equal(made.embedding, prepared.embedding)
    assert (made.split != 0).any()


def test_an_oracle_without_network_or_smoothing_is_refused(prepared, config, tmp_path):
    path = tmp_path / "bare.celloracle.oracle"
    oracle = celloracle_backend.make_oracle(prepared)
    oracle.to_hdf5(str(path))
    with pytest.raises(UserError, match=r"call fit_GRN_for_simulation\(\)"):
        read_oracle(oracle_config(path, allow_pickle=True))
    del oracle.adata.layers["imputed_count"]
    oracle.to_hdf5(str(path))
    with pytest.raises(UserError, match=r"call knn_imputation\(\)"):
        read_oracle(oracle_config(path, allow_pickle=True))


@pytest.fixture(scope="module")
def h5ad(prepared, tmp_path_factory):
    """The golden cells as a user's file, with its network beside it."""
    import anndata
    import pandas as pd

    folder = tmp_path_factory.mktemp("h5ad")
    clusters = prepared.clusters[prepared.cluster_of_cell]
    cells = anndata.AnnData(
        prepared.lognorm,
        obs=pd.DataFrame({"celltype": clusters}, index=prepared.cells),
        var=pd.DataFrame(index=prepared.genes),
    )
    cells.obsm["X_umap"] = prepared.embedding
    cells.layers["imputed_count"] = prepared.imputed
    cells.write_h5ad(folder / "cells.h5ad")
    (folder / "network.json").write_text(json.dumps(prepared.regulators))
    return folder


def file_options(folder):
    return DataOptions(
        kind="h5ad",
        h5ad=str(folder / "cells.h5ad"),
        grn=str(folder / "network.json"),
        values="lognorm",
        min_cells_per_gene=0,
        min_genes_per_cell=0,
    )


def test_a_finished_table_is_found_again(h5ad, monkeypatch):
    config = ReprogrammingConfig(
        data=file_options(h5ad),
        impute=ImputeOptions(use_existing=True),
        sim=SimOptions(backend="celloracle", n_propagation=1),
        table=TableOptions(neighbors=NEIGHBOURS),
    )
    first = load_table(config)
    monkeypatch.setattr(celloracle_backend, "simulate", lambda *_, **__: pytest.fail("simulated again"))
    assert np.array_equal(load_table(config).next, first.next)
    other = dataclasses.replace(config, sim=dataclasses.replace(config.sim, backend="builtin"))
    assert load_table(other).meta["key"] != first.meta["key"]


@pytest.mark.parametrize("source", ["h5ad", "oracle"])
@pytest.mark.parametrize("unit", ["cluster", "whole"])
def test_tables_of_both_backends_are_the_same(h5ad, saved, source, unit):
    data = file_options(h5ad) if source == "h5ad" else oracle_config(saved, allow_pickle=True).data
    tables = {}
    for backend in ("builtin", "celloracle"):
        config = ReprogrammingConfig(
            data=data,
            impute=ImputeOptions(use_existing=True),
            grn=GRNOptions(unit=unit),
            sim=SimOptions(backend=backend, oe_limit="clip"),
            table=TableOptions(neighbors=NEIGHBOURS, precision="float64", gain=1.5),
            dynamics=DynamicsOptions(kind="stochastic"),
        )
        tables[backend] = load_table(config)
    builtin, other = tables["builtin"], tables["celloracle"]
    assert builtin.actions.names.tolist() == other.actions.names.tolist()
    assert len(np.unique(builtin.next)) > 20
    np.testing.assert_allclose(other.shift, builtin.shift, rtol=0, atol=1e-6)
    assert np.array_equal(other.next, builtin.next)
    np.testing.assert_allclose(other.probability, builtin.probability, rtol=0, atol=2e-3)
    assert (other.neighbours == builtin.neighbours).mean() > 0.99


def test_the_global_stream_of_numpy_is_left_alone(prepared, network, actions, config, neighbours):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    celloracle_backend.simulate(prepared, network, actions, config, neighbours, only=np.array([0]))
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_the_licence_is_said_once(prepared, capfd):
    celloracle_backend._told.clear()
    celloracle_backend.make_oracle(prepared)
    celloracle_backend.make_oracle(prepared)
    assert capfd.readouterr().err.count(celloracle_backend.LICENCE) == 1
