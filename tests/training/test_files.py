import subprocess
import sys

import numpy as np
import pytest
import torch

from bioppo import UserError
from bioppo.configs.saved import read_config
from bioppo.storage.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from bioppo.training.random_state import (
    global_states,
    preserved_random_state,
    seed_for,
    seed_global_states,
    set_global_states,
)
from bioppo.training.run_directory import RunDirectory, storage_error
from bioppo.training.table_file import TableFile

CONFIG = {"env": {"name": "kinetic", "horizon": 5}, "algo": {"name": "ppo"}, "seed": 0, "budget": 10, "evaluation": {}}


def test_a_checkpoint_gives_back_what_was_written(tmp_path, bitwise_same):
    content = {
        "array": np.arange(6.0).reshape(2, 3),
        "flags": np.array([True, False]),
        "scalar_array": np.array(3.5),
        "empty": np.zeros((0, 24)),
        "tensor": torch.arange(3),
        "nested": {"list": [1, 2.5, None, "text"], 0: {"step": torch.tensor(1.0)}},
        "large": 2**62,
        "number": 0.1 + 0.2,
    }
    write_checkpoint(tmp_path / "c.pt", content)
    back = read_checkpoint(tmp_path / "c.pt")
    assert bitwise_same(content, back)
    assert back["array"].dtype == np.float64
    assert isinstance(back["flags"], np.ndarray)
    assert back["scalar_array"].shape == ()
    assert list(tmp_path.iterdir()) == [tmp_path / "c.pt"]


def test_a_checkpoint_refuses_what_would_need_pickle(tmp_path):
    with pytest.raises(TypeError, match="not Generator"):
        write_checkpoint(tmp_path / "c.pt", {"generator": np.random.default_rng()})


def test_any_damage_to_the_data_is_noticed(tmp_path, bitwise_same):
    path = tmp_path / "c.pt"
    content = {"array": np.random.default_rng(0).normal(size=2000)}
    write_checkpoint(path, content)
    good = path.read_bytes()
    noticed = 0
    for position in range(0, len(good), 97):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :])
        try:
            back = read_checkpoint(path)
        except CheckpointError:
            noticed += 1
        else:
            assert bitwise_same(content, back)  # a byte that carries nothing, such as padding
    assert noticed > 100
    for length in (0, 1, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(CheckpointError, match="damaged"):
            read_checkpoint(path)


def test_a_table_grows_in_rows_and_columns_and_can_be_cut_back(tmp_path):
    table = TableFile(tmp_path / "t.csv")
    table.append({"update": 0, "a": 0.1})
    position = table.position()
    before = (tmp_path / "t.csv").read_bytes()
    table.append({"update": 1, "b": None, "c": 2.0})
    table.extend([{"update": 2, "a": 1e-300}, {"c": True}])
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "update,a,b,c", "0,0.1,,", "1,,,2.0", "2,1e-300,,", ",,,1",
    ]  # fmt: skip
    with (tmp_path / "t.csv").open("a") as file:
        file.write("4,0.")  # as a kill leaves it
    table.cut(position)
    assert (tmp_path / "t.csv").read_bytes() == before
    table.cut({"columns": [], "n_rows": 0})
    assert not (tmp_path / "t.csv").exists()


def test_a_directory_holds_one_config(tmp_path):
    with RunDirectory.open(tmp_path / "run", CONFIG):
        pass
    assert read_config(tmp_path / "run") == CONFIG
    with RunDirectory.open(tmp_path / "run", CONFIG | {"device": "cuda", "display": "off"}):
        pass
    other = CONFIG | {"env": {"name": "kinetic", "horizon": 7}, "budget": 20}
    with pytest.raises(UserError, match=r"budget is 10 there and 20 here; env.horizon is 5 there and 7 here"):
        RunDirectory.open(tmp_path / "run", other)
    with pytest.raises(UserError, match=r"algo.extra is absent there and 1 here"):
        RunDirectory.open(tmp_path / "run", CONFIG | {"algo": {"name": "ppo", "extra": 1}})
    assert read_config(tmp_path / "run") == CONFIG


def test_a_directory_has_one_process(tmp_path):
    code = (
        "import sys; from pathlib import Path; from bioppo.training.run_directory import RunDirectory\n"
        f"RunDirectory.open(Path(sys.argv[1]), {CONFIG!r})"
    )
    with RunDirectory.open(tmp_path, CONFIG):
        there = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert there.returncode == 1
    assert "is being trained by process" in there.stderr
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


@pytest.mark.parametrize("content", ["", "env: [", "text"])
def test_a_broken_config_is_named(tmp_path, content):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(UserError, match=r"config.yaml is half-written"):
        read_config(tmp_path)


def test_a_folder_without_config_is_no_run(tmp_path):
    with pytest.raises(UserError, match="is not a run directory"):
        read_config(tmp_path)


def test_previous_serves_when_last_is_broken(tmp_path):
    notes = []
    with RunDirectory.open(tmp_path, CONFIG) as run:
        assert run.restore(notes.append) is None
        for number in range(3):
            run.tables["progress"].append({"update": number})
            run.save({"number": number})
        run.tables["progress"].append({"update": 3})
        assert run.restore(notes.append)["number"] == 2
        assert notes == []
        (tmp_path / "checkpoints" / "last.pt").write_bytes(b"half")
        assert run.restore(notes.append)["number"] == 1
        assert (tmp_path / "progress.csv").read_text() == "update\n0\n1\n"
        assert "last.pt is damaged" in notes[0]
        assert "Continuing from previous.pt instead" in notes[0]
        (tmp_path / "checkpoints" / "previous.pt").unlink()
        assert run.restore(notes.append) is None
        assert not (tmp_path / "progress.csv").exists()


def test_storage_errors_say_what_to_do(tmp_path):
    for number, words in ((28, "free space"), (30, "results=FOLDER"), (13, "permission"), (27, "limit on file sizes")):
        import os

        text = str(storage_error(OSError(number, os.strerror(number), str(tmp_path)), tmp_path))
        assert words in text
        assert str(tmp_path) in text


def test_random_states_are_kept_and_set():
    import random

    def draw():
        return random.random(), np.random.random(), float(torch.rand(()))  # noqa: NPY002

    seed_global_states(3)
    states = global_states()
    first = draw()
    set_global_states(states)
    assert draw() == first
    seed_global_states(3)
    with preserved_random_state():
        draw()
    assert draw() == first
    assert len({seed_for(seed, purpose) for seed in range(3) for purpose in ("test", "validation", "learner")}) == 9
