"""The lines of a table or a figure: variants and baselines with their scores over seeds, and reported numbers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from ..configs.saved import identity
from .columns import Column
from .records import POLICIES, Metric, RunRecord
from .statistics import bootstrap_interval, interquartile_mean
from .study import Study
from .variants import Variant, canonical, is_task_key

# A baseline measured twice for one task and seed ought to score the same; machines may differ by rounding.
BASELINE_TOLERANCE = 1e-6

# Characters of a task's settings that a label can hold.
LONGEST_TASK = 40


@dataclass(frozen=True)
class Cell:
    """One agent's scores in one metric, a score per seed, NaN where the run wrote null; or what others reported."""

    scores: Mapping[int, float]
    reported: float | None = None

    @cached_property
    def values(self) -> dict[int, float]:
        """The scores that are numbers, by seed."""
        return {seed: score for seed, score in self.scores.items() if not math.isnan(score)}

    @cached_property
    def undefined(self) -> tuple[int, ...]:
        """The seeds whose score is null."""
        return tuple(seed for seed in self.scores if seed not in self.values)

    @cached_property
    def centre(self) -> float:
        """The interquartile mean over seeds, or the reported number; NaN without any."""
        if self.reported is not None:
            return self.reported
        return float(interquartile_mean(list(self.values.values()))) if self.values else math.nan

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The ends of the 95 % bootstrap interval; NaN with fewer than two seeds."""
        return bootstrap_interval([list(self.values.values())])


@dataclass(frozen=True)
class Row:
    """One line: a variant, a baseline of one task, or a reference that others reported.

    Attributes
    ----------
    label
        What the line is called.
    role
        Whether it is a variant, a baseline or a reference.
    env_name
        The environment's name: only lines of one environment are compared. Empty for a reference, which is not.
    settings
        The differing keys of the configs, as far as they apply.
    cells
        By agent and metric; the one agent of a baseline is itself.
    finished, failed, unfinished, missing
        Seeds; those that a study names and that were never begun are missing.
    """

    label: str
    role: Literal["variant", "baseline", "reference"]
    env_name: str
    settings: Mapping[str, Any]
    cells: Mapping[tuple[str, str], Cell]
    finished: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    unfinished: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()

    def cell(self, agent: str, metric: str) -> Cell:
        """Return the cell of a column; a baseline stands in the column of either policy, to be compared with it."""
        if self.role != "baseline":
            return self.cells.get((agent, metric), Cell({}))
        return next((cell for (_, measured), cell in self.cells.items() if measured == metric), Cell({}))


def variant_row(variant: Variant, metrics: Iterable[Metric], missing: tuple[int, ...] = ()) -> Row:
    """Return the row of a variant; without a finished run its cells are empty."""
    cells = {
        (agent, metric.name): Cell(scores(variant.finished, agent, metric))
        for metric in metrics
        for agent in (("",) if metric.of_run else POLICIES)
    }
    return Row(
        label=variant.label,
        role="variant",
        env_name=variant.env_name,
        settings=variant.settings,
        cells={(agent, metric): cell for (agent, metric), cell in cells.items() if cell.scores or agent == "last"},
        finished=variant.seeds("finished"),
        failed=variant.seeds("failed"),
        unfinished=variant.seeds("unfinished"),
        missing=missing,
    )


def reference_rows(studies: Iterable[Study], offered: Mapping[str, Column], shown: Iterable[Metric]) -> list[Row]:
    """Return a row for each that others reported, marked as theirs, with values in the columns that it names.

    Parameters
    ----------
    studies
        A row that several of them repeat counts once.
    offered
        Columns by the names they go by.
    shown
        The metrics of the table; a row without a number for any of them is left out.
    """
    names = {metric.name for metric in shown}
    rows: dict[tuple[Any, ...], Row] = {}
    for reported in (row for study in studies for row in study.reported):
        columns = {offered[key]: number for key, number in reported.numbers.items() if key in offered}
        cells = {(at.agent, at.metric.name): Cell({}, number) for at, number in columns.items()}
        kept = {key: cell for key, cell in cells.items() if key[1] in names}
        label = f"{reported.label} (reported: {reported.source})"
        if kept:
            identical = (label, *reported.numbers.items())
            rows[identical] = Row(label=label, role="reference", env_name="", settings={}, cells=kept)
    return list(rows.values())


def scores(runs: Iterable[RunRecord], agent: str, metric: Metric) -> dict[int, float]:
    """Return an agent's score for each seed, from the first run of that seed that measured it; a count has no agent."""
    key = f"{agent}/{metric.name}" if agent else metric.name
    found: dict[int, float] = {}
    for run in runs:
        if key in run.result:
            found.setdefault(run.seed, run.result[key])
    return found


def tasks(found: Iterable[Variant]) -> list[tuple[Variant, ...]]:
    """Group the variants that share an environment config and an evaluation config, and so their baselines."""
    groups: dict[str, list[Variant]] = {}
    for variant in found:
        config = identity(variant.runs[0].config)
        task = canonical({key: value for key, value in config.items() if is_task_key(key)})
        groups.setdefault(task, []).append(variant)
    return [tuple(members) for members in groups.values()]


def baseline_rows(found: Iterable[Variant], metrics: Sequence[Metric]) -> list[Row]:
    """Return a row for each baseline of each task.

    Every run of a task measures the same baselines: each seed of a task counts once, however many variants share it. A
    baseline that is also trained and evaluated like the others, as a variant of the same task, is left out.
    """
    return [baseline_row(agent, members, metrics) for members in tasks(found) for agent in untrained_baselines(members)]


def untrained_baselines(members: Sequence[Variant]) -> list[str]:
    """Return the baselines of a task's runs that are not themselves a variant with results."""
    trained = {variant.algo_name for variant in members if variant.finished}
    named = dict.fromkeys(agent for run in finished_runs(members) for agent in run.baselines)
    return [agent for agent in named if agent not in trained]


def baseline_row(agent: str, members: Sequence[Variant], metrics: Iterable[Metric]) -> Row:
    """Return the row of one baseline of one task, named after the task where there are several."""
    runs = finished_runs(members)
    task = short_task(members)
    return Row(
        label=f"{agent} ({task})" if task else agent,
        role="baseline",
        env_name=members[0].env_name,
        settings={key: value for key, value in members[0].settings.items() if is_task_key(key)},
        cells={(agent, metric.name): Cell(scores(runs, agent, metric)) for metric in metrics},
        finished=tuple(dict.fromkeys(run.seed for run in runs if agent in run.baselines)),
    )


def short_task(members: Sequence[Variant]) -> str:
    """Return what tells a task from the others; where that is long, the name of the first variant that has it."""
    task, first = members[0].task, members[0]
    if len(task) <= LONGEST_TASK or not first.runs[0].config.get("variant"):
        return task
    more = f" and {len(members) - 1} more" if len(members) > 1 else ""
    return f"task of {first.label}{more}"


def finished_runs(members: Iterable[Variant]) -> list[RunRecord]:
    """Return the finished runs of some variants, ordered by seed."""
    return sorted((run for variant in members for run in variant.finished), key=lambda run: run.seed)


def disagreements(found: Iterable[Variant], metrics: Iterable[Metric]) -> list[str]:
    """Return a sentence for each baseline score that two variants of one task measured differently with one seed."""
    sentences = []
    for members in tasks(found):
        first: dict[tuple[str, int], tuple[str, float]] = {}
        keys = [f"{agent}/{metric.name}" for agent in untrained_baselines(members) for metric in metrics]
        # In the order in which `scores` looks for the run that counts: by seed, then by variant.
        labelled = [(variant.label, run) for variant in members for run in variant.finished]
        for label, run in sorted(labelled, key=lambda pair: pair[1].seed):
            for key in (key for key in keys if key in run.result):
                beside, counted = first.setdefault((key, run.seed), (label, run.result[key]))
                if not same_score(counted, run.result[key]):
                    sentences.append(
                        f"{key}, seed {run.seed}: {counted:g} beside {beside} counts, "
                        f"{run.result[key]:g} beside {label} does not."
                    )
    return sentences


def same_score(one: float, other: float) -> bool:
    """Say whether two scores agree up to rounding, or are both undefined."""
    return math.isclose(one, other, rel_tol=BASELINE_TOLERANCE, abs_tol=1e-12) or (
        math.isnan(one) and math.isnan(other)
    )
