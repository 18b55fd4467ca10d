"""Speed of the metrics of perturbed cells against the libraries' own parts.

Run ``python benchmarks/perturbation_metrics.py`` on an idle machine. The seconds depend on the machine, the ratios
hardly: what is compared is timed in turn, five times or more, and medians are taken.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from dtaidistance import dtw as dtaidistance_dtw
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from bioppo.envs.perturbation.metrics import dtw, energy
from bioppo.envs.perturbation.preprocessing import preprocess
from bioppo.envs.perturbation.scoring import Predictions, Scorer, observed_groups
from bioppo.envs.perturbation.sources.generator import generate_synthetic
from bioppo.envs.perturbation.splits import split_data

REPEATS = 5
CELLS, GENES, POINTS = 500, 200, 200


def medians(*candidates: Callable[[], object]) -> list[float]:
    """Return the median seconds of each, timed in turn after one call that does not count."""
    seconds: list[list[float]] = [[] for _ in candidates]
    for repeat in range(REPEATS + 1):
        for durations, candidate in zip(seconds, candidates, strict=True):
            start = time.perf_counter()
            candidate()
            if repeat:
                durations.append(time.perf_counter() - start)
    return [statistics.median(durations) for durations in seconds]


def time_energy() -> None:
    """Print `energy` over the three matrices of distances that its definition names."""
    generator = np.random.default_rng(0)
    one, two = generator.normal(size=(2, CELLS, GENES))
    own, matrices = medians(lambda: energy(one, two), lambda: (cdist(one, two), cdist(one, one), cdist(two, two)))
    print(f"energy, 2 x {CELLS} cells x {GENES} genes: {own:.4f} s, {own / matrices:.2f} of three cdist calls")


def time_warping() -> None:
    """Print `dtw` over dtaidistance in pure Python, for one dimension and for many."""
    one, two = np.random.default_rng(0).normal(size=(2, POINTS, 50)).cumsum(axis=1)
    own, many, other = medians(
        lambda: dtw(one[:, 0], two[:, 0]),
        lambda: dtw(one, two),
        lambda: dtaidistance_dtw.distance(one[:, 0], two[:, 0], inner_dist="euclidean", use_c=False),
    )
    print(f"dtw, {POINTS} x {POINTS} points: {own:.4f} s, {own / other:.2f} of dtaidistance in pure Python")
    print(f"dtw, {POINTS} x {POINTS} points, 50 dimensions: {many:.4f} s, {many / 50 / other:.3f} per dimension")


def time_scores() -> None:
    """Print what all metrics of one method take, and what is computed once per data set."""
    data = generate_synthetic(n_genes=GENES, n_perturbations=20, n_control=5000, n_per_perturbation=2500)
    prepared = preprocess(data, split_data(data, held_out_perturbations=0))
    start = prepared.expression[prepared.split.start[:CELLS]].astype(np.float64)
    groups = observed_groups(prepared)
    label = np.repeat([group.perturbation for group in groups], len(start))
    cells = np.tile(start, (len(groups), 1))
    shifted = cells + np.random.default_rng(0).normal(0.0, 0.3, cells.shape)
    predictions = Predictions(cells, shifted, label, np.zeros(len(label), dtype=np.int64))
    scorer = Scorer(prepared)
    first, again = medians(lambda: Scorer(prepared).score(predictions), lambda: scorer.score(predictions))
    print(f"all metrics, {len(groups)} perturbations x {GENES} genes x {CELLS} cells: {first:.2f} s, ", end="")
    print(f"of which {again:.2f} s for every further set of predictions")


def main() -> None:
    """Print all rows."""
    with threadpool_limits(1, user_api="blas"):
        time_energy()
        time_warping()
        time_scores()


if __name__ == "__main__":
    main()
