"""Reactions outside of the agents: enzymes that they have released, transfer and decay."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import UserError
from ....configs.option import nearest
from ..expression import Expression, parse_expression
from ..kinetics import Index, as_slice, check_species, evaluate_rate, read_number, read_numbers

FloatArray = NDArray[np.float64]

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
        rates = [
            evaluate_rate(expression, parameters, state, self.names) for expression, parameters in self.expressions
        ]
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
