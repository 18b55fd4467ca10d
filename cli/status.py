"""`bioppo status`: how far the jobs in a directory are."""

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import Arguments

if TYPE_CHECKING:
    from ..reports.status import JobStatus

DESCRIPTION = """Say for every job in a directory whether it is finished, running, failed, stopped or missing, and how
much of its budget is spent. Reads files alone. The exit status is 0 when all jobs are finished, else 1."""

MESSAGE_LETTERS = 90


def main(arguments: list[str]) -> int:
    """Print a line per job and a summary; return the exit status."""
    parser = Arguments(prog="bioppo status", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("directory", metavar="DIR", type=Path, help="holds the runs, at any depth")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    options = parser.parse_args(arguments)

    from ..reports.status import as_json, counts, job_statuses

    jobs = job_statuses(options.directory)
    if options.json:
        print(json.dumps(as_json(jobs, options.directory), indent=1))
    else:
        print("\n".join(lines(jobs, options.directory)))
        states = ", ".join(f"{count} {state}" for state, count in counts(jobs).items())
        print(f"{len(jobs)} job{'s' if len(jobs) > 1 else ''}: {states}")
    return 0 if all(job.state == "finished" for job in jobs) else 1


def lines(jobs: "list[JobStatus]", root: Path) -> list[str]:
    """Return a line per job under a header, in columns."""
    from ..reports.status import relative

    rows = [("run", "state", "budget", "left", "")]
    for job in jobs:
        share = "" if job.share is None else f"{100 * job.share:.0f} %"
        left = "" if job.seconds_left is None else duration(job.seconds_left)
        message = textwrap.shorten(job.message, MESSAGE_LETTERS, placeholder=" ...")
        rows.append((relative(job.directory, root), job.state, share, left, message))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        f"{run:<{widths[0]}}  {state:<{widths[1]}}  {share:>{widths[2]}}  {left:>{widths[3]}}  {message}".rstrip()
        for run, state, share, left, message in rows
    ]


def duration(seconds: float) -> str:
    """Write a time in its two largest units, such as ``3 h 20 min``."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"
