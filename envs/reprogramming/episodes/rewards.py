"""What a step earns, split into what arriving in a cell gives and what leaving one costs.

Every form is ``r = arriving[s', k] - leaving[s, k]``, so that a step of all copies is two look-ups.
"""

from typing import Any

import numpy as np

from ..data import FloatArray, Goals

BLOCK = 4096
"""Cells whose features are held in 64 bits at once."""


def reward_parts(
    form: str,
    goals: Goals,
    features: Any,
    *,
    step_penalty: float = -1.0,
    scale: float = 5.0,
    goal_bonus: float | None = None,
    gamma: float = 0.98,
) -> tuple[FloatArray, FloatArray | None]:
    """Return ``arriving`` and ``leaving``, (n, K) each; nothing is paid for leaving where the second is None.

    With S the cosine similarity of a cell to the target's centroid:

    - ``cosine``: ``penalty + scale (gamma S' - S) + bonus [success]``. The potential stays as it is in goal cells.
    - ``pbrs_exact``: the same with ``S - 1`` for S, and 0 for it at success: potential-based shaping that leaves the
      optimal policy as it is (Ng, Harada and Russell 1999, theorem 1, whose terminal states have potential 0).
      Without the - 1 that 0 would be a loss wherever S is positive.
    - ``readme``: ``penalty - scale |z' - c_k| + bonus [success]``, with a bonus of 1 unless one is given.
    - ``sparse``: ``penalty + bonus [success]``.

    Parameters
    ----------
    features
        (n, G), read by ``readme`` alone.
    goal_bonus
        None is 1 with ``readme`` and 0 otherwise.
    """
    if goal_bonus is None:
        goal_bonus = 1.0 if form == "readme" else 0.0
    arriving = step_penalty + goal_bonus * goals.is_goal
    match form:
        case "cosine":
            return arriving + scale * gamma * goals.sim, scale * goals.sim
        case "pbrs_exact":
            potential = goals.sim - 1.0
            return arriving + scale * gamma * np.where(goals.is_goal, 0.0, potential), scale * potential
        case "readme":
            return arriving - scale * centroid_distances(features, goals.centroid), None
        case "sparse":
            return arriving, None
    raise ValueError(f"there is no reward {form}")


def centroid_distances(features: Any, centroid: FloatArray) -> FloatArray:
    """Return the Euclidean distance (n, K) of features (n, G) to every centroid (K, G)."""
    distance = np.empty((len(features), len(centroid)))
    for first in range(0, len(features), BLOCK):
        block = np.asarray(features[first : first + BLOCK], dtype=np.float64)
        for kind, centre in enumerate(centroid):
            distance[first : first + BLOCK, kind] = np.linalg.norm(block - centre, axis=1)
    return distance
