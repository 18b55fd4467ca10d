import optuna
import pytest
from hydra import compose, initialize_config_module

from bioppo import UserError
from bioppo.algorithms.baselines.config import CMAESConfig
from bioppo.algorithms.ppo.config import PPOConfig
from bioppo.configs.schema import RunConfig
from bioppo.envs.kinetic.config import KineticConfig
from bioppo.training.trackers import NoTrackerConfig
from bioppo.tuning.composition import Composition, override_text
from bioppo.tuning.search_space import Choices, Range, SearchConfig, read_space


def run_with(algo=None):
    return RunConfig(env=KineticConfig(), algo=algo or PPOConfig(), tracker=NoTrackerConfig())


RATE = {"kind": "float", "low": 1e-5, "high": 1e-2, "log": True}


@pytest.mark.parametrize(
    ("key", "entry", "sentence"),
    [
        ("algo.learnig_rate", RATE, "no key 'algo.learnig_rate' to vary: did you mean algo.learning_rate"),
        ("budget", RATE, "there is no key 'budget' to vary"),
        ("algo.name", RATE, "there is no key 'algo.name' to vary"),
        ("algo.gamma", 0.9, "space.algo.gamma: give it a kind, float, int, categorical"),
        ("algo.gamma", {"kind": "flaot"}, "space.algo.gamma.kind=flaot: did you mean float?"),
        ("algo.gamma", {"kind": "float", "low": 0.9}, "space.algo.gamma: high is missing"),
        ("algo.gamma", RATE | {"hihg": 1}, "there is no 'hihg' in kind float: did you mean high?"),
        ("algo.gamma", {"kind": "float", "low": 0.9, "high": 0.8}, "low=0.9 is not below high=0.8"),
        ("algo.gamma", {"kind": "float", "low": "a", "high": 0.8}, "gamma.low=a: give a finite number"),
        ("algo.gamma", {"kind": "float", "low": None, "high": 0.8}, "low and high must be numbers"),
        ("algo.gamma", {"kind": "float", "low": 0.5, "high": 1.5}, "gamma=1.5: give a value of at most 1"),
        ("algo.gamma", RATE | {"log": "yes"}, "log=yes: give true or false"),
        ("algo.ent_coef", RATE | {"low": 0}, "ent_coef.low=0: with log: true give a number above 0"),
        ("algo.ent_coef", RATE | {"step": 0.1}, "step=0.1: give a step above 0"),
        ("algo.n_epochs", {"kind": "int", "low": 1.5, "high": 3}, "n_epochs.low=1.5: give a whole number"),
        ("algo.n_epochs", {"kind": "float", "low": 1, "high": 3}, "1.0 is not of the option's type, int"),
        ("algo.n_epochs", {"kind": "categorical", "choices": [True]}, "True is not of the option's type, int"),
        ("algo.schedule", {"kind": "categorical", "choices": []}, "choices=[]: give a list of values"),
        ("algo.schedule", {"kind": "categorical", "choices": ["cosine", "cosine"]}, "give every value once"),
        ("algo.schedule", {"kind": "categorical", "choices": ["step"]}, "schedule=step: choose one of constant"),
        ("algo.hidden_sizes", {"kind": "categorical", "choices": [[8, "a"]]}, "is not of the option's type"),
        ("algo.hidden_sizes", {"kind": "categorical", "choices": [[0]]}, "give positive numbers of units"),
        ("algo.hidden_sizes.first", RATE, "there is no key 'algo.hidden_sizes.first' to vary"),
        ("algo.options.first", RATE, "there is no key 'algo.options.first' to vary"),
    ],
)
def test_a_mistake_in_the_space_is_one_sentence(key, entry, sentence):
    with pytest.raises(UserError) as caught:
        read_space({key: entry}, run_with())
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_space_is_refused():
    with pytest.raises(UserError, match="at least one key to vary"):
        read_space({}, run_with())


@pytest.mark.parametrize(
    "values",
    [
        {"sampler": "tp"},
        {"objective": "best"},
        {"n_trials": 0},
        {"seeds": []},
        {"final_seeds": [1, 1]},
        {"seeds": [-1]},
        {"pruner_warmup": 1.0},
        {"final_objective": "best"},
        {"final_average": "median"},
    ],
)
def test_settings_are_checked(values):
    with pytest.raises(UserError, match=f"{next(iter(values))}="):
        SearchConfig(**values)


def test_dimensions_draw_within_their_ends_and_lists_come_back():
    space = read_space(
        {
            "algo.learning_rate": RATE,
            "algo.n_epochs": {"kind": "int", "low": 2, "high": 10, "step": 4},
            "algo.hidden_sizes": {"kind": "categorical", "choices": [[8], [16, 8]]},
            "algo.target_kl": {"kind": "categorical", "choices": [None, 0.02]},
        },
        run_with(),
    )
    assert space["algo.learning_rate"] == Range(1e-5, 1e-2, whole=False, log=True)
    assert space["algo.hidden_sizes"] == Choices(([8], [16, 8]))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = []
    for _ in range(40):
        trial = study.ask()
        for key, dimension in space.items():
            dimension.suggest(key, trial)
        drawn.append({key: dimension.decode(trial.params[key]) for key, dimension in space.items()})
    assert {values["algo.n_epochs"] for values in drawn} == {2, 6, 10}
    assert sorted({tuple(values["algo.hidden_sizes"]) for values in drawn}) == [(8,), (16, 8)]
    assert {values["algo.target_kl"] for values in drawn} == {None, 0.02}
    rates = [values["algo.learning_rate"] for values in drawn]
    assert 1e-5 <= min(rates) < 1e-4
    assert 1e-3 < max(rates) <= 1e-2


def test_keys_of_a_free_mapping_are_added():
    composition = Composition(("env=kinetic", "algo=masked_ppo", "+algo.policy_options.kappa=2.0"))
    run = composition.run({})
    sizes = {"kind": "categorical", "choices": [[8], [16, 8]]}
    space = read_space({"algo.policy_options.hidden_sizes": sizes, "algo.policy_options.kappa": RATE}, run)
    assert list(space) == ["algo.policy_options.hidden_sizes", "algo.policy_options.kappa"]
    varied = composition.run({"algo.policy_options.hidden_sizes": [16, 8], "seed": 3})
    assert varied.algo.policy_options == {"kappa": 2.0, "hidden_sizes": [16, 8]}
    assert varied.seed == 3


@pytest.mark.parametrize("value", [1.0853e-05, 1 / 3, 7, True, None, [64, 8], "cosine", "a 'b', c=1", [], "\\'"])
def test_an_override_is_read_back_exactly(value):
    composition = Composition(("env=kinetic", "algo=ppo"))
    composition.run({})  # registers the schemas
    with initialize_config_module("bioppo.configs", version_base="1.3"):
        config = compose("train", overrides=[f"+extra={override_text(value)}"])
    assert config.extra == value
    assert type(value) is list or type(config.extra) is type(value)


@pytest.mark.parametrize(("name", "algo"), [("kinetic_ppo", PPOConfig()), ("kinetic_cma_es", CMAESConfig())])
def test_the_searches_that_are_shipped_are_valid(name, algo):
    settings = Composition(("env=kinetic", f"algo={algo.name}")).search(name, ["n_trials=7", "search.seeds=[1,2]"])
    assert len(read_space(settings.space, run_with(algo))) == len(settings.space) > 2
    assert (settings.n_trials, settings.seeds) == (7, [1, 2])
