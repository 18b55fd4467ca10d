"""What a transition table is like before anything is trained on it, and how two tables or networks differ."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .... import UserError
from ..data import TRAIN, IntArray, Table

COMMON_UNREACHABLE = 0.05
"""Share of pairs without a way above which a table deserves a warning."""


def describe_table(
    table: Table, *, trim_percentile: float = 95.0, success_percentile: float = 25.0
) -> dict[str, float]:
    """Return counts and shares of a table, and the lengths of its shortest paths.

    ``self_loops`` is the share of entries that stay where they are; ``out_degree`` the mean number of other cells that
    a cell's actions lead to; ``solvable`` the share of pairs of a cell and another type with a path; ``mean_length``
    and ``max_length`` are of these paths. ``stuck`` cells have no action that leaves them.
    """
    from ..episodes.goals import goals
    from ..planner import bfs

    n, n_actions = table.next.shape
    here = np.arange(n)[:, None]
    stays = table.next == here
    found = goals(
        table.features,
        table.cluster_of_cell,
        table.split == TRAIN,
        len(table.clusters),
        trim_percentile=trim_percentile,
        success_percentile=success_percentile,
        names=table.clusters,
    )
    distance = bfs(table.next, found.is_goal)
    other = table.cluster_of_cell[:, None] != np.arange(len(table.clusters))
    reachable = distance[other & (distance >= 0)]
    return {
        "cells": n,
        "types": len(table.clusters),
        "actions": n_actions,
        "self_loops": float(stays.mean()),
        "out_degree": float(out_degree(table.next).mean()),
        "stuck": int(stays.all(axis=1).sum()),
        "solvable": float(len(reachable) / max(1, other.sum())),
        "mean_length": float(reachable.mean()) if len(reachable) else float("nan"),
        "max_length": int(reachable.max()) if len(reachable) else 0,
    }


def out_degree(next_cell: IntArray) -> IntArray:
    """Return how many other cells the actions of every cell lead to, (n,)."""
    ordered = np.sort(next_cell, axis=1)
    fresh = np.ones(ordered.shape, dtype=bool)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    fresh &= ordered != np.arange(len(ordered))[:, None]
    degree: IntArray = fresh.sum(axis=1)
    return degree


def table_lines(facts: Mapping[str, float]) -> list[str]:
    """Return what `describe_table` found as lines for a person."""
    stuck = int(facts["stuck"])
    lines = [
        f"{facts['cells']:,.0f} cells of {facts['types']:.0f} types, {facts['actions']:,.0f} actions",
        f"self-loops          {facts['self_loops']:.1%} of all actions",
        f"out-degree          {facts['out_degree']:.1f} other cells on average",
        f"solvable            {facts['solvable']:.2%} of pairs of a cell and another type",
        f"shortest paths      mean {facts['mean_length']:.2f}, longest {facts['max_length']:.0f}",
    ]
    if stuck:
        lines.append(f"stuck               {stuck:,} cells that no action leaves; they are no starts of training")
    if facts["solvable"] < 1 - COMMON_UNREACHABLE:
        lines.append(
            f"Note: {1 - facts['solvable']:.1%} of the pairs have no way; task.starts=solvable trains on the others, "
            "and a larger table.gain makes more of them reachable."
        )
    return lines


def compare_tables(table: Table, other: Table) -> list[str]:
    """Return lines on how the next cells of two tables differ, cell by cell and action by action.

    Raises
    ------
    UserError
        If they have no action in common, or are about different cells.
    """
    rows, places = match_cells(table, other)
    columns = [
        (one, two)
        for one, name in enumerate(table.actions.names.tolist())
        for two in np.flatnonzero(other.actions.names == name).tolist()
    ]
    if not columns:
        raise UserError(
            f"The tables share no action: one has {', '.join(table.actions.names[:3])} and the other "
            f"{', '.join(other.actions.names[:3])}, so compare tables of the same genes."
        )
    mine, theirs = np.array(columns).T
    position = np.full(len(other.next), -1)
    position[places] = rows
    first, second = table.next[rows][:, mine], position[other.next[places][:, theirs]]
    equal = first == second
    worst = int(np.argmin(equal.mean(axis=0)))
    lines = [
        f"cells in both       {len(rows):,} of {len(table.next):,} and {len(other.next):,}",
        f"actions in both     {len(columns):,} of {len(table.actions.names):,} and {len(other.actions.names):,}",
        f"equal next cells    {equal.mean():.4%} ({(~equal).sum():,} of {equal.size:,} differ)",
    ]
    if not equal.all():
        known = ~equal & (second >= 0)
        apart = np.linalg.norm(table.embedding[first[known]] - table.embedding[second[known]], axis=-1)
        lines += [
            f"least equal action  {table.actions.names[mine[worst]]}, {equal.mean(axis=0)[worst]:.2%}",
            f"same type anyway    {np.mean(_same_type(table, first, second)[~equal]):.2%} of what differs",
            f"distance apart      {np.median(apart):.3g} in the drawing, median of what differs",
        ]
    return lines


def match_cells(table: Table, other: Table) -> tuple[IntArray, IntArray]:
    """Return positions of the cells that two tables share, by name or, where one has no names, by position."""
    if len(table.cells) and len(other.cells):
        _, rows, places = np.intersect1d(table.cells, other.cells, return_indices=True)
        if not len(rows):
            raise UserError(
                f"The tables share no cell: one has {', '.join(table.cells[:3])} and the other "
                f"{', '.join(other.cells[:3])}, so compare tables of the same cells."
            )
        return rows, places
    if len(table.next) != len(other.next):
        raise UserError(
            f"The tables have {len(table.next)} and {len(other.next)} cells, and one of them no names, so they cannot "
            "be compared: give tables of the same cells."
        )
    rows = np.arange(len(table.next))
    return rows, rows


def _same_type(table: Table, first: IntArray, second: IntArray) -> np.ndarray:
    same: np.ndarray = (table.cluster_of_cell[first] == table.cluster_of_cell[second]) & (second >= 0)
    return same


def compare_networks(regulators: Mapping[str, Sequence[str]], other: Mapping[str, Sequence[str]]) -> list[str]:
    """Return lines on which edges, from transcription factor to target, two networks share.

    Raises
    ------
    UserError
        If they have no name in common.
    """
    mine = {(factor, target) for target, factors in regulators.items() for factor in factors}
    theirs = {(factor, target) for target, factors in other.items() for factor in factors}
    names = {name for edge in mine for name in edge} & {name for edge in theirs for name in edge}
    if not names:
        raise UserError(
            f"The networks share no name: one has {', '.join(sorted(regulators)[:3])} and the other "
            f"{', '.join(sorted(other)[:3])}, so give networks of one species, written alike."
        )
    both, either = mine & theirs, mine | theirs
    only, missing = sorted(mine - theirs), sorted(theirs - mine)
    rows: list[tuple[str, set[Any], set[Any]]] = [
        ("edges", mine, theirs),
        ("targets", {target for _, target in mine}, {target for _, target in theirs}),
        ("factors", {factor for factor, _ in mine}, {factor for factor, _ in theirs}),
    ]
    lines = [f"{name:<19} {len(one):,} and {len(two):,}, {len(one & two):,} in both" for name, one, two in rows]
    lines.append(f"Jaccard of edges    {len(both) / max(1, len(either)):.4f}")
    for words, edges in (("only in the first", only), ("only in the second", missing)):
        if edges:
            shown = ", ".join(f"{factor} -> {target}" for factor, target in edges[:3])
            lines.append(f"{words:<19} {len(edges):,}, such as {shown}")
    return lines
