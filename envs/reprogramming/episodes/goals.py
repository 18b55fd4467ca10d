"""What reaching a type means: centres and thresholds of types, from training cells alone."""

from typing import Any

import numpy as np

from .... import UserError
from ..data import BoolArray, FloatArray, Goals, IntArray, StrArray
from .rewards import BLOCK

FEWEST_CELLS = 3
"""Training cells that a type needs for a centre and a threshold."""

AT_THRESHOLD = 1e-12
"""Distances no farther than this from a threshold are at it."""


def goals(
    features: Any,
    cluster_of_cell: IntArray,
    train: BoolArray,
    n_types: int,
    *,
    trim_percentile: float = 95.0,
    success_percentile: float = 25.0,
    names: StrArray | None = None,
) -> Goals:
    """Return centres and thresholds of types, from training cells alone.

    The centre of type k is the mean of those of its training cells whose cosine distance to the mean of all of them
    is at most its ``trim_percentile``; the threshold is the ``success_percentile`` of the distances of all its
    training cells to the centre. A goal cell of k is a cell of type k that is nearer than that; the cell that the
    threshold itself is taken from, where it is one, is none, whatever the rounding.

    Parameters
    ----------
    features
        (n, G), z-scored.
    train
        (n,) bool, or positions of training cells.
    names
        (K,) of the types, for errors.

    Raises
    ------
    UserError
        If a type has fewer than 3 training cells, or no goal cell.
    """
    flags = np.zeros(len(cluster_of_cell), dtype=bool)
    flags[train] = True
    own_cells = [np.flatnonzero(flags & (cluster_of_cell == kind)) for kind in range(n_types)]
    centroid = []
    for kind, own in enumerate(own_cells):
        if len(own) < FEWEST_CELLS:
            name = kind if names is None else names[kind]
            raise UserError(
                f"Type {name} has {len(own)} training cells, and a goal needs {FEWEST_CELLS}: lower data_split.val and "
                "data_split.test, or leave the type out with data.drop_types."
            )
        values = np.asarray(features[own], dtype=np.float64)
        distance = 1.0 - cosine(values, values.mean(axis=0)[None])[:, 0]
        centroid.append(values[distance <= np.percentile(distance, trim_percentile)].mean(axis=0))
    centres = np.array(centroid)
    similarity = np.empty((len(cluster_of_cell), n_types))
    for first in range(0, len(similarity), BLOCK):
        block = np.asarray(features[first : first + BLOCK], dtype=np.float64)
        similarity[first : first + BLOCK] = cosine(block, centres)
    farness = 1.0 - similarity
    threshold = np.array([np.percentile(farness[own, kind], success_percentile) for kind, own in enumerate(own_cells)])
    is_goal = (farness < threshold - AT_THRESHOLD) & (cluster_of_cell[:, None] == np.arange(n_types))
    for kind in np.flatnonzero(~is_goal.any(axis=0)).tolist():
        raise UserError(
            f"Type {kind if names is None else names[kind]} has no goal cell, since its cells are equally far from "
            f"their centre: raise task.success_percentile={success_percentile:g}, or leave it out with data.drop_types."
        )
    return Goals(centres, threshold, similarity, is_goal)


def cosine(values: FloatArray, centres: FloatArray) -> FloatArray:
    """Return the cosine similarity (n, K) of rows (n, G) and (K, G); 0 where a row is zero."""
    lengths = np.linalg.norm(values, axis=1)[:, None] * np.linalg.norm(centres, axis=1)
    similarity: FloatArray = np.divide(values @ centres.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0)
    return similarity


def nearest_types(centroid: FloatArray) -> IntArray:
    """Return the other types (K, K - 1) of every type by cosine distance of centroids; ties by position."""
    distance = 1.0 - cosine(centroid, centroid)
    np.fill_diagonal(distance, -np.inf)
    return np.argsort(distance, axis=1, kind="stable")[:, 1:]
