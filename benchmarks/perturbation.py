"""Time the perturbation environment against the bare kernel, against itself copy by copy, and within PPO.

python benchmarks/perturbation.py
"""

import time
from collections.abc import Callable
from statistics import median

import numpy as np

import bioppo
from bioppo.algorithms.ppo.config import PPOConfig
from bioppo.algorithms.ppo.learner import build_ppo
from bioppo.envs.batched import BatchedEnv

COPIES = 1024
GENES = (50, 200)
UPDATES = 3


def main() -> None:
    """Print every bar beside what was measured."""
    print("genes  step/kernel (bar 8)  cell-steps per second, 1,024 copies over one (bar 30)")
    for genes in GENES:
        kernel_ratio, copies_ratio = environment_ratios(genes)
        print(f"{genes:5}  {kernel_ratio:19.1f}  {copies_ratio:.0f}")
    print(f"environment's share of an update of PPO, 32 copies, 50 genes (bar 15 %): {100 * share_of_ppo():.1f} %")


def environment_ratios(genes: int) -> tuple[float, float]:
    """Return step over kernel, and cells per second of many copies over those of one; medians of interleaved calls."""
    many = make(COPIES, genes)
    one = many.sibling(1, 0, "train")
    actions = np.random.default_rng(0).uniform(-1, 1, (COPIES, genes)).astype(np.float32)
    many.reset()
    one.reset()
    start, target = many.state["cell"].copy(), many.state["target"].copy()

    def kernel() -> np.ndarray:
        error = start + np.clip(actions, -1, 1) - target
        return (error**2).mean(axis=1)

    timed = medians({"kernel": kernel, "many": lambda: many.step(actions), "one": lambda: one.step(actions[:1])})
    return timed["many"] / timed["kernel"], timed["one"] * COPIES / timed["many"]


def share_of_ppo() -> float:
    """Return the share of an update's seconds that are spent in the environment's step."""
    environment = make(32, 50)
    learner = build_ppo(PPOConfig(n_steps=64), environment, seed=0, device="cpu")
    seconds = 0.0
    step = environment.step

    def timed_step(actions: np.ndarray) -> object:
        nonlocal seconds
        started = time.perf_counter()
        result = step(actions)
        seconds += time.perf_counter() - started
        return result

    environment.step = timed_step  # type: ignore[method-assign, assignment]
    started = time.perf_counter()
    for update in range(UPDATES):
        learner.update(update / UPDATES)
    return seconds / (time.perf_counter() - started)


def make(copies: int, genes: int) -> BatchedEnv:
    """Return the default environment with this many genes."""
    options = {"generator": {"n_genes": genes}, "data": {"n_genes": genes}}
    return bioppo.make_env("perturbation", num_envs=copies, seed=0, **options)


def medians(functions: dict[str, Callable[[], object]], repeats: int = 200) -> dict[str, float]:
    """Return the median seconds of each function, called in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - started)
    return {name: median(values) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
