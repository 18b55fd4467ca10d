"""What the options of PPO add to stable-baselines3: networks, optimiser groups, shaped rollouts."""

import warnings
from importlib.resources import files

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from stable_baselines3 import PPO
from stable_baselines3.common.utils import set_random_seed

from bioppo import UserError
from bioppo.algorithms.ppo.config import PPOConfig
from bioppo.algorithms.ppo.learner import build_ppo, clip_range_schedule, learning_rate_schedule
from bioppo.algorithms.ppo.rollouts import standardized_by_trajectory
from bioppo.cli.main import main
from bioppo.configs.option import OptionError
from bioppo.envs.batched import BatchedEnv, Transition
from bioppo.envs.stable_baselines_adapter import StableBaselinesAdapter
from bioppo.storage.checkpoint import read_checkpoint, write_checkpoint
from bioppo.training.export import example_inputs, exportable, write_onnx, write_torchscript
from bioppo.training.random_state import global_states, set_global_states

SMALL = {"n_steps": 16, "batch_size": 24, "n_epochs": 2, "hidden_sizes": [8], "learning_rate": 1e-2}
EVERYTHING = {
    "optimizer": "adamw",
    "critic_learning_rate": 3e-2,
    "schedule": "cosine",
    "clip_range": 0.3,
    "clip_range_end": 0.1,
    "gae_lambda": 1.0,
    "bootstrap_truncated": False,
    "advantage_limit": 1.0,
    "layer_norm": "all",
    "activation": "relu",
    "log_std_bounds": [-6.0, 2.0],
    "state_dependent_std": True,
    "normalize_observation": True,
    "standardize_reward": True,
}


def ppo(environment, **options):
    return build_ppo(PPOConfig(**(SMALL | options)), environment, seed=3, device="cpu")


def roll_out(learner):
    model = learner.model
    model.collect_rollouts(model.env, learner.callback, model.rollout_buffer, n_rollout_steps=model.n_steps)
    return model.rollout_buffer


class RisingEnv(BatchedEnv):
    """Episodes of four steps with rewards 1, 2, 3, 4, ended by time alone."""

    def __init__(self, num_envs=2):
        box = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        super().__init__(num_envs=num_envs, seed=0, split="train", observation_space=box, action_space=box)

    def restart(self, copies):
        pass

    def advance(self, actions):
        step = self.state["elapsed_steps"]
        return Transition(step.astype(float), np.zeros_like(step, dtype=bool), step == 4, {})

    def observe(self):
        return (self.state["elapsed_steps"][:, None] / 4).astype(np.float32)


def test_the_defaults_are_the_librarys(point_env, bitwise_same):
    set_random_seed(3)
    theirs = PPO("MlpPolicy", StableBaselinesAdapter(point_env()), n_steps=16, batch_size=24, device="cpu")
    theirs.learn(3 * 48)
    ours = build_ppo(PPOConfig(n_steps=16, batch_size=24), point_env(), seed=3, device="cpu")
    for _ in range(3):
        ours.update(0.5)
    assert bitwise_same(theirs.policy.state_dict(), ours.model.policy.state_dict())
    assert bitwise_same(theirs.policy.optimizer.state_dict(), ours.model.policy.optimizer.state_dict())


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_schedule_scales_actor_and_critic_alike(point_env, schedule):
    learner = ppo(point_env(), schedule=schedule, critic_learning_rate=4e-2)
    expected = learning_rate_schedule(1e-2, schedule)
    for progress in (0.0, 0.5, 0.9):
        scalars = learner.update(progress)
        actor, critic = (group["lr"] for group in learner.model.policy.optimizer.param_groups)
        assert actor == pytest.approx(expected if schedule == "constant" else expected(1 - progress))
        assert critic == pytest.approx(4 * actor)
        assert (scalars["train/learning_rate"], scalars["train/critic_learning_rate"]) == (actor, critic)


@pytest.mark.parametrize("moved", ["actor", "critic"])
def test_each_rate_moves_its_own_network(point_env, moved):
    rates = (1e-2, 1e-12) if moved == "actor" else (1e-12, 1e-2)
    learner = ppo(
        point_env(), learning_rate=rates[0], critic_learning_rate=rates[1], state_dependent_std=True, layer_norm="all"
    )
    before = {name: value.clone() for name, value in learner.model.policy.state_dict().items()}
    learner.update(0.0)
    for name, value in learner.model.policy.state_dict().items():
        step = (value - before[name]).abs().max()
        assert (step > 1e-3) == (("value_net" in name) == (moved == "critic")), name


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_the_optimizer_is_the_one_asked_for(point_env, name, kind):
    optimizer = ppo(point_env(), optimizer=name).model.policy.optimizer
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["weight_decay"] == (0.01 if name == "adamw" else 0)


def test_the_clip_range_falls_linearly(point_env):
    learner = ppo(point_env(), clip_range=0.3, clip_range_end=0.1)
    seen = [learner.update(progress)["train/clip_range"] for progress in (0.0, 0.25, 1.0)]
    assert seen == pytest.approx([0.3, 0.25, 0.1])
    assert clip_range_schedule(0.3, None) == 0.3


def deviations(learner, observation):
    return learner.model.policy.get_distribution(torch.as_tensor(observation)).distribution.stddev.detach().numpy()


@pytest.mark.parametrize("layer_norm", ["none", "all"])
def test_the_deviation_depends_on_the_state(point_env, layer_norm):
    options = {"log_std_init": -0.5, "layer_norm": layer_norm}
    observation = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32) * 5
    fixed, dependent = ppo(point_env(), **options), ppo(point_env(), state_dependent_std=True, **options)
    for learner in (fixed, dependent):
        scalars = [learner.update(0.0) for _ in range(3)][-1]
        assert scalars["train/std"] > 0
    assert np.ptp(deviations(fixed, observation), axis=0).max() == 0
    assert np.ptp(deviations(dependent, observation), axis=0).min() > 1e-3
    assert "log_std" not in dict(dependent.model.policy.named_parameters())


def test_the_first_deviation_is_log_std_init(point_env):
    learner = ppo(point_env(), state_dependent_std=True, log_std_init=-1.0)
    np.testing.assert_allclose(deviations(learner, np.ones((3, 2), np.float32)), np.exp(-1.0), rtol=0.05)


@pytest.mark.parametrize("state_dependent", [False, True])
def test_the_logarithm_of_the_deviation_is_clamped(point_env, state_dependent):
    learner = ppo(point_env(), state_dependent_std=state_dependent, log_std_bounds=[-6.0, 2.0])
    policy, observation = learner.model.policy, np.ones((3, 2), np.float32)
    values = policy.log_std_net.bias if state_dependent else policy.log_std
    for value, bound in ((50.0, 2.0), (-50.0, -6.0)):
        torch.nn.init.constant_(values, value)
        np.testing.assert_allclose(deviations(learner, observation), np.exp(bound), rtol=1e-6)
    torch.nn.init.constant_(values, 1.0)
    np.testing.assert_allclose(deviations(learner, observation), np.exp(1.0), rtol=0.05)


def layers(network):
    return [type(layer).__name__ for layer in network]


def test_layer_normalisation(point_env):
    policy = ppo(point_env(), layer_norm="hidden", activation="relu", hidden_sizes=[8, 8]).model.policy
    for network in (policy.mlp_extractor.policy_net, policy.mlp_extractor.value_net):
        assert layers(network) == ["Linear", "LayerNorm", "ReLU"] * 2
    assert isinstance(policy.action_net, torch.nn.Linear)
    policy = ppo(point_env(), layer_norm="all", state_dependent_std=True).model.policy
    for head in (policy.action_net, policy.log_std_net):
        assert layers(head) == ["Linear", "LayerNorm"]
    means = policy.action_net(torch.randn(5, 8) + 3)
    torch.testing.assert_close(means, means.new_tensor([1.0, -1.0]) * means[:, :1].sign(), atol=1e-2, rtol=0)
    policy = ppo(point_env(), layer_norm="all", zero_last_layer=True).model.policy
    assert not policy.action_net(torch.randn(5, 8)).any()


def test_the_advantage_is_the_return_less_the_value():
    returns = np.array([3.25, 4.5, 5.0, 4.0])  # of rewards 1, 2, 3, 4 discounted by a half
    options = {"n_steps": 8, "batch_size": 8, "gamma": 0.5, "gae_lambda": 1.0}
    learner = ppo(RisingEnv(), bootstrap_truncated=False, **options)
    buffer = roll_out(learner)
    np.testing.assert_allclose(buffer.returns, np.tile(returns, 2)[:, None].repeat(2, axis=1), atol=1e-6)
    values = buffer.__dict__["values"]
    np.testing.assert_allclose(buffer.advantages, buffer.returns - values, atol=1e-6)
    assert values.any()
    last = learner.model.policy.predict_values(torch.ones(1, 1)).item()
    bootstrapped = roll_out(ppo(RisingEnv(), **options)).returns[:4, 0]
    np.testing.assert_allclose(bootstrapped, returns + last * 0.5 ** np.array([4, 3, 2, 1]), atol=1e-6)


def test_rewards_are_standardised_trajectory_by_trajectory():
    rewards = np.array([[1, 5, 7], [3, 5, 7], [2, 0, 7], [6, 0, 7]], np.float32)
    starts = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    expected = [[-1, 1, 0], [1, 1, 0], [-1, -1, 0], [1, -1, 0]]
    np.testing.assert_allclose(standardized_by_trajectory(rewards, starts), expected, atol=1e-6)
    options = {"n_steps": 8, "batch_size": 8, "bootstrap_truncated": False, "standardize_reward": True}
    buffer = roll_out(ppo(RisingEnv(), gamma=1.0, gae_lambda=1.0, **options))
    z = np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(1.25)
    np.testing.assert_allclose(buffer.rewards[:, 1], np.tile(z, 2), atol=1e-6)
    np.testing.assert_allclose(buffer.returns[:4, 0], z[::-1].cumsum()[::-1], atol=1e-6)


@pytest.mark.parametrize("space", ["box", "dict"])
@pytest.mark.parametrize("standardised", [True, False])
def test_advantages_are_limited_after_they_are_standardised(point_env, space, standardised):
    limit = 0.7
    learner = ppo(point_env(space=space), normalize_advantage=standardised, advantage_limit=limit)
    assert not learner.model.normalize_advantage  # it would stretch them again
    buffer = roll_out(learner)
    expected = buffer.swap_and_flatten(buffer.advantages).ravel()
    if standardised:
        expected = (expected - expected.mean()) / expected.std(ddof=1)
    assert np.abs(expected).max() > limit
    seen = next(buffer.get(48)).advantages.numpy()
    np.testing.assert_allclose(np.sort(seen), np.sort(expected.clip(-limit, limit)), atol=1e-5)
    assert learner.update(0.0)["train/n_updates"] == 2


def test_the_ratio_of_probabilities_begins_at_one(point_env):
    learner = ppo(point_env(), **EVERYTHING)
    learner.update(0.0)
    batch = next(roll_out(learner).get(48))
    _, log_probability, entropy = learner.model.policy.evaluate_actions(batch.observations, batch.actions)
    torch.testing.assert_close(log_probability, batch.old_log_prob)
    assert entropy.std() > 0  # the deviation depends on the state


def trained(learner, updates):
    return [learner.update(update / 4) for update in updates]


def test_everything_continues_exactly(point_env, tmp_path, bitwise_same):
    whole = ppo(point_env(), **EVERYTHING)
    expected = trained(whole, range(4))[2:], whole.get_state()
    environment = point_env()
    half = ppo(environment, **EVERYTHING)
    trained(half, range(2))
    content = {"learner": half.get_state(), "environment": environment.get_state(), "random": global_states()}
    write_checkpoint(tmp_path / "c.pt", content)
    content = read_checkpoint(tmp_path / "c.pt")
    environment = point_env(seed=5)
    other = ppo(environment, **EVERYTHING)
    environment.set_state(content["environment"])
    other.set_state(content["learner"])
    set_global_states(content["random"])
    assert bitwise_same(expected, (trained(other, range(2, 4)), other.get_state()))


@pytest.mark.parametrize("space", ["box", "dict"])
def test_exported_policies_act_like_the_live_one(point_env, tmp_path, space):
    onnxruntime = pytest.importorskip("onnxruntime")
    environment = point_env(space=space)
    learner = ppo(environment, **EVERYTHING)
    trained(learner, range(2))
    policy = exportable(learner.agent(), "ppo")
    write_torchscript(policy, example_inputs(environment), tmp_path / "policy.pt")
    write_onnx(policy, example_inputs(environment), tmp_path / "policy.onnx")
    parts = [np.random.default_rng(0).uniform(-10, 10, (9, 2)).astype(np.float32) for _ in policy.keys or ("x",)]
    observation = dict(zip(policy.keys, parts, strict=True)) if policy.keys else parts[0]
    live = learner.agent().act(observation, masks=None, generator=None)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit.load` is deprecated")
        script = torch.jit.load(str(tmp_path / "policy.pt"))
    np.testing.assert_allclose(script(*map(torch.as_tensor, parts)).detach().numpy(), live, atol=1e-5)
    session = onnxruntime.InferenceSession(str(tmp_path / "policy.onnx"), providers=["CPUExecutionProvider"])
    feed = {entry.name: part for entry, part in zip(session.get_inputs(), parts, strict=True)}
    np.testing.assert_allclose(session.run(None, feed)[0], live, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"log_std_bounds": [2.0, -6.0]},
            r"log_std_bounds=\[2.0, -6.0\]: give two finite numbers, the lower one first",
        ),
        ({"log_std_bounds": [1.0]}, r"log_std_bounds=\[1.0\]: give two finite numbers"),
        ({"log_std_bounds": [-6.0, 2.0], "log_std_init": 3.0}, r"log_std_init=3: outside log_std_bounds=\[-6.0, 2.0\]"),
        ({"standardize_reward": True}, r"standardize_reward=true: .* set bootstrap_truncated=false too"),
        ({"critic_learning_rate": 0.0}, r"critic_learning_rate=0.0: give a value of greater than 0"),
        ({"clip_range_end": -0.1}, r"clip_range_end=-0.1: give a value of greater than 0"),
        ({"advantage_limit": 0.0}, r"advantage_limit=0.0: give a value of greater than 0"),
        ({"optimizer": "sgd"}, r"optimizer=sgd: choose one of adam, adamw"),
        ({"layer_norm": "heads"}, r"layer_norm=heads: choose one of none, hidden, all"),
    ],
)
def test_mistaken_options_are_refused(options, sentence):
    with pytest.raises(OptionError, match=sentence):
        PPOConfig(**options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"state_dependent_std": True}, r"algo.state_dependent_std=true needs continuous actions, and these are Discr"),
        ({"log_std_bounds": [-6.0, 2.0]}, r"algo.log_std_bounds=\[-6.0, 2.0\] needs continuous actions"),
        ({"layer_norm": "all"}, r"algo.layer_norm=all needs continuous actions, .*: choose another value"),
    ],
)
def test_options_of_continuous_actions_are_refused_for_discrete_ones(point_env, options, sentence):
    with pytest.raises(UserError, match=sentence):
        ppo(point_env(space="discrete"), **options)


def test_a_single_action_is_not_normalised():
    with pytest.raises(UserError, match=r"algo.layer_norm=all makes a single action constant: choose hidden"):
        ppo(RisingEnv(), batch_size=8, layer_norm="all")


def experiment(name):
    words = [f"experiment={name}", "budget=100", "evaluation.episodes=1", "evaluation.baselines=false", "display=plain"]
    return ["train", *words, "hydra.run.dir=run"]


@pytest.mark.parametrize("name", ["kinetic_poster", "kinetic_report"])
def test_the_experiments_train_through_the_command(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(experiment(name)) == 0
    progress = pd.read_csv("run/progress.csv")
    assert list(progress["simulator_calls"]) == [0, 50, 100]
    ratio = progress["train/critic_learning_rate"][1:] / progress["train/learning_rate"][1:]
    np.testing.assert_allclose(ratio, 10 if name == "kinetic_report" else 10 / 3)
    clip = [0.2, 0.2] if name == "kinetic_poster" else [0.3, 0.2]
    np.testing.assert_allclose(progress["train/clip_range"][1:], clip)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kinetic_poster", {"hidden_sizes": [256, 256], "layer_norm": "none", "gae_lambda": 1.0, "ent_coef": 0.0}),
        ("kinetic_report", {"hidden_sizes": [1536, 1536], "layer_norm": "all", "gae_lambda": 0.98, "ent_coef": 0.01}),
    ],
)
def test_the_experiments_leave_no_tuned_setting(name, expected, capsys):
    assert main([*experiment(name), "--cfg", "job", "--resolve"]) == 0
    algo = yaml.safe_load(capsys.readouterr().out)["algo"]
    assert algo | expected == algo
    tuned = yaml.safe_load((files("bioppo.configs") / "tuned" / "kinetic-ppo.yaml").read_text())["algo"]
    own = yaml.safe_load((files("bioppo.configs") / "experiment" / f"{name}.yaml").read_text())["algo"]
    assert not set(tuned) - set(own)
