import pytest

from bioppo import UserError
from bioppo.reports.records import find_runs
from bioppo.reports.rows import tasks
from bioppo.reports.variants import natural, variants, written


def labels(study):
    return [variant.label for variant in variants(find_runs(study.path))]


def test_seeds_and_what_does_not_count_make_no_variant(study):
    study.run("a", 0)
    study.run("b", 1, device="cuda", threads=8, tracker={"name": "tensorboard"}, checkpoint={"every": 3}, study="other")
    study.run("c", 10, env={"workers": 4}, display="off", results="elsewhere")
    (variant,) = variants(find_runs(study.path))
    assert variant.label == "ppo"
    assert variant.settings == {}
    assert [run.seed for run in variant.runs] == [0, 1, 10]


def test_whole_numbers_equal_their_floats(study):
    study.run("a", 0, env={"horizon": 5})
    study.run("b", 1, env={"horizon": 5.0})
    assert labels(study) == ["ppo"]


def test_one_differing_key_is_the_label_in_the_order_of_its_values(study):
    for value in (0.01, 1e-05, 0.0003):
        study.run(f"lr_{value}", algo={"learning_rate": value})
    found = variants(find_runs(study.path))
    assert [variant.label for variant in found] == ["learning_rate=1e-05", "learning_rate=0.0003", "learning_rate=0.01"]
    assert found[0].settings == {"algo.learning_rate": 1e-05}


def test_algorithms_are_told_apart_by_name_and_not_by_the_keys_that_only_one_has(study):
    study.run("a")
    study.run("b", algo={"name": "cma_es", "_target_": "x.CMAES", "sigma": 0.3, "learning_rate": 1.0})
    assert labels(study) == ["cma_es", "ppo"]


def test_keys_are_compared_within_an_algorithm(study):
    study.run("a")
    study.run("b", algo={"learning_rate": 0.1})
    study.run("c", algo={"name": "masked_ppo"})
    found = variants(find_runs(study.path))
    assert [variant.label for variant in found] == [
        "masked_ppo",
        "ppo, learning_rate=0.0003",
        "ppo, learning_rate=0.1",
    ]
    # The CSV's columns hold the value of everyone who has the key.
    assert found[0].settings == {"algo.name": "masked_ppo", "algo.learning_rate": 0.0003}


def test_another_task_or_budget_is_said_even_between_algorithms(study):
    study.run("a", budget=1000)
    study.run("b", algo={"name": "cma_es"}, budget=2000)
    assert labels(study) == ["cma_es, budget=2000", "ppo, budget=1000"]


def test_environments_are_told_apart_by_name(study):
    study.run("a")
    study.run("b", env={"name": "dfba", "horizon": 200, "clip": 1})
    assert labels(study) == ["dfba", "kinetic"]


def test_prefix_stays_where_both_groups_have_the_key(study):
    for gamma in (0.9, 1.0):
        study.run(f"{gamma}", env={"gamma": 1}, algo={"gamma": gamma})
    assert labels(study) == ["algo.gamma=0.9", "algo.gamma=1"]


def test_nested_keys_lists_null_and_missing_keys(study):
    study.run("a", algo={"policy": {"sizes": [64, 64]}, "clip": None})
    study.run("b", algo={"policy": {"sizes": [64]}, "clip": 0.2})
    study.run("c", algo={"policy": {"sizes": [64]}})
    assert labels(study) == [
        "policy.sizes=[64], clip=unset",
        "policy.sizes=[64], clip=0.2",
        "policy.sizes=[64, 64], clip=null",
    ]


def test_given_names_are_the_labels_and_keep_equal_configs_apart(study):
    study.run("b", variant="row_10", algo={"learning_rate": 1.0})
    study.run("a", variant="row_9")
    study.run("c", variant="row_2")
    assert labels(study) == ["row_2", "row_9", "row_10"]


def test_a_name_given_to_two_configs_is_told_apart(study):
    study.run("a", variant="full")
    study.run("b", variant="full", algo={"learning_rate": 1.0})
    assert labels(study) == ["full (learning_rate=0.0003)", "full (learning_rate=1)"]


def test_the_same_run_twice_names_both(study):
    study.run("a", 4)
    study.run("b", 4)
    with pytest.raises(UserError, match=r"a/seed_4 and .*b/seed_4: the same config with the same seed 4; give a dir"):
        labels(study)


def test_the_task_of_a_variant_is_its_environment_and_evaluation(study):
    study.run("a", env={"horizon": 10}, algo={"learning_rate": 1.0})
    study.run("b", env={"horizon": 5})
    assert [(variant.label, variant.task) for variant in variants(find_runs(study.path))] == [
        ("horizon=5, learning_rate=0.0003", "horizon=5"),
        ("horizon=10, learning_rate=1", "horizon=10"),
    ]


def test_when_policies_are_looked_at_makes_no_other_task(study):
    study.run("a", evaluation={"episodes": 100, "every": 10})
    study.run("b", evaluation={"episodes": 100, "every": 20})
    found = variants(find_runs(study.path))
    assert [(variant.label, variant.task) for variant in found] == [
        ("evaluation.every=10", ""),
        ("evaluation.every=20", ""),
    ]
    assert len(tasks(found)) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (0.00030000000000000003, "0.0003"),
        (1e-5, "1e-05"),
        ([1, "a"], '[1, "a"]'),
        ("relu", "relu"),
        ("null", '"null"'),
        ("12", '"12"'),
        ("[a", '"[a"'),
        ("", '""'),
    ],
)
def test_values_are_written_as_one_types_them(value, text):
    assert written(value) == text


def test_natural_order():
    ordered = [None, -1, 0.5, 2, 10, "lr_0.0001", "lr_0.001", "row_2", "row_10", [64], [64, 64], [128]]
    backwards = ordered[::-1]
    assert sorted(backwards, key=natural) == ordered
