"""Tables of named numbers: CSV files with a column of names and a column of values."""

import csv
import math
from os import PathLike
from pathlib import Path

from ..errors import KineticInputError
from .units import molar


def read_values(path: str | PathLike[str], name_column: str, value_column: str) -> dict[str, float]:
    """Return name to number, in the file's order; other columns are not read.

    Raises
    ------
    KineticInputError
        The file cannot be read, lacks a column, names something twice, or has a value that is no number.
    """
    file = Path(path)
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text)
            columns = reader.fieldnames or []
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise KineticInputError(f"{file} cannot be read ({error}); give a CSV file in UTF-8.") from error
    if name_column not in columns or value_column not in columns:
        raise KineticInputError(
            f"{file} has the columns {', '.join(columns) or '(none)'}; its first line must name "
            f"{name_column} and {value_column}."
        )
    values: dict[str, float] = {}
    for number, row in enumerate(rows, start=2):
        name = row[name_column]
        if name in values:
            raise KineticInputError(f"{file}, row {number}: {name} is given twice; keep one of the two.")
        value = _number(row[value_column])
        if not math.isfinite(value):
            raise KineticInputError(
                f"{file}, row {number}: the {value_column} of {name} is {row[value_column]!r}; give a number."
            )
        values[name] = value
    return values


def read_concentrations(path: str | PathLike[str], unit: str | None) -> dict[str, float]:
    """Return species to mol/L from the columns ``species`` and ``concentration``; the unit is never guessed."""
    scale = molar(unit, str(Path(path)))
    return {name: value * scale for name, value in read_values(path, "species", "concentration").items()}


def _number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return math.nan
