import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from bioppo.cli.main import main

GOLDEN = Path(__file__).parents[1] / "data" / "reprogramming"


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    """An empty cache of the test's own."""
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "reprogramming"


@pytest.fixture
def cells(tmp_path):
    """Words that name the golden cells and their regulators, as a user would."""
    import anndata
    import pandas as pd

    meta, inputs = json.loads((GOLDEN / "meta.json").read_text()), np.load(GOLDEN / "simulation_inputs.npz")
    kinds = pd.Categorical.from_codes(inputs["cluster"], meta["clusters"])
    anndata.AnnData(
        inputs["X_lognorm"],
        obs=pd.DataFrame({"celltype": kinds}, index=meta["cells"]),
        var=pd.DataFrame(index=meta["genes"]),
        obsm={"X_umap": inputs["embedding"]},
        layers={"imputed_count": inputs["imputed"]},
    ).write_h5ad(tmp_path / "cells.h5ad")
    (tmp_path / "grn.json").write_text(json.dumps(meta["base_grn"]))
    options = {
        "data.h5ad": tmp_path / "cells.h5ad",
        "data.grn": tmp_path / "grn.json",
        "data.values": "lognorm",
        "data.min_genes_per_cell": 0,
        "impute.use_existing": "true",
        "grn.fit_on": "all",
        "table.neighbors": 15,
        "table.nan_policy": "celloracle",
        "table.precision": "float64",
        "sim.oe_limit": "clip",
    }
    return [f"env.{key}={value}" for key, value in options.items()]


def run(verb, *words):
    return main(["data", verb, "reprogramming", *words])


def test_build_fills_the_cache_and_says_what_the_table_is_like(cells, room, capsys):
    assert run("build", *cells, "env.table.gain=1.5") == 0
    said = capsys.readouterr().out
    assert re.search(r"120 cells of 3 types, 20 actions", said)
    for word in ("self-loops", "out-degree", "solvable", "shortest paths"):
        assert word in said
    folder = Path(re.search(r"Kept in (.*)", said)[1])
    assert folder.parent.parent == room
    expected = np.load(GOLDEN / "table_task.npz")
    with np.load(folder / "table.npz") as table:
        # All knock-outs, which no rule for levels of overexpression touches, are those of the golden table.
        np.testing.assert_array_equal(table["T"][:, :10], expected["table_gain1p5"][:, :10])
        stays = (table["T"] == np.arange(120)[:, None]).mean()
    assert f"self-loops          {stays:.1%}" in said
    stamp = (folder / "table.npz").stat().st_mtime_ns
    assert run("build", *cells, "env.table.gain=1.5") == 0
    assert capsys.readouterr().out == said
    assert (folder / "table.npz").stat().st_mtime_ns == stamp


def test_convert_and_check_compare_tables(cells, tmp_path, capsys):
    assert run("convert", *cells, "--output", str(tmp_path / "out" / "mine.npz")) == 0
    assert "mine_features.npy" in capsys.readouterr().out
    again = [f"env.data.table={tmp_path / 'out' / 'mine.npz'}"]
    assert run("check", *again, "--against", str(tmp_path / "out" / "mine.npz")) == 0
    assert "equal next cells    100.0000% (0 of 2,400 differ)" in capsys.readouterr().out
    assert run("check", *cells, "env.table.gain=3", "--against", str(tmp_path / "out" / "mine.npz")) == 0
    said = capsys.readouterr().out
    share = float(re.search(r"equal next cells    ([\d.]+)%", said)[1])
    assert 0 < share < 90
    assert "least equal action" in said
    assert run("convert", *again, "--output", str(tmp_path / "table.txt")) == 2
    assert "give a file that ends in .npz" in capsys.readouterr().err


def test_check_compares_networks(cells, tmp_path, capsys):
    regulators = json.loads((tmp_path / "grn.json").read_text())
    edges = {(tf, target) for target, tfs in regulators.items() for tf in tfs}
    left_out = sorted(edges)[0]
    lines = ["TF,target", *(f"{tf},{target}" for tf, target in sorted(edges - {left_out})), "xtf00,elsewhere"]
    (tmp_path / "other.csv").write_text("\n".join(lines))
    assert run("check", *cells, "--against", str(tmp_path / "other.csv")) == 0
    said = capsys.readouterr().out
    both = len(edges) - 1
    assert f"{len(edges):,} and {len(edges):,}, {both:,} in both" in said
    assert f"Jaccard of edges    {both / (both + 2):.4f}" in said
    assert f"only in the first   1, such as {left_out[0]} -> {left_out[1]}" in said
    assert "only in the second  1, such as xtf00 -> elsewhere" in said


def test_delta_writes_the_change_of_every_gene(cells, tmp_path, capsys):
    meta, inputs = json.loads((GOLDEN / "meta.json").read_text()), np.load(GOLDEN / "simulation_inputs.npz")
    level = meta["conditions"]["pair_KO_OE"]["xtf03"]
    words = ["--gene", "xtf01", "--value", "0", "--gene", "xtf03", "--value", repr(level)]
    assert run("delta", *cells, "--cell", meta["cells"][7], *words, "--output", str(tmp_path / "delta.csv")) == 0
    assert f"{meta['cells'][7]} (xtype" in capsys.readouterr().out
    with (tmp_path / "delta.csv").open() as file:
        rows = {row["gene"]: row for row in csv.DictReader(file)}
    change = np.array([float(rows[gene]["change"]) for gene in meta["genes"]])
    before = np.array([float(rows[gene]["expression"]) for gene in meta["genes"]])
    after = np.array([float(rows[gene]["simulated"]) for gene in meta["genes"]])
    np.testing.assert_allclose(change, np.load(GOLDEN / "delta_x.npz")["delta_pair_KO_OE"][7], atol=1e-10)
    np.testing.assert_array_equal(before, inputs["imputed"][7])
    np.testing.assert_array_equal(after, before + change)
    assert run("delta", *cells, "--cell", "7", "--gene", "xtf01", "--value", "0") == 0
    assert meta["cells"][7] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cell", "nobody", "--gene", "xtf01", "--value", "0"], "--cell nobody: there is no such cell"),
        (["--cell", "0", "--gene", "nobody", "--value", "0"], "nobody is none of the 60 measured genes"),
        (["--cell", "0", "--gene", "xtf01", "--value", "-1"], "xtf01=-1.0"),
        (["--cell", "0", "--gene", "xtf01", "--gene", "xtf02", "--value", "0"], "give one value for each gene"),
        (["--cell", "0", "--gene", "xtf01", "--value", "0", "env.sim.n_propagation=6"], "env.sim.n_propagation=6"),
    ],
)
def test_questions_about_a_cell_that_make_no_sense_are_refused(cells, words, message, capsys):
    assert run("delta", *cells, *words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "kinetic"], "kinetic has no transition table"),
        (["build", "reprogrammin"], "env=reprogrammin does not exist"),
        (["build", "reprogramming", "env=kinetic"], "the environment is named already"),
        (["build", "reprogramming", "env.data.h5d=F"], "There is no key 'env.data.h5d'"),
        (["build", "reprogramming", "env.data.table=none.npz"], "data.table=none.npz: there is no such file"),
        (["build", "reprogramming_h5ad"], "data.kind=h5ad needs a file"),
        (
            ["build", "reprogramming_bannink2025", "env.data.h5ad=no.h5ad", "env.data.grn=no.csv"],
            "no.h5ad does not exist",
        ),
    ],
)
def test_commands_that_name_nothing_are_refused(words, message, capsys):
    assert main(["data", *words]) == 2
    assert message in capsys.readouterr().err


def test_clear_removes_tables(cells, room, capsys):
    assert run("build", *cells) == 0
    assert room.is_dir()
    capsys.readouterr()
    assert main(["data", "clear", "reprogramming"]) == 0
    assert capsys.readouterr().out.startswith("Removed reprogramming (")
    assert not room.exists()
