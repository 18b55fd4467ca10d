"""What a run scores, read from the learning curve in its directory: a continued or finished run scores the same."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import UserError

Floats = npt.NDArray[np.float64]


def score_of_run(directory: Path, metric: str, objective: str) -> float:
    """Return the objective of a finished run: ``final``, the last validation value, or ``area``."""
    calls, values = learning_curve(directory, metric)
    return mean_height(calls, values) if objective == "area" else float(values[-1])


def learning_curve(directory: Path, metric: str) -> tuple[Floats, Floats]:
    """Return simulator calls and the metric on the validation split, at every evaluation, each shape ``(n,)``."""
    column = f"evaluation/{metric}"
    with (directory / "progress.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get(column)]
    if not rows:
        raise UserError(
            f"{directory / 'progress.csv'} has no values of {column}: delete {directory} to train it again."
        )
    return np.array([float(row["simulator_calls"]) for row in rows]), np.array([float(row[column]) for row in rows])


def mean_height(calls: Floats, values: Floats) -> float:
    """Return the area under a curve by the trapezoidal rule, divided by its width."""
    widths = np.diff(calls)
    if widths.sum() == 0:
        return float(values[-1])
    return float((widths * (values[1:] + values[:-1]) / 2).sum() / widths.sum())
