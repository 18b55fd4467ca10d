"""Score of every variant of a study's task at the training time that the quickest one needs.

Run ``python benchmarks/trpo_ppo_equal_time.py results/trpo_ppo_comparison/pendulum``, whose folders are variants, their
folders seeds. Seconds of update k of a variant are the least over its seeds, which other work on the machine disturbed
least; they count collecting and fitting, and neither evaluations nor start-up. The score of a seed is its validation
curve, linear between evaluations, at the total seconds of the quickest variant. Scores are interquartile means over
seeds with 95 % bootstrap intervals, and compared with the variant whose name ends in ``-ppo``.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bioppo.reports.statistics import (
    bootstrap_interval,
    improvement_interval,
    interquartile_mean,
    probability_of_improvement,
)


@dataclass(frozen=True)
class Variant:
    """The finished runs of one variant.

    Attributes
    ----------
    name
        Its folder's name.
    seconds
        (n_evaluations,), training time up to every evaluation.
    scores
        (n_seeds, n_evaluations), the headline metric on the validation split.
    """

    name: str
    seconds: np.ndarray
    scores: np.ndarray

    def at(self, moment: float) -> np.ndarray:
        """Return the scores (n_seeds,) at this training time, the last ones if it is later."""
        return np.array([np.interp(moment, self.seconds, curve) for curve in self.scores])


def read_variant(folder: Path) -> Variant:
    """Read all seeds of a variant; their evaluations come after the same updates."""
    runs = sorted(file.parent for file in folder.glob("seed_*/result.json"))
    progress = [pd.read_csv(run / "progress.csv") for run in runs]
    least = np.min([pd.read_csv(run / "timing.csv")["update_seconds"].to_numpy() for run in runs], axis=0)
    headline = next(name for name in progress[0].columns if name.startswith("evaluation/"))
    evaluated = progress[0][headline].notna().to_numpy()
    scores = np.array([table.loc[evaluated, headline].to_numpy() for table in progress])
    return Variant(folder.name, np.cumsum(least)[evaluated], scores)


def main() -> None:
    """Print the table as Markdown."""
    folders = sorted({file.parents[1] for file in Path(sys.argv[1]).glob("*/seed_*/result.json")})
    variants = [read_variant(folder) for folder in folders]
    moment = min(variant.seconds[-1] for variant in variants)
    ppo = next(variant for variant in variants if variant.name.endswith("-ppo"))
    print(f"| variant | n | seconds | score at {moment:.1f} s | P(better than PPO) |\n| :-- | --: | --: | --: | --: |")
    for variant in variants:
        ours, theirs = variant.at(moment), ppo.at(moment)
        low, high = bootstrap_interval([ours])
        chance = "–"
        if variant is not ppo:
            ends = improvement_interval([ours], [theirs])
            chance = f"{probability_of_improvement([ours], [theirs]):.2f} [{ends[0]:.2f}, {ends[1]:.2f}]"
        score = f"{interquartile_mean(ours):.4g} [{low:.4g}, {high:.4g}]"
        print(f"| {variant.name} | {len(ours)} | {variant.seconds[-1]:.1f} | {score} | {chance} |")


if __name__ == "__main__":
    main()
