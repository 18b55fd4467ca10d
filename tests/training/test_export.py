"""The same observations give the same actions in the live policy, in TorchScript and in ONNX Runtime."""

import json
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.utils import set_random_seed

from bioppo import UserError
from bioppo.algorithms.ppo.config import PPOConfig
from bioppo.algorithms.ppo.learner import build_ppo
from bioppo.cli.main import main
from bioppo.configs.saved import read_config
from bioppo.configs.schema import to_run_config
from bioppo.training.export import (
    describe,
    example_inputs,
    exportable,
    write_onnx,
    write_torchscript,
)
from bioppo.training.saved import load_agent

onnxruntime = pytest.importorskip("onnxruntime")


def run_onnx(file, arrays):
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))[0]


def run_torchscript(file, arrays):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit.load` is deprecated")
        module = torch.jit.load(str(file))
    return module(*map(torch.as_tensor, arrays)).detach().numpy()


@pytest.mark.parametrize("space", ["box", "dict", "discrete", "multi_discrete", "multi_binary"])
@pytest.mark.parametrize("normalise", [False, True])
def test_exported_policies_act_like_the_live_one(point_env, tmp_path, space, normalise):
    set_random_seed(0)
    environment = point_env(4, space=space)
    config = PPOConfig(n_steps=16, batch_size=16, n_epochs=2, learning_rate=1e-2, normalize_observation=normalise)
    learner = build_ppo(config, environment, seed=1, device="cpu")
    for _ in range(4):
        learner.update(0.0)
    agent = learner.agent()
    policy = exportable(agent, "ppo")
    keys = policy.keys
    assert bool(keys) == (space == "dict")
    write_torchscript(policy, example_inputs(environment), tmp_path / "policy.pt")
    write_onnx(policy, example_inputs(environment), tmp_path / "policy.onnx")
    generator = np.random.default_rng(0)
    parts = [generator.uniform(-10, 10, (257, 2)).astype(np.float32) for _ in keys or ("x",)]
    observation = dict(zip(keys, parts, strict=True)) if keys else parts[0]
    live = agent.act(observation, masks=None, generator=None)
    assert len(np.unique(live.reshape(257, -1), axis=0)) > 1
    for run, name in ((run_torchscript, "policy.pt"), (run_onnx, "policy.onnx")):
        actions = run(tmp_path / name, parts)
        assert actions.shape == live.shape
        np.testing.assert_allclose(actions, live, atol=1e-6)
    if space == "box":
        assert (np.abs(live) == 1.0).any(), "no action was clipped"
    content = describe(policy, environment)
    normalised = [entry["normalised_inside"] for entry in content["inputs"].values()]
    assert all((entry is not None) == normalise for entry in normalised)
    json.dumps(content, allow_nan=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = "env=gymnasium env.id=Pendulum-v1 algo=ppo algo.n_steps=64 algo.normalize_observation=true budget=512"
        assert main(["train", *words.split(), "evaluation.episodes=2", "device=cpu", "display=off"]) == 0
    (directory,) = folder.glob("results/adhoc/*/seed_0")
    return directory


@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_the_command_writes_what_the_run_would_do(run, tmp_path, checkpoint, capsys):
    words = ["export", str(run), "--output", str(tmp_path / "out"), "--checkpoint", checkpoint]
    from bioppo.cli import export

    assert export.main(words[1:]) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "out" / name) for name in ("policy.pt", "policy.onnx", "policy.json")
    ]
    config = to_run_config(read_config(run))
    agent, environment = load_agent(config, run, checkpoint=checkpoint)
    observation, _ = environment.sibling(6, 3, "test").reset()
    live = agent.act(observation, masks=None, generator=None)
    np.testing.assert_allclose(run_onnx(tmp_path / "out" / "policy.onnx", [observation]), live, atol=1e-6)
    np.testing.assert_allclose(run_torchscript(tmp_path / "out" / "policy.pt", [observation]), live, atol=1e-6)
    content = json.loads((tmp_path / "out" / "policy.json").read_text())
    assert content["environment"]["class"].endswith("PendulumEnv")
    assert content["inputs"]["observation"]["high"] == [1.0, 1.0, 8.0]
    assert content["action"]["high"] == 2.0
    assert content["run"]["checkpoint"] == checkpoint
    normalised = content["inputs"]["observation"]["normalised_inside"]
    mean = agent.normaliser.obs_rms.mean
    np.testing.assert_allclose(normalised["mean"], mean)
    assert content["run"]["simulator_calls"] == 512


def test_a_solver_and_a_random_policy_are_not_exported(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    small = "env=kinetic env.lambda_part=-20 env.num_envs=8 evaluation.episodes=4 evaluation.baselines=false budget=50"
    from bioppo.cli import export

    for algo, kind in (("cma_es", "GaussianSolver"), ("random", "RandomPolicy")):
        assert main(["train", *small.split(), f"algo={algo}", "device=cpu", "display=off"]) == 0
        (run,) = tmp_path.glob(f"results/adhoc/kinetic-{algo}-*/seed_0")
        with pytest.raises(UserError, match=rf"algo={algo} has no policy network \({kind}\): export a run of algo=ppo"):
            export.main([str(run)])
        assert not (run / "export").exists()


def test_infinite_bounds_are_null_in_the_description():
    from bioppo.training.export import describe_space

    space = gymnasium.spaces.Box(np.array([-np.inf, 0.0]), np.array([np.inf, 1.0]), dtype=np.float64)
    assert describe_space(space) == {
        "kind": "Box", "shape": [2], "dtype": "float64", "low": [None, 0.0], "high": [None, 1.0]
    }  # fmt: skip
