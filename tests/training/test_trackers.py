"""What trackers store is what ``progress.csv`` holds: read back from the real stores."""

import csv
import json
import sqlite3
import subprocess
import sys
import time

import pytest

from bioppo.cli.main import main

RUN = (
    "env=kinetic env.lambda_part=-20 env.num_envs=8 algo=ppo algo.batch_size=20 algo.hidden_sizes=[8] algo.n_epochs=1 "
    "evaluation.episodes=8 evaluation.every=100 evaluation.baselines=false device=cpu checkpoint.seconds=0 display=off"
).split()
COMMAND = [sys.executable, "-m", "bioppo.cli.main"]


def progress(directory):
    """Return the scalars of a run by simulator calls."""
    with (directory / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    keys = [key for key in rows[0] if key not in ("update", "simulator_calls")]
    return {int(row["simulator_calls"]): {key: float(row[key]) for key in keys if row[key]} for row in rows}


def stored_mlflow(file):
    """Return runs by identifier: experiment, name, status, parameters and all metric rows."""
    runs = {}
    with sqlite3.connect(file) as store:
        query = (
            "SELECT r.run_uuid, e.name, r.name, r.status FROM runs r "
            "JOIN experiments e ON r.experiment_id = e.experiment_id"
        )
        for run, experiment, name, status in store.execute(query).fetchall():
            metrics = store.execute("SELECT step, key, value FROM metrics WHERE run_uuid = ?", (run,)).fetchall()
            parameters = dict(store.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)).fetchall())
            runs[run] = {
                "experiment": experiment, "name": name, "status": status, "params": parameters, "metrics": metrics
            }  # fmt: skip
    store.close()
    return runs


def by_step(rows):
    """Return scalars by step, refusing one that is there twice."""
    steps = {}
    for step, key, value in rows:
        assert key not in steps.setdefault(step, {}), f"{key} is twice at {step}"
        steps[step][key] = value
    return steps


READ_WANDB = '''
import json, sys
from pathlib import Path
from wandb.proto import wandb_internal_pb2

def records(file):
    """Read the log: after 7 bytes, blocks of 32 KiB with parts of records (4 bytes checksum, 2 length, 1 kind)."""
    content, position, whole = file.read_bytes(), 7, b""
    while position + 7 <= len(content):
        room = 32768 - position % 32768
        if room < 7:
            position += room
            continue
        length, kind = int.from_bytes(content[position + 4 : position + 6], "little"), content[position + 6]
        part = content[position + 7 : position + 7 + length]
        if kind == 0 or len(part) < length:  # nothing more, or what a kill left half-written
            return
        position += 7 + length
        whole = part if kind in (1, 2) else whole + part
        if kind in (1, 4):
            yield whole

found = []
for file in sorted(Path(sys.argv[1]).glob("wandb/offline-run-*/*.wandb")):
    rows, run = [], {}
    for data in records(file):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            config = {item.key: json.loads(item.value_json) for item in record.run.config.update}
            run = {"id": record.run.run_id, "group": record.run.run_group, "name": record.run.display_name,
                   "project": record.run.project, "config": config}
        if kind == "history":
            items = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            rows.append([record.history.step.num, items])
    found.append({**run, "rows": rows})
print(json.dumps(found))
'''


def stored_wandb(directory):
    """Return what the offline files of a run directory hold, oldest first."""
    done = subprocess.run(
        [sys.executable, "-c", READ_WANDB, str(directory)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def wandb_steps(attempts):
    rows = [
        (step, key, value)
        for attempt in attempts
        for step, items in attempt["rows"]
        for key, value in items.items()
        if not key.startswith("_") and key != "simulator_calls"
    ]
    return by_step(rows)


def train_and_kill(folder, *words):
    """Train until a third of the rows are there, then kill without warning."""
    process = subprocess.Popen(
        [*COMMAND, "train", *RUN, "budget=1000", *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    file = folder / "results" / "mine" / "ppo" / "seed_0" / "progress.csv"
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if file.exists() and file.read_text().count("\n") > 7:
            process.kill()
            process.communicate()
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_a_killed_run_continues_as_the_same_run_without_duplicates(tracker, tmp_path):
    words = [f"tracker={tracker}", "hydra.run.dir=results/mine/ppo/seed_0"]
    train_and_kill(tmp_path, *words)
    directory = tmp_path / "results" / "mine" / "ppo" / "seed_0"
    killed = json.loads((directory / f"{tracker}.json").read_text())
    command = [*COMMAND, "train", *RUN, "budget=1000", *words]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = progress(directory)
    assert len(expected) > 15
    if tracker == "mlflow":
        ((run_id, run),) = stored_mlflow(tmp_path / "results" / "mlflow.db").items()
        assert run_id == killed["run_id"]
        assert run["experiment"] == "mine"
        assert run["name"] == "ppo/seed_0"
        assert run["status"] == "FINISHED"
        assert run["params"]["algo.hidden_sizes"] == "[8]"
        assert run["params"]["env.lambda_part"] == "-20"
        assert by_step(run["metrics"]) == expected
    else:
        (run,) = stored_wandb(directory)
        assert run["id"] == killed["run_id"]
        assert (run["group"], run["name"], run["project"]) == ("mine", "ppo/seed_0", "bioppo")
        assert run["config"]["env"]["lambda_part"] == -20
        assert wandb_steps([run]) == expected


def test_a_sweep_is_a_group_in_one_store(tmp_path):
    words = ["tracker=mlflow", "budget=50", "algo.learning_rate=1e-3,2e-3", "seed=0"]
    parallel = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = subprocess.run(
        [*COMMAND, "sweep", *RUN, *words, *parallel], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    runs = stored_mlflow(tmp_path / "results" / "mlflow.db")
    directories = list((tmp_path / "results" / "sweeps").glob("*/*/seed_0"))
    assert len(runs) == len(directories) == 2
    assert {run["experiment"] for run in runs.values()} == {directories[0].parents[1].name}
    assert {run["name"] for run in runs.values()} == {"/".join(path.parts[-2:]) for path in directories}
    assert {run["params"]["algo.learning_rate"] for run in runs.values()} == {"0.001", "0.002"}
    assert all(
        by_step(runs[json.loads((path / "mlflow.json").read_text())["run_id"]]["metrics"]) == progress(path)
        for path in directories
    )


def test_a_run_that_fails_is_not_called_finished(tmp_path):
    code = (
        "import sys; from pathlib import Path; from contextlib import closing\n"
        "from bioppo.training.trackers import MLflowConfig, MLflowTracker\n"
        "directory = Path('study/variant/seed_0')\n"
        "tracker = MLflowTracker(MLflowConfig(uri='sqlite:///store.db'), directory, resumed_at=None)\n"
        "with closing(tracker):\n"
        "    tracker.log(0, {'a/b': 1.0})\n"
        "    raise KeyboardInterrupt\n"
    )
    directory = tmp_path / "study" / "variant" / "seed_0"
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text("env: {name: e}\nalgo: {name: a}\nseed: 0\nstudy: named\n")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False)
    (run,) = stored_mlflow(tmp_path / "store.db").values()
    assert run["status"] == "KILLED"
    assert run["experiment"] == "named"
    assert run["metrics"] == [(0, "a/b", 1.0)]


@pytest.mark.parametrize("tracker", ["tensorboard", "mlflow", "wandb"])
def test_a_package_that_is_missing_is_named(tracker, tmp_path):
    package = {"tensorboard": "torch.utils.tensorboard"}.get(tracker, tracker)
    code = (
        f"import sys; sys.modules[{package!r}] = None; from bioppo.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "train", *RUN, "budget=50", f"tracker={tracker}"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    sentence = f"bioppo: tracker={tracker} needs the package {tracker}: run `pip install 'bioppo[{tracker}]'`."
    assert done.stderr.splitlines() == [sentence]


def test_a_store_that_cannot_be_used_is_named(tmp_path):
    done = subprocess.run(
        [*COMMAND, "train", *RUN, "budget=50", "tracker=mlflow", "tracker.uri=nonsense://x"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "tracker.uri=nonsense://x: MLflow cannot use it" in done.stderr


def test_the_store_lies_in_the_results_folder(capsys):
    words = "train env=kinetic algo=ppo tracker=mlflow results=elsewhere --cfg job --resolve"
    assert main(words.split()) == 0
    assert "uri: sqlite:///elsewhere/mlflow.db" in capsys.readouterr().out
