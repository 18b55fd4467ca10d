"""Studies: rows times seeds in fixed directories, under any launcher, whatever happens in between."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bioppo.cli.main import main
from bioppo.cli.sweeper import Job, read_reference, write_study
from bioppo.training.devices import spread

STUDY = """# @package _global_
# Four learning rates.
defaults:
  - override /env: kinetic
  - override /algo: ppo
study: rates
budget: 250
evaluation: {episodes: 12, every: 100, baselines: false}
checkpoint: {seconds: 0}
device: cpu
env: {num_envs: 8, lambda_part: -20}
algo: {n_steps: 5, batch_size: 20, n_epochs: 2, hidden_sizes: [8]}
hydra:
  mode: MULTIRUN
  sweep:
    dir: ${results}/${study}
    subdir: ${variant}/seed_${seed}
  sweeper:
    params:
      +ablation/rates: glob(*)
      seed: 0,1,2
    reference: REFERENCE
"""
REFERENCE = "source: Somebody et al. 2024\nrows:\n  - {variant: theirs, incidence: 0.5}\n"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Lay out a user's folder with a study of four rows and three seeds."""
    monkeypatch.chdir(tmp_path)
    rows = tmp_path / "mine" / "ablation" / "rates"
    rows.mkdir(parents=True)
    for number, rate in enumerate(("1e-4", "3e-4", "1e-3", "3e-3")):
        text = f"# @package _global_\nvariant: row_{number}\nalgo: {{learning_rate: {rate}}}\n"
        (rows / f"row_{number}.yaml").write_text(text)
    (tmp_path / "mine" / "study").mkdir()
    (tmp_path / "reference.yaml").write_text(REFERENCE)
    (tmp_path / "mine" / "study" / "rates.yaml").write_text(STUDY.replace("REFERENCE", "reference.yaml"))
    return tmp_path


SWEEP = "sweep study=rates --config-dir mine display=off".split()


def tables(folder, results="results"):
    assert main(["table", f"{results}/rates", "--format", "csv", "--output", "out"]) == 0
    return (folder / "out" / "table.csv").read_text()


def outcomes(directory):
    files = sorted(directory.glob("row_*/seed_*/result.json")) + sorted(directory.glob("row_*/seed_*/progress.csv"))
    return {str(file.relative_to(directory)): file.read_bytes() for file in files}


def test_a_study_killed_under_every_launcher_ends_like_an_unbroken_one(study, capfd):
    assert main([*SWEEP, "results=unbroken"]) == 0
    launchers = (
        [],
        ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
    )
    done = 0
    for launcher in launchers:
        command = [sys.executable, "-m", "bioppo.cli.main", *SWEEP, *launcher]
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        target = done + random.randint(1, 3)
        wait_until(lambda: len(list((study / "results").rglob("result.json"))) >= target or process.poll() is not None)  # noqa: B023
        kill_all(process)
        done = len(list((study / "results").rglob("result.json")))
        assert done < 12
    capfd.readouterr()
    assert main([*SWEEP, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]) == 0
    assert f"12 jobs, {done} already finished" in capfd.readouterr().out
    assert outcomes(study / "results" / "rates") == outcomes(study / "unbroken" / "rates")
    assert len(outcomes(study / "results" / "rates")) == 24
    assert tables(study) == tables(study, "unbroken")


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def kill_all(process):
    """Kill the command with every process it started, wherever these have put themselves."""
    import psutil

    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
    psutil.wait_procs(family)


def test_a_finished_study_is_passed_over_and_described(study, capfd):
    assert main([*SWEEP, "seed=0"]) == 0
    capfd.readouterr()
    assert main([*SWEEP, "seed=0,1", "+ablation/rates=row_0"]) == 0
    assert "2 jobs, 1 already finished" in capfd.readouterr().out
    content = json.loads((study / "results" / "rates" / "study.json").read_text())
    assert content["study"] == "rates"
    assert content["reference"]["source"] == "Somebody et al. 2024"
    assert [job["directory"] for job in content["jobs"]] == [
        "row_0/seed_0", "row_1/seed_0", "row_2/seed_0", "row_3/seed_0", "row_0/seed_1",
    ]  # fmt: skip


def test_a_failing_row_is_named_and_the_others_go_on(study, capfd):
    (study / "mine" / "ablation" / "rates" / "row_1.yaml").write_text(
        "# @package _global_\nvariant: row_1\nalgo: {batch_size: 7}\n"
    )
    assert main([*SWEEP, "seed=0"]) == 2
    captured = capfd.readouterr()
    assert "3 of 4 jobs finished" in captured.out
    assert "1 of 4 jobs failed; the same command tries them again. row_1 seed 0: algo.batch_size=7" in captured.err
    assert "batch_size=7" in json.loads((study / "results/rates/row_1/seed_0/failure.json").read_text())["message"]
    (study / "mine" / "ablation" / "rates" / "row_1.yaml").write_text(
        "# @package _global_\nvariant: row_1\nalgo: {learning_rate: 1e-5}\n"
    )
    # What was tried under row_1 before has another config; nothing of it is worth keeping.
    assert main([*SWEEP, "seed=0"]) == 2
    assert "row_1/seed_0 holds a run of another config" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["+ablation/rates=row_9"], "ablation/rates=row_9 does not exist: did you mean row_"),
        (["study=rate"], "study=rate does not exist: did you mean rates"),
        (["algo.gama=1"], "There is no key 'algo.gama': did you mean algo.gamma"),
        (["algo.gamma=0.9,1.5"], "algo.gamma=1.5: give a value of at most 1."),
        (["hydra.sweeper.reference=lost.yaml"], "hydra.sweeper.reference=lost.yaml: there is no such file"),
        (["hydra.sweep.subdir=same"], "Several jobs would train in"),
    ],
)
def test_mistakes_are_found_before_any_job_runs(study, capfd, words, sentence):
    assert main([*SWEEP, *words]) == 2
    assert sentence in capfd.readouterr().err
    assert not list(study.rglob("config.yaml"))


def test_a_finished_run_of_another_config_is_refused_before_any_job_runs(study, capfd):
    assert main([*SWEEP, "seed=0", "+ablation/rates=row_0"]) == 0
    assert main([*SWEEP, "seed=0", "env.horizon=4"]) == 2
    error = capfd.readouterr().err
    assert "results/rates/row_0/seed_0 holds a finished run of another config (env.horizon differ)" in error
    assert len(list(study.rglob("result.json"))) == 1


def test_an_interrupted_sweep_stops_as_a_whole(study):
    process = subprocess.Popen(
        [sys.executable, "-m", "bioppo.cli.main", *SWEEP], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: list((study / "results").rglob("progress.csv")) or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "of 12 jobs finished" in output


def test_gpus_are_shared_by_job_number():
    assert [spread("auto", job, 4) for job in range(6)] == ["cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:0", "cuda:1"]
    assert [spread("cuda", job, 2) for job in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert [spread(device, 3, 4) for device in ("cpu", "cuda:1")] == ["cpu", "cuda:1"]
    assert [spread("auto", 3, n) for n in (0, 1)] == ["auto", "auto"]


def test_earlier_jobs_stay_in_the_description(tmp_path):
    jobs = [Job([], f"row_{number}", 0, tmp_path / f"row_{number}" / "seed_0") for number in range(3)]
    write_study(tmp_path, None, jobs[:2], None)
    write_study(tmp_path, None, jobs[1:], None)
    content = json.loads((tmp_path / "study.json").read_text())
    assert [job["variant"] for job in content["jobs"]] == ["row_0", "row_1", "row_2"]
    assert content["reference"] is None


def test_reference_rows_are_checked(tmp_path):
    from bioppo import UserError

    (tmp_path / "r.yaml").write_text("rows: []")
    with pytest.raises(UserError, match="needs the keys source and rows"):
        read_reference(str(tmp_path / "r.yaml"))
    assert read_reference(None) is None


@pytest.mark.parametrize(
    "name", [path.stem for path in (Path(__file__).parents[2] / "configs" / "study").glob("*.yaml")]
)
def test_every_shipped_study_composes(name, capsys):
    assert main(["train", f"study={name}", "--cfg", "job"]) == 0
    assert f"study: {name}" in capsys.readouterr().out
