"""What whole episodes are worth: successes, lengths against shortest ways, regret, revisits; and areas under curves.

All functions take the steps of episodes in long form, sorted by episode and step; ``episode`` (n_steps,) counts them
from 0 and none is missing.
"""

from typing import Any

import numpy as np

from .... import UserError
from ..data import BoolArray, FloatArray, IntArray
from ..planner import UNREACHABLE


def measure_episodes(
    episode: IntArray,
    cell: IntArray,
    reached: IntArray,
    distance: IntArray,
    distance_reached: IntArray,
    success: BoolArray,
    activation: BoolArray,
    horizon: int,
) -> dict[str, Any]:
    """Return the measures of every episode, arrays (n_episodes,).

    Parameters
    ----------
    episode, cell, reached
        (n_steps,): the episode, and the cells before and after the step.
    distance, distance_reached
        (n_steps,): of both cells to the episode's target, -1 where there is no way.
    success
        (n_steps,): whether the target was reached by the step.
    activation
        (n_steps,): whether the action overexpressed a gene.
    horizon
        Most steps.

    Returns
    -------
    ``optimal_length``: steps of the shortest way, -1 where there is none. ``solvable``: it takes at most ``horizon``
    steps. ``success``. ``length``: steps taken. ``length_ratio``: length over optimal length in successes with a known
    way, else NaN. ``spl``: success times optimal over taken length, at most 1. ``regret``: the sum of
    d(next) + 1 - d(cell) over steps, NaN where there was no way at first; a last cell without a way counts as
    ``horizon`` away. ``optimal_steps`` and ``decided_steps``: steps that came nearer, and those that had a way.
    ``activations``: overexpressions. ``revisits``: steps to a cell of the episode's past, staying among them.
    ``self_loops``: steps that stayed.

    Notes
    -----
    SPL is success weighted by path length (Anderson et al. 2018, arXiv:1807.06757).
    """
    first = np.flatnonzero(np.diff(episode, prepend=-1))
    last = np.append(first[1:], len(episode)) - 1
    length = last - first + 1
    optimal, final = distance[first].astype(np.int64), distance_reached[last].astype(np.int64)
    won, known = success[last].astype(bool), optimal > 0
    final = np.where(final == UNREACHABLE, horizon, final)
    decided = distance > 0
    nearer = decided & (distance_reached == distance - 1)
    return {
        "optimal_length": optimal,
        "solvable": (optimal >= 0) & (optimal <= horizon),
        "success": won,
        "length": length,
        "length_ratio": np.where(won & known, length / np.where(known, optimal, 1), np.nan),
        # Where chance found a way that the table does not know, no shorter one is known either.
        "spl": np.where(won, np.where(known, optimal / np.maximum(length, optimal), 1.0), 0.0),
        "regret": np.where(optimal >= 0, length + final - optimal, np.nan),
        "optimal_steps": np.bincount(episode, nearer).astype(np.int64),
        "decided_steps": np.bincount(episode, decided).astype(np.int64),
        "activations": np.bincount(episode, activation).astype(np.int64),
        "revisits": count_revisits(episode, cell, reached),
        "self_loops": count_self_loops(episode, cell, reached),
    }


def summarise(measures: dict[str, Any]) -> dict[str, float]:
    """Return means over episodes of what `measure_episodes` gave; what no episode defines is left out.

    ``success``, ``success_solvable`` (over solvable episodes), ``solvable`` (their share), ``length`` (of successes),
    ``length_ratio``, ``spl``, ``regret``, ``revisits`` and ``self_loops`` are means over episodes; ``optimal_share``
    and ``activation`` are shares of steps.
    """
    steps, decided = measures["length"].sum(), measures["decided_steps"].sum()
    won = measures["success"]
    means = {
        "success": _mean(won),
        "success_solvable": _mean(won[measures["solvable"]]),
        "solvable": _mean(measures["solvable"]),
        "length": _mean(measures["length"][won]),
        "length_ratio": _mean(measures["length_ratio"]),
        "spl": _mean(measures["spl"]),
        "regret": _mean(measures["regret"]),
        "optimal_share": measures["optimal_steps"].sum() / decided if decided else np.nan,
        "activation": measures["activations"].sum() / steps if steps else np.nan,
        "revisits": _mean(measures["revisits"]),
        "self_loops": _mean(measures["self_loops"]),
    }
    return {key: float(value) for key, value in means.items() if np.isfinite(value)}


def count_revisits(episode: IntArray, cell: IntArray, reached: IntArray) -> IntArray:
    """Return how many steps of each episode led to a cell in which it had been, (n_episodes,); staying counts."""
    points, owners = _points(episode, cell, reached)
    visited = np.unique(np.stack([owners, points], axis=1), axis=0)[:, 0]
    counts: IntArray = np.bincount(owners) - np.bincount(visited)
    return counts


def count_self_loops(episode: IntArray, cell: IntArray, reached: IntArray) -> IntArray:
    """Return how many steps of each episode left the cell as it was, (n_episodes,)."""
    return np.bincount(episode, cell == reached).astype(np.int64)


def activation_fraction(actions: IntArray, activates: BoolArray) -> float:
    """Return the share of actions that overexpress a gene; ``activates`` (A,) says which those are."""
    return float(np.mean(activates[actions]))


def learning_curve_area(steps: FloatArray, success: FloatArray) -> float:
    """Return the area under a curve of success over steps, as a share of the steps: 1 for success from the start.

    Trapezoids over the measured points and the origin, divided by the last step.

    Parameters
    ----------
    steps
        (n,) increasing and positive.
    success
        (n,) between 0 and 1.
    """
    at = np.concatenate([[0.0], np.asarray(steps, dtype=np.float64)])
    height = np.concatenate([[0.0], np.asarray(success, dtype=np.float64)])
    if len(at) < 2 or len(at) != len(height) or (np.diff(at) <= 0).any():
        raise UserError(
            f"A learning curve of {len(at) - 1} steps and {len(height) - 1} successes has no area: give as many of "
            "both, at least one, with steps that increase from above 0."
        )
    # numpy.trapezoid is not in NumPy 1.26.
    return float(np.sum(np.diff(at) * (height[1:] + height[:-1]) / 2) / at[-1])


def _points(episode: IntArray, cell: IntArray, reached: IntArray) -> tuple[IntArray, IntArray]:
    """Return all points of all ways, first ones included, and whose they are, in no order."""
    first = np.flatnonzero(np.diff(episode, prepend=-1))
    return np.concatenate([cell[first], reached]), np.concatenate([episode[first], episode])


def _mean(values: Any) -> float:
    """Return the mean of what is a number, NaN where nothing is."""
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")
