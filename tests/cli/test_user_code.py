"""Environments and algorithms that are not in the package: Gymnasium's, and a user's own in a folder."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import bioppo
from bioppo.cli.main import main
from bioppo.training.build import plain

EXAMPLE = Path(bioppo.__path__[0]) / "examples" / "own_environment"
CHECKOUT = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are in a checkout only")
TANK = (
    "env=tank env.num_envs=4 algo=hill_climbing budget=4000 evaluation.episodes=4 evaluation.every=1000 device=cpu "
    "checkpoint.seconds=0 results=runs"
).split()
COMMAND = [sys.executable, "-m", "bioppo.cli.main"]


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Put the worked example into a folder of this test's own, and forget its modules afterwards."""
    shutil.copytree(EXAMPLE, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path / "mine"
    for name in ("tank", "hill_climbing", "broken"):
        sys.modules.pop(name, None)


def rows(file):
    with file.open() as lines:
        return list(csv.DictReader(lines))


def wait_for_rows(file, count, process):
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        if file.exists() and file.read_text().count("\n") > count:
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate())


@CHECKOUT
def test_the_worked_example_trains_continues_and_is_tabled(example, tmp_path, bioppo):
    unbroken = bioppo("train", "--config-dir", "mine", *TANK, "hydra.run.dir=unbroken")
    assert unbroken.returncode == 0, unbroken.stderr
    progress = rows(tmp_path / "unbroken" / "progress.csv")
    returns = [float(row["evaluation/episode_return"]) for row in progress if row["evaluation/episode_return"]]
    assert returns[-1] > returns[0] + 5  # g/L; it begins with a closed tap, which harvests nothing
    words = [*COMMAND, "train", "--config-dir", "mine", *TANK]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    variants = tmp_path / "runs" / "adhoc"
    while process.poll() is None and not list(variants.glob("tank-hill_climbing-*/seed_0")):
        time.sleep(0.01)
    (run,) = variants.glob("tank-hill_climbing-*/seed_0")
    wait_for_rows(run / "progress.csv", 6, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (run / "result.json").exists()
    continued = bioppo("train", "--config-dir", "mine", *TANK)
    assert "Continuing" in continued.stdout, continued.stderr
    for name in ("progress.csv", "evaluations.csv", "result.json"):
        assert (run / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()
    assert bioppo("table", "runs/adhoc").returncode == 0
    assert "hill_climbing" in (variants / "table.md").read_text()
    there = bioppo("evaluate", str(run), "--episodes", "4", "--json", "--config-dir", "mine")
    assert json.loads(there.stdout)["episode_length"] == 48
    # Without the present folder on Python's own path, as with the installed command.
    words = [sys.executable, "-P", "-m", "bioppo.cli.main", "evaluate", str(run), "--episodes", "4", "--json"]
    beside = subprocess.run(words, cwd=tmp_path / "mine", capture_output=True, text=True, check=True)
    assert json.loads(beside.stdout)["episode_return"] == json.loads(there.stdout)["episode_return"]
    elsewhere = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "name the folder that holds it with --config-dir FOLDER" in elsewhere.stderr


@CHECKOUT
def test_ppo_trains_in_a_users_environment_and_the_config_comes_back(example, tmp_path):
    words = "env=tank env.num_envs=4 algo=ppo algo.n_steps=64 budget=256 evaluation.episodes=4 display=off device=cpu"
    assert main(["train", "--config-dir", "mine", *words.split()]) == 0
    (run,) = (tmp_path / "results").glob("adhoc/tank-ppo-*/seed_0")
    from bioppo.configs.saved import read_config
    from bioppo.configs.schema import to_run_config

    config = to_run_config(read_config(run))
    assert config.env.half_saturation == 0.5
    assert plain(config) == read_config(run)
    assert json.loads((run / "provenance.json").read_text())["environment"]["class"] == "tank.TankEnv"


@CHECKOUT
def test_a_sweep_of_user_code_trains_in_other_processes_too(example, tmp_path, bioppo):
    short = [word for word in TANK if not word.startswith("budget")]
    words = ["sweep", "--config-dir", "mine", *short, "budget=400", "seed=0,1"]
    done = bioppo(*words, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs" / "sweeps").glob("tank-hill_climbing-*/*/seed_*/result.json"))) == 2


MISTAKES = {
    "env=tank env.horizn=3": "There is no key 'env.horizn': did you mean env.horizon",
    "env=tank +env.colour=red": "tank.TankEnv does not take the options of its YAML: got an unexpected keyword",
    "env=tank env.num_envs=0": "env.num_envs=0: give a whole number of at least 1.",
    "env=tank env._target_=tank.TankEnvv": "_target_=tank.TankEnvv cannot be imported (AttributeError",
    "env=tank env._target_=tonk.TankEnv": "_target_=tonk.TankEnv cannot be imported (ModuleNotFoundError",
    "env=tank env._target_=broken.TankEnv": "_target_=broken.TankEnv cannot be imported (ZeroDivisionError",
    "env=tank env._target_=envs.kinetic.environment.KineticVectorEnv": "write bioppo.envs.kinetic",
    "env=tank ~algo.patience algo=hill_climbing": "patience is missing: give it in the YAML file",
    "env=gymnasium": "env.id is missing: write env.id=ID, such as env.id=Pendulum-v1.",
    "env=gymnasium env.id=Pendulun-v1": "env.id=Pendulun-v1 cannot be made",
    "env=gymnasium env.id=Pendulum-v1 +env.kwargs.h=1": "env.id=Pendulum-v1 cannot be made (TypeError",
    "env=gymnasium env.id=Pendulum-v1 env.num_envs=7": "algo.batch_size=64 does not divide the 2044 transitions",
}


@CHECKOUT
@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_in_user_code_is_one_sentence(line, example, tmp_path, capfd):
    (example / "broken.py").write_text("1 / 0\n")
    words = "env=tank algo=ppo algo.n_steps=64 display=off device=cpu budget=10 evaluation.episodes=2".split()
    if "gymnasium" in line:
        words.remove("algo.n_steps=64")
    chosen = {word.partition("=")[0] for word in line.split()}
    words = [word for word in words if word.partition("=")[0] not in chosen]
    if "hill_climbing" in line:
        words.remove("algo.n_steps=64")
        (example / "algo" / "hill_climbing.yaml").write_text(
            "_target_: hill_climbing.HillClimbing\nn_steps: 4\nstep_size: 0.1\n"
        )
        line = line.replace("~algo.patience ", "")
    assert main(["train", "--config-dir", "mine", *words, *line.split()]) == 2
    error = capfd.readouterr().err
    assert len(error.splitlines()) == 1, error
    assert MISTAKES.get(line, "patience is missing: give it in the YAML file") in error


def gymnasium_env(**options):
    return bioppo.make_env("gymnasium", **({"id": "CartPole-v1", "num_envs": 3} | options))


def play(environment, steps, seed=1):
    """Return what fixed random actions lead to."""
    generator = np.random.default_rng(seed)
    seen = []
    for _ in range(steps):
        space = environment.single_action_space
        if hasattr(space, "n"):
            actions = generator.integers(space.n, size=environment.num_envs)
        else:
            actions = generator.uniform(space.low, space.high, (environment.num_envs, *space.shape)).astype(np.float32)
        seen.append(environment.step(actions)[:4])
    return seen


def assert_equal_plays(one, other):
    for parts, there in zip(one, other, strict=True):
        for part, part_there in zip(parts, there, strict=True):
            np.testing.assert_array_equal(part, part_there)


@pytest.mark.parametrize("identifier", ["CartPole-v1", "Pendulum-v1"])
def test_a_gymnasium_environment_continues_in_the_middle_of_its_episodes(identifier, tmp_path):
    from bioppo.storage.checkpoint import read_checkpoint, write_checkpoint

    environment = gymnasium_env(id=identifier)
    environment.reset()
    play(environment, 57)
    assert environment.simulator_calls == 3 * 57
    assert environment.state["elapsed_steps"].max() > 0
    write_checkpoint(tmp_path / "c.pt", environment.get_state())
    expected = play(environment, 260, seed=2)
    other = gymnasium_env(id=identifier, seed=8)
    other.reset()
    other.set_state(read_checkpoint(tmp_path / "c.pt"))
    assert other.simulator_calls == 3 * 57
    assert_equal_plays(expected, play(other, 260, seed=2))
    changed = read_checkpoint(tmp_path / "c.pt")
    changed["state"]["episode_seed"] += 1
    with pytest.raises(bioppo.UserError, match="does not repeat an episode from its seed and actions"):
        gymnasium_env(id=identifier).set_state(changed)


def test_copies_and_splits_have_episodes_of_their_own():
    starts = {
        tuple(row)
        for split in ("train", "validation", "test")
        for row in gymnasium_env(split=split).reset()[0].tolist()
    }
    assert len(starts) == 9
    np.testing.assert_array_equal(gymnasium_env().reset()[0][0], gymnasium_env(num_envs=7).reset()[0][0])


def test_observations_are_those_of_the_environment_itself():
    import gymnasium

    environment = gymnasium_env(num_envs=1)
    observation, _ = environment.reset()
    single = gymnasium.make("CartPole-v1")
    expected, _ = single.reset(seed=int(environment.state["episode_seed"][0]))
    np.testing.assert_array_equal(observation[0], expected)
    ended = False
    while not ended:
        observation, reward, terminated, truncated, info = environment.step(np.array([1]))
        expected, reward_there, terminated_there, *_ = single.step(1)
        ended = bool(terminated[0] | truncated[0])
        assert reward[0] == reward_there
        assert terminated[0] == terminated_there
        np.testing.assert_array_equal((info["final_obs"] if ended else observation)[0], expected)
    assert not np.array_equal(observation[0], expected)


def test_gymnasiums_ppo_rollouts_have_2048_transitions(capsys):
    for copies, steps in ((8, 256), (2, 1024)):
        words = f"train env=gymnasium env.id=Pendulum-v1 env.num_envs={copies} algo=ppo --cfg job --resolve"
        assert main(words.split()) == 0
        assert f"n_steps: {steps}\n" in capsys.readouterr().out


SPACES = """
import gymnasium
import numpy as np
from gymnasium import spaces

IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)
VECTOR = spaces.Box(-1.0, 1.0, (2,), np.float32)
OBSERVATIONS = {"image": IMAGE, "dict": spaces.Dict({"picture": IMAGE, "x": VECTOR}), "discrete": spaces.Discrete(4)}
ACTIONS = {"box": VECTOR, "discrete": spaces.Discrete(3, start=1), "multi": spaces.MultiDiscrete([2, 3]),
           "binary": spaces.MultiBinary(2)}


class SpacesEnv(gymnasium.Env):
    def __init__(self, observation, action):
        self.observation_space, self.action_space = OBSERVATIONS[observation], ACTIONS[action]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._observe(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.steps += 1
        info = {"size": float(np.sum(action)), "pair": np.arange(2), "word": "x"}
        if self.steps > 1:
            info["late"] = 1
        return self._observe(), float(np.sum(action)), self.steps == 4, False, info

    def _observe(self):
        self.observation_space.seed(int(self.np_random.integers(1000)))
        return self.observation_space.sample()


def make(**keywords):
    return gymnasium.wrappers.TimeLimit(SpacesEnv(**keywords), 3)
"""


@pytest.mark.parametrize(
    ("observation", "action", "target"),
    [
        ("image", "discrete", "various.SpacesEnv"),
        ("dict", "box", "various.make"),
        ("discrete", "multi", "various.SpacesEnv"),
        ("dict", "binary", "various.make"),
    ],
)
def test_every_kind_of_space_trains_from_the_working_directory(observation, action, target, tmp_path, bioppo):
    (tmp_path / "various.py").write_text(SPACES)
    (tmp_path / "conf" / "env").mkdir(parents=True)
    (tmp_path / "conf" / "env" / "various.yaml").write_text(
        f"_target_: {target}\nobservation: {observation}\naction: {action}\nnum_envs: 2\n"
    )
    done = bioppo(
        *"train --config-dir conf env=various algo=ppo algo.n_steps=16 algo.batch_size=16 algo.n_epochs=1".split(),
        *"budget=64 evaluation.episodes=4 device=cpu".split(),
    )
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "results" / "adhoc").glob("*/seed_0")
    assert run.parent.name.startswith(target.partition(".")[2])
    length = 3 if target.endswith("make") else 4
    assert {float(row["episode_length"]) for row in rows(run / "evaluations.csv")} == {length}
    done = bioppo("evaluate", str(run), "--episodes", "3", "--trajectories", "steps.parquet", "--json")
    import pandas as pd

    steps = pd.read_parquet(tmp_path / "steps.parquet")
    assert list(steps.columns) == ["episode", "step", "reward", "info.size", "info.pair"]
    np.testing.assert_array_equal(steps["reward"], steps["info.size"])
    assert steps["info.pair"].iloc[0].tolist() == [0, 1]
    assert steps.groupby("episode")["reward"].sum().mean() == pytest.approx(json.loads(done.stdout)["episode_return"])
