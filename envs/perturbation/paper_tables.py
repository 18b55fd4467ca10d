"""What the paper's Tables 1, 4 and 7 hold: how far agents move cells, always beside an agent that moves none."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import UserError
from .data import FloatArray
from .metrics import displacement

if TYPE_CHECKING:
    import pandas as pd

MEASURES = ("mse", "rmse", "mae", "r2", "pearson")
CELLS = {"Test": "", "Train": "_train"}
"""Which controls episodes start from, and the ending that their scalars have."""

COLUMNS = {"run": "last", "no_op": "no_change", "random_policy": "random"}
"""Columns and the agents whose scalars they hold."""

REFERENCE_FOLDER = Path(__file__).parents[2] / "configs" / "reference"


def describe_displacement(start: FloatArray, final: FloatArray, ending: str = "") -> dict[str, float]:
    """Return `displacement_mse` and so on of final against start states (n, D), their names with an ending."""
    values = displacement(start, final)
    return {f"displacement_{name}{ending}": values[name] for name in MEASURES}


def displacement_table(scalars: Mapping[str, Any], paper: Mapping[str, float]) -> "pd.DataFrame":
    """Return the displacement of a run, of doing nothing, of random actions and in the paper.

    Parameters
    ----------
    scalars
        Final scalars by ``agent/name``.
    paper
        The paper's numbers by the same names without agent; what it does not have stays empty.

    Returns
    -------
    table
        A row per metric and kind of cells; columns ``metric``, ``cells``, ``run``, ``no_op``, ``random_policy``,
        ``paper``.

    Raises
    ------
    UserError
        If doing nothing or random actions were not measured: displacement alone reads like accuracy, and it is none.
    """
    import pandas as pd

    names = {(name, cells): f"displacement_{name}{ending}" for name in MEASURES for cells, ending in CELLS.items()}
    for column, agent in COLUMNS.items():
        absent = [name for name in names.values() if f"{agent}/{name}" not in scalars]
        if absent:
            raise UserError(
                f"displacement.csv needs the column {column}, and {agent}/{absent[0]} was not measured: set "
                "evaluation.baselines=true."
            )
    rows = [
        {"metric": metric, "cells": cells}
        | {column: scalars[f"{agent}/{name}"] for column, agent in COLUMNS.items()}
        | {"paper": paper.get(name, np.nan)}
        for (metric, cells), name in names.items()
    ]
    return pd.DataFrame(rows)


def paper_numbers(table: int | None, algorithm: str) -> dict[str, float]:
    """Return what a table of the paper has for an algorithm, ``ppo`` or ``trpo_ppo``; nothing for others."""
    if table is None:
        return {}
    import yaml

    content = yaml.safe_load((REFERENCE_FOLDER / f"perturbation_table{table}.yaml").read_text(encoding="utf-8"))
    found = (row for row in content["rows"] if row["variant"].casefold() == algorithm.casefold())
    return {name: value for name, value in next(found, {}).items() if name != "variant"}
