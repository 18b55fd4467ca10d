"""Rates written in case files: what they may say, and what is refused."""

import pickle

import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.dfba.expression import parse_expression

NAMES = ("Glc", "Starch", "k")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("k*(Glc - Starch)", 0.5 * (3.0 - 4.0)),
        ("-Glc + +2", -1.0),
        ("2 ** 3 ** 2", 512.0),
        ("min(Glc, Starch, 1) + max(Glc, Starch)", 5.0),
        ("exp(log(Glc)) * sqrt(Starch) / tanh(1e3)", 6.0),
    ],
)
def test_values(text, value):
    values = {"Glc": np.array([3.0, 3.0]), "Starch": np.array([4.0, 4.0]), "k": 0.5}
    assert np.allclose(parse_expression(text, NAMES)(values), value, rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("k * Glucose", "column 5: there is no species or parameter 'Glucose'; did you mean Glc"),
        ("Glc.real", "column 1: 'Glc.real' is not allowed; write numbers, names"),
        ("Glc + __import__('os')", "column 7: '__import__('os')' is not allowed"),
        ("Glc if k else 1", "is not allowed"),
        ("Glc[0]", "is not allowed"),
        ("True", "is not allowed"),
        ("1j * Glc", "is not allowed"),
        ("'text'", "is not allowed"),
        ("exp(Glc, k)", "is not allowed"),
        ("min(Glc)", "is not allowed"),
        ("min(*[1, 2])", "is not allowed"),
        ("lambda: 1", "is not allowed"),
        ("Glc % 2", "is not allowed"),
        ("k * (Glc", "column 5: it cannot be read; write numbers"),
        ("", "it cannot be read"),
        ("1+" * 2000 + "1", "has 4001 characters"),
    ],
)
def test_anything_else_is_refused(text, words):
    with pytest.raises(UserError) as raised:
        parse_expression(text, NAMES)
    assert words in str(raised.value)


def test_values_that_are_not_finite_are_told_with_the_state():
    expression = parse_expression("log(Glc) / Starch", NAMES)
    with pytest.raises(UserError, match=r"'log\(Glc\) / Starch' is not finite at Glc=0, Starch=2"):
        expression({"Glc": np.array([1.0, 0.0]), "Starch": np.array([1.0, 2.0])})


def test_expressions_are_plain_data():
    expression = pickle.loads(pickle.dumps(parse_expression("k*Glc", NAMES)))
    assert expression({"k": 2.0, "Glc": np.array([3.0])}) == 6.0
    assert expression.names == ("Glc", "k")
