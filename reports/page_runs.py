"""What a page shows of single runs: the figures lying in them, and the files that say what they were."""

import base64
import json
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from .records import RunRecord
from .variants import Variant

# With more runs than this, the page shows the figures of one run of each variant.
MOST_RUNS = 12

# With more variants than this, only the first ones' figures: they weigh a few hundred kilobytes each.
MOST_VARIANTS = 40

MEDIA_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}

# The files of a run directory that say what the run was, in the order of their interest.
FILES = ("failure.json", "config.yaml", "provenance.json", "result.json")


def figures_section(members: Sequence[Variant]) -> str:
    """Return the figures that lie in the runs' ``figures/``, by variant; nothing if there are none."""
    shown = {variant.label: [run for run in variant.runs if figure_files(run)] for variant in members}
    shown = {label: runs for label, runs in shown.items() if runs}
    if not shown:
        return ""
    notes = ""
    if sum(map(len, shown.values())) > MOST_RUNS:
        left_out = max(0, len(shown) - MOST_VARIANTS)
        # A finished run's figures show its end.
        shown = {label: [min(runs, key=lambda run: run.status != "finished")] for label, runs in shown.items()}
        shown = dict(list(shown.items())[:MOST_VARIANTS])
        first = f" Of the variants, the last {left_out} are left out." if left_out else ""
        notes = (
            f'<p class="quiet">More than {MOST_RUNS} runs have figures: here are those of one run of each variant.'
            f"{first} The others lie in the runs’ own folders.</p>"
        )
    blocks = [
        f"<details{'' if position else ' open'}><summary>{escape(label)}</summary>"
        f'<div class="gallery">{"".join(image for run in runs for image in images(label, run))}</div></details>'
        for position, (label, runs) in enumerate(shown.items())
    ]
    return f"<section><h3>Figures of the runs</h3>{notes}{''.join(blocks)}</section>"


def figure_files(run: RunRecord) -> list[Path]:
    """Return the run's figures by name; of one figure in two formats the smaller file."""
    smallest: dict[str, Path] = {}
    for path in sorted((run.path / "figures").glob("*")):
        if path.suffix in MEDIA_TYPES and path.is_file():
            rival = smallest.setdefault(path.stem, path)
            if path.stat().st_size < rival.stat().st_size:
                smallest[path.stem] = path
    return list(smallest.values())


def images(label: str, run: RunRecord) -> Iterator[str]:
    """Yield the figures of a run, each with a caption and the file's bytes within the page."""
    for path in figure_files(run):
        content = base64.b64encode(path.read_bytes()).decode("ascii")
        caption = escape(f"{re.sub(r'[_-]+', ' ', path.stem)}, seed {run.seed}")
        alternative = escape(f"Figure of {label}: {path.stem}, seed {run.seed}")
        yield (
            f'<figure class="image"><img alt="{alternative}" decoding="async" '
            f'src="data:{MEDIA_TYPES[path.suffix]};base64,{content}"><figcaption>{caption}</figcaption></figure>'
        )


def runs_section(members: Sequence[Variant], root: Path) -> str:
    """Return every run with the files that say what it was, folded away by variant and by run."""
    blocks = []
    for variant in members:
        counts = ", ".join(
            f"{len(variant.seeds(status))} {status}"
            for status in ("finished", "failed", "unfinished")
            if variant.seeds(status)
        )
        runs = "".join(run_details(run, root) for run in variant.runs)
        blocks.append(f"<details><summary>{escape(variant.label)} <small>{counts}</small></summary>{runs}</details>")
    return f"<section><h3>Runs: config and provenance</h3>{''.join(blocks)}</section>"


def run_details(run: RunRecord, root: Path) -> str:
    """Return one run, folded away: where it lies and what its files say."""
    where = run.path.relative_to(root) if run.path != root else Path(root.name)
    ended = f"{run.status} ({run.failure})" if run.failure else run.status
    parts = [
        f'<h4>{name}</h4><pre tabindex="0">{escape(file_text(run.path / name))}</pre>'
        for name in FILES
        if (run.path / name).exists()
    ]
    return (
        f"<details><summary>seed {run.seed} <small>{escape(ended)}</small></summary>"
        f"<p><code>{escape(str(where))}</code></p>{''.join(parts)}</details>"
    )


def file_text(path: Path) -> str:
    """Return a file's text, JSON with one entry in a line."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix != ".json":
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
