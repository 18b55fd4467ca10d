"""Tables that figures of a run need besides its scores: the drawing, shortest ways, and how far all cells are."""

from typing import TYPE_CHECKING

import numpy as np

from ..data import IntArray
from ..planner import UNREACHABLE

if TYPE_CHECKING:
    import pandas as pd

    from ..task import ReprogrammingTask

MOST_WAYS = 6
"""Episodes whose way is kept beside a shortest one."""


def figure_tables(task: "ReprogrammingTask", episodes: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    """Return ``drawing``, ``shortest`` and ``distances``, for episodes as `evaluation.episode_table` gives them."""
    chosen = choose_episodes(episodes)
    return {
        "drawing": drawing_table(task),
        "shortest": shortest_table(task, episodes.loc[episodes["episode"].isin(chosen)]),
        "distances": distance_table(task),
    }


def choose_episodes(episodes: "pd.DataFrame", most: int = MOST_WAYS) -> list[int]:
    """Return the numbers of episodes to draw: spread over shortest lengths, and the one that lost most steps, last.

    Episodes without a way to their target are never chosen.
    """
    known = episodes[episodes["optimal_length"] > 0]
    if known.empty:
        return []
    excess = known["length"] - known["optimal_length"] + 1000 * ~known["success"].astype(bool)
    worst = int(known.loc[excess.idxmax(), "episode"])
    others = known[known["episode"] != worst].sort_values(["optimal_length", "episode"], kind="stable")
    places = np.unique(np.linspace(0, len(others) - 1, min(most - 1, len(others))).round().astype(int))
    return [*others["episode"].to_numpy()[places].tolist(), worst]


def drawing_table(task: "ReprogrammingTask") -> "pd.DataFrame":
    """Return a row per cell: ``cell`` (its position), ``type`` and the first two coordinates of the drawing."""
    import pandas as pd

    place = np.asarray(task.table.embedding, dtype=np.float64)
    second = place[:, 1] if place.shape[1] > 1 else np.zeros(len(place))
    kinds = np.asarray(task.types)[task.cluster_of_cell]
    return pd.DataFrame({"cell": np.arange(len(place)), "type": kinds, "x": place[:, 0], "y": second})


def shortest_table(task: "ReprogrammingTask", episodes: "pd.DataFrame") -> "pd.DataFrame":
    """Return a shortest way by the table for each episode: ``episode``, ``step``, ``cell``, ``action_name``, ``next``.

    Of equally short ways the one that takes the first such action at every step.
    """
    import pandas as pd

    types = np.asarray(task.types).tolist()
    names = np.asarray(task.table.actions.names)
    rows = []
    for row in episodes.itertuples():
        target = types.index(row.target_type)
        way = find_way(np.asarray(task.table.next), task.distance[:, target], int(row.start))
        rows += [(row.episode, step, cell, names[action], after) for step, (cell, action, after) in enumerate(way, 1)]
    return pd.DataFrame(rows, columns=["episode", "step", "cell", "action_name", "next"])


def find_way(next_cell: IntArray, distance: IntArray, start: int) -> list[tuple[int, int, int]]:
    """Return the steps (cell, action, next cell) of a shortest way; none from a goal or where there is no way.

    Parameters
    ----------
    next_cell
        (n, A).
    distance
        (n,) to the target.
    start
        The first cell.
    """
    way = []
    cell = start
    while distance[cell] > 0:
        action = int(np.flatnonzero(distance[next_cell[cell]] == distance[cell] - 1)[0])
        way.append((cell, action, int(next_cell[cell, action])))
        cell = way[-1][2]
    return way


def distance_table(task: "ReprogrammingTask") -> "pd.DataFrame":
    """Return how many cells of other types are how far from each target type.

    Columns: ``target_type``, ``distance`` (-1 without a way), ``cells``, and ``solvable``: within the horizon.
    """
    import pandas as pd

    rows = []
    for target, name in enumerate(np.asarray(task.types).tolist()):
        distance = task.distance[np.asarray(task.cluster_of_cell) != target, target]
        lengths, cells = np.unique(distance, return_counts=True)
        rows += [(name, int(length), int(count)) for length, count in zip(lengths, cells, strict=True)]
    table = pd.DataFrame(rows, columns=["target_type", "distance", "cells"])
    horizon = task.config.task.horizon
    return table.assign(solvable=(table["distance"] != UNREACHABLE) & (table["distance"] <= horizon))
