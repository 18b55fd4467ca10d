"""The documentation tells the truth: its code runs, its commands compose, its option tables are the options."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

import bioppo
from bioppo.algorithms.baselines.config import CEMConfig
from bioppo.algorithms.independent_ppo.config import AgentConfig, IndependentPPOConfig
from bioppo.algorithms.independent_ppo.spam_config import SpamPPOConfig
from bioppo.algorithms.masked_ppo.config import MaskedPPOConfig
from bioppo.algorithms.ppo.config import PPOConfig
from bioppo.algorithms.trpo_ppo.config import TRPOPPOConfig
from bioppo.cli.data import TABLES as TABLE_VERBS
from bioppo.cli.data import VERBS, add_table_words
from bioppo.cli.main import COMMANDS, main
from bioppo.cli.transition_tables import compose
from bioppo.configs.option import option_table
from bioppo.envs.dfba.config import DynamicFBAConfig
from bioppo.envs.kinetic.config import KineticConfig
from bioppo.envs.perturbation.config import PerturbationConfig
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.krumsiek_config import KrumsiekConfig
from bioppo.envs.reprogramming.policy_options import AfterstateOptions, ComponentPairOptions, PairOptions

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TABLES = {
    "docs/kinetic.md": KineticConfig,
    "docs/runs.md": PPOConfig,
    "docs/trpo_ppo.md": TRPOPPOConfig,
    "docs/masked_ppo.md": MaskedPPOConfig,
    "docs/perturbation.md": PerturbationConfig,
    "docs/independent_ppo.md": IndependentPPOConfig,
    "docs/dfba.md": DynamicFBAConfig,
    "docs/reprogramming.md": ReprogrammingConfig,
}
FURTHER_TABLES = {
    "docs/independent_ppo.md": (AgentConfig, SpamPPOConfig, CEMConfig),
    "docs/reprogramming.md": (KrumsiekConfig, AfterstateOptions, PairOptions, ComponentPairOptions),
}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def outputs(page):
    """What stands right below Python examples as their output."""
    pattern = r"^```python\n(?:(?!^```).*\n)*```\n\n```text\n((?:(?!^```).*\n)*)```$"
    return re.findall(pattern, page.read_text(), flags=re.MULTILINE)


def commands():
    lines = [
        line.partition("   ")[0].strip()
        for page in PAGES
        for language in ("bash", "text")
        for block in blocks(page, language)
        for line in block.splitlines()
        if line.startswith("bioppo ")
    ]
    return [line for line in dict.fromkeys(lines) if "..." not in line]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_python_examples_run(page, capsys):
    names = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)
    printed = capsys.readouterr().out
    assert printed
    for shown in outputs(page):
        assert shown in printed


def test_there_are_commands_to_test():
    assert len(commands()) > 5


@pytest.mark.parametrize("line", commands())
def test_documented_commands_compose(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _, command, *words = shlex.split(line)
    assert command in COMMANDS
    if command == "data":
        check_data(*words)
    if command == "tune":
        check_search(words)
    if command not in ("train", "sweep"):  # these need runs
        return
    if command == "sweep" or "-m" in words:  # each value by itself
        words = [word.partition(",")[0] for word in words if word != "-m"]
        command = "train"
    assert main([command, *words, "--cfg", "job", "--resolve"]) == 0
    assert "env:" in capsys.readouterr().out


def check_data(verb, *words):
    """Its verbs are there, and options of tables compose."""
    assert verb in VERBS
    if verb in TABLE_VERBS:
        parser = argparse.ArgumentParser()
        add_table_words(verb, parser)
        compose(parser.parse_args([word for word in words if word != "..."]))


def check_search(words):
    for name in (word.removeprefix("search=") for word in words if word.startswith("search=")):
        assert (Path(bioppo.__file__).parent / "configs" / "search" / f"{name}.yaml").is_file()


@pytest.mark.parametrize("page", TABLES)
def test_option_tables_are_the_options(page):
    for schema in (TABLES[page], *FURTHER_TABLES.get(page, ())):
        assert option_table(schema) in (ROOT / page).read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http") and (ROOT / "docs").is_dir() and (ROOT / "LICENSE").is_file():
            assert (page.parent / target).exists(), target


def test_the_two_set_up_commands_are_the_first_bash_blocks_of_the_readme():
    first, second = blocks(ROOT / "README.md", "bash")[:2]
    assert "bioppo train env=kinetic algo=ppo" in first
    assert all(tool in second for tool in ("[test]", "ruff check", "ruff format --check", "mypy", "pytest"))
