"""Mean expression of training cells: what targets and simple baselines are made of."""

from dataclasses import dataclass

import numpy as np

from .data import BoolArray, FloatArray, PreparedData


@dataclass(frozen=True)
class TrainingMeans:
    """Means over training cells, float64.

    Attributes
    ----------
    control
        c (n_cell_types, n_genes).
    perturbed
        M_p (K, n_cell_types, n_genes); NaN where no training cell has that perturbation and type.
    measured
        (K, n_cell_types) bool: where M_p is known.
    """

    control: FloatArray
    perturbed: FloatArray
    measured: BoolArray

    @property
    def effects(self) -> FloatArray:
        """M_p - c (K, n_cell_types, n_genes), NaN where M_p is."""
        difference: FloatArray = self.perturbed - self.control
        return difference


def training_means(data: PreparedData) -> TrainingMeans:
    """Return the means of control and of every perturbation, per cell type, over training cells alone."""
    n_types, n_genes = len(data.cell_types), len(data.genes)
    control = np.full((n_types, n_genes), np.nan)
    perturbed = np.full((len(data.perturbations), n_types, n_genes), np.nan)
    expression = data.expression
    for kind in range(n_types):
        if len(rows := data.cells(None, kind)):
            control[kind] = expression[rows].mean(axis=0, dtype=np.float64)
        for label in range(len(data.perturbations)):
            if len(rows := data.cells(label, kind)):
                perturbed[label, kind] = expression[rows].mean(axis=0, dtype=np.float64)
    return TrainingMeans(control, perturbed, ~np.isnan(perturbed[:, :, 0]))
