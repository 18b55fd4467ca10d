"""What single-cell perturbation data are, before and after preprocessing: data without behaviour."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

SEPARATOR = "+"
"""Between the members of a combination's label, unless an option says otherwise."""


@dataclass(frozen=True)
class Truth:
    """What the built-in generator knows about its cells.

    Attributes
    ----------
    network
        W (n_genes, n_genes); ``W[i, j]`` is the effect of gene j on gene i.
    propagation
        P = (I - W)^-1 (n_genes, n_genes).
    mean
        mu (n_genes,), mean expression of control cells before clipping at zero.
    effects
        P u (n_perturbations, n_genes): full effect of each perturbation, in the order of ``labels``.
    labels
        Names of the perturbations in the order in which they were drawn.
    """

    network: FloatArray
    propagation: FloatArray
    mean: FloatArray
    effects: FloatArray
    labels: tuple[str, ...]


@dataclass(frozen=True)
class PerturbationData:
    """Cells as they were read: counts or log-normalised expression, and what was done to them.

    Attributes
    ----------
    X
        (n_cells, n_genes), dense or a SciPy CSR matrix, float32.
    genes
        (n_genes,) unique names.
    labels
        (n_cells,) the perturbation of every cell; control cells carry the (first) control label.
    control
        (n_cells,) bool.
    cell_types, batches
        (n_cells,) names, or None where the data have none.
    provenance
        Source, checksum, what was dropped and why, as JSON values.
    log_normalised
        Whether values are logarithms already; None: not stated, to be detected.
    truth
        What is known of generated data.
    """

    X: Any
    genes: NDArray[np.str_]
    labels: NDArray[np.str_]
    control: BoolArray
    cell_types: NDArray[np.str_] | None = None
    batches: NDArray[np.str_] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    log_normalised: bool | None = None
    truth: Truth | None = None


@dataclass(frozen=True)
class Split:
    """Which cells are test cells, and what they test.

    Attributes
    ----------
    test
        (n_cells,) bool.
    held_out
        Labels whose cells are all test cells (split B), alphabetical.
    held_out_cell_type
        The cell type whose perturbed cells are all test cells (split C), or None.
    start, reference
        Positions of the two halves of the test controls: cells that a model starts from, and cells that the observed
        effect is measured against.
    members_seen
        How many members of each label were seen in training: 1 or 0, up to 2 and more for combinations.
    """

    test: BoolArray
    held_out: tuple[str, ...]
    held_out_cell_type: str | None
    start: IntArray
    reference: IntArray
    members_seen: dict[str, int]


@dataclass(frozen=True)
class PreparedData:
    """Log-normalised expression of the chosen genes, with everything fitted on training cells alone.

    Attributes
    ----------
    expression
        (n_cells, n_genes) float32.
    genes
        (n_genes,) names.
    perturbations
        All labels but the control's, alphabetical: K of them.
    label
        (n_cells,) position in ``perturbations``, -1 for control cells.
    cell_types
        Names, alphabetical; ``("all",)`` where the data have none.
    cell_type
        (n_cells,) position in ``cell_types``.
    split
        Of these cells.
    mean, deviation
        (n_genes,) of training control cells; they scale what an agent observes and nothing else.
    targets
        For each perturbation the positions of its target genes among ``genes``; empty where none is measured.
    provenance
        As JSON values.
    truth
        What is known of generated data, reduced to the chosen genes in this order.
    """

    expression: FloatArray
    genes: NDArray[np.str_]
    perturbations: tuple[str, ...]
    label: IntArray
    cell_types: tuple[str, ...]
    cell_type: IntArray
    split: Split
    mean: FloatArray
    deviation: FloatArray
    targets: tuple[IntArray, ...]
    provenance: dict[str, Any] = field(default_factory=dict)
    truth: Truth | None = None

    @property
    def seen(self) -> BoolArray:
        """(K,) which perturbations have training cells."""
        return np.isin(np.arange(len(self.perturbations)), self.label[~self.split.test])

    def cells(self, perturbation: int | None, cell_type: int | None = None, *, test: bool = False) -> IntArray:
        """Return positions of the training (or test) cells of a perturbation, None for control, within a type."""
        chosen = (self.label == (-1 if perturbation is None else perturbation)) & (self.split.test == test)
        return np.flatnonzero(chosen if cell_type is None else chosen & (self.cell_type == cell_type))
