"""What agents are measured by: whether, how soon and how directly they bring cells to their target types."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..batched import Metric
from ..evaluation import Evaluation, Policy, Trajectories, evaluate
from .data import BoolArray, IntArray, StrArray
from .episodes.measures import measure_episodes, summarise
from .planner import UNREACHABLE

if TYPE_CHECKING:
    import pandas as pd

    from .episodes.cells import CellEpisodes
    from .task import ReprogrammingTask

METRICS: tuple[Metric, ...] = (
    Metric("success", "higher", "share of episodes that reach a goal cell of the target type within the horizon"),
    Metric("success_solvable", "higher", "the same of episodes whose shortest way is within the horizon"),
    Metric("spl", "higher", "success times shortest over taken length, mean over episodes"),
    Metric("length_ratio", "lower", "taken over shortest length, mean over successes"),
    Metric("length", "lower", "steps taken, mean over successes"),
    Metric("regret", "lower", "steps lost to actions that come no nearer, mean over episodes with a way"),
    Metric("optimal_share", "higher", "share of steps that come one step nearer, where there is a way"),
    Metric("revisits", "lower", "steps of an episode to a cell in which it has been"),
    Metric("self_loops", "lower", "steps of an episode that leave the cell as it is"),
)
UNSEEN = (
    Metric("success_unseen", "higher", "success of episodes whose target type training held out"),
    Metric("length_ratio_unseen", "lower", "taken over shortest length, mean over successes among them"),
)
"""What is measured besides where types are held out."""
DESCRIPTIVE = ("solvable", "activation", "unused_actions")
"""Scalars that are neither good nor bad: the share of episodes with a way within the horizon, which bounds success, the
share of actions that overexpress a gene, and how many actions no evaluated step takes."""
SCALARS = (*(metric.name for metric in METRICS), *DESCRIPTIVE)
LONG_HORIZON = 36
"""Steps of the second evaluation: the last phase of the thesis project's curriculum."""
SEED = 1
"""Of the further evaluations, alike for all agents."""
DISTANCE_BINS = (1, 3, 5, 7, 9, 11, 16, 21)
"""Least shortest lengths of the bins that episodes are grouped in."""


def metrics_of(task: "ReprogrammingTask") -> tuple[Metric, ...]:
    """Return what matters in a task: `METRICS`, and `UNSEEN` where types are held out."""
    return METRICS if task.trainable.all() else (*METRICS, *UNSEEN)


def measure(task: "ReprogrammingTask", trajectories: Trajectories, horizon: int | None = None) -> Evaluation:
    """Return scalars over whole episodes, a row per episode, and tables.

    Of every step ``info`` needs ``start``, ``target``, ``action`` and ``cell``, the cell that was reached, and
    ``success``. Scalars are `SCALARS`, without what no episode defines, and with types held out also those of episodes
    that aim at them.

    Parameters
    ----------
    task
        Whose distances are the yardstick; with stochastic or persistent dynamics they are a reference only.
    horizon
        Most steps of an episode; None: the task's.

    Returns
    -------
    Tables: ``groups``, the scalars by start type, target type and shortest length; ``paths``, a row per step; and
    ``actions``, how often each was taken.
    """
    horizon = task.config.task.horizon if horizon is None else horizon
    steps = sort_steps(task, trajectories)
    measures = measure_episodes(
        steps["episode"],
        steps["cell"],
        steps["reached"],
        steps["distance"],
        steps["distance_reached"],
        steps["success"],
        steps["activation"],
        horizon,
    )
    episodes = episode_table(task, steps, measures)
    used = np.bincount(steps["action"], minlength=task.n_actions)
    scalars = summarise(measures) | {"unused_actions": float((used == 0).sum())}
    scalars |= unseen_scalars(measures, ~task.trainable[steps["target"][steps["begins"]]])
    tables = {
        "groups": group_table(episodes, measures),
        "paths": path_table(task, steps),
        "actions": action_table(task, used),
    }
    return Evaluation(scalars, episodes, tables)


def unseen_scalars(measures: dict[str, Any], unseen: BoolArray) -> dict[str, float]:
    """Return the scalars `UNSEEN`, those of episodes (n_episodes,) with a held-out target."""
    if not unseen.any():
        return {}
    own = summarise({key: values[unseen] for key, values in measures.items()})
    return {metric.name: own[key] for metric in UNSEEN if (key := metric.name.removesuffix("_unseen")) in own}


def sort_steps(task: "ReprogrammingTask", trajectories: Trajectories) -> dict[str, Any]:
    """Return the steps by episode and step, arrays (n_steps,); episodes are numbered from 0 without gaps."""
    order = np.lexsort((trajectories.step, trajectories.episode))
    info = {key: np.asarray(trajectories.info[key])[order] for key in ("start", "target", "action", "cell", "success")}
    _, episode = np.unique(trajectories.episode[order], return_inverse=True)
    begins = np.diff(episode, prepend=-1) != 0
    reached, target = info["cell"].astype(np.int64), info["target"].astype(np.int64)
    cell = np.where(begins, info["start"], np.roll(reached, 1)).astype(np.int64)
    return {
        "episode": episode,
        "step": trajectories.step[order],
        "reward": trajectories.reward[order],
        "begins": begins,
        "cell": cell,
        "reached": reached,
        "target": target,
        "action": info["action"].astype(np.int64),
        "success": info["success"].astype(bool),
        "activation": task.activates[info["action"]],
        "distance": task.distance[cell, target],
        "distance_reached": task.distance[reached, target],
    }


def episode_table(task: "ReprogrammingTask", steps: dict[str, Any], measures: dict[str, Any]) -> "pd.DataFrame":
    """Return a row per episode: start cell, both types and all measures."""
    import pandas as pd

    first = np.flatnonzero(steps["begins"])
    start, target = steps["cell"][first], steps["target"][first]
    columns = {
        "episode": np.arange(len(first)),
        "start": start,
        "start_type": task.types[task.cluster_of_cell[start]],
        "target_type": task.types[target],
        "episode_return": np.bincount(steps["episode"], steps["reward"]),
    }
    return pd.DataFrame(columns | measures)


def group_table(episodes: "pd.DataFrame", measures: dict[str, Any]) -> "pd.DataFrame":
    """Return the scalars of groups of episodes.

    Columns: ``by`` (``start_type``, ``target_type`` or ``optimal_length``), ``group``, ``episodes``, and the scalars.
    """
    import pandas as pd

    groupings = {
        "start_type": episodes["start_type"].to_numpy(),
        "target_type": episodes["target_type"].to_numpy(),
        "optimal_length": name_bins(measures["optimal_length"]),
    }
    rows = []
    for by, labels in groupings.items():
        names = dict.fromkeys(
            labels[np.argsort(measures["optimal_length"])] if by == "optimal_length" else sorted(labels)
        )
        for name in names:
            own = labels == name
            scalars = summarise({key: values[own] for key, values in measures.items()})
            rows.append({"by": by, "group": name, "episodes": int(own.sum())} | scalars)
    columns = ["by", "group", "episodes", *SCALARS[:-1]]
    return pd.DataFrame(rows, columns=columns)


def name_bins(length: IntArray) -> StrArray:
    """Return the name of every shortest length's bin, such as ``3-4``; ``none`` where there is no way."""
    least = (0, *DISTANCE_BINS)
    names = [f"{low}-{high - 1}" for low, high in pairwise(least)]
    names = ["0", *names[1:], f"{least[-1]}+"]
    place = np.searchsorted(DISTANCE_BINS, length, side="right")
    return np.where(length == UNREACHABLE, "none", np.array(names)[place])


def path_table(task: "ReprogrammingTask", steps: dict[str, Any]) -> "pd.DataFrame":
    """Return a row per step: what figures draw and what a person would do.

    Columns: ``episode``, ``step``, ``cell``, ``action``, ``action_name``, ``next``, ``next_type``, ``target_type``,
    ``distance`` and ``next_distance`` (-1 without a way), ``similarity`` of the next cell to the target, ``success``.
    """
    import pandas as pd

    reached, target = steps["reached"], steps["target"]
    columns = {
        "episode": steps["episode"],
        "step": steps["step"],
        "cell": steps["cell"],
        "action": steps["action"],
        "action_name": np.asarray(task.table.actions.names)[steps["action"]],
        "next": reached,
        "next_type": task.types[task.cluster_of_cell[reached]],
        "target_type": task.types[target],
        "distance": steps["distance"],
        "next_distance": steps["distance_reached"],
        "similarity": task.goals.sim[reached, target],
        "success": steps["success"],
    }
    return pd.DataFrame(columns)


def action_table(task: "ReprogrammingTask", used: IntArray) -> "pd.DataFrame":
    """Return how often actions were taken: ``action``, ``activates``, ``count`` and ``share``, in the table's order."""
    import pandas as pd

    columns = {"action": task.table.actions.names, "activates": task.activates}
    return pd.DataFrame(columns | {"count": used, "share": used / max(1, used.sum())})


def horizon_table(
    environment: "CellEpisodes", agent: Policy, *, episodes: int | None = None, seed: int = SEED
) -> "pd.DataFrame":
    """Return an agent's scalars on validation and test, with the task's horizon and with 36 steps.

    At most ``episodes`` are played on each, and no more than the environment counts out.

    Columns: ``split``, ``horizon``, ``episodes``, `SCALARS`, and with types held out those of `UNSEEN`.
    """
    import pandas as pd

    rows = []
    for split in ("validation", "test"):
        for horizon in dict.fromkeys((environment.task.config.task.horizon, LONG_HORIZON)):
            sibling = environment.sibling(environment.num_envs, seed, split)
            sibling.horizon = horizon
            count = sibling.suggested_episodes
            found = evaluate(agent, sibling, episodes=count if episodes is None else min(episodes, count), seed=seed)
            rows.append({"split": split, "horizon": horizon, "episodes": len(found.episodes)} | found.scalars)
    unseen = [metric.name for metric in metrics_of(environment.task)[len(METRICS) :]]
    return pd.DataFrame(rows, columns=["split", "horizon", "episodes", *SCALARS, *unseen])
