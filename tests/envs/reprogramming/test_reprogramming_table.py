import dataclasses
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.data import TEST, TRAIN, VALIDATION, Actions, Grn, Prepared
from bioppo.envs.reprogramming.dynamics.multi_gene import add_combinations
from bioppo.envs.reprogramming.options import DataOptions, DynamicsOptions, SimOptions, TableOptions
from bioppo.envs.reprogramming.simulation import Simulation
from bioppo.envs.reprogramming.table import build, build_cached, load, load_table, resnap, save
from bioppo.envs.reprogramming.tables import cache as table_cache
from bioppo.envs.reprogramming.tables.all_moves import MoveOptions, move_key
from bioppo.envs.reprogramming.tables.blocks import BlockStore, block_size, plan_blocks
from bioppo.envs.reprogramming.tables.file import features_path

GOLDEN = Path(__file__).parents[2] / "data" / "reprogramming"


def golden(name):
    return np.load(GOLDEN / f"{name}.npz")


def read_simulation():
    """The golden cells, CellOracle's network of each type, and a knock-out and an overexpression of ten genes."""
    meta, inputs, task = (
        json.loads((GOLDEN / "meta.json").read_text()),
        golden("simulation_inputs"),
        golden("table_task"),
    )
    split = np.full(120, TRAIN, dtype=np.int8)
    split[task["val"]], split[task["test"]] = VALIDATION, TEST
    features = ((inputs["imputed"] - task["scaler_mean"]) / task["scaler_scale"]).astype(np.float32)
    genes, tfs = np.array(meta["genes"]), np.array(meta["tfs"])
    prepared = Prepared(
        lognorm=inputs["X_lognorm"],
        imputed=inputs["imputed"],
        features=features,
        pcs=features[:, :6].astype(np.float64),
        cells=np.array(meta["cells"]),
        genes=genes,
        cluster_of_cell=inputs["cluster"].astype(np.int32),
        clusters=np.array(meta["clusters"]),
        embedding=inputs["embedding"],
        split=split,
        regulators=meta["base_grn"],
        log=("golden",),
    )
    grn = Grn(golden("grn")["coef_cluster_alpha10"], tfs, genes, np.ones(10, dtype=bool))
    levels = dict(zip(tfs.tolist(), inputs["oe_from_lognorm"].tolist(), strict=True))
    conditions = ({gene: 0.0} for gene in levels), ({gene: level} for gene, level in levels.items())
    names = np.array([f"{kind} {gene}" for kind in ("KO", "OE") for gene in levels])
    actions = Actions(names, (*conditions[0], *conditions[1]), np.repeat([False, True], 10))
    return Simulation(prepared, grn, actions, "golden")


@pytest.fixture(scope="module")
def simulation():
    return read_simulation()


def options(*, dynamics=None, sim=None, **table):
    chosen = {"neighbors": 15, "nan_policy": "celloracle", "precision": "float64"} | table
    return ReprogrammingConfig(
        data=DataOptions(kind="h5ad", h5ad="golden.h5ad"),
        table=TableOptions(**chosen),
        dynamics=DynamicsOptions(**(dynamics or {})),
        sim=SimOptions(**(sim or {})),
    )


def make(simulation, config, **more):
    return build(simulation.prepared, simulation.grn, simulation.actions, config, **more)


@pytest.fixture(scope="module")
def table(simulation):
    return make(simulation, options())


@pytest.fixture
def room(tmp_path, monkeypatch):
    """An empty cache of the test's own."""
    monkeypatch.setenv("BIOPPO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "reprogramming"


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gain", "name"), [(1.0, "gain1"), (1.5, "gain1p5")])
def test_the_golden_tables_are_rebuilt(simulation, gain, name):
    expected = golden("table_task")
    built = make(simulation, options(gain=gain))
    np.testing.assert_array_equal(built.next, expected[f"table_{name}"])
    np.testing.assert_allclose(built.shift, expected["shift"], atol=1e-7)
    rough = make(simulation, options(gain=gain, precision="float32"))
    sure = expected[f"margin_{name}"] > 1e-3
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(rough.next[sure], expected[f"table_{name}"][sure])
    np.testing.assert_allclose(rough.shift, expected["shift"], atol=1e-4)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_size_of_blocks_changes_nothing(simulation, table, size, monkeypatch):
    monkeypatch.setattr("bioppo.envs.reprogramming.tables.all_moves.block_size", lambda *_: size)
    np.testing.assert_array_equal(make(simulation, options()).next, table.next)


def test_the_order_of_cells_changes_nothing(simulation, table):
    order = np.random.default_rng(0).permutation(120)
    there = {
        name: getattr(simulation.prepared, name)[order]
        for name in ("lognorm", "imputed", "features", "pcs", "cells", "cluster_of_cell", "embedding", "split")
    }
    shuffled = dataclasses.replace(simulation.prepared, **there)
    built = build(shuffled, simulation.grn, simulation.actions, options())
    np.testing.assert_array_equal(order[built.next], table.next[order])


def test_torch_builds_the_same_table(simulation, table):
    np.testing.assert_array_equal(make(simulation, options(), device="torch:cpu").next, table.next)


def test_unchanged_cells_stay(simulation, table):
    silent = simulation.prepared.imputed[:, simulation.prepared.genes == "xtf02"][:, 0] == 0
    assert silent.sum() > 5
    column = table.actions.names.tolist().index("KO xtf02")
    np.testing.assert_array_equal(table.next[silent, column], np.flatnonzero(silent))
    assert not table.shift[silent, column].any()


def test_moves_are_made_in_principal_components_where_cells_are_snapped_there(simulation):
    built = make(simulation, options(snap="pca3", gain="auto"))
    assert built.shift.shape == (120, 20, 3)
    space = simulation.prepared.pcs[:, :3]
    target = space[:, None] + built.meta["gain"] * built.shift
    nearest = np.linalg.norm(target[:, :, None] - space, axis=-1).argmin(axis=-1)
    moved = built.shift.any(axis=-1)
    np.testing.assert_array_equal(built.next[moved], nearest[moved])
    with pytest.raises(UserError, match=r"table.snap=pca9: there are 6 principal components"):
        make(simulation, options(snap="pca9"))


def test_magnitude_makes_steps_follow_the_size_of_changes(simulation, table):
    scaled = make(simulation, options(shift="magnitude"))
    both = np.linalg.norm(table.shift, axis=-1) > 1e-3
    ratio = np.linalg.norm(scaled.shift, axis=-1)[both] / np.linalg.norm(table.shift, axis=-1)[both]
    assert ratio.max() / ratio.min() > 5
    assert np.median(ratio) == pytest.approx(1.0, abs=0.2)


def test_few_cells_have_fewer_neighbours(simulation):
    with pytest.warns(UserWarning, match=r"table.neighbors=200: there are 120 cells"):
        built = make(simulation, options(neighbors=200))
    np.testing.assert_array_equal(built.next, make(simulation, options(neighbors=24)).next)


def test_numbers_that_are_not_finite_are_named(simulation):
    prepared, grn = simulation.prepared, simulation.grn

    def spoilt(values, *place):
        values = values.copy()
        values[place] = np.nan
        return values

    with pytest.raises(UserError, match=r"W: 1 coefficients are not finite, that of xtf01"):
        build(prepared, dataclasses.replace(grn, W=spoilt(grn.W, 0, 1, 2)), simulation.actions, options())
    for name, message in (
        ("embedding", r"embedding: 1 cells have places that are not finite, cell 4"),
        ("imputed", r"expression: 1 values are not finite, that of .* in cell 4"),
    ):
        cells = dataclasses.replace(prepared, **{name: spoilt(getattr(prepared, name), 4, 1)})
        with pytest.raises(UserError, match=message):
            build(cells, grn, simulation.actions, options())
    unknown = dataclasses.replace(simulation.actions, conditions=({"nobody": 0.0},) * 20)
    with pytest.raises(UserError, match=r"nobody is none of the 60 measured genes"):
        build(prepared, grn, unknown, options())
    fewer = dataclasses.replace(grn, genes=grn.genes[::-1])
    with pytest.raises(UserError, match=r"The network has 60 genes and the cells 60, or in another order"):
        build(prepared, fewer, simulation.actions, options())


# --- another gain ---------------------------------------------------------------------------------------------------


def test_another_gain_needs_no_simulation(simulation, table):
    np.testing.assert_array_equal(resnap(table, 1.5).next, golden("table_task")["table_gain1p5"])
    assert resnap(table, 1.5).meta["gain"] == 1.5
    automatic = resnap(table, "auto")
    length = np.linalg.norm(table.shift, axis=-1)
    extent = np.ptp(table.embedding, axis=0).max()
    assert automatic.meta["gain"] * length[length > 0].mean() == pytest.approx(0.1 * extent)


def test_a_cached_build_with_another_gain_reuses_the_moves(simulation, room):
    first = build_cached(simulation, options())
    done = []
    second = build_cached(simulation, options(gain=1.5), progress=lambda *count: done.append(count))
    assert done == [(120, 120)]
    np.testing.assert_array_equal(second.next, golden("table_task")["table_gain1p5"])
    assert first.meta["key"] != second.meta["key"]


# --- stochastic and multi-gene columns ------------------------------------------------------------------------------


def test_stochastic_tables_keep_the_most_probable_neighbours(simulation, tmp_path):
    config = options(dynamics={"kind": "stochastic", "top_q": 4})
    built = load(save(make(simulation, config), tmp_path / "table.npz"))
    assert built.neighbours.shape == built.probability.shape == (120, 20, 4)
    assert built.probability.dtype == np.float16
    np.testing.assert_allclose(built.probability.sum(axis=-1, dtype=float), 1, atol=2e-3)
    assert (np.diff(built.probability.astype(float), axis=-1) <= 0).all()
    still = ~built.shift.any(axis=-1)
    assert still.any()
    np.testing.assert_array_equal(built.neighbours[still][:, 0], np.nonzero(still)[0])
    np.testing.assert_array_equal(built.probability[still], np.tile([1, 0, 0, 0], (still.sum(), 1)))
    # The golden probabilities of one action, of 16 neighbours as CellOracle takes them.
    wide = make(simulation, options(plus_one=True, dynamics={"kind": "stochastic", "top_q": 4}))
    projection = golden("projection")
    column = built.actions.names.tolist().index("KO xtf00")
    place = np.argsort(-projection["prob_KO_a"], axis=1, kind="stable")[:, :4]
    best = np.take_along_axis(projection["prob_KO_a"], place, axis=1)
    moved = wide.shift[:, column].any(axis=-1)
    expected = (best / best.sum(axis=1, keepdims=True))[moved]
    np.testing.assert_allclose(wide.probability[moved, column], expected, atol=1e-3)


def test_a_combination_is_a_column_like_celloracles(simulation, tmp_path):
    meta = json.loads((GOLDEN / "meta.json").read_text())
    (tmp_path / "more.csv").write_text("KO xtf01,OE xtf03\nKO xtf06,OE xtf03\n")
    actions = add_combinations(simulation.actions, str(tmp_path / "more.csv"))
    assert actions.names[20:].tolist() == ["KO xtf01 + OE xtf03", "KO xtf06 + OE xtf03"]
    assert actions.conditions[20] == pytest.approx(meta["conditions"]["pair_KO_OE"])
    assert actions.activates[20:].all()
    built = build(simulation.prepared, simulation.grn, actions, options(plus_one=True, gain=3.0))
    np.testing.assert_array_equal(built.next[:, 20], golden("projection")["next_pair_KO_OE_gain3.0"])
    np.testing.assert_array_equal(built.next[:, 21], golden("projection")["next_pair_partly_silent_gain3.0"])
    again = load(save(built, tmp_path / "table.npz"))
    assert again.actions.conditions == built.actions.conditions


def test_pairs_of_genes_are_combined_in_all_ways(simulation, tmp_path):
    actions = add_combinations(simulation.actions, "pairs:xtf00,xtf01,xtf02")
    assert len(actions.names) == 20 + 3 * 4
    assert actions.conditions[20] == {"xtf00": 0.0, "xtf01": 0.0}
    assert not actions.activates[20]
    (tmp_path / "more.json").write_text('[["KO xtf00", "KO xtf01", "OE xtf02"]]')
    assert add_combinations(simulation.actions, str(tmp_path / "more.json")).names[20].count(" + ") == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("KO xtf00,OE xtf99\n", r"there is no action 'OE xtf99'"),
        ("KO xtf00,OE xtf00\n", r"KO xtf00 \+ OE xtf00 perturbs a gene twice"),
        ("KO xtf00,OE xtf01\nKO xtf00,OE xtf01\n", r"KO xtf00 \+ OE xtf01 is there twice"),
        ("KO xtf00\n", r"KO xtf00 is one action alone"),
    ],
)
def test_combinations_that_make_no_sense_are_refused(simulation, tmp_path, content, message):
    (tmp_path / "more.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        add_combinations(simulation.actions, str(tmp_path / "more.csv"))


def test_too_many_combinations_are_refused(simulation):
    names = ",".join(f"gene{number}" for number in range(60))
    with pytest.raises(UserError, match=r"7080 combinations beside 20 actions are more than 5000 columns"):
        add_combinations(simulation.actions, f"pairs:{names}")
    for source, message in (("pairs:xtf00", "two or more different genes"), ("missing.csv", "there is no such file")):
        with pytest.raises(UserError, match=message):
            add_combinations(simulation.actions, source)


# --- the file -------------------------------------------------------------------------------------------------------


def rewrite(path, **changes):
    """Change arrays of a table's file, or leave those out that are None."""
    arrays = dict(np.load(path)) | changes
    np.savez(path, **{name: values for name, values in arrays.items() if values is not None})


def test_a_file_holds_the_whole_table_without_pickles(table, tmp_path):
    named = dataclasses.replace(table, genes=table.genes.astype(object), cells=table.cells.astype(object))
    path = save(named, tmp_path / "deep" / "table.npz")
    assert sorted(file.name for file in path.parent.iterdir()) == ["features.npy", "table.npz"]
    with np.load(path, allow_pickle=False) as arrays:
        assert {"T", "shift", "genes", "tfs", "action_names", "action_values", "clusters", "cells"} <= set(arrays)
        assert all(arrays[name].dtype != object for name in arrays)
    again = load(path)
    assert isinstance(again.features, np.memmap)
    for name in (
        "next",
        "shift",
        "genes",
        "tfs",
        "clusters",
        "cluster_of_cell",
        "embedding",
        "cells",
        "features",
        "pcs",
    ):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))
    np.testing.assert_array_equal(again.split, table.split)
    assert again.actions.conditions == table.actions.conditions
    assert again.meta["gain"] == 1.0
    other = save(table, tmp_path / "deep" / "other.npz")
    assert features_path(other).name == "other_features.npy"


def test_whole_numbers_of_other_types_are_converted_with_a_note(table, tmp_path):
    path = save(table, tmp_path / "table.npz")
    for kind in (np.int64, np.float64, np.uint16):
        rewrite(path, T=table.next.astype(kind))
        again = load(path)
        assert again.next.dtype == np.int32
        np.testing.assert_array_equal(again.next, table.next)
        assert again.meta["notes"] == [f"{path}: T was {np.dtype(kind)} and was converted to int32."]
    config = ReprogrammingConfig(data=DataOptions(table=str(path)))
    with pytest.warns(UserWarning, match="T was uint16 and was converted to int32"):
        np.testing.assert_array_equal(load_table(config).next, table.next)


WRONG = {
    "width": ({"T": lambda t: t.next[:, :19]}, r"T has 19 columns and there are 20 actions"),
    "range": (
        {"T": lambda t: np.where(t.next == 5, 120, t.next)},
        r"T has \d+ positions outside 0 to 119, such as 120",
    ),
    "negative": ({"T": lambda t: np.where(t.next == 5, -1, t.next)}, r"outside 0 to 119, such as -1"),
    "fractions": ({"T": lambda t: t.next + 0.5}, r"T is float64 and 2400 entries are no whole numbers, such as"),
    "nan": ({"T": lambda t: np.where(t.next == 5, np.nan, t.next)}, r"no whole numbers, such as nan"),
    "text": ({"T": lambda t: t.next.astype(str)}, r"T is of type <U"),
    "flat": ({"T": lambda t: t.next.ravel()}, r"T has 1 dimensions"),
    "rows": ({"cluster_of_cell": lambda t: t.cluster_of_cell[:9]}, r"cluster_of_cell has 9 rows and T 120"),
    "shift": ({"shift": lambda t: t.shift[:, :3]}, r"shift is \(120, 3, 2\) and T \(120, 20\)"),
    "types": ({"clusters": lambda t: t.clusters[:1]}, r"cluster_of_cell has 53 positions outside 0 to 0"),
    "cells": ({"cells": lambda t: np.repeat(t.cells[:60], 2)}, r"cells: 60 names occur twice, such as"),
    "actions": ({"action_names": lambda t: np.repeat(t.actions.names[:10], 2)}, r"action_names: 10 names occur twice"),
    "drawing": (
        {"embedding": lambda t: np.where(t.embedding > 0, np.inf, t.embedding)},
        r"embedding has \d+ rows with",
    ),
    "values": ({"action_values": lambda t: np.zeros((20, 3))}, r"action_values is \(20, 3\)"),
    "absent": ({"tfs": lambda t: None, "split": lambda t: None}, r"lacks tfs, split: it is no transition table"),
    "pickle": ({"cells": lambda t: t.cells.astype(object)}, r"holds pickled objects, which are not read"),
}


@pytest.mark.parametrize("case", WRONG)
def test_tables_that_do_not_fit_together_are_refused(table, tmp_path, case):
    changes, message = WRONG[case]
    path = save(table, tmp_path / "table.npz")
    rewrite(path, **{name: change(table) for name, change in changes.items()})
    with pytest.raises(UserError, match=message):
        load(path)


def test_files_that_are_damaged_missing_or_of_another_table_are_refused(table, tmp_path):
    path = save(table, tmp_path / "table.npz")
    np.save(features_path(path), np.asarray(table.features) + 1)
    with pytest.raises(UserError, match=r"features.npy does not belong to its table"):
        load(path)
    features_path(path).unlink()
    with pytest.raises(UserError, match=r"features.npy is missing"):
        load(path)
    content = save(table, path).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"table.npz is damaged"):
        load(path)
    flipped = bytearray(content)
    flipped[content.index(table.next.tobytes()) + 40] ^= 1
    path.write_bytes(bytes(flipped))
    with pytest.raises(UserError, match=r"table.npz is damaged"):
        load(path)
    with pytest.raises(UserError, match=r"data.table=.*none.npz: there is no such file"):
        load(tmp_path / "none.npz")


def test_a_full_disk_stops_with_the_path_and_leaves_the_old_file(table, tmp_path):
    path = save(table, tmp_path / "table.npz")
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # as far as a process can tell, the disk is full
    try:
        with pytest.raises(UserError, match=r"Cannot write .*features.npy \(File too large\).*BIOPPO_CACHE"):
            save(resnap(table, 2.0), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["features.npy", "table.npz"]
    load(path)


# --- blocks ---------------------------------------------------------------------------------------------------------


def test_blocks_hold_one_type_each_and_fit_into_memory():
    cluster = np.array([1, 0, 1, 1, 0, 2])
    blocks = plan_blocks(cluster, 2)
    assert [(block.cluster, block.first, block.stop) for block in blocks] == [
        (0, 0, 2),
        (1, 2, 4),
        (1, 4, 5),
        (2, 5, 6),
    ]
    assert block_size(1024, 216, 3000, 4) == 1024 * 2**20 // (216 * 3000 * 4 * 3)
    with pytest.raises(UserError, match=r"table.memory_mb=1: one cell with 216 actions and 3000 genes takes 8 MiB"):
        block_size(1, 216, 3000, 4)


SLOW_BUILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, {folder!r})
from test_reprogramming_table import make, options, read_simulation
from bioppo.envs.reprogramming.tables import all_moves as table_moves
from bioppo.envs.reprogramming.table import save

table_moves.block_size = lambda *_: 5
wait = float(sys.argv[2])
built = make(read_simulation(), options(), folder=Path(sys.argv[1]), progress=lambda *_: time.sleep(wait))
save(built, Path(sys.argv[1]) / "table.npz")
"""


def start_build(folder, wait):
    script = SLOW_BUILD.format(folder=str(Path(__file__).parent))
    return subprocess.Popen([sys.executable, "-c", script, str(folder), str(wait)])


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_build_that_was_killed_goes_on_to_the_same_bytes(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    other = start_build(whole, 0.0)
    process = start_build(killed, 0.2)
    deadline = time.monotonic() + 60
    while len(list(killed.glob("blocks/*.npz"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = {path.name: path.stat().st_mtime_ns for path in killed.glob("blocks/*.npz")}
    listed = [entry for entry in json.loads((killed / "manifest.json").read_text())["blocks"] if entry["sha256"]]
    assert 3 <= len(listed) < 25
    assert not (killed / "table.npz").exists()
    assert start_build(killed, 0.0).wait() == 0
    assert other.wait() == 0
    kept = [entry["file"].removeprefix("blocks/") for entry in listed]
    assert all((killed / "blocks" / name).stat().st_mtime_ns == done[name] for name in kept)
    assert files_of(killed) == files_of(whole)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr("bioppo.envs.reprogramming.tables.all_moves.block_size", lambda *_: 10)


@pytest.mark.usefixtures("small_blocks")
def test_a_damaged_block_alone_is_computed_again(simulation, table, tmp_path):
    make(simulation, options(), folder=tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("blocks/*")}
    damaged, missing = sorted(tmp_path.glob("blocks/*"))[2:4]
    damaged.write_bytes(damaged.read_bytes()[:-9] + b"x" * 9)
    missing.unlink()
    done = []
    with pytest.warns(UserWarning, match=r"is missing or damaged, and is computed again") as notes:
        again = make(simulation, options(), folder=tmp_path, progress=lambda *count: done.append(count))
    assert len(notes) == 2
    assert len(done) == 3
    np.testing.assert_array_equal(again.next, table.next)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("blocks/*")}
    assert {name for name in after if after[name] != before[name]} == {damaged.name, missing.name}


@pytest.mark.usefixtures("small_blocks")
def test_blocks_of_other_cells_and_damaged_manifests_do_not_count(simulation, table, tmp_path):
    make(simulation, options(sigma=0.1), folder=tmp_path)
    for name in ("blocks/.half.npz.1.part", ".manifest.json.1.part"):
        (tmp_path / name).write_bytes(b"half")
    np.testing.assert_array_equal(make(simulation, options(), folder=tmp_path).next, table.next)
    assert not list(tmp_path.rglob(".*.part"))
    (tmp_path / "manifest.json").write_text("{")
    with pytest.warns(UserWarning, match=r"manifest.json is damaged, so all blocks are computed again"):
        np.testing.assert_array_equal(make(simulation, options(), folder=tmp_path).next, table.next)


@pytest.mark.usefixtures("small_blocks")
def test_a_build_on_a_full_disk_stops_and_goes_on_once_there_is_space(simulation, table, tmp_path):
    make(simulation, options(), folder=tmp_path / "whole")
    largest = max(path.stat().st_size for path in (tmp_path / "whole").rglob("*.npz"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, hard))
    try:
        with pytest.raises(UserError, match=r"Cannot write .*blocks/.*npz \(File too large\).*to continue"):
            make(simulation, options(), folder=tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "full").rglob(".*.part"))
    np.testing.assert_array_equal(make(simulation, options(), folder=tmp_path / "full").next, table.next)
    assert files_of(tmp_path / "full") == files_of(tmp_path / "whole")


def test_a_plan_of_smaller_blocks_is_kept_and_one_of_larger_is_not(tmp_path):
    cluster = np.repeat([0, 1], 20)
    store = BlockStore(tmp_path, "key", plan_blocks(cluster, 5))
    store.write(store.blocks[0], {"shift": np.zeros(5)})
    assert BlockStore(tmp_path, "key", plan_blocks(cluster, 10)).read(store.blocks[0]) is not None
    smaller = BlockStore(tmp_path, "key", plan_blocks(cluster, 4))
    assert [block.stop - block.first for block in smaller.blocks] == [4] * 10
    assert not list(tmp_path.glob("blocks/*"))


# --- the cache ------------------------------------------------------------------------------------------------------


def test_the_key_changes_with_everything_that_moves_follow_from(simulation, monkeypatch):
    prepared, grn, actions = simulation.prepared, simulation.grn, simulation.actions
    space = prepared.embedding
    chosen = MoveOptions.of(options())
    keys = [move_key(prepared, grn, actions, chosen, space)]
    again = read_simulation()
    assert keys[0] == move_key(again.prepared, again.grn, again.actions, chosen, again.prepared.embedding)
    for name in ("imputed", "embedding", "cluster_of_cell"):
        values = getattr(prepared, name).copy()
        values[3] += 1
        keys.append(move_key(dataclasses.replace(prepared, **{name: values}), grn, actions, chosen, space))
    keys.append(move_key(prepared, dataclasses.replace(grn, W=grn.W * 2), actions, chosen, space))
    fewer = Actions(actions.names[:19], actions.conditions[:19], actions.activates[:19])
    other_level = (*actions.conditions[:19], {"xtf09": 0.123})
    changed_actions = (fewer, dataclasses.replace(actions, conditions=other_level))
    keys += [move_key(prepared, grn, changed, chosen, space) for changed in changed_actions]
    changed_options = (
        options(sim={"n_propagation": 2}),
        options(sim={"clip": True}),
        options(neighbors=16),
        options(plus_one=True),
        options(sigma=0.06),
        options(nan_policy="zero"),
        options(precision="float32"),
        options(dynamics={"kind": "stochastic"}),
        options(dynamics={"kind": "stochastic", "top_q": 5}),
    )
    keys += [move_key(prepared, grn, actions, MoveOptions.of(config), space) for config in changed_options]
    keys.append(move_key(prepared, grn, actions, chosen, prepared.pcs[:, :3]))
    monkeypatch.setattr("bioppo.envs.reprogramming.tables.all_moves.code_version", lambda *_: "other code")
    keys.append(move_key(prepared, grn, actions, chosen, space))
    assert len(set(keys)) == len(keys)
    same = MoveOptions.of(options(gain=3.0, memory_mb=9, shift="magnitude", dynamics={"top_q": 3}))
    assert same == chosen


def test_a_table_is_found_again(simulation, room):
    first = build_cached(simulation, options())
    stamp = {path: path.stat().st_mtime_ns for path in room.rglob("*.npz")}
    second = build_cached(simulation, options(), progress=lambda *_: pytest.fail("built again"))
    np.testing.assert_array_equal(first.next, second.next)
    assert isinstance(second.features, np.memmap)
    assert stamp == {path: path.stat().st_mtime_ns for path in room.rglob("*.npz")}
    assert second.meta["source"] == "golden"


@pytest.mark.parametrize("name", ["table.npz", "features.npy"])
def test_a_damaged_cache_is_built_again_with_a_warning(simulation, room, name):
    first = build_cached(simulation, options())
    (path,) = room.glob(f"tables/*/{name}")
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    with pytest.warns(UserWarning, match=rf"{name}.*It is built again"):
        second = build_cached(simulation, options())
    np.testing.assert_array_equal(first.next, second.next)
    build_cached(simulation, options(), progress=lambda *_: pytest.fail("built again"))


def test_without_a_cache_nothing_is_written(simulation, table, room):
    np.testing.assert_array_equal(build_cached(simulation, options(cache=False)).next, table.next)
    assert not room.exists()


def test_a_cache_that_cannot_be_written_is_named(simulation, room):
    room.parent.mkdir()
    room.write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"Cannot write .*reprogramming.*BIOPPO_CACHE.*env.table.cache=false"):
        build_cached(simulation, options())


BOTH = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np
from test_reprogramming_table import options, read_simulation
from bioppo.envs.reprogramming.table import build_cached
import time
built = build_cached(read_simulation(), options(), progress=lambda *_: time.sleep(0.3))
np.save(sys.argv[1], built.next)
"""


def test_two_processes_that_build_the_same_agree(table, room, tmp_path):
    script = BOTH.format(folder=str(Path(__file__).parent))
    environment = os.environ | {"BIOPPO_CACHE": str(room.parent)}
    results = [tmp_path / "one.npy", tmp_path / "two.npy"]
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(path)], env=environment, stderr=subprocess.PIPE, text=True)
        for path in results
    ]
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    for path in results:
        np.testing.assert_array_equal(np.load(path), table.next)
    assert not [path for path in room.rglob("*") if path.name.endswith(".part")]


def test_a_request_is_answered_without_touching_cells(room, monkeypatch):
    config = ReprogrammingConfig(data=DataOptions(preset="easy"))
    key = table_cache.request_key(config)
    assert key == table_cache.request_key(
        ReprogrammingConfig(data=DataOptions(preset="easy"), table=TableOptions(memory_mb=5))
    )
    assert key != table_cache.request_key(ReprogrammingConfig(data=DataOptions(preset="easy", seed=1)))
    built = build_cached(read_simulation(), options(), request=key)
    monkeypatch.setattr("bioppo.envs.reprogramming.table.load_simulation", lambda _: pytest.fail("cells were drawn"))
    began = time.perf_counter()
    np.testing.assert_array_equal(load_table(config).next, built.next)
    assert time.perf_counter() - began < 0.5


def test_a_request_follows_its_files(tmp_path):
    (tmp_path / "cells.h5ad").write_bytes(b"1")
    config = ReprogrammingConfig(data=DataOptions(h5ad=str(tmp_path / "cells.h5ad")))
    assert config.data.kind == "h5ad"
    first = table_cache.request_key(config)
    os.utime(tmp_path / "cells.h5ad", ns=(1, 1))
    second = table_cache.request_key(config)
    (tmp_path / "cells.h5ad").write_bytes(b"22")
    assert len({first, second, table_cache.request_key(config)}) == 3
    (tmp_path / "cells.h5ad").unlink()
    assert table_cache.request_key(config) is None


# --- the thesis project's files -------------------------------------------------------------------------------------


@pytest.fixture
def thesis(table, simulation, tmp_path):
    """That project's three files, and the options that read them."""
    import anndata
    import pandas as pd

    prepared = simulation.prepared
    kinds = pd.Categorical.from_codes(prepared.cluster_of_cell, prepared.clusters.astype(object))
    cells = anndata.AnnData(
        prepared.lognorm,
        obs=pd.DataFrame({"celltype": kinds}, index=prepared.cells.astype(object)),
        var=pd.DataFrame(index=prepared.genes.astype(object)),
        obsm={"X_umap": prepared.embedding},
        layers={"imputed_count": prepared.imputed},
    )
    cells.write_h5ad(tmp_path / "adata.h5ad")
    contents = {"transition_matrix": table.next, "adata": cells, "perturbable_genes": table.genes.tolist()}
    for name, content in contents.items():
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(content))
    return {
        "table": str(tmp_path / "transition_matrix.pkl"),
        "h5ad": str(tmp_path / "adata.pkl"),
        "perturbable_genes": str(tmp_path / "perturbable_genes.pkl"),
        "values": "lognorm",
        "allow_pickle": True,
        "trust_order": True,
    }


def read(chosen):
    return load_table(ReprogrammingConfig(data=DataOptions(**chosen)))


@pytest.mark.filterwarnings("ignore:.*unpickling runs code:UserWarning")
@pytest.mark.parametrize("cells", ["adata.pkl", "adata.h5ad"])
def test_the_thesis_projects_files_become_a_table(thesis, table, tmp_path, cells):
    built = read(thesis | {"h5ad": str(tmp_path / cells)})
    np.testing.assert_array_equal(built.next, table.next)
    assert built.actions.names.tolist() == table.actions.names.tolist()
    assert built.actions.activates.tolist() == [False] * 10 + [True] * 10
    np.testing.assert_array_equal(built.cells, table.cells)
    np.testing.assert_array_equal(built.clusters, table.clusters)
    assert built.features.shape == (120, 60)
    again = load(save(built, tmp_path / "converted.npz"))
    np.testing.assert_array_equal(again.next, table.next)
    with pytest.raises(UserError, match=r"table.gain=2.0: this table holds next cells without moves"):
        resnap(again, 2.0)


def test_unpickling_is_warned_about_file_by_file(thesis):
    with pytest.warns(UserWarning, match="unpickling runs code from the file; open only files you made") as notes:
        read(thesis)
    named = [note for note in notes if "unpickling" in str(note.message)]
    assert [Path(str(note.message).partition(":")[0]).name for note in named] == [
        "transition_matrix.pkl", "adata.pkl", "perturbable_genes.pkl",
    ]  # fmt: skip


class Trap:
    """A pickle of it makes a folder when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_not_read_without_the_flag(thesis, tmp_path):
    Path(thesis["table"]).write_bytes(pickle.dumps(Trap(tmp_path / "trap")))
    with pytest.raises(UserError, match=r"data.allow_pickle=true.*bioppo data convert reprogramming"):
        read(thesis | {"allow_pickle": False})
    assert not (tmp_path / "trap").exists()


def put(path, content):
    Path(path).write_bytes(pickle.dumps(content))


@pytest.mark.filterwarnings("ignore:.*unpickling runs code:UserWarning")
def test_thesis_files_that_do_not_fit_together_are_refused(thesis, table, tmp_path):
    with pytest.raises(UserError, match=r"names no cells.*data.trust_order=true"):
        read(thesis | {"trust_order": False})
    with pytest.raises(UserError, match=r"give data.h5ad=FILE"):
        read(thesis | {"h5ad": None})
    with pytest.raises(UserError, match=r"give data.perturbable_genes=FILE"):
        read(thesis | {"perturbable_genes": None})
    (tmp_path / "genes.txt").write_text("\n".join(table.genes[:7]))
    with pytest.raises(UserError, match=r"has 20 columns and .*genes.txt 7 genes: it needs 14 columns"):
        read(thesis | {"perturbable_genes": str(tmp_path / "genes.txt")})
    (tmp_path / "genes.txt").write_text("\n".join([*table.genes[:9], "nobody"]))
    with pytest.raises(UserError, match=r"1 genes are not measured, such as nobody"):
        read(thesis | {"perturbable_genes": str(tmp_path / "genes.txt")})
    put(thesis["table"], table.next[:100] % 100)
    with pytest.raises(UserError, match=r"has 100 rows and .*adata.pkl 120 cells"):
        read(thesis)
    put(thesis["table"], table.next + 1)
    with pytest.raises(UserError, match=r"outside 0 to 119, such as 120"):
        read(thesis)
    put(thesis["table"], table.next + 0.25)
    with pytest.raises(UserError, match=r"no whole numbers"):
        read(thesis)
    Path(thesis["table"]).write_bytes(b"no pickle")
    with pytest.raises(UserError, match=r"cannot be unpickled"):
        read(thesis)


@pytest.mark.filterwarnings("ignore:.*unpickling runs code:UserWarning")
def test_knock_outs_alone_floats_and_named_rows_are_read(thesis, table, tmp_path):
    import pandas as pd

    put(thesis["table"], table.next[:, :10].astype(float))
    with pytest.warns(UserWarning, match="T was float64 and was converted to int32"):
        half = read(thesis)
    assert half.actions.names.tolist() == table.actions.names[:10].tolist()
    assert not half.actions.activates.any()
    order = np.random.default_rng(1).permutation(120)
    place = np.argsort(order)
    put(thesis["table"], pd.DataFrame(place[table.next[order]].astype(np.int32), index=table.cells[order]))
    np.testing.assert_array_equal(read(thesis | {"trust_order": False}).next, table.next)
    put(thesis["table"], pd.DataFrame(table.next, index=[f"other{number}" for number in range(120)]))
    with pytest.raises(UserError, match=r"differ in 240 cells, such as"):
        read(thesis)


def test_a_finished_table_is_compared_with_an_h5ad_by_name(thesis, table, tmp_path):
    cells = str(tmp_path / "adata.h5ad")
    path = save(table, tmp_path / "table.npz")
    np.testing.assert_array_equal(read({"table": str(path), "h5ad": cells}).next, table.next)
    save(dataclasses.replace(table, cells=np.char.add("x", table.cells)), path)
    with pytest.raises(UserError, match=r"differ in 240 cells, such as"):
        read({"table": str(path), "h5ad": cells})
    save(dataclasses.replace(table, cells=table.cells[:0]), path)
    with pytest.raises(UserError, match=r"names no cells.*data.trust_order=true"):
        read({"table": str(path), "h5ad": cells})
    np.testing.assert_array_equal(read({"table": str(path), "h5ad": cells, "trust_order": True}).next, table.next)


def test_a_finished_table_keeps_its_gain_unless_another_is_asked_for(table, tmp_path):
    path = str(save(resnap(table, 1.5), tmp_path / "table.npz"))
    assert read({"table": path}).meta["gain"] == 1.5
    config = ReprogrammingConfig(data=DataOptions(table=path), table=TableOptions(gain=1.0))
    np.testing.assert_array_equal(load_table(config).next, table.next)
