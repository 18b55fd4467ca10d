"""Which cells are held out of training, type by type."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .... import UserError
from ..data import TEST, TRAIN, VALIDATION, IntArray, StrArray

MIN_TRAIN_CELLS = 3
"""Fewest training cells of a type: with fewer there is no centre to trim and no percentile to take."""


def split_cells(
    cluster_of_cell: IntArray, clusters: StrArray, *, val: float = 0.05, test: float = 0.05, seed: int = 0
) -> NDArray[np.int8]:
    """Return TRAIN, VALIDATION or TEST for every cell (n,), drawn within each type.

    Of a type's m cells ``ceil(test * m)`` are test cells and ``ceil(val * m)`` validation cells; the draw depends on
    the seed, the numbers of cells and their order alone.

    Raises
    ------
    UserError
        If a type keeps fewer than three training cells.
    """
    random = np.random.default_rng(seed)
    split = np.full(len(cluster_of_cell), TRAIN, dtype=np.int8)
    too_few = []
    for place, name in enumerate(clusters):
        rows = np.flatnonzero(cluster_of_cell == place)
        order = rows[random.permutation(len(rows))]
        n_test, n_val = (share_of(fraction, len(rows)) for fraction in (test, val))
        split[order[:n_test]] = TEST
        split[order[n_test : n_test + n_val]] = VALIDATION
        if (left := len(rows) - n_test - n_val) < MIN_TRAIN_CELLS:
            too_few.append(f"{name} ({max(left, 0)} of {len(rows)})")
    if too_few:
        raise UserError(
            f"data_split.val={val:g}, test={test:g} leave fewer than {MIN_TRAIN_CELLS} training cells of "
            f"{', '.join(too_few[:5])}{' and more types' if len(too_few) > 5 else ''}: hold out less, or leave these "
            "types out with data.drop_types."
        )
    return split


def share_of(fraction: float, count: int) -> int:
    """Return a share of a number, rounded up; what rounding of the product adds is not another cell."""
    return math.ceil(round(fraction * count, 9))


def check_types(names: Sequence[str], clusters: StrArray, key: str) -> None:
    """Raise UserError where a list of types names one that is not there."""
    unknown = [name for name in names if name not in clusters]
    if unknown:
        raise UserError(
            f"{key}={', '.join(unknown[:5])}: no such type; there are {', '.join(clusters[:20])}"
            f"{', ...' if len(clusters) > 20 else ''}, so choose among them."
        )
