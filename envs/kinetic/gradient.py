"""First-order perturbation of the leading eigenvalue, and the factors of the Jacobian that it needs."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .network import ComplexArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class JacobianFactors:
    """Factors of ``J = N_R diag(v) E diag(1/x) L`` around the elasticities ``E``.

    Parameters
    ----------
    flux_stoichiometry
        ``N_R diag(v)``, ``(n_independent, n_reactions)``.
    scaled_link
        ``diag(1/x) L``, ``(n_variables, n_independent)``.
    slot_reaction, slot_species
        Reaction and species of every acting slot, ``(n_slots,)``; a species from ``n_variables`` on is constant.
    """

    flux_stoichiometry: FloatArray
    scaled_link: FloatArray
    slot_reaction: IntArray
    slot_species: IntArray

    @property
    def variable_slots(self) -> IntArray:
        """Acting slots on variable species; the others enter no elasticity themselves."""
        return np.flatnonzero(self.slot_species < len(self.scaled_link))

    def constant_part(self, elasticities: FloatArray) -> FloatArray:
        """Return the Jacobian of given elasticities ``(n_reactions, n_variables)``."""
        return self.flux_stoichiometry @ elasticities @ self.scaled_link

    def saturation_weights(self) -> Any:
        """Return the sparse matrix from saturations to Jacobian entries, ``(n_independent**2, n_slots)``.

        Column s is ``-(N_R[:, j] v_j) (L[i, :] / x_i)`` for slot s of reaction j on species i.
        """
        from scipy.sparse import csr_array

        n_independent = len(self.flux_stoichiometry)
        entries, slots, values = [], [], []
        for slot in self.variable_slots:
            column = self.flux_stoichiometry[:, self.slot_reaction[slot]]
            row = self.scaled_link[self.slot_species[slot]]
            rows, columns = np.flatnonzero(column), np.flatnonzero(row)
            entries.append((rows[:, None] * n_independent + columns).ravel())
            slots.append(np.full(len(rows) * len(columns), slot))
            values.append(-np.outer(column[rows], row[columns]).ravel())
        shape = (n_independent**2, len(self.slot_reaction))
        if not values:
            return csr_array(shape)
        return csr_array((np.concatenate(values), (np.concatenate(entries), np.concatenate(slots))), shape=shape)


def leading_eigenvectors(jacobian: FloatArray, eigenvalue: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
    """Return right and left eigenvectors of given simple eigenvalues, each ``(n_sets, n_independent)``.

    Two inverse iterations each from a fixed start. The shift of ``1e-7 (1 + |eigenvalue|)`` keeps the matrix regular;
    an error remains where the next eigenvalue is not much farther away than that.

    Parameters
    ----------
    jacobian
        ``(n_sets, n_independent, n_independent)``.
    eigenvalue
        One eigenvalue of each matrix, ``(n_sets,)``.
    """
    size = jacobian.shape[-1]
    # A drawn vector: a regular one such as all ones can be orthogonal to an eigenvector of a structured matrix.
    start = np.random.default_rng(0).standard_normal((1, size))
    shifted = jacobian - (eigenvalue + 1e-7 * (1.0 + np.abs(eigenvalue)))[:, None, None] * np.eye(size)
    return _inverse_iteration(shifted, start), _inverse_iteration(shifted.conj().transpose(0, 2, 1), start)


def eigenvalue_sensitivities(factors: JacobianFactors, right: ComplexArray, left: ComplexArray) -> FloatArray:
    """Return the derivative of the eigenvalue's real part by every saturation, ``(n_sets, n_slots)``.

    ``d lambda = y^H dJ x / (y^H x)`` for right and left eigenvectors x and y (Wilkinson 1965).
    """
    sensitivities = np.zeros((len(right), len(factors.slot_reaction)))
    slots = factors.variable_slots
    by_reaction = (left.conj() @ factors.flux_stoichiometry)[:, factors.slot_reaction[slots]]
    by_species = (right @ factors.scaled_link.T)[:, factors.slot_species[slots]]
    overlap = (left.conj() * right).sum(axis=1)[:, None]
    sensitivities[:, slots] = -(by_reaction * by_species / overlap).real
    return sensitivities


def _inverse_iteration(matrix: ComplexArray, start: FloatArray) -> ComplexArray:
    vectors = np.repeat(start, len(matrix), axis=0).astype(np.complex128)
    for _ in range(2):
        vectors = np.linalg.solve(matrix, vectors[..., None])[..., 0].astype(np.complex128)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
