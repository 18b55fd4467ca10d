"""`bioppo report`: one interactive page about a directory's runs."""

from pathlib import Path

from .. import UserError
from .arguments import Arguments

DESCRIPTION = """Write one self-contained HTML page about the runs in a directory: table, learning curves, the figures
and configs of the runs. It opens in any browser, without a network."""


def main(words: list[str]) -> int:
    """Write the page and print where; return the exit status."""
    parser = Arguments(prog="bioppo report", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("directory", metavar="DIR", type=Path, help="holds the runs, at any depth")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write this file; default: DIR/report.html")
    options = parser.parse_args(words)

    from ..reports.page import report_page
    from ..reports.records import find_runs
    from ..reports.study import find_studies

    runs = find_runs(options.directory)
    page = report_page(runs, options.directory, studies=find_studies(options.directory))
    file: Path = options.output or options.directory / "report.html"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(
            f"--output {file}: cannot be written ({error.strerror}); name a file in a folder that you may write to."
        ) from error
    print(f"Written: {file}")
    return 0
