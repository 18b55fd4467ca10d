"""What cells, networks and transition tables are: data without behaviour.

Letters used throughout: n cells, G genes, F transcription factors, K types, A actions, d coordinates of the drawing.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]
StrArray = NDArray[np.str_]

TRAIN, VALIDATION, TEST = 0, 1, 2
"""What `Cells.split` and `Prepared.split` hold."""


@dataclass(frozen=True)
class Cells:
    """Cells as they were read, checked but not prepared.

    Attributes
    ----------
    X
        (n, G), dense or SciPy CSR, float: counts, or logarithms of normalised counts.
    log_normalised
        Which of the two.
    cells, genes
        (n,), (G,) unique names.
    cluster_of_cell
        (n,) int32, positions in ``clusters``.
    clusters
        (K,) sorted names of types.
    embedding
        (n, d) float64, or None where a drawing is to be made.
    regulators
        Regulators of every target by name: the base network.
    imputed
        (n, G) float64 where the file brings smoothed expression, else None.
    log
        What was read, dropped and noted, a line each.
    """

    X: Any
    log_normalised: bool
    cells: StrArray
    genes: StrArray
    cluster_of_cell: IntArray
    clusters: StrArray
    embedding: FloatArray | None
    regulators: dict[str, list[str]]
    imputed: FloatArray | None = None
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """Cells after preprocessing.

    Attributes
    ----------
    lognorm, imputed
        (n, G) float64, nonnegative; imputed is smoothed over neighbours.
    features
        (n, G) float32: z-scores of ``imputed`` by means and deviations of training cells.
    pcs
        (n, P) float64: principal components of ``lognorm``, fitted on training cells.
    cells, genes
        (n,), (G,) names.
    cluster_of_cell, clusters
        (n,) int32 and (K,) sorted names.
    embedding
        (n, d) float64.
    split
        (n,) int8: TRAIN, VALIDATION or TEST.
    regulators
        Measured regulators of measured targets, by name, no gene among its own.
    log
        A line per step, with shapes.
    """

    lognorm: FloatArray
    imputed: FloatArray
    features: FloatArray
    pcs: FloatArray
    cells: StrArray
    genes: StrArray
    cluster_of_cell: IntArray
    clusters: StrArray
    embedding: FloatArray
    split: NDArray[np.int8]
    regulators: dict[str, list[str]]
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grn:
    """A linear network per type of cell.

    Attributes
    ----------
    W
        (C, F, G) float64: ``W[c, f, g]`` is the effect of transcription factor f on gene g; C is 1 for ``unit=whole``.
    tfs, genes
        (F,), (G,) names; all of ``tfs`` are among ``genes``.
    active
        (F,) bool: acts on another gene in at least one type.
    """

    W: FloatArray
    tfs: StrArray
    genes: StrArray
    active: BoolArray


@dataclass(frozen=True)
class Actions:
    """What can be done to a cell, a column of the table each.

    Attributes
    ----------
    names
        (A,) such as ``KO Gata1`` and ``OE Gata1``, knock-outs first; combinations are joined by `` + ``.
    conditions
        A mapping from gene to value per action; knocked out is 0.
    activates
        (A,) bool: whether a gene is overexpressed.
    """

    names: StrArray
    conditions: tuple[dict[str, float], ...]
    activates: BoolArray


@dataclass(frozen=True)
class Goals:
    """What reaching a type means, from training cells alone.

    Attributes
    ----------
    centroid
        (K, G) float64 in z-scored features.
    threshold
        (K,) float64: a goal cell's largest cosine distance to its type's centroid.
    sim
        (n, K) float64: cosine similarity of every cell to every centroid.
    is_goal
        (n, K) bool.
    """

    centroid: FloatArray
    threshold: FloatArray
    sim: FloatArray
    is_goal: BoolArray


@dataclass(frozen=True)
class Table:
    """Where every action leads from every cell.

    Attributes
    ----------
    next
        (n, A) int32: the cell that is reached.
    shift
        (n, A, d) float32: the move in the drawing, before any gain.
    actions
        The columns.
    genes, tfs
        Names of action genes (the first half of a table of single genes) and of transcription factors.
    clusters, cluster_of_cell
        (K,) names, (n,) int32.
    embedding
        (n, d).
    cells
        (n,) names; empty where a source has none.
    meta
        Options, versions and the key of the cache, as JSON values.
    neighbours, probability
        (n, A, q) int32 and float16, the most probable neighbours, best first, for stochastic dynamics; else None.
    features
        (n, G) float32, memory-mapped where it comes from a file.
    pcs
        (n, P) float64.
    split
        (n,) int8.
    """

    next: IntArray
    shift: FloatArray
    actions: Actions
    genes: StrArray
    tfs: StrArray
    clusters: StrArray
    cluster_of_cell: IntArray
    embedding: FloatArray
    cells: StrArray
    features: FloatArray
    pcs: FloatArray
    split: NDArray[np.int8]
    meta: dict[str, Any] = field(default_factory=dict)
    neighbours: IntArray | None = None
    probability: FloatArray | None = None
