"""`bioppo table`: the results of a directory's runs as a table."""

from pathlib import Path

from .arguments import Arguments

FILES = {"terminal": "table.txt", "csv": "table.csv", "markdown": "table.md", "latex": "table.tex"}
WRITTEN_BY_DEFAULT = ("csv", "markdown", "latex")

DESCRIPTION = """Aggregate the finished runs in a directory over seeds (interquartile mean and 95 % bootstrap interval),
with their baselines as rows. Prints the table and writes table.csv, table.md and table.tex into the directory."""


def report_arguments(command: str, description: str, written: str) -> Arguments:
    """Return the parser of a command that reads a directory of runs and writes into a folder."""
    parser = Arguments(prog=f"bioppo {command}", description=description, allow_abbrev=False)
    parser.add_argument("directory", metavar="DIR", type=Path, help="holds the runs, at any depth")
    parser.add_argument("--metrics", metavar="A,B", default="", help="only these metrics, in this order; default: all")
    parser.add_argument("--output", metavar="FOLDER", type=Path, help=f"write there; default: {written}")
    return parser


def metric_names(text: str) -> list[str]:
    """Split ``a,b`` into its names."""
    return [name.strip() for name in text.split(",") if name.strip()]


def main(arguments: list[str]) -> int:
    """Print and write the table; return the exit status."""
    parser = report_arguments("table", DESCRIPTION, "DIR")
    parser.add_argument(
        "--format", choices=tuple(FILES), help="print this format alone, and write it only with --output"
    )
    options = parser.parse_args(arguments)

    from rich.console import Console

    from ..reports.records import find_runs
    from ..reports.table_formats import render, terminal_text, to_terminal
    from ..reports.tables import build_table

    table = build_table(find_runs(options.directory), metric_names(options.metrics))
    if options.format is None:
        folder = options.output or options.directory
        console = Console()
        if console.is_terminal:
            console.print(to_terminal(table))
        else:
            print(terminal_text(table), end="")
        written = [write(folder, name, render(table, name)) for name in WRITTEN_BY_DEFAULT]
        print(f"Written: {', '.join(map(str, written))}")
        return 0
    text = render(table, options.format)
    print(text, end="")
    if options.output:
        write(options.output, options.format, text)
    return 0


def write(folder: Path, name: str, text: str) -> Path:
    """Write one format into a folder and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILES[name]
    path.write_text(text, encoding="utf-8")
    return path
