"""`bioppo tune`: search for good settings of an algorithm, and train the best of them at full budget."""

import importlib.util
import time
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from .. import UserError
from ..configs.option import nearest
from ..configs.schema import RunConfig
from ..tuning.search_space import SETTINGS, SearchConfig, read_space
from .overrides import split_words

if TYPE_CHECKING:
    from ..tuning.composition import Composition
    from ..tuning.phases import Finalist
    from ..tuning.study import Tuning

USAGE = f"""\
usage: bioppo tune env=NAME algo=NAME search=NAME [key=value ...] [--config-dir FOLDER]

Search over the space in configs/search/NAME.yaml, or FOLDER/search/NAME.yaml, then train the best parameter sets at
full budget. Overrides are those of `bioppo train`; a key that is typed is not searched. The same command continues.
Settings of a search: {", ".join(SETTINGS)}."""


def main(words: list[str]) -> int:
    """Check everything, run both phases, and print the ranking."""
    if {"-h", "--help"} & set(words):
        print(USAGE)
        return 0
    overrides, flags = split_words(words)
    run_words, settings, search = split_settings(overrides)
    folder = config_folder(flags)

    from ..tuning.composition import Composition

    composition = Composition(tuple(run_words), folder)
    tuning = prepare(composition, search, composition.search(search, settings))

    from ..tuning.phases import rank, write_results
    from ..tuning.study import open_study
    from ..tuning.workers import share

    say = silent if tuning.base.display == "off" else tell
    say(f"Study: {tuning.directory}")
    share(tuning, say)
    ranking = rank(tuning, open_study(tuning))
    experiment = write_results(tuning, ranking)
    if tuning.base.display != "off":
        show(tuning, ranking)
        print(f"Next:  bioppo train --config-dir {tuning.directory} experiment={experiment.stem} seed=0")
    return 0


def prepare(composition: "Composition", search: str, settings: SearchConfig) -> "Tuning":
    """Check the search against the run, and say where its study lies."""
    base = composition.run({})
    typed = {word.lstrip("+").partition("=")[0] for word in composition.overrides}
    read_space(settings.space, base)
    left = {key: entry for key, entry in settings.space.items() if key not in typed}
    if not left:
        raise UserError(
            f"search={search}: every key of its space is set on the command line; leave one out to vary it."
        )
    if settings.sampler == "cmaes":
        require("cmaes", "sampler=cmaes needs the package cmaes: pip install cmaes, or choose tpe or random.")
    settings = replace(settings, space=left)
    space = read_space(left, base)

    from ..tuning.study import Tuning, find_headline, study_name

    directory = Path(base.results) / "tune" / study_name(search, settings, base)
    shaping = {key: dimension.extremes[0] for key, dimension in space.items() if ".policy_options." in key}
    headline = find_headline(base, composition.run(shaping) if shaping else base)
    deadline = None if settings.timeout is None else time.time() + settings.timeout
    return Tuning(composition, search, settings, space, base, headline, directory, deadline)


def split_settings(overrides: list[str]) -> tuple[list[str], list[str], str]:
    """Return the overrides of the run, the settings of the search, and the name of the search.

    Raises
    ------
    UserError
        If no search is named, or a word looks like a setting and is none.
    """
    run_words, settings, search = [], [], None
    for word in overrides:
        key, _, value = word.partition("=")
        if key in ("search", "+search"):
            search = value
        elif key in SETTINGS or key.startswith("search."):
            settings.append(word)
        elif key.isidentifier() and key not in RunConfig.__dataclass_fields__ and get_close_matches(key, SETTINGS):
            raise UserError(f"There is no key '{key}': {nearest(key, SETTINGS)}")
        else:
            run_words.append(word)
    if not search:
        raise UserError("search=... is missing: write search=NAME for a file configs/search/NAME.yaml or your own.")
    return run_words, settings, search


def config_folder(flags: list[str]) -> Path | None:
    """Return the folder given with ``--config-dir``; other flags of Hydra's mean nothing here."""
    folder, words = None, iter(flags)
    for flag in words:
        name, _, value = flag.partition("=")
        if name not in ("--config-dir", "-cd"):
            raise UserError(f"bioppo tune has no option {name}: only --config-dir FOLDER, and overrides key=value.")
        folder = Path(value or next(words, ""))
        if not folder.is_dir() or folder == Path():
            raise UserError(f"--config-dir {folder}: there is no such folder.")
    return folder


def require(package: str, sentence: str) -> None:
    """Refuse to go on without a package."""
    if importlib.util.find_spec(package) is None:
        raise UserError(sentence)


def tell(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def silent(text: str) -> None:
    """Print nothing."""


def show(tuning: "Tuning", ranking: "list[Finalist]") -> None:
    """Print the ranking as a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from ..tuning.phases import AVERAGES, ranking_rows
    from ..tuning.study import shown

    arrow = {"higher": "↑", "lower": "↓"}[tuning.headline.better]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    average = AVERAGES[tuning.settings.final_average].name
    table.title, table.title_justify = f"{tuning.headline.name} {arrow}, {average} over seeds", "left"
    table.caption = "score: validation, which ranks; test: the last policy on fresh episodes"
    table.caption_justify = "left"
    for name in ("rank", "trial", "score", "95 % interval", "test", "seeds"):
        table.add_column(name, justify="right")
    table.add_column("settings")
    for row, finalist in zip(ranking_rows(tuning, ranking), ranking, strict=True):
        interval = f"{shown(row['low'])} to {shown(row['high'])}" if len(finalist.scores) > 1 else "–"
        numbers = (row["rank"], row["trial"], row["score"], interval, row["test"], row["n_seeds"])
        settings = "\n".join(f"{key}={shown(value)}" for key, value in finalist.values.items())
        table.add_row(*map(shown, numbers), settings)
    Console().print(table)
