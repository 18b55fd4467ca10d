"""Speed of flux-balance linear programs against cobra's ``optimize``.

Run ``python benchmarks/dfba_linear_programs.py [MODEL ...]`` on an idle machine with OMP_NUM_THREADS=1. The candidates
of a row are timed in turn and medians are compared, so that the ratios hardly depend on the machine. Bounds change in
every call, as in a culture: concentrations fall by 3 %, wanted secretions drift. The simplex engines follow one copy;
the cache has seen all bounds before, as in training.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from bioppo.envs.dfba.linear_program import LinearProgram
from bioppo.envs.dfba.model import FluxModel, load_model

MODELS = {
    "toy_sa": ("toy_sa", ("Glc_e", "P_e", "Amylase_e"), ("Amylase_e",)),
    "e_coli_core": ("bundled:textbook", None, ("EX_ac_e", "EX_etoh_e", "EX_succ_e")),
    "iJO1366": (
        "bundled:iJO1366",
        tuple(f"EX_{species}_e" for species in ("glc__D", "o2", "nh4", "pi", "ac", "tyr__L", "phe__L")),
        ("EX_tyr__L_e", "EX_phe__L_e"),
    ),
}
BATCH_SIZES = (1, 8, 64, 1000)
SECONDS_PER_ROW = 12.0
ROUNDS = 64
"""Different bounds per candidate, visited in turn."""


class Candidate:
    """A function of the number of the round, and the linear programs it solves per call."""

    def __init__(self, solve: Callable[[int], object], programs: int, engine: LinearProgram | None = None) -> None:
        self.solve, self.programs, self.engine = solve, programs, engine
        self.durations: list[float] = []

    def time(self, number: int) -> None:
        """Call once and note the seconds per program."""
        start = time.perf_counter()
        self.solve(number)
        self.durations.append((time.perf_counter() - start) / self.programs)


def drifting_bounds(
    model: FluxModel, varying: list[int], actions: list[int], copies: int, seed: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return `ROUNDS` bounds ``(copies, n_varying)``: uptake limits of falling concentrations, forced secretions."""
    generator = np.random.default_rng(seed)
    present = np.array([model.lower[reaction] < 0 or reaction == model.objective for reaction in varying])
    concentration = generator.uniform(5.0, 30.0, (copies, len(varying))) * present
    wanted = generator.uniform(-1.0, 0.3, (copies, len(varying))) * np.isin(varying, actions)
    rounds = []
    for _ in range(ROUNDS):
        lower = -10.0 * concentration / (concentration + 10.0)
        rounds.append((np.where(wanted > 0.0, wanted, lower), np.full(lower.shape, 100.0)))
        concentration *= 0.97
        wanted += generator.normal(0.0, 0.05, wanted.shape) * np.isin(varying, actions)
    return rounds


def cobra_candidate(
    name: str, model: FluxModel, varying: list[int], rounds: list[tuple[np.ndarray, np.ndarray]]
) -> Candidate:
    """Return cobra's ``optimize`` with GLPK, bounds set through its reactions."""
    source = cobra_model(name, model)
    reactions = [source.reactions.get_by_id(model.reactions[reaction]) for reaction in varying]

    def solve(number: int) -> object:
        lower, upper = (bounds[0] for bounds in rounds[number % ROUNDS])
        for reaction, low, high in zip(reactions, lower.tolist(), upper.tolist(), strict=True):
            reaction.bounds = (low, high)
        return source.optimize()

    return Candidate(solve, 1)


def cobra_model(name: str, model: FluxModel) -> object:
    """Return the model as cobra's object, built from its arrays where no file has it."""
    import cobra
    from cobra.io import read_sbml_model

    if name.startswith("bundled:"):
        from bioppo.envs.dfba.model_sources.files import bundled_path

        source = read_sbml_model(str(bundled_path(name.partition(":")[2])))
    else:
        source = cobra.Model(name)
        metabolites = [cobra.Metabolite(each) for each in model.metabolites]
        matrix = model.stoichiometry.toarray()
        for column, reaction_name in enumerate(model.reactions):
            reaction = cobra.Reaction(reaction_name, lower_bound=model.lower[column], upper_bound=model.upper[column])
            reaction.add_metabolites(
                {metabolites[row]: matrix[row, column] for row in np.flatnonzero(matrix[:, column])}
            )
            source.add_reactions([reaction])
        source.objective = model.reactions[model.objective]
    source.solver = "glpk"
    return source


def simplex_candidate(model: FluxModel, varying: list[int], actions: list[int], **options: object) -> Candidate:
    """Return a simplex engine that follows one copy through all rounds, each warm from the one before."""
    rounds = drifting_bounds(model, varying, actions, 1)
    lower, upper = (np.concatenate([bounds[side] for bounds in rounds]) for side in (0, 1))
    engine = LinearProgram(model, varying=varying, tracked=varying, actions=actions, cross_check=0.0, **options)
    chunk = ROUNDS if len(model.metabolites) < 200 else 4

    def solve(number: int) -> object:
        first = number * chunk % ROUNDS
        return engine.solve(lower[first : first + chunk], upper[first : first + chunk])

    return Candidate(solve, chunk, engine)


def cache_candidate(
    model: FluxModel, varying: list[int], actions: list[int], copies: int, **options: object
) -> Candidate:
    """Return the cache with many copies, when it has seen all rounds."""
    rounds = drifting_bounds(model, varying, actions, copies)
    engine = LinearProgram(model, varying=varying, tracked=varying, actions=actions, solver="cache", **options)
    last: list[np.ndarray | None] = [None]
    for lower, upper in rounds:
        engine.solve(lower, upper)

    def solve(number: int) -> object:
        solution = engine.solve(*rounds[number % ROUNDS], last=last[0])
        last[0] = solution.basis
        return solution

    return Candidate(solve, copies, engine)


def main() -> None:
    """Print microseconds per program and ratios, one table per model."""
    for key in sys.argv[1:] or MODELS:
        name, varying_names, action_names = MODELS[key]
        model = load_model(name)
        varying = [model.position(each) for each in varying_names] if varying_names else list(model.exchanges.values())
        actions = [model.position(each) for each in action_names]
        candidates = {
            "cobra optimize": cobra_candidate(name, model, varying, drifting_bounds(model, varying, actions, 1))
        }
        for solver in ("glpk", "highs"):
            for label, tie_break in (("growth only", "vertex"), ("all levels", "lexicographic")):
                candidates[f"{solver}, {label}"] = simplex_candidate(
                    model, varying, actions, solver=solver, tie_break=tie_break
                )
        for copies in BATCH_SIZES:
            candidates[f"cache, K={copies}"] = cache_candidate(model, varying, actions, copies, cross_check=0.0)
        candidates["cache, K=64, cross-checked"] = cache_candidate(model, varying, actions, 64)
        end, number = time.perf_counter() + SECONDS_PER_ROW, 0
        while time.perf_counter() < end or number < 3:
            for candidate in candidates.values():
                candidate.time(number)
            number += 1
        reference = statistics.median(candidates["cobra optimize"].durations)
        print(f"\n{key}: {len(model.metabolites)} x {len(model.reactions)}, {len(varying)} varying, {number} rounds")
        for label, candidate in candidates.items():
            median = statistics.median(candidate.durations)
            print(f"{label:28s} {1e6 * median:12.2f} us  {reference / median:8.1f} x  {facts(candidate.engine)}")


def facts(engine: LinearProgram | None) -> str:
    """Return the state of an engine's cache."""
    if engine is None or not engine.statistics["bases"]:
        return ""
    return ", ".join(f"{key} {engine.statistics[key]:.4g}" for key in ("bases", "rays", "hit_rate", "checked"))


if __name__ == "__main__":
    main()
