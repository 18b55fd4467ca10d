"""The `study.json` of a sweep: which jobs there should be, and the numbers that others reported for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import UserError
from .records import read_json, walk

FILE = "study.json"


@dataclass(frozen=True)
class Job:
    """One run that a study asks for, whether or not it was begun."""

    variant: str
    seed: int
    directory: Path


@dataclass(frozen=True)
class Reported:
    """One row of somebody else's table: its name, where it stands, and its numbers by metric or column."""

    label: str
    source: str
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Study:
    """What a sweep wrote before its first job."""

    path: Path
    jobs: tuple[Job, ...]
    reported: tuple[Reported, ...] = ()


def find_studies(directory: Path | str) -> list[Study]:
    """Read every ``study.json`` at or below a directory, ordered by path; there may be none.

    Raises
    ------
    UserError
        If a file is half-written or lacks what it should hold.
    """
    files = [folder / FILE for folder, names in walk(Path(directory)) if FILE in names]
    return [read_study(file) for file in sorted(files)]


def read_study(file: Path) -> Study:
    """Read one ``study.json``; the directories of its jobs are relative to the folder it lies in."""
    content = read_json(file)
    try:
        jobs = tuple(
            Job(str(job["variant"]), int(job["seed"]), file.parent / job["directory"]) for job in content["jobs"]
        )
        reference = content.get("reference") or {"source": "", "rows": []}
        reported = tuple(read_reported(row, str(reference["source"])) for row in reference["rows"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{file}: {type(error).__name__} {error}: it needs jobs (variant, seed, directory) and, if any, a "
            "reference (source, rows of numbers); repeat the sweep's command to write it again."
        ) from error
    return Study(file, jobs, reported)


def read_reported(row: Mapping[str, Any], source: str) -> Reported:
    """Read one reference row; what is null was not reported."""
    numbers = {key: float(value) for key, value in row.items() if key != "variant" and value is not None}
    return Reported(str(row["variant"]), source, numbers)
