"""Time the installed celloracle beside this package on the same cells: network, and transitions of all actions.

Run ``OMP_NUM_THREADS=1 .venv-celloracle/bin/python benchmarks/reprogramming_celloracle.py`` on an idle machine, in the
environment that tests/system/install_celloracle.sh makes; ``--large`` adds 2,000 cells x 3,000 genes. celloracle
simulates one action per call, so three actions are timed and 216 EXTRAPOLATED from them; this package's whole table is
built, snapping included. Both run on one thread, in turn, in one process;
seconds are of its CPU time, and ratios say more than seconds.
"""

import argparse
import dataclasses
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from bioppo.envs.reprogramming import celloracle_backend, landscape
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.data import Actions, Grn, Prepared
from bioppo.envs.reprogramming.grn import fit
from bioppo.envs.reprogramming.options import DataOptions, GRNOptions, TableOptions
from bioppo.envs.reprogramming.overexpression import make_actions
from bioppo.envs.reprogramming.preprocess import run
from bioppo.envs.reprogramming.project import find_neighbours
from bioppo.envs.reprogramming.propagate import simulate
from bioppo.envs.reprogramming.table import build

TIMED = 3
NEIGHBOURS = 200


def main() -> None:
    """Print seconds and ratios for each size of data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="also 2,000 cells x 3,000 genes")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    celloracle_backend.import_celloracle()
    compare(1200, 1000, network=True, precisions=("float32", "float64"))
    if arguments.large:
        compare(2000, 3000, network=False, precisions=("float32",))


def compare(n_cells: int, n_genes: int, *, network: bool, precisions: tuple[str, ...]) -> None:
    """Print a block of lines for cells of the embedded landscape in another size; with the network's fit if asked."""
    config = ReprogrammingConfig(
        data=DataOptions(n_genes=n_genes),
        grn=GRNOptions(fit_on="all"),
        table=TableOptions(neighbors=NEIGHBOURS, nan_policy="celloracle", cache=False),
    )
    prepared = draw(n_cells, n_genes, config)
    own_fit, grn = timed(lambda: fit_own(prepared, config))
    actions = make_actions(grn, prepared, config)
    count = len(actions.names)
    print(
        f"{n_cells} cells x {n_genes} genes x {count} actions, {len(prepared.clusters)} types, {NEIGHBOURS} neighbours"
    )
    if network:
        other_fit, theirs = timed(lambda: celloracle_backend.fit(prepared, config))
        difference = np.abs(theirs.W - grn.W).max()
        print(
            f"  network: celloracle {other_fit:.1f} s, bioppo {own_fit:.2f} s, {other_fit / own_fit:.1f} times;",
            end=" ",
        )
        print(f"largest difference of coefficients {difference:.0e}")
    chosen = np.linspace(0, count - 1, TIMED).astype(int)
    per_call, shifts = time_celloracle(prepared, grn, actions, config, chosen)
    per_action = sum(per_call)
    print("  celloracle, seconds per action:", end=" ")
    print(
        "simulate_shift {:.2f}, estimate_transition_prob {:.2f}, calculate_embedding_shift {:.2f};".format(*per_call),
        end=" ",
    )
    print(f"all {count} EXTRAPOLATED from {TIMED}: {per_action * count:.0f} s")
    propagation = time_propagation(prepared, grn, actions)
    print(f"  changes of expression alone: bioppo {propagation:.1f} s for {count} actions,", end=" ")
    print(f"{per_call[0] * count / propagation:.0f} times (celloracle's side EXTRAPOLATED)")
    for precision in precisions:
        exact = dataclasses.replace(config, table=dataclasses.replace(config.table, precision=precision))
        seconds, table = timed(lambda exact=exact: build(prepared, grn, actions, exact))
        difference = np.abs(table.shift[:, chosen] - shifts).max()
        print(f"  whole table, {precision}: bioppo {seconds:.1f} s, {per_action * count / seconds:.0f} times", end=" ")
        print(f"(celloracle's side EXTRAPOLATED); largest difference of moves {difference:.0e}", flush=True)


def draw(n_cells: int, n_genes: int, config: ReprogrammingConfig) -> Prepared:
    """Return prepared cells of the embedded landscape, in another size."""
    landscape.PRESETS["benchmark"] = landscape.Preset(cells=n_cells, genes=n_genes, a=1.3, b=1.0)
    return run(landscape.generate("benchmark", 0), config)


def fit_own(prepared: Prepared, config: ReprogrammingConfig) -> Grn:
    """Return this package's fit on all cells."""
    return fit(
        prepared.imputed,
        prepared.cluster_of_cell,
        prepared.regulators,
        alpha=config.grn.alpha,
        genes=prepared.genes,
        tfs=np.array(sorted({tf for regulators in prepared.regulators.values() for tf in regulators})),
    )


def time_celloracle(
    prepared: Prepared, grn: Grn, actions: Actions, config: ReprogrammingConfig, chosen: np.ndarray
) -> tuple[list[float], np.ndarray]:
    """Return the mean seconds of celloracle's three calls, after one action that does not count, and the moves."""
    oracle = celloracle_backend.network_oracle(prepared, grn, config)
    width = find_neighbours(prepared.embedding, NEIGHBOURS).shape[1]
    names = ("simulate_shift", "estimate_transition_prob", "calculate_embedding_shift")
    seconds = dict.fromkeys(names, 0.0)

    def clocked(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(**options: Any) -> None:
            started = time.process_time()
            method(**options)
            seconds[name] += time.process_time() - started

        return call

    celloracle_backend.move(oracle, actions.conditions[0], config, width)
    for name in names:
        setattr(oracle, name, clocked(name, getattr(oracle, name)))
    shifts = []
    for action in chosen:
        celloracle_backend.move(oracle, actions.conditions[action], config, width)
        shifts.append(oracle.delta_embedding)
    return [seconds[name] / len(chosen) for name in names], np.stack(shifts, axis=1)


def time_propagation(prepared: Prepared, grn: Grn, actions: Actions, at_once: int = 20) -> float:
    """Return the seconds of all changes of expression, float32, a few cells of one type at a time."""
    expression = prepared.imputed.astype(np.float32)
    started = time.process_time()
    for cluster in range(len(prepared.clusters)):
        cells = np.flatnonzero(prepared.cluster_of_cell == cluster)
        for first in range(0, len(cells), at_once):
            rows = cells[first : first + at_once]
            simulate(expression[rows], grn.W[cluster], actions.conditions, genes=grn.genes, tfs=grn.tfs)
    return time.process_time() - started


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call takes, and its result."""
    started = time.process_time()
    result = call()
    return time.process_time() - started, result


if __name__ == "__main__":
    main()
