import fcntl
import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from bioppo import UserError
from bioppo.cli.status import duration
from bioppo.cli.status import main as status
from bioppo.configs.saved import read_config
from bioppo.reports.status import TAIL, job_statuses, last_rows, time_left
from bioppo.training.run_directory import RunDirectory

PROGRESS = "update,simulator_calls\n0,0\n1,100\n2,250\n"
TIMING = """update,simulator_calls,update_seconds,evaluation_seconds
0,0,0.0,9.0
1,100,1.0,0.0
2,200,2.0,0.0
3,300,6.0,3.0
"""


HOLD = """
import fcntl, sys
with open(sys.argv[1], "a") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def locked():
    """Return a function that has another process lock a file until the test ends."""
    processes = []

    def lock(path):
        command = [sys.executable, "-c", HOLD, str(path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "held\n"

    yield lock
    for process in processes:
        process.communicate(timeout=60)


def every_state(study, locked):
    study.run("done", result={"last/incidence": 0.5}, progress=PROGRESS)
    (study.run("alive", progress=PROGRESS) / "timing.csv").write_text(TIMING)
    (study.path / "alive" / "seed_0" / "lock").write_text("process 1 on there")
    locked(study.path / "alive" / "seed_0" / "lock")
    study.run("broken", progress=PROGRESS, failure="NotFinite")
    (study.run("halted", 3, progress=PROGRESS) / "lock").write_text("process 1 on there")
    study.describe(("done", 0), ("never", 7), ("alive", 0), ("broken", 0))


def test_every_state(study, locked, capsys):
    every_state(study, locked)
    assert status([str(study.path)]) == 1
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "run state budget left",
        "done/seed_0 finished 100 %",
        "never/seed_7 missing 0 %",
        # 700 calls at 100 an update, of 2 s (the median) and 1 s of evaluation each (3 s over three updates).
        "alive/seed_0 running 25 % 21 s",
        "broken/seed_0 failed 25 % NotFinite: something",
        "halted/seed_3 stopped 25 %",
        "5 jobs: 1 finished, 1 running, 1 failed, 1 stopped, 1 missing",
    ]
    # Nothing was written into the lock, which tells who holds it.
    assert (study.path / "alive" / "seed_0" / "lock").read_text() == "process 1 on there"


def test_json(study, locked, capsys):
    every_state(study, locked)
    assert status([str(study.path), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["counts"] == {"finished": 1, "running": 1, "failed": 1, "stopped": 1, "missing": 1}
    assert printed["jobs"][2] == {
        "directory": "alive/seed_0",
        "variant": "alive",
        "seed": 0,
        "state": "running",
        "share": 0.25,
        "seconds_left": 21.0,
        "message": "",
    }


def test_all_finished(study, capsys):
    path = study.run("done", result={"last/incidence": 0.5})
    assert status([str(study.path)]) == 0
    assert status([str(path)]) == 0
    assert "seed_0  finished" in capsys.readouterr().out


def test_the_lock_is_the_one_that_training_holds(study):
    path = study.run("a", progress=PROGRESS)
    with RunDirectory.open(path, read_config(path)):
        (path / "failure.json").write_text("{}")
        assert job_statuses(study.path)[0].state == "running"
        (path / "config.yaml").rename(path / "aside")
        study.describe(("a", 0))
        assert job_statuses(study.path)[0].state == "running"
    assert job_statuses(study.path)[0].state == "missing"


def test_asking_does_not_look_like_training(study, tmp_path):
    path = study.run("a", progress=PROGRESS)
    (path / "lock").write_text("")
    with (path / "lock").open("rb") as another_status:
        fcntl.flock(another_status, fcntl.LOCK_SH)
        assert job_statuses(study.path)[0].state == "stopped"


def test_damaged_files_are_a_status_and_not_an_end(study):
    (study.run("a") / "config.yaml").write_text("env: {")
    (study.run("b", failure="x") / "failure.json").write_text("{")
    study.run("c", progress="update,simulator_calls\n1,100\n2,2")
    a, b, c = job_statuses(study.path)
    assert (a.state, b.state) == ("failed", "failed")
    assert "config.yaml is half-written" in a.message
    assert "failure.json is half-written" in b.message
    # The last row was not written to its end.
    assert c.share == 0.1


def test_long_messages_are_shortened_in_lines_alone(study, capsys):
    message = "word " * 100
    (study.run("a", failure="x") / "failure.json").write_text(json.dumps({"error": "E", "message": message}))
    status([str(study.path)])
    assert max(map(len, capsys.readouterr().out.splitlines())) < 130
    assert job_statuses(study.path)[0].message == f"E: {message}".strip()


def test_the_end_of_a_long_table_is_its_end(tmp_path):
    file = tmp_path / "timing.csv"
    count = TAIL // 4
    file.write_text("update,x\n" + "".join(f"{row},\n" for row in range(count)))
    rows = last_rows(file)
    assert rows[-1] == {"update": count - 1}
    assert [row["update"] for row in rows] == list(range(count - len(rows), count))
    assert 0 < len(rows) < count
    assert last_rows(tmp_path / "none.csv") == []


def test_time_left_is_unknown_before_the_first_update():
    row = {"update": 0, "simulator_calls": 0, "update_seconds": 0.0}
    assert time_left([], 100) is None
    assert time_left([row], 100) is None
    after = {"update": 1, "simulator_calls": 100, "update_seconds": 2.0}
    assert time_left([row, after], 250) == 4.0
    assert time_left([row, after], 50) == 0


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3599, "1 h 0 min"), (12000, "3 h 20 min"), (190000, "2 d 5 h")],
)
def test_durations(seconds, written):
    assert duration(seconds) == written


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], r"the following arguments are required: DIR; see `bioppo status --help`\."),
        (["{study}/nowhere"], r"nowhere: no such directory"),
        (["{study}"], r"study: holds no run and no study\.json; give a directory"),
    ],
)
def test_mistakes(study, arguments, sentence):
    study.path.mkdir()
    with pytest.raises(UserError, match=sentence):
        status([argument.format(study=study.path) for argument in arguments])


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"study": null}',
        '{"jobs": [{"variant": "a"}]}',
        '{"jobs": [], "reference": {"source": "x", "rows": [{}]}}',
    ],
)
def test_a_damaged_study(study, content):
    study.path.mkdir()
    (study.path / "study.json").write_text(content)
    with pytest.raises(UserError, match=r"study\.json(: \w+Error .*repeat the sweep's command| is half-written)"):
        job_statuses(study.path)


def test_five_hundred_runs_in_five_seconds(study):
    first = study.run("0", progress=PROGRESS)
    (first / "timing.csv").write_text(TIMING)
    (first / "lock").write_text("")
    for number in range(1, 500):
        shutil.copytree(first, study.path / str(number) / "seed_0")
    started = time.perf_counter()
    assert len(job_statuses(study.path)) == 500
    assert time.perf_counter() - started < 5
    assert sorted(os.listdir(first)) == ["config.yaml", "lock", "progress.csv", "provenance.json", "timing.csv"]
