"""Mean ways of predicted cells, and real cells in order of pseudotime to compare them with."""

import warnings
from typing import Literal

import numpy as np

from ... import UserError
from .data import FloatArray, PreparedData
from .metrics import aligned_mad, dtw, w1
from .pseudotime import diffusion_pseudotime

FEWEST_POINTS = 5
"""Shorter series have hardly anything to align."""


def mean_trajectory(states: FloatArray) -> FloatArray:
    """Return the mean over cells of their states (n_points, n_cells, n_genes), as (n_points, n_genes) in float64."""
    mean: FloatArray = np.asarray(states).mean(axis=1, dtype=np.float64)
    return mean


def straight_steps(start: FloatArray, final: FloatArray, steps: int) -> FloatArray:
    """Return states (steps + 1, n_cells, n_genes) at equal distances from start to final states (n_cells, n_genes).

    It is the way of a prediction that is made at once.
    """
    start, final = np.asarray(start, dtype=np.float64), np.asarray(final, dtype=np.float64)
    share = np.linspace(0.0, 1.0, steps + 1)[:, None, None]
    states: FloatArray = (1.0 - share) * start + share * final
    return states


def reference_trajectory(
    prepared: PreparedData,
    which: Literal["perturbed", "control"],
    points: int,
    *,
    pseudotime: FloatArray | None = None,
    coordinates: FloatArray | None = None,
) -> FloatArray:
    """Return test cells at equal ranks of pseudotime, (points, n_genes): perturbed ones, or controls.

    Parameters
    ----------
    prepared
        Cells and split.
    points
        How many; the first is the earliest cell and the last the latest.
    pseudotime
        (n_cells,) as of `diffusion_pseudotime`, which is computed unless it is given.
    coordinates
        (n_cells, n_coordinates) of cells in which the reference is wanted; their expression unless it is given.

    Raises
    ------
    UserError
        If there are fewer such test cells than points.
    """
    coordinates = prepared.expression if coordinates is None else coordinates
    pseudotime = diffusion_pseudotime(prepared, coordinates) if pseudotime is None else pseudotime
    cells = np.flatnonzero(prepared.split.test & ((prepared.label >= 0) == (which == "perturbed")))
    if len(cells) < points:
        raise UserError(f"reference_points={points}: there are {len(cells)} {which} test cells, so ask for fewer.")
    order = cells[np.argsort(pseudotime[cells], kind="stable")]
    ranks = np.linspace(0, len(order) - 1, points).round().astype(np.int64)
    chosen: FloatArray = coordinates[order[ranks]].astype(np.float64)
    return chosen


def compare(system: FloatArray, reference: FloatArray) -> dict[str, float]:
    """Return `dtw`, `w1` and `aligned_mad` of two series (n_points, n_genes); the last for equal lengths alone.

    Warns where a series has fewer than five points.
    """
    fewest = min(len(system), len(reference))
    if fewest < FEWEST_POINTS:
        warnings.warn(
            f"A trajectory has {fewest} points, and fewer than {FEWEST_POINTS} leave nothing to align; a larger "
            "env.horizon gives more.",
            stacklevel=2,
        )
    measured = {"dtw": dtw(system, reference), "w1": w1(system, reference)}
    if len(system) == len(reference):
        measured["aligned_mad"] = aligned_mad(system, reference)
    return measured
