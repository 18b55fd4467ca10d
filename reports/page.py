"""One page about the runs below a directory: tables, curves, figures and configs, in a single HTML file."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from html import escape
from pathlib import Path

from .. import __version__
from .page_assets import POLICY, SCRIPT, STYLE, plotly_script
from .page_charts import Chart, charts
from .page_runs import figures_section, runs_section
from .records import RunRecord, Status, known_metrics
from .study import Study
from .table_formats import Line, bold_notes, lines
from .tables import Table, build_table, gaps, missing_seeds
from .variants import Variant, variants

# What stands above the rows of each role.
DIVIDERS = {"variant": "", "baseline": "Baselines", "reference": "Reported by others"}

STATUSES: tuple[Status, ...] = ("finished", "failed", "unfinished")


def report_page(runs: Sequence[RunRecord], root: Path, *, studies: Sequence[Study] = ()) -> str:
    """Return a self-contained HTML page about some runs.

    Parameters
    ----------
    runs
        As :func:`~bioppo.reports.records.find_runs` gives them; unfinished and failed ones show how far they got.
    root
        The directory below which they lie: it names the page.
    studies
        As :func:`~bioppo.reports.study.find_studies` gives them: they tell which runs are missing, and what others
        reported.

    Raises
    ------
    UserError
        If plotly is missing, one config was run twice with one seed, or a run's files are broken.
    """
    plotly = plotly_script()
    names = sorted({run.env_name for run in runs})
    drawn: dict[str, Chart] = {}
    sections = []
    n_variants = 0
    # Each environment by itself: its labels then need not repeat the environment's name.
    for name in names:
        members = variants([run for run in runs if run.env_name == name])
        found = charts(members, known_metrics(runs_of(members)))
        boxes = {f"chart-{len(drawn) + number}": chart for number, chart in enumerate(found)}
        asked = studies_without(studies, [run.path for run in runs if run.env_name != name])
        sections.append(environment_section(name, members, boxes, root, asked))
        drawn |= boxes
        n_variants += len(members)
    title = f"Runs of {root.resolve().name}"
    content = json.dumps({box: asdict(chart) for box, chart in drawn.items()}, separators=(",", ":"), allow_nan=False)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>",
            '<link rel="icon" href="data:,">',
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            f"<header><h1>{escape(title)}</h1>{summary(runs, n_variants)}</header>",
            f"<main>{''.join(sections)}</main>",
            f'<footer class="quiet">Written by bioppo {escape(__version__)}.</footer>',
            f"<script>{plotly}</script>",
            # A "<" within the data could end the element that holds it.
            f'<script type="application/json" id="charts">{content.replace("<", chr(92) + "u003c")}</script>',
            f"<script>{SCRIPT}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def runs_of(members: Sequence[Variant]) -> list[RunRecord]:
    """Return all runs of some variants."""
    return [run for variant in members for run in variant.runs]


def summary(runs: Sequence[RunRecord], n_variants: int) -> str:
    """Return how many runs there are and how they ended."""
    ended = Counter(run.status for run in runs)
    counts = {"runs": len(runs), "variants": n_variants} | {status: ended[status] for status in STATUSES}
    entries = [f"<div><dt>{name}</dt><dd>{count}</dd></div>" for name, count in counts.items()]
    return f'<dl class="counts">{"".join(entries)}</dl>'


def studies_without(studies: Sequence[Study], elsewhere: Sequence[Path]) -> list[Study]:
    """Return the studies without the jobs whose run is elsewhere; a study that has no other jobs is left out."""
    kept = [
        replace(study, jobs=tuple(job for job in study.jobs if job.directory not in elsewhere)) for study in studies
    ]
    return [study for study in kept if study.jobs]


def environment_section(
    name: str, members: Sequence[Variant], drawn: Mapping[str, Chart], root: Path, studies: Sequence[Study]
) -> str:
    """Return what there is about one environment; its charts come by the names of the boxes they are drawn into."""
    parts = [
        results_section(members, studies),
        curves_section(drawn),
        figures_section(members),
        runs_section(members, root),
    ]
    return f"<section><h2>Environment {escape(name)}</h2>{''.join(parts)}</section>"


def results_section(members: Sequence[Variant], studies: Sequence[Study]) -> str:
    """Return the table of the finished runs with its notes; without any, what is known of the others."""
    runs = runs_of(members)
    if any(run.status == "finished" for run in runs):
        table = build_table(runs, studies=studies)
        content, notes = html_table(table), [*table.notes, *bold_notes(table)]
    else:
        content, notes = "<p>No run is finished yet.</p>", gaps([], members, missing_seeds(members, studies))
    return f"<section><h3>Results</h3>{content}{listed(notes)}</section>"


def listed(notes: Sequence[str]) -> str:
    """Return sentences as a list."""
    return f'<ul class="quiet">{"".join(f"<li>{escape(note)}</li>" for note in notes)}</ul>' if notes else ""


def html_table(table: Table) -> str:
    """Return the table; a click on a column's head sorts it, the rows of each role among themselves."""
    metrics = [(column.agent, column.metric.name) for column in table.columns]
    heads = [head("variant", "ascending"), head("n", "descending")]
    for column in table.columns:
        first = "ascending" if column.metric.better == "lower" else "descending"
        heads.append(head(column.title, first, column.metric.meaning))
    bodies: dict[str, list[str]] = {}
    for position, (line, row) in enumerate(zip(lines(table), table.rows, strict=True)):
        # By position and not by label: numbers within labels then count by their size.
        values = [position, len(row.finished), *(row.cell(*metric).centre for metric in metrics)]
        bodies.setdefault(row.role, []).append(html_row(line, values))
    content = "".join(
        f"<tbody>{divider(DIVIDERS[role], len(heads))}{''.join(rows)}</tbody>" for role, rows in bodies.items()
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of results"><table>'
        "<caption>Final scores on the test split; click a column’s head to sort.</caption>"
        f"<thead><tr>{''.join(heads)}</tr></thead>{content}</table></div>"
    )


def divider(title: str, width: int) -> str:
    """Return the row that sets apart what follows; nothing without a title."""
    return f'<tr class="divider"><th scope="rowgroup" colspan="{width}">{title}</th></tr>' if title else ""


def head(title: str, first: str, meaning: str = "") -> str:
    """Return the head of a column, with the direction in which the first click sorts."""
    hint = f' title="{escape(meaning)}"' if meaning else ""
    return f'<th scope="col" data-first="{first}"><button type="button"{hint}>{escape(title)}</button></th>'


def html_row(line: Line, values: Sequence[float]) -> str:
    """Return one row; the values are what its cells are sorted by."""
    sorted_by = ["" if math.isnan(value) else f"{value:.12g}" for value in values]
    texts = [
        f'<strong title="best of its column">{escape(text)}</strong>' if best else escape(text)
        for text, best in zip(line.cells, line.bold, strict=True)
    ]
    cells = "".join(
        f'<td data-value="{value}">{text.replace("-", "−")}</td>'
        for value, text in zip(sorted_by[1:], [line.seeds, *texts], strict=True)
    )
    return f'<tr><th scope="row" data-value="{sorted_by[0]}">{escape(line.label)}</th>{cells}</tr>'


def curves_section(drawn: Mapping[str, Chart]) -> str:
    """Return the boxes into which the page's script draws."""
    if not drawn:
        return ""
    boxes = [
        f'<figure class="chart" aria-labelledby="{box}-title"><figcaption id="{box}-title">'
        f"<strong>{escape(chart.title)}</strong> {escape(chart.meaning)}</figcaption>"
        f'<div class="plot" id="{box}"></div></figure>'
        for box, chart in drawn.items()
    ]
    return (
        '<section><h3>Learning curves</h3><p class="quiet">Line: interquartile mean over seeds; shaded: 95 % bootstrap '
        "interval; grey: baselines’ final scores. Metrics are measured on the validation split. A click on an entry of "
        "a legend hides its line, a double click all others.</p><noscript><p>The curves need JavaScript.</p></noscript>"
        f'<div class="charts">{"".join(boxes)}</div></section>'
    )
