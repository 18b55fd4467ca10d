"""What an environment's copies and splits share: the table, goals, masks, rewards and which episodes there are."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from . import planner
from .config import ReprogrammingConfig
from .data import TEST, TRAIN, VALIDATION, BoolArray, IntArray, StrArray, Table
from .dynamics.memoryless import Dynamics, make_dynamics
from .episodes.curriculum import Schedule, make_schedule
from .episodes.goals import goals, nearest_types
from .episodes.rewards import reward_parts

if TYPE_CHECKING:
    from .dynamics.persistent import PersistentDynamics

SPLIT_CODES = {"train": TRAIN, "validation": VALIDATION, "test": TEST}

EPISODES = {"validation": 1000, "test": 2000}
"""Episodes of an evaluation (Bannink 2025)."""

MANY_UNREACHABLE = 0.05
"""Share of pairs of start and target without any way above which there is a warning."""


@dataclass(frozen=True)
class Episodes:
    """The episodes of an evaluation: start cells (n,) and target types (n,)."""

    cell: IntArray
    target: IntArray

    def __len__(self) -> int:
        return len(self.cell)


class ReprogrammingTask:
    """Cells, types as targets, and what moving between them is worth.

    Parameters
    ----------
    table
        Where actions lead.
    config
        All options; those of the task, the dynamics, the curriculum and the held-out types are read here.
    persistent
        What moves cells with ``dynamics.persist=episode``, which a table alone cannot.

    Attributes
    ----------
    table, goals
        As given, and made of the table's training cells.
    types
        (K,) names.
    split
        (n,) int8: TRAIN, VALIDATION or TEST.
    heldout
        (n,) bool: cells of no training.
    trainable
        (K,) bool: types that training episodes begin in and aim at.
    nearest
        (K, K - 1) the other types by cosine distance of centroids, the nearest first.
    arriving, leaving
        (n, K): the two parts of rewards, see `rewards`.
    """

    def __init__(
        self, table: Table, config: ReprogrammingConfig, persistent: "PersistentDynamics | None" = None
    ) -> None:
        self.table, self.config, self.persistent = table, config, persistent
        self.types: StrArray = np.asarray(table.clusters)
        self.split = np.asarray(table.split, dtype=np.int8)
        self.heldout: BoolArray = self.split != TRAIN
        self.cluster_of_cell: IntArray = np.asarray(table.cluster_of_cell, dtype=np.int64)
        self.n_cells, self.n_actions = table.next.shape
        self.n_types = len(self.types)
        if self.n_types < 2:
            raise UserError(f"The cells are of {self.n_types} type: give at least two, a start and a target.")
        options = config.task
        self.goals = goals(
            table.features,
            self.cluster_of_cell,
            self.split == TRAIN,
            self.n_types,
            trim_percentile=options.trim_percentile,
            success_percentile=options.success_percentile,
            names=self.types,
        )
        self.trainable = trainable_types(self.types, config.data_split.holdout_types)
        self.nearest = nearest_types(self.goals.centroid)
        self.arriving, self.leaving = reward_parts(
            options.reward,
            self.goals,
            table.features,
            step_penalty=options.step_penalty,
            scale=options.scale,
            goal_bonus=options.goal_bonus,
            gamma=options.gamma,
        )
        self.activates: BoolArray = np.asarray(table.actions.activates, dtype=bool)
        self._dynamics: dict[bool, Dynamics] = {}
        self._pairs: dict[tuple[int, int], NDArray[np.int64]] = {}

    def dynamics(self, *, training: bool) -> Dynamics:
        """Return what moves cells; which cells are blocked differs between training and evaluation."""
        blocked = self.blocked(training=training)
        if (blocked is None) not in self._dynamics:
            self._dynamics[blocked is None] = make_dynamics(self.config.dynamics.kind, self.table, blocked)
        return self._dynamics[blocked is None]

    @property
    def masks_train(self) -> BoolArray:
        """Which actions training allows, (n, A); rows of cells without any are all false."""
        return self.dynamics(training=True).masks

    @property
    def masks_eval(self) -> BoolArray:
        """Which actions an evaluation allows, (n, A); rows of cells without any are all false."""
        return self.dynamics(training=False).masks

    def shown_masks(self, *, training: bool) -> BoolArray:
        """Return the masks as agents see them, (n, A): rows of cells without any action are all true."""
        masks = self.masks_train if training else self.masks_eval
        forced = self.forced_train if training else self.forced_eval
        return masks | forced[:, None] if forced.any() else masks

    @cached_property
    def forced_train(self) -> BoolArray:
        """Cells (n,) in which training allows nothing."""
        return np.asarray(~self.masks_train.any(axis=1))

    @cached_property
    def forced_eval(self) -> BoolArray:
        """Cells (n,) in which an evaluation allows nothing."""
        return np.asarray(~self.masks_eval.any(axis=1))

    @cached_property
    def distance(self) -> NDArray[np.int16]:
        """The fewest actions from every cell to every type by the table, (n, K); -1 where there is no way.

        With stochastic or persistent dynamics it is a reference, and not the optimum.
        """
        return planner.bfs(self.table.next, self.goals.is_goal, self.blocked(training=False))

    @cached_property
    def distance_train(self) -> NDArray[np.int16]:
        """The same where training may go, (n, K)."""
        blocked = self.blocked(training=True)
        if blocked is self.blocked(training=False):
            return self.distance
        return planner.bfs(self.table.next, self.goals.is_goal, blocked)

    @cached_property
    def start_cells(self) -> IntArray:
        """Cells that training episodes begin in: those of training that can be left, of types not held out."""
        allowed = (self.split == TRAIN) & self.trainable[self.cluster_of_cell] & ~self.forced_train
        if not allowed.any():
            raise UserError(
                "No training cell can be left by any action: raise table.gain, or check the table with "
                "`bioppo data check reprogramming`."
            )
        return np.flatnonzero(allowed)

    @cached_property
    def schedule(self) -> Schedule:
        """The phases of a curriculum by types."""
        return make_schedule(self.config.curriculum, int(self.trainable.sum()), self.config.task.horizon)

    @cached_property
    def trainable_rank(self) -> IntArray:
        """How many trainable types are nearer to a type (K, K) than another; -1 for itself and types held out."""
        rank = np.full((self.n_types, self.n_types), -1, dtype=np.int64)
        for kind, order in enumerate(self.nearest):
            kept = order[self.trainable[order]]
            rank[kind, kept] = np.arange(len(kept))
        return rank

    def pairs(self, n_targets: int, horizon: int) -> NDArray[np.int64]:
        """Return what training episodes are drawn from, uniformly: ``cell * K + target`` of every pair.

        The target is among the ``n_targets`` types nearest to the cell's own; with ``task.starts=solvable`` a way of
        at most ``horizon`` actions leads there.
        """
        solvable = self.config.task.starts == "solvable"
        key = n_targets, horizon if solvable else 0
        if key not in self._pairs:
            rank = self.trainable_rank[self.cluster_of_cell[self.start_cells]]
            allowed = (rank >= 0) & (rank < n_targets)
            if solvable:
                distance = self.distance_train[self.start_cells]
                allowed &= (distance >= 0) & (distance <= horizon)
            self._pairs = {key: self._flat(allowed)}  # the last phase's are asked for again and again
        return self._pairs[key]

    @cached_property
    def pairs_by_distance(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs of a training from which there is a way, the nearest first, and how many lie within 0, 1, ... steps."""
        distance = self.distance_train[self.start_cells]
        allowed = (self.trainable_rank[self.cluster_of_cell[self.start_cells]] >= 0) & (distance > 0)
        pairs = self._flat(allowed)
        lengths = distance[allowed]
        counts = np.cumsum(np.bincount(lengths, minlength=2))
        return pairs[np.argsort(lengths, kind="stable")], counts

    def count_out(self, split: str) -> Episodes:
        """Return the episodes that measure an agent on held-out cells.

        Every cell of the split is a start equally often, the first ones once more; targets are drawn uniformly from
        the other types. They depend on ``data_split.seed`` alone, so that all agents answer the same questions.
        """
        cells = np.flatnonzero(self.split == SPLIT_CODES[split])
        if not len(cells):
            name = "val" if split == "validation" else split
            raise UserError(f"The split {split} has no cells: raise data_split.{name}, or give a table that has some.")
        cell = cells[np.arange(EPISODES[split]) % len(cells)]
        seed = np.random.SeedSequence(self.config.data_split.seed, spawn_key=(SPLIT_CODES[split],))
        drawn = np.random.default_rng(seed).integers(self.n_types - 1, size=len(cell))
        return Episodes(cell, drawn + (drawn >= self.cluster_of_cell[cell]))

    @cached_property
    def unreachable(self) -> float:
        """Share of pairs of a cell and another type without any way."""
        other = np.arange(self.n_types) != self.cluster_of_cell[:, None]
        return float((self.distance == planner.UNREACHABLE)[other].mean())

    @cached_property
    def expression(self) -> NDArray[np.float32]:
        """Features of all cells, (n, G) float32."""
        return np.asarray(self.table.features, dtype=np.float32)

    def components(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the first principal components of all cells (n, d) and of the types' centres (K, d).

        They are centred by the mean of training cells and divided by the mean of their deviations; a centre is the
        mean of the type's training cells.
        """
        values = np.asarray(self.table.pcs[:, :count], dtype=np.float64)
        train = values[self.split == TRAIN]
        scaled = (values - train.mean(axis=0)) / train.std(axis=0).mean()
        own = self.cluster_of_cell
        centres = [scaled[(own == kind) & (self.split == TRAIN)].mean(axis=0) for kind in range(self.n_types)]
        return scaled.astype(np.float32), np.array(centres, dtype=np.float32)

    def facts(self) -> dict[str, Any]:
        """Return what provenance should keep, as JSON values."""
        return {
            "cells": self.n_cells,
            "actions": self.n_actions,
            "types": self.types.tolist(),
            "held_out_types": self.types[~self.trainable].tolist(),
            "cells_of_splits": {name: int((self.split == code).sum()) for name, code in SPLIT_CODES.items()},
            "goal_cells": self.goals.is_goal.sum(axis=0).tolist(),
            "cells_without_action": {"train": int(self.forced_train.sum()), "eval": int(self.forced_eval.sum())},
            "unreachable_share": self.unreachable,
            "table": self.table.meta,
        }

    def find_cell(self, cell: int | str) -> int:
        """Return the position of a cell that is given by its name or position."""
        names = np.asarray(self.table.cells)
        found = np.flatnonzero(names == str(cell)) if len(names) else np.zeros(0, dtype=np.int64)
        if len(found):
            return int(found[0])
        if str(cell).isdigit() and int(cell) < self.n_cells:
            return int(cell)
        named = f", such as {names[0]}," if len(names) else ""
        raise UserError(f"start={cell}: give the name{named} or the number below {self.n_cells} of a cell.")

    def find_type(self, target: int | str) -> int:
        """Return the position of a type that is given by its name or position."""
        found = np.flatnonzero(self.types == str(target))
        if len(found):
            return int(found[0])
        if isinstance(target, int | np.integer) and 0 <= target < self.n_types:
            return int(target)
        raise UserError(f"target={target}: choose one of {', '.join(self.types.tolist())}.")

    def blocked(self, *, training: bool) -> BoolArray | None:
        """Return the cells (n,) that may not be entered; None where all may."""
        block = self.config.task.block_heldout
        return self.heldout if block == "always" or (block == "train" and training) else None

    def _flat(self, allowed: BoolArray) -> NDArray[np.int64]:
        """Return ``cell * K + target`` where ``allowed`` (start cells, K) is true."""
        row, target = np.nonzero(allowed)
        if not len(row):
            raise UserError(
                "No pair of a training cell and a target is left: use task.starts=all, a longer task.horizon_train, "
                "or fewer data_split.holdout_types."
            )
        return self.start_cells[row] * self.n_types + target


def trainable_types(types: StrArray, held_out: list[str]) -> BoolArray:
    """Return which types (K,) training uses; at least two must be left."""
    unknown = [name for name in held_out if name not in types.tolist()]
    if unknown:
        raise UserError(f"data_split.holdout_types={unknown}: choose from {', '.join(types.tolist())}.")
    kept: BoolArray = ~np.isin(types, held_out)
    if kept.sum() < 2:
        raise UserError(f"data_split.holdout_types={held_out}: leave at least two types to train on.")
    return kept


def load_task(config: ReprogrammingConfig, seed: int = 0) -> ReprogrammingTask:
    """Find or build the transition table and what stands on it; the config's own seeds decide, not ``seed``.

    Warns where many pairs of start and target have no way.
    """
    del seed
    from .table import load_table

    persistent = None
    if config.dynamics.persist == "episode":
        from .dynamics.persistent import load_persistent

        table, persistent = load_persistent(config)
    else:
        table = load_table(config)
    task = ReprogrammingTask(table, config, persistent)
    warn_unreachable(task)
    return task


def warn_unreachable(task: ReprogrammingTask) -> None:
    """Warn where more than 5 % of pairs of start and target have no way."""
    if task.unreachable > MANY_UNREACHABLE:
        warnings.warn(
            f"{task.unreachable:.1%} of pairs of a cell and another type have no way at all: raise table.gain, use "
            "task.starts=solvable, or read success among solvable episodes.",
            stacklevel=3,
        )
