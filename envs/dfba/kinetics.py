"""Rate laws of uptake: how fast agents may take up what they find."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from ...configs.option import nearest
from .expression import Expression, parse_expression

FloatArray = NDArray[np.float64]
Index = slice | NDArray[np.int64]

DEFAULT_VMAX, DEFAULT_KM = 10.0, 10.0
"""mmol/gDW/h and mmol/L: the law of every uptake in SPAM-DFBA (Ghadermazi and Chan 2024)."""


@dataclass(frozen=True)
class UptakeLaw:
    """``q = Vmax c^n/(Km^n + c^n) prod_j 1/(1 + I_j/Ki_j)``, or an expression of concentrations.

    Attributes
    ----------
    vmax
        mmol/gDW/h, at least 0.
    km
        mmol/L, above 0.
    hill_n
        Above 0.
    inhibitors
        Half-inhibiting concentration Ki (mmol/L) by species.
    rate, parameters
        An expression takes the place of the formula; negative values count as 0.
    """

    vmax: float = DEFAULT_VMAX
    km: float = DEFAULT_KM
    hill_n: float = 1.0
    inhibitors: Mapping[str, float] = field(default_factory=dict)
    rate: str | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)


def read_uptake_law(key: str, entry: Any, species: Sequence[str]) -> UptakeLaw:
    """Return the law that a case file writes as ``{Vmax, Km, hill_n, inhibitors, expression, parameters}``."""
    if not isinstance(entry, Mapping):
        raise UserError(f"{key}={entry}: give a mapping such as {{Vmax: 10, Km: 10}}.")
    fields = ("Vmax", "Km", "hill_n", "inhibitors", "expression", "parameters")
    for name in entry:
        if name not in fields:
            raise UserError(f"There is no key '{key}.{name}': {nearest(str(name), fields)}")
    vmax = read_number(f"{key}.Vmax", entry.get("Vmax", DEFAULT_VMAX), minimum=0)
    km = read_number(f"{key}.Km", entry.get("Km", DEFAULT_KM), above=0)
    hill = read_number(f"{key}.hill_n", entry.get("hill_n", 1.0), above=0)
    inhibitors = {}
    for name, value in (entry.get("inhibitors") or {}).items():
        check_species(f"{key}.inhibitors", name, species)
        inhibitors[str(name)] = read_number(f"{key}.inhibitors.{name}", value, above=0)
    parameters = read_numbers(f"{key}.parameters", entry.get("parameters") or {})
    rate = entry.get("expression")
    if rate is not None:
        parse_expression(rate, [*species, *parameters])
    return UptakeLaw(vmax, km, hill, inhibitors, None if rate is None else str(rate), parameters)


class UptakeKinetics:
    """Uptake limits of agents that share a model, for all copies at once.

    Parameters
    ----------
    laws
        For every agent, a law for each of the species that its exchanges move.
    columns
        Columns of the state that these species are, ``(E,)``.
    names
        Names of all columns of the state.
    """

    def __init__(self, laws: Sequence[Sequence[UptakeLaw]], columns: NDArray[np.int64], names: Sequence[str]) -> None:
        if all(list(row) == list(laws[0]) for row in laws):
            laws = laws[:1]
        self.columns = as_slice(columns)
        self.vmax = np.array([[[law.vmax for law in row]] for row in laws])
        self.km = np.array([[[law.km for law in row]] for row in laws])
        self.hill_n = np.array([[[law.hill_n for law in row]] for row in laws])
        if self.vmax.size and np.ptp(self.vmax) == 0 and np.ptp(self.km) == 0:
            self.vmax, self.km = self.vmax[:1, :, :1], self.km[:1, :, :1]
        self.plain = bool((self.hill_n == 1).all())
        self.km_power = self.km if self.plain else self.km**self.hill_n
        self.inhibitions = [
            (agent, place, list(names).index(inhibitor), constant)
            for agent, row in enumerate(laws)
            for place, law in enumerate(row)
            for inhibitor, constant in law.inhibitors.items()
        ]
        self.expressions = [
            (agent, place, parse_expression(law.rate, [*names, *law.parameters]), dict(law.parameters))
            for agent, row in enumerate(laws)
            for place, law in enumerate(row)
            if law.rate is not None
        ]
        self.names = tuple(names)

    def limits(self, state: FloatArray) -> FloatArray:
        """Return q (n_agents or 1, K, E), mmol/gDW/h, at least 0, for a state (K, S) that is nowhere negative."""
        c = state[None, :, self.columns]
        if self.plain:
            limits: FloatArray = self.vmax * c / (c + self.km)
        else:
            power = c**self.hill_n
            limits = self.vmax * power / (power + self.km_power)
        for agent, place, inhibitor, constant in self.inhibitions:
            limits[agent, :, place] /= 1 + state[:, inhibitor] / constant
        for agent, place, expression, parameters in self.expressions:
            limits[agent, :, place] = np.maximum(evaluate_rate(expression, parameters, state, self.names), 0)
        return limits

    def stiffness(self, state: FloatArray) -> FloatArray:
        """Return ``Vmax/(Km + c)`` (n_agents or 1, K, E), L/gDW/h: how fast a microbe empties its surroundings."""
        return self.vmax / (self.km + state[None, :, self.columns])


def evaluate_rate(
    expression: Expression, parameters: Mapping[str, float], state: FloatArray, names: Sequence[str]
) -> FloatArray:
    """Return an expression (K,) at states (K, S); parameters come before species of the same name."""
    values = {
        name: parameters[name] if name in parameters else state[:, names.index(name)] for name in expression.names
    }
    return np.broadcast_to(expression(values), len(state))


def as_slice(columns: NDArray[np.int64]) -> Index:
    """Return a slice where the columns follow each other, which NumPy reads without copying."""
    if len(columns) and np.array_equal(columns, np.arange(columns[0], columns[0] + len(columns))):
        return slice(int(columns[0]), int(columns[0]) + len(columns))
    return columns.astype(np.int64)


def check_species(key: str, name: Any, species: Sequence[str]) -> None:
    """Refuse a name that is neither an agent nor a declared species."""
    if str(name) not in species:
        hint = nearest(str(name), species).rstrip("?.")
        raise UserError(f"{key} names {name}, which is not known: {hint}, or declare it in species:.")


def read_number(key: str, value: Any, *, minimum: float | None = None, above: float | None = None) -> float:
    """Return a finite number within its bounds, or name key, value and allowed range."""
    allowed = f"above {above:g}" if above is not None else f"of at least {minimum:g}" if minimum is not None else ""
    wanted = f"give a number {allowed}".rstrip() + "."
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise UserError(f"{key}={value}: {wanted}")
    number = float(value)
    inside = np.isfinite(number) and (minimum is None or number >= minimum) and (above is None or number > above)
    if not inside:
        raise UserError(f"{key}={value}: {wanted}")
    return number


def read_numbers(key: str, values: Any, *, minimum: float | None = None) -> dict[str, float]:
    """Return a mapping of names to finite numbers."""
    if not isinstance(values, Mapping):
        raise UserError(f"{key}={values}: give numbers by name.")
    return {str(name): read_number(f"{key}.{name}", value, minimum=minimum) for name, value in values.items()}
