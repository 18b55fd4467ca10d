"""The columns of a table: metrics of the last or the best policy, and of the run itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .. import UserError
from ..configs.option import nearest
from .records import POLICIES, Metric, RunRecord, known_metrics

ARROWS = {"higher": " ↑", "lower": " ↓", "neither": ""}

# What a run counts: the agent of such a column is empty, and neither direction is better.
COUNTS = (
    Metric("simulator_calls", "neither", "spent on training", of_run=True),
    Metric("updates", "neither", "made by the learner", of_run=True),
)


@dataclass(frozen=True)
class Column:
    """A metric, of the last policy or of the one that was best on validation; or of the run itself, of no agent."""

    agent: str
    metric: Metric

    @property
    def title(self) -> str:
        """The metric's name with an arrow for what is better."""
        policy = " (best)" if self.agent == "best" else ""
        return f"{self.metric.name}{ARROWS[self.metric.better]}{policy}"


def choose_columns(runs: Sequence[RunRecord], names: Sequence[str] = ()) -> tuple[Column, ...]:
    """Return the columns called by ``names``, in that order; a metric's plain name means the last policy.

    Where none is named: every metric of the last policy, and the headline metrics of the best policy too.

    Raises
    ------
    UserError
        If no run has such a column.
    """
    offered = offered_columns(runs)
    for name in names:
        if name not in offered:
            raise UserError(f"columns={name}: no run has this column; {nearest(name, offered)}")
    if names:
        return tuple(dict.fromkeys(offered[name] for name in names))
    headlines = {run.metrics[0].name for run in runs if run.metrics}
    return tuple(
        column
        for metric in known_metrics(runs)
        for column in (offered[metric.name], offered.get(f"best/{metric.name}"))
        if column and (column.agent == "last" or metric.name in headlines)
    )


def offered_columns(runs: Sequence[RunRecord]) -> Mapping[str, Column]:
    """Return every column that finished runs have, by all names it goes by."""
    measured = {key for run in runs for key in run.result}
    of_run = dict.fromkeys([*COUNTS, *(metric for run in runs for metric in run.run_metrics)])
    offered = {metric.name: Column("", metric) for metric in of_run if metric.name in measured}
    for metric in known_metrics(runs):
        offered[metric.name] = Column("last", metric)
        for agent in POLICIES:
            if f"{agent}/{metric.name}" in measured:
                offered[f"{agent}/{metric.name}"] = Column(agent, metric)
    return offered


def chosen_metrics(columns: Sequence[Column]) -> tuple[Metric, ...]:
    """Return the metrics and counts of some columns, each once."""
    return tuple(dict.fromkeys(column.metric for column in columns))
