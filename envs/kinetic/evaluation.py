"""What is measured in the kinetic environment, for policies and solvers alike."""

import numpy as np

from ..evaluation import Evaluation, Trajectories


def measure(trajectories: Trajectories) -> Evaluation:
    """Turn evaluated sets into scalars.

    *Single-shot* means the last set of each episode, so that a policy is judged by what it hands over and a solver by
    one answer. ``first_hit`` asks whether any set of the episode was valid: for independent draws of incidence q over
    T answers it tends to ``1 - (1 - q)^T``, which is why the two are never compared with each other.
    """
    import pandas as pd

    info = trajectories.info
    steps = pd.DataFrame(
        {
            "episode": trajectories.episode,
            "step": trajectories.step,
            "lambda_max": info["lambda_max"],
            "valid": info["valid"],
            "stable": info["stable"],
        }
    )
    grouped = steps.sort_values(["episode", "step"]).groupby("episode", sort=True)
    last = grouped.last()
    episodes = pd.DataFrame(
        {
            "length": last["step"],
            "lambda_max": last["lambda_max"],
            "valid": last["valid"],
            "stable": last["stable"],
            "first_hit": grouped["valid"].any(),
            "lambda_best": grouped["lambda_max"].min(),
        }
    )
    scalars = {
        "incidence": float(episodes["valid"].mean()),
        "first_hit": float(episodes["first_hit"].mean()),
        "stable": float(episodes["stable"].mean()),
        "lambda_max": _finite_median(episodes["lambda_max"].to_numpy()),
        "lambda_best": _finite_median(episodes["lambda_best"].to_numpy()),
        "invalid_eigen": float(np.mean(info["invalid_eigen"])),
    }
    return Evaluation(scalars, episodes.reset_index(), {"sets": steps})


def _finite_median(values: np.ndarray) -> float:
    """Return the median with failed eigenvalues counted as the largest finite number."""
    return float(np.median(np.minimum(values, np.finfo(np.float64).max)))
