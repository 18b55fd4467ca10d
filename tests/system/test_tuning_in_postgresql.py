"""Two processes tune one study in a real PostgreSQL server, reached through a Unix socket."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

pytestmark = pytest.mark.system

SEARCH = """\
space:
  algo.learning_rate: {kind: float, low: 1.0e-4, high: 1.0e-2, log: true}
  algo.hidden_sizes: {kind: categorical, choices: [[8], [16, 8]]}
n_trials: 6
pruner: none
trial_budget: 600
top_k: 1
final_seeds: [1, 2]
"""

WORDS = (
    "tune search=shared env=kinetic algo=ppo env.lambda_part=-20 env.num_envs=8 algo.batch_size=20 budget=250 "
    "evaluation.episodes=12 evaluation.every=50 evaluation.baselines=false device=cpu --config-dir mine"
).split()


def binary(name):
    """Return the path of one of the server's programs, which Debian keeps out of PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(installed[-1]) if installed else None)
    assert found, f"PostgreSQL's {name} is missing: install the package postgresql"
    return found


def unprivileged(*words):
    """Run a program as nobody where we are root, whom the server refuses."""
    prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, *words], capture_output=True, text=True, check=False, cwd="/", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def server():
    """Start a server that listens on a socket alone; its path must be short."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
        data = f"{folder}/data"
        unprivileged(binary("initdb"), "-D", data, "-U", "tuner", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -k {folder} -c fsync=off"
        control = (binary("pg_ctl"), "-D", data, "-w")
        unprivileged(*control, "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://tuner@/postgres?host={urllib.parse.quote(folder, safe='')}"
        finally:
            unprivileged(*control, "-m", "immediate", "stop")


@pytest.fixture
def storage(server):
    """Open the server's storage here, and close its connections in the end."""
    storage = optuna.storages.RDBStorage(server)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


def start(folder, storage, *more):
    command = [sys.executable, "-m", "bioppo.cli.main", *WORDS, f"storage='{storage}'", *more]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_share_a_study_in_postgresql(server, storage, tmp_path):
    (tmp_path / "mine" / "search").mkdir(parents=True)
    (tmp_path / "mine" / "search" / "shared.yaml").write_text(SEARCH)
    processes = [start(tmp_path, server) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    (directory,) = tmp_path.glob("results/tune/*")
    study = optuna.load_study(study_name=directory.name, storage=storage)
    trials = study.get_trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    assert len({json.dumps(trial.params) for trial in trials}) == 6
    owners = {path.read_text().split()[1] for path in directory.glob("trials/*/seed_0/lock")}
    assert owners == {str(process.pid) for process in processes}
    best = json.loads((directory / "best.json").read_text())
    assert best["trial"] == study.best_trial.number
    assert list(best["scores"]) == ["1", "2"]
    assert not (directory / "study.journal").exists()

    # With more trials a third call goes on with the same study, whose directory knows nothing but its number.
    more = start(tmp_path, server, "n_trials=7", "display=off")
    output, error = more.communicate(timeout=300)
    assert (more.returncode, output) == (0, ""), error
    assert len(study.get_trials()) == 7

    # Another results folder must not continue it: the runs are here.
    elsewhere = start(tmp_path, server, "results=elsewhere")
    _, error = elsewhere.communicate(timeout=300)
    assert elsewhere.returncode == 2
    assert "does not belong to elsewhere/tune/" in error
    assert error.count("\n") == 1
