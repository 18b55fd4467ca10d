"""Actions that perturb several genes at once, as further columns of a table."""

import csv
import json
from itertools import combinations, product
from pathlib import Path

import numpy as np

from .... import UserError
from ....configs.option import nearest
from ..data import Actions

LIMIT = 5_000
"""Columns that a table may have; more are refused, since it grows with them."""

PAIRS = "pairs:"
JOINT = " + "


def add_combinations(actions: Actions, source: str) -> Actions:
    """Return actions with a column for every combination behind them.

    Parameters
    ----------
    actions
        Of single genes, which combinations are made of; their values stay the same.
    source
        ``pairs:GENE,GENE,...`` for both ways of perturbing each two of these genes; or a file: a ``.csv`` with a
        combination per line, such as ``KO Gata1,OE Spi1``, or a ``.json`` with a list of such lists.

    Raises
    ------
    UserError
        If an action is unknown, a combination perturbs a gene twice or is there twice, or there are too many columns.
    """
    wanted = _pairs(actions, source) if source.startswith(PAIRS) else _read(Path(source))
    check_count(len(wanted), actions, source)
    position = {str(name): index for index, name in enumerate(actions.names)}
    names, conditions, activates = list(map(str, actions.names)), list(actions.conditions), list(actions.activates)
    for parts in wanted:
        for part in parts:
            if part not in position:
                raise UserError(
                    f"dynamics.multi_gene={source}: there is no action '{part}': {nearest(part, list(position))}"
                )
        condition: dict[str, float] = {}
        for part in parts:
            single = actions.conditions[position[part]]
            if condition.keys() & single.keys():
                raise UserError(
                    f"dynamics.multi_gene={source}: {JOINT.join(parts)} perturbs a gene twice, so leave one out."
                )
            condition |= single
        names.append(JOINT.join(parts))
        conditions.append(condition)
        activates.append(any(bool(actions.activates[position[part]]) for part in parts))
    values, counts = np.unique(names, return_counts=True)
    if (counts > 1).any():
        raise UserError(f"dynamics.multi_gene={source}: {values[counts > 1][0]} is there twice, so leave one out.")
    return Actions(np.array(names), tuple(conditions), np.array(activates, dtype=bool))


def check_count(count: int, actions: Actions, source: str) -> None:
    """Raise UserError if so many combinations beside these actions are too many columns."""
    if count + len(actions.names) > LIMIT:
        raise UserError(
            f"dynamics.multi_gene={source}: {count} combinations beside {len(actions.names)} actions are more than "
            f"{LIMIT} columns, so name fewer genes or combinations."
        )


def _pairs(actions: Actions, source: str) -> list[tuple[str, ...]]:
    genes = [gene.strip() for gene in source.removeprefix(PAIRS).split(",") if gene.strip()]
    if len(genes) < 2 or len(set(genes)) < len(genes):
        raise UserError(f"dynamics.multi_gene={source}: give two or more different genes, such as pairs:Gata1,Spi1.")
    check_count(2 * len(genes) * (len(genes) - 1), actions, source)  # before they are all written down
    return [
        (f"{first_way} {first}", f"{second_way} {second}")
        for first, second in combinations(genes, 2)
        for first_way, second_way in product(("KO", "OE"), repeat=2)
    ]


def _read(path: Path) -> list[tuple[str, ...]]:
    if not path.is_file():
        raise UserError(
            f"dynamics.multi_gene={path}: there is no such file; give a .csv or .json, or pairs:GENE,GENE,..."
        )
    try:
        if path.suffix == ".json":
            rows = json.loads(path.read_text(encoding="utf-8"))
        else:
            with path.open(encoding="utf-8", newline="") as file:
                rows = [[part.strip() for part in row if part.strip()] for row in csv.reader(file)]
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            raise ValueError("no list of lists")
    except (ValueError, csv.Error) as error:
        raise UserError(
            f"dynamics.multi_gene={path}: this cannot be read ({error}): write a combination per line of a .csv, such "
            "as KO Gata1,OE Spi1, or a list of such lists as .json."
        ) from error
    combined = [tuple(map(str, row)) for row in rows if row]
    if single := [row for row in combined if len(row) < 2]:
        raise UserError(f"dynamics.multi_gene={path}: {single[0][0]} is one action alone, so join it to another.")
    return combined
