"""What may happen to a process: kills, Ctrl-C, full disks, folders it may not write, and a second process."""

import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

RUN = (
    "train env=kinetic algo=ppo env.lambda_part=-20 env.num_envs=16 algo.batch_size=80 algo.hidden_sizes=[8] "
    "algo.n_epochs=2 budget=2400 evaluation.episodes=200 evaluation.every=500 checkpoint.seconds=0 device=cpu "
    "hydra.run.dir=run"
).split()
COMMAND = [sys.executable, "-m", "bioppo.cli.main"]


def outcome(directory):
    return {name: (directory / name).read_bytes() for name in ("progress.csv", "evaluations.csv", "result.json")}


def start(folder, *more, **options):
    return subprocess.Popen(
        [*COMMAND, *RUN, *more], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def wait_for_rows(folder, rows, process, seconds=120):
    """Wait until the run has written so many rows of progress."""
    end = time.monotonic() + seconds
    progress = folder / "run" / "progress.csv"
    while time.monotonic() < end and process.poll() is None:
        if progress.exists() and progress.read_text().count("\n") > rows:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {rows} rows after {seconds} s: {process.communicate()}")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    subprocess.run([*COMMAND, *RUN], cwd=folder, check=True, capture_output=True)
    return folder / "run"


def test_a_run_killed_at_random_moments_ends_like_an_unbroken_one(unbroken, tmp_path):
    generator = random.Random()
    rows = 0
    for _ in range(3):
        process = start(tmp_path)
        rows += generator.randint(1, 6)
        wait_for_rows(tmp_path, min(rows, 20), process)
        time.sleep(generator.uniform(0, 0.2))
        process.kill()
        process.communicate()
        assert not (tmp_path / "run" / "result.json").exists()
    process = start(tmp_path)
    output, error = process.communicate()
    assert process.returncode == 0, error
    assert "Continuing run at" in output
    assert outcome(tmp_path / "run") == outcome(unbroken)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_request_to_stop_saves_first(unbroken, tmp_path, number, status):
    process = start(tmp_path, "checkpoint.seconds=1000")
    wait_for_rows(tmp_path, 10, process)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status, error
    assert error.strip() == "bioppo: Stopped, and saved in run: the same command continues."
    kept = (tmp_path / "run" / "progress.csv").read_bytes()
    subprocess.run([*COMMAND, *RUN], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "run" / "progress.csv").read_bytes().startswith(kept)
    assert outcome(tmp_path / "run") == outcome(unbroken)


def test_a_full_disk_loses_nothing(unbroken, tmp_path):
    largest = max(path.stat().st_size for path in (unbroken / "checkpoints").iterdir())
    final = (unbroken / "evaluations.csv").stat().st_size
    size = (largest + final) // 2
    assert largest < size < final  # checkpoints fit, and the table of episodes does not

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    process = start(tmp_path, preexec_fn=limit)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2, error
    assert error.count("\n") == 1
    assert "File too large" in error
    assert "then run the same command to continue." in error
    assert "Traceback" not in error
    assert (tmp_path / "run" / "checkpoints" / "last.pt").exists()
    subprocess.run([*COMMAND, *RUN], cwd=tmp_path, check=True, capture_output=True)
    assert outcome(tmp_path / "run") == outcome(unbroken)
    assert not list((tmp_path / "run").rglob("*.tmp"))


def test_two_processes_do_not_share_a_directory(unbroken, tmp_path):
    first = start(tmp_path)
    wait_for_rows(tmp_path, 3, first)
    second = start(tmp_path)
    _, error = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "run is being trained by process" in error
    assert f"process {first.pid} on" in error
    first.communicate()
    assert first.returncode == 0
    assert outcome(tmp_path / "run") == outcome(unbroken)


def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    """Root may write anywhere, so the command runs as another user there; others lose the permission themselves."""
    folder = tmp_path / "shared"
    folder.mkdir()
    for parent in [folder, *folder.parents]:
        if parent.owner() == pathlib.Path.home().owner() and parent != pathlib.Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    code = (
        "import os, sys\n"
        "folder, words = sys.argv[1], sys.argv[2:]\n"
        "import bioppo.cli.main, bioppo.cli.train, bioppo.training.train, bioppo.training.display\n"
        "import bioppo.cli.mistakes, bioppo.envs.kinetic.environment, hydra._internal.hydra\n"
        "try:\n"
        "    bioppo.cli.main.main(words + ['--cfg', 'job'])\n"  # imports Hydra's plugins while it may
        "except SystemExit:\n"
        "    pass\n"
        "if os.geteuid() == 0:\n"
        "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "os.chdir(folder)\n"
        "sys.exit(bioppo.cli.main.main(words))\n"
    )
    if os.geteuid() != 0:
        folder.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), *RUN], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("bioppo: Cannot write ")
    assert "Permission denied" in done.stderr
    assert "choose another folder with results=FOLDER" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(folder.iterdir()) == []
