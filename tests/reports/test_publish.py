"""The finished table goes to real stores and is read back from them."""

import json

import pytest

from bioppo.cli.table import main

# What MLflow's own queries bring up in its database library.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture
def runs(study):
    for seed, score in enumerate((0.2, 0.4, 0.6)):
        study.run("ppo", seed=seed, result={"last/incidence": score})
    return study.path


def test_the_table_is_a_run_in_the_nearest_mlflow_store(runs, capsys):
    from mlflow.tracking import MlflowClient

    assert main([str(runs), "--to", "mlflow"]) == 0
    assert main([str(runs), "--to", "mlflow"]) == 0
    assert "Pushed: sqlite:///" in capsys.readouterr().out
    client = MlflowClient(tracking_uri=f"sqlite:///{runs / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(runs.name)
    pushed = client.search_runs([experiment.experiment_id])
    assert len(pushed) == 2
    assert pushed[0].info.run_name == "table"
    assert 0.4 in [pytest.approx(value) for key, value in pushed[0].data.metrics.items() if "incidence" in key]
    files = {file.path for file in client.list_artifacts(pushed[0].info.run_id)}
    assert files == {"table.md", "table.csv"}


def test_the_table_is_an_offline_wandb_run(runs, bioppo):
    # In a process of its own: W&B leaves the address of its background service to all later children of this one.
    done = bioppo("table", str(runs), "--to", "wandb")
    assert done.returncode == 0, done.stderr
    assert "wandb sync" in done.stdout
    (folder,) = (runs / "wandb").glob("offline-run-*")
    (table,) = folder.rglob("*.table.json")
    content = json.loads(table.read_text())
    assert "incidence" in {cell for row in content["data"] for cell in row}
