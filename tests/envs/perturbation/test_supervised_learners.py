import numpy as np
import pytest
import torch

from bioppo import UserError
from bioppo.configs.option import OptionError
from bioppo.envs.evaluation import evaluate
from bioppo.envs.perturbation.config import PerturbationConfig
from bioppo.envs.perturbation.environment import PerturbationVectorEnv
from bioppo.envs.perturbation.learner_config import EmbeddingConfig, SupervisedConfig
from bioppo.envs.perturbation.learners import build_embedding, build_supervised
from bioppo.envs.perturbation.options import GeneratorOptions
from bioppo.envs.perturbation.supervised import SupervisedModel, policy_network
from bioppo.envs.single import SingleEnv
from bioppo.storage.checkpoint import read_checkpoint, write_checkpoint

GENERATOR = GeneratorOptions(n_genes=12, n_perturbations=5, n_control=200, n_per_perturbation=40)
SMALL = {
    "heads": 2,
    "width": 3,
    "hidden": 8,
    "gene_vector": 4,
    "decoder_sizes": [16],
    "batch_size": 8,
    "max_train_cells": 200,
}
BUILDERS = {
    "embedding": (build_embedding, EmbeddingConfig(**SMALL)),
    "supervised": (build_supervised, SupervisedConfig(n_samples=100, n_epochs=3)),
}


@pytest.fixture(scope="module")
def make():
    """A function that makes the real environment on one small data set."""
    tasks = {}

    def environment(seed=0, split="train", num_envs=8, **options):
        config = PerturbationConfig(generator=GENERATOR, **options)
        key = repr(config)
        made = PerturbationVectorEnv(config, num_envs=num_envs, seed=seed, split=split, task=tasks.get(key))
        tasks[key] = made.task
        return made

    return environment


def build(algo, environment, seed=0, **options):
    builder, config = BUILDERS[algo]
    return builder(type(config)(**vars(config) | options), environment, seed=seed, device="cpu")


def error(learner, environment):
    """Mean squared distance from predicted mean to observed mean, over seen perturbations."""
    solver, generator = learner.agent(), np.random.default_rng(0)
    task = environment.task
    start = task.data.expression[task.data.split.start]
    errors = []
    for label in np.flatnonzero(task.data.seen):
        question = {
            "start": start,
            "perturbation": np.full(len(start), label),
            "cell_type": np.zeros(len(start), dtype=np.int64),
        }
        answer = solver.answer(question, generator=generator)
        assert answer.shape == start.shape
        observed = task.data.expression[task.data.cells(int(label), test=True)].mean(axis=0)
        errors.append(np.square(answer.mean(axis=0) - observed).mean())
    return float(np.mean(errors))


@pytest.mark.parametrize(("algo", "updates"), [("embedding", 15), ("supervised", 25)])
def test_learners_beat_their_beginning_which_is_no_change(algo, updates, make):
    environment = make()
    learner = build(algo, environment)
    before = error(learner, environment)
    scalars = [learner.update(0.5) for _ in range(updates)]
    assert error(learner, environment) < 0.5 * before
    assert all(np.isfinite(list(row.values())).all() for row in scalars)


@pytest.mark.parametrize("algo", BUILDERS)
@pytest.mark.parametrize("target", ["delta", "cell"])
def test_learners_continue_exactly_from_a_checkpoint(algo, target, make, tmp_path, bitwise_same):
    environment = make(target=target)
    learner = build(algo, environment)
    for _ in range(2):
        learner.update(0.5)
    content = {"learner": learner.get_state(), "environment": environment.get_state()}
    write_checkpoint(tmp_path / "c.pt", content)
    expected = [learner.update(0.5) for _ in range(2)]
    content = read_checkpoint(tmp_path / "c.pt")
    environment = make(target=target)
    other = build(algo, environment)
    other.update(0.5)
    environment.set_state(content["environment"])
    other.set_state(content["learner"])
    assert bitwise_same(expected, [other.update(0.5) for _ in range(2)])
    assert bitwise_same(learner.get_state(), other.get_state())


@pytest.mark.parametrize("algo", BUILDERS)
def test_the_seed_decides_everything(algo, make, bitwise_same):
    states = []
    for number, seed in enumerate((3, 3, 4)):
        torch.manual_seed(number)
        learner = build(algo, make(), seed=seed)
        learner.update(0.0)
        states.append(learner.get_state())
    assert bitwise_same(states[0], states[1])
    assert not bitwise_same(states[0]["weights"], states[2]["weights"])


def test_samples_are_counted_and_epochs_of_the_embedding_are_not(make):
    environment = make()
    build("supervised", environment).update(0.0)
    assert environment.simulator_calls == 104  # 13 whole batches of 8
    environment = make()
    learner = build("embedding", environment, max_epochs=2)
    learner.update(0.0)
    assert not learner.finished
    learner.update(0.5)
    assert learner.finished
    assert environment.simulator_calls == 0
    drawn = make(target="cell")
    build("embedding", drawn, max_train_cells=30)
    assert drawn.simulator_calls == 32


def test_the_embedding_learns_the_environments_target(make):
    environment = make(target="pseudobulk")
    learner = build("embedding", environment, unperturbed_share=0.0, max_train_cells=600)
    x, label, y = (
        np.concatenate(parts) for parts in zip(learner.trainer.training, learner.trainer.validation, strict=True)
    )
    np.testing.assert_allclose(y, environment.task.means.perturbed[label, 0], atol=1e-5)
    assert len(x) == 600


def test_the_environment_measures_their_answers(make):
    environment = make(split="test")
    for algo in BUILDERS:
        evaluation = evaluate(build(algo, make()).agent(), environment, episodes=40, seed=0)
        assert environment.metrics[0].name in evaluation.scalars


def test_regression_sees_what_policies_see(make):
    environment = make(horizon=3)
    learner = build("supervised", environment)
    learner.update(0.0)
    samples = environment.draw_samples(16)
    question = {key: samples[key] for key in ("start", "perturbation", "cell_type")}
    answer = learner.agent().answer(question, generator=np.random.default_rng(0))
    np.testing.assert_array_equal(answer, learner.model.predict(samples["observation"], samples["start"]))
    assert np.abs(answer - samples["start"]).max() > 1e-3


def test_the_scale_is_that_of_actions(make):
    learners = [build("supervised", make(action_scale=scale)) for scale in (1.0, 2.0)]
    first, second = (learner.model.predict(np.ones((1, 22)), np.zeros((1, 12))) for learner in learners)
    np.testing.assert_allclose(second, 2 * first, rtol=1e-6)


def test_the_network_is_the_policys():
    from stable_baselines3 import PPO

    environment = SingleEnv(PerturbationVectorEnv(PerturbationConfig(generator=GENERATOR), num_envs=1, seed=0))
    policy = PPO("MlpPolicy", environment, device="cpu").policy
    network = policy_network([22, 64, 64, 12])
    theirs = [*policy.mlp_extractor.policy_net, policy.action_net]
    assert [type(part) for part in network] == [type(part) for part in theirs]
    for ours, other in zip(network, theirs, strict=True):
        if isinstance(ours, torch.nn.Linear):
            np.testing.assert_allclose(
                torch.linalg.svdvals(ours.weight.detach()), torch.linalg.svdvals(other.weight.detach()), rtol=1e-4
            )
            assert (ours.bias == 0).all()


def test_regression_finds_a_linear_map():
    generator = np.random.default_rng(0)
    observation, start = generator.normal(size=(512, 4)), generator.normal(size=(512, 3))
    target = start + 0.5 * observation[:, :3]
    model = SupervisedModel(4, 3, hidden_sizes=[32], scale=0.5, learning_rate=1e-2, seed=0)
    first, last = model.fit(observation, start, target, epochs=20, batch_size=32)
    assert last < 0.02 * first
    assert last == pytest.approx(np.square(model.predict(observation, start) - target).mean(), rel=0.3)


def test_mistakes_name_their_option_and_a_remedy(make, point_env):
    for algo in BUILDERS:
        with pytest.raises(
            UserError, match=f"algo={algo} predicts perturbed cells, and PointEnv has none: use env=pert"
        ):
            build(algo, point_env())
    with pytest.raises(
        UserError, match=r"env\.observation=dict: algo=supervised needs expression in one vector, so set"
    ):
        build("supervised", make(observation="dict"))
    with pytest.raises(UserError, match=r"env\.observation=dict: algo=embedding needs"):
        build("embedding", make(observation="dict", target="cell"))
    with pytest.raises(UserError, match=r"env\.observe_target=true: algo=supervised answers without a target"):
        build("supervised", make(observe_target=True))
    with pytest.raises(OptionError, match=r"hidden_sizes=\[0\]"):
        SupervisedConfig(hidden_sizes=[0])
    with pytest.raises(OptionError, match="graph=grn: name the network's file"):
        EmbeddingConfig(graph="grn")


def test_targets_of_the_configs_are_their_builders():
    from bioppo.configs.registry import load

    assert load(EmbeddingConfig()._target_) is build_embedding
    assert load(SupervisedConfig()._target_) is build_supervised
