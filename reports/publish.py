"""Push a finished table to a tracker's store, beside the runs it summarises."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .. import UserError
from .table_formats import render

if TYPE_CHECKING:
    from .tables import Table

SERVICES = ("mlflow", "wandb")


def publish(table: "Table", directory: Path, service: str) -> str:
    """Push the table and say where it went; it is filed under the directory's name, as the runs' group is.

    Raises
    ------
    UserError
        If the service's package is missing.
    """
    return {"mlflow": to_mlflow, "wandb": to_wandb}[service](table, directory)


def to_mlflow(table: "Table", directory: Path) -> str:
    """Write a run called ``table`` with the table's files, and its means as metrics, into the nearest ``mlflow.db``."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise UserError("--to mlflow needs the package mlflow: run `pip install 'bioppo[mlflow]'`.") from error
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    folder = directory.resolve()
    store = next((parent for parent in (folder, *folder.parents) if (parent / "mlflow.db").exists()), folder)
    uri = f"sqlite:///{store / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(folder.name)
    artifacts = (store / "mlartifacts").as_uri()
    experiment = found.experiment_id if found else client.create_experiment(folder.name, artifact_location=artifacts)
    run = client.create_run(experiment, run_name="table").info.run_id
    for name, file in (("markdown", "table.md"), ("csv", "table.csv")):
        client.log_text(run, render(table, name), file)
    for row in table.frame().itertuples():
        if row.iqm == row.iqm:  # a mean of no scores is NaN, which a store does not take
            client.log_metric(run, metric_key(f"{row.label}/{row.agent}/{row.metric}"), float(row.iqm))
    client.set_terminated(run)
    return f"{uri}, experiment {folder.name}, run {run}"


def metric_key(text: str) -> str:
    """Replace what MLflow does not take in a metric's name."""
    return "".join(letter if letter.isalnum() or letter in "_-./ " else "_" for letter in text)


def to_wandb(table: "Table", directory: Path) -> str:
    """Write an offline run called ``table`` with the table's rows into the directory; `wandb sync` uploads it."""
    try:
        import wandb
    except ImportError as error:
        raise UserError("--to wandb needs the package wandb: run `pip install 'bioppo[wandb]'`.") from error
    run = wandb.init(
        project="bioppo",
        dir=str(directory),
        mode="offline",
        group=directory.resolve().name,
        name="table",
        settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, x_disable_meta=True),
    )
    frame = table.frame()
    plain = frame.astype({column: str for column in frame.columns if frame[column].dtype == object})
    run.log({"table": wandb.Table(dataframe=plain)})
    folder = Path(run.dir).parent
    run.finish()
    return f"{folder}: run `wandb sync {folder}` to upload it"
