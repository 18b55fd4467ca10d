"""Shell completion: commands here, groups and keys by Hydra."""

import os
import sys


def main(words: list[str]) -> int:
    """Answer ``bioppo -sc install=bash`` and the queries that the installed function makes."""
    if any(word.startswith("query=") for word in words) and answer_first_words(os.environ.get("COMP_LINE", "")):
        return 0
    from .train import task

    sys.argv = ["bioppo", *words]
    task()
    return 0


def answer_first_words(line: str) -> bool:
    """Complete the command, or a command's own words; hand all other lines to Hydra without the command."""
    from .list import GROUPS
    from .main import COMMANDS

    words = line.split()
    if not words:
        return True
    typed = "" if line.endswith(" ") else words[-1]
    before = words if line.endswith(" ") else words[:-1]
    if len(before) <= 1:
        print(" ".join(name for name in COMMANDS if name.startswith(typed)))
        return True
    if before[1] == "list":
        print(" ".join(name for name in GROUPS if name.startswith(typed)))
        return True
    if before[1] == "data":
        print(" ".join(name for name in data_words(before[2:]) if name.startswith(typed)))
        return True
    if before[1] not in ("train", "sweep"):
        return True  # folders: the shell completes them
    start = line.index(before[1], len(words[0])) + len(before[1])
    os.environ["COMP_LINE"] = words[0] + line[start:]
    return False


def data_words(before: list[str]) -> list[str]:
    """Return what may follow the words after ``bioppo data``: a verb, or names of data sets."""
    from ..datasets.catalogue import read_catalogue
    from .data import VERBS

    if not before:
        return list(VERBS)
    return [name for name in read_catalogue() if name not in before] if before[0] in ("get", "clear") else []
