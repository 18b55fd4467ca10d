"""Where scalars go besides the run directory.

Every tracker gets the scalars of ``progress.csv`` under the same names and at the same numbers of simulator calls. A
tracker's package is imported when it is chosen.
"""

import csv
import fcntl
import json
import logging
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .. import UserError
from ..configs.option import Options, option
from ..configs.saved import flatten, read_config
from ..storage.atomic_file import write_atomically

POSITION = ("update", "simulator_calls")
"""Columns of ``progress.csv`` that are no scalars."""


class Tracker(Protocol):
    """Something that shows scalars while a run trains."""

    def log(self, simulator_calls: int, scalars: Mapping[str, float]) -> None:
        """Show the scalars of one update."""
        ...

    def close(self) -> None:
        """Write what is pending."""
        ...


@dataclass(kw_only=True)
class NoTrackerConfig(Options):
    """Keep scalars in the run directory only."""

    _target_: str = option("bioppo.training.trackers.NoTracker", "dotted name of the tracker")
    name: str = option("none", "name of the tracker")


@dataclass(kw_only=True)
class TensorBoardConfig(Options):
    """Write TensorBoard event files into the run directory."""

    _target_: str = option("bioppo.training.trackers.TensorBoardTracker", "dotted name of the tracker")
    name: str = option("tensorboard", "name of the tracker")


@dataclass(kw_only=True)
class MLflowConfig(Options):
    """Log to an MLflow store: by default a file that `mlflow ui` shows."""

    _target_: str = option("bioppo.training.trackers.MLflowTracker", "dotted name of the tracker")
    name: str = option("mlflow", "name of the tracker")
    uri: str = option("sqlite:///${results}/mlflow.db", "address of the store: sqlite:///FILE, or http://HOST:PORT")


@dataclass(kw_only=True)
class WandbConfig(Options):
    """Log to Weights & Biases: by default into offline files that `wandb sync` uploads."""

    _target_: str = option("bioppo.training.trackers.WandbTracker", "dotted name of the tracker")
    name: str = option("wandb", "name of the tracker")
    project: str = option("bioppo", "project that the runs belong to")
    mode: str = option("offline", "offline writes files, online also sends them", choices=("offline", "online"))


class NoTracker:
    """Ignore everything."""

    def __init__(self, config: Any, directory: Path, *, resumed_at: int | None) -> None:
        del config, directory, resumed_at

    def log(self, simulator_calls: int, scalars: Mapping[str, float]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class TensorBoardTracker:
    """Event files under ``tensorboard/``; a continued run hides the events after its checkpoint."""

    def __init__(self, config: Any, directory: Path, *, resumed_at: int | None) -> None:
        del config
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(
                "tracker=tensorboard needs the package tensorboard: run `pip install 'bioppo[tensorboard]'`."
            ) from error
        # Events at the checkpoint itself were written before the kill; those after it will be written again.
        purge = None if resumed_at is None else resumed_at + 1
        self.writer = SummaryWriter(str(directory / "tensorboard"), purge_step=purge)

    def log(self, simulator_calls: int, scalars: Mapping[str, float]) -> None:
        """Write one event per scalar, at this number of simulator calls."""
        for key, value in scalars.items():
            self.writer.add_scalar(key, value, simulator_calls)

    def close(self) -> None:
        """Write what is pending."""
        self.writer.close()


class MLflowTracker:
    """A run in an MLflow experiment called after the study or sweep; a continued run is the same MLflow run.

    A store keeps what it was told, so rows that a continued run writes a second time are not told again. They are equal
    where a run continues exactly. Rows from before this tracker was chosen are told too.
    """

    def __init__(self, config: Any, directory: Path, *, resumed_at: int | None) -> None:
        del resumed_at  # the store knows what it has, also of an attempt that was killed before its first checkpoint
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise UserError("tracker=mlflow needs the package mlflow: run `pip install 'bioppo[mlflow]'`.") from error
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        self.identity = directory / "mlflow.json"
        try:
            with one_at_a_time(config.uri):
                self.client = MlflowClient(tracking_uri=config.uri)
                self.run_id = self._same_run() or self._new_run(directory)
        except MlflowException as error:
            raise UserError(f"tracker.uri={config.uri}: MLflow cannot use it ({error}); give another.") from error
        self.logged_to = self._last_step()
        for calls, scalars in recorded(directory):
            self.log(calls, scalars)

    def log(self, simulator_calls: int, scalars: Mapping[str, float]) -> None:
        """Write all scalars of one update at once."""
        from mlflow.entities import Metric

        if simulator_calls <= self.logged_to:
            return
        now = int(time.time() * 1000)
        metrics = [Metric(key, float(value), now, simulator_calls) for key, value in scalars.items()]
        if metrics:
            self.client.log_batch(self.run_id, metrics=metrics)
            self.logged_to = simulator_calls

    def close(self) -> None:
        """Say how the run ended: killed if an exception is on its way."""
        self.client.set_terminated(self.run_id, "FINISHED" if sys.exc_info()[0] is None else "KILLED")

    def _same_run(self) -> str | None:
        """Return the run that an earlier attempt began, if this store has it."""
        from mlflow.exceptions import MlflowException

        run_id = read_identity(self.identity).get("run_id")
        try:
            if run_id is not None:
                self.client.update_run(run_id, status="RUNNING")
        except MlflowException:
            return None
        return run_id

    def _new_run(self, directory: Path) -> str:
        from mlflow.entities import Param

        config = read_config(directory)
        group, name = group_and_name(config, directory)
        found = self.client.get_experiment_by_name(group)
        experiment = self.client.create_experiment(group) if found is None else found.experiment_id
        tags = {"directory": str(directory.resolve()), "env": config["env"]["name"], "algo": config["algo"]["name"]}
        run_id: str = self.client.create_run(experiment, run_name=name, tags=tags).info.run_id
        params = [Param(key, str(value)) for key, value in flatten(config).items()]
        self.client.log_batch(run_id, params=params)
        write_identity(self.identity, {"run_id": run_id})
        return run_id

    def _last_step(self) -> int:
        keys = self.client.get_run(self.run_id).data.metrics
        steps = [entry.step for key in keys for entry in self.client.get_metric_history(self.run_id, key)]
        return max(steps, default=-1)


class WandbTracker:
    """A Weights & Biases run in a group called after the study or sweep, with files in the run directory.

    An offline folder cannot be continued, and a killed process leaves most of it unwritten. A continued run therefore
    begins a new one under the same run id, tells it all rows from the beginning, and removes the old one.
    """

    def __init__(self, config: Any, directory: Path, *, resumed_at: int | None) -> None:
        del resumed_at
        try:
            import wandb
        except ImportError as error:
            raise UserError("tracker=wandb needs the package wandb: run `pip install 'bioppo[wandb]'`.") from error
        identity = directory / "wandb.json"
        run_id = read_identity(identity).get("run_id") or uuid.uuid4().hex[:8]
        write_identity(identity, {"run_id": run_id})
        if config.mode == "offline":
            for old in (directory / "wandb").glob(f"offline-run-*-{run_id}"):
                shutil.rmtree(old)
        content = read_config(directory)
        group, name = group_and_name(content, directory)
        try:
            self.run = wandb.init(
                project=config.project,
                dir=str(directory),
                mode=config.mode,
                id=run_id,
                resume="allow" if config.mode == "online" else None,
                group=group,
                name=name,
                config=content,
                # Machine statistics and console output are in nobody's table, and would start threads of their own.
                settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, x_disable_meta=True),
            )
        except (wandb.Error, OSError) as error:  # OSError: its background service did not start, or went away
            raise UserError(
                f"tracker=wandb cannot begin ({error}): run `wandb login`, or use tracker.mode=offline."
            ) from error
        self.logged_to = self.run.step - 1  # the server knows what an online run was told
        for calls, scalars in recorded(directory):
            self.log(calls, scalars)

    def log(self, simulator_calls: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars of one update at once."""
        if simulator_calls <= self.logged_to or not scalars:
            return
        self.run.log({"simulator_calls": simulator_calls, **scalars}, step=simulator_calls)
        self.logged_to = simulator_calls

    def close(self) -> None:
        """Write what is pending, and whether the run failed."""
        self.run.finish(exit_code=int(sys.exc_info()[0] is not None))


def group_and_name(config: Mapping[str, Any], directory: Path) -> tuple[str, str]:
    """Return the study's name, or that of the sweep's folder, and ``<variant>/seed_<n>`` below it."""
    parts = directory.resolve().parts
    return config.get("study") or parts[-3], "/".join(parts[-2:])


def recorded(directory: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield what ``progress.csv`` holds of earlier attempts, in the form in which `Tracker.log` gets it."""
    file = directory / "progress.csv"
    if not file.exists():
        return
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            values = {key: float(value) for key, value in row.items() if value and key not in POSITION}
            yield int(row["simulator_calls"]), values


@contextmanager
def one_at_a_time(uri: str) -> Iterator[None]:
    """Let one process at a time open a store in a file: the first one makes its tables."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    file = Path(uri.removeprefix("sqlite:///"))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_identity(file: Path) -> dict[str, Any]:
    """Return what a tracker remembers of the run it began, or nothing."""
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content


def write_identity(file: Path, content: Mapping[str, Any]) -> None:
    """Remember which run of the tracker's this is."""
    write_atomically(file, (json.dumps(content) + "\n").encode())
