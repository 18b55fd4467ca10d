"""How long the parts of a run take: measured on the trained agent's own culture, with no clock in the simulator."""

import os
import platform
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..batched_culture import BatchedCulture

if TYPE_CHECKING:
    import pandas as pd

MOST_SECONDS = 0.5
MOST_DECISIONS = 200
SIMULATION_CALLS = 20_000_000
"""Environment steps of a published simulation: 5000 batches of 4 episodes of 1000 steps."""
LEVELS = ("optimisation", "policy", "step", "batch", "simulation")


class TimedProgram:
    """A linear program that notes how long every call of ``solve`` takes and how many programs it held."""

    def __init__(self, program: Any, calls: list[tuple[float, int]]) -> None:
        self.program, self.calls = program, calls

    def solve(self, lower: Any, *arguments: Any, **keywords: Any) -> Any:
        """Solve, and note the seconds."""
        started = time.perf_counter()
        solution = self.program.solve(lower, *arguments, **keywords)
        self.calls.append((time.perf_counter() - started, len(lower)))
        return solution

    def __getattr__(self, name: str) -> Any:
        return getattr(self.program, name)


@contextmanager
def timed_programs(groups: Sequence[Any], calls: list[tuple[float, int]]) -> Iterator[None]:
    """Time the linear programs of groups of agents for as long as this lasts."""
    programs = [group.program for group in groups]
    try:
        for group in groups:
            group.program = TimedProgram(group.program, calls)
        yield
    finally:
        for group, program in zip(groups, programs, strict=True):
            group.program = program


def measure_runtime(
    environment: BatchedCulture,
    policy: Any,
    batches: "pd.DataFrame",
    *,
    seconds: float = MOST_SECONDS,
) -> dict[str, Any]:
    """Return seconds at five levels, as JSON values.

    ``optimisation`` (a call of the linear programs of one group of agents), ``policy`` (a call for all copies) and
    ``step`` (a decision of all copies, of ``frame_skip`` steps) are timed while the policy plays up to 200 decisions,
    or ``seconds``; ``batch`` are the updates of the training, playing and fitting without evaluations; ``simulation``
    is the time of 20 million environment steps at the batches' pace, and ``extrapolated`` unless the run had as many.

    Parameters
    ----------
    environment
        Copies of its own, which may be advanced.
    policy
        None where the agent answers at once: then there is no ``policy``, and idle agents are timed.
    batches
        Columns ``simulator_calls`` and ``update_seconds``, a row per update in order; seconds may be few.

    Returns
    -------
    dict
        ``copies``, ``agents``, ``decision_steps``, ``hardware``, and ``levels``: for each the
        number of ``calls``, ``mean``, ``sd``, ``median``, ``lower_quartile`` and ``upper_quartile`` of their seconds,
        and ``mean_per_unit``, the mean for one ``unit``.
    """
    solved: list[tuple[float, int]] = []
    acted, stepped = play_timed(environment, policy, solved, seconds)
    copies, skip = environment.num_envs, environment.frame_skip
    per_solve = np.array([count for _, count in solved], dtype=np.float64)
    levels: dict[str, dict[str, Any]] = {}
    if len(solved):
        levels["optimisation"] = described(np.array([spent for spent, _ in solved]), "program", per_solve)
    if acted:
        levels["policy"] = described(np.array(acted), "copy", np.full(len(acted), copies))
    levels["step"] = described(np.array(stepped), "copy step", np.full(len(stepped), copies * skip))
    rows = batches[batches["update_seconds"] > 0]
    calls = np.diff(np.concatenate([[0.0], rows["simulator_calls"].to_numpy(dtype=float)]))
    if len(rows):
        spent = rows["update_seconds"].to_numpy(dtype=float)
        levels["batch"] = described(spent, "copy step", np.maximum(calls, 1.0))
        levels["simulation"] = simulation(spent, calls)
    hardware = {"processor": processor(), "cores": os.cpu_count(), "system": platform.system()}
    agents = {"agents": len(environment.case.agents), "learning": len(environment.agents)}
    return {"copies": copies, **agents, "decision_steps": skip, "hardware": hardware, "levels": levels}


def play_timed(
    environment: BatchedCulture, policy: Any, solved: list[tuple[float, int]], seconds: float
) -> tuple[list[float], list[float]]:
    """Play with the policy; return the seconds of its calls and of the decisions, the first of which warms up."""
    acted: list[float] = []
    stepped: list[float] = []
    observation, _ = environment.reset(seed=0)
    elapsed = np.zeros(environment.num_envs, dtype=np.int64)
    idle = environment.idle_action()
    resting: Any = (
        {name: np.repeat(part[None], environment.num_envs, axis=0) for name, part in idle.items()}
        if isinstance(idle, Mapping)
        else np.repeat(np.asarray(idle)[None], environment.num_envs, axis=0)
    )
    actions, end = resting, time.perf_counter() + seconds
    with warnings.catch_warnings(), timed_programs(environment.community.groups, solved):
        warnings.simplefilter("ignore")  # the training has said it
        for decision in range(MOST_DECISIONS + 1):
            if policy is not None:
                keywords = {"steps": elapsed.copy()} if getattr(policy, "uses_steps", False) else {}
                started = time.perf_counter()
                actions = policy.act(observation, masks=None, generator=None, **keywords)
                acted.append(time.perf_counter() - started)
            started = time.perf_counter()
            observation, _, terminated, truncated, _ = environment.step(actions)
            stepped.append(time.perf_counter() - started)
            elapsed = np.where(terminated | truncated, 0, elapsed + 1)
            if decision == 0:
                first = len(solved)
            if time.perf_counter() > end:
                break
    if len(stepped) == 1:  # so slow that warming up does not matter
        return acted, stepped
    del solved[:first]
    return acted[1:], stepped[1:]


def described(seconds: np.ndarray, unit: str, count: np.ndarray) -> dict[str, Any]:
    """Return statistics of calls, and the mean per unit, of which each call had ``count``."""
    lower, median, upper = (float(value) for value in np.percentile(seconds, [25, 50, 75]))
    return {
        "calls": len(seconds),
        "mean": float(seconds.mean()),
        "sd": float(seconds.std(ddof=1)) if len(seconds) > 1 else None,
        "median": median,
        "lower_quartile": lower,
        "upper_quartile": upper,
        "unit": unit,
        "mean_per_unit": float(seconds.sum() / count.sum()),
    }


def simulation(seconds: np.ndarray, calls: np.ndarray) -> dict[str, Any]:
    """Return the time of a published simulation at the pace of these batches, and what this run took in truth.

    Its standard deviation is that of a sum of as many independent batches.
    """
    batches = SIMULATION_CALLS / max(float(calls.mean()), 1.0)
    sd = float(seconds.std(ddof=1) * np.sqrt(batches)) if len(seconds) > 1 else None
    return {
        "mean": float(seconds.sum() / max(float(calls.sum()), 1.0) * SIMULATION_CALLS),
        "sd": sd,
        "simulator_calls": SIMULATION_CALLS,
        "extrapolated": bool(calls.sum() < SIMULATION_CALLS),
        "run_seconds": float(seconds.sum()),
        "run_simulator_calls": int(calls.sum()),
    }


def processor() -> str:
    """Return the processor's name as far as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
