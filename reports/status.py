"""How far the jobs below a directory are, from files alone: no process is asked and nothing is written."""

import fcntl
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .. import UserError
from ..configs.saved import read_config
from .records import read_json, run_directories
from .study import Job, find_studies

State = Literal["finished", "running", "failed", "stopped", "missing"]

STATES: tuple[State, ...] = ("finished", "running", "failed", "stopped", "missing")

# Bytes read from the end of a table: hundreds of rows, and the same time for a long run as for a short one.
TAIL = 65536


@dataclass(frozen=True)
class JobStatus:
    """One job: where it is trained, its state and how far it is.

    Attributes
    ----------
    directory
        The run directory, which a missing job does not have yet.
    variant
        As the study or the run's config calls it; else empty.
    seed
        None where no file tells it.
    state
        ``running`` while a process holds the directory's lock, else ``finished`` (it has a result), ``failed`` (it left
        a failure), ``stopped``, or ``missing`` (a study names it, and it was never begun).
    share
        Of the budget that is spent, between 0 and 1; None where unknown.
    seconds_left
        Of training, estimated for a running job that made at least one update.
    message
        What ended a failed job.
    """

    directory: Path
    variant: str
    seed: int | None
    state: State
    share: float | None = None
    seconds_left: float | None = None
    message: str = ""


def job_statuses(directory: Path | str) -> list[JobStatus]:
    """Return the status of every job: those that a study names in its order, then other runs by path.

    Raises
    ------
    UserError
        If the directory does not exist, or holds neither a run nor a study.
    """
    root = Path(directory)
    if not root.is_dir():
        raise UserError(f"{root}: no such directory; give one that holds runs, such as results/<study>.")
    named = {job.directory: job for study in find_studies(root) for job in study.jobs}
    others = sorted(set(run_directories(root)) - named.keys())
    if not named and not others:
        raise UserError(f"{root}: holds no run and no study.json; give a directory that `bioppo train` or sweep wrote.")
    return [job_status(path, named.get(path)) for path in (*named, *others)]


def job_status(path: Path, job: Job | None = None) -> JobStatus:
    """Return the status of one job; a run whose files are damaged counts as failed."""
    variant, seed = (job.variant, job.seed) if job else ("", None)
    running = is_locked(path / "lock")
    if not (path / "config.yaml").exists():
        return JobStatus(path, variant, seed, "running" if running else "missing", share=0.0)
    try:
        config = read_config(path)
        variant, seed = variant or str(config.get("variant") or ""), int(config["seed"])
        state = state_of(path, running=running)
        message = failure_message(path) if state == "failed" else ""
    except UserError as error:
        return JobStatus(path, variant, seed, "failed", message=str(error))
    budget = float(config.get("budget") or math.nan)
    return JobStatus(
        path,
        variant,
        seed,
        state,
        share=1.0 if state == "finished" else share_spent(last_rows(path / "progress.csv"), budget),
        seconds_left=time_left(last_rows(path / "timing.csv"), budget) if state == "running" else None,
        message=message,
    )


def state_of(path: Path, *, running: bool) -> State:
    """Return the state of a run that has a config; one that continues after a failure is running."""
    if (path / "result.json").exists():
        return "finished"
    if running:
        return "running"
    return "failed" if (path / "failure.json").exists() else "stopped"


def is_locked(file: Path) -> bool:
    """Say whether a process holds the lock of a run directory.

    A shared lock is asked for and let go at once: training holds an exclusive one, so that only training is in the way,
    and not somebody else who is asking the same.
    """
    try:
        with file.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def failure_message(path: Path) -> str:
    """Return the type and message of a failure, on one line."""
    failure = read_json(path / "failure.json")
    return " ".join(f"{failure.get('error', 'failed')}: {failure.get('message', '')}".split())


def last_rows(file: Path) -> list[dict[str, float]]:
    """Return the last whole rows of a table of numbers, as many as stand in its last bytes; empty fields are left out.

    A file that is missing, or cut within its header, has none.
    """
    try:
        with file.open("rb") as table:
            header = table.readline()
            begin = max(len(header), table.seek(0, os.SEEK_END) - TAIL)
            table.seek(begin)
            content = table.read()
    except FileNotFoundError:
        return []
    lines = content[: content.rfind(b"\n") + 1].decode().splitlines()
    # Where the tail begins within the table, its first line may have lost its beginning.
    whole = lines if begin == len(header) else lines[1:]
    columns = header.decode().rstrip("\r\n").split(",")
    return [numbers(columns, line.split(",")) for line in whole]


def numbers(columns: Sequence[str], fields: Sequence[str]) -> dict[str, float]:
    """Return the fields of a row that are numbers, by column."""
    row = {}
    for column, field in zip(columns, fields, strict=False):
        try:
            row[column] = float(field)
        except ValueError:
            continue
    return row


def share_spent(progress: Sequence[Mapping[str, float]], budget: float) -> float | None:
    """Return the share of the budget that the last row has spent, at most 1; None without a budget."""
    if math.isnan(budget):
        return None
    spent = progress[-1].get("simulator_calls", 0.0) if progress else 0.0
    return min(spent / budget, 1.0)


def time_left(timing: Sequence[Mapping[str, float]], budget: float) -> float | None:
    """Estimate the seconds of training that are left: the updates left, at the median time of one.

    The evaluations between updates are added at their mean time per update, because the median does not see them. None
    before the first update, or without a budget.
    """
    if len(timing) < 2 or math.isnan(budget):
        return None
    first, last = timing[0], timing[-1]
    updates = last.get("update", 0.0) - first.get("update", 0.0)
    calls = last.get("simulator_calls", 0.0) - first.get("simulator_calls", 0.0)
    if updates <= 0 or calls <= 0:
        return None
    updating = statistics.median(row.get("update_seconds", 0.0) for row in timing[1:])
    evaluating = sum(row.get("evaluation_seconds", 0.0) for row in timing[1:]) / updates
    left = math.ceil(max(0.0, budget - last["simulator_calls"]) * updates / calls)
    return left * (updating + evaluating)


def as_json(jobs: Sequence[JobStatus], root: Path) -> dict[str, Any]:
    """Return the jobs, with their directories relative to ``root``, and how many are in each state."""
    listed = [vars(job) | {"directory": relative(job.directory, root)} for job in jobs]
    return {"jobs": listed, "counts": counts(jobs)}


def counts(jobs: Sequence[JobStatus]) -> dict[str, int]:
    """Return how many jobs are in each state, without the states that do not occur."""
    found = {state: sum(job.state == state for job in jobs) for state in STATES}
    return {state: count for state, count in found.items() if count}


def relative(directory: Path, root: Path) -> str:
    """Write a run directory as seen from ``root``; the root itself by its own name."""
    text = os.path.relpath(directory, root)
    return root.resolve().name if text == "." else text
