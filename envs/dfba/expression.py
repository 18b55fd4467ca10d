"""Rate expressions of case files: parsed to a syntax tree with a list of what is allowed, evaluated on arrays."""

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from ...configs.option import nearest

FloatArray = NDArray[np.float64]
Tree = tuple[Any, ...]

OPERATORS: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.Pow: ("**", operator.pow),
}
BINARY = dict(OPERATORS.values())
FUNCTIONS: dict[str, Callable[[Any], Any]] = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh}
REDUCTIONS: dict[str, Callable[[Any, Any], Any]] = {"min": np.minimum, "max": np.maximum}
ALLOWED = "numbers, names, + - * / **, parentheses and min max exp log sqrt tanh"
LONGEST = 2000
"""Characters; a longer text is no rate, and could exhaust the parser."""


@dataclass(frozen=True)
class Expression:
    """A parsed rate: plain data, so that it can be pickled.

    Attributes
    ----------
    text
        As it was written.
    names
        Species and parameters in it, in alphabetical order.
    tree
        Nested tuples: ``("number", x)``, ``("name", s)``, or an operator or function with its arguments.
    """

    text: str
    names: tuple[str, ...]
    tree: Tree

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Evaluate for arrays or numbers by name; all arrays broadcast against each other.

        Raises
        ------
        UserError
            If a value is not finite.
        """
        with np.errstate(all="ignore"):  # told below, with the expression
            result = _evaluate(self.tree, values)
        if not np.isfinite(result).all():
            shown = ", ".join(f"{name}={float(np.ravel(values[name])[_first(result)]):g}" for name in self.names)
            raise UserError(
                f"expression '{self.text}' is not finite at {shown or 'any state'}: guard it with max or min, or check "
                "its parameters."
            )
        return result


def parse_expression(text: Any, names: Iterable[str]) -> Expression:
    """Parse a rate that may use these names.

    Raises
    ------
    UserError
        With the expression, the column and the name, for anything that is not allowed.
    """
    source = str(text)
    if len(source) > LONGEST:
        raise UserError(f"An expression has {len(source)} characters: give at most {LONGEST}.")
    try:
        body = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        column = getattr(error, "offset", None) or 1
        raise UserError(f"expression '{source}', column {column}: it cannot be read; write {ALLOWED}.") from error
    known = set(names)
    tree = _convert(body, source, known)
    return Expression(source, tuple(sorted(set(_names(tree)))), tree)


def _convert(node: ast.expr, text: str, known: set[str]) -> Tree:
    """Return the tree of one node, or refuse it."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return "number", float(value)
        case ast.Name(id=name):
            if name not in known:
                raise UserError(
                    f"expression '{text}', column {node.col_offset + 1}: there is no species or parameter "
                    f"'{name}'; {nearest(name, known)}"
                )
            return "name", name
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATORS:
            return OPERATORS[type(sign)][0], _convert(left, text, known), _convert(right, text, known)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return "negative", _convert(operand, text, known)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _convert(operand, text, known)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if _takes(name, len(arguments)):
            return name, *(_convert(argument, text, known) for argument in arguments)
    raise UserError(
        f"expression '{text}', column {node.col_offset + 1}: '{ast.get_source_segment(text.strip(), node)}' is not "
        f"allowed; write {ALLOWED}."
    )


def _takes(function: str, count: int) -> bool:
    return count == 1 if function in FUNCTIONS else function in REDUCTIONS and count >= 2


def _names(tree: Tree) -> Iterable[str]:
    if tree[0] == "name":
        yield tree[1]
    elif tree[0] != "number":
        for part in tree[1:]:
            yield from _names(part)


def _evaluate(tree: Tree, values: Mapping[str, Any]) -> Any:
    kind = tree[0]
    if kind == "number":
        return np.float64(tree[1])
    if kind == "name":
        return values[tree[1]]
    parts = [_evaluate(part, values) for part in tree[1:]]
    if kind == "negative":
        return -parts[0]
    if kind in BINARY:
        return BINARY[kind](*parts)
    return FUNCTIONS[kind](parts[0]) if kind in FUNCTIONS else reduce(REDUCTIONS[kind], parts)


def _first(result: Any) -> int:
    """Return the position of the first value that is not finite, 0 for a number."""
    return int(np.flatnonzero(~np.isfinite(np.ravel(result)))[0])
