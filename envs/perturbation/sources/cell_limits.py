"""Which cells are kept: limits on their number, and too few counts or cells."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import BoolArray, IntArray, PerturbationData
from ..options import DataOptions


def choose_cells(labels: NDArray[np.str_], control: BoolArray, options: DataOptions) -> IntArray:
    """Return increasing positions of the cells within the limits; cells with label "" are left out.

    A limit on all (or all perturbed) cells is shared out in proportion to the labels' numbers of cells. Labels draw
    in alphabetical order after control, from one seeded generator.
    """
    groups = list(_groups(labels, control))
    counts = np.array([len(rows) for rows in groups])
    wanted = counts.copy()
    wanted[0] = limited(counts[:1], options.n_control)[0]
    if options.max_cells_per_perturbation is not None:
        wanted[1:] = np.minimum(wanted[1:], options.max_cells_per_perturbation)
    wanted[1:] = limited(wanted[1:], options.n_perturbed)
    wanted = limited(wanted, options.max_cells)
    random = np.random.default_rng(options.seed)
    chosen = [
        rows if count == len(rows) else rows[random.permutation(len(rows))[:count]]
        for rows, count in zip(groups, wanted, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def _groups(labels: NDArray[np.str_], control: BoolArray) -> Iterator[IntArray]:
    """Yield positions of control cells, then of each perturbation's, alphabetically."""
    yield np.flatnonzero(control)
    others = np.flatnonzero(~control & (labels != ""))
    _, inverse = np.unique(labels[others], return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    if len(others):
        yield from np.split(others[order], np.cumsum(np.bincount(inverse))[:-1])


def limited(counts: IntArray, limit: int | None) -> IntArray:
    """Reduce counts to a total of at most ``limit`` in proportion; the largest remainders are rounded up."""
    total = int(counts.sum())
    if limit is None or total <= limit:
        return counts
    exact = counts * (limit / total)
    shares: IntArray = np.floor(exact).astype(np.int64)
    order = np.argsort(shares - exact, kind="stable")
    shares[order[: limit - int(shares.sum())]] += 1
    return shares


def drop_cells(data: PerturbationData, options: DataOptions) -> tuple[PerturbationData, dict[str, Any]]:
    """Drop cells without or with too few counts, then perturbations with too few cells; say how many and which."""
    totals = np.asarray(data.X.sum(axis=1, dtype=np.float64)).ravel()
    empty = totals == 0
    few = ~empty & (totals < options.min_counts)
    kept = ~empty & ~few
    names, counts = np.unique(data.labels[kept & ~data.control], return_counts=True)
    rare = counts < options.min_cells_per_perturbation
    dropped = {str(name): int(count) for name, count in zip(names[rare], counts[rare], strict=True)}
    kept &= data.control | ~np.isin(data.labels, names[rare])
    notes = {
        "cells_without_counts": int(empty.sum()),
        "cells_below_min_counts": int(few.sum()),
        "perturbations_dropped": dropped,
    }
    return (data if kept.all() else take_cells(data, kept)), notes


def take_cells(data: PerturbationData, kept: BoolArray) -> PerturbationData:
    """Return the data of some cells alone."""
    return dataclasses.replace(
        data,
        X=data.X[kept],
        labels=data.labels[kept],
        control=data.control[kept],
        cell_types=None if data.cell_types is None else data.cell_types[kept],
        batches=None if data.batches is None else data.batches[kept],
    )
