"""Names of genes, and what labels of perturbations say about them."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ... import UserError
from .data import IntArray, PerturbationData
from .options import DataOptions


def label_members(label: str, separator: str | None, control: str | None = None) -> tuple[str, ...]:
    """Return the members of a combination, or the label itself; a member that is the control label does not count."""
    if separator is None or separator not in label:
        return (label,)
    return tuple(member for member in label.split(separator) if member and member != control)


def unique_names(names: NDArray[np.str_]) -> tuple[NDArray[np.str_], int]:
    """Give names that occur again the ending -1, -2 and so on; return how many were changed."""
    taken, counts = set(names.tolist()), dict.fromkeys(names.tolist(), 0)
    unique, changed, seen = [], 0, set()
    for name in names.tolist():
        new = name
        if name in seen:
            changed += 1
            while new in taken:
                counts[name] += 1
                new = f"{name}-{counts[name]}"
            taken.add(new)
        seen.add(name)
        unique.append(new)
    return np.array(unique), changed


def check_duplicates(data: PerturbationData, genes: NDArray[np.str_], options: DataOptions) -> None:
    """Refuse target genes that were measured twice under one name with the same values.

    ``genes`` are the names as they stand in the file.
    """
    members = {
        member
        for label in np.unique(data.labels[~data.control]).tolist()
        for member in label_members(label, options.combo_separator)
    }
    names, counts = np.unique(genes, return_counts=True)
    for name in names[(counts > 1) & np.isin(names, sorted(members))]:
        columns = data.X[:, np.flatnonzero(genes == name)]
        columns = columns.toarray() if sparse.issparse(columns) else columns
        if (columns[:, 1:] == columns[:, :1]).all(axis=0).any():
            raise UserError(f"Target gene {name} has several columns with equal values: keep one of them in the file.")


def shared_genes(first: NDArray[np.str_], second: NDArray[np.str_]) -> tuple[IntArray, IntArray]:
    """Return where the genes of both are in each, in the first one's order."""
    place = {name: number for number, name in enumerate(second.tolist())}
    mine = [number for number, name in enumerate(first.tolist()) if name in place]
    return np.array(mine, dtype=np.int64), np.array([place[first[number]] for number in mine], dtype=np.int64)


def target_positions(
    labels: tuple[str, ...], genes: NDArray[np.str_], separator: str | None, control: str | None
) -> tuple[IntArray, ...]:
    """Return for each label where its target genes are among ``genes``; nowhere for those that are not measured."""
    place = {name: number for number, name in enumerate(genes.tolist())}
    return tuple(
        np.array(
            [place[member] for member in label_members(label, separator, control) if member in place], dtype=np.int64
        )
        for label in labels
    )
