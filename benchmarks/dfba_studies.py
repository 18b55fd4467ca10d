"""Times and training curves of the dfba studies, from their run directories.

``python benchmarks/dfba_studies.py runtime results/dfba_runtime``: seconds per batch (playing and fitting, without
evaluations) of every variant over its seeds, beside what SPAM-DFBA published.
``... learning results/dfba_learning``: seconds and environment steps until an evaluation passes SPAM-DFBA's
return, and that of the best constant bounds.
``... training results/dfba_clip``: training returns at the start and at the end, and how many seeds are stuck.

Seconds are those of the machine that trained, with whatever else ran there.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from bioppo.reports.statistics import bootstrap_interval

PUBLISHED_BATCH = {
    "single": (1.193, 0.207),
    "two": (3.012, 0.420),
    "five": (8.383, 31.84),
    "five_mass_transfer": (2.220, 0.174),
}
"""Mean and standard deviation, seconds per batch of 4 x 1000 steps, on 8 cores."""
PUBLISHED_RETURN = {"single": 44.9, "two": -28.0, "five": 0.2}
"""Mean over agents; of five agents only the range 0.2 to 4.7 is known, and its lower end is taken."""
PUBLISHED_SECONDS = {"single": 6135, "two": 15380, "five": 42710}
PLATEAU, TOLERANCE = -779.80, 0.5
"""Return of one microbe that never secretes, where the actor has no gradient, and how near counts as stuck."""
LAST = 50
"""Training batches whose mean counts as the end, as in the published curves."""


def run_directories(study: Path) -> Iterator[tuple[str, Path]]:
    """Yield the variant and the directory of every finished run."""
    for job in json.loads((study / "study.json").read_text())["jobs"]:
        directory = study / job["directory"]
        if (directory / "result.json").is_file():
            yield job["variant"], directory


def by_variant(study: Path, read: Callable[[Path], object]) -> dict[str, list[object]]:
    """Return what ``read`` says of every run, by variant."""
    found: dict[str, list[object]] = {}
    for variant, directory in run_directories(study):
        found.setdefault(variant, []).append(read(directory))
    return found


def batch_seconds(directory: Path) -> np.ndarray:
    """Return the seconds of every update, (n_updates,)."""
    timing = pd.read_csv(directory / "timing.csv")
    return timing.loc[timing["update"] > 0, "update_seconds"].to_numpy()


def time_to_return(directory: Path, wanted: float | None) -> tuple[float, float, float]:
    """Return the return before training, and seconds of training and steps until an evaluation passes ``wanted``.

    None stands for the best constant bounds of the run's own baselines; inf is where no evaluation passes.
    """
    timing, progress = (pd.read_csv(directory / f"{name}.csv") for name in ("timing", "progress"))
    if wanted is None:
        wanted = json.loads((directory / "result.json").read_text())["constant/mean_return"]
    returns = progress["evaluation/mean_return"]
    passed = progress.index[returns > wanted]
    if not len(passed):
        return float(returns[0]), np.inf, np.inf
    seconds = timing["update_seconds"].cumsum()
    return float(returns[0]), float(seconds[passed[0]]), float(progress["simulator_calls"][passed[0]])


def training_returns(directory: Path) -> tuple[float, float]:
    """Return the mean return of the first batch and of the last ones."""
    returns = pd.read_csv(directory / "progress.csv")["environment/episode_return"].dropna()
    return float(returns.iloc[0]), float(returns.iloc[-LAST:].mean())


def interval(values: Iterable[float]) -> str:
    """Return median and bootstrap interval of the median over seeds."""
    numbers = np.array(list(values))
    if len(numbers) < 2:
        return f"{numbers[0]:.1f}"
    low, high = bootstrap_interval([numbers], statistic=lambda drawn: np.median(drawn, axis=-1))
    return f"{np.median(numbers):.1f} [{low:.1f}, {high:.1f}]"


def print_runtime(study: Path) -> None:
    """Print seconds per batch."""
    print("variant               seeds  mean    sd  median  quartiles        published mean, sd")
    for variant, runs in by_variant(study, batch_seconds).items():
        seconds = np.concatenate(runs)
        low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75))
        theirs = "{:.3f}, {:.3f}".format(*PUBLISHED_BATCH[variant]) if variant in PUBLISHED_BATCH else ""
        print(
            f"{variant:20} {len(runs):6d} {seconds.mean():5.2f} {seconds.std():5.2f} {middle:7.2f}  "
            f"{low:.2f} to {high:.2f}     {theirs}"
        )


def print_learning(study: Path) -> None:
    """Print seconds until published returns, and those of the best constant bounds, are passed."""
    print("variant  passes          untrained  in seeds  median seconds  median steps  published seconds to the end")
    for variant, published in PUBLISHED_RETURN.items():
        for name, wanted in (("SPAM-DFBA", published), ("best constant", None)):
            runs = by_variant(study, partial(time_to_return, wanted=wanted)).get(variant, [])
            if not runs:
                continue
            untrained, seconds, steps = np.array(runs).T
            theirs = PUBLISHED_SECONDS[variant] if wanted is not None else ""
            print(
                f"{variant:8} {name:14} {np.median(untrained):10.1f}  {np.isfinite(seconds).sum():2d} of "
                f"{len(seconds):<2d}  {np.median(seconds):14.1f}  {np.median(steps):12,.0f}  {theirs}"
            )


def print_training(study: Path) -> None:
    """Print starts, ends and the share of stuck seeds."""
    print(f"{'variant':20} seeds  stuck  start                     last {LAST} batches            of those not stuck")
    for variant, runs in by_variant(study, training_returns).items():
        start, end = np.array(runs).T
        stuck = np.abs(end - PLATEAU) < TOLERANCE
        others = interval(end[~stuck]) if (~stuck).any() else "-"
        print(f"{variant:20} {len(runs):5d}  {stuck.sum():5d}  {interval(start):24}  {interval(end):24}  {others}")


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=("runtime", "learning", "training"))
    parser.add_argument("study", type=Path, help="directory of the study")
    arguments = parser.parse_args()
    {"runtime": print_runtime, "learning": print_learning, "training": print_training}[arguments.table](arguments.study)


if __name__ == "__main__":
    main()
