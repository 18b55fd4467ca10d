"""Public sets of perturbed cells: their entries, and the way from a mirror to prepared data."""

import os

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from bioppo import UserError
from bioppo.datasets import catalogue, download
from bioppo.datasets.catalogue import data_set, read_catalogue
from bioppo.datasets.transfer import open_remote
from bioppo.envs.perturbation.loading import load_prepared
from bioppo.envs.perturbation.options import DataOptions, SplitOptions
from bioppo.envs.perturbation.sources.presets import PRESETS, preset_options

SINGLE = [f"gene{number:03d}" for number in range(240)]


def write_cells(path, preset, count, cells=40):
    """Write counts under the labels and columns that a preset expects."""
    random = np.random.default_rng(0)
    columns = DataOptions(**PRESETS[preset].columns)
    labels = SINGLE[:count] if count <= len(SINGLE) else [f"label_{number}" for number in range(count)]
    labels = np.repeat([*columns.control_labels, *labels], cells)
    obs = {columns.pert_col: labels}
    for key in (columns.cell_type_col, columns.batch_col):
        if key:
            obs[key] = np.array(["one", "two"])[np.arange(len(labels)) % 2]
    names = [f"gene{number:03d}" for number in range(30)]
    var = pd.DataFrame({columns.gene_col: names} if columns.gene_col else {}, index=[f"id_{name}" for name in names])
    if not columns.gene_col:
        var.index = pd.Index(names)
    counts = random.poisson(2.0, (len(labels), 30)).astype(np.float32)
    obs = pd.DataFrame(obs, index=[f"cell_{row}" for row in range(len(labels))])
    path.parent.mkdir(parents=True, exist_ok=True)
    anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=var).write_h5ad(path)


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Return a folder that is used as the mirror, with a cache of the test's own."""
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BIOPPO_DATA_MIRROR", (tmp_path / "mirror").as_uri())
    return tmp_path / "mirror"


def without_checksums(path, monkeypatch):
    """Use the catalogue as it would be if no source had stated checksums and sizes."""
    entries = yaml.safe_load(catalogue.CATALOGUE.read_text())
    for entry in entries.values():
        entry["files"] = {name: {"url": facts["url"]} for name, facts in entry["files"].items()}
    path.write_text(yaml.safe_dump(entries))
    monkeypatch.setattr(catalogue, "CATALOGUE", path)


def test_every_preset_is_a_file_of_the_catalogue():
    sets = read_catalogue()
    for name, preset in PRESETS.items():
        assert [file.name for file in sets[name].files] == [preset.file]
        DataOptions(**preset.columns)
    known = {file.md5 for name in PRESETS for file in sets[name].files if file.md5}
    assert {"c870e6967d91c017d9da827bab183cd6", "cc7f1ec50aeb3a3e1b4a6cfa713d80fa"} < known
    assert data_set("norman2019").files[0].bytes == 698_680_199
    assert data_set("smad2_ipsc").homepage.endswith("15731884")


def test_the_command_gets_a_set_that_then_loads(mirror, bioppo):
    write_cells(mirror / "vcc2025_h1" / "adata_Training.h5ad", "vcc2025_h1", 150)
    answer = bioppo("data", "get", "vcc2025_h1", env=dict(os.environ))
    assert answer.returncode == 0, answer.stderr
    assert "challenge terms; user accepts them" in answer.stdout
    prepared = load_prepared(DataOptions(source="preset", preset="vcc2025_h1", n_genes=30))
    assert len(prepared.perturbations) == 150
    assert prepared.provenance["preset"] == "vcc2025_h1"
    assert (prepared.label < 0).sum() == 40
    assert prepared.expression.shape == (151 * 40, 30)


@pytest.mark.parametrize(
    ("preset", "count"),
    [("norman2019", 236), ("kang2018", 1), ("parse_cytokine", 90), ("adamson2016_10x001", 7), ("papalexi2021", 12)],
)
def test_columns_of_every_kind_are_found(preset, count, mirror, tmp_path, monkeypatch):
    without_checksums(tmp_path / "catalogue.yaml", monkeypatch)
    write_cells(mirror / preset / PRESETS[preset].file, preset, count)
    with pytest.raises(UserError, match=f"run bioppo data get {preset}"):
        load_prepared(DataOptions(source="preset", preset=preset))
    download.get(preset)
    split = SplitOptions(held_out_perturbations=0.2 if count > 1 else 0)
    prepared = load_prepared(DataOptions(source="preset", preset=preset, n_genes=30), split=split)
    assert len(prepared.perturbations) == count
    assert len(prepared.cell_types) == (2 if "cell_type_col" in PRESETS[preset].columns else 1)


def test_gene_names_of_the_originals_come_from_their_column(mirror):
    options = DataOptions(source="preset", preset="replogle2022_k562_essential_original", min_cells_per_perturbation=1)
    write_cells(mirror / options.preset / PRESETS[options.preset].file, options.preset, 1950, cells=1)
    download.get(options.preset)
    with pytest.raises(UserError, match="has 1 control cells left, fewer than 30"):
        load_prepared(options)
    assert preset_options(options).gene_col == "gene_name"


def test_another_file_than_expected_is_refused(mirror):
    write_cells(mirror / "vcc2025_h1" / "adata_Training.h5ad", "vcc2025_h1", 60, cells=2)
    download.get("vcc2025_h1")
    message = r"preset=vcc2025_h1: .*adata_Training.h5ad has 60 perturbations in target_gene instead of 150: .*data get"
    with pytest.raises(UserError, match=message):
        load_prepared(DataOptions(source="preset", preset="vcc2025_h1"))


def test_a_file_with_another_checksum_is_refused(mirror):
    path = mirror / "adamson2016_10x001" / "AdamsonWeissman2016_GSM2406675_10X001.h5ad"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\0" * 34_557_246)
    with pytest.raises(UserError, match="232f7e3756d41602bbe434b50662a76f"):
        download.get("adamson2016_10x001")


def test_what_the_user_says_goes_before_the_preset(mirror, tmp_path):
    options = DataOptions(source="preset", preset="vcc2025_h1", path=str(tmp_path / "mine.h5ad"), pert_col="guide")
    chosen = preset_options(options)
    assert (chosen.path, chosen.pert_col, chosen.control_label) == (options.path, "guide", "non-targeting")
    with pytest.raises(UserError, match="preset=norman: did you mean norman2019"):
        preset_options(DataOptions(source="preset", preset="norman"))


def test_the_name_behind_an_address_is_not_sent(server):
    with open_remote(f"{server.url}/core/model.json#/model.json", 0) as (start, chunks):
        assert (start, b"".join(chunks)) == (0, b'{"reactions": []}\n')
