import gzip
import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from bioppo import UserError
from bioppo.envs.perturbation.loading import load_prepared
from bioppo.envs.perturbation.options import DataOptions, SplitOptions
from bioppo.envs.perturbation.sources import stored_matrix
from bioppo.envs.perturbation.sources.readers import load_data
from bioppo.envs.perturbation.splits import split_data

GENES = [f"g{number}" for number in range(12)]
LABELS = ["control"] * 60 + ["g1"] * 40 + ["g2"] * 50 + ["g3"] * 35


def make_counts(n_cells=185, seed=0):
    """Return counts (n_cells, 12), most of them zero, with no empty cell."""
    random = np.random.default_rng(seed)
    counts = random.poisson(6.0, (n_cells, 12)) * (random.random((n_cells, 12)) < 0.25)
    counts[:, [0, 5]] += 1
    return counts.astype(np.float32)


def write(path, counts=None, labels=LABELS, form=sparse.csr_matrix, genes=GENES, obs=None, **parts):
    """Write an .h5ad with anndata and return its path."""
    counts = make_counts(len(labels)) if counts is None else counts
    obs = pd.DataFrame({"perturbation": labels} | (obs or {}), index=[f"cell_{row}" for row in range(len(labels))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that occur twice
        data = anndata.AnnData(form(counts), obs=obs, var=pd.DataFrame(index=genes), **parts)
        data.write_h5ad(path)
    return path


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


# Formats


@pytest.mark.parametrize("block", [1, 50, 10_000])
@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
def test_every_form_gives_the_same_cells(form, block, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_matrix, "BLOCK_VALUES", block)
    data = load_data(write(tmp_path / "cells.h5ad", form=form))
    assert np.array_equal(dense(data.X), make_counts())
    assert data.X.dtype == np.float32
    assert list(data.genes) == GENES
    assert list(data.labels) == LABELS
    assert data.control.sum() == 60
    assert data.log_normalised is None
    assert data.provenance["cells_in_file"] == 185


def test_dense_files_without_zeros_stay_dense(tmp_path):
    data = load_data(write(tmp_path / "cells.h5ad", make_counts() + 1, form=np.asarray))
    assert isinstance(data.X, np.ndarray)
    assert np.array_equal(data.X, make_counts() + 1)


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
def test_limits_choose_rows_before_values_are_read(form, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_matrix, "BLOCK_VALUES", 40)
    counts = make_counts()
    counts[:, 11] = np.arange(185)
    path = write(tmp_path / "cells.h5ad", counts, form=form)
    seen = []
    reader = stored_matrix.csr_rows
    monkeypatch.setattr(stored_matrix, "csr_rows", lambda *arguments: seen.append(arguments[2]) or reader(*arguments))
    data = load_data(path, n_control=35, n_perturbed=60, min_cells_per_perturbation=10)
    assert data.X.shape == (95, 12)
    rows = dense(data.X)[:, 11].astype(int)
    assert np.array_equal(dense(data.X), counts[rows])
    assert list(data.labels) == [LABELS[row] for row in rows]
    assert not seen or len(seen[0]) == 95


@pytest.mark.parametrize(("layer", "place"), [("counts", "layers"), ("raw", "raw")])
def test_values_may_lie_in_a_layer_or_in_raw(layer, place, tmp_path):
    counts, logs = make_counts(), np.log1p(make_counts()) / 3
    path = write(tmp_path / "cells.h5ad", logs, layers={"counts": sparse.csc_matrix(counts)}, uns={"log1p": {}})
    if place == "raw":
        data = anndata.read_h5ad(path)
        data.X = data.layers["counts"]
        data.raw = data
        data = data[:, :5].copy()
        data.write_h5ad(path)
    read = load_data(path, layer=layer)
    assert np.array_equal(dense(read.X), counts)
    assert list(read.genes) == GENES
    assert read.provenance["log1p_stated"] is (layer == "raw")


def test_columns_of_every_kind_are_read(tmp_path):
    types = pd.Categorical(["x", "y", None] * 61 + ["x", "y"])
    batches = np.arange(185) % 2
    lanes = pd.array([1, None] * 92 + [3], dtype="Int64")
    path = write(tmp_path / "cells.h5ad", obs={"kind": types, "batch": batches, "lane": lanes})
    data = load_data(path, cell_type_col="kind", batch_col="batch")
    assert set(data.cell_types) == {"x", "y", "unknown"}
    assert list(data.batches) == [str(batch) for batch in batches]
    assert list(load_data(path, batch_col="lane").batches) == ["1", "unknown"] * 92 + ["3"]


def test_files_of_old_versions_are_read(tmp_path):
    path = write(tmp_path / "cells.h5ad")
    with h5py.File(path, "r+") as file:
        # A table of categories beside the columns, as anndata 0.7 wrote it.
        codes, names = file["obs/perturbation/codes"][:], file["obs/perturbation/categories"][:]
        del file["obs/perturbation"]
        file["obs/perturbation"] = codes
        file.create_dataset("obs/__categories/perturbation", data=names, dtype=h5py.string_dtype())
        file["X"].attrs["h5sparse_format"] = "csr"
        del file["X"].attrs["encoding-type"]
    assert list(load_data(path).labels) == LABELS
    with h5py.File(path, "r+") as file:
        # One array of records, as anndata 0.6 wrote it.
        cells = np.array(
            [(f"c{row}".encode(), code) for row, code in enumerate(codes)],
            dtype=[("index", "S9"), ("perturbation", "i1")],
        )
        del file["obs"]
        file["obs"] = cells
        file.create_dataset("uns/perturbation_categories", data=names, dtype=h5py.string_dtype())
    assert list(load_data(path).labels) == LABELS


def test_matrices_of_another_kind_are_refused(tmp_path):
    path = write(tmp_path / "cells.h5ad")
    with h5py.File(path, "r+") as file:
        file["X"].attrs["encoding-type"] = "coo_matrix"
    with pytest.raises(UserError, match="stores its values as 'coo_matrix': write them as a dense, CSR or CSC matrix"):
        load_data(path)


def test_gene_names_may_stand_in_a_column(tmp_path):
    path = write(tmp_path / "cells.h5ad", genes=[f"ENSG{number}" for number in range(12)])
    data = anndata.read_h5ad(path)
    data.var["gene_name"] = GENES
    data.write_h5ad(path)
    assert list(load_data(path, gene_col="gene_name").genes) == GENES
    with pytest.raises(UserError, match="has no column symbol in var: choose one of gene_name"):
        load_data(path, gene_col="symbol")


def write_10x(path, counts, names=GENES):
    """Write a feature-barcode matrix with one antibody at its end."""
    matrix = sparse.csc_matrix(np.hstack([counts, np.ones((len(counts), 1))]).T)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for key in ("data", "indices", "indptr"):
            group[key] = getattr(matrix, key)
        group["shape"] = matrix.shape
        group["barcodes"] = np.array([f"cell_{row}" for row in range(len(counts))], dtype="S")
        group["features/name"] = np.array([*names, "CD86"], dtype="S")
        group["features/feature_type"] = np.array(["Gene Expression"] * 12 + ["Antibody Capture"], dtype="S")
    return path


def write_table(path):
    separator = "," if path.suffix == ".csv" else "\t"
    lines = [["barcode", "perturbation"], *([f"cell_{row}", label] for row, label in enumerate(LABELS))]
    path.write_text("\n".join(separator.join(line) for line in lines) + "\n")
    return str(path)


def test_10x_files_take_labels_from_a_table(tmp_path):
    path = write_10x(tmp_path / "cells.h5", make_counts())
    data = load_data(path, obs_file=write_table(tmp_path / "cells.csv"))
    assert np.array_equal(dense(data.X), make_counts())
    assert list(data.genes) == GENES
    assert list(data.labels) == LABELS
    with pytest.raises(UserError, match=r"pert_col=perturbation: .* no such column but barcode; .*obs_file"):
        load_data(path)


@pytest.mark.parametrize("zipped", [False, True])
def test_mtx_folders_are_read(zipped, tmp_path):
    def store(name, content):
        path = tmp_path / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content) if zipped else content)

    io.mmwrite(tmp_path / "plain.mtx", sparse.coo_matrix(make_counts().T))
    store("matrix.mtx", (tmp_path / "plain.mtx").read_bytes())
    store("features.tsv", "".join(f"ENSG{name}\t{name}\tGene Expression\n" for name in GENES).encode())
    store("barcodes.tsv", "".join(f"cell_{row}\n" for row in range(185)).encode())
    data = load_data(tmp_path, obs_file=write_table(tmp_path / "cells.tsv"))
    assert np.array_equal(dense(data.X), make_counts())
    assert list(data.labels) == LABELS
    store("barcodes.tsv", b"cell_0\n")
    with pytest.raises(UserError, match=r"has 12 x 185 values for 12 features and 1 barcodes"):
        load_data(tmp_path, obs_file=str(tmp_path / "cells.tsv"))


def test_archives_bring_types_and_batches(tmp_path):
    kinds = np.arange(185) % 3
    np.savez(tmp_path / "cells.npz", X=make_counts(), genes=GENES, label=LABELS, cell_type=kinds, batch=kinds)
    data = load_data(tmp_path / "cells.npz")
    assert list(data.labels) == LABELS
    assert list(data.cell_types) == list(data.batches) == [str(kind) for kind in kinds]
    np.savez(tmp_path / "less.npz", X=make_counts(), label=LABELS)
    with pytest.raises(UserError, match=r"less.npz lacks genes: write X, genes and label"):
        load_data(tmp_path / "less.npz")
    np.savez(tmp_path / "odd.npz", X=make_counts(), genes=GENES[1:], label=LABELS)
    with pytest.raises(UserError, match=r"X of shape \(185, 12\) for 185 labels and 11 genes"):
        load_data(tmp_path / "odd.npz")


# Which cells are kept


def test_limits_are_seeded_and_in_proportion(tmp_path):
    path = write(tmp_path / "cells.h5ad")
    options = {"n_control": 40, "n_perturbed": 50, "min_cells_per_perturbation": 1}
    one, again, other = (load_data(path, seed=seed, **options) for seed in (0, 0, 1))
    assert dict(zip(*np.unique(one.labels, return_counts=True), strict=True)) == {
        "control": 40,
        "g1": 16,
        "g2": 20,
        "g3": 14,
    }
    assert np.array_equal(dense(one.X), dense(again.X))
    assert not np.array_equal(dense(one.X), dense(other.X))
    all_in_all = load_data(path, max_cells=111, min_cells_per_perturbation=1)
    assert np.unique(all_in_all.labels, return_counts=True)[1].tolist() == [36, 24, 30, 21]
    each = load_data(path, max_cells_per_perturbation=37, min_cells_per_perturbation=36)
    assert np.unique(each.labels, return_counts=True)[1].tolist() == [60, 37, 37]
    assert each.provenance["perturbations_dropped"] == {"g3": 35}


def test_cells_without_label_or_counts_are_left_out(tmp_path):
    counts = make_counts()
    counts[[0, 61, 62]] = 0
    counts[70] = 0
    counts[70, 3] = 5
    labels = [*LABELS[:-5], *[None] * 5]
    data = load_data(write(tmp_path / "cells.h5ad", counts, labels), min_counts=6, min_cells_per_perturbation=5)
    few = int((counts[:180].sum(axis=1) < 6).sum()) - 3
    assert data.provenance["cells_without_label"] == 5
    assert data.provenance["cells_without_counts"] == 3
    assert data.provenance["cells_below_min_counts"] == few >= 1
    assert len(data.labels) == 180 - 3 - few
    assert dense(data.X).sum(axis=1).min() >= 6


def test_several_labels_can_mean_control(tmp_path):
    labels = ["safe"] * 30 + LABELS[30:]
    data = load_data(write(tmp_path / "cells.h5ad", labels=labels), control_label=["control", "safe"])
    assert data.control.sum() == 60
    assert set(data.labels[data.control]) == {"control"}


# What makes data unusable


def spoil(row, column, value):
    counts = make_counts()
    counts[row, column] = value
    return counts


@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (spoil(3, 7, np.nan), "has 1 values that are NaN or infinite, first in cell 3, gene g7"),
        (spoil(100, 0, np.inf), "has 1 values that are NaN or infinite, first in cell 100, gene g0"),
        (spoil(9, 4, -2), "has 1 negative values, first in cell 9, gene g4: supply counts or log-normalised"),
        (make_counts() - make_counts().mean(axis=0), "looks z-scored .*supply counts or log-normalised values"),
    ],
)
def test_values_that_cannot_be_expression_are_refused(counts, message, form, tmp_path):
    with pytest.raises(UserError, match=message):
        load_data(write(tmp_path / "cells.h5ad", counts, form=form))


@pytest.mark.parametrize(
    ("parts", "options", "message"),
    [
        ({}, {"pert_col": "target"}, "pert_col=target: .* has no such column but perturbation; choose one of them"),
        ({}, {"cell_type_col": "kind"}, "cell_type_col=kind: .* has no such column but perturbation"),
        (
            {},
            {"control_label": "non-targeting"},
            r"control_label=non-targeting: .*most frequent ones are control \(60\), g2 \(50\), g1 \(40\), g3 \(35\)",
        ),
        ({}, {"control_label": ["control", "safe"]}, "control_label=safe: .* has no such label"),
        ({}, {"min_cells_per_perturbation": 51}, r"has no perturbation left: the labels are control \(60\)"),
        ({}, {"n_control": 29}, r"has 29 control cells left, fewer than 30: the labels are g2 \(50\)"),
        ({"genes": ["control", *GENES[1:]]}, {}, "control_label=control is a measured gene too"),
        (
            {"genes": ["g1+g2", *GENES[1:]], "labels": [label.replace("g3", "g1+g2") for label in LABELS]},
            {},
            r"combo_separator=\+: gene g1\+g2 has it inside its name and is a target",
        ),
        ({}, {"layer": "counts"}, "has no layers/counts: its layers are none"),
        ({"counts": np.zeros((185, 12), dtype=np.float32)}, {}, "holds nothing but zeros|no perturbation left"),
    ],
)
def test_files_that_cannot_be_used_are_refused(parts, options, message, tmp_path):
    with pytest.raises(UserError, match=message):
        load_data(write(tmp_path / "cells.h5ad", **parts), **options)


def test_a_separator_inside_a_gene_that_is_no_target_is_harmless(tmp_path):
    assert len(load_data(write(tmp_path / "cells.h5ad", genes=[*GENES[:-1], "HLA+A"])).genes) == 12
    labels = [label.replace("g3", "g1+g2") for label in LABELS]
    assert "g1+g2" in load_data(write(tmp_path / "more.h5ad", labels=labels)).labels


def test_one_perturbation_is_refused_while_some_are_held_out(tmp_path):
    path = write(tmp_path / "cells.h5ad", labels=["control"] * 60 + ["g1"] * 125)
    options = DataOptions(source="file", path=str(path), n_genes=12)
    with pytest.raises(UserError, match=r"only one perturbation, g1.*set held_out_perturbations=0"):
        load_prepared(options)
    assert load_prepared(options, split=SplitOptions(held_out_perturbations=0)).seen.all()


def test_names_that_occur_twice_are_told_apart(tmp_path):
    path = write(tmp_path / "cells.h5ad", genes=["a", "b", "a", "a-1", "a", *GENES[1:8]])
    with pytest.warns(UserWarning, match="2 genes have the name of another one"):
        data = load_data(path)
    assert list(data.genes[:5]) == ["a", "b", "a-2", "a-1", "a-3"]
    with h5py.File(path, "r+") as file:
        index = file["obs"].attrs["_index"]
        names = file[f"obs/{index}"][:]
        names[1] = names[0]
        file[f"obs/{index}"][:] = names
    with (
        pytest.warns(UserWarning, match="2 genes"),
        pytest.warns(UserWarning, match="1 cells have the name"),
    ):
        load_data(path)


@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
def test_a_target_measured_twice_with_the_same_values_is_refused(form, tmp_path):
    counts = make_counts()
    counts[:, 5] = counts[:, 1]
    genes = [*GENES[:5], "g1", *GENES[6:]]
    path = write(tmp_path / "cells.h5ad", counts, genes=genes, form=form)
    with (
        pytest.warns(UserWarning, match="1 genes"),
        pytest.raises(UserError, match="Target gene g1 has several columns"),
    ):
        load_data(path)
    with pytest.warns(UserWarning, match="1 genes"):
        load_data(write(tmp_path / "cells.h5ad", make_counts(), genes=genes, form=form))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cells.h5ad", None, "does not exist: give an .h5ad"),
        ("cells.h5ad", b"no HDF5", "is no HDF5 file .*fetch it again"),
        ("cells.npz", b"no archive", "cannot be read"),
        ("cells.txt", b"", "has no known ending"),
    ],
)
def test_what_is_no_file_of_cells_is_refused(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_data(tmp_path / name)


def test_files_that_are_almost_right_are_refused(tmp_path):
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        file["other"] = 1
    with pytest.raises(UserError, match="has no matrix/features"):
        load_data(tmp_path / "cells.h5")
    with pytest.raises(UserError, match=r"has no matrix.mtx"):
        load_data(tmp_path)
    with pytest.raises(UserError, match=r"layer=counts: .* is no .h5ad and has no layers"):
        load_data(tmp_path / "cells.h5", layer="counts")
    write_10x(tmp_path / "cells.h5", make_counts())
    (tmp_path / "other.csv").write_text("barcode,perturbation\nnobody,control\n")
    with pytest.raises(UserError, match="names no cell of"):
        load_data(tmp_path / "cells.h5", obs_file=str(tmp_path / "other.csv"))
    with pytest.raises(UserError, match=r"obs_file=.*absent.csv does not exist"):
        load_data(tmp_path / "cells.h5", obs_file=str(tmp_path / "absent.csv"))
    with pytest.raises(UserError, match="load_data reads files, so give path"):
        load_data()


# Controls of another file


@pytest.fixture
def studies(tmp_path):
    """Return a file of perturbed cells and one of controls with fewer genes, in another order."""
    first = write(tmp_path / "first.h5ad", obs={"batch": ["one", "two"] * 92 + ["one"]})
    counts = make_counts(80, seed=1)[:, 8:2:-1]
    labels = ["untreated"] * 70 + ["g1"] * 10
    second = write(tmp_path / "second.h5ad", counts, labels, genes=GENES[8:2:-1], obs={"batch": ["one", "two"] * 40})
    return first, second, counts


def both(studies, **options):
    first, second, _ = studies
    return load_data(first, control_file=str(second), control_label=["control", "untreated"], **options)


def test_controls_of_another_study_are_refused_unless_allowed(studies):
    with pytest.raises(UserError, match=r"control_file=.*different files, so effect and study would be confounded"):
        both(studies)
    with pytest.warns(UserWarning, match="Effect and study are confounded"):
        data = both(studies, allow_batch_confound=True)
    assert list(data.genes) == GENES[3:9]
    assert data.control.sum() == 70
    assert set(data.labels[~data.control]) == {"g1", "g2", "g3"}
    assert np.array_equal(dense(data.X)[data.control], studies[2][:70, ::-1])
    assert np.array_equal(dense(data.X)[~data.control], make_counts()[60:, 3:9])
    assert data.provenance["effect_and_study_confounded"] is True
    assert data.provenance["shared_genes"] == 6


def test_controls_of_the_same_batches_are_welcome(studies, tmp_path):
    data = both(studies, batch_col="batch")
    assert data.provenance["effect_and_study_confounded"] is False
    assert len(data.batches) == len(data.labels) == 195
    other = anndata.read_h5ad(studies[1])
    other.obs["batch"] = "three"
    other.write_h5ad(studies[1])
    with pytest.raises(UserError, match="perturbed cells have batch one, two and controls three"):
        both(studies, batch_col="batch")


def test_dense_and_sparse_files_are_joined(studies):
    sparse_only = both(studies, batch_col="batch")
    other = anndata.read_h5ad(studies[1])
    other.X = other.X.toarray() + 1
    other.write_h5ad(studies[1])
    data = both(studies, batch_col="batch")
    assert isinstance(data.X, np.ndarray)
    assert np.array_equal(data.X[data.control], dense(sparse_only.X)[data.control] + 1)
    assert np.array_equal(data.X[~data.control], dense(sparse_only.X)[~data.control])


def test_files_on_two_scales_are_brought_to_one(studies):
    logs = anndata.read_h5ad(studies[1])
    logs.X = sparse.csr_matrix(np.log1p(studies[2] * 1.7))
    logs.write_h5ad(studies[1])
    with pytest.warns(UserWarning, match="confounded"):
        data = both(studies, allow_batch_confound=True)
    assert data.log_normalised is False
    assert data.provenance["logarithm_undone"] == "second.h5ad"
    np.testing.assert_allclose(dense(data.X)[data.control], studies[2][:70, ::-1] * 1.7, rtol=1e-5)


def test_a_file_without_labels_is_all_controls(studies, tmp_path):
    path = write_10x(tmp_path / "controls.h5", make_counts(50))
    with pytest.warns(UserWarning, match="confounded"):
        data = load_data(studies[0], control_file=str(path), allow_batch_confound=True)
    assert data.control.sum() == 50
    assert len(data.genes) == 12


def test_second_files_that_bring_nothing_are_refused(studies, tmp_path):
    with pytest.raises(UserError, match=r"control_file=.*no cell with control_label=control but untreated \(70\)"):
        load_data(studies[0], control_file=str(studies[1]))
    write(studies[0], labels=["control"] * 185)
    with pytest.raises(UserError, match="has no perturbed cells, or"):
        both(studies)
    write(studies[0])
    write(studies[1], labels=["untreated"] * 185, genes=[f"other{number}" for number in range(12)])
    with pytest.warns(UserWarning, match="confounded"), pytest.raises(UserError, match="share no gene name"):
        both(studies, allow_batch_confound=True)


# Public files


def test_the_papalexi_subset_is_read(public_data):
    data = load_data(public_data("perturbation/papalexi2021_thp1_subset.h5ad"), control_label="non-targeting")
    assert data.X.shape == (20_729, 299)
    assert data.control.sum() == 2386
    assert len(set(data.labels[~data.control])) == 25
    assert (data.labels == "SPI1").sum() == 48
    fewer = load_data(
        public_data("perturbation/papalexi2021_thp1_subset.h5ad"), control_label="non-targeting", min_counts=30
    )
    assert fewer.provenance["cells_below_min_counts"] == 20_729 - len(fewer.labels) <= 8


def test_the_kang_subset_is_read(public_data):
    data = load_data(public_data("perturbation/kang2018_pbmc_subset.h5ad"), cell_type_col="cell_type")
    assert data.X.shape == (1975, 6998)
    assert data.control.sum() == 936
    assert (data.cell_types == "CD4T").sum() == 634
    split = split_data(data, held_out_perturbations=0, held_out_cell_type="Dendritic")
    assert split.test[data.cell_types == "Dendritic"].all()
    prepared = load_prepared(
        DataOptions(
            source="file", path=str(public_data("perturbation/kang2018_pbmc_subset.h5ad")), cell_type_col="cell_type"
        ),
        split=SplitOptions(held_out_perturbations=0),
    )
    assert prepared.provenance["preprocessing"]["normalised"]["done"] is False
    assert len(prepared.cell_types) == 7
    assert prepared.expression.shape == (1975, 200)


def test_the_public_files_make_a_confounded_pair(public_data):
    path = public_data("perturbation/papalexi2021_thp1_subset.h5ad")
    options = DataOptions(
        source="file",
        path=str(path),
        control_file=str(public_data("perturbation/kang2018_pbmc_subset.h5ad")),
        control_label=["non-targeting", "control"],
        allow_batch_confound=True,
        n_genes=50,
    )
    with pytest.warns(UserWarning, match="confounded"), pytest.warns(UserWarning, match="do not vary"):
        prepared = load_prepared(options)
    assert prepared.provenance["shared_genes"] == 116
    assert (prepared.label < 0).sum() == 936
    assert prepared.expression.shape[1] == 50
    assert Path(prepared.provenance["control_file"]).name == "kang2018_pbmc_subset.h5ad"
