"""The searches of reprogramming: the thesis project's space and settings, every choice of which makes a network."""

import pytest

from bioppo.configs.option import build_options
from bioppo.envs.reprogramming.policy_options import NETWORKS
from bioppo.tuning.composition import Composition
from bioppo.tuning.search_space import Choices, Range, read_space

SEARCHES = {
    "reprogramming": ("experiment=reprogramming_bannink2025", "env.data.table=mine.npz"),
    "reprogramming_fast": ("env=reprogramming_easy", "algo=masked_ppo"),
}
PAIRS = tuple([first, second] for first in (64, 128, 256) for second in (64, 128, 256))
PUBLISHED = {
    "algo.learning_rate": Range(3e-5, 3e-4, whole=False, log=True),
    "algo.n_steps": Choices((1024, 2048, 4096)),
    "algo.n_epochs": Range(4, 16, whole=True),
    "algo.clip_range": Range(0.1, 0.4, whole=False),
    "algo.ent_coef": Range(1e-5, 0.02, whole=False),
    "algo.gamma": Range(0.98, 0.999, whole=False),
    "algo.batch_size": Choices((64, 128, 256)),
    "algo.vf_coef": Range(0.1, 1.0, whole=False),
    "algo.max_grad_norm": Range(0.3, 2.0, whole=False),
    "algo.gae_lambda": Range(0.9, 0.999, whole=False),
    "algo.policy_options.actor_sizes": Choices(PAIRS),
    "algo.policy_options.critic_sizes": Choices(PAIRS),
    "algo.policy_options.activation": Choices(("relu", "tanh", "leaky_relu")),
    "env.task.scale": Range(1.0, 15.0, whole=False),
}
FAST = {
    "algo.learning_rate": Range(3e-4, 5e-3, whole=False, log=True),
    "algo.ent_coef": Range(1e-4, 0.02, whole=False, log=True),
    "algo.gamma": PUBLISHED["algo.gamma"],
    "algo.gae_lambda": PUBLISHED["algo.gae_lambda"],
    "algo.policy_options.hidden_sizes": Choices(([64, 64], [128, 128], [256, 256])),
    "env.task.scale": PUBLISHED["env.task.scale"],
}


@pytest.mark.parametrize(("name", "expected"), [("reprogramming", PUBLISHED), ("reprogramming_fast", FAST)])
def test_the_spaces_are_those_published(name, expected):
    composition = Composition(SEARCHES[name])
    base = composition.run({})
    space = read_space(composition.search(name, []).space, base)
    assert space == expected
    for place in (0, -1):
        run = composition.run({key: dimension.extremes[place] for key, dimension in space.items()})
        build_options(NETWORKS[run.algo.policy], run.algo.policy_options, "algo.policy_options")
        assert run.env.task.gamma == run.algo.gamma == space["algo.gamma"].extremes[place]
        assert run.env.task.scale == space["env.task.scale"].extremes[place]
        assert run.env.task.goal_bonus in (None, 0.0)  # the scale is no bonus


@pytest.mark.parametrize(
    ("name", "trials", "budget"), [("reprogramming", 100, 2_000_000), ("reprogramming_fast", 50, 300_000)]
)
def test_the_settings_are_those_published(name, trials, budget):
    settings = Composition(SEARCHES[name]).search(name, [])
    assert (settings.sampler, settings.pruner, settings.pruner_trials, settings.pruner_warmup) == (
        "tpe",
        "median",
        10,
        0.4,
    )
    assert (settings.objective, settings.n_trials, settings.trial_budget) == ("area_from_zero", trials, budget)
    assert (settings.top_k, settings.final_seeds) == (5, [77, 777, 7777])
    assert (settings.final_objective, settings.final_average) == ("final", "mean")


def test_the_learning_rate_falls_from_the_curriculums_end_whatever_the_budget():
    composition = Composition(SEARCHES["reprogramming"])
    starts = [composition.run({"budget": budget}).algo.schedule_start for budget in (2_500_000, 2_000_000, 100_000)]
    assert starts == [0.6, 0.75, pytest.approx(1.0, abs=1e-5)]
