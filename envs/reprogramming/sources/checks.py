"""What makes cells unusable, each said with names, numbers and a remedy."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from .... import UserError
from ..data import FloatArray, StrArray

FRACTIONAL_SHARE = 0.01
"""Largest share of nonzero counts that may be no whole numbers."""

LARGEST_LOGARITHM = 50.0
"""No logarithm of a normalised count is above it."""

FEW_CELLS, FEWEST_CELLS = 10, 2
"""A type with fewer cells than the first is doubtful, with fewer than the second unusable."""

ROWS_AT_ONCE = 2_000


def some(names: Sequence[Any] | StrArray, count: int = 5) -> str:
    """Write the first of many names."""
    listed = ", ".join(map(str, names[:count]))
    return listed + (f" and {len(names) - count} more" if len(names) > count else "")


def check_unique(names: StrArray, what: str, name: str) -> None:
    """Refuse names that two cells or two genes have."""
    unique, counts = np.unique(names, return_counts=True)
    double = unique[counts > 1]
    if len(double):
        raise UserError(
            f"{name}: {len(double)} names of {what} occur more than once ({some(double)}), so make them unique, for "
            f"example with {'obs' if what == 'cells' else 'var'}_names_make_unique() of anndata."
        )


def check_matrix(values: Any, log_normalised: bool, cells: StrArray, genes: StrArray, name: str) -> list[str]:
    """Refuse values that are neither counts nor logarithms of them, as is claimed, and return notes.

    Parameters
    ----------
    values
        (n, G) dense or CSR.
    """
    check_finite(values, cells, genes, name)
    stored = values.data if sparse.issparse(values) else values
    lowest = float(stored.min(initial=0.0))
    highest = float(stored.max(initial=0.0))
    if log_normalised:
        if lowest < 0 or highest > LARGEST_LOGARITHM:
            problem = f"goes down to {lowest:.4g}" if lowest < 0 else f"goes up to {highest:.4g}"
            raise UserError(
                f"{name} {problem}, so it is not a logarithm of normalised counts: data.values=lognorm needs values "
                f"between 0 and {LARGEST_LOGARITHM:g} that are not scaled, or give counts with data.values=counts."
            )
        return []
    negative, fractional, nonzero, first = 0, 0, 0, ""
    for start in range(0, len(cells), ROWS_AT_ONCE):
        part = values[start : start + ROWS_AT_ONCE]
        part = part.data if sparse.issparse(part) else part
        negative += int(np.sum(part < 0))
        fractional += int(np.sum(part != np.round(part)))
        nonzero += int(np.count_nonzero(part))
    if negative:
        first = f"{negative} values are negative, down to {lowest:.4g}"
    elif fractional > FRACTIONAL_SHARE * nonzero:
        first = f"{fractional} of {nonzero} nonzero values are no whole numbers"
    if first:
        raise UserError(f"{name}: {first}, so it looks scaled; pass counts or data.values=lognorm.")
    return [f"{fractional} of {nonzero} nonzero counts are no whole numbers"] if fractional else []


def check_finite(values: Any, rows: StrArray, columns: StrArray | None, name: str) -> None:
    """Refuse values that are not finite, and say where they are."""
    count, first = 0, ""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = values[start : start + ROWS_AT_ONCE]
        stored = part.data if sparse.issparse(part) else part
        if np.isfinite(stored).all():
            continue
        dense = part.toarray() if sparse.issparse(part) else np.asarray(part)
        row, column = np.nonzero(~np.isfinite(dense))
        count += len(row)
        if not first:
            what = f"column {column[0]}" if columns is None else f"gene {columns[column[0]]}"
            first = f"the first in cell {rows[start + row[0]]}, {what}"
    if count:
        raise UserError(
            f"{name}: {count} values are NaN or infinite, {first}; leave these cells out or repair the file."
        )


def check_embedding(embedding: Any, cells: StrArray, name: str) -> FloatArray:
    """Return a drawing as (n, d) float64; one of another shape or with values that are not finite is refused."""
    drawing = np.asarray(embedding, dtype=np.float64)
    if drawing.ndim != 2 or len(drawing) != len(cells) or not drawing.shape[1]:
        raise UserError(f"{name} has shape {drawing.shape}: it must be ({len(cells)}, d), so name another one.")
    check_finite(drawing, cells, None, name)
    return drawing


def check_types(sizes: dict[str, int], name: str, remedy: str) -> None:
    """Refuse types of fewer than two cells, and warn of those with fewer than ten."""
    if len(sizes) < 2:
        raise UserError(f"{name} has {len(sizes)} type of cells ({some(list(sizes))}): moves need two, so {remedy}.")
    tiny = [f"{cluster} ({size})" for cluster, size in sizes.items() if size < FEWEST_CELLS]
    if tiny:
        raise UserError(f"{name}: types with fewer than {FEWEST_CELLS} cells ({some(tiny)}), so {remedy}.")
    small = [f"{cluster} ({size})" for cluster, size in sizes.items() if size < FEW_CELLS]
    if small:
        warnings.warn(f"{name}: types with fewer than {FEW_CELLS} cells: {some(small)}.", stacklevel=2)
