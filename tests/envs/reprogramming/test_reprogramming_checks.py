import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.options import DataOptions
from bioppo.envs.reprogramming.table import load_table
from bioppo.envs.reprogramming.tables.checks import (
    compare_networks,
    compare_tables,
    describe_table,
    out_degree,
    table_lines,
)
from bioppo.envs.reprogramming.tables.progress import BuildLines


def test_a_table_is_described_by_golden_distances(golden_table, golden_folder):
    distance = np.load(golden_folder / "table_task.npz")["bfs"]
    facts = describe_table(golden_table)
    pairs = golden_table.cluster_of_cell[:, None] != np.arange(3)
    reachable = distance[pairs & (distance >= 0)]
    assert facts["solvable"] == len(reachable) / pairs.sum()
    assert facts["mean_length"] == pytest.approx(reachable.mean())
    assert facts["max_length"] == reachable.max()
    degrees = [len(set(row) - {cell}) for cell, row in enumerate(golden_table.next.tolist())]
    np.testing.assert_array_equal(out_degree(golden_table.next), degrees)
    assert facts["out_degree"] == pytest.approx(np.mean(degrees))
    assert facts["self_loops"] == (golden_table.next == np.arange(120)[:, None]).mean()
    assert facts["stuck"] == degrees.count(0) == 2


def test_cells_without_a_way_are_counted(golden_table):
    stays = golden_table.next.copy()
    stays[:30] = np.arange(30)[:, None]
    facts = describe_table(dataclasses.replace(golden_table, next=stays))
    stuck = sum(set(row) == {cell} for cell, row in enumerate(stays.tolist()))
    assert facts["stuck"] == stuck >= 30
    assert facts["solvable"] < 0.95
    said = "\n".join(table_lines(facts))
    assert f"stuck               {stuck}" in said
    assert f"{1 - facts['solvable']:.1%} of the pairs have no way; task.starts=solvable" in said


def test_tables_are_compared_by_names(golden_table):
    order = np.random.default_rng(0).permutation(120)
    columns = np.arange(20)[::-1]
    place = np.argsort(order)
    other = dataclasses.replace(
        golden_table,
        next=place[golden_table.next[order]][:, columns].astype(np.int32),
        cells=golden_table.cells[order],
        actions=dataclasses.replace(golden_table.actions, names=golden_table.actions.names[columns]),
    )
    assert "equal next cells    100.0000% (0 of 2,400 differ)" in compare_tables(golden_table, other)
    changed = other.next.copy()
    changed[:6, 4] = (changed[:6, 4] + 1) % 120
    lines = compare_tables(golden_table, dataclasses.replace(other, next=changed))
    assert "equal next cells    99.7500% (6 of 2,400 differ)" in lines
    assert f"least equal action  {other.actions.names[4]}, 95.00%" in lines


def test_tables_of_nothing_in_common_are_refused(golden_table):
    elsewhere = dataclasses.replace(golden_table, cells=np.char.add("x", golden_table.cells))
    with pytest.raises(UserError, match="share no cell"):
        compare_tables(golden_table, elsewhere)
    renamed = dataclasses.replace(golden_table.actions, names=np.char.add("x", golden_table.actions.names))
    with pytest.raises(UserError, match="share no action"):
        compare_tables(golden_table, dataclasses.replace(golden_table, actions=renamed))
    with pytest.raises(UserError, match="networks share no name"):
        compare_networks({"a": ["b"]}, {"A": ["B"]})


def test_networks_are_compared_edge_by_edge():
    lines = compare_networks({"a": ["f", "g"], "b": ["f"]}, {"a": ["f"], "c": ["f"]})
    assert lines == [
        "edges               3 and 2, 1 in both",
        "targets             2 and 2, 1 in both",
        "factors             2 and 1, 1 in both",
        "Jaccard of edges    0.2500",
        "only in the first   2, such as f -> b, g -> a",
        "only in the second  1, such as f -> c",
    ]


def test_progress_says_how_much_is_left(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("bioppo.envs.reprogramming.tables.progress.time.monotonic", lambda: clock[0])
    show = BuildLines()
    for done, now in ((100, 0.0), (150, 5.0), (200, 20.0), (1000, 30.0)):
        clock[0] = now
        show(done, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "Transition table: 100 of 1,000 cells are there already.",
        "Transition table: 200 of 1,000 cells, about 3 min left",
        "Transition table: 1,000 cells after 30 s.",
    ]


def test_tables_need_no_heavy_package():
    heavy = "{'torch', 'pandas', 'anndata', 'scanpy', 'sklearn', 'hydra', 'requests', 'stable_baselines3'}"
    script = f"import sys, bioppo.envs.reprogramming.table; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "solvable", "length"),
    [("easy", (0.99, 1.0), (3.5, 5.5)), ("standard", (0.98, 1.0), (5.0, 8.0)), ("hard", (0.4, 0.95), (5.0, 12.0))],
)
def test_landscapes_are_as_hard_as_they_are_called(preset, solvable, length):
    facts = describe_table(load_table(ReprogrammingConfig(data=DataOptions(preset=preset))))
    assert solvable[0] <= facts["solvable"] <= solvable[1]
    assert length[0] <= facts["mean_length"] <= length[1]
