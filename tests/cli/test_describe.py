import dataclasses

import pytest

from bioppo.cli.list import KINDS, by_kind
from bioppo.cli.main import main
from bioppo.configs import registry
from bioppo.configs.option import described_options, option_table
from bioppo.configs.registry import GROUPS, schema_of

CHOICES = [(group, name) for group, names in GROUPS.items() for name in names]


def describe(capsys, *words):
    from bioppo.cli import describe

    assert describe.main(list(words)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_option_is_described_within_80_columns(group, name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = describe(capsys, f"{group}={name}")
    lines = shown.splitlines()
    assert lines[0] == f"{group}={name}"
    assert max(map(len, lines)) <= 80
    text = " ".join(shown.split())
    for entry in described_options(schema_of(group, name)):
        assert f"{group}.{entry.name}: " in text
        assert " ".join(entry.metadata["meaning"].split()) in text
        assert all(str(choice) in text for choice in entry.metadata["choices"])


def test_types_defaults_units_and_limits_are_shown(capsys):
    text = " ".join(describe(capsys, "env=kinetic").split())
    assert "env.lambda_part: int | float | str = auto_saturation 1/h largest eigenvalue" in text
    assert "env.horizon: int = 5 steps per episode (at least 1)" in text
    assert "env.time_feature: bool = true observe" in text
    assert "needed where they are used (one of M, mM, uM, nM)" in text
    assert "algo.target_kl: float | None = null end an update" in " ".join(describe(capsys, "algo=ppo").split())
    assert "env.kwargs: dict[str, Any] = {}" in describe(capsys, "env=gymnasium")
    assert "It has no options." in describe(capsys, "tracker=none")


def test_markdown_is_the_table_of_the_documentation(capsys):
    assert describe(capsys, "env=kinetic", "--markdown") == option_table(schema_of("env", "kinetic")) + "\n"


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("kinetic", "'kinetic' names no group: did you mean env=kinetic?"),
        ("something", "'something' names no group: write GROUP=NAME, such as env=kinetic."),
        ("envs=kinetic", "There is no group 'envs' with options: did you mean env?"),
        ("env=kinetik", "env=kinetik does not exist: did you mean kinetic?"),
        ("algo=pppo", "algo=pppo does not exist: did you mean ppo"),
    ],
)
def test_a_mistaken_choice_is_named(word, sentence):
    from bioppo import UserError
    from bioppo.cli.describe import find

    with pytest.raises(UserError) as raised:
        find(word)
    assert sentence in str(raised.value)


def test_algorithms_are_grouped_by_kind(monkeypatch):
    config = dataclasses.make_dataclass("Config", [])
    kinds = {"greedy": "rule", "ppo": "learned", "nes": "search", "trpo": "learned"}
    schemas = {name: type(name, (config,), {"kind": kind}) for name, kind in kinds.items()}
    monkeypatch.setitem(GROUPS, "algo", dict.fromkeys(kinds, ""))
    monkeypatch.setattr(registry, "schema_of", lambda group, name: schemas[name])
    grouped = by_kind("algo", list(kinds))
    assert grouped == [("learned", ["ppo", "trpo"]), ("search", ["nes"]), ("rule", ["greedy"])]
    assert by_kind("env", ["a", "b"]) == [("", ["a", "b"])]


@pytest.mark.parametrize("name", GROUPS["algo"])
def test_every_algorithm_has_a_kind(name):
    assert schema_of("algo", name).kind in KINDS


def test_yaml_files_are_listed_with_their_first_comment(capsys):
    assert main(["list", "debug"]) == 0
    assert capsys.readouterr().out.startswith("fast  A run of seconds, to see that a pair works")
    assert main(["list", "experiment"]) == 0
    assert capsys.readouterr().out
