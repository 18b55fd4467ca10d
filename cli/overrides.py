"""What can be told from Hydra's command-line words before anything is composed."""

import hashlib

from .. import UserError
from ..configs.option import nearest

FLAGS_WITH_VALUE = {
    "-c", "--cfg", "-p", "--package", "-cn", "--config-name", "-cp", "--config-path", "-cd", "--config-dir",
    "-i", "--info", "--experimental-rerun",
}  # fmt: skip

FLAGS = {"-h", "--help", "--hydra-help", "--version", "--resolve", "-r", "--run", "-m", "--multirun"}

UNNAMED = ("seed", "results", "display", "device", "threads", "tracker")
"""Keys that do not make a sweep another one."""


def split_words(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words that are overrides, and those that are flags or their values.

    Raises
    ------
    UserError
        At a word that is neither, which Hydra would answer with a parser's message.
    """
    overrides, flags = [], []
    previous = ""
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("-") and flag not in FLAGS_WITH_VALUE | FLAGS:
            raise UserError(f"There is no option '{flag}': {nearest(flag, FLAGS_WITH_VALUE | FLAGS)}")
        if not word.startswith("-") and previous not in FLAGS_WITH_VALUE:
            if "=" not in word and not word.startswith("~"):
                raise UserError(f"'{word}' is not an override: write key=value, such as env=kinetic.")
            overrides.append(word)
        else:
            flags.append(word)
        previous = word
    return overrides, flags


def is_sweep(flags: list[str]) -> bool:
    """Say whether Hydra is asked to train several runs."""
    return bool({"-m", "--multirun"} & set(flags)) and not {"-c", "--cfg", "--info", "-i"} & set(flags)


def sweep_directory(words: list[str]) -> str | None:
    """Return a directory for the sweep of these overrides, or None if they name one themselves.

    The name follows from what is fixed and from which keys vary, not from their values: a sweep with one more seed
    or value finds the runs of the smaller one.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    overrides = OverridesParser.create().parse_overrides(words)
    if any(entry.key_or_group in ("hydra.sweep.dir", "hydra.mode", "study") for entry in overrides):
        return None
    task = [entry for entry in overrides if not (entry.key_or_group or "").startswith("hydra")]
    varied = sorted(entry.get_key_element() for entry in task if entry.is_sweep_override())
    fixed = {
        entry.get_key_element(): entry.get_value_element_as_str() for entry in task if not entry.is_sweep_override()
    }
    named = sorted(item for item in fixed.items() if item[0] not in UNNAMED)
    by = [key for key in varied if key not in UNNAMED]
    digest = hashlib.sha256(repr((named, by)).encode()).hexdigest()[:8]
    chosen = [fixed[group] for group in ("env", "algo") if group in fixed]
    suffix = ["by", *(key.rpartition(".")[2] for key in by)] if by else []
    return f"{fixed.get('results', 'results')}/sweeps/" + "-".join([*chosen, *suffix, digest])
