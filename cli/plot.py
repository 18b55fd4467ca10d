"""`bioppo plot`: the figures of a directory's runs, or of one run."""

from typing import TYPE_CHECKING

from .. import UserError
from .table import names, report_arguments

if TYPE_CHECKING:
    from pathlib import Path

DESCRIPTION = """Draw the runs in a directory: learning curves and final scores with their baselines, and performance
profiles from three seeds on; a line or row per variant. For a single run directory also the figures that its
environment offers. Writes PNG and SVG, the data of the environment's figures as CSV, and HTML where it offers that."""


def main(arguments: list[str]) -> int:
    """Write the figures and print where; return the exit status."""
    parser = report_arguments("plot", DESCRIPTION, "DIR/figures")
    parser.add_argument("--metrics", metavar="A,B", default="", help="only these metrics, in this order; default: all")
    options = parser.parse_args(arguments)

    from ..reports.chart_page import save_charts
    from ..reports.curves import (
        comparisons,
        environment_charts,
        environment_data,
        environment_figures,
        save_data,
        save_figure,
        study_data,
        study_figures,
    )
    from ..reports.records import find_runs

    runs = find_runs(options.directory)
    figures = study_figures(runs, names(options.metrics)) | comparisons(runs, "comparison_figures")
    data, charts = study_data(runs) | comparisons(runs, "comparison_data"), comparisons(runs, "comparison_charts")
    if runs[0].path == options.directory:
        # What the environment draws of one run says more than what it draws of several.
        figures |= environment_figures(options.directory)
        data |= environment_data(options.directory)
        charts |= environment_charts(options.directory)
    if not figures:
        raise UserError(f"{options.directory}: nothing was evaluated yet; go on with the runs, then plot again.")
    folder = options.output or options.directory / "figures"
    paths: list[Path] = [path for name, figure in figures.items() for path in save_figure(figure, folder, name)]
    paths += save_data(data, folder)
    paths += save_charts(charts, folder)
    print("\n".join(f"Written: {path}" for path in paths))
    return 0
