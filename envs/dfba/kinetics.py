"""Rate laws: how fast agents may take up what they find, and what reacts outside of them."""

from collections.abc import Callable, Mapping, Sequence
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
            limits = self.vmax * c / (c + self.km)
        else:
            power = c**self.hill_n
            limits = self.vmax * power / (power + self.km_power)
        for agent, place, inhibitor, constant in self.inhibitions:
            limits[agent, :, place] /= 1 + state[:, inhibitor] / constant
        for agent, place, expression, parameters in self.expressions:
            limits[agent, :, place] = np.maximum(_evaluate(expression, parameters, state, self.names), 0)
        return limits

    def stiffness(self, state: FloatArray) -> FloatArray:
        """Return ``Vmax/(Km + c)`` (n_agents or 1, K, E), L/gDW/h: how fast a microbe empties its surroundings."""
        return self.vmax / (self.km + state[None, :, self.columns])


Law = Callable[[FloatArray], FloatArray]


class ExtracellularReactions:
    """Reactions outside of the agents: enzymes they have released, transfer, decay.

    Parameters
    ----------
    entries
        As a case file has them: ``stoichiometry``, ``law`` and the law's own keys.
    names
        Names of the columns of the state.

    Attributes
    ----------
    stoichiometry
        ``(n_reactions, S)``, in mmol per unit of rate.
    enzymes
        Names of the species that act as enzymes.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.stoichiometry = np.zeros((len(entries), len(names)))
        self.enzymes: list[str] = []
        grouped: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        for number, entry in enumerate(entries):
            law, arguments = self._read(f"extracellular[{number}]", entry, self.stoichiometry[number])
            grouped.setdefault(law, []).append((number, arguments))
        self.laws = [self._join(law, members) for law, members in grouped.items()]

    def __len__(self) -> int:
        return len(self.stoichiometry)

    def rates(self, state: FloatArray) -> FloatArray:
        """Return the rates (K, n_reactions), mmol/L/h, of a state (K, S) that is nowhere negative."""
        if len(self.laws) == 1 and self.laws[0][0] == slice(0, len(self)):
            return self.laws[0][1](state)
        rates = np.empty((len(state), len(self)))
        for places, law in self.laws:
            rates[:, places] = law(state)
        return rates

    def _read(self, key: str, entry: Any, row: FloatArray) -> tuple[str, dict[str, Any]]:
        """Return name and arguments of one reaction's law, and fill its row of the stoichiometry."""
        if not isinstance(entry, Mapping) or "stoichiometry" not in entry or "law" not in entry:
            raise UserError(f"{key}={entry}: give stoichiometry and law.")
        law = str(entry["law"])
        if law not in LAW_KEYS:
            raise UserError(f"{key}.law={law}: {nearest(law, LAW_KEYS)}")
        for name, value in read_numbers(f"{key}.stoichiometry", entry["stoichiometry"]).items():
            row[self._column(f"{key}.stoichiometry", name)] = value
        known = (*LAW_KEYS[law], "stoichiometry", "law")
        for name in entry:
            if name not in known:
                raise UserError(f"There is no key '{key}.{name}': {nearest(str(name), known)}")
        arguments: dict[str, Any] = {}
        for name, default in LAW_KEYS[law].items():
            value = entry.get(name, default)
            if value is None:
                value = self._implied(key, law, name, row)
            arguments[name] = self._argument(key, name, value)
        return law, arguments

    def _argument(self, key: str, name: str, value: Any) -> Any:
        """Return a law's argument as a column, number or mapping."""
        if name in ("substrate", "enzyme", "source", "sink"):
            if name == "enzyme" and value == "":
                return None
            column = self._column(f"{key}.{name}", value)
            if name == "enzyme":
                self.enzymes.append(self.names[column])
            return column
        if name == "parameters":
            return read_numbers(f"{key}.parameters", value)
        if name == "orders":
            orders = read_numbers(f"{key}.orders", value)
            return {self._column(f"{key}.orders", species): order for species, order in orders.items()}
        if name == "rate":
            return str(value)
        limits = {"above": 0.0} if name in ("Km", "hill_n") else {"minimum": 0.0}
        return read_number(f"{key}.{name}", value, **limits)

    def _implied(self, key: str, law: str, name: str, row: FloatArray) -> Any:
        """Return what the stoichiometry says of an argument that was left out."""
        consumed, produced = np.flatnonzero(row < 0), np.flatnonzero(row > 0)
        if name == "orders":
            return {self.names[column]: -row[column] for column in consumed}
        if name in ("substrate", "source") and len(consumed) == 1:
            return self.names[consumed[0]]
        if name == "sink" and len(produced) == 1:
            return self.names[produced[0]]
        raise UserError(f"{key}.{name} is missing: law={law} needs {', '.join(LAW_KEYS[law])}.")

    def _join(self, law: str, members: list[tuple[int, dict[str, Any]]]) -> tuple[Index, Law]:
        """Return the places of all reactions of a law and a function of the state that gives their rates."""
        places = as_slice(np.array([number for number, _ in members]))
        arguments = {name: [entry[name] for _, entry in members] for name in members[0][1]}
        if law == "expression":
            expressions = [
                (parse_expression(rate, [*self.names, *parameters]), parameters)
                for rate, parameters in zip(arguments["rate"], arguments["parameters"], strict=True)
            ]
            return places, ExpressionLaw(expressions, self.names)
        if law == "mass_action":
            return places, MassActionLaw(np.array(arguments["k"]), arguments["orders"])
        columns = {
            name: None if values[0] is None else as_slice(np.array(values))
            for name, values in arguments.items()
            if name in ("substrate", "enzyme", "source", "sink")
        }
        numbers = {name: np.array(values) for name, values in arguments.items() if name not in columns}
        return places, NAMED_LAWS[law](**columns, **numbers)

    def _column(self, key: str, name: Any) -> int:
        check_species(key, name, self.names)
        return self.names.index(str(name))


@dataclass(frozen=True)
class EnzymeMichaelisMenten:
    """``k E S/(Km + S)``."""

    substrate: Index
    enzyme: Index
    k: FloatArray
    Km: FloatArray

    def __call__(self, state: FloatArray) -> FloatArray:
        """Return the rates (K, n)."""
        substrate = state[:, self.substrate]
        rates: FloatArray = self.k * state[:, self.enzyme] * substrate / (self.Km + substrate)
        return rates


@dataclass(frozen=True)
class MassTransfer:
    """``k (x - y)``; negative where the sink holds more than the source."""

    source: Index
    sink: Index
    k: FloatArray

    def __call__(self, state: FloatArray) -> FloatArray:
        """Return the rates (K, n)."""
        rates: FloatArray = self.k * (state[:, self.source] - state[:, self.sink])
        return rates


@dataclass(frozen=True)
class FirstOrder:
    """``k S``."""

    substrate: Index
    k: FloatArray

    def __call__(self, state: FloatArray) -> FloatArray:
        """Return the rates (K, n)."""
        rates: FloatArray = self.k * state[:, self.substrate]
        return rates


@dataclass(frozen=True)
class Hill:
    """``k S^n/(Km^n + S^n)``, times the enzyme's concentration where there is one."""

    substrate: Index
    enzyme: Index | None
    k: FloatArray
    Km: FloatArray
    hill_n: FloatArray

    def __call__(self, state: FloatArray) -> FloatArray:
        """Return the rates (K, n)."""
        power = state[:, self.substrate] ** self.hill_n
        rates: FloatArray = self.k * power / (self.Km**self.hill_n + power)
        return rates if self.enzyme is None else rates * state[:, self.enzyme]


@dataclass(frozen=True)
class MassActionLaw:
    """``k prod_s S^order``."""

    k: FloatArray
    orders: list[dict[int, float]]

    def __call__(self, state: FloatArray) -> FloatArray:
        """Return the rates (K, n)."""
        rates = np.repeat(self.k[None], len(state), axis=0)
        for reaction, orders in enumerate(self.orders):
            for column, order in orders.items():
                rates[:, reaction] *= state[:, column] if order == 1 else state[:, column] ** order
        return rates


@dataclass(frozen=True)
class ExpressionLaw:
    """Rates written in case files."""

    expressions: list[tuple[Expression, dict[str, float]]]
    names: tuple[str, ...]

    def __call__(self, state: FloatArray) -> FloatArray:
        """Return the rates (K, n)."""
        rates = [_evaluate(expression, parameters, state, self.names) for expression, parameters in self.expressions]
        return np.stack(np.broadcast_arrays(*rates, state[:, 0])[:-1], axis=1)


NAMED_LAWS: dict[str, Callable[..., Law]] = {
    "enzyme_michaelis_menten": EnzymeMichaelisMenten,
    "mass_transfer": MassTransfer,
    "first_order": FirstOrder,
    "hill": Hill,
}
LAW_KEYS: dict[str, dict[str, Any]] = {
    "enzyme_michaelis_menten": {"substrate": None, "enzyme": None, "k": 0.1, "Km": 10.0},
    "mass_transfer": {"source": None, "sink": None, "k": 0.01},
    "first_order": {"substrate": None, "k": None},
    "mass_action": {"orders": None, "k": None},
    "hill": {"substrate": None, "enzyme": "", "k": None, "Km": None, "hill_n": None},
    "expression": {"rate": None, "parameters": {}},
}
"""Keys of every law with their defaults; None: needed, unless the stoichiometry implies it."""


def _evaluate(
    expression: Expression, parameters: Mapping[str, float], state: FloatArray, names: Sequence[str]
) -> FloatArray:
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
