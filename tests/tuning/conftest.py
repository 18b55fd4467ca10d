"""A search of seconds, run by the real command."""

import subprocess
import sys
from pathlib import Path

import pytest

SPACE = """\
space:
  algo.learning_rate: {kind: float, low: 1.0e-4, high: 1.0e-2, log: true}
  algo.n_epochs: {kind: int, low: 1, high: 3}
  algo.hidden_sizes: {kind: categorical, choices: [[8], [16, 8]]}
"""

SMALL = SPACE + "n_trials: 3\ntrial_budget: 200\ntop_k: 2\nfinal_seeds: [1, 2]\n"

WORDS = (
    "env=kinetic algo=ppo env.lambda_part=-20 env.num_envs=8 algo.batch_size=20 budget=250 evaluation.episodes=12 "
    "evaluation.every=50 evaluation.baselines=false checkpoint.seconds=0 device=cpu --config-dir mine"
).split()

COMMAND = [sys.executable, "-m", "bioppo.cli.main", "tune", *WORDS]


@pytest.fixture
def run_words():
    """Return the overrides that make a run small, and the folder of searches."""
    return WORDS


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Enter a folder of this test's own; returns a function that writes ``mine/search/<name>.yaml``."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine" / "search"
    folder.mkdir(parents=True)

    def write(name="small", text=SMALL):
        (folder / f"{name}.yaml").write_text(text)
        return f"search={name}"

    return write


@pytest.fixture
def tune():
    """Return a function that runs a search in this process and returns its directory."""
    from bioppo.cli import tune as command

    def run(*words, without=()):
        kept = [word for word in WORDS if word not in without]
        assert command.main([*kept, *words]) == 0
        results = next((word.partition("=")[2] for word in words if word.startswith("results=")), "results")
        (directory,) = Path(results, "tune").iterdir()
        return directory

    return run


@pytest.fixture
def start_search():
    """Return a function that starts the command in a process of its own; what still lives at the end is killed."""
    started = []

    def start(*words):
        process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def read_trials():
    """Return a function that reads all trials of a study's journal."""
    import optuna

    from bioppo.tuning.storage import open_storage

    def read(directory):
        return optuna.load_study(study_name=directory.name, storage=open_storage(None, directory)).get_trials()

    return read
