"""The embedded landscape: what it promises about its cells, and that the equations can be read back from them."""

import numpy as np
import pytest
from scipy.stats import kstest

from bioppo import UserError
from bioppo.envs.reprogramming import landscape
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.landscape import OWNED, PARENTS, PRESETS, TFS
from bioppo.envs.reprogramming.options import DataOptions, TableOptions


@pytest.fixture(scope="module")
def cells():
    return landscape.generate("standard", 0)


@pytest.mark.parametrize("preset", PRESETS)
def test_shapes_names_and_values(preset):
    cells = landscape.generate(preset, 3)
    size = PRESETS[preset]
    assert cells.X.shape == (size.cells, size.genes)
    assert np.isfinite(cells.X).all()
    assert (cells.X >= 0).all()
    assert cells.log_normalised
    assert cells.embedding is None
    assert len(set(cells.genes)) == size.genes
    assert len(set(cells.cells)) == size.cells
    assert list(cells.clusters) == sorted(PARENTS)
    assert np.bincount(cells.cluster_of_cell, minlength=12).min() >= 10
    assert (cells.X > 0).sum(axis=1).min() >= 200, "no cell may fall to the filter of empty cells"


def test_a_seed_gives_its_cells():
    first, again, other = (landscape.generate("easy", seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.X, again.X)
    assert first.regulators == again.regulators
    assert not np.array_equal(first.X, other.X)


def test_easy_and_standard_are_the_same_cells(cells):
    np.testing.assert_array_equal(landscape.generate("easy", 0).X, cells.X)


@pytest.mark.parametrize(
    ("preset", "expected"),
    [("easy", (100, "pca2", 1.5, 20)), ("standard", (100, "pca2", 1.0, 20)), ("hard", (200, "pca2", 1.0, 30))],
)
def test_nulls_stand_for_what_fits_the_preset(preset, expected):
    config = ReprogrammingConfig(data=DataOptions(preset=preset))
    table = config.table
    assert (table.neighbors, table.embedding, table.gain, config.impute.k) == expected
    assert config.impute.k == PRESETS[preset].cells // 100
    assert (config.grn.alpha, config.sim.n_propagation) == (10.0, 3)


def test_nulls_of_files_and_what_the_user_gives():
    of_file = ReprogrammingConfig(data=DataOptions(kind="h5ad", h5ad="cells.h5ad"))
    table = of_file.table
    assert (table.neighbors, table.embedding, table.gain, of_file.impute.k) == (200, "stored", 1.0, None)
    given = ReprogrammingConfig(data=DataOptions(preset="easy"), table=TableOptions(neighbors=50, gain="auto"))
    assert (given.table.neighbors, given.table.embedding, given.table.gain) == (50, "pca2", "auto")


@pytest.mark.parametrize("gain", [0.0, -1, "fast", True])
def test_a_gain_is_positive_or_auto(gain):
    with pytest.raises(UserError, match=r"table\.gain=.*: give a positive number, or auto"):
        ReprogrammingConfig(table=TableOptions(gain=gain))


def test_owned_factors_and_types_are_complete():
    assert len(TFS) == len(set(TFS)) == 108
    assert set(OWNED) == set(PARENTS)
    assert all(len(names.split()) == 6 for names in OWNED.values())


def test_programs_decay_along_the_tree():
    drawn = np.mean([landscape.draw_programs(np.random.default_rng(seed)) for seed in range(60)], axis=0)
    row = drawn[list(PARENTS).index("Ery")]
    of = {name: row[[TFS.index(tf) for tf in OWNED[name].split()]].mean() for name in ("Ery", "MEP", "MPP", "HSC", "T")}
    expected = {"Ery": 2.5, "MEP": 0.3 + 2.2 * 0.55, "MPP": 0.3 + 2.2 * 0.55**2, "HSC": 0.3 + 2.2 * 0.55**3, "T": 0.3}
    assert of == pytest.approx(expected, abs=0.03)


def test_cells_lie_between_their_type_and_its_parent():
    generator = np.random.default_rng(0)
    programs = landscape.draw_programs(generator)
    kinds, expressed = landscape.draw_cells(PRESETS["hard"], programs, generator)
    names = list(PARENTS)
    member = kinds == names.index("Ery")
    top, bottom = programs[names.index("Ery")], programs[names.index("MEP")]
    axis = top - bottom
    place = (expressed[member] - bottom) @ axis / (axis @ axis)
    assert kstest(place, "beta", (3.0, 1.2)).statistic < 0.12
    assert place.mean() == pytest.approx(3.0 / 4.2, abs=0.05)


def test_other_genes_answer_to_three_to_eight_factors():
    generator = np.random.default_rng(1)
    expressed = generator.uniform(0, 3, (400, 108))
    weights, values = landscape.draw_targets(expressed, 200, generator)
    count = (weights != 0).sum(axis=1)
    assert set(count) == set(range(3, 9))
    drawn = weights[weights != 0]
    assert drawn.mean() == pytest.approx(0.15, abs=0.05)
    assert drawn.std() == pytest.approx(0.45, abs=0.05)
    residual = values - np.log1p(np.exp(expressed @ weights.T - 0.2))
    assert residual[values > 0].std() == pytest.approx(0.125, abs=0.005)


def test_the_base_network_holds_the_truth_and_decoys(cells):
    truth = np.random.default_rng(0).random((192, 108)) < 0.05
    edges = landscape.link_genes(truth, np.random.default_rng(2))
    assert edges.shape == (108, 300)
    assert not edges[:, :108].diagonal().any()
    assert (edges[:, 108:] >= truth.T).all()
    assert edges[:, 108:][~truth.T].mean() == pytest.approx(0.05, abs=0.01)
    position = {tf: place for place, tf in enumerate(TFS)}
    for pair in (("Gata2", "Erg"), ("Gata1", "Klf3"), ("Klf3", "Gata1")):
        assert edges[position[pair[0]], position[pair[1]]]
    fillers = edges[72:, 72:108]
    assert fillers.mean() == pytest.approx(0.12, abs=0.03)
    assert all(gene not in tfs for gene, tfs in cells.regulators.items())
    assert set(cells.regulators) == set(cells.genes)


def test_an_unknown_preset_is_refused():
    with pytest.raises(UserError, match=r"data\.preset=huge: choose one of easy"):
        landscape.generate("huge", 0)
