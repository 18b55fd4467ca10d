"""What a table must say where its runs were not made by the same code."""

from collections import Counter
from collections.abc import Iterable, Sequence

from .records import RunRecord

# They compose configs and write files: no number depends on them. Every other package may change one.
HARMLESS = ("hydra-core", "omegaconf", "pandas")


def version_notes(runs: Sequence[RunRecord]) -> list[str]:
    """Return a sentence for packages of which the runs used several versions, and one for differing code."""
    packages = dict.fromkeys(package for run in runs for package in run.versions if package not in HARMLESS)
    mixed = []
    for package in packages:
        used = Counter(run.versions[package] for run in runs if package in run.versions)
        if len(used) > 1:
            mixed.append(f"{package} {counted(used)}")
    notes = []
    if mixed:
        notes.append(
            f"Made by different versions: {'; '.join(mixed)}; train again under one version, or table the folders "
            "apart."
        )
    commits = Counter(run.code for run in runs if run.code)
    if len(commits) > 1 or any("uncommitted" in code for code in commits):
        notes.append(f"Made by bioppo at commit {counted(commits)}.")
    return notes


def counted(used: Counter[str]) -> str:
    """Write what was used in one phrase, with the number of runs of each where there are several."""
    if len(used) == 1:
        return next(iter(used))
    return joined(f"{name} ({count} run{'s' if count > 1 else ''})" for name, count in sorted(used.items()))


def joined(phrases: Iterable[str]) -> str:
    """Join phrases by commas, and the last one by *and*."""
    *others, last = phrases
    return f"{', '.join(others)} and {last}" if others else last
