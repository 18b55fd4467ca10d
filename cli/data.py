"""`bioppo data`: public data sets, and the transition tables that are built from cells."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import Arguments

if TYPE_CHECKING:
    import argparse

    from ..datasets.catalogue import DataSet

VERBS = {
    "list": "name the data sets with size, licence and where they are",
    "get": "show the licence and download",
    "clear": "remove what was downloaded, and models and tables that were made of it",
    "build": "fill the cache with an environment's transition table, and say what it is like",
    "check": "say what a transition table is like, and how it differs from another table or network",
    "delta": "write what a perturbation does to every gene of one cell",
    "convert": "write a transition table as .npz, which holds no pickles",
}

TABLES = ("build", "check", "delta", "convert")
"""Verbs about the tables of an environment, whose options are overrides as in `bioppo train`."""


def main(words: list[str]) -> int:
    """Run one verb."""
    parser = Arguments(prog="bioppo data", description="Public data sets, and tables built from cells.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    parsers = {name: verbs.add_parser(name, help=meaning, description=meaning) for name, meaning in VERBS.items()}
    parsers["get"].add_argument("names", metavar="NAME", nargs="+", help="a name that `bioppo data list` shows")
    parsers["clear"].add_argument(
        "name", metavar="NAME", nargs="?", help="one data set, perturbation_embedding or reprogramming; without it, all"
    )
    for verb in TABLES:
        add_table_words(verb, parsers[verb])
    options = parser.parse_args(words)
    if options.verb in TABLES:
        from . import transition_tables

        getattr(transition_tables, options.verb)(options)
        return 0
    actions: dict[str, Callable[[], None]] = {
        "list": print_list,
        "get": lambda: get_all(options.names),
        "clear": lambda: clear(options.name),
    }
    actions[options.verb]()
    return 0


def add_table_words(verb: str, parser: "argparse.ArgumentParser") -> None:
    """Add the words of a verb about tables to its parser."""
    parser.add_argument("env", metavar="ENV", help="reprogramming, or another choice such as reprogramming_easy")
    parser.add_argument(
        "overrides", metavar="KEY=VALUE", nargs="*", default=[], help="as in bioppo train, such as env.data.h5ad=FILE"
    )
    parser.add_argument("--config-dir", type=Path, help="folder of your own YAML files, as in training")
    if verb == "check":
        parser.add_argument(
            "--against", type=Path, metavar="FILE", help="a table (.npz, .pkl) or network (.csv, .parquet, .json)"
        )
    if verb == "delta":
        parser.add_argument("--cell", required=True, help="a name, or a number from 0")
        parser.add_argument("--gene", action="append", required=True, help="may be given several times")
        parser.add_argument(
            "--value", action="append", required=True, type=float, help="expression of each gene; 0 knocks it out"
        )
        parser.add_argument("--output", type=Path, metavar="FILE.csv", help="default: print the largest changes only")
    if verb == "convert":
        parser.add_argument("--output", type=Path, default=Path("table.npz"), metavar="FILE.npz")


def print_list() -> None:
    """Print a line per data set under a header, in columns."""
    from ..datasets.catalogue import read_catalogue
    from ..datasets.download import folder_of

    rows = [("name", "size", "licence", "present", "where")]
    rows += [
        (name, entry.size, entry.licence, presence(entry), str(folder_of(name)))
        for name, entry in read_catalogue().items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join([*(f"{text:<{width}}" for text, width in zip(row, widths, strict=False)), row[-1]]))


def presence(entry: "DataSet") -> str:
    """Say how much of a data set is there: yes, no, or how many files."""
    from ..datasets.download import missing

    lacking, count = len(missing(entry.name)), len(entry.files)
    return "yes" if not lacking else "no" if lacking == count else f"{count - lacking} of {count}"


def get_all(names: Sequence[str]) -> None:
    """Show what each data set is, then download it."""
    from ..datasets.catalogue import data_set
    from ..datasets.download import get
    from ..datasets.progress import make_progress

    for entry in [data_set(name) for name in names]:  # a mistyped name stops before the first download
        print(description(entry), flush=True)
        with make_progress() as progress:
            folder = get(entry.name, progress=progress)
        print(f"Complete: {folder}")


def description(entry: "DataSet") -> str:
    """Return what a user should know before downloading."""
    from ..datasets.download import missing

    lacking, count = missing(entry.name), len(entry.files)
    return "\n".join(
        [
            f"{entry.name}: {entry.title}",
            f"  licence   {entry.licence}",
            f"  citation  {entry.citation}",
            f"  homepage  {entry.homepage}",
            f"  files     {count}, {entry.size}" + ("" if lacking else "; all there, their checksums are compared"),
        ]
    )


def clear(name: str | None) -> None:
    """Remove data sets, trained models and transition tables, and say what that freed."""
    from ..datasets import download
    from ..datasets.cache import TRAINED_MODELS
    from ..envs.reprogramming.tables.cache import ROOM, clear_tables

    removed = {} if name in (TRAINED_MODELS, ROOM) else download.clear(name)
    if name in (None, TRAINED_MODELS):
        removed |= download.clear_models()
    if name in (None, ROOM):
        removed |= clear_tables()
    for each, size in removed.items():
        print(f"Removed {each} ({size:,} bytes).")
    if not removed:
        print(f"There is nothing to remove in {download.data_directory()}.")
