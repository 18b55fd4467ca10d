"""The dynamics of a kinetic network away from its steady state, for many sets of Michaelis constants at once.

With ``u = x / x*`` every rate follows from the steady state; no maximal rate or equilibrium constant is needed:
``v = v* exp(Fs ln u) (D* / D) (1 - rho) / (1 - rho*)`` with ``ln rho = ln rho* + Gx ln u`` (Weilandt et al. 2023).
Arrays have the copies last, each of which is one state of one set.
"""

from dataclasses import dataclass

import numpy as np

from .conservation import Reduction, reduce_conservation
from .elasticity import rate_exponents
from .errors import KineticInputError
from .network import FloatArray, IntArray, Network, mass_balance_matrix
from .rate_tables import denominators, partial_table, slot_table
from .steady_state import SteadyState, check_steady_state


class NonlinearModel:
    """Tables of the rates of one network around one steady state.

    Parameters
    ----------
    network, state
        The model and its steady state, which is checked first.
    reduction
        Independent species and link matrix; None: independent rows chosen in ascending concentration order, as in
        `KineticSimulator`.

    Attributes
    ----------
    concentration : numpy.ndarray, (n_variables,)
        Steady concentrations ``x*`` of the variable species, mol/L.
    reduction : Reduction
        The choice of independent species.
    ln_concentration : numpy.ndarray, (n_parameters,)
        ``ln x*`` of each Michaelis constant's species, x in mol/L.
    acting : numpy.ndarray of int
        The Michaelis constants that take part in a rate.
    dependent : numpy.ndarray of int
        The other species, whose concentrations follow from conserved totals.

    Raises
    ------
    KineticInputError
        The state does not fit the network, or is not steady.
    """

    def __init__(self, network: Network, state: SteadyState, *, reduction: Reduction | None = None) -> None:
        check_steady_state(network, state)
        n_variables = len(network.variables)
        balance = mass_balance_matrix(network)
        concentration: FloatArray = state.concentration[:n_variables]
        if reduction is None:
            reduction = reduce_conservation(balance, np.argsort(concentration, kind="stable"))
        self.parameter_names = network.parameter_names
        self.species = network.variables
        self.concentration = concentration
        self.reduction = reduction
        self.dependent: IntArray = np.setdiff1d(np.arange(n_variables), reduction.independent)
        independent = concentration[reduction.independent]
        self.relative_link: FloatArray = reduction.link * independent / concentration[:, None]
        self.relative_balance: FloatArray = balance[reduction.independent] / independent[:, None]
        forward, displacement = rate_exponents(network)
        displacement[~network.reversible] = 0.0
        self.forward: FloatArray = forward[:, :n_variables]
        self.displacement: FloatArray = displacement[:, :n_variables]
        self.ln_displacement: FloatArray = np.where(network.reversible, state.ln_displacement, -np.inf)[:, None]
        self.amplitude: FloatArray = state.flux[:, None] / -np.expm1(self.ln_displacement)
        self.slots = slot_table(network)
        species = np.array([network.species_index[slot.species] for _, slot in network.parameter_slots], dtype=np.intp)
        self.acting: IntArray = np.flatnonzero(network.acting)
        self.ln_concentration: FloatArray = np.log(state.concentration[species])
        self.partials = partial_table(
            self.slots, self.forward, self.displacement, self.relative_balance, self.relative_link
        )

    def at(self, ln_km: FloatArray) -> "Dynamics":
        """Return the dynamics of some sets, one copy each.

        Parameters
        ----------
        ln_km
            Natural logarithms of the Michaelis constants in mol/L, ``(n_copies, n_parameters)``.
        """
        values = np.asarray(ln_km, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.parameter_names):
            raise KineticInputError(
                f"ln Km has the shape {values.shape}; give (number of sets, {len(self.parameter_names)})."
            )
        acting = values[:, self.acting]
        if not np.isfinite(acting).all():
            row, column = np.argwhere(~np.isfinite(acting))[0]
            raise KineticInputError(
                f"Set {row}: ln Km of {self.parameter_names[self.acting[column]]} is {acting[row, column]}; give "
                "finite numbers."
            )
        ratio = np.vstack([np.exp(self.ln_concentration[self.acting, None] - acting.T), np.zeros((1, len(values)))])
        saturation_ratio = ratio[self.slots.slot]
        denominator = denominators(self.slots, saturation_ratio)[0]
        return Dynamics(self, saturation_ratio, denominator, np.zeros((len(self.dependent), len(values))))


@dataclass(frozen=True, slots=True, eq=False)
class Dynamics:
    """The reduced equations of motion ``dz/dt`` of ``z = ln(x / x*)`` of the independent species.

    The dependent species follow from the totals: ``x = x* + L (x_ind - x*_ind)``, plus ``offset`` where a copy's
    totals are not those of the steady state. States ``z`` are ``(n_independent, n_copies)``, time is in hours.

    Parameters
    ----------
    model
        The tables.
    ratio
        ``x* / K`` of every entry of the model's slot table, ``(n_entries, n_copies)``.
    denominator
        Denominators of all groups at the steady state, ``(n_groups, n_copies)``.
    offset
        Change of the dependent species' concentrations over ``x*`` by changed totals, ``(n_dependent, n_copies)``.
    """

    model: NonlinearModel
    ratio: FloatArray
    denominator: FloatArray
    offset: FloatArray

    def select(self, copies: IntArray) -> "Dynamics":
        """Return the dynamics of some of the copies, in the order given; a copy may be repeated."""
        return Dynamics(self.model, self.ratio[:, copies], self.denominator[:, copies], self.offset[:, copies])

    def with_totals_of(self, concentration_ratio: FloatArray) -> "Dynamics":
        """Return the dynamics with the conserved totals of given states ``x / x*``, ``(n_variables, n_copies)``."""
        model = self.model
        independent = concentration_ratio[model.reduction.independent] - 1.0
        offset = concentration_ratio[model.dependent] - 1.0 - model.relative_link[model.dependent] @ independent
        return Dynamics(model, self.ratio, self.denominator, offset)

    def concentration_ratio(self, z: FloatArray) -> FloatArray:
        """Return ``x / x*`` of all variable species, ``(n_variables, n_copies)``; a dependent one may be negative."""
        model, change = self.model, np.expm1(z)
        ratio = np.empty((len(model.species), z.shape[1]))
        ratio[model.reduction.independent] = np.exp(z)
        ratio[model.dependent] = 1.0 + model.relative_link[model.dependent] @ change + self.offset
        return ratio

    def rates(self, concentration_ratio: FloatArray) -> FloatArray:
        """Return all rates, mol/L/h, ``(n_reactions, n_copies)``, at ``x / x*``; NaN where one is not positive."""
        return self._rates(concentration_ratio)[0]

    def rate_derivatives(self, concentration_ratio: FloatArray) -> FloatArray:
        """Return ``dv / d ln x``, mol/L/h, ``(n_copies, n_reactions, n_variables)``."""
        model = self.model
        table, (_, derivatives) = model.partials, self._partials(concentration_ratio)
        result = np.zeros((derivatives.shape[1], len(model.forward), len(model.species)))
        for reaction, species, values in zip(table.reaction, table.species, derivatives, strict=True):
            result[:, reaction, species] += values
        return result

    def right_hand_side(self, z: FloatArray) -> FloatArray:
        """Return ``dz/dt``, 1/h, ``(n_independent, n_copies)``; NaN where a concentration is not positive."""
        ratio = self.concentration_ratio(z)
        return self._velocity(z, self.rates(ratio))

    def jacobian(self, z: FloatArray) -> FloatArray:
        """Return the derivative of `right_hand_side` by z, 1/h, ``(n_copies, n_independent, n_independent)``.

        At ``z = 0`` it is similar to the Jacobian of `KineticSimulator`: ``diag(1/x_ind) J diag(x_ind)``.
        """
        table = self.model.partials
        n_independent, n_copies = z.shape
        ratio = self.concentration_ratio(z)
        rates, derivatives = self._partials(ratio)
        values = table.weights @ (derivatives / ratio[table.species])
        values *= np.exp(z[table.column] - z[table.row])
        jacobian = np.zeros((n_copies, n_independent**2))
        jacobian[:, table.row * n_independent + table.column] = values.T
        jacobian[:, :: n_independent + 1] -= self._velocity(z, rates).T
        return jacobian.reshape(n_copies, n_independent, n_independent)

    def _velocity(self, z: FloatArray, rates: FloatArray) -> FloatArray:
        velocity: FloatArray = (self.model.relative_balance @ rates) * np.exp(-z)
        return velocity

    def _rates(self, concentration_ratio: FloatArray) -> tuple[FloatArray, ...]:
        """Return rates, rates without the factor ``1 - rho``, rho, and the saturations of all entries."""
        model, slots = self.model, self.model.slots
        # A state outside the positive orthant ends as NaN, which the integrators look for.
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            ln_ratio = np.log(concentration_ratio)
            padded = np.vstack([concentration_ratio, np.ones((1, concentration_ratio.shape[1]))])
            denominator, saturation = denominators(slots, self.ratio * padded[slots.species])
            relative = np.multiply.reduceat(self.denominator / denominator, slots.reaction_start, axis=0)
            forward = model.amplitude * np.exp(model.forward @ ln_ratio) * relative
            ln_rho = model.ln_displacement + model.displacement @ ln_ratio
            return -np.expm1(ln_rho) * forward, forward, np.exp(ln_rho), saturation

    def _partials(self, concentration_ratio: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the rates and the terms of ``dv / d ln x``: of the exponents first, then of the saturations."""
        table = self.model.partials
        rates, forward, rho, saturation = self._rates(concentration_ratio)
        exponents = len(table.forward)
        reaction = table.reaction[:exponents]
        by_exponent = rates[reaction] * table.forward - (rho * forward)[reaction] * table.displacement
        by_saturation = -rates[table.reaction[exponents:]] * saturation[table.entries]
        return rates, np.concatenate([by_exponent, by_saturation])
