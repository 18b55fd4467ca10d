"""`bioppo table`: the results of a directory's runs as a table."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import UserError
from .arguments import Arguments

if TYPE_CHECKING:
    from ..reports.tables import Table

FILES = {
    "terminal": "table.txt",
    "csv": "table.csv",
    "parquet": "table.parquet",
    "markdown": "table.md",
    "latex": "table.tex",
}
WRITTEN_BY_DEFAULT = ("csv", "parquet", "markdown", "latex")
WITHOUT_NOTES = ("csv", "parquet")

DESCRIPTION = """Aggregate the finished runs in a directory over seeds (interquartile mean and 95 % bootstrap interval),
with their baselines as rows. Prints the table and writes table.csv, table.parquet, table.md and table.tex into the
directory."""


def report_arguments(command: str, description: str, written: str) -> Arguments:
    """Return the parser of a command that reads a directory of runs and writes into a folder."""
    parser = Arguments(prog=f"bioppo {command}", description=description, allow_abbrev=False)
    parser.add_argument("directory", metavar="DIR", type=Path, help="holds the runs, at any depth")
    parser.add_argument("--output", metavar="FOLDER", type=Path, help=f"write there; default: {written}")
    return parser


def names(text: str) -> list[str]:
    """Split ``a,b`` into its names."""
    return [name.strip() for name in text.split(",") if name.strip()]


def main(arguments: list[str]) -> int:
    """Print and write the table; return the exit status."""
    parser = report_arguments("table", DESCRIPTION, "DIR")
    parser.add_argument(
        "--columns",
        metavar="A,B",
        default="",
        help="only these, in this order: a metric, best/METRIC, simulator_calls, updates; default: all metrics",
    )
    parser.add_argument(
        "--compare",
        metavar=("A", "B"),
        nargs=2,
        help="also say how probably row A improves on row B, in the headline metric and every column of --columns",
    )
    parser.add_argument(
        "--format", choices=tuple(FILES), help="print this format alone, and write it only with --output"
    )
    parser.add_argument("--to", choices=("mlflow", "wandb"), help="also push the table to this tracker's store")
    options = parser.parse_args(arguments)
    if options.compare and options.format in WITHOUT_NOTES:
        raise UserError(
            f"--format {options.format} holds no notes, where --compare is written: choose terminal, markdown or latex."
        )
    if options.format == "parquet" and not options.output:
        raise UserError("--format parquet is no text to print: add --output FOLDER.")

    from ..reports.comparison import comparison_notes
    from ..reports.records import find_runs
    from ..reports.study import find_studies
    from ..reports.tables import build_table

    runs, columns = find_runs(options.directory), names(options.columns)
    table = build_table(runs, columns, studies=find_studies(options.directory))
    if options.compare:
        first, second = options.compare
        table = replace(table, notes=(*table.notes, *comparison_notes(runs, first, second, columns)))
    if options.format:
        print_format(table, options.format, options.output)
    else:
        print_table(table, options.output or options.directory)
    if options.to:
        from ..reports.publish import publish

        print(f"Pushed: {publish(table, options.directory, options.to)}")
    return 0


def print_table(table: "Table", folder: Path) -> None:
    """Print the table, write it in every format that is written by default, and print where."""
    from rich.console import Console

    from ..reports.table_formats import terminal_text, to_terminal

    console = Console()
    if console.is_terminal:
        console.print(to_terminal(table))
    else:
        print(terminal_text(table), end="")
    written = [write(folder, name, table) for name in WRITTEN_BY_DEFAULT]
    print(f"Written: {', '.join(map(str, written))}")


def print_format(table: "Table", name: str, folder: Path | None) -> None:
    """Print one format, unless it is no text, and write it where there is a folder."""
    from ..reports.table_formats import FORMATS

    if name in FORMATS:
        print(FORMATS[name](table), end="")
    if folder:
        write(folder, name, table)


def write(folder: Path, name: str, table: "Table") -> Path:
    """Write one format into a folder and return its path."""
    from ..reports.table_formats import render

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILES[name]
    if name == "parquet":
        table.frame().to_parquet(path, index=False)
    else:
        path.write_text(render(table, name), encoding="utf-8")
    return path
