"""What a run scores, read from the learning curve in its directory: a continued or finished run scores the same."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import UserError

Floats = npt.NDArray[np.float64]


def score_of_run(directory: Path, metric: str, objective: str) -> float:
    """Return the objective of a finished run: ``final``, the last validation value, ``area`` or ``area_from_zero``."""
    calls, values = learning_curve(directory, metric)
    if objective == "final":
        return float(values[-1])
    return mean_height(*(from_zero(calls, values) if objective == "area_from_zero" else (calls, values)))


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


def from_zero(calls: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return a curve whose first point, the untrained agent's, is 0 at 0 calls."""
    return np.append(0.0, calls[1:]), np.append(0.0, values[1:])


def mean_height(calls: Floats, values: Floats) -> float:
    """Return the area under a curve by the trapezoidal rule, divided by its width."""
    widths = np.diff(calls)
    if widths.sum() == 0:
        return float(values[-1])
    return float((widths * (values[1:] + values[:-1]) / 2).sum() / widths.sum())
