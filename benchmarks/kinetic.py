"""Speed of the kinetic simulator against bare LAPACK on the same Jacobians.

Run ``python benchmarks/kinetic.py`` on an idle machine. The rates depend on the machine, the ratios hardly: the
candidates of a row are timed in turn, so that a slow moment of the machine hits all of them, and medians are compared.
Models from files take part where ``BIOPPO_TEST_DATA`` names the folder above ``kinetic/`` with them.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bioppo import make_env
from bioppo.envs.kinetic.integrators import integrate_each, integrate_together
from bioppo.envs.kinetic.network import Network
from bioppo.envs.kinetic.nonlinear import NonlinearModel
from bioppo.envs.kinetic.robustness import TIME_CONSTANTS, perturbed_starts
from bioppo.envs.kinetic.simulator import KineticSimulator
from bioppo.envs.kinetic.sources.e_coli_core import load_e_coli_core
from bioppo.envs.kinetic.sources.models import COMPUTED_STATE
from bioppo.envs.kinetic.sources.skimpy_yaml import read_skimpy_model
from bioppo.envs.kinetic.sources.state_table import read_computed_state, read_states
from bioppo.envs.kinetic.steady_state import SteadyState

BATCH_SIZES = (1, 8, 64, 512)
SECONDS_PER_ROW = 6.0
SKIMPY_SECONDS = {"varma_strain_1": 0.24, "renaissance384": 0.50}
"""Per set, SKiMpy 1.0.2, quoted from a measurement on another day; it is not run here."""


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


def file_models(folder: Path) -> Iterator[tuple[str, Network, SteadyState]]:
    """Yield name, network and state of the public models that are there."""
    path, table = folder / "varma_strain_1.yml", folder / "tfa_reference_strains.csv"
    if path.exists() and table.exists():
        network = read_skimpy_model(path).network
        (state,) = read_states(table, network, rows=["strain_1"])
        yield "varma_strain_1", network, state
    path = folder / "kin_varma_curated.yaml"
    if path.exists():
        network = read_skimpy_model(path).network
        yield "renaissance384", network, read_computed_state(COMPUTED_STATE, network)


def validity_table(name: str, network: Network, state: SteadyState, threshold: float) -> None:
    """Print the speed of eigenvalues and of verdicts on log-uniform sets, with one and two workers."""
    one, two = KineticSimulator(network, state), KineticSimulator(network, state, workers=2)
    sets = np.random.default_rng(0).uniform(-25.0, 3.0, (512, len(one.parameter_names)))
    medians = interleaved_medians(
        {
            "eigenvalues": lambda: one.max_eigenvalue(sets),
            "two workers": lambda: two.max_eigenvalue(sets),
            "validity": lambda: one.validity(sets, threshold),
        },
        SECONDS_PER_ROW,
    )
    per_set = medians["eigenvalues"] / len(sets)
    skimpy = f"  {SKIMPY_SECONDS[name] / per_set:6.0f}" if name in SKIMPY_SECONDS else "       -"
    print(
        f"{name:15s} {one.n_independent:4d}  {1 / per_set:7.0f}"
        f"  {medians['eigenvalues'] / medians['validity']:20.2f}"
        f"  {medians['eigenvalues'] / medians['two workers']:12.2f} {skimpy}"
    )


def nonlinear_table(name: str, network: Network, state: SteadyState) -> None:
    """Print what one right-hand side, one Jacobian and one perturbed start cost."""
    model = NonlinearModel(network, state)
    simulator = KineticSimulator(network, state)
    generator = np.random.default_rng(0)
    drawn = model.ln_concentration + generator.logistic(size=(400, len(model.parameter_names)))
    lambda_max = simulator.max_eigenvalue(drawn)
    best = int(lambda_max.argmin())
    dynamics = model.at(np.repeat(drawn[best : best + 1], 64, axis=0))
    one = dynamics.select(np.array([0]))
    ratio = perturbed_starts(model, 0.25, 64, generator)
    z = np.log(ratio[model.reduction.independent])
    until = np.full(64, TIME_CONSTANTS / abs(lambda_max[best]))
    medians = interleaved_medians(
        {
            "rates": lambda: one.right_hand_side(z[:, :1]),
            "jacobian": lambda: one.jacobian(z[:, :1]),
            "bdf": lambda: integrate_each(one, z[:, :1], until[:1]),
            "together": lambda: integrate_together(dynamics, z, until),
        },
        SECONDS_PER_ROW,
    )
    print(
        f"{name:15s}  {medians['rates'] * 1e3:18.3f}  {medians['jacobian'] * 1e3:12.3f}  {medians['bdf'] * 1e3:18.1f}"
        f"  {medians['together'] / 64 * 1e3:20.2f}"
    )


def model_tables() -> None:
    """Print the tables of the models: verdicts, and nonlinear validation."""
    models = [("e_coli_core", *load_e_coli_core())]
    if "BIOPPO_TEST_DATA" in os.environ:
        models += file_models(Path(os.environ["BIOPPO_TEST_DATA"]) / "kinetic")
    print()
    print("log-uniform sets, batches of 512; SKiMpy's time per set is quoted, not measured")
    print("model              n   sets/s   validity/eigenvalues   2 workers/1   x SKiMpy")
    for name, network, state in models:
        validity_table(name, network, state, -38.3 if name == "e_coli_core" else -2.5)
    print()
    print("nonlinear validation of one set, starts within 25 %, milliseconds")
    print("model            right-hand side      Jacobian   one start by BDF   per start, 64 at once")
    for name, network, state in models:
        nonlinear_table(name, network, state)


def environment_table() -> None:
    """Print what the environment adds to the simulator: whole episodes of 64 copies, restarts included."""
    environment = make_env("kinetic", num_envs=64, lambda_part=-38.0)
    environment.reset(seed=0)
    generator = np.random.default_rng(0)
    actions = generator.normal(0.0, 0.6, environment.action_space.shape)
    horizon = environment.config.horizon
    member = np.zeros(64, dtype=np.intp)
    sets = environment.ln_km(generator.normal(0.0, 1.0, environment.action_space.shape), member)

    def episode() -> None:
        for _ in range(horizon):
            environment.step(actions)

    def bare() -> None:
        for _ in range(horizon + 1):  # one evaluation more, for the potential of the new starts
            environment.task.simulators[0].max_eigenvalue(sets)

    medians = interleaved_medians({"episode": episode, "bare": bare}, 2 * SECONDS_PER_ROW)
    print()
    print(f"environment, 64 copies, episodes of {horizon} steps: {medians['episode'] * 1e3:.1f} ms an episode,")
    print(f"{medians['episode'] / medians['bare']:.2f} x the bare evaluations it makes")


def update_table() -> None:
    """Print an update of PPO with the tuned settings, and what share of it is not spent on eigenvalues."""
    from hydra import compose, initialize_config_module

    from bioppo.configs.schema import register, to_run_config
    from bioppo.training.build import build_environment, build_learner

    register()
    with initialize_config_module("bioppo.configs", version_base="1.3"):
        run = to_run_config(compose("train", ["env=kinetic", "algo=ppo"]))
    environment = build_environment(run.env, seed=0, split="train")
    learner = build_learner(run.algo, environment, seed=0, device="cpu")
    spent = [0.0]
    evaluate = environment.max_eigenvalue

    def timed(ln_km: np.ndarray, member: np.ndarray) -> np.ndarray:
        start = time.perf_counter()
        largest = evaluate(ln_km, member)
        spent[0] += time.perf_counter() - start
        return largest

    environment.max_eigenvalue = timed
    learner.update(0.0)
    shares, seconds = [], []
    for _ in range(20):
        spent[0] = 0.0
        start = time.perf_counter()
        learner.update(0.0)
        seconds.append(time.perf_counter() - start)
        shares.append(1.0 - spent[0] / seconds[-1])
    print("\nupdate of PPO, tuned settings, 320 transitions:")
    print(f"{statistics.median(seconds) * 1e3:.0f} ms, {statistics.median(shares):.0%} of it outside the eigenvalues")


def main() -> None:
    """Print all tables."""
    with threadpool_limits(1, user_api="blas"):
        simulator_table()
        model_tables()
        environment_table()
        update_table()


if __name__ == "__main__":
    main()
