"""Time the simulation of all actions, the whole transition table and the network fit against CellOracle.

python benchmarks/reprogramming_simulation.py [threads] [cells genes ...]

CellOracle is timed where it can be imported, on the first ACTIONS_TIMED actions, else the three dense steps that it
takes: a G x G network, correlations of every cell with all its neighbours, and the weighted mean of directions, action
by action. Its table is extrapolated from those actions.
"""

import resource
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from bioppo.envs.reprogramming.data import TRAIN, Actions, Grn, Prepared
from bioppo.envs.reprogramming.grn import candidate_mask, fit
from bioppo.envs.reprogramming.moves import Simulator
from bioppo.envs.reprogramming.project import correlate, directions, find_neighbours, move, snap, softmax
from bioppo.envs.reprogramming.propagate import simulate_dense

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 1
ACTIONS_TIMED = 3
FACTORS, TYPES, NEIGHBOURS, SIGMA, BLOCK = 108, 12, 200, 0.05, 64


@dataclass(frozen=True)
class Problem:
    """Cells of twelve types, six transcription factors of each type its own, and their candidate regulators."""

    x: np.ndarray
    cluster: np.ndarray
    embedding: np.ndarray
    genes: np.ndarray
    tfs: np.ndarray
    candidates: dict[str, list[str]]


def draw(n: int, n_genes: int, seed: int = 0) -> Problem:
    """Return cells between their type and its parent, smoothed over near ones; half the targets are mostly silent."""
    generator = np.random.default_rng(seed)
    cluster = generator.permutation(np.arange(n) % TYPES)
    levels = 0.3 + 2.2 * (np.arange(FACTORS) // 6 == np.arange(TYPES)[:, None])
    position = generator.beta(1.3, 1, n)[:, None]
    factors = position * levels[cluster] + (1 - position) * levels[np.maximum(cluster - 1, 0)]
    factors = np.maximum(0, factors + generator.normal(0, 0.2, factors.shape))
    targets = n_genes - FACTORS
    weights = np.zeros((FACTORS, targets))
    for target in range(targets):
        regulators = generator.choice(FACTORS, generator.integers(3, 9), replace=False)
        weights[regulators, target] = generator.normal(0.15, 0.45, len(regulators))
    silent = np.where(generator.random(targets) < 0.5, -2.5, -0.2)
    others = np.log1p(np.exp(factors @ weights + silent)) + generator.normal(0, 0.12, (n, targets))
    x = np.concatenate([factors, np.maximum(0, others)], axis=1)
    left, scale, _ = np.linalg.svd(factors - factors.mean(axis=0), full_matrices=False)
    embedding = left[:, :2] * scale[:2]
    near = find_neighbours(left[:, :10] * scale[:10], max(1, n // 100))
    x = (x + x[near].sum(axis=1)) / (1 + near.shape[1])
    genes = np.array([f"gene{index:05}" for index in range(n_genes)])
    candidates = {}
    for index, gene in enumerate(genes.tolist()):
        true = np.flatnonzero(weights[:, index - FACTORS]) if index >= FACTORS else generator.choice(FACTORS, 18)
        decoys = generator.choice(FACTORS, 5)
        candidates[gene] = sorted({str(genes[factor]) for factor in (*true, *decoys)} - {gene})
    return Problem(x, cluster, embedding, genes, genes[:FACTORS], candidates)


def conditions_of(problem: Problem) -> Actions:
    """Return a knock-out and an overexpression of every transcription factor."""
    columns = problem.x[:, :FACTORS]
    values = np.minimum(columns.mean(axis=0) + 1.5 * columns.std(axis=0), 2 * columns.max(axis=0) - columns.min(axis=0))
    names = problem.tfs.tolist()
    conditions = [{name: 0.0} for name in names] + [
        {name: float(value)} for name, value in zip(names, values, strict=True)
    ]
    labels = [f"{kind} {name}" for kind in ("KO", "OE") for name in names]
    return Actions(np.array(labels), tuple(conditions), np.repeat([False, True], len(names)))


def build_table(problem: Problem, grn: Grn, actions: Actions, neighbours: np.ndarray) -> np.ndarray:
    """Return the next cells (n, A), by this package."""
    simulator = Simulator(
        problem.x, grn, actions, problem.embedding, neighbours, problem.cluster, nan_policy="celloracle"
    )
    reached = np.empty((len(problem.x), len(actions.names)), dtype=np.int32)
    for cluster in range(TYPES):
        cells = np.flatnonzero(problem.cluster == cluster)
        for first in range(0, len(cells), BLOCK):
            rows = cells[first : first + BLOCK]
            reached[rows] = snap(problem.embedding, simulator.moves(rows).shift, rows=rows)
    return reached


def dense_moves(problem: Problem, grn: Grn, condition: dict[str, float], neighbours: np.ndarray) -> np.ndarray:
    """Return the moves (n, d) under one action by the plain equations, in float64."""
    delta = np.empty_like(problem.x)
    for cluster in range(TYPES):
        cells = np.flatnonzero(problem.cluster == cluster)
        names = {"genes": problem.genes, "tfs": problem.tfs}
        delta[cells] = simulate_dense(problem.x[cells], grn.W[cluster], [condition], **names)[:, 0]
    shift = np.empty_like(problem.embedding)
    for first in range(0, len(delta), BLOCK):
        rows = np.arange(first, min(first + BLOCK, len(delta)))
        rho = correlate(np, problem.x, rows, delta[rows][:, None], neighbours[rows], 1.0)
        unit = directions(np, problem.embedding, rows, neighbours[rows])
        shift[rows] = move(softmax(np, rho / SIGMA), unit)[:, 0]
    return shift


def prepare_celloracle(problem: Problem) -> Any:
    """Return an Oracle with the same cells and the same candidates, and its own fit still to be made."""
    from bioppo.envs.reprogramming.celloracle_backend import make_oracle

    n = len(problem.x)
    prepared = Prepared(
        lognorm=problem.x,
        imputed=problem.x,
        features=problem.x.astype(np.float32),
        pcs=problem.embedding,
        cells=np.array([f"cell{index:05}" for index in range(n)]),
        genes=problem.genes,
        cluster_of_cell=problem.cluster.astype(np.int32),
        clusters=np.array([f"type{index:02}" for index in range(TYPES)]),
        embedding=problem.embedding,
        split=np.full(n, TRAIN, dtype=np.int8),
        regulators=problem.candidates,
    )
    return make_oracle(prepared)


def celloracle_action(oracle: Any, condition: dict[str, float], n_neighbours: int) -> np.ndarray:
    """Return CellOracle's moves (n, d) under one action; it takes one neighbour more than it is asked for."""
    oracle.simulate_shift(perturb_condition=condition, n_propagation=3, ignore_warning=True)
    oracle.estimate_transition_prob(
        n_neighbors=n_neighbours - 1,
        knn_random=True,
        sampled_fraction=1,
        calculate_randomized=False,
        n_jobs=1,
        threads=THREADS,
    )
    oracle.calculate_embedding_shift(sigma_corr=SIGMA)
    return np.asarray(oracle.delta_embedding)


def time_fit_of_others(problem: Problem, oracle: Any) -> float:
    """Return the seconds of CellOracle's fit, or of one ridge regression per target and type."""
    if oracle is not None:
        return seconds(lambda: oracle.fit_GRN_for_simulation(alpha=10, verbose_level=0))
    from sklearn.linear_model import Ridge

    mask = candidate_mask(problem.candidates, problem.genes, problem.tfs)

    def regress() -> None:
        for cluster in range(TYPES):
            own = problem.x[problem.cluster == cluster]
            for target in np.flatnonzero(mask.any(axis=0)):
                Ridge(alpha=10).fit(own[:, :FACTORS][:, mask[:, target]], own[:, target])

    return seconds(regress)


def seconds(function: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def measure(n: int, n_genes: int) -> None:
    """Print the ratios for one size."""
    problem = draw(n, n_genes)
    oracle = prepare_celloracle(problem) if find_spec("celloracle") else None
    other = "CellOracle" if oracle is not None else "three dense steps"
    arguments = (problem.x, problem.cluster, problem.candidates)
    names = {"genes": problem.genes, "tfs": problem.tfs}
    fit_seconds = seconds(lambda: fit(*arguments, **names))
    other_fit = time_fit_of_others(problem, oracle)
    grn, actions = fit(*arguments, **names), conditions_of(problem)
    neighbours = find_neighbours(problem.embedding, NEIGHBOURS, plus_one=oracle is not None)
    table = seconds(lambda: build_table(problem, grn, actions, neighbours))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    chosen = actions.conditions[:: len(actions.conditions) // ACTIONS_TIMED][:ACTIONS_TIMED]
    if oracle is None:
        each = [seconds(partial(dense_moves, problem, grn, condition, neighbours)) for condition in chosen]
        found = dense_moves(problem, grn, chosen[0], neighbours)
    else:
        each = [seconds(partial(celloracle_action, oracle, condition, neighbours.shape[1])) for condition in chosen]
        found = celloracle_action(oracle, chosen[0], neighbours.shape[1])
    # A first call may compile.
    action = min(each)
    count = len(actions.conditions)
    per_action = table / count
    print(f"{n} cells x {n_genes} genes x {count} actions, {THREADS} threads, against {other}")
    print(f"  table                {table:9.1f} s; {other}, from {len(each)} actions, {action * count:9.1f} s")
    print(
        f"  per perturbation     {per_action:9.4f} s; {action:9.3f} s: {action / per_action:.0f} times (bar 30, aim 60)"
    )
    print(
        f"  network              {fit_seconds:9.2f} s; {other_fit:9.2f} s: {other_fit / fit_seconds:.0f} times (bar 3)"
    )
    print(f"  peak memory          {peak:9.2f} GiB, before the other was run")
    ours = Simulator(
        problem.x, grn, actions, problem.embedding, neighbours, problem.cluster, nan_policy="celloracle"
    ).moves(np.flatnonzero(problem.cluster == 0))
    difference = np.abs(ours.shift[:, 0] - found[problem.cluster == 0]).max()
    print(f"  largest difference of a move between the two, float32: {difference:.1e}", flush=True)


def main() -> None:
    """Measure the sizes given, or the two of the documentation."""
    sizes = [int(word) for word in sys.argv[2:]] or [1200, 1000, 2000, 3000]
    warnings.simplefilter("ignore")
    with threadpool_limits(THREADS):
        for n, n_genes in zip(sizes[::2], sizes[1::2], strict=True):
            measure(n, n_genes)


if __name__ == "__main__":
    main()
