"""`bioppo data`: list, download and remove public data sets."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .arguments import Arguments

if TYPE_CHECKING:
    from ..datasets.catalogue import DataSet

VERBS = {
    "list": "name the data sets with size, licence and where they are",
    "get": "show the licence and download",
    "clear": "remove what was downloaded, and models that were trained on it",
}


def main(words: list[str]) -> int:
    """Run one verb."""
    parser = Arguments(prog="bioppo data", description="List, download and remove public data sets.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    parsers = {name: verbs.add_parser(name, help=meaning, description=meaning) for name, meaning in VERBS.items()}
    parsers["get"].add_argument("names", metavar="NAME", nargs="+", help="a name that `bioppo data list` shows")
    parsers["clear"].add_argument(
        "name", metavar="NAME", nargs="?", help="one data set, or perturbation_embedding; without it, all"
    )
    options = parser.parse_args(words)
    actions: dict[str, Callable[[], None]] = {
        "list": print_list,
        "get": lambda: get_all(options.names),
        "clear": lambda: clear(options.name),
    }
    actions[options.verb]()
    return 0


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
    """Remove data sets and trained models, and say what that freed."""
    from ..datasets import download
    from ..datasets.cache import TRAINED_MODELS

    removed = {} if name == TRAINED_MODELS else download.clear(name)
    if name in (None, TRAINED_MODELS):
        removed |= download.clear_models()
    for each, size in removed.items():
        print(f"Removed {each} ({size:,} bytes).")
    if not removed:
        print(f"There is nothing to remove in {download.data_directory()}.")
