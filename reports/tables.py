"""Tables of results: variants and baselines, aggregated over seeds, and what must be said under them."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .. import UserError
from .columns import Column as Column
from .columns import choose_columns, chosen_metrics, offered_columns
from .records import RunRecord
from .rows import Row, baseline_rows, disagreements, reference_rows, variant_row
from .study import Study
from .variants import Variant, variants, written
from .versions import version_notes

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Table:
    """Rows (variants, then baselines, then references), the columns that are shown, and the notes under them."""

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()

    def best(self, column: Column) -> frozenset[int]:
        """Return the positions of the rows with the best interquartile mean of each environment; ties all win.

        Baselines take part: where one wins, it is seen to win. A row without a rival is not marked; a reference, which
        was measured otherwise, never is, and nothing is in a column in which neither direction is better.
        """
        if column.metric.better == "neither":
            return frozenset()
        sign = 1 if column.metric.better == "higher" else -1
        centres: dict[str, dict[int, float]] = {}
        compared = ((position, row) for position, row in enumerate(self.rows) if row.role != "reference")
        for position, row in compared:
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
        ``failed_seeds``, ``unfinished_seeds`` and ``missing_seeds``. A reference has its number as ``iqm``, whatever
        it is the mean of, and an ``n`` of 0.
        """
        import pandas as pd

        keys = list(dict.fromkeys(key for row in self.rows for key in row.settings))
        numbers = ["agent", "metric", "better", "iqm", "low", "high", "n"]
        seeds = ["seeds", "undefined_seeds", "failed_seeds", "unfinished_seeds", "missing_seeds"]
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
                    "missing_seeds": spaced(row.missing),
                }


def build_table(
    runs: Sequence[RunRecord],
    column_names: Sequence[str] = (),
    *,
    studies: Sequence[Study] = (),
) -> Table:
    """Aggregate the finished runs over seeds.

    Parameters
    ----------
    runs
        As :func:`~bioppo.reports.records.find_runs` gives them.
    column_names
        As :func:`~bioppo.reports.columns.choose_columns` reads them; its choice where none is named.
    studies
        As :func:`~bioppo.reports.study.find_studies` gives them: they tell which runs are missing, and what others
        reported.

    Raises
    ------
    UserError
        If no run is finished, a column does not exist, or one config was run twice with one seed.
    """
    finished = [run for run in runs if run.status == "finished"]
    if not finished:
        failed = sum(run.status == "failed" for run in runs)
        raise UserError(
            f"{os.path.commonpath([run.path for run in runs])}: no run is finished yet ({failed} failed, "
            f"{len(runs) - failed} unfinished); repeat the command that made them to go on."
        )
    columns = choose_columns(finished, column_names)
    offered = offered_columns(finished)
    shown = chosen_metrics(columns)
    scored = [metric for metric in shown if metric.better != "neither"]
    found = variants(runs)
    missing = missing_seeds(found, studies)
    rows = (
        *(variant_row(variant, shown, missing.get(variant.label, ())) for variant in found),
        *baseline_rows(found, scored),
        *reference_rows(studies, offered, shown),
    )
    notes = (
        *explanations(columns),
        *gaps(rows, found, missing),
        *disagreements(found, scored),
        *unplaced(studies, offered),
        *version_notes(finished),
    )
    return Table(rows, columns, notes)


def missing_seeds(found: Sequence[Variant], studies: Iterable[Study]) -> dict[str, tuple[int, ...]]:
    """Return the seeds that were never begun, by the label of their variant, or by its name where it has no run."""
    jobs = [job for study in studies for job in study.jobs]
    labels = {run.path: variant.label for variant in found for run in variant.runs}
    by_name = {job.variant: labels[job.directory] for job in jobs if job.directory in labels}
    missing: dict[str, list[int]] = {}
    for job in jobs:
        if job.directory not in labels:
            missing.setdefault(by_name.get(job.variant, job.variant), []).append(job.seed)
    return {label: tuple(sorted(seeds)) for label, seeds in missing.items()}


def unplaced(studies: Iterable[Study], offered: Mapping[str, Column]) -> list[str]:
    """Return a sentence for reported numbers that no column can hold."""
    rows = [row for study in studies for row in study.reported]
    keys = dict.fromkeys(key for row in rows for key in row.numbers if key not in offered)
    return [f"Reported, but measured by no run here: {', '.join(keys)}."] if keys else []


def explanations(columns: Sequence[Column]) -> list[str]:
    """Return what a reader needs to understand the numbers."""
    notes = ["Interquartile mean over n seeds [95 % bootstrap interval]; ↑ higher is better, ↓ lower is better."]
    if any(column.agent == "best" for column in columns):
        notes.append("(best): the policy that was best on validation; every other column: the last policy.")
    meanings = {column.metric.name: column.metric.meaning for column in columns}
    return notes + [f"{name}: {meaning}." for name, meaning in meanings.items() if meaning.rstrip(".")]


def gaps(
    rows: Sequence[Row], found: Sequence[Variant], missing: Mapping[str, tuple[int, ...]] = MappingProxyType({})
) -> list[str]:
    """Return a sentence for each variant with seeds that failed, are unfinished or missing, and for null scores."""
    notes = []
    for variant in found:
        failed = [run for run in variant.runs if run.status == "failed"]
        failures = [f"seed {run.seed} failed ({run.failure or 'no reason recorded'})" for run in failed]
        unfinished = variant.seeds("unfinished")
        if unfinished:
            failures.append(f"{seed_list(unfinished)} unfinished")
        if variant.label in missing:
            failures.append(f"{seed_list(missing[variant.label])} missing")
        if failures:
            notes.append(f"{variant.label}: {', '.join(failures)}.")
    never_begun = missing.keys() - {variant.label for variant in found}
    notes += [f"{label}: {seed_list(missing[label])} missing." for label in sorted(never_begun)]
    for row in rows:
        notes += [
            f"{row.label}, {metric}{f' ({agent})' if agent else ''}: undefined for {seed_list(cell.undefined)}, "
            "which the cell leaves out."
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
