"""Tables that an evaluation on test cells leaves behind: what figures are drawn from."""

from typing import TYPE_CHECKING

import numpy as np

from ..evaluation import Trajectories
from .data import FloatArray, IntArray
from .scoring import Predictions, Scorer

if TYPE_CHECKING:
    import pandas as pd

    from .task import PerturbationTask

OUTER = (0.1, 0.9)
"""Quantiles of cells that make the band around a mean way."""


def effect_table(scorer: Scorer, predictions: Predictions) -> "pd.DataFrame":
    """Return predicted and observed effects, a row per group and gene.

    Columns: ``perturbation``, ``cell_type``, ``split``, ``gene``, ``predicted``, ``observed`` (log-normalised
    expression, minus that of the cells started from, and of the reference controls), ``significant`` (differs between
    the observed cells and these controls), ``own_target`` and ``any_target`` (a target gene of this perturbation, of
    any one).
    """
    import pandas as pd

    data = scorer.prepared
    any_target = np.zeros(len(data.genes), dtype=bool)
    any_target[np.concatenate([np.asarray(genes, dtype=np.int64) for genes in data.targets])] = True
    parts = []
    for observation in scorer.observations:
        group = observation.group
        rows = (predictions.perturbation == group.perturbation) & (predictions.cell_type == group.cell_type)
        final, start = (each[rows].mean(axis=0, dtype=np.float64) for each in (predictions.final, predictions.start))
        own = np.isin(np.arange(len(data.genes)), data.targets[group.perturbation])
        columns = {
            "perturbation": data.perturbations[group.perturbation],
            "cell_type": data.cell_types[group.cell_type],
            "split": group.split,
            "gene": data.genes,
            "predicted": (final - start).astype(np.float32),
            "observed": observation.effect.astype(np.float32),
            "significant": observation.significant,
            "own_target": own,
            "any_target": any_target,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def plane_table(task: "PerturbationTask", trajectories: Trajectories, last: IntArray) -> "pd.DataFrame":
    """Return the ways of cells in the plane of the first principal components of training controls.

    A row per group and point of the way: ``perturbation``, ``cell_type``, ``split``, ``point`` (0 is the start),
    ``share_1`` (of the controls' variance), ``mean_1``, ``low_1`` and ``high_1`` (10 and 90 % of the cells) and
    ``target_1`` (the mean of the observed cells), and the same for the second component. An answer is reached in equal
    steps.
    """
    import pandas as pd

    cells = task.data.expression if task.decode is not None else task.coordinates
    centre, axes, shares = principal_plane(cells[task.data.cells(None)])
    ways = plane_ways(task, trajectories, last, centre, axes)
    perturbation, kind = (trajectories.info[key][last] for key in ("perturbation", "cell_type"))
    start = trajectories.info["start"][last]
    parts = []
    for group in task.scorer("test").groups:
        rows = (perturbation == group.perturbation) & (kind == group.cell_type)
        rows &= np.isin(start, task.start_cells("test", group.cell_type))
        if not rows.any():
            continue
        way = ways[:, rows]
        mean, (low, high) = way.mean(axis=1), np.quantile(way, OUTER, axis=1)
        target = (cells[group.cells].mean(axis=0, dtype=np.float64) - centre) @ axes
        columns = {
            "perturbation": task.data.perturbations[group.perturbation],
            "cell_type": task.data.cell_types[group.cell_type],
            "split": group.split,
            "point": np.arange(len(way)),
        }
        for axis in range(2):
            values = {"share": shares, "mean": mean, "low": low, "high": high, "target": target}
            columns |= {f"{name}_{axis + 1}": each[..., axis] for name, each in values.items()}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def principal_plane(cells: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mean (D,), the first two principal axes (D, 2) and their shares of the variance (2,).

    The sign of an axis is such that its largest entry is positive. Cells of one coordinate have a second axis of zeros.
    """
    values = np.asarray(cells, dtype=np.float64)
    centre = values.mean(axis=0)
    variance, vectors = np.linalg.eigh(np.cov(values - centre, rowvar=False).reshape(values.shape[1], -1))
    order = np.argsort(variance)[::-1][:2]
    axes = vectors[:, order] * np.sign(vectors[np.abs(vectors[:, order]).argmax(axis=0), order])
    shares = variance[order] / max(float(variance.sum()), 1e-300)
    missing = 2 - len(order)
    return centre, np.pad(axes, ((0, 0), (0, missing))), np.pad(shares, (0, missing))


def plane_ways(
    task: "PerturbationTask", trajectories: Trajectories, last: IntArray, centre: FloatArray, axes: FloatArray
) -> FloatArray:
    """Return all episodes' ways in the plane (horizon + 1, n_episodes, 2); those that stopped stay where they are."""

    def place(coordinates: FloatArray) -> FloatArray:
        cells = coordinates if task.decode is None else task.decode(coordinates)
        placed: FloatArray = (np.asarray(cells, dtype=np.float64) - centre) @ axes
        return placed

    horizon, info = task.config.horizon, trajectories.info
    first = place(task.coordinates[info["start"][last]])
    if "expression" in info:
        final = (np.asarray(info["expression"][last], dtype=np.float64) - centre) @ axes
        share = np.linspace(0.0, 1.0, horizon + 1)[:, None, None]
        answered: FloatArray = (1.0 - share) * first + share * final
        return answered
    ways = [first]
    for step in range(1, horizon + 1):
        rows = trajectories.step == step
        reached = ways[-1].copy()
        reached[np.searchsorted(trajectories.episode[last], trajectories.episode[rows])] = place(info["cell"][rows])
        ways.append(reached)
    return np.array(ways)


def trajectory_table(names: list[str], series: dict[str, FloatArray]) -> "pd.DataFrame":
    """Return trajectories (n_points, D') by name as rows: ``series``, ``point``, and a column per gene."""
    import pandas as pd

    parts = []
    for name, points in series.items():
        frame = pd.DataFrame(points, columns=names)
        frame.insert(0, "point", np.arange(len(points)))
        frame.insert(0, "series", name)
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)
