"""Regulators guessed from correlations: a weak substitute for a base network."""

import numpy as np

from .... import UserError
from ..data import BoolArray, FloatArray, StrArray

SMALLEST = 0.1
"""Smallest rank correlation in size of a candidate."""

MOST = 50
"""Candidates per target."""

GENES_AT_ONCE = 500


def correlated_regulators(
    values: FloatArray,
    rows: BoolArray,
    genes: StrArray,
    factors: list[str],
    *,
    smallest: float = SMALLEST,
    most: int = MOST,
) -> dict[str, list[str]]:
    """Return, per target, the factors whose Spearman correlation with it is large, sorted by name.

    Parameters
    ----------
    values
        (n, G) expression.
    rows
        (n,) cells to correlate over.
    factors
        Measured transcription factors.

    Raises
    ------
    UserError
        If no factor is given or nothing correlates.
    """
    places = np.flatnonzero(rows)
    position = {gene: place for place, gene in enumerate(genes.tolist())}
    columns = [position[factor] for factor in factors]
    if not columns:
        raise UserError(
            "data.grn=correlation: no transcription factor is left among the genes, so set data.keep_tfs=true."
        )
    of_factors = _ranks(values[places][:, np.asarray(columns)])
    found: dict[str, list[str]] = {}
    for start in range(0, len(genes), GENES_AT_ONCE):
        correlation = of_factors.T @ _ranks(values[places, start : start + GENES_AT_ONCE])
        for offset in range(correlation.shape[1]):
            target = str(genes[start + offset])
            size = np.where([factor == target for factor in factors], 0.0, np.abs(correlation[:, offset]))
            best = np.argsort(-size, kind="stable")[:most]
            members = sorted(factors[place] for place in best if size[place] >= smallest)
            if members:
                found[target] = members
    if not found:
        raise UserError(
            f"data.grn=correlation: no gene has a rank correlation of {smallest:g} with any of {len(factors)} factors, "
            "so give a network in data.grn."
        )
    return dict(sorted(found.items()))


def _ranks(values: FloatArray) -> FloatArray:
    """Return ranks per column, ties averaged, centred and scaled to length 1; of a constant column zeros."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.sqrt(np.sum(ranks**2, axis=0))
    return np.asarray(ranks / np.where(length > 0, length, 1.0))
