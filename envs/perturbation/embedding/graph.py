"""Which genes attend to which: padded lists of neighbours from coexpression or a regulatory network."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .... import UserError
from ..data import BoolArray, FloatArray, IntArray, PreparedData

COLUMNS = ("source", "target", "weight")
KINDS = ("coexpression", "grn", "none")


@dataclass(frozen=True)
class GeneGraph:
    """Neighbours of every gene, itself first.

    Attributes
    ----------
    neighbours
        (n_genes, k + 1) positions of genes; where ``present`` is False, the gene itself.
    present
        (n_genes, k + 1) bool: False pads the lists of genes with fewer neighbours. Its first column is True.
    unknown_genes
        How many names of a network file are not among the genes.
    """

    neighbours: IntArray
    present: BoolArray
    unknown_genes: int = 0


def gene_graph(kind: str, prepared: PreparedData, *, neighbours: int = 10, path: str | Path | None = None) -> GeneGraph:
    """Return the graph of the genes of prepared data.

    Parameters
    ----------
    kind
        ``"coexpression"``: the genes of largest absolute Pearson correlation over training control cells;
        ``"grn"``: the regulators that the file at ``path`` names; ``"none"``: every gene alone.
    prepared
        The data, of which only training control cells are read.
    neighbours
        How many a gene has besides itself, at most.
    path
        A tab-separated file, see `network_graph`.

    Raises
    ------
    UserError
        If the kind is unknown, or the file is missing or cannot be understood.
    """
    if kind == "coexpression":
        return coexpression_graph(prepared.expression[prepared.cells(None)], neighbours)
    if kind == "grn":
        if path is None:
            raise UserError("graph=grn: name the network's file with graph_file, or choose graph=coexpression.")
        return network_graph(Path(path), prepared.genes.tolist(), neighbours)
    if kind == "none":
        return padded_graph([[] for _ in prepared.genes])
    raise UserError(f"graph={kind}: choose one of {', '.join(KINDS)}.")


def coexpression_graph(expression: FloatArray, neighbours: int) -> GeneGraph:
    """Return the ``neighbours`` genes of largest absolute Pearson correlation over cells (n_cells, n_genes).

    Ties go by gene order. A gene that does not vary is correlated with none.
    """
    centred = np.asarray(expression, dtype=np.float64) - expression.mean(axis=0, dtype=np.float64)
    length = np.linalg.norm(centred, axis=0)
    # The norm of a constant gene is rounding alone.
    varies = length > 1e-6 * math.sqrt(max(len(centred), 1))
    scaled = centred / np.where(varies, length, 1.0)
    strength = np.abs(scaled.T @ scaled) * np.outer(varies, varies)
    np.fill_diagonal(strength, 0.0)
    order = np.argsort(-strength, axis=1, kind="stable")[:, :neighbours]
    return padded_graph([[int(j) for j in row if strength[i, j] > 0] for i, row in enumerate(order)])


def network_graph(path: Path, genes: Sequence[str], neighbours: int) -> GeneGraph:
    """Return for every gene its regulators, those of largest absolute weight first and then in the file's order.

    The file is tab-separated with the columns source (the regulator), target and optionally weight; a first line with
    these names is passed over. Edges of genes that are not among ``genes`` are left out and their names counted;
    an edge that stands twice counts once, and one from a gene to itself adds nothing.

    Raises
    ------
    UserError
        If the file cannot be read, a line lacks a column or its weight is no finite number, or no edge is left.
    """
    position = {gene: index for index, gene in enumerate(genes)}
    unknown: set[str] = set()
    strength: list[dict[int, float]] = [{} for _ in genes]
    for source, target, weight in read_edges(path):
        absent = {source, target} - position.keys()
        unknown |= absent
        if absent or source == target:
            continue
        regulators = strength[position[target]]
        regulators[position[source]] = max(abs(weight), regulators.get(position[source], 0.0))
    if not any(strength):
        raise UserError(
            f"{path} has no edge between two of the {len(genes)} genes (the first is {genes[0]}): name genes as the "
            "data do, or choose graph=coexpression."
        )
    strongest = [sorted(each, key=lambda j, of=each: -of[j])[:neighbours] for each in strength]  # type: ignore[misc]
    return padded_graph(strongest, len(unknown))


def read_edges(path: Path) -> Iterator[tuple[str, str, float]]:
    """Yield source, target and weight (1 where none is given) of each line of a tab-separated file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise UserError(f"graph_file={path} cannot be read ({reason}): give a tab-separated text file.") from error
    for number, row in enumerate(csv.reader(lines, delimiter="\t"), start=1):
        if not row or (number == 1 and tuple(word.strip().lower() for word in row) == COLUMNS[: len(row)]):
            continue
        if len(row) not in (2, 3) or not row[0] or not row[1]:
            raise UserError(
                f"{path}, line {number}, has {len(row)} columns: write source, target and, if you like, weight, with "
                "tabs between them."
            )
        yield row[0].strip(), row[1].strip(), read_weight(row[2], path, number) if len(row) == 3 else 1.0


def read_weight(text: str, path: Path, number: int) -> float:
    """Return the number that a line gives as weight."""
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise UserError(f"{path}, line {number}, has the weight {text!r}: write a finite number, or leave it out.")
    return weight


def padded_graph(lists: Sequence[Sequence[int]], unknown_genes: int = 0) -> GeneGraph:
    """Return lists of neighbours (without the genes themselves) as one rectangle, every gene first in its row."""
    columns = 1 + max(map(len, lists), default=0)
    neighbours = np.repeat(np.arange(len(lists))[:, None], columns, axis=1)
    present = np.zeros(neighbours.shape, dtype=bool)
    present[:, 0] = True
    for gene, row in enumerate(lists):
        neighbours[gene, 1 : 1 + len(row)] = row
        present[gene, 1 : 1 + len(row)] = True
    return GeneGraph(neighbours, present, unknown_genes)
