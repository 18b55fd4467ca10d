"""Variants: runs that differ in their seed alone, and the short labels that tell variants apart."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from .. import UserError
from ..configs.saved import identity
from .records import RunRecord, Status

# What makes two runs the same task: their baselines are then the same.
TASK_KEYS = ("env.", "evaluation.")

# Of these, what decides when policies are looked at, and not how they or the baselines score.
SCHEDULE_KEYS = ("evaluation.every", "evaluation.baselines")

# Written as their value alone in a label: "ppo" and not "name=ppo".
NAME_KEYS = ("env.name", "algo.name")

# The value of a key that a config lacks, where another config of the same environment and algorithm has it.
UNSET = "unset"


@dataclass(frozen=True)
class Variant:
    """The runs of one config, one per seed.

    Attributes
    ----------
    label
        Short, and unlike every other variant's.
    settings
        Flattened keys in which the variants differ, such as ``algo.learning_rate``, with this variant's values; a key
        that this variant's algorithm or environment does not have is missing.
    runs
        Ordered by seed.
    task
        What tells this variant's environment and evaluation from the other variants'; empty where they are all equal.
    """

    label: str
    settings: Mapping[str, Any]
    runs: tuple[RunRecord, ...]
    task: str = ""

    @property
    def env_name(self) -> str:
        """The environment's name."""
        return self.runs[0].env_name

    @property
    def algo_name(self) -> str:
        """The algorithm's name."""
        return self.runs[0].algo_name

    @property
    def finished(self) -> tuple[RunRecord, ...]:
        """The runs that have a result."""
        return tuple(run for run in self.runs if run.status == "finished")

    def seeds(self, status: Status) -> tuple[int, ...]:
        """Return the seeds of the runs that ended so."""
        return tuple(run.seed for run in self.runs if run.status == status)


def variants(runs: Sequence[RunRecord]) -> list[Variant]:
    """Group runs whose configs are equal apart from the seed, label the groups and order them naturally.

    Runs that were given different ``variant`` names stay apart even if their configs are equal: a row of an ablation
    may repeat the reference. The order is by environment, given name, algorithm and then the differing values in the
    order of the config, numbers as numbers.

    Raises
    ------
    UserError
        If one config was run twice with the same seed.
    """
    groups: dict[tuple[str, str], dict[int, RunRecord]] = {}
    for run in runs:
        members = groups.setdefault((given_name(run), canonical(identity(run.config))), {})
        if run.seed in members:
            raise UserError(
                f"{members[run.seed].path} and {run.path}: the same config with the same seed {run.seed}; "
                "give a directory that holds only one of them."
            )
        members[run.seed] = run
    members_of_groups = [tuple(members[seed] for seed in sorted(members)) for members in groups.values()]
    configs = [named_identity(members[0]) for members in members_of_groups]
    differing = differing_keys(configs)
    names = [given_name(members[0]) for members in members_of_groups]
    automatic = [
        label or config["algo.name"] for label, config in zip(described(configs, differing), configs, strict=True)
    ]
    task_keys = [[key for key in some if is_task_key(key)] for some in differing]
    keys = [key for key in key_order(configs) if any(key in some for some in differing)]
    found = [
        Variant(label, {key: config[key] for key in keys if key in config}, members, task)
        for label, config, members, task in zip(
            unique_labels(names, automatic), configs, members_of_groups, described(configs, task_keys), strict=True
        )
    ]
    return sorted(found, key=lambda variant: natural_order(variant, keys))


def is_task_key(key: str) -> bool:
    """Say whether a dotted key decides what agents and baselines are measured on."""
    return key.startswith(TASK_KEYS) and key not in SCHEDULE_KEYS


def given_name(run: RunRecord) -> str:
    """Return the name that the study gave to the run's variant, or nothing."""
    return str(run.config.get("variant") or "")


def canonical(value: Any) -> str:
    """Write a config value so that equal values, and only they, give equal text; 5 and 5.0 are equal."""
    return json.dumps(without_whole_floats(value), sort_keys=True, default=str)


def without_whole_floats(value: Any) -> Any:
    """Replace floats without a fractional part by integers, at any depth."""
    if isinstance(value, Mapping):
        return {str(key): without_whole_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_whole_floats(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def named_identity(run: RunRecord) -> dict[str, Any]:
    """Return what makes the run's variant what it is, with dotted keys and both names filled in."""
    return {"env.name": run.env_name, "algo.name": run.algo_name} | identity(run.config)


def key_order(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return every key of the configs once, in the order in which they first stand."""
    return list(dict.fromkeys(key for config in configs for key in config))


def differing_keys(configs: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return for each config the keys that tell it from the others, in the config's order.

    The names differ or not among all configs. A key of the algorithm is compared among configs of the same environment
    and algorithm: what only another algorithm has, or sets otherwise, is implied by its name. Everything else (the
    environment, the budget, the evaluation) is compared among all configs of the same environment, because algorithms
    that were not given the same task or budget must not stand side by side unmarked.
    """

    def companions(key: str, config: Mapping[str, Any]) -> tuple[Any, ...]:
        if key in NAME_KEYS:
            return (key,)
        if key.startswith("algo."):
            return key, config["env.name"], config["algo.name"]
        return key, config["env.name"]

    keys = key_order(configs)
    values: dict[tuple[Any, ...], set[str]] = {}
    for config in configs:
        for key in keys:
            values.setdefault(companions(key, config), set()).add(canonical(config.get(key, UNSET)))
    return [[key for key in keys if len(values[companions(key, config)]) > 1] for config in configs]


def described(configs: Sequence[Mapping[str, Any]], chosen: Sequence[Sequence[str]]) -> list[str]:
    """Return a phrase for each config with its names and values at the keys chosen for it."""
    short_keys = shortened(key_order(configs))
    return [
        ", ".join(
            str(config[key]) if key in NAME_KEYS else f"{short_keys[key]}={written(config.get(key, UNSET))}"
            for key in keys
        )
        for config, keys in zip(configs, chosen, strict=True)
    ]


def unique_labels(names: Sequence[str], automatic: Sequence[str]) -> list[str]:
    """Return the given names where there are any, else the automatic labels; names given twice get both."""
    labels = [name or label for name, label in zip(names, automatic, strict=True)]
    count = Counter(labels)
    return [
        f"{name} ({label})" if name and count[name] > 1 else name or label
        for name, label in zip(names, automatic, strict=True)
    ]


def shortened(keys: Iterable[str]) -> dict[str, str]:
    """Map each dotted key to itself without ``env.`` or ``algo.``, unless two keys would then look alike."""
    short = {key: re.sub(r"^(env|algo)\.", "", key) for key in keys}
    count = Counter(short.values())
    return {key: name if count[name] == 1 else key for key, name in short.items()}


def written(value: Any) -> str:
    """Write a value as one types it in YAML: ``null``, ``true``, ``0.0003``, ``[1, 2]``."""
    if isinstance(value, str):
        return value if is_plain(value) else json.dumps(value)
    if isinstance(value, float):
        # Twelve digits: a sweep's 3 * 0.0001 is 0.0003 to its reader, and not 0.00030000000000000003.
        return f"{value:.12g}"
    return json.dumps(value, default=str)


def is_plain(text: str) -> bool:
    """Say whether YAML reads a text back as itself: ``relu`` but not ``null``, ``12`` or ``[a``."""
    try:
        return bool(yaml.safe_load(text) == text)
    except yaml.YAMLError:
        return False


def natural_order(variant: Variant, keys: Iterable[str]) -> list[tuple[Any, ...]]:
    """Return what variants are ordered by: environment, given name, algorithm, then the differing values."""
    named = (variant.env_name, given_name(variant.runs[0]), variant.algo_name)
    return [natural(value) for value in named] + [
        natural(variant.settings[key]) if key in variant.settings else (-1,) for key in keys
    ]


def natural(value: Any) -> tuple[Any, ...]:
    """Return a sort key: null, then numbers by size, then text with the numbers in it by size, then lists."""
    if value is None:
        return (0,)
    if isinstance(value, int | float):
        return 1, float(value)
    if isinstance(value, list):
        return 3, *map(natural, value)
    # With one capturing group the odd pieces are the numbers, so that like is always compared with like.
    pieces = re.split(r"(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)", str(value))
    return 2, *(float(piece) if place % 2 else piece.casefold() for place, piece in enumerate(pieces))
