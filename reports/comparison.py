"""How probably one row of a table improves on another."""

import math
from collections.abc import Sequence

import numpy as np

from .. import UserError
from ..configs.option import nearest
from .columns import Column, choose_columns, chosen_metrics
from .records import RunRecord
from .rows import Row, baseline_rows, variant_row
from .statistics import Floats, improvement_interval, probability_of_improvement
from .variants import variants

EXPLANATION = (
    "P(A > B): probability that a seed of A does better than a seed of B, ties counting half, averaged over tasks "
    "[95 % stratified bootstrap interval] (Agarwal et al. 2021)."
)


def comparison_notes(
    runs: Sequence[RunRecord], first: str, second: str, column_names: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return how probably one row improves on another, in a sentence for each column and one that explains them.

    Parameters
    ----------
    runs
        As :func:`~bioppo.reports.records.find_runs` gives them; the finished ones count.
    first, second
        Labels as the table shows them. A name that a study gave to variants of several environments, which the table
        tells apart in brackets, stands for all of them: the probability is then averaged over the environments.
    column_names
        What is compared besides the headline metric; counts, which have no better direction, are not.

    Raises
    ------
    UserError
        If a column or label does not exist, a label means several rows of one environment, or the two rows share no
        environment.
    """
    finished = [run for run in runs if run.status == "finished"]
    columns = choose_columns(finished)[:1]
    if column_names:
        columns = tuple(dict.fromkeys((*columns, *choose_columns(finished, column_names))))
    columns = tuple(column for column in columns if column.metric.better != "neither")
    found, metrics = variants(runs), chosen_metrics(columns)
    rows = [*(variant_row(variant, metrics) for variant in found), *baseline_rows(found, metrics)]
    better, worse = (rows_by_environment(rows, label) for label in (first, second))
    pairs = [(better[name], worse[name]) for name in better if name in worse]
    if not pairs:
        raise UserError(
            f"compare={first} {second}: measured in {', '.join(better)} and in {', '.join(worse)}; "
            "choose two rows of one environment."
        )
    return (*(sentence(pairs, column, first, second) for column in columns), EXPLANATION)


def rows_by_environment(rows: Sequence[Row], label: str) -> dict[str, Row]:
    """Return the row called by a label, or those that a study gave this name, by environment."""
    exact = [row for row in rows if row.label == label]
    named = exact or [row for row in rows if row.role == "variant" and row.label.startswith(f"{label} (")]
    if not named:
        raise UserError(f"compare={label}: no row is called this; {nearest(label, {row.label for row in rows})}")
    found: dict[str, Row] = {}
    for row in named:
        if row.env_name in found:
            raise UserError(
                f"compare={label}: means both {found[row.env_name].label} and {row.label}; write the whole label."
            )
        found[row.env_name] = row
    return found


def sentence(pairs: Sequence[tuple[Row, Row]], column: Column, first: str, second: str) -> str:
    """Return the comparison in one column; tasks in which one of the rows has no score do not count."""
    sign = 1 if column.metric.better == "higher" else -1
    scores = [(signed_scores(one, column, sign), signed_scores(other, column, sign)) for one, other in pairs]
    scores = [(one, other) for one, other in scores if one.size and other.size]
    about = f"P({first} > {second}) in {column.title}"
    if not scores:
        return f"{about}: unknown, without a score of both."
    ours, theirs = [one for one, _ in scores], [other for _, other in scores]
    low, high = improvement_interval(ours, theirs)
    interval = "–" if math.isnan(low) else f"{low:.3f}, {high:.3f}"
    seeds = f"{sum(one.size for one in ours)} and {sum(other.size for other in theirs)} seeds"
    tasks = f", {len(scores)} tasks" if len(scores) > 1 else ""
    return f"{about} = {probability_of_improvement(ours, theirs):.3f} [{interval}] ({seeds}{tasks})."


def signed_scores(row: Row, column: Column, sign: int) -> Floats:
    """Return a row's scores in a column, such that higher is better."""
    return sign * np.array(list(row.cell(column.agent, column.metric.name).values.values()), dtype=np.float64)
