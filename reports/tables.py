"""Tables of results: variants and baselines, aggregated over seeds, with what must be said under them."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import UserError
from .records import POLICIES, Metric, RunRecord, choose_metrics
from .rows import Row, baseline_rows, disagreements, variant_row
from .variants import Variant, variants, written

if TYPE_CHECKING:
    import pandas as pd

ARROWS = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True)
class Column:
    """A metric, of the last policy or of the one that was best on validation."""

    agent: str
    metric: Metric

    @property
    def title(self) -> str:
        """The metric's name with an arrow for what is better."""
        policy = "" if self.agent == "last" else f" ({self.agent})"
        return f"{self.metric.name} {ARROWS[self.metric.better]}{policy}"


@dataclass(frozen=True)
class Table:
    """Rows (variants, then baselines), the columns that are shown, and the notes under them."""

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()

    def best(self, column: Column) -> frozenset[int]:
        """Return the positions of the rows with the best interquartile mean of each environment; ties all win.

        Baselines take part: where one wins, it is seen to win. A row without a rival is not marked.
        """
        sign = 1 if column.metric.better == "higher" else -1
        centres: dict[str, dict[int, float]] = {}
        for position, row in enumerate(self.rows):
            centre = row.cell(column.agent, column.metric.name).centre
            if not math.isnan(centre):
                centres.setdefault(row.env_name, {})[position] = sign * centre
        winners = set()
        for rivals in centres.values():
            if len(rivals) > 1:
                top = max(rivals.values())
                winners |= {place for place, centre in rivals.items() if math.isclose(centre, top, rel_tol=1e-12)}
        return frozenset(winners)

    def frame(self) -> "pd.DataFrame":
        """Return every number in long form: a row per line of the table, agent and metric.

        Columns: ``label``, ``role``, the differing keys of the configs, ``agent``, ``metric``, ``better``, ``iqm``,
        ``low``, ``high``, ``n``, ``seeds`` (those that count), ``undefined_seeds`` (finished, but the score is null),
        ``failed_seeds`` and ``unfinished_seeds``.
        """
        import pandas as pd

        keys = list(dict.fromkeys(key for row in self.rows for key in row.settings))
        numbers = ["agent", "metric", "better", "iqm", "low", "high", "n"]
        seeds = ["seeds", "undefined_seeds", "failed_seeds", "unfinished_seeds"]
        return pd.DataFrame(list(self.records()), columns=["label", "role", *keys, *numbers, *seeds])

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of :meth:`frame`."""
        better = {column.metric.name: column.metric.better for column in self.columns}
        for row in self.rows:
            for (agent, metric), cell in row.cells.items():
                yield {
                    "label": row.label,
                    "role": row.role,
                    **{key: written(value) for key, value in row.settings.items()},
                    "agent": agent,
                    "metric": metric,
                    "better": better[metric],
                    "iqm": cell.centre,
                    "low": cell.interval[0],
                    "high": cell.interval[1],
                    "n": len(cell.values),
                    "seeds": spaced(cell.values),
                    "undefined_seeds": spaced(cell.undefined),
                    "failed_seeds": spaced(row.failed),
                    "unfinished_seeds": spaced(row.unfinished),
                }


def build_table(runs: Sequence[RunRecord], metric_names: Sequence[str] = ()) -> Table:
    """Aggregate the finished runs over seeds.

    Parameters
    ----------
    runs
        As :func:`~bioppo.reports.records.find_runs` gives them.
    metric_names
        The metrics to show, in this order; all metrics of the runs where none is named.

    Raises
    ------
    UserError
        If no run is finished, a metric does not exist, or one config was run twice with one seed.
    """
    finished = [run for run in runs if run.status == "finished"]
    if not finished:
        failed = sum(run.status == "failed" for run in runs)
        raise UserError(
            f"{os.path.commonpath([run.path for run in runs])}: no run is finished yet ({failed} failed, "
            f"{len(runs) - failed} unfinished); repeat the command that made them to go on."
        )
    metrics = choose_metrics(finished, metric_names)
    found = variants(runs)
    rows = (*(variant_row(variant, metrics) for variant in found), *baseline_rows(found, metrics))
    columns = shown_columns(rows, metrics, {run.metrics[0].name for run in finished if run.metrics})
    return Table(rows, columns, (*explanations(columns), *gaps(rows, found), *disagreements(found, metrics)))


def shown_columns(rows: Sequence[Row], metrics: Iterable[Metric], headlines: set[str]) -> tuple[Column, ...]:
    """Return a column of the last policy for every metric, and one of the best policy for a headline metric."""

    def shown(agent: str, metric: Metric) -> bool:
        measured = any((agent, metric.name) in row.cells for row in rows)
        return agent == "last" or (metric.name in headlines and measured)

    return tuple(Column(agent, metric) for metric in metrics for agent in POLICIES if shown(agent, metric))


def explanations(columns: Sequence[Column]) -> list[str]:
    """Return what a reader needs to understand the numbers."""
    notes = ["Interquartile mean over n seeds [95 % bootstrap interval]; ↑ higher is better, ↓ lower is better."]
    if any(column.agent == "best" for column in columns):
        notes.append("(best): the policy that was best on validation; every other column: the last policy.")
    meanings = {column.metric.name: column.metric.meaning for column in columns}
    return notes + [f"{name}: {meaning}." for name, meaning in meanings.items() if meaning.rstrip(".")]


def gaps(rows: Sequence[Row], found: Sequence[Variant]) -> list[str]:
    """Return a sentence for each variant with seeds that failed or are unfinished, and for scores that are null."""
    notes = []
    for variant in found:
        failed = [run for run in variant.runs if run.status == "failed"]
        failures = [f"seed {run.seed} failed ({run.failure or 'no reason recorded'})" for run in failed]
        unfinished = variant.seeds("unfinished")
        if unfinished:
            failures.append(f"{seed_list(unfinished)} unfinished")
        if failures:
            notes.append(f"{variant.label}: {', '.join(failures)}.")
    for row in rows:
        notes += [
            f"{row.label}, {metric} ({agent}): undefined for {seed_list(cell.undefined)}, which the cell leaves out."
            for (agent, metric), cell in row.cells.items()
            if cell.undefined
        ]
    return notes


def seed_list(seeds: Sequence[int]) -> str:
    """Return ``seed 3``, or ``seeds 3, 4 and 5``."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    return f"seeds {', '.join(map(str, seeds[:-1]))} and {seeds[-1]}"


def spaced(seeds: Iterable[int]) -> str:
    """Return the seeds in one CSV field."""
    return " ".join(map(str, seeds))
