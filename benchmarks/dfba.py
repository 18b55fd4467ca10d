"""Speed of communities against cobra, whose `optimize` is called once for each agent and step.

Run ``python benchmarks/dfba.py`` on an idle machine. Rates depend on the machine, ratios hardly: the candidates of a
row are timed in turn, so that a slow moment of the machine hits all of them, and medians are compared. One environment
step is one step of ``dt_h`` in one copy. With ``--scaling`` also communities of 1 to 20 agents, and peak memory.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from bioppo import make_env
from bioppo.envs.dfba.culture.case import load_case
from bioppo.envs.dfba.model import FluxModel
from bioppo.envs.dfba.options import load_options, plain_case

CASES = {1: "starch_amylase/single", 2: "starch_amylase/two", 5: "starch_amylase/five"}
COPIES = (1, 4, 64, 1024)
BARS = {1: 60, 2: 75, 5: 100}
"""What K = 64 should reach, in steps of SPAM-DFBA 1.0.0; the gate is 20, and 2 at K = 1."""
ROUNDS = 15


def interleaved_medians(candidates: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Return the median of what each candidate measures, called one after the other."""
    measured: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, candidate in candidates.items():
            measured[name].append(candidate())
    return {name: statistics.median(values) for name, values in measured.items()}


def cobra_model(model: FluxModel) -> Any:
    """Return the model as cobra has it."""
    import cobra

    built = cobra.Model(model.name)
    metabolites = {name: cobra.Metabolite(name, compartment="c") for name in model.metabolites}
    matrix = model.stoichiometry.toarray()
    for column, name in enumerate(model.reactions):
        reaction = cobra.Reaction(name, lower_bound=model.lower[column], upper_bound=model.upper[column])
        built.add_reactions([reaction])
        entries = np.flatnonzero(matrix[:, column])
        reaction.add_metabolites({metabolites[model.metabolites[row]]: matrix[row, column] for row in entries})
    built.objective = model.reactions[model.objective]
    return built


def cobra_step(case_name: str, steps: int = 6) -> Callable[[], float]:
    """Return a function that times steps of one culture with cobra, in seconds per step: bounds, then `optimize`."""
    case = load_case(case_name)
    models = [cobra_model(agent.model) for agent in case.agents]
    generator = np.random.default_rng(0)

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            for model in models:
                model.reactions.Glc_e.bounds = -float(generator.uniform(1, 9)), 100.0
                model.reactions.P_e.bounds = 0.0, 100.0
                model.reactions.Amylase_e.bounds = float(generator.uniform(0, 0.5)), 100.0
                model.optimize()
        return (time.perf_counter() - start) / steps

    return measure


def environment_step(case: Any, copies: int, semantics: str = "spam") -> Callable[[], float]:
    """Return a function that times environment steps of a batch, in seconds per copy and step."""
    environment = make_env("dfba", num_envs=copies, case=case, semantics=semantics, frame_skip=1)
    environment.reset(seed=0)
    generator = np.random.default_rng(0)
    steps = max(3, 256 // copies)

    def draw() -> Any:
        shape = (copies, 1)
        parts = {name: generator.uniform(0, 0.5, shape) for name in environment.agents}
        return parts[environment.agents[0]] if len(parts) == 1 else parts

    def measure() -> float:
        actions = [draw() for _ in range(steps)]
        start = time.perf_counter()
        for action in actions:
            environment.step(action)
        return (time.perf_counter() - start) / steps / copies

    measure()
    return measure


def print_ratios(semantics: str) -> None:
    """Print a row per number of agents: cobra's time, and how many times faster the batch is."""
    print(f"semantics={semantics}: times faster than cobra (us per environment step)")
    print("agents  cobra us" + "".join(f"{f'K={copies}':>18}" for copies in COPIES) + "   bar at K=64")
    for agents, case in CASES.items():
        candidates = {f"K={copies}": environment_step(case, copies, semantics) for copies in COPIES}
        medians = interleaved_medians({"cobra": cobra_step(case), **candidates})
        cells = [
            f"{medians['cobra'] / medians[f'K={copies}']:7.1f}x {medians[f'K={copies}'] * 1e6:7.1f}us"
            for copies in COPIES
        ]
        print(
            f"{agents:6d} {medians['cobra'] * 1e6:9.0f}" + "".join(f"{cell:>18}" for cell in cells),
            f"  {BARS[agents]}x",
        )


def larger_case(agents: int) -> dict[str, Any]:
    """Return the starch case with any number of alike agents."""
    case = plain_case(load_options("starch_amylase/single"))
    microbe = case["agents"]["agent1"]
    names = [f"agent{number}" for number in range(1, agents + 1)]
    case["agents"] = {name: microbe | {"observables": [*names, "Glc", "Starch"]} for name in names}
    case["initial"] = {"Glc": 100, "Starch": 10, **dict.fromkeys(names, 0.1)}
    return case


def print_scaling() -> None:
    """Print how time grows with agents and copies, and the peak memory of five agents in 4096 copies."""
    print("us per environment step by agents and copies (standard)")
    print("agents" + "".join(f"{f'K={copies}':>10}" for copies in (16, 256, 4096)))
    for agents in (1, 2, 5, 10, 20):
        candidates = {
            str(copies): environment_step(larger_case(agents), copies, "standard") for copies in (16, 256, 4096)
        }
        medians = interleaved_medians(candidates)
        print(f"{agents:6d}" + "".join(f"{value * 1e6:10.2f}" for value in medians.values()))
        if agents == 5:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"       peak memory after 5 agents in 4096 copies: {peak:.0f} MiB")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scaling", action="store_true")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        for semantics in ("spam", "standard"):
            print_ratios(semantics)
        if arguments.scaling:
            print_scaling()


if __name__ == "__main__":
    main()
