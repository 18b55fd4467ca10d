"""The study of trpo_ppo beside PPO and TRPO: what is shared is equal, and searches draw what runs accept."""

import pytest

from bioppo.configs.registry import yaml_choices
from bioppo.tuning.composition import Composition
from bioppo.tuning.search_space import read_space

TASKS = tuple(yaml_choices("ablation/trpo_ppo_tasks"))
METHODS = tuple(yaml_choices("ablation/trpo_ppo_methods"))
SHARED = "n_steps batch_size gamma gae_lambda hidden_sizes activation log_std_init zero_last_layer normalize_advantage"


def composition(task, method, *words):
    return Composition(
        (
            "study=trpo_ppo_comparison",
            f"+ablation/trpo_ppo_tasks={task}",
            f"+ablation/trpo_ppo_methods={method}",
            *words,
        )
    )


@pytest.mark.parametrize("task", TASKS)
def test_methods_differ_in_their_own_settings_alone(task):
    runs = {method: composition(task, method).run({}) for method in METHODS}
    assert len(runs) >= 4
    for part in ("budget", "env", "evaluation"):
        assert len({repr(getattr(run, part)) for run in runs.values()}) == 1
    for name in SHARED.split():
        assert len({repr(getattr(run.algo, name)) for run in runs.values()}) == 1, name
    assert len({run.variant for run in runs.values()}) == len(METHODS)
    assert {run.algo.name for run in runs.values()} == {"ppo", "trpo", "trpo_ppo"}
    assert runs["two_phase"].algo.trpo_timesteps == runs["two_phase"].budget // 4


@pytest.mark.parametrize("task", TASKS)
def test_searches_draw_shared_settings_from_equal_ranges(task):
    searches = {"ppo": "ppo", "trpo": "trpo", "per_iteration": task, "two_phase": task}
    rates, passes, trials = set(), set(), set()
    for method, name in searches.items():
        found = composition(task, method).search(f"trpo_ppo_comparison_{name}", [])
        space = read_space(found.space, composition(task, method).run({}))
        rates.add(space["algo.learning_rate"])
        passes |= {space[key] for key in ("algo.n_epochs", "algo.n_critic_updates") if key in space}
        trials.add((found.n_trials, tuple(found.seeds), found.sampler, found.pruner))
        chosen = composition(task, method).run({}).algo
        assert all(low <= chosen.learning_rate <= high for low, high in [space["algo.learning_rate"].extremes])
    assert len(rates) == len(passes) == len(trials) == 1
    assert not set(range(10)) & set(trials.pop()[1])  # the seeds of the test
