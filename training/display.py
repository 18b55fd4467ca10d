"""What a person sees while a run trains: a progress bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from rich.table import Table

PLAIN_SECONDS = 10.0
"""A plain line is printed at most this often, and after every evaluation."""
SUMMARY_WIDTH = 80
"""Columns of a terminal that a summary is made for."""
"""Columns of the table of a finished run."""


class Display(Protocol):
    """Shows how far a run is; used as a context."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def begin(self, title: str, budget: int, done: int) -> None:
        """Start at ``done`` of ``budget`` simulator calls."""
        ...

    def update(self, simulator_calls: int, scalars: Mapping[str, float]) -> None:
        """Show the scalars of an update."""
        ...

    def note(self, text: str) -> None:
        """Say something that should stay visible."""
        ...


class SilentDisplay:
    """Show nothing: for notebooks and tests."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def begin(self, title: str, budget: int, done: int) -> None:
        """Do nothing."""

    def update(self, simulator_calls: int, scalars: Mapping[str, float]) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""


class PlainDisplay(SilentDisplay):
    """Print a line now and then: for log files."""

    def begin(self, title: str, budget: int, done: int) -> None:
        """Print the title."""
        self.title, self.budget, self.last = title, budget, time.monotonic()
        print(f"{title}: {done:,} of {budget:,} simulator calls", flush=True)

    def update(self, simulator_calls: int, scalars: Mapping[str, float]) -> None:
        """Print a line if the last one is old or there is an evaluation to tell of."""
        evaluated = any(key.startswith("evaluation/") for key in scalars)
        if evaluated or time.monotonic() - self.last > PLAIN_SECONDS:
            self.last = time.monotonic()
            print(f"{self.title} {simulator_calls:>10,} / {self.budget:,}  {headline(scalars)}", flush=True)

    def note(self, text: str) -> None:
        """Print the text."""
        print(text, flush=True)


class RichDisplay(SilentDisplay):
    """Show a progress bar with the time left and the latest scalars."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.console = Console()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("calls, left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[latest]}"),
            console=self.console,
        )
        self.shown: dict[str, float] = {}

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.progress.stop()

    def begin(self, title: str, budget: int, done: int) -> None:
        """Add the bar."""
        self.task = self.progress.add_task(title, total=budget, completed=done, latest="")

    def update(self, simulator_calls: int, scalars: Mapping[str, float]) -> None:
        """Move the bar; an evaluation's scalars stay shown until the next."""
        self.shown |= scalars
        total = self.progress.tasks[self.task].total or 0
        self.progress.update(self.task, completed=min(simulator_calls, total), latest=headline(self.shown))

    def note(self, text: str) -> None:
        """Print the text above the bar."""
        self.progress.console.print(text, highlight=False, soft_wrap=True)


def make_display(kind: str) -> Display:
    """Return the display that ``display=kind`` asks for; ``auto`` looks whether the output is a terminal."""
    if kind == "auto":
        kind = "rich" if sys.stdout.isatty() else "plain"
    return {"rich": RichDisplay, "plain": PlainDisplay, "off": SilentDisplay}[kind]()


def headline(scalars: Mapping[str, float], count: int = 3) -> str:
    """Return the scalars worth a line: the evaluation's first, or else the environment's."""
    for room in ("evaluation/", "environment/", ""):
        chosen = [(key, value) for key, value in scalars.items() if key.startswith(room)][:count]
        if chosen:
            return "  ".join(f"{key.removeprefix(room)} {value:.4g}" for key, value in chosen)
    return ""


def summary_table(result: Mapping[str, Any], metrics: list[dict[str, str]]) -> "Table":
    """Return the table of a finished run: its last and best agent, and the baselines in brackets.

    It holds the first metrics only, as many as fit into 80 columns.
    """
    from rich import box
    from rich.table import Table

    arrows = {"higher": "↑", "lower": "↓"}
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    agents = {key.partition("/")[0] for key in result if "/" in key}
    shown_metrics = fitting(metrics, SUMMARY_WIDTH - max((len(agent) for agent in agents), default=0) - 3)
    more = len(metrics) - len(shown_metrics)
    table.title, table.title_justify = "Test split, fresh seeds", "left"
    caption = "last: when training ended; best: chosen on validation; (baselines)"
    table.caption = f"{caption}; {more} more in result.json" if more > 0 else caption
    table.caption_justify = "left"
    table.add_column("agent")
    for metric in shown_metrics:
        table.add_column(f"{metric['name']} {arrows[metric['better']]}", justify="right")
    for agent in dict.fromkeys(key.partition("/")[0] for key in result if "/" in key):
        values = [result.get(f"{agent}/{metric['name']}") for metric in shown_metrics]
        shown = ["–" if value is None else f"{value:.4g}" for value in values]
        name = agent if agent in ("last", "best") else f"({agent})"
        table.add_row(name, *shown, end_section=agent == "best")
    return table


def fitting(metrics: list[dict[str, str]], width: int) -> list[dict[str, str]]:
    """Return the first metrics whose columns, each as wide as its name and arrow or a number, fit into the width."""
    taken = 0
    for position, metric in enumerate(metrics):
        taken += max(len(metric["name"]) + 2, 9) + 1
        if taken > width:
            return metrics[:position]
    return metrics
