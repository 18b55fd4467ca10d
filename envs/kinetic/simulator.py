"""The largest eigenvalue of a kinetic model's Jacobian, for many sets of Michaelis constants at once."""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .conservation import Reduction, reduce_conservation
from .determinant import may_be_valid
from .elasticity import unsaturated_elasticities
from .errors import KineticInputError
from .gradient import JacobianFactors, eigenvalue_sensitivities, leading_eigenvectors
from .network import BoolArray, ComplexArray, FloatArray, Network, mass_balance_matrix
from .saturation import build_groups, saturation_pullback, saturations
from .steady_state import SteadyState, check_steady_state, content_hash

Number = TypeVar("Number", np.float64, np.complex128, np.bool_)

SETS_PER_BLOCK = 64
"""Sets evaluated together: enough to amortise NumPy's calls, few enough for their Jacobians to stay in the cache."""
SETS_PER_THREAD = 16
"""A thread is not started for fewer sets than this."""


class KineticSimulator:
    """Linear stability of one steady state as a function of the logarithms of its Michaelis constants.

    With given fluxes the maximal rates follow from the Michaelis constants, and the Jacobian is affine in the
    saturations ``s`` of the rate laws: ``J(K) = J0 + sum_s s(K) W_s`` (Weilandt et al. 2023, Choudhury et al. 2024).
    The tables never change after construction; one simulator serves any number of threads. Every set's result is the
    same bit for bit whatever the number of sets, their order and the number of workers.

    Parameters
    ----------
    network, state
        The model and its steady state, which is checked first.
    workers
        Threads over blocks of at least 16 sets. LAPACK releases Python's lock; give its library one thread.
    reduction
        Independent species and link matrix; None: independent rows chosen in ascending concentration order.

    Attributes
    ----------
    parameter_names : tuple of str
        Michaelis constants, inert ones included, in file order.
    acting : numpy.ndarray of bool, (n_parameters,)
        Whether a Michaelis constant takes part in a rate.
    ln_concentration : numpy.ndarray, (n_parameters,)
        ``ln x`` of each Michaelis constant's species, x in mol/L.
    reduction : Reduction
        The choice of independent species.
    n_independent : int
        Rows of the reduced Jacobian.
    content_hash : str
        Hash of network and state.

    Raises
    ------
    KineticInputError
        The state does not fit the network, or is not steady.
    """

    def __init__(
        self, network: Network, state: SteadyState, *, workers: int = 1, reduction: Reduction | None = None
    ) -> None:
        if workers < 1:
            raise KineticInputError(f"workers={workers}: give at least 1.")
        check_steady_state(network, state)
        balance = mass_balance_matrix(network)
        variable_concentration = state.concentration[: len(network.variables)]
        if reduction is None:
            reduction = reduce_conservation(balance, np.argsort(variable_concentration, kind="stable"))
        self.workers = workers
        self.parameter_names = network.parameter_names
        self.acting = network.acting
        species = np.array([network.species_index[slot.species] for _, slot in network.parameter_slots], dtype=np.intp)
        self.ln_concentration: FloatArray = np.log(state.concentration[species])
        self.reduction = reduction
        self.n_independent = len(reduction.independent)
        self.content_hash = content_hash(network, state)
        self._acting_index = np.flatnonzero(self.acting)
        self._groups = build_groups(network)
        reactions = np.array([reaction for reaction, _ in network.parameter_slots], dtype=np.intp)
        self._factors = JacobianFactors(
            flux_stoichiometry=balance[reduction.independent] * state.flux,
            scaled_link=reduction.link / variable_concentration[:, None],
            slot_reaction=reactions[self._acting_index],
            slot_species=species[self._acting_index],
        )
        constant = self._factors.constant_part(unsaturated_elasticities(network, state)).ravel()
        weights = self._factors.saturation_weights()
        # Most entries of the Jacobian do not depend on any saturation; only the others are computed for each set.
        self._variable_entries = np.flatnonzero(np.diff(weights.indptr))
        self._weights = weights[self._variable_entries]
        self._offset = constant[self._variable_entries, None]
        self._constant_part: FloatArray = constant

    def saturations(self, ln_km: FloatArray) -> FloatArray:
        """Return the saturations of the acting slots, ``(n_sets, n_acting)``.

        Parameters
        ----------
        ln_km
            Natural logarithms of the Michaelis constants in mol/L, ``(n_sets, n_parameters)``; so for every method.
        """
        ln_ratio = self._ln_ratio(self._checked(ln_km))
        with np.errstate(over="ignore", invalid="ignore"):
            return np.ascontiguousarray(saturations(self._groups, ln_ratio).T)

    def jacobian(self, ln_km: FloatArray) -> FloatArray:
        """Return the reduced Jacobians, 1/h, ``(n_sets, n_independent, n_independent)``, network order of species."""
        return self._jacobian(self._checked(ln_km))

    def eigenvalues(self, ln_km: FloatArray) -> ComplexArray:
        """Return all eigenvalues, 1/h, ``(n_sets, n_independent)``, in LAPACK's order; NaN where they do not exist."""
        return self._over_blocks(lambda block: _eigenvalues(self._jacobian(block)), ln_km)

    def max_eigenvalue(self, ln_km: FloatArray) -> FloatArray:
        """Return the largest real part of the eigenvalues, 1/h, ``(n_sets,)``.

        It is ``+inf`` where the Jacobian or an eigenvalue is not finite; other sets are not affected.
        """
        return self._over_blocks(lambda block: _largest_real_part(_eigenvalues(self._jacobian(block))), ln_km)

    def validity(self, ln_km: FloatArray, lambda_part: float) -> BoolArray:
        """Return ``max_eigenvalue(ln_km) <= lambda_part``, ``(n_sets,)``, without most of the eigenvalues.

        Determinants rule out most invalid sets first (`determinant.may_be_valid`).

        Parameters
        ----------
        ln_km
            As in `saturations`.
        lambda_part
            Largest eigenvalue of a valid set, 1/h, negative.
        """
        if not lambda_part < 0:
            raise KineticInputError(f"lambda_part={lambda_part}: a valid set is stable, so give a negative number.")

        def valid(block: FloatArray) -> BoolArray:
            jacobian = self._jacobian(block)
            result = may_be_valid(jacobian, lambda_part)
            result[result] = _largest_real_part(_eigenvalues(jacobian[result])) <= lambda_part
            return result

        return self._over_blocks(valid, ln_km)

    def gradient(self, ln_km: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return :meth:`max_eigenvalue` and its derivatives by ``ln K``, ``(n_sets,)`` and ``(n_sets, n_parameters)``.

        The derivative exists where the leading eigenvalue is simple. Rows of sets without eigenvalues are NaN, columns
        of inert constants 0.
        """
        result = self._over_blocks(self._gradient, ln_km)
        return result[:, 0].copy(), result[:, 1:].copy()

    def _checked(self, ln_km: FloatArray) -> FloatArray:
        values = np.asarray(ln_km, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.parameter_names):
            raise KineticInputError(
                f"ln Km has the shape {values.shape}; give (number of sets, {len(self.parameter_names)})."
            )
        return values

    def _ln_ratio(self, ln_km: FloatArray) -> FloatArray:
        """Return ``ln(x / K)`` of the acting slots, slots first, in contiguous memory."""
        return self.ln_concentration[self._acting_index, None] - ln_km.T[self._acting_index]

    def _jacobian(self, ln_km: FloatArray) -> FloatArray:
        # Infinite or missing constants end as non-finite entries, which the callers look for.
        with np.errstate(over="ignore", invalid="ignore"):
            entries = self._weights @ saturations(self._groups, self._ln_ratio(ln_km)) + self._offset
        jacobian = np.empty((len(ln_km), self.n_independent**2))
        jacobian[:] = self._constant_part
        jacobian[:, self._variable_entries] = entries.T
        return jacobian.reshape(len(ln_km), self.n_independent, self.n_independent)

    def _gradient(self, ln_km: FloatArray) -> FloatArray:
        jacobian = self._jacobian(ln_km)
        eigenvalues = _eigenvalues(jacobian)
        largest = _largest_real_part(eigenvalues)
        result = np.zeros((len(ln_km), 1 + len(self.parameter_names)))
        result[:, 0] = largest
        good = np.isfinite(largest)
        result[~good, 1:] = np.nan
        if good.any():
            leading = np.take_along_axis(eigenvalues[good], eigenvalues[good].real.argmax(axis=1)[:, None], axis=1)[
                :, 0
            ]
            right, left = leading_eigenvectors(jacobian[good], leading)
            sensitivities = eigenvalue_sensitivities(self._factors, right, left)
            by_ln_ratio = saturation_pullback(self._groups, self._ln_ratio(ln_km[good]), sensitivities.T)
            result[np.ix_(good, 1 + self._acting_index)] = -by_ln_ratio.T
        return result

    def _over_blocks(self, function: Callable[[FloatArray], NDArray[Number]], ln_km: FloatArray) -> NDArray[Number]:
        """Apply a function to blocks of sets, in threads if there are workers, and join the results."""
        sets = self._checked(ln_km)
        size = min(SETS_PER_BLOCK, max(SETS_PER_THREAD, -(-len(sets) // self.workers)))
        blocks = [sets[start : start + size] for start in range(0, len(sets), size)] or [sets]
        helpers = min(self.workers, len(blocks)) - 1
        if helpers == 0:
            return np.concatenate([function(block) for block in blocks])
        return np.concatenate(_in_threads(function, blocks, helpers))


def _in_threads(
    function: Callable[[FloatArray], NDArray[Number]], blocks: list[FloatArray], helpers: int
) -> list[NDArray[Number]]:
    """Apply a function to every block in this thread and some helping ones; the results are in the blocks' order."""
    results: dict[int, NDArray[Number]] = {}
    waiting: SimpleQueue[int] = SimpleQueue()
    for index in range(len(blocks)):
        waiting.put(index)

    def work() -> None:
        with contextlib.suppress(Empty):
            while True:
                index = waiting.get_nowait()
                results[index] = function(blocks[index])

    # This thread works too: a batch is often done within the time that a second new thread would take to start.
    with ThreadPoolExecutor(helpers) as pool:
        others = [pool.submit(work) for _ in range(helpers)]
        work()
        for other in others:
            other.result()
    return [results[index] for index in range(len(blocks))]


def _eigenvalues(jacobian: FloatArray) -> ComplexArray:
    """Return the eigenvalues of every matrix; NaN for one that is not finite or does not converge."""
    try:
        return np.linalg.eigvals(jacobian).astype(np.complex128)
    except np.linalg.LinAlgError:
        # NumPy refuses the whole stack for one bad matrix.
        if len(jacobian) == 1:
            return np.full(jacobian.shape[:2], np.nan, dtype=np.complex128)
    return np.concatenate([_eigenvalues(jacobian[index : index + 1]) for index in range(len(jacobian))])


def _largest_real_part(eigenvalues: ComplexArray) -> FloatArray:
    largest = np.where(np.isfinite(eigenvalues).all(axis=1), eigenvalues.real.max(axis=1), np.inf)
    return largest
