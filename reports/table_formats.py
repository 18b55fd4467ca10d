"""A table as CSV, Markdown, LaTeX or on the terminal."""

import io
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .columns import Column
from .rows import Cell
from .tables import Table

if TYPE_CHECKING:
    from rich.console import Group

# A pipe has no width: wide enough that no row of a sensible table is folded.
PLAIN_WIDTH = 400

DASH = "–"

LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "%": r"\%",
        "&": r"\&",
        "#": r"\#",
        "$": r"\$",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "–": "--",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "µ": r"$\mu$",
        "μ": r"$\mu$",
        "°": r"$^\circ$",
    }
)


@dataclass(frozen=True)
class Line:
    """A row as text: its label, its number of seeds and its cells; those in bold are the best of their column."""

    label: str
    seeds: str
    cells: tuple[str, ...]
    bold: tuple[bool, ...]
    baseline: bool
    reference: bool = False


def lines(table: Table) -> list[Line]:
    """Write every cell of a table; the numbers of a column have equally many decimals."""
    best = [table.best(column) for column in table.columns]
    formats = [column_format(table, column) for column in table.columns]
    return [
        Line(
            label=row.label,
            seeds=DASH if row.role == "reference" else str(len(row.finished)),
            cells=tuple(
                cell_text(row.cell(column.agent, column.metric.name), number)
                for column, number in zip(table.columns, formats, strict=True)
            ),
            bold=tuple(position in winners for winners in best),
            baseline=row.role == "baseline",
            reference=row.role == "reference",
        )
        for position, row in enumerate(table.rows)
    ]


def column_format(table: Table, column: Column) -> Callable[[float], str]:
    """Return how to write the numbers of a column; what others reported, with digits of its own, has no part in it."""
    if column.metric.better == "neither":
        return whole
    ours = (row for row in table.rows if row.role != "reference")
    return number_format(row.cell(column.agent, column.metric.name).centre for row in ours)


def whole(value: float) -> str:
    """Write a count."""
    return f"{value:.0f}"


def cell_text(cell: Cell, number: Callable[[float], str]) -> str:
    """Return ``0.812 [0.790, 0.830]``, with a dash for what is unknown; a reported number as it was reported."""
    if cell.reported is not None:
        return f"{cell.reported:g}"
    if math.isnan(cell.centre):
        return DASH
    low, high = cell.interval
    interval = DASH if math.isnan(low) else f"{number(low)}, {number(high)}"
    return f"{number(cell.centre)} [{interval}]"


def number_format(values: Iterable[float]) -> Callable[[float], str]:
    """Return how to write the numbers of one column: all with the decimals that give the largest three digits.

    Where the smallest would then vanish, or the largest need many zeros, each is written with three digits of its own.
    """
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
    if not sizes:
        return three_digits
    # The least bit off the largest: a column that ends at exactly 1 has three decimals, like one that ends at 0.999.
    decimals = max(0, 2 - math.floor(math.log10(max(sizes) * (1 - 1e-9))))
    if max(sizes) >= 1e6 or max(sizes) < 1e-3 or min(sizes) < 10.0**-decimals:
        return three_digits
    # Adding zero turns the minus zero of rounding into zero.
    return lambda value: f"{round(value, decimals) + 0.0:.{decimals}f}"


def three_digits(value: float) -> str:
    """Write a number with three significant digits, in powers of ten where it is very large or small."""
    size = abs(value)
    if not math.isfinite(value) or size == 0:
        return f"{value + 0.0:g}"
    if size >= 1e6 or size < 1e-3:
        return f"{value:.2e}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(size)))}f}"


def to_csv(table: Table) -> str:
    """Return the long form at full precision."""
    return str(table.frame().to_csv(index=False))


def to_markdown(table: Table) -> str:
    """Return a Markdown table with its notes; baselines and references stand last, in italics."""

    def label(line: Line) -> str:
        text = escape_markdown(line.label)
        italic = f"*{text}*" if line.baseline or line.reference else text
        return f"{italic} (baseline)" if line.baseline else italic

    rows = [["variant", "n", *(escape_markdown(column.title) for column in table.columns)]]
    rows.append([":--", *("--:" for _ in range(len(table.columns) + 1))])
    for line in lines(table):
        cells = [f"**{text}**" if bold else text for text, bold in zip(line.cells, line.bold, strict=True)]
        rows.append([label(line), line.seeds, *cells])
    notes = [f"- {escape_markdown(note)}" for note in (*table.notes, *bold_notes(table))]
    return "\n".join(["| " + " | ".join(row) + " |" for row in rows] + ["", *notes]) + "\n"


def escape_markdown(text: str) -> str:
    """Escape what Markdown would read as markup; an underscore within a word is none."""
    escaped = re.sub(r"([\\|*`<\[\]])", r"\\\1", " ".join(text.split()))
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", escaped)


def to_latex(table: Table) -> str:
    """Return a LaTeX table with booktabs rules; baselines and references stand below rules of their own."""
    width = len(table.columns) + 2
    body = [latex_row(["Variant", "$n$", *(escape_latex(column.title) for column in table.columns)]), r"\midrule"]
    all_lines = lines(table)
    body += [latex_line(line) for line in all_lines if not line.baseline and not line.reference]
    baselines = [latex_line(line) for line in all_lines if line.baseline]
    references = [latex_line(line) for line in all_lines if line.reference]
    for title, below in (("Baselines", baselines), ("Reported by others", references)):
        if below:
            body += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\emph{{{title}}}}} \\", *below]
    notes = [f"{escape_latex(note)}\\par" for note in (*table.notes, *bold_notes(table))]
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs}.",
            r"\begin{table}",
            r"\centering",
            rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}",
            r"\toprule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\medskip",
            r"\begin{minipage}{\linewidth}\footnotesize\raggedright",
            *notes,
            r"\end{minipage}",
            r"\end{table}",
            "",
        ]
    )


def latex_line(line: Line) -> str:
    """Return one row; numbers get a minus sign and not a hyphen."""
    cells = [escape_latex(text).replace("--", DASH).replace("-", "$-$").replace(DASH, "--") for text in line.cells]
    bold = [rf"\textbf{{{text}}}" if best else text for text, best in zip(cells, line.bold, strict=True)]
    return latex_row([escape_latex(line.label), escape_latex(line.seeds), *bold])


def latex_row(cells: Iterable[str]) -> str:
    """Join cells; a bracket or star that begins a row would be read as an argument of the line break before it."""
    row = " & ".join(cells) + r" \\"
    return "{}" + row if row[0] in "[*" else row


def escape_latex(text: str) -> str:
    """Escape what LaTeX would read as a command."""
    return " ".join(text.split()).translate(LATEX_ESCAPES)


def to_terminal(table: Table) -> "Group":
    """Return what rich prints: the table, baselines and references below rules, and the notes."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    # Text, and not strings: rich would read "[0.1, 0.2]" as markup.
    printed = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    printed.add_column(Text("variant"), overflow="fold")
    for title in ("n", *(column.title for column in table.columns)):
        printed.add_column(Text(title), justify="right", overflow="fold")
    all_lines = lines(table)
    for position, line in enumerate(all_lines):
        cells = [Text(text, "bold" if best else "") for text, best in zip(line.cells, line.bold, strict=True)]
        mark = " (baseline)" if line.baseline else ""
        label = Text(f"{line.label}{mark}", "dim" if line.baseline or line.reference else "")
        following = all_lines[position + 1 :][:1]
        ends = any((other.baseline, other.reference) != (line.baseline, line.reference) for other in following)
        printed.add_row(label, line.seeds, *cells, end_section=ends)
    return Group(printed, Text(""), *(Text(note, "dim") for note in (*table.notes, *bold_notes(table))))


def bold_notes(table: Table) -> list[str]:
    """Return what bold means, where anything is bold."""
    if not any(table.best(column) for column in table.columns):
        return []
    environments = {row.env_name for row in table.rows if row.role != "reference"}
    among = "column" if len(environments) == 1 else "column and environment"
    return [f"Bold: the best of its {among}, baselines included."]


def terminal_text(table: Table) -> str:
    """Return the terminal table as plain text, as wide as it needs to be."""
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=PLAIN_WIDTH, color_system=None, legacy_windows=False).print(to_terminal(table))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


FORMATS: dict[str, Callable[[Table], str]] = {
    "terminal": terminal_text,
    "csv": to_csv,
    "markdown": to_markdown,
    "latex": to_latex,
}


def render(table: Table, name: str) -> str:
    """Return a table in the format called by a name of :data:`FORMATS`."""
    return FORMATS[name](table)
