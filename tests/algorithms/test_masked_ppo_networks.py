"""PPO with masks and networks that the environment brings: options, imitation, continuation, decoding, export."""

import json
import math
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bioppo import UserError
from bioppo.algorithms.masked_ppo.config import MaskedPPOConfig
from bioppo.algorithms.masked_ppo.learner import build_masked_ppo
from bioppo.algorithms.ppo.config import PPOConfig
from bioppo.algorithms.ppo.learner import build_ppo, learning_rate_schedule
from bioppo.algorithms.trpo_ppo.config import TRPOPPOConfig
from bioppo.algorithms.trpo_ppo.learner import build_trpo_ppo
from bioppo.cli.main import main
from bioppo.configs.option import OptionError
from bioppo.configs.saved import read_config
from bioppo.configs.schema import to_run_config
from bioppo.envs.evaluation import evaluate, gather
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.data import TEST, TRAIN, VALIDATION, Actions, Table
from bioppo.envs.reprogramming.environment import ReprogrammingVectorEnv
from bioppo.envs.reprogramming.options import TaskOptions
from bioppo.envs.reprogramming.tables.file import save
from bioppo.envs.reprogramming.task import ReprogrammingTask
from bioppo.training.export import example_inputs, exportable, write_torchscript
from bioppo.training.train import train

CELLS, TYPES, ACTIONS = 60, 3, 6
SMALL = {"n_steps": 8, "batch_size": 32, "n_epochs": 2, "learning_rate": 1e-3}
TINY_PAIR = {"branch_sizes": [8], "actor_sizes": [8], "critic_sizes": [8]}
INDEXED = [
    {"policy": "afterstate", "policy_options": {"components": 3, "hidden_sizes": [8]}},
    {"policy": "afterstate", "policy_options": {"components": 3, "hidden_sizes": [8], "target": "centroid"}},
    {"policy": "pca", "policy_options": {"components": 3, **TINY_PAIR}},
    {"policy": "embedding", "policy_options": TINY_PAIR},
]
LARGER = {"policy": "afterstate", "policy_options": {"components": 5, "hidden_sizes": [32, 32]}}


def make_table():
    """Sixty cells on a ring, twenty of each type; an action leads one to three cells on, or back."""
    generator = np.random.default_rng(0)
    kind = np.repeat(np.arange(TYPES), CELLS // TYPES).astype(np.int32)
    features = generator.normal(size=(CELLS, 5)) + 2.0 * np.eye(5)[kind]
    centred = features - features.mean(axis=0)
    split = np.full(CELLS, TRAIN, dtype=np.int8)
    split[::10], split[5::10] = VALIDATION, TEST
    genes = np.array([f"G{place}" for place in range(ACTIONS // 2)])
    return Table(
        next=((np.arange(CELLS)[:, None] + [-3, -2, -1, 1, 2, 3]) % CELLS).astype(np.int32),
        shift=np.zeros((CELLS, ACTIONS, 2), dtype=np.float32),
        actions=Actions(
            names=np.array([f"{way} {gene}" for way in ("KO", "OE") for gene in genes]),
            conditions=tuple({gene: value} for value in (0.0, 1.0) for gene in genes.tolist()),
            activates=np.repeat([False, True], len(genes)),
        ),
        genes=genes,
        tfs=genes,
        clusters=np.array(["A", "B", "C"]),
        cluster_of_cell=kind,
        embedding=centred[:, :2],
        cells=np.array([f"cell{place}" for place in range(CELLS)]),
        features=features.astype(np.float32),
        pcs=centred,
        split=split,
        meta={"gain": 1.0},
    )


@pytest.fixture(scope="module")
def make_environment():
    """Return a function that makes 8 copies on the small table; keywords are options of the task."""
    table = make_table()

    def make(num_envs=8, seed=0, split="train", **options):
        config = ReprogrammingConfig(num_envs=num_envs, task=TaskOptions(horizon=12, horizon_train=6, **options))
        task = ReprogrammingTask(table, config)
        return ReprogrammingVectorEnv(config, num_envs=num_envs, seed=seed, split=split, task=task)

    return make


def masked_ppo(environment, **options):
    return build_masked_ppo(MaskedPPOConfig(**(SMALL | options)), environment, seed=3, device="cpu")


def trpo_ppo(environment, **options):
    config = TRPOPPOConfig(**(SMALL | {"use_masking": True} | INDEXED[0] | options))
    return build_trpo_ppo(config, environment, seed=3, device="cpu")


@pytest.mark.parametrize("options", INDEXED, ids=lambda options: options["policy"])
def test_a_continued_learner_equals_an_unbroken_one(make_environment, assert_continues_exactly, options):
    everything = {"warm_start": "bc", "warm_start_steps": 3, "warm_start_batch": 16, "reward_scale": 0.2}
    everything |= {"optimizer": "adamw", "weight_decay": 0.01, "schedule": "late", "decode": "no_revisit"}
    assert_continues_exactly(make_environment, partial(masked_ppo, **everything, **options))


@pytest.mark.parametrize("separate", [False, True])
def test_trpo_ppo_continues_with_a_network_of_the_environment(make_environment, assert_continues_exactly, separate):
    options = INDEXED[0]["policy_options"] | {"separate_values": separate}
    assert_continues_exactly(make_environment, partial(trpo_ppo, policy_options=options))


@pytest.mark.parametrize("build", [masked_ppo, trpo_ppo])
def test_rollouts_come_from_the_parameters_as_they_are(make_environment, build):
    learner = build(make_environment(), **INDEXED[0])
    for _ in range(2):
        learner.update(0.0)
    policy, buffer = learner.model.policy, learner.model.rollout_buffer
    observation = torch.as_tensor(make_environment().reset()[0])
    with torch.no_grad():
        shown = policy.get_distribution(observation).distribution.logits
    fresh = policy.get_distribution(observation).distribution.logits
    torch.testing.assert_close(shown, fresh.detach())
    model = learner.model
    model.collect_rollouts(model.env, learner.callback, buffer, n_rollout_steps=model.n_steps)
    batch = next(buffer.get(64))
    _, log_probability, _ = policy.evaluate_actions(batch.observations, batch.actions.flatten(), batch.action_masks)
    torch.testing.assert_close(log_probability.detach(), batch.old_log_prob, atol=1e-5, rtol=1e-5)


def test_trpo_ppo_moves_away_from_its_reference(make_environment):
    learner = trpo_ppo(make_environment(), policy_options=INDEXED[0]["policy_options"] | {"separate_values": True})
    scalars = [learner.update(0.0) for _ in range(2)][-1]
    assert scalars["train/ppo_kl"] > 0.0
    assert all(map(math.isfinite, scalars.values()))


def test_rewards_are_scaled_for_training_alone(make_environment):
    rewards, returns = [], []
    for scale in (1.0, 0.25):
        learner = masked_ppo(make_environment(), reward_scale=scale, gamma=1.0, **INDEXED[0])
        model = learner.model
        model.collect_rollouts(model.env, learner.callback, model.rollout_buffer, n_rollout_steps=model.n_steps)
        rewards.append(model.rollout_buffer.rewards)
        test = make_environment(split="test")
        returns.append(gather(learner.agent(), test, episodes=20, seed=0).reward.tolist())
    bootstrapped = rewards[0] != rewards[0].round(9)  # of episodes whose time ran out, by values
    assert not bootstrapped.all()
    first = slice(0, 5)  # nobody's time has run out
    np.testing.assert_allclose(rewards[1][first], 0.25 * rewards[0][first], rtol=1e-6)
    assert returns[0] == returns[1]


def test_the_late_schedule_holds_and_falls(make_environment):
    rate = learning_rate_schedule(1e-3, "late", start=0.6)
    assert [rate(1.0 - progress) for progress in (0.0, 0.3, 0.6)] == pytest.approx([1e-3] * 3)
    assert rate(0.2) == pytest.approx(1e-6 + (1e-3 - 1e-6) * 0.5)
    assert rate(0.0) == pytest.approx(1e-6)
    learner = masked_ppo(make_environment(), schedule="late", schedule_start=0.6, **INDEXED[0])
    seen = [learner.update(progress)["train/learning_rate"] for progress in (0.5, 0.8)]
    assert seen == pytest.approx([1e-3, 1e-6 + (1e-3 - 1e-6) * 0.5])


@pytest.mark.parametrize("policy", [{}, INDEXED[0]])
def test_weights_decay_where_that_is_asked_for(make_environment, policy):
    optimizer = masked_ppo(make_environment(), **policy).model.policy.optimizer
    assert type(optimizer) is torch.optim.Adam
    optimizer = masked_ppo(make_environment(), optimizer="adamw", weight_decay=0.02, **policy).model.policy.optimizer
    assert type(optimizer) is torch.optim.AdamW
    assert [(group["weight_decay"], group["eps"]) for group in optimizer.param_groups] == [(0.02, 1e-5)]


def shortest_share(learner, environment):
    """How often the most probable action begins a shortest way."""
    shown = environment.demonstrate(400, np.random.default_rng(1))
    actions, _ = learner.model.predict(shown.observations, deterministic=True, action_masks=shown.masks)
    return float(shown.best[np.arange(400), actions].mean())


@pytest.mark.parametrize(("obs", "policy"), [("index", LARGER), ("dict", {"hidden_sizes": [16]})])
def test_imitation_comes_before_the_first_rollout_alone(make_environment, obs, policy):
    environment = make_environment(obs=obs)
    start = {"warm_start": "bc", "warm_start_steps": 150, "warm_start_batch": 128, "learning_rate": 1e-2}
    learner = masked_ppo(environment, **start, **policy)
    before = shortest_share(learner, environment)
    learner.agent()  # measuring imitates nothing
    assert shortest_share(learner, environment) == before
    first = learner.update(0.0)
    assert math.isfinite(first["train/imitation_loss"])
    assert shortest_share(learner, environment) > before + 0.1
    assert "train/imitation_loss" not in learner.update(0.5)
    other = masked_ppo(environment, **start, **policy)
    other.set_state(learner.get_state())
    assert "train/imitation_loss" not in other.update(0.5)


def test_decoding_without_revisits_finds_more(make_environment):
    successes = []
    for decode in ("plain", "no_revisit"):
        agent = masked_ppo(make_environment(), decode=decode, **INDEXED[0]).agent()
        measured = evaluate(agent, make_environment(split="test"), episodes=100, seed=0, deterministic=True)
        successes.append(measured.scalars["success"])
        past = measured.tables["paths"].groupby("episode")["next"]
        assert past.apply(lambda cells: cells.is_unique).all() == (decode == "no_revisit")
    assert successes[1] > successes[0]


@pytest.mark.parametrize("decode", ["plain", "no_revisit"])
def test_a_network_that_reads_the_table_is_not_exported(make_environment, decode):
    agent = masked_ppo(make_environment(), decode=decode, **INDEXED[0]).agent()
    with pytest.raises(
        UserError, match=r"algo=masked_ppo needs action masks at every step, .*: export a run of algo=ppo"
    ):
        exportable(agent, "masked_ppo")


def test_plain_ppo_reads_masks_from_observations(make_environment, assert_continues_exactly, tmp_path):
    options = SMALL | {"hidden_sizes": [16], "mask_in_policy": True}
    make = partial(make_environment, obs="dict")

    def build(environment):
        return build_ppo(PPOConfig(**options), environment, seed=3, device="cpu")

    assert_continues_exactly(make, build)
    environment = make()
    learner = build(environment)
    learner.update(0.0)
    batch = next(learner.model.rollout_buffer.get(64))
    assert batch.observations["action_mask"].gather(1, batch.actions.long()).min() == 1.0
    assert (batch.observations["action_mask"] == 0).any()
    policy = learner.model.policy
    _, log_probability, entropy = policy.evaluate_actions(batch.observations, batch.actions.flatten())
    assert torch.isfinite(log_probability).all()
    assert torch.isfinite(entropy).all()
    probability = policy.get_distribution(batch.observations).distribution.probs
    assert probability[batch.observations["action_mask"] == 0].max() == 0.0
    exported = exportable(learner.agent(), "ppo")
    write_torchscript(exported, example_inputs(environment), tmp_path / "policy.pt")
    observation = make(split="test").reset()[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit.load` is deprecated")
        script = torch.jit.load(str(tmp_path / "policy.pt"))
    rows = [torch.as_tensor(observation[key]) for key in exported.keys]
    live = learner.agent().act(observation, masks=None, generator=None)
    np.testing.assert_array_equal(script(*rows).detach().numpy(), live)


def test_plain_ppo_without_masks_is_refused_where_there_are_some(make_environment, point_env):
    def build(environment, **options):
        return build_ppo(PPOConfig(**(SMALL | options)), environment, seed=3, device="cpu")

    for obs in ("index", "dict"):
        with pytest.raises(
            UserError, match=r"algo=ppo would draw actions that ReprogrammingVectorEnv excludes: choose"
        ):
            build(make_environment(obs=obs))
    sentence = r"algo.mask_in_policy=true: {} has no observation action_mask with a number per discrete action, so"
    with pytest.raises(UserError, match=sentence.format("ReprogrammingVectorEnv")):
        build(make_environment(), mask_in_policy=True)
    with pytest.raises(UserError, match=sentence.format("PointEnv")):
        build(point_env(space="dict"), mask_in_policy=True, batch_size=24)
    with pytest.raises(OptionError, match=r"mask_in_policy=true: .* so set normalize_observation=false"):
        PPOConfig(mask_in_policy=True, normalize_observation=True)


def test_mistaken_options_are_refused(make_environment, masked_env):
    with pytest.raises(OptionError, match=r"weight_decay=0.1: adam has none, so set optimizer=adamw"):
        MaskedPPOConfig(weight_decay=0.1)
    with pytest.raises(OptionError, match=r"warm_start=bc: .* so set normalize_observation=false"):
        MaskedPPOConfig(warm_start="bc", normalize_observation=True)
    with pytest.raises(OptionError, match=r"schedule_start=1.0: give a value of less than 1"):
        MaskedPPOConfig(schedule_start=1.0)
    with pytest.raises(OptionError, match=r"policy=afterstate: .* so set use_masking=true"):
        TRPOPPOConfig(policy="afterstate")
    with pytest.raises(UserError, match=r"algo.hidden_sizes=\[8\]: it shapes perceptrons, .* set algo.policy_options"):
        masked_ppo(make_environment(), policy="afterstate", hidden_sizes=[8])
    with pytest.raises(UserError, match=r"algo.normalize_observation=true: the network algo.policy=pca has none of it"):
        masked_ppo(make_environment(), policy="pca", normalize_observation=True)
    with pytest.raises(UserError, match=r"algo.policy_options=\{'kappa': 1\}: .* set algo.policy, or use algo.hidden"):
        masked_ppo(make_environment(), policy_options={"kappa": 1})
    other = masked_env(space="discrete")
    with pytest.raises(UserError, match=r"algo.policy=afterstate: MaskedEnv has no networks of its own, so set mlp"):
        masked_ppo(other, policy="afterstate", batch_size=24)
    with pytest.raises(UserError, match=r"MaskedEnv does not know the best actions: set algo.warm_start=none"):
        masked_ppo(other, warm_start="bc", batch_size=24).update(0.0)
    with pytest.raises(UserError, match=r"MaskedEnv cannot tell where an action leads: set algo.decode=plain"):
        masked_ppo(other, decode="no_revisit", batch_size=24).agent()


@pytest.fixture
def table_file(tmp_path, monkeypatch):
    """A saved table, in a folder of the test's own that is entered."""
    monkeypatch.chdir(tmp_path)
    return save(make_table(), tmp_path / "table.npz")


def words(table, *more):
    small = "env=reprogramming env.num_envs=8 algo=masked_ppo algo.n_steps=8 algo.batch_size=32 device=cpu"
    shorter = "env.task.horizon=12 evaluation.episodes=20 evaluation.baselines=false budget=640 display=off"
    return [*small.split(), f"env.data.table={table}", *shorter.split(), *more]


def test_the_command_imitates_once_continues_and_exports_nothing(table_file, capsys):
    start = ["algo.warm_start=bc", "algo.warm_start_steps=5", "algo.warm_start_batch=16", "algo.decode=no_revisit"]
    pair = ["algo.policy=embedding", "+algo.policy_options.branch_sizes=[8]"]
    run = ["train", *words(table_file, *start, *pair), "evaluation.every=128"]
    assert main([*run, "hydra.run.dir=whole"]) == 0
    progress = pd.read_csv("whole/progress.csv")
    assert progress["train/imitation_loss"].notna().tolist() == [False, True, *[False] * 9]
    assert main(["export", "whole"]) == 2
    sentence = capsys.readouterr().err
    assert "algo=masked_ppo needs action masks at every step, which no exported file is given" in sentence
    assert sentence.count("\n") == 1

    def stop(calls, evaluation):
        if calls >= 256:
            raise KeyboardInterrupt

    config = to_run_config(read_config(Path("whole")))
    with pytest.raises(KeyboardInterrupt):
        train(config, Path("broken"), report=stop)
    train(config, Path("broken"))
    for name in ("progress.csv", "evaluations.csv", "result.json"):
        assert Path("whole", name).read_bytes() == Path("broken", name).read_bytes()


def test_networks_are_searched_and_wrong_ones_said_at_once(table_file, capsys):
    shorter = ["trial_budget=640", "n_trials=2", "top_k=1", "final_seeds=[1]"]
    assert main(["tune", *words(table_file), "search=reprogramming_fast", *shorter]) == 0
    (directory,) = Path("results/tune").iterdir()
    best = json.loads((directory / "best.json").read_text())
    assert best["values"]["algo.policy_options.hidden_sizes"] in ([64, 64], [128, 128], [256, 256])
    assert best["metric"] == "success"
    trial = next(directory.glob("trials/*/seed_77"))
    assert read_config(trial)["algo"]["policy_options"]["hidden_sizes"][0] in (64, 128, 256)
    assert main(["tune", *words(table_file, "+algo.policy_options.kapa=1"), "search=reprogramming_fast", *shorter]) == 2
    assert "There is no key 'algo.policy_options.kapa': did you mean kappa?" in capsys.readouterr().err
    assert main(["tune", *words(table_file), "search=reprogramming", *shorter]) == 2
    assert "There is no key 'algo.policy_options.actor_sizes'" in capsys.readouterr().err
    assert list(Path("results/tune").iterdir()) == [directory]
