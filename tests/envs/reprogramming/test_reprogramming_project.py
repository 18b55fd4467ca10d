"""Moves in the drawing against golden values, and every path that computes them against the others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.reprogramming import project
from bioppo.envs.reprogramming.data import Actions, Grn
from bioppo.envs.reprogramming.moves import Moves, Simulator
from bioppo.envs.reprogramming.propagate import index_conditions, observed_range, simulate, stack_clamps

DATA = Path(__file__).parents[2] / "data" / "reprogramming"
META = json.loads((DATA / "meta.json").read_text())
INPUTS = np.load(DATA / "simulation_inputs.npz")
CHANGES = np.load(DATA / "delta_x.npz")
GOLDEN = np.load(DATA / "projection.npz")
TABLE = np.load(DATA / "table_task.npz")
EMBEDDING = INPUTS["embedding"]
TOLERANCE = {"float64": (1e-8, 1e-6), "float32": (1e-4, 1e-3)}
"""Of shifts, and the margin beyond which the next cell has to agree."""


def actions(conditions: Any) -> Actions:
    names = np.array([f"action {index}" for index in range(len(conditions))])
    return Actions(names, tuple(conditions), np.zeros(len(conditions), dtype=bool))


def golden_simulator(conditions: Any, neighbours: np.ndarray, **options: Any) -> Simulator:
    W, tfs = np.load(DATA / "grn.npz")["coef_cluster_alpha10"], np.array(META["tfs"])
    grn = Grn(W, tfs, np.array(META["genes"]), np.ones(len(tfs), dtype=bool))
    options = {"nan_policy": "celloracle", "precision": "float64"} | options
    return Simulator(INPUTS["imputed"], grn, actions(conditions), EMBEDDING, neighbours, INPUTS["cluster"], **options)


def all_moves(simulator: Simulator, block: int = 1000, **options: Any) -> Moves:
    """Move every cell, in blocks of one type."""
    found: dict[str, list[np.ndarray]] = {"cells": [], "shift": [], "size": [], "neighbours": [], "probability": []}
    for cluster in np.unique(simulator.cluster_of_cell):
        cells = np.flatnonzero(simulator.cluster_of_cell == cluster)
        for first in range(0, len(cells), block):
            moves = simulator.moves(cells[first : first + block], **options)
            found["cells"].append(cells[first : first + block])
            for name in list(found)[1:]:
                if getattr(moves, name) is not None:
                    found[name].append(getattr(moves, name))
    order = np.argsort(np.concatenate(found.pop("cells")))
    return Moves(*(np.concatenate(part)[order] if part else None for part in found.values()))


def test_neighbours_equal_the_golden_ones() -> None:
    np.testing.assert_array_equal(project.find_neighbours(EMBEDDING, 15), GOLDEN["neighbours_K"])
    np.testing.assert_array_equal(project.find_neighbours(EMBEDDING, 15, plus_one=True), GOLDEN["neighbours_K_plus_1"])


@pytest.mark.parametrize("name", list(META["conditions"]))
def test_projection_equals_the_golden_one(name: str) -> None:
    delta, neighbours = CHANGES[f"delta_{name}"], GOLDEN["neighbours_K_plus_1"]
    shift, rho, p = project.shift(INPUTS["imputed"], delta, neighbours, EMBEDDING, 0.05, "celloracle")
    np.testing.assert_allclose(rho, GOLDEN[f"corr_{name}"], atol=1e-10)
    np.testing.assert_allclose(p, GOLDEN[f"prob_{name}"], atol=1e-8)
    np.testing.assert_allclose(shift, GOLDEN[f"shift_{name}"], atol=1e-8)
    for gain in (1.0, 1.5, 3.0):
        reached = project.snap(EMBEDDING, shift, gain)
        clear = GOLDEN[f"margin_{name}_gain{gain}"] > 1e-6
        np.testing.assert_array_equal(reached[clear], GOLDEN[f"next_{name}_gain{gain}"][clear])


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("path", ["reduced", "direct", "torch"])
def test_every_path_equals_the_golden_moves(path: str, precision: str) -> None:
    options: dict[str, Any] = {"direct": {"direct": True}, "torch": {"device": "torch:cpu"}}.get(path, {})
    conditions = list(META["conditions"].values())
    simulator = golden_simulator(conditions, GOLDEN["neighbours_K_plus_1"], precision=precision, **options)
    moves = all_moves(simulator)
    tolerance, margin = TOLERANCE[precision]
    assert moves.shift.dtype == precision
    for column, name in enumerate(META["conditions"]):
        np.testing.assert_allclose(moves.shift[:, column], GOLDEN[f"shift_{name}"], atol=tolerance, err_msg=name)
        size = np.linalg.norm(CHANGES[f"delta_{name}"], axis=1)
        np.testing.assert_allclose(moves.size[:, column], size, atol=10 * tolerance)
        for gain in (1.0, 1.5, 3.0):
            reached = project.snap(EMBEDDING, moves.shift[:, column], gain)
            clear = GOLDEN[f"margin_{name}_gain{gain}"] > margin
            np.testing.assert_array_equal(reached[clear], GOLDEN[f"next_{name}_gain{gain}"][clear])


def test_the_golden_table_is_reproduced() -> None:
    values = dict(zip(META["tfs"], INPUTS["oe_from_lognorm"].tolist(), strict=True))
    conditions = [{gene: 0.0} for gene in values] + [{gene: value} for gene, value in values.items()]
    moves = all_moves(golden_simulator(conditions, GOLDEN["neighbours_K"]))
    np.testing.assert_allclose(moves.shift, TABLE["shift"], atol=1e-8)
    np.testing.assert_array_equal(project.snap(EMBEDDING, moves.shift, 1.0), TABLE["table_gain1"])
    np.testing.assert_array_equal(project.snap(EMBEDDING, moves.shift, 1.5), TABLE["table_gain1p5"])


def floored_problem(
    n: int = 90, n_genes: int = 140, n_tfs: int = 12, seed: int = 0, twins: bool = True
) -> dict[str, Any]:
    """Cells with many zeros and strong networks, so that floors bind in most changes; some cells may be the same."""
    generator = np.random.default_rng(seed)
    genes = np.array([f"g{index:03}" for index in generator.permutation(n_genes)])
    tfs = np.sort(genes[generator.choice(n_genes, n_tfs, replace=False)])
    x = np.maximum(0, generator.normal(0.3, 1.0, (n, n_genes)))
    if twins:
        x[1] = x[0]
        x[3] = x[2] * (1 + 1e-15)
    W = generator.normal(0, 0.6, (3, n_tfs, n_genes)) * (generator.random((3, n_tfs, n_genes)) < 0.5)
    # One gene that pushes nearly everything below zero, one that silences only what is silent.
    W[:, 0] = -3.0
    W[:, 1] = 0.0
    conditions = [{gene: 0.0} for gene in tfs] + [{gene: 3.0} for gene in tfs]
    conditions += [{tfs[2]: 0.0, tfs[3]: 2.0, genes[0]: 1.5}, {}]
    return {
        "x": x,
        "grn": Grn(W, tfs, genes, np.ones(n_tfs, dtype=bool)),
        "conditions": conditions,
        "embedding": generator.normal(0, 1, (n, 2)),
        "cluster": np.arange(n) % 3,
    }


def build(problem: dict[str, Any], **options: Any) -> Simulator:
    neighbours = project.find_neighbours(problem["embedding"], 15)
    arguments = (problem["x"], problem["grn"], actions(problem["conditions"]), problem["embedding"], neighbours)
    return Simulator(*arguments, problem["cluster"], **{"precision": "float64"} | options)


@pytest.mark.parametrize("policy", ["zero", "celloracle"])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_reduced_and_direct_and_torch_moves_are_the_same(n: int, clip: bool, policy: str) -> None:
    problem = floored_problem(seed=n)
    options: dict[str, Any] = {"n": n, "nan_policy": policy}
    options["clip"] = observed_range(problem["x"]) if clip else None
    names = {"genes": problem["grn"].genes, "tfs": problem["grn"].tfs}
    delta = simulate(
        problem["x"], problem["grn"].W, problem["conditions"], n, options["clip"],
        cluster_of_cell=problem["cluster"], **names,
    )  # fmt: skip
    assert (delta == -problem["x"][:, None]).mean() > 0.2
    neighbours = project.find_neighbours(problem["embedding"], 15)
    expected, _, _ = project.shift(problem["x"], delta, neighbours, problem["embedding"], 0.05, policy)
    expected[(delta == 0).all(axis=2)] = 0
    for path in ({}, {"direct": True}, {"device": "torch:cpu"}):
        moves = all_moves(build(problem, **options, **path))
        np.testing.assert_allclose(moves.shift, expected, atol=1e-10)
        np.testing.assert_allclose(moves.size, np.linalg.norm(delta, axis=2), atol=1e-9)
        assert (moves.shift[:, -1] == 0).all()
        single = all_moves(build(problem, precision="float32", **options, **path))
        np.testing.assert_allclose(single.shift, expected, atol=1e-4)


def test_blocks_change_nothing() -> None:
    problem = floored_problem(twins=False)
    whole = all_moves(build(problem), top_q=4)
    for block in (1, 7, 20):
        part = all_moves(build(problem), block, top_q=4)
        np.testing.assert_allclose(part.shift, whole.shift, atol=1e-11)
        np.testing.assert_array_equal(part.neighbours, whole.neighbours)
        reached = project.snap(problem["embedding"], part.shift)
        np.testing.assert_array_equal(reached, project.snap(problem["embedding"], whole.shift))


def test_conditions_of_every_cell_move_as_those_of_all() -> None:
    problem = floored_problem(twins=False)
    genes = problem["grn"].genes
    cells = np.flatnonzero(problem["cluster"] == 1)
    shared = build(problem).moves(cells).shift
    own = [[problem["conditions"][(cell + part) % 26] for part in range(2)] for cell in range(len(cells))]
    for path in ({}, {"device": "torch:cpu"}):
        moves = build(problem, **path).moves(cells, clamps=stack_clamps(own, genes)).shift
        for row in range(len(cells)):
            columns = [row % 26, (row + 1) % 26]
            np.testing.assert_allclose(moves[row], shared[row, columns], atol=1e-10)
    other = build(problem).moves(cells, clamps=index_conditions(problem["conditions"][4:6], genes)).shift
    np.testing.assert_allclose(other, shared[:, 4:6], atol=1e-10)


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
def test_most_probable_neighbours(device: str) -> None:
    problem = floored_problem(twins=False)
    cells = np.flatnonzero(problem["cluster"] == 0)
    simulator = build(problem, device=device)
    moves = simulator.moves(cells, top_q=4)
    grn = problem["grn"]
    delta = simulate(problem["x"][cells], grn.W[0], problem["conditions"], genes=grn.genes, tfs=grn.tfs)
    near = simulator.cell_neighbours[cells]
    for row, cell in enumerate(cells):
        full = np.repeat(problem["x"][[cell]], 1, axis=0)
        stacked = np.concatenate([full, problem["x"][near[row]]])
        _, _, p = project.shift(
            stacked, np.concatenate([delta[[row]], np.zeros((15, *delta.shape[1:]))]),
            np.tile(np.arange(1, 16), (16, 1)), np.concatenate([problem["embedding"][[cell]], np.eye(15, 2)]),
        )  # fmt: skip
        for column in range(0, 24, 5):
            order = np.argsort(-p[0, column], kind="stable")[:4]
            best = p[0, column, order]
            np.testing.assert_array_equal(moves.neighbours[row, column], near[row, order])
            np.testing.assert_allclose(moves.probability[row, column], best / best.sum(), atol=1e-3)
    assert moves.neighbours.dtype == np.int32
    assert moves.probability.dtype == np.float16
    whole = simulator.moves(cells, top_q=99)
    assert whole.neighbours.shape[2] == 15


def test_undefined_correlations_follow_the_policy() -> None:
    x = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [3.0, 1.0, 0.5]])
    neighbours = np.array([[1, 2, 3]] * 4)
    delta = np.array([[0.5, -1.0, 0.3], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.5, 0.0, 0.0]])
    embedding = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    for policy, value in (("zero", 0.0), ("celloracle", 1.0)):
        shift, rho, p = project.shift(x, delta, neighbours, embedding, 0.05, policy)
        assert rho[0, :2].tolist() == [value, value]
        assert rho[0, 2] == pytest.approx(np.corrcoef(x[3] - x[0], delta[0])[0, 1])
        assert (rho[1:3] == value).all()
        np.testing.assert_allclose(p.sum(axis=1), 1)
        np.testing.assert_allclose(shift[1:3], 0, atol=1e-15)
    with pytest.raises(UserError, match=r"table\.nan_policy=one: choose one of zero, celloracle"):
        project.shift(x, delta, neighbours, embedding, 0.05, "one")


def test_nearest_cells_on_a_grid_are_the_lowest_on_ties() -> None:
    grid = np.array([[x, y] for x in range(9) for y in range(9)], dtype=float)
    grid = np.concatenate([grid, grid[:5]])
    generator = np.random.default_rng(0)
    shift = generator.integers(-4, 5, (len(grid), 6, 2)) / 2
    reached = project.snap(grid, shift, 1.0)
    points = grid[:, None] + shift
    expected = ((points[:, :, None] - grid) ** 2).sum(axis=3).argmin(axis=2)
    still = (shift == 0).all(axis=2)
    np.testing.assert_array_equal(reached[~still], expected[~still])
    np.testing.assert_array_equal(reached[still], np.nonzero(still)[0])
    unchanged = generator.random(still.shape) < 0.5
    reached = project.snap(grid, shift, 1.0, unchanged=unchanged)
    np.testing.assert_array_equal(reached[unchanged], np.nonzero(unchanged)[0])
    rows = np.array([70, 3])
    np.testing.assert_array_equal(project.snap(grid, shift[rows], 1.0, rows=rows)[1], project.snap(grid, shift)[3])


def test_gains() -> None:
    embedding = np.array([[0.0, 0.0], [20.0, 5.0]])
    shift = np.array([[[0.5, 0.0], [0.0, 0.0]], [[0.0, 1.5], [0.0, 1.0]]])
    assert project.choose_gain(1.5, embedding, shift) == 1.5
    assert project.choose_gain("auto", embedding, shift) == pytest.approx(0.1 * 20 / 1.0)
    assert project.choose_gain("auto", embedding, 0 * shift) == pytest.approx(2.0)
    with pytest.raises(UserError, match=r"table\.gain=large: give a number, or auto"):
        project.choose_gain("large", embedding, shift)


def test_magnitude_scales_by_the_median_change() -> None:
    shift = np.ones((2, 2, 2))
    scaled = project.scale_by_size(shift, np.array([[0.0, 1.0], [2.0, 6.0]]))
    assert scaled[..., 0].tolist() == [[0.0, 0.5], [1.0, 3.0]]
    assert (project.scale_by_size(shift, np.zeros((2, 2))) == shift).all()


def test_neighbours_are_told_when_few_or_on_each_other() -> None:
    generator = np.random.default_rng(1)
    places = generator.normal(0, 1, (40, 2))
    assert project.find_neighbours(places, 20).shape == (40, 8)
    with pytest.warns(UserWarning, match=r"table\.neighbors=200: there are 40 cells, so each has 8"):
        assert project.find_neighbours(places, 200).shape == (40, 8)
    distance = np.linalg.norm(places[:, None] - places, axis=2) + np.diag(np.full(40, np.inf))
    np.testing.assert_array_equal(project.find_neighbours(places, 8), distance.argsort(axis=1)[:, :8])
    places[7] = places[30] = places[5]
    with pytest.warns(UserWarning, match="2 cells lie exactly where another does"):
        assert project.find_neighbours(places, 8)[5, :2].tolist() == [7, 30]
    places[3, 1] = np.inf
    with pytest.raises(UserError, match="1 cells have places that are not finite, cell 3 first"):
        project.find_neighbours(places, 8)
    with pytest.raises(UserError, match="1 cells have no neighbours"):
        project.find_neighbours(places[:1], 8)
    with pytest.raises(UserError, match="embedding has shape"):
        project.find_neighbours(places[:, :0], 8)


def test_cells_of_two_types_and_missing_cards_are_refused() -> None:
    import torch

    problem = floored_problem()
    with pytest.raises(UserError, match="cells of 2 types: ask for moves type by type"):
        build(problem).moves(np.array([0, 1]))
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="device=cuda: torch finds no graphics card"):
            build(problem, device="cuda")


def test_a_network_for_all_moves_cells_of_any_type() -> None:
    problem = floored_problem()
    grn = problem["grn"]
    problem["grn"] = Grn(grn.W[:1], grn.tfs, grn.genes, grn.active)
    mixed = build(problem).moves(np.arange(30)).shift
    problem["cluster"] = np.zeros(90, dtype=int)
    np.testing.assert_allclose(mixed, build(problem).moves(np.arange(30)).shift, atol=1e-12)
