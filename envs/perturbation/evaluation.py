"""What agents are measured by: final cells against observed ones, and their ways against cells in pseudotime."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from ... import UserError
from ..batched import Metric
from ..evaluation import Evaluation, Trajectories
from .data import BoolArray, FloatArray, IntArray
from .evaluation_tables import effect_table, plane_table, trajectory_table
from .paper_tables import MEASURES as DISPLACEMENT
from .paper_tables import describe_displacement
from .scoring import Predictions
from .trajectories import compare, mean_trajectory, straight_steps

if TYPE_CHECKING:
    from .task import PerturbationTask

Direction = Literal["higher", "lower"]

MEANINGS: dict[str, tuple[Direction, str]] = {
    "pearson_delta": ("higher", "correlation of predicted and observed effect over genes, target gene left out"),
    "pds": ("higher", "rank of the right perturbation among all by L1 distance of effects; 0.5 for no information"),
    "de_overlap": ("higher", "share of the differentially expressed genes among as many largest predicted changes"),
    "energy": ("lower", "energy distance between predicted and observed cells"),
    "mse_delta": ("lower", "squared error of the effect, mean over genes, target gene left out"),
    "pds_cell_eval": ("higher", "pds as cell-eval has it: a constant prediction scores above 0.5"),
    "w1": ("lower", "Wasserstein distance between predicted and observed cells per gene, mean over genes"),
    "mse": ("lower", "squared error of mean expression; absolute expression flatters doing nothing"),
    "rmse": ("lower", "root of the squared error of mean expression"),
    "mae": ("lower", "absolute error of mean expression"),
    "r2": ("higher", "explained share of the variance of mean expression over genes"),
    "pearson": ("higher", "correlation of mean expression over genes"),
    "de_chance": ("higher", "de_overlap that a random order of genes would have"),
    "fraction_negative": ("lower", "share of predicted values below zero"),
}
"""What a score means and which way is better, the primary ones first."""

SPLITS = {"A": "held-out cells of seen perturbations", "B": "held-out perturbations", "C": "a held-out cell type"}

REFERENCES = {"perturbed": "held-out perturbed cells", "control": "test controls", "twin": "the experimental model"}

TRAJECTORY_MEANINGS = {
    "dtw": "dynamic time warping, mean over dimensions",
    "w1": "Wasserstein distance of the values, mean over dimensions",
    "aligned_mad": "mean absolute difference point by point, which the paper calls Wasserstein",
}


def cell_metrics(task: "PerturbationTask") -> tuple[Metric, ...]:
    """Return what evaluations of this task tell, the first one choosing the best policy."""
    found: list[Metric] = []
    if task.decode is not None:
        for split, words in SPLITS.items():
            for name, (better, meaning) in MEANINGS.items():
                if f"{name}_{split}" in task.score_names:
                    found.append(Metric(f"{name}_{split}", better, f"{meaning} ({words})"))
    if task.config.paper_compat:
        if task.decode is not None:
            found += [
                Metric(f"{name}_train", MEANINGS[name][0], f"{MEANINGS[name][1]} (training cells)")
                for name in DISPLACEMENT
            ]
        found += [
            Metric(f"displacement_{name}{suffix}", "lower" if name in DISPLACEMENT[:3] else "higher", meaning)
            for suffix, cells in (("", "test"), ("_train", "training"))
            for name in DISPLACEMENT
            for meaning in (f"start against final state of {cells} controls: how far cells moved, not where to",)
        ]
    if task.config.compares_trajectories:
        found += [
            Metric(f"{name}_{reference}", "lower", f"{meaning}, between mean trajectory and {REFERENCES[reference]}")
            for name, meaning in TRAJECTORY_MEANINGS.items()
            for reference in references(task)
        ]
    return tuple(found)


def references(task: "PerturbationTask") -> tuple[str, ...]:
    """Return what trajectories are compared with."""
    return ("perturbed", "control", "twin") if task.config.twin else ("perturbed", "control")


def measure(task: "PerturbationTask", trajectories: Trajectories, *, observed: str) -> Evaluation:
    """Score the final cells of every episode; of a test, also compare the mean way of its first ones with references.

    A test leaves tables behind: ``effects``, ``plane`` and, with trajectories, ``trajectory``.
    """
    import pandas as pd

    last = last_steps(trajectories.episode, trajectories.step)
    # Scores of subsets of cells then depend on the cells alone, not on how many copies played them.
    order = last[np.lexsort([trajectories.info[key][last] for key in ("start", "cell_type", "perturbation")])]
    info = {key: values[order] for key, values in trajectories.info.items()}
    scalars: dict[str, float] = {}
    table, tables = pd.DataFrame(), dict[str, pd.DataFrame]()
    for cells, ending, rows in parts_observed(task, info["start"], observed):
        part = {key: values[rows] for key, values in info.items()}
        if task.decode is not None:
            predictions = predicted(task, part)
            if not ending:
                table, scalars = task.scorer(cells).score(predictions)
            else:
                of_training = task.scorer(cells).score(predictions)[1]
                scalars |= {f"{name}{ending}": of_training[f"{name}_A"] for name in DISPLACEMENT}
        if task.config.paper_compat and (final := final_coordinates(task, part)) is not None:
            scalars |= describe_displacement(task.coordinates[part["start"]], final, ending)
    if observed == "test":
        of_test = np.isin(info["start"], task.data.cells(None, test=True))
        if task.decode is not None:
            chosen = {key: values[of_test] for key, values in info.items()}
            tables["effects"] = effect_table(task.scorer("test"), predicted(task, chosen))
        if "cell" in info or task.config.representation != "notebook":
            tables["plane"] = plane_table(task, trajectories, last)
    if task.config.compares_trajectories and observed == "test":
        path = system_trajectory(task, trajectories, last)
        series = {"system": path} | {name: task.reference(name) for name in references(task)}
        tables["trajectory"] = trajectory_table(coordinate_names(task, path), series)
        scalars |= compare_with_references(task, path)
    return Evaluation(scalars, table, tables)


def last_steps(episode: IntArray, step: IntArray) -> IntArray:
    """Return where the last step of each episode stands, in the order of episodes."""
    order = np.lexsort((step, episode))
    ends = np.append(np.flatnonzero(np.diff(episode[order])), len(order) - 1)
    last: IntArray = order[ends]
    return last


def parts_observed(
    task: "PerturbationTask", start: IntArray, observed: str
) -> Iterator[tuple[str, str, BoolArray | slice]]:
    """Yield the cells that final states are compared with, the ending of what is measured, and the episodes' rows.

    With ``paper_compat`` a test has episodes from training controls too, which are measured by themselves.
    """
    if observed != "test" or not task.config.paper_compat:
        yield observed, "", slice(None)
        return
    of_test = task.data.split.test[start]
    if of_test.all():
        raise UserError("evaluation.episodes leaves none that start from training controls: leave it out.")
    yield "test", "", of_test
    yield "train", "_train", ~of_test


def predicted(task: "PerturbationTask", info: dict[str, np.ndarray]) -> Predictions:
    """Return the expression that episodes started from and that they ended with."""
    assert task.decode is not None
    final = info["expression"] if "expression" in info else task.decode(info["cell"])
    return Predictions(task.data.expression[info["start"]], final, info["perturbation"], info["cell_type"])


def final_coordinates(task: "PerturbationTask", info: dict[str, np.ndarray]) -> FloatArray | None:
    """Return where episodes ended, (n, D), or None where only expression was answered and coordinates are others."""
    if "cell" not in info and task.config.representation != "gene":
        return None
    final: FloatArray = info["cell"] if "cell" in info else info["expression"]
    return final


def system_trajectory(task: "PerturbationTask", trajectories: Trajectories, last: IntArray) -> FloatArray:
    """Return the mean way (H + 1, D') of the cells of `trajectory_episodes`; an answer is reached in equal steps."""
    wanted = task.trajectory_episodes
    here = [trajectories.info[key][last] for key in ("perturbation", "start")]
    pairs = {*zip(wanted.perturbation.tolist(), wanted.start.tolist(), strict=True)}
    chosen = last[[pair in pairs for pair in zip(*(each.tolist() for each in here), strict=True)]]
    start = trajectories.info["start"][chosen]
    first = comparable(task, task.coordinates[start])
    if "expression" in trajectories.info:
        return mean_trajectory(straight_steps(first, trajectories.info["expression"][chosen], task.config.horizon))
    states = [first]
    for step in range(1, task.config.horizon + 1):
        rows = np.isin(trajectories.episode, trajectories.episode[chosen]) & (trajectories.step == step)
        reached = states[-1].copy()
        where = np.searchsorted(trajectories.episode[chosen], trajectories.episode[rows])
        reached[where] = comparable(task, trajectories.info["cell"][rows])  # those that stopped stay where they are
        states.append(reached)
    return mean_trajectory(np.array(states))


def comparable(task: "PerturbationTask", coordinates: FloatArray) -> FloatArray:
    """Return coordinates as expression where a way leads back to it, and as they are otherwise."""
    return coordinates if task.decode is None else task.decode(coordinates)


def compare_with_references(task: "PerturbationTask", path: FloatArray) -> dict[str, float]:
    """Return dtw, w1 and aligned_mad of a trajectory against each of the references."""
    scalars: dict[str, float] = {}
    for reference in references(task):
        values = compare(path, task.reference(reference))
        scalars |= {f"{name}_{reference}": float(values[name]) for name in TRAJECTORY_MEANINGS if name in values}
    return scalars


def coordinate_names(task: "PerturbationTask", path: FloatArray) -> list[str]:
    """Return names for the columns of a trajectory: genes, or numbered coordinates."""
    if task.decode is not None:
        return [str(name) for name in task.data.genes]
    return [f"coordinate_{index}" for index in range(path.shape[1])]
