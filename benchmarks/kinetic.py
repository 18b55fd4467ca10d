"""Speed of the kinetic simulator against bare LAPACK on the same Jacobians.

Run ``python benchmarks/kinetic.py`` on an idle machine. The rates depend on the machine, the ratios hardly: the
candidates of a row are timed in turn, so that a slow moment of the machine hits all of them, and medians are compared.
"""

import os
import statistics
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from bioppo import make_env
from bioppo.envs.kinetic.sources.e_coli_core import load_e_coli_core
from bioppo.envs.kinetic.simulator import KineticSimulator

BATCH_SIZES = (1, 8, 64, 512)
SECONDS_PER_ROW = 6.0


def interleaved_medians(candidates: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Return the median seconds of every candidate, timed one after the other until the time is up."""
    for candidate in candidates.values():
        candidate()
    durations: dict[str, list[float]] = {name: [] for name in candidates}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(durations[next(iter(durations))]) < 5:
        for name, candidate in candidates.items():
            start = time.perf_counter()
            candidate()
            durations[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in durations.items()}


def simulator_row(batch: int, one: KineticSimulator, two: KineticSimulator) -> dict[str, float]:
    """Return the median seconds of one batch: whole evaluation, bare LAPACK, Jacobians only, gradient, two workers."""
    sets = np.random.default_rng(0).uniform(-25.0, 3.0, (batch, len(one.parameter_names)))
    jacobians = one.jacobian(sets)
    return interleaved_medians(
        {
            "evaluation": lambda: one.max_eigenvalue(sets),
            "lapack": lambda: np.linalg.eigvals(jacobians),
            "jacobian": lambda: one.jacobian(sets),
            "gradient": lambda: one.gradient(sets),
            "two workers": lambda: two.max_eigenvalue(sets),
        },
        SECONDS_PER_ROW,
    )


def simulator_table() -> None:
    """Print evaluations per second and ratios for every batch size."""
    network, state = load_e_coli_core()
    one, two = KineticSimulator(network, state), KineticSimulator(network, state, workers=2)
    print(f"e_coli_core, {one.n_independent} x {one.n_independent}, {os.cpu_count()} cores, BLAS on one thread")
    print("batch   sets/s   rate/LAPACK   Jacobian/eigenvalues   gradient/evaluation   2 workers/1   per set/64")
    rows = {batch: simulator_row(batch, one, two) for batch in BATCH_SIZES}
    per_set = {batch: row["evaluation"] / batch for batch, row in rows.items()}
    for batch, row in rows.items():
        print(
            f"{batch:5d}  {1 / per_set[batch]:7.0f}  {row['lapack'] / row['evaluation']:12.2f}"
            f"  {row['jacobian'] / row['lapack']:21.1%}  {row['gradient'] / row['evaluation']:20.2f}"
            f"  {row['evaluation'] / row['two workers']:12.2f}  {per_set[batch] / per_set[64]:11.2f}"
        )


def environment_table() -> None:
    """Print what the environment adds to the simulator: whole episodes of 64 copies, restarts included."""
    environment = make_env("kinetic", num_envs=64, lambda_part=-38.0)
    environment.reset(seed=0)
    generator = np.random.default_rng(0)
    actions = generator.normal(0.0, 0.6, environment.action_space.shape)
    horizon = environment.config.horizon
    sets = environment.ln_km(generator.normal(0.0, 1.0, environment.action_space.shape))

    def episode() -> None:
        for _ in range(horizon):
            environment.step(actions)

    def bare() -> None:
        for _ in range(horizon + 1):  # one evaluation more, for the potential of the new starts
            environment.task.simulator.max_eigenvalue(sets)

    medians = interleaved_medians({"episode": episode, "bare": bare}, 2 * SECONDS_PER_ROW)
    print()
    print(f"environment, 64 copies, episodes of {horizon} steps: {medians['episode'] * 1e3:.1f} ms an episode,")
    print(f"{medians['episode'] / medians['bare']:.2f} x the bare evaluations it makes")


def main() -> None:
    """Print all tables."""
    with threadpool_limits(1, user_api="blas"):
        simulator_table()
        environment_table()


if __name__ == "__main__":
    main()
