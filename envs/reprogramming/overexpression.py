"""The actions of a table, and the expression that overexpressed genes are held at."""

import csv
import warnings
from pathlib import Path

import numpy as np

from ... import UserError
from .config import ReprogrammingConfig
from .data import TRAIN, Actions, FloatArray, Grn, Prepared, StrArray
from .options import SimOptions
from .propagate import locate

FENCE = 3.0
DEVIATIONS = 1.5


def make_actions(grn: Grn, prepared: Prepared, config: ReprogrammingConfig) -> Actions:
    """Return a knock-out and an overexpression of every action gene, all knock-outs first.

    Action genes are the measured transcription factors that act on another gene in at least one type, by name, or
    ``data.gene_order``.

    Raises
    ------
    UserError
        For genes of ``data.gene_order`` that are not measured, no transcription factors, inactive or named twice; and
        where no gene is active.
    """
    genes = action_genes(grn, config.data.gene_order)
    values = levels(prepared, config.sim, genes, training_only=config.data_split.before_imputation)
    knock_outs = tuple({str(gene): 0.0} for gene in genes)
    overexpressions = tuple({str(gene): float(value)} for gene, value in zip(genes, values, strict=True))
    names = [f"{kind} {gene}" for kind in ("KO", "OE") for gene in genes]
    return Actions(np.array(names), knock_outs + overexpressions, np.repeat([False, True], len(genes)))


def action_genes(grn: Grn, order: list[str] | None) -> StrArray:
    """Return the active transcription factors (g,) by name, or those of an explicit list after checking it."""
    active = grn.tfs[grn.active]
    if not len(active):
        raise UserError(
            f"grn: none of {len(grn.tfs)} transcription factors acts on another gene, so give more regulators, or "
            "looser limits of grn.filter."
        )
    if order is None:
        return np.sort(active)
    for wrong, what in (
        (sorted(set(order) - set(grn.genes.tolist())), "are not measured"),
        (sorted(set(order) - set(grn.tfs.tolist())), "are no transcription factors of the network"),
        (sorted(set(order) - set(active.tolist())), "act on no other gene in any type"),
        (sorted({gene for gene in order if order.count(gene) > 1}), "are named twice"),
    ):
        if wrong:
            raise UserError(f"data.gene_order: {len(wrong)} genes {what}, {', '.join(wrong[:3])} first: take them out.")
    if not order:
        raise UserError("data.gene_order=[]: name at least one gene, or null for all active ones.")
    return np.array(order)


def levels(prepared: Prepared, options: SimOptions, genes: StrArray, *, training_only: bool = True) -> FloatArray:
    """Return the expression (g,) that genes are overexpressed at, by ``sim.oe``.

    ``mean_sd``: the mean plus 1.5 population standard deviations of values within three interquartile ranges of the
    quartiles, not below 0; ``max`` and ``two_max``: the largest value, and twice that; ``quantile:Q``; or a .csv of
    gene,value. Values are those of ``sim.oe_layer`` in training cells, or in all. Above 2 max - min of imputed
    expression, which CellOracle refuses, levels are clipped or warned about as ``sim.oe_limit`` says.

    Raises
    ------
    UserError
        For genes that are not measured, for an unknown rule, and for files that cannot be read or lack a gene.
    """
    columns = locate(genes, prepared.genes)
    rows = prepared.split == TRAIN if training_only else np.ones(len(prepared.split), dtype=bool)
    if not rows.any():
        raise UserError("data_split: no training cells are left to take levels of overexpression from.")
    layer = prepared.lognorm if options.oe_layer == "lognorm" else prepared.imputed
    values = rule_levels(layer[rows][:, columns], options.oe, genes)
    imputed = prepared.imputed[rows][:, columns]
    return keep_limit(values, 2 * imputed.max(axis=0) - imputed.min(axis=0), genes, options.oe_limit)


def rule_levels(expression: FloatArray, rule: str, genes: StrArray) -> FloatArray:
    """Return levels (g,) by a rule from expression (n, g)."""
    if rule == "mean_sd":
        return np.array([_mean_sd(values) for values in expression.T])
    if rule in ("max", "two_max"):
        largest: FloatArray = expression.max(axis=0).astype(np.float64) * (1 if rule == "max" else 2)
        return largest
    if rule.startswith("quantile:"):
        try:
            share = float(rule.removeprefix("quantile:"))
        except ValueError:
            share = np.nan
        if not 0 <= share <= 1:
            raise UserError(f"sim.oe={rule}: give a quantile between 0 and 1, such as quantile:0.95.")
        return np.quantile(expression, share, axis=0)
    if rule.endswith(".csv"):
        return _read_levels(Path(rule), genes)
    raise UserError(f"sim.oe={rule}: choose mean_sd, max, two_max, quantile:Q or a .csv of gene,value.")


def _mean_sd(values: FloatArray) -> float:
    """Return max(0, mean + 1.5 sd) of the values that are no far outliers."""
    first, third = np.percentile(values, [25, 75])
    reach = FENCE * (third - first)
    kept = values[(values >= first - reach) & (values <= third + reach)].astype(np.float64)
    return max(0.0, float(kept.mean() + DEVIATIONS * kept.std()))


def _read_levels(path: Path, genes: StrArray) -> FloatArray:
    """Return the levels of genes in a table of gene,value; its header may be missing."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = [line for line in csv.reader(file) if line]
    except OSError as error:
        raise UserError(f"sim.oe={path}: the file cannot be read ({error.strerror}), so check its path.") from error
    read = {}
    for number, line in enumerate(lines):
        try:
            read[line[0].strip()] = float(line[1])
        except (IndexError, ValueError):
            if number:
                raise UserError(f"{path}: line {number + 1} is not gene,value: correct it.") from None
    for gene in genes.tolist():
        if gene not in read:
            raise UserError(f"{path}: {gene} has no level, so add a line for it.")
        if not (np.isfinite(read[gene]) and read[gene] >= 0):
            raise UserError(f"{path}: {gene} has level {read[gene]}: give a number that is not negative.")
    return np.array([read[gene] for gene in genes.tolist()])


def keep_limit(values: FloatArray, limit: FloatArray, genes: StrArray, policy: str) -> FloatArray:
    """Return levels (g,) clipped to limits (g,) with ``clip``; else as they are, with a warning of those above."""
    # Sums of squares round, and a level that was set to the limit is not above it.
    above = values > limit * (1 + 1e-12)
    if policy == "clip" or not above.any():
        return np.minimum(values, limit) if policy == "clip" else values
    warnings.warn(
        f"{int(above.sum())} levels of overexpression are above 2 max - min of the gene, which CellOracle refuses: "
        f"{', '.join(genes[above][:5].tolist())}; sim.oe_limit=clip lowers them.",
        stacklevel=3,
    )
    return values
