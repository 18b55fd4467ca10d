"""How soon learners pass the returns that SPAM-DFBA published, from the run directories of ``study=dfba_learning``.

Run ``python benchmarks/dfba_learning.py results/dfba_learning``. Seconds are those of training without evaluations, on
the machine that trained and with whatever else ran there; steps do not depend on it. SPAM-DFBA's seconds are those of
its whole training on 8 cores with another learner: this is time to a return, no comparison of algorithms.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

PUBLISHED_RETURN = {"single": 44.9, "two": -28.0, "five": 0.2}
"""Mean over agents; of five agents only the range 0.2 to 4.7 is known, and its lower end is taken."""
PUBLISHED_SECONDS = {"single": 6135, "two": 15380, "five": 42710}


def finished_runs(study: Path, variant: str) -> Iterator[Path]:
    """Yield the directories of a variant's finished runs."""
    for job in json.loads((study / "study.json").read_text())["jobs"]:
        directory = study / job["directory"]
        if job["variant"] == variant and (directory / "result.json").is_file():
            yield directory


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


def print_learning(study: Path) -> None:
    """Print seconds until published returns, and those of the best constant bounds, are passed."""
    print("variant  passes          untrained  in seeds  median seconds  median steps  published seconds to the end")
    for variant, published in PUBLISHED_RETURN.items():
        directories = list(finished_runs(study, variant))
        for name, wanted in (("SPAM-DFBA", published), ("best constant", None)):
            if not directories:
                continue
            found = np.array([time_to_return(directory, wanted) for directory in directories])
            untrained, seconds, steps = np.median(found, axis=0)
            passed = f"{np.isfinite(found[:, 1]).sum():2d} of {len(found):<2d}"
            theirs = PUBLISHED_SECONDS[variant] if wanted is not None else ""
            print(f"{variant:8} {name:14} {untrained:10.1f}  {passed}  {seconds:14.1f}  {steps:12,.0f}  {theirs}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="directory of the study")
    print_learning(parser.parse_args().study)


if __name__ == "__main__":
    main()
