"""A CSV file that grows row by row, whose columns may grow too, and that can be cut back exactly."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..storage.atomic_file import write_atomically


class TableFile:
    """Rows of numbers under named columns; a row that lacks a column leaves its field empty.

    Fields hold no commas or quotes, so that a line is its fields joined by commas. A new column is appended to the
    header and to every earlier row, so that the file is a function of the rows alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = []
        self.n_rows = 0

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row."""
        self.extend([row])

    def extend(self, rows: list[Mapping[str, Any]]) -> None:
        """Write several rows at once."""
        new = list(dict.fromkeys(key for row in rows for key in row if key not in self.columns))
        if new and not self.columns:
            self._add_columns([], new)
        elif new:
            self._add_columns(self._lines()[1:], new)
        lines = [",".join(_field(row.get(column)) for column in self.columns) for row in rows]
        with self.path.open("a", newline="") as file:
            file.write("".join(line + "\n" for line in lines))
        self.n_rows += len(rows)

    def position(self) -> dict[str, Any]:
        """Return what `cut` needs to come back to now."""
        return {"columns": list(self.columns), "n_rows": self.n_rows}

    def cut(self, position: Mapping[str, Any]) -> None:
        """Forget every row and column written after ``position``, and rows that a kill left half-written."""
        self.columns, self.n_rows = list(position["columns"]), int(position["n_rows"])
        if not self.columns:
            self.path.unlink(missing_ok=True)
            return
        kept = [line.split(",")[: len(self.columns)] for line in self._lines()[1 : 1 + self.n_rows]]
        self._write([",".join(fields) for fields in kept])

    def _add_columns(self, lines: list[str], new: list[str]) -> None:
        self.columns += new
        self._write([line + "," * len(new) for line in lines])

    def _write(self, lines: list[str]) -> None:
        content = io.StringIO(newline="")
        csv.writer(content, lineterminator="\n").writerow(self.columns)
        content.writelines(line + "\n" for line in lines)
        write_atomically(self.path, content.getvalue().encode())

    def _lines(self) -> list[str]:
        return self.path.read_text().splitlines()


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return repr(float(value)) if isinstance(value, float) else str(value)
