import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_stable_baselines_env

import bioppo
from bioppo import UserError
from bioppo.envs.batched import ActionError
from bioppo.envs.evaluation import evaluate
from bioppo.envs.perturbation.environment import PerturbationVectorEnv
from bioppo.envs.single import SingleEnv

SMALL = {
    "generator": {"n_genes": 20, "n_perturbations": 6, "n_control": 300, "n_per_perturbation": 60},
    "data": {"n_genes": 20},
}


@pytest.fixture(scope="module")
def shared():
    """Environments on one small data set, by options that do not change the data."""
    made = {}

    def make(num_envs=4, seed=0, split="train", **options):
        key = repr(sorted(options.items()))
        if key not in made:
            made[key] = bioppo.make_env("perturbation", num_envs=1, seed=0, **SMALL, **options)
        return made[key].sibling(num_envs, seed, split)

    return make


def play(environment, steps, seed=0, scale=1.0):
    generator = np.random.default_rng(seed)
    observation, _ = environment.reset()
    history = [observation]
    for _ in range(steps):
        actions = generator.uniform(-scale, scale, environment.action_space.shape).astype(np.float32)
        observation, reward, terminated, truncated, info = environment.step(actions)
        history.append((observation, reward, terminated, truncated, info))
    return history


def test_the_id_makes_an_environment_that_both_checkers_accept(shared):
    assert isinstance(gymnasium.make_vec("bioppo/Perturbation-v0", num_envs=2, **SMALL), PerturbationVectorEnv)
    for options in ({}, {"horizon": 3, "observation": "dict"}):
        single = SingleEnv(shared(1, **options))
        check_env(single, skip_render_check=True)
        if not options:
            check_stable_baselines_env(single)


def test_observations_are_scaled_expression_features_and_time(shared):
    environment = shared(5, horizon=2)
    observation, _ = environment.reset()
    task, state = environment.task, environment.state
    size, n_features = environment.n_coordinates, environment.n_features
    expected = (state["cell"] - task.data.mean) / task.data.deviation
    np.testing.assert_allclose(observation[:, :size], expected.clip(-10, 10), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(observation[:, size : size + n_features], task.features[state["label"]])
    np.testing.assert_array_equal(observation[:, -1], 0)
    assert environment.step(np.zeros((5, size), np.float32))[0][:, -1].tolist() == [0.5] * 5
    parts, _ = shared(5, horizon=2, observation="dict").reset()
    np.testing.assert_array_equal(np.hstack([parts["cell"], parts["perturbation"], parts["time"]]), observation)


@pytest.mark.parametrize("target", ["delta", "pseudobulk", "cell", "ot_matched", "insilico_shift"])
def test_targets_are_what_their_names_say(shared, target):
    environment = shared(64, target=target)
    environment.reset()
    state, data, means = environment.state, environment.task.data, environment.task.means
    start, label = state["cell"], state["label"]
    assert (data.label[state["start"]] == -1).all()
    assert not data.split.test[state["start"]].any()
    assert data.seen[label].all()
    y = state["target"]
    if target == "delta":
        np.testing.assert_allclose(y, start + means.effects[label, 0], atol=1e-5)
    elif target == "pseudobulk":
        np.testing.assert_allclose(y, means.perturbed[label, 0], atol=1e-5)
    elif target == "insilico_shift":
        controls = data.expression[data.cells(None)]
        np.testing.assert_allclose(y, np.tile(controls.mean(0) - controls.std(0), (64, 1)), atol=1e-5)
    else:
        for row in range(64):
            same = (data.expression == y[row]).all(axis=1)
            assert same.any()
            assert (data.label[same] == label[row]).all()
            assert not data.split.test[same].any()


def test_optimal_transport_pairs_cells_nearer_than_chance(shared):
    near, drawn = shared(256, target="ot_matched"), shared(256, target="cell")
    near.reset()
    drawn.reset()
    assert near.state["error"].mean() < 0.8 * drawn.state["error"].mean()


def test_the_observation_does_not_depend_on_the_target_unless_the_leak_is_asked_for(shared):
    first, second = shared(8, target="cell"), shared(8, target="insilico_shift")
    one, other = first.reset()[0], second.reset()[0]
    assert not np.array_equal(first.state["target"], second.state["target"])
    np.testing.assert_array_equal(one, other)
    leaking = shared(8, target="cell", observe_target=True)
    observation, _ = leaking.reset()
    task = leaking.task
    expected = (leaking.state["target"] - task.data.mean) / task.data.deviation
    np.testing.assert_allclose(observation[:, -20:], expected.clip(-10, 10), atol=1e-4)


@pytest.mark.parametrize("horizon", [1, 3])
def test_the_return_is_the_error_before_minus_the_error_after(shared, horizon):
    environment = shared(6, horizon=horizon, noise=0.1, efficacy="beta", action_scale=0.3)
    environment.reset()
    before = environment.state["error"].copy()
    generator = np.random.default_rng(0)
    total = np.zeros(6)
    for step in range(horizon):
        actions = generator.uniform(-1, 1, (6, 20)).astype(np.float32)
        *_, reward, terminated, truncated, info = environment.step(actions)
        total += reward
        assert terminated.all() == (step == horizon - 1)
        assert not truncated.any()
    np.testing.assert_allclose(total, before - info["final_info"]["mse_to_target"], atol=1e-5)


def test_rewards_by_hand(shared):
    actions = np.random.default_rng(1).uniform(-2, 2, (6, 20)).astype(np.float32)
    within = actions.clip(-1, 1)
    rewards, facts = {}, {}
    for reward in ("mse_reduction", "mse_reduction_relative", "cosine_delta", "neg_sq_dist"):
        environment = shared(6, reward=reward)
        environment.reset()
        x, y = environment.state["cell"].copy(), environment.state["target"].copy()
        rewards[reward] = environment.step(actions)[1]
        facts[reward] = x, y
    x, y = facts["mse_reduction"]
    assert all(np.array_equal(x, each) for each, _ in facts.values())
    gain = ((x - y) ** 2).mean(1) - ((x + within - y) ** 2).mean(1)
    np.testing.assert_allclose(rewards["mse_reduction"], gain, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(rewards["mse_reduction_relative"], gain / ((x - y) ** 2).mean(1), rtol=1e-4)
    cosine = (within * (y - x)).sum(1) / np.linalg.norm(within, axis=1) / np.linalg.norm(y - x, axis=1)
    np.testing.assert_allclose(rewards["cosine_delta"], cosine, rtol=1e-4, atol=1e-6)
    distance = ((x + within - y) ** 2).sum(1) + 0.01 * (within**2).sum(1) + 0.05 * np.abs(within).sum(1)
    np.testing.assert_allclose(rewards["neg_sq_dist"], -distance, rtol=1e-5)


def test_doing_nothing_earns_nothing(shared):
    for reward in ("mse_reduction", "mse_reduction_relative", "cosine_delta"):
        environment = shared(4, reward=reward)
        environment.reset()
        np.testing.assert_array_equal(environment.step(np.zeros((4, 20), np.float32))[1], 0)


def test_equal_seeds_give_equal_runs_whatever_the_number_of_copies(shared):
    options = {"horizon": 3, "noise": 0.2, "efficacy": "beta"}
    for one, other in zip(play(shared(4, seed=3, **options), 7), play(shared(4, seed=3, **options), 7), strict=True):
        np.testing.assert_equal(one, other)
    few, many = shared(1, seed=3, **options), shared(8, seed=3, **options)
    few.reset()
    many.reset()
    for _ in range(7):
        actions = np.random.default_rng(0).uniform(-1, 1, (8, 20)).astype(np.float32)
        one, other = few.step(actions[:1]), many.step(actions)
        np.testing.assert_allclose(one[0][0], other[0][0], rtol=1e-6)
        np.testing.assert_allclose(one[1][0], other[1][0], rtol=1e-4, atol=1e-7)


def test_reset_with_a_seed_reproduces_everything(shared):
    environment = shared(4, noise=0.1, horizon=2)
    first = environment.reset(seed=11)[0]
    after = environment.step(np.zeros((4, 20), np.float32))
    environment.reset()
    np.testing.assert_array_equal(environment.reset(seed=11)[0], first)
    np.testing.assert_equal(environment.step(np.zeros((4, 20), np.float32)), after)
    assert not np.array_equal(environment.reset(seed=12)[0], first)


def test_it_continues_exactly_from_its_state(shared):
    options = {"horizon": 3, "noise": 0.2}
    environment, other = shared(4, **options), shared(4, seed=9, **options)
    play(environment, 4)
    other.reset()
    other.set_state(environment.get_state())
    actions = np.random.default_rng(5).uniform(-1, 1, (6, 4, 20)).astype(np.float32)
    for each in actions:
        np.testing.assert_equal(environment.step(each), other.step(each))


def test_perturbations_are_drawn_evenly_or_by_frequency(shared):
    counts = np.zeros(6)
    environment = shared(64)
    for _ in range(40):
        environment.reset()
        counts += np.bincount(environment.state["label"], minlength=6)
    seen = environment.task.data.seen
    assert (counts[~seen] == 0).all()
    share = 64 * 40 / seen.sum()
    assert (np.abs(counts[seen] - share) < 5 * np.sqrt(share)).all()


def test_gene_effects_spread_actions_by_correlation(shared):
    environment = shared(3, action_map="gene_effects")
    data = environment.task.data
    controls = data.expression[data.cells(None)]
    correlation = np.corrcoef(controls.T.astype(np.float64))
    expected = correlation / np.linalg.norm(correlation, axis=1, keepdims=True)
    environment.reset()
    x = environment.state["cell"].copy()
    state = environment.state
    actions = np.eye(20, dtype=np.float32)[:3] * 0.5
    environment.transition(actions)
    np.testing.assert_allclose(state["cell"] - x, 0.5 * expected[:3], atol=1e-4)
    named = shared(3, action_map="gene_effects", action_genes=data.genes[[3, 7]].tolist())
    np.testing.assert_allclose(named.actions.effects, expected[[3, 7]], atol=1e-4)


def test_gene_choice_never_repeats_a_gene_and_can_stop(shared):
    environment = shared(5, action_map="gene_choice", horizon=4)
    generator = np.random.default_rng(0)
    environment.reset()
    truth, data = environment.task.data.truth, environment.task.data
    for _ in range(4):
        masks = environment.action_masks()
        assert masks.shape == (5, 21)
        assert masks[:, -1].all()
        allowed = [np.flatnonzero(row[:-1]) for row in masks]
        chosen = np.array([generator.choice(each) for each in allowed])
        before = environment.state["cell"].copy()
        environment.transition(chosen)
        change = -np.minimum(3.0, truth.mean[chosen])
        expected = truth.propagation[:, chosen].T * change[:, None]
        np.testing.assert_allclose(environment.state["cell"] - before, expected, atol=1e-4)
        assert not environment.action_masks()[np.arange(5), chosen].any()
        again = environment.state["cell"].copy()
        if environment.state["elapsed_steps"][0] == 1:
            environment.transition(chosen)  # what an algorithm without masks may do: nothing happens
            np.testing.assert_array_equal(environment.state["cell"], again)
            environment.state["elapsed_steps"] -= 1
    assert data.truth is not None
    environment.reset()
    *_, terminated, _, _ = environment.step(np.full(5, 20))
    assert terminated.all()


def test_bad_actions_leave_the_state_alone(shared):
    environment = shared(3)
    environment.reset()
    before = environment.state["cell"].copy()
    for actions in (np.zeros((3, 19), np.float32), np.full((3, 20), np.nan, np.float32)):
        with pytest.raises(ActionError, match=r"Actions have shape|is not finite"):
            environment.step(actions)
    np.testing.assert_array_equal(environment.state["cell"], before)
    assert environment.simulator_calls == 0


def test_an_evaluation_predicts_every_group_from_every_start_cell_once(shared):
    environment = shared(7, split="test")
    groups = environment.task.scorer("test").groups
    starts = environment.task.start_cells("test", 0)
    assert environment.suggested_episodes == len(groups) * len(starts)
    for agent in ("no_change", "additive"):
        evaluation = evaluate(environment.baselines()[agent], environment, seed=0)
        assert evaluation.episodes["n_predicted"].tolist() == [len(starts)] * len(groups)
        assert evaluation.scalars.keys() == {metric.name for metric in environment.metrics}
        if agent == "no_change":
            assert evaluation.scalars["pearson_delta_A"] == 0
            assert evaluation.scalars["pds_A"] == 0.5
        else:
            assert evaluation.scalars["pearson_delta_A"] > 0.5


class Still:
    """A policy that does nothing."""

    def act(self, observation, *, masks, generator):
        return np.zeros((len(observation), 20), np.float32)


def test_a_policy_that_does_nothing_scores_as_no_change(shared):
    environment = shared(7, split="test", horizon=2)
    ours = evaluate(Still(), environment, seed=0).scalars
    theirs = evaluate(environment.baselines()["no_change"], environment, seed=0).scalars
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert value == pytest.approx(theirs[key], abs=1e-6), key


def test_validation_never_looks_at_test_cells(shared):
    environment = shared(4, split="validation")
    test = environment.task.data.split.test
    assert not test[environment.episodes.start].any()
    groups = environment.task.scorer("train").groups
    assert not test[np.concatenate([group.cells for group in groups])].any()


def test_a_rollout_repeats_an_evaluation_without_touching_the_generators(shared):
    environment = shared(3, horizon=2)
    environment.reset()
    state = environment.get_state()
    start = environment.state["cell"].copy()

    class Push:
        def act(self, observation, *, masks, generator):
            return np.tanh(observation[:, :20])

    path = environment.predict_rollout(Push(), start, environment.state["label"], environment.state["cell_type"])
    np.testing.assert_equal(environment.get_state(), state)
    assert path.shape == (3, 3, 20)
    observation = environment.observe()
    for step in (1, 2):
        transition = environment.transition(Push().act(observation, masks=None, generator=None))
        np.testing.assert_allclose(environment.state["cell"], path[step], rtol=1e-6)
        observation = environment.observe()
    assert transition.terminated.all()


MISTAKES = {
    "embedding": ({"embedding": "file"}, "embedding_file=null"),
    "gene_choice_latent": ({"action_map": "gene_choice", "representation": "latent"}, "representation=gene"),
    "pseudotime": ({"start": "pseudotime"}, "paper_compat=true"),
    "scaling": ({"data": {"scale_separately": True}}, "paper_compat=true"),
    "acting": ({"action_map": "gene_effects", "action_genes": ["nobody"]}, "nobody cannot act"),
    "horizon": ({"horizon": 0}, "horizon=0: give a value of at least 1"),
    "noise": ({"noise": -1.0}, "noise=-1.0: give a value of at least 0"),
    "unknown": ({"horizn": 2}, "did you mean horizon"),
    "nested": ({"data_split": {"held_out_perturbation": 0.2}}, "env.data_split.held_out_perturbation"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_end_in_a_sentence_with_the_remedy(name):
    options, words = MISTAKES[name]
    with pytest.raises(UserError, match=words.replace(".", r"\.")) as raised:
        bioppo.make_env("perturbation", **(SMALL | options))
    assert "\n" not in str(raised.value)
