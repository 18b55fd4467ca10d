"""Conserved totals: which species are independent, and how the others follow from them."""

from dataclasses import dataclass

import numpy as np

from .errors import KineticInputError
from .network import FloatArray, IntArray

INDEPENDENCE = 1e-8
"""A row is independent if more than this share of its norm is left after projection on the rows chosen before."""
LARGEST_RESIDUAL = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Reduction:
    """Independent species and the link matrix of a mass-balance matrix (Reder 1988).

    Parameters
    ----------
    independent
        Ascending indices of the independent species, ``(n_independent,)``.
    link
        ``L`` in ``diag(r) N = L N_R``, ``(n_variables, n_independent)``.
    """

    independent: IntArray
    link: FloatArray


def reduce_conservation(mass_balance: FloatArray, order: IntArray) -> Reduction:
    """Choose independent species greedily in the given order and solve for the link matrix.

    Parameters
    ----------
    mass_balance
        ``diag(r) N``, ``(n_variables, n_reactions)``.
    order
        A permutation of the species. Ascending concentrations make the most abundant member of every conserved pool
        the dependent one, so that a perturbation of the others cannot drive it below zero.
    """
    # Biomass columns reach 1e7; without scaling they decide alone what counts as independent.
    scaled = mass_balance / np.maximum(1.0, np.abs(mass_balance).max(axis=0))
    independent = np.sort(_independent_rows(scaled, order))
    link = np.linalg.lstsq(scaled[independent].T, scaled.T, rcond=None)[0].T
    link[np.abs(link) < 1e-9] = 0.0
    link[independent] = np.eye(len(independent))
    residual = float(np.abs(scaled - link @ scaled[independent]).max())
    if not residual < LARGEST_RESIDUAL:
        raise KineticInputError(
            f"The conserved totals leave a residual of {residual:.3g} in the mass balances (at most "
            f"{LARGEST_RESIDUAL:g}); rescale reactions whose stoichiometric coefficients differ by many orders."
        )
    return Reduction(independent, link)


def _independent_rows(matrix: FloatArray, order: IntArray) -> IntArray:
    """Return the rows that a Gram-Schmidt process accepts, in the order given."""
    basis = np.empty((0, matrix.shape[1]))
    chosen = []
    for row in order:
        remainder = matrix[row]
        # The second pass removes what rounding left of the first (Giraud et al. 2005).
        for _ in range(2):
            remainder = remainder - (basis @ remainder) @ basis
        norm = np.linalg.norm(remainder)
        if norm > INDEPENDENCE * np.linalg.norm(matrix[row]):
            basis = np.vstack([basis, remainder / norm])
            chosen.append(row)
    return np.array(chosen, dtype=np.intp)
