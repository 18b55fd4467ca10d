"""Reading cells and base networks: what is accepted, and the sentence for what is not."""

import json
import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bioppo import UserError
from bioppo.envs.reprogramming import preprocess
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.options import DataOptions, ImputeOptions, TableOptions
from bioppo.envs.reprogramming.sources.h5ad import convert
from bioppo.envs.reprogramming.sources.loading import load_cells
from bioppo.envs.reprogramming.sources.regulators import read_regulators

GENES = np.array(["Gata1", "Klf1", "Spi1", "Cebpa", "Myb", "Hbb", "Elane", "Mpo", "Cd34", "Kit"])
TYPES = ["T"] * 15 + ["B"] * 20 + ["Ery"] * 25
NETWORK = {"Hbb": ["Gata1", "Klf1"], "Mpo": ["Cebpa"], "Gata1": ["Gata1", "Spi1"], "Absent": ["Gata1"]}
MEASURED = {"Gata1": ["Spi1"], "Hbb": ["Gata1", "Klf1"], "Mpo": ["Cebpa"]}


def make(counts=None, types=TYPES, genes=GENES, **parts):
    """Return an AnnData object of 60 cells x 10 genes with counts in a layer."""
    random = np.random.default_rng(0)
    counts = random.poisson(4.0, (len(types), len(genes))).astype(np.float32) if counts is None else counts
    obs = pd.DataFrame({"celltype": types}, index=[f"cell{row}" for row in range(len(types))])
    parts = {
        "layers": {"counts": sparse.csr_matrix(counts)},
        "obsm": {"X_umap": random.normal(size=(len(types), 2))},
    } | parts
    return anndata.AnnData(X=np.log1p(counts), obs=obs, var=pd.DataFrame(index=genes), **parts)


def make_config(kind="h5ad", table=None, impute=None, **data):
    """Return options for a file."""
    data = {"kind": kind, "h5ad": "cells.h5ad", "min_genes_per_cell": 0, "min_cells_per_gene": 0} | data
    return ReprogrammingConfig(
        data=DataOptions(**data), table=TableOptions(**(table or {})), impute=ImputeOptions(**(impute or {}))
    )


@pytest.fixture
def written(tmp_path):
    """Return options for a written file with a network."""
    make().write_h5ad(tmp_path / "cells.h5ad")
    (tmp_path / "network.json").write_text(json.dumps(NETWORK))
    return {"h5ad": str(tmp_path / "cells.h5ad"), "grn": str(tmp_path / "network.json")}


def test_file_is_read(written):
    cells = load_cells(make_config(**written))
    assert sparse.issparse(cells.X)
    assert not cells.log_normalised
    np.testing.assert_array_equal(cells.X.toarray(), make().layers["counts"].toarray())
    assert cells.clusters.tolist() == ["B", "Ery", "T"]
    assert cells.cluster_of_cell.tolist() == [2] * 15 + [0] * 20 + [1] * 25
    assert cells.cluster_of_cell.dtype == np.int32
    np.testing.assert_array_equal(cells.embedding, make().obsm["X_umap"])
    assert cells.regulators == MEASURED
    assert cells.log[0].endswith("60 cells x 10 genes")


def test_no_network_is_an_error_except_beside_a_table(written):
    del written["grn"]
    with pytest.raises(UserError, match=r"data\.grn=null: .*data\.grn=correlation"):
        load_cells(make_config(**written))
    options = DataOptions(kind="table", table="table.npz", **written)
    assert load_cells(ReprogrammingConfig(data=options)).regulators == {}


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.h5ad does not exist"):
        load_cells(make_config(h5ad=str(tmp_path / "nowhere.h5ad")))
    (tmp_path / "damaged.h5ad").write_bytes(b"no HDF5")
    with pytest.raises(UserError, match=r"damaged\.h5ad is no \.h5ad"):
        load_cells(make_config(h5ad=str(tmp_path / "damaged.h5ad")))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"cluster_key": "leiden"}, r"data\.cluster_key=leiden: .* no obs\[leiden\] but celltype"),
        ({"embedding_key": "X_tsne"}, r"data\.embedding_key=X_tsne: .* no obsm\[X_tsne\] but X_umap"),
        ({"counts_layer": "raw"}, r"data\.counts_layer=raw: .* no layers\[raw\] but counts"),
        ({"drop_types": ["Mono"]}, r"data\.drop_types=Mono: .* B, Ery, T"),
    ],
)
def test_missing_keys_list_those_there(data, sentence):
    with pytest.raises(UserError, match=sentence):
        convert(make(), make_config(**data))


def test_missing_smoothed_layer_is_named():
    with pytest.raises(UserError, match=r"impute\.use_existing=true: layer: .*layers\[imputed_count\] but counts"):
        convert(make(), make_config(impute={"use_existing": True}))


def test_x_stands_in_for_a_missing_layer_of_counts():
    cells = make()
    cells.X, cells.layers = cells.layers["counts"], {}
    read = convert(cells, make_config())
    assert any("X is taken for counts" in line for line in read.log)
    assert read.X.max() == cells.X.max()


def changed(change):
    """Return counts with one change."""
    counts = np.random.default_rng(0).poisson(4.0, (60, 10)).astype(np.float64)
    change(counts)
    return counts


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (changed(lambda x: x.__setitem__((3, 2), -1.5)), "1 values are negative, down to -1.5, so it looks scaled"),
        (
            changed(lambda x: x.__imul__(0.37)),
            r"nonzero values are no whole numbers.*pass counts or data\.values=lognorm",
        ),
        (
            changed(lambda x: x.__setitem__((7, 5), np.nan)),
            r"1 values are NaN or infinite, the first in cell cell7, gene Hbb",
        ),
        (changed(lambda x: x.__setitem__((9, 0), np.inf)), r"first in cell cell9, gene Gata1"),
    ],
)
def test_unusable_counts(counts, sentence, form):
    with pytest.raises(UserError, match=sentence):
        convert(make(layers={"counts": form(counts)}), make_config())


def test_a_few_fractional_counts_are_noted():
    read = convert(make(changed(lambda x: x.__setitem__((3, 2), 1.5))), make_config())
    assert any("1 of" in line and "no whole numbers" in line for line in read.log)


@pytest.mark.parametrize(("value", "sentence"), [(-0.5, "goes down to -0.5"), (60.0, "goes up to 60")])
def test_unusable_logarithms(value, sentence):
    cells = make()
    cells.X[4, 4] = value
    with pytest.raises(UserError, match=f"{sentence}.*data.values=lognorm"):
        convert(cells, make_config(values="lognorm"))


def test_logarithms_are_taken_from_x():
    read = convert(make(), make_config(values="lognorm"))
    assert read.log_normalised
    np.testing.assert_array_equal(read.X, make().X)


def test_drawing_must_be_finite_and_is_needed_only_if_stored():
    cells = make()
    cells.obsm["X_umap"][5, 1] = np.nan
    with pytest.raises(
        UserError, match=r"obsm\[X_umap\]: 1 values are NaN or infinite, the first in cell cell5, column 1"
    ):
        convert(cells, make_config())
    assert convert(cells, make_config(table={"embedding": "pca2"})).embedding is None


def test_names_that_occur_twice():
    cells = make()
    cells.obs_names = ["cell1", *cells.obs_names[1:]]
    with pytest.raises(UserError, match=r"1 names of cells occur more than once \(cell1\).*obs_names_make_unique"):
        convert(cells, make_config())
    genes = GENES.copy()
    genes[3] = genes[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        double = make(genes=genes)
    with pytest.raises(UserError, match=r"1 names of genes occur more than once \(Gata1\).*var_names_make_unique"):
        convert(double, make_config())


def test_types_of_mixed_kinds_are_sorted_as_text():
    cells = make()
    cells.obs["celltype"] = pd.Series([10] * 15 + ["2"] * 20 + ["a"] * 25, index=cells.obs_names, dtype=object)
    read = convert(cells, make_config())
    assert read.clusters.tolist() == ["10", "2", "a"]
    assert read.cluster_of_cell.tolist() == [0] * 15 + [1] * 20 + [2] * 25
    assert any("int and str" in line for line in read.log)


def test_types_without_cells_are_left_out_and_cells_without_type_refused():
    cells = make()
    cells.obs["celltype"] = pd.Categorical(TYPES, categories=["T", "Mono", "Ery", "B"])
    read = convert(cells, make_config())
    assert read.clusters.tolist() == ["B", "Ery", "T"]
    assert "1 types without cells were left out: Mono" in read.log
    cells.obs["celltype"] = pd.Categorical(TYPES, categories=["T", "Ery"])
    with pytest.raises(UserError, match=r"20 cells .* have no type \(cell15, cell16"):
        convert(cells, make_config())


def test_small_types():
    with pytest.raises(UserError, match=r"fewer than 2 cells \(Mono \(1\)\).*data\.drop_types"):
        convert(make(types=[*TYPES[:-1], "Mono"]), make_config())
    with pytest.warns(UserWarning, match=r"fewer than 10 cells: Mono \(5\)"):
        convert(make(types=[*TYPES[:-5], *["Mono"] * 5]), make_config())
    dropped = convert(make(types=[*TYPES[:-1], "Mono"]), make_config(drop_types=["Mono"]))
    assert len(dropped.cells) == 59
    assert dropped.clusters.tolist() == ["B", "Ery", "T"]
    with pytest.raises(UserError, match="1 type of cells"):
        convert(make(types=["B"] * 60), make_config())


def write_pairs(folder):
    path = folder / "pairs.csv"
    path.write_text("TF,target\n" + "".join(f"{tf},{target}\n" for target, tfs in NETWORK.items() for tf in tfs))
    return path


def write_lists(folder, separator=",", quote='"'):
    path = folder / "lists.csv"
    lines = {"Gata1": ["Hbb", "Gata1", "Absent"], "Klf1": ["Hbb"], "Cebpa": ["Mpo"], "Spi1": ["Gata1"]}
    path.write_text(
        "TF,Target_genes\n" + "".join(f"{tf},{quote}{separator.join(names)}{quote}\n" for tf, names in lines.items())
    )
    return path


def write_matrix(folder, ending="csv"):
    table = pd.DataFrame(
        {
            "peak_id": ["chr1_1_2", "chr1_5_9", "chr2_1_2", "chr3_1_2", "chr4_4_8"],
            "gene_short_name": ["Hbb", "Hbb", "Mpo", "Gata1", "Absent"],
            "Gata1": [1.0, 0, 0, 1, 1],
            "Klf1": [0, 1.0, 0, 0, 0],
            "Cebpa": [0, 0, 1.0, 0, 0],
            "Spi1": [0, 0, 0, 1.0, 0],
        }
    )
    path = folder / f"matrix.{ending}"
    table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path)
    return path


@pytest.mark.parametrize(
    "write",
    [
        write_pairs,
        write_lists,
        lambda folder: write_lists(folder, "\t"),
        lambda folder: write_lists(folder, ",", ""),
        write_matrix,
        lambda folder: write_matrix(folder, "parquet"),
    ],
    ids=["pairs", "lists", "tabs", "bare lists", "matrix", "parquet"],
)
def test_forms_of_a_network_are_read_alike(write, tmp_path):
    assert read_regulators(write(tmp_path), genes=GENES) == MEASURED
    assert "Absent" in read_regulators(write(tmp_path))


def test_both_directions_of_a_json(tmp_path):
    path = tmp_path / "network.json"
    path.write_text(json.dumps(NETWORK))
    assert read_regulators(path, genes=GENES) == MEASURED
    path.write_text(json.dumps({"Gata1": ["Hbb", "Gata1"], "Klf1": ["Hbb"], "Cebpa": ["Mpo"], "Spi1": ["Gata1"]}))
    assert read_regulators(path, genes=GENES, direction="tf_to_targets") == MEASURED


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("absent.csv", None, r"absent\.csv does not exist: give a \.csv with columns"),
        ("network.txt", "Gata1\nKlf1\n", r"network\.txt has the columns Gata1"),
        ("network.csv", "source,sink\na,b\n", r"has the columns source, sink: give"),
        ("network.json", "{", "is no JSON"),
        ("network.json", '{"Hbb": "Gata1"}', "must map every name to a list"),
        ("network.csv", "peak_id,gene_short_name,Gata1\np1,Hbb,yes\n", r"1 columns of factors hold .*\(Gata1\)"),
        ("network.csv", "peak_id,gene_short_name,Gata1\np1,Hbb\n", r"1 columns of factors hold .*\(Gata1\)"),
        ("network.parquet", "text", "is no parquet file"),
        ("network.xlsx", "text", "has no known ending"),
    ],
)
def test_unreadable_networks(name, text, sentence, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=sentence):
        read_regulators(tmp_path / name, genes=GENES)


def test_names_of_another_case_are_matched_only_if_asked(written, tmp_path):
    (tmp_path / "human.json").write_text(
        json.dumps({key.upper(): [n.upper() for n in v] for key, v in NETWORK.items()})
    )
    written["grn"] = str(tmp_path / "human.json")
    with pytest.raises(
        UserError, match=r"is measured; it has names such as ABSENT, CEBPA.* and the cells such as Cd34, Ceb"
    ):
        load_cells(make_config(**written))
    cells = load_cells(make_config(case_insensitive=True, **written))
    assert cells.regulators == MEASURED
    assert any("6 names of the network were matched whatever their case: CEBPA as Cebpa" in line for line in cells.log)


def test_little_overlap_is_warned_of_with_both_samples(tmp_path):
    genes = np.array([f"gene{number}" for number in range(100)])
    network = {f"other{number}": [f"factor{number}"] for number in range(60)} | {"gene1": ["gene2"]}
    (tmp_path / "network.json").write_text(json.dumps(network))
    with pytest.warns(UserWarning, match=r"only 2 of its 122 names .*such as factor0.* the cells such as gene0"):
        assert read_regulators(tmp_path / "network.json", genes=genes) == {"gene1": ["gene2"]}


def test_network_from_correlations_of_training_cells(tmp_path):
    random = np.random.default_rng(1)
    hidden = random.gamma(2.0, 3.0, 200)
    genes = np.array([f"g{number}" for number in range(70)])
    counts = random.poisson(20.0, (200, 70)).astype(np.float32)
    for gene in (0, 3, 4):
        counts[:, gene] = random.poisson(10 * hidden)
    make(counts, types=["a"] * 100 + ["b"] * 100, genes=genes).write_h5ad(tmp_path / "cells.h5ad")
    (tmp_path / "factors.txt").write_text("# of this species\ng0\n\ng1\nabsent\n")
    config = make_config(
        h5ad=str(tmp_path / "cells.h5ad"), grn="correlation", grn_tfs=str(tmp_path / "factors.txt"), impute={"k": 3}
    )
    with pytest.warns(UserWarning, match="guessed from correlations alone"):
        prepared = preprocess.run(load_cells(config), config)
    assert {target for target, factors in prepared.regulators.items() if "g0" in factors} >= {"g3", "g4"}
    assert all(target not in factors for target, factors in prepared.regulators.items())
    assert {factor for factors in prepared.regulators.values() for factor in factors} <= {"g0", "g1"}
    assert any("WEAK" in line for line in prepared.log)
    frame = pd.DataFrame(prepared.lognorm[prepared.split == 0], columns=genes).corr("spearman")
    expected = {g: [f for f in ("g0", "g1") if f != g and abs(frame.loc[f, g]) >= 0.1] for g in genes}
    assert prepared.regulators == {target: factors for target, factors in expected.items() if factors}


def test_correlation_needs_measured_factors(written, tmp_path):
    with pytest.raises(UserError, match=r"give data\.grn_tfs=FILE"):
        load_cells(make_config(**(written | {"grn": "correlation"})))
    (tmp_path / "factors.txt").write_text("GATA1\n")
    factors = {"grn": "correlation", "grn_tfs": str(tmp_path / "factors.txt")}
    with pytest.raises(UserError, match=r"none of 1 factors such as GATA1 is among the genes such as Cd34"):
        load_cells(make_config(**(written | factors)))


def test_published_cells_with_a_guessed_network(public_data, tmp_path):
    (tmp_path / "factors.txt").write_text(
        "\n".join(["STAT1", "STAT2", "IRF7", "IRF8", "SPI1", "CEBPB", "PAX5", "EOMES"])
    )
    data = {
        "h5ad": str(public_data("perturbation/kang2018_pbmc_subset.h5ad")),
        "cluster_key": "cell_type",
        "grn": "correlation",
        "grn_tfs": str(tmp_path / "factors.txt"),
        "n_genes": 300,
    }
    with pytest.raises(UserError, match=r"looks scaled; pass counts or data\.values=lognorm"):
        load_cells(make_config(table={"embedding": "pca2"}, **data))
    with pytest.raises(UserError, match=r"no obsm\[X_umap\] but nothing"):
        load_cells(make_config(values="lognorm", **data))
    config = make_config(values="lognorm", table={"embedding": "pca2"}, **data)
    cells = load_cells(config)
    with pytest.warns(UserWarning, match="guessed from correlations alone"):
        prepared = preprocess.run(cells, config)
    assert prepared.clusters.tolist() == ["B", "CD14+Mono", "CD4T", "CD8T", "Dendritic", "FCGR3A+Mono", "NK"]
    assert prepared.lognorm.shape[0] == 1975
    assert 300 <= prepared.lognorm.shape[1] <= 308
    # SPI1 marks the myeloid cells, in which lysozyme is the most abundant of all.
    assert "SPI1" in prepared.regulators["LYZ"]

    # Smoothing over neighbours brings cells of a type together.
    def spread(values):
        monocytes = values[prepared.cluster_of_cell == 1]
        return monocytes.var(axis=0).sum() / values.var(axis=0).sum()

    assert spread(prepared.imputed) < spread(prepared.lognorm)


def test_landscape_needs_no_file():
    cells = load_cells(ReprogrammingConfig(data=DataOptions(preset="easy")))
    assert cells.X.shape == (2000, 300)
    assert cells.log_normalised
