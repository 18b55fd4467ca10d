"""Run directories read back: what was run, how it ended and what it measured."""

import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .. import UserError
from ..configs.option import nearest
from ..configs.saved import read_config

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["finished", "failed", "unfinished"]

# The agents of a result that are the run's own policy; every other agent is a baseline.
POLICIES = ("last", "best")


@dataclass(frozen=True)
class Metric:
    """Something an environment measures, and which direction is better.

    ``of_run`` marks what is measured of a training as a whole instead of an agent.
    """

    name: str
    better: Literal["higher", "lower", "neither"]
    meaning: str = ""
    of_run: bool = False


@dataclass(frozen=True)
class RunRecord:
    """One run directory: its config, how it ended and its results.

    Attributes
    ----------
    path
        The run directory.
    config
        The resolved config, nested.
    seed
        The run's seed.
    status
        ``finished`` (it has a result), ``failed`` (it left a failure) or ``unfinished``.
    result
        ``"<agent>/<metric>"`` and plain counts; NaN where the run wrote null. Empty unless finished.
    metrics
        In the environment's order, the first is the headline. Empty where an unfinished run did not get to name them.
    run_metrics
        What it tells of its training as a whole.
    failure
        The type of the error that ended a failed run, else empty.
    versions
        Of the packages that the run recorded.
    code
        The commit that the run was made with, and whether something was not committed; empty where unknown.
    """

    path: Path
    config: Mapping[str, Any]
    seed: int
    status: Status
    result: Mapping[str, float]
    metrics: tuple[Metric, ...]
    run_metrics: tuple[Metric, ...] = ()
    failure: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    code: str = ""

    @property
    def env_name(self) -> str:
        """The environment's name, or its class where the config has no name."""
        return node_name(self.config["env"])

    @property
    def algo_name(self) -> str:
        """The algorithm's name, or its class where the config has no name."""
        return node_name(self.config["algo"])

    @property
    def baselines(self) -> list[str]:
        """The agents of the result that are not the run's own policy, in the order they were written."""
        agents = dict.fromkeys(key.split("/", 1)[0] for key in self.result if "/" in key)
        return [agent for agent in agents if agent not in POLICIES]

    @cached_property
    def progress(self) -> "pd.DataFrame":
        """The rows of ``progress.csv`` that were written to their end; without rows if there is no such file."""
        return read_progress(self.path / "progress.csv")


def node_name(node: Mapping[str, Any]) -> str:
    """Return what a config node is called: its ``name``, else the last component of its ``_target_``."""
    return str(node.get("name") or str(node.get("_target_", "unnamed")).rsplit(".", 1)[-1])


def find_runs(directory: Path | str) -> list[RunRecord]:
    """Read every run directory at or below a directory, ordered by path.

    Raises
    ------
    UserError
        If the directory does not exist or holds no run, or a run's files are broken.
    """
    root = Path(directory)
    if not root.is_dir():
        raise UserError(f"{root}: no such directory; give one that holds runs, such as results/<study>.")
    runs = [read_run(path) for path in sorted(run_directories(root))]
    if not runs:
        raise UserError(
            f"{root}: holds no run (no config.yaml in or below it); give a directory that `bioppo train` wrote."
        )
    return runs


def run_directories(root: Path) -> Iterator[Path]:
    """Yield the directories that hold a ``config.yaml``."""
    for folder, files in walk(root):
        if "config.yaml" in files:
            yield folder


def walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield every folder with the names of its files, without looking below a run or into hidden folders.

    Hydra leaves ``.hydra/config.yaml`` behind also for an attempt that never became a run.
    """
    for folder, subfolders, files in os.walk(root):
        runs_end_here = "config.yaml" in files
        subfolders[:] = [] if runs_end_here else [name for name in subfolders if not name.startswith(".")]
        yield Path(folder), files


def read_run(path: Path) -> RunRecord:
    """Read one run directory.

    Raises
    ------
    UserError
        If a file is half-written, or a finished run lacks its provenance.
    """
    config = read_config(path)
    status: Status = "unfinished"
    result: dict[str, float] = {}
    failure = ""
    if (path / "result.json").exists():
        status, result = "finished", read_result(path / "result.json")
    elif (path / "failure.json").exists():
        status, failure = "failed", str(read_json(path / "failure.json").get("error", ""))
    file = path / "provenance.json"
    if status == "finished" and not file.exists():
        raise UserError(
            f"{file}: missing, so the run's metrics are unknown; copy the whole run directory, or run it again."
        )
    provenance = read_json(file) if file.exists() else {}
    metrics = read_metrics(file, provenance.get("metrics") or ())
    run_metrics = read_metrics(file, provenance.get("run_metrics") or (), of_run=True)
    versions = {str(package): str(version) for package, version in (provenance.get("versions") or {}).items()}
    code = written_commit(provenance.get("git") or {})
    return RunRecord(path, config, int(config["seed"]), status, result, metrics, run_metrics, failure, versions, code)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a file that is none was cut while it was written or copied."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(
            f"{path} is half-written: copy it again, or delete it and repeat the run's command to finish it."
        )
    return content


def read_result(path: Path) -> dict[str, float]:
    """Read the flat scalars of a finished run; null becomes NaN."""
    result = {}
    for key, value in read_json(path).items():
        if value is not None and not isinstance(value, int | float):
            raise UserError(f"{path}: {key} is {value!r}, not a number; delete the file and repeat the run's command.")
        result[key] = math.nan if value is None else float(value)
    return result


def written_commit(git: Mapping[str, Any]) -> str:
    """Write a recorded commit in short, with what was not committed."""
    return str(git.get("commit", ""))[:7] + (" with uncommitted changes" if git.get("dirty") else "")


def read_metrics(path: Path, entries: Iterable[Any], *, of_run: bool = False) -> tuple[Metric, ...]:
    """Read what the run measured, in order, from the entries of its provenance, which lies at ``path``."""
    metrics = []
    for entry in entries:
        if not isinstance(entry, dict) or "name" not in entry or entry.get("better") not in ("higher", "lower"):
            raise UserError(f"{path}: metric {entry!r} needs a name, and better: higher or lower; run it again.")
        metrics.append(Metric(str(entry["name"]), entry["better"], str(entry.get("meaning", "")), of_run))
    return tuple(metrics)


def read_progress(path: Path) -> "pd.DataFrame":
    """Read ``progress.csv`` up to its last complete row.

    A killed process leaves a row without its line end; what stands behind the last line end is left out.
    """
    import pandas as pd

    content = path.read_bytes() if path.exists() else b""
    content = content[: content.rfind(b"\n") + 1]
    if not content.strip():
        return pd.DataFrame({"update": [], "simulator_calls": []}, dtype=float)
    try:
        progress = pd.read_csv(io.BytesIO(content))
        return progress.astype(float)
    except ValueError as error:
        raise UserError(
            f"{path}: not a table of numbers ({error}); delete that run directory or copy it again."
        ) from error


def known_metrics(runs: Iterable[RunRecord]) -> tuple[Metric, ...]:
    """Return every metric of the runs once, in the order in which they are first listed.

    Raises
    ------
    UserError
        If two runs disagree on which direction of a metric is better.
    """
    known: dict[str, tuple[Metric, RunRecord]] = {}
    for run in runs:
        for metric in run.metrics:
            first, where = known.setdefault(metric.name, (metric, run))
            if first.better != metric.better:
                raise UserError(
                    f"{metric.name}: {first.better} is better in {where.path} and {metric.better} in {run.path}; "
                    "give a directory for each."
                )
    return tuple(metric for metric, _ in known.values())


def choose_metrics(runs: Iterable[RunRecord], names: Sequence[str] = ()) -> tuple[Metric, ...]:
    """Return the metrics called by ``names``, in that order, or all metrics of the runs where none is named.

    Raises
    ------
    UserError
        If a name is no metric of the runs.
    """
    known = {metric.name: metric for metric in known_metrics(runs)}
    for name in names:
        if name not in known:
            raise UserError(f"metrics={name}: no run has this metric; {nearest(name, known)}")
    return tuple(known[name] for name in dict.fromkeys(names)) if names else tuple(known.values())
