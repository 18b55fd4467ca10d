"""The package is one, whole, and laid out as its settings say."""

import importlib
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bioppo

ROOT = Path(__file__).parents[1]
CHECKOUT = pytest.mark.skipif(not (ROOT / "configs").is_dir(), reason="runs in a checkout only")
OUTSIDE = ("tests", "docs", "benchmarks", "examples", "build", "dist", "results")


def folders_with_code():
    found = {"bioppo"}
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if path.suffix in (".py", ".yaml") and not parts[0].startswith(".") and parts[0] not in OUTSIDE:
            found.add(".".join(["bioppo", *parts[:-1]]))
    return found


@CHECKOUT
def test_the_list_of_packages_is_the_tree():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(settings["tool"]["setuptools"]["packages"]) == folders_with_code()
    typed = settings["tool"]["mypy"]["packages"]
    assert set(typed) == {name for name in folders_with_code() if name.count(".") == 1}


@CHECKOUT
def test_only_the_package_itself_stands_at_the_root():
    assert [path.name for path in ROOT.glob("*.py")] == ["__init__.py"]


def modules():
    return [module.name for module in pkgutil.walk_packages(bioppo.__path__, "bioppo.") if is_ours(module.name)]


def is_ours(name):
    return name.split(".")[1] not in OUTSIDE


def test_every_module_imports_and_no_room_is_a_top_level_name():
    code = (
        "import importlib, sys\n"
        f"for name in {modules()!r}: importlib.import_module(name)\n"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('bioppo.')}\n"
        "print(sorted(rooms & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_importing_the_package_imports_nothing_heavy():
    code = "import bioppo, sys; print(bioppo.__version__, 'numpy' in sys.modules, 'gymnasium' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [bioppo.__version__, "False", "False"]


def test_every_public_thing_says_what_it_is():
    for name in modules():
        module = importlib.import_module(name)
        assert module.__doc__, name
        for attribute, value in vars(module).items():
            public = not attribute.startswith("_") and getattr(value, "__module__", None) == name and callable(value)
            assert not public or value.__doc__, f"{name}.{attribute}"


def test_the_configs_travel_with_the_package():
    folder = Path(bioppo.__path__[0]) / "configs"
    assert (folder / "train.yaml").is_file()
    assert (folder / "tuned" / "kinetic-ppo.yaml").is_file()
    assert (Path(bioppo.__path__[0]) / "py.typed").is_file()


def test_an_unknown_attribute_is_named():
    with pytest.raises(AttributeError, match="has no attribute 'make'"):
        _ = bioppo.make
