"""Sweeps on a real SLURM of one node, and on Ray in an environment of its own, give the results of a local run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
SWEEP = (
    "sweep env=kinetic algo=ppo seed=0,1 budget=300 evaluation.episodes=12 env.lambda_part=-20 env.num_envs=8 "
    "algo.batch_size=20 algo.hidden_sizes=[8] device=cpu display=off"
).split()


def results(folder):
    files = sorted(folder.glob("results/sweeps/*/*/seed_*/result.json"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def run(command, folder, *more, **environment):
    options = {"capture_output": True, "text": True, "timeout": 600, "check": False}
    done = subprocess.run([*command, *SWEEP, *more], cwd=folder, env=os.environ | environment, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    run([sys.executable, "-m", "bioppo.cli.main"], folder)
    assert len(results(folder)) == 2
    return results(folder)


@pytest.fixture
def slurm():
    """Start a SLURM of this machine in a folder with a short name, as sockets need."""
    script = ROOT / "tests" / "system" / "slurm.sh"
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    started = subprocess.run([script, "start", folder], capture_output=True, text=True, check=False, timeout=60)
    assert started.returncode == 0, started.stderr
    yield started.stdout.strip().splitlines()[-1]
    subprocess.run([script, "stop", folder], check=True, timeout=60)


def test_slurm_gives_the_results_of_a_local_run(slurm, local, tmp_path):
    options = ["hydra.launcher.timeout_min=5", "hydra.launcher.mem_gb=null", "hydra.launcher.cpus_per_task=1"]
    command = [sys.executable, "-m", "bioppo.cli.main"]
    shown = run(command, tmp_path, "hydra/launcher=submitit_slurm", *options, SLURM_CONF=slurm)
    assert "2 of 2 jobs finished" in shown
    assert "Submitit 'slurm'" in shown
    assert results(tmp_path) == local


def test_ray_gives_the_results_of_a_local_run(local, tmp_path):
    """Ray's launcher wants an older cloudpickle than joblib does: it lives in an environment of its own."""
    python = ROOT / ".venv-ray" / "bin" / "python"
    assert python.exists(), "make .venv-ray as docs/sweeps.md says"
    shown = run([str(python), "-m", "bioppo.cli.main"], tmp_path, "hydra/launcher=ray")
    assert "2 of 2 jobs finished" in shown
    assert results(tmp_path) == local
